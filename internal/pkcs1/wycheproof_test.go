package pkcs1

import (
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"moat/internal/pure/token"
)

// TestKeys_Verify_wycheproof gives each of Wycheproof's web signatures that names an RSA
// key to us and to crypto/rsa, under each hash.
func TestKeys_Verify_wycheproof(t *testing.T) {
	t.Parallel()
	keys, accepted, asked := new(Keys), 0, 0
	for _, file := range []string{"json_web_signature_test.json", "json_web_key_test.json"} {
		raw, err := os.ReadFile("../pure/token/testdata/" + file)
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
			for _, public := range rsaKeys(material) {
				for _, tt := range g.Tests {
					dot := strings.LastIndexByte(tt.Jws, '.')
					if dot < 0 {
						continue
					}
					sig, _ := base64.RawURLEncoding.DecodeString(tt.Jws[dot+1:]) // what can be decoded of it
					for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
						if asked++; same(t, keys, public, h, hashed(h, tt.Jws[:dot]), sig) {
							accepted++
						}
					}
				}
			}
		}
	}
	if t.Logf("%d of %d accepted", accepted, asked); accepted == 0 || accepted == asked {
		t.Errorf("%d of %d accepted", accepted, asked)
	}
}

func rsaKeys(material json.RawMessage) (out []*rsa.PublicKey) {
	var set struct{ Keys json.RawMessage }
	if json.Unmarshal(material, &set) == nil && set.Keys == nil {
		material = json.RawMessage(`{"keys":[` + string(material) + `]}`)
	}
	found, err := token.ParseJWKS(dropPrivate(material))
	if err != nil {
		return nil
	}
	for _, k := range found {
		if public, ok := k.Public.(*rsa.PublicKey); ok {
			out = append(out, public)
		}
	}
	return out
}

// dropPrivate leaves the private halves out of a key set.
func dropPrivate(raw json.RawMessage) json.RawMessage {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if json.Unmarshal(raw, &set) != nil {
		return raw
	}
	for _, k := range set.Keys {
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi"} {
			delete(k, name)
		}
	}
	out, err := json.Marshal(set)
	if err != nil {
		return raw
	}
	return out
}
