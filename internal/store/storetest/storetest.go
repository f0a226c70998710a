// Package storetest holds what every dialect of the store must do, as one suite
// that each of them runs, and a PostgreSQL server for tests.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"moat/internal/store"
)

// Run checks the store's behaviour; open returns a new empty database each time
// and closes it with the test.
func Run(t *testing.T, open func(t *testing.T) *store.DB) {
	t.Helper()
	cases := []struct {
		name string
		f    func(t *testing.T, f *fixture)
	}{
		{"records", testRecords}, {"unique index", testUnique}, {"multi-valued index", testMultiValued},
		{"carrying index", testCarrying}, {"list by key", testListKey}, {"list by index", testListIndex}, {"byte order", testOrder},
		{"delete all", testDeleteAll}, {"strange text", testStrangeText}, {"wrong use", testWrongUse},
		{"failing update", testFailing}, {"panicking update", testPanic}, {"ended goroutine", testGoexit},
		{"read only", testReadOnly}, {"snapshot", testSnapshot}, {"read and modify", testReadModify},
		{"write skew", testWriteSkew}, {"take once", testTakeOnce}, {"insert once", testInsertOnce},
		{"mixed success", testMixed}, {"cancelled", testCancelled}, {"counter", testCounter},
		{"counter together", testCounterTogether}, {"subscribe", testSubscribe}, {"sweep", testSweep},
		{"reset", testReset}, {"seal", testSeal}, {"closed", testClosed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.f(t, newFixture(t, open(t)))
		})
	}
}

// User is the record of the suite. Its columns have names that SQL reserves.
type User struct {
	Pool, Name, Email string
	Groups            []string
	N                 int
	Until             time.Time
	Secret            []byte
	Note              string
}

func userSchema() store.Schema[User] {
	return store.Schema[User]{
		Name: "user", Key: []string{"order", "name"},
		KeyOf: func(u *User) []string { return []string{u.Pool, u.Name} },
		Indexes: []store.Index[User]{
			{Name: "email", Columns: []string{"pool", "email"}, Unique: true, Of: func(u *User) [][]string {
				if u.Email == "" {
					return nil
				}
				return [][]string{{u.Pool, u.Email}}
			}},
			{Name: "groups", Columns: []string{"group", "pool"}, Of: func(u *User) (rows [][]string) {
				for _, g := range u.Groups {
					rows = append(rows, []string{g, u.Pool})
				}
				return rows
			}},
		},
		Expires: func(u *User) time.Time { return u.Until },
		Topic:   "users",
	}
}

type plain struct{ ID, Value string }

type fixture struct {
	t     *testing.T
	ctx   context.Context
	db    *store.DB
	users *store.Table[User]
	plain *store.Table[plain]
}

func newFixture(t *testing.T, db *store.DB) *fixture {
	t.Helper()
	f := &fixture{
		t: t, ctx: t.Context(), db: db,
		users: store.NewTable(userSchema()),
		plain: store.NewTable(store.Schema[plain]{Name: "plain", Key: []string{"id"}, KeyOf: func(p *plain) []string { return []string{p.ID} }}),
	}
	if err := db.Create(f.users, f.plain); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) update(fn func(tx *store.Tx) error) {
	f.t.Helper()
	if err := f.db.Update(f.ctx, fn); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) view(fn func(tx *store.Tx) error) {
	f.t.Helper()
	if err := f.db.View(f.ctx, fn); err != nil {
		f.t.Fatal(err)
	}
}

// add inserts users.
func (f *fixture) add(users ...User) {
	f.t.Helper()
	f.update(func(tx *store.Tx) error {
		for _, u := range users {
			if err := f.users.Insert(tx, u); err != nil {
				return err
			}
		}
		return nil
	})
}

// refused runs fn and wants its error to be one that Update passes on.
func (f *fixture) refused(want error, fn func(tx *store.Tx) error) {
	f.t.Helper()
	if err := f.db.Update(f.ctx, fn); !errors.Is(err, want) {
		f.t.Errorf("got error %v, want %v", err, want)
	}
}

// names lists the names a query finds.
func (f *fixture) names(q store.Query) []string {
	f.t.Helper()
	names := []string{}
	f.view(func(tx *store.Tx) error {
		found, err := f.users.List(tx, q)
		for _, u := range found {
			names = append(names, u.Name)
		}
		return err
	})
	return names
}

func (f *fixture) wantNames(q store.Query, want ...string) {
	f.t.Helper()
	if want == nil {
		want = []string{}
	}
	if got := f.names(q); !reflect.DeepEqual(got, want) {
		f.t.Errorf("%+v: got %v, want %v", q, got, want)
	}
}

func (f *fixture) get(pool, name string) (User, error) {
	f.t.Helper()
	var u User
	var err error
	f.view(func(tx *store.Tx) error {
		u, err = f.users.Get(tx, pool, name)
		return nil
	})
	return u, err
}

func numbered(n int) []User {
	users := make([]User, n)
	for i := range users {
		users[i] = User{Pool: "p", Name: fmt.Sprintf("u%02d", i), Groups: []string{"all", fmt.Sprintf("mod%d", i%2)}}
	}
	return users
}
