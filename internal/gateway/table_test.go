package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/pure/token"
)

const (
	forbidden    = `{"message":"Forbidden"}`
	unauthorized = `{"message":"Unauthorized"}`
	noToken      = `{"message":"Missing Authentication Token"}`
	badKey       = `{"message":"The security token included in the request is invalid."}`
)

type want struct {
	status    int
	body      string // empty: not compared
	errorType string // empty: none
}

func check(t *testing.T, w *httptest.ResponseRecorder, exp want) {
	t.Helper()
	if w.Code != exp.status {
		t.Errorf("status: got %d, want %d (%s)", w.Code, exp.status, w.Body)
	}
	if exp.body != "" && w.Body.String() != exp.body {
		t.Errorf("body: got %s\nwant %s", w.Body, exp.body)
	}
	if got := strings.Join(w.Header()["x-amzn-ErrorType"], ","); got != exp.errorType {
		t.Errorf("x-amzn-ErrorType: got %q, want %q", got, exp.errorType)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type: got %q", got)
	}
	if len(w.Header()["x-amzn-RequestId"]) != 1 || len(w.Header()["x-amz-apigw-id"]) != 1 {
		t.Errorf("ids are missing: %v", w.Header())
	}
}

var ok = want{status: 200}

func denied401(message string) want {
	return want{401, `{"message":"` + message + `"}`, "UnauthorizedException"}
}

// TestTruthTable walks each way of proving who one is, with what must pass and the
// nearest that must not.
func TestTruthTable(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
	}))
	defer upstream.Close()
	k.publish(courses(upstream.URL))

	id := k.id(nil)
	for name, c := range map[string]struct {
		method, path, auth string
		want               want
	}{
		"unknown route":                  {"GET", "/nothing", "", want{403, noToken, "MissingAuthenticationTokenException"}},
		"unknown method":                 {"DELETE", "/courses", "", want{403, noToken, "MissingAuthenticationTokenException"}},
		"below a leaf":                   {"GET", "/courses/x", id, want{403, noToken, "MissingAuthenticationTokenException"}},
		"id token":                       {"GET", "/courses", id, ok},
		"id token, Bearer":               {"GET", "/courses", "Bearer " + id, ok},
		"id token, trailing slash":       {"GET", "/courses/", id, ok},
		"no token":                       {"GET", "/courses", "", denied401("Unauthorized")},
		"garbage":                        {"GET", "/courses", "garbage", denied401("Unauthorized")},
		"garbage with dots":              {"GET", "/courses", "a.b.c", denied401("Unauthorized")},
		"Bearer alone":                   {"GET", "/courses", "Bearer ", denied401("Unauthorized")},
		"access token":                   {"GET", "/courses", k.access("courses/write"), denied401("Unauthorized")},
		"other pool":                     {"GET", "/courses", k.token(k.keyB, issuerB, "id", nil), denied401("Unauthorized")},
		"other pool's key, our name":     {"GET", "/courses", k.token(k.keyB, issuerA, "id", nil), denied401("Unauthorized")},
		"our key, other pool's name":     {"GET", "/courses", k.token(k.keyA, issuerB, "id", nil), denied401("Unauthorized")},
		"expired":                        {"GET", "/courses", k.id(map[string]any{"exp": noon.Add(-time.Second).Unix()}), denied401("The incoming token has expired")},
		"expires now":                    {"GET", "/courses", k.id(map[string]any{"exp": noon.Unix()}), denied401("The incoming token has expired")},
		"expires soon":                   {"GET", "/courses", k.id(map[string]any{"exp": noon.Add(time.Second).Unix()}), ok},
		"without exp":                    {"GET", "/courses", k.id(map[string]any{"exp": nil}), denied401("Unauthorized")},
		"without use":                    {"GET", "/courses", k.id(map[string]any{"token_use": nil}), denied401("Unauthorized")},
		"without issuer":                 {"GET", "/courses", k.id(map[string]any{"iss": nil}), denied401("Unauthorized")},
		"altered claims":                 {"GET", "/courses", alter(id), denied401("Unauthorized")},
		"altered signature":              {"GET", "/courses", flip(id), denied401("Unauthorized")},
		"expired and altered":            {"GET", "/courses", flip(k.id(map[string]any{"exp": noon.Add(-time.Hour).Unix()})), denied401("Unauthorized")},
		"algorithm none":                 {"GET", "/courses", forged(id, "none", nil), denied401("Unauthorized")},
		"algorithm NoNe":                 {"GET", "/courses", forged(id, "NoNe", nil), denied401("Unauthorized")},
		"HS256 with the public key":      {"GET", "/courses", forged(id, "HS256", token.JWKS(k.keyA.Key())), denied401("Unauthorized")},
		"access token with the scope":    {"POST", "/courses", k.access("courses/read courses/write"), ok},
		"access token without the scope": {"POST", "/courses", k.access("courses/read"), denied401("Unauthorized")},
		"scope by prefix":                {"POST", "/courses", k.access("courses/write2 xcourses/write courses"), denied401("Unauthorized")},
		"no scope at all":                {"POST", "/courses", k.access(""), denied401("Unauthorized")},
		"id token where a scope is wanted": {"POST", "/courses", k.id(map[string]any{"scope": "courses/write"}),
			denied401("Unauthorized")},
		"content":             {"GET", "/content/a/b", id, ok},
		"content, no token":   {"GET", "/content/a/b", "", denied401("Unauthorized")},
		"content, dots":       {"GET", "/content/%2e%2e/x", id, want{400, `{"message":"Bad Request"}`, "BadRequestException"}},
		"content, no path":    {"GET", "/content/", id, want{403, noToken, "MissingAuthenticationTokenException"}},
		"open":                {"GET", "/open", "", ok},
		"open by any method":  {"PATCH", "/open", "garbage", ok},
		"iam, unsigned":       {"GET", "/progress", "", want{403, noToken, "MissingAuthenticationTokenException"}},
		"iam, empty header":   {"GET", "/progress", " ", want{403, "", "IncompleteSignatureException"}},
		"iam, a bearer token": {"GET", "/progress", "Bearer x", want{403, `{"message":"Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '` + sha("Bearer x") + `'."}`, "IncompleteSignatureException"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(c.method, c.path)
			if c.auth != "" {
				r.Header.Set("Authorization", c.auth)
			}
			check(t, k.serve(r), c.want)
		})
	}

	t.Run("unknown stage", func(t *testing.T) {
		w := httptest.NewRecorder()
		answerOn(k.Gateway, w, request("GET", "/open"), apiID, "prod", "/open")
		check(t, w, want{403, forbidden, "ForbiddenException"})
	})
	t.Run("unknown API", func(t *testing.T) {
		w := httptest.NewRecorder()
		answerOn(k.Gateway, w, request("GET", "/open"), "zzz", "api", "/open")
		check(t, w, want{403, forbidden, "ForbiddenException"})
	})
	t.Run("two tokens", func(t *testing.T) {
		check(t, k.serve(request("GET", "/courses", "Authorization", id, "Authorization", id)), denied401("Unauthorized"))
	})
}

func TestTruthTable_IAM(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	k.auth.creds["ASIAOLD"] = k.auth.creds["ASIAMEMBER"]
	k.auth.old["ASIAOLD"] = true
	const sig = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	refused := func(role, verb, path, more string) want {
		return want{403, `{"Message":"User: arn:aws:sts::000000000000:assumed-role/` + role + ` is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:us-east-1:********0000:abcdefghij/api/` + verb + path + more + `"}`, "AccessDeniedException"}
	}
	get := func(path string) *http.Request { return request("GET", path) }
	later := func(r *http.Request, f func(*http.Request)) *http.Request { f(r); return r }
	for name, c := range map[string]struct {
		r    *http.Request
		want want
	}{
		"signed in":             {signed(get("/progress"), "ASIAMEMBER", "member-session", region, noon), ok},
		"with a query":          {signed(get("/progress?b=2&a=1%202"), "ASIAMEMBER", "member-session", region, noon), ok},
		"four minutes old":      {signed(get("/progress"), "ASIAMEMBER", "member-session", region, noon.Add(-4*time.Minute)), ok},
		"guest":                 {signed(get("/progress"), "ASIAGUEST", "guest-session", region, noon), refused("Guest/CognitoIdentityCredentials", "GET", "/progress", "")},
		"method not allowed":    {signed(request("POST", "/progress"), "ASIAMEMBER", "member-session", region, noon), refused("Member/CognitoIdentityCredentials", "POST", "/progress", "")},
		"explicit deny":         {signed(get("/progress"), "ASIABARRED", "barred-session", region, noon), refused("Barred/s", "GET", "/progress", " with an explicit deny")},
		"foreign session token": {signed(get("/progress"), "ASIAMEMBER", "guest-session", region, noon), want{403, badKey, "UnrecognizedClientException"}},
		"no session token":      {signed(get("/progress"), "ASIAMEMBER", "", region, noon), want{403, badKey, "UnrecognizedClientException"}},
		"unknown key":           {signed(get("/progress"), "AKIANOBODY", "", region, noon), want{403, badKey, "UnrecognizedClientException"}},
		"expired session":       {signed(get("/progress"), "ASIAOLD", "", region, noon), want{403, `{"message":"The security token included in the request is expired"}`, "ExpiredTokenException"}},
		"other region":          {signed(get("/progress"), "ASIAMEMBER", "member-session", "eu-west-1", noon), want{403, `{"message":"Credential should be scoped to a valid region. "}`, "InvalidSignatureException"}},
		"twenty minutes old":    {signed(get("/progress"), "ASIAMEMBER", "member-session", region, noon.Add(-20*time.Minute)), want{403, `{"message":"Signature expired: 20261120T114000Z is now earlier than 20261120T115500Z (20261120T120000Z - 5 min.)"}`, "InvalidSignatureException"}},
		"twenty minutes early":  {signed(get("/progress"), "ASIAMEMBER", "member-session", region, noon.Add(20*time.Minute)), want{403, "", "InvalidSignatureException"}},
		"wrong secret": {later(signed(get("/progress"), "ASIAGUEST", "member-session", region, noon), func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "ASIAGUEST", "ASIAMEMBER", 1))
		}), want{403, `{"message":"` + sig + `"}`, "InvalidSignatureException"}},
		"altered query": {later(signed(get("/progress?a=1"), "ASIAMEMBER", "member-session", region, noon), func(r *http.Request) { r.URL.RawQuery = "a=2" }),
			want{403, `{"message":"` + sig + `"}`, "InvalidSignatureException"}},
		"altered path": {later(signed(get("/courses"), "ASIAMEMBER", "member-session", region, noon), func(r *http.Request) { r.URL.Path = "/api/progress" }),
			want{403, `{"message":"` + sig + `"}`, "InvalidSignatureException"}},
		"altered host": {later(signed(get("/progress"), "ASIAMEMBER", "member-session", region, noon), func(r *http.Request) { r.Host = "evil.example" }),
			want{403, `{"message":"` + sig + `"}`, "InvalidSignatureException"}},
	} {
		t.Run(name, func(t *testing.T) { check(t, k.serve(c.r), c.want) })
	}
	t.Run("authority fails", func(t *testing.T) {
		k := newKit(t)
		k.publish(courses("http://localhost:1"))
		k.auth.err = http.ErrServerClosed
		check(t, k.serve(signed(get("/progress"), "ASIAMEMBER", "member-session", region, noon)), want{500, `{"message": "Internal server error"}`, "InternalServerErrorException"})
	})
	t.Run("body", func(t *testing.T) {
		d := courses("http://localhost:1")
		k := newKit(t)
		k.auth.docs["ASIAMEMBER"] = append(k.auth.docs["ASIAMEMBER"], document(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"*"}}`))
		k.publish(d)
		r := signed(request("POST", "/progress"), "ASIAMEMBER", "member-session", region, noon)
		check(t, k.serve(r), ok)
		body := signed(request("POST", "/progress"), "ASIAMEMBER", "member-session", region, noon)
		body.Body, body.ContentLength = http.NoBody, 0
		withBody := httptest.NewRequest("POST", "/x", strings.NewReader("smuggled"))
		body.Body, body.ContentLength = withBody.Body, 8
		check(t, k.serve(body), want{403, `{"message":"` + sig + `"}`, "InvalidSignatureException"})
	})
}

func TestTruthTable_presigned(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	uri, last := upstream(t, nil)
	d := courses(uri)
	d.Routes = append(d.Routes, Route{Path: "/reports", Method: "GET", AuthorizationType: "AWS_IAM", Integration: Integration{Type: "HTTP_PROXY", URI: uri + "/r"}},
		Route{Path: "/signed", Method: "GET", AuthorizationType: "AWS_IAM", Integration: proxy("echo")})
	k.publish(d)
	sign := func(expires time.Duration) *http.Request {
		r := request("GET", "/reports?page=1")
		s := sigv4.Request{Method: "GET", Path: "/api/reports", RawQuery: "page=1", Host: r.Host, Header: r.Header}
		r.URL.RawQuery = sigv4.Presign(&s, sigv4.Credentials{AccessKeyID: "ASIAMEMBER", SecretAccessKey: "member-secret", SessionToken: "member-session"}, region, "execute-api", noon, expires)
		return r
	}
	if w := k.serve(sign(time.Hour)); w.Code != 200 || last.RequestURI != "/r?page=1" {
		t.Errorf("got %d %s, the upstream got %s", w.Code, w.Body, last.RequestURI)
	}
	r := sign(time.Hour)
	r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "page=1", "page=2", 1)
	check(t, k.serve(r), want{403, "", "InvalidSignatureException"})
	r = sign(time.Hour)
	r.Header.Set("Authorization", signed(request("GET", "/reports"), "ASIAMEMBER", "member-session", region, noon).Header.Get("Authorization"))
	check(t, k.serve(r), want{403, "", "IncompleteSignatureException"})
	for name, alter := range map[string]func(string) string{
		"longer":       func(q string) string { return strings.Replace(q, "X-Amz-Expires=3600", "X-Amz-Expires=7200", 1) },
		"for ever":     func(q string) string { return strings.Replace(q, "X-Amz-Expires=3600", "X-Amz-Expires=604801", 1) },
		"without host": func(q string) string { return strings.Replace(q, "SignedHeaders=host", "SignedHeaders=x-api-key", 1) },
		"other token":  func(q string) string { return strings.Replace(q, "Token=member", "Token=guest", 1) },
		"no signature": func(q string) string { return q[:strings.Index(q, "&X-Amz-Signature")] },
		"twice":        func(q string) string { return q + q[strings.Index(q, "&X-Amz-Signature"):] },
	} {
		r := sign(time.Hour)
		if r.URL.RawQuery = alter(r.URL.RawQuery); k.serve(r).Code != 403 {
			t.Errorf("%s: accepted", name)
		}
	}
	// A function is told what was asked, and none of what proved it.
	function := request("GET", "/signed?page=1")
	s := sigv4.Request{Method: "GET", Path: "/api/signed", RawQuery: "page=1", Host: function.Host, Header: function.Header}
	function.URL.RawQuery = sigv4.Presign(&s, sigv4.Credentials{AccessKeyID: "ASIAMEMBER", SecretAccessKey: "member-secret", SessionToken: "member-session"}, region, "execute-api", noon, time.Hour)
	if w := k.serve(function); w.Code != 200 || !strings.Contains(w.Body.String(), `"queryStringParameters":{"page":"1"}`) || strings.Contains(w.Body.String(), "member-session") || strings.Contains(w.Body.String(), "X-Amz-Signature") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	k.clock.add(2 * time.Hour)
	check(t, k.serve(sign(time.Hour)), want{403, "", "InvalidSignatureException"})
	check(t, k.serve(sign(3*time.Hour)), want{200, "", ""})
}

func TestTruthTable_APIKey(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	set := PlanSet{
		Plans: map[string]Plan{
			"plan":  {Stages: map[string]PlanStage{apiID + "/api": {}}, Throttle: &Throttle{Rate: 1, Burst: 3}},
			"quota": {Stages: map[string]PlanStage{apiID + "/api": {}}, Quota: &Quota{Limit: 2, Period: "DAY"}},
			"other": {Stages: map[string]PlanStage{apiID + "/prod": {}}},
			"slow":  {Stages: map[string]PlanStage{apiID + "/api": {Throttles: map[string]Throttle{"/catalog/GET": {Rate: 1, Burst: 1}}}}, Throttle: &Throttle{Rate: 100, Burst: 100}},
		},
		Keys: map[KeyHash]Key{
			k.HashKey("good"):  {ID: "k1", Enabled: true, Plans: []string{"plan"}},
			k.HashKey("quota"): {ID: "k2", Enabled: true, Plans: []string{"quota"}},
			k.HashKey("off"):   {ID: "k3", Enabled: false, Plans: []string{"plan"}},
			k.HashKey("other"): {ID: "k4", Enabled: true, Plans: []string{"other"}},
			k.HashKey("none"):  {ID: "k5", Enabled: true},
			k.HashKey("slow"):  {ID: "k6", Enabled: true, Plans: []string{"slow"}},
		},
	}
	k.PublishPlans(set)
	call := func(key string) *httptest.ResponseRecorder {
		if key == "" {
			return k.serve(request("GET", "/catalog"))
		}
		return k.serve(request("GET", "/catalog", "x-api-key", key))
	}
	no := want{403, forbidden, "ForbiddenException"}
	for _, key := range []string{"", "wrong", "goo", "good ", "Good", "off", "other", "none"} {
		t.Run("key "+key, func(t *testing.T) { check(t, call(key), no) })
	}
	t.Run("two keys", func(t *testing.T) {
		check(t, k.serve(request("GET", "/catalog", "x-api-key", "good", "x-api-key", "good")), no)
	})
	t.Run("rate", func(t *testing.T) {
		for range 3 {
			check(t, call("good"), ok)
		}
		if r := k.last(); r.Who != "k1" || r.KeyID != "k1" || r.Grounds != "API key k1 of usage plan plan" {
			t.Errorf("record: %+v", r)
		}
		check(t, call("good"), want{429, `{"message":"Too Many Requests"}`, "TooManyRequestsException"})
		k.PublishPlans(set) // refills nothing
		check(t, call("good"), want{429, `{"message":"Too Many Requests"}`, "TooManyRequestsException"})
		k.clock.add(time.Second)
		check(t, call("good"), ok)
		check(t, call("good"), want{429, `{"message":"Too Many Requests"}`, "TooManyRequestsException"})
	})
	t.Run("method rate", func(t *testing.T) {
		check(t, call("slow"), ok)
		check(t, call("slow"), want{429, `{"message":"Too Many Requests"}`, "TooManyRequestsException"})
	})
	t.Run("quota", func(t *testing.T) {
		check(t, call("quota"), ok)
		check(t, call("quota"), ok)
		spent := want{429, `{"message":"Limit Exceeded"}`, "LimitExceededException"}
		check(t, call("quota"), spent)
		calls := k.counter.calls
		check(t, call("quota"), spent)
		if k.counter.calls != calls {
			t.Error("a spent quota asks the leaser again for each request")
		}
		k.clock.add(24 * time.Hour)
		check(t, call("quota"), ok)
	})
	t.Run("leaser fails", func(t *testing.T) {
		k.clock.add(24 * time.Hour)
		k.counter.err = http.ErrServerClosed
		check(t, call("quota"), want{500, `{"message": "Internal server error"}`, "InternalServerErrorException"})
	})
}

func sha(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// flip changes one character inside of the signature.
func flip(raw string) string {
	i := len(raw) - 20
	c := byte('A')
	if raw[i] == 'A' {
		c = 'B'
	}
	return raw[:i] + string(c) + raw[i+1:]
}

// alter promotes the user and keeps the signature.
func alter(raw string) string {
	parts := strings.Split(raw, ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		panic(err)
	}
	return parts[0] + "." + b64(strings.Replace(string(claims), "ann", "bob", 1)) + "." + parts[2]
}

func forged(raw, alg string, secret []byte) string {
	head := b64(`{"kid":"a","alg":"` + alg + `"}`)
	body := strings.Split(raw, ".")[1]
	if secret == nil {
		return head + "." + body + "." + "AA"
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(head + "." + body))
	return head + "." + body + "." + b64(string(mac.Sum(nil)))
}
