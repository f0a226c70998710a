package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Get returns the record with the key, or [ErrNotFound].
func (t *Table[T]) Get(tx *Tx, key ...string) (T, error) {
	var v T
	args, ok, err := t.keyArgs(key)
	if err != nil {
		return v, err
	}
	if !ok {
		return v, ErrNotFound
	}
	var row document
	err = tx.query(t.sql.get, args, []any{&row.doc, &row.version}, row.found)
	if err == nil {
		err = t.read(&row, &v)
	}
	return v, err
}

// Insert adds a record; [ErrExists] means that its key, or a value of a unique
// index, is taken, and that nothing was written.
func (t *Table[T]) Insert(tx *Tx, v T) error {
	w, err := t.written(&v)
	if err != nil {
		return err
	}
	added, err := t.addRows(tx, w.key, w.rows)
	if err != nil {
		return err
	}
	n, err := tx.exec(t.sql.insert, w.args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.Join(t.dropRows(tx, w.key, added), ErrExists)
	}
	tx.touch(t.s.Name, t.s.Topic)
	return nil
}

// Put inserts the record or replaces the one with its key. [ErrExists] means that
// a value of a unique index belongs to another record; nothing was written then.
func (t *Table[T]) Put(tx *Tx, v T) error {
	w, err := t.written(&v)
	if err != nil {
		return err
	}
	if len(t.s.Indexes) > 0 {
		var old document
		if err := tx.query(t.sql.rows, w.args[:len(w.key)], []any{&old.rows}, old.found); err != nil {
			return err
		}
		if err := t.replaceRows(tx, w, old.rows); err != nil {
			return err
		}
	}
	if _, err := tx.exec(t.sql.upsert, w.args...); err != nil {
		return err
	}
	tx.touch(t.s.Name, t.s.Topic)
	return nil
}

// Replace is [Table.Put] for a record that is there already, and whose index values are
// mostly the same as before: then it is one statement.
func (t *Table[T]) Replace(tx *Tx, v T) error {
	w, err := t.written(&v)
	if err != nil {
		return err
	}
	for _, ix := range t.s.Indexes {
		if ix.Carries != nil { // what the index carries may have changed
			return t.Put(tx, v)
		}
	}
	n, err := tx.exec(t.sql.replace, w.args...)
	if err != nil {
		return err
	}
	if n == 0 {
		return t.Put(tx, v)
	}
	tx.touch(t.s.Name, t.s.Topic)
	return nil
}

// Delete removes the record with the key, or returns [ErrNotFound].
func (t *Table[T]) Delete(tx *Tx, key ...string) error {
	var row document
	return t.remove(tx, t.sql.remove, key, &row, []any{&row.rows})
}

// Take removes the record with the key and returns it: of all who try, one gets
// it and the others get [ErrNotFound].
func (t *Table[T]) Take(tx *Tx, key ...string) (T, error) {
	var v T
	var row document
	err := t.remove(tx, t.sql.take, key, &row, []any{&row.doc, &row.version, &row.rows})
	if err == nil {
		err = t.read(&row, &v)
	}
	return v, err
}

func (t *Table[T]) remove(tx *Tx, query string, key []string, row *document, dest []any) error {
	args, ok, err := t.keyArgs(key)
	if err != nil {
		return err
	}
	if !ok {
		return ErrNotFound
	}
	if err := tx.change(query, args, dest, row.found); err != nil {
		return err
	}
	if !row.ok {
		return ErrNotFound
	}
	rows, err := parseRows(row.rows)
	if err != nil {
		return err
	}
	if err := t.dropRows(tx, key, rows); err != nil {
		return err
	}
	tx.touch(t.s.Name, t.s.Topic)
	return nil
}

// document is a row as the database returns it.
type document struct {
	doc     []byte
	version int64
	rows    string
	ok      bool
}

func (d *document) found() error { d.ok = true; return nil }

// read decodes a row, upgrading a document of an older record version.
func (t *Table[T]) read(row *document, v *T) error {
	if len(row.doc) == 0 {
		return ErrNotFound
	}
	current := int64(len(t.s.Upgrades))
	if row.version > current {
		return fmt.Errorf("store: a record of %s was written by a newer Moat (version %d); this Moat knows version %d", t.s.Name, row.version, current)
	}
	doc := json.RawMessage(row.doc)
	for _, upgrade := range t.s.Upgrades[row.version:] {
		var err error
		if doc, err = upgrade(doc); err != nil {
			return fmt.Errorf("store: upgrade a record of %s: %w", t.s.Name, err)
		}
	}
	var err error
	if d, ok := any(v).(Document); ok {
		err = d.ReadDocument(doc)
	} else {
		err = json.Unmarshal(doc, v)
	}
	if err != nil {
		return fmt.Errorf("store: decode a record of %s: %w", t.s.Name, err)
	}
	return nil
}

// Document is a record, by its pointer, that writes and reads its document itself, because
// encoding/json takes too long for what is in it. The document is JSON all the same.
type Document interface {
	AppendDocument(b []byte) ([]byte, error)
	ReadDocument(doc []byte) error
}

// encode writes a record's document.
func (t *Table[T]) encode(v *T) (string, error) {
	d, ok := any(v).(Document)
	if !ok {
		doc, err := json.Marshal(v)
		return string(doc), err
	}
	room, _ := t.room.Get().(*[]byte)
	if room == nil {
		room = new([]byte)
	}
	doc, err := d.AppendDocument((*room)[:0])
	text := string(doc)
	if cap(doc) <= 256<<10 {
		*room = doc
	}
	t.room.Put(room)
	return text, err
}

// written is a record on its way into the database.
type written struct {
	key  []string
	rows [][][]string // by index
	args []any        // of insert and upsert
}

func (t *Table[T]) written(v *T) (*written, error) {
	w := &written{key: t.s.KeyOf(v)}
	if len(w.key) != len(t.s.Key) {
		return nil, fmt.Errorf("store: a record of %s has %d key values for %d columns", t.s.Name, len(w.key), len(t.s.Key))
	}
	doc, err := t.encode(v)
	if err != nil {
		return nil, fmt.Errorf("store: encode a record of %s: %w", t.s.Name, err)
	}
	for _, k := range w.key {
		if !storable(k) {
			return nil, fmt.Errorf("store: a key of %s is not valid text", t.s.Name)
		}
		w.args = append(w.args, k)
	}
	packed := ""
	if len(t.s.Indexes) > 0 {
		if w.rows, err = t.indexRows(v); err != nil {
			return nil, err
		}
		packed = packRows(w.rows)
	}
	var expires int64
	if t.s.Expires != nil {
		if at := t.s.Expires(v); !at.IsZero() {
			expires = max(at.UnixMilli(), 1)
		}
	}
	w.args = append(w.args, doc, int64(len(t.s.Upgrades)), expires, packed)
	return w, nil
}

// keyArgs returns the key as arguments; ok is false for text that no record's
// key can be (PostgreSQL stores neither NUL nor broken UTF-8).
func (t *Table[T]) keyArgs(key []string) (args []any, ok bool, err error) {
	if len(key) != len(t.s.Key) {
		return nil, false, fmt.Errorf("store: %s has %d key columns, not %d", t.s.Name, len(t.s.Key), len(key))
	}
	args = make([]any, len(key))
	for i, k := range key {
		if !storable(k) {
			return nil, false, nil
		}
		args[i] = k
	}
	return args, true, nil
}

func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// indexRows returns the rows of each index, sorted and without repetition.
func (t *Table[T]) indexRows(v *T) ([][][]string, error) {
	all := make([][][]string, len(t.s.Indexes))
	for i, ix := range t.s.Indexes {
		rows := slices.Clone(ix.Of(v))
		for _, row := range rows {
			if len(row) != len(ix.Columns) {
				return nil, fmt.Errorf("store: index %s of %s has %d values for %d columns", ix.Name, t.s.Name, len(row), len(ix.Columns))
			}
			if slices.ContainsFunc(row, func(s string) bool { return !storable(s) }) {
				return nil, fmt.Errorf("store: a value of index %s of %s is not valid text", ix.Name, t.s.Name)
			}
		}
		slices.SortFunc(rows, slices.Compare[[]string])
		all[i] = slices.CompactFunc(rows, slices.Equal[[]string])
		if err := ix.carry(v, all[i]); err != nil {
			return nil, fmt.Errorf("store: index %s of %s: %w", ix.Name, t.s.Name, err)
		}
	}
	return all, nil
}

// carry puts what the index carries behind the values of each row.
func (ix *Index[T]) carry(v *T, rows [][]string) error {
	if ix.Carries == nil {
		return nil
	}
	text := ix.Carries(v)
	if !storable(text) {
		return errors.New("what it carries is not valid text")
	}
	for i, row := range rows {
		rows[i] = append(slices.Clone(row), text)
	}
	return nil
}

// packRows writes index rows into the record, so that a later change knows what
// to remove even when the index's definition has changed since.
func packRows(rows [][][]string) string {
	b, err := json.Marshal(rows)
	if err != nil {
		panic("store: strings do not encode: " + err.Error())
	}
	return string(b)
}

func parseRows(packed string) ([][][]string, error) {
	if packed == "" {
		return nil, nil
	}
	var rows [][][]string
	if err := json.Unmarshal([]byte(packed), &rows); err != nil {
		return nil, fmt.Errorf("store: index rows: %w", err)
	}
	return rows, nil
}

// addRows adds index rows and returns those that were not there; when one is taken it removes them.
func (t *Table[T]) addRows(tx *Tx, key []string, rows [][][]string) (added [][][]string, err error) {
	added = make([][][]string, len(rows))
	for i := range rows {
		for _, row := range rows[i] {
			n, err := tx.exec(t.sql.indexInsert[i], indexArgs(row, key)...)
			if err != nil {
				return nil, err
			}
			if n > 0 {
				added[i] = append(added[i], row)
			} else if t.s.Indexes[i].Unique {
				return nil, errors.Join(t.dropRows(tx, key, added), ErrExists)
			}
		}
	}
	return added, nil
}

func (t *Table[T]) dropRows(tx *Tx, key []string, rows [][][]string) error {
	for i := range min(len(rows), len(t.sql.indexDelete)) {
		for _, row := range rows[i] {
			if _, err := tx.exec(t.sql.indexDelete[i], indexArgs(t.values(i, row), key)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// values are a row of an index without what it carries.
func (t *Table[T]) values(index int, row []string) []string {
	return row[:min(len(row), len(t.s.Indexes[index].Columns))]
}

// replaceRows changes the index rows from the stored ones to those of w.
func (t *Table[T]) replaceRows(tx *Tx, w *written, packed string) error {
	if packed == w.args[len(w.args)-1] {
		return nil
	}
	old, err := parseRows(packed)
	if err != nil {
		return err
	}
	if _, err := t.addRows(tx, w.key, t.without(w.rows, old)); err != nil {
		return err
	}
	if err := t.dropRows(tx, w.key, t.without(old, w.rows)); err != nil {
		return err
	}
	return t.carryAnew(tx, w, old)
}

// carryAnew writes what the rows carry that stay.
func (t *Table[T]) carryAnew(tx *Tx, w *written, old [][][]string) error {
	for i, update := range t.sql.indexCarry {
		if update == "" || i >= len(old) {
			continue
		}
		for _, row := range w.rows[i] {
			values := t.values(i, row)
			stays := slices.ContainsFunc(old[i], func(r []string) bool { return slices.Equal(t.values(i, r), values) && !slices.Equal(r, row) })
			if !stays {
				continue
			}
			if _, err := tx.exec(update, append(indexArgs(values, w.key), row[len(row)-1])...); err != nil {
				return err
			}
		}
	}
	return nil
}

// without returns the rows of a that b does not have, whatever they carry.
func (t *Table[T]) without(a, b [][][]string) [][][]string {
	out := make([][][]string, len(a))
	for i := range a {
		if i >= len(b) || i >= len(t.s.Indexes) {
			out[i] = a[i]
			continue
		}
		for _, row := range a[i] {
			if !slices.ContainsFunc(b[i], func(r []string) bool { return slices.Equal(t.values(i, r), t.values(i, row)) }) {
				out[i] = append(out[i], row)
			}
		}
	}
	return out
}

func indexArgs(row, key []string) []any {
	args := make([]any, 0, len(row)+len(key))
	for _, s := range row {
		args = append(args, s)
	}
	for _, s := range key {
		args = append(args, s)
	}
	return args
}
