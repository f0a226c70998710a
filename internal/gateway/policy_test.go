package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"moat/internal/pure/policy"
	"moat/internal/wire"
)

// word is what one policy says of a request.
type word string

const (
	allows  word = "allow"
	silent_ word = "neither"
	denies  word = "deny"
	absent  word = "absent" // there is no such policy
)

// says is a policy document that says this; principal is set for a resource policy.
func (w word) says(principal string) string {
	who := ""
	if principal != "" {
		who = `"Principal":` + principal + `,`
	}
	statement := func(effect, action string) string {
		return `{"Effect":"` + effect + `",` + who + `"Action":"` + action + `","Resource":"*"}`
	}
	switch w {
	case allows:
		return `{"Version":"2012-10-17","Statement":[` + statement("Allow", "execute-api:Invoke") + `]}`
	case denies:
		return `{"Version":"2012-10-17","Statement":[` + statement("Allow", "execute-api:Invoke") + `,` + statement("Deny", "execute-api:*") + `]}`
	case silent_:
		return `{"Version":"2012-10-17","Statement":[` + statement("Allow", "execute-api:ManageConnections") + `]}`
	}
	return ""
}

// TestResourcePolicy_tables walks AWS's tables of how a resource policy and each kind of
// authorisation decide together (API Gateway Developer Guide, "How API Gateway resource
// policies affect authorization workflow"): outcome is "allow", "implicit" or "explicit".
func TestResourcePolicy_tables(t *testing.T) {
	t.Parallel()
	type row struct {
		identity, resource word
		outcome            string
	}
	same := []row{ // table A: one account
		{allows, allows, "allow"}, {allows, silent_, "allow"}, {allows, denies, "explicit"}, {allows, absent, "allow"},
		{silent_, allows, "allow"}, {silent_, silent_, "implicit"}, {silent_, denies, "explicit"}, {silent_, absent, "implicit"},
		{denies, allows, "explicit"}, {denies, silent_, "explicit"}, {denies, denies, "explicit"}, {denies, absent, "explicit"},
	}
	across := []row{ // table B: another account's caller
		{allows, allows, "allow"}, {allows, silent_, "implicit"}, {allows, denies, "explicit"}, {allows, absent, "implicit"},
		{silent_, allows, "implicit"}, {silent_, silent_, "implicit"}, {silent_, denies, "explicit"},
		{denies, allows, "explicit"}, {denies, silent_, "explicit"}, {denies, denies, "explicit"},
	}
	token := []row{ // a user pool's token has no policy: the resource policy has to allow
		{allows, allows, "allow"}, {allows, silent_, "implicit"}, {allows, denies, "explicit"}, {allows, absent, "allow"},
	}
	none := []row{
		{absent, allows, "allow"}, {absent, silent_, "implicit"}, {absent, denies, "explicit"}, {absent, absent, "allow"},
	}
	for name, rows := range map[string][]row{"AWS_IAM": same, "AWS_IAM across accounts": across, "COGNITO_USER_POOLS": token, "CUSTOM": same, "NONE": none} {
		for _, r := range rows {
			t.Run(fmt.Sprintf("%s/%s/%s", name, r.identity, r.resource), func(t *testing.T) {
				t.Parallel()
				outcome, _ := decideTogether(t, name, r.identity, r.resource)
				if outcome != r.outcome {
					t.Errorf("got %s, want %s", outcome, r.outcome)
				}
			})
		}
	}
}

// decideTogether asks a route of a kind, and says how it ended and how often its authorizer was asked.
func decideTogether(t *testing.T, kind string, identity, resource word) (outcome string, asked int) {
	k := newKit(t)
	owner := account
	if kind == "AWS_IAM across accounts" {
		owner = "111111111111"
		c := k.auth.creds["ASIAMEMBER"]
		c.Caller = wire.Caller{Principal: policy.Principal{Kind: policy.PrincipalUser, Account: owner, ARN: "arn:aws:iam::" + owner + ":user/x", ID: "AIDAX"}}
		c.Caller.AccessKeyID = "ASIAMEMBER"
		k.auth.creds["ASIAMEMBER"] = c
	}
	k.auth.docs["ASIAMEMBER"] = []*policy.Document{document(t, identity.orNothing())}
	k.invoker.f = func(inv Invocation) (Result, error) {
		if strings.HasSuffix(inv.FunctionARN, ":authorizer") {
			asked++
			return Result{Payload: []byte(`{"principalId":"p","policyDocument":` + identity.orNothing() + `}`)}, nil
		}
		return Result{Payload: []byte(`{"statusCode":200}`)}, nil
	}
	d := caching("http://localhost:1", nil)
	principal := `"*"`
	if strings.HasPrefix(kind, "AWS_IAM") {
		principal = `{"AWS":"` + k.auth.creds["ASIAMEMBER"].Caller.ARN + `"}`
	}
	d.Policy = json.RawMessage(resource.says(principal))
	k.publish(d)
	var r *http.Request
	switch kind {
	case "AWS_IAM", "AWS_IAM across accounts":
		r = signed(request("GET", "/me"), "ASIAMEMBER", "member-session", region, noon)
	case "COGNITO_USER_POOLS":
		r = request("GET", "/courses", "Authorization", k.id(nil))
	case "CUSTOM":
		r = request("GET", "/custom", "Authorization", "x")
	default:
		r = request("GET", "/page")
	}
	w := k.serve(r)
	switch body := w.Body.String(); {
	case w.Code == 200:
		return "allow", asked
	case w.Code != 403 || w.Header()["x-amzn-ErrorType"][0] != "AccessDeniedException":
		return fmt.Sprintf("%d %s", w.Code, body), asked
	case strings.Contains(body, "explicit deny"):
		return "explicit", asked
	}
	return "implicit", asked
}

func (w word) orNothing() string {
	if w == absent {
		return silent_.says("")
	}
	return w.says("")
}

// TestResourcePolicy_order: what the resource policy denies outright never reaches an
// authorizer; a request without a token is told so before the policy is looked at.
func TestResourcePolicy_order(t *testing.T) {
	t.Parallel()
	for resource, want := range map[word]int{denies: 0, allows: 1, silent_: 1, absent: 1} {
		if _, asked := decideTogether(t, "CUSTOM", allows, resource); asked != want {
			t.Errorf("%s: the authorizer was asked %d times", resource, asked)
		}
	}
	k := newKit(t)
	d := caching("http://localhost:1", nil)
	d.Policy = json.RawMessage(denies.says(`"*"`))
	k.publish(d)
	for path, status := range map[string]int{"/courses": 401, "/me": 403, "/page": 403, "/custom": 403} {
		if w := k.serve(request("GET", path)); w.Code != status {
			t.Errorf("%s: status %d, want %d", path, w.Code, status)
		}
	}
}

// TestResourcePolicy_conditions: what of a request a policy can go by, and what it cannot.
func TestResourcePolicy_conditions(t *testing.T) {
	t.Parallel()
	allow := func(principal, resource, condition string) string {
		if condition != "" {
			condition = `,"Condition":` + condition
		}
		return `{"Effect":"Allow","Principal":` + principal + `,"Action":"execute-api:Invoke","Resource":"` + resource + `"` + condition + `}`
	}
	everybody := `"*"`
	for name, c := range map[string]struct {
		statements string
		path       string
		ip         string
		ok         bool
	}{
		"an address":                  {allow(everybody, "execute-api:/*", `{"IpAddress":{"aws:SourceIp":"203.0.113.7"}}`), "/page", "203.0.113.7", true},
		"a network":                   {allow(everybody, "execute-api:/*", `{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","203.0.113.0/24"]}}`), "/page", "203.0.113.7", true},
		"another network":             {allow(everybody, "execute-api:/*", `{"IpAddress":{"aws:SourceIp":"203.0.112.0/24"}}`), "/page", "203.0.113.7", false},
		"IPv6":                        {allow(everybody, "execute-api:/*", `{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`), "/page", "2001:db8::1", true},
		"IPv4 in IPv6's clothes":      {allow(everybody, "execute-api:/*", `{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`), "/page", "203.0.113.7", false},
		"not from a network":          {allow(everybody, "execute-api:/*", `{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`), "/page", "203.0.113.7", false},
		"not from another network":    {allow(everybody, "execute-api:/*", `{"NotIpAddress":{"aws:SourceIp":"198.51.100.0/24"}}`), "/page", "203.0.113.7", true},
		"denied to a network":         {allow(everybody, "execute-api:/*", "") + `,` + strings.Replace(allow(everybody, "execute-api:/*", `{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`), "Allow", "Deny", 1), "/page", "203.0.113.7", false},
		"denied to another network":   {allow(everybody, "execute-api:/*", "") + `,` + strings.Replace(allow(everybody, "execute-api:/*", `{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`), "Allow", "Deny", 1), "/page", "203.0.114.7", true},
		"a VPC that is not there":     {allow(everybody, "execute-api:/*", `{"StringEquals":{"aws:SourceVpc":"vpc-1"}}`), "/page", "", false},
		"an endpoint of no VPC":       {allow(everybody, "execute-api:/*", `{"StringEquals":{"aws:SourceVpce":"vpce-1"}}`), "/page", "", false},
		"this account's callers only": {allow(`{"AWS":"arn:aws:iam::`+account+`:root"}`, "execute-api:/*", ""), "/page", "", false},
		"TLS only":                    {allow(everybody, "execute-api:/*", `{"Bool":{"aws:SecureTransport":"true"}}`), "/page", "", false},
		"a path":                      {allow(everybody, "execute-api:/api/GET/page", ""), "/page", "", true},
		"another path":                {allow(everybody, "execute-api:/api/GET/pages", ""), "/page", "", false},
		"below a path":                {allow(everybody, "execute-api:/api/GET/page/*", ""), "/page/7", "", true},
		"not the path itself":         {allow(everybody, "execute-api:/api/GET/page/*", ""), "/page", "", false},
		"another method":              {allow(everybody, "execute-api:/api/POST/page", ""), "/page", "", false},
		"another stage":               {allow(everybody, "execute-api:/prod/GET/page", ""), "/page", "", false},
		"a whole ARN":                 {allow(everybody, "arn:aws:execute-api:us-east-1:000000000000:abcdefghij/api/GET/page", ""), "/page", "", true},
		"another API's ARN":           {allow(everybody, "arn:aws:execute-api:us-east-1:000000000000:zzzzzzzzzz/api/GET/page", ""), "/page", "", false},
		"another spelling of a path":  {allow(everybody, "execute-api:/*", "") + `,` + strings.Replace(allow(everybody, "execute-api:/api/GET/page", ""), "Allow", "Deny", 1), "/p%61ge", "", false},
		"with a slash at its end":     {allow(everybody, "execute-api:/*", "") + `,` + strings.Replace(allow(everybody, "execute-api:/api/GET/page", ""), "Allow", "Deny", 1), "/page/", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			k.counting("")
			d := caching("http://localhost:1", nil)
			d.Cache = nil
			d.Policy = json.RawMessage(`{"Version":"2012-10-17","Statement":[` + c.statements + `]}`)
			k.publish(d)
			r := request("GET", c.path, "X-Forwarded-For", "203.0.113.7", "X-Real-Ip", "2001:db8::1")
			if strings.Contains(c.ip, ":") {
				r.RemoteAddr = "[" + c.ip + "]:99"
			} else if c.ip != "" {
				r.RemoteAddr = c.ip + ":99"
			} else {
				r.RemoteAddr = "198.51.100.1:99"
			}
			if w := k.serve(r); (w.Code == 200) != c.ok || !c.ok && w.Code != 403 {
				t.Errorf("status %d: %s (%s)", w.Code, w.Body, k.last().Grounds)
			}
		})
	}
	// With IAM the caller's account and ARN count.
	for principal, ok := range map[string]bool{
		`{"AWS":"arn:aws:iam::000000000000:root"}`:                                           false, // delegates to the caller's own policies, which are silent
		`{"AWS":"arn:aws:iam::000000000000:role/Member"}`:                                    true,
		`{"AWS":"arn:aws:sts::000000000000:assumed-role/Member/CognitoIdentityCredentials"}`: true,
		`{"AWS":"arn:aws:iam::000000000000:role/Guest"}`:                                     false,
		`{"AWS":"arn:aws:iam::111111111111:root"}`:                                           false,
		`"*"`: true,
	} {
		k := newKit(t)
		k.counting("")
		k.auth.docs["ASIAMEMBER"] = nil
		d := caching("http://localhost:1", nil)
		d.Policy = json.RawMessage(`{"Version":"2012-10-17","Statement":[` + allow(principal, "execute-api:/*", "") + `]}`)
		k.publish(d)
		if w := k.serve(signed(request("GET", "/me"), "ASIAMEMBER", "member-session", region, noon)); (w.Code == 200) != ok {
			t.Errorf("%s: status %d, %s", principal, w.Code, k.last().Grounds)
		}
	}
}
