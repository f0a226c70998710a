package server

import (
	"net/netip"
	"sync"
)

// shares counts what each address has under way. Over HTTP/2 few connections bring many requests:
// whoever takes no answers must not fill the house.
type shares struct {
	mu   sync.Mutex
	have map[netip.Addr]int
}

// maxOfAddress is how many requests of one address net/http may have in handlers at once; our own
// engine allows one address as many connections.
const maxOfAddress = maxRunning / 4

// take counts one more for the address of a connection, and reports whether it may have it. Those
// of this machine count for nobody: a proxy brings everybody's.
func (s *shares) take(remote string) (key netip.Addr, ok bool) {
	at, err := netip.ParseAddrPort(remote)
	addr := at.Addr().Unmap().WithZone("")
	if err != nil || addr.IsLoopback() {
		return netip.Addr{}, true
	}
	if addr.Is6() { // a network is one
		p, _ := addr.Prefix(64)
		addr = p.Addr()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.have[addr] >= maxOfAddress {
		return netip.Addr{}, false
	}
	if s.have == nil {
		s.have = map[netip.Addr]int{}
	}
	s.have[addr]++
	return addr, true
}

// give ends what take counted.
func (s *shares) give(key netip.Addr) {
	if !key.IsValid() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.have[key]--; s.have[key] <= 0 {
		delete(s.have, key)
	}
}
