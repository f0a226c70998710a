package e2e

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

// later is how far the second server's clock is ahead: beyond the life of tokens and
// temporary credentials (one hour), within that of refresh tokens.
const later = 2 * time.Hour

// proofs are what a user and a client hold.
type proofs struct {
	tokens
	scoped string // access token with the scope courses/write
	keys   aws.Credentials
}

func (c *courses) proofs(t *testing.T, u user) proofs {
	t.Helper()
	var p proofs
	var err error
	if p.tokens, err = c.signIn(t.Context(), c.publicClient, u); err != nil {
		t.Fatal(err)
	}
	if p.scoped, err = c.clientToken(t.Context(), c.tokenEndpoint, c.confidentialClient, c.secret, "courses/write"); err != nil {
		t.Fatal(err)
	}
	if p.keys, err = c.identityCredentials(t.Context(), p.id); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestExpiry has genuine tokens grow old: the data folder is opened again by a server
// whose clock is two hours ahead.
func TestExpiry(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	first := openCourses(t, start(t, []string{"dev", "--json", "--listen", "127.0.0.1:0", "--data", data, exampleTemplate}))
	ada := first.newUser(t, "ada@example.com")
	old := first.proofs(t, ada)
	base, err := url.Parse(first.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	first.stop(t)

	s := start(t, []string{"dev", "--json", "--listen", "127.0.0.1:" + base.Port(), "--data", data, exampleTemplate}, "MOAT_CLOCK_OFFSET="+later.String())
	c := *first // what was looked up there holds here
	c.server = s
	if !maps.Equal(first.ready.Stacks[0].Outputs, c.ready.Stacks[0].Outputs) {
		t.Errorf("the restart changed the stack's outputs:\n%v\n%v", first.ready.Stacks[0].Outputs, c.ready.Stacks[0].Outputs)
	}
	expiryAtGateway(t, &c, old, c.proofs(t, ada))
	expiryAtServices(t, &c, old)
}

func expiryAtGateway(t *testing.T, c *courses, old, fresh proofs) {
	expired := want{status: 401, body: `{"message":"The incoming token has expired"}`, errorType: "UnauthorizedException"}
	jwks, err := c.get(t.Context(), c.issuer+"/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	f, err := newForger(old.id, jwks)
	if err != nil {
		t.Fatal(err)
	}
	with := func(method, path, token string) *http.Request {
		req := c.request(t.Context(), method, path)
		if method == http.MethodPost {
			req = c.post(t.Context(), path, `{"title":"Drawbridges"}`)
		}
		req.Header.Set("Authorization", token)
		return req
	}
	signed := func(k aws.Credentials) *http.Request {
		req := c.request(t.Context(), http.MethodGet, "/progress")
		sign(req, k, scope{region, "execute-api", time.Now().Add(later)})
		return req
	}
	page := want{status: 200, contentType: "text/html; charset=utf-8"}
	for name, row := range map[string]struct {
		req  *http.Request
		want want
	}{
		"GET courses":                    {with("GET", "/courses", old.id), expired},
		"GET courses, Bearer":            {with("GET", "/courses", "Bearer "+old.id), expired},
		"GET courses, fresh":             {with("GET", "/courses", fresh.id), want{status: 200}},
		"GET courses, altered":           {with("GET", "/courses", f.flipped()), unauthorized},
		"GET courses, life made longer":  {with("GET", "/courses", f.altered(map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()})), unauthorized},
		"GET content":                    {with("GET", "/content/welcome.html", old.id), expired},
		"GET content, fresh":             {with("GET", "/content/welcome.html", fresh.id), page},
		"POST courses":                   {with("POST", "/courses", old.scoped), expired},
		"POST courses, fresh":            {with("POST", "/courses", fresh.scoped), want{status: 201}},
		"GET progress":                   {signed(old.keys), want{status: 403, body: `{"message":"The security token included in the request is expired"}`, errorType: "ExpiredTokenException"}},
		"GET progress, fresh":            {signed(fresh.keys), want{status: 500, member: map[string]string{"message": "the goal cannot be read"}}}, // let in; the function's own clock is two hours behind
		"GET progress, fresh, too early": {signedAt(c, fresh.keys, time.Now()), want{status: 403, errorType: "InvalidSignatureException"}},
	} {
		t.Run(name, func(t *testing.T) { c.check(t, row.req, row.want) })
	}
}

func signedAt(c *courses, k aws.Credentials, at time.Time) *http.Request {
	req := c.request(context.Background(), http.MethodGet, "/progress")
	sign(req, k, scope{region, "execute-api", at})
	return req
}

// expiryAtServices: the services look at a token's age too, and a refresh token lives on.
func expiryAtServices(t *testing.T, c *courses, old proofs) {
	ctx, users := t.Context(), idp.NewFromConfig(c.config(aws.Credentials{}))
	_, err := users.GetUser(ctx, &idp.GetUserInput{AccessToken: &old.access})
	failsAs[*types.NotAuthorizedException](t, "GetUser with an old access token", err)
	_, err = c.identityCredentials(ctx, old.id)
	failsWith(t, "credentials for an old ID token", err, "NotAuthorizedException")
	fresh, err := users.InitiateAuth(ctx, &idp.InitiateAuthInput{ClientId: &c.publicClient, AuthFlow: types.AuthFlowTypeRefreshTokenAuth, AuthParameters: map[string]string{"REFRESH_TOKEN": old.refresh}})
	if err != nil {
		t.Fatalf("refresh after two hours: %v", err)
	}
	if _, err := users.GetUser(ctx, &idp.GetUserInput{AccessToken: fresh.AuthenticationResult.AccessToken}); err != nil {
		t.Errorf("GetUser with the refreshed access token: %v", err)
	}
}
