package moattest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"moat/internal/server"
	"moat/internal/service/stack"
)

// The tokens of a pool that signs under ES256 count wherever those of other pools do: at the
// gateway, in an identity pool, at STS; altered ones count nowhere.
func TestTokens_ES256(t *testing.T) {
	t.Parallel()
	m := New(t, func(c *server.Config) { c.BaseURL = "https://moat.example" })
	template := strings.Replace(school, "      UsernameAttributes: [email]\n", "      UsernameAttributes: [email]\n      UserPoolTags: {\"moat:signing-algorithm\": ES256}\n", 1)
	res, err := m.Deploy(t.Context(), stack.DeployInput{Name: "school", Template: []byte(template)})
	if err != nil {
		t.Fatal(err)
	}
	out := res.Outputs
	m.cognito(t, "AdminCreateUser", true, map[string]any{"UserPoolId": out["Pool"], "Username": "ada@example.com", "MessageAction": "SUPPRESS"}, nil)
	m.cognito(t, "AdminSetUserPassword", true, map[string]any{"UserPoolId": out["Pool"], "Username": "ada@example.com", "Password": "Analytical-Engine-1", "Permanent": true}, nil)
	var in signedIn
	auth := map[string]any{"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": out["Client"], "AuthParameters": map[string]string{"USERNAME": "ada@example.com", "PASSWORD": "Analytical-Engine-1"}}
	if status := m.cognito(t, "InitiateAuth", false, auth, &in); status != 200 {
		t.Fatalf("InitiateAuth: %d %s", status, in.Message)
	}
	right := in.AuthenticationResult.IdToken
	if !strings.HasPrefix(right, "eyJ") || len(right)-strings.LastIndexByte(right, '.')-1 != 86 {
		t.Fatalf("the signature of ES256 has 64 bytes: %s", right)
	}
	dot := strings.LastIndexByte(right, '.')
	wrong := map[string]string{
		"no signature":        right[:dot+1],
		"another signature":   right[:dot+1] + strings.Repeat("A", 86),
		"half a signature":    right[:dot+44],
		"of the access token": right[:dot+1] + in.AuthenticationResult.AccessToken[strings.LastIndexByte(in.AuthenticationResult.AccessToken, '.')+1:],
	}

	api := res.Outputs["Url"]
	api = "http://" + m.Addr() + strings.TrimPrefix(api, "https://moat.example")
	if strings.Contains(api, "execute-api") {
		t.Fatalf("got %s", api)
	}
	if status, body := m.courses(t, api, right); status != http.StatusOK {
		t.Errorf("gateway: %d %s", status, body)
	}
	provider := "cognito-idp.us-east-1.amazonaws.com/" + out["Pool"]
	_, answer := m.signed(t, rootKey(), "cognito-identity", http.MethodPost, "/",
		`{"IdentityPoolName":"people","AllowUnauthenticatedIdentities":false,"CognitoIdentityProviders":[{"ProviderName":"`+provider+`","ClientId":"`+out["Client"]+`"}]}`,
		"X-Amz-Target", "AWSCognitoIdentityService.CreateIdentityPool", "Content-Type", "application/x-amz-json-1.1")
	var identities struct{ IdentityPoolId string }
	if err := json.Unmarshal([]byte(answer), &identities); err != nil || identities.IdentityPoolId == "" {
		t.Fatalf("%v %s", err, answer)
	}
	getID := func(raw string) (int, string) {
		return m.signed(t, rootKey(), "cognito-identity", http.MethodPost, "/", `{"IdentityPoolId":"`+identities.IdentityPoolId+`","Logins":{"`+provider+`":"`+raw+`"}}`,
			"X-Amz-Target", "AWSCognitoIdentityService.GetId", "Content-Type", "application/x-amz-json-1.1")
	}
	if status, body := getID(right); status != http.StatusOK {
		t.Errorf("identity pool: %d %s", status, body)
	}
	issuer := "moat.example/" + out["Pool"]
	oidc := element(m.must(t, "iam", "CreateOpenIDConnectProvider", "Url", "https://"+issuer, "ClientIDList.member.1", out["Client"], "ThumbprintList.member.1", strings.Repeat("a", 40)), "OpenIDConnectProviderArn")
	role := m.role(t, "web", `{"Effect":"Allow","Principal":{"Federated":"`+oidc+`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"`+issuer+`:aud":"`+out["Client"]+`"}}}`)
	assume := func(raw string) (int, string) {
		return m.unsigned(t, "AssumeRoleWithWebIdentity", "RoleArn", role, "RoleSessionName", "flow", "WebIdentityToken", raw)
	}
	if status, body := assume(right); status != http.StatusOK {
		t.Errorf("STS: %d %s", status, body)
	}
	for name, raw := range wrong {
		if status, body := m.courses(t, api, raw); status != http.StatusUnauthorized {
			t.Errorf("gateway, %s: %d %s", name, status, body)
		}
		if status, body := getID(raw); status != http.StatusBadRequest {
			t.Errorf("identity pool, %s: %d %s", name, status, body)
		}
		if status, body := assume(raw); status != http.StatusBadRequest {
			t.Errorf("STS, %s: %d %s", name, status, body)
		}
	}
}
