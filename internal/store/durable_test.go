package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the files hold when the log is synced is all that was answered by then, before, during and after the log is
// copied into the database and begun anew: no more would be there after a loss of power.
func TestUpdate_durable(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), bytes.Repeat([]byte{7}, 32)
	path := filepath.Join(dir, "moat.db")
	db, err := Open(t.Context(), Config{Path: path, MasterKey: key})
	if err != nil {
		t.Fatal(err)
	}
	newTable := func() *Table[looker] {
		return NewTable(Schema[looker]{Name: "lookers", Key: []string{"name"}, KeyOf: func(l *looker) []string { return []string{l.Name} }})
	}
	table := newTable()
	if err := db.Create(table); err != nil {
		t.Fatal(err)
	}
	e := db.engine.(*sqliteEngine)
	sync, then := e.group.sync, ""
	restarts, size := 0, int64(0)
	e.group.sync = func() error {
		if err := sync(); err != nil || then == "" {
			return err
		}
		for _, end := range []string{"", "-wal"} {
			raw, err := os.ReadFile(path + end)
			if err == nil {
				err = os.WriteFile(then+end, raw, 0o600)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	long := strings.Repeat("x", 400<<10)
	const rounds = 26 // of 100 pages each: the log is copied after 2,000
	for i := range rounds {
		if then = ""; i == 0 || i > 17 && i < 22 {
			then = filepath.Join(dir, fmt.Sprint("then-", i))
		}
		if err := db.Update(t.Context(), func(tx *Tx) error {
			return table.Put(tx, looker{Name: fmt.Sprint(i), Words: []string{long}})
		}); err != nil {
			t.Fatal(err)
		}
		now, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if now.Size() > size {
			size, restarts = now.Size(), restarts+1
			t.Logf("after %d updates the database has %d bytes", i+1, size)
		}
		if then != "" {
			holds(t, then, key, newTable(), i+1)
		}
	}
	if restarts < 2 {
		t.Errorf("the log was copied %d times", restarts)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	holds(t, path, key, newTable(), rounds)
}

func holds(t *testing.T, path string, key []byte, table *Table[looker], want int) {
	t.Helper()
	db, err := Open(t.Context(), Config{Path: path, MasterKey: key})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Create(table); err != nil {
		t.Fatal(err)
	}
	if err := db.View(t.Context(), func(tx *Tx) error {
		all, err := table.List(tx, Query{Limit: 1000})
		if len(all) != want {
			t.Errorf("%s holds %d of %d", filepath.Base(path), len(all), want)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
