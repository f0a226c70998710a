package store

import (
	"maps"
	"slices"
	"sync"
)

// topics calls subscribers after changes.
type topics struct {
	mu   sync.Mutex
	subs map[string][]*subscription
}

// subscription calls f so that each notify returns after a call of f that began
// after it; notifies that arrive meanwhile share one call.
type subscription struct {
	f       func()
	mu      sync.Mutex
	wanted  uint64
	running sync.Mutex
	reached uint64 // guarded by running
}

func newTopics() *topics { return &topics{subs: map[string][]*subscription{}} }

// Subscribe has f called after each change of a table with that topic: after a
// local commit, before its Update returns, and from Run for changes of other
// processes. Changes that come while f runs share one further call. f may call
// View; it must not write to a table of the topic, and must not wait for a lock
// that is held around an Update.
func (db *DB) Subscribe(topic string, f func()) {
	db.topics.mu.Lock()
	defer db.topics.mu.Unlock()
	db.topics.subs[topic] = append(db.topics.subs[topic], &subscription{f: f})
}

func (t *topics) notify(names []string) {
	for _, name := range names {
		t.mu.Lock()
		subs := t.subs[name]
		t.mu.Unlock()
		for _, s := range subs {
			s.call()
		}
	}
}

// names returns the topics that somebody subscribed to.
func (t *topics) names() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.subs))
}

func (s *subscription) call() {
	s.mu.Lock()
	s.wanted++
	mine := s.wanted
	s.mu.Unlock()

	s.running.Lock()
	defer s.running.Unlock()
	if s.reached >= mine {
		return
	}
	s.mu.Lock()
	target := s.wanted
	s.mu.Unlock()
	s.f()
	s.reached = target
}
