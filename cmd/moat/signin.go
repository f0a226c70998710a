package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"moat/internal/pure/sigv4"
	"moat/internal/pure/srp"
)

const cognito = "AWSCognitoIdentityProviderService."

// tokens are what a sign-in yields. Absent ones are empty.
type tokens struct {
	IDToken      string `json:"IdToken,omitempty"`
	AccessToken  string `json:"AccessToken,omitempty"`
	RefreshToken string `json:"RefreshToken,omitempty"`
	ExpiresIn    int    `json:"ExpiresIn,omitempty"`
}

// use picks a token by its use, "id" or "access".
func (t tokens) use(use string) (string, error) {
	switch {
	case use == "id" && t.IDToken != "":
		return t.IDToken, nil
	case use == "access" && t.AccessToken != "":
		return t.AccessToken, nil
	case use == "id":
		return "", usagef("there is no ID token in a client-credentials grant; use --use access")
	}
	return "", usagef("--use is id or access, not %q", use)
}

// who says who wants a token: a user with a password, or a client with a secret.
type who struct {
	stack, pool, client, secret string
	user, password              string
	fromStdin                   bool
	flow, scope, use            string
}

func (w *who) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&w.stack, "stack", "", "stack whose outputs name the pool and the clients (default: the first that has them)")
	f.StringVar(&w.pool, "pool", "", "user pool id (default: the stack's UserPoolId)")
	f.StringVar(&w.client, "client", "", "app client id (default: the stack's PublicClientId for a user, ConfidentialClientId for a client)")
	f.StringVar(&w.secret, "secret", "", "the client's secret (default: asked of the pool with your access key)")
	f.StringVar(&w.user, "user", "", "sign in as this user")
	f.StringVar(&w.password, "password", "", "the user's password (better: MOAT_PASSWORD or --password-stdin)")
	f.BoolVar(&w.fromStdin, "password-stdin", false, "read the password from standard input")
	f.StringVar(&w.flow, "flow", "srp", "how the user signs in: srp or password")
	f.StringVar(&w.scope, "scope", "", "scopes of a client-credentials token, separated by spaces")
	f.StringVar(&w.use, "use", "", "id or access (default: id for a user, access for a client)")
}

// resolve fills what was not given from the outputs of a stack.
func (w *who) resolve(ctx context.Context, a *app, c *client) error {
	if w.use == "" {
		w.use = "access"
		if w.user != "" {
			w.use = "id"
		}
	}
	if w.fromStdin && w.password == "" {
		line, err := bufio.NewReader(a.stdin).ReadString('\n')
		if err != nil && line == "" {
			return usagef("no password came on standard input")
		}
		w.password = strings.TrimRight(line, "\r\n")
	}
	if w.user != "" && w.password == "" {
		return usagef("the password of %s is missing; give it as MOAT_PASSWORD, --password or --password-stdin", w.user)
	}
	if w.pool != "" && w.client != "" {
		return nil
	}
	key := "ConfidentialClientId"
	if w.user != "" {
		key = "PublicClientId"
	}
	outputs, err := c.outputs(ctx, w.stack, "UserPoolId", key)
	if err != nil {
		return err
	}
	if w.pool == "" {
		w.pool = outputs["UserPoolId"]
	}
	if w.client == "" {
		w.client = outputs[key]
	}
	return nil
}

// tokens signs in by the real flows: SRP or password for a user, client credentials for a client.
func (w *who) tokens(ctx context.Context, c *client) (tokens, error) {
	if w.user == "" {
		return w.clientCredentials(ctx, c)
	}
	switch w.flow {
	case "srp":
		return w.signInSRP(ctx, c)
	case "password":
		return w.signInPassword(ctx, c)
	}
	return tokens{}, usagef("--flow is srp or password, not %q", w.flow)
}

type authAnswer struct {
	ChallengeName        string
	ChallengeParameters  map[string]string
	Session              string
	AuthenticationResult tokens
}

func (w *who) signInPassword(ctx context.Context, c *client) (tokens, error) {
	params := w.withSecretHash(map[string]string{"USERNAME": w.user, "PASSWORD": w.password}, w.user)
	return w.finish(c.initiate(ctx, w.client, "USER_PASSWORD_AUTH", params))
}

func (w *who) signInSRP(ctx context.Context, c *client) (tokens, error) {
	proof, err := srp.NewClient(rand.Reader)
	if err != nil {
		return tokens{}, err
	}
	first, err := c.initiate(ctx, w.client, "USER_SRP_AUTH", w.withSecretHash(map[string]string{"USERNAME": w.user, "SRP_A": proof.Public()}, w.user))
	if err != nil {
		return tokens{}, err
	}
	if first.ChallengeName != "PASSWORD_VERIFIER" {
		return tokens{}, fmt.Errorf("the pool asks for %s, which this command cannot answer", first.ChallengeName)
	}
	p := first.ChallengeParameters
	_, poolName, _ := strings.Cut(w.pool, "_")
	id := srp.Identity{Pool: poolName, User: p["USER_ID_FOR_SRP"]}
	key, err := proof.Key(id, p["SALT"], p["SRP_B"], w.password)
	if err != nil {
		return tokens{}, err
	}
	block, err := base64.StdEncoding.DecodeString(p["SECRET_BLOCK"])
	if err != nil {
		return tokens{}, fmt.Errorf("the pool sent a secret block that is not base64: %w", err)
	}
	stamp := c.now().UTC().Format("Mon Jan 2 15:04:05 UTC 2006")
	responses := w.withSecretHash(map[string]string{
		"USERNAME": p["USER_ID_FOR_SRP"], "PASSWORD_CLAIM_SECRET_BLOCK": p["SECRET_BLOCK"], "TIMESTAMP": stamp,
		"PASSWORD_CLAIM_SIGNATURE": base64.StdEncoding.EncodeToString(srp.Proof(key, id, block, stamp)),
	}, p["USER_ID_FOR_SRP"])
	in := map[string]any{"ClientId": w.client, "ChallengeName": "PASSWORD_VERIFIER", "ChallengeResponses": responses}
	if first.Session != "" { // the secret block may carry the state alone
		in["Session"] = first.Session
	}
	var answer authAnswer
	err = c.json(ctx, "cognito-idp", cognito+"RespondToAuthChallenge", false, in, &answer)
	return w.finish(answer, err)
}

func (c *client) initiate(ctx context.Context, clientID, flow string, params map[string]string) (authAnswer, error) {
	var answer authAnswer
	err := c.json(ctx, "cognito-idp", cognito+"InitiateAuth", false, map[string]any{"AuthFlow": flow, "ClientId": clientID, "AuthParameters": params}, &answer)
	return answer, err
}

func (w *who) finish(answer authAnswer, err error) (tokens, error) {
	if err == nil && answer.ChallengeName != "" {
		err = fmt.Errorf("the pool asks for %s, which this command cannot answer", answer.ChallengeName)
	}
	return answer.AuthenticationResult, err
}

// withSecretHash adds the proof that a client with a secret owes (Cognito developer guide, "secret hash").
func (w *who) withSecretHash(params map[string]string, username string) map[string]string {
	if w.secret != "" {
		mac := hmac.New(sha256.New, []byte(w.secret))
		mac.Write([]byte(username + w.client))
		params["SECRET_HASH"] = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return params
}

// clientCredentials asks the pool's token endpoint (RFC 6749, section 4.4).
func (w *who) clientCredentials(ctx context.Context, c *client) (tokens, error) {
	if w.secret == "" {
		var out struct {
			UserPoolClient struct{ ClientSecret string }
		}
		in := map[string]string{"UserPoolId": w.pool, "ClientId": w.client}
		if err := c.json(ctx, "cognito-idp", cognito+"DescribeUserPoolClient", true, in, &out); err != nil {
			return tokens{}, fmt.Errorf("read the client's secret: %w", err)
		}
		if w.secret = out.UserPoolClient.ClientSecret; w.secret == "" {
			return tokens{}, usagef("client %s has no secret; give --user to sign in as a user", w.client)
		}
	}
	endpoint, err := c.tokenEndpoint(ctx, w.pool)
	if err != nil {
		return tokens{}, err
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if w.scope != "" {
		form.Set("scope", w.scope)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return tokens{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(w.client), url.QueryEscape(w.secret))
	body, err := c.do(req)
	if err != nil {
		return tokens{}, err
	}
	var out struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	err = json.Unmarshal(body, &out)
	return tokens{AccessToken: out.AccessToken, ExpiresIn: out.ExpiresIn}, err
}

// tokenEndpoint asks the pool's discovery document where tokens are to be had.
func (c *client) tokenEndpoint(ctx context.Context, pool string) (string, error) {
	body, err := c.get(ctx, "/"+pool+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	var doc struct {
		TokenEndpoint string `json:"token_endpoint"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", err
	}
	if doc.TokenEndpoint == "" {
		return "", fmt.Errorf("pool %s has no domain, so it has no token endpoint", pool)
	}
	return doc.TokenEndpoint, nil
}

// identityCredentials exchanges an ID token for temporary credentials; without one, those of a guest.
func (c *client) identityCredentials(ctx context.Context, identityPool, pool, idToken string) (sigv4.Credentials, error) {
	in := map[string]any{"IdentityPoolId": identityPool}
	if idToken != "" {
		in["Logins"] = map[string]string{"cognito-idp." + c.region + ".amazonaws.com/" + pool: idToken}
	}
	var id struct{ IdentityId string }
	if err := c.json(ctx, "cognito-identity", "AWSCognitoIdentityService.GetId", false, in, &id); err != nil {
		return sigv4.Credentials{}, err
	}
	delete(in, "IdentityPoolId")
	in["IdentityId"] = id.IdentityId
	var out struct {
		Credentials struct {
			AccessKeyId, SecretKey, SessionToken string
			Expiration                           float64
		}
	}
	if err := c.json(ctx, "cognito-identity", "AWSCognitoIdentityService.GetCredentialsForIdentity", false, in, &out); err != nil {
		return sigv4.Credentials{}, err
	}
	k := out.Credentials
	if k.AccessKeyId == "" {
		return sigv4.Credentials{}, errors.New("the identity pool answered without credentials")
	}
	return sigv4.Credentials{AccessKeyID: k.AccessKeyId, SecretAccessKey: k.SecretKey, SessionToken: k.SessionToken}, nil
}

// stackOutputs are the outputs of one stack by name.
type stackOutputs struct {
	Name    string
	Outputs map[string]string
}

// describeStacks lists stacks with their outputs; an empty name means all.
func (c *client) describeStacks(ctx context.Context, name string) ([]stackOutputs, error) {
	var answer struct {
		Stacks []struct {
			StackName   string
			StackStatus string
			Outputs     []struct{ OutputKey, OutputValue string } `xml:"Outputs>member"`
		} `xml:"DescribeStacksResult>Stacks>member"`
	}
	params := url.Values{}
	if name != "" {
		params.Set("StackName", name)
	}
	if err := c.query(ctx, "cloudformation", "2010-05-15", "DescribeStacks", params, &answer); err != nil {
		return nil, err
	}
	var all []stackOutputs
	for _, s := range answer.Stacks {
		o := stackOutputs{Name: s.StackName, Outputs: map[string]string{}}
		for _, kv := range s.Outputs {
			o.Outputs[kv.OutputKey] = kv.OutputValue
		}
		all = append(all, o)
	}
	return all, nil
}

// outputs finds the stack that has all wanted outputs.
func (c *client) outputs(ctx context.Context, stack string, wanted ...string) (map[string]string, error) {
	stacks, err := c.describeStacks(ctx, stack)
	if err != nil {
		return nil, err
	}
	for _, s := range stacks {
		missing := false
		for _, w := range wanted {
			missing = missing || s.Outputs[w] == ""
		}
		if !missing {
			return s.Outputs, nil
		}
	}
	where := "no stack"
	if stack != "" {
		where = "stack " + stack + " does not"
	}
	return nil, usagef("%s has the outputs %s; name what is meant with --pool, --client and a full URL", where, strings.Join(wanted, ", "))
}

// expiry is when tokens of now end.
func (t tokens) expiry(now time.Time) time.Time {
	return now.Add(time.Duration(t.ExpiresIn) * time.Second)
}
