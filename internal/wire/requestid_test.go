package wire

import (
	"crypto/rand"
	"regexp"
	"strings"
	"testing"
	"time"
)

// An id is a UUID of version 4 that tells its time to who knows how, and looks random.
func TestRequestID(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	at, beginnings := time.Date(2026, 11, 20, 12, 0, 0, 5e6, time.UTC), map[string]bool{}
	for range 1000 {
		var b [16]byte
		_, _ = rand.Read(b[:])
		id := requestID(at.Add(999*time.Microsecond), b)
		if got, ok := RequestTime(id); !ok || !got.Equal(at) || !form.MatchString(id) {
			t.Fatalf("%s: %v %v", id, got, ok)
		}
		beginnings[id[:13]] = true
	}
	if len(beginnings) < 990 {
		t.Errorf("1000 ids of one moment begin in %d ways", len(beginnings))
	}
	id := requestID(at, [16]byte{})
	for _, other := range []string{"", "x", strings.ReplaceAll(id, "-", ""), "+" + id[1:], id[:24] + "+" + id[25:], id[:14] + "7" + id[15:], strings.ReplaceAll(id, "-", "_"), strings.ToUpper(id), id[:20] + "<" + id[21:]} {
		if got, ok := RequestTime(other); ok {
			t.Errorf("%s: %v", other, got)
		}
	}
}
