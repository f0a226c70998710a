package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"runtime"
	"time"

	"moat/internal/pure/srp"
)

// bareCount is how often a sign-in's cryptography is done alone, before and after the loads.
const bareCount = 60

// bare does the cryptography of sign-ins and nothing else, in this process and on one thread: the big-number
// arithmetic of the server's side, and the two signatures. What a sign-in costs above that is Moat's own.
type bare struct {
	server         *srp.Server
	key            *rsa.PrivateKey
	curveKey       *ecdsa.PrivateKey
	curve          bool // it signs with curveKey
	id             srp.Identity
	salt, verifier []byte
	a              []byte // a client's public value
}

func newBare() (*bare, error) {
	c := &bare{server: srp.NewServer(), id: srp.Identity{Pool: "pool", User: "user"}}
	var err error
	if c.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if c.curveKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
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
	for range n {
		if c.curve {
			if _, err := c.curveKey.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
				return err
			}
			continue
		}
		if _, err := rsa.SignPKCS1v15(nil, c.key, crypto.SHA256, make([]byte, 32)); err != nil {
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

// cost returns the mean CPU time in microseconds of the thread that does work.
func (c *bare) cost(work func() error) (float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := work(); err != nil {
		return 0, err
	}
	before, err := threadClock()
	if err != nil {
		return 0, err
	}
	for range bareCount {
		if err := work(); err != nil {
			return 0, err
		}
	}
	after, err := threadClock()
	return float64((after-before)/time.Nanosecond) / 1000 / bareCount, err
}
