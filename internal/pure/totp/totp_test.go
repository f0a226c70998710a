package totp

import (
	"testing"
	"time"
)

// The vectors of RFC 6238, appendix B, for SHA-1, their last six digits.
func TestCode_rfc6238(t *testing.T) {
	t.Parallel()
	secret := []byte("12345678901234567890")
	for unix, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471",
		1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got := Code(secret, StepOf(time.Unix(unix, 0))); got != want {
			t.Errorf("at %d: got %s, want %s", unix, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	secret, now := []byte("12345678901234567890"), time.Unix(1111111111, 0)
	at := StepOf(now)
	tests := map[string]struct {
		code  string
		after int64
		ok    bool
	}{
		"now":              {Code(secret, at), 0, true},
		"one period late":  {Code(secret, at-1), 0, true},
		"one period early": {Code(secret, at+1), 0, true},
		"two periods late": {Code(secret, at-2), 0, false},
		"two early":        {Code(secret, at+2), 0, false},
		"used before":      {Code(secret, at), at, false},
		"older than used":  {Code(secret, at-1), at, false},
		"next after used":  {Code(secret, at+1), at, true},
		"wrong":            {"000000", 0, false},
		"empty":            {"", 0, false},
		"too long":         {Code(secret, at) + "0", 0, false},
	}
	for name, tt := range tests {
		if _, ok := Match(secret, tt.code, now, 1, tt.after); ok != tt.ok {
			t.Errorf("%s: got %v, want %v", name, ok, tt.ok)
		}
	}
	if _, ok := Match(nil, Code(nil, at), now, 1, 0); ok {
		t.Error("no secret matches a code")
	}
}
