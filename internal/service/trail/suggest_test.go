package trail

import (
	"testing"

	"moat/internal/pure/policy"
)

// What a call named with a wildcard allows that call again, and no other.
func TestDocument_literalWildcards(t *testing.T) {
	t.Parallel()
	const prefix = "arn:aws:ssm:us-east-1:000000000000:parameter/"
	for asked, other := range map[string]string{"*": "secret", "a?": "ab", "$x": "y"} {
		raw := document([]Need{{Action: "ssm:GetParameter", Resource: literal(prefix + asked)}})
		doc, err := policy.Parse("suggested", raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		may := func(name string) bool {
			return policy.Evaluate(&policy.Request{
				Principal: policy.Principal{Kind: policy.PrincipalUser, ARN: "arn:aws:iam::000000000000:user/u", Account: "000000000000", ID: "AIDAAAAAAAAAAAAAAAAAA"},
				Action:    "ssm:GetParameter", Resource: prefix + name, Account: "000000000000",
			}, &policy.Policies{Identity: []*policy.Document{doc}}).Allowed
		}
		if !may(asked) || may(other) {
			t.Errorf("%s: allows itself %v, another %v", raw, may(asked), may(other))
		}
	}
}
