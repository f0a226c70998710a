package userpool

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"

	api "moat/internal/wire/cognitoidpapi"
)

// fillAll fills a value, whatever it is made of; some of it stays empty.
func fillAll(t *testing.T, r *rand.Rand, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		if at, ok := v.Addr().Interface().(*time.Time); ok {
			*at = time.UnixMilli(r.Int64N(1 << 42)).UTC()
			return
		}
		for i := range v.NumField() {
			fillAll(t, r, v.Field(i))
		}
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int:
		v.SetInt(r.Int64() - r.Int64())
	case reflect.Uint8, reflect.Uint32:
		v.SetUint(uint64(r.Uint32()) >> (32 - v.Type().Bits()))
	case reflect.String:
		v.SetString(strings.Repeat("é\x00\"<", r.IntN(80)))
	case reflect.Pointer:
		if r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fillAll(t, r, v.Elem())
		}
	case reflect.Slice:
		if n := r.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fillAll(t, r, v.Index(i))
			}
		}
	case reflect.Map:
		v.Set(reflect.ValueOf([]map[string]string{nil, {}, {"a": "", "<b>": "\u2028"}}[r.IntN(3)]))
	default:
		t.Fatalf("there is a %v, of which this knows nothing", v.Type())
	}
}

// everything fills a challenge.
func everything(t *testing.T, r *rand.Rand) (ch challenge) {
	fillAll(t, r, reflect.ValueOf(&ch.attempt).Elem())
	for v, i := reflect.ValueOf(&ch).Elem(), 0; i < v.NumField(); i++ {
		if v.Field(i).CanSet() { // all but attempt
			fillAll(t, r, v.Field(i))
		}
	}
	return ch
}

// A challenge is read as it was, all of its fields, as encoding/json would have it; and no part of one is read.
func TestChallenge_form(t *testing.T) {
	t.Parallel()
	again := func(seed uint64) bool {
		r := rand.New(rand.NewPCG(seed, 1))
		ch := everything(t, r)
		raw, err := ch.append([]byte{})
		if err != nil {
			t.Fatal(err)
		}
		var got, want challenge
		if !got.read(raw) {
			t.Fatalf("%+v is not read", ch)
		}
		doc, err := json.Marshal(ch)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(doc, &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(got, ch) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
		who := 0
		for _, text := range ch.who() {
			who += len(appendSized(nil, *text))
		}
		part := r.IntN(len(raw) - max(0, ch.whoRoom()-who)) // what fills the room is not looked at
		if got.read(raw[:part]) {
			t.Errorf("a part of %+v is read", ch)
		}
		return !t.Failed()
	}
	if err := quick.Check(again, nil); err != nil {
		t.Error(err)
	}
}

// Whatever was sealed, reading it ends, and holds no more than was there.
func FuzzChallenge_read(f *testing.F) {
	ch := challenge{attempt: attempt{Proven: []factor{"a"}}, Kind: "K", Private: map[string]string{}, A: []byte{1}, User: "u"}
	raw, err := ch.append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{challengeForm})
	f.Add([]byte(`{"Kind":"K"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var ch, again challenge
		if !ch.read(raw) {
			return
		}
		once, err := ch.append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if !again.read(once) || !reflect.DeepEqual(ch, again) {
			t.Errorf("%x: read as %+v, then as %+v", raw, ch, again)
		}
	})
}

// What a client carries is as long for who exists as for who does not.
func TestService_challenge_hidesUsers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	choicePool, _, choice := h.choicePool()
	quiet := func(in *api.CreateUserPoolClientRequest) { in.PreventUserExistenceErrors = "ENABLED" }
	named, addressed := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil }), h.newPoolID(nil)
	for _, c := range []struct{ pool, client, here, gone string }{
		{named, *h.newClient(named, quiet).ClientId, "ann", "bob"},
		{named, *h.newClient(named, quiet).ClientId, "Ann-" + strings.Repeat("n", 120), "Bob-" + strings.Repeat("b", 120)},
		{named, *h.newClient(named, quiet).ClientId, "\ufdfaann", "\ufdfabob"}, // which fold to longer ones
		{named, *h.newClient(named, quiet).ClientId, "\u023aann", "\u023abob"},
		{addressed, *h.newClient(addressed, quiet).ClientId, "ann@example.com", "bob@example.com"},
		{choicePool, choice, "ann", "bob"},
	} {
		h.member(c.pool, c.here)
		begin := func(name string) int {
			if c.client == choice {
				return len(*must[*api.InitiateAuthResponse](t)(h.choose(c.client, name)).Session)
			}
			return len(must[*api.InitiateAuthResponse](t)(h.srp(c.pool, c.client).start(name)).ChallengeParameters["SECRET_BLOCK"])
		}
		if here, gone := begin(c.here), begin(c.gone); here != gone {
			t.Errorf("%s carries %d characters, %s, who does not exist, %d", c.here, here, c.gone, gone)
		}
	}
}

// Sealing a challenge takes none of the heap beside what it is written into; reading one takes its text and its bytes.
func TestChallenge_allocations(t *testing.T) {
	ch := challenge{Kind: "PASSWORD_VERIFIER", ID: "id", Name: "ann", A: make([]byte, 384), U: make([]byte, 32), B: make([]byte, 32), ExpiresAt: time.Unix(1, 0)}
	b := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { b, _ = ch.append(b[:0]) }); n != 0 {
		t.Errorf("%v allocations to write", n)
	}
	if n := testing.AllocsPerRun(100, func() { var back challenge; back.read(b) }); n > 5 {
		t.Errorf("%v allocations to read", n)
	}
}
