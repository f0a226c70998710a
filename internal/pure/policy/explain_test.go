package policy

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	identity, err := Parse("inline", []byte(`{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Ünï", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"},
    {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::other/*"}, {"Effect": "Allow", "Action": "iam:*",
     "Resource": "*"},
    {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:SourceVpc": "${aws:PrincipalTag/none}"}}}
  ]
}`))
	if err != nil {
		t.Fatal(err)
	}
	resource := parse(t, "bucket", resourceAllow(`{"AWS":"arn:aws:iam::123456789012:user/bob"}`))
	x := Explain(&Request{Principal: alice, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k"}, &Policies{Identity: list(identity), Resource: resource})
	if !x.Decision.Allowed || x.Decision.Statement != "Ünï" {
		t.Errorf("%+v", x.Decision)
	}
	want := []Verdict{
		{Kind: KindResource, Policy: "bucket", Statement: "R", Effect: "Allow", Start: Position{1, 38}, End: Position{1, 37 + len(resourceAllow(`{"AWS":"arn:aws:iam::123456789012:user/bob"}`))}, Failed: "principal"},
		{Kind: KindIdentity, Policy: "inline", Statement: "Ünï", Effect: "Allow", Start: Position{4, 5}, End: Position{4, 95}, Matched: true},
		{Kind: KindIdentity, Policy: "inline", Statement: "statement 2", Effect: "Deny", Start: Position{5, 5}, End: Position{5, 84}, Failed: "resource"},
		{Kind: KindIdentity, Policy: "inline", Statement: "statement 3", Effect: "Allow", Start: Position{5, 87}, End: Position{6, 21}, Failed: "action"},
		{Kind: KindIdentity, Policy: "inline", Statement: "statement 4", Effect: "Allow", Start: Position{7, 5}, End: Position{7, 133}, Failed: "condition",
			Condition: "StringEquals aws:SourceVpc", Missing: []string{"aws:SourceVpc", "aws:PrincipalTag/none"}},
	}
	for i, v := range x.Verdicts {
		if i >= len(want) || !reflect.DeepEqual(v, want[i]) {
			t.Errorf("%d: %+v", i, v)
		}
	}
	if len(x.Verdicts) != len(want) {
		t.Errorf("%d verdicts", len(x.Verdicts))
	}
}

// A service has no policies of its own: they are not considered, and no verdict
// says they were.
func TestExplain_service(t *testing.T) {
	t.Parallel()
	x := Explain(&Request{Principal: lambda, Action: "s3:GetObject", Resource: "*"}, &Policies{Identity: list(parse(t, "i", allowAll)), Resource: parse(t, "r", resourceAllow(`"*"`))})
	if !x.Decision.Allowed || len(x.Verdicts) != 1 || x.Verdicts[0].Kind != KindResource {
		t.Errorf("%+v", x)
	}
}

func TestExplain_decidesAsEvaluate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := genPolicies().Draw(t, "policies").compile(t)
		for range 4 {
			r := genRequest().Draw(t, "request")
			if got, want := Explain(r, p).Decision, Evaluate(r, p); !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, want %+v", got, want)
			}
			if got, want := ExplainTrust(r, p).Decision, EvaluateTrust(r, p); !reflect.DeepEqual(got, want) {
				t.Fatalf("trust: got %+v, want %+v", got, want)
			}
		}
	})
}

func TestDocument_ContextKeys(t *testing.T) {
	t.Parallel()
	d := parse(t, "p", `{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username}/*","Condition":{"StringEquals":{"aws:SourceVpc":"${aws:PrincipalTag/Team, 'x'}"}}},
		{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ArnLike":{"aws:sourcevpc":"arn:aws:s3:::${*}${AWS:UserName}"},"Null":{"aws:TokenIssueTime":"true"}}}`)
	if got, want := d.ContextKeys(), []string{"aws:PrincipalTag/Team", "aws:SourceVpc", "aws:TokenIssueTime", "aws:username"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

func TestDocument_GrantsService(t *testing.T) {
	t.Parallel()
	for statement, want := range map[string]bool{
		`"Effect":"Allow","Action":"IAM:Get*"`:          true,
		`"Effect":"Allow","Action":"*"`:                 true,
		`"Effect":"Allow","Action":["s3:*","iam:GetX"]`: true,
		`"Effect":"Allow","Action":"s3:*"`:              false,
		`"Effect":"Allow","Action":"iamx:*"`:            false,
		`"Effect":"Deny","Action":"iam:*"`:              false,
		`"Effect":"Allow","NotAction":"s3:*"`:           true,
		`"Effect":"Allow","NotAction":"iam:GetUser"`:    true,
		`"Effect":"Allow","NotAction":"iam:*"`:          false,
		`"Effect":"Allow","NotAction":["s3:Get*","*"]`:  false,
	} {
		if got := parse(t, "p", `{`+statement+`,"Resource":"*"}`).GrantsService("iam"); got != want {
			t.Errorf("%s: %v", statement, got)
		}
	}
}
