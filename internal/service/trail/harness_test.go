package trail

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
)

const account = "000000000000"

var master = bytes.Repeat([]byte{7}, 32)

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
}

func openStore(t *testing.T, c *clock) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Path: ":memory:", MasterKey: master, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func newService(t *testing.T, db *store.DB, dir string, c *clock, change ...func(*Config)) *Service {
	t.Helper()
	cfg := Config{DB: db, Dir: dir, Account: account, Region: "us-east-1", Now: c.Now, Rand: rand.Reader, NoSync: true}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// a is a call of a user.
func a(c *clock, id, operation string) wire.Record {
	return wire.Record{
		Time: c.Now(), RequestID: id, Kind: wire.KindAWS, Service: "iam", Operation: operation, Account: account, Region: "us-east-1", SourceIP: "192.0.2.1",
		Caller:    wire.Caller{Principal: policy.Principal{Kind: policy.PrincipalUser, ARN: "arn:aws:iam::" + account + ":user/ada", Account: account, ID: "AIDAADA"}},
		AccessKey: "AKIAADA", Status: 200, Step: "encode",
		Checks: []wire.Check{{Action: "iam:" + operation, Resource: "arn:aws:iam::" + account + ":user/bob", Decision: policy.Decision{Allowed: true, Kind: policy.KindIdentity, Policy: "P", Statement: "S"}}},
	}
}

func record(t *testing.T, s *Service, records ...wire.Record) {
	t.Helper()
	for _, r := range records {
		s.Record(r)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func some(c *clock, n int) []wire.Record {
	var out []wire.Record
	for i := range n {
		out = append(out, a(c, fmt.Sprintf("request-%d", i), "CreateUser"))
	}
	return out
}

func verify(t *testing.T, dir string) Report {
	t.Helper()
	rep, err := Verify(dir, master)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func whole(t *testing.T, dir string) Report {
	t.Helper()
	rep := verify(t, dir)
	if len(rep.Breaks) > 0 {
		t.Errorf("the trail breaks: %s", strings.Join(rep.Breaks, "; "))
	}
	return rep
}

// breaksWith wants exactly one break that says all of the words.
func breaksWith(t *testing.T, dir string, words ...string) {
	t.Helper()
	rep := verify(t, dir)
	if len(rep.Breaks) != 1 {
		t.Errorf("breaks %q, want one that says %q", rep.Breaks, words)
		return
	}
	for _, w := range words {
		if !strings.Contains(rep.Breaks[0], w) {
			t.Errorf("breaks %q, want it to say %q", rep.Breaks[0], w)
		}
	}
}

// only returns the one file below dir that matches.
func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "chain-*", pattern))
	if err != nil || len(names) != 1 {
		t.Fatalf("%s: %v %v", pattern, names, err)
	}
	return names[0]
}

func change(t *testing.T, path string, f func(text []byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
