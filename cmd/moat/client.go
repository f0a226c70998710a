package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"moat/internal/pure/sigv4"
)

// defaultEndpoint is where `moat dev` and `moat serve` listen unless told otherwise.
const defaultEndpoint = "http://localhost:4566"

// maxAnswer bounds what a command reads of an answer.
const maxAnswer = 64 << 20

// client speaks to a running Moat by the AWS protocols, as any SDK does.
type client struct {
	endpoint    string // without a trailing slash
	region      string
	credentials sigv4.Credentials
	http        *http.Client
	now         func() time.Time
}

// apiError is an answer other than 2xx to an AWS call.
type apiError struct {
	Status  int
	Code    string
	Message string
}

func (e *apiError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("the server answered %d: %s", e.Status, e.Message)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// clientFlags are the flags of every command that talks to a running Moat.
type clientFlags struct {
	endpoint, region, accessKey, secretKey, sessionToken string
}

func (f *clientFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.endpoint, "endpoint", defaultEndpoint, "address of the running Moat")
	fl.StringVar(&f.region, "region", "us-east-1", "region to work in")
	fl.StringVar(&f.accessKey, "access-key-id", "", "access key (default: AWS_ACCESS_KEY_ID, or test on 'moat dev')")
	fl.StringVar(&f.secretKey, "secret-access-key", "", "secret of the access key (default: AWS_SECRET_ACCESS_KEY)")
	fl.StringVar(&f.sessionToken, "session-token", "", "session token of temporary credentials (default: AWS_SESSION_TOKEN)")
}

// client makes the client of a command. Without an access key it uses the one of the environment,
// and the root key of `moat dev` where neither is given.
func (f *clientFlags) client(a *app) *client {
	c := sigv4.Credentials{AccessKeyID: f.accessKey, SecretAccessKey: f.secretKey, SessionToken: f.sessionToken}
	if c.AccessKeyID == "" {
		c = sigv4.Credentials{AccessKeyID: a.getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: a.getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: a.getenv("AWS_SESSION_TOKEN")}
	}
	if c.AccessKeyID == "" {
		c = sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}
	}
	return &client{
		endpoint: strings.TrimRight(f.endpoint, "/"), region: f.region, credentials: c, now: time.Now,
		http: &http.Client{
			Timeout:       5 * time.Minute,
			Transport:     &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 4},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// json makes a call of a JSON service. Unsigned calls carry no signature.
func (c *client) json(ctx context.Context, service, target string, signed bool, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", target)
	if signed {
		c.sign(req, service, body)
	}
	answer, err := c.do(req)
	if err != nil {
		return err
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// query makes a call of a query service; out is an XML shape of the whole answer, or nil.
func (c *client) query(ctx context.Context, service, version, action string, params url.Values, out any) error {
	form := url.Values{"Action": {action}, "Version": {version}}
	for k, v := range params {
		form[k] = v
	}
	body := []byte(form.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	c.sign(req, service, body)
	answer, err := c.do(req)
	if err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	return xml.Unmarshal(answer, out)
}

// rest makes a signed call of a REST service with a JSON answer.
func (c *client) rest(ctx context.Context, service, method, path string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.endpoint+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	c.sign(req, service, body)
	answer, err := c.do(req)
	if err != nil {
		return err
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// sign adds a signature of the client's credentials (SigV4, header form).
func (c *client) sign(req *http.Request, service string, body []byte) {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	r := sigv4.Request{Method: req.Method, Path: req.URL.EscapedPath(), RawQuery: req.URL.RawQuery, Host: req.URL.Host, Header: req.Header}
	sigv4.Sign(&r, hash, c.credentials, c.region, service, c.now().UTC())
}

func (c *client) do(req *http.Request) ([]byte, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return answer, nil
	}
	return nil, parseAPIError(resp, answer)
}

// unreachable says in one sentence that no Moat answers.
func (c *client) unreachable(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) && !ue.Timeout() {
		return fmt.Errorf("no Moat answers at %s (%v); start one with `moat dev` or `moat serve`, or name it with --endpoint", c.endpoint, rootCause(ue))
	}
	return err
}

func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// parseAPIError reads the error shapes of the three protocols.
func parseAPIError(resp *http.Response, body []byte) error {
	e := &apiError{Status: resp.StatusCode, Code: resp.Header.Get("X-Amzn-Errortype"), Message: strings.TrimSpace(string(body))}
	var j struct {
		Type         string `json:"__type"`
		Message      string `json:"message"`
		MessageUpper string `json:"Message"`
	}
	var x struct {
		Error struct{ Code, Message string }
	}
	switch {
	case json.Unmarshal(body, &j) == nil:
		if j.Type != "" {
			e.Code = j.Type[strings.LastIndexByte(j.Type, '#')+1:]
		}
		if m := j.Message + j.MessageUpper; m != "" {
			e.Message = m
		}
	case xml.Unmarshal(body, &x) == nil && x.Error.Code != "":
		e.Code, e.Message = x.Error.Code, x.Error.Message
	}
	e.Code, _, _ = strings.Cut(e.Code, ":")
	code := exitRefused
	if e.Status >= 500 {
		code = exitServer
	}
	return &exitError{code, e}
}
