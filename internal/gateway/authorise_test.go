package gateway

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const deniedHead = `{"Message":"User: `

func TestResourcePolicy(t *testing.T) {
	t.Parallel()
	const arn = `arn:aws:execute-api:us-east-1:********0000:abcdefghij/api/`
	allowNet := `{"Version":"2012-10-17","Statement":[{"Sid":"Net","Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*","Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}}]}`
	denyNet := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"},{"Sid":"Bad","Effect":"Deny","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*","Condition":{"IpAddress":{"aws:SourceIp":"198.51.100.0/24"}}}]}`
	denyRegion := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"},{"Effect":"Deny","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*","Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1","aws:ResourceAccount":"000000000000"},"Bool":{"aws:ViaAWSService":"false"}}}]}`
	guestOnly := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:role/Guest"},"Action":"execute-api:Invoke","Resource":"execute-api:/api/GET/progress"}]}`
	for name, c := range map[string]struct {
		policy, path, auth, from string
		want                     want
	}{
		"open, in the net":           {allowNet, "/open", "", "203.0.113.7:1", ok},
		"open, outside":              {allowNet, "/open", "", "198.51.100.7:1", want{403, deniedHead + `anonymous is not authorized to perform: execute-api:Invoke on resource: ` + arn + `GET/open"}`, "AccessDeniedException"}},
		"open, denied net":           {denyNet, "/open", "", "198.51.100.7:1", want{403, deniedHead + `anonymous is not authorized to perform: execute-api:Invoke on resource: ` + arn + `GET/open with an explicit deny"}`, "AccessDeniedException"}},
		"open, denied region":        {denyRegion, "/open", "", "203.0.113.7:1", want{403, "", "AccessDeniedException"}},
		"member, denied region":      {denyRegion, "/progress", "ASIAMEMBER", "203.0.113.7:1", want{403, "", "AccessDeniedException"}},
		"forwarded-for is no source": {allowNet, "/open", "xff", "198.51.100.7:1", want{403, "", "AccessDeniedException"}},
		"token, in the net":          {allowNet, "/courses", "token", "203.0.113.7:1", ok},
		"token, outside":             {allowNet, "/courses", "token", "198.51.100.7:1", want{403, "", "AccessDeniedException"}},
		"no token, outside":          {allowNet, "/courses", "", "198.51.100.7:1", denied401("Unauthorized")},
		"member by his own policy":   {guestOnly, "/progress", "ASIAMEMBER", "203.0.113.7:1", ok},
		"guest by the API's policy":  {guestOnly, "/progress", "ASIAGUEST", "203.0.113.7:1", ok},
		"guest elsewhere":            {guestOnly, "/other", "ASIAGUEST", "203.0.113.7:1", want{403, "", "AccessDeniedException"}},
		"barred by his own policy":   {guestOnly, "/progress", "ASIABARRED", "203.0.113.7:1", want{403, "", "AccessDeniedException"}},
		"member, denied net":         {denyNet, "/progress", "ASIAMEMBER", "198.51.100.7:1", want{403, "", "AccessDeniedException"}},
		"open, policy names a role":  {guestOnly, "/open", "", "203.0.113.7:1", want{403, "", "AccessDeniedException"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			d := courses("http://localhost:1")
			d.Policy = []byte(c.policy)
			d.Routes = append(d.Routes, Route{Path: "/other", Method: "GET", AuthorizationType: "AWS_IAM", Integration: proxy("x")})
			k.publish(d)
			r := request("GET", c.path)
			r.RemoteAddr = c.from
			switch {
			case c.auth == "token":
				r.Header.Set("Authorization", k.id(nil))
			case c.auth == "xff":
				r.Header.Set("X-Forwarded-For", "203.0.113.7")
			case c.auth != "":
				signed(r, c.auth, k.auth.tokens[c.auth], region, noon)
			}
			check(t, k.serve(r), c.want)
		})
	}
}

// TestMethodARN checks that another spelling of a path names the same resource.
func TestMethodARN(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://localhost:1")
	d.Policy = []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"},{"Effect":"Deny","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/api/*/open"}]}`)
	k.publish(d)
	for _, path := range []string{"/open", "/open/", "//open", "/%6fpen", "/%6Fp%65n"} {
		check(t, k.serve(request("GET", path)), want{403, "", "AccessDeniedException"})
	}
}

func TestToken_remembered(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	id := k.id(nil)
	call := func(raw string) *httptest.ResponseRecorder {
		return k.serve(request("GET", "/courses", "Authorization", raw))
	}
	check(t, call(id), ok)
	check(t, call(id), ok)
	// Every prefix, and each change of one character, is another token.
	for i := range len(id) {
		check(t, call(id[:i]), denied401("Unauthorized"))
	}
	for _, i := range []int{0, 5, len(id) / 2, len(id) - 2} {
		other := "A"
		if id[i] == 'A' {
			other = "B"
		}
		check(t, call(id[:i]+other+id[i+1:]), denied401("Unauthorized"))
	}
	check(t, call(id+"A"), denied401("Unauthorized"))
	check(t, call(id), ok)

	k.issuers.mu.Lock()
	keys := k.issuers.set[issuerA]
	k.issuers.set[issuerA] = nil
	k.issuers.mu.Unlock()
	check(t, call(id), denied401("Unauthorized")) // its key was withdrawn
	k.issuers.mu.Lock()
	delete(k.issuers.set, issuerA)
	k.issuers.mu.Unlock()
	check(t, call(id), denied401("Unauthorized")) // the pool is gone
	k.issuers.mu.Lock()
	k.issuers.set[issuerA] = keys
	k.issuers.mu.Unlock()
	check(t, call(id), ok)
	k.clock.add(time.Hour)
	check(t, call(id), denied401("The incoming token has expired"))
}

// TestToken_otherAuthorizer checks that a token remembered for one API is not taken by
// another whose authorizer does not know the pool.
func TestToken_otherAuthorizer(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	d := courses("http://localhost:1")
	d.Stage = "other"
	d.Authorizers = map[string]Authorizer{"auth01": {ID: "auth01", Type: "COGNITO_USER_POOLS", ProviderARNs: []string{"arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_Unknown"}}}
	k.publish(d)
	id := k.id(nil)
	check(t, k.serve(request("GET", "/courses", "Authorization", id)), ok)
	w := httptest.NewRecorder()
	answerOn(k.Gateway, w, request("GET", "/courses", "Authorization", id), apiID, "other", "/courses")
	check(t, w, denied401("Unauthorized"))
}

func TestToken_validation(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://localhost:1")
	d.Authorizers["auth01"] = Authorizer{ID: "auth01", Type: "COGNITO_USER_POOLS", ProviderARNs: []string{poolARN}, Validation: "client-[12]", IdentitySource: "method.request.header.X-Token"}
	k.publish(d)
	for aud, want := range map[any]want{"client-1": ok, "client-3": denied401("Unauthorized"), "client-11": denied401("Unauthorized"), nil: denied401("Unauthorized")} {
		check(t, k.serve(request("GET", "/courses", "X-Token", k.id(map[string]any{"aud": aud}))), want)
	}
	check(t, k.serve(request("GET", "/courses", "Authorization", k.id(nil))), denied401("Unauthorized"))
}

// withAuthorizer gives the API a function authorizer on /private and /private/{x}.
func withAuthorizer(a Authorizer) Definition {
	d := courses("http://localhost:1")
	a.ID, a.Name, a.URI = "fn1", "Fn", lambda("authorizer")
	d.Authorizers["fn1"] = a
	for _, path := range []string{"/private", "/private/{x}"} {
		d.Routes = append(d.Routes, Route{Path: path, Method: "GET", AuthorizationType: "CUSTOM", AuthorizerID: "fn1", Integration: proxy("app")})
	}
	d.Routes = append(d.Routes, Route{Path: "/keyed", Method: "GET", AuthorizationType: "CUSTOM", AuthorizerID: "fn1", APIKeyRequired: true, Integration: proxy("app")})
	return d
}

func policyAnswer(principal, effect, resource, more string) string {
	return `{"principalId":"` + principal + `","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"` + effect + `","Resource":"` + resource + `"}]}` + more + `}`
}

// byFunction answers authorizer calls with f and others with the event.
func (k *kit) byFunction(f func(event map[string]any) string) *int {
	calls := new(int)
	var mu sync.Mutex
	k.invoker.f = func(inv Invocation) (Result, error) {
		if !strings.HasSuffix(inv.FunctionARN, ":authorizer") {
			return echo(inv)
		}
		mu.Lock()
		defer mu.Unlock()
		*calls++
		var event map[string]any
		if err := json.Unmarshal(inv.Payload, &event); err != nil {
			return Result{}, err
		}
		if out := f(event); strings.HasPrefix(out, "!") {
			return Result{FunctionError: "Unhandled", Payload: []byte(out[1:])}, nil
		} else {
			return Result{Payload: []byte(out)}, nil
		}
	}
	return calls
}

func TestFunctionAuthorizer_TOKEN(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(withAuthorizer(Authorizer{Type: "TOKEN", Validation: "tok-.*", TTL: time.Minute}))
	base := "arn:aws:execute-api:us-east-1:000000000000:abcdefghij/api/GET/"
	calls := k.byFunction(func(event map[string]any) string {
		if event["type"] != "TOKEN" {
			return "not an object"
		}
		switch event["authorizationToken"] {
		case "tok-one":
			return policyAnswer("ann", "Allow", base+"private", `,"context":{"n":7,"b":true,"s":"x"}`)
		case "tok-all":
			return policyAnswer("bob", "Allow", base+"*", "")
		case "tok-deny":
			return policyAnswer("eve", "Deny", "*", "")
		case "tok-401":
			return `!{"errorMessage":"Unauthorized"}`
		case "tok-crash":
			return `!{"errorMessage":"TypeError"}`
		case "tok-nopolicy":
			return `{"principalId":"x"}`
		case "tok-context":
			return policyAnswer("x", "Allow", "*", `,"context":{"list":[1]}`)
		}
		return "null"
	})
	nobody := want{500, `{"message":null}`, "AuthorizerConfigurationException"}
	implicit := want{403, `{"Message":"User is not authorized to access this resource"}`, "AccessDeniedException"}
	for _, c := range []struct {
		path, token string
		want        want
		calls       int
	}{
		{"/private", "", denied401("Unauthorized"), 0},
		{"/private", "other", denied401("Unauthorized"), 0},
		{"/private", "tok-one", ok, 1},
		{"/private", "tok-one", ok, 1},              // remembered
		{"/private/secret", "tok-one", implicit, 1}, // the policy is, not the verdict
		{"/private/a", "tok-all", ok, 2},
		{"/private", "tok-all", ok, 2},
		{"/private", "tok-deny", want{403, `{"Message":"User is not authorized to access this resource with an explicit deny"}`, "AccessDeniedException"}, 3},
		{"/private", "tok-401", denied401("Unauthorized"), 4},
		{"/private", "tok-crash", want{500, `{"message":null}`, "AuthorizerFailureException"}, 5},
		{"/private", "tok-crash", want{500, `{"message":null}`, "AuthorizerFailureException"}, 6}, // failures are not remembered
		{"/private", "tok-nopolicy", nobody, 7},
		{"/private", "tok-context", nobody, 8},
		{"/private", "tok-null", nobody, 9},
	} {
		r := request("GET", c.path)
		if c.token != "" {
			r.Header.Set("Authorization", c.token)
		}
		check(t, k.serve(r), c.want)
		if *calls != c.calls {
			t.Errorf("%s %s: %d calls of the authorizer, want %d", c.path, c.token, *calls, c.calls)
		}
	}
	var got struct {
		RequestContext struct{ Authorizer map[string]any }
	}
	if err := json.Unmarshal(k.serve(request("GET", "/private", "Authorization", "tok-one")).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if a := got.RequestContext.Authorizer; a["principalId"] != "ann" || a["n"] != "7" || a["b"] != "true" || a["s"] != "x" || a["integrationLatency"] != 0.0 {
		t.Errorf("authorizer: %v", a)
	}
	k.clock.add(time.Minute)
	before := *calls
	check(t, k.serve(request("GET", "/private", "Authorization", "tok-one")), ok)
	if *calls != before+1 {
		t.Error("the grant outlived its time")
	}
}

func TestFunctionAuthorizer_REQUEST(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(withAuthorizer(Authorizer{Type: "REQUEST", IdentitySource: "method.request.header.A, method.request.querystring.b", TTL: time.Minute}))
	calls := k.byFunction(func(event map[string]any) string {
		q, _ := event["queryStringParameters"].(map[string]any)
		h, _ := event["headers"].(map[string]any)
		if event["type"] != "REQUEST" || event["methodArn"] == nil || event["requestContext"] == nil || event["body"] != nil {
			return "null"
		}
		if h["A"] == "1" && q["b"] == "23" {
			return policyAnswer("ann", "Allow", "*", "")
		}
		return policyAnswer("eve", "Deny", "*", "")
	})
	check(t, k.serve(request("GET", "/private", "A", "1")), denied401("Unauthorized"))
	check(t, k.serve(request("GET", "/private?b=23")), denied401("Unauthorized"))
	check(t, k.serve(request("GET", "/private?b=", "A", "1")), denied401("Unauthorized"))
	if *calls != 0 {
		t.Error("the function was called without its identity sources")
	}
	check(t, k.serve(request("GET", "/private?b=23", "A", "1")), ok)
	// The values side by side read the same, and are another identity.
	check(t, k.serve(request("GET", "/private?b=3", "A", "12")), want{403, "", "AccessDeniedException"})
	check(t, k.serve(request("GET", "/private?b=23", "A", "1")), ok)
	if *calls != 2 {
		t.Errorf("%d calls", *calls)
	}
}

func TestFunctionAuthorizer_key(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := withAuthorizer(Authorizer{Type: "TOKEN"})
	d.APIKeySource = "AUTHORIZER"
	k.publish(d)
	k.PublishPlans(PlanSet{Plans: map[string]Plan{"p": {Stages: map[string]PlanStage{apiID + "/api": {}}}}, Keys: map[KeyHash]Key{k.HashKey("good"): {ID: "k1", Enabled: true, Plans: []string{"p"}}}})
	k.byFunction(func(event map[string]any) string {
		return policyAnswer("ann", "Allow", "*", `,"usageIdentifierKey":"`+event["authorizationToken"].(string)+`"`)
	})
	no := want{403, forbidden, "ForbiddenException"}
	check(t, k.serve(request("GET", "/keyed", "Authorization", "good")), ok)
	check(t, k.serve(request("GET", "/keyed", "Authorization", "bad", "x-api-key", "good")), no)
	check(t, k.serve(request("GET", "/catalog", "x-api-key", "good")), no)
}
