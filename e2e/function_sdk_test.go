package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// TestFunctionSDK has a handler call Moat with AWS's SDK for JavaScript, which finds
// endpoint, region and credentials in the environment: what its role allows it may,
// and nothing else.
func TestFunctionSDK(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"serve", "--json", "--listen", "127.0.0.1:0", "--data", t.TempDir()})
	root := s.config(aws.Credentials{AccessKeyID: s.ready.Administrator.AccessKeyID, SecretAccessKey: s.ready.Administrator.SecretAccessKey})
	pools, roles, functions := idp.NewFromConfig(root), iam.NewFromConfig(root), lambda.NewFromConfig(root)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	mine, err := pools.CreateUserPool(t.Context(), &idp.CreateUserPoolInput{PoolName: aws.String("mine")})
	must(err)
	yours, err := pools.CreateUserPool(t.Context(), &idp.CreateUserPoolInput{PoolName: aws.String("yours")})
	must(err)
	role, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("sdk"), AssumeRolePolicyDocument: aws.String(serviceTrust)})
	must(err)
	_, err = roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("sdk"), PolicyName: aws.String("mine"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"cognito-idp:DescribeUserPool","Resource":"` + *mine.UserPool.Arn + `"}}`)})
	must(err)
	_, err = functions.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("sdk"), Role: role.Role.Arn, Handler: aws.String("index.handler"), Runtime: lambdatypes.RuntimeNodejs20x, Timeout: aws.Int32(30),
		MemorySize: aws.Int32(512), Code: &lambdatypes.FunctionCode{ZipFile: sdkPackage(t)},
	})
	must(err)
	type reply struct {
		Name, Error, Message string
		Status               int
	}
	ask := func(pool string, forged bool) (r reply) {
		t.Helper()
		event, err := json.Marshal(map[string]any{"pool": pool, "forged": forged})
		must(err)
		out, err := functions.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("sdk"), Payload: event})
		must(err)
		if out.FunctionError != nil || json.Unmarshal(out.Payload, &r) != nil {
			t.Fatalf("the handler answered %s %s", aws.ToString(out.FunctionError), out.Payload)
		}
		return r
	}
	const who = "User: arn:aws:sts::" + account + ":assumed-role/sdk/sdk is not authorized to perform: cognito-idp:DescribeUserPool on resource: "
	if r := ask(*mine.UserPool.Id, false); r.Name != "mine" {
		t.Errorf("what the role allows: %+v", r)
	}
	if r := ask(*yours.UserPool.Id, false); r.Error != "AccessDeniedException" || !strings.HasPrefix(r.Message, who+*yours.UserPool.Arn) {
		t.Errorf("what the role does not allow: %+v", r)
	}
	if r := ask(*mine.UserPool.Id, true); r.Error != "InvalidSignatureException" || r.Name != "" {
		t.Errorf("another secret: %+v", r)
	}
	_, err = roles.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("sdk"), PolicyName: aws.String("mine")})
	must(err)
	if r := ask(*mine.UserPool.Id, false); r.Error != "AccessDeniedException" || !strings.HasPrefix(r.Message, who+*mine.UserPool.Arn) {
		t.Errorf("what the role allowed before: %+v", r)
	}
}

// sdkPackage is testdata/sdk.mjs with the parts of node_modules that it needs.
func sdkPackage(t *testing.T) []byte {
	t.Helper()
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	add := func(name, path string) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		to, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = io.Copy(to, f)
		}
		return err
	}
	if err := add("index.mjs", "testdata/sdk.mjs"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for next := []string{"@aws-sdk/client-cognito-identity-provider"}; len(next) > 0; next = next[1:] {
		if seen[next[0]] {
			continue
		}
		seen[next[0]] = true
		dir := filepath.Join("node_modules", filepath.FromSlash(next[0]))
		raw, err := os.ReadFile(filepath.Join(dir, "package.json"))
		var module struct{ Dependencies map[string]string }
		if err == nil {
			err = json.Unmarshal(raw, &module)
		}
		if err == nil {
			err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
				if err != nil || e.IsDir() || strings.HasSuffix(path, ".d.ts") {
					return err
				}
				return add(filepath.ToSlash(path), path)
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		for name := range module.Dependencies {
			next = append(next, name)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}
