package restapi

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"moat/internal/service/restapi/document"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// canonical is a definition without what differs from import to import: ids, and the
// address of its models. Order does not matter, JSON does not keep it.
func canonical(t *testing.T, d *definition, known map[string]bool) any {
	t.Helper()
	named := map[string]string{"": ""}
	authorizers, validators, docs := map[string]any{}, map[string]any{}, map[string]string{}
	for id, a := range d.Authorizers {
		named[id] = *a.Name
		a.Id = nil
		authorizers[*a.Name] = a
	}
	for id, v := range d.Validators {
		named[id] = *v.Name
		v.Id = nil
		validators[*v.Name] = v
	}
	models := map[string]any{}
	for name, m := range d.Models {
		var schema any
		if err := json.Unmarshal([]byte(*m.Schema), &schema); err != nil {
			t.Fatal(err)
		}
		models[name] = []any{m.Description, m.ContentType, schema}
	}
	for _, p := range d.Documentation {
		docs[strings.ReplaceAll(locationKey(*p.Location), "\x00", " ")] = *p.Properties
	}
	methods := map[string]any{}
	for _, r := range d.Resources {
		for verb, m := range r.ResourceMethods {
			m.AuthorizerId, m.RequestValidatorId = wire.String(named[wire.Value(m.AuthorizerId)]), wire.String(named[wire.Value(m.RequestValidatorId)])
			if m.MethodIntegration != nil {
				i := *m.MethodIntegration
				if *i.CacheNamespace == *r.Id || known[*i.CacheNamespace] {
					i.CacheNamespace = wire.String("its own")
				}
				m.MethodIntegration = &i
			}
			methods[verb+" "+*r.Path] = m
		}
	}
	api := d.API
	if wire.Value(api.Version) == api.CreatedDate.Format(time.RFC3339) {
		api.Version = nil // an export says when an API was made that has no version
	}
	api.Id, api.RootResourceId, api.CreatedDate = nil, nil, nil
	b, err := json.Marshal([]any{api, authorizers, validators, models, docs, methods, d.Responses})
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(bytes.ReplaceAll(b, []byte(d.ID), []byte("ID")), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func importedFrom(t *testing.T, s *Service, body []byte, parameters map[string]string) (*definition, []string, error) {
	t.Helper()
	doc, err := parseOpenAPI(body)
	if err != nil {
		return nil, nil, err
	}
	doc.parameters = parameters
	d, err := s.newDefinition(place{"000000000000", "us-east-1"}, apigatewayapi.RestApi{})
	if err != nil {
		t.Fatal(err)
	}
	d.clear()
	warnings, err := s.importInto(&d, doc)
	return &d, warnings, err
}

func wholeExport(d *definition, swagger bool) *document.Object {
	e := exporter{
		d: d, swagger: swagger, scheme: "https", host: "host", basePath: "/v1", integrations: true, authorizers: true, all: true, documented: true,
		docs: &documentation{Version: apigatewayapi.DocumentationVersion{Version: wire.String("1"), CreatedDate: d.API.CreatedDate}, Parts: d.parts()},
	}
	return e.document()
}

// The export of an import is the import, in both versions and both forms.
func TestExport_RoundTrip(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/documents/*")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d documents, %v", len(files), err)
	}
	s, _, _ := newService(t)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, err := importedFrom(t, s, body, nil)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(file, "documentation") { // an export writes into the API what documentation says of it
				if first, _, err = importedFrom(t, s, document.Pretty(wholeExport(first, false)), nil); err != nil {
					t.Fatal(err)
				}
			}
			ids := map[string]bool{} // exports name the resource whose cache keys a method has
			for id := range first.Resources {
				ids[id] = true
			}
			want := canonical(t, first, ids)
			for name, swagger := range map[string]bool{"oas30": false, "swagger": true} {
				if swagger && strings.Contains(file, "oas30") {
					continue // says what Swagger cannot
				}
				out := wholeExport(first, swagger)
				for form, text := range map[string][]byte{"json": document.Pretty(out), "yaml": document.YAML(out)} {
					again, warnings, err := importedFrom(t, s, text, nil)
					if err != nil || len(warnings) > 0 {
						t.Fatalf("%s %s: %v %v\n%s", name, form, err, warnings, text)
					}
					for _, d := range differences(name+" "+form, want, canonical(t, again, ids)) {
						t.Error(d)
					}
					if second := document.Pretty(wholeExport(again, swagger)); form == "json" && !bytes.Equal(bytes.ReplaceAll(second, []byte(again.ID), []byte(first.ID)), text) {
						t.Errorf("%s: the second export differs:\n%s\n%s", name, text, second)
					}
				}
			}
		})
	}
}

// What an export looks like, to the byte.
func TestExport_Golden(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api, err := s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: readDocument(t, "cognito.json")})
	if err != nil {
		t.Fatal(err)
	}
	var d definition
	if err := s.view(ctx, *api.Id, func(v *definition) error { d = *v; return nil }); err != nil {
		t.Fatal(err)
	}
	plain := exporter{d: &d, scheme: "https", host: "host", basePath: "/v1"}
	for file, got := range map[string][]byte{
		"oas30_plain.json": document.Pretty(plain.document()), "oas30.json": document.Pretty(wholeExport(&d, false)),
		"swagger.json": document.Pretty(wholeExport(&d, true)), "swagger.yaml": document.YAML(wholeExport(&d, true)),
	} {
		file = filepath.Join("testdata/exports", file)
		want, err := os.ReadFile(file)
		if os.Getenv("UPDATE") != "" {
			err = os.WriteFile(file, got, 0o644)
			want = got
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s", file, got)
		}
	}
}

func TestGetExport(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api := imported(t, s, ctx)
	in := &apigatewayapi.GetExportRequest{RestApiId: api, StageName: "v1", ExportType: "oas30"}
	_, err := s.GetExport(ctx, in)
	refused(t, err, "NotFoundException", "Invalid stage identifier specified")
	deploy(t, s, ctx, api, "v1")
	get := func(kind, accept, extensions string) (*document.Object, *apigatewayapi.ExportResponse, error) {
		t.Helper()
		in := &apigatewayapi.GetExportRequest{RestApiId: api, StageName: "v1", ExportType: kind, Accepts: &accept}
		if extensions != "" {
			in.Parameters = map[string]string{"extensions": extensions}
		}
		got, err := s.GetExport(ctx, in)
		if err != nil {
			return nil, nil, err
		}
		v, err := document.Parse(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		return v.(*document.Object), got, nil
	}
	plain, answer, err := get("swagger", "application/json", "")
	if err != nil || plain.Text("host") != api+".execute-api.us-east-1.localhost" || plain.Text("basePath") != "/v1" || bytes.Contains(answer.Body, []byte("apigateway-integration")) ||
		bytes.Contains(answer.Body, []byte("providerARNs")) || *answer.ContentType != "application/octet-stream" || *answer.ContentDisposition != `attachment; filename="swagger_2026-11-20_12-00Z.json"` {
		t.Errorf("got %+v, %v, %s", answer, err, document.Compact(plain))
	}
	_, answer, err = get("oas30", "application/yaml", "integrations,authorizers")
	if err != nil || !bytes.HasPrefix(answer.Body, []byte("---\nopenapi: \"3.0.1\"\n")) || !bytes.Contains(answer.Body, []byte("x-amazon-apigateway-integration")) || !bytes.Contains(answer.Body, []byte("providerARNs")) {
		t.Errorf("got %s, %v", answer.Body, err)
	}
	_, _, err = get("oas31", "", "")
	refused(t, err, "BadRequestException", "Invalid export type 'oas31'. Valid options are oas30 and swagger")
	_, _, err = get("oas30", "", "everything")
	refused(t, err, "BadRequestException", "Invalid export extension 'everything'")
}

// An export shows what is deployed, with the documentation that the stage names.
func TestGetExport_ShowsWhatIsDeployed(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api := imported(t, s, ctx)
	deploy(t, s, ctx, api, "v1")
	say := func(kind apigatewayapi.DocumentationPartType, path, method, name, properties string) {
		t.Helper()
		optional := func(s string) *string {
			if s == "" {
				return nil
			}
			return &s
		}
		if _, err := s.CreateDocumentationPart(ctx, &apigatewayapi.CreateDocumentationPartRequest{RestApiId: api, Properties: properties,
			Location: &apigatewayapi.DocumentationPartLocation{Type: kind, Path: optional(path), Method: optional(method), Name: optional(name)}}); err != nil {
			t.Fatal(err)
		}
	}
	say("API", "", "", "", `{"info":{"description":"All about courses.","x-owner":"us"},"x-bar":1,"foo":2}`)
	say("METHOD", "/courses", "GET", "", `{"summary":"Lists","tags":["a"],"x-a":true,"foo":2}`)
	say("PATH_PARAMETER", "/content", "", "proxy", `{"description":"a path"}`)
	export := func() *document.Object {
		t.Helper()
		got, err := s.GetExport(ctx, &apigatewayapi.GetExportRequest{RestApiId: api, StageName: "v1", ExportType: "swagger"})
		if err != nil {
			t.Fatal(err)
		}
		v, err := document.Parse(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		return v.(*document.Object)
	}
	if got := export().Object("info").Text("description"); got != "" {
		t.Errorf("got %q before a version was published", got)
	}
	if _, err := s.CreateDocumentationVersion(ctx, &apigatewayapi.CreateDocumentationVersionRequest{RestApiId: api, DocumentationVersion: "1", StageName: wire.String("v1")}); err != nil {
		t.Fatal(err)
	}
	_, err := s.CreateDocumentationVersion(ctx, &apigatewayapi.CreateDocumentationVersionRequest{RestApiId: api, DocumentationVersion: "1"})
	refused(t, err, "ConflictException", "Documentation version already exists")
	got := export()
	get := got.Object("paths").Object("/courses").Object("get")
	if got.Object("info").Text("description") != "All about courses." || got.Object("info").Text("x-owner") != "us" || got.Text("x-bar") != "1" || got.Has("foo") ||
		get.Text("summary") != "Lists" || get.Text("x-a") != "true" || get.Has("foo") {
		t.Errorf("got %s", document.Pretty(got))
	}
	content := got.Object("paths").Object("/content/{proxy+}").Object("get").List("parameters")
	if p := content[0].(*document.Object); p.Text("description") != "a path" { // from the path above it
		t.Errorf("got %s", document.Pretty(p))
	}
	// A later edit is in no export until it is published.
	say("METHOD", "/courses", "POST", "", `{"summary":"Adds"}`)
	if export().Object("paths").Object("/courses").Object("post").Has("summary") {
		t.Error("what was said later is in the export")
	}
}

func TestDocumentation_Locations(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api := imported(t, s, ctx)
	at := func(kind, path, method, status, name string) *apigatewayapi.DocumentationPartLocation {
		l := &apigatewayapi.DocumentationPartLocation{Type: apigatewayapi.DocumentationPartType(kind)}
		for _, f := range []struct {
			to **string
			v  string
		}{{&l.Path, path}, {&l.Method, method}, {&l.StatusCode, status}, {&l.Name, name}} {
			if f.v != "" {
				*f.to = &f.v
			}
		}
		return l
	}
	create := func(l *apigatewayapi.DocumentationPartLocation, text string) (*apigatewayapi.DocumentationPart, error) {
		return s.CreateDocumentationPart(ctx, &apigatewayapi.CreateDocumentationPartRequest{RestApiId: api, Location: l, Properties: text})
	}
	got, err := create(at("METHOD", "", "get", "", ""), `{}`)
	if err != nil || *got.Location.Path != "/" || *got.Location.Method != "GET" {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = create(at("METHOD", "/", "GET", "", ""), `{}`)
	refused(t, err, "ConflictException", "Documentation part already exists for the specified location: type 'METHOD', path '/', method 'GET'.")
	for name, l := range map[string]*apigatewayapi.DocumentationPartLocation{
		"a method of the API": at("API", "", "GET", "", ""), "a name of a method": at("METHOD", "/", "GET", "", "x"), "no name": at("MODEL", "", "", "", ""),
		"no type": at("", "/", "", "", ""), "a status of a method": at("METHOD", "/", "GET", "200", ""), "no such method": at("METHOD", "/", "FETCH", "", ""),
		"no slash": at("RESOURCE", "x", "", "", ""), "no status": at("RESPONSE", "/", "GET", "2XX", ""),
	} {
		if _, err := create(l, `{}`); err == nil {
			t.Errorf("%s: created", name)
		}
	}
	for name, text := range map[string]string{"a list": `[]`, "no JSON": `{`, "large": `{"a":"` + strings.Repeat("x", maxDocumentation) + `"}`} {
		if _, err := create(at("API", "", "", "", ""), text); err == nil {
			t.Errorf("%s: created", name)
		}
	}
	list := func(in apigatewayapi.GetDocumentationPartsRequest) []string {
		in.RestApiId, in.Limit = api, wire.Int32(500)
		got, err := s.GetDocumentationParts(ctx, &in)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, p := range got.Items {
			out = append(out, locationText(*p.Location))
		}
		return out
	}
	undocumented := list(apigatewayapi.GetDocumentationPartsRequest{LocationStatus: "UNDOCUMENTED", Path: wire.String("/content/{proxy+}")})
	want := []string{"type 'METHOD', path '/content/{proxy+}', method 'GET'", "type 'PATH_PARAMETER', path '/content/{proxy+}', method 'GET', name 'proxy'", "type 'RESOURCE', path '/content/{proxy+}'"}
	if !reflect.DeepEqual(undocumented, want) {
		t.Errorf("got %q, want %q", undocumented, want)
	}
	if got := list(apigatewayapi.GetDocumentationPartsRequest{Type: "METHOD"}); !slices.Equal(got, []string{"type 'METHOD', path '/', method 'GET'"}) {
		t.Errorf("got %q", got)
	}
}
