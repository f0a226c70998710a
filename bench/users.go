package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver: users are multiplied in the database itself
)

// Bounds of the loads of this chapter.
const (
	amongConns   = 4
	amongSignIns = 400
	amongLists   = 2000
	amongTime    = 4 * time.Second
)

// first is the user of whom the others are copies; the number in the name and a part of the sub tell them apart.
const first = "copy-0000000"

func copyName(n int) string { return fmt.Sprintf("copy-%07d", n) }

// measureUsers answers whether a pool becomes slower as it grows.
func measureUsers(ctx context.Context, b *bench) error {
	g := group{
		Title: "A pool of many users",
		How: "The same loads against one pool as it grows. The users beyond the first are written into the database while the server is stopped, as copies with names, " +
			"addresses and subs of their own; lists are signed calls, each for another user, with up to ten users in the answer. 4 connections; CPU is the server's alone.",
	}
	moved := group{
		Title: "A pool's users leave and enter",
		How: "The commands of moat as an operator gives them, once each, with files on the same disk. CPU is the server's alone, without the command that seals or opens the file; " +
			"the peak is that of the server since it started.",
	}
	r, err := b.newRig(ctx)
	if err != nil {
		return err
	}
	defer func() { r.stop() }()
	if err := r.cognito(ctx, "AdminCreateUser", map[string]any{
		"UserPoolId": r.pool.id, "Username": first, "MessageAction": "SUPPRESS",
		"UserAttributes": []map[string]string{{"Name": "email", "Value": first + "@example.com"}, {"Name": "name", "Value": first}},
	}, nil); err != nil {
		return err
	}
	sizes := []int{1_000, 100_000}
	if b.million {
		sizes = append(sizes, 1_000_000)
	}
	for _, size := range sizes {
		if err := r.grow(ctx, b, size); err != nil {
			return err
		}
		rows, err := r.among(ctx, size)
		if err != nil {
			return err
		}
		g.Rows = append(g.Rows, rows...)
		if size < 100_000 {
			continue
		}
		if rows, err = r.moving(ctx, b, size); err != nil {
			return err
		}
		moved.Rows = append(moved.Rows, rows...)
	}
	b.report.Groups = append(b.report.Groups, g, moved)
	return nil
}

// among runs the loads in a pool of so many users.
func (r *rig) among(ctx context.Context, size int) (rows []row, err error) {
	proofs, err := newProofs(amongSignIns)
	if err != nil {
		return nil, err
	}
	list := func(filter func(name string) string, want int) func(*conn, int) error {
		return func(c *conn, i int) error {
			in := map[string]any{"UserPoolId": r.pool.id, "Limit": 10}
			if filter != nil {
				in["Filter"] = filter(copyName(1 + i*7919%(size-1)))
			}
			body, err := r.listUsers(c, in)
			if err == nil && strings.Count(body, `"Username"`) != want {
				err = fmt.Errorf("%v: %.200s", in["Filter"], body)
			}
			return err
		}
	}
	for _, l := range []struct {
		name  string
		count int
		do    func(*conn, int) error
	}{
		{"sign-in by SRP", amongSignIns, r.signInSRP(proofs, &tokenKeeper{})},
		{"sign-in by password", amongSignIns, r.signInPassword(&tokenKeeper{})},
		{"ListUsers, email =", amongLists, list(func(name string) string { return `email = "` + name + `@example.com"` }, 1)},
		{"ListUsers, username ^=", amongLists, list(func(name string) string { return `username ^= "` + name[:len(name)-1] + `"` }, 10)},
		{"ListUsers, the first page", amongLists, list(nil, 10)},
	} {
		o, err := load{conns: amongConns, count: l.count, limit: amongTime, do: l.do}.run(ctx, r.process, r.address)
		if err != nil {
			return nil, fmt.Errorf("%s among %d users: %w", l.name, size, err)
		}
		rows = append(rows, row{Name: fmt.Sprintf("%d users: %s", size, l.name), Figures: []figure{
			{"done", "", float64(o.count)}, {"CPU", "us", o.cpuMicros()}, {"per core", "1/s", o.perCore()},
			{"p50", "ms", quantile(o.took, 0.5) / 1000}, {"p99", "ms", quantile(o.took, 0.99) / 1000},
		}})
	}
	return rows, nil
}

func (r *rig) listUsers(c *conn, in map[string]any) (string, error) {
	req, err := signedJSON(r.host, "cognito-idp", cognito+"ListUsers", in, r.aws.credentials)
	if err != nil {
		return "", err
	}
	body, err := c.exchange(req, http.StatusOK)
	return string(body), err
}

// grow stops the server, makes copies of the first user until there are so many, and starts it again.
func (r *rig) grow(ctx context.Context, b *bench, size int) error {
	r.process.stop()
	if err := multiply(ctx, filepath.Join(r.dir, "moat.db"), size); err != nil {
		return fmt.Errorf("copying users: %w", err)
	}
	again := func(line string, e *readyEvent) bool { return readyText(line, e) || e.Endpoint != "" } // the keys were shown before
	if err := r.serve(ctx, b, again); err != nil {
		return err
	}
	r.aws.endpoint = "http://" + r.address
	return r.calm(ctx)
}

// multiply copies the first user's record and index rows in one transaction.
func multiply(ctx context.Context, file string, size int) error {
	return offline(ctx, file, func(tx *sql.Tx) error { return multiplyIn(ctx, tx, size) })
}

// offline changes the database of a server that is stopped, in one transaction. All of it is on the disk then:
// the server's first checkpoint would have to wait for that.
func offline(ctx context.Context, file string, change func(tx *sql.Tx) error) (err error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=synchronous(off)&_pragma=cache_size(-200000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(), syncFile(file)) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := change(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func multiplyIn(ctx context.Context, tx *sql.Tx, size int) error {
	var have int
	var sub string
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM userpool_users WHERE username LIKE 'copy-%'`).Scan(&have); err != nil {
		return err
	}
	if err := tx.QueryRowContext(ctx, `SELECT json_extract(doc, '$.Sub') FROM userpool_users WHERE username = ?`, first).Scan(&sub); err != nil {
		return err
	}
	for table, key := range map[string]string{"userpool_users": "username", "userpool_users__login": "k_username", "userpool_users__search": "k_username"} {
		columns, err := columnsOf(ctx, tx, table)
		if err != nil {
			return err
		}
		for i, c := range columns {
			columns[i] = fmt.Sprintf(`CASE typeof(%[1]q) WHEN 'text' THEN replace(replace(%[1]q, '%[2]s', printf('copy-%%07d', i)), '%[3]s', printf('%%08x', i) || substr('%[3]s', 9)) ELSE %[1]q END`, c, first, sub)
		}
		copies := fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO %q SELECT %s FROM n, %q WHERE %q = ?`,
			have, size-1, table, strings.Join(columns, ", "), table, key)
		if _, err := tx.ExecContext(ctx, copies, first); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	return nil
}

func columnsOf(ctx context.Context, tx *sql.Tx, table string) (names []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT name FROM pragma_table_info(?) ORDER BY cid`, table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
