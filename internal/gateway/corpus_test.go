package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/wire"
)

// corpusCase is a file of testdata/exchange: an API, a request, and the answer with what its
// backends are to get.
type corpusCase struct {
	// About says where the expectation is from.
	About      string     `json:"about"`
	Definition Definition `json:"definition"`
	// Functions answer by name; "throttled", "denied" and "missing" are errors.
	Functions map[string]corpusFunction `json:"functions"`
	// Backend is what HTTP integrations answer; null: nobody is there.
	Backend *mappingMessage         `json:"backend"`
	Callers map[string]corpusCaller `json:"callers"`
	Plans   struct {
		Plans map[string]Plan
		Keys  map[string]Key // by their values
	} `json:"plans"`

	Request struct {
		mappingMessage
		SourceIP string         `json:"sourceIp"`
		SignedBy string         `json:"signedBy"` // a caller
		Claims   map[string]any `json:"claims"`   // of an ID token; with "scope" of an access token
		Times    int            `json:"times"`    // how often it is sent; the last answer counts
	} `json:"request"`
	// Invoked are the names of the functions that ran, in order; null: it does not matter.
	Invoked []string        `json:"invoked"`
	Sent    *mappingMessage `json:"sent"`
	Want    mappingMessage  `json:"want"`
	// Refused is the sentence with which the deployment is refused.
	Refused string `json:"refused"`
}

type corpusFunction struct {
	Payload json.RawMessage `json:"payload"`
	Error   string          `json:"error"`
	Throw   string          `json:"throw"`
}

// corpusCaller is somebody with an access key; the key's secret is its name.
type corpusCaller struct {
	Account  string            `json:"account"`
	Policies []json.RawMessage `json:"policies"`
	Expired  bool              `json:"expired"`
}

func TestExchangeCorpus(t *testing.T) {
	t.Parallel()
	eachCase(t, "testdata/exchange", (*corpusCase).run)
}

func (c *corpusCase) run(t *testing.T) {
	d := c.Definition
	d.APIID, d.Name, d.Account, d.Region, d.Stage, d.DeploymentID = apiID, "corpus", account, region, "api", "dep123"
	s, err := Compile(d)
	if c.Refused != "" || err != nil {
		if err == nil || err.Error() != c.Refused {
			t.Errorf("Compile: got %v, want %q", err, c.Refused)
		}
		return
	}
	k := newKit(t)
	far := &backend{c: &mappingCase{Answer: c.Backend}}
	k.outbound, k.direct, k.cfg.Services = far, nil, far
	var ran []string
	k.invoker.f = func(inv Invocation) (Result, error) {
		_, name, _ := strings.Cut(inv.FunctionARN, ":function:")
		ran = append(ran, name)
		far.record("POST", inv.FunctionARN, "", nil, nil)
		body := string(inv.Payload)
		far.sent.Body = &body
		return c.Functions[name].answer()
	}
	c.meet(t, k)
	k.Publish(s)
	k.PublishPlans(c.planSet(k))
	var w *httptest.ResponseRecorder
	for range max(c.Request.Times, 1) {
		ran = nil
		w = httptest.NewRecorder()
		r := c.sign(k, c.Request.request())
		k.ServeAPI(w, r, apiID, "api", strings.TrimPrefix(r.URL.EscapedPath(), "/api"))
	}
	got := mappingMessage{Status: w.Code, Headers: w.Header(), Body: new(string)}
	*got.Body = w.Body.String()
	if got.Status != c.Want.Status {
		t.Errorf("status: got %d, want %d (%s; %s)", got.Status, c.Want.Status, *got.Body, k.last().Grounds)
	}
	c.Want.compare(t, "the answer's", &got)
	if c.Invoked != nil && strings.Join(ran, " ") != strings.Join(c.Invoked, " ") {
		t.Errorf("functions: got %q, want %q", ran, c.Invoked)
	}
	if c.Sent == nil {
		return
	}
	if far.sent.Body == nil {
		t.Fatal("nothing was sent to the integration")
	}
	if c.Sent.Path != "" && c.Sent.Path != far.sent.Path || c.Sent.Method != "" && c.Sent.Method != far.sent.Method || c.Sent.Query != far.sent.Query {
		t.Errorf("the integration got %s %s?%s, want %s %s?%s", far.sent.Method, far.sent.Path, far.sent.Query, c.Sent.Method, c.Sent.Path, c.Sent.Query)
	}
	c.Sent.compare(t, "the integration's", &far.sent)
}

func (f corpusFunction) answer() (Result, error) {
	switch {
	case f.Throw == "throttled":
		return Result{}, ErrFunctionThrottled
	case f.Throw == "denied":
		return Result{}, ErrFunctionNotPermitted
	case f.Throw == "too large":
		return Result{}, ErrFunctionPayload
	case f.Throw == "timeout":
		return Result{}, context.DeadlineExceeded
	case f.Payload == nil:
		return Result{}, ErrFunctionNotFound
	}
	var text string
	if json.Unmarshal(f.Payload, &text) == nil { // what is no JSON
		return Result{Payload: []byte(text), FunctionError: f.Error}, nil
	}
	return Result{Payload: f.Payload, FunctionError: f.Error}, nil
}

// meet makes the case's callers known.
func (c *corpusCase) meet(t *testing.T, k *kit) {
	for name, who := range c.Callers {
		if who.Account == "" {
			who.Account = account
		}
		k.auth.creds[name] = wire.Credential{Secret: name, Caller: wire.Caller{AccessKeyID: name, Principal: policy.Principal{
			Kind: policy.PrincipalUser, Account: who.Account, ID: "AIDA" + name, ARN: "arn:aws:iam::" + who.Account + ":user/" + name}}}
		k.auth.old[name] = who.Expired
		for _, text := range who.Policies {
			k.auth.docs[name] = append(k.auth.docs[name], document(t, string(text)))
		}
	}
}

func (c *corpusCase) planSet(k *kit) PlanSet {
	set := PlanSet{Plans: c.Plans.Plans, Keys: map[KeyHash]Key{}}
	for value, key := range c.Plans.Keys {
		set.Keys[k.HashKey(value)] = key
	}
	return set
}

// sign gives the request what proves who sent it.
func (c *corpusCase) sign(k *kit, r *http.Request) *http.Request {
	if c.Request.SourceIP != "" {
		r.RemoteAddr = c.Request.SourceIP + ":5555"
	}
	if claims := c.Request.Claims; claims != nil {
		use := "id"
		if _, ok := claims["scope"]; ok {
			use = "access"
		}
		r.Header.Set("Authorization", k.token(k.keyA, issuerA, use, claims))
	}
	if who := c.Request.SignedBy; who != "" {
		req := sigv4.Request{Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Host: r.Host, Header: r.Header}
		sigv4.Sign(&req, sigv4.EmptyPayload, sigv4.Credentials{AccessKeyID: who, SecretAccessKey: who}, region, "execute-api", noon)
		r.Header = req.Header
	}
	return r
}
