//go:build !race

package wire_test

import "testing"

// The two calls of a sign-in stay as cheap as they are.
// With the race detector there are more of them: it empties pools.
func TestSignIn_allocations(t *testing.T) {
	both := costOf(t)
	both()
	if n := testing.AllocsPerRun(100, both); n > signInAllocs {
		t.Errorf("%v allocations, want no more than %d", n, signInAllocs)
	}
}

const signInAllocs = 42
