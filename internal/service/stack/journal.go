package stack

import (
	"context"
	"fmt"
	"sync"

	"moat/internal/store"
)

// journal writes the progress of an operation: many resources and events in one
// commit, so that resources deployed side by side do not wait for each other's disk.
//
// A resource that finished but was not written yet when the machine stopped is found
// again by its handler (Find) or by its generated name.
type journal struct {
	s    *Service
	key  []string // account, region, uuid
	emit func(Event)

	mu        sync.Mutex
	resources map[string]*resourceRecord // nil: deleted
	events    []eventRecord
	counter   int
	writing   bool
	queued    int // notes so far
	written   int // of them on disk
	failed    error
	idle      *sync.Cond
	notify    sync.Mutex // keeps the order of Progress calls
}

func (s *Service) newJournal(key []string, emit func(Event)) *journal {
	j := &journal{s: s, key: key, emit: emit, resources: map[string]*resourceRecord{}}
	j.idle = sync.NewCond(&j.mu)
	return j
}

// note queues a resource's state (nil: it is gone) and an event, and starts writing.
func (j *journal) note(ctx context.Context, id string, r *resourceRecord, events ...Event) {
	j.notify.Lock()
	defer j.notify.Unlock()
	j.mu.Lock()
	if id != "" {
		if r != nil {
			c := *r
			r = &c
		}
		j.resources[id] = r
	}
	for _, e := range events {
		j.append(e)
	}
	j.queued++
	start := !j.writing
	j.writing = true
	j.mu.Unlock()
	if start {
		go j.write(context.WithoutCancel(ctx))
	}
	if j.emit != nil {
		for _, e := range events {
			j.emit(e)
		}
	}
}

// announce notes a resource and waits until that is on disk.
func (j *journal) announce(ctx context.Context, id string, r *resourceRecord, e Event) error {
	j.note(ctx, id, r, e)
	j.mu.Lock()
	defer j.mu.Unlock()
	for upTo := j.queued; j.written < upTo && j.failed == nil; {
		j.idle.Wait()
	}
	return j.failed
}

func (j *journal) append(e Event) {
	j.counter++
	seq := fmt.Sprintf("%020d-%06d", e.Time.UnixNano(), j.counter)
	j.events = append(j.events, eventRecord{Account: j.key[0], Region: j.key[1], UUID: j.key[2], Seq: seq, Event: e})
}

func (j *journal) write(ctx context.Context) {
	for {
		j.mu.Lock()
		resources, events := j.resources, j.events
		if len(resources) == 0 && len(events) == 0 || j.failed != nil {
			j.writing = false
			j.idle.Broadcast()
			j.mu.Unlock()
			return
		}
		upTo := j.queued
		j.resources, j.events = map[string]*resourceRecord{}, nil
		j.mu.Unlock()
		err := j.s.cfg.DB.Update(ctx, func(tx *store.Tx) error { return j.put(tx, resources, events) })
		j.mu.Lock()
		if err != nil {
			j.failed = err
		} else {
			j.written = upTo
		}
		j.idle.Broadcast()
		j.mu.Unlock()
	}
}

func (j *journal) put(tx *store.Tx, resources map[string]*resourceRecord, events []eventRecord) error {
	t := j.s.tables
	for _, id := range sortedKeys(resources) {
		r := resources[id]
		if r == nil {
			if err := t.resources.Delete(tx, append(j.key[:3:3], id)...); err != nil && err != store.ErrNotFound {
				return err
			}
			continue
		}
		if err := t.resources.Put(tx, *r); err != nil {
			return err
		}
	}
	for _, e := range events {
		if err := t.events.Put(tx, e); err != nil {
			return err
		}
	}
	return nil
}

// commit writes what is queued together with fn, after everything before it.
func (j *journal) commit(ctx context.Context, fn func(*store.Tx) error, events ...Event) error {
	j.notify.Lock()
	defer j.notify.Unlock()
	j.mu.Lock()
	for j.writing {
		j.idle.Wait()
	}
	if j.failed != nil {
		defer j.mu.Unlock()
		return j.failed
	}
	for _, e := range events {
		j.append(e)
	}
	resources, queued := j.resources, j.events
	j.resources, j.events = map[string]*resourceRecord{}, nil
	j.mu.Unlock()
	err := j.s.cfg.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if err := j.put(tx, resources, queued); err != nil {
			return err
		}
		return fn(tx)
	})
	if err == nil && j.emit != nil {
		for _, e := range events {
			j.emit(e)
		}
	}
	return err
}
