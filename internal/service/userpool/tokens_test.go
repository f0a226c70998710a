package userpool

import (
	"encoding/json"
	"testing"
)

// Claims are written as encoding/json writes them.
func TestAppendClaims(t *testing.T) {
	t.Parallel()
	for _, claims := range []map[string]any{
		nil,
		{},
		{"sub": "a", "exp": int64(1 << 40), "email_verified": true, "phone_number_verified": false, "version": 2},
		{"cognito:groups": []string{"a", "<b>"}, "address": map[string]string{"formatted": "1 \"Way\"\n\u2028"}, "n": nil},
		{"name": "J\u00f6rg & <Co>\x00\xff", "custom:\"x\"": "y", "f": 1.5, "list": []any{"a", 1.0, map[string]any{"b": false}}},
	} {
		want, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		if claims == nil {
			want = []byte("{}")
		}
		if got, err := appendClaims(nil, claims); err != nil || string(got) != string(want) {
			t.Errorf("got %s, %v\nwant %s", got, err, want)
		}
	}
	if _, err := appendClaims(nil, map[string]any{"f": func() {}}); err == nil {
		t.Error("a claim that no JSON can hold was written")
	}
}
