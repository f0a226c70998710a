package e2e

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	apitypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// TestGeneratedClient uses the client that GetSdk writes, in Node.js and in Chromium.
func TestGeneratedClient(t *testing.T) {
	t.Parallel()
	chromium := tool(t, "chromium", "chromium-browser", "google-chrome")
	s := start(t, []string{"dev", "--json", "--listen", "127.0.0.1:0", "--data", t.TempDir()})
	ctx := t.Context()
	apis := apigateway.NewFromConfig(s.config(rootCredentials))
	document, err := os.ReadFile("testdata/sdk/api.yaml")
	if err != nil {
		t.Fatal(err)
	}
	api, err := apis.ImportRestApi(ctx, &apigateway.ImportRestApiInput{Body: document, FailOnWarnings: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apis.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: aws.String("v1")}); err != nil {
		t.Fatal(err)
	}
	key, err := apis.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("a client's"), Enabled: true})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := apis.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{Name: aws.String("plan"), ApiStages: []apitypes.ApiStage{{ApiId: api.Id, Stage: aws.String("v1")}}})
	if err == nil {
		_, err = apis.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")})
	}
	if err != nil {
		t.Fatal(err)
	}
	sdk, err := apis.GetSdk(ctx, &apigateway.GetSdkInput{RestApiId: api.Id, StageName: aws.String("v1"), SdkType: aws.String("javascript")})
	if err != nil {
		t.Fatal(err)
	}
	may, mayNot := invoker(t, s, "may", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"arn:aws:execute-api:*:*:`+*api.Id+`/v1/*/signed/*"}}`), invoker(t, s, "maynot", "")
	r := runScript(t, &courses{server: s, api: s.endpoint + "/restapis/" + *api.Id + "/v1/_user_request_"}, "apigclient.mjs", map[string]string{
		"chromium": chromium, "client": filepath.Join(unpack(t, sdk.Body), "apiGateway-js-sdk", "apigClient.js"), "key": *key.Value,
		"mayKey": may.AccessKeyID, "maySecret": may.SecretAccessKey, "mayNotKey": mayNot.AccessKeyID, "mayNotSecret": mayNot.SecretAccessKey,
	})
	for _, where := range []string{"node: ", "browser: "} {
		r.ok(t, where+"open", map[string]string{"data.route": "open", "status": "200"})
		r.ok(t, where+"signed", map[string]string{"data.route": "signed"})
		r.ok(t, where+"signed, strange characters", map[string]string{"data.route": "signed"})
		r.ok(t, where+"signed, a body", map[string]string{"data.route": "signed"})
		r.ok(t, where+"refused", map[string]string{"status": "403"})
		r.ok(t, where+"wrong secret", map[string]string{"status": "403"})
		r.ok(t, where+"no credentials", map[string]string{"status": "403", "data.message": "Missing Authentication Token"})
		r.ok(t, where+"keyed", map[string]string{"data.route": "keyed"})
		r.ok(t, where+"no key", map[string]string{"status": "403", "data.message": "Forbidden"})
		r.ok(t, where+"wrong key", map[string]string{"status": "403", "data.message": "Forbidden"})
	}
	r.ok(t, "browser: own address", map[string]string{"data.route": "signed"})
}

// invoker makes a user with one policy, or none, and an access key.
func invoker(t *testing.T, s *server, name, policy string) aws.Credentials {
	t.Helper()
	users := iam.NewFromConfig(s.config(rootCredentials))
	_, err := users.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name})
	if err == nil && policy != "" {
		_, err = users.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: &policy})
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := users.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return aws.Credentials{AccessKeyID: *out.AccessKey.AccessKeyId, SecretAccessKey: *out.AccessKey.SecretAccessKey}
}

// unpack writes an archive's files below a new folder.
func unpack(t *testing.T, archive []byte) string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
