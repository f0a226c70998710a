package moattest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"moat/internal/server"
)

const (
	endpointA = "vpce-0aaaaaaaaaaaaaaaa"
	endpointB = "vpce-0bbbbbbbbbbbbbbbb"
)

// withEndpoints runs a Moat with two VPC endpoints, on one engine or the other.
func withEndpoints(netHTTP bool) func(*server.Config) {
	return func(c *server.Config) {
		c.NetHTTP = netHTTP
		c.VPCEndpoints = []server.VPCEndpoint{{ID: endpointA, VPC: "vpc-0a", Listen: "127.0.0.1:0"}, {ID: endpointB, Listen: "127.0.0.1:0"}}
	}
}

// allowFrom is a resource policy for what comes by one VPC endpoint.
func allowFrom(endpoint string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"},
{"Effect":"Deny","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*","Condition":{"StringNotEquals":{"aws:SourceVpce":"` + endpoint + `"}}}]}`
}

// way is how a request comes: to an address, in the clear or by TLS, under a host.
type way struct {
	address string
	roots   *x509.CertPool // nil: in the clear
	host    string
	header  string // of the header that names an API
}

func (m *Moat) by(endpoint, host string) way {
	return way{address: m.VPCEndpoints()[endpoint], host: host}
}

// ask sends a GET, and gives status and body; 0 when the connection fails.
func (m *Moat) ask(t *testing.T, w way, path string) (int, string) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, w.address)
	}}
	scheme := "http"
	if w.roots != nil {
		scheme, transport.TLSClientConfig = "https", &tls.Config{RootCAs: w.roots, Time: m.Clock.Now}
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "GET", scheme+"://"+w.host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if w.header != "" {
		req.Header.Set("x-apigw-api-id", w.header)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// privateAPI deploys the API of petsDocument to v1, private and for one endpoint.
func (m *Moat) privateAPI(t *testing.T, endpoint string) string {
	t.Helper()
	status, out := m.gatewayCall(t, "POST", "/restapis?mode=import&endpointConfigurationTypes=PRIVATE", json.RawMessage(petsDocument))
	if status != 201 {
		t.Fatalf("import: %d %v", status, out)
	}
	id := out["id"].(string)
	status, out = m.gatewayCall(t, "POST", "/restapis/"+id+"/deployments", map[string]any{"stageName": "v1"})
	if status != 400 || text(out) != `{"message":"Private REST API doesn't have a resource policy attached to it"}` {
		t.Errorf("a deployment without a policy: %d %v", status, out)
	}
	m.patch(t, 200, "/restapis/"+id, "replace", "/policy", allowFrom(endpoint))
	if status, out := m.gatewayCall(t, "POST", "/restapis/"+id+"/deployments", map[string]any{"stageName": "v1"}); status != 201 {
		t.Fatalf("deploy: %d %v", status, out)
	}
	return id
}

func (m *Moat) patch(t *testing.T, want int, target, op, path, value string) map[string]any {
	t.Helper()
	status, out := m.gatewayCall(t, "PATCH", target, map[string]any{"patchOperations": []any{map[string]any{"op": op, "path": path, "value": value}}})
	if status != want {
		t.Errorf("PATCH %s %s %s %s: %d %v, want %d", target, op, path, value, status, out, want)
	}
	return out
}

func (m *Moat) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	_, ca := do(t, must(http.NewRequest("GET", m.loopback("/_moat/ca.pem"), nil)))
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(ca)) {
		t.Fatalf("no certificate: %s", ca)
	}
	return pool
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A private API is reached by the VPC endpoints that its policy lets in, by each of its names, on both
// engines and over TLS, and by nothing else; such an endpoint leads to nothing else.
func TestPrivateAPI(t *testing.T) {
	t.Parallel()
	for name, netHTTP := range map[string]bool{"our engine": false, "net/http": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := New(t, withEndpoints(netHTTP))
			api, public := m.privateAPI(t, endpointA), m.petsAPI(t)
			named, roots := api+".execute-api.us-east-1.amazonaws.com", m.roots(t)
			alias, dns := api+"-"+endpointA+".execute-api.us-east-1.amazonaws.com", endpointA+"-x1.execute-api.us-east-1.vpce.amazonaws.com"
			secure := func(w way) way { w.roots = roots; return w }
			header := func(w way, api string) way { w.header = api; return w }
			ask := func(about string, want int, w way, path string) {
				t.Helper()
				if status, body := m.ask(t, w, path); status != want || want == 200 && !strings.HasPrefix(body, "pets at ") {
					t.Errorf("%s: got %d %s, want %d", about, status, body, want)
				}
			}
			main := way{address: m.Addr(), host: named}
			ask("by its name", 200, m.by(endpointA, named), "/v1/pets")
			ask("over TLS", 200, secure(m.by(endpointA, named)), "/v1/pets")
			ask("by the header", 200, header(m.by(endpointA, dns), api), "/v1/pets")
			ask("by the header, over TLS", 200, secure(header(m.by(endpointA, dns), api)), "/v1/pets")
			ask("by the header at an address", 200, header(m.by(endpointA, "127.0.0.1"), api), "/v1/pets")
			ask("by the path", 200, m.by(endpointA, "localhost"), "/restapis/"+api+"/v1/_user_request_/pets")
			ask("by an odd path", 403, m.by(endpointA, named), "/v1/pe|ts")
			ask("by its name at the endpoint, which it does not have", 403, m.by(endpointA, alias), "/v1/pets")
			ask("by the endpoint's name alone", 403, m.by(endpointA, dns), "/v1/pets")
			ask("by another endpoint", 403, m.by(endpointB, named), "/v1/pets")
			ask("by the open network", 403, main, "/v1/pets")
			ask("by the open network, over TLS", 403, secure(main), "/v1/pets")
			ask("by the open network, by the path", 403, way{address: m.Addr(), host: "localhost"}, "/restapis/"+api+"/v1/_user_request_/pets")
			ask("by the open network, with the header", 403, header(main, api), "/v1/pets")
			ask("a public API by an endpoint", 403, m.by(endpointA, public+".execute-api.us-east-1.amazonaws.com"), "/v1/pets")
			ask("a public API by the open network", 200, way{address: m.Addr(), host: public + ".execute-api.us-east-1.amazonaws.com"}, "/v1/pets")
			for _, path := range []string{"/_moat/health", "/_moat/ca.pem", "/", "/us-east-1_Pool/.well-known/jwks.json", "/restapis"} {
				ask("Moat's own "+path, 403, m.by(endpointA, "localhost"), path)
			}
			if status, body := m.ask(t, m.by(endpointB, named), "/v1/pets"); !strings.Contains(body, "with an explicit deny") {
				t.Errorf("another endpoint: %d %s", status, body)
			}
			// The names at endpoints come and go without a deployment.
			m.patch(t, 400, "/restapis/"+api, "add", "/endpointConfiguration/vpcEndpointIds", "vpce-0cccccccccccccccc")
			m.patch(t, 200, "/restapis/"+api, "add", "/endpointConfiguration/vpcEndpointIds", endpointA)
			ask("by its name at the endpoint", 200, m.by(endpointA, alias), "/v1/pets")
			ask("by that name over TLS", 200, secure(m.by(endpointA, alias)), "/v1/pets")
			ask("by that name at another endpoint", 403, m.by(endpointB, alias), "/v1/pets")
			ask("by that name and the open network", 403, way{address: m.Addr(), host: alias}, "/v1/pets")
			m.patch(t, 400, "/restapis/"+api, "replace", "/endpointConfiguration/types/PRIVATE", "REGIONAL") // it has endpoints
			m.patch(t, 200, "/restapis/"+api, "remove", "/endpointConfiguration/vpcEndpointIds", endpointA)
			ask("by a name that it had", 403, m.by(endpointA, alias), "/v1/pets")
			// So does the way to the API itself.
			m.patch(t, 400, "/restapis/"+api, "replace", "/endpointConfiguration/types/PRIVATE", "EDGE")
			m.patch(t, 400, "/restapis/"+api, "replace", "/endpointConfiguration/ipAddressType", "ipv4")
			out := m.patch(t, 200, "/restapis/"+api, "replace", "/endpointConfiguration/types/0", "REGIONAL")
			if got := text(out["endpointConfiguration"]); got != `{"ipAddressType":"dualstack","types":["REGIONAL"]}` {
				t.Errorf("a migrated API: %s", got)
			}
			ask("regional now, by the endpoint", 403, m.by(endpointA, named), "/v1/pets")
			ask("regional now, denied by its policy", 403, main, "/v1/pets")
			m.patch(t, 200, "/restapis/"+public, "replace", "/endpointConfiguration/types/EDGE", "PRIVATE")
			ask("private now, without a policy", 403, way{address: m.Addr(), host: public + ".execute-api.us-east-1.amazonaws.com"}, "/v1/pets")
			ask("private now, without a policy, by an endpoint", 403, m.by(endpointA, public+".execute-api.us-east-1.amazonaws.com"), "/v1/pets")
			// A stage made anew of an old deployment is as private as its API.
			_, list := m.gatewayCall(t, "GET", "/restapis/"+public+"/deployments", nil)
			old := list["item"].([]any)[0].(map[string]any)["id"]
			if status, out := m.gatewayCall(t, "POST", "/restapis/"+public+"/stages", map[string]any{"stageName": "v2", "deploymentId": old}); status != 201 {
				t.Fatalf("stage: %d %v", status, out)
			}
			ask("an old deployment", 403, way{address: m.Addr(), host: public + ".execute-api.us-east-1.amazonaws.com"}, "/v2/pets")
		})
	}
}
