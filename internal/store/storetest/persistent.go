package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"moat/internal/store"
)

// RunPersistent checks what survives a restart; fresh returns the Config of a
// new empty database that may be opened several times, one after another.
func RunPersistent(t *testing.T, fresh func(t *testing.T) store.Config) {
	t.Helper()
	cases := []struct {
		name string
		f    func(t *testing.T, cfg store.Config)
	}{
		{"reopen", testReopen}, {"master key", testMasterKey}, {"key rotation", testRotation},
		{"newer layout", testNewerLayout}, {"upgrade", testUpgrade}, {"newer record", testNewerRecord},
		{"changed indexes", testChangedIndexes}, {"index that begins to carry", testBeginsToCarry}, {"changed key", testChangedKey}, {"two declarations", testTwoDeclarations},
		{"readable", testReadable},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := fresh(t)
			cfg.MasterKey = bytes.Repeat([]byte{1}, 32)
			c.f(t, cfg)
		})
	}
}

// with opens the database, runs fn on it and closes it.
func with(t *testing.T, cfg store.Config, fn func(f *fixture)) {
	t.Helper()
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	fn(newFixture(t, db))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// refusedOpen wants Open to fail with a sentence that has the given part.
func refusedOpen(t *testing.T, cfg store.Config, part string) {
	t.Helper()
	db, err := store.Open(t.Context(), cfg)
	if err == nil {
		t.Error(errors.Join(errors.New("the database was opened"), db.Close()))
		return
	}
	if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got error %q, want one line with %q", err, part)
	}
}

// SQL runs a query on the database behind the store and returns its first column.
func SQL(t testing.TB, cfg store.Config, query string) []string {
	t.Helper()
	ctx := context.Background()
	var found []string
	var err error
	if cfg.URL != "" {
		conn, err := pgx.Connect(ctx, cfg.URL)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := conn.Query(ctx, query, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatal(err)
		}
		found, err = pgx.CollectRows(rows, pgx.RowTo[string])
		if err := errors.Join(err, conn.Close(ctx)); err != nil {
			t.Fatal(err)
		}
		return found
	}
	db, err := sql.Open("sqlite", cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		found = append(found, s)
	}
	if err := errors.Join(rows.Err(), rows.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	return found
}

func testReopen(t *testing.T, cfg store.Config) {
	c := store.NewCounter("c")
	var sealed []byte
	with(t, cfg, func(f *fixture) {
		f.add(numbered(3)...)
		f.update(func(tx *store.Tx) error { return c.Set(tx, 5, "k") })
		var err error
		if sealed, err = f.db.Seal("p", []byte("secret")); err != nil {
			t.Fatal(err)
		}
	})
	with(t, cfg, func(f *fixture) {
		f.wantNames(store.Query{}, "u00", "u01", "u02")
		f.wantNames(store.Query{Index: "groups", Values: []string{"mod1"}}, "u01")
		f.view(func(tx *store.Tx) error {
			n, err := c.Get(tx, "k")
			if n != 5 {
				t.Errorf("counter: got %d, want 5", n)
			}
			return err
		})
		if got, err := f.db.Unseal("p", sealed); err != nil || string(got) != "secret" {
			t.Errorf("Unseal: got %q, %v", got, err)
		}
		f.add(User{Pool: "q", Name: "more"})
	})
}

func testMasterKey(t *testing.T, cfg store.Config) {
	with(t, cfg, func(*fixture) {})
	other := cfg
	other.MasterKey = bytes.Repeat([]byte{2}, 32)
	refusedOpen(t, other, "the master key does not open this data folder")
	other.MasterKey = []byte("short")
	refusedOpen(t, other, "32 bytes")
	with(t, cfg, func(*fixture) {})
}

func testRotation(t *testing.T, cfg store.Config) {
	var sealed []byte
	with(t, cfg, func(f *fixture) {
		var err error
		if sealed, err = f.db.Seal("p", []byte("secret")); err != nil {
			t.Fatal(err)
		}
	})
	rotated := cfg
	rotated.MasterKey, rotated.OldKeys = bytes.Repeat([]byte{3}, 32), [][]byte{cfg.MasterKey}
	var again []byte
	with(t, rotated, func(f *fixture) {
		got, err := f.db.Unseal("p", sealed)
		if err != nil || string(got) != "secret" {
			t.Errorf("sealed with the old key: got %q, %v", got, err)
		}
		if again, err = f.db.Seal("p", got); err != nil {
			t.Fatal(err)
		}
	})
	refusedOpen(t, cfg, "the master key does not open this data folder")
	rotated.OldKeys = nil
	with(t, rotated, func(f *fixture) {
		if got, err := f.db.Unseal("p", again); err != nil || string(got) != "secret" {
			t.Errorf("sealed with the new key: got %q, %v", got, err)
		}
		if got, err := f.db.Unseal("p", sealed); err == nil || !strings.Contains(err.Error(), "master key") {
			t.Errorf("sealed with a key that is gone: got %q, %v", got, err)
		}
	})
}

func testNewerLayout(t *testing.T, cfg store.Config) {
	with(t, cfg, func(*fixture) {})
	SQL(t, cfg, `UPDATE moat_meta SET value = '3' WHERE name = 'layout'`)
	refusedOpen(t, cfg, "this data folder was written by a newer Moat (layout 3); this is layout 1")
	SQL(t, cfg, `UPDATE moat_meta SET value = '1' WHERE name = 'layout'`)
	with(t, cfg, func(*fixture) {})
}

// upgraded is plain's schema some versions later: Value became Text, then got a
// mark.
type upgraded struct{ ID, Text string }

func upgradedTable(upgrades int) *store.Table[upgraded] {
	all := []func(json.RawMessage) (json.RawMessage, error){
		func(doc json.RawMessage) (json.RawMessage, error) {
			var old plain
			if err := json.Unmarshal(doc, &old); err != nil {
				return nil, err
			}
			return json.Marshal(upgraded{ID: old.ID, Text: old.Value})
		},
		func(doc json.RawMessage) (json.RawMessage, error) {
			var u upgraded
			if err := json.Unmarshal(doc, &u); err != nil {
				return nil, err
			}
			u.Text += "!"
			return json.Marshal(u)
		},
	}
	return store.NewTable(store.Schema[upgraded]{Name: "old", Key: []string{"id"},
		KeyOf: func(u *upgraded) []string { return []string{u.ID} }, Upgrades: all[:upgrades]})
}

func testUpgrade(t *testing.T, cfg store.Config) {
	writeOld(t, cfg)
	with(t, cfg, func(f *fixture) {
		table := upgradedTable(2)
		if err := f.db.Create(table); err != nil {
			t.Fatal(err)
		}
		f.update(func(tx *store.Tx) error { return table.Put(tx, upgraded{ID: "2", Text: "new"}) })
		for range 2 { // reading does not upgrade twice
			f.view(func(tx *store.Tx) error {
				all, err := table.List(tx, store.Query{})
				if got := fmt.Sprint(all); got != "[{1 v!} {2 new}]" {
					t.Errorf("got %s", got)
				}
				return err
			})
		}
		f.update(func(tx *store.Tx) error {
			u, err := table.Take(tx, "1")
			if u.Text != "v!" {
				t.Errorf("Take: got %+v", u)
			}
			return err
		})
	})
}

func writeOld(t *testing.T, cfg store.Config) {
	with(t, cfg, func(f *fixture) {
		old := store.NewTable(store.Schema[plain]{Name: "old", Key: []string{"id"}, KeyOf: func(p *plain) []string { return []string{p.ID} }})
		if err := f.db.Create(old); err != nil {
			t.Fatal(err)
		}
		f.update(func(tx *store.Tx) error { return old.Insert(tx, plain{ID: "1", Value: "v"}) })
	})
}

func testNewerRecord(t *testing.T, cfg store.Config) {
	with(t, cfg, func(f *fixture) {
		f.update(func(tx *store.Tx) error { return f.plain.Insert(tx, plain{ID: "1"}) })
	})
	SQL(t, cfg, `UPDATE plain SET record_version = 4`)
	with(t, cfg, func(f *fixture) {
		f.view(func(tx *store.Tx) error {
			if got, err := f.plain.Get(tx, "1"); err == nil || !strings.Contains(err.Error(), "newer Moat") {
				t.Errorf("got %+v, %v, want an error that names a newer Moat", got, err)
			}
			return nil
		})
	})
}

func testChangedIndexes(t *testing.T, cfg store.Config) {
	with(t, cfg, func(f *fixture) { f.add(numbered(4)...) })
	s := userSchema()
	s.Indexes = []store.Index[User]{{Name: "first", Columns: []string{"last_digit"}, Of: func(u *User) [][]string {
		return [][]string{{u.Name[len(u.Name)-1:]}}
	}}, s.Indexes[1]}
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, ctx: t.Context(), db: db, users: store.NewTable(s)}
	if err := db.Create(f.users); err != nil {
		t.Fatal(err)
	}
	f.wantNames(store.Query{Index: "first", Values: []string{"2"}}, "u02")
	f.wantNames(store.Query{Index: "groups", Values: []string{"mod0"}}, "u00", "u02")
	f.update(func(tx *store.Tx) error { return f.users.Delete(tx, "p", "u02") })
	f.wantNames(store.Query{Index: "first", Begins: ""}, "u00", "u01", "u03")
	f.wantNames(store.Query{Index: "groups", Values: []string{"mod0"}}, "u00")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	with(t, cfg, func(f *fixture) { f.wantNames(store.Query{Index: "groups", Values: []string{"mod1"}}, "u01", "u03") }) // and back
}

func testChangedKey(t *testing.T, cfg store.Config) {
	with(t, cfg, func(f *fixture) {
		f.update(func(tx *store.Tx) error { return f.plain.Insert(tx, plain{ID: "1"}) })
	})
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	other := store.NewTable(store.Schema[plain]{Name: "plain", Key: []string{"id", "value"}, KeyOf: func(p *plain) []string { return []string{p.ID, p.Value} }})
	if err := db.Create(other); err == nil || !strings.Contains(err.Error(), "key columns") {
		t.Errorf("got error %v, want one about key columns", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	with(t, cfg, func(f *fixture) {
		f.view(func(tx *store.Tx) error { _, err := f.plain.Get(tx, "1"); return err })
	})
}

func testTwoDeclarations(t *testing.T, cfg store.Config) {
	with(t, cfg, func(f *fixture) {
		if err := f.db.Create(store.NewTable(userSchema())); err != nil {
			t.Errorf("the same declaration again: %v", err)
		}
		s := userSchema()
		s.Indexes = nil
		if err := f.db.Create(store.NewTable(s)); err == nil {
			t.Error("another declaration of the same table was accepted")
		}
	})
}

// testReadable looks at the tables as a person would.
func testReadable(t *testing.T, cfg store.Config) {
	with(t, cfg, func(f *fixture) { f.add(User{Pool: "p", Name: "ann", Email: "a@x", Note: "hello"}) })
	if got := SQL(t, cfg, `SELECT doc FROM "user" WHERE "order" = 'p' AND name = 'ann'`); len(got) != 1 || !strings.Contains(got[0], `"Note":"hello"`) {
		t.Errorf("got %q", got)
	}
	if got := SQL(t, cfg, `SELECT k_name FROM user__email WHERE i_email = 'a@x'`); len(got) != 1 || got[0] != "ann" {
		t.Errorf("got %q", got)
	}
}
