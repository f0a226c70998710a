package policy

import (
	"strings"
	"testing"
)

const (
	badSyntax = "Syntax errors in policy."
	badLegacy = "The policy failed legacy parsing"
	badVendor = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
	badPath   = `IAM resource path must either be "*", root, or start with user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/.`
)

// What IAM says of identity-based policies, one mistake after the other; an
// empty sentence is a document that it takes.
func TestValidate_identity(t *testing.T) {
	t.Parallel()
	const ok = `"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b"`
	for _, tt := range []struct{ statements, want string }{
		{`{` + ok + `}`, ""},
		{`[{` + ok + `},{"Effect":"Deny","NotAction":"iam:*","NotResource":"*"}]`, ""},
		{`[]`, badSyntax},
		{`["x"]`, badSyntax},
		{`{` + ok + `,"Extra":"x"}`, badSyntax},
		{`{` + ok + `,"Sid":{}}`, badSyntax},
		{`{` + ok + `,"Effect":"Deny"}`, badSyntax},
		{`{"Action":"s3:*","Resource":"*"}`, badSyntax},
		{`{"Effect":"Maybe","Action":"s3:*","Resource":"*"}`, badSyntax},
		{`{"Effect":"allow","Action":"s3:*","Resource":"*"}`, badLegacy},
		{`{"Effect":"Allow","Action":"s3:*","NotAction":[],"Resource":"*"}`, badSyntax},
		{`{"Effect":"Allow","Action":"s3:*","Resource":"*","NotResource":"*"}`, badSyntax},
		{`{"Effect":"Allow","Action":[["s3:*"]],"Resource":"*"}`, badSyntax},
		{`{"Effect":"Allow","Action":"s3:*","Resource":["*",{}]}`, badSyntax},
		{`{"Effect":"Allow"}`, "Policy statement must contain actions."},
		{`{"Effect":"Allow","Action":[],"Resource":"*"}`, "Policy statement must contain actions."},
		{`{"Effect":"Allow","Action":"bad"}`, "Policy statement must contain resources."},
		{`{"Effect":"Allow","Action":"s3:*","Resource":[]}`, "Policy statement must contain resources."},
		{`{` + ok + `,"Principal":"*"}`, "Policy document should not specify a principal."},
		{`{` + ok + `,"NotPrincipal":{"AWS":"*"}}`, "Policy document should not specify a principal."},
		{`{"Effect":"Allow","Action":"bad","Resource":"*"}`, badVendor},
		{`{"Effect":"Allow","NotAction":"","Resource":"*"}`, badVendor},
		{`{"Effect":"Allow","Action":"s3:","Resource":"*"}`, badVendor},
		{`{"Effect":"Allow","Action":"a b:x","Resource":"*"}`, "Vendor a b is not valid"},
		{`{"Effect":"Allow","Action":"s3:Get:Object","Resource":"*"}`, "Actions/Condition can contain only one colon."},
		{`{"Effect":"Allow","Action":"s3.x-y:Get","Resource":"*"}`, ""},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"bucket"}`, `Resource bucket must be in ARN format or "*".`},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":""}`, `Resource  must be in ARN format or "*".`},
		{`{"Effect":"Allow","Action":"bad","Resource":"bucket"}`, `Resource bucket must be in ARN format or "*".`},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"arn:red:s3:::b"}`, `Partition "red" is not valid for resource "arn:red:s3:::b".`},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"a:red"}`, `Partition "red" is not valid for resource "arn:red:*:*:*:*".`},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"a:red:x:y"}`, `Partition "red" is not valid for resource "arn:red:x:y:*:*".`},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"arn:aws"}`, "Resource vendor must be fully qualified and cannot contain regexes."},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"arn:aws:sqs"}`, ""},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"arn:aws:s3::b"}`, badLegacy},
		{`{"Effect":"Allow","Action":"s3:Get","NotResource":"arn:aws:s3::b"}`, badLegacy},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"arn:aws::::b"}`, badLegacy},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"arn:aws:s3:eu-west-1::b"}`, "Resource arn:aws:s3:eu-west-1::b can not contain region information."},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"arn:aws:s3:eu-west-1:123456789012:accesspoint/a"}`, ""},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"arn:aws:iam:eu-west-1::user/u"}`, "IAM resource arn:aws:iam:eu-west-1::user/u cannot contain region information."},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"arn:aws:iam:::u"}`, badPath},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"arn:aws:iam::123456789012:role/r"}`, ""},
		{`{"Effect":"Allow","Action":"s3:Get","Resource":"arn:aws:iam::123456789012:*"}`, ""},
		{`{` + ok + `,"Condition":[]}`, badSyntax},
		{`{` + ok + `,"Condition":{}}`, ""},
		{`{` + ok + `,"Condition":{"a":"b"}}`, badSyntax},
		{`{` + ok + `,"Condition":{"a":{}}}`, ""},
		{`{` + ok + `,"Condition":{"a":{"b":"c"}}}`, badSyntax},
		{`{` + ok + `,"Condition":{"ForAnyValue::StringEquals":{"b":"c"}}}`, badSyntax},
		{`{` + ok + `,"Condition":{"ForAnyValue:StringEqualsIfExists":{"b":"c"}}}`, ""},
		{`{` + ok + `,"Condition":{"NullIfExists":{"b":"true"}}}`, badSyntax},
		{`{` + ok + `,"Condition":{"StringEquals":{"b":{}}}}`, badSyntax},
		{`{` + ok + `,"Condition":{"StringEquals":{"b":[]}}}`, ""},
		{`{` + ok + `,"Condition":{"DateLessThan":{"aws:CurrentTime":"soon"}}}`, badLegacy},
		{`{"Effect":"Allow","Resource":"arn:red:s3:::b","Condition":{"DateLessThan":{"aws:CurrentTime":"soon"}}}`, badLegacy},
		{`{` + ok + `,"Condition":{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}}`, ""},
		{`[{` + ok + `,"Sid":"A"},{"Sid":"A","Effect":"Allow"}]`, "Statement IDs (SID) in a single policy must be unique."},
		{`[{` + ok + `,"Sid":""},{` + ok + `,"Sid":""}]`, ""},
		{`{` + ok + `,"Sid":"a b"}`, "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"},
	} {
		doc := []byte(`{"Version":"2012-10-17","Statement":` + tt.statements + `}`)
		if got := text(Validate(IdentityPolicy, doc)); got != tt.want {
			t.Errorf("%s\n got %q\nwant %q", tt.statements, got, tt.want)
		}
	}
	for doc, want := range map[string]string{
		`no json`: badSyntax,
		`{"Version":"2013-01-01","Statement":{` + ok + `}}`:               badSyntax,
		`{"Version":"2012-10-17"}`:                                        badSyntax,
		`{"Version":"2012-10-17","Id":[],"Statement":{` + ok + `}}`:       badSyntax,
		`{"Version":"2012-10-17","More":"x","Statement":{` + ok + `}}`:    badSyntax,
		`{"Version":"2012-10-17","Id":"any id","Statement":{` + ok + `}}`: "",
		`{"Version":"2008-10-17","Statement":{` + ok + `}}`:               "",
		`{"Statement":[{` + ok + `}]}`:                                    "",
	} {
		if got := text(Validate(IdentityPolicy, []byte(doc))); got != want {
			t.Errorf("%s\n got %q\nwant %q", doc, got, want)
		}
	}
}

func TestValidate_trust(t *testing.T) {
	t.Parallel()
	const who, act = `"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"}`, `"Action":"sts:AssumeRole"`
	const onlySTS = "AssumeRole policy may only specify STS AssumeRole actions."
	for _, tt := range []struct{ statements, want string }{
		{`{` + who + `,` + act + `}`, ""},
		{`{` + who + `,"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}`, ""},
		{`{"Effect":"Allow","Principal":{"AWS":["*","123456789012"],"Federated":"accounts.google.com"},"Action":"sts:*"}`, ""},
		{`{"Effect":"Deny","Principal":{"AWS":"*"},"NotAction":"sts:AssumeRole"}`, ""},
		{`[]`, "Could not parse the policy: Statement is empty!"},
		{`{` + who + `,` + act + `,"Comment":"x"}`, "Unknown field Comment"},
		{`{"Principal":{"AWS":"*"},` + act + `}`, "Missing required field Effect"},
		{`{"Effect":"Maybe","Principal":{"AWS":"*"},` + act + `}`, "Invalid effect: Maybe"},
		{`{"Effect":"Allow",` + act + `}`, "Missing required field Principal"},
		{`{"Effect":"Allow","Principal":{},` + act + `}`, "Missing required field Principal cannot be empty!"},
		{`{"Effect":"Allow","Principal":"*",` + act + `}`, `AssumeRolepolicy contained an invalid principal: "STAR":"*".`},
		{`{"Effect":"Allow","Principal":"me",` + act + `}`, "Principal must be a JSON object."},
		{`{"Effect":"Allow","Principal":["*"],` + act + `}`, "Syntax error in policy."},
		{`{"Effect":"Allow","Principal":{"CanonicalUser":"abc"},` + act + `}`, `Invalid principal in policy: "CanonicalUser"`},
		{`{"Effect":"Allow","Principal":{"Service":"lambda"},` + act + `}`, `Invalid principal in policy: "SERVICE":"lambda"`},
		{`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/*"},` + act + `}`, `Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:user/*"`},
		{`{"Effect":"Allow","NotPrincipal":{"AWS":"*"},` + act + `}`, "Allow with NotPrincipal is not allowed."},
		{`{"Effect":"Deny","NotPrincipal":{"AWS":"*"},` + act + `}`, "AssumeRole policy must not contain NotPrincipal field."},
		{`{` + who + `}`, "Missing required field Action"},
		{`{` + who + `,"Action":[]}`, "Missing required field Action"},
		{`{` + who + `,"Action":"*"}`, onlySTS},
		{`{` + who + `,"Action":["sts:AssumeRole","s3:GetObject"]}`, onlySTS},
		{`{` + who + `,"NotAction":"s3:GetObject"}`, onlySTS},
		{`{` + who + `,"Action":"sts:AssumeRole","NotAction":"sts:TagSession"}`, "Syntax error in policy."},
		{`{` + who + `,` + act + `,"Resource":"*"}`, "Has prohibited field Resource"},
		{`{` + who + `,` + act + `,"NotResource":"*"}`, "AssumeRole policy must not contain resources."},
		{`{` + who + `,` + act + `,"Condition":"x"}`, "Syntax error in policy."},
		{`{` + who + `,` + act + `,"Condition":{"StringEqual":{"a:b":"c"}}}`, "Syntax error in policy."},
		{`{` + who + `,` + act + `,"Condition":{"StringEquals":{"sts:ExternalId":"c"}}}`, ""},
		{`[{"Sid":"A",` + who + `,` + act + `},{"Sid":"A",` + who + `,` + act + `}]`, "The Statement Ids in the policy are not unique"},
	} {
		doc := []byte(`{"Version":"2012-10-17","Statement":` + tt.statements + `}`)
		if got := text(Validate(TrustPolicy, doc)); got != tt.want {
			t.Errorf("%s\n got %q\nwant %q", tt.statements, got, tt.want)
		}
	}
	for doc, want := range map[string]string{
		`{"Version":"2012-10-17",}`: "This policy contains invalid Json",
		`[]`:                        "This policy contains invalid Json",
		`{"Version":"2012-10-17"}`:  "Could not parse the policy: Statement is empty!",
		`{"Version":"2020-01-01","Statement":{` + who + `,` + act + `}}`: "The policy must contain a valid version string",
		`{"statement":{` + who + `,` + act + `}}`:                        "Unknown field statement",
	} {
		if got := text(Validate(TrustPolicy, []byte(doc))); got != want {
			t.Errorf("%s\n got %q\nwant %q", doc, got, want)
		}
	}
}

func TestValidate_resource(t *testing.T) {
	t.Parallel()
	for statements, want := range map[string]string{
		`{"Sid":"a b","Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`: "",
		allowAll: "Missing required field Principal",
	} {
		if got := text(parse(t, "p", statements).Check(ResourcePolicy)); got != want {
			t.Errorf("%s: %q", statements, got)
		}
	}
}

// What Validate takes, Parse takes; what Parse refuses, Validate refuses.
func FuzzValidate(f *testing.F) {
	for _, s := range []string{allowAll, resourceAllow(`"*"`), `{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}`,
		`{"Effect":"Deny","NotAction":"a:b","NotResource":"arn:aws:s","Condition":{"x":{},"DateEquals":{"a":[]},"Null":{"a":"true"}}}`} {
		f.Add(`{"Version":"2012-10-17","Statement":` + s + `}`)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		d, err := Parse("p", []byte(doc))
		for _, use := range []Use{IdentityPolicy, TrustPolicy, ResourcePolicy} {
			switch bad := Validate(use, []byte(doc)); {
			case bad == nil && err != nil:
				t.Fatalf("taken for %d, but %v: %q", use, err, doc)
			case bad != nil && strings.TrimSpace(bad.Error()) == "":
				t.Fatalf("no sentence: %q", doc)
			case err == nil && (bad == nil) != (d.Check(use) == nil):
				t.Fatalf("Check differs: %q", doc)
			}
		}
	})
}
