package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"moat/internal/wire"
)

// mappingCase is a file of testdata/mapping: one method with its integration, one request,
// what the integration is to get and what the client.
type mappingCase struct {
	// About says where the expectation is from.
	About            string              `json:"about"`
	BinaryMediaTypes []string            `json:"binaryMediaTypes"`
	StageVariables   map[string]string   `json:"stageVariables"`
	GatewayResponses map[string]Response `json:"gatewayResponses"`
	Resource         string              `json:"resource"`
	Method           string              `json:"method"`
	Required         map[string]bool     `json:"requestParameters"`
	Integration      Integration         `json:"integration"`
	// Answer is what the integration answers; Function instead is a function's payload.
	Answer   *mappingMessage `json:"answer"`
	Function *struct {
		Payload json.RawMessage `json:"payload"`
		Error   string          `json:"error"`
		Throw   string          `json:"throw"` // throttled or denied
	} `json:"function"`
	Request mappingMessage  `json:"request"`
	Sent    *mappingMessage `json:"sent"`
	// SentContains are parts of the body that the integration gets.
	SentContains []string       `json:"sentContains"`
	Want         mappingMessage `json:"want"`
	// Refused is "definition" or "not built" when the deployment is refused.
	Refused string `json:"refused"`
}

type mappingMessage struct {
	Status  int                 `json:"status"`
	Method  string              `json:"method"`
	Path    string              `json:"path"`
	Query   string              `json:"query"`
	Headers map[string][]string `json:"headers"` // an empty list: must not be there
	Body    *string             `json:"body"`
}

// backend is whatever an integration may talk to.
type backend struct {
	c    *mappingCase
	sent mappingMessage
	role string
}

func (b *backend) RoundTrip(r *http.Request) (*http.Response, error) {
	b.record(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header, r.Body)
	b.sent.Headers["Host"] = []string{r.Host}
	if b.c.Answer == nil {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: b.c.Answer.Status, Header: b.c.Answer.header(), ContentLength: -1, Body: io.NopCloser(strings.NewReader(b.c.Answer.body()))}, nil
}

func (b *backend) Do(_ context.Context, call ServiceCall) (ServiceAnswer, error) {
	path := call.Path
	if call.Action != "" {
		path = "action:" + call.Action
	}
	b.role = call.Role
	b.record(call.Method, call.Service+" "+path, call.RawQuery, call.Header, io.NopCloser(bytes.NewReader(call.Body)))
	if b.c.Answer == nil {
		return ServiceAnswer{}, ErrRoleRefused
	}
	return ServiceAnswer{b.c.Answer.Status, b.c.Answer.header(), []byte(b.c.Answer.body())}, nil
}

func (b *backend) Invoke(_ context.Context, inv Invocation) (Result, error) {
	method := "POST"
	if inv.Event {
		method = "EVENT"
	}
	b.record(method, inv.FunctionARN, "", nil, io.NopCloser(bytes.NewReader(inv.Payload)))
	f := b.c.Function
	switch {
	case f == nil || f.Throw == "denied":
		return Result{}, ErrFunctionNotPermitted
	case f.Throw == "throttled":
		return Result{}, ErrFunctionThrottled
	}
	var payload bytes.Buffer
	if err := json.Compact(&payload, f.Payload); err != nil {
		return Result{}, err
	}
	return Result{Payload: payload.Bytes(), FunctionError: f.Error}, nil
}

func (b *backend) record(method, path, query string, h http.Header, body io.ReadCloser) {
	var text []byte
	if body != nil {
		text, _ = io.ReadAll(body)
	}
	s := string(text)
	b.sent = mappingMessage{Method: method, Path: path, Query: query, Headers: map[string][]string{}, Body: &s}
	for name, values := range h {
		b.sent.Headers[name] = values
	}
}

func (m *mappingMessage) header() http.Header {
	h := http.Header{}
	for name, values := range m.Headers {
		for _, v := range values {
			h.Add(name, v)
		}
	}
	return h
}

func (m *mappingMessage) body() string {
	if m.Body == nil {
		return ""
	}
	return *m.Body
}

func TestMapping(t *testing.T) {
	t.Parallel()
	eachCase(t, "testdata/mapping", (*mappingCase).run)
}

// eachCase reads the cases of a folder, a file each, and runs them side by side.
func eachCase[C any](t *testing.T, folder string, run func(*C, *testing.T)) {
	files, err := filepath.Glob(folder + "/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := new(C)
			d := json.NewDecoder(bytes.NewReader(text))
			d.DisallowUnknownFields()
			if err := d.Decode(c); err != nil {
				t.Fatal(err)
			}
			run(c, t)
		})
	}
}

func (c *mappingCase) definition() Definition {
	d := Definition{
		APIID: apiID, Name: "mapping", Account: account, Region: region, Stage: "api", DeploymentID: "dep123", Variables: c.StageVariables,
		BinaryMediaTypes: c.BinaryMediaTypes, Responses: c.GatewayResponses, Authorizers: map[string]Authorizer{},
	}
	r := Route{Path: c.Resource, Method: c.Method, ResourceID: "res123", AuthorizationType: "NONE", Integration: c.Integration,
		RequestParameters: c.Required, ValidateParameters: len(c.Required) > 0}
	if r.Path == "" {
		r.Path = "/x"
	}
	if r.Method == "" {
		r.Method = "ANY"
	}
	d.Routes = []Route{r}
	return d
}

func (c *mappingCase) run(t *testing.T) {
	b := &backend{c: c}
	g := New(Config{Transport: b, Invoker: b, Services: b, Now: (&clock{now: noon}).Now, Domain: "localhost:4566", Record: func(r wire.Record) {
		if t.Failed() || c.Want.Status >= 500 {
			t.Log("grounds:", r.Grounds)
		}
	}})
	s, err := Compile(c.definition())
	var built *NotBuiltError
	var bad *DefinitionError
	switch {
	case c.Refused == "not built" && errors.As(err, &built), c.Refused == "definition" && errors.As(err, &bad):
		return
	case err != nil || c.Refused != "":
		t.Fatalf("Compile: got %v, want %q", err, c.Refused)
	}
	g.Publish(s)
	w := httptest.NewRecorder()
	r := c.Request.request()
	g.ServeAPI(w, r, apiID, "api", strings.TrimPrefix(r.URL.EscapedPath(), "/api"))
	got := mappingMessage{Status: w.Code, Headers: w.Header(), Body: new(string)}
	*got.Body = w.Body.String()
	if got.Status != c.Want.Status {
		t.Errorf("status: got %d, want %d (%s)", got.Status, c.Want.Status, *got.Body)
	}
	c.Want.compare(t, "the answer's", &got)
	for _, part := range c.SentContains {
		if b.sent.Body == nil || !strings.Contains(*b.sent.Body, part) {
			t.Errorf("the integration's body lacks %s", part)
		}
	}
	if c.Sent != nil {
		if b.sent.Body == nil {
			t.Fatal("nothing was sent to the integration")
		}
		for what, pair := range map[string][2]string{"method": {b.sent.Method, c.Sent.Method}, "path": {b.sent.Path, c.Sent.Path}} {
			if pair[1] != "" && pair[0] != pair[1] {
				t.Errorf("the integration's %s: got %q, want %q", what, pair[0], pair[1])
			}
		}
		if b.sent.Query != c.Sent.Query {
			t.Errorf("the integration's query: got %q, want %q", b.sent.Query, c.Sent.Query)
		}
		c.Sent.compare(t, "the integration's", &b.sent)
	}
}

func (m *mappingMessage) request() *http.Request {
	path := m.Path
	if path == "" {
		path = "/x"
	}
	method := m.Method
	if method == "" {
		method = "GET"
	}
	u := &url.URL{Path: "/api" + path, RawQuery: m.Query}
	r := httptest.NewRequest(method, "http://"+apiID+".execute-api.us-east-1.localhost:4566"+u.EscapedPath()+"?"+m.Query, strings.NewReader(m.body()))
	r.RequestURI = u.RequestURI()
	r.RemoteAddr = "203.0.113.7:5555"
	for name, values := range m.Headers {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	return r
}

func (m *mappingMessage) compare(t *testing.T, whose string, got *mappingMessage) {
	t.Helper()
	if m.Body != nil && *m.Body != *got.Body {
		t.Errorf("%s body:\n got %s\nwant %s", whose, *got.Body, *m.Body)
	}
	for name, want := range m.Headers {
		var have []string
		for other, values := range got.Headers {
			if strings.EqualFold(other, name) {
				have = append(have, values...)
			}
		}
		if !slices.Equal(have, want) && len(have)+len(want) > 0 {
			t.Errorf("%s header %s: got %q, want %q", whose, name, have, want)
		}
	}
}
