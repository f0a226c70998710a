package e2e

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

// TestClaudiaVersions has claudia keep two versions of an API apart, whose routes are for the
// users of a pool, and make its function a trigger of that pool.
func TestClaudiaVersions(t *testing.T) {
	t.Parallel()
	c := newClaudia(t, "members.js")
	pool, token := c.member(t, "ada@example.com")
	_, foreign := c.member(t, "eve@example.com")
	c.edit(t, "POOL_ARN", "arn:aws:cognito-idp:"+region+":"+account+":userpool/"+pool)
	c.run(t, "create", "--region", region, "--name", "greetings", "--api-module", "api", "--use-local-dependencies", "--version", "dev")
	c.apiID = c.writtenID(t)
	c.run(t, "set-version", "--version", "prod")
	c.edit(t, "good morning", "good evening")
	c.run(t, "update", "--use-local-dependencies", "--version", "dev")

	for stage, greeting := range map[string]string{"dev": "good evening", "prod": "good morning"} {
		t.Run(stage, func(t *testing.T) {
			c := *c
			c.stage = stage
			c.check(t, c.get(t, "/member/7", "Authorization", token), want{status: 200, body: `{"greeting":"` + greeting + `","id":"7","email":"ada@example.com","stage":"` + stage + `"}`})
			refusal := want{status: 401, body: `{"no":"Unauthorized"}`, errorType: "UnauthorizedException"}
			for _, headers := range [][]string{nil, {"Authorization", foreign}, {"Authorization", token + "x"}} {
				if a := c.check(t, c.get(t, "/member/7", headers...), refusal); a.header.Get("X-Sign-In") != "please" {
					t.Errorf("the refusal has not the header of the API's own: %v", a.header)
				}
			}
			c.check(t, c.get(t, "/teapot"), want{status: 418, body: "short and stout", contentType: "text/plain"})
		})
	}
	t.Run("trigger", func(t *testing.T) {
		c.run(t, "add-cognito-user-pool-trigger", "--user-pool-id", pool, "--events", "PreSignUp", "--version", "prod")
		out, err := idp.NewFromConfig(c.config(rootCredentials)).DescribeUserPool(t.Context(), &idp.DescribeUserPoolInput{UserPoolId: &pool})
		if err != nil {
			t.Fatal(err)
		}
		if got := aws.ToString(out.UserPool.LambdaConfig.PreSignUp); !strings.HasSuffix(got, ":function:greetings:prod") {
			t.Errorf("the trigger is %q", got)
		}
	})
	c.run(t, "destroy")
	c.nothingLeft(t)
}

// member makes a pool with a user, and signs the user in: an ID token.
func (c *claudia) member(t *testing.T, email string) (pool, token string) {
	t.Helper()
	client, ctx := idp.NewFromConfig(c.config(rootCredentials)), t.Context()
	password := aws.String("Correct-Horse-7-Battery")
	made, err := client.CreateUserPool(ctx, &idp.CreateUserPoolInput{PoolName: &email, UsernameAttributes: []types.UsernameAttributeType{types.UsernameAttributeTypeEmail}})
	if err != nil {
		t.Fatal(err)
	}
	id := made.UserPool.Id
	app, err := client.CreateUserPoolClient(ctx, &idp.CreateUserPoolClientInput{UserPoolId: id, ClientName: aws.String("app"), ExplicitAuthFlows: []types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowUserPasswordAuth, types.ExplicitAuthFlowsTypeAllowRefreshTokenAuth}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.AdminCreateUser(ctx, &idp.AdminCreateUserInput{UserPoolId: id, Username: &email, MessageAction: types.MessageActionTypeSuppress}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.AdminSetUserPassword(ctx, &idp.AdminSetUserPasswordInput{UserPoolId: id, Username: &email, Password: password, Permanent: true}); err != nil {
		t.Fatal(err)
	}
	in, err := client.InitiateAuth(ctx, &idp.InitiateAuthInput{AuthFlow: types.AuthFlowTypeUserPasswordAuth, ClientId: app.UserPoolClient.ClientId, AuthParameters: map[string]string{"USERNAME": email, "PASSWORD": *password}})
	if err != nil {
		t.Fatal(err)
	}
	return *id, *in.AuthenticationResult.IdToken
}
