package e2e

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Refusals of API Gateway (Developer Guide, "Gateway response types").
var (
	unauthorized = want{status: 401, body: `{"message":"Unauthorized"}`, errorType: "UnauthorizedException"}
	forbidden    = want{status: 403, body: `{"message":"Forbidden"}`, errorType: "ForbiddenException"}
	noProof      = want{status: 403, body: `{"message":"Missing Authentication Token"}`, errorType: "MissingAuthenticationTokenException"}
	badSignature = want{status: 403, errorType: "InvalidSignatureException",
		body: `{"message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}`}
	unknownKey = want{status: 403, body: `{"message":"The security token included in the request is invalid."}`, errorType: "UnrecognizedClientException"}
)

// route is a route of the example: who is let in, who is refused with other words than
// the route's own, and what the rest gets.
type route struct {
	method, path string
	accepts      map[string]want
	special      map[string]want
	otherwise    func(*http.Request, credential) want
}

func always(w want) func(*http.Request, credential) want {
	return func(*http.Request, credential) want { return w }
}

func routes(c *courses) []route {
	caller := "arn:aws:sts::" + account + ":assumed-role/" + c.signedInRole + "/CognitoIdentityCredentials"
	listed := want{status: 200, who: c.memberSub, member: map[string]string{
		"reader.email": "member@example.com", "reader.groups": "User", "stage": c.stage, "requestId": requestID, "courses": `[{"id":"moats","title":"Moats and bridges"}]`}}
	page := want{status: 200, like: regexp.MustCompile(`<h1>Welcome to the school</h1>`), contentType: "text/html; charset=utf-8"}
	progress := want{status: 200, who: caller, member: map[string]string{"done": "1", "goal": "3", "caller": caller, "identityId": c.memberIdentity}}
	root := want{status: 200, who: "arn:aws:iam::" + account + ":root", member: map[string]string{"caller": "arn:aws:iam::" + account + ":root", "identityId": "null"}}
	byIDToken := func(w want) map[string]want { return map[string]want{"ID token": w, "ID token, Bearer": w} }
	byScope := map[string]want{}
	for name, scope := range map[string]string{"scope write": "courses/write", "scopes read and write": "courses/read courses/write"} {
		w := want{status: 201, who: c.confidentialClient, member: map[string]string{"title": "Drawbridges", "client": c.confidentialClient, "scope": scope}}
		byScope[name], byScope[name+", Bearer"] = w, w
	}
	return []route{
		{"GET", "/catalog", map[string]want{"API key": {status: 200, who: c.keyID, member: map[string]string{"partner": c.keyID}}}, nil, always(forbidden)},
		{"GET", "/courses", byIDToken(listed), nil, always(unauthorized)},
		{"POST", "/courses", byScope, nil, always(unauthorized)},
		{"GET", "/content/welcome.html", byIDToken(page), nil, always(unauthorized)},
		{"GET", "/progress", map[string]want{"signed in": progress, "four minutes old": progress, "presigned": progress, "administrator": root}, refusedSignatures(c), unsigned},
	}
}

// unsigned is what AWS_IAM gives to who does not sign: another scheme in Authorization is
// read as a broken signature, of which AWS tells a hash.
func unsigned(r *http.Request, c credential) want {
	if c.kind != carriesToken {
		return noProof
	}
	sum := sha256.Sum256([]byte(r.Header.Get("Authorization")))
	return want{status: 403, errorType: "IncompleteSignatureException",
		body: `{"message":"Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '` +
			base64.StdEncoding.EncodeToString(sum[:]) + `'."}`}
}

func refusedSignatures(c *courses) map[string]want {
	invalid := func(pattern string) want {
		return want{status: 403, like: regexp.MustCompile(pattern), errorType: "InvalidSignatureException"}
	}
	guest := want{status: 403, errorType: "AccessDeniedException", who: "CognitoIdentityCredentials",
		like: regexp.MustCompile(`^\{"Message":"User: arn:aws:sts::` + account + `:assumed-role/[^/"]+/CognitoIdentityCredentials is not authorized to perform: execute-api:Invoke on resource: ` +
			`arn:aws:execute-api:` + region + `:\*{8}` + account[8:] + `:` + c.apiID + `/` + c.stage + `/GET/progress"\}$`)}
	return map[string]want{
		"guest": guest, "guest, presigned": guest,
		"twenty minutes old":  invalid(`^\{"message":"Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)"\}$`),
		"twenty minutes soon": invalid(`^\{"message":"Signature not yet current: \d{8}T\d{6}Z is still later than \d{8}T\d{6}Z \(\d{8}T\d{6}Z \+ 5 min\.\)"\}$`),
		"presigned, past":     invalid(`^\{"message":"Signature expired`),
		"other region":        {status: 403, body: `{"message":"Credential should be scoped to a valid region. "}`, errorType: "InvalidSignatureException"},
		"other service":       {status: 403, body: `{"message":"Credential should be scoped to correct service: 'execute-api'. "}`, errorType: "InvalidSignatureException"},
		"unknown access key":  unknownKey, "foreign session": unknownKey, "no session token": unknownKey, "cut session token": unknownKey,
		"wrong secret": badSignature, "altered path": badSignature, "altered query": badSignature, "altered method": badSignature,
		"altered host": badSignature, "altered header": badSignature, "altered signature": badSignature,
	}
}

// truth walks every route with every credential, on each of the engines that read requests: our
// own on the plain port, net/http over TLS, in HTTP/1.1 and HTTP/2.
func truth(t *testing.T, c *courses) {
	credentials := everyCredential(t, c)
	newPlans(t, c).published(t)
	engines := []struct {
		name   string
		client *http.Client
	}{{"plain", c.client}, {"TLS", c.overTLS(t, "http/1.1")}, {"HTTP2", c.overTLS(t, "h2")}}
	for _, r := range routes(c) {
		t.Run(r.method+" "+strings.TrimPrefix(r.path, "/"), func(t *testing.T) {
			checkKnown(t, r, credentials)
			for _, credential := range credentials {
				t.Run(credential.name, func(t *testing.T) {
					for _, engine := range engines {
						req := c.request(t.Context(), r.method, r.path)
						if r.method == http.MethodPost {
							req = c.post(t.Context(), r.path, `{"title":"Drawbridges"}`)
						}
						credential.apply(req)
						w, ok := r.accepts[credential.name]
						if !ok {
							if w, ok = r.special[credential.name]; !ok {
								w = r.otherwise(req, credential)
							}
						}
						t.Run(engine.name, func(t *testing.T) { c.checkOver(t, engine.client, req, w) })
					}
				})
			}
		})
	}
	t.Run("elsewhere", func(t *testing.T) { truthElsewhere(t, c) })
	t.Run("by host", func(t *testing.T) { truthByHost(t, c) })
}

// checkKnown finds a name in the table that no credential has.
func checkKnown(t *testing.T, r route, all []credential) {
	t.Helper()
	for _, names := range []map[string]want{r.accepts, r.special} {
		for name := range names {
			if !slices.ContainsFunc(all, func(c credential) bool { return c.name == name }) {
				t.Errorf("the table names %q, which is no credential", name)
			}
		}
	}
}

// truthElsewhere asks for what is not there.
func truthElsewhere(t *testing.T, c *courses) {
	at := func(api, stage, path string) string {
		return c.endpoint + "/restapis/" + api + "/" + stage + "/_user_request_" + path
	}
	badRequest := want{status: 400, body: `{"message":"Bad Request"}`, errorType: "BadRequestException"}
	for name, row := range map[string]struct {
		method, url string
		want        want
	}{
		"the root":                   {"GET", at(c.apiID, c.stage, "/"), noProof},
		"unknown route":              {"GET", at(c.apiID, c.stage, "/nothing"), noProof},
		"below a route":              {"GET", at(c.apiID, c.stage, "/catalog/x"), noProof},
		"other letters":              {"GET", at(c.apiID, c.stage, "/Catalog"), noProof},
		"wrong method":               {"DELETE", at(c.apiID, c.stage, "/courses"), noProof},
		"wrong method of a key's":    {"POST", at(c.apiID, c.stage, "/catalog"), noProof},
		"proxy route without a path": {"GET", at(c.apiID, c.stage, "/content"), noProof},
		"unknown stage":              {"GET", at(c.apiID, "nothing", "/catalog"), forbidden},
		"other stage's name":         {"GET", at(c.apiID, strings.ToUpper(c.stage), "/catalog"), forbidden},
		"unknown API":                {"GET", at("aaaaaaaaaa", c.stage, "/catalog"), forbidden},
		"dots":                       {"GET", at(c.apiID, c.stage, "/content/%2e%2e/catalog"), badRequest},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), row.method, row.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			c.check(t, req, row.want)
		})
	}
}

// host is the name of the API's own.
func (c *courses) host() string { return fmt.Sprintf("%s.execute-api.%s.localhost", c.apiID, region) }

// trusting gives what a client needs to speak TLS with the server.
func (c *courses) trusting(t *testing.T, protocols ...string) *tls.Config {
	t.Helper()
	authority, err := c.get(t.Context(), c.endpoint+"/_moat/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatalf("/_moat/ca.pem holds no certificate: %s", authority)
	}
	return &tls.Config{RootCAs: roots, ServerName: c.host(), NextProtos: protocols}
}

// overTLS is a client that sends requests for http over TLS in a protocol, with nothing else changed.
func (c *courses) overTLS(t *testing.T, protocol string) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: c.trusting(t, protocol), ForceAttemptHTTP2: protocol == "h2"}
	t.Cleanup(transport.CloseIdleConnections)
	major := 1
	if protocol == "h2" {
		major = 2
	}
	return &http.Client{CheckRedirect: c.client.CheckRedirect, Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
		req = req.Clone(req.Context())
		req.URL.Scheme = "https"
		resp, err := transport.RoundTrip(req)
		if err == nil && resp.ProtoMajor != major {
			return nil, fmt.Errorf("the answer came in %s, not in %s", resp.Proto, protocol)
		}
		return resp, err
	})}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// truthByHost asks the same of the API's own host name, over HTTP and over TLS.
func truthByHost(t *testing.T, c *courses) {
	base, err := url.Parse(c.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	host := c.host()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: c.trusting(t)}}
	defer client.CloseIdleConnections()
	for _, scheme := range []string{"http", "https"} {
		for name, row := range map[string]struct {
			path, key string
			want      want
		}{
			"API key":       {"/" + c.stage + "/catalog", c.key, want{status: 200}},
			"no API key":    {"/" + c.stage + "/catalog", "", forbidden},
			"no token":      {"/" + c.stage + "/courses", c.key, unauthorized},
			"unknown stage": {"/nothing/catalog", c.key, forbidden},
			"no stage":      {"/", c.key, forbidden},
		} {
			t.Run(scheme+" "+name, func(t *testing.T) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+base.Host+row.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Host = host + ":" + base.Port()
				if row.key != "" {
					req.Header.Set("X-Api-Key", row.key)
				}
				c.checkOver(t, client, req, row.want)
			})
		}
	}
}
