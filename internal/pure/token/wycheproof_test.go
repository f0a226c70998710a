package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// Wycheproof's vectors: payloads there are not JSON, so this drives the layer below Parse.
func TestWycheproof(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"json_web_signature_test.json", "json_web_key_test.json"} {
		raw, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			TestGroups []struct {
				Public, Private json.RawMessage
				Tests           []struct {
					TcID         int
					Comment, Jws string
					Result       string
				}
			}
		}
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		accepted, refused := map[string]int{}, 0
		for _, g := range doc.TestGroups {
			material := g.Public
			if material == nil {
				material = g.Private
			}
			keys := wycheproofKeys(material)
			for _, tt := range g.Tests {
				alg := algOf(tt.Jws)
				ours := schemeOf(alg).hash != 0
				// The key of RFC 7520 figure 27 says ES521 there, which is no algorithm.
				ours = ours && !bytes.Contains(material, []byte(`"ES521"`))
				err := wycheproofVerify(tt.Jws, keys)
				switch {
				case tt.Result == "invalid" && err == nil:
					t.Errorf("%s %d (%s): accepted", file, tt.TcID, tt.Comment)
				case tt.Result == "valid" && ours && err != nil:
					t.Errorf("%s %d (%s): refused: %v", file, tt.TcID, tt.Comment, err)
				case tt.Result == "valid" && !ours && err == nil:
					t.Errorf("%s %d (%s): accepted, %s is none of ours", file, tt.TcID, tt.Comment, alg)
				}
				if err == nil {
					accepted[alg]++
				} else {
					refused++
				}
			}
		}
		if file == "json_web_signature_test.json" && (accepted["RS256"] == 0 || accepted["RS384"] == 0 || accepted["RS512"] == 0 || accepted["ES256"] == 0) {
			t.Errorf("nothing accepted: %v", accepted)
		}
		t.Logf("%s: accepted %v, refused %d", file, accepted, refused)
	}
}

func wycheproofVerify(raw string, keys KeySet) error {
	tok, _, err := parse(raw)
	if err != nil {
		return err
	}
	return tok.VerifyWith(keys)
}

func algOf(raw string) string {
	head, _, _ := strings.Cut(raw, ".")
	var h struct{ Alg string }
	b, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil || json.Unmarshal(b, &h) != nil {
		return ""
	}
	return h.Alg
}

func wycheproofKeys(material json.RawMessage) Keys {
	var one struct{ Keys json.RawMessage }
	if json.Unmarshal(material, &one) != nil {
		return nil
	}
	if one.Keys == nil {
		material = json.RawMessage(`{"keys":[` + string(material) + `]}`)
	}
	set, err := ParseJWKS(material)
	if err != nil {
		return nil
	}
	return set
}
