package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"moat/internal/pure/montgomery"
)

func TestSign_ES256(t *testing.T) {
	t.Parallel()
	private := curveKey(t, elliptic.P256())
	k, err := NewCurveKey("c1", private)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewCurveKey("c1", curveKey(t, elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 64 { // numbers with leading zeros among them
		claims := fmt.Appendf(nil, `{"sub":"%d"}`, i)
		raw, err := Sign(k, claims)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := Sign(k, claims); again != raw {
			t.Error("signed by chance")
		}
		if err := check(raw, NewKeys(k.Key())); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
		if check(raw, NewKeys(other.Key())) == nil {
			t.Error("verified by another key")
		}
		if check(raw[:len(raw)-2], NewKeys(k.Key())) == nil || check(raw+"AA", NewKeys(k.Key())) == nil {
			t.Error("verified when cut or extended")
		}
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(JWKS(k.Key()), &set); err != nil {
		t.Fatal(err)
	}
	if j := set.Keys[0]; j["kty"] != "EC" || j["crv"] != "P-256" || j["alg"] != "ES256" || j["kid"] != "c1" || j["d"] != "" {
		t.Errorf("got %v", j)
	}
	if text := fmt.Sprintf("%v %+v %#v", k, k, k); strings.Contains(text, fmt.Sprint(private)) || !strings.Contains(text, "[redacted]") {
		t.Errorf("it prints %s", text)
	}
}

// A token is its three parts, whatever their lengths, and little is held beside it.
func TestSign_parts(t *testing.T) {
	k, enc := testKey(t), base64.RawURLEncoding
	for n := range 70 {
		claims := []byte(`{"a":"` + strings.Repeat("x", n*n/4) + `"}`)
		payload := k.header + enc.EncodeToString(claims)
		sum := sha256.Sum256([]byte(payload))
		sig, err := k.sign(&sum)
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := Sign(k, claims); err != nil || raw != payload+"."+enc.EncodeToString(sig) {
			t.Errorf("%s: got %s, %v", claims, raw, err)
		}
	}
	claims := make([]byte, 700)
	more := testing.AllocsPerRun(3, func() { _, _ = k.sign(new([sha256.Size]byte)) })
	if n := testing.AllocsPerRun(3, func() { _, _ = Sign(k, claims) }) - more; n > 2 {
		t.Errorf("%v allocations", n)
	}
}

// The two kinds of key under one id: each refuses what the other has signed.
func TestSign_confused(t *testing.T) {
	t.Parallel()
	r := testKey(t)
	c, err := NewCurveKey(r.ID, curveKey(t, elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]*SigningKey{{r, c}, {c, r}} {
		raw, err := Sign(pair[0], []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := check(raw, NewKeys(pair[0].Key())); err != nil {
			t.Error(err)
		}
		if check(raw, NewKeys(pair[1].Key())) == nil {
			t.Errorf("%s verified what %s has signed", pair[1].Key().Algorithm, pair[0].Key().Algorithm)
		}
	}
}

func TestNewCurveKey_refused(t *testing.T) {
	t.Parallel()
	for name, private := range map[string]*ecdsa.PrivateKey{"none": nil, "P-384": curveKey(t, elliptic.P384()), "P-224": curveKey(t, elliptic.P224()), "empty": {}} {
		if _, err := NewCurveKey("k", private); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := NewCurveKey("", curveKey(t, elliptic.P256())); err == nil {
		t.Error("a key without an id")
	}
}

func BenchmarkSign_algorithms(b *testing.B) {
	c, err := NewCurveKey("c", curveKey(b, elliptic.P256()))
	if err != nil {
		b.Fatal(err)
	}
	for name, k := range map[string]*SigningKey{"RS256": testKey(b), "ES256": c} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Sign(k, []byte(`{"sub":"a"}`)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A signature is slow where crypto/rsa makes it: without the processor's multipliers, or of another size.
func TestSigningKey_Slow(t *testing.T) {
	t.Parallel()
	key := func(bits int) *SigningKey {
		private, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		k, err := NewSigningKey("k", private)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := NewCurveKey("c", curve)
	if err != nil {
		t.Fatal(err)
	}
	if ec.Slow() || !key(3072).Slow() || key(2048).Slow() == montgomery.Available() {
		t.Errorf("slow: ES256 %v, RS256 of 3,072 bits %v, of 2,048 bits %v", ec.Slow(), key(3072).Slow(), key(2048).Slow())
	}
}
