package stack

import (
	"context"
	"sync"
)

// parallel is how many resources are worked on at once: enough to share commits.
const parallel = 24

// walk calls do for every id, each after all that it needs (ids that are not walked do
// not count). After a failure nothing new is started; what runs is waited for. The
// result names the ids that failed.
func walk(ctx context.Context, ids []string, needs map[string][]string, do func(ctx context.Context, id string) error) map[string]error {
	waiting := make(map[string]int, len(ids))
	blocks := map[string][]string{}
	listed := make(map[string]bool, len(ids))
	for _, id := range ids {
		listed[id] = true
	}
	for _, id := range ids {
		waiting[id] = 0
		for _, n := range needs[id] {
			if listed[n] {
				waiting[id]++
				blocks[n] = append(blocks[n], id)
			}
		}
	}
	type outcome struct {
		id  string
		err error
	}
	var (
		done    = make(chan outcome)
		failed  = map[string]error{}
		running int
		ready   []string
		wg      sync.WaitGroup
	)
	for _, id := range ids {
		if waiting[id] == 0 {
			ready = append(ready, id)
		}
	}
	for running > 0 || len(ready) > 0 && len(failed) == 0 {
		for len(ready) > 0 && running < parallel && len(failed) == 0 {
			id := ready[0]
			ready = ready[1:]
			running++
			wg.Go(func() { done <- outcome{id, do(ctx, id)} })
		}
		o := <-done
		running--
		if o.err != nil {
			failed[o.id] = o.err
			continue
		}
		for _, id := range blocks[o.id] {
			if waiting[id]--; waiting[id] == 0 {
				ready = append(ready, id)
			}
		}
	}
	wg.Wait()
	return failed
}

// reversed turns "needs" into "is needed by".
func reversed(needs map[string][]string) map[string][]string {
	out := map[string][]string{}
	for id, ns := range needs {
		for _, n := range ns {
			out[n] = append(out[n], id)
		}
	}
	return out
}
