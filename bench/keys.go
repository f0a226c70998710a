package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Bounds of this chapter.
const (
	keysStarts  = 5 // starts per figure
	keysRounds  = 3
	keysChanges = 50
)

func keyOf(i int) string { return fmt.Sprintf("a-value-of-an-api-key-%018d", i) }

// measureKeys answers whether API keys become dearer as they grow many.
func measureKeys(ctx context.Context, b *bench) error {
	g := group{
		Title: "API keys, few and many",
		How: "Keys of one usage plan with a throttle, in a data folder on disk; `moat serve`. Those beyond the first are written into the database while the server is stopped, as copies with ids and hashes of their own. Ready: from exec to the line that says so, the median of " +
			fmt.Sprint(keysStarts) + " starts; cold: after the kernel was told to forget the database file. Memory: " + settle.String() + " after ready, at rest; peak: that of the start. " +
			"A request: of a route that requires a key, forwarded, keys at random over all, 64 connections; CPU is the server's alone, the median of " + fmt.Sprint(keysRounds) +
			" rounds; with a quota: after the plan was given one, with a part of the keys for each round, so that most requests are the first of their key and count on disk what it may use. A change: CreateApiKey and CreateUsagePlanKey, both signed and durable, and a request with the new key, one after the other.",
	}
	r, err := b.newRig(ctx)
	if err != nil {
		return err
	}
	defer func() { r.stop() }()
	a, plan, err := r.keyedRoute(ctx)
	if err != nil {
		return err
	}
	var made struct{ Id string }
	sizes := []int{10, 100_000}
	if b.million {
		sizes = append(sizes, 1_000_000)
	}
	if err := a.call(ctx, http.MethodPost, "/apikeys", map[string]any{"name": "copy", "value": keyOf(0), "enabled": true}, &made); err != nil {
		return err
	}
	if err := a.call(ctx, http.MethodPost, "/usageplans/"+plan+"/keys", map[string]any{"keyId": made.Id, "keyType": "API_KEY"}, nil); err != nil {
		return err
	}
	have := 1
	for _, size := range sizes {
		r.process.stop()
		began := time.Now()
		if err := copyKeys(ctx, filepath.Join(r.dir, "moat.db"), made.Id, have, size); err != nil {
			return fmt.Errorf("copying keys: %w", err)
		}
		fmt.Fprintf(b.progress, "keys: %d of them, written within %.0f s\n", size, time.Since(began).Seconds())
		row, err := r.amongKeys(ctx, b, a, plan, size)
		if err != nil {
			return fmt.Errorf("%d keys: %w", size, err)
		}
		g.Rows, have = append(g.Rows, row), size
	}
	b.report.Groups = append(b.report.Groups, g)
	return nil
}

// keyedRoute deploys GET /key, which wants a key of a plan.
func (r *rig) keyedRoute(ctx context.Context) (a *api, plan string, err error) {
	if a, err = r.newAPI(ctx, "bench-keys"); err != nil {
		return nil, "", err
	}
	method := map[string]any{"authorizationType": "NONE", "apiKeyRequired": true}
	if err := a.get(ctx, "key", method, map[string]any{"type": "HTTP_PROXY", "httpMethod": "GET", "uri": r.backend.url()}); err != nil {
		return nil, "", err
	}
	if err := a.deploy(ctx); err != nil {
		return nil, "", err
	}
	plan, err = a.plan(ctx, nil)
	return a, plan, err
}

// copyKeys makes copies of a key with its index rows in one transaction, until there are so many.
func copyKeys(ctx context.Context, file, id string, have, size int) error {
	return offline(ctx, file, func(tx *sql.Tx) error {
		for table, key := range map[string]string{"restapi_key": "id", "restapi_key__value": "k_id", "restapi_key__plan": "k_id"} {
			if err := copyRows(ctx, tx, table, key, id, have, size); err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
		}
		_, err := tx.ExecContext(ctx, `UPDATE moat_counters SET value = value + ? WHERE name = 'restapi_key_count' AND key LIKE '%|%'`, size-have)
		return err
	})
}

// copyRows copies the row of a key in one of its tables.
func copyRows(ctx context.Context, tx *sql.Tx, table, key, id string, have, size int) error {
	columns, err := columnsOf(ctx, tx, table)
	if err != nil {
		return err
	}
	first, copied, into := make([]any, len(columns)), make([]any, len(columns)), make([]any, len(columns))
	for i := range first {
		into[i] = &first[i]
	}
	if err := tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT * FROM %q WHERE %q = ?`, table, key), id).Scan(into...); err != nil {
		return err
	}
	insert, err := tx.PrepareContext(ctx, fmt.Sprintf(`INSERT INTO %q VALUES (?%s)`, table, strings.Repeat(", ?", len(columns)-1)))
	if err != nil {
		return err
	}
	defer insert.Close()
	for i := have; i < size; i++ {
		hash := hashOf(i)
		own := strings.NewReplacer(id, "copy"+hash[len(hash)-12:], hashOf(0), hash)
		for n, v := range first {
			if text, ok := v.(string); ok {
				v = own.Replace(text)
			}
			copied[n] = v
		}
		if _, err := insert.ExecContext(ctx, copied...); err != nil {
			return err
		}
	}
	return nil
}

// hashOf is what the table finds a key by.
func hashOf(i int) string {
	sum := sha256.Sum256([]byte(keyOf(i)))
	return hex.EncodeToString(sum[:])
}

// again stops the server and starts it anew; cold has the kernel forget its database first.
func (r *rig) again(ctx context.Context, b *bench, cold bool) error {
	r.aws.http.CloseIdleConnections()
	r.process.stop() // it may have ended already
	if cold {
		if err := forget(filepath.Join(r.dir, "moat.db")); err != nil {
			return err
		}
	}
	known := func(line string, e *readyEvent) bool { return readyText(line, e) || e.Endpoint != "" } // the keys were shown before
	err := r.serve(ctx, b, known)
	r.aws.endpoint = "http://" + r.address
	return err
}

// amongKeys measures with so many keys.
func (r *rig) amongKeys(ctx context.Context, b *bench, a *api, plan string, size int) (row, error) {
	warm, err := r.starts(ctx, b, false)
	if err != nil {
		return row{}, err
	}
	cold, err := r.starts(ctx, b, true)
	if err != nil {
		return row{}, err
	}
	peak := residents("VmHWM", r.cmd.Process.Pid)
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return row{}, ctx.Err()
	}
	memory, err := r.memory("Rss")
	if err != nil {
		return row{}, err
	}
	open, err := r.askWithKeys(ctx, a, size, 0)
	if err != nil {
		return row{}, err
	}
	if err := a.quota(ctx, plan, true); err != nil {
		return row{}, err
	}
	counted, err := r.askWithKeys(ctx, a, size, 1)
	if err != nil {
		return row{}, err
	}
	if err := a.quota(ctx, plan, false); err != nil {
		return row{}, err
	}
	changes, err := r.changeKeys(ctx, a, plan)
	if err != nil {
		return row{}, err
	}
	return row{Name: fmt.Sprintf("%d keys", size), Figures: []figure{
		{"ready", "ms", quantile(warm, 0.5)}, {"cold", "ms", quantile(cold, 0.5)}, {"RSS", "MiB", memory}, {"peak", "MiB", peak},
		{"a request", "CPU us", open}, {"with a quota", "CPU us", counted}, {"change p50", "ms", quantile(changes, 0.5)}, {"change p99", "ms", quantile(changes, 0.99)},
	}}, nil
}

// starts gives the sorted milliseconds of some starts.
func (r *rig) starts(ctx context.Context, b *bench, cold bool) (millis []float64, err error) {
	for range keysStarts {
		if err := r.again(ctx, b, cold); err != nil {
			return nil, err
		}
		millis = append(millis, float64(r.ready.Microseconds())/1000)
	}
	slices.Sort(millis)
	return millis, nil
}

// quota gives the plan a quota, or takes it away.
func (a *api) quota(ctx context.Context, plan string, on bool) error {
	ops := []map[string]any{{"op": "remove", "path": "/quota"}}
	if on {
		ops = nil
		for name, value := range endless() {
			ops = append(ops, map[string]any{"op": "replace", "path": "/quota/" + name, "value": fmt.Sprint(value)})
		}
	}
	return a.call(ctx, http.MethodPatch, "/usageplans/"+plan, map[string]any{"patchOperations": ops}, nil)
}

// askWithKeys sends requests with keys of the whole set, and sees that another value is refused. It gives the CPU of
// one in microseconds. Rounds have the same keys, unless they are to differ.
func (r *rig) askWithKeys(ctx context.Context, a *api, size, differ int) (float64, error) {
	ask := func(i int) []byte {
		return request{method: http.MethodGet, path: a.path("key"), header: http.Header{"X-Api-Key": {keyOf(i)}}}.raw(r.host)
	}
	if err := r.until(ctx, ask(0), http.StatusOK); err != nil {
		return 0, err
	}
	if err := r.until(ctx, ask(-1), http.StatusForbidden); err != nil {
		return 0, fmt.Errorf("a key of nobody: %w", err)
	}
	var cpus []float64
	for round := range keysRounds {
		requests := make([][]byte, gatewayCount)
		for i := range requests {
			n := uint64(i + round*differ*gatewayCount)
			requests[i] = ask(int(n * 2654435761 % uint64(size))) // spread over all (Knuth's multiplier)
		}
		do := func(c *conn, i int) error {
			_, err := c.exchange(requests[i], http.StatusOK)
			return err
		}
		o, err := load{conns: gatewayConns, count: gatewayCount, limit: gatewayTime, settle: logged, do: do}.run(ctx, r.process, r.address)
		if err != nil {
			return 0, err
		}
		cpus = append(cpus, o.cpuMicros())
	}
	slices.Sort(cpus)
	return quantile(cpus, 0.5), nil
}

// changeKeys makes keys one after another, and asks with each at once.
func (r *rig) changeKeys(ctx context.Context, a *api, plan string) (millis []float64, err error) {
	c, err := dial(r.address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for range keysChanges {
		began := time.Now()
		value, err := a.apiKey(ctx, plan)
		if err != nil {
			return nil, err
		}
		if _, err := c.exchange(request{method: http.MethodGet, path: a.path("key"), header: http.Header{"X-Api-Key": {value}}}.raw(r.host), http.StatusOK); err != nil {
			return nil, err
		}
		millis = append(millis, float64(time.Since(began).Microseconds())/1000)
	}
	slices.Sort(millis)
	return millis, nil
}
