package restapi

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	c, err := s.GenerateClientCertificate(ctx, &apigatewayapi.GenerateClientCertificateRequest{Description: wire.String("first"), Tags: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(*c.PemEncodedCertificate))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) != nil {
		t.Errorf("not a self-signed certificate: %v", err)
	}
	if !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || cert.NotAfter.Sub(*c.CreatedDate) != certificateLife {
		t.Errorf("got usage %v, end %v", cert.ExtKeyUsage, cert.NotAfter)
	}
	var raw []byte
	err = s.db.View(ctx, func(tx *store.Tx) error {
		rec, err := s.certificate(tx, s.place(ctx), *c.ClientCertificateId)
		raw = rec.Key
		if err != nil {
			return err
		}
		_, err = s.clientCertificate(tx, s.place(ctx), *c.ClientCertificateId)
		return err
	})
	if _, bad := x509.ParsePKCS8PrivateKey(raw); err != nil || bad == nil {
		t.Errorf("the key is kept in the clear, or does not open: %v", err)
	}
	patch := func(op apigatewayapi.Op, path string) error {
		_, err := s.UpdateClientCertificate(ctx, &apigatewayapi.UpdateClientCertificateRequest{ClientCertificateId: *c.ClientCertificateId, PatchOperations: []apigatewayapi.PatchOperation{{Op: op, Path: &path, Value: wire.String("x")}}})
		return err
	}
	if err := patch(replace, "/description"); err != nil {
		t.Error(err)
	}
	refused(t, patch(replace, "/pemEncodedCertificate"), "BadRequestException", "Invalid patch path  '/pemEncodedCertificate' specified for op 'replace'. Must be one of: [/description]")
	got, err := s.GetClientCertificates(ctx, &apigatewayapi.GetClientCertificatesRequest{})
	if err != nil || len(got.Items) != 1 || *got.Items[0].Description != "x" || got.Items[0].Tags["a"] != "b" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := s.DeleteClientCertificate(ctx, &apigatewayapi.DeleteClientCertificateRequest{ClientCertificateId: *c.ClientCertificateId}); err != nil {
		t.Fatal(err)
	}
	_, err = s.GetClientCertificate(ctx, &apigatewayapi.GetClientCertificateRequest{ClientCertificateId: *c.ClientCertificateId})
	refused(t, err, "NotFoundException", "Invalid Client Certificate identifier specified")
}

func TestImportApiKeys(t *testing.T) {
	t.Parallel()
	s, b, ctx := newService(t)
	plan, err := s.CreateUsagePlan(ctx, &apigatewayapi.CreateUsagePlanRequest{Name: "basic"})
	if err != nil {
		t.Fatal(err)
	}
	load := func(body string, strict bool) (*apigatewayapi.ApiKeyIds, error) {
		return s.ImportApiKeys(ctx, &apigatewayapi.ImportApiKeysRequest{Body: []byte(body), Format: "csv", FailOnWarnings: &strict})
	}
	const one, two = "aaaaaaaaaaaaaaaaaaaa1", "bbbbbbbbbbbbbbbbbbbb2"
	got, err := load("Enabled,NAME,key,usagePlanIds,colour\nfalse,first,"+one+",\""+*plan.Id+"\",red\n,second,"+two+",'"+*plan.Id+",ghost',blue\n", false)
	if err != nil || len(got.Ids) != 2 || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "ghost") {
		t.Fatalf("got %+v, %v", got, err)
	}
	if k := b.key(one); k.Enabled || len(k.Plans) != 1 {
		t.Errorf("got %+v, want a disabled key in the plan", k)
	}
	if k := b.key(two); !k.Enabled || len(k.Plans) != 1 {
		t.Errorf("got %+v, want an enabled key in the plan", k)
	}
	again, err := load("key,name\n"+one+",renamed\n", true)
	if err != nil || again.Ids[0] != got.Ids[0] || !b.key(one).Enabled || len(b.key(one).Plans) != 1 {
		t.Errorf("got %+v, %v; want the key of the same value written over", again, err)
	}
	for name, tt := range map[string]struct{ body, want string }{
		"a warning that fails": {"name,key,usageplanids\nx,cccccccccccccccccccc3,ghost\n", "Warnings found during import"},
		"no key column":        {"name\nx\n", "the column key is missing"},
		"short":                {"name,key\nx,short\n", "API Key value should be at least 20 characters"},
		"not a boolean":        {"name,key,enabled\nx,cccccccccccccccccccc3,perhaps\n", "neither true nor false"},
		"nothing":              {"", "it has no header line"},
		"torn":                 {"name,key\n\"x,cccccccccccccccccccc3\n", "it is not CSV"},
	} {
		if _, err := load(tt.body, true); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n := len(b.plans.Keys); n != 2 {
		t.Errorf("%d keys, want the two; what was refused left something", n)
	}
}

// A position is good for the list that it was given out for, and for no other; a changed one for none.
func TestPositions(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	for _, name := range []string{"a-1", "a-2", "a-3", "b-1"} {
		if _, err := s.CreateApiKey(ctx, &apigatewayapi.CreateApiKeyRequest{Name: &name}); err != nil {
			t.Fatal(err)
		}
	}
	list := func(query string, position *string) (*apigatewayapi.ApiKeys, error) {
		return s.GetApiKeys(ctx, &apigatewayapi.GetApiKeysRequest{NameQuery: &query, Limit: wire.Int32(1), Position: position})
	}
	seen := map[string]bool{}
	var position, first *string
	for range 3 {
		got, err := list("a", position)
		if err != nil || len(got.Items) != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
		seen[*got.Items[0].Name] = true
		if position = got.Position; first == nil {
			first = position
			if _, err := s.DeleteApiKey(ctx, &apigatewayapi.DeleteApiKeyRequest{ApiKey: *got.Items[0].Id}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if position != nil || len(seen) != 3 {
		t.Errorf("saw %v, then %v", seen, position)
	}
	_, err := list("b", first)
	refused(t, err, "BadRequestException", "Invalid position parameter")
	changed := "A" + (*first)[1:]
	if changed == *first {
		changed = "B" + (*first)[1:]
	}
	for _, forged := range []string{changed, "AAAA", "%", (*first)[:len(*first)-2]} {
		_, err = list("a", &forged)
		refused(t, err, "BadRequestException", "Invalid position parameter")
	}
	_, err = s.GetUsagePlans(wire.WithCall(ctx, &wire.Call{Account: "000000000000", Region: "us-east-1", Operation: "GetUsagePlans"}), &apigatewayapi.GetUsagePlansRequest{Position: first})
	refused(t, err, "BadRequestException", "Invalid position parameter")
}

func TestModelTemplate(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api, err := s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for name, schema := range map[string]string{
		"Pet":  `{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"},"tags":{"type":"array","items":{"type":"string"}},"parent":{"$ref":"https://apigateway.amazonaws.com/restapis/x/models/Pet"}}}`,
		"Pets": `{"type":"array","items":{"type":"object","properties":{"price":{"type":["number","null"]},"sold":{"type":"boolean"}}}}`,
	} {
		if _, err := s.CreateModel(ctx, &apigatewayapi.CreateModelRequest{RestApiId: *api.Id, Name: name, ContentType: "application/json", Schema: &schema}); err != nil {
			t.Fatal(err)
		}
	}
	template := func(name string) string {
		t.Helper()
		out, err := s.GetModelTemplate(ctx, &apigatewayapi.GetModelTemplateRequest{RestApiId: *api.Id, ModelName: name})
		if err != nil {
			t.Fatal(err)
		}
		return *out.Value
	}
	for name, want := range map[string]string{
		"Empty": "#set($inputRoot = $input.path('$'))\n{ }",
		"Error": "#set($inputRoot = $input.path('$'))\n{\n  \"message\" : \"foo\"\n}",
		"Pets":  "#set($inputRoot = $input.path('$'))\n[\n##TODO: Update this foreach loop to reference array from input json\n#foreach($elem in $inputRoot)\n  {\n    \"price\" : 1.2,\n    \"sold\" : true\n  }#if($foreach.hasNext),#end\n\n#end\n]",
	} {
		if got := template(name); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
	if got := template("Pet"); !strings.Contains(got, `"age" : 42`) || len(got) > 1<<16 {
		t.Errorf("got %d bytes: %.200s", len(got), got)
	}
	_, err = s.GetModelTemplate(ctx, &apigatewayapi.GetModelTemplateRequest{RestApiId: *api.Id, ModelName: "ghost"})
	refused(t, err, "NotFoundException", "Invalid model name specified: ghost")
}

// A validator that a method asks for stays: without it, requests would go on unvalidated.
func TestDeleteRequestValidator_inUse(t *testing.T) {
	t.Parallel()
	p := newPatched(t)
	if _, err := p.patch("UpdateMethod", apigatewayapi.PatchOperation{Op: replace, Path: wire.String("/requestValidatorId"), Value: wire.String(p.ids["RequestValidatorId"])}); err != nil {
		t.Fatal(err)
	}
	remove := func() error {
		_, err := p.s.DeleteRequestValidator(p.ctx, &apigatewayapi.DeleteRequestValidatorRequest{RestApiId: p.ids["RestApiId"], RequestValidatorId: p.ids["RequestValidatorId"]})
		return err
	}
	refused(t, remove(), "ConflictException", "Cannot delete request validator '"+p.ids["RequestValidatorId"]+"', is referenced in method: /pets/POST")
	if _, err := p.patch("UpdateMethod", apigatewayapi.PatchOperation{Op: replace, Path: wire.String("/requestValidatorId"), Value: wire.String("")}); err != nil {
		t.Fatal(err)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
}
