package gateway

import (
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestBase64Reader encodes whole texts, however they come, and no part of one that breaks off for the whole.
func TestBase64Reader(t *testing.T) {
	t.Parallel()
	for n := range 70 {
		raw := strings.Repeat("\x00\xff\x10a", 1100)[:n*61]
		want := base64.StdEncoding.EncodeToString([]byte(raw))
		for name, from := range map[string]io.Reader{
			"whole": strings.NewReader(raw), "by halves": iotest.HalfReader(strings.NewReader(raw)), "by bytes": iotest.OneByteReader(strings.NewReader(raw)),
			"with its end": iotest.DataErrReader(strings.NewReader(raw)),
		} {
			got, err := io.ReadAll(&base64Reader{from: from})
			if err != nil || string(got) != want {
				t.Fatalf("%d bytes, %s: %v, %d bytes, want %d", len(raw), name, err, len(got), len(want))
			}
		}
	}
	broken := errors.New("broken")
	if _, err := io.ReadAll(&base64Reader{from: io.MultiReader(strings.NewReader("abcd"), iotest.ErrReader(broken))}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
