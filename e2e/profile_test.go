package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// profileTemplate is a pool whose tokens assume a role, and one parameter to be let in to.
const profileTemplate = `
Resources:
  Pool: {Type: AWS::Cognito::UserPool}
  Client:
    Type: AWS::Cognito::UserPoolClient
    Properties: {UserPoolId: !Ref Pool, ExplicitAuthFlows: [ALLOW_USER_PASSWORD_AUTH, ALLOW_REFRESH_TOKEN_AUTH]}
  Goal:
    Type: AWS::SSM::Parameter
    Properties: {Name: /profiles/goal, Type: String, Value: "3"}
Outputs:
  Pool: {Value: !Ref Pool}
  Client: {Value: !Ref Client}
`

// profiles is an account with a user, roles and a provider of web identities.
type profiles struct {
	*server
	ada              aws.Credentials
	web, deploy, own string // roles: for tokens, for ada, for nobody
	token            string // file of a token of the pool
	dir              string
}

const (
	goal    = "arn:aws:ssm:" + region + ":" + account + ":parameter/profiles/goal"
	mayRead = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ssm:GetParameter","Resource":"` + goal + `"}}`
)

func newProfiles(t *testing.T) *profiles {
	t.Helper()
	p := &profiles{dir: t.TempDir()}
	template := filepath.Join(p.dir, "template.yaml")
	p.write(t, template, profileTemplate)
	p.server = start(t, []string{"dev", "--json", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--no-watch", "--no-demo-user", template})
	ctx, api := t.Context(), iam.NewFromConfig(p.config(rootCredentials))
	ada := aws.String("ada")
	if _, err := api.CreateUser(ctx, &iam.CreateUserInput{UserName: ada}); err != nil {
		t.Fatal(err)
	}
	key, err := api.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: ada})
	if err != nil {
		t.Fatal(err)
	}
	p.ada = aws.Credentials{AccessKeyID: *key.AccessKey.AccessKeyId, SecretAccessKey: *key.AccessKey.SecretAccessKey}
	out := p.ready.Stacks[0].Outputs
	issuer := p.endpoint + "/" + out["Pool"]
	provider, err := api.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: &issuer, ClientIDList: []string{out["Client"]}})
	if err != nil {
		t.Fatal(err)
	}
	p.deploy = p.role(t, "deploy", `{"AWS":"arn:aws:iam::`+account+`:user/ada"}`, "sts:AssumeRole", "")
	p.own = p.role(t, "own", `{"Service":"lambda.amazonaws.com"}`, "sts:AssumeRole", "")
	_, name, _ := strings.Cut(issuer, "://")
	p.web = p.role(t, "web", `{"Federated":"`+*provider.OpenIDConnectProviderArn+`"}`, "sts:AssumeRoleWithWebIdentity", `,"Condition":{"StringEquals":{"`+name+`:aud":"`+out["Client"]+`"}}`)
	p.token = filepath.Join(p.dir, "token")
	p.write(t, p.token, p.idToken(t, out["Pool"], out["Client"]))
	return p
}

func (p *profiles) write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// role makes a role that may read the goal.
func (p *profiles) role(t *testing.T, name, principal, action, condition string) string {
	t.Helper()
	ctx, api := t.Context(), iam.NewFromConfig(p.config(rootCredentials))
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":` + principal + `,"Action":"` + action + `"` + condition + `}}`
	out, err := api.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("read"), PolicyDocument: aws.String(mayRead)}); err != nil {
		t.Fatal(err)
	}
	return *out.Role.Arn
}

// idToken signs a user of the pool in.
func (p *profiles) idToken(t *testing.T, pool, client string) string {
	t.Helper()
	ctx, api := t.Context(), idp.NewFromConfig(p.config(rootCredentials))
	u := user{email: "ada", password: "Correct-Horse-7-Battery"}
	if _, err := api.AdminCreateUser(ctx, &idp.AdminCreateUserInput{UserPoolId: &pool, Username: &u.email, MessageAction: "SUPPRESS"}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.AdminSetUserPassword(ctx, &idp.AdminSetUserPasswordInput{UserPoolId: &pool, Username: &u.email, Password: &u.password, Permanent: true}); err != nil {
		t.Fatal(err)
	}
	tok, err := p.signIn(ctx, client, u)
	if err != nil {
		t.Fatal(err)
	}
	return tok.id
}

// TestProfiles has AWS's clients find their credentials in every way that they know.
func TestProfiles(t *testing.T) {
	t.Parallel()
	p := newProfiles(t)
	t.Run("clients", func(t *testing.T) {
		t.Run("aws", func(t *testing.T) { t.Parallel(); profilesAWS(t, p) })
		t.Run("go", func(t *testing.T) { t.Parallel(); profilesGo(t, p) })
		t.Run("simulate", func(t *testing.T) { t.Parallel(); profilesSimulate(t, p) })
		t.Run("presigned", func(t *testing.T) { t.Parallel(); profilesPresigned(t, p) })
	})
}

// config writes the command line's two files and gives a runner that reads them.
func (p *profiles) commandLine(t *testing.T) *awsRunner {
	t.Helper()
	process := func(c aws.Credentials) string {
		text, err := json.Marshal(map[string]any{"Version": 1, "AccessKeyId": c.AccessKeyID, "SecretAccessKey": c.SecretAccessKey})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "credentials.json")
		p.write(t, file, string(text))
		return "cat " + file
	}
	r := &awsRunner{dir: t.TempDir()}
	bad := filepath.Join(r.dir, "bad-token")
	p.write(t, bad, "eyJhbGciOiJub25lIn0.e30.")
	config := filepath.Join(r.dir, "config")
	p.write(t, config, strings.Join([]string{
		"[profile base]", "aws_access_key_id=" + p.ada.AccessKeyID, "aws_secret_access_key=" + p.ada.SecretAccessKey,
		"[profile deploy]", "role_arn=" + p.deploy, "source_profile=base", "role_session_name=laptop",
		"[profile foreign]", "role_arn=" + p.own, "source_profile=base",
		"[profile web]", "role_arn=" + p.web, "web_identity_token_file=" + p.token, "role_session_name=pod",
		"[profile bad]", "role_arn=" + p.web, "web_identity_token_file=" + bad,
		"[profile process]", "credential_process=" + process(p.ada),
		"[profile stale]", "credential_process=" + process(aws.Credentials{AccessKeyID: p.ada.AccessKeyID, SecretAccessKey: "stale"}), "",
	}, "\n"))
	aws := tool(t, "/usr/bin/aws", "aws")
	r.mode = awsMode{name: "moat run", env: []string{"AWS_CONFIG_FILE=" + config}, args: func(_ *courses, args []string) []string {
		return append([]string{moatBinary(), "run", "--endpoint", p.endpoint, "--", "env", "-u", "AWS_ACCESS_KEY_ID", "-u", "AWS_SECRET_ACCESS_KEY", "-u", "AWS_SESSION_TOKEN", aws}, args...)
	}}
	return r
}

// Each profile becomes whom it names, and its refuse twin does not.
func profilesAWS(t *testing.T, p *profiles) {
	r := p.commandLine(t)
	for profile, want := range map[string]string{
		"deploy": "arn:aws:sts::" + account + ":assumed-role/deploy/laptop", "web": "arn:aws:sts::" + account + ":assumed-role/web/pod", "process": "arn:aws:iam::" + account + ":user/ada",
	} {
		if got := text(t, r.ok(t, "sts", "get-caller-identity", "--profile", profile), "Arn"); got != want {
			t.Errorf("%s: %s, want %s", profile, got, want)
		}
	}
	for profile, code := range map[string]string{"foreign": "AccessDenied", "bad": "InvalidIdentityToken", "stale": "SignatureDoesNotMatch"} {
		r.refused(t, code, "sts", "get-caller-identity", "--profile", profile)
	}
	if got := text(t, r.ok(t, "ssm", "get-parameter", "--name", "/profiles/goal", "--profile", "deploy"), "Parameter", "Value"); got != "3" {
		t.Errorf("the goal is %s", got)
	}
	r.refused(t, "AccessDeniedException", "ssm", "get-parameter", "--name", "/profiles/goal", "--profile", "process")
	r.refused(t, "AccessDeniedException", "ssm", "delete-parameter", "--name", "/profiles/goal", "--profile", "deploy")
	web := *r // without any profile: by the environment alone, as in a pod
	web.mode.env = []string{"AWS_WEB_IDENTITY_TOKEN_FILE=" + p.token, "AWS_ROLE_ARN=" + p.web, "AWS_ROLE_SESSION_NAME=env"}
	if got := text(t, web.ok(t, "sts", "get-caller-identity"), "Arn"); !strings.HasSuffix(got, ":assumed-role/web/env") {
		t.Errorf("by the environment: %s", got)
	}
	web.mode.env[1] = "AWS_ROLE_ARN=" + p.deploy
	web.refused(t, "AccessDenied", "sts", "get-caller-identity")
}

// profilesGo has the same of the SDK for Go, whose errors have types.
func profilesGo(t *testing.T, p *profiles) {
	ctx := t.Context()
	base, anyone := sts.NewFromConfig(p.config(p.ada)), sts.NewFromConfig(p.config(aws.Credentials{}))
	read := func(provider aws.CredentialsProvider) error {
		cfg := p.config(aws.Credentials{})
		cfg.Credentials = provider
		_, err := ssm.NewFromConfig(cfg).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/profiles/goal")})
		return err
	}
	if err := read(stscreds.NewAssumeRoleProvider(base, p.deploy)); err != nil {
		t.Errorf("assume-role: %v", err)
	}
	failsWith(t, "a role of others", read(stscreds.NewAssumeRoleProvider(base, p.own)), "AccessDenied")
	if err := read(stscreds.NewWebIdentityRoleProvider(anyone, p.web, stscreds.IdentityTokenFile(p.token))); err != nil {
		t.Errorf("web identity: %v", err)
	}
	bad := filepath.Join(t.TempDir(), "token")
	good, err := os.ReadFile(p.token)
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, bad, string(good[:len(good)-4])+"AAAA")
	failsAs[*ststypes.InvalidIdentityTokenException](t, "an altered token", read(stscreds.NewWebIdentityRoleProvider(anyone, p.web, stscreds.IdentityTokenFile(bad))))
	failsWith(t, "a role that trusts no tokens", read(stscreds.NewWebIdentityRoleProvider(anyone, p.deploy, stscreds.IdentityTokenFile(p.token))), "AccessDenied")
	failsWith(t, "her own key has no right", read(processcreds.NewProvider(`printf '{"Version":1,"AccessKeyId":"`+p.ada.AccessKeyID+`","SecretAccessKey":"`+p.ada.SecretAccessKey+`"}'`)), "AccessDeniedException")
}

// profilesSimulate asks the policy simulator, by the command line and the SDK.
func profilesSimulate(t *testing.T, p *profiles) {
	r := p.commandLine(t)
	r.mode.env = nil
	aws1 := tool(t, "/usr/bin/aws", "aws")
	r.mode.args = func(_ *courses, args []string) []string {
		return append([]string{moatBinary(), "run", "--endpoint", p.endpoint, "--", aws1}, args...)
	}
	out := r.ok(t, "iam", "simulate-principal-policy", "--policy-source-arn", p.deploy, "--action-names", "ssm:GetParameter", "ssm:DeleteParameter", "--resource-arns", goal)
	for i, want := range []string{"allowed", "implicitDeny"} {
		if got := text(t, out, "EvaluationResults", i, "EvalDecision"); got != want {
			t.Errorf("simulated %d: %s, want %s", i, got, want)
		}
	}
	if got := text(t, out, "EvaluationResults", 0, "MatchedStatements", 0, "SourcePolicyId"); got != "role_deploy_read" {
		t.Errorf("matched %s", got)
	}
	r.refused(t, "NoSuchEntity", "iam", "simulate-principal-policy", "--policy-source-arn", p.deploy+"x", "--action-names", "ssm:GetParameter")
	api := iam.NewFromConfig(p.config(rootCredentials))
	_, err := api.SimulateCustomPolicy(t.Context(), &iam.SimulateCustomPolicyInput{PolicyInputList: []string{mayRead}, ActionNames: []string{"ssm:*"}})
	failsAs[*iamtypes.InvalidInputException](t, "a wildcard", err)
	_, err = iam.NewFromConfig(p.config(p.ada)).SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{PolicySourceArn: &p.deploy, ActionNames: []string{"ssm:GetParameter"}})
	failsWith(t, "who may not simulate", err, "AccessDenied")
}

// expiring says how long a presigned address counts.
type expiring struct{ sts.HTTPPresignerV4 }

func (e expiring) PresignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, at time.Time, opts ...func(*v4.SignerOptions)) (string, http.Header, error) {
	q := r.URL.Query()
	q.Set("X-Amz-Expires", "60")
	r.URL.RawQuery = q.Encode()
	return e.HTTPPresignerV4.PresignHTTP(ctx, c, r, hash, service, region, at, opts...)
}

// A presigned GetCallerIdentity proves who made it, to whoever sends it on, as clusters take it for
// a token; a header that was signed must be sent.
func profilesPresigned(t *testing.T, p *profiles) {
	ctx := t.Context()
	signer := sts.NewPresignClient(sts.NewFromConfig(p.config(p.ada)))
	out, err := signer.PresignGetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.PresignOptions) { o.Presigner = expiring{o.Presigner} })
	if err != nil {
		t.Fatal(err)
	}
	send := func(address string) (int, string) {
		req, err := http.NewRequestWithContext(ctx, out.Method, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range out.SignedHeader {
			if k != "Host" {
				req.Header[k] = v
			}
		}
		a, err := send(p.client, req)
		if err != nil {
			t.Fatal(err)
		}
		return a.status, a.body
	}
	if status, body := send(out.URL); status != 200 || !strings.Contains(body, "user/ada") {
		t.Errorf("presigned: %d %s", status, body)
	}
	if status, body := send(strings.Replace(out.URL, "GetCallerIdentity", "GetSessionToken", 1)); status != 403 || !strings.Contains(body, "SignatureDoesNotMatch") {
		t.Errorf("for another action: %d %s", status, body)
	}
}
