package userpool

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"moat/internal/pure/token"
	"moat/internal/service/userpool/userfile"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

func curvePool(in *api.CreateUserPoolRequest) {
	in.UsernameAttributes = nil
	in.UserPoolTags = map[string]string{tagSigningAlgorithm: "ES256"}
}

// algorithmOf is what the header of a token says.
func algorithmOf(t *testing.T, raw string) string {
	t.Helper()
	var head struct{ Alg string }
	if err := json.Unmarshal([]byte(unpadded(t, strings.SplitN(raw, ".", 2)[0])), &head); err != nil {
		t.Fatal(err)
	}
	return head.Alg
}

// published are the algorithms of a pool's key set, and those that its discovery names.
func (h *house) published(pool string) (keys, named []string) {
	h.t.Helper()
	var set struct{ Keys []struct{ Alg string } }
	if err := json.Unmarshal([]byte(h.jwks(pool)), &set); err != nil {
		h.t.Fatal(err)
	}
	for _, k := range set.Keys {
		keys = append(keys, k.Alg)
	}
	const path = "/.well-known/openid-configuration"
	w := httptest.NewRecorder()
	h.ServePool(w, httptest.NewRequestWithContext(h.t.Context(), http.MethodGet, "/"+pool+path, nil), pool, path)
	var doc struct {
		Named []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		h.t.Fatal(err)
	}
	return keys, doc.Named
}

// settle gives pools the keys that they lack, as Run does.
func (h *house) settle() {
	h.t.Helper()
	for {
		more, err := h.keys.fill(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		if !more {
			return
		}
	}
}

func TestSigningAlgorithm(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(curvePool)
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann")
	h.settle()
	tokens := h.mustSignIn(client, "ann")
	for _, raw := range []*string{tokens.AccessToken, tokens.IdToken} {
		if alg := algorithmOf(t, *raw); alg != "ES256" {
			t.Errorf("signed under %s", alg)
		}
		h.claims(raw)
	}
	must[*api.GetUserResponse](t)(h.c.GetUser(t.Context(), &api.GetUserRequest{AccessToken: *tokens.AccessToken}))
	if keys, named := h.published(pool); !slices.Equal(keys, []string{"ES256", "ES256"}) || !slices.Equal(named, []string{"ES256"}) {
		t.Errorf("published %v, named %v", keys, named)
	}
	plain := h.newPoolID(nil)
	h.settle()
	if keys, named := h.published(plain); !slices.Equal(keys, []string{"RS256", "RS256"}) || !slices.Equal(named, []string{"RS256"}) {
		t.Errorf("published %v, named %v", keys, named)
	}
	for _, alg := range []string{"", "es256", "HS256", "none", "RS512"} {
		tags := map[string]string{tagSigningAlgorithm: alg}
		arn := "arn:aws:cognito-idp:" + testRegion + ":000000000000:userpool/" + pool
		for _, err := range []error{
			second(h.c.CreateUserPool(t.Context(), &api.CreateUserPoolRequest{PoolName: "x", UserPoolTags: tags})),
			second(h.c.UpdateUserPool(t.Context(), &api.UpdateUserPoolRequest{UserPoolId: pool, UserPoolTags: tags})),
			second(h.c.TagResource(t.Context(), &api.TagResourceRequest{ResourceArn: arn, Tags: tags})),
		} {
			want(t, err, "InvalidParameterException", "The tag moat:signing-algorithm is RS256 or ES256.")
		}
	}
}

func TestSigningAlgorithm_clientCredentials(t *testing.T) {
	t.Parallel()
	h, pool, id, secret := oauthHouse(t)
	must[*api.UpdateUserPoolResponse](t)(h.c.UpdateUserPool(t.Context(), &api.UpdateUserPoolRequest{UserPoolId: pool, UserPoolTags: map[string]string{tagSigningAlgorithm: "ES256"}}))
	ask := func() string {
		_, body := h.post("school", "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}, nil)
		raw, _ := body["access_token"].(string)
		h.claims(&raw)
		return algorithmOf(t, raw)
	}
	if alg := ask(); alg != "RS256" {
		t.Errorf("before the rotation under %s", alg)
	}
	h.settle()
	must[Rotation](t)(h.RotateKeys(t.Context(), pool, false))
	if alg := ask(); alg != "ES256" {
		t.Errorf("after it under %s", alg)
	}
}

// The tag takes effect with the next rotation: the key that is published to come after the
// signing one is of the new kind at once, and what was signed before goes on counting.
func TestSigningAlgorithm_change(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil })
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann")
	h.settle()
	arn := "arn:aws:cognito-idp:" + testRegion + ":000000000000:userpool/" + pool
	check := func(step string, wantKeys, wantNamed []string, alg string) string {
		t.Helper()
		h.settle()
		if keys, named := h.published(pool); !slices.Equal(keys, wantKeys) || !slices.Equal(named, wantNamed) {
			t.Errorf("%s: published %v, named %v", step, keys, named)
		}
		raw := *h.mustSignIn(client, "ann").AccessToken
		if got := algorithmOf(t, raw); got != alg {
			t.Errorf("%s: signed under %s", step, got)
		}
		return raw
	}
	lives := func(step, raw string, want bool) {
		t.Helper()
		if _, err := h.c.GetUser(t.Context(), &api.GetUserRequest{AccessToken: raw}); (err == nil) != want {
			t.Errorf("%s: %v", step, err)
		}
	}
	must[*api.TagResourceResponse](t)(h.c.TagResource(t.Context(), &api.TagResourceRequest{ResourceArn: arn, Tags: map[string]string{tagSigningAlgorithm: "ES256"}}))
	first := check("tagged", []string{"RS256", "ES256"}, []string{"RS256", "ES256"}, "RS256")
	must[Rotation](t)(h.RotateKeys(t.Context(), pool, false))
	second := check("rotated", []string{"ES256", "ES256", "RS256"}, []string{"ES256", "RS256"}, "ES256")
	lives("of the old key", first, true)
	h.advance(retirement)
	second = check("retired", []string{"ES256", "ES256"}, []string{"ES256"}, "ES256")
	lives("of the new key", second, true)
	must[*api.UntagResourceResponse](t)(h.c.UntagResource(t.Context(), &api.UntagResourceRequest{ResourceArn: arn, TagKeys: []string{tagSigningAlgorithm}}))
	check("untagged", []string{"ES256", "RS256"}, []string{"ES256", "RS256"}, "ES256")
	must[Rotation](t)(h.RotateKeys(t.Context(), pool, true))
	check("dropped", []string{"RS256", "RS256"}, []string{"RS256"}, "RS256")
	lives("of the dropped key", second, false)
	// Another tag changes no keys.
	before := h.jwks(pool)
	must[*api.TagResourceResponse](t)(h.c.TagResource(t.Context(), &api.TagResourceRequest{ResourceArn: arn, Tags: map[string]string{"team": "a"}}))
	h.settle()
	if h.jwks(pool) != before {
		t.Error("other keys are published")
	}
}

// Each kind of pool refuses what a key of the other kind has signed, under whatever name.
func TestSigningAlgorithm_confused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, change := range []func(*api.CreateUserPoolRequest){curvePool, func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil }} {
		pool := h.newPoolID(change)
		client := *h.newClient(pool, nil).ClientId
		h.member(pool, "ann")
		raw := *h.mustSignIn(client, "ann").AccessToken
		own := must[*poolKeys](t)(h.keys.of(t.Context(), pool)).signer
		payload := unpadded(t, strings.Split(raw, ".")[1])
		curve := must[PoolKey](t)(h.keys.generateCurve())
		curve.ID = own.ID
		other, err := token.NewSigningKey(own.ID, signingKeys()[1])
		if algorithmOf(t, raw) == "RS256" {
			other, err = h.keys.signerOf(curve)
		}
		if err != nil {
			t.Fatal(err)
		}
		forged, err := token.Sign(other, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.c.GetUser(t.Context(), &api.GetUserRequest{AccessToken: forged})
		want(t, err, "NotAuthorizedException", "Could not verify signature for Access Token")
		must[*api.GetUserResponse](t)(h.c.GetUser(t.Context(), &api.GetUserRequest{AccessToken: raw}))
	}
	// A record whose key is of another kind than it says signs nothing.
	key := must[PoolKey](t)(h.keys.generateCurve())
	key.Algorithm = ""
	if _, err := h.keys.signerOf(key); err == nil {
		t.Error("a key on a curve was taken for RS256")
	}
	key, err := h.keys.seal(signingKeys()[0])
	if key.Algorithm = "ES256"; err != nil {
		t.Fatal(err)
	}
	if _, err := h.keys.signerOf(key); err == nil {
		t.Error("an RSA key was taken for ES256")
	}
}

// A pool leaves without keys, those in retirement too, and gets others of its kind.
func TestSigningAlgorithm_import(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(curvePool)
	h.settle()
	must[Rotation](t)(h.RotateKeys(t.Context(), pool, false))
	ctx := wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: testRegion})
	var p Pool
	if err := h.db.View(ctx, func(tx *store.Tx) (err error) { p, err = h.pool(tx, pool); return err }); err != nil || len(p.Retired) != 1 {
		t.Fatalf("%+v, %v", p.Retired, err)
	}
	record := must[[]byte](t)(poolRecord(p))
	if strings.Contains(string(record), "Sealed") {
		t.Errorf("keys leave: %s", record)
	}
	to := newHouse(t)
	must[*ImportAnswer](t)(to.ImportUsers(ctx, &ImportRequest{Pool: pool, Create: &userfile.Pool{ID: pool, Record: record}}))
	to.settle()
	if keys, _ := to.published(pool); !slices.Equal(keys, []string{"ES256", "ES256"}) {
		t.Errorf("published %v", keys)
	}
	if err := to.db.View(ctx, func(tx *store.Tx) (err error) { p, err = to.pool(tx, pool); return err }); err != nil || len(p.Retired) != 0 {
		t.Errorf("%+v, %v", p.Retired, err)
	}
}
