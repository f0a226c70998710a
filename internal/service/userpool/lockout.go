package userpool

import (
	"errors"
	"time"

	"moat/internal/store"
)

const (
	// freeFailures is how many wrong passwords are allowed in a row; each further
	// one doubles the wait, from a second to longestLock.
	freeFailures  = 5
	longestLock   = 15 * time.Minute
	lockoutMemory = 15 * time.Minute
)

func errLocked() error { return refuse(notAuthorized, "Password attempts exceeded") }

// locked refuses while who has to wait. It is a courtesy: settle decides.
func (s *Service) locked(tx *store.Tx, poolID, who string) error {
	l, err := s.tables.lockouts.Get(tx, poolID, who)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if s.time().Before(l.Until) {
		return errLocked()
	}
	return nil
}

// settle closes one attempt to prove a password, in the transaction that reveals
// its result: of any number of parallel guesses only the free ones learn anything.
// The verdict is what to tell; it must not undo the transaction.
func (s *Service) settle(tx *store.Tx, poolID, who string, right bool) (verdict, err error) {
	now := s.time()
	l, err := s.tables.lockouts.Get(tx, poolID, who)
	found := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if found && now.Before(l.Until) {
		return errLocked(), nil
	}
	if right {
		return nil, s.clearFailures(tx, poolID, who)
	}
	if !found || now.Sub(l.Last) > lockoutMemory {
		l = Lockout{Pool: poolID, Who: who}
	}
	l.Failures++
	l.Last = now
	if over := l.Failures - freeFailures; over >= 0 {
		l.Until = now.Add(min(time.Second<<min(over, 10), longestLock))
		l.Last = l.Until
	}
	return errWrongPassword(), s.tables.lockouts.Put(tx, l)
}

func (s *Service) clearFailures(tx *store.Tx, poolID, who string) error {
	err := s.tables.lockouts.Delete(tx, poolID, who)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
