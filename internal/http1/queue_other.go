//go:build !linux

package http1

import "errors"

// queue tells when something happens on parked connections. Here there is none: connections
// wait in their goroutines.
type queue struct{}

func newQueue() (*queue, error)              { return nil, errors.ErrUnsupported }
func (*queue) close()                        {}
func (*queue) run(func(int32, uint32, bool)) {}
func (*queue) add(*conn) bool                { return false }
func (*queue) remove(*conn)                  {}
