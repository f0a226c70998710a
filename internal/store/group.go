package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// group shares one durable commit among concurrent Updates.
//
// The turn to use the writing connection is handed from caller to caller, each
// running its own function in the transaction that is open; who finds nobody
// waiting commits for all. While that commit is on its way to the disk further
// callers queue up and form the next transaction. Nobody is answered before the
// commit that holds its writes.
type group struct {
	conn    *sqliteConn // used by who has the turn
	history *history
	sync    func() error // makes the log durable; nil: nobody expects it

	mu     sync.Mutex
	taken  bool
	closed bool
	queue  []chan struct{}

	open *batch // transaction that is open, of who has the turn
	last int    // members of the batch before
}

// batch is one SQL transaction of several Updates.
type batch struct {
	members int
	done    chan struct{} // closed after the commit
	written writtenTables
	err     error // of the commit
	broken  error // a member that could not be undone: nothing may be committed
}

// maxBatch bounds how long the first caller of a batch waits for the last.
const maxBatch = 512

const maxYields = 4

// acquire waits for the turn.
func (g *group) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return ErrClosed
	}
	if !g.taken {
		g.taken = true
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	g.queue = append(g.queue, turn)
	g.mu.Unlock()

	select {
	case <-turn:
		return g.ready()
	case <-ctx.Done():
	}
	g.mu.Lock()
	if i := slices.Index(g.queue, turn); i >= 0 {
		g.queue = slices.Delete(g.queue, i, i+1)
		g.mu.Unlock()
		return ctx.Err()
	}
	g.mu.Unlock()
	g.release() // the turn came at the same moment
	return ctx.Err()
}

// ready is asked by who got the turn: the database may be closed by now.
func (g *group) ready() error {
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed {
		g.release()
		return ErrClosed
	}
	return nil
}

// hand gives the turn to the next in the queue, if there is one.
func (g *group) hand() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) == 0 {
		return false
	}
	close(g.queue[0])
	g.queue = g.queue[1:]
	return true
}

// release hands the turn on, committing first when nobody waits or the batch is full.
func (g *group) release() {
	b := g.open
	if (b == nil || b.members < maxBatch) && g.hand() {
		return
	}
	// Those whom the last commit answered are likely to come again at once: let
	// them run first, so that they share this commit instead of waiting for the next.
	for yields := 0; b != nil && b.members < g.last && yields < maxYields; yields++ {
		runtime.Gosched()
		if g.hand() {
			return
		}
	}
	g.commit()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) > 0 {
		close(g.queue[0])
		g.queue = g.queue[1:]
		return
	}
	g.taken = false
}

// commit ends the open transaction, if there is one, and answers its members.
func (g *group) commit() {
	b := g.open
	if b == nil {
		return
	}
	g.open, g.last = nil, b.members
	b.err = g.end(b)
	g.history.changed(b.written)
	close(b.done)
}

// end commits a batch, or undoes it when one of its members could not be undone. SQLite writes the commit to its log,
// and it is synced here: SQLite as it is built would sync the file's times along, which costs a second write, or with
// a journal below it a transaction of that.
func (g *group) end(b *batch) error {
	err := b.broken
	if err == nil {
		if _, err = g.conn.exec(context.Background(), "COMMIT", nil); err == nil {
			return g.settle()
		}
	}
	if _, undo := g.conn.exec(context.Background(), "ROLLBACK", nil); undo != nil {
		err = errors.Join(err, undo)
	}
	return err
}

// settle syncs the log. Once that has failed nobody knows what is on the disk, nor does a second try tell: nothing is
// written any more until Moat starts again, and reads what is there.
func (g *group) settle() error {
	if g.sync == nil {
		return nil
	}
	err := g.sync()
	if err == nil {
		return nil
	}
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	return fmt.Errorf("store: the database's log cannot be synced, nothing more is written before a restart: %w", err)
}

func (g *group) close() error {
	if err := g.acquire(context.Background()); err != nil {
		return err
	}
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.commit()
	err := g.conn.close()
	g.release()
	return err
}

// update implements engine.
func (e *sqliteEngine) update(ctx context.Context, fn func(*Tx) error) error {
	g := &e.group
	if err := g.acquire(ctx); err != nil {
		return err
	}
	tx := &Tx{ctx: ctx, db: e.db, conn: g.conn, write: true, asOf: e.db.history.now()}
	b, err := g.member(tx, fn)
	if err != nil {
		return err
	}
	<-b.done
	if b.err != nil {
		return b.err
	}
	e.db.topics.notify(tx.topics)
	return nil
}

// define implements engine. A service's tables need no sync of their own: whatever is
// written into them is synced together with all that stands before it in the log. It
// is a transaction apart, so that nobody else's is spared the sync.
func (e *sqliteEngine) define(ctx context.Context, fn func(*Tx) error) error {
	g := &e.group
	if err := g.acquire(ctx); err != nil {
		return err
	}
	if g.sync == nil || g.open != nil { // nothing to spare, or others' writes in the open transaction
		g.release()
		return e.update(ctx, fn)
	}
	defer g.release()
	tx := &Tx{ctx: ctx, db: e.db, conn: g.conn, write: true, dirty: new(writtenTables)}
	err := g.alone(tx, fn)
	g.history.changed(*tx.dirty)
	if err != nil {
		return err
	}
	e.db.topics.notify(tx.topics)
	return nil
}

// alone runs fn in a transaction whose commit does not wait for the disk.
func (g *group) alone(tx *Tx, fn func(*Tx) error) (err error) {
	background := context.Background()
	if _, err := g.conn.exec(background, "BEGIN IMMEDIATE", nil); err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			if _, undo := g.conn.exec(background, "ROLLBACK", nil); undo != nil {
				err = errors.Join(err, undo)
			}
		}
	}()
	if err := tx.run(fn); err != nil {
		return err
	}
	_, err = g.conn.exec(background, "COMMIT", nil)
	done = err == nil
	return err
}

// member runs fn within the open transaction and hands the turn on, also when fn
// panics or ends its goroutine. An error means that nothing of fn was kept.
func (g *group) member(tx *Tx, fn func(*Tx) error) (b *batch, err error) {
	defer g.release()
	begin, undo := "SAVEPOINT member", "ROLLBACK TO member"
	if g.open == nil {
		begin, undo = "BEGIN IMMEDIATE", "ROLLBACK"
	}
	if _, err := g.conn.exec(context.Background(), begin, nil); err != nil {
		return nil, err
	}
	first := g.open == nil
	if first {
		g.open = &batch{done: make(chan struct{})}
	}
	b0 := g.open
	tx.dirty = &b0.written
	kept := false
	defer func() {
		if kept {
			return
		}
		_, failed := g.conn.exec(context.Background(), undo, nil)
		if first {
			g.open = nil
		} else if failed == nil {
			_, failed = g.conn.exec(context.Background(), "RELEASE member", nil)
		}
		if failed != nil {
			b0.broken = failed
			err = errors.Join(err, failed)
		}
	}()
	if err := tx.run(fn); err != nil {
		return nil, err
	}
	if !first {
		if _, err := g.conn.exec(context.Background(), "RELEASE member", nil); err != nil {
			return nil, err
		}
	}
	kept = true
	b0.members++
	return b0, nil
}
