package logs_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"moat/internal/service/logs"
	"moat/internal/store"
	"moat/internal/store/storetest"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

// TestPostgres: what holds on SQLite holds on PostgreSQL, too.
func TestPostgres(t *testing.T) {
	t.Parallel()
	server := storetest.StartPostgres(t)
	fresh := func(t *testing.T) store.Config {
		return store.Config{URL: storetest.NewSchema(t, server), MasterKey: make([]byte, 32)}
	}
	scenarios := map[string]func(*testing.T, *scenario){
		"groups":               testGroups,
		"deletion":             testDeletion,
		"streams":              testStreams,
		"PutLogEvents":         testPutLogEvents,
		"retention":            testRetention,
		"tags":                 testTags,
		"Resources":            testResources,
		"GetLogEvents":         testGetLogEvents,
		"GetLogEvents_refused": testGetLogEventsRefused,
		"pageSize":             testPageSize,
		"FilterLogEvents":      testFilterLogEvents,
	}
	for _, name := range slices.Sorted(maps.Keys(scenarios)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenarios[name](t, newScenarioOn(t, fresh(t)))
		})
	}
	for name, test := range logs.ChunkTests() {
		t.Run("chunks/"+name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh)
		})
	}
	t.Run("nodes", func(t *testing.T) {
		t.Parallel()
		testNodes(t, fresh(t))
	})
	t.Run("strange text", func(t *testing.T) {
		t.Parallel()
		testStrangeText(t, newScenarioOn(t, fresh(t)))
	})
}

// TestService_strangeText: a log is whatever a program wrote.
func TestService_strangeText(t *testing.T) {
	t.Parallel()
	testStrangeText(t, newScenario(t))
}

func testStrangeText(t *testing.T, x *scenario) {
	x.group("g")
	texts := []string{"nul \x00 within", "broken \xff\xc3 bytes", `a lone half \ud800 of a pair`, "\u2028\u2029", `"},{"`, "\U0001F9ED", "tab\tand\r\nlines"}
	x.write("g", "s", texts...)
	out, err := x.s.GetLogEvents(x.ctx, &api.GetLogEventsRequest{LogGroupName: wire.String("g"), LogStreamName: "s", StartFromHead: wire.Bool(true)})
	if err != nil || len(out.Events) != len(texts) {
		t.Fatalf("%+v, %v", out, err)
	}
	texts[1] = "broken \ufffd\ufffd bytes"
	for i, e := range out.Events {
		if *e.Message != texts[i] {
			t.Errorf("got %q, want %q", *e.Message, texts[i])
		}
	}
}

// testNodes has three nodes write into one stream of one database, each many times at once: nothing is
// lost, nothing is there twice, and what the stream says of its chunks is true.
func testNodes(t *testing.T, cfg store.Config) {
	const nodes, appends = 3, 40
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var all sync.WaitGroup
	services := make([]*logs.Service, nodes)
	for n := range services {
		db, err := store.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		if services[n], err = logs.New(logs.Config{DB: db, Account: account, Now: func() time.Time { return now }}); err != nil {
			t.Fatal(err)
		}
	}
	for n, s := range services {
		all.Go(func() {
			for i := range appends {
				events := make([]logs.Event, 1+i%7*20)
				for j := range events {
					events[j] = logs.Event{Time: now.Add(time.Duration(i*10+j) * time.Millisecond), Message: fmt.Sprint(n, " ", i, " ", j)}
				}
				if err := s.Append(context.Background(), region, "g", "s", events); err != nil {
					t.Errorf("node %d: %v", n, err)
				}
			}
		})
	}
	all.Wait()
	want := map[string]int{}
	for n := range nodes {
		for i := range appends {
			for j := range 1 + i%7*20 {
				want[fmt.Sprint(n, " ", i, " ", j)] = 1
			}
		}
	}
	for n, s := range services {
		got := map[string]int{}
		req := &api.GetLogEventsRequest{LogGroupName: wire.String("g"), LogStreamName: "s", StartFromHead: wire.Bool(true), StartTime: wire.Ptr(int64(0)), EndTime: wire.Ptr(int64(math.MaxInt64))}
		for {
			out, err := s.GetLogEvents(in(region), req)
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Events) == 0 {
				break
			}
			for _, e := range out.Events {
				got[*e.Message]++
			}
			req.NextToken = out.NextForwardToken
		}
		if !maps.Equal(got, want) {
			t.Errorf("node %d reads %d different events, want %d, each once", n, len(got), len(want))
		}
	}
}
