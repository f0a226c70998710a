package userpool

import (
	"context"
	"errors"
	"net"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// admit refuses a request from an address from which nobody may even try, of an operation that
// is no sign-in.
func (s *Service) admit(ctx context.Context, clientID string, from *api.UserContextDataType) error {
	var p Pool
	var c Client
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, c, err = s.both(tx, clientID)
		return err
	})
	if err != nil {
		return err
	}
	t, err := s.threatOf(ctx, &p, &c, origin{user: from})
	return errors.Join(err, t.admit())
}

// admitExchange is admit for a request to a pool's domain.
func (s *Service) admitExchange(x *exchange, c *Client) error {
	address, _, _ := net.SplitHostPort(x.r.RemoteAddr)
	call := wire.Call{SourceIP: address, UserAgent: x.r.UserAgent()}
	t, err := s.threatOf(wire.WithCall(x.r.Context(), &call), &x.pool, c, origin{})
	return errors.Join(err, t.admit())
}
