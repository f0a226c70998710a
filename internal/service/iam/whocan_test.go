package iam

import (
	"fmt"
	"strings"
	"testing"

	"moat/internal/pure/policy"
	"moat/internal/wire/iamapi"
)

// line is an answer in one line.
func line(a Answer) string {
	s := strings.TrimPrefix(a.Principal, "arn:aws:iam::000000000000:") + " " + a.Answer
	for _, g := range a.By {
		s += " by " + g.Policy + "/" + g.Statement
		if g.Of != "" {
			s += " of " + g.Of
		}
		if len(g.When) > 0 {
			s += " (" + strings.Join(g.When, " and ") + ")"
		}
	}
	for _, w := range a.When {
		s += " when " + w
	}
	for _, u := range a.Unless {
		s += " unless " + u
	}
	return strings.TrimSpace(s + " " + a.Because)
}

func lines(as []Answer) string {
	var out []string
	for _, a := range as {
		out = append(out, line(a))
	}
	return strings.Join(out, "\n")
}

const secret = "arn:aws:ssm:us-east-1:000000000000:parameter/secret"

// Everybody is asked: by their own policies, their groups', within boundary and guardrail; what
// depends on the circumstances of a call is told as a condition, and what can be known is decided.
func TestWhoCan(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	allow := func(more string) string {
		return `{"Effect":"Allow","Action":"ssm:GetParameter","Resource":"` + secret + `"` + more + `}`
	}
	h.user("always", allow(""))
	h.user("office", allow(`,"Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.0.0/16"]},"StringEquals":{"aws:username":"office"}}`))
	h.user("mistaken", allow(`,"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"StringEquals":{"aws:username":"other"}}`))
	h.user("denied", allow("")+`,{"Sid":"Never","Effect":"Deny","Action":"ssm:*","Resource":"*"}`)
	h.user("outside", allow("")+`,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`)
	h.user("past", allow(`,"Condition":{"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}`))
	h.user("none", "")
	bound := *must(t)(h.iam.CreatePolicy(ctx, &iamapi.CreatePolicyRequest{PolicyName: "bound", PolicyDocument: doc(`{"Effect":"Allow","Action":"ssm:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`)})).(*iamapi.CreatePolicyResponse).Policy.Arn
	narrow := *must(t)(h.iam.CreatePolicy(ctx, &iamapi.CreatePolicyRequest{PolicyName: "narrow", PolicyDocument: doc(`{"Effect":"Allow","Action":"iam:*","Resource":"*"}`)})).(*iamapi.CreatePolicyResponse).Policy.Arn
	for name, boundary := range map[string]string{"tls": bound, "narrow": narrow} {
		h.user(name, allow(""))
		must(t)(h.iam.PutUserPermissionsBoundary(ctx, &iamapi.PutUserPermissionsBoundaryRequest{UserName: name, PermissionsBoundary: boundary}))
	}
	h.user("member", "")
	must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "staff"}))
	must(t)(h.iam.PutGroupPolicy(ctx, &iamapi.PutGroupPolicyRequest{GroupName: "staff", PolicyName: "read", PolicyDocument: doc(allow(""))}))
	must(t)(h.iam.AddUserToGroup(ctx, &iamapi.AddUserToGroupRequest{GroupName: "staff", UserName: "member"}))
	h.role("r", `{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}`, allow(""))
	out := must(t)(h.s.WhoCan(t.Context(), "ssm:GetParameter", secret, nil)).([]Answer)
	want := `user/always yes by p/statement 1
user/member yes by read/statement 1 of group staff
user/office when by p/statement 1 (aws:SourceIp is in 10.0.0.0/8 or 192.168.0.0/16)
user/outside when by p/statement 1 unless aws:SourceIp is not in 10.0.0.0/8
user/tls when by p/statement 1 when aws:SecureTransport is true
role/r yes by p/statement 1
root yes by account root/Root`
	if got := lines(out); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for name, want := range map[string]string{
		"denied": "user/denied no Never of identity-based policy p denies it.",
		"none":   "user/none no No identity-based policy allows it.",
		"narrow": "user/narrow no No permissions boundary allows it.",
	} {
		a := must(t)(h.s.Can(t.Context(), "arn:aws:iam::000000000000:user/"+name, "ssm:GetParameter", secret, nil)).(Answer)
		if got := line(a); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	again, err := New(Config{DB: h.db, Account: account, Now: h.clock, Guardrails: []Guardrail{{"rail", doc(allowAll + `,{"Sid":"Rail","Effect":"Deny","Action":"ssm:*","Resource":"*"}`)}}})
	if err != nil {
		t.Fatal(err)
	}
	if out := must(t)(again.WhoCan(t.Context(), "ssm:GetParameter", secret, nil)).([]Answer); len(out) != 0 {
		t.Errorf("past the guardrail: %s", lines(out))
	}
	root := must(t)(again.Can(t.Context(), "arn:aws:iam::000000000000:root", "ssm:GetParameter", secret, nil)).(Answer)
	if got := line(root); got != "root no Rail of service control policy rail denies it." {
		t.Error(got)
	}
}

// Who may become a role: the trust policy has its say, and lets services and strangers in.
func TestWhoCan_Resources(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.user("ada", "")
	h.user("bob", allowAll)
	role := h.role("r", `{"Sid":"People","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::000000000000:user/ada","arn:aws:iam::111111111111:root"]},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"x"}}},
		{"Sid":"Machines","Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","apigateway.amazonaws.com"]},"Action":"sts:AssumeRole"},
		{"Sid":"Web","Effect":"Allow","Principal":{"Federated":"cognito-identity.amazonaws.com"},"Action":"sts:AssumeRoleWithWebIdentity"},
		{"Sid":"Not","Effect":"Deny","Principal":{"Service":"apigateway.amazonaws.com"},"Action":"sts:AssumeRole"}`, "")
	for action, want := range map[string]string{
		"sts:AssumeRole": `user/ada when by trust policy of r/People (sts:ExternalId is x)
arn:aws:iam::111111111111:root when by trust policy of r/People (sts:ExternalId is x) when its own account allows it
lambda.amazonaws.com yes by trust policy of r/Machines`,
		"sts:AssumeRoleWithWebIdentity": "cognito-identity.amazonaws.com yes by trust policy of r/Web",
	} {
		if got := lines(must(t)(h.s.WhoCan(t.Context(), action, role, nil)).([]Answer)); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", action, got, want)
		}
	}
	if _, err := h.s.WhoCan(t.Context(), "sts:AssumeRole", role+"x", nil); err == nil || !strings.Contains(err.Error(), "there is no role") {
		t.Errorf("a role that does not exist: %v", err)
	}
	fn := "arn:aws:lambda:us-east-1:000000000000:function:f"
	of := &ResourcePolicy{Name: "policy of f", Text: doc(`{"Sid":"Api","Effect":"Allow","Principal":{"Service":"apigateway.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"` + fn + `","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:execute-api:*"}}}`)}
	want := "user/bob yes by p/statement 1\nroot yes by account root/Root\napigateway.amazonaws.com when by policy of f/Api (aws:SourceArn is like arn:aws:execute-api:*)"
	if got := lines(must(t)(h.s.WhoCan(t.Context(), "lambda:InvokeFunction", fn, of)).([]Answer)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	api := "arn:aws:execute-api:us-east-1:000000000000:a1b2c3/v1/GET/open"
	of = &ResourcePolicy{Name: "policy of a1b2c3", Text: doc(`{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"}`),
		Options: []policy.Option{policy.ShortResource("execute-api:/", "arn:aws:execute-api:*:*:*/")}}
	if got := lines(must(t)(h.s.WhoCan(t.Context(), "execute-api:Invoke", api, of)).([]Answer)); !strings.HasSuffix(got, "\neveryone yes by policy of a1b2c3/statement 1") {
		t.Errorf("got\n%s", got)
	}
}

func TestFindPrincipal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.user("ada", "")
	h.user("both", "")
	for _, name := range []string{"r", "both"} {
		h.role(name, `{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}`, "")
	}
	for name, want := range map[string]string{
		"ada": "arn:aws:iam::000000000000:user/ada", "user/both": "arn:aws:iam::000000000000:user/both", "role/both": "arn:aws:iam::000000000000:role/both",
		"arn:aws:sts::000000000000:assumed-role/r/session": "arn:aws:iam::000000000000:role/r", "root": "arn:aws:iam::000000000000:root",
	} {
		if got, err := h.s.FindPrincipal(t.Context(), name); got != want {
			t.Errorf("%s: %s %v", name, got, err)
		}
	}
	for name, want := range map[string]string{
		"both":                             "both is a user and a role; say user/both or role/both",
		"nobody":                           "there is no user or role nobody;",
		"group/staff":                      "there is no user or role group/staff;",
		"arn:aws:iam::111111111111:user/a": "is of another account; this one is 000000000000",
	} {
		if got, err := h.s.FindPrincipal(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s %v", name, got, err)
		}
	}
}

// What a principal may do, by service: on the resources that its policies name, within its boundary.
func TestAllowances(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.s.Catalogue(h.s.APIs())
	h.user("ada", `{"Effect":"Allow","Action":"sts:*","Resource":"*"},{"Effect":"Allow","Action":["iam:GetUser","iam:*AccessKeys"],"Resource":"arn:aws:iam::*:user/${aws:username}"},
		{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}},{"Effect":"Deny","Action":"sts:AssumeRole*","Resource":"*"},{"Effect":"Allow","Action":"ec2:*","Resource":"*"}`)
	h.user("none", "")
	var got []string
	for _, a := range must(t)(h.s.Allowances(t.Context(), "arn:aws:iam::000000000000:user/ada")).([]Allowance) {
		got = append(got, fmt.Sprint(a.Service, " ", a.Actions, " on ", a.Resource, " ", a.When))
	}
	want := `iam [GetUser ListAccessKeys] on arn:aws:iam::*:user/ada []
iam [ListUsers] on * [aws:SecureTransport is true]
sts [AssumeRoot DecodeAuthorizationMessage GetAccessKeyInfo GetCallerIdentity GetDelegatedAccessToken GetFederationToken GetSessionToken GetWebIdentityToken] on * []`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
	if a := must(t)(h.s.Allowances(t.Context(), "arn:aws:iam::000000000000:user/none")).([]Allowance); len(a) != 0 {
		t.Errorf("who has nothing may %v", a)
	}
	all := must(t)(h.s.Allowances(t.Context(), "arn:aws:iam::000000000000:root")).([]Allowance)
	if len(all) != 3 || all[0].Actions[0] != "*" {
		t.Errorf("root: %v", all)
	}
}
