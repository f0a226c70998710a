package issuer

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"moat/internal/pure/token"
)

type source struct{ keys token.Keys }

func (s source) Keys(context.Context, string) (token.KeySet, error) { return s.keys, nil }

func newKey(t *testing.T, id string) *token.Key {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	k, err := token.NewKey(id, &private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ours, theirs := newKey(t, "a"), newKey(t, "b")
	r := New(Config{})
	if _, err := r.Keys(ctx, "https://x"); !errors.Is(err, ErrUnknown) {
		t.Errorf("nobody registered: got %v", err)
	}
	r.Register("https://x", source{token.NewKeys(theirs)})
	r.Register("https://ours", source{token.NewKeys(theirs)})
	r.RegisterResolver(func(issuer string) (token.KeySet, bool) { return token.NewKeys(ours), issuer == "https://ours" })
	for issuer, want := range map[string]string{"https://x": "b", "https://ours": "a"} {
		keys, err := r.Keys(ctx, issuer)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := keys.Key(want); !ok {
			t.Errorf("%s has no key %s", issuer, want)
		}
	}
	for _, issuer := range []string{"", "https://x/", "https://X", "https://x2"} {
		if _, err := r.Keys(ctx, issuer); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: got %v", issuer, err)
		}
	}
	r.Unregister("https://x")
	if _, err := r.Keys(ctx, "https://x"); !errors.Is(err, ErrUnknown) {
		t.Errorf("unregistered: got %v", err)
	}
}

// provider is a foreign issuer over HTTPS.
type provider struct {
	*httptest.Server
	claimed string // issuer in its configuration
	keysAt  string
	keys    atomic.Pointer[[]byte]
	down    atomic.Bool
	fetches atomic.Int32
}

func newProvider(t *testing.T, keys ...*token.Key) *provider {
	p := &provider{}
	p.publish(keys...)
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case p.down.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/.well-known/openid-configuration":
			p.fetches.Add(1)
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": p.claimed, "jwks_uri": p.keysAt}) // a test
		case r.URL.Path == "/keys":
			_, _ = w.Write(*p.keys.Load()) // a test
		}
	}))
	p.claimed, p.keysAt = p.URL, p.URL+"/keys"
	t.Cleanup(p.Close)
	return p
}

func (p *provider) publish(keys ...*token.Key) {
	raw := token.JWKS(keys...)
	p.keys.Store(&raw)
}

func TestRemote(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	first, second := newKey(t, "first"), newKey(t, "second")
	p := newProvider(t, first)
	now := time.Unix(1_800_000_000, 0)
	r := New(Config{Client: p.Client(), Now: func() time.Time { return now }})
	r.Register(p.URL, r.Remote())
	has := func(kid string) bool {
		t.Helper()
		keys, err := r.Keys(ctx, p.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, ok := keys.Key(kid)
		return ok
	}
	if !has("first") || has("second") {
		t.Error("wrong keys")
	}
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("fetched %d times, want 1", n)
	}
	p.publish(first, second)
	if has("second") {
		t.Error("fetched again at once")
	}
	now = now.Add(retryAfter)
	if !has("second") { // an unknown key id makes it look
		t.Error("the new key is not found")
	}
	p.down.Store(true)
	now = now.Add(freshFor)
	if !has("first") {
		t.Error("the keys are forgotten while the issuer is down")
	}
	now = now.Add(staleFor)
	if _, err := r.Keys(ctx, p.URL); err == nil {
		t.Error("keys of yesterday are believed")
	}
}

func TestRemote_refused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(p *provider){
		"another issuer":   func(p *provider) { p.claimed = "https://other.example" },
		"keys over http":   func(p *provider) { p.keysAt = "http://127.0.0.1/keys" },
		"keys in a file":   func(p *provider) { p.keysAt = "file:///etc/passwd" },
		"down":             func(p *provider) { p.down.Store(true) },
		"not a key set":    func(p *provider) { raw := []byte("{}"); p.keys.Store(&raw) },
		"too long":         func(p *provider) { raw := make([]byte, maxDocument+1); p.keys.Store(&raw) },
		"a symmetric key":  func(p *provider) { raw := []byte(`{"keys":[{"kty":"oct","k":"AA"}]}`); p.keys.Store(&raw) },
		"no configuration": func(p *provider) { p.claimed, p.keysAt = "", "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t, newKey(t, "a"))
			change(p)
			r := New(Config{Client: p.Client()})
			r.Register(p.URL, r.Remote())
			if keys, err := r.Keys(t.Context(), p.URL); err == nil {
				t.Errorf("got keys %v", keys)
			}
		})
	}
	r := New(Config{})
	r.Register("https://x", r.Remote())
	if _, err := r.Keys(t.Context(), "https://x"); err == nil {
		t.Error("fetched without a client")
	}
}
