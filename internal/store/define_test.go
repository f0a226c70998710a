package store

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
)

func openCounted(t *testing.T) (*DB, *sqliteEngine, *int) {
	t.Helper()
	db, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "moat.db"), MasterKey: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	e := db.engine.(*sqliteEngine)
	syncs, sync := new(int), e.group.sync
	e.group.sync = func() error {
		*syncs++
		return sync()
	}
	return db, e, syncs
}

// Whatever becomes of a definition, it is not synced, and the next commit is: once for all who share it.
func TestDefine_sync(t *testing.T) {
	t.Parallel()
	db, e, syncs := openCounted(t)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	wrong := errors.New("wrong")
	update := func() {
		t.Helper()
		before := *syncs
		if err := db.Update(t.Context(), func(*Tx) error { return nil }); err != nil || *syncs != before+1 {
			t.Errorf("an update: error %v, %d syncs", err, *syncs-before)
		}
	}
	for round := range 3 {
		for _, want := range []error{nil, wrong} {
			before := *syncs
			if err := e.define(t.Context(), func(*Tx) error { return want }); !errors.Is(err, want) || *syncs != before {
				t.Errorf("round %d: error %v, %d syncs", round, err, *syncs-before)
			}
			update()
		}
	}
	func() {
		defer func() { _ = recover() }()
		_ = e.define(t.Context(), func(*Tx) error { panic("within") })
	}()
	update()
	before := *syncs
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			if err := db.Update(t.Context(), func(*Tx) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := *syncs - before; n < 1 || n > 64 {
		t.Errorf("64 updates: %d syncs", n)
	}
}

// A commit that the disk did not take is not answered as one that it took, nor is any later one.
func TestUpdate_syncFails(t *testing.T) {
	t.Parallel()
	db, e, _ := openCounted(t)
	table := NewTable(Schema[looker]{Name: "lookers", Key: []string{"name"}, KeyOf: func(l *looker) []string { return []string{l.Name} }})
	if err := db.Create(table); err != nil {
		t.Fatal(err)
	}
	put := func(name string) error {
		return db.Update(t.Context(), func(tx *Tx) error { return table.Put(tx, looker{Name: name}) })
	}
	if err := put("kept"); err != nil {
		t.Fatal(err)
	}
	full, works := errors.New("the disk is gone"), e.group.sync
	e.group.sync = func() error { return full }
	if err := put("lost"); !errors.Is(err, full) {
		t.Errorf("a commit that was not synced: %v", err)
	}
	e.group.sync = works
	if err := put("later"); !errors.Is(err, ErrClosed) {
		t.Errorf("after a commit that was not synced: %v", err)
	}
	if err := db.View(context.Background(), func(tx *Tx) error { _, err := table.Get(tx, "kept"); return err }); err != nil {
		t.Errorf("reading goes on: %v", err)
	}
	if err := db.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("closing says that not all is well: %v", err)
	}
}
