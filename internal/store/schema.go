package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"moat/internal/pure/lazyregexp"
)

// Schema declares a table of T.
type Schema[T any] struct {
	// Name is the SQL name of the table: lower case, digits and underscores.
	Name string
	// Key names the key columns, KeyOf gives their values: as many, in that order.
	Key   []string
	KeyOf func(*T) []string
	// Indexes are further ways to find records.
	Indexes []Index[T]
	// Expires is when a record may be deleted; the zero time means never.
	// Deletion comes later: readers check the time themselves.
	Expires func(*T) time.Time
	// Topic names what subscribers are told about when the table changes.
	Topic string
	// Upgrades turn a document of record version i into one of version i+1; they
	// run when a record is read. The version written is len(Upgrades).
	Upgrades []func(json.RawMessage) (json.RawMessage, error)
}

// Index finds records by the rows of values that Of returns: none, one or many
// per record, each as long as Columns. In a Unique index a row of values belongs
// to at most one record.
type Index[T any] struct {
	Name    string
	Columns []string
	Of      func(*T) [][]string
	Unique  bool
	// Carries, when set, is a text that stands in the index beside each row of a record. It spares
	// [Table.Scan] the record.
	Carries func(*T) string
}

// carried is the column of what an index carries.
const carried = "carried"

// Definer is a table that [DB.Create] can create: *Table[T] or *Counter.
type Definer interface {
	define(d dialect) *created
}

// created is a table in SQL, without its Go type.
type created struct {
	name    string
	topic   string
	print   string // fingerprint: equal means nothing to create
	script  string // CREATE statements
	indexes []createdIndex
	expires bool
	keys    []string
	// rebuild writes all index rows again from the documents.
	rebuild func(tx *Tx) error
	sweep   func(tx *Tx, now int64, limit int) (int, error)
}

type createdIndex struct{ name, table string }

// dialect is what differs between the databases' SQL.
type dialect struct {
	text   string // type of a text column that is ordered by bytes
	json   string // type of the document
	bigint string
	tail   string // after CREATE TABLE of an index
}

// Table is a table of T; it is safe for concurrent use.
type Table[T any] struct {
	s      Schema[T]
	sql    statements
	looked looked[T]
	room   sync.Pool // of *[]byte, for documents
}

// statements holds a table's SQL, which is the same in both dialects.
type statements struct {
	get, insert, upsert, replace, remove, take, rows string
	indexInsert, indexDelete                         []string
	indexCarry                                       []string // empty for an index that carries nothing
}

var sqlName = lazyregexp.New(`^[a-z][a-z0-9_]*$`)

// NewTable makes a table of a schema; a schema that contradicts itself panics,
// since it is written in the program. The table is used after [DB.Create].
func NewTable[T any](s Schema[T]) *Table[T] {
	check := func(ok bool, what string) {
		if !ok {
			panic("store: table " + s.Name + ": " + what)
		}
	}
	check(sqlName.MatchString(s.Name) && !strings.HasPrefix(s.Name, "moat_"), "its name is not fit for SQL")
	check(len(s.Key) > 0 && s.KeyOf != nil, "it has no key")
	for _, c := range s.Key {
		check(sqlName.MatchString(c), "key column "+c+" is not fit for SQL")
	}
	for _, ix := range s.Indexes {
		check(sqlName.MatchString(ix.Name) && len(ix.Columns) > 0 && ix.Of != nil, "index "+ix.Name+" is incomplete")
		for _, c := range ix.Columns {
			check(sqlName.MatchString(c), "index column "+c+" is not fit for SQL")
		}
	}
	return &Table[T]{s: s, sql: newStatements(s)}
}

// quoted makes names safe from being SQL keywords ("user", "group", "key").
func quoted(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = `"` + n + `"`
	}
	return out
}

func list(names []string) string { return strings.Join(quoted(names), ", ") }

// params writes "$first, $first+1, ..." n times.
func params(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(first+i))
	}
	return b.String()
}

// equals writes `"a" = $first AND "b" = $first+1 ...`.
func equals(prefix string, names []string, first int) string {
	parts := make([]string, len(names))
	for i, n := range quoted(names) {
		parts[i] = fmt.Sprintf("%s%s = $%d", prefix, n, first+i)
	}
	return strings.Join(parts, " AND ")
}

func (ix Index[T]) table(table string) string { return table + "__" + ix.Name }

// columns names the columns of the index's table: i_ and k_ keep the index's
// columns and the record's key apart.
func (ix Index[T]) columns(key []string) (index, record []string) {
	return prefixed("i_", ix.Columns), prefixed("k_", key)
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + n
	}
	return out
}

func newStatements[T any](s Schema[T]) statements {
	k := len(s.Key)
	name, key := `"`+s.Name+`"`, list(s.Key)
	insert := fmt.Sprintf("INSERT INTO %s (%s, doc, record_version, expires_at, index_rows) VALUES (%s) ON CONFLICT (%s) DO ",
		name, key, params(1, k+4), key)
	where := " WHERE " + equals("", s.Key, 1)
	st := statements{
		get:     "SELECT doc, record_version FROM " + name + where,
		rows:    "SELECT index_rows FROM " + name + where,
		insert:  insert + "NOTHING",
		upsert:  insert + "UPDATE SET doc = excluded.doc, record_version = excluded.record_version, expires_at = excluded.expires_at, index_rows = excluded.index_rows",
		replace: fmt.Sprintf("UPDATE %s SET doc = $%d, record_version = $%d, expires_at = $%d%s AND index_rows = $%d", name, k+1, k+2, k+3, where, k+4),
		remove:  "DELETE FROM " + name + where + " RETURNING index_rows",
		take:    "DELETE FROM " + name + where + " RETURNING doc, record_version, index_rows",
	}
	for _, ix := range s.Indexes {
		a, b := ix.columns(s.Key)
		both := append(append([]string{}, a...), b...)
		all, carry := both, ""
		if ix.Carries != nil {
			all = append(append(append([]string{}, a...), carried), b...)
			carry = fmt.Sprintf("UPDATE %q SET %s = $%d WHERE %s", ix.table(s.Name), carried, len(both)+1, equals("", both, 1))
		}
		st.indexInsert = append(st.indexInsert, fmt.Sprintf("INSERT INTO %q (%s) VALUES (%s) ON CONFLICT DO NOTHING",
			ix.table(s.Name), list(all), params(1, len(all))))
		st.indexDelete = append(st.indexDelete, fmt.Sprintf("DELETE FROM %q WHERE %s", ix.table(s.Name), equals("", both, 1)))
		st.indexCarry = append(st.indexCarry, carry)
	}
	return st
}

// define implements Definer.
func (t *Table[T]) define(d dialect) *created {
	s := t.s
	c := &created{name: s.Name, topic: s.Topic, keys: s.Key, expires: s.Expires != nil, rebuild: t.rebuild, sweep: t.sweep}
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %q (", s.Name)
	for _, k := range quoted(s.Key) {
		fmt.Fprintf(&b, "%s %s NOT NULL, ", k, d.text)
	}
	fmt.Fprintf(&b, "doc %s NOT NULL, record_version %s NOT NULL, expires_at %s NOT NULL, index_rows TEXT NOT NULL, PRIMARY KEY (%s));\n",
		d.json, d.bigint, d.bigint, list(s.Key))
	if s.Expires != nil {
		fmt.Fprintf(&b, "CREATE INDEX IF NOT EXISTS %q ON %q (expires_at) WHERE expires_at > 0;\n", s.Name+"__expires", s.Name)
	}
	for _, ix := range s.Indexes {
		a, k := ix.columns(s.Key)
		both := append(append([]string{}, a...), k...)
		fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %q (", ix.table(s.Name))
		for _, col := range quoted(both) {
			fmt.Fprintf(&b, "%s %s NOT NULL, ", col, d.text)
		}
		if ix.Carries != nil {
			fmt.Fprintf(&b, "%s TEXT NOT NULL, ", carried)
		}
		primary := both
		if ix.Unique {
			primary = a
		}
		fmt.Fprintf(&b, "PRIMARY KEY (%s))%s;\n", list(primary), d.tail)
		c.indexes = append(c.indexes, createdIndex{ix.Name, ix.table(s.Name)})
	}
	c.script = b.String()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%d", c.script, len(s.Upgrades)))
	c.print = hex.EncodeToString(sum[:8])
	return c
}
