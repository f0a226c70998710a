package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentity"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

// rootCredentials are those of `moat dev`.
var rootCredentials = aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}

// config is a configuration of AWS's SDK for Go: this Moat, these credentials, no retries.
func (s *server) config(c aws.Credentials) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: aws.String(s.endpoint), HTTPClient: wholeBodies{s.client}, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil }),
	}
}

// wholeBodies sends requests from memory. The SDK closes a request's body as soon as an answer
// begins, and over loopback that is at times before net/http has seen the body's end, which
// then closes the connection under the answer (aws-sdk-go-v2#2737; the SDK retries that, and
// these tests want no retries).
type wholeBodies struct{ client *http.Client }

func (w wholeBodies) Do(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	return w.client.Do(req)
}

// message is a mail that `moat dev` kept.
type message struct{ Medium, To, Code, Text string }

// code waits for the newest code that was mailed to an address.
func (s *server) code(ctx context.Context, to string) (string, error) {
	var code string
	err := until(ctx, 10*time.Second, func() error {
		body, err := s.get(ctx, s.endpoint+"/_moat/outbox?to="+url.QueryEscape(to))
		if err != nil {
			return err
		}
		var mails []message
		if err := json.Unmarshal(body, &mails); err != nil {
			return fmt.Errorf("the outbox answered %s: %w", body, err)
		}
		if len(mails) == 0 || mails[len(mails)-1].Code == "" {
			return fmt.Errorf("no code was mailed to %s: %s", to, body)
		}
		code = mails[len(mails)-1].Code
		return nil
	})
	return code, err
}

// get fetches a document that must be there.
func (s *server) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	a, err := send(s.client, req)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("GET %s: %d %s", address, a.status, a.body)
	}
	return []byte(a.body), err
}

// user is a confirmed user of the pool.
type user struct{ email, password, sub string }

// tokens are what a sign-in gives.
type tokens struct{ id, access, refresh string }

// newUser signs a user up as a client does: SignUp, the code from the mail, ConfirmSignUp.
func (c *courses) newUser(t *testing.T, email string) user {
	t.Helper()
	ctx, client := t.Context(), idp.NewFromConfig(c.config(rootCredentials))
	u := user{email: email, password: "Correct-Horse-7-Battery"}
	out, err := client.SignUp(ctx, &idp.SignUpInput{
		ClientId: &c.publicClient, Username: &u.email, Password: &u.password,
		UserAttributes: []types.AttributeType{{Name: aws.String("email"), Value: &u.email}, {Name: aws.String("name"), Value: aws.String("Ada")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	u.sub = *out.UserSub
	code, err := c.code(ctx, email)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.ConfirmSignUp(ctx, &idp.ConfirmSignUpInput{ClientId: &c.publicClient, Username: &u.email, ConfirmationCode: &code}); err != nil {
		t.Fatal(err)
	}
	return u
}

// signIn signs a user in by password.
func (s *server) signIn(ctx context.Context, client string, u user) (tokens, error) {
	out, err := idp.NewFromConfig(s.config(aws.Credentials{})).InitiateAuth(ctx, &idp.InitiateAuthInput{
		ClientId: &client, AuthFlow: types.AuthFlowTypeUserPasswordAuth, AuthParameters: map[string]string{"USERNAME": u.email, "PASSWORD": u.password},
	})
	if err != nil {
		return tokens{}, err
	}
	r := out.AuthenticationResult
	if r == nil {
		return tokens{}, fmt.Errorf("%s got the challenge %s instead of tokens", u.email, out.ChallengeName)
	}
	return tokens{*r.IdToken, *r.AccessToken, *r.RefreshToken}, nil
}

// identityCredentials exchanges an ID token for temporary credentials; no token, a guest's.
func (c *courses) identityCredentials(ctx context.Context, idToken string) (aws.Credentials, error) {
	client := cognitoidentity.NewFromConfig(c.config(aws.Credentials{}))
	var logins map[string]string
	if idToken != "" {
		logins = map[string]string{c.loginName(): idToken}
	}
	id, err := client.GetId(ctx, &cognitoidentity.GetIdInput{IdentityPoolId: &c.identityPool, Logins: logins})
	if err != nil {
		return aws.Credentials{}, err
	}
	out, err := client.GetCredentialsForIdentity(ctx, &cognitoidentity.GetCredentialsForIdentityInput{IdentityId: id.IdentityId, Logins: logins})
	if err != nil {
		return aws.Credentials{}, err
	}
	k := out.Credentials
	return aws.Credentials{AccessKeyID: *k.AccessKeyId, SecretAccessKey: *k.SecretKey, SessionToken: *k.SessionToken}, nil
}

// loginName is how AWS's clients name the pool in Logins.
func (c *courses) loginName() string { return "cognito-idp." + region + ".amazonaws.com/" + c.pool }

// scope is what a signature is made for.
type scope struct {
	region, service string
	at              time.Time
}

func executeAPI() scope { return scope{region, "execute-api", time.Now()} }

// emptyHash is the SHA-256 of no bytes.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// sign adds a signature of AWS's SDK for Go to a request without a body.
func sign(req *http.Request, c aws.Credentials, s scope) {
	if err := v4.NewSigner().SignHTTP(context.Background(), c, req, emptyHash, s.service, s.region, s.at); err != nil {
		panic(err) // it fails for credentials that cannot be had, and these are given
	}
}

// presign moves the signature to the query.
func presign(req *http.Request, c aws.Credentials, s scope, expires time.Duration) {
	q := req.URL.Query()
	q.Set("X-Amz-Expires", fmt.Sprint(int(expires.Seconds())))
	req.URL.RawQuery = q.Encode()
	signed, _, err := v4.NewSigner().PresignHTTP(context.Background(), c, req, emptyHash, s.service, s.region, s.at)
	if err != nil {
		panic(err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		panic(err)
	}
	req.URL = u
}
