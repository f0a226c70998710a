package store

import (
	"strings"
	"sync"
)

// maxLooked bounds how many records of a table are kept decoded.
const maxLooked = 512

// looked keeps records decoded, each with the document it was decoded from. The zero value is
// empty and ready.
type looked[T any] struct {
	mu   sync.Mutex
	kept map[string]lookedAt[T]
}

type lookedAt[T any] struct {
	doc     string
	version int64
	value   T
}

// Look is Get for records that are read often and change seldom: the row is read as ever, but
// decoded only when its document is another one than before. What it returns is shared with other
// callers: neither it nor anything that it points to may be changed.
func (t *Table[T]) Look(tx *Tx, key ...string) (T, error) {
	var v T
	args, ok, err := t.keyArgs(key)
	if err != nil {
		return v, err
	}
	if !ok {
		return v, ErrNotFound
	}
	var row document
	if err := tx.query(t.sql.get, args, []any{&row.doc, &row.version}, row.found); err != nil {
		return v, err
	}
	id := strings.Join(key, "\x00") // no key holds NUL
	t.looked.mu.Lock()
	found, ok := t.looked.kept[id]
	t.looked.mu.Unlock()
	if ok && row.version == found.version && string(row.doc) == found.doc {
		return found.value, nil
	}
	if err := t.read(&row, &v); err != nil {
		return v, err
	}
	t.looked.mu.Lock()
	defer t.looked.mu.Unlock()
	if t.looked.kept == nil || len(t.looked.kept) >= maxLooked {
		t.looked.kept = map[string]lookedAt[T]{}
	}
	t.looked.kept[id] = lookedAt[T]{string(row.doc), row.version, v}
	return v, nil
}
