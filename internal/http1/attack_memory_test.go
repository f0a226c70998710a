package http1

import (
	"bufio"
	"strings"
	"testing"
)

// Clients that send most of a large header and then nothing hold a bounded amount of
// memory: when it is taken, another large header is turned away for now, a usual one is not.
func TestAttack_LargeHeadsThatDoNotEnd(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: hello})
	large := get + "X: " + strings.Repeat("y", 3*inSize)
	c := s.dial()
	send(t, c, large)
	until(t, "no large buffer is taken", func() bool { return s.heads.Load() == 1 })
	s.heads.Add(maxLarge - 1) // as if so many others did the same
	if got := s.ask(large); statuses(got) != "503" || !strings.Contains(got, "Retry-After: 1\r\n") {
		t.Errorf("one too many: %q", got)
	}
	if got := s.ask(get + "Connection: close\r\n\r\n"); statuses(got) != "200" {
		t.Errorf("a usual header: %q", got)
	}
	s.heads.Add(1 - maxLarge)
	if got := s.ask(large + "\r\nConnection: close\r\n\r\n"); statuses(got) != "200" {
		t.Errorf("a large header afterwards: %q", got)
	}
	send(t, c, "\r\n\r\n")
	answersOf(t, bufio.NewReader(c), "GET", 1)
	until(t, "the large buffer is kept while the connection waits", func() bool { return s.heads.Load() == 0 })
}
