package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// postgresEngine runs transactions on a PostgreSQL-wire database. It uses plain
// SQL and serialisable transactions, which CockroachDB and YugabyteDB take too.
type postgresEngine struct {
	db     *DB
	config *pgx.ConnConfig
	d      dialect
	node   string // names this process in moat_changes
	nextID atomic.Uint64
	free   chan struct{} // one token per connection that may be in use
	lane   chan struct{} // held by who retries after several conflicts

	mu     sync.Mutex
	idle   []*pgx.Conn
	closed bool

	feed feed
}

const (
	// maxConnsSetting is the URL parameter that pgxpool has taught people.
	maxConnsSetting = "pool_max_conns"
	defaultMaxConns = 16
	maxAttempts     = 64
	// laneAttempt is the attempt from which retries of this process run one after
	// another instead of disturbing each other.
	laneAttempt = 3

	beginView   = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	beginUpdate = "BEGIN ISOLATION LEVEL SERIALIZABLE"
)

func openPostgres(ctx context.Context, db *DB, cfg Config) (engine, error) {
	config, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err) // pgconn leaves the password out of it
	}
	limit := defaultMaxConns
	if s, ok := config.RuntimeParams[maxConnsSetting]; ok {
		delete(config.RuntimeParams, maxConnsSetting)
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 {
			return nil, fmt.Errorf("store: %s must be a positive number, not %q", maxConnsSetting, s)
		}
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "moat"
	}
	node := make([]byte, 8)
	if _, err := io.ReadFull(cfg.Rand, node); err != nil {
		return nil, fmt.Errorf("store: node id: %w", err)
	}
	e := &postgresEngine{
		db: db, config: config, node: hex.EncodeToString(node),
		free: make(chan struct{}, limit), lane: make(chan struct{}, 1),
	}
	for range limit {
		e.free <- struct{}{}
	}
	c, err := e.get(ctx)
	if err != nil {
		return nil, err
	}
	defer e.put(c)
	e.d = dialect{text: `TEXT COLLATE "C"`, json: "JSON", bigint: "BIGINT"}
	if c.PgConn().ParameterStatus("crdb_version") != "" {
		e.d.text = "TEXT" // ordered by bytes there
	}
	return e, nil
}

func (e *postgresEngine) dialect() dialect { return e.d }
func (e *postgresEngine) name() string     { return e.node }

// get takes a connection out of the pool.
func (e *postgresEngine) get(ctx context.Context) (*pgx.Conn, error) {
	select {
	case <-e.free:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		e.mu.Lock()
		if e.closed {
			e.mu.Unlock()
			e.free <- struct{}{}
			return nil, ErrClosed
		}
		n := len(e.idle)
		if n == 0 {
			e.mu.Unlock()
			break
		}
		c := e.idle[n-1]
		e.idle = e.idle[:n-1]
		e.mu.Unlock()
		if !c.IsClosed() {
			return c, nil
		}
	}
	c, err := e.connect(ctx)
	if err != nil {
		e.free <- struct{}{}
		return nil, fmt.Errorf("store: connect to the database: %w", oneLine{err})
	}
	return c, nil
}

// preferIndexes has the planner use an index also where a table is so small that reading all of it
// would be cheaper. A transaction that has read all of a table conflicts with whoever writes anything
// there (PostgreSQL, "Serializable Isolation Level"), and small tables are those that all nodes write.
const preferIndexes = "SET enable_seqscan = off"

func (e *postgresEngine) connect(ctx context.Context) (*pgx.Conn, error) {
	c, err := pgx.ConnectConfig(ctx, e.config)
	if err != nil {
		return nil, err
	}
	_, err = c.Exec(ctx, preferIndexes)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42704" { // undefined_object: another kind of database
		err = nil
	}
	if err != nil {
		closeConn(c)
		return nil, err
	}
	return c, nil
}

// oneLine writes an error in one line; pgconn uses one per address that it tried.
type oneLine struct{ error }

func (o oneLine) Error() string { return strings.Join(strings.Fields(o.error.Error()), " ") }
func (o oneLine) Unwrap() error { return o.error }

// put gives a connection back. One that broke takes the idle ones with it: they
// were most likely cut by the same cause.
func (e *postgresEngine) put(c *pgx.Conn) {
	defer func() { e.free <- struct{}{} }()
	e.mu.Lock()
	var drop []*pgx.Conn
	switch {
	case c.IsClosed():
		drop, e.idle = e.idle, nil
	case e.closed:
		drop = []*pgx.Conn{c}
	default:
		e.idle = append(e.idle, c)
	}
	e.mu.Unlock()
	for _, d := range drop {
		closeConn(d)
	}
}

func closeConn(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx) // says goodbye when it can; there is nothing to do otherwise
}

func (e *postgresEngine) close() error {
	e.mu.Lock()
	idle := e.idle
	e.idle, e.closed = nil, true
	e.mu.Unlock()
	for _, c := range idle {
		closeConn(c)
	}
	return nil
}

func (e *postgresEngine) view(ctx context.Context, fn func(*Tx) error) error {
	return e.retry(ctx, func() error {
		return e.once(ctx, &Tx{ctx: ctx, db: e.db}, beginView, fn)
	})
}

func (e *postgresEngine) define(ctx context.Context, fn func(*Tx) error) error {
	return e.update(ctx, fn)
}

func (e *postgresEngine) update(ctx context.Context, fn func(*Tx) error) error {
	var tx *Tx
	err := e.retry(ctx, func() error {
		tx = &Tx{ctx: ctx, db: e.db, write: true}
		return e.once(ctx, tx, beginUpdate, fn)
	})
	if err == nil {
		e.db.topics.notify(tx.topics)
	}
	return err
}

// once runs fn in one transaction. The connection is given back also when fn
// panics or ends its goroutine.
func (e *postgresEngine) once(ctx context.Context, tx *Tx, begin string, fn func(*Tx) error) error {
	c, err := e.get(ctx)
	if err != nil {
		return err
	}
	pc := &postgresConn{raw: c, begin: begin}
	tx.conn = pc
	ended := false
	defer func() {
		if !ended {
			pc.rollback()
		}
		e.put(c)
	}()
	if err := tx.run(fn); err != nil {
		return pc.lost(err)
	}
	if pc.begin != "" { // fn ran no statement
		ended = true
		return nil
	}
	ended, err = e.commit(ctx, pc, tx.topics)
	return err
}

// commit writes the changed topics and commits in one round trip.
func (e *postgresEngine) commit(ctx context.Context, pc *postgresConn, topics []string) (ended bool, err error) {
	var batch pgx.Batch
	for _, topic := range topics {
		batch.Queue(changeInsert, e.node+"-"+strconv.FormatUint(e.nextID.Add(1), 36), e.node, topic)
	}
	batch.Queue("COMMIT")
	if err := pc.raw.SendBatch(ctx, &batch).Close(); err != nil {
		return false, fmt.Errorf("store: commit: %w", err)
	}
	return true, nil
}

// retry runs once again and again while the database asks for it.
func (e *postgresEngine) retry(ctx context.Context, once func() error) error {
	for attempt := 1; ; attempt++ {
		err := e.attempt(ctx, attempt, once)
		if err == nil || attempt == maxAttempts || !retryable(err) || ctx.Err() != nil {
			return err
		}
		if _, lost := errors.AsType[*lostError](err); lost && attempt > 2 {
			return err
		}
		if attempt < laneAttempt {
			continue
		}
		pause := time.NewTimer(time.Duration(min(attempt, 20)) * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

func (e *postgresEngine) attempt(ctx context.Context, attempt int, once func() error) error {
	if attempt < laneAttempt {
		return once()
	}
	select {
	case e.lane <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.lane }()
	return once()
}

// lostError is a connection that broke before the commit was sent.
type lostError struct{ err error }

func (l *lostError) Error() string { return l.err.Error() }
func (l *lostError) Unwrap() error { return l.err }

// retryable tells errors after which the same transaction may well succeed.
// Every insert of ours names its conflict, so a unique violation comes from two
// nodes that create the same table.
func retryable(err error) bool {
	if _, ok := errors.AsType[*lostError](err); ok {
		return true
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains([]string{
		"40001", // serialization_failure
		"40P01", // deadlock_detected
		"23505", // unique_violation
		"42P07", // duplicate_table
		"42710", // duplicate_object
	}, pg.Code)
}

// postgresConn is one transaction on a connection.
type postgresConn struct {
	raw   *pgx.Conn
	begin string // statement still to be sent before the first one
}

// lost marks an error of a connection that broke.
func (c *postgresConn) lost(err error) error {
	if c.raw.IsClosed() && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return &lostError{err}
	}
	return err
}

func (c *postgresConn) rollback() {
	if c.begin != "" || c.raw.IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := c.raw.Exec(ctx, "ROLLBACK"); err != nil {
		closeConn(c.raw)
	}
}

// exec implements conn; the first statement of a transaction shares its round
// trip with BEGIN.
func (c *postgresConn) exec(ctx context.Context, query string, args []any) (int64, error) {
	if c.begin == "" {
		tag, err := c.raw.Exec(ctx, query, args...)
		return tag.RowsAffected(), wrapped(err)
	}
	results := c.first(ctx, query, args)
	_, err := results.Exec()
	var tag pgconn.CommandTag
	if err == nil {
		tag, err = results.Exec()
	}
	if e := results.Close(); err == nil {
		err = e
	}
	return tag.RowsAffected(), wrapped(err)
}

func (c *postgresConn) first(ctx context.Context, query string, args []any) pgx.BatchResults {
	var batch pgx.Batch
	batch.Queue(c.begin)
	batch.Queue(query, args...)
	c.begin = ""
	return c.raw.SendBatch(ctx, &batch)
}

func (c *postgresConn) query(ctx context.Context, query string, args, dest []any, each func() error) error {
	if c.begin == "" {
		rows, err := c.raw.Query(ctx, query, args...)
		if err != nil {
			return wrapped(err)
		}
		return wrapped(scanRows(rows, dest, each))
	}
	results := c.first(ctx, query, args)
	_, err := results.Exec()
	if err == nil {
		var rows pgx.Rows
		if rows, err = results.Query(); err == nil {
			err = scanRows(rows, dest, each)
		}
	}
	if e := results.Close(); err == nil {
		err = e
	}
	return wrapped(err)
}

func scanRows(rows pgx.Rows, dest []any, each func() error) error {
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if err := each(); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c *postgresConn) script(ctx context.Context, script string) error {
	if c.begin != "" {
		script, c.begin = c.begin+";\n"+script, ""
	}
	_, err := c.raw.PgConn().Exec(ctx, script).ReadAll()
	return wrapped(err)
}

func (c *postgresConn) hasTable(ctx context.Context, name string) (bool, error) {
	var n int64
	err := c.query(ctx, `SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = $1`,
		[]any{name}, []any{&n}, func() error { return nil })
	return n > 0, err
}

// wrapped keeps the errors of callbacks as they are.
func wrapped(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("store: %w", err)
	}
	return err
}
