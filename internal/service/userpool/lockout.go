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
	locked, err := s.lockedNow(tx, poolID, who)
	if err == nil && locked {
		err = errLocked()
	}
	return err
}

// settle closes one attempt to prove a password, in the transaction that reveals
// its result: of any number of parallel guesses only the free ones learn anything.
// The verdict is what to tell; it must not undo the transaction.
func (s *Service) settle(tx *store.Tx, poolID, who string, right bool) (verdict, err error) {
	locked, err := s.lockedNow(tx, poolID, who)
	switch {
	case err != nil:
		return nil, err
	case locked:
		return errLocked(), nil
	case right:
		return nil, s.clearFailures(tx, poolID, who)
	}
	return errWrongPassword(), s.failed(tx, poolID, who)
}

// lockedNow says whether who has to wait, whatever he brings.
func (s *Service) lockedNow(tx *store.Tx, poolID, who string) (bool, error) {
	l, err := s.tables.lockouts.Look(tx, poolID, who)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && s.time().Before(l.Until), err
}

// failed counts a wrong answer.
func (s *Service) failed(tx *store.Tx, poolID, who string) error {
	now := s.time()
	l, err := s.tables.lockouts.Get(tx, poolID, who)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err != nil || now.Sub(l.Last) > lockoutMemory {
		l = Lockout{Pool: poolID, Who: who}
	}
	l.Failures++
	l.Last = now
	if over := l.Failures - freeFailures; over >= 0 {
		l.Until = now.Add(min(time.Second<<min(over, 10), longestLock))
		l.Last = l.Until
	}
	return s.tables.lockouts.Put(tx, l)
}

func (s *Service) clearFailures(tx *store.Tx, poolID, who string) error {
	_, err := s.tables.lockouts.Look(tx, poolID, who)
	if err == nil {
		err = s.tables.lockouts.Delete(tx, poolID, who)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
