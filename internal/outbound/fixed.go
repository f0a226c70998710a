package outbound

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// NewFixed returns a transport whose connections all go to targets (host:port), whatever
// host a request names: in turn, and to the next where one does not answer. The operator
// chose the targets, so their addresses may be private; those where machines keep their
// metadata are refused all the same. TLS verifies the host that the request names.
func NewFixed(targets []string) *http.Transport {
	t := NewTransport(true)
	dial := t.DialContext
	var turn atomic.Uint32
	t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		if len(targets) == 0 {
			return nil, ErrForbidden
		}
		first, errs := int(turn.Add(1)-1)%len(targets), []error(nil)
		for i := range targets {
			attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
			c, err := dial(attempt, network, targets[(first+i)%len(targets)])
			cancel()
			if err == nil {
				return c, nil
			}
			if errs = append(errs, err); ctx.Err() != nil {
				break
			}
		}
		return nil, errors.Join(errs...)
	}
	return t
}
