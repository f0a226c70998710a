package identitypool

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	api "moat/internal/wire/cognitoidentityapi"
)

// The algorithm follows from the key (CVE-2026-39999, CVE-2026-33322): whatever a
// header says, nothing but the published key of the issuer, in its algorithm, signs in.
func TestLogin_forged(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.worldly()
	dev := h.pool(func(in *api.CreateIdentityPoolInput) { in.DeveloperProviderName = ptr("login.example") })
	user := h.developer(dev, "u", nil)
	good := map[string]string{
		awsName:       h.idToken("a", nil),
		"idp.example": h.foreign(map[string]any{"iss": "https://idp.example", "aud": "app1"}),
		provider:      *user.Token,
	}
	for name, raw := range good {
		key := signer()
		if name == "idp.example" {
			key = stranger()
		}
		der, err := x509.MarshalPKIXPublicKey(key.Key().Public)
		if err != nil {
			t.Fatal(err)
		}
		public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		parts := strings.Split(raw, ".")
		forged := map[string]string{
			"hmac with the public key": forge(`{"alg":"HS256","kid":"k1"}`, parts[1], public),
			"none":                     b64(`{"alg":"none","kid":"k1"}`) + "." + parts[1] + ".",
			"NoNe":                     b64(`{"alg":"NoNe","kid":"k1"}`) + "." + parts[1] + "." + parts[2],
			"no algorithm":             b64(`{"kid":"k1"}`) + "." + parts[1] + "." + parts[2],
			"a key of its own":         b64(`{"alg":"RS256","kid":"k1","jwk":{}}`) + "." + parts[1] + "." + parts[2],
			"a key elsewhere":          b64(`{"alg":"RS256","kid":"k1","jku":"https://evil.example"}`) + "." + parts[1] + "." + parts[2],
			"a certificate elsewhere":  b64(`{"alg":"RS256","kid":"k1","x5u":"https://evil.example"}`) + "." + parts[1] + "." + parts[2],
			"another algorithm":        b64(`{"alg":"RS512","kid":"k1"}`) + "." + parts[1] + "." + parts[2],
			"a curve's algorithm":      b64(`{"alg":"ES256","kid":"k1"}`) + "." + parts[1] + "." + parts[2],
			"critical":                 b64(`{"alg":"RS256","kid":"k1","crit":["x"]}`) + "." + parts[1] + "." + parts[2],
			"another key":              b64(`{"alg":"RS256","kid":"k2"}`) + "." + parts[1] + "." + parts[2],
			"other claims":             parts[0] + "." + b64(`{"sub":"root"}`) + "." + parts[2],
			"cut":                      raw[:len(raw)-1],
			"longer":                   raw + "A",
			"no signature":             parts[0] + "." + parts[1] + ".",
		}
		for what, token := range forged {
			var err error
			if name == provider {
				err = h.credentials(*user.IdentityId, map[string]string{name: token})
			} else {
				_, err = h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: pool, Logins: map[string]string{name: token}})
			}
			if err == nil {
				t.Errorf("%s, %s: let in", name, what)
				continue
			}
			want(t, name+", "+what, err, "NotAuthorizedException", "")
		}
	}
	want(t, "the user's token itself", h.credentials(*user.IdentityId, map[string]string{provider: *user.Token}), "", "")
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func forge(header, payload string, key []byte) string {
	signed := b64(header) + "." + payload
	m := hmac.New(sha256.New, key)
	m.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func ptr[T any](v T) *T { return &v }
