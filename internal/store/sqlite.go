package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"modernc.org/sqlite"
)

// sqliteEngine runs transactions on one SQLite file: a single writing connection
// whose turn is handed round (group.go), and a pool of readers.
type sqliteEngine struct {
	db    *DB
	dsn   string
	lock  io.Closer
	group group
	log   *os.File // the write-ahead log, to sync it; nil in memory

	mu     sync.Mutex
	idle   []*sqliteConn
	free   chan struct{} // one token per reader that may be in use
	closed bool
	fixed  bool // the file has no name any more: no further connection can open it
}

const (
	maxReaders    = 64 // readers at once in a file
	memoryReaders = 8  // and in ":memory:", where they are opened beforehand
	idleReaders   = 8
)

// SQLite itself syncs the log before it copies pages from there, and no more: the commits are synced by [group.end].
const sqlitePragmas = `PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = %s;
PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8000; PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 67108864; SELECT count(*) FROM sqlite_master;`

func openSQLite(ctx context.Context, db *DB, cfg Config) (engine, error) {
	if cfg.Path == memory {
		return openMemory(ctx, db)
	}
	path, err := followed(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	e := &sqliteEngine{db: db, lock: lock, free: make(chan struct{}, maxReaders)}
	if err = private(path); err == nil {
		path, err = followed(path) // of a link that led to nothing, too
	}
	if err == nil {
		e.dsn = sqliteName(path)
		err = e.open(ctx, "NORMAL")
	}
	if err == nil {
		if e.log, err = os.OpenFile(path+"-wal", os.O_RDWR, 0); err == nil { // it has the one name while the writing connection is open
			e.group.sync = func() error { return syncData(e.log) }
		}
	}
	if err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// followed is where a path leads. SQLite puts its log beside the file itself, not beside a link to it, and so
// does who locks it: whatever way they come, two see each other.
func followed(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	end, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) { // the file, or what a link leads to
		return path, nil
	}
	return end, err
}

// private makes the file before SQLite does, readable to its owner alone; the
// files that SQLite puts beside it get the same mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// openMemory opens a database that only this DB can reach and that vanishes with
// it: a file in memory whose name is removed as soon as all connections are
// open. Unlike SQLite's own in-memory mode it has the snapshots and the
// concurrency of a file.
func openMemory(ctx context.Context, db *DB) (engine, error) {
	parent := "/dev/shm"
	if info, err := os.Stat(parent); err != nil || !info.IsDir() {
		parent = ""
	}
	dir, err := os.MkdirTemp(parent, "moat-")
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	e := &sqliteEngine{db: db, dsn: sqliteName(filepath.Join(dir, "moat.db")), fixed: true, free: make(chan struct{}, memoryReaders)}
	err = e.open(ctx, "OFF")
	for err == nil && len(e.idle) < memoryReaders {
		var c *sqliteConn
		if c, err = e.connect(ctx, "PRAGMA busy_timeout = 5000; PRAGMA query_only = ON; SELECT count(*) FROM sqlite_master;"); err == nil {
			e.idle = append(e.idle, c)
		}
	}
	if err2 := os.RemoveAll(dir); err == nil && err2 != nil {
		err = fmt.Errorf("store: %w", err2)
	}
	if err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func sqliteName(path string) string {
	return (&url.URL{Scheme: "file", Path: path}).String()
}

func (e *sqliteEngine) open(ctx context.Context, synchronous string) error {
	for range cap(e.free) {
		e.free <- struct{}{}
	}
	c, err := e.connect(ctx, fmt.Sprintf(sqlitePragmas, synchronous))
	if err != nil {
		return err
	}
	e.group.conn, e.group.history = c, &e.db.history
	return nil
}

func (e *sqliteEngine) connect(ctx context.Context, pragmas string) (*sqliteConn, error) {
	raw, err := new(sqlite.Driver).Open(e.dsn)
	if err != nil {
		return nil, fmt.Errorf("store: open the database file: %w", err)
	}
	c := &sqliteConn{raw: raw, stmts: map[string]driver.Stmt{}}
	if err := c.script(ctx, pragmas); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (e *sqliteEngine) dialect() dialect {
	return dialect{text: "TEXT", json: "TEXT", bigint: "INTEGER", tail: " WITHOUT ROWID"}
}

// changed implements engine: the lock file keeps other processes away.
func (e *sqliteEngine) changed(context.Context) ([]string, error) { return nil, nil }

func (e *sqliteEngine) startFeed(context.Context) error { return nil }
func (e *sqliteEngine) tidy(context.Context) error      { return nil }
func (e *sqliteEngine) name() string                    { return "" }

// rest keeps the writing connection and one that reads, each without its pages. A file that has
// no name any more keeps all its connections.
func (e *sqliteEngine) rest(ctx context.Context) error {
	var spare []*sqliteConn
	e.mu.Lock()
	if len(e.idle) > 1 && !e.fixed {
		spare, e.idle = e.idle[1:], e.idle[:1:1]
	}
	readers := len(e.idle)
	e.mu.Unlock()
	var errs []error
	for _, c := range spare {
		errs = append(errs, c.close())
	}
	for range readers {
		errs = append(errs, e.shrinkReader(ctx))
	}
	g := &e.group
	if err := g.acquire(ctx); err != nil {
		return errors.Join(append(errs, err)...)
	}
	defer g.release()
	if g.open == nil {
		errs = append(errs, g.conn.script(ctx, shrink))
	}
	return errors.Join(errs...)
}

const shrink = "PRAGMA shrink_memory"

// shrinkReader takes the connection that has been idle for longest and puts it behind the others. It
// counts as a View while it has it: else a View would find none left, and cannot open another on a
// file without a name.
func (e *sqliteEngine) shrinkReader(ctx context.Context) error {
	select {
	case <-e.free:
	default: // every connection is at work, or about to be
		return nil
	}
	defer func() { e.free <- struct{}{} }()
	e.mu.Lock()
	if len(e.idle) == 0 || e.closed {
		e.mu.Unlock()
		return nil
	}
	c := e.idle[0]
	e.idle = append([]*sqliteConn(nil), e.idle[1:]...)
	e.mu.Unlock()
	defer e.put(c)
	return c.script(ctx, shrink)
}

// view implements engine. A connection is taken with the first statement: who only asks for
// what is known needs none.
func (e *sqliteEngine) view(ctx context.Context, fn func(*Tx) error) error {
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	v := &sqliteView{e: e}
	defer v.end()
	return (&Tx{ctx: ctx, db: e.db, conn: v, asOf: e.db.history.now()}).run(fn)
}

// sqliteView is the connection of a View.
type sqliteView struct {
	e *sqliteEngine
	c *sqliteConn // nil until the first statement
}

func (v *sqliteView) begin(ctx context.Context) error {
	select {
	case <-v.e.free:
	case <-ctx.Done():
		return ctx.Err()
	}
	c, err := v.e.reader(ctx)
	if err == nil {
		if _, err = c.exec(ctx, "BEGIN", nil); err != nil {
			v.e.put(c)
		}
	}
	if err != nil {
		v.e.free <- struct{}{}
		return err
	}
	v.c = c
	return nil
}

func (v *sqliteView) query(ctx context.Context, query string, args, dest []any, each func() error) error {
	if v.c == nil {
		if err := v.begin(ctx); err != nil {
			return err
		}
	}
	return v.c.query(ctx, query, args, dest, each)
}

func (v *sqliteView) exec(context.Context, string, []any) (int64, error) { return 0, ErrReadOnly }
func (v *sqliteView) script(context.Context, string) error               { return ErrReadOnly }

// end gives the connection back, also when fn panics. A read transaction ends the same way
// whatever came of it.
func (v *sqliteView) end() {
	if v.c == nil {
		return
	}
	defer func() { v.e.free <- struct{}{} }()
	if _, err := v.c.exec(context.Background(), "ROLLBACK", nil); err != nil && !v.e.fixed {
		v.e.db.log.Error("a read transaction did not end", "error", errors.Join(err, v.c.close()))
		return
	}
	v.e.put(v.c)
}

func (e *sqliteEngine) reader(ctx context.Context) (*sqliteConn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	if n := len(e.idle); n > 0 {
		c := e.idle[n-1]
		e.idle = e.idle[:n-1]
		return c, nil
	}
	return e.connect(ctx, "PRAGMA busy_timeout = 5000; PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8000;")
}

func (e *sqliteEngine) put(c *sqliteConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed && (e.fixed || len(e.idle) < idleReaders) {
		e.idle = append(e.idle, c)
		return
	}
	if err := c.close(); err != nil {
		e.db.log.Error("a reading connection did not close", "error", err)
	}
}

func (e *sqliteEngine) close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	idle := e.idle
	e.idle = nil
	e.mu.Unlock()
	var errs []error
	for _, c := range idle {
		errs = append(errs, c.close())
	}
	if e.group.conn != nil {
		errs = append(errs, e.group.close())
	}
	if e.log != nil {
		errs = append(errs, e.log.Close())
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
	}
	return errors.Join(errs...)
}
