package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentity"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// kind is how a credential is carried.
type kind int

const (
	carriesNothing kind = iota
	carriesToken        // something in Authorization that is no signature
	carriesSignature
	carriesKey
)

// credential is one way of proving, or pretending, who one is.
type credential struct {
	name  string
	kind  kind
	apply func(*http.Request)
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func bearer(name, token string) credential {
	return credential{name, carriesToken, header("Authorization", token)}
}

// everyCredential lists what the truth table is walked with.
func everyCredential(t *testing.T, c *courses) []credential {
	t.Helper()
	all := []credential{{"none", carriesNothing, func(*http.Request) {}}}
	member := c.newUser(t, "member@example.com")
	if _, err := idp.NewFromConfig(c.config(rootCredentials)).AdminAddUserToGroup(t.Context(), &idp.AdminAddUserToGroupInput{UserPoolId: &c.pool, Username: &member.email, GroupName: aws.String("User")}); err != nil {
		t.Fatal(err)
	}
	c.memberSub = member.sub
	tok, err := c.signIn(t.Context(), c.publicClient, member)
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, genuineTokens(t, c, tok)...)
	all = append(all, otherPool(t, c)...)
	all = append(all, forgedTokens(t, c, tok)...)
	all = append(all, signatures(t, c, tok)...)
	return append(all, apiKeys(t, c)...)
}

func genuineTokens(t *testing.T, c *courses, tok tokens) []credential {
	t.Helper()
	out := []credential{
		bearer("ID token", tok.id), bearer("ID token, Bearer", "Bearer "+tok.id),
		bearer("access token", tok.access), bearer("access token, Bearer", "Bearer "+tok.access),
		bearer("refresh token", tok.refresh),
	}
	for name, scope := range map[string]string{"scope write": "courses/write", "scope read": "courses/read", "scopes read and write": "courses/read courses/write"} {
		token, err := c.clientToken(t.Context(), c.tokenEndpoint, c.confidentialClient, c.secret, scope)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, bearer(name, token), bearer(name+", Bearer", "Bearer "+token))
	}
	return out
}

// clientToken gets an access token by the client-credentials grant (RFC 6749, section 4.4).
func (s *server) clientToken(ctx context.Context, endpoint, client, secret, scope string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, secret)
	a, err := send(s.client, req)
	if err != nil {
		return "", err
	}
	var out struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != http.StatusOK || out.Token == "" {
		return "", fmt.Errorf("the token endpoint answered %d %s", a.status, a.body)
	}
	return out.Token, nil
}

// otherPool makes a second pool that has everything the first has, names included.
func otherPool(t *testing.T, c *courses) []credential {
	t.Helper()
	ctx, client := t.Context(), idp.NewFromConfig(c.config(rootCredentials))
	pool, err := client.CreateUserPool(ctx, &idp.CreateUserPoolInput{PoolName: aws.String("other"), UsernameAttributes: []types.UsernameAttributeType{types.UsernameAttributeTypeEmail}})
	if err != nil {
		t.Fatal(err)
	}
	id := pool.UserPool.Id
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(client.CreateResourceServer(ctx, &idp.CreateResourceServerInput{UserPoolId: id, Identifier: aws.String("courses"), Name: aws.String("courses"),
		Scopes: []types.ResourceServerScopeType{{ScopeName: aws.String("write"), ScopeDescription: aws.String("write")}}}))
	must(client.CreateUserPoolDomain(ctx, &idp.CreateUserPoolDomainInput{UserPoolId: id, Domain: aws.String("other-school")}))
	public, err := client.CreateUserPoolClient(ctx, &idp.CreateUserPoolClientInput{UserPoolId: id, ClientName: aws.String("public"), ExplicitAuthFlows: []types.ExplicitAuthFlowsType{
		types.ExplicitAuthFlowsTypeAllowUserPasswordAuth, types.ExplicitAuthFlowsTypeAllowRefreshTokenAuth}})
	must(public, err)
	machine, err := client.CreateUserPoolClient(ctx, &idp.CreateUserPoolClientInput{UserPoolId: id, ClientName: aws.String("machine"), GenerateSecret: true, AllowedOAuthFlowsUserPoolClient: true,
		AllowedOAuthFlows: []types.OAuthFlowType{types.OAuthFlowTypeClientCredentials}, AllowedOAuthScopes: []string{"courses/write"}})
	must(machine, err)
	u := user{email: "member@example.com", password: "Correct-Horse-7-Battery"}
	must(client.AdminCreateUser(ctx, &idp.AdminCreateUserInput{UserPoolId: id, Username: &u.email, MessageAction: types.MessageActionTypeSuppress}))
	must(client.AdminSetUserPassword(ctx, &idp.AdminSetUserPasswordInput{UserPoolId: id, Username: &u.email, Password: &u.password, Permanent: true}))
	tok, err := c.signIn(ctx, *public.UserPoolClient.ClientId, u)
	must(tok, err)
	scoped, err := c.clientToken(ctx, c.endpoint+"/_auth/other-school/oauth2/token", *machine.UserPoolClient.ClientId, *machine.UserPoolClient.ClientSecret, "courses/write")
	must(scoped, err)
	return []credential{bearer("ID token of another pool", tok.id), bearer("scope write of another pool", scoped)}
}

// forgedTokens are made of both kinds of genuine token: an ID token, and an access token
// with the scope that opens POST /courses.
func forgedTokens(t *testing.T, c *courses, tok tokens) []credential {
	t.Helper()
	jwks, err := c.get(t.Context(), c.issuer+"/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	scoped, err := c.clientToken(t.Context(), c.tokenEndpoint, c.confidentialClient, c.secret, "courses/write")
	if err != nil {
		t.Fatal(err)
	}
	out := []credential{
		bearer("garbage", "garbage"), bearer("garbage, Bearer", "Bearer garbage"), bearer("garbage with dots", "a.b.c"),
		bearer("Bearer alone", "Bearer"), bearer("Basic", "Basic dGVzdDp0ZXN0"), bearer("very long", strings.Repeat("a", 7000)),
	}
	for of, raw := range map[string]string{"ID": tok.id, "scope write": scoped} {
		f, err := newForger(raw, jwks)
		if err != nil {
			t.Fatal(err)
		}
		lasting := map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()}
		for name, token := range map[string]string{
			"altered signature":             f.flipped(),
			"altered claims":                f.altered(lasting),
			"altered use":                   f.altered(map[string]any{"token_use": map[string]string{"ID": "access", "scope write": "id"}[of]}),
			"cut off":                       raw[:len(raw)-8],
			"no signature":                  f.signed + ".",
			"algorithm none":                f.unsigned("none"),
			"algorithm NoNe":                f.unsigned("NoNe"),
			"HS256 with the public key":     f.hmacWith(f.pem("PUBLIC KEY")),
			"HS256 with the RSA public key": f.hmacWith(f.pem("RSA PUBLIC KEY")),
			"HS256 with the modulus":        f.hmacWith(f.public.N.Bytes()),
			"HS256 with nothing":            f.hmacWith(nil),
			"own key, our key id":           f.ownKey(nil),
			"own key, embedded":             f.ownKey(map[string]any{"jwk": f.ownJWK()}),
			"own key, embedded, no key id":  f.ownKey(map[string]any{"jwk": f.ownJWK(), "kid": nil}),
			"own key, unknown key id":       f.ownKey(map[string]any{"kid": "unknown"}),
			"own key, elsewhere":            f.ownKey(map[string]any{"jku": c.endpoint + "/keys"}),
		} {
			out = append(out, bearer(of+": "+name, token))
		}
	}
	return out
}

// signatures signs by AWS's SDK for Go, with what must pass and each nearest miss.
func signatures(t *testing.T, c *courses, tok tokens) []credential {
	t.Helper()
	member, err := c.identityCredentials(t.Context(), tok.id)
	if err != nil {
		t.Fatal(err)
	}
	c.whoIs(t, member, tok)
	guest, err := c.identityCredentials(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	tokenOf := func(of aws.Credentials, session string) aws.Credentials { of.SessionToken = session; return of }
	at := func(d time.Duration) scope { s := executeAPI(); s.at = s.at.Add(d); return s }
	by := func(k aws.Credentials, s func() scope) func(*http.Request) {
		return func(r *http.Request) { sign(r, k, s()) }
	}
	// of signs another request than the one that is sent.
	of := func(change func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			other := r.Clone(r.Context())
			change(other)
			sign(other, member, executeAPI())
			r.Header = other.Header
		}
	}
	all := map[string]func(*http.Request){
		"administrator":       by(rootCredentials, executeAPI),
		"signed in":           by(member, executeAPI),
		"four minutes old":    by(member, func() scope { return at(-4 * time.Minute) }),
		"presigned":           func(r *http.Request) { presign(r, member, executeAPI(), time.Minute) },
		"guest":               by(guest, executeAPI),
		"guest, presigned":    func(r *http.Request) { presign(r, guest, executeAPI(), time.Minute) },
		"twenty minutes old":  by(member, func() scope { return at(-20 * time.Minute) }),
		"twenty minutes soon": by(member, func() scope { return at(20 * time.Minute) }),
		"presigned, past":     func(r *http.Request) { presign(r, member, at(-2*time.Minute), time.Minute) },
		"other region":        by(member, func() scope { return scope{"eu-west-1", "execute-api", time.Now()} }),
		"other service":       by(member, func() scope { return scope{region, "lambda", time.Now()} }),
		"unknown access key":  by(aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "x"}, executeAPI),
		"wrong secret":        by(aws.Credentials{AccessKeyID: member.AccessKeyID, SecretAccessKey: guest.SecretAccessKey, SessionToken: member.SessionToken}, executeAPI),
		"foreign session":     by(tokenOf(member, guest.SessionToken), executeAPI),
		"no session token":    by(tokenOf(member, ""), executeAPI),
		"cut session token":   by(tokenOf(member, member.SessionToken[:len(member.SessionToken)-2]), executeAPI),
		"altered path":        of(func(r *http.Request) { r.URL.Path += "/other" }),
		"altered query":       of(func(r *http.Request) { r.URL.RawQuery = "as=admin" }),
		"altered method":      of(func(r *http.Request) { r.Method = http.MethodPut }),
		"altered host":        of(func(r *http.Request) { r.Host = "elsewhere.example" }),
		"altered header": func(r *http.Request) {
			r.Header.Set("X-Extra", "1")
			sign(r, member, executeAPI())
			r.Header.Set("X-Extra", "2")
		},
		"altered signature": func(r *http.Request) {
			sign(r, member, executeAPI())
			v := []byte(r.Header.Get("Authorization"))
			v[len(v)-1] = map[bool]byte{true: '1', false: '0'}[v[len(v)-1] == '0']
			r.Header.Set("Authorization", string(v))
		},
	}
	var out []credential
	for name, apply := range all {
		out = append(out, credential{name, carriesSignature, apply})
	}
	return out
}

// whoIs keeps how signed-in credentials are named: their role, and the identity.
func (c *courses) whoIs(t *testing.T, member aws.Credentials, tok tokens) {
	t.Helper()
	who, err := sts.NewFromConfig(c.config(member)).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if parts := strings.Split(*who.Arn, "/"); len(parts) == 3 && parts[2] == "CognitoIdentityCredentials" {
		c.signedInRole = parts[1]
	} else {
		t.Fatalf("credentials of the identity pool are %s", *who.Arn)
	}
	id, err := cognitoidentity.NewFromConfig(c.config(aws.Credentials{})).GetId(t.Context(), &cognitoidentity.GetIdInput{IdentityPoolId: &c.identityPool, Logins: map[string]string{c.loginName(): tok.id}})
	if err != nil {
		t.Fatal(err)
	}
	c.memberIdentity = *id.IdentityId
}

func apiKeys(t *testing.T, c *courses) []credential {
	t.Helper()
	plans := newPlans(t, c)
	disabled, _ := plans.key(t, false, plan{rate: 100, burst: 100})
	noPlan := plans.lonelyKey(t)
	key := func(name, value string) credential {
		return credential{name, carriesKey, header("X-Api-Key", value)}
	}
	return []credential{
		key("API key", c.key), key("wrong API key", "wrong"), key("empty API key", ""), key("cut API key", c.key[:len(c.key)-1]),
		key("API key in capitals", swapCase(c.key)), key("API key id", c.keyID), key("disabled API key", disabled), key("API key in no plan", noPlan),
		{"API key twice", carriesKey, func(r *http.Request) { r.Header["X-Api-Key"] = []string{c.key, c.key} }},
		{"API key as token", carriesToken, header("Authorization", c.key)},
	}
}

func swapCase(s string) string {
	if up := strings.ToUpper(s); up != s {
		return up
	}
	return strings.ToLower(s)
}
