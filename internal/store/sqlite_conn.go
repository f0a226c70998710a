package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// sqliteConn is one SQLite connection with its prepared statements. The driver
// is called below database/sql, whose pool and conversions cost more than a
// point read. It belongs to one goroutine at a time.
type sqliteConn struct {
	raw   driver.Conn
	stmts map[string]driver.Stmt
	args  []driver.NamedValue
	row   []driver.Value
}

func (c *sqliteConn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// maxStatements bounds the statements kept per connection: lists have many forms.
const maxStatements = 512

func (c *sqliteConn) stmt(query string) (driver.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.raw.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if len(c.stmts) >= maxStatements {
		for q, old := range c.stmts {
			delete(c.stmts, q)
			if err := old.Close(); err != nil {
				return nil, fmt.Errorf("store: %w", err)
			}
			break
		}
	}
	c.stmts[query] = s
	return s, nil
}

func (c *sqliteConn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// exec implements conn. The context is asked before a statement, not during it:
// the driver would start a goroutine for each.
func (c *sqliteConn) exec(ctx context.Context, query string, args []any) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s, err := c.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := s.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	return res.RowsAffected()
}

func (c *sqliteConn) query(ctx context.Context, query string, args, dest []any, each func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s, err := c.stmt(query)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), c.bind(args))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	err = c.scan(rows, dest, each)
	if e := rows.Close(); err == nil && e != nil {
		err = fmt.Errorf("store: %w", e)
	}
	return err
}

func (c *sqliteConn) scan(rows driver.Rows, dest []any, each func() error) error {
	c.row = c.row[:0]
	for range dest {
		c.row = append(c.row, nil)
	}
	for {
		err := rows.Next(c.row)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		for i, v := range c.row {
			if err := assign(dest[i], v); err != nil {
				return err
			}
		}
		if err := each(); err != nil {
			return err
		}
	}
}

// assign copies a column's value; the driver returns int64 and string.
func assign(dest any, v driver.Value) error {
	switch d := dest.(type) {
	case *int64:
		if n, ok := v.(int64); ok {
			*d = n
			return nil
		}
	case *string:
		if s, ok := v.(string); ok {
			*d = s
			return nil
		}
	case *[]byte:
		if s, ok := v.(string); ok {
			*d = []byte(s)
			return nil
		}
	}
	return fmt.Errorf("store: a column holds %T where %T was expected", v, dest)
}

func (c *sqliteConn) script(ctx context.Context, script string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := c.raw.(driver.ExecerContext).ExecContext(context.Background(), script, nil)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (c *sqliteConn) hasTable(ctx context.Context, name string) (bool, error) {
	var n int64
	err := c.query(ctx, `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1`, []any{name}, []any{&n}, func() error { return nil })
	return n > 0, err
}
