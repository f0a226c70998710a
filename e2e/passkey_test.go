package e2e

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

// TestPasskeys registers and uses passkeys in Chromium, with an authenticator that it
// simulates.
func TestPasskeys(t *testing.T) {
	t.Parallel()
	chromium := tool(t, "chromium", "chromium-browser", "google-chrome")
	s := start(t, []string{"dev", "--json", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "testdata/passkeys/template.yaml"})
	out := s.ready.Stacks[0].Outputs
	c := &courses{server: s, pool: out["Pool"], publicClient: out["Client"]}
	users := idp.NewFromConfig(c.config(rootCredentials))
	const password = "Correct-Horse-7-Battery"
	for _, name := range []string{"ann", "bob"} {
		if _, err := users.AdminCreateUser(t.Context(), &idp.AdminCreateUserInput{UserPoolId: &c.pool, Username: &name, MessageAction: types.MessageActionTypeSuppress}); err != nil {
			t.Fatal(err)
		}
		if _, err := users.AdminSetUserPassword(t.Context(), &idp.AdminSetUserPasswordInput{UserPoolId: &c.pool, Username: &name, Password: aws.String(password), Permanent: true}); err != nil {
			t.Fatal(err)
		}
	}
	r := runScript(t, c, "passkey.mjs", map[string]string{"chromium": chromium, "password": password})
	r.ok(t, "password", nil)
	r.ok(t, "register", map[string]string{"party": "localhost", "verification": "required"})
	r.ok(t, "list", map[string]string{"RelyingPartyId": "localhost", "AuthenticatorAttachment": "platform"})
	r.refused(t, "register again", "Error", "InvalidStateError") // excludeCredentials
	r.ok(t, "sign in", nil)
	r.ok(t, "sign in again", nil)
	const wrong = "NotAuthorizedException: Incorrect username or password."
	r.refused(t, "replayed", "Error", wrong)
	r.refused(t, "not verified", "Error", wrong)
	r.ok(t, "bob registers", nil)
	r.ok(t, "bob signs in", nil)
	r.refused(t, "bob as ann", "Error", wrong)
	r.refused(t, "other origin", "Error", "SecurityError")
	r.ok(t, "delete", nil)
	r.ok(t, "after that", map[string]string{"challenge": "SELECT_CHALLENGE"})
}
