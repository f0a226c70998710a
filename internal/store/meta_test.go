package store

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A table whose indexes have changed is indexed anew at the start: all of it, and who waits for that is told.
func TestCreate_rebuild(t *testing.T) {
	t.Parallel()
	for records, told := range map[int]bool{10: false, 1500: true} {
		var log bytes.Buffer
		path := filepath.Join(t.TempDir(), "moat.db")
		schema := Schema[looker]{Name: "lookers", Key: []string{"name"}, KeyOf: func(l *looker) []string { return []string{l.Name} }}
		open := func() (*DB, *Table[looker]) {
			db, err := Open(t.Context(), Config{Path: path, MasterKey: make([]byte, 32), Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			table := NewTable(schema)
			if err := db.Create(table); err != nil {
				t.Fatal(err)
			}
			return db, table
		}
		db, table := open()
		if err := db.Update(t.Context(), func(tx *Tx) error {
			for i := range records {
				if err := table.Put(tx, looker{Name: strconv.Itoa(i)}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		schema.Indexes = []Index[looker]{{Name: "last", Columns: []string{"digit"}, Of: func(l *looker) [][]string { return [][]string{{l.Name[len(l.Name)-1:]}} }}}
		db, table = open()
		if err := db.View(t.Context(), func(tx *Tx) error {
			n, err := table.Count(tx, Query{Index: "last", Values: []string{"7"}})
			if n != records/10 {
				t.Errorf("%d of %d records are found by the new index", n, records)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		if got := strings.Contains(log.String(), "table=lookers done=1000"); got != told {
			t.Errorf("%d records, log %q", records, log.String())
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
