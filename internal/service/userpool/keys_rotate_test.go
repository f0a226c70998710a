package userpool

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	api "moat/internal/wire/cognitoidpapi"
)

func (h *house) jwks(pool string) string {
	w := httptest.NewRecorder()
	h.ServePool(w, httptest.NewRequestWithContext(h.t.Context(), http.MethodGet, "/"+pool+"/.well-known/jwks.json", nil), pool, "/.well-known/jwks.json")
	return w.Body.String()
}

func TestRotateKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil })
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann")
	alive := func(token string) bool {
		_, err := h.c.GetUser(t.Context(), &api.GetUserRequest{AccessToken: token})
		if err != nil {
			want(t, err, "NotAuthorizedException", "Could not verify signature for Access Token")
		}
		return err == nil
	}
	kid := func(token string) string {
		for id := range must[*poolKeys](t)(h.keys.of(t.Context(), pool)).public {
			if strings.Contains(unpadded(t, strings.SplitN(token, ".", 2)[0]), id) {
				return id
			}
		}
		return ""
	}
	before := *h.mustSignIn(client, "ann").AccessToken
	old := kid(before)
	r := must[Rotation](t)(h.RotateKeys(t.Context(), pool, false))
	if r.Old != old || r.Signs == old || !r.Until.Equal(h.clock().Add(retirement)) {
		t.Fatalf("%+v, signed by %s", r, old)
	}
	after := *h.mustSignIn(client, "ann").AccessToken
	if kid(after) != r.Signs || !alive(before) || !alive(after) {
		t.Errorf("signed by %s; old one lives: %v", kid(after), alive(before))
	}
	if !strings.Contains(h.jwks(pool), old) {
		t.Error("the old key is not published any more")
	}
	h.advance(retirement)
	if strings.Contains(h.jwks(pool), old) || !strings.Contains(h.jwks(pool), r.Signs) {
		t.Error("the old key is published for ever")
	}
	after = *h.mustSignIn(client, "ann").AccessToken
	h.stock()
	dropped := must[Rotation](t)(h.RotateKeys(t.Context(), pool, true))
	if !dropped.Until.IsZero() || strings.Contains(h.jwks(pool), dropped.Old) || alive(after) {
		t.Errorf("dropped %+v; a token of it lives: %v", dropped, alive(after))
	}
	_, err := h.RotateKeys(t.Context(), testRegion+"_nothing", false)
	want(t, err, "ResourceNotFoundException", "")
	for range maxRetired {
		h.stock()
		must[Rotation](t)(h.RotateKeys(t.Context(), pool, false))
	}
	h.stock()
	_, err = h.RotateKeys(t.Context(), pool, false)
	want(t, err, "LimitExceededException", "")
	if errors.Is(err, errNoKey) {
		t.Error(err)
	}
}

func unpadded(t *testing.T, part string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
