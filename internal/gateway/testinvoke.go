package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"moat/internal/wire"
)

// Stages that tests run in, as API Gateway names them: a function's policy sees them in the
// source ARN, and a function in its event.
const (
	TestStage           = "test-invoke-stage"
	TestAuthorizerStage = "ESTestInvoke-stage"
)

// TestRequest is a request to a method that is tried before it is deployed.
type TestRequest struct {
	// Path is escaped, with its query string. Empty: that of the resource itself.
	Path   string
	Fields []Field
	Body   []byte
	Caller wire.Caller // who tests
	// Context are $context variables that the test brings, without their prefix.
	Context map[string]string
}

// TestResult is what a method answered, with the log of how it came to it.
type TestResult struct {
	Status  int
	Fields  []Field
	Body    []byte
	Log     string
	Latency time.Duration
}

// tested collects an answer.
type tested struct {
	status int
	fields []Field
	body   bytes.Buffer
	broken bool
}

func (t *tested) Head(status int, fields []Field, _ int64) {
	t.status, t.fields = status, slices.Clone(fields)
}

func (t *tested) Write(p []byte) (int, error) {
	if t.body.Len()+len(p) > maxBody {
		return 0, errAborted
	}
	return t.body.Write(p)
}

func (t *tested) Flush() {}
func (t *tested) Abort() { t.broken = true }

// TestMethod runs the one route of s on a request that nobody sent: it is validated, mapped and
// integrated as ever, but needs no key, no plan, no authorisation, and counts for nothing. s must
// have been compiled with [TestStage] and exactly one route, whose method is the request's.
func (g *Gateway) TestMethod(ctx context.Context, s *Snapshot, r TestRequest) TestResult {
	g.equip(s)
	defer s.release()
	x, out := g.testExchange(ctx, s, r)
	var err error
	for _, run := range []step{{"validate", validate, false}, {"integrate", integrate, false}, {"respond", respond, false}} {
		x.step = run.name
		if err = run.run(x); err != nil {
			break
		}
	}
	refusal := refusalOf(err)
	if refusal != nil {
		x.refused(refusal)
	}
	x.finish()
	_, _ = x.payload() // for the log; what it could not read it has said already
	latency := g.cfg.Now().Sub(x.start)
	return TestResult{Status: out.status, Fields: testFields(out.fields), Body: out.body.Bytes(), Latency: latency,
		Log: testLog(&outcome{Exchange: x, refusal: refusal, latency: latency}, out)}
}

// testFields are the fields of an answer that the integration or the API itself gave.
func testFields(all []Field) []Field {
	return slices.DeleteFunc(slices.Clone(all), func(f Field) bool {
		switch strings.ToLower(f.Name) {
		case "x-amzn-requestid", "x-amz-apigw-id":
			return true
		}
		return false
	})
}

// testExchange is the exchange of a request that nobody sent.
func (g *Gateway) testExchange(ctx context.Context, s *Snapshot, r TestRequest) (*Exchange, *tested) {
	out, rt := &tested{}, s.routes[0]
	path, query, _ := strings.Cut(r.Path, "?")
	x := &Exchange{
		Context: ctx, APIID: s.def.APIID, Stage: s.def.Stage, Method: rt.def.Method, RawQuery: query, Proto: "HTTP/1.1", RemoteIP: "test-invoke-source-ip",
		Host: s.def.APIID + ".execute-api." + s.def.Region + ".amazonaws.com", Secure: true,
		Fields: r.Fields, Body: bytes.NewReader(r.Body), Length: int64(len(r.Body)), Out: out, g: g, start: g.cfg.Now(), snap: s, route: rt, caller: &r.Caller, assumed: r.Context,
	}
	x.identify()
	res := s.resourceOf(rt)
	if path == "" {
		path = res.path
		x.segs = plainSegments(path)
	} else if read, segs, err := parsePath(path, nil); err == nil && s.root.match(segs) == res {
		path, x.segs = read, segs
	} else {
		// A path of another resource has no parameters of this one (recorded).
		res = &resource{path: res.path, id: res.id, methods: res.methods, any: res.any}
	}
	x.path, x.Path, x.Target, x.resource = path, path, "/"+s.def.Stage+path, res
	return x, out
}

// resourceOf finds the resource of a route.
func (s *Snapshot) resourceOf(rt *route) *resource {
	r := s.root.match(plainSegments(rt.def.Path))
	if r == nil {
		return &resource{path: rt.def.Path, id: rt.def.ResourceID}
	}
	return r
}

// plainSegments splits a path that holds parameters in braces: they stand for themselves.
func plainSegments(path string) []segment {
	var segs []segment
	for at := 1; at < len(path); {
		next := len(path)
		if i := strings.IndexByte(path[at:], '/'); i >= 0 {
			next = at + i
		}
		segs = append(segs, segment{at, next, path[at:next]})
		at = next + 1
	}
	return segs
}

// testLog tells of a test in the words of API Gateway's console.
func testLog(o *outcome, out *tested) string {
	stamp := o.start.UTC().Format("Mon Jan 02 15:04:05 UTC 2006") + " : "
	lines := []string{
		"Starting execution for request: " + o.requestID,
		"HTTP Method: " + o.Method + ", Resource Path: " + o.path,
		"Method request path: " + o.pathText(),
		"Method request query string: " + o.queryText(),
		"Method request headers: " + o.headerText(o.Fields),
		"Method request body before transformations: " + o.bodyText(o.body),
	}
	if o.integrated {
		lines = append(lines, "Received response. Integration latency: "+milliseconds(o.integration)+" ms")
	}
	if o.refusal != nil {
		lines = append(lines, o.failure()...)
	} else {
		lines = append(lines, "Method response body after transformations: "+o.bodyText(out.body.Bytes()),
			"Method response headers: "+o.headerText(testFields(out.fields)), "Successfully completed execution")
	}
	if out.broken {
		lines = append(lines, "The answer broke off")
	}
	lines = append(lines, "Method completed with status: "+strconv.Itoa(out.status))
	var b strings.Builder
	b.WriteString("Execution log for request " + o.requestID + "\n")
	for _, l := range lines {
		b.WriteString(stamp + clipLine(l) + "\n")
	}
	return b.String()
}

// AuthorizerResult is what an authorizer decided in a test.
type AuthorizerResult struct {
	Status        int // of the answer that a client would get
	Principal     string
	Policy        string            // a function's, as it wrote it
	Claims        map[string]string // of a user pool's token
	Authorization map[string][]string
	Log           string
	Latency       time.Duration
}

// TestAuthorizer asks the authorizer of the one route of s about a request that nobody sent. What
// it said before does not count, and what it says is not remembered. s must have been compiled with
// [TestAuthorizerStage].
func (g *Gateway) TestAuthorizer(ctx context.Context, s *Snapshot, r TestRequest) AuthorizerResult {
	x, _ := g.testExchange(ctx, s, r)
	x.caller, x.step = nil, "authorise"
	a := x.route.authorizer
	res := AuthorizerResult{Status: http.StatusOK}
	var err error
	if a.kind == "COGNITO_USER_POOLS" {
		if err = authoriseToken(x); err == nil {
			res.Claims = x.claimSet().text
		}
	} else {
		err = res.ask(x, a)
	}
	res.Latency = g.cfg.Now().Sub(x.start)
	lines := []string{"Starting authorizer: " + a.id}
	if refusal := refusalOf(err); refusal != nil {
		res.Status = refusal.status()
		lines = append(lines, (&outcome{Exchange: x, refusal: refusal}).failure()...)
		lines = append(lines, "Unauthorized request: "+x.requestID)
	} else {
		lines = append(lines, "Successfully completed authorizer execution")
	}
	stamp := x.start.UTC().Format("Mon Jan 02 15:04:05 UTC 2006") + " : "
	res.Log = "Execution log for request " + x.requestID + "\n"
	for _, l := range lines {
		res.Log += stamp + clipLine(l) + "\n"
	}
	return res
}

// ask asks an authorizer function.
func (res *AuthorizerResult) ask(x *Exchange, a *authorizer) error {
	values, err := a.identify(x)
	if err != nil {
		return err
	}
	out, err := x.consult(a, values)
	if err != nil {
		return err
	}
	grant, why := readGrant(out, a, x.authorizing)
	if why != "" {
		return refuse(AuthorizerConfigurationError, a.where+" answered nonsense: "+why+": "+clip(out))
	}
	var said struct {
		Policy json.RawMessage `json:"policyDocument"`
	}
	if err := json.Unmarshal(out, &said); err != nil { // readGrant could read it
		return refuse(AuthorizerConfigurationError, a.where+" answered nonsense: "+err.Error())
	}
	var compact bytes.Buffer
	if json.Compact(&compact, said.Policy) == nil {
		res.Policy = compact.String()
	}
	res.Principal, res.Authorization = grant.principal, map[string][]string{"principalId": {grant.principal}}
	for name, v := range grant.context {
		res.Authorization[name] = []string{v}
	}
	return nil
}

// ValidField reports whether a header field may be sent at all (RFC 9110, section 5).
func ValidField(name, value string) bool { return validName(name) && validValue(value) }
