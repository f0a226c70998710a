package userpool

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"moat/internal/store"
)

const (
	// postmanHands is how many messages one node delivers at once.
	postmanHands = 32
	// postmanRest is the longest pause between two looks at what is due: letters of a
	// node that ended are found by then.
	postmanRest  = 30 * time.Second
	postmanGrace = 5 * time.Second
	deliveryTime = 30 * time.Second

	firstPause   = 2 * time.Second
	longestPause = 15 * time.Minute

	functionTries = 3
)

// ErrUndeliverable is what a [Messenger] wraps when trying again is pointless.
var ErrUndeliverable = errors.New("userpool: the message cannot be delivered")

// errNobody says that the user, or the pool, is gone.
var errNobody = errors.New("userpool: nobody is there to write to any more")

// postman delivers letters, behind the back of who asked for them. It tries again until
// what a letter says has expired, each pause twice as long as the one before.
//
// A message may be delivered twice, when the program ends between the delivery and the
// note of it; a Messenger sees that by the same [Message].ID.
type postman struct {
	s           *Service
	wake        chan struct{} // capacity 1
	busy        atomic.Int32
	undelivered atomic.Int64
	delivered   atomic.Int64
}

func newPostman(s *Service) *postman { return &postman{s: s, wake: make(chan struct{}, 1)} }

// Deliveries counts what became of messages since the start: delivered, and given up.
func (s *Service) Deliveries() (delivered, undelivered int64) {
	return s.postman.delivered.Load(), s.postman.undelivered.Load()
}

func (q *postman) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run delivers until ctx is done. What is under way then gets a moment to end.
func (q *postman) run(ctx context.Context) error {
	sending, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	var under sync.WaitGroup
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case <-q.wake:
		case <-timer.C:
		}
		batch, rest, err := q.claim(ctx, postmanHands-int(q.busy.Load()))
		if err != nil && ctx.Err() == nil {
			q.s.log.Error("looking for messages to deliver", "error", err)
		}
		for _, l := range batch {
			q.busy.Add(1)
			under.Go(func() {
				q.carry(sending, l)
				q.busy.Add(-1)
				q.nudge()
			})
		}
		timer.Reset(rest)
	}
	defer time.AfterFunc(postmanGrace, abort).Stop()
	under.Wait()
	return nil
}

// claim takes up to n letters that are due, for as long as a lease, and tells how long
// there is nothing else to do.
func (q *postman) claim(ctx context.Context, n int) (batch []Letter, rest time.Duration, err error) {
	rest = postmanRest
	if n <= 0 {
		return nil, rest, nil // the next delivery that ends wakes us
	}
	look := func(tx *store.Tx) error {
		batch, rest = nil, postmanRest
		list, err := q.s.tables.letters.List(tx, store.Query{Index: "due", Values: []string{letterWaits}, Limit: n})
		now := q.s.time()
		for _, l := range list {
			if wait := l.Due.Sub(now); wait > 0 {
				rest = min(rest, wait)
				break
			}
			batch = append(batch, l)
		}
		return err
	}
	if err = q.s.db.View(ctx, look); err != nil || len(batch) == 0 {
		return nil, rest, err
	}
	err = q.s.db.Update(ctx, func(tx *store.Tx) error {
		if err := look(tx); err != nil {
			return err
		}
		for i := range batch {
			batch[i].Due = q.s.time().Add(letterLease)
			if err := q.s.tables.letters.Put(tx, batch[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, rest, err
	}
	return batch, rest, nil
}

// carry makes one attempt at a letter that is claimed, and notes what came of it.
func (q *postman) carry(ctx context.Context, l Letter) {
	m, err := q.deliver(ctx, &l)
	noted, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliveryTime)
	defer cancel()
	if err := q.settle(noted, l, m, err); err != nil {
		q.s.log.Error("what became of a message was not noted; it may be delivered twice", "kind", m.Kind, "pool", l.Pool, "error", err)
	}
}

func (q *postman) deliver(ctx context.Context, l *Letter) (Message, error) {
	if !q.s.now().Before(l.ExpiresAt) {
		return Message{}, errors.Join(ErrUndeliverable, errors.New("what it says has expired"))
	}
	plain, err := q.s.db.Unseal(sealLetter, l.Sealed)
	if err != nil {
		return Message{}, errors.Join(ErrUndeliverable, err)
	}
	var text letterText
	if err := json.Unmarshal(plain, &text); err != nil || text.Message.ID != l.ID {
		return Message{}, errors.Join(ErrUndeliverable, store.ErrSealed, err)
	}
	m := text.Message
	var p Pool
	var u User
	err = q.s.db.View(ctx, func(tx *store.Tx) (err error) {
		if p, err = q.s.pool(tx, l.Pool); err == nil {
			u, err = q.s.tables.users.Get(tx, l.Pool, l.User)
		}
		return err
	})
	if err == nil && l.Blank { // no user's key is one of nobody's; this is for who changes that
		return m, errNobody
	}
	if errors.Is(err, store.ErrNotFound) || is(err, notFound) {
		return m, errNobody
	}
	if err != nil {
		return m, err
	}
	ctx, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	return m, q.s.send(ctx, &p, &u, m, &text)
}

// send hands a message to who delivers it.
func (s *Service) send(ctx context.Context, p *Pool, u *User, m Message, text *letterText) error {
	if p.customSender(m.Medium) != "" {
		return s.sendByFunction(ctx, p, u, &m, text)
	}
	if !text.Worded {
		if err := s.customise(ctx, p, u, &m, occasion{client: text.Client, metadata: text.Metadata}); err != nil {
			return functionFailed{err}
		}
	}
	if s.messenger == nil {
		return errors.Join(ErrUndeliverable, errors.New("no messenger is configured"))
	}
	return s.messenger.SendCode(ctx, m)
}

// settle notes what became of an attempt. A letter that was replaced meanwhile is not
// the one that was claimed, and stays.
func (q *postman) settle(ctx context.Context, l Letter, m Message, failed error) error {
	l.Tries++
	var byFunction functionFailed
	isFunction := errors.As(failed, &byFunction)
	l.Due = q.s.time().Add(pauseAfter(l.Tries, isFunction))
	over := failed == nil || errors.Is(failed, errNobody) || errors.Is(failed, ErrUndeliverable) ||
		isFunction && l.Tries >= functionTries || !l.Due.Before(l.ExpiresAt)
	q.tell(&l, &m, failed, over)
	return q.s.db.Update(ctx, func(tx *store.Tx) error {
		if !errors.Is(failed, errNobody) {
			if err := q.s.exportFailure(tx, &l, &m, failed, over); err != nil {
				return err
			}
		}
		now, err := q.s.tables.letters.Get(tx, l.Pool, l.User, l.Purpose)
		if errors.Is(err, store.ErrNotFound) || err == nil && now.ID != l.ID {
			return nil
		}
		if err != nil {
			return err
		}
		if over {
			return q.s.tables.letters.Delete(tx, l.Pool, l.User, l.Purpose)
		}
		return q.s.tables.letters.Put(tx, l)
	})
}

// tell says to the operator what failed; the message itself is a secret.
func (q *postman) tell(l *Letter, m *Message, failed error, over bool) {
	switch {
	case failed == nil:
		q.delivered.Add(1)
	case errors.Is(failed, errNobody):
	case over:
		q.s.log.Error("a message was given up", "kind", m.Kind, "pool", l.Pool, "medium", m.Medium, "tries", l.Tries,
			"undelivered", q.undelivered.Add(1), "error", failed)
	default:
		q.s.log.Warn("a message was not delivered; it is tried again", "kind", m.Kind, "pool", l.Pool, "medium", m.Medium, "tries", l.Tries,
			"next", l.Due, "error", failed)
	}
}

// pauseAfter is how long to wait after so many attempts. Functions are asked again after
// one and two minutes, as Lambda does with asynchronous events (Lambda developer guide,
// "How Lambda handles errors and retries with asynchronous invocation").
func pauseAfter(tries int, function bool) time.Duration {
	if function {
		return time.Duration(tries) * time.Minute
	}
	return min(firstPause<<min(tries-1, 16), longestPause)
}
