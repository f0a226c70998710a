package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"moat/internal/store"
)

type user struct {
	Pool, Name, Email string
	Groups            []string
	N                 int
}

func users() *store.Table[user] {
	return store.NewTable(store.Schema[user]{
		Name: "users", Key: []string{"pool", "name"},
		KeyOf: func(u *user) []string { return []string{u.Pool, u.Name} },
		Indexes: []store.Index[user]{
			{Name: "email", Columns: []string{"pool", "email"}, Unique: true, Of: func(u *user) [][]string {
				if u.Email == "" {
					return nil
				}
				return [][]string{{u.Pool, u.Email}}
			}},
			{Name: "groups", Columns: []string{"group"}, Of: func(u *user) (rows [][]string) {
				for _, g := range u.Groups {
					rows = append(rows, []string{g})
				}
				return rows
			}},
		},
		Topic: "users",
	})
}

func TestSmoke(t *testing.T) {
	for _, path := range []string{":memory:", filepath.Join(t.TempDir(), "x.db")} {
		ctx := context.Background()
		db, err := store.Open(ctx, store.Config{Path: path, MasterKey: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		tab := users()
		if err := db.Create(tab); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				for j := range 20 {
					err := db.Update(ctx, func(tx *store.Tx) error {
						if err := tab.Insert(tx, user{Pool: "p", Name: fmt.Sprintf("u%d-%d", i, j), Email: fmt.Sprintf("%d.%d@x", i, j), Groups: []string{"a", "b"}}); err != nil {
							return err
						}
						if j%5 == 0 {
							return errors.New("no")
						}
						return nil
					})
					if (j%5 == 0) != (err != nil) {
						t.Error(i, j, err)
					}
					_ = db.View(ctx, func(tx *store.Tx) error {
						_, err := tab.Get(tx, "p", fmt.Sprintf("u%d-%d", i, j))
						if (j%5 == 0) != errors.Is(err, store.ErrNotFound) {
							t.Error(i, j, err)
						}
						return nil
					})
				}
			})
		}
		wg.Wait()
		err = db.View(ctx, func(tx *store.Tx) error {
			n, err := tab.Count(tx, store.Query{Prefix: []string{"p"}})
			if err != nil || n != 64*16 {
				t.Error(n, err)
			}
			l, err := tab.List(tx, store.Query{Index: "groups", Values: []string{"a"}, Limit: 3, After: []string{"p", "u0-1"}})
			t.Log(l, err)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Reset(ctx); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
