package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"runtime"
	"time"

	"moat/internal/pure/srp"
	"moat/internal/pure/token"
)

// A sign-in's cryptography is done bareCount times at least beside each load, with a pause after each that leaves the machine to the load.
const (
	bareCount = 10
	barePause = 20 * time.Millisecond
)

// bare does the cryptography of sign-ins and nothing else, in this process and on one thread: the big-number
// arithmetic of the server's side, and the two signatures. What a sign-in costs above that is Moat's own.
type bare struct {
	server         *srp.Server
	key, curveKey  *token.SigningKey
	curve          bool // it signs with curveKey
	id             srp.Identity
	salt, verifier []byte
	a              []byte // a client's public value
}

func newBare() (*bare, error) {
	c := &bare{server: srp.NewServer(), id: srp.Identity{Pool: "pool", User: "user"}}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if c.key, err = token.NewSigningKey("a", private); err != nil {
		return nil, err
	}
	if c.curveKey, err = token.NewCurveKey("b", curve); err != nil {
		return nil, err
	}
	if c.salt, err = srp.NewSalt(rand.Reader); err != nil {
		return nil, err
	}
	c.verifier = c.server.Verifier(c.id, c.salt, password)
	client, err := srp.NewClient(rand.Reader)
	if err != nil {
		return nil, err
	}
	c.a, err = srp.ParsePublic(client.Public())
	return c, err
}

// signatures signs n tokens.
func (c *bare) signatures(n int) error {
	key := c.key
	if c.curve {
		key = c.curveKey
	}
	for range n {
		if _, err := token.Sign(key, []byte("{}")); err != nil {
			return err
		}
	}
	return nil
}

// srp is the arithmetic of both steps and the signatures at their end.
func (c *bare) srp() error {
	b, err := srp.NewSecret(rand.Reader)
	if err != nil {
		return err
	}
	public, err := c.server.Public(c.verifier, b)
	if err != nil {
		return err
	}
	if _, err := c.server.Key(c.a, srp.Scramble(c.a, public), c.verifier, b); err != nil {
		return err
	}
	return c.signatures(2)
}

// password compares one and signs.
func (c *bare) password() error {
	c.server.Matches(c.id, c.salt, c.verifier, password)
	return c.signatures(2)
}

// beside does work again and again, with pauses, on one thread while during runs, and returns the mean CPU time of one in
// microseconds: what the cryptography costs on this machine as busy as the load makes it. Two threads of one core
// slow each other down by up to a half, which a measurement before or after the load would not know.
func (c *bare) beside(work func() error, during func() error) (float64, error) {
	over := make(chan struct{})
	ended := make(chan error, 1)
	var mean float64
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var err error
		mean, err = c.cost(work, over)
		ended <- err
	}()
	err := during()
	close(over)
	return mean, errors.Join(err, <-ended)
}

// cost returns the mean CPU time in microseconds of the calling thread for work, done at least bareCount times and until over.
func (c *bare) cost(work func() error, over <-chan struct{}) (float64, error) {
	if err := work(); err != nil {
		return 0, err
	}
	var total time.Duration
	for n := 1; ; n++ {
		before, err := threadClock()
		if err != nil {
			return 0, err
		}
		if err := work(); err != nil {
			return 0, err
		}
		after, err := threadClock()
		if err != nil {
			return 0, err
		}
		total += after - before
		select {
		case <-over:
			if n >= bareCount {
				return float64(total/time.Nanosecond) / 1000 / float64(n), nil
			}
		case <-time.After(barePause):
		}
	}
}
