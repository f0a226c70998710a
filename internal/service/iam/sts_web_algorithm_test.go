package iam

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"moat/internal/issuer"
	"moat/internal/pure/token"
)

// signedAs is a token in alg by private, an RSA or ECDSA key.
func signedAs(t *testing.T, alg, kid string, private crypto.Signer, claims map[string]any) string {
	t.Helper()
	head, _ := json.Marshal(map[string]string{"alg": alg, "kid": kid})
	body, _ := json.Marshal(claims)
	enc := base64.RawURLEncoding
	text := enc.EncodeToString(head) + "." + enc.EncodeToString(body)
	hash, sum := crypto.SHA256, sha256.New()
	switch alg[2:] {
	case "384":
		hash, sum = crypto.SHA384, sha512.New384()
	case "512":
		hash, sum = crypto.SHA512, sha512.New()
	}
	sum.Write([]byte(text))
	var sig []byte
	var err error
	switch k := private.(type) {
	case *rsa.PrivateKey:
		sig, err = rsa.SignPKCS1v15(nil, k, hash, sum.Sum(nil))
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, k, sum.Sum(nil))
		size := (k.Params().BitSize + 7) / 8
		sig = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + enc.EncodeToString(sig)
}

// The algorithms of AssumeRoleWithWebIdentity's contract; which of them a token may
// use is its key's to say.
func TestAssumeRoleWithWebIdentity_algorithms(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	curves := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}
	private := map[string]crypto.Signer{"RS256": signer().Private, "RS384": newSigner().Private, "RS512": newSigner().Private, "any": newSigner().Private}
	for alg, curve := range curves {
		private[alg] = must(t)(ecdsa.GenerateKey(curve, rand.Reader)).(*ecdsa.PrivateKey)
	}
	var keys []*token.Key
	for alg, k := range private {
		key := &token.Key{ID: alg, Public: k.Public(), Algorithm: alg}
		if alg == "any" {
			key.Algorithm = ""
		}
		keys = append(keys, key)
	}
	s := foreignIssuer(t, keys...)
	h.s.cfg.Foreign = issuer.New(issuer.Config{Client: s.Client(), Now: h.clock})
	role := h.role("web", h.webTrust(h.oidc(s.URL, nil, "client1"), `"StringEquals":{"`+strings.TrimPrefix(s.URL, "https://")+`:sub":"u1"}`), allowRead)
	claims := map[string]any{"iss": s.URL, "aud": "client1", "sub": "u1", "exp": h.clock().Unix() + 600}
	for _, tt := range []struct{ alg, kid, by, code string }{
		{"RS256", "RS256", "RS256", ""},
		{"RS384", "RS384", "RS384", ""},
		{"RS512", "RS512", "RS512", ""},
		{"RS256", "any", "any", ""},
		{"RS512", "any", "any", ""},
		{"ES256", "ES256", "ES256", ""},
		{"ES384", "ES384", "ES384", ""},
		{"ES512", "ES512", "ES512", ""},
		{"RS512", "RS256", "RS256", "InvalidIdentityToken"},
		{"RS256", "RS512", "RS512", "InvalidIdentityToken"},
		{"RS256", "ES256", "RS256", "InvalidIdentityToken"},
		{"ES256", "any", "ES256", "InvalidIdentityToken"},
		{"ES256", "ES384", "ES384", "InvalidIdentityToken"},
		{"ES384", "ES384", "ES256", "InvalidIdentityToken"},
		{"ES256", "nobody", "ES256", "InvalidIdentityToken"},
		{"PS256", "any", "any", "InvalidIdentityToken"},
		{"HS256", "any", "any", "InvalidIdentityToken"},
	} {
		_, err := h.assumeWeb(role, signedAs(t, tt.alg, tt.kid, private[tt.by], claims))
		want(t, tt.alg+" by "+tt.by+" as "+tt.kid, err, tt.code, "")
		if (err == nil) != (tt.code == "") {
			t.Errorf("%v: %v", tt, err)
		}
	}
}
