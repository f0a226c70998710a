package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentity"
	identitytypes "github.com/aws/aws-sdk-go-v2/service/cognitoidentity/types"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// developerName is the developer provider of the pools that these tests make.
const developerName = "login.example"

// trusting is the trust policy of a role for the signed-in users of a pool.
func trusting(pool, actions string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"cognito-identity.amazonaws.com"},"Action":` + actions + `,
		"Condition":{"StringEquals":{"cognito-identity.amazonaws.com:aud":"` + pool + `"},"ForAnyValue:StringLike":{"cognito-identity.amazonaws.com:amr":"authenticated"}}}]}`
}

// identityPoolOf makes a pool of its own beside the example's, with a role for those who sign in
// that lets a team's users list the roles whose name begins with the team's.
func identityPoolOf(t *testing.T, c *courses, name string) (pool, role string) {
	t.Helper()
	ctx, root := t.Context(), c.config(rootCredentials)
	identities, roles := cognitoidentity.NewFromConfig(root), iam.NewFromConfig(root)
	p, err := identities.CreateIdentityPool(ctx, &cognitoidentity.CreateIdentityPoolInput{
		IdentityPoolName: &name, AllowUnauthenticatedIdentities: false, AllowClassicFlow: aws.Bool(true), DeveloperProviderName: aws.String(developerName),
		CognitoIdentityProviders: []identitytypes.CognitoIdentityProvider{{ProviderName: aws.String(c.loginName()), ClientId: &c.publicClient, ServerSideTokenCheck: aws.Bool(true)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trusting(*p.IdentityPoolId, `["sts:AssumeRoleWithWebIdentity","sts:TagSession"]`))})
	if err != nil {
		t.Fatal(err)
	}
	_, err = roles.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("own"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:GetRole","Resource":"arn:aws:iam::*:role/${aws:PrincipalTag/team}"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = identities.SetIdentityPoolRoles(ctx, &cognitoidentity.SetIdentityPoolRolesInput{IdentityPoolId: p.IdentityPoolId, Roles: map[string]string{"authenticated": *out.Role.Arn}})
	if err != nil {
		t.Fatal(err)
	}
	return *p.IdentityPoolId, *out.Role.Arn
}

func identityPools(t *testing.T, c *courses) {
	t.Run("developer", func(t *testing.T) { developerIdentities(t, c) })
	t.Run("classic flow", func(t *testing.T) { classicFlow(t, c) })
	t.Run("server-side check", func(t *testing.T) { serverSideCheck(t, c) })
}

// A back end vouches for its users: their tags decide what they may, merging and unlinking whom
// they are.
func developerIdentities(t *testing.T, c *courses) {
	ctx, name := t.Context(), "developers"
	pool, _ := identityPoolOf(t, c, name)
	back, user := cognitoidentity.NewFromConfig(c.config(rootCredentials)), cognitoidentity.NewFromConfig(c.config(aws.Credentials{}))
	vouch := func(who, team string) *cognitoidentity.GetOpenIdTokenForDeveloperIdentityOutput {
		t.Helper()
		out, err := back.GetOpenIdTokenForDeveloperIdentity(ctx, &cognitoidentity.GetOpenIdTokenForDeveloperIdentityInput{
			IdentityPoolId: &pool, Logins: map[string]string{developerName: who}, PrincipalTags: map[string]string{"team": team},
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	redeem := func(id, token *string) (*cognitoidentity.GetCredentialsForIdentityOutput, error) {
		return user.GetCredentialsForIdentity(ctx, &cognitoidentity.GetCredentialsForIdentityInput{IdentityId: id, Logins: map[string]string{"cognito-identity.amazonaws.com": *token}})
	}
	for team, allowed := range map[string]bool{name: true, "others": false} {
		v := vouch("ann", team)
		out, err := redeem(v.IdentityId, v.Token)
		if err != nil {
			t.Fatal(err)
		}
		as := aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretKey, SessionToken: *out.Credentials.SessionToken}
		_, err = iam.NewFromConfig(c.config(as)).GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
		if allowed != (err == nil) {
			t.Errorf("team %s: %v", team, err)
		}
	}
	ann, bob := vouch("ann", name), vouch("bob", name)
	_, err := redeem(bob.IdentityId, ann.Token)
	failsAs[*identitytypes.NotAuthorizedException](t, "another's identity", err)
	_, err = redeem(ann.IdentityId, aws.String((*ann.Token)[:len(*ann.Token)-2]))
	failsAs[*identitytypes.NotAuthorizedException](t, "a token cut off", err)
	_, err = back.GetOpenIdTokenForDeveloperIdentity(ctx, &cognitoidentity.GetOpenIdTokenForDeveloperIdentityInput{
		IdentityPoolId: &pool, IdentityId: bob.IdentityId, Logins: map[string]string{developerName: "ann"},
	})
	failsAs[*identitytypes.DeveloperUserAlreadyRegisteredException](t, "registered elsewhere", err)
	if _, err := back.MergeDeveloperIdentities(ctx, &cognitoidentity.MergeDeveloperIdentitiesInput{
		IdentityPoolId: &pool, DeveloperProviderName: aws.String(developerName), SourceUserIdentifier: aws.String("bob"), DestinationUserIdentifier: aws.String("ann"),
	}); err != nil {
		t.Fatal(err)
	}
	if out, err := redeem(bob.IdentityId, bob.Token); err != nil || *out.IdentityId != *ann.IdentityId {
		t.Errorf("a merged identity: %+v, %v", out, err)
	}
	if _, err := back.UnlinkDeveloperIdentity(ctx, &cognitoidentity.UnlinkDeveloperIdentityInput{
		IdentityPoolId: &pool, IdentityId: ann.IdentityId, DeveloperProviderName: aws.String(developerName), DeveloperUserIdentifier: aws.String("bob"),
	}); err != nil {
		t.Fatal(err)
	}
	_, err = redeem(ann.IdentityId, bob.Token)
	failsAs[*identitytypes.NotAuthorizedException](t, "an unlinked user's token", err)
}

// The basic flow: the pool's token buys credentials at STS, for a role that trusts it.
func classicFlow(t *testing.T, c *courses) {
	ctx, name := t.Context(), "classic"
	pool, role := identityPoolOf(t, c, name)
	u := c.newUser(t, "classic@example.com")
	tok, err := c.signIn(ctx, c.publicClient, u)
	if err != nil {
		t.Fatal(err)
	}
	nobody := c.config(aws.Credentials{})
	identities, tokens := cognitoidentity.NewFromConfig(nobody), sts.NewFromConfig(nobody)
	logins := map[string]string{c.loginName(): tok.id}
	id, err := identities.GetId(ctx, &cognitoidentity.GetIdInput{IdentityPoolId: &pool, Logins: logins})
	if err != nil {
		t.Fatal(err)
	}
	token, err := identities.GetOpenIdToken(ctx, &cognitoidentity.GetOpenIdTokenInput{IdentityId: id.IdentityId, Logins: logins})
	if err != nil {
		t.Fatal(err)
	}
	amr := []string{"authenticated", c.loginName(), c.loginName() + ":CognitoSignIn:" + u.sub}
	if got := claimsOf(t, *token.Token); !slices.Equal(got.AMR, amr) || got.Aud != pool || got.Sub != *id.IdentityId {
		t.Errorf("claims %+v", got)
	}
	assume := func(ctx context.Context, role, token string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
		return tokens.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: aws.String("app"), WebIdentityToken: &token})
	}
	if out, err := assume(ctx, role, *token.Token); err != nil || *out.SubjectFromWebIdentityToken != *id.IdentityId {
		t.Errorf("AssumeRoleWithWebIdentity: %+v, %v", out, err)
	}
	_, err = assume(ctx, "arn:aws:iam::"+account+":role/developers", *token.Token)
	failsWith(t, "a role of another pool", err, "AccessDenied")
	_, err = assume(ctx, role, (*token.Token)[:len(*token.Token)-2])
	failsAs[*ststypes.InvalidIdentityTokenException](t, "a token cut off", err)
	_, err = identities.GetId(ctx, &cognitoidentity.GetIdInput{IdentityPoolId: &pool})
	failsAs[*identitytypes.NotAuthorizedException](t, "a guest", err)
	_, err = cognitoidentity.NewFromConfig(c.config(rootCredentials)).UpdateIdentityPool(ctx, &cognitoidentity.UpdateIdentityPoolInput{
		IdentityPoolId: &pool, IdentityPoolName: &name, AllowUnauthenticatedIdentities: false,
		CognitoIdentityProviders: []identitytypes.CognitoIdentityProvider{{ProviderName: aws.String(c.loginName()), ClientId: &c.publicClient}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = identities.GetOpenIdToken(ctx, &cognitoidentity.GetOpenIdTokenInput{IdentityId: id.IdentityId, Logins: logins})
	failsAs[*identitytypes.InvalidParameterException](t, "the basic flow is off", err)
}

// With ServerSideTokenCheck a user who signed out everywhere, or was disabled, gets no more
// credentials, however long the token still lives.
func serverSideCheck(t *testing.T, c *courses) {
	ctx := t.Context()
	pool, _ := identityPoolOf(t, c, "checked")
	identities, users := cognitoidentity.NewFromConfig(c.config(aws.Credentials{})), idp.NewFromConfig(c.config(rootCredentials))
	for what, end := range map[string]func(u user, tok tokens) error{
		"signed out": func(_ user, tok tokens) error {
			_, err := users.GlobalSignOut(ctx, &idp.GlobalSignOutInput{AccessToken: &tok.access})
			return err
		},
		"disabled": func(u user, _ tokens) error {
			_, err := users.AdminDisableUser(ctx, &idp.AdminDisableUserInput{UserPoolId: &c.pool, Username: &u.email})
			return err
		},
		"deleted": func(u user, _ tokens) error {
			_, err := users.AdminDeleteUser(ctx, &idp.AdminDeleteUserInput{UserPoolId: &c.pool, Username: &u.email})
			return err
		},
	} {
		u := c.newUser(t, strings.ReplaceAll(what, " ", "-")+"@example.com")
		tok, err := c.signIn(ctx, c.publicClient, u)
		if err != nil {
			t.Fatal(err)
		}
		logins := map[string]string{c.loginName(): tok.id}
		id, err := identities.GetId(ctx, &cognitoidentity.GetIdInput{IdentityPoolId: &pool, Logins: logins})
		if err != nil {
			t.Fatal(err)
		}
		in := &cognitoidentity.GetCredentialsForIdentityInput{IdentityId: id.IdentityId, Logins: maps.Clone(logins)}
		if _, err := identities.GetCredentialsForIdentity(ctx, in); err != nil {
			t.Errorf("before it was %s: %v", what, err)
		}
		if err := end(u, tok); err != nil {
			t.Fatal(err)
		}
		_, err = identities.GetCredentialsForIdentity(ctx, in)
		failsAs[*identitytypes.NotAuthorizedException](t, what, err)
	}
}

type identityClaims struct {
	Aud, Sub string
	AMR      []string
}

func claimsOf(t *testing.T, token string) identityClaims {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c identityClaims
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// awsIdentity has AWS's command line vouch for a developer's user.
func awsIdentity(t *testing.T, r *awsRunner) {
	pool, _ := identityPoolOf(t, r.c, "commandline")
	vouch := []string{"cognito-identity", "get-open-id-token-for-developer-identity", "--identity-pool-id", pool, "--logins", developerName + "=ann"}
	out := r.ok(t, vouch...)
	id, token := text(t, out, "IdentityId"), text(t, out, "Token")
	found := r.ok(t, "cognito-identity", "lookup-developer-identity", "--identity-pool-id", pool, "--identity-id", id)
	if got := text(t, found, "DeveloperUserIdentifierList", 0); got != "ann" {
		t.Errorf("the identity's user is %s", got)
	}
	redeem := []string{"cognito-identity", "get-credentials-for-identity", "--identity-id", id, "--logins", "cognito-identity.amazonaws.com="}
	redeem[len(redeem)-1] += token
	if got := text(t, r.ok(t, redeem...), "Credentials", "AccessKeyId"); !strings.HasPrefix(got, "ASIA") {
		t.Errorf("access key %s", got)
	}
	r.refused(t, "ResourceNotFoundException", "cognito-identity", "lookup-developer-identity", "--identity-pool-id", pool, "--developer-user-identifier", "eve")
	r.ok(t, "cognito-identity", "unlink-developer-identity", "--identity-pool-id", pool, "--identity-id", id, "--developer-provider-name", developerName, "--developer-user-identifier", "ann")
	r.refused(t, "NotAuthorizedException", redeem...)
}
