package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"moat/internal/store"
	"moat/internal/store/storetest"
)

func open(t testing.TB, cfg store.Config) *store.DB {
	t.Helper()
	if cfg.MasterKey == nil {
		cfg.MasterKey = make([]byte, 32)
	}
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) *store.DB { return open(t, store.Config{Path: ":memory:"}) })
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	fresh := func(t *testing.T) store.Config {
		return store.Config{Path: filepath.Join(t.TempDir(), "moat.db")}
	}
	t.Run("suite", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) *store.DB { return open(t, fresh(t)) })
	})
	t.Run("persistent", func(t *testing.T) {
		t.Parallel()
		storetest.RunPersistent(t, fresh)
	})
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	server := storetest.StartPostgres(t)
	fresh := func(t *testing.T) store.Config { return store.Config{URL: storetest.NewSchema(t, server)} }
	t.Run("suite", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) *store.DB { return open(t, fresh(t)) })
	})
	t.Run("persistent", func(t *testing.T) {
		t.Parallel()
		storetest.RunPersistent(t, fresh)
	})
	t.Run("nodes", func(t *testing.T) {
		t.Parallel()
		testNodes(t, fresh(t))
	})
	t.Run("neighbours", func(t *testing.T) {
		t.Parallel()
		testNeighbours(t, fresh(t))
	})
	t.Run("broken connections", func(t *testing.T) {
		t.Parallel()
		testBroken(t, fresh(t))
	})
	t.Run("concurrent creation", func(t *testing.T) {
		t.Parallel()
		testConcurrentCreation(t, fresh(t))
	})
}

// item is the record of this file's tests.
type item struct{ ID, Value string }

func items() *store.Table[item] {
	return store.NewTable(store.Schema[item]{Name: "items", Key: []string{"id"}, Topic: "items",
		KeyOf: func(i *item) []string { return []string{i.ID} }})
}

func insert(ctx context.Context, db *store.DB, table *store.Table[item], id string) error {
	return db.Update(ctx, func(tx *store.Tx) error { return table.Insert(tx, item{ID: id}) })
}

// testNeighbours has two nodes write a record of their own each at the same time, in a small table:
// neither begins again because of the other.
func testNeighbours(t *testing.T, cfg store.Config) {
	a, b := open(t, cfg), open(t, cfg)
	table := items()
	if a.Node() == "" || a.Node() == b.Node() {
		t.Errorf("nodes are called %q and %q", a.Node(), b.Node())
	}
	for _, db := range []*store.DB{a, b} {
		if err := db.Create(table); err != nil {
			t.Fatal(err)
		}
		if err := insert(t.Context(), db, table, db.Node()); err != nil {
			t.Fatal(err)
		}
	}
	storetest.SQL(t, cfg, "ANALYZE items") // the planner knows how small it is
	change := func(db *store.DB, then func() error) error {
		return db.Update(t.Context(), func(tx *store.Tx) error {
			v, err := table.Get(tx, db.Node())
			if err != nil {
				return err
			}
			v.Value += "x"
			if err := table.Put(tx, v); err != nil {
				return err
			}
			return then()
		})
	}
	runs := 0
	err := change(a, func() error {
		runs++
		return change(b, func() error { return nil })
	})
	if err != nil || runs != 1 {
		t.Errorf("ran %d times, %v", runs, err)
	}
}

// testNodes has one node see, by polling, what another one writes.
func testNodes(t *testing.T, cfg store.Config) {
	a, b := open(t, cfg), open(t, cfg)
	table := items()
	for _, db := range []*store.DB{a, b} {
		if err := db.Create(table); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan struct{}, 10)
	b.Subscribe("items", func() { told <- struct{}{} })
	ran := make(chan error)
	go func() { ran <- b.Run(ctx) }()
	if err := insert(ctx, a, table, "1"); err != nil {
		t.Fatal(err)
	}
	<-told
	if err := b.View(ctx, func(tx *store.Tx) error { _, err := table.Get(tx, "1"); return err }); err != nil {
		t.Error(err)
	}
	if err := insert(ctx, a, table, "2"); err != nil {
		t.Fatal(err)
	}
	<-told
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	if len(told) > 0 {
		t.Errorf("the subscriber was told %d times too often", len(told))
	}
}

// testBroken cuts all connections, as a restart of the database does.
func testBroken(t *testing.T, cfg store.Config) {
	cfg.URL += "&application_name=broken"
	db, table := open(t, cfg), items()
	if err := db.Create(table); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1", "2", "3"} {
		storetest.SQL(t, cfg, `SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE application_name = 'broken' AND pid <> pg_backend_pid()`)
		if err := insert(t.Context(), db, table, id); err != nil {
			t.Errorf("after the connections were cut: %v", err)
		}
	}
}

func testConcurrentCreation(t *testing.T, cfg store.Config) {
	cfg.MasterKey = make([]byte, 32)
	errs := make(chan error)
	for range 4 {
		go func() {
			db, err := store.Open(t.Context(), cfg)
			if err == nil {
				err = errors.Join(db.Create(items()), db.Close())
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestOpen_wrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]store.Config{
		"nothing":       {},
		"both":          {Path: "x", URL: "postgres://x"},
		"other scheme":  {URL: "mysql://x"},
		"no folder":     {Path: filepath.Join(dir, "none", "x.db")},
		"no database":   {Path: garbage},
		"no server":     {URL: "postgres://nobody@127.0.0.1:1/x?connect_timeout=1"},
		"pool of words": {URL: "postgres://nobody@127.0.0.1:1/x?pool_max_conns=many"},
	} {
		cfg.MasterKey = make([]byte, 32)
		db, err := store.Open(t.Context(), cfg)
		if err == nil {
			t.Errorf("%s was opened: %v", name, db.Close())
			continue
		}
		t.Log(err)
	}
}

func TestSQLite_lock(t *testing.T) {
	t.Parallel()
	cfg := store.Config{Path: filepath.Join(t.TempDir(), "moat.db"), MasterKey: make([]byte, 32)}
	first, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "another Moat uses this data folder") {
		t.Errorf("got error %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, cfg)
	info, err := os.Stat(cfg.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v, want 0600", info.Mode(), err)
	}
}

// TestMemory_private checks that databases in memory share nothing and leave
// nothing behind.
func TestMemory_private(t *testing.T) {
	t.Parallel()
	table := items()
	for range 3 {
		db := open(t, store.Config{Path: ":memory:"})
		if err := db.Create(table); err != nil {
			t.Fatal(err)
		}
		if err := insert(t.Context(), db, table, "1"); err != nil {
			t.Error(err)
		}
	}
}

// TestUpdate_waiterCancelled gives up while another Update has the turn.
func TestUpdate_waiterCancelled(t *testing.T) {
	t.Parallel()
	db, table := open(t, store.Config{Path: ":memory:"}), items()
	if err := db.Create(table); err != nil {
		t.Fatal(err)
	}
	inside, goOn := make(chan struct{}), make(chan struct{})
	first := make(chan error)
	go func() {
		first <- db.Update(t.Context(), func(tx *store.Tx) error {
			close(inside)
			<-goOn
			return table.Insert(tx, item{ID: "first"})
		})
	}()
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	waiting, ran := make(chan error), atomic.Bool{}
	go func() {
		waiting <- db.Update(ctx, func(*store.Tx) error { ran.Store(true); return nil })
	}()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) || ran.Load() {
		t.Errorf("the waiter: error %v, ran %v", err, ran.Load())
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := insert(t.Context(), db, table, "second"); err != nil {
		t.Error(err)
	}
}

// TestClose_waiting closes while Updates wait: each is either done or refused.
func TestClose_waiting(t *testing.T) {
	t.Parallel()
	for range 20 {
		db, err := store.Open(t.Context(), store.Config{Path: ":memory:"})
		if err != nil {
			t.Fatal(err)
		}
		table := items()
		if err := db.Create(table); err != nil {
			t.Fatal(err)
		}
		errs := make(chan error)
		for w := range 8 {
			go func() { errs <- insert(t.Context(), db, table, fmt.Sprint(w)) }()
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		for range 8 {
			if err := <-errs; err != nil && !errors.Is(err, store.ErrClosed) {
				t.Errorf("got error %v, want none or ErrClosed", err)
			}
		}
	}
}
