package iam

import "time"

// Attempts slows down who guesses: after some failures in a row each further one
// is looked at only after a pause, a second at first, doubled up to 15 minutes.
type Attempts struct {
	Failures int       `json:",omitempty"`
	Until    time.Time `json:",omitzero"`
}

const (
	freeAttempts = 5
	maxPause     = 15 * time.Minute
)

// blocked reports whether an attempt is not to be looked at, right or wrong.
func (a *Attempts) blocked(now time.Time) bool { return now.Before(a.Until) }

func (a *Attempts) failed(now time.Time) {
	a.Failures++
	if n := a.Failures - freeAttempts; n >= 0 {
		a.Until = now.Add(min(maxPause, time.Second<<min(n, 16)))
	}
}
