package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// claudia is an application in a folder that the tool of the same name deploys, as it came
// from its registry: through `moat run`, whose proxy the tool's own flag names.
type claudia struct {
	*server
	dir, tool string
	apiID     string // as the tool wrote it down
	stage     string
}

// TestClaudia has claudia make an API, change it and take it away again.
func TestClaudia(t *testing.T) {
	t.Parallel()
	c := newClaudia(t, "api.js")
	c.run(t, "create", "--region", region, "--name", "greetings", "--api-module", "api", "--use-local-dependencies")
	c.apiID = c.writtenID(t)
	t.Run("created", func(t *testing.T) { c.answers(t, "good morning") })
	t.Run("keys", c.keys)
	t.Run("signatures", c.signatures)

	c.edit(t, "good morning", "good evening")
	t.Run("edited only", func(t *testing.T) { c.answers(t, "good morning") })
	c.run(t, "update", "--use-local-dependencies")
	if id := c.writtenID(t); id != c.apiID {
		t.Errorf("the update made another API: %s, before it %s", id, c.apiID)
	}
	t.Run("updated", func(t *testing.T) { c.answers(t, "good evening") })

	c.run(t, "destroy")
	t.Run("destroyed", c.nothingLeft)
}

// newClaudia starts a server, and copies the application of testdata whose module is named.
func newClaudia(t *testing.T, module string) *claudia {
	t.Helper()
	tool, err := filepath.Abs("node_modules/.bin/claudia")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for from, to := range map[string]string{module: "api.js", "package.json": "package.json"} {
		if err := os.WriteFile(filepath.Join(dir, to), []byte(readFile(t, "testdata/claudia/"+from)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "node_modules/claudia-api-builder"), os.DirFS("node_modules/claudia-api-builder")); err != nil {
		t.Fatal(err)
	}
	s := start(t, []string{"dev", "--json", "--listen", "127.0.0.1:0", "--no-demo-user", "--data", t.TempDir(), "testdata/small/template.yaml"})
	return &claudia{server: s, dir: dir, tool: tool, stage: "latest"}
}

// run runs one of claudia's commands, which must succeed. claudia has npm pack the folder;
// that needs a home and nothing of the network.
func (c *claudia) run(t *testing.T, args ...string) {
	t.Helper()
	env := environment("HOME="+t.TempDir(), "npm_config_offline=true", "npm_config_update_notifier=false")
	line := append([]string{"run", "--endpoint", c.endpoint, "--", tool(t, "sh"), "-c", `exec "$0" "$@" --proxy "$HTTPS_PROXY"`, c.tool}, args...)
	res, err := command(t.Context(), c.dir, env, moatBinary(), line...)
	if err != nil || res.code != 0 {
		t.Fatalf("claudia %s: %v: %s", strings.Join(args, " "), err, res)
	}
}

// writtenID is the API's id in the file that claudia keeps beside the application.
func (c *claudia) writtenID(t *testing.T) string {
	t.Helper()
	var written struct {
		Lambda struct{ Name, Role string }
		API    struct{ ID, URL string }
	}
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(c.dir, "claudia.json"))), &written); err != nil {
		t.Fatal(err)
	}
	if written.Lambda.Name != "greetings" || written.Lambda.Role != "greetings-executor" || written.API.ID == "" {
		t.Fatalf("claudia wrote down %+v", written)
	}
	return written.API.ID
}

func (c *claudia) edit(t *testing.T, from, to string) {
	t.Helper()
	path := filepath.Join(c.dir, "api.js")
	if err := os.WriteFile(path, []byte(strings.Replace(readFile(t, path), from, to, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (c *claudia) get(t *testing.T, path string, headers ...string) *http.Request {
	t.Helper()
	return get(t, c.endpoint+"/restapis/"+c.apiID+"/"+c.stage+"/_user_request_"+path, headers...)
}

func (c *claudia) signed(t *testing.T, k aws.Credentials) *http.Request {
	t.Helper()
	req := c.get(t, "/signed")
	sign(req, k, executeAPI())
	return req
}

// answers asks every route for what everyone may have, and for what only some may.
func (c *claudia) answers(t *testing.T, greeting string) {
	c.check(t, c.get(t, "/open?name=Ada"), want{status: 200, body: `{"greeting":"` + greeting + `","name":"Ada"}`})
	c.check(t, c.signed(t, rootCredentials), want{status: 200, body: `{"greeting":"` + greeting + `","caller":"arn:aws:iam::` + account + `:root"}`})
	c.check(t, c.get(t, "/signed"), noProof)
	c.check(t, c.get(t, "/keyed"), forbidden)
	c.check(t, c.get(t, "/keyed", "X-Api-Key", strings.Repeat("x", 40)), forbidden)
	c.check(t, c.get(t, "/nothing"), noProof)
	preflight := c.get(t, "/open")
	preflight.Method = http.MethodOptions
	a := c.check(t, preflight, want{status: 200})
	if a.body != "" || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Methods") != "OPTIONS,GET" {
		t.Errorf("preflight: %+v", a)
	}
}

// keys: a key counts for as long as a usage plan holds both it and the stage.
func (c *claudia) keys(t *testing.T) {
	client, ctx := apigateway.NewFromConfig(c.config(rootCredentials)), t.Context()
	key, err := client.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Enabled: true, Name: aws.String("greetings")})
	if err != nil {
		t.Fatal(err)
	}
	stage := types.ApiStage{ApiId: &c.apiID, Stage: aws.String("latest")}
	made, err := client.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{Name: aws.String("greetings"), ApiStages: []types.ApiStage{stage}})
	if err != nil {
		t.Fatal(err)
	}
	c.check(t, c.get(t, "/keyed", "X-Api-Key", *key.Value), forbidden)
	if _, err := client.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: made.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")}); err != nil {
		t.Fatal(err)
	}
	c.check(t, c.get(t, "/keyed", "X-Api-Key", *key.Value), want{status: 200, body: `{"greeting":"good morning"}`})
	remove := types.PatchOperation{Op: types.OpRemove, Path: aws.String("/apiStages"), Value: aws.String(c.apiID + ":latest")}
	if _, err := client.UpdateUsagePlan(ctx, &apigateway.UpdateUsagePlanInput{UsagePlanId: made.Id, PatchOperations: []types.PatchOperation{remove}}); err != nil {
		t.Fatal(err)
	}
	c.check(t, c.get(t, "/keyed", "X-Api-Key", *key.Value), forbidden)
}

// signatures: a user's signature lets in where a policy of the user's allows the call.
func (c *claudia) signatures(t *testing.T) {
	arn := "arn:aws:execute-api:" + region + ":" + account + ":" + c.apiID + "/latest/GET/signed"
	user := invoker(t, c.server, "greeter", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"`+arn+`"}]}`)
	c.check(t, c.signed(t, user), want{status: 200, body: `{"greeting":"good morning","caller":"arn:aws:iam::` + account + `:user/greeter"}`})
	stranger := invoker(t, c.server, "stranger", "")
	c.check(t, c.signed(t, stranger), want{status: 403, errorType: "AccessDeniedException", like: regexp.MustCompile(`user/stranger is not authorized to perform: execute-api:Invoke on resource: `)})
	user.SecretAccessKey += "x"
	c.check(t, c.signed(t, user), badSignature)
	late := c.get(t, "/signed")
	sign(late, rootCredentials, scope{region, "execute-api", time.Now().Add(-time.Hour)})
	c.check(t, late, want{status: 403, errorType: "InvalidSignatureException", like: regexp.MustCompile("Signature expired")})
}

// nothingLeft: function, API and role are gone, and with them the routes.
func (c *claudia) nothingLeft(t *testing.T) {
	ctx, config := t.Context(), c.config(rootCredentials)
	_, err := lambda.NewFromConfig(config).GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("greetings")})
	failsWith(t, "function", err, "ResourceNotFoundException")
	_, err = apigateway.NewFromConfig(config).GetRestApi(ctx, &apigateway.GetRestApiInput{RestApiId: &c.apiID})
	failsWith(t, "API", err, "NotFoundException")
	_, err = iam.NewFromConfig(config).GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("greetings-executor")})
	failsWith(t, "role", err, "NoSuchEntity")
	functions, err := lambda.NewFromConfig(config).ListFunctions(ctx, nil)
	if err != nil || len(functions.Functions) != 0 {
		t.Errorf("functions left: %+v, %v", functions, err)
	}
	apis, err := apigateway.NewFromConfig(config).GetRestApis(ctx, nil)
	if err != nil || len(apis.Items) != 0 {
		t.Errorf("APIs left: %+v, %v", apis, err)
	}
	roles, err := iam.NewFromConfig(config).ListRoles(ctx, nil)
	if err != nil || len(roles.Roles) != 0 {
		t.Errorf("roles left: %+v, %v", roles, err)
	}
	if _, err := os.Stat(filepath.Join(c.dir, "claudia.json")); !os.IsNotExist(err) {
		t.Errorf("claudia kept its file: %v", err)
	}
	a, err := send(c.client, c.get(t, "/open"))
	if err != nil || a.status != 403 {
		t.Errorf("a route of the API that is gone: %+v, %v", a, err)
	}
}
