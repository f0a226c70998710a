package wiregen

import (
	"strings"
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
	"moat/internal/wire/cognitoidpapi"
	"moat/internal/wire/lambdaapi"
	"moat/internal/wire/ssmapi"
)

// What AWS answered to such requests is the expectation here, where it was
// recorded; the order of enumerated values is its own.
func TestValidate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		api  *wire.API
		op   string
		in   any
		want string
	}{
		{"good sign-up", cognitoidpapi.New(cognitoidpapi.Unimplemented{}), "SignUp",
			&cognitoidpapi.SignUpRequest{ClientId: "abc123", Username: "ann", Password: wire.String("Secret-1")}, ""},
		{"bad sign-up", cognitoidpapi.New(cognitoidpapi.Unimplemented{}), "SignUp",
			&cognitoidpapi.SignUpRequest{ClientId: "a b", Username: "ann", UserAttributes: []cognitoidpapi.AttributeType{{Name: "ok"}, {Name: strings.Repeat("n", 33)}}},
			`2 validation errors detected: Value at 'clientId' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+]+; ` +
				"Value '" + strings.Repeat("n", 33) + "' at 'userAttributes.2.member.name' failed to satisfy constraint: Member must have length less than or equal to 32"},
		{"pool without a name", cognitoidpapi.New(cognitoidpapi.Unimplemented{}), "AdminCreateUser",
			&cognitoidpapi.AdminCreateUserRequest{UserPoolId: "nope", Username: "ann"},
			`1 validation error detected: Value 'nope' at 'userPoolId' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w-]+_[0-9a-zA-Z]+`},
		{"body member of API Gateway", apigatewayapi.New(apigatewayapi.Unimplemented{}), "UpdateRestApi",
			&apigatewayapi.UpdateRestApiRequest{RestApiId: "a", PatchOperations: []apigatewayapi.PatchOperation{{Op: "wrong"}}},
			"1 validation error detected: Value 'wrong' at 'updateRestApiInput.patchOperations.1.member.op' failed to satisfy constraint: Member must satisfy enum value set: [add, remove, replace, move, copy, test]"},
		{"path member of API Gateway", apigatewayapi.New(apigatewayapi.Unimplemented{}), "GetMethodResponse",
			&apigatewayapi.GetMethodResponseRequest{RestApiId: "a", ResourceId: "b", HttpMethod: "GET", StatusCode: "wrong"},
			`1 validation error detected: Value 'wrong' at 'statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [1-5]\d\d`},
		{"alias that is a number", lambdaapi.New(lambdaapi.Unimplemented{}), "GetFunctionUrlConfig",
			&lambdaapi.GetFunctionUrlConfigRequest{FunctionName: "f", Qualifier: wire.String("1")},
			`1 validation error detected: Value '1' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)`},
		{"elements of a Lambda list", lambdaapi.New(lambdaapi.Unimplemented{}), "PublishLayerVersion",
			&lambdaapi.PublishLayerVersionRequest{LayerName: "l", Content: &lambdaapi.LayerVersionContentInput{}, CompatibleArchitectures: []lambdaapi.Architecture{"invalidarch"}},
			"1 validation error detected: Value '[invalidarch]' at 'compatibleArchitectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"},
		{"missing list", lambdaapi.New(lambdaapi.Unimplemented{}), "UntagResource",
			&lambdaapi.UntagResourceRequest{Resource: "arn:aws:lambda:eu-west-1:123456789012:function:f"},
			"1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"},
		{"range", ssmapi.New(ssmapi.Unimplemented{}), "DescribeParameters",
			&ssmapi.DescribeParametersRequest{MaxResults: wire.Int32(51)},
			"1 validation error detected: Value '51' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 50"},
	} {
		var v wire.Violations
		for _, op := range c.api.Operations {
			if op.Name == c.op {
				op.Validate(c.in, &v)
			}
		}
		if got := v.String(); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}
