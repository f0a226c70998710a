package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"moat/internal/pure/sigv4"
)

const region = "us-east-1"

// aws makes signed calls of AWS services, for what must stand before the measuring begins.
type aws struct {
	endpoint    string
	credentials sigv4.Credentials
	http        *http.Client
}

// json calls a service of the JSON protocol.
func (a *aws) json(ctx context.Context, service, target string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	header := http.Header{"X-Amz-Target": {target}, "Content-Type": {"application/x-amz-json-1.1"}}
	return a.call(ctx, service, http.MethodPost, "/", header, body, func(answer []byte) error { return unmarshal(answer, out) })
}

// rest calls a service of the REST JSON protocol.
func (a *aws) rest(ctx context.Context, service, method, path string, in, out any) error {
	var body []byte
	header := http.Header{}
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
		header.Set("Content-Type", "application/json")
	}
	return a.call(ctx, service, method, path, header, body, func(answer []byte) error { return unmarshal(answer, out) })
}

// query calls a service of the query protocol; out is a shape of the whole answer.
func (a *aws) query(ctx context.Context, service, version, action string, params map[string]string, out any) error {
	form := url.Values{"Action": {action}, "Version": {version}}
	for k, v := range params {
		form.Set(k, v)
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	return a.call(ctx, service, http.MethodPost, "/", header, []byte(form.Encode()), func(answer []byte) error {
		if out == nil {
			return nil
		}
		return xml.Unmarshal(answer, out)
	})
}

func unmarshal(answer []byte, out any) error {
	if out == nil || len(answer) == 0 {
		return nil
	}
	return json.Unmarshal(answer, out)
}

func (a *aws) call(ctx context.Context, service, method, path string, header http.Header, body []byte, read func([]byte) error) error {
	req, err := http.NewRequestWithContext(ctx, method, a.endpoint+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = header
	signed := sigv4.Request{Method: method, Path: req.URL.EscapedPath(), RawQuery: req.URL.RawQuery, Host: req.URL.Host, Header: header}
	sigv4.Sign(&signed, payloadHash(body), a.credentials, region, service, time.Now().UTC())
	resp, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s %s%s answered %d: %s", service, method, path, header.Get("X-Amz-Target"), resp.StatusCode, answer)
	}
	return read(answer)
}

func payloadHash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// request is one to be sent many times, or one of many: raw writes it down.
type request struct {
	method, path, query string
	header              http.Header
	body                []byte
}

// raw gives the bytes of a request.
func (r request) raw(host string) []byte {
	var b bytes.Buffer
	b.WriteString(r.method + " " + r.path)
	if r.query != "" {
		b.WriteString("?" + r.query)
	}
	b.WriteString(" HTTP/1.1\r\nHost: " + host + "\r\n")
	names := make([]string, 0, len(r.header))
	for name := range r.header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString(name + ": " + strings.Join(r.header[name], ", ") + "\r\n")
	}
	if r.body != nil {
		b.WriteString("Content-Length: " + strconv.Itoa(len(r.body)) + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(r.body)
	return b.Bytes()
}

// signed gives the bytes of a request with a signature.
func (r request) signed(host, service string, c sigv4.Credentials) []byte {
	r.header = r.header.Clone()
	if r.header == nil {
		r.header = http.Header{}
	}
	s := sigv4.Request{Method: r.method, Path: r.path, RawQuery: r.query, Host: host, Header: r.header}
	sigv4.Sign(&s, payloadHash(r.body), c, region, service, time.Now().UTC())
	return r.raw(host)
}

// unsignedJSON is a call of a JSON operation that needs no signature.
func unsignedJSON(host, target string, in any) ([]byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	header := http.Header{"X-Amz-Target": {target}, "Content-Type": {"application/x-amz-json-1.1"}}
	return request{method: http.MethodPost, path: "/", header: header, body: body}.raw(host), nil
}

// signedJSON writes a signed call of the JSON protocol.
func signedJSON(host, service, target string, in any, c sigv4.Credentials) ([]byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	header := http.Header{"X-Amz-Target": {target}, "Content-Type": {"application/x-amz-json-1.1"}}
	return request{method: http.MethodPost, path: "/", header: header, body: body}.signed(host, service, c), nil
}
