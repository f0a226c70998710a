package sandbox

import (
	"context"
	"errors"
	"time"
)

// pool holds the environments of one Spec.Key. The host's mutex guards it.
type pool struct {
	idle      []*environment // the most recently used last
	all       map[*environment]struct{}
	starting  int // environments on their way
	discarded bool
}

const (
	// patience is how long an idle environment may take to ask for the work it was
	// given. A function that is still busy after it has answered is passed over.
	patience = 100 * time.Millisecond
	// coldPatience is that of an environment that has just asked for work.
	coldPatience = 10 * time.Second
)

// Invoke runs one invocation in an environment of spec and waits for its outcome,
// even when ctx ends meanwhile: a function that has begun is not abandoned.
//
// Everything that the function does, its crash and its timeout included, is a
// Result. An error means that it was not run, or that no environment could be made:
// ErrThrottled, ErrClosed, ErrPayloadTooLarge, an IsolationError or a RuntimeError.
func (h *Host) Invoke(ctx context.Context, spec *Spec, inv Invocation) (Result, error) {
	if len(inv.Payload) > MaxPayload {
		return Result{}, ErrPayloadTooLarge
	}
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	ctx = context.WithoutCancel(ctx)
	if err := h.enter(spec); err != nil {
		return Result{}, err
	}
	defer h.leave(spec)
	for {
		e, cold, err := h.acquire(ctx, spec)
		var exec *execError
		if errors.As(err, &exec) { // the package is at fault, not the machine
			return Result{
				Payload:       errorPayload("Runtime.InvalidEntrypoint", "RequestId: "+inv.RequestID+" Error: "+exec.Error()),
				FunctionError: "Unhandled", Cold: true,
			}, nil
		}
		if err != nil {
			return Result{}, err
		}
		res, err := e.invoke(inv, cold)
		if errors.Is(err, errNotTaken) { // it died or dawdles: another one serves
			e.end("it did not come back for work")
			continue
		}
		h.release(e)
		res.Cold = cold
		return res, err
	}
}

// enter counts an invocation in against the limit of its group.
func (h *Host) enter(spec *Spec) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	if spec.Limit >= 0 && h.running[spec.Group] >= spec.Limit {
		return ErrThrottled
	}
	h.running[spec.Group]++
	return nil
}

func (h *Host) leave(spec *Spec) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running[spec.Group]--; h.running[spec.Group] == 0 {
		delete(h.running, spec.Group)
	}
}

// acquire gives an idle environment, or a new one that has finished its init phase.
func (h *Host) acquire(ctx context.Context, spec *Spec) (e *environment, cold bool, err error) {
	var p *pool
	for {
		e, from, victim, err := h.take(spec)
		if victim != nil {
			victim.end("another function needs its place")
		}
		if err != nil {
			return nil, false, err
		}
		if p = from; e == nil {
			break
		}
		if !e.expired(h.cfg.Now()) && e.alive() {
			return e, false, nil
		}
		e.end("it has expired")
	}
	e, err = h.start(ctx, spec, p)
	if err != nil {
		h.mu.Lock()
		h.total--
		p.starting--
		h.mu.Unlock()
		h.ending.Done()
		return nil, false, err
	}
	return e, true, nil
}

// take removes the most recently used idle environment of spec from its pool. If
// there is none it reserves the place of a new one, for which the longest idle
// environment of any pool may have to go.
func (h *Host) take(spec *Spec) (e *environment, p *pool, victim *environment, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, nil, nil, ErrClosed
	}
	if p = h.pools[spec.Key]; p == nil {
		p = &pool{all: map[*environment]struct{}{}}
		h.pools[spec.Key] = p
	}
	if n := len(p.idle); n > 0 {
		e, p.idle = p.idle[n-1], p.idle[:n-1]
		return e, p, nil, nil
	}
	if h.total >= h.cfg.MaxEnvironments {
		if victim = h.longestIdle(); victim == nil {
			return nil, nil, nil, ErrThrottled
		}
	}
	h.total++
	p.starting++
	h.ending.Add(1) // under the mutex, so never after Close has begun to wait
	return nil, p, victim, nil
}

// longestIdle removes and gives the environment that was idle longest. The caller
// holds the mutex.
func (h *Host) longestIdle() *environment {
	var from *pool
	for _, p := range h.pools {
		if len(p.idle) > 0 && (from == nil || p.idle[0].idleSince.Before(from.idle[0].idleSince)) {
			from = p
		}
	}
	if from == nil {
		return nil
	}
	e := from.idle[0]
	from.idle = from.idle[1:]
	return e
}

// adopt puts a started environment under the host's care; false says that the host was
// closed meanwhile. An environment whose pool was discarded meanwhile serves this once.
func (h *Host) adopt(e *environment) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.pool.starting--
	e.pool.all[e] = struct{}{}
	return !h.closed
}

// release gives an environment back for the next invocation, or ends it.
func (h *Host) release(e *environment) {
	h.mu.Lock()
	keep := e.alive() && !e.pool.discarded && !h.closed
	if keep {
		e.idleSince = h.cfg.Now()
		e.pool.idle = append(e.pool.idle, e)
	}
	h.mu.Unlock()
	if !keep {
		e.end("it is not needed any more")
	}
}

// forget is called once for each adopted environment, when its process is gone.
func (h *Host) forget(e *environment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total--
	p := e.pool
	delete(p.all, e)
	for i, other := range p.idle {
		if other == e {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			break
		}
	}
	if len(p.all) == 0 && p.starting == 0 && h.pools[e.spec.Key] == p {
		delete(h.pools, e.spec.Key)
	}
}
