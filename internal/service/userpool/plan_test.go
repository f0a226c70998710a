package userpool

import (
	"bytes"
	"strings"
	"testing"

	"moat/internal/store"
	"moat/internal/store/storetest"
)

// The queries of the directory cost what their answers cost, however many users there
// are: every one of them is a search in an index that has the order already. This asks
// the databases for their plans, not a clock.
func TestDirectory_plans(t *testing.T) {
	t.Parallel()
	dialects := map[string]func(t *testing.T) store.Config{
		"SQLite": func(*testing.T) store.Config { return store.Config{Path: ":memory:"} },
		"PostgreSQL": func(t *testing.T) store.Config {
			return store.Config{URL: storetest.NewSchema(t, storetest.StartPostgres(t)), MasterKey: bytes.Repeat([]byte{7}, 32)}
		},
	}
	for name, config := range dialects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := store.Open(t.Context(), config(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			tables := newTables()
			if err := db.Create(tables.all()...); err != nil {
				t.Fatal(err)
			}
			explainAll(t, db, &tables)
		})
	}
}

func explainAll(t *testing.T, db *store.DB, tables *tables) {
	t.Helper()
	const pool = "eu-central-1_abc"
	queries := map[string]store.Query{
		"all users": {Prefix: []string{pool}, Limit: 61},
		"next page": {Prefix: []string{pool}, After: []string{pool, "ann"}, Limit: 61},
		"a login":   {Index: "login", Values: []string{pool, loginEmail, "ann@example.com"}, Limit: 1},
	}
	for _, text := range []string{"username", "email", "phone_number", "name", "given_name", "family_name", "preferred_username", "cognito:user_status", "status", "sub"} {
		for _, operator := range []string{"=", "^="} {
			f, err := parseFilter(text + operator + `"x"`)
			if err != nil {
				t.Fatal(err)
			}
			q := f.query(pool, 61)
			queries[text+operator] = q
			q.After = f.position(&User{Pool: pool, Key: "ann", Attributes: map[string]string{text: "x"}})
			queries[text+operator+" next page"] = q
		}
	}
	check := func(name string, explain func(tx *store.Tx) ([]string, error)) {
		t.Helper()
		var lines []string
		err := db.View(t.Context(), func(tx *store.Tx) (err error) { lines, err = explain(tx); return err })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		searches := 0
		for _, line := range lines {
			for _, costly := range []string{"SCAN ", "TEMP B-TREE", "Seq Scan", "Sort", "Hash", "Materialize"} {
				if strings.Contains(line, costly) {
					t.Errorf("%s: %s", name, strings.Join(lines, "\n"))
				}
			}
			if strings.HasPrefix(line, "SEARCH ") || strings.Contains(line, "Index Cond:") {
				searches++
			}
		}
		if searches == 0 {
			t.Errorf("%s searches no index: %s", name, strings.Join(lines, "\n"))
		}
	}
	for name, q := range queries {
		check(name, func(tx *store.Tx) ([]string, error) { return tables.users.Explain(tx, q) })
	}
	check("members", func(tx *store.Tx) ([]string, error) {
		return tables.members.Explain(tx, store.Query{Prefix: []string{pool, "User"}, After: []string{pool, "User", "ann"}, Limit: 61})
	})
	check("groups of a user", func(tx *store.Tx) ([]string, error) {
		return tables.members.Explain(tx, store.Query{Index: "user", Values: []string{pool, "ann"}})
	})
	check("sessions of a user", func(tx *store.Tx) ([]string, error) {
		return tables.sessions.Explain(tx, store.Query{Index: "user", Values: []string{pool, "ann"}})
	})
	check("import jobs", func(tx *store.Tx) ([]string, error) {
		return tables.imports.Explain(tx, store.Query{Index: "created", Values: []string{pool}, Limit: 61, Reverse: true})
	})
	check("the next import", func(tx *store.Tx) ([]string, error) {
		return tables.imports.Explain(tx, store.Query{Index: "active", Values: []string{"active"}, Limit: 1})
	})
}
