package userpool

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// A code that opens a sign-in can be asked for by anybody who knows a name. What a stranger
// does must not keep its owner out: each challenge has a code of its own, which no later one
// replaces, and what is asked for and guessed at is counted for each network by itself. All
// networks together may have maxOpenings codes sent; a network from which such a code was right
// before is not held to that.
const (
	maxOpenings = 30
	knownLife   = 30 * 24 * time.Hour
)

// opens says whether the code of a challenge is the first thing that a sign-in proves.
func opens(at *attempt) bool { return len(at.Proven) == 0 && at.Flow == api.AuthFlowTypeUSER_AUTH }

func purposeOpening(attribute, id string) string { return purposeSignIn(attribute) + " for " + id }

// network is where a step comes from, so that nobody can read it in the database.
func (s *Service) network(ctx context.Context, st *step) string {
	var t threat
	t.locate(ctx, &st.client, st.from)
	return hex.EncodeToString(s.secrets.mac("network", st.pool.ID, networkOf(t.address))[:8])
}

// putOpening stores such a code and its letter. Over the bound of all networks nothing is sent; a
// client that must not learn who exists is told the same as ever, since a known network would.
func (s *Service) putOpening(tx *store.Tx, st *step, c Code, life time.Duration, m Message) error {
	counts := Code{Pool: c.Pool, User: c.User, Attribute: c.Attribute}
	counts.Purpose = purposeSignIn(c.Attribute) + " from " + c.Network
	over, err := s.countSent(tx, counts, maxSends)
	if err == nil && over {
		err = errTooMany()
	}
	if err != nil {
		return err
	}
	counts.Purpose = purposeSignIn(c.Attribute)
	if over, err = s.countSent(tx, counts, maxOpenings); err != nil {
		return err
	}
	known, err := s.knownNetwork(tx, &c)
	if err != nil {
		return err
	}
	if over && !known {
		if !st.client.hidesUsers() {
			return errTooMany()
		}
		c.Sealed = nil
	}
	return s.putSentCode(tx, c, life, m, st.on)
}

// countSent counts a code against a bound, within the window in which codes count.
func (s *Service) countSent(tx *store.Tx, counts Code, most int) (over bool, err error) {
	err = s.putCodeOf(tx, counts, codeWindow, most)
	if is(err, limitExceeded) {
		return true, nil
	}
	return false, err
}

func (s *Service) knownNetwork(tx *store.Tx, c *Code) (bool, error) {
	k, err := s.tables.codes.Get(tx, c.Pool, c.User, knownPurpose(c))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && s.time().Before(k.ExpiresAt), err
}

func knownPurpose(c *Code) string { return purposeSignIn(c.Attribute) + " known " + c.Network }

// redeemOpening is redeem for such a code: guesses count for the network that asked for it.
func (s *Service) redeemOpening(tx *store.Tx, u *User, sent *Code, given string) (c Code, verdict, err error) {
	counts, err := s.tables.codes.Get(tx, sent.Pool, sent.User, purposeSignIn(sent.Attribute)+" from "+sent.Network)
	if err != nil {
		return c, nil, err // it was stored with the code, and lives longer
	}
	if s.time().Before(counts.Window.Add(codeWindow)) && counts.Attempts >= maxAttempts {
		return c, errTooMany(), nil
	}
	if c, verdict, err = s.redeem(tx, u.Pool, u.Key, sent.Purpose, given); err != nil {
		return c, nil, err
	}
	if verdict != nil {
		counts.Attempts++
		return c, verdict, s.tables.codes.Put(tx, counts)
	}
	now := s.time()
	return c, nil, s.tables.codes.Put(tx, Code{Pool: u.Pool, User: u.Key, Purpose: knownPurpose(sent), Attribute: sent.Attribute, Network: sent.Network, Window: now, ExpiresAt: now.Add(knownLife)})
}
