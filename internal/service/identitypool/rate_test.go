package identitypool

import (
	"fmt"
	"testing"
	"time"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

// from calls as a guest at an address would.
func (h *house) from(pool, address string, logins map[string]string) error {
	call := *wire.CallFrom(h.anon)
	call.SourceIP = address
	_, err := h.api.GetId(wire.WithCall(h.t.Context(), &call), &api.GetIdInput{IdentityPoolId: pool, Logins: logins})
	return err
}

// A stranger makes no more guests than a school would; who signs in is not held up
// by that, nor is another address or another pool.
func TestGetId_guestsRate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, other := h.pool(nil), h.pool(nil)
	for n := range guestsBurst {
		if err := h.from(pool, "192.0.2.1", nil); err != nil {
			t.Fatalf("guest %d: %v", n, err)
		}
	}
	const rate = "TooManyRequestsException"
	refused := func(what string, err error, code string) {
		t.Helper()
		if want(t, what, err, code, ""); err == nil {
			t.Errorf("%s: let in", what)
		}
	}
	refused("one more", h.from(pool, "192.0.2.1", nil), rate)
	refused("in another pool", h.from(other, "192.0.2.1", nil), rate)
	want(t, "another address", h.from(pool, "192.0.2.2", nil), "", "")
	want(t, "who signs in", h.from(pool, "192.0.2.1", map[string]string{awsName: h.idToken("ann", nil)}), "", "")
	h.advance(time.Second)
	for range guestsPerSecond {
		want(t, "a second later", h.from(pool, "192.0.2.1", nil), "", "")
	}
	refused("and one more", h.from(pool, "192.0.2.1", nil), rate)
	before := h.count(pool)
	refused("nothing is made", h.from(pool, "192.0.2.1", nil), rate)
	if after := h.count(pool); after != before {
		t.Errorf("%d identities became %d", before, after)
	}
}

// count is how many identities a pool has.
func (h *house) count(pool string) (n int) {
	h.t.Helper()
	in := &api.ListIdentitiesInput{IdentityPoolId: pool, MaxResults: 60}
	for {
		out, err := h.api.ListIdentities(h.root, in)
		if err != nil {
			h.t.Fatal(err)
		}
		if n += len(out.Identities); out.NextToken == nil {
			return n
		}
		in.NextToken = out.NextToken
	}
}

func TestAdmitGuest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admit := func(pool, address string) error {
		return h.s.admitGuest(wire.WithCall(t.Context(), &wire.Call{SourceIP: address}), pool)
	}
	// Addresses of one network of IPv6 are one caller; an IPv4 address has two spellings.
	for n := range guestsBurst {
		if err := admit("p", fmt.Sprintf("2001:db8::%x", n)); err != nil {
			t.Fatal(err)
		}
	}
	for address, may := range map[string]bool{"2001:db8::ffff": false, "2001:db8::1%eth0": false, "2001:db8:0:1::1": true} {
		if err := admit("p", address); (err == nil) != may {
			t.Errorf("%s: %v", address, err)
		}
	}
	for range guestsBurst {
		_ = admit("q", "192.0.2.1")
	}
	if err := admit("q", "::ffff:192.0.2.1"); err == nil {
		t.Error("another spelling of an address is another caller")
	}
	// Many addresses fill neither the memory nor the pool.
	made := 0
	for n := range 3 * maxGuestBuckets {
		if admit("r", fmt.Sprintf("11.%d.%d.%d", n>>16, n>>8&255, n&255)) == nil {
			made++
		}
		if len(h.s.guests.full) > maxGuestBuckets+1 {
			t.Fatalf("%d buckets", len(h.s.guests.full))
		}
	}
	if made != poolGuestsBurst {
		t.Errorf("%d guests of many addresses, want %d", made, poolGuestsBurst)
	}
	h.advance(time.Hour)
	// A proxy's address is everybody's: the pool's bound holds alone.
	for _, address := range []string{"127.0.0.1", "10.0.0.1", "fd00::1", "::1", ""} {
		made := 0
		for range poolGuestsBurst + 1 {
			if admit("pool for "+address, address) == nil {
				made++
			}
		}
		if made != poolGuestsBurst {
			t.Errorf("%d guests behind %q", made, address)
		}
	}
	if err := admit("r", "11.0.0.1"); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}
