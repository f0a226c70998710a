package store

import (
	"slices"
	"sync"
	"sync/atomic"
)

// history knows when each table was changed last, by the count of the commits of this
// process. It is kept where no other process writes: on SQLite.
type history struct {
	commits *atomic.Uint64
	tables  *sync.Map // name -> *atomic.Uint64: the commit that changed it last
}

func newHistory() history {
	h := history{commits: new(atomic.Uint64), tables: new(sync.Map)}
	h.commits.Store(1) // 0 stands for a time that is not known
	return h
}

// now is a time that everything belongs to which is read after it.
func (h *history) now() uint64 { return h.commits.Load() }

// changed says that a commit of these tables has ended, well or not. It comes before the
// commit is answered and before the next one begins.
func (h *history) changed(tables writtenTables) {
	if len(tables) == 0 {
		return
	}
	at := h.commits.Add(1)
	for _, name := range tables {
		h.of(name).Store(at)
	}
}

func (h *history) of(table string) *atomic.Uint64 {
	if at, ok := h.tables.Load(table); ok {
		return at.(*atomic.Uint64)
	}
	at, _ := h.tables.LoadOrStore(table, new(atomic.Uint64))
	return at.(*atomic.Uint64)
}

// writtenTables are the names of tables that are being changed.
type writtenTables []string

func (w *writtenTables) add(table string) {
	if !slices.Contains(*w, table) {
		*w = append(*w, table)
	}
}

func (w *writtenTables) has(table string) bool { return slices.Contains(*w, table) }
