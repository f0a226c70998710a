package server

import (
	"net/http/httptest"
	"testing"
)

// One address has a share of the requests and no more; others are not hindered.
func TestDoor_Shares(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	ask := func(remote string) (int, string) {
		r := httptest.NewRequest("GET", "http://localhost/_moat/health", nil)
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		door{s}.ServeHTTP(w, r)
		return w.Code, w.Header().Get("Retry-After")
	}
	for _, full := range []struct{ taken, same, other string }{{"192.0.2.1:1", "[::ffff:192.0.2.1]:9", "192.0.2.2:1"}, {"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8:0:1::1]:1"}} {
		key, _ := s.shares.take(full.taken)
		for range maxOfAddress - 2 {
			s.shares.take(full.taken)
		}
		if status, _ := ask(full.same); status != 200 {
			t.Errorf("the last of %s: %d", full.same, status)
		}
		s.shares.take(full.taken)
		if status, after := ask(full.same); status != 503 || after != "1" {
			t.Errorf("one more of %s: %d %q", full.same, status, after)
		}
		if status, _ := ask(full.other); status != 200 {
			t.Errorf("another's, %s: %d", full.other, status)
		}
		for range maxOfAddress {
			s.shares.give(key)
		}
	}
	for range maxOfAddress + 1 {
		if _, ok := s.shares.take("127.0.0.1:1"); !ok {
			t.Fatal("loopback has a limit")
		}
	}
	if n := len(s.shares.have); n != 0 {
		t.Errorf("%d are left", n)
	}
}
