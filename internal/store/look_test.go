package store

import (
	"errors"
	"strconv"
	"testing"
)

type looker struct {
	Name  string
	Words []string
}

// A look sees each transaction's own state, whatever was kept before.
func TestTable_Look(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), Config{Path: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	table := NewTable(Schema[looker]{Name: "lookers", Key: []string{"name"}, KeyOf: func(l *looker) []string { return []string{l.Name} }})
	if err := db.Create(table); err != nil {
		t.Fatal(err)
	}
	look := func(tx *Tx, name, want string) *string {
		t.Helper()
		got, err := table.Look(tx, name)
		if want == "" {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			return nil
		}
		if err != nil || got.Words[0] != want {
			t.Errorf("%s: %+v, %v, want %s", name, got, err, want)
		}
		return &got.Words[0]
	}
	put := func(tx *Tx, name, word string) {
		t.Helper()
		if err := table.Put(tx, looker{name, []string{word}}); err != nil {
			t.Fatal(err)
		}
	}
	undone := errors.New("undone")
	_ = db.Update(t.Context(), func(tx *Tx) error {
		look(tx, "a", "")
		put(tx, "a", "one")
		first := look(tx, "a", "one")
		if second := look(tx, "a", "one"); first != second {
			t.Error("decoded twice")
		}
		return nil
	})
	if err := db.Update(t.Context(), func(tx *Tx) error {
		put(tx, "a", "two")
		look(tx, "a", "two")
		return undone
	}); !errors.Is(err, undone) {
		t.Fatal(err)
	}
	_ = db.View(t.Context(), func(tx *Tx) error {
		look(tx, "a", "one")
		look(tx, "a\x00", "")
		return nil
	})
	_ = db.Update(t.Context(), func(tx *Tx) error {
		for i := range 2 * maxLooked {
			name := "n" + strconv.Itoa(i)
			put(tx, name, name)
			look(tx, name, name)
		}
		return table.Delete(tx, "a")
	})
	_ = db.View(t.Context(), func(tx *Tx) error {
		look(tx, "a", "")
		look(tx, "n0", "n0")
		return nil
	})
	if n := len(table.looked.kept); n > maxLooked {
		t.Errorf("%d records are kept", n)
	}
}
