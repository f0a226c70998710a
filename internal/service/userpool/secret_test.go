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

func TestFormatUUID(t *testing.T) {
	t.Parallel()
	b := []byte("\x00\x11\x22\x33\x44\x55\xf6\x77\xf8\x99\xaa\xbb\xcc\xdd\xee\xff")
	if got, want := formatUUID(b), "00112233-4455-4677-b899-aabbccddeeff"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
