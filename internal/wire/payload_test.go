package wire_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/wire"
)

// inChunks writes a payload in the aws-chunked coding, from the text of Amazon's API reference.
func inChunks(r *http.Request, payload string) string {
	hm := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		_, _ = h.Write([]byte(text))
		return h.Sum(nil)
	}
	auth, form := r.Header.Get("Authorization"), r.Header.Get("X-Amz-Content-Sha256")
	day := start.Format("20060102")
	key := hm(hm(hm(hm([]byte("AWS4secret"), day), region), "lambda"), "aws4_request")
	previous, out := auth[len(auth)-64:], ""
	for _, piece := range []string{payload[:len(payload)/2], payload[len(payload)/2:], ""} {
		out += fmt.Sprintf("%x", len(piece))
		if !strings.Contains(form, "UNSIGNED") {
			previous = hex.EncodeToString(hm(key, "AWS4-HMAC-SHA256-PAYLOAD\n"+start.Format("20060102T150405Z")+"\n"+day+"/"+region+"/lambda/aws4_request\n"+
				previous+"\n"+bodySum("")+"\n"+bodySum(piece)))
			out += ";chunk-signature=" + previous
		}
		if out += "\r\n"; piece != "" {
			out += piece + "\r\n"
		}
	}
	if strings.HasSuffix(form, "-TRAILER") {
		out += "x-amz-checksum-crc32:" + base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(payload)))) + "\r\n"
	}
	return out + "\r\n"
}

// chunked is a call of Invoke whose payload comes in chunks.
func chunked(form, payload string, alter func(string) string) request {
	q := request{service: "lambda", target: "/2015-03-31/functions/f/invocations", hash: form, header: map[string]string{
		"X-Amz-Decoded-Content-Length": fmt.Sprint(len(payload)), "Content-Encoding": "aws-chunked",
	}}
	if strings.HasSuffix(form, "-TRAILER") {
		q.header["X-Amz-Trailer"] = "x-amz-checksum-crc32"
	}
	q.after = func(r *http.Request) {
		body := inChunks(r, payload)
		if alter != nil {
			body = alter(body)
		}
		setBody(body)(r)
		r.TLS = &tls.ConnectionState{}
	}
	return q
}

// What S3 permits is permitted where a service says so, and nowhere else.
func TestPipeline_payloads(t *testing.T) {
	t.Parallel()
	const signed, unsigned = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	const payload = `{"hello":"world"}`
	plain := func(q request) request {
		after := q.after
		q.after = func(r *http.Request) {
			if after != nil {
				after(r)
			}
			r.TLS = nil
		}
		return q
	}
	invoke := request{service: "lambda", target: "/2015-03-31/functions/f/invocations", body: payload}
	overTLS := func(q request) request {
		after := q.after
		q.after = func(r *http.Request) {
			if r.TLS = (&tls.ConnectionState{}); after != nil {
				after(r)
			}
		}
		return q
	}
	presigned := with(invoke, func(q *request) { q.presign = true })
	other := func(b string) string { return strings.Replace(b, "world", "earth", 1) }
	both := sigv4.AllowUnsigned | sigv4.AllowChunked
	for _, tt := range []struct {
		name   string
		permit sigv4.Payloads
		q      request
		code   string
	}{
		{"hashed", both, invoke, ""},
		{"unsigned", both, overTLS(with(invoke, func(q *request) { q.hash = "UNSIGNED-PAYLOAD" })), ""},
		{"unsigned, not over TLS", both, with(invoke, func(q *request) { q.hash = "UNSIGNED-PAYLOAD" }), "InvalidSignatureException"},
		{"unsigned, not permitted", 0, overTLS(with(invoke, func(q *request) { q.hash = "UNSIGNED-PAYLOAD" })), "InvalidSignatureException"},
		{"hash taken for unsigned", both, overTLS(with(invoke, func(q *request) {
			q.hash = bodySum(payload)
			q.after = func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }
		})), "InvalidSignatureException"},
		{"chunks", both, chunked(signed, payload, nil), ""},
		{"chunks in the clear", both, plain(chunked(signed, payload, nil)), ""},
		{"chunks, not permitted", 0, chunked(signed, payload, nil), "InvalidSignatureException"},
		{"chunks, altered", both, chunked(signed, payload, other), "InvalidSignatureException"},
		{"chunks, cut", both, chunked(signed, payload, func(b string) string { return b[:len(b)-9] }), "IncompleteBody"},
		{"chunks of more than the limit", both, chunked(signed, strings.Repeat("1", 81<<20), nil), "RequestEntityTooLargeException"},
		{"unsigned chunks", both, chunked(unsigned, payload, nil), ""},
		{"unsigned chunks in the clear", both, plain(chunked(unsigned, payload, nil)), "InvalidSignatureException"},
		{"unsigned chunks, not permitted", 0, chunked(unsigned, payload, nil), "InvalidSignatureException"},
		{"unsigned chunks, altered", both, chunked(unsigned, payload, other), "BadDigest"},
		{"an unknown form", both, chunked("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", payload, nil), "InvalidSignatureException"},
		{"presigned, not permitted to leave the body out", 0, presigned, "InvalidSignatureException"},
		{"chunks, and zipped", both, with(chunked(signed, payload, nil), func(q *request) { q.header["Content-Encoding"] = "aws-chunked,gzip" }), "UnsupportedMediaTypeException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(c *wire.Config) { c.APIs[2].Payloads = tt.permit })
			w := f.do(tt.q)
			rec := f.last()
			if rec.ErrorCode != tt.code {
				t.Fatalf("%d %q: %s (%s)", w.Code, rec.ErrorCode, w.Body, rec.Grounds)
			}
			if tt.code == "" && w.Body.String() != payload {
				t.Errorf("the service was given %q", w.Body)
			}
		})
	}
}

// AWS's sentences about the time of a request name both times and the bound.
func TestPipeline_skewSentences(t *testing.T) {
	t.Parallel()
	for want, at := range map[string]time.Time{
		"Signature expired: 20261120T115459Z is now earlier than 20261120T115500Z (20261120T120000Z - 5 min.)":         start.Add(-5*time.Minute - time.Second),
		"Signature not yet current: 20261120T120501Z is still later than 20261120T120500Z (20261120T120000Z + 5 min.)": start.Add(5*time.Minute + time.Second),
	} {
		f := newFixture(t)
		if w := f.do(with(identity(), func(q *request) { q.at = at })); w.Code != 403 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%d %s, want %s", w.Code, w.Body, want)
		}
	}
}
