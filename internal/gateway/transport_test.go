package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// leafOf makes a self-signed certificate of a name, good for servers and clients.
func leafOf(t *testing.T, name string) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, leaf
}

// A backend sees the stage's client certificate, and none from a stage that has none.
func TestClientCertificate_IsShownToBackends(t *testing.T) {
	t.Parallel()
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		fmt.Fprint(w, "seen: "+name)
	}))
	own, leaf := leafOf(t, "backend.test")
	backend.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequestClientCert}
	backend.StartTLS()
	t.Cleanup(backend.Close)
	shown, _ := leafOf(t, "ApiGateway")
	k := newKit(t)
	k.cfg.Roots = x509.NewCertPool()
	k.cfg.Roots.AddCert(leaf)
	api := func(stage string, certificate *tls.Certificate) {
		d := courses("http://upstream.example")
		d.Stage, d.ClientCertificate = stage, certificate
		link := map[string]Link{"link01": {Targets: []string{strings.TrimPrefix(backend.URL, "https://")}}, "closed": {}}
		d.Links, d.Variables = link, map[string]string{"link": "link01"}
		d.Routes = []Route{
			{Path: "/linked", Method: "GET", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", Method: "GET", URI: "https://backend.test/x", ConnectionType: "VPC_LINK", ConnectionID: "${stageVariables.link}"}},
			{Path: "/mapped", Method: "GET", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP", Method: "GET", URI: "https://backend.test/x", ConnectionType: "VPC_LINK", ConnectionID: "link01", Responses: []IntegrationResponse{{StatusCode: "200"}}}},
			{Path: "/other", Method: "GET", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", Method: "GET", URI: "https://elsewhere.test/x", ConnectionType: "VPC_LINK", ConnectionID: "link01"}},
			{Path: "/closed", Method: "GET", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", Method: "GET", URI: "https://backend.test/x", ConnectionType: "VPC_LINK", ConnectionID: "closed"}},
			{Path: "/unlinked", Method: "GET", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", Method: "GET", URI: "https://backend.test/x"}},
		}
		k.publish(d)
	}
	api("with", &shown)
	api("without", nil)
	ask := func(stage, path string) (int, string) {
		w := httptest.NewRecorder()
		k.ServeAPI(w, httptest.NewRequest("GET", path, nil), apiID, stage, path)
		return w.Code, w.Body.String()
	}
	for _, tt := range []struct {
		stage, path string
		status      int
		body        string
	}{
		{"with", "/linked", 200, "seen: ApiGateway"}, {"without", "/linked", 200, "seen: nobody"}, {"with", "/mapped", 200, "seen: ApiGateway"},
		{"with", "/other", 500, "Internal server error"}, // TLS holds the target to the name in the URI
		{"with", "/closed", 504, "Network error"},        // no target is no way out
		{"with", "/unlinked", 504, "Network error"},      // the link is that of its integrations alone
	} {
		if status, body := ask(tt.stage, tt.path); status != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("%s%s: got %d %s", tt.stage, tt.path, status, body)
		}
	}
}

func TestDomain_Routes(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://x"))
	domain := &Domain{Name: "api.example.test", Mappings: map[string]Mapping{"shop": {apiID, "api"}, "any": {apiID, ""}, "gone": {"nosuchapi0", "api"}}}
	wild := &Domain{Name: "*.wild.test", Mappings: map[string]Mapping{"": {apiID, "api"}}}
	closed := &Domain{Name: "mutual.test", ClientCAs: x509.NewCertPool(), Mappings: map[string]Mapping{"": {apiID, "api"}}}
	k.PublishDomains(map[string]*Domain{domain.Name: domain, wild.Name: wild, closed.Name: closed})
	for _, tt := range []struct {
		host, path string
		status     int
	}{
		{"api.example.test", "/shop/open", 200}, {"API.example.test.", "/shop/open", 200}, {"api.example.test", "/any/api/open", 200},
		{"a.wild.test", "/open", 200}, {"api.example.test", "/open", 403}, {"api.example.test", "/Shop/open", 403}, {"api.example.test", "/sh%6fp/open", 403},
		{"api.example.test", "/shop2/open", 403}, {"api.example.test", "/gone/open", 403}, {"api.example.test", "/any/ghost/open", 403}, {"api.example.test", "/any", 403},
		{"mutual.test", "/open", 403}, {"api.example.test", "/shop/ghost", 403}, {"api.example.test", "/shop/../shop/open", 400},
	} {
		d := k.Domain(tt.host)
		if d == nil {
			t.Fatalf("no domain %s", tt.host)
		}
		r := httptest.NewRequest("GET", "http://"+tt.host+tt.path, nil)
		w := httptest.NewRecorder()
		k.ServeDomain(w, r, d, tt.host)
		if w.Code != tt.status {
			t.Errorf("%s%s: got %d %s", tt.host, tt.path, w.Code, w.Body)
		}
		if tt.status == 200 && !strings.Contains(w.Body.String(), `"domainName":"`+tt.host+`"`) {
			t.Errorf("%s: the event has another domainName", tt.host)
		}
	}
	for _, host := range []string{"b.a.wild.test", "wild.test", "example.test", "", "xapi.example.test"} {
		if d := k.Domain(host); d != nil {
			t.Errorf("%q is the domain %s", host, d.Name)
		}
	}
}
