package moattest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
)

// vouched is a certificate that another signed, or itself, with its key.
type vouched struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func vouch(t *testing.T, name string, by *vouched) vouched {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: Start().AddDate(-20, 0, 0), NotAfter: Start().AddDate(20, 0, 0),
		IsCA: by == nil, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return vouched{leaf, key}
}

func (v vouched) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.cert.Raw}))
}

func (v vouched) keyPEM(t *testing.T) string {
	t.Helper()
	b, err := x509.MarshalPKCS8PrivateKey(v.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))
}

func (v vouched) pair() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{v.cert.Raw}, PrivateKey: v.key}
}

// gatewayCall calls API Gateway as the root.
func (m *Moat) gatewayCall(t *testing.T, method, path string, in any) (int, map[string]any) {
	t.Helper()
	body := ""
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = string(b)
	}
	status, answer := m.signed(t, rootKey(), "apigateway", method, path, body, "Content-Type", "application/json")
	out := map[string]any{}
	if answer != "" {
		if err := json.Unmarshal([]byte(answer), &out); err != nil {
			t.Fatalf("%s %s: %d %s", method, path, status, answer)
		}
	}
	return status, out
}

const petsDocument = `{"openapi":"3.0.1","info":{"title":"pets","version":"1"},"paths":{"/pets":{"get":{"responses":{"200":{"description":"ok"}},
"x-amazon-apigateway-integration":{"type":"mock","requestTemplates":{"application/json":"{\"statusCode\": 200}"},"responses":{"default":{"statusCode":"200","responseTemplates":{"application/json":"pets at $context.domainName for $context.identity.clientCert.subjectDN"}}}}}}}}`

// petsAPI deploys the API of petsDocument to v1.
func (m *Moat) petsAPI(t *testing.T) string {
	t.Helper()
	status, out := m.gatewayCall(t, "POST", "/restapis?mode=import", json.RawMessage(petsDocument))
	if status != 201 {
		t.Fatalf("import: %d %v", status, out)
	}
	id := out["id"].(string)
	if status, out := m.gatewayCall(t, "POST", "/restapis/"+id+"/deployments", map[string]any{"stageName": "v1"}); status != 201 {
		t.Fatalf("deploy: %d %v", status, out)
	}
	return id
}

// tlsGet asks for https://host/path at the Moat's own address. sni is the name in the handshake.
func (m *Moat) tlsGet(t *testing.T, roots *x509.CertPool, client *tls.Certificate, sni, host, path string) (int, string, error) {
	t.Helper()
	c := &tls.Config{RootCAs: roots, ServerName: sni, Time: m.Clock.Now}
	if client != nil {
		c.Certificates = []tls.Certificate{*client}
	}
	transport := &http.Transport{TLSClientConfig: c, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, m.Addr())
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// A custom domain name is served under its own certificate, by base path; with a truststore only to
// clients whose certificate it vouches for, by whichever name they begin the connection.
func TestDomainNames(t *testing.T) {
	t.Parallel()
	m := New(t)
	api := m.petsAPI(t)
	create := func(name string, more map[string]any) (int, map[string]any) {
		in := map[string]any{"domainName": name, "endpointConfiguration": map[string]any{"types": []string{"REGIONAL"}}}
		for k, v := range more {
			in[k] = v
		}
		return m.gatewayCall(t, "POST", "/domainnames", in)
	}
	upload := func(v vouched) map[string]any {
		return map[string]any{"certificateName": "c", "certificateBody": v.pem(), "certificatePrivateKey": v.keyPEM(t)}
	}
	open, closed := vouch(t, "api.example.test", nil), vouch(t, "mutual.example.test", nil)
	authority := vouch(t, "Clients", nil)
	friend, stranger := vouch(t, "friend", &authority), vouch(t, "friend", nil)
	if status, out := create("api.example.test", upload(open)); status != 201 || out["domainNameStatus"] != "AVAILABLE" || !strings.HasPrefix(out["regionalDomainName"].(string), "d-") || out["securityPolicy"] != "TLS_1_2" {
		t.Fatalf("%d %v", status, out)
	}
	mutual := upload(closed)
	mutual["mutualTlsAuthentication"] = map[string]any{"truststoreUri": "data:application/x-pem-file;base64," + base64.StdEncoding.EncodeToString([]byte(authority.pem()))}
	if status, out := create("mutual.example.test", mutual); status != 201 {
		t.Fatalf("%d %v", status, out)
	}
	for _, name := range []string{"api.example.test", "mutual.example.test"} {
		if status, out := m.gatewayCall(t, "POST", "/domainnames/"+name+"/basepathmappings", map[string]any{"basePath": "zoo", "restApiId": api, "stage": "v1"}); status != 201 || out["basePath"] != "zoo" {
			t.Fatalf("%d %v", status, out)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(open.cert)
	roots.AddCert(closed.cert)
	const a, b = "api.example.test", "mutual.example.test"
	for name, tt := range map[string]struct {
		client          *tls.Certificate
		sni, host, path string
		status          int
		body            string
	}{
		"open":                           {nil, a, a, "/zoo/pets", 200, "pets at api.example.test"},
		"no mapping":                     {nil, a, a, "/pets", 403, "Forbidden"},
		"mutual":                         {friend.pair(), b, b, "/zoo/pets", 200, "for CN=friend"},
		"no certificate":                 {nil, b, b, "/zoo/pets", 0, ""},
		"another authority's":            {stranger.pair(), b, b, "/zoo/pets", 0, ""},
		"begun under another name":       {nil, a, b, "/zoo/pets", 403, "Forbidden"},
		"with a certificate, not asked":  {friend.pair(), a, b, "/zoo/pets", 403, "Forbidden"},
		"the other way round it is open": {friend.pair(), b, a, "/zoo/pets", 200, "pets at api.example.test"},
	} {
		status, body, err := m.tlsGet(t, roots, tt.client, tt.sni, tt.host, tt.path)
		if status != tt.status || !strings.Contains(body, tt.body) || (err != nil) != (tt.status == 0) {
			t.Errorf("%s: got %d %s, %v", name, status, body, err)
		}
	}
	for name, tt := range map[string]struct {
		domain string
		more   map[string]any
		status int
		want   string
	}{
		"again":                   {a, upload(open), 409, "already exists"},
		"Moat's own name":         {"localhost.", upload(open), 400, ""},
		"an API of AWS":           {"iam.amazonaws.com", upload(vouch(t, "iam.amazonaws.com", nil)), 400, "Moat itself"},
		"an API here":             {"iam.localhost", map[string]any{"regionalCertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/x"}, 400, "Moat itself"},
		"everything below":        {"*.localhost", map[string]any{"regionalCertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/x"}, 400, "Invalid domain name"},
		"a service by region":     {"lambda.us-east-1.example.test", upload(vouch(t, "lambda.us-east-1.example.test", nil)), 400, "Moat itself"},
		"of another name":         {"other.example.test", upload(open), 400, "does not cover"},
		"a key of another":        {"x.example.test", map[string]any{"certificateName": "c", "certificateBody": vouch(t, "x.example.test", nil).pem(), "certificatePrivateKey": open.keyPEM(t)}, 400, "key pair"},
		"no certificate":          {"x.example.test", nil, 400, "needs a certificate"},
		"a certificate manager":   {"x.example.test", map[string]any{"regionalCertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/x"}, 501, "no certificate manager"},
		"a truststore elsewhere":  {"x.example.test", with(upload(vouch(t, "x.example.test", nil)), "mutualTlsAuthentication", map[string]any{"truststoreUri": "s3://b/k"}), 501, "no S3"},
		"a truststore of nothing": {"x.example.test", with(upload(vouch(t, "x.example.test", nil)), "mutualTlsAuthentication", map[string]any{"truststoreUri": "data:;base64,"}), 400, "holds no certificates"},
		"a private domain":        {"x.example.test", with(with(upload(vouch(t, "x.example.test", nil)), "endpointConfiguration", map[string]any{"types": []string{"PRIVATE"}}), "securityPolicy", "TLS_1_0"), 400, "TLS_1_2"},
		"a policy that is a list": {"x.example.test", with(upload(vouch(t, "x.example.test", nil)), "securityPolicy", "SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09"), 501, "list of ciphers"},
		"no name":                 {"nodots", upload(vouch(t, "nodots", nil)), 400, "Invalid domain name"},
	} {
		if status, out := create(tt.domain, tt.more); status != tt.status || !strings.Contains(text(out), tt.want) {
			t.Errorf("%s: got %d %v", name, status, out)
		}
	}
	// Below Moat's own name its own authority vouches.
	if status, out := create("pets.localhost", map[string]any{"regionalCertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/x"}); status != 201 {
		t.Errorf("%d %v", status, out)
	}
	if status, out := m.gatewayCall(t, "PATCH", "/domainnames/"+a, map[string]any{"patchOperations": []any{map[string]any{"op": "replace", "path": "/securityPolicy", "value": "SecurityPolicy_TLS13_1_3_2025_09"}}}); status != 200 {
		t.Errorf("%d %v", status, out)
	}
	if status, body, err := m.tlsGet(t, roots, nil, a, a, "/zoo/pets"); status != 200 {
		t.Errorf("TLS 1.3: %d %s %v", status, body, err)
	}
	if status, _ := m.gatewayCall(t, "DELETE", "/domainnames/"+a+"/basepathmappings/zoo", nil); status != 202 {
		t.Errorf("delete: %d", status)
	}
	if status, body, _ := m.tlsGet(t, roots, nil, a, a, "/zoo/pets"); status != 403 {
		t.Errorf("after it: %d %s", status, body)
	}
}

func with(in map[string]any, name string, value any) map[string]any {
	in[name] = value
	return in
}

func text(v any) string {
	b, _ := json.Marshal(v) // of a test's own maps
	return string(b)
}
