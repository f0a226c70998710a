package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	apitypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// serviceTrust lets functions run by a role, and user pools send text messages by it.
const serviceTrust = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","cognito-idp.amazonaws.com"]},"Action":"sts:AssumeRole"}}`

// directory makes user pools beside the example's, and the functions that they call.
type directory struct {
	*courses
	users     *idp.Client
	functions *lambda.Client
	role      string
	triggers  string // ARN of the function that plays every trigger, testdata/triggers.js
}

func newDirectory(t *testing.T, c *courses) *directory {
	t.Helper()
	root := c.config(rootCredentials)
	d := &directory{courses: c, users: idp.NewFromConfig(root), functions: lambda.NewFromConfig(root)}
	role, err := iam.NewFromConfig(root).CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("triggers"), AssumeRolePolicyDocument: aws.String(serviceTrust)})
	if err != nil {
		t.Fatal(err)
	}
	d.role = *role.Role.Arn
	d.triggers = d.function(t, "triggers", "index.handler")
	return d
}

// function deploys testdata/triggers.js, as inline code.
func (d *directory) function(t *testing.T, name, handler string) string {
	t.Helper()
	code, err := os.ReadFile("testdata/triggers.js")
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	f, err := w.Create("index.js")
	if err == nil {
		_, err = f.Write(code)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.functions.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Role: &d.role, Handler: &handler, Runtime: lambdatypes.RuntimeNodejs20x, Code: &lambdatypes.FunctionCode{ZipFile: archive.Bytes()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.FunctionArn
}

// letIn lets a service call a function for one thing of its own.
func (d *directory) letIn(t *testing.T, function, service, source string) {
	t.Helper()
	_, err := d.functions.AddPermission(t.Context(), &lambda.AddPermissionInput{
		FunctionName: &function, StatementId: aws.String(lettersOf(source)), Action: aws.String("lambda:InvokeFunction"), Principal: &service, SourceArn: &source,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lettersOf makes a statement id of an ARN.
func lettersOf(arn string) string {
	var b []byte
	for i := range len(arn) {
		if c := arn[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			b = append(b, c)
		}
	}
	return string(b)
}

// people is a pool with one app client.
type people struct{ pool, arn, client string }

// everyFlow is what the clients of these pools may begin a sign-in with.
var everyFlow = []types.ExplicitAuthFlowsType{
	types.ExplicitAuthFlowsTypeAllowUserSrpAuth, types.ExplicitAuthFlowsTypeAllowUserPasswordAuth, types.ExplicitAuthFlowsTypeAllowCustomAuth,
	types.ExplicitAuthFlowsTypeAllowUserAuth, types.ExplicitAuthFlowsTypeAllowRefreshTokenAuth,
}

// people makes a pool in which a name is required and mailboxes are verified.
func (d *directory) people(t *testing.T, in idp.CreateUserPoolInput) people {
	t.Helper()
	in.Schema = []types.SchemaAttributeType{
		{Name: aws.String("email"), AttributeDataType: types.AttributeDataTypeString, Required: aws.Bool(true), Mutable: aws.Bool(true)},
		{Name: aws.String("name"), AttributeDataType: types.AttributeDataTypeString, Required: aws.Bool(true), Mutable: aws.Bool(true)},
		{Name: aws.String("team"), AttributeDataType: types.AttributeDataTypeString, Mutable: aws.Bool(true)},
	}
	in.AutoVerifiedAttributes = []types.VerifiedAttributeType{types.VerifiedAttributeTypeEmail}
	in.SmsConfiguration = &types.SmsConfigurationType{SnsCallerArn: &d.role, ExternalId: aws.String("moat")}
	p, err := d.users.CreateUserPool(t.Context(), &in)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.users.CreateUserPoolClient(t.Context(), &idp.CreateUserPoolClientInput{
		UserPoolId: p.UserPool.Id, ClientName: in.PoolName, ExplicitAuthFlows: everyFlow, EnableTokenRevocation: aws.Bool(true), PreventUserExistenceErrors: types.PreventUserExistenceErrorTypesEnabled,
	})
	if err != nil {
		t.Fatal(err)
	}
	return people{*p.UserPool.Id, *p.UserPool.Arn, *c.UserPoolClient.ClientId}
}

// factors sets the second factors of a pool: text messages and software tokens.
func (d *directory) factors(t *testing.T, p people, mode types.UserPoolMfaType, sms bool) {
	t.Helper()
	in := idp.SetUserPoolMfaConfigInput{UserPoolId: &p.pool, MfaConfiguration: mode, SoftwareTokenMfaConfiguration: &types.SoftwareTokenMfaConfigType{Enabled: true}}
	if sms {
		in.SmsMfaConfiguration = &types.SmsMfaConfigType{SmsConfiguration: &types.SmsConfigurationType{SnsCallerArn: &d.role, ExternalId: aws.String("moat")}}
	}
	if _, err := d.users.SetUserPoolMfaConfig(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
}

const membersPassword = "Correct-Horse-7-Battery"

// member makes a user whose addresses are proven; without a password it is a temporary one.
func (d *directory) member(t *testing.T, p people, name, password string, more map[string]string) {
	t.Helper()
	attributes := []types.AttributeType{{Name: aws.String("email"), Value: aws.String(name + "@example.com")}, {Name: aws.String("email_verified"), Value: aws.String("true")}}
	for k, v := range more {
		attributes = append(attributes, types.AttributeType{Name: &k, Value: &v})
	}
	in := idp.AdminCreateUserInput{UserPoolId: &p.pool, Username: &name, UserAttributes: attributes, MessageAction: types.MessageActionTypeSuppress}
	if password == "" {
		in.TemporaryPassword = aws.String(membersPassword)
	}
	_, err := d.users.AdminCreateUser(t.Context(), &in)
	if err == nil && password != "" {
		_, err = d.users.AdminSetUserPassword(t.Context(), &idp.AdminSetUserPasswordInput{UserPoolId: &p.pool, Username: &name, Password: &password, Permanent: true})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// settings are what a script is told of a pool.
func (p people) settings() map[string]string {
	return map[string]string{"pool": p.pool, "publicClient": p.client, "password": membersPassword}
}

// userPools has the clients of user pools at pools with every setting that they know.
func userPools(t *testing.T, c *courses) {
	d := newDirectory(t, c)
	t.Run("clients", func(t *testing.T) {
		t.Run("self-service", func(t *testing.T) { t.Parallel(); selfService(t, d) })
		t.Run("second factors", func(t *testing.T) { t.Parallel(); secondFactors(t, d) })
		t.Run("devices", func(t *testing.T) { t.Parallel(); devices(t, d) })
		t.Run("custom", func(t *testing.T) { t.Parallel(); customSignIn(t, d) })
		t.Run("amplify", func(t *testing.T) { t.Parallel(); amplifyAuth(t, d) })
		t.Run("triggers", func(t *testing.T) { t.Parallel(); triggers(t, d) })
		t.Run("go", func(t *testing.T) { t.Parallel(); userPoolErrors(t, d) })
	})
}

// Functions decide who may sign up and what stands in a token, if their policies let the pool in.
func triggers(t *testing.T, d *directory) {
	ctx := t.Context()
	shut := d.function(t, "shut", "index.handler")
	p := d.people(t, idp.CreateUserPoolInput{PoolName: aws.String("triggers"), LambdaConfig: &types.LambdaConfigType{
		PreSignUp: &d.triggers, PreTokenGenerationConfig: &types.PreTokenGenerationVersionConfigType{LambdaArn: &d.triggers, LambdaVersion: types.PreTokenGenerationLambdaVersionTypeV20},
	}})
	signUp := func(name string) (*idp.SignUpOutput, error) {
		return d.users.SignUp(ctx, &idp.SignUpInput{ClientId: &p.client, Username: &name, Password: aws.String(membersPassword), UserAttributes: []types.AttributeType{
			{Name: aws.String("email"), Value: aws.String(name + "@example.com")}, {Name: aws.String("name"), Value: &name},
		}})
	}
	_, err := signUp("early")
	failsAs[*types.UnexpectedLambdaException](t, "a function that lets nobody in", err)
	says(t, "a function that lets nobody in", err, "PreSignUp invocation failed due to error AccessDeniedException.")
	d.letIn(t, d.triggers, "cognito-idp.amazonaws.com", p.arn)
	d.letIn(t, shut, "cognito-idp.amazonaws.com", p.arn+"x")
	_, err = signUp("banned")
	failsAs[*types.UserLambdaValidationException](t, "a name that the function refuses", err)
	says(t, "a name that the function refuses", err, "PreSignUp failed with error Not that name.")
	_, err = signUp("garbled")
	failsAs[*types.InvalidLambdaResponseException](t, "a function whose answer cannot be read", err)
	if out, err := signUp("slow"); err != nil || out.UserConfirmed {
		t.Errorf("without auto-confirmation: got %+v, %v", out, err)
	}
	if out, err := signUp("quick"); err != nil || !out.UserConfirmed {
		t.Fatalf("with auto-confirmation: got %+v, %v", out, err)
	}
	_, err = d.signIn(ctx, p.client, user{email: "slow", password: membersPassword})
	failsAs[*types.UserNotConfirmedException](t, "without auto-confirmation", err)
	tok, err := d.signIn(ctx, p.client, user{email: "quick", password: membersPassword})
	if err != nil {
		t.Fatal(err)
	}
	guarded(t, d, p, tok)

	_, err = d.users.UpdateUserPool(ctx, &idp.UpdateUserPoolInput{UserPoolId: &p.pool, LambdaConfig: &types.LambdaConfigType{PreAuthentication: &shut}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.signIn(ctx, p.client, user{email: "quick", password: membersPassword})
	failsAs[*types.UnexpectedLambdaException](t, "a function that lets another pool in", err)
	says(t, "a function that lets another pool in", err, "PreAuthentication invocation failed due to error AccessDeniedException.")
}

// guarded: a route behind the pool sees the claims that the function made.
func guarded(t *testing.T, d *directory, p people, tok tokens) {
	t.Helper()
	ctx := t.Context()
	claims := d.function(t, "claims", "index.claims")
	apis := apigateway.NewFromConfig(d.config(rootCredentials))
	api, err := apis.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: aws.String("guarded")})
	if err != nil {
		t.Fatal(err)
	}
	d.letIn(t, claims, "apigateway.amazonaws.com", "arn:aws:execute-api:"+region+":"+account+":"+*api.Id+"/*/*/*")
	guard, err := apis.CreateAuthorizer(ctx, &apigateway.CreateAuthorizerInput{
		RestApiId: api.Id, Name: aws.String("pool"), Type: apitypes.AuthorizerTypeCognitoUserPools, ProviderARNs: []string{p.arn}, IdentitySource: aws.String("method.request.header.Authorization"),
	})
	if err == nil {
		_, err = apis.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: api.Id, ResourceId: api.RootResourceId, HttpMethod: aws.String("GET"), AuthorizationType: aws.String("COGNITO_USER_POOLS"), AuthorizerId: guard.Id})
	}
	if err == nil {
		_, err = apis.PutIntegration(ctx, &apigateway.PutIntegrationInput{
			RestApiId: api.Id, ResourceId: api.RootResourceId, HttpMethod: aws.String("GET"), Type: apitypes.IntegrationTypeAwsProxy, IntegrationHttpMethod: aws.String("POST"),
			Uri: aws.String("arn:aws:apigateway:" + region + ":lambda:path/2015-03-31/functions/" + claims + "/invocations"),
		})
	}
	if err == nil {
		_, err = apis.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: aws.String("v1")})
	}
	if err != nil {
		t.Fatal(err)
	}
	ask := func(token string) answer {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.endpoint+"/restapis/"+*api.Id+"/v1/_user_request_/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token)
		a, err := send(d.client, req)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := ask(tok.id)
	var seen map[string]string
	if err := json.Unmarshal([]byte(a.body), &seen); err != nil || a.status != 200 || seen["plan"] != "gold" || seen["name"] != "" || seen["cognito:username"] != "quick" {
		t.Errorf("got %d %s (%v), want the claims with the plan and without the name", a.status, a.body, err)
	}
	if a := ask(tok.access); a.status != 401 {
		t.Errorf("an access token: got %d %s, want 401", a.status, a.body)
	}
}
