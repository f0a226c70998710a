package iam

import (
	"strings"
	"testing"
)

func TestValidTag(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, value string
		want       bool
	}{
		{"team", "", true}, {"Größe 1", "a/b=c+d-e@f:g.h_i", true}, {strings.Repeat("ü", 128), strings.Repeat("ü", 256), true},
		{"", "x", false}, {strings.Repeat("k", 129), "", false}, {"k", strings.Repeat("v", 257), false},
		{"a*b", "", false}, {"k", "a\nb", false}, {"k", "\xff", false},
	} {
		if got := validTag(c.key, c.value); got != c.want {
			t.Errorf("%.20q=%.20q: got %v, want %v", c.key, c.value, got, c.want)
		}
	}
}
