package gateway

import (
	"errors"
	"strings"
	"testing"
)

func corsMock(template string) Integration {
	return Integration{Type: "MOCK", RequestTemplates: map[string]string{"application/json": template}, Responses: []IntegrationResponse{
		{StatusCode: "500", SelectionPattern: "5\\d\\d"},
		{StatusCode: "200", ResponseParameters: map[string]string{
			"method.response.header.Access-Control-Allow-Origin":      "'*'",
			"method.response.header.Access-Control-Allow-Credentials": "'true'",
			"method.response.header.Access-Control-Allow-Headers":     "'Content-Type,Authorization,X-Amz-Date,X-Api-Key,X-Amz-Security-Token'",
		}}}}
}

func TestMock(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://localhost:1")
	add := func(path string, in Integration) {
		d.Routes = append(d.Routes, Route{Path: path, Method: "OPTIONS", AuthorizationType: "NONE", Integration: in})
	}
	add("/cors", corsMock(`{"statusCode": 200}`))
	add("/loose", corsMock("{statusCode:200}"))
	add("/fails", corsMock(`{"statusCode": 503}`))
	body := corsMock(`{"statusCode": 200}`)
	body.Responses[1].ResponseTemplates = map[string]string{"application/json": `{"id": 42}`}
	add("/body", body)
	never := corsMock(`{"statusCode": 200}`)
	never.PassthroughBehavior = "NEVER"
	add("/never", never)
	none := corsMock(`{"statusCode": 200}`)
	none.Responses = nil
	add("/none", none)
	k.publish(d)

	for _, path := range []string{"/cors", "/loose", "/body"} {
		w := k.serve(request("OPTIONS", path, "Origin", "http://localhost:3000", "Access-Control-Request-Method", "GET"))
		want := ""
		if path == "/body" {
			want = `{"id": 42}`
		}
		check(t, w, ok)
		if w.Body.String() != want || w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("%s: %v %q", path, w.Header(), w.Body)
		}
	}
	if w := k.serve(request("OPTIONS", "/fails")); w.Code != 500 || w.Header()["x-amzn-ErrorType"] != nil {
		t.Errorf("pattern: %d", w.Code)
	}
	check(t, k.serve(request("OPTIONS", "/never", "Content-Type", "text/plain")), want{415, `{"message":"Unsupported Media Type"}`, "UnsupportedMediaTypeException"})
	check(t, k.serve(request("OPTIONS", "/never", "Content-Type", "application/json; charset=utf-8")), ok)
	check(t, k.serve(request("OPTIONS", "/none")), want{500, `{"message": "Internal server error"}`, "InternalServerErrorException"})
}

func TestGatewayResponses(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://localhost:1")
	d.Responses = map[string]Response{
		"UNAUTHORIZED":    {ResponseParameters: map[string]string{"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"}},
		"ACCESS_DENIED":   {StatusCode: "401", ResponseTemplates: map[string]string{"application/json": `{"message":$context.error.messageString,"type":"$context.error.responseType","route":"${context.resourcePath}"}`}},
		"DEFAULT_4XX":     {ResponseTemplates: map[string]string{"text/plain": "sorry: $context.error.message ($context.identity.userAgent)."}},
		"INVALID_API_KEY": {StatusCode: "418"},
	}
	k.publish(d)
	w := k.serve(request("GET", "/courses"))
	check(t, w, denied401("Unauthorized"))
	if w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("no CORS header: %v", w.Header())
	}
	w = k.serve(signed(request("GET", "/progress"), "ASIAGUEST", "guest-session", region, noon))
	if w.Code != 401 || !strings.HasPrefix(w.Body.String(), `{"message":"User: arn:aws:sts`) || !strings.HasSuffix(w.Body.String(), `,"type":"ACCESS_DENIED","route":"/progress"}`) {
		t.Errorf("remapped: %d %s", w.Code, w.Body)
	}
	check(t, k.serve(request("GET", "/catalog")), want{418, forbidden, "ForbiddenException"})
	w = k.serve(request("GET", "/nothing", "User-Agent", `"},{"`))
	if w.Code != 403 || w.Body.String() != `sorry: Missing Authentication Token (\"},{\").` || w.Header().Get("Content-Type") != "text/plain" {
		t.Errorf("fallback: %d %q %v", w.Code, w.Body, w.Header())
	}
	if w := k.serve(request("HEAD", "/nothing")); w.Code != 403 || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d %q %v", w.Code, w.Body, w.Header())
	}
}

func TestCompile_refuses(t *testing.T) {
	t.Parallel()
	base := func() Route {
		return Route{Path: "/x", Method: "GET", AuthorizationType: "NONE", Integration: proxy("x")}
	}
	with := func(f func(*Route)) func(*Definition) {
		return func(d *Definition) {
			r := base()
			f(&r)
			d.Routes = append(d.Routes, r)
		}
	}
	for name, c := range map[string]struct {
		change   func(*Definition)
		notBuilt bool
		ok       bool
	}{
		"as it is":              {change: with(func(*Route) {}), ok: true},
		"no routes":             {change: func(d *Definition) { d.Routes = nil }},
		"no authorization type": {change: with(func(r *Route) { r.AuthorizationType = "" })},
		"other authorization":   {change: with(func(r *Route) { r.AuthorizationType = "OPEN" })},
		"unknown authorizer":    {change: with(func(r *Route) { r.AuthorizationType, r.AuthorizerID = "COGNITO_USER_POOLS", "zzz" })},
		"authorizer of a kind":  {change: with(func(r *Route) { r.AuthorizationType, r.AuthorizerID = "CUSTOM", "auth01" })},
		"no integration":        {change: with(func(r *Route) { r.Integration = Integration{} })},
		"unknown integration":   {change: with(func(r *Route) { r.Integration.Type = "FTP" })},
		"AWS":                   {change: with(func(r *Route) { r.Integration.Type = "AWS" }), ok: true},
		"AWS of no ARN":         {change: with(func(r *Route) { r.Integration = Integration{Type: "AWS", Method: "POST", URI: "http://x/"} })},
		"HTTP":                  {change: with(func(r *Route) { r.Integration = Integration{Type: "HTTP", Method: "GET", URI: "http://x/"} }), ok: true},
		"HTTP of no address":    {change: with(func(r *Route) { r.Integration.Type = "HTTP" })},
		"VPC link of a mock":    {change: with(func(r *Route) { r.Integration.ConnectionType = "VPC_LINK" }), notBuilt: true},
		"VPC link that is not": {change: with(func(r *Route) {
			r.Integration = Integration{Type: "HTTP_PROXY", Method: "GET", URI: "http://x/", ConnectionType: "VPC_LINK", ConnectionID: "ghost"}
		})},
		"connection of a kind": {change: with(func(r *Route) { r.Integration.ConnectionType = "PIGEON" })},
		"bad function":         {change: with(func(r *Route) { r.Integration.URI = "arn:aws:apigateway:us-east-1:s3:path/x" })},
		"twice":                {change: func(d *Definition) { d.Routes = append(d.Routes, base(), base()) }},
		"method":               {change: with(func(r *Route) { r.Method = "get" })},
		"path":                 {change: with(func(r *Route) { r.Path = "x" })},
		"greedy in the middle": {change: with(func(r *Route) { r.Path = "/{a+}/b" })},
		"dots in a path":       {change: with(func(r *Route) { r.Path = "/a/../b" })},
		"ambiguous parameters": {change: func(d *Definition) {
			with(func(r *Route) { r.Path = "/{a}" })(d)
			with(func(r *Route) { r.Path = "/{b}" })(d)
		}},
		"template":                {change: with(func(r *Route) { r.Integration = corsMock(`{"statusCode": $x}`) }), ok: true},
		"template without status": {change: with(func(r *Route) { r.Integration = corsMock(`{}`) }), ok: true},
		"mock header from a body": {change: with(func(r *Route) {
			r.Integration = corsMock(`{"statusCode": 200}`)
			r.Integration.Responses[1].ResponseParameters = map[string]string{"method.response.header.X": "integration.response.body.x"}
		}), ok: true},
		"mock header from a request": {change: with(func(r *Route) {
			r.Integration = corsMock(`{"statusCode": 200}`)
			r.Integration.Responses[1].ResponseParameters = map[string]string{"method.response.header.X": "method.request.header.x"}
		})},
		"not HTTP":             {change: with(func(r *Route) { r.Integration = Integration{Type: "HTTP_PROXY", URI: "ftp://x/"} })},
		"credentials in a URI": {change: with(func(r *Route) { r.Integration = Integration{Type: "HTTP_PROXY", URI: "http://u:p@x/"} })},
		"host from outside":    {change: with(func(r *Route) { r.Integration = Integration{Type: "HTTP_PROXY", URI: "http://{h}/"} }), notBuilt: true},
		"unfilled hole":        {change: with(func(r *Route) { r.Integration = Integration{Type: "HTTP_PROXY", URI: "http://x/{h}"} })},
		"body mapping": {change: with(func(r *Route) {
			r.Integration = Integration{Type: "HTTP_PROXY", URI: "http://x/", RequestParameters: map[string]string{"integration.request.header.X": "method.request.body"}}
		}), ok: true},
		"hop-by-hop mapping": {change: with(func(r *Route) {
			r.Integration = Integration{Type: "HTTP_PROXY", URI: "http://x/", RequestParameters: map[string]string{"integration.request.header.Connection": "'x'"}}
		})},
		"policy":          {change: func(d *Definition) { d.Policy = []byte(`{"Version":"2012-10-17"}`) }},
		"response type":   {change: func(d *Definition) { d.Responses = map[string]Response{"NOPE": {}} }},
		"response status": {change: func(d *Definition) { d.Responses = map[string]Response{"THROTTLED": {StatusCode: "9"}} }},
		"response directive": {change: func(d *Definition) {
			d.Responses = map[string]Response{"THROTTLED": {ResponseTemplates: map[string]string{"a/b": "#if"}}}
		}, ok: true},
		"response variable": {change: func(d *Definition) {
			d.Responses = map[string]Response{"THROTTLED": {ResponseTemplates: map[string]string{"a/b": "$util.x()"}}}
		}, ok: true},
		"response header": {change: func(d *Definition) {
			d.Responses = map[string]Response{"THROTTLED": {ResponseParameters: map[string]string{"gatewayresponse.header.X": "'a\r\nb'"}}}
		}},
		"key source":      {change: func(d *Definition) { d.APIKeySource = "COOKIE" }},
		"authorizer type": {change: func(d *Definition) { d.Authorizers["x"] = Authorizer{Type: "MAGIC"} }},
		"no pools":        {change: func(d *Definition) { d.Authorizers["x"] = Authorizer{Type: "COGNITO_USER_POOLS"} }},
		"identity source": {change: func(d *Definition) {
			d.Authorizers["x"] = Authorizer{Type: "COGNITO_USER_POOLS", ProviderARNs: []string{poolARN}, IdentitySource: "method.request.querystring.t"}
		}},
		"throttle key": {change: func(d *Definition) { d.Throttles = map[string]Throttle{"GET": {}} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := courses("http://localhost:1")
			c.change(&d)
			_, err := Compile(d)
			var built *NotBuiltError
			var bad *DefinitionError
			switch {
			case c.ok && err != nil, !c.ok && err == nil:
				t.Errorf("got %v", err)
			case c.ok:
			case c.notBuilt != errors.As(err, &built), !c.notBuilt && !errors.As(err, &bad):
				t.Errorf("got %T %v", err, err)
			}
		})
	}
}
