package moattest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/service/stack"
)

const school = `
AWSTemplateFormatVersion: "2010-09-09"
Resources:
  Pool:
    Type: AWS::Cognito::UserPool
    Properties:
      UsernameAttributes: [email]
      Policies: {PasswordPolicy: {MinimumLength: 12, RequireUppercase: true, RequireLowercase: false, RequireNumbers: true, RequireSymbols: false}}
  Client:
    Type: AWS::Cognito::UserPoolClient
    Properties:
      UserPoolId: !Ref Pool
      ExplicitAuthFlows: [ALLOW_USER_PASSWORD_AUTH, ALLOW_REFRESH_TOKEN_AUTH]
  Api:
    Type: AWS::ApiGateway::RestApi
    Properties:
      Body:
        openapi: 3.0.1
        info: {title: school, version: "1"}
        components:
          securitySchemes:
            Pool:
              type: apiKey
              in: header
              name: Authorization
              x-amazon-apigateway-authtype: cognito_user_pools
              x-amazon-apigateway-authorizer: {type: cognito_user_pools, providerARNs: [!GetAtt Pool.Arn]}
        paths:
          /courses:
            get:
              security: [{Pool: []}]
              responses: {"200": {description: ok}}
              x-amazon-apigateway-integration:
                type: mock
                requestTemplates: {application/json: '{"statusCode": 200}'}
                responses: {default: {statusCode: "200"}}
  Deployment:
    Type: AWS::ApiGateway::Deployment
    Properties: {RestApiId: !Ref Api}
  Stage:
    Type: AWS::ApiGateway::Stage
    Properties: {RestApiId: !Ref Api, DeploymentId: !Ref Deployment, StageName: v1}
Outputs:
  Pool: {Value: !Ref Pool}
  Client: {Value: !Ref Client}
  Url: {Value: !Sub "https://${Api}.execute-api.${AWS::Region}.amazonaws.com/v1"}
`

// cognito makes a call of the user directory, signed as root where it must be.
func (m *Moat) cognito(t *testing.T, op string, signed bool, in, out any) int {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.loopback("/"), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService."+op)
	if signed {
		r := sigv4.Request{Method: req.Method, Path: "/", Host: req.URL.Host, Header: req.Header}
		sum := sha256.Sum256(body)
		sigv4.Sign(&r, hex.EncodeToString(sum[:]), sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, "us-east-1", "cognito-idp", m.Clock.Now())
	}
	status, answer := do(t, req)
	if out != nil {
		if err := json.Unmarshal([]byte(answer), out); err != nil {
			t.Fatalf("%s: %d %s", op, status, answer)
		}
	}
	return status
}

func do(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (m *Moat) courses(t *testing.T, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(url, "localhost", "127.0.0.1", 1)+"/courses", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	return do(t, req)
}

type signedIn struct {
	AuthenticationResult struct{ IdToken, AccessToken, RefreshToken string }
	Message              string `json:"message"`
}

// A genuine token is let in until it expires and not a moment longer, also when the gateway
// remembers it; what refreshes it is refused once it was revoked.
func TestTokens_EndWithTheClock(t *testing.T) {
	t.Parallel()
	m := New(t)
	res, err := m.Deploy(t.Context(), stack.DeployInput{Name: "school", Template: []byte(school)})
	if err != nil {
		t.Fatal(err)
	}
	out := res.Outputs
	user := map[string]any{"UserPoolId": out["Pool"], "Username": "ada@example.com"}
	if status := m.cognito(t, "AdminCreateUser", true, map[string]any{"UserPoolId": out["Pool"], "Username": "ada@example.com", "MessageAction": "SUPPRESS"}, nil); status != 200 {
		t.Fatalf("AdminCreateUser: %d", status)
	}
	if status := m.cognito(t, "AdminCreateUser", false, user, nil); status == 200 {
		t.Fatal("a user was created without a signature")
	}
	user["Password"], user["Permanent"] = "Analytical-Engine-1", true
	if status := m.cognito(t, "AdminSetUserPassword", true, user, nil); status != 200 {
		t.Fatalf("AdminSetUserPassword: %d", status)
	}
	var in signedIn
	auth := map[string]any{"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": out["Client"], "AuthParameters": map[string]string{"USERNAME": "ada@example.com", "PASSWORD": "Analytical-Engine-1"}}
	if status := m.cognito(t, "InitiateAuth", false, auth, &in); status != 200 {
		t.Fatalf("InitiateAuth: %d %s", status, in.Message)
	}
	tokens := in.AuthenticationResult
	for _, c := range []struct {
		name    string
		token   string
		advance time.Duration
		status  int
		body    string
	}{
		{"an ID token", tokens.IdToken, 0, 200, ""},
		{"the same, remembered", "Bearer " + tokens.IdToken, 0, 200, ""},
		{"an access token", tokens.AccessToken, 0, 401, `{"message":"Unauthorized"}`},
		{"a moment before it ends", tokens.IdToken, time.Hour - time.Second, 200, ""},
		{"a moment after", tokens.IdToken, 2 * time.Second, 401, `{"message":"The incoming token has expired"}`},
	} {
		m.Clock.Advance(c.advance)
		status, body := m.courses(t, out["Url"], c.token)
		if status != c.status || c.body != "" && body != c.body {
			t.Errorf("%s: got %d %s, want %d %s", c.name, status, body, c.status, c.body)
		}
	}
	refresh := map[string]any{"AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": out["Client"], "AuthParameters": map[string]string{"REFRESH_TOKEN": tokens.RefreshToken}}
	if status := m.cognito(t, "InitiateAuth", false, refresh, &in); status != 200 {
		t.Fatalf("refresh: %d %s", status, in.Message)
	}
	if status, body := m.courses(t, out["Url"], in.AuthenticationResult.IdToken); status != 200 {
		t.Errorf("a refreshed token: %d %s", status, body)
	}
	if status := m.cognito(t, "RevokeToken", false, map[string]any{"ClientId": out["Client"], "Token": tokens.RefreshToken}, nil); status != 200 {
		t.Fatalf("RevokeToken: %d", status)
	}
	if status := m.cognito(t, "InitiateAuth", false, refresh, &in); status != 400 || in.Message != "Refresh Token has been revoked" {
		t.Errorf("a revoked refresh token: %d %s", status, in.Message)
	}
}

// path is the path of a URL on the public address, which nodes share and nobody listens at.
func path(url string) string { return strings.TrimPrefix(url, "http://localhost:4566") }
