package token

import (
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// agree reads a token both ways and compares all that the ways tell.
func agree(t testing.TB, s *Scanner, raw string, keys KeySet) {
	t.Helper()
	tok, err := Parse(raw)
	if got := s.Read(raw); got != err {
		t.Fatalf("%q: Read %v, Parse %v", raw, got, err)
	}
	if err != nil {
		if _, err := s.Verify(keys); !errors.Is(err, ErrUnknownKey) {
			t.Fatalf("%q: Verify after a failed Read: %v", raw, err)
		}
		return
	}
	if s.KeyID() != tok.KeyID {
		t.Errorf("%q: key %q, want %q", raw, s.KeyID(), tok.KeyID)
	}
	names := []string{"", "iss", "exp", "no such claim"}
	for name := range tok.Claims {
		names = append(names, name)
	}
	for _, name := range names {
		if got, want := s.String(name), tok.Claims.String(name); got != want {
			t.Errorf("%q: %s is %q, want %q", raw, name, got, want)
		}
		if got, want := s.Strings(name), tok.Claims.Strings(name); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %s is %#v, want %#v", raw, name, got, want)
		}
		got, ok := s.Time(name)
		if want, wantOK := tok.Claims.Time(name); ok != wantOK || ok && !got.Equal(want) {
			t.Errorf("%q: %s is %v %v, want %v %v", raw, name, got, ok, want, wantOK)
		}
	}
	for _, now := range []int64{0, 99, 100, 1e9, 1e11} {
		if got, want := s.CheckTime(time.Unix(now, 0)), tok.CheckTime(time.Unix(now, 0)); got != want {
			t.Errorf("%q at %d: %v, want %v", raw, now, got, want)
		}
	}
	key, got := s.Verify(keys)
	if want := tok.VerifyWith(keys); got != want || (key != nil) != (got == nil) {
		t.Errorf("%q: %v, want %v", raw, got, want)
	}
}

func TestScanner(t *testing.T) {
	t.Parallel()
	k, other := testKey(t), testKey(t)
	keys, s := NewKeys(k.Key()), new(Scanner)
	payloads := []string{
		`{}`, `{"iss":"https://a","exp":100,"aud":["x","y"]}`, `{"a":"","b":[],"c":true,"d":false,"e":null,"f":0,"g":[""]}`,
		`{"exp":1e2}`, `{"exp":-1}`, `{"exp":100.5}`, `{"exp":999999999999999999}`, `{"exp":1000000000000000000}`, `{"exp":99999999999999999999}`, `{"exp":"100"}`, `{"exp":[100]}`,
		`{"exp":253402300799}`, `{"exp":253402300800}`, `{"nbf":"x","exp":200}`, `{"iat":null,"exp":200}`, `{"nbf":1000,"exp":2000}`,
		`{"a":"\u00e9\n","\u0065xp":100}`, `{"a":"é"}`, `{"a":[1,"b"]}`, `{"a":{"b":[{"c":null}]}}`, ` { "a" : 1 } `, `{"a":"b" }`, `{"a":["x", "y"]}`,
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":{"b":1,"b":2}}`, `{"a":01}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a":tru}`, `{"a":truee}`, `{"a":nulll}`, `{"a":falsee}`, `{"a":[}`, `{"a":["b"}`,
		`{"a":["b",]}`, `{"a":["b"]]}`, `{"a":"b}`, `{"a":"b"}}`, `{"a":"b"}x`, `{"a":"b"`, `{"a":1`, `{`, ``, `[]`, `"a"`, `null`, `{"a":1}{"b":2}`, "{\"a\":\"\x01\"}", "{\"a\":\"\xff\"}", "{\"\xff\":1}", `{"a":'b'}`, `{a:1}`,
		`{"a":-0}`, `{"a":0}`, `{"a":00}`, `{"a":1.0}`, `{"a":1e5}`, `{"a":+1}`, `{"a":1a}`, `{"a":"\ud800"}`, `{"a":"\x"}`, `{"a":"` + "\u2028" + `"}`,
		"{" + strings.Repeat(`"a":1,`, 3) + `"b":1}`, manyMembers(maxMembers), manyMembers(maxMembers + 1), manyMembers(200),
	}
	for _, payload := range payloads {
		for _, header := range []string{`{"alg":"RS256","kid":"key/1"}`, `{"alg":"RS256","kid":"key/2"}`, `{"alg":"RS384","kid":"key/1"}`} {
			raw := forge(t, k, header, payload)
			agree(t, s, raw, keys)
			agree(t, s, raw, nil)
			agree(t, s, raw[:len(raw)-4]+"AAAA", keys)
		}
		agree(t, s, forge(t, other, `{"alg":"RS256","kid":"key/1"}`, payload), keys)
	}
	good := forge(t, k, `{"alg":"RS256","kid":"key/1"}`, payloads[1])
	for _, header := range []string{`{"alg":"none"}`, `{"alg":"HS256","kid":"key/1"}`, `{"alg":"RS256","kid":1}`, `{"alg":"RS256","kid":"key/1","crit":[]}`, `{"alg":"RS256"}`, `{"alg":"RS256","kid":""}`, `{}`, `x`, ``} {
		agree(t, s, forge(t, k, header, payloads[1]), keys)
		agree(t, s, forge(t, k, header, payloads[1])+"=", keys) // undecodable as well
		agree(t, s, good, keys)                                 // the one before has left nothing
	}
	for i := range len(good) {
		if i%7 == 0 || i > len(good)-5 {
			agree(t, s, good[:i], keys)
			for _, c := range []string{".", "\n", "\r", "=", "A", " ", "\x00", "é"} {
				agree(t, s, good[:i]+c+good[i+1:], keys)
				agree(t, s, good[:i]+c+good[i:], keys)
			}
		}
	}
	agree(t, s, strings.Repeat("A", MaxLength+1), keys)
	if err := s.Read(good); err != nil {
		t.Fatal(err)
	}
	if key, err := s.Verify(keys); err != nil || key != k.Key() {
		t.Errorf("%v %v", key, err)
	}
}

func manyMembers(n int) string {
	m := map[string]int{}
	for i := range n {
		m["claim"+string(rune('a'+i%26))+strings.Repeat("x", i/26)] = i
	}
	b, err := json.Marshal(m)
	if err != nil {
		return ""
	}
	return string(b)
}

// TestScanner_check: a check of its own decides on RSA signatures, and on nothing else.
func TestScanner_check(t *testing.T) {
	t.Parallel()
	k := testKey(t)
	raw := forge(t, k, `{"alg":"RS256","kid":"key/1"}`, `{"a":1}`)
	asked := 0
	s := &Scanner{Check: func(public *rsa.PublicKey, h crypto.Hash, sum, signature []byte) error {
		asked++
		if public != &k.Private.PublicKey || h != crypto.SHA256 || len(sum) != 32 || len(signature) != 256 {
			t.Errorf("asked about %v, %x, %x", h, sum, signature)
		}
		return errors.New("no")
	}}
	if err := s.Read(raw); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(NewKeys(k.Key())); !errors.Is(err, ErrSignature) || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
	key := *k.Key()
	key.Algorithm = "RS384"
	if _, err := s.Verify(NewKeys(&key)); !errors.Is(err, ErrUnsupported) || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

// TestScanner_zero: what has read nothing verifies nothing.
func TestScanner_zero(t *testing.T) {
	t.Parallel()
	s := new(Scanner)
	if _, err := s.Verify(NewKeys(testKey(t).Key())); !errors.Is(err, ErrUnknownKey) {
		t.Error(err)
	}
	if err := s.CheckTime(time.Unix(0, 0)); !errors.Is(err, ErrExpired) {
		t.Error(err)
	}
}

// TestScanner_allocs: a plain token under a header that was seen costs no memory.
func TestScanner_allocs(t *testing.T) {
	k := testKey(t)
	raw, err := Sign(k, []byte(`{"sub":"a","iss":"https://issuer.example/pool","exp":100,"iat":1,"aud":"client","cognito:groups":["x","y"],"token_use":"id","email_verified":true}`))
	if err != nil {
		t.Fatal(err)
	}
	s := &Scanner{Check: func(*rsa.PublicKey, crypto.Hash, []byte, []byte) error { return nil }}
	keys := NewKeys(k.Key())
	got := testing.AllocsPerRun(100, func() {
		if err := s.Read(raw); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Verify(keys); err != nil {
			t.Fatal(err)
		}
		if err := s.CheckTime(time.Unix(50, 0)); err != nil {
			t.Fatal(err)
		}
	})
	if got > 0 {
		t.Errorf("%v allocations", got)
	}
}

func FuzzScanner(f *testing.F) {
	f.Add(`{"alg":"RS256","kid":"a"}`, `{"a":[1,{"b":"\u00e9"}],"c":null}`, "AAAA")
	f.Add(`{"alg":"RS256","kid":"a"}`, `{"a":["x","y"],"c":null,"exp":12,"d":""}`, "AAAA")
	s := new(Scanner)
	f.Fuzz(func(t *testing.T, header, payload, signature string) {
		agree(t, s, enc(header)+"."+enc(payload)+"."+signature, Keys{})
		agree(t, s, header+"."+payload+"."+signature, Keys{})
		agree(t, s, enc(`{"alg":"RS256","kid":"a"}`)+"."+enc(payload)+".AAAA", Keys{})
	})
}

// TestScanner_wycheproof gives each vector to both ways.
func TestScanner_wycheproof(t *testing.T) {
	t.Parallel()
	s := new(Scanner)
	for _, file := range []string{"json_web_signature_test.json", "json_web_key_test.json"} {
		raw, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			TestGroups []struct {
				Public, Private json.RawMessage
				Tests           []struct{ Jws string }
			}
		}
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		for _, g := range doc.TestGroups {
			material := g.Public
			if material == nil {
				material = g.Private
			}
			for _, tt := range g.Tests {
				agree(t, s, tt.Jws, wycheproofKeys(material))
			}
		}
	}
}

func BenchmarkScanner(b *testing.B) {
	k := testKey(b)
	raw, err := Sign(k, []byte(`{"sub":"15c2c2d4-1c5b-4b8e-8e0b-5f0f8f3f9b1e","email_verified":true,"iss":"https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEfGhI","cognito:username":"15c2c2d4-1c5b-4b8e-8e0b-5f0f8f3f9b1e","origin_jti":"a1b2c3d4-1111-2222-3333-444455556666","aud":"1example23456789","event_id":"a1b2c3d4-1111-2222-3333-444455556666","token_use":"id","auth_time":1700000000,"exp":1700003600,"iat":1700000000,"jti":"a1b2c3d4-1111-2222-3333-444455556666","email":"alice@example.com"}`))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Scanner", func(b *testing.B) {
		s := new(Scanner)
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Read(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Parse(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}
