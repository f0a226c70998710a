package store

import (
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
	// On conflict the right-hand sides see the old row: what is granted is
	// computed twice, because SQL has no name for it.
	counterAdd = `INSERT INTO moat_counters (name, key, value, granted, changed_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name, key) DO UPDATE SET granted = ` + counterGrant + `, value = moat_counters.value + ` + counterGrant + `, changed_at = excluded.changed_at
RETURNING granted, value`
	counterGrant = `CASE
 WHEN CAST($6 AS BIGINT) < -moat_counters.value THEN -moat_counters.value
 WHEN CAST($6 AS BIGINT) < 0 THEN CAST($6 AS BIGINT)
 WHEN CAST($7 AS BIGINT) <= moat_counters.value THEN 0
 WHEN CAST($6 AS BIGINT) > CAST($7 AS BIGINT) - moat_counters.value THEN CAST($7 AS BIGINT) - moat_counters.value
 ELSE CAST($6 AS BIGINT) END`
)

// Add grants n, or as much of it as keeps the total at limit or below, and
// returns what it granted and the new total. Concurrent calls never grant more
// than limit together; where the total is above limit already (after Set, or when
// the limit fell) nothing is granted. A negative n gives back, down to a total of 0.
func (c *Counter) Add(tx *Tx, n, limit int64, key ...string) (granted, total int64, err error) {
	first := max(0, min(n, limit))
	args := []any{c.name, counterKey(key), first, first, tx.db.now().UnixMilli(), n, limit}
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
