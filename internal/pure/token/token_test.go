package token

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

func testKey(t testing.TB) *SigningKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewSigningKey("key/1", private)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func enc(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// forge signs any header and payload with k.
func forge(t *testing.T, k *SigningKey, header, payload string) string {
	t.Helper()
	signed := enc(header) + "." + enc(payload)
	sum := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(nil, k.Private, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func check(raw string, keys KeySet) error {
	tok, err := Parse(raw)
	if err != nil {
		return err
	}
	return tok.VerifyWith(keys)
}

func TestSign(t *testing.T) {
	t.Parallel()
	k, other := testKey(t), testKey(t)
	raw, err := Sign(k, []byte(`{"iss":"https://a","exp":100,"aud":["x","y"]}`))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.VerifyWith(NewKeys(k.Key())); err != nil {
		t.Errorf("own key: %v", err)
	}
	if err := tok.Verify(other.Key()); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: got %v, want ErrSignature", err)
	}
	if err := tok.VerifyWith(Keys{}); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("no key: got %v, want ErrUnknownKey", err)
	}
	if err := tok.VerifyWith(nil); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("nil key set: got %v, want ErrUnknownKey", err)
	}
	if err := tok.Verify(nil); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("nil key: got %v, want ErrUnknownKey", err)
	}
	if tok.Issuer() != "https://a" || tok.KeyID != "key/1" || len(tok.Claims.Strings("aud")) != 2 {
		t.Errorf("got %+v", tok)
	}
}

func TestParse_attacks(t *testing.T) {
	t.Parallel()
	k := testKey(t)
	keys := NewKeys(k.Key())
	good := forge(t, k, `{"alg":"RS256","kid":"key/1"}`, `{"sub":"a"}`)
	if err := check(good, keys); err != nil {
		t.Fatalf("the twin that must pass: %v", err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.Private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	hs := func(secret []byte) string {
		signed := enc(`{"alg":"HS256","kid":"key/1"}`) + "." + enc(`{"sub":"a"}`)
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(signed))
		return signed + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
	tests := map[string]string{
		"hs256 with pem":      hs(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"hs256 with modulus":  hs(k.Private.N.Bytes()),
		"none":                enc(`{"alg":"none","kid":"key/1"}`) + "." + enc(`{"sub":"a"}`) + ".",
		"none, signed":        forge(t, k, `{"alg":"none","kid":"key/1"}`, `{"sub":"a"}`),
		"NoNe":                forge(t, k, `{"alg":"NoNe","kid":"key/1"}`, `{"sub":"a"}`),
		"no alg":              forge(t, k, `{"kid":"key/1"}`, `{"sub":"a"}`),
		"ALG":                 forge(t, k, `{"ALG":"RS256","kid":"key/1"}`, `{"sub":"a"}`),
		"alg twice":           forge(t, k, `{"alg":"none","alg":"RS256","kid":"key/1"}`, `{"sub":"a"}`),
		"rs512":               forge(t, k, `{"alg":"RS512","kid":"key/1"}`, `{"sub":"a"}`),
		"jwk":                 forge(t, k, `{"alg":"RS256","kid":"key/1","jwk":{}}`, `{"sub":"a"}`),
		"jku":                 forge(t, k, `{"alg":"RS256","kid":"key/1","jku":"https://x"}`, `{"sub":"a"}`),
		"x5u":                 forge(t, k, `{"alg":"RS256","kid":"key/1","x5u":"https://x"}`, `{"sub":"a"}`),
		"x5c":                 forge(t, k, `{"alg":"RS256","kid":"key/1","x5c":[]}`, `{"sub":"a"}`),
		"crit":                forge(t, k, `{"alg":"RS256","kid":"key/1","crit":["exp"]}`, `{"sub":"a"}`),
		"no kid":              forge(t, k, `{"alg":"RS256"}`, `{"sub":"a"}`),
		"kid not a string":    forge(t, k, `{"alg":"RS256","kid":1}`, `{"sub":"a"}`),
		"other kid":           forge(t, k, `{"alg":"RS256","kid":"key/2"}`, `{"sub":"a"}`),
		"claim twice":         forge(t, k, `{"alg":"RS256","kid":"key/1"}`, `{"sub":"a","sub":"b"}`),
		"payload not object":  forge(t, k, `{"alg":"RS256","kid":"key/1"}`, `"a"`),
		"payload with a tail": forge(t, k, `{"alg":"RS256","kid":"key/1"}`, `{"sub":"a"}{}`),
		"payload not utf-8":   forge(t, k, `{"alg":"RS256","kid":"key/1"}`, "{\"sub\":\"\xff\"}"),
		"deep payload":        forge(t, k, `{"alg":"RS256","kid":"key/1"}`, `{"a":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`}`),
		"altered payload":     strings.Replace(good, enc(`{"sub":"a"}`), enc(`{"sub":"b"}`), 1),
		"no signature":        good[:strings.LastIndexByte(good, '.')+1],
		"two parts":           good[:strings.LastIndexByte(good, '.')],
		"four parts":          good + ".x",
		"padding":             good + "=",
		"line break":          good[:10] + "\n" + good[10:],
		"leading space":       " " + good,
		"empty":               "",
		"dots":                "..",
		"too long":            good + strings.Repeat("A", MaxLength),
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := check(raw, keys); err == nil {
				t.Errorf("accepted %q", raw)
			}
		})
	}
}

// A 2048-bit signature is 342 characters of which the last carries four unused
// bits; each other spelling of them must be refused.
func TestParse_trailingBits(t *testing.T) {
	t.Parallel()
	k := testKey(t)
	good := forge(t, k, `{"alg":"RS256","kid":"key/1"}`, `{}`)
	accepted := 0
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if check(good[:len(good)-1]+string(c), NewKeys(k.Key())) == nil {
			accepted++
		}
	}
	if accepted != 1 {
		t.Errorf("%d spellings of the last character accepted, want 1", accepted)
	}
}

func TestToken_CheckTime(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	tests := map[string]struct {
		claims string
		want   error
	}{
		"valid":           {`{"exp":1000001,"nbf":1000000,"iat":1000000}`, nil},
		"float":           {`{"exp":1000001.5}`, nil},
		"exponent":        {`{"exp":1.0e7}`, nil},
		"iat a bit ahead": {`{"exp":1000100,"iat":1000060}`, nil},
		"at exp":          {`{"exp":1000000}`, ErrExpired},
		"after exp":       {`{"exp":999999}`, ErrExpired},
		"no exp":          {`{}`, ErrExpired},
		"exp a string":    {`{"exp":"1000001"}`, ErrExpired},
		"exp huge":        {`{"exp":1e300}`, ErrExpired},
		"exp overflow":    {`{"exp":99999999999999999999}`, ErrExpired},
		"exp negative":    {`{"exp":-1}`, ErrExpired},
		"nbf ahead":       {`{"exp":2000000,"nbf":1000061}`, ErrNotYetValid},
		"nbf no number":   {`{"exp":2000000,"nbf":null}`, ErrNotYetValid},
		"iat ahead":       {`{"exp":2000000,"iat":1000061}`, ErrNotYetValid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := decodeObject([]byte(tt.claims), 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := (&Token{Claims: c}).CheckTime(now); !errors.Is(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	k := testKey(t)
	set, err := ParseJWKS(JWKS(k.Key()))
	if err != nil {
		t.Fatal(err)
	}
	got, ok := set.Key("key/1")
	if !ok || !got.Equal(k.Key()) || got.Equal(testKey(t).Key()) || got.Equal(nil) {
		t.Errorf("got %+v", got)
	}
	n := base64.RawURLEncoding.EncodeToString(k.Private.N.Bytes())
	refused := map[string]string{
		"symmetric":  `{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}`,
		"private":    `{"keys":[{"kty":"RSA","kid":"a","n":"` + n + `","e":"AQAB","d":"AA"}]}`,
		"twice":      `{"keys":[{"kty":"RSA","kid":"a","n":"` + n + `","e":"AQAB"},{"kty":"RSA","kid":"a","n":"` + n + `","e":"AQAB"}]}`,
		"small":      `{"keys":[{"kty":"RSA","kid":"a","n":"` + base64.RawURLEncoding.EncodeToString(new(big.Int).Lsh(big.NewInt(1), 1023).Bytes()) + `","e":"AQAB"}]}`,
		"exponent 1": `{"keys":[{"kty":"RSA","kid":"a","n":"` + n + `","e":"AQ"}]}`,
		"even":       `{"keys":[{"kty":"RSA","kid":"a","n":"` + n + `","e":"AQAA"}]}`,
		"no list":    `{"keys":{}}`,
		"not json":   `x`,
	}
	for name, raw := range refused {
		if set, err := ParseJWKS([]byte(raw)); err == nil {
			t.Errorf("%s: accepted as %v", name, set)
		}
	}
	for name, raw := range map[string]string{
		"encryption key": `{"keys":[{"kty":"RSA","kid":"a","use":"enc","n":"` + n + `","e":"AQAB"}]}`,
		"other alg":      `{"keys":[{"kty":"RSA","kid":"a","alg":"PS256","n":"` + n + `","e":"AQAB"}]}`,
		"no curve":       `{"keys":[{"kty":"EC","kid":"a"}]}`,
		"nameless":       `{"keys":[{"kty":"RSA","n":"` + n + `","e":"AQAB"}]}`,
	} {
		if set, err := ParseJWKS([]byte(raw)); err != nil || len(set) != 0 {
			t.Errorf("%s: got %v, %v, want an empty set", name, set, err)
		}
	}
}

func TestSigningKey_redacted(t *testing.T) {
	t.Parallel()
	k := testKey(t)
	if s := k.String() + k.GoString(); strings.Contains(s, k.Private.D.String()) || !strings.Contains(s, "[redacted]") {
		t.Errorf("got %s", s)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(enc(`{"alg":"RS256","kid":"a"}`) + "." + enc(`{"a":[1,{"b":"\u00e9"}],"c":null}`) + ".AAAA")
	f.Fuzz(func(t *testing.T, raw string) {
		tok, err := Parse(raw)
		if err != nil {
			return
		}
		// What was accepted is what encoding/json reads, too.
		part, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
		if err != nil {
			t.Fatalf("accepted undecodable payload: %v", err)
		}
		var want map[string]any
		d := json.NewDecoder(strings.NewReader(string(part)))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatalf("accepted %q: %v", part, err)
		}
		got, _ := json.Marshal(tok.Claims)
		ref, _ := json.Marshal(want)
		if string(got) != string(ref) {
			t.Errorf("got %s, want %s", got, ref)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	k := testKey(b)
	raw, err := Sign(k, []byte(`{"iss":"https://a","exp":100}`))
	if err != nil {
		b.Fatal(err)
	}
	pub := k.Key()
	b.ReportAllocs()
	for b.Loop() {
		tok, err := Parse(raw)
		if err != nil || tok.Verify(pub) != nil {
			b.Fatal("refused")
		}
	}
}

func BenchmarkSign(b *testing.B) {
	k := testKey(b)
	for b.Loop() {
		if _, err := Sign(k, []byte(`{"iss":"https://a","exp":100}`)); err != nil {
			b.Fatal(err)
		}
	}
}
