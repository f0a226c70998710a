package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"moat/internal/service/userpool"
)

const (
	maxMails    = 1024
	mailWorkers = 4
)

// mailQueue delivers messages behind the back of who asked for them: how long a mail server
// takes, or whether it answers at all, must not tell a stranger that there was somebody to
// write to.
type mailQueue struct {
	to    userpool.Messenger
	log   *slog.Logger
	mails chan userpool.Message
}

func newMailQueue(to userpool.Messenger, log *slog.Logger) *mailQueue {
	return &mailQueue{to: to, log: log, mails: make(chan userpool.Message, maxMails)}
}

// SendCode implements [userpool.Messenger]. It never waits.
func (q *mailQueue) SendCode(_ context.Context, m userpool.Message) error {
	select {
	case q.mails <- m:
		return nil
	default:
		return errors.New("too many messages wait for the mail server")
	}
}

// run delivers until ctx is done, then what still waits.
func (q *mailQueue) run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range mailWorkers {
		workers.Go(func() {
			for {
				select {
				case m := <-q.mails:
					q.deliver(m)
				case <-ctx.Done():
					q.drain()
					return
				}
			}
		})
	}
	workers.Wait()
	return nil
}

func (q *mailQueue) drain() {
	for {
		select {
		case m := <-q.mails:
			q.deliver(m)
		default:
			return
		}
	}
}

// deliver tells a failure to the operator; the message itself is a secret.
func (q *mailQueue) deliver(m userpool.Message) {
	if err := q.to.SendCode(context.Background(), m); err != nil {
		q.log.Error("a message was not delivered", "kind", m.Kind, "pool", m.PoolID, "medium", m.Medium, "error", err)
	}
}
