package policy

import (
	"strings"
	"testing"
)

const account = "123456789012"

var (
	alice = Principal{Kind: PrincipalUser, ARN: "arn:aws:iam::123456789012:user/alice", Account: account, ID: "AIDAALICEALICEALICE1",
		Context: Context{"aws:username": {"alice"}, "aws:principaltag/team": {"red"}}}
	session = Principal{Kind: PrincipalAssumedRole, ARN: "arn:aws:sts::123456789012:assumed-role/app/s1", Account: account,
		ID: "AROAAPPAPPAPPAPPAPP1:s1", RoleARN: "arn:aws:iam::123456789012:role/svc/app"}
	carol = Principal{Kind: PrincipalFederatedUser, ARN: "arn:aws:sts::123456789012:federated-user/carol", Account: account, ID: "123456789012:carol",
		UserARN: alice.ARN, UserID: alice.ID}
	lambda  = Principal{Kind: PrincipalService, Service: "lambda.amazonaws.com"}
	pool    = Principal{Kind: PrincipalFederated, Federated: "cognito-identity.amazonaws.com"}
	foreign = Principal{Kind: PrincipalUser, ARN: "arn:aws:iam::999999999999:user/eve", Account: "999999999999", ID: "AIDAEVEEVEEVEEVEEVE1"}
	root    = Principal{Kind: PrincipalRoot, ARN: "arn:aws:iam::123456789012:root", Account: account, ID: account}
)

func parse(t testing.TB, id, statements string) *Document {
	t.Helper()
	if statements == "" {
		return nil
	}
	d, err := Parse(id, []byte(`{"Version":"2012-10-17","Statement":[`+statements+`]}`))
	if err != nil {
		t.Fatalf("%s: %v in %s", id, err, statements)
	}
	return d
}

func list(d *Document) []*Document {
	if d == nil {
		return nil
	}
	return []*Document{d}
}

const (
	allowAll = `{"Sid":"All","Effect":"Allow","Action":"*","Resource":"*"}`
	allowGet = `{"Sid":"Get","Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/*"}`
	denyGet  = `{"Sid":"NoGet","Effect":"Deny","Action":"s3:GetObject","Resource":"*"}`
)

const allowIAM = `{"Effect":"Allow","Action":"iam:*","Resource":"*"}`

func resourceIf(condition string) string {
	return `{"Sid":"R","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*","Condition":{` + condition + `}}`
}

func resourceAllow(principal string) string {
	return `{"Sid":"R","Effect":"Allow","Principal":` + principal + `,"Action":"s3:GetObject","Resource":"*"}`
}

// The order of evaluation that AWS documents, policy kind by policy kind.
func TestEvaluate_order(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                                             string
		p                                                Principal
		identity, resource, boundary, session, guardrail string
		want                                             string // kind of the decision: "allow:...", "deny:...", "silent:..."
	}{
		{"nothing", alice, "", "", "", "", "", "silent:identity-based policy"},
		{"zero principal", Principal{}, allowAll, "", "", "", "", "silent:resource-based policy"},
		{"identity", alice, allowGet, "", "", "", "", "allow:identity-based policy"},
		{"identity denies", alice, allowAll + "," + denyGet, "", "", "", "", "deny:identity-based policy"},
		{"deny first, too", alice, denyGet + "," + allowAll, "", "", "", "", "deny:identity-based policy"},
		{"resource names the user", alice, "", resourceAllow(`{"AWS":"arn:aws:iam::123456789012:user/alice"}`), "", "", "", "allow:resource-based policy"},
		{"resource names the id", alice, "", resourceAllow(`{"AWS":"AIDAALICEALICEALICE1"}`), "", "", "", "allow:resource-based policy"},
		{"resource names another", alice, "", resourceAllow(`{"AWS":"arn:aws:iam::123456789012:user/bob"}`), "", "", "", "silent:identity-based policy"},
		{"resource names the account", alice, "", resourceAllow(`{"AWS":"123456789012"}`), "", "", "", "silent:identity-based policy"},
		{"resource is for everyone", alice, "", resourceAllow(`"*"`), "", "", "", "allow:resource-based policy"},
		{"anonymous, everyone", Principal{}, "", resourceAllow(`{"AWS":"*"}`), "", "", "", "allow:resource-based policy"},
		{"anonymous, one user", Principal{}, "", resourceAllow(`{"AWS":"arn:aws:iam::123456789012:user/alice"}`), "", "", "", "silent:resource-based policy"},
		{"resource denies", alice, allowAll, `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"}`, "", "", "", "deny:resource-based policy"},
		{"boundary allows", alice, allowGet, "", allowAll, "", "", "allow:identity-based policy"},
		{"boundary is silent", alice, allowAll, "", `{"Effect":"Allow","Action":"iam:*","Resource":"*"}`, "", "", "silent:permissions boundary"},
		{"boundary alone", alice, "", "", allowAll, "", "", "silent:identity-based policy"},
		{"boundary denies", alice, allowAll, "", allowAll + "," + denyGet, "", "", "deny:permissions boundary"},
		{"boundary does not limit a named user", alice, "", resourceAllow(`{"AWS":"arn:aws:iam::123456789012:user/alice"}`), `{"Effect":"Allow","Action":"iam:*","Resource":"*"}`, "", "", "allow:resource-based policy"},
		{"boundary limits everyone", alice, "", resourceAllow(`"*"`), `{"Effect":"Allow","Action":"iam:*","Resource":"*"}`, "", "", "silent:permissions boundary"},
		{"session allows", session, allowGet, "", "", allowGet, "", "allow:identity-based policy"},
		{"session is silent", session, allowAll, "", "", `{"Effect":"Allow","Action":"iam:*","Resource":"*"}`, "", "silent:session policy"},
		{"session alone never widens", session, "", "", "", allowAll, "", "silent:identity-based policy"},
		{"session denies", session, allowAll, "", "", allowAll + "," + denyGet, "", "deny:session policy"},
		{"session limits its role", session, "", resourceAllow(`{"AWS":"arn:aws:iam::123456789012:role/svc/app"}`), "", `{"Effect":"Allow","Action":"iam:*","Resource":"*"}`, "", "silent:session policy"},
		{"role is named", session, "", resourceAllow(`{"AWS":"arn:aws:iam::123456789012:role/svc/app"}`), "", "", "", "allow:resource-based policy"},
		{"role id is named", session, "", resourceAllow(`{"AWS":"AROAAPPAPPAPPAPPAPP1"}`), "", "", "", "allow:resource-based policy"},
		{"session is named", session, "", resourceAllow(`{"AWS":"arn:aws:sts::123456789012:assumed-role/app/s1"}`), "", `{"Effect":"Allow","Action":"iam:*","Resource":"*"}`, "", "allow:resource-based policy"},
		{"everyone, named by a condition", session, "", resourceIf(`"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/svc/app"}`), allowIAM, allowIAM, "", "allow:resource-based policy"},
		{"everyone, but not by a negated condition", session, "", resourceIf(`"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/other"}`), allowIAM, "", "", "silent:permissions boundary"},
		{"everyone, but not by one that holds without the key", session, "", resourceIf(`"ArnEqualsIfExists":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/svc/app"}`), allowIAM, "", "", "silent:permissions boundary"},
		{"federated user, session policy", carol, allowAll, "", "", allowGet, "", "allow:identity-based policy"},
		{"federated user without a session policy", carol, allowAll, "", "", "", "", "silent:session policy"},
		{"federated user, session policy silent", carol, allowAll, "", "", allowIAM, "", "silent:session policy"},
		{"federated user, user silent", carol, "", "", "", allowAll, "", "silent:identity-based policy"},
		{"federated user, boundary of the user", carol, allowAll, "", allowIAM, allowAll, "", "silent:permissions boundary"},
		{"federated user is named", carol, "", resourceAllow(`{"AWS":"arn:aws:sts::123456789012:federated-user/carol"}`), allowIAM, "", "", "allow:resource-based policy"},
		{"another federated user is named", carol, "", resourceAllow(`{"AWS":"arn:aws:sts::123456789012:federated-user/dave"}`), "", allowAll, "", "silent:identity-based policy"},
		{"the user behind is named", carol, "", resourceAllow(`{"AWS":"arn:aws:iam::123456789012:user/alice"}`), "", allowAll, "", "allow:resource-based policy"},
		{"the user behind is named, no session policy", carol, "", resourceAllow(`{"AWS":"arn:aws:iam::123456789012:user/alice"}`), "", "", "", "silent:session policy"},
		{"the user behind is named by id", carol, "", resourceAllow(`{"AWS":"AIDAALICEALICEALICE1"}`), "", allowAll, "", "allow:resource-based policy"},
		{"guardrail is silent", alice, allowAll, "", "", "", `{"Effect":"Allow","Action":"iam:*","Resource":"*"}`, "silent:service control policy"},
		{"guardrail denies", root, allowAll, "", "", "", allowAll + "," + denyGet, "deny:service control policy"},
		{"guardrail allows", alice, allowGet, "", "", "", allowAll, "allow:identity-based policy"},
		{"guardrail alone", alice, "", "", "", "", allowAll, "silent:identity-based policy"},
		{"service", lambda, "", resourceAllow(`{"Service":"lambda.amazonaws.com"}`), "", "", "", "allow:resource-based policy"},
		{"other service", lambda, "", resourceAllow(`{"Service":"events.amazonaws.com"}`), "", "", "", "silent:resource-based policy"},
		{"service has no identity policies", lambda, allowAll, "", "", "", "", "silent:resource-based policy"},
		{"federated", pool, "", resourceAllow(`{"Federated":"cognito-identity.amazonaws.com"}`), "", "", "", "allow:resource-based policy"},
		{"federated, other provider", pool, "", resourceAllow(`{"Federated":"accounts.google.com"}`), "", "", "", "silent:resource-based policy"},
		{"root of the account", root, "", resourceAllow(`{"AWS":"123456789012"}`), "", "", "", "allow:resource-based policy"},
		{"foreign, identity only", foreign, allowAll, "", "", "", "", "silent:resource-based policy"},
		{"foreign, resource only", foreign, "", resourceAllow(`{"AWS":"999999999999"}`), "", "", "", "silent:identity-based policy"},
		{"foreign, both", foreign, allowAll, resourceAllow(`{"AWS":"999999999999"}`), "", "", "", "allow:identity-based policy"},
		{"foreign, both by name", foreign, allowAll, resourceAllow(`{"AWS":"arn:aws:iam::999999999999:user/eve"}`), "", "", "", "allow:identity-based policy"},
		{"foreign, named, no identity", foreign, "", resourceAllow(`{"AWS":"arn:aws:iam::999999999999:user/eve"}`), "", "", "", "silent:identity-based policy"},
		{"NotPrincipal deny spares who is wholly named", alice, allowAll, `{"Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:iam::123456789012:user/alice","123456789012"]},"Action":"*","Resource":"*"}`, "", "", "", "allow:identity-based policy"},
		{"NotPrincipal deny, account not named", alice, allowAll, `{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/alice"},"Action":"*","Resource":"*"}`, "", "", "", "deny:resource-based policy"},
		{"NotPrincipal deny, another", session, allowAll, `{"Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:iam::123456789012:user/alice","123456789012"]},"Action":"*","Resource":"*"}`, "", "", "", "deny:resource-based policy"},
		{"NotPrincipal allow leaves out", alice, "", `{"Effect":"Allow","NotPrincipal":{"AWS":"123456789012"},"Action":"*","Resource":"*"}`, "", "", "", "silent:identity-based policy"},
		{"NotPrincipal allow, another", alice, "", `{"Effect":"Allow","NotPrincipal":{"AWS":"999999999999"},"Action":"*","Resource":"*"}`, "", "", "", "allow:resource-based policy"},
		{"identity policy with a principal", alice, resourceAllow(`{"AWS":"arn:aws:iam::123456789012:user/bob"}`), "", "", "", "", "silent:identity-based policy"},
		{"resource policy without a principal", alice, "", allowAll, "", "", "", "silent:identity-based policy"},
		{"resource policy without a principal denies", alice, allowAll, denyGet, "", "", "", "deny:resource-based policy"},
	} {
		p := &Policies{Identity: list(parse(t, "i", tt.identity)), Resource: parse(t, "r", tt.resource), Boundary: parse(t, "b", tt.boundary),
			Session: list(parse(t, "s", tt.session)), Guardrails: list(parse(t, "g", tt.guardrail))}
		d := Evaluate(&Request{Principal: tt.p, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k", Account: account}, p)
		if got := describe(d); got != tt.want {
			t.Errorf("%s: %s, want %s (%s)", tt.name, got, tt.want, d.Reason)
		}
		if d.Allowed != (d.Policy != "" && !d.Explicit) || d.Reason == "" {
			t.Errorf("%s: %+v", tt.name, d)
		}
	}
}

func describe(d Decision) string {
	switch {
	case d.Allowed:
		return "allow:" + d.Kind
	case d.Explicit:
		return "deny:" + d.Kind
	}
	return "silent:" + d.Kind
}

func TestEvaluateTrust(t *testing.T) {
	t.Parallel()
	const act = `"Action":"sts:AssumeRole"`
	for _, tt := range []struct {
		name            string
		p               Principal
		identity, trust string
		want            bool
	}{
		{"named user", alice, "", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/alice"},` + act + `}`, true},
		{"account, no identity policy", alice, "", `{"Effect":"Allow","Principal":{"AWS":"123456789012"},` + act + `}`, false},
		{"account and identity policy", alice, allowAll, `{"Effect":"Allow","Principal":{"AWS":"123456789012"},` + act + `}`, true},
		{"identity policy alone", alice, allowAll, `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/bob"},` + act + `}`, false},
		{"foreign account, both", foreign, allowAll, `{"Effect":"Allow","Principal":{"AWS":"999999999999"},` + act + `}`, true},
		{"foreign account, trust alone", foreign, "", `{"Effect":"Allow","Principal":{"AWS":"999999999999"},` + act + `}`, false},
		{"service", lambda, "", `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},` + act + `}`, true},
		{"other service", lambda, "", `{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},` + act + `}`, false},
		{"other action", lambda, "", `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:TagSession"}`, false},
	} {
		d := EvaluateTrust(&Request{Principal: tt.p, Action: "sts:AssumeRole", Resource: "arn:aws:iam::123456789012:role/r", Account: account},
			&Policies{Identity: list(parse(t, "i", tt.identity)), Resource: parse(t, "trust", tt.trust)})
		if d.Allowed != tt.want {
			t.Errorf("%s: %+v, want %v", tt.name, d, tt.want)
		}
	}
}

func TestMatch_actionAndResource(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		statement, action, resource string
		want                        bool
	}{
		{`"Action":"s3:getobject","Resource":"*"`, "S3:GetObject", "arn:aws:s3:::b/k", true},
		{`"Action":"s3:Get?bject","Resource":"*"`, "s3:GetObject", "*", true},
		{`"Action":"s3:Get?bject","Resource":"*"`, "s3:Getbject", "*", false},
		{`"Action":"s3:*","Resource":"*"`, "s3x:GetObject", "*", false},
		{`"Action":["iam:*","s3:*Object"],"Resource":"*"`, "s3:PutObject", "*", true},
		{`"NotAction":"iam:*","Resource":"*"`, "s3:PutObject", "*", true},
		{`"NotAction":"iam:*","Resource":"*"`, "iam:GetUser", "*", false},
		{`"Action":"*","NotResource":"arn:aws:s3:::secret/*"`, "s3:GetObject", "arn:aws:s3:::b/k", true},
		{`"Action":"*","NotResource":"arn:aws:s3:::secret/*"`, "s3:GetObject", "arn:aws:s3:::secret/k", false},
		{`"Action":"*","Resource":"arn:aws:s3:::b/*"`, "s3:GetObject", "arn:aws:s3:::b/k/l:m", true},
		{`"Action":"*","Resource":"arn:aws:s3:::b/*"`, "s3:GetObject", "arn:aws:s3:::b", false},
		{`"Action":"*","Resource":"arn:aws:s3:::B/*"`, "s3:GetObject", "arn:aws:s3:::b/k", false},
		{`"Action":"*","Resource":"arn:aws:execute-api:*:123456789012:api/*/GET/*"`, "x:y", "arn:aws:execute-api:us-east-1:123456789012:api/dev/GET/a/b", true},
		{`"Action":"*","Resource":"arn:aws:execute-api:*:123456789012:api/*/GET/*"`, "x:y", "arn:aws:execute-api:us-east-1:123456789012:api/dev/POST/a", false},
		{`"Action":"*","Resource":"arn:aws:execute-api:*:api/*"`, "x:y", "arn:aws:execute-api:us-east-1:123456789012:api/dev", false}, // no wildcard over a colon
		{`"Action":"*","Resource":"arn:aws:sqs"`, "x:y", "arn:aws:sqs:us-east-1:123456789012:q", true},                                // incomplete: the rest is anything
		{`"Action":"*","Resource":"arn:aws:sqs"`, "x:y", "arn:aws:sns:us-east-1:123456789012:q", false},
		{`"Action":"*","Resource":"arn:aws:s3:::b"`, "x:y", "*", false},
		{`"Action":"*","Resource":"arn:aws:s3:::*"`, "x:y", "not an arn", false},
		{`"Action":"*","Resource":"arn:aws:s3:::home/${aws:username}/*"`, "x:y", "arn:aws:s3:::home/alice/f", true},
		{`"Action":"*","Resource":"arn:aws:s3:::home/${aws:username}/*"`, "x:y", "arn:aws:s3:::home/bob/f", false},
		{`"Action":"*","Resource":"arn:aws:s3:::home/${AWS:UserName}/*"`, "x:y", "arn:aws:s3:::home/alice/f", true},
		{`"Action":"*","Resource":"arn:aws:s3:::${aws:nosuch}/*"`, "x:y", "arn:aws:s3:::/f", false},
		{`"Action":"*","Resource":"arn:aws:s3:::${aws:nosuch, 'd'}/*"`, "x:y", "arn:aws:s3:::d/f", true},
		{`"Action":"*","Resource":"arn:aws:s3:::${aws:username, 'd'}/*"`, "x:y", "arn:aws:s3:::d/f", false},
		{`"Action":"*","NotResource":"arn:aws:s3:::${aws:nosuch}/*"`, "x:y", "arn:aws:s3:::any/f", false},
		{`"Action":"*","Resource":"arn:aws:s3:::${*}${?}${$}"`, "x:y", "arn:aws:s3:::*?$", true},
		{`"Action":"*","Resource":"arn:aws:s3:::${*}"`, "x:y", "arn:aws:s3:::anything", false},
		{`"Action":"*","Resource":"arn:aws:s3:::${evil:star}"`, "x:y", "arn:aws:s3:::anything", false}, // a value is never a wildcard
		{`"Action":"*","Resource":"arn:aws:s3:::${evil:star}"`, "x:y", "arn:aws:s3:::*", true},
		{`"Action":"*","Resource":"arn:aws:s3:::${evil:many}"`, "x:y", "arn:aws:s3:::a", false},
	} {
		d := parse(t, "p", `{"Effect":"Allow",`+tt.statement+`}`)
		got := Evaluate(&Request{Principal: alice, Action: tt.action, Resource: tt.resource,
			Context: Context{"evil:star": {"*"}, "evil:many": {"a", "b"}}}, &Policies{Identity: list(d)})
		if got.Allowed != tt.want {
			t.Errorf("%s: %s on %s: %v, want %v", tt.statement, tt.action, tt.resource, got.Allowed, tt.want)
		}
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	keys := Context{}
	for k, v := range map[string][]string{
		"s:One": {"red"}, "s:Two": {"red", "blue"}, "s:Empty": {}, "n:Five": {"5"}, "n:Text": {"five"}, "d:Day": {"2026-03-04T05:06:07Z"},
		"b:Yes": {"true"}, "ip:Four": {"10.1.2.3"}, "ip:Mapped": {"::ffff:10.1.2.3"}, "ip:Six": {"2001:db8::1"}, "ip:Bad": {"10.1.2"},
		"arn:Role": {"arn:aws:iam::123456789012:role/x"}, "bin:Data": {"aGk="}, "s:Star": {"a*c"},
	} {
		keys[strings.ToLower(k)] = v
	}
	for _, tt := range []struct {
		condition string
		want      bool
	}{
		{`"StringEquals":{"s:one":"red"}`, true},
		{`"StringEquals":{"s:one":"Red"}`, false},
		{`"StringEquals":{"s:one":["blue","red"]}`, true},
		{`"StringEquals":{"s:one":"r*"}`, false},
		{`"StringEquals":{"s:none":"red"}`, false},
		{`"StringEquals":{"s:two":"blue"}`, true},
		{`"StringNotEquals":{"s:two":"blue"}`, false},
		{`"StringNotEquals":{"s:two":"green"}`, true},
		{`"StringNotEquals":{"s:one":["blue","red"]}`, false},
		{`"StringNotEquals":{"s:none":"red"}`, true},
		{`"StringEqualsIgnoreCase":{"s:one":"RED"}`, true},
		{`"StringNotEqualsIgnoreCase":{"s:one":"RED"}`, false},
		{`"StringEqualsIgnoreCase":{"s:one":"${s:ONE}"}`, true},
		{`"StringLike":{"s:one":"r?d"}`, true},
		{`"StringLike":{"s:one":"r*d*"}`, true},
		{`"StringLike":{"s:one":"?d"}`, false},
		{`"StringNotLike":{"s:one":"r*"}`, false},
		{`"StringLike":{"s:star":"a${*}c"}`, true},
		{`"StringLike":{"s:one":"${s:star}"}`, false},
		{`"StringEquals":{"s:one":"${s:one}"}`, true},
		{`"StringEquals":{"s:one":"${s:none}"}`, false},
		{`"StringNotEquals":{"s:one":"${s:none}"}`, false}, // in an Allow, what is unknown does not help
		{`"StringEqualsIfExists":{"s:none":"red"}`, true},
		{`"StringEqualsIfExists":{"s:one":"blue"}`, false},
		{`"StringNotEqualsIfExists":{"s:none":"red"}`, true},
		{`"ForAnyValue:StringEquals":{"s:two":["blue","green"]}`, true},
		{`"ForAnyValue:StringEquals":{"s:two":"green"}`, false},
		{`"ForAnyValue:StringEquals":{"s:none":"green"}`, false},
		{`"ForAnyValue:StringNotEquals":{"s:two":"red"}`, true},
		{`"ForAnyValue:StringNotEquals":{"s:none":"red"}`, false},
		{`"ForAllValues:StringEquals":{"s:two":["blue","red","green"]}`, true},
		{`"ForAllValues:StringEquals":{"s:two":["blue"]}`, false},
		{`"ForAllValues:StringEquals":{"s:none":"blue"}`, true},
		{`"ForAllValues:StringEquals":{"s:empty":"blue"}`, true},
		{`"ForAllValues:StringNotEquals":{"s:two":["green"]}`, true},
		{`"ForAllValues:StringNotEquals":{"s:two":["red"]}`, false},
		{`"ForAnyValue:StringLike":{"s:two":"bl*"}`, true},
		{`"ForAnyValue:StringEqualsIfExists":{"s:none":"x"}`, true},
		{`"Null":{"s:none":"true"}`, true},
		{`"Null":{"s:none":"false"}`, false},
		{`"Null":{"s:one":false}`, true},
		{`"Null":{"s:one":true}`, false},
		{`"Null":{"s:empty":true}`, true},
		{`"NumericEquals":{"n:five":"5.0"}`, true},
		{`"NumericEquals":{"n:five":5}`, true},
		{`"NumericNotEquals":{"n:five":"5"}`, false},
		{`"NumericNotEquals":{"n:five":"6"}`, true},
		{`"NumericNotEquals":{"n:text":"6"}`, false},
		{`"NumericLessThan":{"n:five":"6"}`, true},
		{`"NumericLessThan":{"n:five":"5"}`, false},
		{`"NumericLessThanEquals":{"n:five":"5"}`, true},
		{`"NumericGreaterThan":{"n:five":"4"}`, true},
		{`"NumericGreaterThan":{"n:five":"5"}`, false},
		{`"NumericGreaterThanEquals":{"n:five":"5"}`, true},
		{`"NumericLessThan":{"n:text":"6"}`, false},
		{`"DateEquals":{"d:day":"2026-03-04T06:06:07+01:00"}`, true},
		{`"DateLessThan":{"d:day":"2026-03-05"}`, true},
		{`"DateLessThan":{"d:day":"2026"}`, false},
		{`"DateGreaterThan":{"d:day":"2026-03-05T00:00:00Z"}`, false},
		{`"DateGreaterThan":{"d:day":"1700000000"}`, true},
		{`"DateNotEquals":{"d:day":"2026-03-04T05:06:07Z"}`, false},
		{`"Bool":{"b:yes":"true"}`, true},
		{`"Bool":{"b:yes":true}`, true},
		{`"Bool":{"b:yes":"false"}`, false},
		{`"Bool":{"b:none":"false"}`, false},
		{`"BoolIfExists":{"b:none":"true"}`, true},
		{`"BinaryEquals":{"bin:data":"aGk="}`, true},
		{`"BinaryEquals":{"bin:data":"aGo="}`, false},
		{`"IpAddress":{"ip:four":"10.1.0.0/16"}`, true},
		{`"IpAddress":{"ip:four":"10.1.2.3"}`, true},
		{`"IpAddress":{"ip:mapped":"10.1.0.0/16"}`, true},
		{`"IpAddress":{"ip:four":["10.2.0.0/16","192.168.0.0/16"]}`, false},
		{`"IpAddress":{"ip:six":"2001:db8::/32"}`, true},
		{`"NotIpAddress":{"ip:four":"10.1.0.0/16"}`, false},
		{`"NotIpAddress":{"ip:four":"10.2.0.0/16"}`, true},
		{`"NotIpAddress":{"ip:bad":"10.2.0.0/16"}`, false},
		{`"ArnEquals":{"arn:role":"arn:aws:iam::*:role/x"}`, true},
		{`"ArnLike":{"arn:role":"arn:*:role/x"}`, false},
		{`"ArnLike":{"arn:role":"arn:aws:iam::123456789012:role/*"}`, true},
		{`"ArnNotLike":{"arn:role":"arn:aws:iam::123456789012:role/*"}`, false},
		{`"ArnNotEquals":{"arn:role":"arn:aws:iam::123456789012:role/y"}`, true},
		{`"ArnLike":{"s:one":"arn:aws:iam::123456789012:role/*"}`, false},
		{`"StringEquals":{"s:one":"red"},"NumericEquals":{"n:five":"6"}`, false},
		{`"StringEquals":{"s:one":"red","s:two":"blue"}`, true},
		{`"StringEquals":{"s:one":"red","s:two":"green"}`, false},
		{`"StringEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/alice"}`, true},
		{`"StringEquals":{"aws:PrincipalTag/Team":"red"}`, true},
		{`"StringEquals":{"aws:PrincipalAccount":"123456789012","aws:userid":"AIDAALICEALICEALICE1","aws:PrincipalType":"User"}`, true},
		{`"Bool":{"aws:PrincipalIsAWSService":"false"}`, true},
		{`"StringEquals":{"bare":"x"}`, false}, // a key without a vendor is nobody's
	} {
		d := parse(t, "p", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+tt.condition+`}}`)
		got := Evaluate(&Request{Principal: alice, Action: "a:b", Resource: "*", Context: keys}, &Policies{Identity: list(d)})
		if got.Allowed != tt.want {
			t.Errorf("%s: %v, want %v", tt.condition, got.Allowed, tt.want)
		}
	}
}

// What cannot be compared must not switch a refusal off.
func TestConditions_unresolvedInDeny(t *testing.T) {
	t.Parallel()
	for _, condition := range []string{
		`"StringNotEquals":{"s:one":"${s:none}"}`, `"NotIpAddress":{"ip:bad":"10.0.0.0/8"}`, `"NumericNotEquals":{"s:one":"5"}`,
	} {
		d := parse(t, "p", allowAll+`,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{`+condition+`}}`)
		got := Evaluate(&Request{Principal: alice, Action: "a:b", Resource: "*", Context: Context{"s:one": {"red"}, "ip:bad": {"x"}}}, &Policies{Identity: list(d)})
		if !got.Explicit {
			t.Errorf("%s: %+v", condition, got)
		}
	}
}

// Tags whose names differ in letter case alone share a key. Which of them counts cannot
// be told, so neither helps the request.
func TestConditions_oneTagTwoValues(t *testing.T) {
	t.Parallel()
	keys := Context{}
	keys.Add("aws:RequestTag/Team", "red")
	keys.Add("aws:RequestTag/team", "blue")
	keys.Add("aws:ResourceTag/Same", "red")
	keys.Add("aws:ResourceTag/same", "red")
	for _, tt := range []struct {
		statements string
		want       bool
	}{
		{`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"red"}}}`, false},
		{`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:RequestTag/team":"green"}}}`, false},
		{`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAnyValue:StringEqualsIfExists":{"aws:RequestTag/team":"red"}}}`, false},
		{allowAll + `,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"blue"}}}`, false},
		{allowAll + `,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:RequestTag/team":"red"}}}`, false},
		{`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"aws:RequestTag/team":"false"}}}`, true},
		{`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/same":"red"}}}`, true},
	} {
		got := Evaluate(&Request{Principal: alice, Action: "a:b", Resource: "*", Context: keys}, &Policies{Identity: list(parse(t, "p", tt.statements))})
		if got.Allowed != tt.want {
			t.Errorf("%s: %v, want %v", tt.statements, got.Allowed, tt.want)
		}
	}
}

func TestEvaluate_requestCannotPoseAsPrincipal(t *testing.T) {
	t.Parallel()
	d := parse(t, "p", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/role":"admin"}}},
		{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username}"}`)
	req := &Request{Principal: session, Action: "a:b", Resource: "arn:aws:s3:::bob",
		Context: Context{"aws:principaltag/role": {"admin"}, "aws:username": {"bob"}}}
	if got := Evaluate(req, &Policies{Identity: list(d)}); got.Allowed {
		t.Errorf("%+v", got)
	}
}

func TestDecision_names(t *testing.T) {
	t.Parallel()
	d := parse(t, "arn:aws:iam::123456789012:policy/p", `{"Effect":"Allow","Action":"a:b","Resource":"*"},{"Sid":"Two","Effect":"Deny","Action":"a:c","Resource":"*"},
		{"Effect":"Allow","Action":"a:d","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}`)
	ask := func(action string) Decision {
		return Evaluate(&Request{Principal: alice, Action: action, Resource: "*"}, &Policies{Identity: list(d)})
	}
	if got := ask("a:b"); !got.Allowed || got.Policy != "arn:aws:iam::123456789012:policy/p" || got.Statement != "statement 1" {
		t.Errorf("%+v", got)
	}
	if got := ask("a:c"); !got.Explicit || got.Statement != "Two" {
		t.Errorf("%+v", got)
	}
	got := ask("a:d")
	if got.Allowed || len(got.Missing) != 1 || got.Missing[0] != "aws:MultiFactorAuthPresent" || got.Condition != "Bool aws:MultiFactorAuthPresent" {
		t.Errorf("%+v", got)
	}
}

func TestVersion_variables(t *testing.T) {
	t.Parallel()
	doc := `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username}"}}`
	d, err := Parse("p", []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	for resource, want := range map[string]bool{"arn:aws:s3:::alice": false, "arn:aws:s3:::${aws:username}": true} {
		if got := Evaluate(&Request{Principal: alice, Action: "a:b", Resource: resource}, &Policies{Identity: list(d)}); got.Allowed != want {
			t.Errorf("%s: %+v", resource, got)
		}
	}
}

func TestShortResource(t *testing.T) {
	t.Parallel()
	doc := []byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/dev/GET/*"}}`)
	if _, err := Parse("p", doc); err == nil {
		t.Error("a short resource was accepted without the option")
	}
	d, err := Parse("p", doc, ShortResource("execute-api:/", "arn:aws:execute-api:us-east-1:123456789012:api1/"))
	if err != nil {
		t.Fatal(err)
	}
	for resource, want := range map[string]bool{
		"arn:aws:execute-api:us-east-1:123456789012:api1/dev/GET/x":  true,
		"arn:aws:execute-api:us-east-1:123456789012:api1/dev/POST/x": false,
		"arn:aws:execute-api:us-east-1:123456789012:api2/dev/GET/x":  false,
	} {
		if got := Evaluate(&Request{Action: "execute-api:Invoke", Resource: resource}, &Policies{Resource: d}); got.Allowed != want {
			t.Errorf("%s: %+v", resource, got)
		}
	}
}

func TestPrincipalIDs(t *testing.T) {
	t.Parallel()
	doc := []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::123456789012:user/alice","arn:aws:iam::123456789012:role/svc/app"]},"Action":"sts:AssumeRole"}]}`)
	d, err := Parse("p", doc, PrincipalIDs(map[string]string{alice.ARN: alice.ID, session.RoleARN: "AROAAPPAPPAPPAPPAPP1"}))
	if err != nil {
		t.Fatal(err)
	}
	again, other := alice, session
	again.ID, other.ID = "AIDAALICEALICEALICE2", "AROAAPPAPPAPPAPPAPP2:s1"
	for name, tt := range map[string]struct {
		p    Principal
		want bool
	}{"the user": {alice, true}, "another user of the name": {again, false}, "the role": {session, true}, "another role of the name": {other, false}} {
		if got := EvaluateTrust(&Request{Principal: tt.p, Action: "sts:AssumeRole", Resource: "*", Account: account}, &Policies{Resource: d}); got.Allowed != tt.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
