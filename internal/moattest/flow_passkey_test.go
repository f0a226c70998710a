package moattest

import (
	"strings"
	"testing"
)

// A template that requires MFA and lets passkeys in says with what they are worth in time: MFA waits for it.
func TestFlow_stackPasskeys(t *testing.T) {
	t.Parallel()
	m := New(t)
	role := m.role(t, "texts", trusts("cognito-idp.amazonaws.com"))
	pool := func(worth string) string {
		return `{"Resources":{"Pool":{"Type":"AWS::Cognito::UserPool","Properties":{"MfaConfiguration":"ON","SmsConfiguration":{"ExternalId":"x","SnsCallerArn":"` + role + `"},
			"Policies":{"SignInPolicy":{"AllowedFirstAuthFactors":["PASSWORD","WEB_AUTHN"]}},
			"WebAuthnRelyingPartyID":"example.com","WebAuthnUserVerification":"required","WebAuthnFactorConfiguration":"` + worth + `"}}},
			"Outputs":{"Pool":{"Value":{"Ref":"Pool"}}}}`
	}
	m.must(t, "cloudformation", "CreateStack", "StackName", "both", "TemplateBody", pool("MULTI_FACTOR_WITH_USER_VERIFICATION"))
	if status, why := m.stackStatus(t, "both"); status != "CREATE_COMPLETE" {
		t.Fatalf("worth both factors: %s %s", status, why)
	}
	m.must(t, "cloudformation", "CreateStack", "StackName", "one", "TemplateBody", pool("SINGLE_FACTOR"))
	if status, why := m.stackStatus(t, "one"); status != "ROLLBACK_COMPLETE" || !strings.Contains(why, "SINGLE_FACTOR if MFA is required") {
		t.Errorf("worth one factor: %s %s", status, why)
	}
	m.must(t, "cloudformation", "UpdateStack", "StackName", "both", "TemplateBody", strings.Replace(pool("MULTI_FACTOR_WITH_USER_VERIFICATION"), `"ON"`, `"OPTIONAL"`, 1))
	if status, why := m.stackStatus(t, "both"); status != "UPDATE_COMPLETE" {
		t.Errorf("changed: %s %s", status, why)
	}
}
