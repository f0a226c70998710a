package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"moat/internal/store"
)

// carrying is a table of users whose indexes by e-mail and by group carry the note.
func carrying() *store.Table[User] {
	s := userSchema()
	for i := range s.Indexes {
		s.Indexes[i].Carries = func(u *User) string { return u.Note }
	}
	return store.NewTable(s)
}

// carried is what an index carries, by the values of its rows.
func (f *fixture) carried(index string) map[string]string {
	f.t.Helper()
	got := map[string]string{}
	f.view(func(tx *store.Tx) error {
		return f.users.Scan(tx, index, func(values []string, carries string) error {
			got[strings.Join(values, " ")] += carries
			return nil
		})
	})
	return got
}

func (f *fixture) wantCarried(index string, want ...string) {
	f.t.Helper()
	var got []string
	for values, text := range f.carried(index) {
		got = append(got, values+": "+text)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		f.t.Errorf("index %s: got %q, want %q", index, got, want)
	}
}

func testCarrying(t *testing.T, empty *fixture) {
	f := &fixture{t: t, ctx: empty.ctx, db: empty.db, users: carrying()}
	if err := f.db.Create(f.users); err == nil || !strings.Contains(err.Error(), "two services") {
		t.Errorf("a carrying index is taken for one that is not: %v", err)
	}
	s := userSchema()
	s.Name = "carrying"
	for i := range s.Indexes {
		s.Indexes[i].Carries = func(u *User) string { return u.Note }
	}
	f.users = store.NewTable(s)
	if err := f.db.Create(f.users); err != nil {
		t.Fatal(err)
	}
	put := func(u User) error {
		return f.db.Update(f.ctx, func(tx *store.Tx) error { return f.users.Put(tx, u) })
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	f.wantCarried("email")
	f.add(User{Pool: "p", Name: "ann", Email: "a@x", Groups: []string{"g"}, Note: "one"}, User{Pool: "p", Name: "bob", Email: "b@x", Groups: []string{"g", "h"}, Note: "two"})
	f.wantCarried("email", "p a@x: one", "p b@x: two")
	must(put(User{Pool: "p", Name: "ann", Email: "a@x", Groups: []string{"g"}, Note: "uno"}))
	f.wantCarried("email", "p a@x: uno", "p b@x: two")
	must(put(User{Pool: "p", Name: "bob", Email: "c@x", Groups: []string{"h", "i"}, Note: "due"}))
	f.wantCarried("email", "p a@x: uno", "p c@x: due")
	f.wantCarried("groups", "g p: uno", "h p: due", "i p: due")

	// What is refused leaves everything as it was, in the transaction, too.
	f.update(func(tx *store.Tx) error {
		if err := f.users.Put(tx, User{Pool: "p", Name: "bob", Email: "a@x", Groups: []string{"h"}, Note: "no"}); !errors.Is(err, store.ErrExists) {
			t.Errorf("a taken value: %v", err)
		}
		if err := f.users.Insert(tx, User{Pool: "p", Name: "bob", Groups: []string{"h", "k"}, Note: "no"}); !errors.Is(err, store.ErrExists) {
			t.Errorf("a taken key: %v", err)
		}
		return nil
	})
	if err := put(User{Pool: "p", Name: "eve", Email: "e@x", Note: "\x00"}); err == nil {
		t.Error("text that no database keeps is carried")
	}
	f.wantCarried("email", "p a@x: uno", "p c@x: due")
	f.wantCarried("groups", "g p: uno", "h p: due", "i p: due")
	f.wantNames(store.Query{Index: "groups", Values: []string{"h"}}, "bob")

	stop := errors.New("stop")
	f.view(func(tx *store.Tx) error {
		if err := f.users.Scan(tx, "nobody", nil); err == nil {
			t.Error("an index that is not there is read")
		}
		return nil
	})
	if err := f.db.View(f.ctx, func(tx *store.Tx) error {
		return f.users.Scan(tx, "email", func([]string, string) error { return stop })
	}); !errors.Is(err, stop) {
		t.Errorf("a reader that stops: %v", err)
	}
	if err := empty.db.View(f.ctx, func(tx *store.Tx) error { return empty.users.Scan(tx, "email", nil) }); err == nil {
		t.Error("an index that carries nothing is read")
	}
	f.update(func(tx *store.Tx) error { return f.users.Delete(tx, "p", "ann") })
	f.wantCarried("email", "p c@x: due")
	f.update(func(tx *store.Tx) error { _, err := f.users.DeleteAll(tx); return err })
	f.wantCarried("groups")
}

// testBeginsToCarry: a database whose index carried nothing has it carry, for all of its records, and the other way round.
func testBeginsToCarry(t *testing.T, cfg store.Config) {
	const n = 2500 // several batches
	users := numbered(n)
	for i := range users {
		users[i].Email, users[i].Note = users[i].Name+"@x", fmt.Sprint("note ", i)
	}
	with(t, cfg, func(f *fixture) { f.add(users...) })
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, ctx: t.Context(), db: db, users: carrying()}
	if err := db.Create(f.users); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, u := range users {
		want["p "+u.Email] = u.Note
	}
	if got := f.carried("email"); !maps.Equal(got, want) {
		t.Errorf("%d of %d records are carried", len(got), n)
	}
	f.update(func(tx *store.Tx) error {
		return f.users.Put(tx, User{Pool: "p", Name: users[0].Name, Email: "new@x", Note: "new"})
	})
	if got := f.carried("email"); got["p new@x"] != "new" || len(got) != n {
		t.Errorf("after a change %d are carried, and %q", len(got), got["p new@x"])
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	with(t, cfg, func(f *fixture) { // and back
		f.wantNames(store.Query{Index: "email", Values: []string{"p", "new@x"}}, users[0].Name)
		f.update(func(tx *store.Tx) error { return f.users.Delete(tx, "p", users[0].Name) })
		f.wantNames(store.Query{Index: "email", Values: []string{"p", "new@x"}})
	})
}
