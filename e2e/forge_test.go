package e2e

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
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"
)

// forger makes tokens that must not be believed, out of a genuine one.
type forger struct {
	header, claims map[string]any
	signed         string // header and claims of the genuine token, as they were sent
	signature      string
	public         *rsa.PublicKey // the pool's
	jwk            map[string]any // the same as the pool publishes it
	own            *rsa.PrivateKey
}

// newForger takes a genuine token and the pool's published keys (RFC 7517).
func newForger(raw string, jwks []byte) (*forger, error) {
	f := &forger{}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("a token of %d parts", len(parts))
	}
	f.signed, f.signature = parts[0]+"."+parts[1], parts[2]
	if err := decodePart(parts[0], &f.header); err != nil {
		return nil, err
	}
	if err := decodePart(parts[1], &f.claims); err != nil {
		return nil, err
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(jwks, &set); err != nil {
		return nil, err
	}
	for _, k := range set.Keys {
		if k["kid"] == f.header["kid"] {
			f.jwk = k
		}
	}
	if f.jwk == nil {
		return nil, fmt.Errorf("the pool does not publish the key %v of its token: %s", f.header["kid"], jwks)
	}
	var n, e []byte
	var err error
	if n, err = decodeBytes(f.jwk["n"]); err != nil {
		return nil, err
	}
	if e, err = decodeBytes(f.jwk["e"]); err != nil {
		return nil, err
	}
	f.public = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	f.own, err = rsa.GenerateKey(rand.Reader, 2048)
	return f, err
}

func decodeBytes(v any) ([]byte, error) {
	s, _ := v.(string)
	return base64.RawURLEncoding.DecodeString(s)
}

func decodePart(part string, v any) error {
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	return d.Decode(v)
}

func encodePart(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of what was decoded from JSON
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func with(m map[string]any, set map[string]any) map[string]any {
	m = maps.Clone(m)
	for k, v := range set {
		if v == nil {
			delete(m, k)
			continue
		}
		m[k] = v
	}
	return m
}

// altered is the genuine token with other claims under its old signature.
func (f *forger) altered(claims map[string]any) string {
	head, _, _ := strings.Cut(f.signed, ".")
	return head + "." + encodePart(with(f.claims, claims)) + "." + f.signature
}

// flipped is the genuine token with one bit of its signature changed.
func (f *forger) flipped() string {
	sig, err := base64.RawURLEncoding.DecodeString(f.signature)
	if err != nil {
		panic(err)
	}
	sig[len(sig)/2] ^= 1
	return f.signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// unsigned has an algorithm that means no signature, in whatever letters (CVE-2026-39999 and its like).
func (f *forger) unsigned(alg string) string {
	return encodePart(with(f.header, map[string]any{"alg": alg})) + "." + encodePart(f.claims) + "."
}

// hmacWith is signed by HS256 with a secret that everybody knows.
func (f *forger) hmacWith(secret []byte) string {
	text := encodePart(with(f.header, map[string]any{"alg": "HS256"})) + "." + encodePart(f.claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// pem is the pool's public key as the tools write it: type "PUBLIC KEY" or "RSA PUBLIC KEY".
func (f *forger) pem(kind string) []byte {
	der := x509.MarshalPKCS1PublicKey(f.public)
	if kind == "PUBLIC KEY" {
		var err error
		if der, err = x509.MarshalPKIXPublicKey(f.public); err != nil {
			panic(err)
		}
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// ownKey is signed, correctly, by a key that is not the pool's; header adds to the genuine one.
func (f *forger) ownKey(header map[string]any) string {
	text := encodePart(with(f.header, header)) + "." + encodePart(f.claims)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, f.own, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// ownJWK is the forger's public key as a JWK, to be embedded in a header.
func (f *forger) ownJWK() map[string]any {
	return map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": f.header["kid"], "e": "AQAB",
		"n": base64.RawURLEncoding.EncodeToString(f.own.N.Bytes()),
	}
}

// The forgeries are what they claim to be: each differs from a genuine token in its one point.
func TestForger(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	jwks := fmt.Sprintf(`{"keys":[{"kid":"k1","kty":"RSA","e":"AQAB","n":%q}]}`, base64.RawURLEncoding.EncodeToString(key.N.Bytes()))
	first := &forger{header: map[string]any{"kid": "k1", "alg": "RS256"}, claims: map[string]any{"sub": "ada", "exp": json.Number("1800000000")}, own: key}
	f, err := newForger(first.ownKey(nil), []byte(jwks))
	if err != nil {
		t.Fatal(err)
	}
	verify := func(raw string, key *rsa.PublicKey) error {
		i := strings.LastIndexByte(raw, '.')
		sig, err := base64.RawURLEncoding.DecodeString(raw[i+1:])
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(raw[:i]))
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig)
	}
	if err := verify(f.signed+"."+f.signature, f.public); err != nil {
		t.Fatalf("the genuine token does not verify: %v", err)
	}
	for name, raw := range map[string]string{"flipped": f.flipped(), "altered": f.altered(map[string]any{"sub": "eve"}), "own key": f.ownKey(nil)} {
		if verify(raw, f.public) == nil {
			t.Errorf("%s: the pool's key verifies the forgery", name)
		}
	}
	if err := verify(f.ownKey(map[string]any{"jwk": f.ownJWK()}), &f.own.PublicKey); err != nil {
		t.Errorf("the forger's own key does not verify its token: %v", err)
	}
	for _, raw := range []string{f.unsigned("none"), f.hmacWith(f.pem("PUBLIC KEY")), f.hmacWith(f.pem("RSA PUBLIC KEY"))} {
		var claims map[string]any
		if err := decodePart(strings.Split(raw, ".")[1], &claims); err != nil || claims["sub"] != "ada" {
			t.Errorf("%s: claims %v, %v", raw, claims, err)
		}
	}
}
