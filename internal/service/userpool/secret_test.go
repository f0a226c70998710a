package userpool

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"sync"
	"testing"
)

// An authenticator is the same whoever made one before and whoever makes one beside it.
func TestSecrets_mac(t *testing.T) {
	t.Parallel()
	s := &secrets{key: []byte("key")}
	var side sync.WaitGroup
	for _, part := range []string{"", "a", strings.Repeat("long", 200)} {
		side.Go(func() {
			for range 100 {
				m := hmac.New(sha256.New, s.key)
				m.Write(appendPart(appendPart([]byte("2:of"), part), "b"))
				if got, want := s.mac("of", part, "b"), m.Sum(nil); !bytes.Equal(got, want) {
					t.Errorf("%q: got %x, want %x", part, got, want)
				}
			}
		})
	}
	side.Wait()
}
