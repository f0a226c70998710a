package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"moat/internal/store"
)

var errRefused = errors.New("refused by the rule")

func testFailing(t *testing.T, f *fixture) {
	f.add(User{Pool: "p", Name: "ann", Email: "a@x", N: 1})
	f.refused(errRefused, func(tx *store.Tx) error {
		if err := f.users.Put(tx, User{Pool: "p", Name: "ann", Email: "b@x", N: 2}); err != nil {
			return err
		}
		if err := f.users.Insert(tx, User{Pool: "p", Name: "bob"}); err != nil {
			return err
		}
		return errRefused
	})
	if got, err := f.get("p", "ann"); err != nil || got.N != 1 {
		t.Errorf("got %+v, %v: the refused write was kept", got, err)
	}
	f.wantNames(store.Query{}, "ann")
	f.wantNames(store.Query{Index: "email", Values: []string{"p", "a@x"}}, "ann")
	f.wantNames(store.Query{Index: "email", Values: []string{"p", "b@x"}})
}

func testPanic(t *testing.T, f *fixture) {
	for range 2 {
		func() {
			defer func() {
				if got := recover(); got != "oh" {
					t.Errorf("got panic %v, want oh", got)
				}
			}()
			_ = f.db.Update(f.ctx, func(tx *store.Tx) error {
				if err := f.users.Insert(tx, User{Pool: "p", Name: "x"}); err != nil {
					return err
				}
				panic("oh")
			})
		}()
	}
	f.wantNames(store.Query{})
	f.add(User{Pool: "p", Name: "x"})
}

// testGoexit ends goroutines inside transactions, as a failing test does.
func testGoexit(_ *testing.T, f *fixture) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_ = f.db.Update(f.ctx, func(tx *store.Tx) error {
				if err := f.users.Insert(tx, User{Pool: "p", Name: fmt.Sprint(i)}); err != nil {
					return err
				}
				runtime.Goexit()
				return nil
			})
		})
		wg.Go(func() { _ = f.db.View(f.ctx, func(*store.Tx) error { runtime.Goexit(); return nil }) })
	}
	wg.Wait()
	f.wantNames(store.Query{})
	f.add(User{Pool: "p", Name: "x"})
}

func testReadOnly(t *testing.T, f *fixture) {
	f.add(User{Pool: "p", Name: "x"})
	f.view(func(tx *store.Tx) error {
		_, taken := f.users.Take(tx, "p", "x")
		_, _, added := store.NewCounter("c").Add(tx, 1, 1, "k")
		for what, err := range map[string]error{
			"Insert": f.users.Insert(tx, User{Pool: "p", Name: "y"}), "Put": f.users.Put(tx, User{Pool: "p", Name: "x"}),
			"Delete": f.users.Delete(tx, "p", "x"), "Take": taken, "Add": added,
		} {
			if !errors.Is(err, store.ErrReadOnly) {
				t.Errorf("%s in a View: got error %v, want ErrReadOnly", what, err)
			}
		}
		return nil
	})
	f.wantNames(store.Query{}, "x")
}

// testSnapshot writes while a View is open.
func testSnapshot(t *testing.T, f *fixture) {
	f.add(User{Pool: "p", Name: "a"})
	f.view(func(tx *store.Tx) error {
		before, err := f.users.Count(tx, store.Query{})
		if err != nil {
			return err
		}
		f.add(User{Pool: "p", Name: "b"})
		after, err := f.users.Count(tx, store.Query{})
		if before != 1 || after != 1 {
			t.Errorf("the snapshot has %d records, then %d", before, after)
		}
		return err
	})
	f.wantNames(store.Query{}, "a", "b")
}

func testReadModify(t *testing.T, f *fixture) {
	f.add(User{Pool: "p", Name: "n"})
	const workers, rounds = 8, 15
	f.together(workers, func(int) error {
		for i := range rounds {
			var mine int
			err := f.db.Update(f.ctx, func(tx *store.Tx) error {
				u, err := f.users.Get(tx, "p", "n")
				if err != nil {
					return err
				}
				u.N++
				mine = u.N
				return f.users.Put(tx, u)
			})
			if err != nil {
				return err
			}
			if got, err := f.get("p", "n"); err != nil || got.N < mine {
				return fmt.Errorf("round %d: a View after the Update to %d sees %d, %w", i, mine, got.N, err)
			}
		}
		return nil
	})
	if got, err := f.get("p", "n"); err != nil || got.N != workers*rounds {
		t.Errorf("got %d, %v, want %d: increments were lost", got.N, err, workers*rounds)
	}
}

// testWriteSkew has each of two transactions leave a group that must keep a
// member, after counting two: only one may succeed.
func testWriteSkew(t *testing.T, f *fixture) {
	for round := range 10 {
		group := fmt.Sprint("g", round)
		f.add(User{Pool: group, Name: "a", Groups: []string{group}}, User{Pool: group, Name: "b", Groups: []string{group}})
		left := atomic.Int32{}
		f.together(2, func(i int) error {
			err := f.db.Update(f.ctx, func(tx *store.Tx) error {
				n, err := f.users.Count(tx, store.Query{Index: "groups", Values: []string{group}})
				if err != nil {
					return err
				}
				if n < 2 {
					return errRefused
				}
				return f.users.Put(tx, User{Pool: group, Name: []string{"a", "b"}[i]})
			})
			if err == nil {
				left.Add(1)
			} else if !errors.Is(err, errRefused) {
				return err
			}
			return nil
		})
		if left.Load() != 1 {
			t.Errorf("%d members left, want 1", left.Load())
		}
	}
}

func testTakeOnce(t *testing.T, f *fixture) {
	for round := range 10 {
		f.add(User{Pool: "p", Name: "code", Email: fmt.Sprint(round)})
		var won atomic.Int32
		f.together(8, func(int) error {
			err := f.db.Update(f.ctx, func(tx *store.Tx) error { _, err := f.users.Take(tx, "p", "code"); return err })
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			won.Add(1)
			return err
		})
		if won.Load() != 1 {
			t.Fatalf("%d took the record, want 1", won.Load())
		}
	}
}

func testInsertOnce(t *testing.T, f *fixture) {
	for round := range 10 {
		var won atomic.Int32
		f.together(8, func(i int) error {
			err := f.db.Update(f.ctx, func(tx *store.Tx) error {
				return f.users.Insert(tx, User{Pool: "p", Name: fmt.Sprintf("%d-%d", round, i), Email: fmt.Sprint(round)})
			})
			if errors.Is(err, store.ErrExists) {
				return nil
			}
			won.Add(1)
			return err
		})
		if won.Load() != 1 {
			t.Fatalf("%d have the address, want 1", won.Load())
		}
	}
	if got := len(f.names(store.Query{})); got != 10 {
		t.Errorf("got %d records, want 10", got)
	}
}

// testMixed runs updates of which every third fails, many in one commit: those
// that were answered with success, and no others, are kept.
func testMixed(t *testing.T, f *fixture) {
	const workers, rounds = 16, 12
	f.together(workers, func(w int) error {
		for i := range rounds {
			fails := (w+i)%3 == 0
			err := f.db.Update(f.ctx, func(tx *store.Tx) error {
				if err := f.users.Insert(tx, User{Pool: "p", Name: fmt.Sprintf("%d-%d", w, i), Groups: []string{"g"}}); err != nil {
					return err
				}
				if fails {
					return errRefused
				}
				return nil
			})
			if errors.Is(err, errRefused) != fails {
				return fmt.Errorf("worker %d round %d: error %w", w, i, err)
			}
		}
		return nil
	})
	want := 0
	for w := range workers {
		for i := range rounds {
			if _, err := f.get("p", fmt.Sprintf("%d-%d", w, i)); (err == nil) != ((w+i)%3 != 0) {
				t.Errorf("worker %d round %d: error %v", w, i, err)
			}
			if (w+i)%3 != 0 {
				want++
			}
		}
	}
	if got := len(f.names(store.Query{Index: "groups", Values: []string{"g"}})); got != want {
		t.Errorf("got %d index rows, want %d", got, want)
	}
}

func testCancelled(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	insert := func(tx *store.Tx) error { return f.users.Insert(tx, User{Pool: "p", Name: "x"}) }
	if err := f.db.Update(ctx, insert); !errors.Is(err, context.Canceled) {
		t.Errorf("Update: got error %v, want Canceled", err)
	}
	if err := f.db.View(ctx, func(tx *store.Tx) error { _, err := f.users.Get(tx, "p", "x"); return err }); !errors.Is(err, context.Canceled) {
		t.Errorf("View: got error %v, want Canceled", err)
	}
	ctx, cancel = context.WithCancel(f.ctx)
	err := f.db.Update(ctx, func(tx *store.Tx) error {
		if err := insert(tx); err != nil {
			return err
		}
		cancel()
		_, err := f.users.Get(tx, "p", "x")
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled inside: got error %v, want Canceled", err)
	}
	f.wantNames(store.Query{})
	f.add(User{Pool: "p", Name: "x"})
}

func testCounter(t *testing.T, f *fixture) {
	c := store.NewCounter("c")
	add := func(n, limit, granted, total int64) {
		t.Helper()
		f.update(func(tx *store.Tx) error {
			g, tot, err := c.Add(tx, n, limit, "a", "b")
			if g != granted || tot != total {
				t.Errorf("Add(%d, %d): got %d, %d, want %d, %d", n, limit, g, tot, granted, total)
			}
			return err
		})
	}
	add(4, 10, 4, 4)
	add(4, 10, 4, 8)
	add(4, 10, 2, 10)
	add(4, 10, 0, 10)
	add(1, 5, 0, 10) // the limit fell
	add(-3, 5, -3, 7)
	add(-9, 5, -7, 0)
	add(0, 5, 0, 0)
	add(5, math.MaxInt64, 5, 5)
	f.update(func(tx *store.Tx) error {
		other, err1 := c.Get(tx, "a|b")
		same, err2 := c.Get(tx, "a", "b")
		if other != 0 || same != 5 {
			t.Errorf("got %d and %d, want 0 and 5: keys are confused", other, same)
		}
		g, total, err3 := c.Add(tx, 3, 0, "zero")
		if g != 0 || total != 0 {
			t.Errorf("limit 0: got %d, %d", g, total)
		}
		return errors.Join(err1, err2, err3, c.Delete(tx, "a", "b"))
	})
	add(2, 1, 1, 1)
}

func testCounterTogether(t *testing.T, f *fixture) {
	c := store.NewCounter("c")
	const workers, rounds, limit = 8, 10, 137
	var granted atomic.Int64
	f.together(workers, func(int) error {
		for range rounds {
			var g int64
			err := f.db.Update(f.ctx, func(tx *store.Tx) (err error) {
				g, _, err = c.Add(tx, 3, limit, "k")
				return err
			})
			if err != nil {
				return err
			}
			granted.Add(g)
		}
		return nil
	})
	if granted.Load() != limit {
		t.Errorf("granted %d, want exactly %d", granted.Load(), limit)
	}
}

func testSubscribe(t *testing.T, f *fixture) {
	var seen atomic.Int64
	f.db.Subscribe("users", func() {
		_ = f.db.View(f.ctx, func(tx *store.Tx) error {
			n, err := f.users.Count(tx, store.Query{})
			if int64(n) > seen.Load() {
				seen.Store(int64(n))
			}
			return err
		})
	})
	f.update(func(tx *store.Tx) error { return f.plain.Insert(tx, plain{ID: "1"}) })
	f.refused(errRefused, func(tx *store.Tx) error {
		if err := f.users.Insert(tx, User{Pool: "p", Name: "no"}); err != nil {
			return err
		}
		return errRefused
	})
	if got := seen.Load(); got != 0 {
		t.Errorf("called without a change of the topic: saw %d records", got)
	}
	var added atomic.Int64
	f.together(8, func(w int) error {
		for i := range 5 {
			u := User{Pool: "p", Name: fmt.Sprintf("%d-%d", w, i)}
			if err := f.db.Update(f.ctx, func(tx *store.Tx) error { return f.users.Insert(tx, u) }); err != nil {
				return err
			}
			if want := added.Add(1); seen.Load() < want {
				return fmt.Errorf("the subscriber has seen %d records after %d were added", seen.Load(), want)
			}
		}
		return nil
	})
}

// together runs f in n goroutines and reports their errors.
func (f *fixture) together(n int, fn func(i int) error) {
	f.t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	if !reflect.DeepEqual(errs, make([]error, n)) {
		f.t.Fatal(errors.Join(errs...))
	}
}
