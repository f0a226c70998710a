package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// sound is a template that deploys; each mistake replaces one text in it.
const sound = `AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Goal:
    Type: AWS::SSM::Parameter
    Properties:
      Name: /mistake/goal
      Type: String
      Value: "3"
  Pool:
    Type: AWS::Cognito::UserPool
    Properties:
      UserPoolName: mistake
      Policies:
        PasswordPolicy:
          MinimumLength: 12
  Client:
    Type: AWS::Cognito::UserPoolClient
    Properties:
      UserPoolId: !Ref Pool
  Handler:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      Runtime: nodejs20.x
      CodeUri: code/
Outputs:
  PoolId:
    Value: !Ref Pool
`

// mistakes: what is written instead, and what the person has to be told: the line, the
// logical id and what was expected.
var mistakes = map[string]struct{ old, new, want string }{
	"unknown property":            {"      Value: \"3\"", "      Valeu: \"3\"", `template\.yaml:\d+.*Goal.*Val`},
	"required property missing":   {"      Value: \"3\"\n", "", `template\.yaml:\d+.*Goal.*Value`},
	"unknown value":               {"      Type: String", "      Type: Sting", `template\.yaml:8:.*Goal.*Type.*Sting.*\[String, `},
	"text where a number is due":  {"MinimumLength: 12", "MinimumLength: twelve", `template\.yaml:16.*Pool.*MinimumLength`},
	"text where a list is due":    {"      UserPoolName: mistake", "      UsernameAttributes: email", `template\.yaml:13.*Pool.*UsernameAttributes`},
	"unknown resource type":       {"AWS::Cognito::UserPoolClient", "AWS::Cognito::UserPoolKlient", `template\.yaml:\d+.*Client.*UserPoolKlient`},
	"reference to nothing":        {"      UserPoolId: !Ref Pool", "      UserPoolId: !Ref Pol", `template\.yaml:20.*Client.*UserPoolId.*Pol`},
	"attribute of nothing":        {"      UserPoolId: !Ref Pool", "      UserPoolId: !GetAtt Pool.Nothing", `template\.yaml:20.*Client.*Nothing`},
	"text with a reference":       {"      UserPoolName: mistake", "      UserPoolName: !Sub ${Nothing}", `template\.yaml:13.*Pool.*UserPoolName.*Nothing`},
	"circle":                      {"      UserPoolName: mistake", "      UserPoolName: !Ref Client", `[Cc]ircular.*(Pool.*Client|Client.*Pool)`},
	"no YAML":                     {"  Pool:\n", "  Pool: [\n", `template\.yaml:10:.*not well-formed YAML`},
	"twice the same":              {"  Pool:\n", "  Goal:\n", `template\.yaml:\d+.*Goal`},
	"code folder that is missing": {"CodeUri: code/", "CodeUri: nothing/", `template\.yaml.*Handler.*nothing`},
	"unknown runtime":             {"nodejs20.x", "cobol85.x", `template\.yaml:\d+.*Handler.*Runtime.*cobol85.*nodejs20`},
	"unknown function property":   {"      Runtime: nodejs20.x", "      Runtime: nodejs20.x\n      Memory: 128", `template\.yaml:\d+.*Handler.*Memory`},
	"output of nothing":           {"    Value: !Ref Pool\n", "    Value: !Ref Nothing\n", `template\.yaml:\d+.*PoolId.*Nothing`},
	// Found out only while it is made: the rest is taken back.
	"name that is taken": {"  Pool:\n", "  Again:\n    Type: AWS::SSM::Parameter\n    DependsOn: [Goal, Pool]\n    Properties: {Name: /mistake/goal, Type: String, Value: x}\n  Pool:\n", `Again.*(exists|already)`},
	"pool that is not there": {"  Pool:\n", "  Late:\n    Type: AWS::Cognito::UserPoolGroup\n    DependsOn: [Goal, Pool]\n    Properties: {UserPoolId: us-east-1_nothing00, GroupName: g}\n  Pool:\n",
		`Late.*(does not exist|not found)`},
}

// TestMistakes deploys templates with mistakes: each is told with its place, and leaves nothing behind.
func TestMistakes(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"dev", "--json", "--listen", "127.0.0.1:0", "--data", t.TempDir()})
	env := environment("MOAT_ENDPOINT=" + s.endpoint)
	for name, m := range mistakes {
		t.Run(name, func(t *testing.T) {
			if strings.Count(sound, m.old) < 1 {
				t.Fatalf("the sound template holds no %q", m.old)
			}
			r := moat(t, env, "deploy", writeTemplate(t, strings.Replace(sound, m.old, m.new, 1)), "--stack", "mistake")
			if r.code != 1 && r.code != 4 || !regexp.MustCompile(m.want).MatchString(r.stderr) {
				t.Errorf("want a failure that says %s, got %s", m.want, r)
			}
			s.holdsNothing(t)
		})
	}
	t.Run("none", func(t *testing.T) {
		if r := moat(t, env, "deploy", writeTemplate(t, sound), "--stack", "mistake"); r.code != 0 {
			t.Errorf("the sound template was not deployed: %s", r)
		}
		if r := moat(t, env, "delete", "mistake"); r.code != 0 {
			t.Errorf("delete: %s", r)
		}
		s.holdsNothing(t)
	})
	t.Run("moat dev", func(t *testing.T) {
		file := writeTemplate(t, strings.Replace(sound, "!Ref Pool", "!Ref Pol", 1))
		r := moat(t, environment(), "dev", "--listen", "127.0.0.1:0", "--data", t.TempDir(), file)
		if r.code != 1 || !regexp.MustCompile(`template\.yaml:20.*Client.*UserPoolId.*Pol`).MatchString(r.stderr) {
			t.Errorf("want exit code 1 and the mistake, got %s", r)
		}
	})
}

// writeTemplate writes a template beside a folder with code.
func writeTemplate(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "code"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "code", "index.mjs"), []byte("export const handler = async () => ({});\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "template.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// holdsNothing checks that no part of a failed deployment is there. A stack that was rolled
// back may remain, without resources, as on AWS; it is deleted.
func (s *server) holdsNothing(t *testing.T) {
	t.Helper()
	ctx, config := t.Context(), s.config(rootCredentials)
	parameters, err := ssm.NewFromConfig(config).DescribeParameters(ctx, &ssm.DescribeParametersInput{})
	if err != nil || len(parameters.Parameters) != 0 {
		t.Errorf("parameters are left: %+v, %v", parameters, err)
	}
	limit := int32(10)
	pools, err := cognitoidentityprovider.NewFromConfig(config).ListUserPools(ctx, &cognitoidentityprovider.ListUserPoolsInput{MaxResults: &limit})
	if err != nil || len(pools.UserPools) != 0 {
		t.Errorf("user pools are left: %+v, %v", pools, err)
	}
	client := cloudformation.NewFromConfig(config)
	stacks, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, stack := range stacks.Stacks {
		if stack.StackStatus != "ROLLBACK_COMPLETE" {
			t.Errorf("stack %s is left, %s", *stack.StackName, stack.StackStatus)
		}
		if _, err := client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: stack.StackName}); err != nil {
			t.Error(err)
		}
	}
}
