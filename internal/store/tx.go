package store

import (
	"context"
	"slices"
)

// Tx is a transaction; it is valid inside the function it was given to, and
// belongs to one goroutine.
type Tx struct {
	ctx    context.Context
	db     *DB
	conn   conn
	write  bool
	done   bool
	topics []string
	err    error          // first failed statement; it dooms the transaction
	asOf   uint64         // of [history]: what the transaction sees is no older; 0: it is not known
	dirty  *writtenTables // by transactions that are not committed yet, this one among them; nil: none
}

// conn is one connection of a dialect. SQL is written with $1, $2 ...
type conn interface {
	exec(ctx context.Context, query string, args []any) (int64, error)
	// query scans each row into dest (*string, *[]byte, *int64), then calls each.
	query(ctx context.Context, query string, args, dest []any, each func() error) error
	// script runs several statements without parameters.
	script(ctx context.Context, script string) error
}

// Context returns the context of the View or Update.
func (tx *Tx) Context() context.Context { return tx.ctx }

func (tx *Tx) exec(query string, args ...any) (int64, error) {
	if err := tx.usable(true); err != nil {
		return 0, err
	}
	n, err := tx.conn.exec(tx.ctx, query, args)
	return n, tx.failed(err)
}

// query reads; a writing statement with RETURNING goes through change.
func (tx *Tx) query(query string, args, dest []any, each func() error) error {
	if err := tx.usable(false); err != nil {
		return err
	}
	return tx.failed(tx.conn.query(tx.ctx, query, args, dest, each))
}

func (tx *Tx) change(query string, args, dest []any, each func() error) error {
	if err := tx.usable(true); err != nil {
		return err
	}
	return tx.failed(tx.conn.query(tx.ctx, query, args, dest, each))
}

func (tx *Tx) script(script string) error {
	if err := tx.usable(true); err != nil {
		return err
	}
	return tx.failed(tx.conn.script(tx.ctx, script))
}

func (tx *Tx) usable(write bool) error {
	switch {
	case tx.done:
		return errTxDone
	case tx.err != nil:
		return tx.err
	case write && !tx.write:
		return ErrReadOnly
	}
	return nil
}

// failed remembers a database error: PostgreSQL refuses all further statements
// of such a transaction, and a closure that maps errors must not hide it.
func (tx *Tx) failed(err error) error {
	if err != nil && tx.err == nil {
		tx.err = err
	}
	return err
}

// run calls fn and returns why its writes must be undone, or nil.
func (tx *Tx) run(fn func(*Tx) error) error {
	defer func() { tx.done = true }()
	err := fn(tx)
	if tx.err != nil {
		return tx.err
	}
	return err
}

// touch notes a change of a table.
func (tx *Tx) touch(table, topic string) {
	if tx.dirty != nil {
		tx.dirty.add(table)
	}
	if topic != "" && !slices.Contains(tx.topics, topic) {
		tx.topics = append(tx.topics, topic)
	}
}
