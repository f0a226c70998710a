package storetest

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"moat/internal/store"
)

func testRecords(t *testing.T, f *fixture) {
	want := User{Pool: "p", Name: "ann", Email: "a@x", Groups: []string{"g"}, N: 7, Until: time.Unix(4e9, 5).UTC(), Secret: []byte{0, 1, 255}, Note: "<&>"}
	f.add(want)
	if got, err := f.get("p", "ann"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Get: got %+v, %v, want %+v", got, err, want)
	}
	for _, key := range [][2]string{{"p", "bob"}, {"q", "ann"}, {"", ""}} {
		if _, err := f.get(key[0], key[1]); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get(%v): got error %v, want ErrNotFound", key, err)
		}
	}
	f.refused(store.ErrExists, func(tx *store.Tx) error { return f.users.Insert(tx, User{Pool: "p", Name: "ann"}) })
	if got, _ := f.get("p", "ann"); got.N != 7 {
		t.Errorf("a refused Insert changed the record to %+v", got)
	}
	want.N = 8
	f.update(func(tx *store.Tx) error {
		if err := f.users.Put(tx, want); err != nil {
			return err
		}
		return f.users.Put(tx, User{Pool: "p", Name: "bob"})
	})
	if got, _ := f.get("p", "ann"); got.N != 8 {
		t.Errorf("Put: got %+v", got)
	}
	f.update(func(tx *store.Tx) error { return f.users.Delete(tx, "p", "ann") })
	f.refused(store.ErrNotFound, func(tx *store.Tx) error { return f.users.Delete(tx, "p", "ann") })
	f.update(func(tx *store.Tx) error {
		u, err := f.users.Take(tx, "p", "bob")
		if err == nil && u.Name != "bob" {
			t.Errorf("Take: got %+v", u)
		}
		return err
	})
	f.refused(store.ErrNotFound, func(tx *store.Tx) error { _, err := f.users.Take(tx, "p", "bob"); return err })
	f.wantNames(store.Query{})
	f.wantNames(store.Query{Index: "email"})
}

// testUnique checks that a refused write leaves nothing behind even when the
// transaction goes on and commits.
func testUnique(t *testing.T, f *fixture) {
	f.add(User{Pool: "p", Name: "ann", Email: "a@x"}, User{Pool: "q", Name: "ann", Email: "a@x"})
	f.update(func(tx *store.Tx) error {
		for what, err := range map[string]error{
			"Insert":       f.users.Insert(tx, User{Pool: "p", Name: "bob", Email: "a@x", Groups: []string{"g"}}),
			"Put":          f.users.Put(tx, User{Pool: "p", Name: "bob", Email: "a@x", Groups: []string{"g"}}),
			"Insert a key": f.users.Insert(tx, User{Pool: "p", Name: "ann", Email: "new@x", Groups: []string{"g"}}),
		} {
			if !errors.Is(err, store.ErrExists) {
				t.Errorf("%s: got error %v, want ErrExists", what, err)
			}
		}
		return nil
	})
	f.wantNames(store.Query{Prefix: []string{"p"}}, "ann")
	f.wantNames(store.Query{Index: "groups"})
	f.wantNames(store.Query{Index: "email", Values: []string{"p", "a@x"}}, "ann")
	f.wantNames(store.Query{Index: "email", Values: []string{"p", "new@x"}})

	f.update(func(tx *store.Tx) error { // the same value of the same record; then another
		if err := f.users.Put(tx, User{Pool: "p", Name: "ann", Email: "a@x", N: 1}); err != nil {
			return err
		}
		if err := f.users.Put(tx, User{Pool: "p", Name: "ann", Email: "b@x"}); err != nil {
			return err
		}
		return f.users.Insert(tx, User{Pool: "p", Name: "bob", Email: "a@x"})
	})
	f.wantNames(store.Query{Index: "email", Values: []string{"p", "a@x"}}, "bob")
	f.wantNames(store.Query{Index: "email", Values: []string{"p", "b@x"}}, "ann")
	f.refused(store.ErrExists, func(tx *store.Tx) error {
		return f.users.Put(tx, User{Pool: "p", Name: "bob", Email: "b@x"})
	})
	f.update(func(tx *store.Tx) error {
		if err := f.users.Delete(tx, "p", "ann"); err != nil {
			return err
		}
		return f.users.Put(tx, User{Pool: "p", Name: "bob", Email: "b@x"})
	})
}

func testMultiValued(t *testing.T, f *fixture) {
	f.add(User{Pool: "p", Name: "ann", Groups: []string{"b", "a", "a"}}, User{Pool: "p", Name: "bob", Groups: []string{"a"}}, User{Pool: "q", Name: "eve", Groups: []string{"a"}})
	f.wantNames(store.Query{Index: "groups", Values: []string{"a", "p"}}, "ann", "bob")
	f.wantNames(store.Query{Index: "groups", Values: []string{"a"}}, "ann", "bob", "eve")
	f.wantNames(store.Query{Index: "groups", Values: []string{"b"}}, "ann")
	f.wantNames(store.Query{Index: "groups"}, "ann", "bob", "eve", "ann")
	f.update(func(tx *store.Tx) error {
		return f.users.Put(tx, User{Pool: "p", Name: "ann", Groups: []string{"c", "a"}})
	})
	f.wantNames(store.Query{Index: "groups", Values: []string{"b"}})
	f.wantNames(store.Query{Index: "groups", Values: []string{"c"}}, "ann")
	f.wantNames(store.Query{Index: "groups", Values: []string{"a", "p"}}, "ann", "bob")
	f.update(func(tx *store.Tx) error { return f.users.Put(tx, User{Pool: "p", Name: "ann"}) })
	f.wantNames(store.Query{Index: "groups"}, "bob", "eve")
}

func testListKey(t *testing.T, f *fixture) {
	f.add(append(numbered(10), User{Pool: "q", Name: "z"})...)
	f.wantNames(store.Query{Prefix: []string{"p"}, Limit: 3}, "u00", "u01", "u02")
	f.wantNames(store.Query{Prefix: []string{"p"}, After: []string{"p", "u07"}}, "u08", "u09")
	f.wantNames(store.Query{After: []string{"p", "u08"}}, "u09", "z")
	f.wantNames(store.Query{Prefix: []string{"p"}, Reverse: true, Limit: 2}, "u09", "u08")
	f.wantNames(store.Query{Prefix: []string{"p"}, Reverse: true, After: []string{"p", "u02"}}, "u01", "u00")
	f.wantNames(store.Query{Prefix: []string{"p"}, Begins: "u0", Limit: 1}, "u00")
	f.wantNames(store.Query{Prefix: []string{"p"}, Begins: "u05"}, "u05")
	f.wantNames(store.Query{Prefix: []string{"p"}, Begins: "v"})
	f.wantNames(store.Query{Begins: "q"}, "z")
	f.wantNames(store.Query{Prefix: []string{"p", "u03"}}, "u03")
	f.wantNames(store.Query{Prefix: []string{"p", "u03"}, After: []string{"p", "u03"}})
	f.view(func(tx *store.Tx) error {
		n, err := f.users.Count(tx, store.Query{Prefix: []string{"p"}, Begins: "u0"})
		if n != 10 {
			t.Errorf("Count: got %d, want 10", n)
		}
		if err != nil {
			return err
		}
		if n, err = f.users.CountUpTo(tx, store.Query{Prefix: []string{"p"}, Begins: "u0", Limit: 4}); n != 4 {
			t.Errorf("CountUpTo: got %d, want 4", n)
		}
		return err
	})
}

func testListIndex(t *testing.T, f *fixture) {
	f.add(numbered(10)...)
	q := store.Query{Index: "groups", Values: []string{"mod1", "p"}, Limit: 2}
	f.wantNames(q, "u01", "u03")
	q.After = []string{"p", "u03"}
	f.wantNames(q, "u05", "u07")
	q.Reverse = true
	f.wantNames(q, "u01")
	f.wantNames(store.Query{Index: "groups", Begins: "mod", Limit: 7, After: []string{"mod0", "p", "p", "u06"}}, "u08", "u01", "u03", "u05", "u07", "u09")
	f.view(func(tx *store.Tx) error {
		n, err := f.users.Count(tx, store.Query{Index: "groups", Values: []string{"mod0"}})
		if n != 5 {
			t.Errorf("Count: got %d, want 5", n)
		}
		return err
	})
}

// testOrder checks that text is ordered by bytes, not by a language's rules.
func testOrder(_ *testing.T, f *fixture) {
	want := []string{"", "A", "Z", "_", "a", "a b", "a%", "a-", "aB", "ab", "a\U0001F600", "b", "é", "ﬀ", "\U0001F600"}
	for _, name := range want {
		f.add(User{Pool: "p", Name: name, Groups: []string{name}})
	}
	f.wantNames(store.Query{Prefix: []string{"p"}}, want...)
	f.wantNames(store.Query{Index: "groups"}, want...)
	f.wantNames(store.Query{Prefix: []string{"p"}, Begins: "a"}, want[4:11]...)
	f.wantNames(store.Query{Index: "groups", Begins: "a%"}, "a%")
	f.wantNames(store.Query{Prefix: []string{"p"}, After: []string{"p", "a-"}}, want[8:]...)
}

func testDeleteAll(t *testing.T, f *fixture) {
	f.add(append(numbered(6), User{Pool: "q", Name: "z", Email: "z@x", Groups: []string{"all"}})...)
	f.update(func(tx *store.Tx) error {
		n, err := f.users.DeleteAll(tx, "p")
		if n != 6 {
			t.Errorf("DeleteAll: got %d, want 6", n)
		}
		return err
	})
	f.wantNames(store.Query{Index: "groups", Values: []string{"all"}}, "z")
	f.update(func(tx *store.Tx) error {
		if err := f.plain.Insert(tx, plain{ID: "1"}); err != nil {
			return err
		}
		n, err := f.plain.DeleteAll(tx)
		if n != 1 {
			t.Errorf("DeleteAll: got %d, want 1", n)
		}
		return err
	})
	f.add(numbered(1)...)
	f.wantNames(store.Query{}, "u00", "z")
}

func testStrangeText(t *testing.T, f *fixture) {
	for _, name := range []string{`'; DROP TABLE "user"; --`, "$1", "?", `"`, `\`, "line\nbreak", "\u2028", strings.Repeat("x", 2000)} {
		f.add(User{Pool: "p", Name: name, Email: name, Note: "nul \x00 here"})
		if got, err := f.get("p", name); err != nil || got.Note != "nul \x00 here" {
			t.Errorf("%q: got %+v, %v", name, got, err)
		}
		f.wantNames(store.Query{Index: "email", Values: []string{"p", name}}, name)
	}
	for _, name := range []string{"nul\x00", "\xff"} {
		if _, err := f.get("p", name); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get(%q): got error %v, want ErrNotFound", name, err)
		}
		f.wantNames(store.Query{Prefix: []string{"p", name}})
		for _, u := range []User{{Pool: "p", Name: name}, {Pool: "p", Name: "ok", Email: name}} {
			if err := f.db.Update(f.ctx, func(tx *store.Tx) error { return f.users.Put(tx, u) }); err == nil {
				t.Errorf("Put(%+v) was accepted", u)
			}
		}
	}
	f.add(User{Pool: "p", Name: "large", Note: strings.Repeat("large ", 200_000)})
	if got, err := f.get("p", "large"); err != nil || len(got.Note) != 1_200_000 {
		t.Errorf("a large record: %d bytes, %v", len(got.Note), err)
	}
}

func testWrongUse(t *testing.T, f *fixture) {
	var kept *store.Tx
	f.update(func(tx *store.Tx) error { kept = tx; return nil })
	if _, err := f.users.Get(kept, "p", "x"); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("a transaction that has ended: got error %v", err)
	}
	f.view(func(tx *store.Tx) error {
		if _, err := f.users.Get(tx, "p"); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("half a key: got error %v", err)
		}
		for _, q := range []store.Query{
			{Index: "none"}, {Prefix: []string{"a", "b", "c"}}, {Index: "email", Values: []string{"a", "b", "c"}},
			{Values: []string{"a"}}, {After: []string{"a"}}, {Index: "groups", After: []string{"p", "a"}},
			{Prefix: []string{"a", "b"}, Begins: "c"},
		} {
			if _, err := f.users.List(tx, q); err == nil {
				t.Errorf("%+v was accepted", q)
			}
		}
		return nil
	})
}

func testSweep(t *testing.T, f *fixture) {
	now := time.Now()
	f.add(User{Pool: "p", Name: "old", Email: "old@x", Until: now.Add(-time.Hour)},
		User{Pool: "p", Name: "new", Until: now.Add(time.Hour)}, User{Pool: "p", Name: "ever"})
	n, err := f.db.Sweep(f.ctx)
	if err != nil || n != 1 {
		t.Errorf("Sweep: got %d, %v, want 1", n, err)
	}
	f.wantNames(store.Query{}, "ever", "new")
	f.wantNames(store.Query{Index: "email"})
	if n, err := f.db.Sweep(f.ctx); err != nil || n != 0 {
		t.Errorf("second Sweep: got %d, %v, want 0", n, err)
	}
}

func testReset(t *testing.T, f *fixture) {
	f.add(numbered(3)...)
	hits, misses := store.NewCounter("hits"), store.NewCounter("misses")
	f.update(func(tx *store.Tx) error {
		return errors.Join(f.plain.Insert(tx, plain{ID: "kept"}), hits.Set(tx, 5, "a"), misses.Set(tx, 6, "a"))
	})
	called := 0
	f.db.Subscribe("users", func() { called++ })
	if err := f.db.Reset(f.ctx, "plain", "misses"); err != nil {
		t.Fatal(err)
	}
	f.wantNames(store.Query{})
	f.wantNames(store.Query{Index: "groups"})
	if called != 1 {
		t.Errorf("the subscriber was called %d times, want 1", called)
	}
	f.view(func(tx *store.Tx) error {
		_, err := f.plain.Get(tx, "kept")
		a, err1 := hits.Get(tx, "a")
		b, err2 := misses.Get(tx, "a")
		if a != 0 || b != 6 {
			t.Errorf("counters: got %d and %d, want 0 and 6", a, b)
		}
		return errors.Join(err, err1, err2)
	})
	f.add(numbered(3)...)
}

func testSeal(t *testing.T, f *fixture) {
	for _, plain := range []string{"", "x", strings.Repeat("long", 1000)} {
		sealed, err := f.db.Seal("purpose", []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.db.Unseal("purpose", sealed); err != nil || string(got) != plain {
			t.Errorf("Unseal: got %q, %v, want %q", got, err, plain)
		}
		if got, err := f.db.Unseal("purpose2", sealed); !errors.Is(err, store.ErrSealed) {
			t.Errorf("another purpose: got %q, %v, want ErrSealed", got, err)
		}
		again, _ := f.db.Seal("purpose", []byte(plain))
		if string(again) == string(sealed) {
			t.Error("two seals of the same are equal")
		}
		for i := range min(len(sealed), 60) {
			bad := append([]byte{}, sealed...)
			bad[i] ^= 1
			if got, err := f.db.Unseal("purpose", bad); err == nil {
				t.Errorf("byte %d altered: got %q", i, got)
			}
			if got, err := f.db.Unseal("purpose", sealed[:i]); err == nil {
				t.Errorf("cut to %d bytes: got %q", i, got)
			}
		}
	}
}

func testClosed(t *testing.T, f *fixture) {
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	nothing := func(*store.Tx) error { return nil }
	if err := f.db.Update(f.ctx, nothing); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Update: got error %v, want ErrClosed", err)
	}
	if err := f.db.View(f.ctx, nothing); !errors.Is(err, store.ErrClosed) {
		t.Errorf("View: got error %v, want ErrClosed", err)
	}
	if err := f.db.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
