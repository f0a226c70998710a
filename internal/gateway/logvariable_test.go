package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// logVariables are all that API Gateway documents ("Variables for access logging for API Gateway",
// "Variables for data transformations for API Gateway").
func logVariables() []string {
	return strings.Fields(`accountId apiId
		authorize.error authorize.latency authorize.status
		authorizer.claims.sub authorizer.error authorizer.integrationLatency authorizer.integrationStatus authorizer.latency
		authorizer.principalId authorizer.tier authorizer.requestId authorizer.status
		authenticate.error authenticate.latency authenticate.status
		awsEndpointRequestId cipherSuite customDomain.basePathMatched deploymentId domainName domainPrefix endpointType
		error.message error.messageString error.responseType error.validationErrorString extendedRequestId httpMethod
		identity.accountId identity.apiKey identity.apiKeyId identity.caller identity.cognitoAuthenticationProvider
		identity.cognitoAuthenticationType identity.cognitoIdentityId identity.cognitoIdentityPoolId
		identity.principalOrgId identity.sourceIp identity.clientCert.clientCertPem identity.clientCert.subjectDN identity.clientCert.issuerDN
		identity.clientCert.serialNumber identity.clientCert.validity.notBefore identity.clientCert.validity.notAfter
		identity.user identity.userAgent identity.userArn identity.vpcId identity.vpceId
		integration.error integration.integrationStatus integration.latency integration.requestId integration.status
		integrationLatency integrationStatus isCanaryRequest path protocol requestId
		requestOverride.header.X-A requestOverride.path.id requestOverride.querystring.q
		requestTime requestTimeEpoch resourceId resourcePath responseLatency responseLength
		responseOverride.header.X-B responseOverride.status
		stage status tlsVersion waf.error waf.latency waf.status wafResponseCode webaclArn xrayTraceId`)
}

// everywhere are the values that every answered request has; the scenarios name the others, and what
// neither names is "-".
func everywhere() map[string]string {
	return map[string]string{
		"accountId": account, "apiId": apiID, "deploymentId": "dep123", "domainName": apiID + ".execute-api.us-east-1.localhost", "domainPrefix": apiID,
		"endpointType": "REGIONAL", "extendedRequestId": "*", "httpMethod": "GET", "identity.sourceIp": "203.0.113.7", "identity.userAgent": "tests/1",
		"protocol": "HTTP/1.1", "requestId": "*", "requestTime": "20/Nov/2026:12:00:00 +0000", "requestTimeEpoch": "1795176000000", "responseLatency": "*",
		"responseLength": "*", "stage": "api", "xrayTraceId": "*", "status": "200",
	}
}

// TestAccessLog_everyVariable gives every documented variable its value in requests of each kind.
func TestAccessLog_everyVariable(t *testing.T) {
	t.Parallel()
	l := newLogged(t)
	l.cfg.Services = &backend{c: &mappingCase{Answer: &mappingMessage{Status: 202, Headers: map[string][]string{"X-Amzn-Requestid": {"of-ssm"}}}}}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, `{"a":1}`)
	}))
	t.Cleanup(upstream.Close)
	template := map[string]string{"application/json": `#set($context.requestOverride.header.X-A = "a")#set($context.requestOverride.path.id = "9")#set($context.requestOverride.querystring.q = "7")` +
		`#set($context.responseOverride.header.X-B = "b")#set($context.responseOverride.status = 208){}`}
	http1 := Integration{Type: "HTTP", Method: "GET", URI: upstream.URL + "/{id}", RequestParameters: map[string]string{"integration.request.path.id": "'1'"}, RequestTemplates: template, Responses: []IntegrationResponse{{StatusCode: "200"}}}
	d := courses(upstream.URL)
	d.EndpointType, d.Tracing = "REGIONAL", true
	d.Authorizers["fn"] = Authorizer{ID: "fn", Name: "fn", Type: "TOKEN", URI: lambda("authorizer"), TTL: time.Minute}
	d.Routes = append(d.Routes,
		Route{Path: "/custom", Method: "GET", ResourceID: "c", AuthorizationType: "CUSTOM", AuthorizerID: "fn", Integration: proxy("page")},
		Route{Path: "/http/{x}", Method: "GET", ResourceID: "h", AuthorizationType: "NONE", Integration: http1},
		Route{Path: "/mock", Method: "GET", ResourceID: "m", AuthorizationType: "NONE", Integration: Integration{Type: "MOCK", RequestTemplates: map[string]string{"application/json": `{"statusCode":200}`}, Responses: []IntegrationResponse{{StatusCode: "200"}}}},
		Route{Path: "/ssm", Method: "GET", ResourceID: "s", AuthorizationType: "NONE", Integration: Integration{Type: "AWS", Method: "POST", URI: "arn:aws:apigateway:us-east-1:ssm:action/GetParameter", Credentials: "arn:aws:iam::000000000000:role/r", Responses: []IntegrationResponse{{StatusCode: "200"}}}},
		Route{Path: "/valid", Method: "GET", ResourceID: "v", AuthorizationType: "NONE", RequestParameters: map[string]bool{"method.request.querystring.q": true}, ValidateParameters: true, Integration: proxy("page")})
	var format strings.Builder
	for _, name := range logVariables() {
		format.WriteString(name + "=$context." + name + "\n")
	}
	d.AccessLog = &AccessLog{Group: "api", Format: format.String()}
	l.publish(d)
	tick := 0
	l.cfg.Now = func() time.Time { tick++; return noon.Add(time.Duration(tick) * 4 * time.Millisecond / 100) }
	l.PublishPlans(PlanSet{Keys: map[KeyHash]Key{l.HashKey("secret-key"): {ID: "key1", Enabled: true, Plans: []string{"p"}}}, Plans: map[string]Plan{"p": {ID: "p", Stages: map[string]PlanStage{apiID + "/api": {}}}}})
	l.invoker.f = func(inv Invocation) (Result, error) {
		switch {
		case strings.HasSuffix(inv.FunctionARN, ":authorizer"):
			effect := "Allow"
			if strings.Contains(string(inv.Payload), "bob") {
				effect = "Deny"
			}
			return Result{Payload: []byte(`{"principalId":"ann","context":{"tier":"gold"},"policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Action":"execute-api:Invoke","Resource":"*"}]}}`)}, nil
		case strings.HasSuffix(inv.FunctionARN, ":catalog"):
			return Result{Payload: []byte(`{"errorMessage":"no"}`), FunctionError: "Unhandled"}, nil
		case strings.HasSuffix(inv.FunctionARN, ":open"):
			return Result{}, ErrFunctionThrottled
		}
		return Result{Payload: []byte(`{"statusCode":201,"body":"x"}`)}, nil
	}
	for name, c := range map[string]struct {
		request *http.Request
		change  func(*Exchange)
		want    map[string]string
	}{
		"a function behind an authorizer": {request("GET", "/custom", "Authorization", "ann"), nil, map[string]string{
			"resourceId": "c", "resourcePath": "/custom", "path": "/api/custom", "status": "201",
			"authorize.latency": "*", "authorize.status": "200", "authorizer.integrationLatency": "*", "authorizer.integrationStatus": "200", "authorizer.latency": "*",
			"authorizer.principalId": "ann", "authorizer.tier": "gold", "authorizer.requestId": "*", "authorizer.status": "200",
			"awsEndpointRequestId": "*", "integration.requestId": "*", "integration.integrationStatus": "200", "integrationStatus": "200", "integration.status": "201", "integration.latency": "*", "integrationLatency": "*",
		}},
		"an authorizer that refuses": {request("GET", "/custom", "Authorization", "bob"), nil, map[string]string{
			"resourceId": "c", "resourcePath": "/custom", "path": "/api/custom", "status": "403",
			"authorize.latency": "*", "authorize.status": "403", "authorize.error": "User is not authorized to access this resource with an explicit deny",
			"authorizer.integrationLatency": "*", "authorizer.integrationStatus": "200", "authorizer.latency": "*", "authorizer.principalId": "ann", "authorizer.tier": "gold", "authorizer.requestId": "*", "authorizer.status": "200",
			"error.message": "User is not authorized to access this resource with an explicit deny", "error.messageString": `"User is not authorized to access this resource with an explicit deny"`, "error.responseType": "ACCESS_DENIED",
		}},
		"no token for an authorizer": {request("GET", "/custom"), nil, map[string]string{
			"resourceId": "c", "resourcePath": "/custom", "path": "/api/custom", "status": "401", "authorizer.latency": "*", "authorizer.integrationLatency": "0", "authorizer.status": "401", "authorizer.error": "Unauthorized",
			"error.message": "Unauthorized", "error.messageString": `"Unauthorized"`, "error.responseType": "UNAUTHORIZED",
		}},
		"a user pool": {request("GET", "/courses", "Authorization", l.id(nil)), nil, map[string]string{
			"resourceId": "r2", "resourcePath": "/courses", "path": "/api/courses", "status": "201", "authorizer.claims.sub": "sub-1", "authorizer.status": "200", "authorizer.latency": "*", "authorize.status": "200", "authorize.latency": "*",
			"awsEndpointRequestId": "*", "integration.requestId": "*", "integration.integrationStatus": "200", "integrationStatus": "200", "integration.status": "201", "integration.latency": "*", "integrationLatency": "*",
		}},
		"a signature": {signed(request("GET", "/progress"), "ASIAMEMBER", "member-session", region, noon), nil, map[string]string{
			"resourceId": "r3", "resourcePath": "/progress", "path": "/api/progress", "status": "201", "authenticate.status": "200", "authenticate.latency": "*", "authorize.status": "200", "authorize.latency": "*",
			"identity.accountId": account, "identity.caller": "AROAMember:CognitoIdentityCredentials", "identity.user": "AROAMember:CognitoIdentityCredentials",
			"identity.userArn":           "arn:aws:sts::000000000000:assumed-role/Member/CognitoIdentityCredentials",
			"identity.cognitoIdentityId": "us-east-1:id", "identity.cognitoIdentityPoolId": "us-east-1:pool", "identity.cognitoAuthenticationType": "authenticated",
			"identity.cognitoAuthenticationProvider": "cognito-idp.us-east-1.amazonaws.com/us-east-1_Pool,cognito-idp.us-east-1.amazonaws.com/us-east-1_Pool:CognitoSignIn:sub-1",
			"awsEndpointRequestId":                   "*", "integration.requestId": "*", "integration.integrationStatus": "200", "integrationStatus": "200", "integration.status": "201", "integration.latency": "*", "integrationLatency": "*",
		}},
		"a key, and a function that fails": {request("GET", "/catalog", "X-Api-Key", "secret-key"), nil, map[string]string{
			"resourceId": "r1", "resourcePath": "/catalog", "path": "/api/catalog", "status": "502", "identity.apiKey": "secret-key", "identity.apiKeyId": "key1",
			"error.message": "Internal server error", "error.messageString": `"Internal server error"`, "error.responseType": "DEFAULT_5XX",
			"awsEndpointRequestId": "*", "integration.requestId": "*", "integration.integrationStatus": "200", "integrationStatus": "200", "integration.latency": "*", "integrationLatency": "*", "integration.error": "*",
		}},
		"a function that is throttled": {request("GET", "/open"), nil, map[string]string{
			"resourceId": "r5", "resourcePath": "/open", "path": "/api/open", "status": "502",
			"error.message": "Internal server error", "error.messageString": `"Internal server error"`, "error.responseType": "DEFAULT_5XX",
			"integration.integrationStatus": "429", "integrationStatus": "429", "integration.latency": "*", "integrationLatency": "*", "integration.error": "*",
		}},
		"a mapped backend": {request("GET", "/http/1?a=b"), nil, map[string]string{
			"resourceId": "h", "resourcePath": "/http/{x}", "path": "/api/http/1", "status": "208", "integration.status": "418", "integration.integrationStatus": "418", "integrationStatus": "418", "integration.latency": "*", "integrationLatency": "*",
			"requestOverride.header.X-A": "a", "requestOverride.path.id": "9", "requestOverride.querystring.q": "7", "responseOverride.header.X-B": "b", "responseOverride.status": "208",
		}},
		"a service": {request("GET", "/ssm"), nil, map[string]string{
			"resourceId": "s", "resourcePath": "/ssm", "path": "/api/ssm", "status": "200", "integration.status": "202", "integration.integrationStatus": "202", "integrationStatus": "202", "integration.latency": "*", "integrationLatency": "*",
			"integration.requestId": "of-ssm", "awsEndpointRequestId": "of-ssm",
		}},
		"a proxied backend": {request("GET", "/content/x", "Authorization", l.id(nil)), nil, map[string]string{
			"resourceId": "r4", "resourcePath": "/content/{proxy+}", "path": "/api/content/x", "status": "418", "integration.status": "418", "integration.integrationStatus": "418", "integrationStatus": "418", "integration.latency": "*", "integrationLatency": "*",
			"authorizer.claims.sub": "sub-1", "authorizer.status": "200", "authorizer.latency": "*", "authorize.status": "200", "authorize.latency": "*",
		}},
		"a mock over TLS, by a domain, with a certificate": {request("GET", "/mock"), func(x *Exchange) {
			x.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
			x.Via = &Via{Domain: &Domain{Name: "api.example.com"}, Base: "/v1/api", Matched: "v1", Peer: &x509.Certificate{Raw: []byte{1}, SerialNumber: big.NewInt(171),
				Subject: pkix.Name{CommonName: "ann"}, Issuer: pkix.Name{CommonName: "us"}, NotBefore: noon, NotAfter: noon.Add(time.Hour)}}
		}, map[string]string{
			"resourceId": "m", "resourcePath": "/mock", "path": "/v1/api/mock", "tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256", "customDomain.basePathMatched": "v1",
			"identity.clientCert.clientCertPem": "*", "identity.clientCert.subjectDN": "CN=ann", "identity.clientCert.issuerDN": "CN=us", "identity.clientCert.serialNumber": "ab",
			"identity.clientCert.validity.notBefore": "Nov 20 12:00:00 2026 GMT", "identity.clientCert.validity.notAfter": "Nov 20 13:00:00 2026 GMT",
		}},
		"an invalid request": {request("GET", "/valid"), nil, map[string]string{
			"resourceId": "v", "resourcePath": "/valid", "path": "/api/valid", "status": "400", "error.message": "Missing required request parameters: [q]", "error.messageString": `"Missing required request parameters: [q]"`,
			"error.responseType": "BAD_REQUEST_PARAMETERS", "error.validationErrorString": "Missing required request parameters: [q]",
		}},
	} {
		c.request.Header.Set("User-Agent", "tests/1")
		if strings.Contains(name, "signature") {
			c.request = signed(c.request, "ASIAMEMBER", "member-session", region, noon)
		}
		x := exchange(strings.TrimPrefix(c.request.URL.Path, "/api"))()
		x.Context, x.RawQuery, x.Fields, x.Host = t.Context(), c.request.URL.RawQuery, nil, c.request.Host
		for name, values := range c.request.Header {
			x.Fields = append(x.Fields, Field{name, values[0]})
		}
		if c.change != nil {
			c.change(x)
		}
		tick = 0
		l.Serve(x)
		got := map[string]string{}
		for line := range strings.SplitSeq(strings.TrimSuffix(l.text(), "\n"), "\n") {
			k, v, ok := strings.Cut(line, "=")
			if !ok {
				t.Fatal(errors.New("a line that is none: " + line))
			}
			got[k] = v
		}
		for _, k := range logVariables() {
			want := "-"
			if v, ok := everywhere()[k]; ok {
				want = v
			}
			if v, ok := c.want[k]; ok {
				want = v
			}
			if want == "*" && got[k] != "-" && got[k] != "" {
				continue
			}
			if got[k] != want {
				t.Errorf("%s: $context.%s: got %s, want %s", name, k, got[k], want)
			}
		}
	}
}

// TestTLSValue: suites have OpenSSL's names up to TLS 1.2.
func TestTLSValue(t *testing.T) {
	t.Parallel()
	for id, want := range map[uint16]string{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:       "ECDHE-RSA-AES128-GCM-SHA256",
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:     "ECDHE-ECDSA-AES256-GCM-SHA384",
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256:       "ECDHE-RSA-AES128-SHA256",
		tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:          "ECDHE-RSA-AES256-SHA",
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256:             "AES128-GCM-SHA256",
		tls.TLS_CHACHA20_POLY1305_SHA256:                "TLS_CHACHA20_POLY1305_SHA256",
	} {
		state := &tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: id}
		if got, ok := tlsValue(state, "cipherSuite"); !ok || got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, _ := tlsValue(state, "tlsVersion"); got != "TLSv1.2" {
			t.Errorf("version: %s", got)
		}
	}
}
