package moattest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/pure/token"
	"moat/internal/saml/samltest"
	"moat/internal/server"
)

// foreigner is an OpenID Connect issuer elsewhere, over https with a certificate that no
// authority vouches for.
type foreigner struct {
	*httptest.Server
	key *token.SigningKey
}

func newForeigner(t *testing.T) *foreigner {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	f := &foreigner{}
	if f.key, err = token.NewSigningKey("k1", private); err != nil {
		t.Fatal(err)
	}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_, _ = w.Write(token.JWKS(f.key.Key())) // a test
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": f.URL, "jwks_uri": f.URL + "/keys"}) // a test
	}))
	f.TLS = &tls.Config{Certificates: []tls.Certificate{selfSigned(t, private)}}
	f.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are to fail
	f.StartTLS()
	f.URL = strings.Replace(f.URL, "127.0.0.1", "localhost", 1)
	t.Cleanup(f.Close)
	return f
}

// selfSigned is a certificate of localhost.
func selfSigned(t *testing.T, key *rsa.PrivateKey) tls.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: Start().AddDate(-20, 0, 0), NotAfter: Start().AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (f *foreigner) name() string { return strings.TrimPrefix(f.URL, "https://") }

func (f *foreigner) thumbprint() string {
	sum := sha1.Sum(f.TLS.Certificates[0].Certificate[0])
	return hex.EncodeToString(sum[:])
}

func (f *foreigner) token(t *testing.T, m operator, change map[string]any) string {
	t.Helper()
	now := m.Clock.Now().Unix()
	claims := map[string]any{"iss": f.URL, "aud": "app", "sub": "ann", "iat": now, "exp": now + 600}
	maps.Copy(claims, change)
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := token.Sign(f.key, body)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// operator is somebody who may do everything on a Moat.
type operator struct {
	*Moat
	keys sigv4.Credentials
}

func newOperator(t *testing.T, dev bool) operator {
	t.Helper()
	m := New(t, func(c *server.Config) { c.Dev = dev })
	if dev {
		return operator{m, sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}}
	}
	id, secret, _, err := m.Administrator(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return operator{m, sigv4.Credentials{AccessKeyID: id, SecretAccessKey: secret}}
}

// signedCall makes a call signed with the operator's key.
func (m operator) signedCall(t *testing.T, service, contentType, target, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.loopback("/"), bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if target != "" {
		req.Header.Set("X-Amz-Target", target)
	}
	r := sigv4.Request{Method: req.Method, Path: "/", Host: req.URL.Host, Header: req.Header}
	sum := sha256.Sum256([]byte(body))
	sigv4.Sign(&r, hex.EncodeToString(sum[:]), m.keys, "us-east-1", service, m.Clock.Now())
	return do(t, req)
}

func (m operator) iam(t *testing.T, action string, params url.Values) string {
	t.Helper()
	params.Set("Action", action)
	params.Set("Version", "2010-05-08")
	status, answer := m.signedCall(t, "iam", "application/x-www-form-urlencoded", "", params.Encode())
	if status != 200 {
		t.Fatalf("%s: %d %s", action, status, answer)
	}
	return answer
}

func (m operator) identity(t *testing.T, op string, in any) (int, map[string]any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	status, answer := m.signedCall(t, "cognito-identity", "application/x-amz-json-1.1", "AWSCognitoIdentityService."+op, string(body))
	out := map[string]any{}
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		t.Fatalf("%s: %d %s", op, status, answer)
	}
	return status, out
}

// poolFor makes an identity pool that takes the sign-ins of an issuer, by its account's provider.
func (m operator) poolFor(t *testing.T, issuer, thumbprint string) string {
	t.Helper()
	m.iam(t, "CreateOpenIDConnectProvider", url.Values{"Url": {issuer}, "ClientIDList.member.1": {"app"}, "ThumbprintList.member.1": {thumbprint}})
	_, pool := m.identity(t, "CreateIdentityPool", map[string]any{"IdentityPoolName": "people", "AllowUnauthenticatedIdentities": false,
		"OpenIdConnectProviderARNs": []string{"arn:aws:iam::000000000000:oidc-provider/" + strings.TrimPrefix(issuer, "https://")}})
	id, _ := pool["IdentityPoolId"].(string)
	if id == "" {
		t.Fatalf("no pool: %v", pool)
	}
	return id
}

// The tokens of an issuer elsewhere sign in where the account has it for a provider, by the keys
// that it publishes over https under the certificate that the provider names.
func TestFederation_OpenIDConnect(t *testing.T) {
	t.Parallel()
	m, f := newOperator(t, true), newForeigner(t)
	pool := m.poolFor(t, f.URL, f.thumbprint())
	getID := func(name, raw string) (int, map[string]any) {
		return m.identity(t, "GetId", map[string]any{"IdentityPoolId": pool, "Logins": map[string]string{name: raw}})
	}
	status, out := getID(f.name(), f.token(t, m, nil))
	if id, _ := out["IdentityId"].(string); status != 200 || id == "" {
		t.Fatalf("%d %v", status, out)
	}
	other := newForeigner(t)
	for name, tt := range map[string]struct{ provider, token string }{
		"another client":         {f.name(), f.token(t, m, map[string]any{"aud": "other"})},
		"expired":                {f.name(), f.token(t, m, map[string]any{"exp": m.Clock.Now().Unix()})},
		"an issuer not of ours":  {other.name(), other.token(t, m, nil)},
		"signed by another":      {f.name(), other.token(t, m, map[string]any{"iss": f.URL})},
		"another issuer's token": {f.name(), other.token(t, m, nil)},
	} {
		if status, out := getID(tt.provider, tt.token); status != 400 || !strings.Contains(out["__type"].(string), "NotAuthorizedException") {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
}

// Keys are not fetched under a certificate that nobody vouches for, nor from where a machine keeps
// its metadata, nor, unless the operator allows it, from private addresses (CVE-2024-49753).
func TestFederation_refuses(t *testing.T) {
	t.Parallel()
	f := newForeigner(t)
	const metadata = "https://169.254.169.254"
	for name, tt := range map[string]struct {
		issuer, thumbprint string
		dev                bool
	}{
		"another certificate": {f.URL, strings.Repeat("a", 40), true},
		"metadata":            {metadata, f.thumbprint(), true},
		"a private address":   {f.URL, f.thumbprint(), false},
	} {
		m := newOperator(t, tt.dev)
		pool := m.poolFor(t, tt.issuer, tt.thumbprint)
		status, out := m.identity(t, "GetId", map[string]any{"IdentityPoolId": pool, "Logins": map[string]string{
			strings.TrimPrefix(tt.issuer, "https://"): f.token(t, m, map[string]any{"iss": tt.issuer})}})
		if status != 400 || !strings.Contains(out["__type"].(string), "NotAuthorizedException") && !strings.Contains(out["__type"].(string), "ExternalService") {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
}

// The assertions of a SAML provider of the account sign in; those of another, for another, or too
// old do not.
func TestFederation_SAML(t *testing.T) {
	t.Parallel()
	m := newOperator(t, true)
	now := m.Clock.Now()
	corp, err := samltest.New("https://idp.example/saml", now)
	if err != nil {
		t.Fatal(err)
	}
	other, err := samltest.New("https://idp.example/saml", now)
	if err != nil {
		t.Fatal(err)
	}
	m.iam(t, "CreateSAMLProvider", url.Values{"Name": {"corp"}, "SAMLMetadataDocument": {corp.Metadata()}})
	const arn = "arn:aws:iam::000000000000:saml-provider/corp"
	_, pool := m.identity(t, "CreateIdentityPool", map[string]any{"IdentityPoolName": "people", "AllowUnauthenticatedIdentities": false, "SamlProviderARNs": []string{arn}})
	signIn := func(by *samltest.IDP, change func(*samltest.Response)) (int, map[string]any) {
		t.Helper()
		r := samltest.Response{
			Issuer: by.EntityID, Subject: "ann", Format: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent", Audience: "urn:amazon:webservices", Recipient: "https://signin.aws.amazon.com/saml",
			Issued: now, NotBefore: now, NotOnOrAfter: now.Add(5 * time.Minute), Confirmed: now.Add(5 * time.Minute), Status: "urn:oasis:names:tc:SAML:2.0:status:Success", SignAssertion: true,
		}
		if change != nil {
			change(&r)
		}
		doc, err := by.Build(r)
		if err != nil {
			t.Fatal(err)
		}
		return m.identity(t, "GetId", map[string]any{"IdentityPoolId": pool["IdentityPoolId"], "Logins": map[string]string{arn: samltest.Encode(doc)}})
	}
	status, first := signIn(corp, nil)
	if status != 200 {
		t.Fatalf("%d %v", status, first)
	}
	if _, again := signIn(corp, nil); again["IdentityId"] != first["IdentityId"] {
		t.Errorf("another identity: %v, had %v", again, first)
	}
	for name, tt := range map[string]struct {
		by     *samltest.IDP
		change func(*samltest.Response)
	}{
		"another key":      {other, nil},
		"not signed":       {corp, func(r *samltest.Response) { r.SignAssertion = false }},
		"another audience": {corp, func(r *samltest.Response) { r.Audience = "urn:other" }},
		"another issuer":   {corp, func(r *samltest.Response) { r.Issuer = "https://other.example" }},
		"too old":          {corp, func(r *samltest.Response) { r.Issued = now.Add(-time.Hour) }},
	} {
		if status, out := signIn(tt.by, tt.change); status != 400 || !strings.Contains(out["__type"].(string), "NotAuthorizedException") {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
}
