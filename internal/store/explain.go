package store

import "strings"

// Explain tells how the database would carry out List for a query: the lines of its
// own EXPLAIN. It is for tests that keep a query from reading more than it returns. On
// PostgreSQL the planner is told to avoid scans and sorts wherever an index can do, so
// that the answer does not depend on how much a table holds.
func (t *Table[T]) Explain(tx *Tx, q Query) ([]string, error) {
	sel, ok, err := t.selection(q)
	if err != nil || !ok {
		return nil, err
	}
	query := "SELECT t.doc, t.record_version FROM " + sel.from + sel.where() + sel.order(q)
	var lines []string
	if _, lite := tx.db.engine.(*sqliteEngine); lite {
		var line string
		var id, parent, unused int64
		err := tx.query("EXPLAIN QUERY PLAN "+query, sel.args, []any{&id, &parent, &unused, &line}, func() error {
			lines = append(lines, line)
			return nil
		})
		return lines, err
	}
	for _, setting := range []string{"enable_seqscan", "enable_sort", "enable_hashjoin", "enable_mergejoin", "enable_bitmapscan"} {
		if err := tx.query("SET LOCAL "+setting+" = off", nil, nil, func() error { return nil }); err != nil {
			return nil, err
		}
	}
	var line string
	err = tx.query("EXPLAIN "+query, sel.args, []any{&line}, func() error {
		lines = append(lines, strings.TrimSpace(line))
		return nil
	})
	return lines, err
}
