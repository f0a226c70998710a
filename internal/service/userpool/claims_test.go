package userpool

import (
	"encoding/json"
	"testing"
)

// claimsOf lists a map of claims.
func claimsOf(all map[string]any) (c claims) {
	for name, value := range all {
		c = append(c, claimed{name, value})
	}
	return c
}

// Claims are written as encoding/json writes them.
func TestClaims_append(t *testing.T) {
	t.Parallel()
	for _, all := range []map[string]any{
		nil,
		{},
		{"sub": "a", "exp": int64(1 << 40), "email_verified": true, "phone_number_verified": false, "version": 2},
		{"cognito:groups": []string{"a", "<b>"}, "address": map[string]string{"formatted": "1 \"Way\"\n\u2028"}, "n": nil},
		{"name": "J\u00f6rg & <Co>\x00\xff", "custom:\"x\"": "y", "f": 1.5, "list": []any{"a", 1.0, map[string]any{"b": false}}},
	} {
		want, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		if all == nil {
			want = []byte("{}")
		}
		said := claimsOf(all)
		for name := range all { // what was said before does not count
			said = append(claims{{name, "before"}, {name, nil}}, said...)
		}
		if got, err := said.append(nil); err != nil || string(got) != string(want) {
			t.Errorf("got %s, %v\nwant %s", got, err, want)
		}
	}
	if _, err := (claims{{"f", func() {}}}).append(nil); err == nil {
		t.Error("a claim that no JSON can hold was written")
	}
}

func TestClaims_append_allocations(t *testing.T) {
	c, b := claims{{"sub", "a"}, {"exp", int64(1 << 40)}, {"email_verified", true}, {"aud", "b"}}, make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { b, _ = c.append(b[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
