package restapi

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// recording is a file of testdata/recorded: what AWS answered, by name. What varies stands
// in angle brackets.
type recording struct {
	Document string
	BasePath string
	Answers  map[string]any
}

func loadRecording(t *testing.T, name string) recording {
	t.Helper()
	b, err := os.ReadFile("testdata/recorded/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// seen is an answer as JSON has it: an error by its code and sentence.
func seen(v any, err error) any {
	if e, ok := err.(wire.Exception); ok {
		return map[string]any{"Error": map[string]any{"Code": e.ErrorCode(), "Message": e.ErrorMessage()}}
	}
	if err != nil {
		return err.Error()
	}
	return wireForm(reflect.ValueOf(v))
}

// wireForm turns a shape into what JSON would hold, by the names on the wire.
func wireForm(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return wireForm(v.Elem())
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return t.String()
		}
		out := map[string]any{}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("aws"), ",")
			if v.Type().Field(i).Name == "Items" { // "item" on the wire, but clients' models, and so what was recorded, say items
				name = "items"
			}
			if f := v.Field(i); !f.IsZero() || f.Kind() == reflect.Map && !f.IsNil() {
				out[name] = wireForm(f)
			}
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for k, e := range v.Seq2() {
			out[k.String()] = wireForm(e)
		}
		return out
	case reflect.Slice:
		out := []any{}
		for i := range v.Len() {
			out = append(out, wireForm(v.Index(i)))
		}
		return out
	case reflect.Int32:
		return float64(v.Int())
	case reflect.String:
		return v.String()
	}
	return v.Interface()
}

var varying = regexp.MustCompile(`<[a-z_-]+(:[0-9]+)?>|111111111111|datetime|^\*$`)

// differences compares an answer with what was recorded. What stands in angle brackets
// matches any text, what was recorded as an object matches its text.
func differences(path string, want, got any) []string {
	switch w := want.(type) {
	case map[string]any:
		if text, ok := got.(string); ok {
			var parsed any
			if json.Unmarshal([]byte(text), &parsed) == nil {
				got = parsed
			}
		}
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: got %v, want %v", path, got, want)}
		}
		var out []string
		for _, k := range slices.Sorted(maps.Keys(w)) {
			out = append(out, differences(path+"."+k, w[k], g[k])...)
		}
		for _, k := range slices.Sorted(maps.Keys(g)) {
			if _, there := w[k]; !there {
				out = append(out, fmt.Sprintf("%s.%s: got %v, AWS has none", path, k, g[k]))
			}
		}
		return out
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []string{fmt.Sprintf("%s: got %v, want %v", path, got, want)}
		}
		var out []string
		for i := range w {
			out = append(out, differences(fmt.Sprintf("%s[%d]", path, i), w[i], g[i])...)
		}
		return out
	case string:
		if varying.MatchString(w) {
			parts := varying.Split(w, -1)
			for i := range parts {
				parts[i] = regexp.QuoteMeta(parts[i])
			}
			pattern := "(?s)^" + strings.Join(parts, ".*") + "$"
			if g, ok := got.(string); ok && regexp.MustCompile(pattern).MatchString(g) {
				return nil
			}
		}
	}
	if !reflect.DeepEqual(want, got) {
		return []string{fmt.Sprintf("%s: got %v, want %v", path, got, want)}
	}
	return nil
}

// check compares one answer with the recording's, and ticks it off.
func (r *recording) check(t *testing.T, name string, got any) {
	t.Helper()
	want, ok := r.Answers[name]
	if !ok {
		t.Errorf("%s was not recorded", name)
		return
	}
	delete(r.Answers, name)
	for _, d := range differences(name, want, got) {
		t.Error(d)
	}
}

// resources compares an API's resources, and each method with its parts.
func (r *recording) resources(t *testing.T, s *Service, ctx context.Context, api, name string, prefix string) {
	t.Helper()
	got, err := s.GetResources(ctx, &apigatewayapi.GetResourcesRequest{RestApiId: api})
	if err != nil {
		t.Fatal(err)
	}
	r.check(t, name, seen(got, nil))
	for _, res := range got.Items {
		for _, verb := range slices.Sorted(maps.Keys(res.ResourceMethods)) {
			key := strings.TrimPrefix(*res.Path, "/")
			if key == "" {
				key = "root"
			}
			key += "-" + strings.ToLower(verb)
			m, err := s.GetMethod(ctx, &apigatewayapi.GetMethodRequest{RestApiId: api, ResourceId: *res.Id, HttpMethod: verb})
			r.check(t, prefix+"method-"+key, seen(m, err))
			mr, err := s.GetMethodResponse(ctx, &apigatewayapi.GetMethodResponseRequest{RestApiId: api, ResourceId: *res.Id, HttpMethod: verb, StatusCode: "200"})
			r.check(t, prefix+"method-response-"+key, seen(mr, err))
			i, err := s.GetIntegration(ctx, &apigatewayapi.GetIntegrationRequest{RestApiId: api, ResourceId: *res.Id, HttpMethod: verb})
			r.check(t, prefix+"integration-"+key, seen(i, err))
			ir, err := s.GetIntegrationResponse(ctx, &apigatewayapi.GetIntegrationResponseRequest{RestApiId: api, ResourceId: *res.Id, HttpMethod: verb, StatusCode: "200"})
			r.check(t, prefix+"integration-response-"+key, seen(ir, err))
		}
	}
}

func (r *recording) all(t *testing.T) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(r.Answers)) {
		t.Errorf("%s was recorded, and not compared", name)
	}
}

func readDocument(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/documents", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Imports answer as AWS's did, to the letter.
func TestImport_AsRecorded(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{
		"import_function_and_mock": "import_tf_rest_api", "import_cors": "import_tf_rest_api", "import_cognito": "import-swagger", "import_binary": "import_rest_api",
		"import_http_method": "", "import_integer_status": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, ctx := newService(t)
			r := loadRecording(t, name)
			api, err := s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: readDocument(t, r.Document), FailOnWarnings: wire.Bool(true)})
			if err != nil {
				t.Fatal(err)
			}
			if first != "" {
				r.check(t, first, seen(api, nil))
			}
			if r.Answers["get-models"] != nil {
				models, err := s.GetModels(ctx, &apigatewayapi.GetModelsRequest{RestApiId: *api.Id})
				r.check(t, "get-models", seen(models, err))
			}
			if r.Answers["get-authorizers"] != nil {
				a, err := s.GetAuthorizers(ctx, &apigatewayapi.GetAuthorizersRequest{RestApiId: *api.Id})
				if err != nil {
					t.Fatal(err)
				}
				slices.SortFunc(a.Items, func(a, b apigatewayapi.Authorizer) int { return strings.Compare(*a.Name, *b.Name) })
				r.check(t, "get-authorizers", seen(a.Items, nil))
			}
			if r.Answers["resources"] != nil {
				r.resources(t, s, ctx, *api.Id, "resources", "")
			}
			r.all(t)
		})
	}
}

func TestImport_BasePathAsRecorded(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"ignore", "prepend", "split"} {
		s, _, ctx := newService(t)
		r := loadRecording(t, "import_basepath_"+mode)
		api, err := s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "base"})
		if err != nil {
			t.Fatal(err)
		}
		put := func(doc string) (*apigatewayapi.RestApi, error) {
			return s.PutRestApi(ctx, &apigatewayapi.PutRestApiRequest{
				RestApiId: *api.Id, Body: readDocument(t, doc), Mode: "overwrite", Parameters: map[string]string{"basepath": mode},
			})
		}
		got, err := put(r.Document)
		r.check(t, "put-rest-api-swagger-json", seen(got, err))
		r.resources(t, s, ctx, *api.Id, "get-resources-swagger-json", "")
		if _, err := put("pets.json"); err != nil {
			t.Fatal(err)
		}
		r.resources(t, s, ctx, *api.Id, "get-resources-no-base-path-swagger", "")
		r.all(t)
	}
}

func TestDocumentation_AsRecorded(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	r := loadRecording(t, "documentation_import")
	doc := readDocument(t, "documentation.json")
	api, err := s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: doc})
	if err != nil {
		t.Fatal(err)
	}
	parts := func(id string) any {
		got, err := s.GetDocumentationParts(ctx, &apigatewayapi.GetDocumentationPartsRequest{RestApiId: id})
		return seen(got, err)
	}
	r.check(t, "get-documentations-parts-after-api-imports", parts(*api.Id))
	got, err := s.ImportDocumentationParts(ctx, &apigatewayapi.ImportDocumentationPartsRequest{RestApiId: *api.Id, Body: doc, Mode: "overwrite"})
	r.check(t, "import-documentation-parts", seen(got, err))
	r.check(t, "get-documentations-parts-after-import", parts(*api.Id))
	r.all(t)

	r = loadRecording(t, "documentation_import_bad_file")
	for name, body := range map[string]string{"import-documentation-parts-bad-json-file": `{"openapi":`, "import-documentation-parts-bad-yaml-file": "a: [\n"} {
		got, err := s.ImportDocumentationParts(ctx, &apigatewayapi.ImportDocumentationPartsRequest{RestApiId: *api.Id, Body: []byte(body), Mode: "overwrite"})
		r.check(t, name, seen(got, err))
	}
	r.all(t)

	r = loadRecording(t, "documentation_invalid_get")
	r.check(t, "get-inavlid-documentation-parts", parts("api_id"))
	r.all(t)
}

func TestDocumentation_ChangesAsRecorded(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	r := loadRecording(t, "documentation_versions")
	api, err := s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	part, err := s.CreateDocumentationPart(ctx, &apigatewayapi.CreateDocumentationPartRequest{
		RestApiId: *api.Id, Location: &apigatewayapi.DocumentationPartLocation{Type: "API"}, Properties: `{"foo":"bar"}`,
	})
	r.check(t, "create-part-response", seen(part, err))
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.GetDocumentationParts(ctx, &apigatewayapi.GetDocumentationPartsRequest{RestApiId: *api.Id})
	r.check(t, "get-parts-response", seen(list, err))
	v, err := s.CreateDocumentationVersion(ctx, &apigatewayapi.CreateDocumentationVersionRequest{RestApiId: *api.Id, DocumentationVersion: "v123"})
	r.check(t, "create-version-response", seen(v, err))
	v, err = s.UpdateDocumentationVersion(ctx, &apigatewayapi.UpdateDocumentationVersionRequest{
		RestApiId: *api.Id, DocumentationVersion: "v123", PatchOperations: []apigatewayapi.PatchOperation{{Op: replace, Path: wire.String("/description"), Value: wire.String("doc version new")}},
	})
	r.check(t, "update-version-response", seen(v, err))
	v, err = s.GetDocumentationVersion(ctx, &apigatewayapi.GetDocumentationVersionRequest{RestApiId: *api.Id, DocumentationVersion: "v123"})
	r.check(t, "get-version-response", seen(v, err))
	r.all(t)

	r = loadRecording(t, "documentation_invalid_update")
	update := func(id, op, path string) any {
		got, err := s.UpdateDocumentationPart(ctx, &apigatewayapi.UpdateDocumentationPartRequest{RestApiId: *api.Id, DocumentationPartId: id,
			PatchOperations: []apigatewayapi.PatchOperation{{Op: apigatewayapi.Op(op), Path: &path, Value: wire.String("{}")}}})
		return seen(got, err)
	}
	r.check(t, "update-documentation-part-invalid-api-id", update("ghost", "replace", "/properties"))
	r.check(t, "update-documentation-part-invalid-add-operation", update(*part.Id, "add", "/properties"))
	r.check(t, "update-documentation-part-invalid-path", update(*part.Id, "replace", "/invalidPath"))
	r.all(t)

	r = loadRecording(t, "documentation_invalid_delete")
	remove := func(api string) any {
		got, err := s.DeleteDocumentationPart(ctx, &apigatewayapi.DeleteDocumentationPartRequest{RestApiId: api, DocumentationPartId: *part.Id})
		return seen(got, err)
	}
	r.check(t, "delete_documentation_part_wrong_api_id", remove("api_id"))
	r.check(t, "delete_documentation_part", remove(*api.Id))
	r.check(t, "delete_already_deleted_documentation_part", remove(*api.Id))
	r.all(t)
}
