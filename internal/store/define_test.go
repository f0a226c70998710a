package store

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
)

// Whatever becomes of a definition, the next commit is synced again.
func TestDefine_level(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "moat.db"), MasterKey: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	e := db.engine.(*sqliteEngine)
	level := func() (n int64) {
		t.Helper()
		err := e.group.conn.query(context.Background(), "SELECT synchronous FROM pragma_synchronous", nil, []any{&n}, func() error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const normal, full = 1, 2
	wrong := errors.New("wrong")
	for round := range 3 {
		for _, want := range []error{nil, wrong} {
			within := int64(0)
			err := e.define(t.Context(), func(*Tx) error {
				within = level()
				return want
			})
			if !errors.Is(err, want) || within != normal || level() != full {
				t.Errorf("round %d: error %v, level %d within and %d after it", round, err, within, level())
			}
		}
	}
	func() {
		defer func() { _ = recover() }()
		_ = e.define(t.Context(), func(*Tx) error { panic("within") })
	}()
	if level() != full {
		t.Error("a panic leaves the level")
	}
	if err := db.Update(t.Context(), func(*Tx) error { return nil }); err != nil {
		t.Errorf("an update after all that: %v", err)
	}
}
