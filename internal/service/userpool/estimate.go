package userpool

import (
	"sync"
	"time"

	"moat/internal/store"
)

const (
	// exactUsers is how many users of a pool are counted whenever somebody asks. Of more
	// the number is remembered for estimateLife: describing a pool must not cost more
	// with every user, and the API calls it an estimate.
	exactUsers   = 1000
	estimateLife = 10 * time.Minute
)

// estimates remembers how many users large pools have.
type estimates struct {
	mu  sync.Mutex
	all map[string]estimate
}

type estimate struct {
	users int
	at    time.Time
}

// users is about how many users a pool has.
func (s *Service) users(tx *store.Tx, poolID string) (int, error) {
	n, err := s.tables.users.CountUpTo(tx, store.Query{Prefix: []string{poolID}, Limit: exactUsers})
	if err != nil || n < exactUsers {
		return n, err
	}
	now := s.time()
	s.estimates.mu.Lock()
	e, known := s.estimates.all[poolID]
	s.estimates.mu.Unlock()
	if known && now.Before(e.at.Add(estimateLife)) {
		return e.users, nil
	}
	if n, err = s.tables.users.Count(tx, store.Query{Prefix: []string{poolID}}); err != nil {
		return n, err
	}
	s.estimates.mu.Lock()
	defer s.estimates.mu.Unlock()
	for id, old := range s.estimates.all { // pools that nobody asks for any more
		if !now.Before(old.at.Add(estimateLife)) {
			delete(s.estimates.all, id)
		}
	}
	if s.estimates.all == nil {
		s.estimates.all = map[string]estimate{}
	}
	s.estimates.all[poolID] = estimate{n, now}
	return n, nil
}
