package store

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

type looker struct {
	Name  string
	Words []string
}

func lookers() *Table[looker] {
	return NewTable(Schema[looker]{Name: "lookers", Key: []string{"name"}, KeyOf: func(l *looker) []string { return []string{l.Name} }})
}

// inMemory is a database that ends with its test.
func inMemory(t *testing.T) *DB {
	t.Helper()
	db, err := Open(t.Context(), Config{Path: ":memory:"})
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

// A look sees each transaction's own state, whatever was kept before.
func TestTable_Look(t *testing.T) {
	t.Parallel()
	db := inMemory(t)
	table := lookers()
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

// What is remembered is never older than a commit that was answered, nor newer than one that
// was not, and a transaction that is undone leaves nothing behind.
func TestTable_Look_remembers(t *testing.T) {
	t.Parallel()
	db := inMemory(t)
	table := NewTable(Schema[looker]{
		Name: "lookers", Key: []string{"name"}, KeyOf: func(l *looker) []string { return []string{l.Name} },
		Indexes: []Index[looker]{{Name: "word", Columns: []string{"word"}, Of: func(l *looker) [][]string { return [][]string{{l.Words[0]}} }}},
	})
	other := NewTable(Schema[looker]{Name: "others", Key: []string{"name"}, KeyOf: func(l *looker) []string { return []string{l.Name} }})
	if err := db.Create(table, other); err != nil {
		t.Fatal(err)
	}
	word := func(tx *Tx) string {
		t.Helper()
		got, err := table.Look(tx, "a")
		if errors.Is(err, ErrNotFound) {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		list, err := table.LookList(tx, Query{Index: "word", Values: got.Words[:1]})
		if err != nil || len(list) != 1 || list[0].Name != "a" {
			t.Fatalf("the list of %s: %+v, %v", got.Words[0], list, err)
		}
		return got.Words[0]
	}
	seen := func(want string) {
		t.Helper()
		for range 2 {
			_ = db.View(t.Context(), func(tx *Tx) error {
				if got := word(tx); got != want {
					t.Errorf("View: %q, want %q", got, want)
				}
				return nil
			})
		}
		statements := 0
		_ = db.View(t.Context(), func(tx *Tx) error {
			tx.conn = counting{tx.conn, &statements}
			word(tx)
			return nil
		})
		if statements != 0 {
			t.Errorf("%d statements for what is known", statements)
		}
	}
	write := func(w string, verdict error, then func(tx *Tx)) {
		t.Helper()
		err := db.Update(t.Context(), func(tx *Tx) error {
			before := word(tx)
			if err := table.Put(tx, looker{"a", []string{w}}); err != nil {
				t.Fatal(err)
			}
			if got := word(tx); got != w {
				t.Errorf("Update: %q after %q, want its own %q", got, before, w)
			}
			_ = db.View(t.Context(), func(outside *Tx) error { // not for fn to do; here to look at what is not committed
				if got := word(outside); got != before {
					t.Errorf("View: %q before the commit, want %q", got, before)
				}
				return nil
			})
			if then != nil {
				then(tx)
			}
			return verdict
		})
		if !errors.Is(err, verdict) {
			t.Fatal(err)
		}
	}
	seen("")
	write("one", nil, nil)
	seen("one")
	write("two", errors.New("undone"), nil)
	seen("one")
	write("three", nil, nil)
	seen("three")
	if err := db.Update(t.Context(), func(tx *Tx) error { return other.Put(tx, looker{"b", []string{"x"}}) }); err != nil {
		t.Fatal(err)
	}
	seen("three")
	if err := db.Update(t.Context(), func(tx *Tx) error { return table.Delete(tx, "a") }); err != nil {
		t.Fatal(err)
	}
	seen("")
	write("four", nil, nil)
	if err := db.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen("")
}

// counting counts the statements of a transaction.
type counting struct {
	conn
	n *int
}

func (c counting) query(ctx context.Context, query string, args, dest []any, each func() error) error {
	*c.n++
	return c.conn.query(ctx, query, args, dest, each)
}

// Of many who write and look at once, nobody sees less than what was answered before.
func TestTable_Look_concurrent(t *testing.T) {
	t.Parallel()
	db := inMemory(t)
	table := lookers()
	if err := db.Create(table); err != nil {
		t.Fatal(err)
	}
	number := func(tx *Tx) int {
		got, err := table.Look(tx, "a")
		if err != nil {
			return 0
		}
		n, _ := strconv.Atoi(got.Words[0])
		return n
	}
	var answered atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { // each adds one, a hundred times, by what it looked up: none is lost
			for range 100 {
				var mine int
				err := db.Update(t.Context(), func(tx *Tx) error {
					mine = number(tx) + 1
					return table.Put(tx, looker{"a", []string{strconv.Itoa(mine)}})
				})
				if err != nil {
					t.Error(err)
				}
				for was := answered.Load(); int64(mine) > was && !answered.CompareAndSwap(was, int64(mine)); was = answered.Load() {
				}
			}
		})
		all.Go(func() {
			for range 400 {
				least := answered.Load()
				_ = db.View(t.Context(), func(tx *Tx) error {
					if got := number(tx); int64(got) < least {
						t.Errorf("saw %d after %d was answered", got, least)
					}
					return nil
				})
			}
		})
	}
	all.Wait()
	_ = db.View(t.Context(), func(tx *Tx) error {
		if got := number(tx); got != 400 {
			t.Errorf("%d in the end, want 400", got)
		}
		return nil
	})
}

// A replacement is found by its new values, whether or not its index rows are others.
func TestTable_Replace(t *testing.T) {
	t.Parallel()
	db := inMemory(t)
	table := NewTable(Schema[looker]{
		Name: "lookers", Key: []string{"name"}, KeyOf: func(l *looker) []string { return []string{l.Name} },
		Indexes: []Index[looker]{{Name: "word", Columns: []string{"word"}, Of: func(l *looker) [][]string { return [][]string{{l.Words[0]}} }}},
	})
	if err := db.Create(table); err != nil {
		t.Fatal(err)
	}
	for _, words := range [][]string{{"one", "a"}, {"one", "b"}, {"two", "c"}, {"two", "d"}} { // the first makes it
		var statements int
		err := db.Update(t.Context(), func(tx *Tx) error {
			tx.conn = counting{tx.conn, &statements}
			return table.Replace(tx, looker{"x", words})
		})
		if err != nil {
			t.Fatal(err)
		}
		_ = db.View(t.Context(), func(tx *Tx) error {
			for _, w := range []string{"one", "two"} {
				found, err := table.LookList(tx, Query{Index: "word", Values: []string{w}})
				if err != nil || (len(found) == 1) != (w == words[0]) || len(found) == 1 && found[0].Words[1] != words[1] {
					t.Errorf("%v: by %s %+v, %v", words, w, found, err)
				}
			}
			return nil
		})
		if kept := words[1] == "b" || words[1] == "d"; kept && statements != 0 {
			t.Errorf("%v: %d reads to replace what stays where it is", words, statements)
		}
	}
}
