package outbound

import (
	"net/netip"
	"testing"
)

func TestReachable(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string][2]bool{ // public only, private too
		"93.184.216.34": {true, true}, "2606:2800:220:1::1": {true, true},
		"127.0.0.1": {false, true}, "::1": {false, true}, "10.1.2.3": {false, true}, "192.168.0.1": {false, true}, "172.16.0.1": {false, true}, "fd00::1": {false, true}, "100.64.0.1": {false, true},
		"169.254.169.254": {}, "::ffff:169.254.169.254": {}, "64:ff9b::a9fe:a9fe": {}, "2002:a9fe:a9fe::1": {}, "::a9fe:a9fe": {}, "fe80::1": {}, "fe80::1%eth0": {}, "fd00:ec2::254": {}, "100.100.100.200": {},
		"0.0.0.0": {}, "::": {}, "0.1.2.3": {}, "224.0.0.1": {}, "255.255.255.255": {}, "ff02::1": {}, "192.0.0.192": {},
		"::ffff:127.0.0.1": {false, true}, "64:ff9b::7f00:1": {false, true},
	} {
		a := netip.MustParseAddr(addr)
		if got := [2]bool{reachable(a, false), reachable(a, true)}; got != want {
			t.Errorf("%s: got %v, want %v", addr, got, want)
		}
	}
}
