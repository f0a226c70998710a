package restapi

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// TestQuotas: each quota lets in what it says, and refuses one more in AWS's words.
func TestQuotas(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	testQuotas(t, s, ctx)
}

func testQuotas(t *testing.T, s *Service, ctx context.Context) {
	s.cfg.Vouches = func(string) bool { return true }
	s.cfg.Quotas = map[string]int{"apis": 2, "resources": 8, "stages": 2, "authorizers": 2, "api-keys": 2, "usage-plans": 3, "usage-plans-per-key": 2, "client-certificates": 2, "vpc-links": 2, "domain-names": 2}
	api := imported(t, s, ctx)
	d := deploy(t, s, ctx, api, "one")
	root, err := s.GetRestApi(ctx, &apigatewayapi.GetRestApiRequest{RestApiId: api})
	if err != nil {
		t.Fatal(err)
	}
	plans := []string{}
	key, err := s.CreateApiKey(ctx, &apigatewayapi.CreateApiKeyRequest{Name: wire.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	arn := wire.String("arn:aws:acm:us-east-1:000000000000:certificate/a")
	for _, tt := range []struct {
		things, of string
		fits       int // beside what is there
		make       func(i int) error
	}{
		{"APIs", "", 1, func(int) error {
			_, err := s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "n"})
			return err
		}},
		{"APIs", "", 0, func(int) error {
			_, err := s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: oasWith("", "")})
			return err
		}},
		{"Resources", ofAPI, 2, func(i int) error {
			_, err := s.CreateResource(ctx, &apigatewayapi.CreateResourceRequest{RestApiId: api, ParentId: *root.RootResourceId, PathPart: fmt.Sprint("r", i)})
			return err
		}},
		{"Resources", ofAPI, 0, func(int) error {
			_, err := s.PutRestApi(ctx, &apigatewayapi.PutRestApiRequest{RestApiId: api, Mode: "merge", Body: oasWith(`"/more":{}`, "")})
			return err
		}},
		{"Stages", ofAPI, 1, func(i int) error {
			_, err := s.CreateStage(ctx, &apigatewayapi.CreateStageRequest{RestApiId: api, StageName: fmt.Sprint("s", i), DeploymentId: d})
			return err
		}},
		{"Stages", ofAPI, 0, func(int) error {
			_, err := s.CreateDeployment(ctx, &apigatewayapi.CreateDeploymentRequest{RestApiId: api, StageName: wire.String("more")})
			return err
		}},
		{"Authorizers", ofAPI, 1, func(i int) error {
			_, err := s.CreateAuthorizer(ctx, &apigatewayapi.CreateAuthorizerRequest{RestApiId: api, Name: fmt.Sprint("a", i), Type: "TOKEN", AuthorizerUri: wire.String("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"), IdentitySource: wire.String("method.request.header.A")})
			return err
		}},
		{"API Keys", "", 1, func(int) error {
			_, err := s.CreateApiKey(ctx, &apigatewayapi.CreateApiKeyRequest{})
			return err
		}},
		{"API Keys", "", 0, func(int) error {
			_, err := s.ImportApiKeys(ctx, &apigatewayapi.ImportApiKeysRequest{Format: "csv", Body: []byte("key,name\n" + strings.Repeat("z", 20) + ",z\n")})
			return err
		}},
		{"Usage Plans", "", 3, func(int) error {
			p, err := s.CreateUsagePlan(ctx, &apigatewayapi.CreateUsagePlanRequest{Name: "p"})
			if err == nil {
				plans = append(plans, *p.Id)
			}
			return err
		}},
		{"Usage Plans", " for this API Key", 2, func(i int) error {
			_, err := s.CreateUsagePlanKey(ctx, &apigatewayapi.CreateUsagePlanKeyRequest{UsagePlanId: plans[i], KeyId: *key.Id, KeyType: "API_KEY"})
			return err
		}},
		{"Client Certificates", "", 2, func(int) error {
			_, err := s.GenerateClientCertificate(ctx, &apigatewayapi.GenerateClientCertificateRequest{})
			return err
		}},
		{"VPC Links", "", 2, func(int) error {
			_, err := s.CreateVpcLink(ctx, &apigatewayapi.CreateVpcLinkRequest{Name: "l", TargetArns: []string{"arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/a/b"}})
			return err
		}},
		{"Domain Names", "", 2, func(i int) error {
			_, err := s.CreateDomainName(ctx, &apigatewayapi.CreateDomainNameRequest{DomainName: fmt.Sprintf("a%d.example.com", i), CertificateArn: arn})
			return err
		}},
	} {
		for i := range tt.fits {
			if err := tt.make(i); err != nil {
				t.Errorf("%s, %d: %v", tt.things, i, err)
			}
		}
		refused(t, tt.make(tt.fits), "LimitExceededException", "Maximum number of "+tt.things+tt.of+" has been reached.  Please contact AWS if you need additional "+tt.things+".")
	}
	// What is there already can be changed where its quota is reached.
	deploy(t, s, ctx, api, "one")
	if _, err := s.PutRestApi(ctx, &apigatewayapi.PutRestApiRequest{RestApiId: api, Mode: "merge", Body: oasWith(`"/r0":{}`, "")}); err != nil {
		t.Error(err)
	}
}

func TestStageVariables_Bounds(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api := imported(t, s, ctx)
	deploy(t, s, ctx, api, "dev")
	const value = "Please use values with alphanumeric characters and the symbols ' ', -', '.', '_', ':', '/', '?', '&', '=', and ','."
	for line, want := range map[string]string{
		"replace /variables/a-b 1":                                   "Invalid stage variable name: a-b. Please use at most 64 alphanumeric characters and underscores.",
		"replace /variables/a ${x}":                                  "Invalid stage variable value: ${x}. " + value,
		"replace /variables/a " + strings.Repeat("x", 513):           "Invalid stage variable value: " + strings.Repeat("x", 513) + ". " + value,
		"replace /canarySettings/stageVariableOverrides/a <b>":       "Invalid stage variable value: <b>. " + value,
		"replace /variables/" + strings.Repeat("x", 65) + " 1":       "Invalid stage variable name: " + strings.Repeat("x", 65) + ". Please use at most 64 alphanumeric characters and underscores.",
		`replace /variables {"` + strings.Repeat("x", 65) + `":"1"}`: "Invalid stage variable name: " + strings.Repeat("x", 65) + ". Please use at most 64 alphanumeric characters and underscores.",
	} {
		_, err := updateStage(s, ctx, api, line)
		refused(t, err, "BadRequestException", want)
	}
	many := map[string]string{}
	for i := range maxVariables + 1 {
		many[fmt.Sprint("v", i)] = "https://example.com:8080/a?b=c,d e"
	}
	deployTo := func() error {
		_, err := s.CreateDeployment(ctx, &apigatewayapi.CreateDeploymentRequest{RestApiId: api, StageName: wire.String("dev"), Variables: many})
		return err
	}
	refused(t, deployTo(), "BadRequestException", "A stage has at most 100 variables")
	delete(many, "v0")
	if err := deployTo(); err != nil {
		t.Error(err)
	}
}

// trusts are the roles that may be assumed.
type trusts map[string]bool

func (r trusts) RoleTrusts(_ context.Context, role, service, source string) (bool, error) {
	return r[role] && service == "apigateway.amazonaws.com" && source == "arn:aws:apigateway:us-east-1::/account", nil
}

// The role of the account's logs must be there, and let API Gateway assume it.
func TestUpdateAccount_role(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	s.cfg.Trusts = trusts{"arn:aws:iam::000000000000:role/logs": true, "arn:aws:iam::000000000000:role/other": false}
	update := func(role string) (*apigatewayapi.Account, error) {
		return s.UpdateAccount(ctx, &apigatewayapi.UpdateAccountRequest{PatchOperations: patches("replace /cloudwatchRoleArn " + role)})
	}
	if a, err := update("arn:aws:iam::000000000000:role/logs"); err != nil || *a.CloudwatchRoleArn != "arn:aws:iam::000000000000:role/logs" {
		t.Errorf("%+v, %v", a, err)
	}
	for _, role := range []string{"arn:aws:iam::000000000000:role/other", "arn:aws:iam::000000000000:role/ghost", "logs"} {
		_, err := update(role)
		refused(t, err, "BadRequestException", "The role ARN does not have required permissions configured. Please grant trust permission for API Gateway and add the required role policy.")
	}
	if a, err := update(""); err != nil || a.CloudwatchRoleArn != nil {
		t.Errorf("%+v, %v", a, err)
	}
}
