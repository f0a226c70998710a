package store

import (
	"fmt"
	"strings"
	"time"
)

// Counter is a family of numbers that change by one atomic statement.
type Counter struct{ name string }

// NewCounter names a family of counters; it needs no Create.
func NewCounter(name string) *Counter { return &Counter{name: name} }

const (
	counterGet = `SELECT value FROM moat_counters WHERE name = $1 AND key = $2`
	counterSet = `INSERT INTO moat_counters (name, key, value, granted, changed_at) VALUES ($1, $2, $3, 0, $4)
ON CONFLICT (name, key) DO UPDATE SET value = excluded.value, granted = 0, changed_at = excluded.changed_at`
	counterDelete = `DELETE FROM moat_counters WHERE name = $1 AND key = $2`
	counterSweep  = `DELETE FROM moat_counters WHERE name = $1 AND changed_at < $2`
	// On conflict the right-hand sides see the old row: granted is computed
	// twice, because SQL has no name for it.
	counterAdd = `INSERT INTO moat_counters (name, key, value, granted, changed_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name, key) DO UPDATE SET
 granted = CASE WHEN CAST($6 AS BIGINT) >= CAST($7 AS BIGINT) - moat_counters.value
  THEN CASE WHEN CAST($8 AS BIGINT) > moat_counters.value THEN CAST($9 AS BIGINT) - moat_counters.value ELSE 0 END
  ELSE CAST($10 AS BIGINT) END,
 value = moat_counters.value + CASE WHEN CAST($11 AS BIGINT) >= CAST($12 AS BIGINT) - moat_counters.value
  THEN CASE WHEN CAST($13 AS BIGINT) > moat_counters.value THEN CAST($14 AS BIGINT) - moat_counters.value ELSE 0 END
  ELSE CAST($15 AS BIGINT) END,
 changed_at = excluded.changed_at
RETURNING granted, value`
)

// Add grants n, or as much of it as keeps the total at limit or below, and
// returns what it granted and the new total. n must not be negative. Concurrent
// calls never grant more than limit together; a higher total than limit (after
// Set, or when the limit fell) grants nothing and stays.
func (c *Counter) Add(tx *Tx, n, limit int64, key ...string) (granted, total int64, err error) {
	if n < 0 {
		return 0, 0, fmt.Errorf("store: counter %s: a negative amount", c.name)
	}
	first := max(0, min(n, limit))
	args := []any{
		c.name, counterKey(key), first, first, tx.db.now().UnixMilli(),
		n, limit, limit, limit, n,
		n, limit, limit, limit, n,
	}
	err = tx.change(counterAdd, args, []any{&granted, &total}, func() error { return nil })
	return granted, total, err
}

// Get returns the total; a counter that never counted is 0.
func (c *Counter) Get(tx *Tx, key ...string) (int64, error) {
	var total int64
	err := tx.query(counterGet, []any{c.name, counterKey(key)}, []any{&total}, func() error { return nil })
	return total, err
}

// Set replaces the total.
func (c *Counter) Set(tx *Tx, total int64, key ...string) error {
	_, err := tx.exec(counterSet, c.name, counterKey(key), total, tx.db.now().UnixMilli())
	return err
}

// Delete forgets the counter, which is 0 from then on.
func (c *Counter) Delete(tx *Tx, key ...string) error {
	_, err := tx.exec(counterDelete, c.name, counterKey(key))
	return err
}

// Sweep forgets the counters of the family that did not change since a time.
func (c *Counter) Sweep(tx *Tx, unchangedSince time.Time) error {
	_, err := tx.exec(counterSweep, c.name, unchangedSince.UnixMilli())
	return err
}

// counterKey joins the parts so that a person can read them and no two keys
// become the same.
func counterKey(parts []string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = strings.NewReplacer(`\`, `\\`, `|`, `\|`, "\x00", `\0`).Replace(p)
	}
	return strings.ToValidUTF8(strings.Join(escaped, "|"), "\uFFFD")
}
