package moattest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/pure/token"
	"moat/internal/saml/samltest"
	"moat/internal/wire"
)

// unsigned makes a call of STS that carries no signature.
func (m *Moat) unsigned(t *testing.T, action string, params ...string) (int, string) {
	t.Helper()
	v := url.Values{"Action": {action}, "Version": {"2011-06-15"}}
	for i := 0; i < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", m.loopback("/"), strings.NewReader(v.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Host = "sts.us-east-1.localhost"
	return do(t, req)
}

// An issuer elsewhere, known by the thumbprint of its certificate.
func TestSTS_foreignIssuer(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key, err := token.NewSigningKey("k1", private)
	if err != nil {
		t.Fatal(err)
	}
	var idp *httptest.Server
	idp = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_, _ = w.Write(token.JWKS(key.Key())) // a test
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": idp.URL, "jwks_uri": idp.URL + "/keys"}) // a test
	}))
	defer idp.Close()
	sum := sha1.Sum(idp.Certificate().Raw)
	for name, tt := range map[string]struct {
		thumbprint string
		status     int
		text       string
	}{
		"known":   {hex.EncodeToString(sum[:]), 200, "assumed-role/web/flow"},
		"unknown": {strings.Repeat("a", 40), 400, "OpenIDConnect provider&#39;s HTTPS certificate doesn&#39;t match configured thumbprint"},
	} {
		m := New(t)
		provider := element(m.must(t, "iam", "CreateOpenIDConnectProvider", "Url", idp.URL, "ClientIDList.member.1", "app", "ThumbprintList.member.1", tt.thumbprint), "OpenIDConnectProviderArn")
		host := strings.TrimPrefix(idp.URL, "https://")
		role := m.role(t, "web", `{"Effect":"Allow","Principal":{"Federated":"`+provider+`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"`+host+`:sub":"u1"}}}`)
		claim := func(sub string) string {
			now := m.Clock.Now().Unix()
			body, _ := json.Marshal(map[string]any{"iss": idp.URL, "aud": "app", "sub": sub, "iat": now, "exp": now + 60}) // plain values
			raw, err := token.Sign(key, body)
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		status, answer := m.unsigned(t, "AssumeRoleWithWebIdentity", "RoleArn", role, "RoleSessionName", "flow", "WebIdentityToken", claim("u1"))
		if status != tt.status || !strings.Contains(strings.ReplaceAll(answer, "'", "&#39;"), tt.text) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
		if status == 200 {
			status, answer = m.unsigned(t, "AssumeRoleWithWebIdentity", "RoleArn", role, "RoleSessionName", "flow", "WebIdentityToken", claim("u2"))
			if status != 403 || !strings.Contains(answer, "Not authorized to perform sts:AssumeRoleWithWebIdentity") {
				t.Errorf("another subject: %d %s", status, answer)
			}
		}
	}
}

// An assertion becomes a session of a role, by STS and by an identity pool.
func TestSTS_saml(t *testing.T) {
	t.Parallel()
	m := New(t)
	idp, err := samltest.New("https://idp.example/saml", m.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	provider := element(m.must(t, "iam", "CreateSAMLProvider", "Name", "corp", "SAMLMetadataDocument", idp.Metadata()), "SAMLProviderArn")
	role := m.role(t, "corp", `{"Effect":"Allow","Principal":{"Federated":"`+provider+`"},"Action":"sts:AssumeRoleWithSAML","Condition":{"StringEquals":{"saml:sub":"alice"}}}`, allows("ssm:GetParameter", "*"))
	says := func(subject, recipient string) string {
		now := m.Clock.Now()
		doc, err := idp.Build(samltest.Response{
			Issuer: idp.EntityID, Subject: subject, Format: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent", Audience: "urn:amazon:webservices", Recipient: recipient,
			Issued: now, NotBefore: now, NotOnOrAfter: now.Add(time.Minute), Confirmed: now.Add(time.Minute), Status: "urn:oasis:names:tc:SAML:2.0:status:Success", SignAssertion: true,
			Attributes: map[string][]string{"https://aws.amazon.com/SAML/Attributes/Role": {role + "," + provider}, "https://aws.amazon.com/SAML/Attributes/RoleSessionName": {"flow"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return samltest.Encode(doc)
	}
	const aws = "https://signin.aws.amazon.com/saml"
	for name, tt := range map[string]struct {
		assertion string
		status    int
		text      string
	}{
		"right":           {says("alice", aws), 200, "assumed-role/corp/flow"},
		"our own address": {says("alice", m.BaseURL()+"/saml"), 200, "assumed-role/corp/flow"},
		"another subject": {says("eve", aws), 403, "Not authorized to perform sts:AssumeRoleWithSAML"},
		"elsewhere":       {says("alice", "https://elsewhere.example/saml"), 400, "Response does not contain the required audience."},
	} {
		status, answer := m.unsigned(t, "AssumeRoleWithSAML", "RoleArn", role, "PrincipalArn", provider, "SAMLAssertion", tt.assertion)
		if status != tt.status || !strings.Contains(answer, tt.text) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
		if status != 200 {
			continue
		}
		key := sigv4.Credentials{AccessKeyID: element(answer, "AccessKeyId"), SecretAccessKey: element(answer, "SecretAccessKey"), SessionToken: element(answer, "SessionToken")}
		if status, answer := m.signed(t, key, "ssm", "POST", "/", `{"Name":"x"}`, "X-Amz-Target", "AmazonSSM.GetParameter", "Content-Type", "application/x-amz-json-1.1"); !strings.Contains(answer, "ParameterNotFound") {
			t.Errorf("%s, allowed: %d %s", name, status, answer)
		}
		if status, answer := m.signed(t, key, "ssm", "POST", "/", `{"Name":"x"}`, "X-Amz-Target", "AmazonSSM.DeleteParameter", "Content-Type", "application/x-amz-json-1.1"); !strings.Contains(answer, "AccessDeniedException") {
			t.Errorf("%s, not allowed: %d %s", name, status, answer)
		}
	}
	var pool struct{ IdentityPoolId string }
	_, answer := m.signed(t, rootKey(), "cognito-identity", "POST", "/", `{"IdentityPoolName":"p","AllowUnauthenticatedIdentities":false,"SamlProviderARNs":["`+provider+`"]}`, "X-Amz-Target", "AWSCognitoIdentityService.CreateIdentityPool", "Content-Type", "application/x-amz-json-1.1")
	if err := json.Unmarshal([]byte(answer), &pool); err != nil || pool.IdentityPoolId == "" {
		t.Fatal(answer)
	}
	for recipient, want := range map[string]string{aws: "IdentityId", "https://elsewhere.example": "NotAuthorizedException"} {
		body, _ := json.Marshal(map[string]any{"IdentityPoolId": pool.IdentityPoolId, "Logins": map[string]string{provider: says("alice", recipient)}}) // plain values
		if _, answer := m.signed(t, rootKey(), "cognito-identity", "POST", "/", string(body), "X-Amz-Target", "AWSCognitoIdentityService.GetId", "Content-Type", "application/x-amz-json-1.1"); !strings.Contains(answer, want) {
			t.Errorf("identity pool, %s: %s", recipient, answer)
		}
	}
}

// What a refusal hides from its caller, somebody who may can read.
func TestSTS_refusalDecoded(t *testing.T) {
	t.Parallel()
	m := New(t)
	bob := m.user(t, "bob", allows("iam:GetUser", "*"))
	req, err := http.NewRequestWithContext(t.Context(), "POST", m.loopback("/"), strings.NewReader("Action=ListUsers&Version=2010-05-08"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r := sigv4.Request{Method: "POST", Path: "/", Host: req.URL.Host, Header: req.Header}
	sigv4.Sign(&r, sigv4.HashOf([]byte("Action=ListUsers&Version=2010-05-08")), bob, "us-east-1", "iam", m.Clock.Now())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // nothing was written
	message := res.Header.Get(wire.MessageHeader)
	if res.StatusCode != 403 || message == "" {
		t.Fatalf("%d, message %q", res.StatusCode, message)
	}
	if text := element(m.must(t, "sts", "DecodeAuthorizationMessage", "EncodedMessage", message), "DecodedMessage"); !strings.Contains(text, `"action":"iam:ListUsers"`) || !strings.Contains(text, `"allowed":false`) {
		t.Error(text)
	}
	if status, answer := m.form(t, bob, "sts", "DecodeAuthorizationMessage", "EncodedMessage", message); status != 403 {
		t.Errorf("who may not: %d %s", status, answer)
	}
}
