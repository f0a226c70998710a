package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
)

// signAs signs header and payload in the way of alg, whatever the header says.
func signAs(t testing.TB, alg string, private crypto.Signer, header, payload string) string {
	t.Helper()
	signed := enc(header) + "." + enc(payload)
	s := schemeOf(alg)
	sum := digest(s.hash, []byte(signed), new([64]byte))
	var sig []byte
	switch k := private.(type) {
	case *rsa.PrivateKey:
		var err error
		if sig, err = rsa.SignPKCS1v15(nil, k, s.hash, sum); err != nil {
			t.Fatal(err)
		}
	case *ecdsa.PrivateKey:
		a, b, err := ecdsa.Sign(rand.Reader, k, sum)
		if err != nil {
			t.Fatal(err)
		}
		sig = fixed(fieldBytes(k.Curve), a, b)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func fixed(size int, r, s *big.Int) []byte {
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return out
}

func curveKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Every pair of an algorithm and a key: only the key's own algorithm verifies, and
// an RSA key that names none verifies in the three of its kind.
func TestVerify_algorithms(t *testing.T) {
	t.Parallel()
	r := testKey(t).Private
	jwk := func(alg string) *Key {
		public := JWKS(&Key{ID: "k", Public: &r.PublicKey, Algorithm: alg})
		set, err := ParseJWKS(public)
		if err != nil || len(set) != 1 {
			t.Fatalf("%s: %v, %v", alg, set, err)
		}
		return set["k"]
	}
	signers := map[string]crypto.Signer{"RS256": r, "RS384": r, "RS512": r,
		"ES256": curveKey(t, elliptic.P256()), "ES384": curveKey(t, elliptic.P384()), "ES512": curveKey(t, elliptic.P521())}
	keys := map[string]*Key{"RS256": jwk("RS256"), "RS384": jwk("RS384"), "RS512": jwk("RS512"), "RSA": jwk("")}
	for _, alg := range []string{"ES256", "ES384", "ES512"} {
		k, err := NewKey("k", signers[alg].Public())
		if err != nil || k.Algorithm != alg {
			t.Fatalf("%s: %v, %v", alg, k, err)
		}
		set, err := ParseJWKS(JWKS(k))
		if err != nil || !k.Equal(set["k"]) {
			t.Fatalf("%s: parsed as %v, %v", alg, set, err)
		}
		keys[alg] = set["k"]
	}
	for alg, private := range signers {
		for name, key := range keys {
			for _, header := range []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"} {
				raw := signAs(t, alg, private, `{"alg":"`+header+`","kid":"k"}`, `{"sub":"a"}`)
				err := check(raw, NewKeys(key))
				good := header == alg && (name == alg || name == "RSA" && alg[0] == 'R')
				if good != (err == nil) {
					t.Errorf("signed in %s, header %s, key %s: %v", alg, header, name, err)
				}
			}
		}
	}
	if pool, err := NewKey("k", &r.PublicKey); err != nil || pool.Algorithm != "RS256" {
		t.Errorf("an RSA key of ours: %v, %v", pool, err)
	}
	own := testKey(t)
	raw := signAs(t, "RS512", own.Private, `{"alg":"RS512","kid":"key/1"}`, `{}`)
	if err := check(raw, NewKeys(own.Key())); !errors.Is(err, ErrUnsupported) {
		t.Errorf("RS512 under a signing key of ours: %v", err)
	}
}

func TestVerify_ecdsaForged(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "ES384", "ES512"} {
		s := schemeOf(alg)
		private := curveKey(t, s.curve)
		key, err := NewKey("k", &private.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		size, n := fieldBytes(s.curve), s.curve.Params().N
		good := signAs(t, alg, private, `{"alg":"`+alg+`","kid":"k"}`, `{"sub":"a"}`)
		if err := check(good, NewKeys(key)); err != nil {
			t.Fatalf("%s: the twin that must pass: %v", alg, err)
		}
		body := good[:strings.LastIndexByte(good, '.')+1]
		raw, err := base64.RawURLEncoding.DecodeString(good[len(body):])
		if err != nil {
			t.Fatal(err)
		}
		a, b := new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])
		der, err := asn1.Marshal(struct{ R, S *big.Int }{a, b})
		if err != nil {
			t.Fatal(err)
		}
		zero, one := new(big.Int), big.NewInt(1)
		for what, sig := range map[string][]byte{
			"ASN.1":          der,
			"zeros":          fixed(size, zero, zero), // CVE-2022-21449
			"r is zero":      fixed(size, zero, b),
			"s is zero":      fixed(size, a, zero),
			"r and s are n":  fixed(size, n, n),
			"ones":           fixed(size, one, one),
			"swapped":        fixed(size, b, a),
			"a byte before":  append([]byte{0}, raw...),
			"a byte behind":  append(append([]byte{}, raw...), 0),
			"each one wider": fixed(size+1, a, b),
			"half":           raw[:size],
			"one byte":       {1},
			"another key's":  nil,
		} {
			text := body + base64.RawURLEncoding.EncodeToString(sig)
			if what == "another key's" {
				text = signAs(t, alg, curveKey(t, s.curve), `{"alg":"`+alg+`","kid":"k"}`, `{"sub":"a"}`)
			}
			if err := check(text, NewKeys(key)); err == nil {
				t.Errorf("%s: %s: accepted", alg, what)
			}
		}
		other := strings.Replace(good, enc(`{"sub":"a"}`), enc(`{"sub":"b"}`), 1)
		if err := check(other, NewKeys(key)); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: other claims: %v", alg, err)
		}
	}
}

func TestNewKey_refused(t *testing.T) {
	t.Parallel()
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for what, public := range map[string]crypto.PublicKey{
		"nothing":         nil,
		"no RSA key":      (*rsa.PublicKey)(nil),
		"empty RSA key":   &rsa.PublicKey{},
		"no ECDSA key":    (*ecdsa.PublicKey)(nil),
		"empty ECDSA key": &ecdsa.PublicKey{},
		"a value":         small.PublicKey,
		"text":            "key",
		"P-224":           &small.PublicKey,
	} {
		if k, err := NewKey("k", public); err == nil || k != nil {
			t.Errorf("%s: got %v, %v", what, k, err)
		}
	}
	for what, k := range map[string]*Key{
		"no key":      {ID: "k"},
		"no RSA key":  {ID: "k", Public: (*rsa.PublicKey)(nil)},
		"no EC key":   {ID: "k", Public: (*ecdsa.PublicKey)(nil), Algorithm: "ES256"},
		"RSA for EC":  {ID: "k", Public: &testKey(t).Private.PublicKey, Algorithm: "ES256"},
		"EC for RSA":  {ID: "k", Public: &curveKey(t, elliptic.P256()).PublicKey, Algorithm: "RS256"},
		"EC, unnamed": {ID: "k", Public: &curveKey(t, elliptic.P256()).PublicKey},
	} {
		for _, alg := range []string{"RS256", "ES256"} {
			raw := enc(`{"alg":"`+alg+`","kid":"k"}`) + "." + enc(`{}`) + "." + enc(strings.Repeat("a", 64))
			if err := check(raw, NewKeys(k)); err == nil {
				t.Errorf("%s, %s: accepted", what, alg)
			}
		}
	}
}

func TestParseJWKS_curves(t *testing.T) {
	t.Parallel()
	private := curveKey(t, elliptic.P256())
	good, err := NewKey("k", &private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	alter := func(name string, v any) string {
		var set struct {
			Keys []map[string]any `json:"keys"`
		}
		if err := json.Unmarshal(JWKS(good), &set); err != nil {
			t.Fatal(err)
		}
		if set.Keys[0][name] = v; v == nil {
			delete(set.Keys[0], name)
		}
		raw, _ := json.Marshal(set)
		return string(raw)
	}
	if set, err := ParseJWKS([]byte(alter("alg", nil))); err != nil || !good.Equal(set["k"]) {
		t.Errorf("without alg: got %v, %v", set, err)
	}
	x := alter("kid", "k")[strings.Index(alter("kid", "k"), `"x":"`)+5:][:43]
	for what, raw := range map[string]string{
		"another point":    alter("y", x),
		"no y":             alter("y", nil),
		"x with a zero":    alter("x", "AA"+x),
		"x is short":       alter("x", "AAAA"),
		"infinity":         strings.Replace(alter("y", strings.Repeat("A", 43)), x, strings.Repeat("A", 43), 1),
		"a private key":    alter("d", "AA"),
		"padded":           alter("x", x+"="),
		"a line break":     alter("x", x+"\n"),
		"a number":         alter("x", 1),
		"x of other curve": alter("crv", "P-384"),
	} {
		if what == "x of other curve" {
			raw = strings.Replace(raw, `"ES256"`, `"ES384"`, 1)
		}
		if set, err := ParseJWKS([]byte(raw)); err == nil {
			t.Errorf("%s: accepted as %v", what, set)
		}
	}
	for what, raw := range map[string]string{
		"another curve's algorithm": alter("alg", "ES384"),
		"an RSA algorithm":          alter("alg", "RS256"),
		"encryption":                alter("alg", "ECDH-ES"),
		"secp256k1":                 alter("crv", "secp256k1"),
		"lower case":                alter("crv", "p-256"),
		"for encryption":            alter("use", "enc"),
		"to sign":                   alter("key_ops", []string{"sign"}),
		"nameless":                  alter("kid", nil),
		"a pair":                    alter("kty", "OKP"),
	} {
		if set, err := ParseJWKS([]byte(raw)); err != nil || len(set) != 0 {
			t.Errorf("%s: got %v, %v, want an empty set", what, set, err)
		}
	}
}

func BenchmarkVerify_ES256(b *testing.B) {
	private := curveKey(b, elliptic.P256())
	raw := signAs(b, "ES256", private, `{"alg":"ES256","kid":"k"}`, `{"iss":"https://a","exp":100}`)
	pub, err := NewKey("k", &private.PublicKey)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		tok, err := Parse(raw)
		if err != nil || tok.Verify(pub) != nil {
			b.Fatal("refused")
		}
	}
}
