package trail

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
	"moat/internal/wire/cloudformationapi"
	"moat/internal/wire/cloudtrailapi"
	"moat/internal/wire/cognitoidentityapi"
	"moat/internal/wire/cognitoidpapi"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/lambdaapi"
	"moat/internal/wire/logsapi"
	"moat/internal/wire/ssmapi"
	"moat/internal/wire/stsapi"
)

func contracts() []*wire.API {
	return []*wire.API{
		apigatewayapi.New(apigatewayapi.Unimplemented{}), cloudformationapi.New(cloudformationapi.Unimplemented{}), cloudtrailapi.New(cloudtrailapi.Unimplemented{}),
		cognitoidentityapi.New(cognitoidentityapi.Unimplemented{}), cognitoidpapi.New(cognitoidpapi.Unimplemented{}), iamapi.New(iamapi.Unimplemented{}),
		lambdaapi.New(lambdaapi.Unimplemented{}), logsapi.New(logsapi.Unimplemented{}), ssmapi.New(ssmapi.Unimplemented{}), stsapi.New(stsapi.Unimplemented{}),
	}
}

// filler fills a message: what the model calls sensitive, and all binary content, gets a text that
// must not be found again.
type filler struct{ secrets, others int }

func (f *filler) fill(v reflect.Value, secret bool, depth int) {
	text := fmt.Sprintf("plain-%d", f.others)
	if secret {
		text = "s3cr3t"
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), secret, depth)
	case reflect.String:
		v.SetString(text)
		if secret {
			f.secrets++
		} else {
			f.others++
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() || depth > 6 {
			return
		}
		for i := range v.NumField() {
			sensitive := strings.Contains(v.Type().Field(i).Tag.Get("aws"), ",sensitive")
			f.fill(v.Field(i), secret || sensitive, depth+1)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("s3cr3t"))
			f.secrets++
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.fill(v.Index(0), secret, depth+1)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key, secret, depth+1)
		f.fill(value, secret, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	}
}

// No operation of any contract lets anything sensitive into the trail, whichever way it ends.
func TestMessage_everyOperation(t *testing.T) {
	t.Parallel()
	c := encoder{account: account, random: strings.NewReader(strings.Repeat("0123456789", 1<<16))}
	secrets, seen := 0, 0
	for _, api := range contracts() {
		for _, op := range api.Operations {
			for _, message := range []reflect.Type{op.Input, op.Output} {
				f, m := filler{}, reflect.New(message)
				f.fill(m.Elem(), false, 0)
				text := string(c.message(nil, m.Interface()))
				if strings.Contains(text, "s3cr3t") {
					t.Errorf("%s %s: %s lets a secret through: %s", api.Endpoint, op.Name, message, text)
				}
				if f.secrets > 0 && !strings.Contains(text, hidden) {
					t.Errorf("%s %s: %s does not say that it hides something: %s", api.Endpoint, op.Name, message, text)
				}
				secrets += f.secrets
				seen += strings.Count(text, "plain-")
			}
		}
	}
	if secrets < 300 || seen < 3000 {
		t.Errorf("the walk saw only %d secrets and %d other texts", secrets, seen)
	}
}

// Secrets that the models leave unmarked, each with a neighbour that is shown.
func TestMessage_unmarked(t *testing.T) {
	t.Parallel()
	s, c := wire.String, encoder{}
	for _, tc := range []struct {
		name    string
		message any
		shown   string
	}{
		{"template bodies", &cloudformationapi.CreateStackInput{StackName: "shown", TemplateBody: s("s3cr3t")}, "shown"},
		{"stack parameters", &cloudformationapi.CreateStackInput{Parameters: []cloudformationapi.Parameter{{ParameterKey: s("shown"), ParameterValue: s("s3cr3t")}}}, "shown"},
		{"API keys", &apigatewayapi.CreateApiKeyRequest{Name: s("shown"), Value: s("s3cr3t")}, "shown"},
		{"API keys in answers", &apigatewayapi.ApiKey{Name: s("shown"), Value: s("s3cr3t")}, "shown"},
		{"stage variables", &apigatewayapi.CreateStageRequest{StageName: "shown", Variables: map[string]string{"a": "s3cr3t"}}, "shown"},
		{"patched stage variables", &apigatewayapi.UpdateStageRequest{StageName: "shown", PatchOperations: []apigatewayapi.PatchOperation{{Path: s("/variables/a"), Value: s("s3cr3t")}}}, "/variables/a"},
		{"patches without a slash", &apigatewayapi.UpdateStageRequest{StageName: "shown", PatchOperations: []apigatewayapi.PatchOperation{{Path: s("variables/a"), Value: s("s3cr3t")}}}, "variables/a"},
		{"API keys of plans", &apigatewayapi.UsagePlanKey{Name: s("shown"), Value: s("s3cr3t")}, "shown"},
		{"other patches are shown", &apigatewayapi.UpdateStageRequest{PatchOperations: []apigatewayapi.PatchOperation{{Path: s("/description"), Value: s("shown")}}}, "shown"},
		{"session tokens", &stsapi.AssumeRoleResponse{Credentials: &stsapi.Credentials{AccessKeyId: "shown", SecretAccessKey: "s3cr3t", SessionToken: "s3cr3t"}}, "shown"},
		{"one-time codes", &stsapi.GetSessionTokenRequest{SerialNumber: s("shown"), TokenCode: s("s3cr3t")}, "shown"},
		{"secrets of identity providers", &cognitoidpapi.CreateIdentityProviderRequest{ProviderName: "shown", ProviderDetails: map[string]string{"client_id": "x", "client_secret": "s3cr3t"}}, "client_id"},
		{"metadata that clients choose", &cognitoidpapi.SignUpRequest{ClientMetadata: map[string]string{"a": "s3cr3t"}}, "clientMetadata"},
		{"parameters", &ssmapi.PutParameterRequest{Name: "shown", Value: "s3cr3t"}, "shown"},
		{"log events", &logsapi.PutLogEventsRequest{LogGroupName: "shown", LogEvents: []logsapi.InputLogEvent{{Message: "s3cr3t"}}}, "shown"},
		{"client contexts", &lambdaapi.InvocationRequest{FunctionName: "shown", ClientContext: s("s3cr3t"), Payload: []byte("s3cr3t")}, "shown"},
	} {
		text := string(c.message(nil, tc.message))
		if strings.Contains(text, "s3cr3t") || !strings.Contains(text, tc.shown) {
			t.Errorf("%s: %s", tc.name, text)
		}
	}
}

func TestMessage_long(t *testing.T) {
	t.Parallel()
	var c encoder
	text := string(c.message(nil, &iamapi.CreatePolicyRequest{PolicyDocument: strings.Repeat("x", maxMessage)}))
	if !strings.Contains(text, `"omitted":true`) || len(text) > 1000 {
		t.Errorf("a long message: %.200s", text)
	}
}
