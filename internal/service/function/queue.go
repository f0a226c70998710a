package function

import (
	"context"
	"errors"
	"sync"
	"time"

	"moat/internal/store"
)

// Lambda's rules for asynchronous invocations ("Invoking a function asynchronously").
const (
	maxEventPayload = 1 << 20
	maxEventAge     = 6 * time.Hour
	maxEventRetries = 2
	eventWorkers    = 16
	eventPoll       = time.Second
)

// sealEvent is the purpose under which payloads that wait are sealed.
const sealEvent = "function/event"

// enqueue keeps an invocation for later. It is on disk when enqueue returns.
func (s *Service) enqueue(ctx context.Context, ref reference, inv Invocation) error {
	sealed, err := s.db.Seal(sealEvent, inv.Payload)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	e := Event{
		Account: ref.account, ID: inv.RequestID, Region: ref.region, ARN: ref.arn(), Name: ref.name, Qualifier: ref.qualifier,
		Payload: sealed, Trace: inv.Trace, Due: now, Until: now.Add(maxEventAge),
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error { return s.tables.events.Insert(tx, e) })
	if errors.Is(err, store.ErrExists) { // one request may lead to several events
		if e.ID, err = s.newID(); err == nil {
			err = s.db.Update(ctx, func(tx *store.Tx) error { return s.tables.events.Insert(tx, e) })
		}
	}
	if err != nil {
		return err
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// deliverEvents runs what waits, until ctx ends; then it waits for what has begun.
func (s *Service) deliverEvents(ctx context.Context) {
	poll := time.NewTicker(eventPoll)
	defer poll.Stop()
	places := make(chan struct{}, eventWorkers)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		for ctx.Err() == nil {
			places <- struct{}{}
			e, ok, err := s.claim(ctx)
			if err != nil && ctx.Err() == nil {
				s.cfg.Log.Error("the queue of events could not be read", "error", err)
			}
			if !ok {
				<-places
				break
			}
			wg.Go(func() {
				defer func() { <-places }()
				s.deliver(context.WithoutCancel(ctx), e)
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		case <-s.wake:
		}
	}
}

// claim takes the event that is due first, for as long as it may take to run: should
// this process end before, it becomes due again.
func (s *Service) claim(ctx context.Context) (e Event, ok bool, err error) {
	now := s.cfg.Now()
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		ok = false
		list, err := s.tables.events.List(tx, store.Query{Index: "due", Values: []string{s.cfg.Account}, Limit: 1})
		if err != nil || len(list) == 0 || list[0].Due.After(now) {
			return err
		}
		e = list[0]
		held := e
		held.Due = now.Add(20 * time.Minute) // longer than any function runs
		ok = true
		return s.tables.events.Put(tx, held)
	})
	return e, ok && err == nil, err
}

// deliver runs an event, and decides whether it is tried again.
func (s *Service) deliver(ctx context.Context, e Event) {
	again, delay := s.attempt(ctx, &e)
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		due := s.cfg.Now().Add(delay)
		if again && due.Before(e.Until) {
			next := e
			next.Due = due
			return s.tables.events.Put(tx, next)
		}
		err := s.tables.events.Delete(tx, e.Account, e.ID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		s.cfg.Log.Error("an event could not be taken off the queue", "function", e.ARN, "event", e.ID, "error", err)
	}
}

// attempt invokes once. A function that fails is tried twice more, after one minute and
// after two; one that is throttled, until the event is too old.
func (s *Service) attempt(ctx context.Context, e *Event) (again bool, delay time.Duration) {
	payload, err := s.db.Unseal(sealEvent, e.Payload)
	if err != nil {
		s.cfg.Log.Error("an event cannot be read", "event", e.ID, "error", err)
		return false, 0
	}
	ref := reference{account: e.Account, region: e.Region, name: e.Name, qualifier: e.Qualifier}
	t, err := s.target(ctx, ref)
	if err == nil {
		var v *variant
		if v, err = s.pick(t); err == nil {
			var res Result
			res, err = s.run(ctx, ref, v, Invocation{RequestID: e.ID, Payload: payload, Trace: e.Trace})
			if err == nil && res.FunctionError == "" {
				return false, 0
			}
		}
	}
	if err != nil {
		s.cfg.Log.Warn("an event could not be run", "function", e.ARN, "event", e.ID, "error", err)
	}
	if errors.Is(err, ErrThrottled) {
		return true, 5 * time.Second
	}
	e.Attempt++
	return e.Attempt <= maxEventRetries, time.Duration(e.Attempt) * time.Minute
}
