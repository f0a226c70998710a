package moattest

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// stamp is the time at the beginning of a line of a test's log.
var stamp = regexp.MustCompile(`^[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d UTC \d{4} : `)

// petstore has the methods whose tests were recorded on AWS.
const petstore = `{"openapi":"3.0.1","info":{"title":"p","version":"1"},"paths":{
"/pets":{"get":{"security":[{"key":[]}],"responses":{"200":{"description":"ok"}},"x-amazon-apigateway-integration":{"type":"mock","requestTemplates":{"application/json":"{\"statusCode\": 200}"},
 "responses":{"default":{"statusCode":"200","responseTemplates":{"application/json":"{\"pets\": \"all the pets\"}"}}}}}},
"/pets/{petId}":{"x-amazon-apigateway-any-method":{"parameters":[{"name":"petId","in":"path","required":true,"schema":{"type":"string"}}],"responses":{"200":{"description":"ok"}},"x-amazon-apigateway-integration":{"type":"mock","requestTemplates":{"application/json":"{\"statusCode\": 200}"},
 "responses":{"default":{"statusCode":"200","responseTemplates":{"application/json":"{\"petId\": \"$input.params('petId')\"}"}}}}}}},
"components":{"securitySchemes":{"key":{"type":"apiKey","name":"x-api-key","in":"header"}}}}`

// A method is tried before it is deployed, without the key that it asks for. Statuses, bodies and
// lines of the log are those that were recorded on AWS.
func TestInvokeMethod(t *testing.T) {
	t.Parallel()
	m := New(t)
	_, out := m.gatewayCall(t, "POST", "/restapis?mode=import", json.RawMessage(petstore))
	api, _ := out["id"].(string)
	_, out = m.gatewayCall(t, "GET", "/restapis/"+api+"/resources", nil)
	ids := map[string]string{}
	items, _ := out["item"].([]any)
	for _, v := range items {
		r := v.(map[string]any)
		ids[r["path"].(string)] = r["id"].(string)
	}
	if ids["/pets"] == "" || ids["/pets/{petId}"] == "" {
		t.Fatalf("no resources: %v", out)
	}
	for name, tt := range map[string]struct {
		resource, verb string
		in             map[string]any
		body           string
		log            []string
	}{
		"pets":            {"/pets", "GET", nil, `{"pets": "all the pets"}`, []string{"HTTP Method: GET, Resource Path: /pets", "Method request path: {}", "Method request query string: {}", "Method request headers: {}", "Method request body before transformations: "}},
		"pets, bad path":  {"/pets", "GET", map[string]any{"pathWithQueryString": "/random/test"}, `{"pets": "all the pets"}`, []string{"HTTP Method: GET, Resource Path: /random/test", "Method request path: {}"}},
		"pet":             {"/pets/{petId}", "GET", map[string]any{"pathWithQueryString": "/pets/123"}, `{"petId": "123"}`, []string{"HTTP Method: GET, Resource Path: /pets/123", "Method request path: {petId=123}"}},
		"pet, no path":    {"/pets/{petId}", "GET", nil, `{"petId": "{petId}"}`, []string{"HTTP Method: GET, Resource Path: /pets/{petId}", "Method request path: {petId={petId}}"}},
		"pet, bad path":   {"/pets/{petId}", "GET", map[string]any{"pathWithQueryString": "/random/test"}, `{"petId": ""}`, []string{"HTTP Method: GET, Resource Path: /random/test", "Method request path: {}"}},
		"query":           {"/pets/{petId}", "GET", map[string]any{"pathWithQueryString": "/pets/123?foo=bar"}, `{"petId": "123"}`, []string{"Method request query string: {foo=bar}"}},
		"body and header": {"/pets/{petId}", "POST", map[string]any{"pathWithQueryString": "/pets/123", "body": `{"foo": "bar"}`, "headers": map[string]string{"X-A": "b"}}, `{"petId": "123"}`, []string{"HTTP Method: POST, Resource Path: /pets/123", `Method request body before transformations: {"foo": "bar"}`, "Method request headers: {X-A=b}"}},
	} {
		in := tt.in
		if in == nil {
			in = map[string]any{}
		}
		status, out := m.gatewayCall(t, "POST", "/restapis/"+api+"/resources/"+ids[tt.resource]+"/methods/"+tt.verb, in)
		if status != 200 || out["status"] != 200.0 || out["body"] != tt.body {
			t.Errorf("%s: %d %v", name, status, out)
			continue
		}
		if h := text(out["headers"]) + text(out["multiValueHeaders"]); h != `{"Content-Type":"application/json"}{"Content-Type":["application/json"]}` {
			t.Errorf("%s: headers %s", name, h)
		}
		lines := strings.Split(out["log"].(string), "\n")
		if !strings.HasPrefix(lines[0], "Execution log for request ") || lines[len(lines)-1] != "" {
			t.Errorf("%s: %q", name, lines)
		}
		var said []string
		for _, l := range lines[1 : len(lines)-1] {
			if !stamp.MatchString(l) {
				t.Errorf("%s: %q has no time", name, l)
			}
			said = append(said, stamp.ReplaceAllString(l, ""))
		}
		all := "\n" + strings.Join(said, "\n") + "\n"
		for _, want := range append(tt.log, "Method response body after transformations: "+tt.body, "Method response headers: {Content-Type=application/json}", "Successfully completed execution", "Method completed with status: 200") {
			if !strings.Contains(all, "\n"+want+"\n") {
				t.Errorf("%s: %q is missing in %s", name, want, all)
			}
		}
	}
	for name, tt := range map[string]struct{ path, want string }{
		"no API":      {"/restapis/ghost/resources/x/methods/GET", "Invalid Resource identifier specified"},
		"no resource": {"/restapis/" + api + "/resources/ghost/methods/GET", "Invalid Resource identifier specified"},
		"no method":   {"/restapis/" + api + "/resources/" + ids["/pets"] + "/methods/POST", "Invalid Method identifier specified"},
	} {
		if status, out := m.gatewayCall(t, "POST", tt.path, map[string]any{}); status != 404 || out["message"] != tt.want {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	if status, out := m.gatewayCall(t, "POST", "/restapis/"+api+"/resources/"+ids["/pets"]+"/methods/GET", map[string]any{"headers": map[string]string{"X": "a\r\nY: b"}}); status != 400 {
		t.Errorf("a split header: %d %v", status, out)
	}
}
