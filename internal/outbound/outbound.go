// Package outbound is the only way out of this process to an address that somebody
// else chose: HTTP integrations, the keys of foreign issuers.
//
// It decides on the resolved address at each connection, so neither a name nor a
// redirect nor a changed DNS answer leads past it. It follows no proxy of the
// environment. What names resolve to is kept for half a minute.
package outbound

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrForbidden says that an address is not one that may be reached.
var ErrForbidden = errors.New("outbound: the address is not one that may be reached")

// NewTransport returns a transport that reaches public addresses and, where
// private is true, loopback and private ranges. The caller may set its TLS
// configuration; its dialer must stay.
func NewTransport(private bool) *http.Transport {
	return &http.Transport{
		DialContext: NewDialer(private).DialContext, DisableCompression: true, ForceAttemptHTTP2: true,
		MaxIdleConns: 1024, MaxIdleConnsPerHost: 256, IdleConnTimeout: 60 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, ExpectContinueTimeout: time.Second, MaxResponseHeaderBytes: 64 << 10,
	}
}

// newDialer decides on each address at the moment of the connection.
func newDialer(private bool) *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second,
		Control: func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !reachable(at.Addr(), private) {
				return ErrForbidden
			}
			return nil
		}}
}

// reachable decides on one address. Never: link-local (where machines keep their
// metadata), metadata at other addresses, multicast, unspecified, reserved. Loopback
// and private ranges only when the operator allows them.
func reachable(a netip.Addr, private bool) bool {
	a = a.Unmap().WithZone("")
	if v4, ok := embedded(a); ok {
		return reachable(v4, private)
	}
	switch {
	case !a.IsValid(), a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast(), a.IsInterfaceLocalMulticast(), metadata(a):
		return false
	case a.IsLoopback(), a.IsPrivate():
		return private
	}
	for _, s := range [...]string{"0.0.0.0/8", "240.0.0.0/4", "192.0.0.0/24", "fec0::/10"} {
		if netip.MustParsePrefix(s).Contains(a) {
			return false
		}
	}
	for _, s := range [...]string{"100.64.0.0/10", "198.18.0.0/15"} {
		if netip.MustParsePrefix(s).Contains(a) {
			return private
		}
	}
	return true
}

// metadata reports the addresses at which clouds answer for their machines outside of
// the link-local range.
func metadata(a netip.Addr) bool {
	switch a.String() {
	case "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192":
		return true
	}
	return false
}

// embedded gives the IPv4 address that an IPv6 address stands for: NAT64 (RFC 6052),
// 6to4 (RFC 3056) and the deprecated IPv4-compatible form.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return a, false
	}
	b := a.As16()
	at := func(i int) (netip.Addr, bool) { return netip.AddrFrom4([4]byte(b[i : i+4])), true }
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a):
		return at(12)
	case b[0] == 0x20 && b[1] == 0x02:
		return at(2)
	case netip.MustParsePrefix("::/96").Contains(a) && !a.IsLoopback() && !a.IsUnspecified():
		return at(12)
	}
	return a, false
}
