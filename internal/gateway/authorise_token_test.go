package gateway

import (
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moat/internal/pure/token"
)

// remembered counts what is remembered of tokens and of their claims.
func (k *kit) remembered() (tokens, claims int) {
	for i := range k.tokens.sets {
		if k.tokens.sets[i].Load() != nil {
			tokens++
		}
	}
	for i := range k.claims.sets {
		if k.claims.sets[i].Load() != nil {
			claims++
		}
	}
	return tokens, claims
}

// verifications counts the signatures that are verified.
func (k *kit) verifications() *atomic.Int64 {
	n := new(atomic.Int64)
	k.scanners = sync.Pool{New: func() any {
		return &token.Scanner{Check: func(public *rsa.PublicKey, h crypto.Hash, sum, signature []byte) error {
			n.Add(1)
			return k.moduli.Verify(public, h, sum, signature)
		}}
	}}
	return n
}

func altered(raw string, at int) string {
	other := "A"
	if raw[at] == 'A' {
		other = "B"
	}
	return raw[:at] + other + raw[at+1:]
}

// TestToken_work bounds what a token costs by what it is: a good one is verified once, one
// that is refused never has more than one signature verified and leaves nothing behind.
func TestToken_work(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	verified := k.verifications()
	good := k.id(nil)
	expired := k.id(map[string]any{"exp": noon.Add(-time.Second).Unix()})
	refused := denied401("Unauthorized")
	for _, c := range []struct {
		name, raw string
		want      want
		first     int64 // verifications of the first time
		again     int64 // of each further one
		kept      int
	}{
		{"good", good, ok, 1, 0, 1},
		{"good, with its scheme", "Bearer " + good, ok, 0, 0, 1},
		{"signature altered", altered(good, len(good)-9), refused, 1, 1, 1},
		{"claims altered", altered(good, len(good)/2), refused, 1, 1, 1},
		{"header altered", altered(good, 5), refused, 0, 0, 1},
		{"expired", expired, denied401("The incoming token has expired"), 1, 1, 1},
		{"not yet valid", k.id(map[string]any{"nbf": noon.Add(time.Hour).Unix()}), refused, 1, 1, 1},
		{"no end", k.id(map[string]any{"exp": nil}), refused, 1, 1, 1},
		{"of another pool", k.token(k.keyB, issuerB, "id", nil), refused, 0, 0, 1},
		{"says it is of this pool", k.token(k.keyB, issuerA, "id", nil), refused, 0, 0, 1},
		{"garbage", "garbage", refused, 0, 0, 1},
		{"an access token", k.access("openid"), refused, 1, 0, 2}, // a good token, for other routes
		{"good, still", good, ok, 0, 0, 2},
	} {
		for i, n := range []int64{c.first, c.again, c.again} {
			before := verified.Load()
			check(t, k.serve(request("GET", "/courses", "Authorization", c.raw)), c.want)
			if got := verified.Load() - before; got > n || got < n && c.name != "claims altered" { // which may be no JSON any more
				t.Errorf("%s, %d: %d verifications, want %d", c.name, i, got, n)
			}
		}
		if got, _ := k.remembered(); got != c.kept {
			t.Errorf("%s: %d tokens remembered, want %d", c.name, got, c.kept)
		}
	}
}

// TestToken_sameKeyID: two pools may name their keys alike; a key of one is none of the other.
func TestToken_sameKeyID(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	twin, err := token.NewSigningKey(k.keyA.ID, k.keyB.Private)
	if err != nil {
		t.Fatal(err)
	}
	k.issuers.set[issuerB] = token.NewKeys(twin.Key())
	k.cfg.Pools = pools{poolARN: issuerA, poolARN + "B": issuerB}
	d := courses("http://localhost:1")
	d.Authorizers["auth02"] = Authorizer{ID: "auth02", Name: "B", Type: "COGNITO_USER_POOLS", ProviderARNs: []string{poolARN + "B"}}
	d.Authorizers["auth03"] = Authorizer{ID: "auth03", Name: "both", Type: "COGNITO_USER_POOLS", ProviderARNs: []string{poolARN, poolARN + "B"}}
	for path, id := range map[string]string{"/b": "auth02", "/both": "auth03"} {
		d.Routes = append(d.Routes, Route{Path: path, Method: "GET", AuthorizationType: "COGNITO_USER_POOLS", AuthorizerID: id, Integration: proxy("x")})
	}
	k.publish(d)
	ofA, ofB := k.token(k.keyA, issuerA, "id", nil), k.token(twin, issuerB, "id", nil)
	aByB, bByA := k.token(twin, issuerA, "id", nil), k.token(k.keyA, issuerB, "id", nil)
	refused := denied401("Unauthorized")
	for range 2 {
		for _, c := range []struct {
			path, raw string
			want      want
		}{
			{"/courses", ofA, ok}, {"/courses", ofB, refused}, {"/courses", aByB, refused}, {"/courses", bByA, refused},
			{"/b", ofA, refused}, {"/b", ofB, ok}, {"/b", aByB, refused}, {"/b", bByA, refused},
			{"/both", ofA, ok}, {"/both", ofB, ok}, {"/both", aByB, refused}, {"/both", bByA, refused},
		} {
			check(t, k.serve(request("GET", c.path, "Authorization", c.raw)), c.want)
		}
	}
}

// TestToken_keyReplaced: another key under the same id ends what the one before had signed.
func TestToken_keyReplaced(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	next, err := token.NewSigningKey(k.keyA.ID, k.keyB.Private)
	if err != nil {
		t.Fatal(err)
	}
	before, after := k.id(nil), k.token(next, issuerA, "id", nil)
	call := func(raw string, w want) {
		t.Helper()
		check(t, k.serve(request("GET", "/courses", "Authorization", raw)), w)
	}
	use := func(keys token.Keys) {
		k.issuers.mu.Lock()
		defer k.issuers.mu.Unlock()
		k.issuers.set[issuerA] = keys
	}
	call(before, ok)
	call(after, denied401("Unauthorized"))
	use(token.NewKeys(next.Key()))
	call(before, denied401("Unauthorized"))
	call(after, ok)
	call(after, ok)
	use(token.NewKeys(k.keyA.Key()))
	call(after, denied401("Unauthorized"))
	call(before, ok)
	// A key that is told anew is the same key.
	again, err := token.NewKey(k.keyA.ID, &rsa.PublicKey{N: k.keyA.Private.N, E: k.keyA.Private.E})
	if err != nil {
		t.Fatal(err)
	}
	verified := k.verifications()
	use(token.NewKeys(again))
	call(before, ok)
	if verified.Load() != 0 {
		t.Error("verified again")
	}
}

// TestToken_claims: what integrations get to know is the claims of the token that came, however
// many others are remembered, and whatever was asked for before.
func TestToken_claims(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	large := strings.Repeat("x", maxClaims)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 6 {
				sub := fmt.Sprintf("sub-%d-%d", w, i)
				more := map[string]any{"sub": sub, "nested": map[string]any{"a": []any{1, "b"}}, "name": "Zoë \n"}
				if i == 5 {
					more["large"] = large
				}
				raw := k.id(more)
				for range 3 {
					res := k.serve(request("GET", "/courses", "Authorization", raw))
					var event struct {
						RequestContext struct {
							Authorizer struct{ Claims map[string]string }
						}
					}
					if err := json.Unmarshal(res.Body.Bytes(), &event); err != nil {
						t.Error(err)
						return
					}
					got := event.RequestContext.Authorizer.Claims
					if got["sub"] != sub || got["nested"] != `{"a":[1,"b"]}` || got["name"] != "Zoë \n" || got["cognito:groups"] != "User,Admin" {
						t.Errorf("%s: %v", sub, got)
					}
				}
			}
		})
	}
	all.Wait()
	if tokens, claims := k.remembered(); tokens != 24 || claims != 20 {
		t.Errorf("%d tokens and the claims of %d are remembered", tokens, claims)
	}
}
