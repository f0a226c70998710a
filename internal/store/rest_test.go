package store

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Rest takes nothing from anybody, at no moment, and leaves one reader where more can be opened.
func TestRest(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"memory": ":memory:", "file": filepath.Join(t.TempDir(), "moat.db")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := Open(t.Context(), Config{Path: path, MasterKey: make([]byte, 32)})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			table := NewTable(Schema[looker]{Name: "lookers", Key: []string{"name"}, KeyOf: func(l *looker) []string { return []string{l.Name} }})
			if err := db.Create(table); err != nil {
				t.Fatal(err)
			}
			names := strings.Split("abcdefgh", "")
			var all sync.WaitGroup
			for _, name := range names {
				all.Go(func() {
					for range 50 {
						if err := db.Update(t.Context(), func(tx *Tx) error {
							l, _ := table.Get(tx, name)
							return table.Put(tx, looker{name, append(l.Words, strings.Repeat("word", 50))})
						}); err != nil {
							t.Error(err)
						}
						if err := db.View(t.Context(), func(tx *Tx) error { _, err := table.Get(tx, name); return err }); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Go(func() {
				for range 50 {
					if err := db.Rest(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
			all.Wait()
			if err := db.View(t.Context(), func(tx *Tx) error {
				for _, name := range names {
					if l, err := table.Get(tx, name); err != nil || len(l.Words) != 50 {
						t.Errorf("%s: %d words, %v", name, len(l.Words), err)
					}
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			if err := db.Rest(t.Context()); err != nil {
				t.Error(err)
			}
			e := db.engine.(*sqliteEngine)
			if want := map[bool]int{true: memoryReaders, false: 1}[e.fixed]; len(e.idle) != want {
				t.Errorf("%d readers are left, want %d", len(e.idle), want)
			}
		})
	}
}

// A server that rests takes no connection that a View is about to have: in memory there is one for each View and no other.
func TestRest_leavesViewsTheirs(t *testing.T) {
	t.Parallel()
	db := inMemory(t)
	e := db.engine.(*sqliteEngine)
	for range cap(e.free) {
		<-e.free
	}
	first := e.idle[0]
	if err := e.shrinkReader(t.Context()); err != nil || e.idle[0] != first {
		t.Errorf("a connection was taken that others wait for (%v)", err)
	}
	for range cap(e.free) {
		e.free <- struct{}{}
	}
	if err := e.shrinkReader(t.Context()); err != nil || e.idle[0] == first || e.idle[len(e.idle)-1] != first {
		t.Errorf("the connection at rest was not looked at (%v)", err)
	}
	if len(e.free) != cap(e.free) || len(e.idle) != cap(e.free) {
		t.Errorf("%d places and %d connections are left of %d", len(e.free), len(e.idle), cap(e.free))
	}
}
