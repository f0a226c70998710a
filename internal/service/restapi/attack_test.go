package restapi

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"moat/internal/service/restapi/document"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

const mockIntegration = `"x-amazon-apigateway-integration":{"type":"mock"}`

func oasWith(paths, more string) []byte {
	return []byte(`{"openapi":"3.0.1","info":{"title":"x","version":"1"},"paths":{` + paths + `}` + more + `}`)
}

// What a requirement does not say in a way that is understood must not leave a route open.
func TestImport_SecurityIsNeverLost(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t)
	schemes := `,"components":{"securitySchemes":{"o":{"type":"oauth2","flows":{}},"h":{"type":"http","scheme":"basic"},"k":{"type":"apiKey","in":"header","name":"Other"},"r":{"$ref":"#/components/securitySchemes/r"},"n":null,` +
		`"x":{"type":"apiKey","in":"header","name":"A","x-amazon-apigateway-authtype":"custom","x-amazon-apigateway-authorizer":{"type":"token"}}}}`
	for _, security := range []string{
		`{"o":[]}`, `"o"`, `["o"]`, `[["o"]]`, `[{"o":[]}]`, `[{"h":[]}]`, `[{"k":[]}]`, `[{"r":[]}]`, `[{"n":[]}]`, `[{"ghost":[]}]`, `true`, `[{"api_key":[],"o":[]}]`, `[{"x":[]}]`, `[null]`,
	} {
		for name, body := range map[string][]byte{
			"operation": oasWith(`"/a":{"get":{"security":`+security+`,`+mockIntegration+`}}`, schemes),
			"document":  oasWith(`"/a":{"get":{`+mockIntegration+`}}`, schemes+`,"security":`+security),
		} {
			if d, warnings, err := importedFrom(t, s, body, nil); err == nil {
				t.Errorf("%s, %s: imported as %v with %v", security, name, canonical(t, d, nil), warnings)
			}
		}
	}
	for _, auth := range []string{`{}`, `{"type":"CUSTOM"}`, `{"type":"COGNITO_USER_POOLS"}`, `{"type":"password"}`} {
		if _, _, err := importedFrom(t, s, oasWith(`"/a":{"get":{"x-amazon-apigateway-auth":`+auth+`,`+mockIntegration+`}}`, ""), nil); err == nil {
			t.Errorf("x-amazon-apigateway-auth %s was taken", auth)
		}
	}
}

// Documents that grow when they are read end soon, and without much memory.
func TestImport_Bombs(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t)
	s.cfg.Quotas = map[string]int{"resources": 10_000}
	var many, deep, models strings.Builder
	for i := range 10_010 {
		fmt.Fprintf(&many, `"/p%d":{},`, i)
	}
	for i := range maxModels + 10 {
		fmt.Fprintf(&models, `"M%d":{"type":"object"},`, i)
	}
	for i := range 3000 {
		fmt.Fprintf(&deep, `"/a%d":{"get":{"responses":{"200":{"$ref":"#/components/responses/R"}}}},`, i)
	}
	var big strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&big, `"application/x%d":{"schema":{"type":"object","properties":{"a":{"type":"string"}}}},`, i)
	}
	trim := func(b *strings.Builder) string { return strings.TrimSuffix(b.String(), ",") }
	for name, body := range map[string][]byte{
		"many resources":               oasWith(trim(&many), ""),
		"a long path":                  oasWith(`"`+strings.Repeat("/a", maxImportPath)+`":{}`, ""),
		"many models":                  oasWith("", `,"components":{"schemas":{`+trim(&models)+`}}`),
		"one part, often":              oasWith(trim(&deep), `,"components":{"responses":{"R":{"content":{`+trim(&big)+`}}}}`),
		"too large":                    []byte(strings.Repeat(" ", maxOpenAPI+1)),
		"a schema of another document": oasWith("", `,"components":{"schemas":{"A":{"$ref":"https://example.com/x.json"}}}`),
		"a schema of a file":           oasWith("", `,"components":{"schemas":{"A":{"$ref":"file:///etc/passwd"}}}`),
	} {
		begin := time.Now()
		_, _, err := importedFrom(t, s, body, nil)
		var e wire.Exception
		if !errors.As(err, &e) || e.HTTPStatus() >= 500 || len(e.ErrorMessage()) > 64<<10 {
			t.Errorf("%s: got %.200v", name, err)
		}
		if took := time.Since(begin); took > 20*time.Second { // seconds even on a busy machine with the race detector
			t.Errorf("%s: took %v", name, took)
		}
	}
	// A reference to itself leads nowhere, and what stands there is empty.
	d, _, err := importedFrom(t, s, oasWith(`"/a":{"$ref":"#/paths/~1b"},"/b":{"$ref":"#/paths/~1a"},"/c":{"get":{"parameters":[{"$ref":"#/components/parameters/P"}],`+mockIntegration+`}}`,
		`,"components":{"parameters":{"P":{"$ref":"#/components/parameters/P"}}}`), nil)
	if err != nil || len(d.Resources) != 4 {
		t.Errorf("got %v, %v", d, err)
	}
}

// A merge must not let an API grow without end.
func TestImport_MergesAreBounded(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api, err := s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		var models strings.Builder
		for j := range maxModels / 2 {
			fmt.Fprintf(&models, `"M%dx%d":{"type":"object"},`, i, j)
		}
		_, err = s.PutRestApi(ctx, &apigatewayapi.PutRestApiRequest{RestApiId: *api.Id, Mode: "merge", Body: oasWith("", `,"components":{"schemas":{`+strings.TrimSuffix(models.String(), ",")+`}}`)})
	}
	refused(t, err, "LimitExceededException", "Maximum number of Models for this API has been reached.  Please contact AWS if you need additional Models.")
}

func TestImport_Warnings(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	body := oasWith(`"/a":{"post":{"parameters":[{"name":"c","in":"cookie","schema":{"type":"string"}}],"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Ghost"}}}},`+
		`"responses":{"201":{"description":"x","content":{"text/plain":{"schema":{"type":"string"}}}}},`+mockIntegration+`}}`,
		`,"servers":[{"url":"/","x-amazon-apigateway-endpoint-configuration":{"disableExecuteApiEndpoint":false}},{"url":"/b"}]`)
	want := []string{
		"More than one server provided. Ignoring all but the first for defining endpoint configuration",
		"Unsupported parameter location 'cookie' of parameter 'c' in method 'POST /a'. Ignoring.",
		"Reference to model 'Ghost' not found. Ignoring.",
		"Unsupported model type 'StringSchema' in 201 response to method 'POST /a'. Ignoring.",
	}
	got, err := s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: body})
	if err != nil || strings.Join(got.Warnings, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, %v", got.Warnings, err)
	}
	_, err = s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: body, FailOnWarnings: wire.Bool(true)})
	refused(t, err, "BadRequestException", "Warnings found during import:\n\t"+strings.Join(want, "\n\t"))
	if one, err := s.GetRestApi(ctx, &apigatewayapi.GetRestApiRequest{RestApiId: *got.Id}); err != nil || one.Warnings != nil {
		t.Errorf("the warnings are kept: %v, %v", one, err)
	}
	// All errors at once, then what else was found; nothing of it is kept.
	_, err = s.PutRestApi(ctx, &apigatewayapi.PutRestApiRequest{RestApiId: *got.Id, Mode: "overwrite", Body: oasWith(
		`"/b/{x}/{y}":{},"/b/{z}":{"get":{`+mockIntegration+`}},"/c":{"get":{"responses":{"200":{"description":"x","content":{"a/b":{"schema":{"type":"integer"}}}}},"x-amazon-apigateway-integration":{"type":"http","httpMethod":"GET"}}}`,
		`,"components":{"schemas":{"Bad":{"type":"object","nullable":true},"Not-alnum":{"type":"object"},"Lost":{"$ref":"#/components/schemas/Ghost"}}}`)})
	refused(t, err, "BadRequestException", strings.Join([]string{
		"Errors found during import:",
		`	Unable to create model for 'Bad': Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified. Unsupported keyword(s): ["nullable"]]`,
		"	Unable to create model for 'Not-alnum': Model name must be alphanumeric: Not-alnum",
		"	Unable to create model for 'Lost': Invalid model specified: Validation Result: warnings : [], errors : [Invalid model reference specified: 'Ghost']",
		"	Unable to create resource at path '/b/{z}': A sibling ({x}) of this resource already has a variable path part -- only one is allowed",
		"	Unable to put integration on 'GET' for resource at path '/c': Invalid HTTP endpoint specified for URI",
		"Additionally, these warnings were found:",
		"	Unsupported model type 'IntegerSchema' in 200 response to method 'GET /c'. Ignoring.",
	}, "\n"))
	resources, err := s.GetResources(ctx, &apigatewayapi.GetResourcesRequest{RestApiId: *got.Id})
	if err != nil || len(resources.Items) != 2 || *resources.Items[1].Path != "/a" {
		t.Errorf("got %+v, %v; want what was there before", resources, err)
	}
}

// A document may say no more than a call may, and nothing that has no effect.
func TestImport_Choices(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t)
	integration := func(more string) []byte {
		return oasWith(`"/a":{"get":{"x-amazon-apigateway-integration":{"type":"mock"`+more+`}}}`, "")
	}
	for name, tt := range map[string]struct {
		body []byte
		want int
	}{
		"content handling":          {integration(`,"contentHandling":"CONVERT_TO_TEXT"`), 0},
		"no content handling":       {integration(`,"contentHandling":"CONVERT_TO_IMAGE"`), 400},
		"no such content handling":  {integration(`,"responses":{"default":{"contentHandling":"x"}}`), 400},
		"connection":                {integration(`,"connectionType":"internet"`), 0},
		"no connection":             {integration(`,"connectionType":"MODEM"`), 400},
		"no passthrough":            {integration(`,"passthroughBehavior":"sometimes"`), 400},
		"no type":                   {oasWith(`"/a":{"get":{"x-amazon-apigateway-integration":{"type":"ftp"}}}`, ""), 400},
		"timeout":                   {integration(`,"timeoutInMillis":"50"`), 0},
		"no timeout":                {integration(`,"timeoutInMillis":"soon"`), 400},
		"no status":                 {integration(`,"responses":{"default":{"statusCode":"2XX"}}`), 400},
		"buffered":                  {integration(`,"responseTransferMode":"BUFFERED"`), 0},
		"streamed":                  {integration(`,"responseTransferMode":"STREAM"`), 501},
		"target":                    {integration(`,"integrationTarget":"x"`), 501},
		"security policy":           {oasWith("", `,"x-amazon-apigateway-security-policy":"TLS_1_2"`), 0},
		"list of ciphers":           {oasWith("", `,"x-amazon-apigateway-security-policy":"SecurityPolicy_TLS13_1_3_2025_09"`), 501},
		"no security policy":        {oasWith("", `,"x-amazon-apigateway-security-policy":"SSL_3"`), 400},
		"strict":                    {oasWith("", `,"x-amazon-apigateway-endpoint-access-mode":"STRICT"`), 501},
		"key source":                {oasWith("", `,"x-amazon-apigateway-api-key-source":"header"`), 0},
		"no key source":             {oasWith("", `,"x-amazon-apigateway-api-key-source":"COOKIE"`), 400},
		"no compression":            {oasWith("", `,"x-amazon-apigateway-minimum-compression-size":"-1"`), 400},
		"no address type":           {oasWith("", `,"x-amazon-apigateway-endpoint-configuration":{"ipAddressType":"ipv5"}`), 400},
		"no policy":                 {oasWith("", `,"x-amazon-apigateway-policy":"allow"`), 400},
		"no gateway response":       {oasWith("", `,"x-amazon-apigateway-gateway-responses":{"TEAPOT":{}}`), 400},
		"no validator":              {oasWith(`"/a":{"get":{"x-amazon-apigateway-request-validator":"x"}}`, ""), 400},
		"an authorizer without URI": {oasWith("", `,"components":{"securitySchemes":{"a":{"type":"apiKey","in":"header","name":"A","x-amazon-apigateway-authorizer":{"type":"token"}}}}`), 400},
	} {
		_, _, err := importedFrom(t, s, tt.body, nil)
		var e wire.Exception
		if tt.want == 0 && err != nil || tt.want != 0 && (!errors.As(err, &e) || e.HTTPStatus() != tt.want) {
			t.Errorf("%s: got %v, want %d", name, err, tt.want)
		}
	}
}

func TestImport_BasePathOfServers(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t)
	for servers, want := range map[string]string{
		`[{"url":"https://x.test/{basePath}","variables":{"basePath":{"default":"/a/b"}}}]`: "/a/b/p /b/p",
		`[{"url":"https://x.test/a/b/"}]`: "/a/b/p /b/p",
		`[{"url":"/a"}]`:                  "/a/p /p",
		`[{"url":"https://x.test"}]`:      "/p /p",
		`[{"url":"/x"},{"url":"/y","variables":{"basePath":{"default":"a/b/c"}}},{"variables":{"basePath":{"default":"/second"}}}]`: "/a/b/c/p /b/c/p",
		`[]`: "/p /p",
	} {
		var got []string
		for _, mode := range []string{"prepend", "split"} {
			d, _, err := importedFrom(t, s, oasWith(`"/p":{"get":{`+mockIntegration+`}}`, `,"servers":`+servers), map[string]string{"basepath": mode})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range d.Resources {
				if len(r.ResourceMethods) > 0 {
					got = append(got, *r.Path)
				}
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", servers, got, want)
		}
	}
	_, _, err := importedFrom(t, s, oasWith("", ""), map[string]string{"basepath": "append"})
	refused(t, err, "BadRequestException", "Invalid import parameter 'basepath' with value 'append'")
}

func TestGetModel_Flatten(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api, err := s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: readDocument(t, "circular.json")})
	if err != nil {
		t.Fatal(err)
	}
	get := func(name string, flatten bool) string {
		m, err := s.GetModel(ctx, &apigatewayapi.GetModelRequest{RestApiId: *api.Id, ModelName: name, Flatten: &flatten})
		if err != nil {
			t.Fatal(err)
		}
		v, err := document.ParseJSON([]byte(*m.Schema))
		if err != nil {
			t.Fatal(err)
		}
		return string(document.Compact(v))
	}
	if got := get("Home", false); !strings.Contains(got, `"$ref":"https://apigateway.amazonaws.com/restapis/`+*api.Id+`/models/Person"`) {
		t.Errorf("got %s", got)
	}
	want := `{"oneOf":[{"type":"null"},{"type":"object","properties":{"owner":{"$ref":"#/definitions/Person"}},"additionalProperties":{"$ref":"#"}}],"definitions":{"Person":` +
		`{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"friends":{"type":"array","items":{"$ref":"#/definitions/Person"}},"home":{"$ref":"#"}}}}}`
	if got := get("Home", true); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if m, err := s.GetModel(ctx, &apigatewayapi.GetModelRequest{RestApiId: *api.Id, ModelName: "Home"}); err != nil || strings.Contains(*m.Schema, "definitions") {
		t.Errorf("got %v, %v: flattened for good", m, err)
	}
}

// What is imported is what is read: no panic, and what is taken can be exported and taken again.
func FuzzImport(f *testing.F) {
	for _, name := range []string{"cognito.json", "references.yaml", "integration_properties.json", "documentation_everywhere.json", "authorizers.json"} {
		b, err := os.ReadFile("testdata/documents/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	s := &Service{cfg: Config{Rand: rand.Reader, Now: time.Now}}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, _, err := importedFrom(t, s, body, nil)
		if err != nil {
			return
		}
		text := document.Pretty(wholeExport(d, false))
		if !json.Valid(text) {
			t.Fatalf("no JSON: %s", text)
		}
		if _, _, err := importedFrom(t, s, text, nil); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	})
}
