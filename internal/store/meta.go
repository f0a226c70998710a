package store

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// layout is the version of the store's own tables.
const layout = 1

const (
	metaLayout   = "layout"
	metaKeyCheck = "master_key_check"
	checkPurpose = "master key check"
)

func metaScript(d dialect) string {
	return fmt.Sprintf(`CREATE TABLE IF NOT EXISTS moat_meta (name %[1]s NOT NULL PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS moat_tables (name %[1]s NOT NULL PRIMARY KEY, fingerprint TEXT NOT NULL, key_columns TEXT NOT NULL, index_tables TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS moat_counters (name %[1]s NOT NULL, key %[1]s NOT NULL, value %[2]s NOT NULL, granted %[2]s NOT NULL, changed_at %[2]s NOT NULL, PRIMARY KEY (name, key));
CREATE TABLE IF NOT EXISTS moat_changes (id %[1]s NOT NULL PRIMARY KEY, at %[2]s NOT NULL, node TEXT NOT NULL, topic TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS moat_changes__at ON moat_changes (at);
`, d.text, d.bigint)
}

// openMeta checks that this program may use the database, and reads which tables
// it holds.
func (db *DB) openMeta(ctx context.Context) error {
	var meta map[string]string
	err := db.Update(ctx, func(tx *Tx) error {
		var err error
		if meta, err = readMeta(tx); err == nil && meta[metaLayout] == "" {
			err = db.initMeta(tx, meta)
		}
		if err != nil {
			return err
		}
		if err := db.checkMeta(tx, meta); err != nil {
			return err
		}
		db.prints, err = readPrints(tx)
		return err
	})
	return err
}

func (db *DB) checkMeta(tx *Tx, meta map[string]string) error {
	have, err := strconv.Atoi(meta[metaLayout])
	if err != nil {
		return fmt.Errorf("store: the layout of this database is %q, which is no number", meta[metaLayout])
	}
	if have > layout {
		return fmt.Errorf("store: this data folder was written by a newer Moat (layout %d); this is layout %d", have, layout)
	}
	sealed, err := base64.StdEncoding.DecodeString(meta[metaKeyCheck])
	if err != nil {
		return fmt.Errorf("store: master key check: %w", err)
	}
	if _, err := db.keyring.unseal(checkPurpose, sealed); err != nil {
		id := "unknown"
		if len(sealed) >= headerSize {
			id = hex.EncodeToString(sealed[1:headerSize])
		}
		return fmt.Errorf("store: the master key does not open this data folder: it was sealed with key %s, and key %s was given",
			id, hex.EncodeToString(db.keyring.keys[0].id[:]))
	}
	if [keyIDSize]byte(sealed[1:headerSize]) != db.keyring.keys[0].id {
		return db.writeKeyCheck(tx)
	}
	return nil
}

func (db *DB) initMeta(tx *Tx, meta map[string]string) error {
	if err := tx.script(metaScript(db.engine.dialect())); err != nil {
		return err
	}
	meta[metaLayout] = strconv.Itoa(layout)
	if err := writeMeta(tx, metaLayout, meta[metaLayout]); err != nil {
		return err
	}
	if err := db.writeKeyCheck(tx); err != nil {
		return err
	}
	written, err := readMeta(tx)
	maps.Copy(meta, written)
	return err
}

func (db *DB) writeKeyCheck(tx *Tx) error {
	check, err := db.keyring.seal(checkPurpose, []byte("moat"))
	if err != nil {
		return err
	}
	return writeMeta(tx, metaKeyCheck, base64.StdEncoding.EncodeToString(check))
}

func writeMeta(tx *Tx, name, value string) error {
	_, err := tx.exec(`INSERT INTO moat_meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}

// readMeta returns an empty map for an empty database.
func readMeta(tx *Tx) (map[string]string, error) {
	meta := map[string]string{}
	exists, err := tx.conn.(interface {
		hasTable(ctx context.Context, name string) (bool, error)
	}).hasTable(tx.ctx, "moat_meta")
	if err != nil || !exists {
		return meta, err
	}
	var name, value string
	err = tx.query(`SELECT name, value FROM moat_meta`, nil, []any{&name, &value}, func() error {
		meta[name] = value
		return nil
	})
	return meta, err
}

func readPrints(tx *Tx) (map[string]string, error) {
	prints := map[string]string{}
	var name, print string
	err := tx.query(`SELECT name, fingerprint FROM moat_tables`, nil, []any{&name, &print}, func() error {
		prints[name] = print
		return nil
	})
	return prints, err
}

// Create makes the tables that the database does not have yet, all in one
// transaction. A table whose indexes changed gets them anew; one whose key
// columns changed is an error.
func (db *DB) Create(tables ...Definer) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	var changed []*created
	all := make([]*created, len(tables))
	for i, t := range tables {
		c := t.define(db.engine.dialect())
		all[i] = c
		if have, ok := db.created[c.name]; ok && have.print != c.print {
			return fmt.Errorf("store: two services declare table %s", c.name)
		}
		if db.prints[c.name] != c.print {
			changed = append(changed, c)
		}
	}
	if len(changed) > 0 {
		err := db.engine.define(context.Background(), func(tx *Tx) error {
			for _, c := range changed {
				if err := c.create(tx, db.prints[c.name] != ""); err != nil {
					return fmt.Errorf("store: create table %s: %w", c.name, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, c := range all {
		db.prints[c.name] = c.print
		db.created[c.name] = c
	}
	return nil
}

func (c *created) create(tx *Tx, exists bool) error {
	keys := strings.Join(c.keys, ",")
	if exists {
		if err := c.dropIndexes(tx, keys); err != nil {
			return err
		}
	}
	if err := tx.script(c.script); err != nil {
		return err
	}
	if exists {
		if err := c.rebuild(tx); err != nil {
			return err
		}
	}
	names := make([]string, len(c.indexes))
	for i, ix := range c.indexes {
		names[i] = ix.table
	}
	_, err := tx.exec(`INSERT INTO moat_tables (name, fingerprint, key_columns, index_tables) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET fingerprint = excluded.fingerprint, index_tables = excluded.index_tables`,
		c.name, c.print, keys, strings.Join(names, ","))
	return err
}

func (c *created) dropIndexes(tx *Tx, keys string) error {
	var haveKeys, indexes string
	err := tx.query(`SELECT key_columns, index_tables FROM moat_tables WHERE name = $1`, []any{c.name}, []any{&haveKeys, &indexes}, func() error { return nil })
	if err != nil {
		return err
	}
	if haveKeys != keys {
		return fmt.Errorf("it has the key columns %s, and this Moat wants %s", haveKeys, keys)
	}
	for _, table := range strings.Split(indexes, ",") {
		if table == "" {
			continue
		}
		if err := tx.script(fmt.Sprintf("DROP TABLE IF EXISTS %q;", table)); err != nil {
			return err
		}
	}
	return nil
}

// rebuild decodes every record and writes it again with its index rows. Of many it tells how far it is.
func (t *Table[T]) rebuild(tx *Tx) error {
	const batch, told = 1000, 100 // records, batches
	done := 0
	for q := (Query{Limit: batch}); ; {
		records, err := t.List(tx, q)
		if err != nil {
			return err
		}
		for i := range records {
			w, err := t.written(&records[i])
			if err != nil {
				return err
			}
			if _, err := t.addRows(tx, w.key, w.rows); err != nil {
				return fmt.Errorf("index a record: %w", err)
			}
			if _, err := tx.exec(t.sql.upsert, w.args...); err != nil {
				return err
			}
			q.After = w.key
		}
		if done += len(records); len(records) < batch {
			return nil
		}
		if done/batch%told == 1 {
			tx.db.log.Info("records of an earlier Moat are indexed anew, once", "table", t.s.Name, "done", done)
		}
	}
}

// Sweep deletes expired records of all tables now and returns how many; Run calls
// it every minute.
func (db *DB) Sweep(ctx context.Context) (int, error) {
	const batch = 500
	now, total := db.now().UnixMilli(), 0
	if err := db.engine.tidy(ctx); err != nil {
		return 0, err
	}
	for _, c := range db.tables() {
		if !c.expires {
			continue
		}
		for {
			var n int
			err := db.Update(ctx, func(tx *Tx) error {
				var err error
				n, err = c.sweep(tx, now, batch)
				return err
			})
			if err != nil {
				return total, err
			}
			total += n
			if n < batch {
				break
			}
		}
	}
	return total, nil
}

func (t *Table[T]) sweep(tx *Tx, now int64, limit int) (int, error) {
	key := list(t.s.Key)
	where := fmt.Sprintf(" WHERE (%s) IN (SELECT %s FROM %q WHERE expires_at > 0 AND expires_at <= $1 ORDER BY expires_at LIMIT %d)", key, key, t.s.Name, limit)
	return t.deleteWhere(tx, where, []any{now})
}

func (db *DB) tables() []*created {
	db.mu.Lock()
	defer db.mu.Unlock()
	all := make([]*created, 0, len(db.created))
	for _, name := range slices.Sorted(maps.Keys(db.created)) {
		all = append(all, db.created[name])
	}
	return all
}

// Reset empties every table and every family of counters but those named, and
// tells all subscribers.
func (db *DB) Reset(ctx context.Context, keepTables ...string) error {
	err := db.Update(ctx, func(tx *Tx) error {
		var b strings.Builder
		for _, c := range db.tables() {
			if slices.Contains(keepTables, c.name) {
				continue
			}
			fmt.Fprintf(&b, "DELETE FROM %q;\n", c.name)
			for _, ix := range c.indexes {
				fmt.Fprintf(&b, "DELETE FROM %q;\n", ix.table)
			}
			tx.touch(c.name, c.topic)
		}
		if err := tx.script(b.String()); err != nil {
			return err
		}
		return resetCounters(tx, keepTables)
	})
	if err != nil {
		return errors.Join(errors.New("store: reset"), err)
	}
	return nil
}

func resetCounters(tx *Tx, keep []string) error {
	var names []string
	var name string
	err := tx.query(`SELECT DISTINCT name FROM moat_counters`, nil, []any{&name}, func() error {
		names = append(names, name)
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range names {
		if slices.Contains(keep, n) {
			continue
		}
		if _, err := tx.exec(`DELETE FROM moat_counters WHERE name = $1`, n); err != nil {
			return err
		}
	}
	return nil
}
