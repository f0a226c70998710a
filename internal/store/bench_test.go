package store_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"moat/internal/store"
)

// profile is about as large as a user's record.
type profile struct{ Pool, Name, Email, Attributes string }

func benchTable(b *testing.B, indexed bool) (*store.DB, *store.Table[profile]) {
	b.Helper()
	db := open(b, store.Config{Path: filepath.Join(b.TempDir(), "moat.db")})
	s := store.Schema[profile]{Name: "profiles", Key: []string{"pool", "name"}, KeyOf: func(p *profile) []string { return []string{p.Pool, p.Name} }}
	if indexed {
		s.Indexes = []store.Index[profile]{{Name: "email", Columns: []string{"pool", "email"}, Unique: true, Of: func(p *profile) [][]string { return [][]string{{p.Pool, p.Email}} }}}
	}
	table := store.NewTable(s)
	if err := db.Create(table); err != nil {
		b.Fatal(err)
	}
	return db, table
}

func newProfile(i int64) profile {
	name := fmt.Sprintf("user-%09d", i)
	return profile{Pool: "eu-west-1_abcdefghi", Name: name, Email: name + "@example.com", Attributes: strings.Repeat("attribute ", 40)}
}

// BenchmarkUpdate inserts one record per durable commit, alone and with 64
// writers that share commits.
func BenchmarkUpdate(b *testing.B) {
	for _, indexed := range []bool{false, true} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("writers=%d/indexed=%v", writers, indexed), func(b *testing.B) {
				db, table := benchTable(b, indexed)
				var next atomic.Int64
				update := func() {
					p := newProfile(next.Add(1))
					if err := db.Update(b.Context(), func(tx *store.Tx) error { return table.Insert(tx, p) }); err != nil {
						b.Error(err)
					}
				}
				b.ReportAllocs()
				if writers == 1 {
					for b.Loop() {
						update()
					}
					return
				}
				b.SetParallelism(writers / 2)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						update()
					}
				})
			})
		}
	}
}

func BenchmarkGet(b *testing.B) {
	db, table := benchTable(b, true)
	const records = 10_000
	err := db.Update(b.Context(), func(tx *store.Tx) error {
		for i := range int64(records) {
			if err := table.Insert(tx, newProfile(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	get := func() {
		name := newProfile(next.Add(1) % records).Name
		err := db.View(b.Context(), func(tx *store.Tx) error { _, err := table.Get(tx, "eu-west-1_abcdefghi", name); return err })
		if err != nil {
			b.Error(err)
		}
	}
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			get()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				get()
			}
		})
	})
}

// BenchmarkOpen opens an existing database with 60 tables, as a start does.
func BenchmarkOpen(b *testing.B) {
	cfg := store.Config{Path: filepath.Join(b.TempDir(), "moat.db"), MasterKey: make([]byte, 32)}
	var tables []store.Definer
	for i := range 60 {
		tables = append(tables, store.NewTable(store.Schema[profile]{Name: fmt.Sprintf("t%d", i), Key: []string{"pool", "name"},
			KeyOf:   func(p *profile) []string { return []string{p.Pool, p.Name} },
			Indexes: []store.Index[profile]{{Name: "email", Columns: []string{"email"}, Of: func(p *profile) [][]string { return [][]string{{p.Email}} }}},
		}))
	}
	start := func(b *testing.B) {
		db, err := store.Open(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Create(tables...); err != nil {
			b.Fatal(err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			cfg.Path = filepath.Join(b.TempDir(), "moat.db")
			start(b)
		}
	})
	b.Run("again", func(b *testing.B) {
		cfg.Path = filepath.Join(b.TempDir(), "moat.db")
		start(b)
		for b.Loop() {
			start(b)
		}
	})
	b.Run("memory", func(b *testing.B) {
		cfg.Path = ":memory:"
		for b.Loop() {
			start(b)
		}
	})
	b.Run("reset", func(b *testing.B) {
		db := open(b, store.Config{Path: ":memory:"})
		if err := db.Create(tables...); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := db.Reset(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
