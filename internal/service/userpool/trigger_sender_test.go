package userpool

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
	"moat/internal/wire/ssmapi"
)

// parameters are what the fake of Systems Manager holds, by ARN.
type parameters map[string]string

func (p parameters) SenderKey(_ context.Context, arn string) (string, error) {
	if arn == parameterARN("secret") {
		return "", wire.NewError(400, "AccessDeniedException", "User: ann is not authorized to perform: ssm:GetParameter")
	}
	text, ok := p[arn]
	if !ok {
		return "", &ssmapi.ParameterNotFound{}
	}
	return text, nil
}

func parameterARN(name string) string {
	return "arn:aws:ssm:eu-central-1:000000000000:parameter/pools/" + name
}

var senderPrivateKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func pemOf(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func publicPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	return pemOf(t, "PUBLIC KEY", der, err)
}

// openJWE is what a function does with a code.
func openJWE(key *rsa.PrivateKey, text string) (string, error) {
	part := strings.Split(text, ".")
	if len(part) != 5 {
		return "", errors.New("not a compact JWE")
	}
	raw := make([][]byte, 5)
	for i, p := range part {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(p); err != nil {
			return "", err
		}
	}
	var header struct{ Alg, Enc, Kid string }
	if err := json.Unmarshal(raw[0], &header); err != nil || header.Alg != "RSA-OAEP-256" || header.Enc != "A256GCM" || header.Kid != thumbprint(&key.PublicKey) {
		return "", errors.New("unexpected header " + string(raw[0]))
	}
	content, err := rsa.DecryptOAEP(sha256.New(), nil, key, raw[1], nil)
	if err != nil {
		return "", err
	}
	block, err := aes.NewCipher(content)
	if err != nil {
		return "", err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return "", err
	}
	plain, err := gcm.Open(nil, raw[2], append(raw[3], raw[4]...), []byte(part[0]))
	return string(plain), err
}

// senderHouse is a house with a pool whose function sends its mails.
func senderHouse(t *testing.T, run func(event map[string]any) (any, error)) (h *house, pool, client string, function *string) {
	t.Helper()
	h = newHouse(t)
	h.senderKeys = parameters{parameterARN("key"): publicPEM(t, senderPrivateKey().Public())}
	function = h.function("sender", run)
	pool = h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.LambdaConfig = &api.LambdaConfigType{
			KMSKeyID: wire.String(parameterARN("key")), CustomEmailSender: &api.CustomEmailLambdaVersionConfigType{LambdaArn: *function, LambdaVersion: "V1_0"},
			CustomMessage: h.function("message", func(map[string]any) (any, error) { t.Error("CustomMessage has nothing to word"); return nil, nil }),
		}
	})
	client = *h.newClient(pool, nil).ClientId
	return h, pool, client, function
}

// A code reaches the pool's function instead of the mail server, and only who has the
// private key reads it.
func TestTrigger_CustomEmailSender(t *testing.T) {
	t.Parallel()
	var events []map[string]any
	h, pool, client, _ := senderHouse(t, func(ev map[string]any) (any, error) { events = append(events, ev); return nil, nil })
	ctx := t.Context()
	in := signUpRequest(client, "ann@example.com", goodPass)
	in.ClientMetadata = map[string]string{"lang": "de"}
	must[*api.SignUpResponse](t)(h.c.SignUp(ctx, in))
	open := func(source string) string {
		t.Helper()
		ev := events[len(events)-1]
		request, _ := ev["request"].(map[string]any)
		if ev["triggerSource"] != source || ev["version"] != "1" || request["type"] != "customEmailSenderRequestV1" || at(ev, "request", "userAttributes", "email") == nil {
			t.Fatalf("got %v, want %s", ev, source)
		}
		sealed, _ := request["code"].(string)
		code, err := openJWE(senderPrivateKey(), sealed)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	code := open("CustomEmailSender_SignUp")
	if at(events[0], "request", "clientMetadata", "lang") != "de" || at(events[0], "callerContext", "clientId") != client {
		t.Errorf("got %v", events[0])
	}
	sealed, _ := at(events[0], "request", "code").(string)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openJWE(other, sealed); err == nil {
		t.Error("another key opens the code")
	}
	must[*api.ConfirmSignUpResponse](t)(h.c.ConfirmSignUp(ctx, &api.ConfirmSignUpRequest{ClientId: client, Username: "ann@example.com", ConfirmationCode: code}))
	must[*api.ForgotPasswordResponse](t)(h.c.ForgotPassword(ctx, &api.ForgotPasswordRequest{ClientId: client, Username: "ann@example.com"}))
	must[*api.ConfirmForgotPasswordResponse](t)(h.c.ConfirmForgotPassword(ctx, &api.ConfirmForgotPasswordRequest{
		ClientId: client, Username: "ann@example.com", ConfirmationCode: open("CustomEmailSender_ForgotPassword"), Password: "Another-horse-77",
	}))
	h.mustSignUp(client, "bob@example.com")
	h.mustResend(client, "bob@example.com")
	open("CustomEmailSender_ResendCode")
	must[*api.AdminCreateUserResponse](t)(h.c.AdminCreateUser(ctx, &api.AdminCreateUserRequest{UserPoolId: pool, Username: "eve@example.com", TemporaryPassword: wire.String(goodPass), DesiredDeliveryMediums: []api.DeliveryMediumType{"EMAIL"}, UserAttributes: []api.AttributeType{attr("email", "eve@example.com")}}))
	if got := open("CustomEmailSender_AdminCreateUser"); got != goodPass {
		t.Errorf("the temporary password: got %q", got)
	}
	tokens := must[*api.AuthenticationResultType](t)(h.signIn(client, "ann@example.com", "Another-horse-77"))
	must[*api.UpdateUserAttributesResponse](t)(h.c.UpdateUserAttributes(ctx, &api.UpdateUserAttributesRequest{AccessToken: *tokens.AccessToken, UserAttributes: []api.AttributeType{attr("email", "ann2@example.com")}}))
	open("CustomEmailSender_UpdateUserAttribute")
	must[*api.GetUserAttributeVerificationCodeResponse](t)(h.c.GetUserAttributeVerificationCode(ctx, &api.GetUserAttributeVerificationCodeRequest{AccessToken: *tokens.AccessToken, AttributeName: "email"}))
	open("CustomEmailSender_VerifyUserAttribute")
	if h.box.count() != 0 {
		t.Errorf("%d messages went by mail as well", h.box.count())
	}
}

// A function that fails fails no sign-up. It is asked three times in all, like Lambda's
// asynchronous events, and then given up.
func TestTrigger_CustomEmailSender_fails(t *testing.T) {
	t.Parallel()
	h, _, client, function := senderHouse(t, func(map[string]any) (any, error) { return nil, errors.New("no") })
	h.mustSignUp(client, "ann@example.com")
	for range 5 {
		h.advance(2*time.Minute + letterLease)
		h.round()
	}
	if _, lost := h.Deliveries(); h.runs(function) != functionTries || lost != 1 || h.box.count() != 0 {
		t.Errorf("%d runs, %d given up, %d mails", h.runs(function), lost, h.box.count())
	}
}

func TestTrigger_CustomSMSSender(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.senderKeys = parameters{parameterARN("key"): pemOf(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&senderPrivateKey().PublicKey), nil)}
	var event map[string]any
	f := h.function("sms", func(ev map[string]any) (any, error) { event = ev; return nil, nil })
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.AutoVerifiedAttributes = []api.VerifiedAttributeType{"phone_number"}
		in.SmsConfiguration = &api.SmsConfigurationType{SnsCallerArn: "arn:aws:iam::000000000000:role/sms"}
		in.LambdaConfig = &api.LambdaConfigType{KMSKeyID: wire.String(parameterARN("key")), CustomSMSSender: &api.CustomSMSLambdaVersionConfigType{LambdaArn: *f, LambdaVersion: "V1_0"}}
	})
	client := *h.newClient(pool, nil).ClientId
	h.messenger = mailOnly{h.box} // nobody else carries text messages
	must[*api.SignUpResponse](t)(h.c.SignUp(t.Context(), signUpRequest(client, "ann@example.com", goodPass, attr("phone_number", "+4915112345678"))))
	if event["triggerSource"] != "CustomSMSSender_SignUp" || at(event, "request", "type") != "customSMSSenderRequestV1" {
		t.Fatalf("got %v", event)
	}
	sealed, _ := at(event, "request", "code").(string)
	code, err := openJWE(senderPrivateKey(), sealed)
	if err != nil {
		t.Fatal(err)
	}
	must[*api.ConfirmSignUpResponse](t)(h.c.ConfirmSignUp(t.Context(), &api.ConfirmSignUpRequest{ClientId: client, Username: "ann@example.com", ConfirmationCode: code}))
}

// What a pool's key may be, and what not.
func TestService_senderKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // too small on purpose
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(senderPrivateKey())
	good := publicPEM(t, senderPrivateKey().Public())
	h.senderKeys = parameters{
		parameterARN("key"): good, parameterARN("small"): publicPEM(t, small.Public()), parameterARN("curve"): publicPEM(t, curve.Public()),
		parameterARN("private"): pemOf(t, "PRIVATE KEY", private, err), parameterARN("text"): "hidden-word", parameterARN("two"): good + good,
	}
	sender := &api.CustomEmailLambdaVersionConfigType{LambdaArn: *functionARN("sender"), LambdaVersion: "V1_0"}
	pool := h.newPoolID(nil)
	for name, tt := range map[string]struct{ key, code string }{
		"good":                {parameterARN("key"), ""},
		"none":                {"", "InvalidParameterException"},
		"of KMS":              {"arn:aws:kms:eu-central-1:000000000000:key/1234", "NotImplemented"},
		"another service":     {"arn:aws:s3:eu-central-1:000000000000:key/1234", "InvalidParameterException"},
		"absent":              {parameterARN("absent"), "InvalidParameterException"},
		"not the caller's":    {parameterARN("secret"), "NotAuthorizedException"},
		"too small":           {parameterARN("small"), "InvalidParameterException"},
		"of a curve":          {parameterARN("curve"), "InvalidParameterException"},
		"the private one":     {parameterARN("private"), "InvalidParameterException"},
		"something else":      {parameterARN("text"), "InvalidParameterException"},
		"two keys in a param": {parameterARN("two"), "InvalidParameterException"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &api.LambdaConfigType{CustomEmailSender: sender}
			if tt.key != "" {
				l.KMSKeyID = &tt.key
			}
			_, created := h.c.CreateUserPool(t.Context(), &api.CreateUserPoolRequest{PoolName: "p", LambdaConfig: l})
			_, updated := h.c.UpdateUserPool(t.Context(), &api.UpdateUserPoolRequest{UserPoolId: pool, LambdaConfig: l})
			for _, err := range []error{created, updated} {
				if tt.code == "" {
					if err != nil {
						t.Error(err)
					}
					continue
				}
				want(t, err, tt.code, "")
				if strings.Contains(err.Error(), "hidden-word") {
					t.Errorf("the parameter is told: %v", err)
				}
			}
		})
	}
	out := must[*api.DescribeUserPoolResponse](t)(h.c.DescribeUserPool(t.Context(), &api.DescribeUserPoolRequest{UserPoolId: pool}))
	if deref(out.UserPool.LambdaConfig.KMSKeyID) != parameterARN("key") {
		t.Errorf("got %+v", out.UserPool.LambdaConfig)
	}
}
