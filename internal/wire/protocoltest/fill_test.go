package protocoltest

import (
	"testing"
)

// TestCases fills the messages of every case: a member without a field, or of
// another type than the case gives, is an error.
func TestCases(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"json", "query", "rest-json", "rest-xml"} {
		for _, kind := range []string{"input", "output"} {
			cases, err := Cases(kind, protocol)
			if err != nil {
				t.Fatal(err)
			}
			if len(cases) < 8 {
				t.Errorf("%s/%s: got %d cases, want 8 or more", kind, protocol, len(cases))
			}
			for _, c := range cases {
				if _, err := Fill(c.Input, c.Params); err != nil {
					t.Errorf("%s: params: %v", c.Name, err)
				}
				if _, err := Fill(c.Output, c.Result); err != nil {
					t.Errorf("%s: result: %v", c.Name, err)
				}
			}
		}
	}
	if _, err := Cases("input", "cbor"); err == nil {
		t.Error("cases of an unknown protocol: got no error")
	}
}
