package store

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Query selects records in order: by key, or by an index's values, then key.
type Query struct {
	// Prefix holds values of leading key columns.
	Prefix []string
	// Index names an index, Values the values of its leading columns. A record is
	// listed once for each row it has there.
	Index  string
	Values []string
	// Begins is what the next column's value begins with.
	Begins string
	// After is the key of the last record seen; listing goes on behind it. When
	// the query leaves index columns open, their values of that record come first.
	After []string
	// Limit is the most records to return; 0 means all.
	Limit int
	// Reverse lists in descending order.
	Reverse bool
}

// List returns the records that a query selects.
func (t *Table[T]) List(tx *Tx, q Query) ([]T, error) {
	sel, ok, err := t.selection(q)
	if err != nil || !ok {
		return nil, err
	}
	var out []T
	var row document
	query := "SELECT t.doc, t.record_version FROM " + sel.from + sel.where() + sel.order(q)
	err = tx.query(query, sel.args, []any{&row.doc, &row.version}, func() error {
		var v T
		if err := t.read(&row, &v); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	return out, err
}

// Scan calls each for all rows of an index that carries something, in no order, without holding
// them: it is for who needs a little of very many records. What it hands over is valid until each
// returns, which must not use the transaction.
func (t *Table[T]) Scan(tx *Tx, index string, each func(values []string, carries string) error) error {
	for _, ix := range t.s.Indexes {
		if ix.Name != index || ix.Carries == nil {
			continue
		}
		columns, _ := ix.columns(nil)
		values, text := make([]string, len(columns)), ""
		dest := make([]any, 0, len(columns)+1)
		for i := range values {
			dest = append(dest, &values[i])
		}
		query := fmt.Sprintf("SELECT %s FROM %q", list(append(columns, carried)), ix.table(t.s.Name))
		if err := tx.wholesale(true); err != nil {
			return err
		}
		if err := tx.query(query, nil, append(dest, &text), func() error { return each(values, text) }); err != nil {
			return err
		}
		return tx.wholesale(false)
	}
	return fmt.Errorf("store: %s has no index %q that carries anything", t.s.Name, index)
}

// wholesale lets the planner read a whole table as it lies; see preferIndexes.
func (tx *Tx) wholesale(on bool) error {
	if _, lite := tx.db.engine.(*sqliteEngine); lite {
		return nil
	}
	setting := "off"
	if on {
		setting = "on"
	}
	return tx.query("SET LOCAL enable_seqscan = "+setting, nil, nil, func() error { return nil })
}

// Count returns how many records a query selects; Limit and Reverse do not count.
func (t *Table[T]) Count(tx *Tx, q Query) (int, error) {
	q.Limit = 0
	return t.CountUpTo(tx, q)
}

// CountUpTo is Count that reads no more than q.Limit records: so many means at least so many.
func (t *Table[T]) CountUpTo(tx *Tx, q Query) (int, error) {
	sel, ok, err := t.selection(q)
	if err != nil || !ok {
		return 0, err
	}
	var n int64
	query := "SELECT count(*) FROM " + sel.from + sel.where()
	if q.Limit > 0 {
		query = "SELECT count(*) FROM (SELECT 1 FROM " + sel.from + sel.where() + " LIMIT " + strconv.Itoa(q.Limit) + ") AS counted"
	}
	err = tx.query(query, sel.args, []any{&n}, func() error { return nil })
	return int(n), err
}

// DeleteAll deletes the records whose key begins with the given columns and
// returns how many there were. Without a prefix it empties the table.
func (t *Table[T]) DeleteAll(tx *Tx, prefix ...string) (int, error) {
	if len(prefix) > len(t.s.Key) {
		return 0, fmt.Errorf("store: %s has %d key columns, not %d", t.s.Name, len(t.s.Key), len(prefix))
	}
	where, args := "", make([]any, len(prefix))
	for i, p := range prefix {
		if !storable(p) {
			return 0, nil
		}
		args[i] = p
	}
	if len(prefix) > 0 {
		where = " WHERE " + equals("", t.s.Key[:len(prefix)], 1)
	}
	return t.deleteWhere(tx, where, args)
}

func (t *Table[T]) deleteWhere(tx *Tx, where string, args []any) (int, error) {
	remove := fmt.Sprintf("DELETE FROM %q%s", t.s.Name, where)
	if len(t.s.Indexes) == 0 {
		n, err := tx.exec(remove, args...)
		if n > 0 {
			tx.touch(t.s.Name, t.s.Topic)
		}
		return int(n), err
	}
	key := make([]string, len(t.s.Key))
	var packed string
	dest := make([]any, 0, len(key)+1)
	for i := range key {
		dest = append(dest, &key[i])
	}
	type gone struct {
		key  []string
		rows string
	}
	var all []gone
	err := tx.change(remove+" RETURNING "+list(t.s.Key)+", index_rows", args, append(dest, &packed), func() error {
		all = append(all, gone{slices.Clone(key), packed})
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, g := range all {
		rows, err := parseRows(g.rows)
		if err != nil {
			return 0, err
		}
		if err := t.dropRows(tx, g.key, rows); err != nil {
			return 0, err
		}
	}
	if len(all) > 0 {
		tx.touch(t.s.Name, t.s.Topic)
	}
	return len(all), nil
}

// selection is a query in SQL.
type selection struct {
	from    string
	conds   []string
	args    []any
	columns []string // that are left open, in order, as SQL
	single  bool     // a unique index with all its columns fixed: there is no order of one row
}

func (s *selection) arg(v string) string {
	s.args = append(s.args, v)
	return "$" + strconv.Itoa(len(s.args))
}

func (s *selection) where() string {
	if len(s.conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(s.conds, " AND ")
}

func (s *selection) order(q Query) string {
	var b strings.Builder
	for i, c := range s.columns {
		if s.single {
			break // a planner could take the order for a reason to read another table first
		}
		if i == 0 {
			b.WriteString(" ORDER BY ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(c)
		if q.Reverse {
			b.WriteString(" DESC")
		}
	}
	if q.Limit > 0 {
		b.WriteString(" LIMIT " + strconv.Itoa(q.Limit))
	}
	return b.String()
}

// selection translates a query; ok is false when nothing can match it.
func (t *Table[T]) selection(q Query) (*selection, bool, error) {
	sel, columns, fixed, err := t.from(q)
	if err != nil {
		return nil, false, err
	}
	for _, v := range slices.Concat(fixed, q.After, []string{q.Begins}) {
		if !storable(v) {
			return nil, false, nil
		}
	}
	for i, v := range fixed {
		sel.conds = append(sel.conds, columns[i]+" = "+sel.arg(v))
	}
	sel.columns = columns[len(fixed):]
	if q.Begins != "" {
		if len(sel.columns) == 0 {
			return nil, false, fmt.Errorf("store: a query of %s leaves no column for Begins", t.s.Name)
		}
		// U+10FFFF is the last code point: byte order is code point order in UTF-8.
		c := sel.columns[0]
		sel.conds = append(sel.conds, c+" >= "+sel.arg(q.Begins), c+" < "+sel.arg(q.Begins+"\U0010FFFF"))
	}
	if len(q.After) > 0 {
		if err := t.after(sel, q, len(fixed)); err != nil {
			return nil, false, err
		}
	}
	return sel, true, nil
}

// from returns the tables of a query, its ordering columns as SQL and the values
// that fix the leading ones.
func (t *Table[T]) from(q Query) (sel *selection, columns, fixed []string, err error) {
	if q.Index == "" {
		if len(q.Prefix) > len(t.s.Key) || len(q.Values) > 0 {
			return nil, nil, nil, fmt.Errorf("store: a query of %s does not fit its key", t.s.Name)
		}
		return &selection{from: fmt.Sprintf("%q t", t.s.Name)}, aliased("t.", t.s.Key), q.Prefix, nil
	}
	for _, ix := range t.s.Indexes {
		if ix.Name != q.Index {
			continue
		}
		if len(q.Values) > len(ix.Columns) || len(q.Prefix) > 0 {
			return nil, nil, nil, fmt.Errorf("store: a query of %s does not fit index %s", t.s.Name, ix.Name)
		}
		a, k := ix.columns(t.s.Key)
		on := make([]string, len(k))
		for i := range k {
			on[i] = fmt.Sprintf("t.%q = i.%q", t.s.Key[i], k[i])
		}
		from := fmt.Sprintf("%q i JOIN %q t ON %s", ix.table(t.s.Name), t.s.Name, strings.Join(on, " AND "))
		single := ix.Unique && len(q.Values) == len(ix.Columns)
		return &selection{from: from, single: single}, aliased("i.", append(slices.Clone(a), k...)), q.Values, nil
	}
	return nil, nil, nil, fmt.Errorf("store: %s has no index %q", t.s.Name, q.Index)
}

func aliased(alias string, names []string) []string {
	out := quoted(names)
	for i := range out {
		out[i] = alias + out[i]
	}
	return out
}

// after adds the condition that goes on behind q.After: a whole key, or the
// values of the open columns.
func (t *Table[T]) after(sel *selection, q Query, fixed int) error {
	values := q.After
	if q.Index == "" && len(values) == len(t.s.Key) {
		values = values[fixed:]
	}
	if len(values) != len(sel.columns) {
		return fmt.Errorf("store: After of a query of %s has %d values for the %d open columns", t.s.Name, len(q.After), len(sel.columns))
	}
	if len(values) == 0 {
		sel.conds = append(sel.conds, "1 = 0")
		return nil
	}
	marks := make([]string, len(values))
	for i, v := range values {
		marks[i] = sel.arg(v)
	}
	op := " > "
	if q.Reverse {
		op = " < "
	}
	sel.conds = append(sel.conds, "("+strings.Join(sel.columns, ", ")+")"+op+"("+strings.Join(marks, ", ")+")")
	return nil
}
