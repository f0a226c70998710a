package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// feed is what this process has seen of moat_changes.
//
// A transaction writes its changes' rows last, with the database's clock, but
// rows become visible in the order of commits: so the feed looks back by
// feedWindow and remembers what it has seen there.
type feed struct {
	mu      sync.Mutex
	started bool
	latest  int64            // newest time seen, in milliseconds of the database's clock
	seen    map[string]int64 // id -> time, within the window
	polled  time.Time
}

const (
	feedWindow = 30 * time.Second
	feedKeep   = 10 * time.Minute // rows are deleted after this time
	feedClock  = `CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)`

	changeInsert = `INSERT INTO moat_changes (id, at, node, topic) VALUES ($1, ` + feedClock + `, $2, $3)`
	changeSelect = `SELECT id, at, topic FROM moat_changes WHERE at > $1 AND node <> $2`
	changeDelete = `DELETE FROM moat_changes WHERE at < ` + feedClock + ` - $1`
)

// startFeed takes what was changed until now as known: services read their
// tables after the database was opened.
func (e *postgresEngine) startFeed(ctx context.Context) error {
	f := &e.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	var now int64
	pc, done, err := e.plain(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := pc.query(ctx, `SELECT `+feedClock, nil, []any{&now}, func() error { return nil }); err != nil {
		return err
	}
	f.latest, f.polled, f.started, f.seen = now, e.db.now(), true, map[string]int64{}
	_, err = f.read(ctx, pc, e.node)
	return err
}

// plain returns a connection outside of any transaction.
func (e *postgresEngine) plain(ctx context.Context) (*postgresConn, func(), error) {
	c, err := e.get(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &postgresConn{raw: c}, func() { e.put(c) }, nil
}

// changed implements engine.
func (e *postgresEngine) changed(ctx context.Context) ([]string, error) {
	f := &e.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	pc, done, err := e.plain(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	topics, err := f.read(ctx, pc, e.node)
	if err != nil {
		return nil, err
	}
	now := e.db.now()
	if now.Sub(f.polled) > feedKeep/2 {
		topics = e.db.topics.names() // rows may have come and gone unseen
	}
	f.polled = now
	return topics, nil
}

// read returns the topics of the rows that it had not seen.
func (f *feed) read(ctx context.Context, pc *postgresConn, node string) ([]string, error) {
	var topics []string
	var id, topic string
	var at int64
	since := f.latest - feedWindow.Milliseconds()
	err := pc.query(ctx, changeSelect, []any{since, node}, []any{&id, &at, &topic}, func() error {
		f.latest = max(f.latest, at)
		if _, ok := f.seen[id]; ok {
			return nil
		}
		f.seen[id] = at
		if !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: read changes: %w", err)
	}
	for id, at := range f.seen {
		if at < f.latest-2*feedWindow.Milliseconds() {
			delete(f.seen, id)
		}
	}
	return topics, nil
}

// rest has nothing to give back: the server has the pages.
func (e *postgresEngine) rest(context.Context) error { return nil }

// tidy deletes rows that every process has read.
func (e *postgresEngine) tidy(ctx context.Context) error {
	pc, done, err := e.plain(ctx)
	if err != nil {
		return err
	}
	defer done()
	_, err = pc.exec(ctx, changeDelete, []any{feedKeep.Milliseconds()})
	return err
}
