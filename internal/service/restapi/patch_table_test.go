package restapi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// patched is what patches are tried on: one thing of each kind, by the members of the inputs that name them.
type patched struct {
	s   *Service
	ctx context.Context
	ids map[string]string
}

func newPatched(t *testing.T) *patched {
	t.Helper()
	s, _, ctx := newService(t)
	s.cfg.Vouches = func(string) bool { return true }
	p := &patched{s, ctx, map[string]string{"HttpMethod": "POST", "StatusCode": "200", "ModelName": "M", "ResponseType": "DEFAULT_4XX", "StageName": "dev", "DomainName": "a.example.com", "BasePath": "v1", "DocumentationVersion": "1"}}
	text, certificate := wire.String, "arn:aws:acm:us-east-1:000000000000:certificate/a"
	do := func(out any, err error) reflect.Value {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return reflect.ValueOf(out).Elem()
	}
	id := func(name, member string, out reflect.Value) string {
		p.ids[name] = out.FieldByName(member).Elem().String()
		return p.ids[name]
	}
	made := do(s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "x", Description: text("d"), BinaryMediaTypes: []string{"image/png"}, MinimumCompressionSize: wire.Int32(10),
		EndpointConfiguration: &apigatewayapi.EndpointConfiguration{Types: []apigatewayapi.EndpointType{"REGIONAL"}}}))
	api, root := id("RestApiId", "Id", made), id("root", "RootResourceId", made)
	resource := id("ResourceId", "Id", do(s.CreateResource(ctx, &apigatewayapi.CreateResourceRequest{RestApiId: api, ParentId: root, PathPart: "pets"})))
	id("other", "Id", do(s.CreateResource(ctx, &apigatewayapi.CreateResourceRequest{RestApiId: api, ParentId: root, PathPart: "other"})))
	do(s.CreateModel(ctx, &apigatewayapi.CreateModelRequest{RestApiId: api, Name: "M", ContentType: "application/json", Schema: text(`{"type":"object"}`)}))
	id("RequestValidatorId", "Id", do(s.CreateRequestValidator(ctx, &apigatewayapi.CreateRequestValidatorRequest{RestApiId: api, Name: text("v")})))
	id("AuthorizerId", "Id", do(s.CreateAuthorizer(ctx, &apigatewayapi.CreateAuthorizerRequest{RestApiId: api, Name: "a", Type: "TOKEN", IdentitySource: text("method.request.header.A"),
		AuthorizerUri: text("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"), ProviderARNs: []string{"arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_a"}})))
	do(s.PutMethod(ctx, &apigatewayapi.PutMethodRequest{RestApiId: api, ResourceId: resource, HttpMethod: "POST", AuthorizationType: "NONE", AuthorizationScopes: []string{"a"},
		RequestParameters: map[string]bool{"method.request.querystring.q": false}, RequestModels: map[string]string{"application/json": "Empty"}}))
	do(s.PutMethodResponse(ctx, &apigatewayapi.PutMethodResponseRequest{RestApiId: api, ResourceId: resource, HttpMethod: "POST", StatusCode: "200",
		ResponseModels: map[string]string{"application/json": "Empty"}, ResponseParameters: map[string]bool{"method.response.header.x": false}}))
	do(s.PutIntegration(ctx, &apigatewayapi.PutIntegrationRequest{RestApiId: api, ResourceId: resource, HttpMethod: "POST", Type: "HTTP", IntegrationHttpMethod: text("POST"), Uri: text("http://example.com/"),
		RequestParameters: map[string]string{"integration.request.querystring.q": "method.request.querystring.q"}, RequestTemplates: map[string]string{"application/json": "a"}, CacheKeyParameters: []string{"method.request.querystring.q"}}))
	do(s.PutIntegrationResponse(ctx, &apigatewayapi.PutIntegrationResponseRequest{RestApiId: api, ResourceId: resource, HttpMethod: "POST", StatusCode: "200",
		ResponseParameters: map[string]string{"method.response.header.x": "'a'"}, ResponseTemplates: map[string]string{"application/json": "a"}}))
	do(s.PutGatewayResponse(ctx, &apigatewayapi.PutGatewayResponseRequest{RestApiId: api, ResponseType: "DEFAULT_4XX", ResponseParameters: map[string]string{"gatewayresponse.header.x": "'a'"}, ResponseTemplates: map[string]string{"application/json": "a"}}))
	id("DocumentationPartId", "Id", do(s.CreateDocumentationPart(ctx, &apigatewayapi.CreateDocumentationPartRequest{RestApiId: api, Location: &apigatewayapi.DocumentationPartLocation{Type: "API"}, Properties: "{}"})))
	do(s.CreateDocumentationVersion(ctx, &apigatewayapi.CreateDocumentationVersionRequest{RestApiId: api, DocumentationVersion: "1"}))
	id("DeploymentId", "Id", do(s.CreateDeployment(ctx, &apigatewayapi.CreateDeploymentRequest{RestApiId: api, StageName: text("dev"), Variables: map[string]string{"v": "1"}})))
	id("other deployment", "Id", do(s.CreateDeployment(ctx, &apigatewayapi.CreateDeploymentRequest{RestApiId: api})))
	do(updateStage(s, ctx, api, "replace /canarySettings/percentTraffic 50", "replace /canarySettings/stageVariableOverrides/v 2", "replace /accessLogSettings/format $context.requestId",
		"replace /accessLogSettings/destinationArn arn:aws:logs:us-east-1:000000000000:log-group:a"))
	pem := do(s.GenerateClientCertificate(ctx, &apigatewayapi.GenerateClientCertificateRequest{}))
	id("ClientCertificateId", "ClientCertificateId", pem)
	p.ids["truststore"] = "data:application/x-pem-file;base64," + base64.StdEncoding.EncodeToString([]byte(pem.FieldByName("PemEncodedCertificate").Elem().String()))
	key := do(s.CreateApiKey(ctx, &apigatewayapi.CreateApiKeyRequest{Name: text("k"), Enabled: wire.Bool(true)}))
	id("ApiKey", "Id", key)
	id("KeyId", "Id", key)
	plan := id("UsagePlanId", "Id", do(s.CreateUsagePlan(ctx, &apigatewayapi.CreateUsagePlanRequest{Name: "p", Quota: &apigatewayapi.QuotaSettings{Limit: wire.Int32(10), Period: "MONTH"},
		Throttle: &apigatewayapi.ThrottleSettings{RateLimit: wire.Float64(1), BurstLimit: wire.Int32(1)}, ApiStages: []apigatewayapi.ApiStage{{ApiId: &api, Stage: text("dev"), Throttle: map[string]apigatewayapi.ThrottleSettings{
			"pets/POST": {RateLimit: wire.Float64(1), BurstLimit: wire.Int32(1)}}}}})))
	do(s.UpdateUsagePlan(ctx, &apigatewayapi.UpdateUsagePlanRequest{UsagePlanId: plan, PatchOperations: patches("add /productCode p")}))
	do(s.CreateUsagePlanKey(ctx, &apigatewayapi.CreateUsagePlanKeyRequest{UsagePlanId: plan, KeyId: p.ids["KeyId"], KeyType: "API_KEY"}))
	id("VpcLinkId", "Id", do(s.CreateVpcLink(ctx, &apigatewayapi.CreateVpcLinkRequest{Name: "l", TargetArns: []string{"arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/a/b"}})))
	do(s.CreateDomainName(ctx, &apigatewayapi.CreateDomainNameRequest{DomainName: "a.example.com", CertificateArn: &certificate, RegionalCertificateArn: &certificate,
		EndpointConfiguration: &apigatewayapi.EndpointConfiguration{Types: []apigatewayapi.EndpointType{"REGIONAL"}}}))
	do(s.CreateBasePathMapping(ctx, &apigatewayapi.CreateBasePathMappingRequest{DomainName: "a.example.com", BasePath: text("v1"), RestApiId: api, Stage: text("dev")}))
	return p
}

// filled puts the world's names into a text.
func (p *patched) filled(text string) string {
	names := []string{}
	for name := range p.ids {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		text = strings.ReplaceAll(text, "$"+name, p.ids[name])
	}
	return text
}

// patch makes one call of an update operation.
func (p *patched) patch(operation string, op apigatewayapi.PatchOperation) (map[string]any, error) {
	o := p.s.APIs()[0].ByName()[operation]
	in := o.NewInput()
	v := reflect.ValueOf(in).Elem()
	for i := range v.NumField() {
		if name, f := v.Type().Field(i).Name, v.Field(i); f.Kind() == reflect.String {
			f.SetString(p.ids[name])
		}
	}
	v.FieldByName("PatchOperations").Set(reflect.ValueOf([]apigatewayapi.PatchOperation{op}))
	out, err := o.Call(p.ctx, in)
	if err != nil {
		return nil, err
	}
	return wireForm(reflect.ValueOf(out)).(map[string]any), nil
}

// attempt is one operation on a path, as testdata/patches.txt has it.
type attempt struct {
	op, value, path string
	kind            byte // of the outcome: 0, '!' or '^'
	elsewhere       bool // the answer does not show the value at the path
}

func readAttempt(text, path string) attempt {
	a := attempt{path: path}
	if text = strings.TrimSpace(text); text[0] == '!' || text[0] == '^' {
		a.kind, text = text[0], text[1:]
	}
	a.op, a.value, _ = strings.Cut(text, "=")
	a.value, a.elsewhere = strings.CutPrefix(a.value, "~")
	if i := strings.LastIndex(a.value, "@/"); i >= 0 {
		a.value, a.path = a.value[:i], a.value[i+1:]
	}
	return a
}

func (a attempt) operation(p *patched) apigatewayapi.PatchOperation {
	op := apigatewayapi.PatchOperation{Op: apigatewayapi.Op(a.op), Path: wire.String(p.filled(a.path))}
	switch value := p.filled(a.value); {
	case a.op == "copy":
		op.From = &value
	case a.op != "remove" || value != "":
		op.Value = &value
	}
	return op
}

// TestPatches_Table: every documented path takes what it is documented to take, shows it, and refuses the rest.
func TestPatches_Table(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/patches.txt")
	if err != nil {
		t.Fatal(err)
	}
	operation, seen := "", map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		of := operation
		switch {
		case line == "" || line[0] == '#':
		case line[0] != '/':
			operation, seen[line] = line, true
			t.Run(line+"/nothing", func(t *testing.T) { t.Parallel(); refusesPatches(t, newPatched(t), line, "/nothing", nil) })
		default:
			parts := strings.Split(line, " |")
			t.Run(of+parts[0], func(t *testing.T) { t.Parallel(); patchLine(t, of, parts[0], parts[1:]) })
		}
	}
	for _, op := range newPatched(t).s.APIs()[0].Operations {
		if _, updates := op.Input.FieldByName("PatchOperations"); updates && !seen[op.Name] {
			t.Errorf("%s has no patches in the table", op.Name)
		}
	}
}

func patchLine(t *testing.T, operation, path string, cells []string) {
	var taken []string
	unchanged := newPatched(t)
	for _, cell := range cells {
		cell = strings.TrimSpace(cell)
		if cell == "" {
			continue
		}
		p := unchanged
		if cell[0] != '!' && cell[0] != '^' || strings.Contains(cell, " > ") {
			p = newPatched(t)
		}
		for step := range strings.SplitSeq(cell, " > ") {
			a := readAttempt(step, path)
			taken = append(taken, a.op)
			out, err := p.patch(operation, a.operation(p))
			var e wire.Exception
			switch errors.As(err, &e); {
			case a.kind == 0 && err != nil:
				t.Errorf("%s: %v", step, err)
			case a.kind == '!' && (e == nil || e.HTTPStatus() != 501):
				t.Errorf("%s: %v, want 501", step, err)
			case a.kind == '^' && (e == nil || e.HTTPStatus() != 400 && e.HTTPStatus() != 404 || isPatchRefusal(e.ErrorMessage())):
				t.Errorf("%s: %v, want a refusal", step, err)
			case a.kind == 0 && !a.elsewhere && a.op != "copy":
				if problem := shows(out, p.filled(a.path), a.op, p.filled(a.value)); problem != "" {
					t.Errorf("%s: %s", step, problem)
				}
			}
		}
	}
	refusesPatches(t, unchanged, operation, path, taken)
}

// refusesPatches asks for every operation on a path but those that it takes.
func refusesPatches(t *testing.T, p *patched, operation, path string, taken []string) {
	for _, op := range []string{"add", "remove", "replace", "copy", "move", "test"} {
		if slices.Contains(taken, op) {
			continue
		}
		_, err := p.patch(operation, attempt{op: op, path: path, value: "/x"}.operation(p))
		var e wire.Exception
		if !errors.As(err, &e) || e.ErrorCode() != "BadRequestException" || !isPatchRefusal(e.ErrorMessage()) {
			t.Errorf("%s: %v, want a refusal of the path", op, err)
		}
	}
}

// isPatchRefusal tells AWS's sentences about paths and operations from those about values.
func isPatchRefusal(message string) bool {
	for _, begin := range []string{"Invalid patch path", "Invalid patch operation", "Invalid method setting path", "Cannot remove method setting", "Invalid copy operation", "Invalid add operation", "Invalid move operation", "Invalid test operation", "Invalid replace operation", "Invalid remove operation"} {
		if strings.HasPrefix(message, begin) {
			return true
		}
	}
	return false
}

// shows looks for what an operation has done in the answer to it.
func shows(answer map[string]any, path, op, value string) string {
	var at any = answer
	for _, part := range pointer(path) {
		switch v := at.(type) {
		case map[string]any:
			at = v[part]
		case []any: // a list's element is named by its value
			value = part
		default:
			at = nil
		}
	}
	got := ""
	switch v := at.(type) {
	case nil:
	case []any:
		there := slices.Contains(v, any(value))
		if there == (op == "remove") {
			return fmt.Sprintf("the answer has %v", v)
		}
		return ""
	case map[string]any:
		if len(v) > 0 {
			got = fmt.Sprint(v)
		}
	default:
		got = fmt.Sprint(v)
	}
	if op == "remove" {
		value = ""
	}
	if got != value {
		return fmt.Sprintf("the answer has %q, want %q", got, value)
	}
	return ""
}
