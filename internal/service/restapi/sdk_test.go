package restapi

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

func TestGetSdk(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api := imported(t, s, ctx)
	get := func(kind string) (*apigatewayapi.SdkResponse, error) {
		return s.GetSdk(ctx, &apigatewayapi.GetSdkRequest{RestApiId: api, StageName: "v1", SdkType: kind})
	}
	_, err := get("javascript")
	refused(t, err, "NotFoundException", "Invalid stage identifier specified")
	deploy(t, s, ctx, api, "v1")
	got, err := get("javascript")
	if err != nil {
		t.Fatal(err)
	}
	if *got.ContentDisposition != `attachment; filename="javascript_2026-11-20_12-00Z.zip"` || *got.ContentType != "application/octet-stream" {
		t.Errorf("got %s, %s", *got.ContentDisposition, *got.ContentType)
	}
	z, err := zip.NewReader(bytes.NewReader(got.Body), int64(len(got.Body)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := z.Open("apiGateway-js-sdk/apigClient.js")
	if err != nil {
		t.Fatal(err)
	}
	script, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"endpoint":"https://` + api + `.execute-api.us-east-1.localhost/v1"`,
		`{"name":"progressGet","verb":"GET","path":"/progress","path_params":[],"query":[],"headers":[],"required":[],"signed":true}`,
		`{"name":"contentProxyGet","verb":"GET","path":"/content/{proxy+}","path_params":["proxy"],"query":[],"headers":[],"required":["proxy"],"signed":false}`,
	} {
		if !bytes.Contains(script, []byte(want)) {
			t.Errorf("the client has no %s", want)
		}
	}
	for _, kind := range []string{"android", "java", "objectivec", "ruby", "swift"} {
		_, err := get(kind)
		var e wire.Exception
		if !errors.As(err, &e) || e.HTTPStatus() != 501 || !strings.Contains(e.ErrorMessage(), "JavaScript only") {
			t.Errorf("%s: got %v, want 501 with the reason", kind, err)
		}
	}
	_, err = get("cobol")
	refused(t, err, "BadRequestException", "Invalid SDK type 'cobol'")
	types, err := s.GetSdkTypes(ctx, &apigatewayapi.GetSdkTypesRequest{})
	if err != nil || !slices.ContainsFunc(types.Items, func(k apigatewayapi.SdkType) bool { return *k.Id == "javascript" }) || len(types.Items) != 6 {
		t.Errorf("got %+v, %v", types, err)
	}
	if one, err := s.GetSdkType(ctx, &apigatewayapi.GetSdkTypeRequest{Id: "android"}); err != nil || *one.ConfigurationProperties[0].Name != "groupId" {
		t.Errorf("got %+v, %v", one, err)
	}
	_, err = s.GetSdkType(ctx, &apigatewayapi.GetSdkTypeRequest{Id: "cobol"})
	refused(t, err, "NotFoundException", "Invalid SDK type specified")
}
