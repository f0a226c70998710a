package e2e

import (
	"errors"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	apitypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentity"
	identitytypes "github.com/aws/aws-sdk-go-v2/service/cognitoidentity/types"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// failsAs checks that an error is of a class of the SDK's own.
func failsAs[E error](t *testing.T, what string, err error) {
	t.Helper()
	var want E
	if !errors.As(err, &want) {
		t.Errorf("%s: got %v, want a %T", what, err, want)
	}
}

// failsWith checks the code of an error that has no class in the SDK.
func failsWith(t *testing.T, what string, err error, code string) {
	t.Helper()
	var got smithy.APIError
	if !errors.As(err, &got) || got.ErrorCode() != code {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

func goSDK(t *testing.T, c *courses) {
	ctx := t.Context()
	u := c.newUser(t, "gopher@example.com")
	tok, err := c.signIn(ctx, c.publicClient, u)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("typed errors", func(t *testing.T) { goSDKErrors(t, c, u) })
	t.Run("progress", func(t *testing.T) {
		member, err := c.identityCredentials(ctx, tok.id)
		if err != nil {
			t.Fatal(err)
		}
		req := c.request(ctx, http.MethodGet, "/progress")
		sign(req, member, executeAPI())
		c.check(t, req, want{status: 200, member: map[string]string{"done": "1", "goal": "3"}})
		guest, err := c.identityCredentials(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		req = c.request(ctx, http.MethodGet, "/progress")
		sign(req, guest, executeAPI())
		c.check(t, req, want{status: 403, errorType: "AccessDeniedException"})
		temporaryRights(t, c, member, guest)
	})
}

// temporaryRights: credentials of an identity pool are of use for what their role allows, and that alone.
func temporaryRights(t *testing.T, c *courses, member, guest aws.Credentials) {
	t.Helper()
	ctx := t.Context()
	for name, keys := range map[string]aws.Credentials{"member": member, "guest": guest} {
		who, err := sts.NewFromConfig(c.config(keys)).GetCallerIdentity(ctx, nil)
		if err != nil || *who.Account != account {
			t.Errorf("%s: GetCallerIdentity: %+v, %v", name, who, err)
		}
		parameter := "/" + c.stack + "/goal"
		_, err = ssm.NewFromConfig(c.config(keys)).GetParameter(ctx, &ssm.GetParameterInput{Name: &parameter})
		failsWith(t, name+": GetParameter", err, "AccessDeniedException")
		_, err = idp.NewFromConfig(c.config(keys)).ListUsers(ctx, &idp.ListUsersInput{UserPoolId: &c.pool})
		failsWith(t, name+": ListUsers", err, "AccessDeniedException")
	}
}

func goSDKErrors(t *testing.T, c *courses, u user) {
	ctx, root := t.Context(), c.config(rootCredentials)
	users := idp.NewFromConfig(root)
	wrong := u
	wrong.password = "Wrong-Horse-7-Battery"
	_, err := c.signIn(ctx, c.publicClient, wrong)
	failsAs[*types.NotAuthorizedException](t, "wrong password", err)
	_, err = c.signIn(ctx, "0000000000000000000000000a", u)
	failsAs[*types.ResourceNotFoundException](t, "unknown client", err)
	_, err = c.signIn(ctx, c.confidentialClient, u)
	failsAs[*types.InvalidParameterException](t, "a client without the password flow", err)
	_, err = users.AdminGetUser(ctx, &idp.AdminGetUserInput{UserPoolId: &c.pool, Username: aws.String("nobody@example.com")})
	failsAs[*types.UserNotFoundException](t, "unknown user", err)
	_, err = users.CreateGroup(ctx, &idp.CreateGroupInput{UserPoolId: &c.pool, GroupName: aws.String("Admin")})
	failsAs[*types.GroupExistsException](t, "a group again", err)
	_, err = users.ConfirmSignUp(ctx, &idp.ConfirmSignUpInput{ClientId: &c.publicClient, Username: &u.email, ConfirmationCode: aws.String("000000")})
	if err == nil {
		t.Error("a confirmed user was confirmed once more")
	}
	_, err = ssm.NewFromConfig(root).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/nothing")})
	failsAs[*ssmtypes.ParameterNotFound](t, "unknown parameter", err)
	_, err = lambda.NewFromConfig(root).Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("nothing")})
	failsAs[*lambdatypes.ResourceNotFoundException](t, "unknown function", err)
	_, err = apigateway.NewFromConfig(root).GetStage(ctx, &apigateway.GetStageInput{RestApiId: &c.apiID, StageName: aws.String("nothing")})
	failsAs[*apitypes.NotFoundException](t, "unknown stage", err)
	identities := cognitoidentity.NewFromConfig(root)
	_, err = identities.GetId(ctx, &cognitoidentity.GetIdInput{IdentityPoolId: &c.identityPool, Logins: map[string]string{c.loginName(): "garbage"}})
	failsAs[*identitytypes.NotAuthorizedException](t, "garbage for an ID token", err)
	_, err = sts.NewFromConfig(c.config(aws.Credentials{AccessKeyID: "test", SecretAccessKey: "wrong"})).GetCallerIdentity(ctx, nil)
	failsWith(t, "wrong secret", err, "SignatureDoesNotMatch")
	_, err = users.ListUsers(ctx, &idp.ListUsersInput{UserPoolId: aws.String(region + "_nothing00")})
	failsAs[*types.ResourceNotFoundException](t, "unknown pool", err)
}
