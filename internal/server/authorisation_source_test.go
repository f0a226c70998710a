package server

import (
	"fmt"
	"strings"
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/cloudformationapi"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/lambdaapi"
)

// A service that assumes a role says for whom: aws:SourceArn and aws:SourceAccount
// are there for a trust policy to ask for, and nobody's guess.
func TestAuthorisation_SourceKeys(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	ctx := wire.WithCall(t.Context(), asRoot(t, s))
	iam := iamapi.Client(s.parts.pipeline)
	made := 0
	role := func(service, conditions string) string {
		made++
		trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":%q},"Action":"sts:AssumeRole","Condition":{%s}}]}`, service, conditions)
		out, err := iam.CreateRole(ctx, &iamapi.CreateRoleRequest{RoleName: fmt.Sprintf("r%d", made), AssumeRolePolicyDocument: trust})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := iam.PutRolePolicy(ctx, &iamapi.PutRolePolicyRequest{RoleName: fmt.Sprintf("r%d", made), PolicyName: "p", PolicyDocument: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`}); err != nil {
			t.Fatal(err)
		}
		return out.Role.Arn
	}
	call := map[string]func(name, role string) error{
		"lambda": func(name, role string) error {
			_, err := lambdaapi.Client(s.parts.pipeline).CreateFunction(ctx, &lambdaapi.CreateFunctionRequest{
				FunctionName: name, Role: role, Runtime: "provided.al2023", Handler: wire.String("bootstrap"), Code: &lambdaapi.FunctionCode{ZipFile: emptyFunction(t)},
			})
			return err
		},
		"cloudformation": func(name, role string) error {
			_, err := cloudformationapi.Client(s.parts.pipeline).CreateStack(ctx, &cloudformationapi.CreateStackInput{
				StackName: name, RoleARN: &role, TemplateBody: wire.String("Resources:\n  P:\n    Type: AWS::SSM::Parameter\n    Properties:\n      Type: String\n      Value: v\n"),
			})
			return err
		},
	}
	for _, tt := range []struct{ service, arn, refusal string }{
		{"lambda", "arn:aws:lambda:us-east-1:000000000000:function:NAME", "The role defined for the function cannot be assumed by Lambda."},
		{"cloudformation", "arn:aws:cloudformation:us-east-1:000000000000:stack/NAME/*", "is invalid or cannot be assumed"},
	} {
		for n, c := range []struct {
			conditions string
			may        bool
		}{
			{`"ArnLike":{"aws:SourceArn":"` + tt.arn + `"}`, true},
			{`"ArnLike":{"aws:SourceArn":"` + strings.Replace(tt.arn, "NAME", "other", 1) + `"}`, false},
			{`"ArnLike":{"aws:SourceArn":"` + strings.Replace(tt.arn, "000000000000", "111111111111", 1) + `"}`, false},
			{`"StringEquals":{"aws:SourceAccount":"000000000000"}`, true},
			{`"StringEquals":{"aws:SourceAccount":"111111111111"}`, false},
			{`"Null":{"aws:SourceArn":"false","aws:SourceAccount":"false"}`, true},
			{`"Null":{"aws:SourceArn":"true"}`, false},
			{`"Null":{"aws:SourceAccount":"true"}`, false},
		} {
			name := fmt.Sprintf("n%d", n)
			err := call[tt.service](name, role(tt.service+".amazonaws.com", strings.ReplaceAll(c.conditions, "NAME", name)))
			if c.may && err != nil || !c.may && (err == nil || !strings.Contains(err.Error(), tt.refusal)) {
				t.Errorf("%s, %s: may %v, got %v", tt.service, c.conditions, c.may, err)
			}
		}
	}
}
