package store

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// maxLooked bounds how many answers of a table are kept.
	maxLooked = 512
	// maxLookedList bounds the records of one answer that is kept.
	maxLookedList = 32
)

// looked keeps answers decoded: records, each with the document it was decoded from, and lists.
// The zero value is empty and ready.
type looked[T any] struct {
	mu    sync.Mutex
	of    *DB
	kept  map[string]lookedAt[T]
	lists map[string]listedAt[T]
}

type lookedAt[T any] struct {
	doc     string
	version int64
	value   T
	none    bool
	asOf    uint64 // it was so, and has been since unless the table has changed
}

type listedAt[T any] struct {
	values  []T
	records []lookedAt[T] // of values
	asOf    uint64
}

// begin returns the maps for a database, empty for another one than before. The caller holds mu.
func (l *looked[T]) begin(db *DB) {
	if l.of != db || l.kept == nil {
		l.of, l.kept, l.lists = db, map[string]lookedAt[T]{}, map[string]listedAt[T]{}
	}
}

// fresh says whether what was read at a time is still what the transaction would read. Within
// an Update of which somebody has written to the table nothing is: neither is it kept.
func (t *Table[T]) fresh(tx *Tx, asOf uint64) bool {
	return t.keeps(tx) && asOf != 0 && tx.db.history.of(t.s.Name).Load() <= asOf
}

// keeps says whether what the transaction reads of this table can be kept with its time.
func (t *Table[T]) keeps(tx *Tx) bool {
	return tx.asOf != 0 && (tx.dirty == nil || !tx.dirty.has(t.s.Name))
}

// Look is Get for records that are read often and change seldom. What it returns is shared with
// other callers: neither it nor anything that it points to may be changed.
//
// On SQLite, where nobody else writes, the row is not even read when no commit has changed the
// table since it was; in a View the answer is then of some moment since the View began, which can
// be later than that of other reads in it. Elsewhere the row is read as ever, but decoded only when
// its document is another one than before.
func (t *Table[T]) Look(tx *Tx, key ...string) (T, error) {
	var v T
	if err := tx.usable(false); err != nil {
		return v, err
	}
	id := strings.Join(key, "\x00") // no key holds NUL
	t.looked.mu.Lock()
	t.looked.begin(tx.db)
	found, ok := t.looked.kept[id]
	t.looked.mu.Unlock()
	if ok && t.fresh(tx, found.asOf) {
		if found.none {
			return v, ErrNotFound
		}
		return found.value, nil
	}
	args, good, err := t.keyArgs(key)
	if err != nil {
		return v, err
	}
	if !good {
		return v, ErrNotFound
	}
	var row document
	if err := tx.query(t.sql.get, args, []any{&row.doc, &row.version}, row.found); err != nil {
		return v, err
	}
	now := lookedAt[T]{doc: string(row.doc), version: row.version}
	if t.keeps(tx) {
		now.asOf = tx.asOf
	}
	if ok && !found.none && row.ok && row.version == found.version && now.doc == found.doc {
		now.value = found.value
	} else if err = t.read(&row, &now.value); errors.Is(err, ErrNotFound) {
		now.none = true
	} else if err != nil {
		return v, err
	}
	if now.asOf == 0 && now.none {
		return v, err
	}
	t.looked.mu.Lock()
	defer t.looked.mu.Unlock()
	if t.looked.begin(tx.db); len(t.looked.kept) >= maxLooked {
		t.looked.kept = map[string]lookedAt[T]{}
	}
	t.looked.kept[id] = now
	return now.value, err
}

// LookList is List as Look is Get. Only short lists are kept.
func (t *Table[T]) LookList(tx *Tx, q Query) ([]T, error) {
	if err := tx.usable(false); err != nil {
		return nil, err
	}
	id := q.id()
	t.looked.mu.Lock()
	t.looked.begin(tx.db)
	found, ok := t.looked.lists[id]
	t.looked.mu.Unlock()
	if ok && t.fresh(tx, found.asOf) {
		return found.values, nil
	}
	now, err := t.listLike(tx, q, found.records)
	if err != nil || !t.keeps(tx) || len(now.values) > maxLookedList {
		return now.values, err
	}
	now.asOf = tx.asOf
	t.looked.mu.Lock()
	defer t.looked.mu.Unlock()
	if t.looked.begin(tx.db); len(t.looked.lists) >= maxLooked {
		t.looked.lists = map[string]listedAt[T]{}
	}
	t.looked.lists[id] = now
	return now.values, nil
}

// listLike is List that decodes no document which stood in the same place before.
func (t *Table[T]) listLike(tx *Tx, q Query, before []lookedAt[T]) (out listedAt[T], err error) {
	sel, ok, err := t.selection(q)
	if err != nil || !ok {
		return out, err
	}
	var row document
	query := "SELECT t.doc, t.record_version FROM " + sel.from + sel.where() + sel.order(q)
	err = tx.query(query, sel.args, []any{&row.doc, &row.version}, func() error {
		now := lookedAt[T]{doc: string(row.doc), version: row.version}
		if i := len(out.records); i < len(before) && before[i].doc == now.doc && before[i].version == now.version {
			now.value = before[i].value
		} else if err := t.read(&row, &now.value); err != nil {
			return err
		}
		out.records, out.values = append(out.records, now), append(out.values, now.value)
		return nil
	})
	out.values = slices.Clip(out.values)
	return out, err
}

// Unaltered says whether all that Look and LookList have given out, and still remember, is as it was:
// tests end with it.
func (t *Table[T]) Unaltered() error {
	t.looked.mu.Lock()
	defer t.looked.mu.Unlock()
	records := slices.Collect(maps.Values(t.looked.kept))
	for _, l := range t.looked.lists {
		records = append(records, l.records...)
	}
	for _, r := range records {
		if r.none {
			continue
		}
		var as T
		if err := t.read(&document{doc: []byte(r.doc), version: r.version}, &as); err != nil {
			return err
		}
		if !reflect.DeepEqual(as, r.value) {
			return fmt.Errorf("store: somebody changed what he got of %s: %+v was %+v", t.s.Name, r.value, as)
		}
	}
	return nil
}

// id is another text for each query.
func (q *Query) id() string {
	b := make([]byte, 0, 128)
	for _, list := range [][]string{q.Prefix, {q.Index, q.Begins}, q.Values, q.After} {
		b = strconv.AppendInt(b, int64(len(list)), 10)
		for _, s := range list {
			b = strconv.AppendInt(append(b, ' '), int64(len(s)), 10)
			b = append(append(b, ':'), s...)
		}
	}
	b = strconv.AppendInt(append(b, ' '), int64(q.Limit), 10)
	return string(strconv.AppendBool(b, q.Reverse))
}
