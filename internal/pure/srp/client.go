package srp

import (
	"encoding/hex"
	"io"
)

// Client is the signing-in side of one exchange. It is good for one challenge.
type Client struct {
	a, public []byte
}

// NewClient draws the client's ephemeral secret.
func NewClient(random io.Reader) (*Client, error) {
	a, err := NewSecret(random)
	if err != nil {
		return nil, err
	}
	f := newField()
	g := f.two()
	f.exp(&g, &g, a)
	return &Client{a: a, public: f.leave(&g)}, nil
}

// Public returns SRP_A as a client sends it: hexadecimal, unpadded.
func (c *Client) Public() string { return Hex(c.public) }

// Key derives the session key from the server's answer. Salt and public value are
// hexadecimal as received, padded or not.
func (c *Client) Key(id Identity, salt, serverPublic, password string) ([]byte, error) {
	b, err := ParsePublic(serverPublic)
	if err != nil {
		return nil, err
	}
	if len(salt)%2 == 1 {
		salt = "0" + salt
	}
	rawSalt, err := hex.DecodeString(salt)
	if err != nil {
		return nil, err
	}
	f := newField()
	base, ok := f.enter(b)
	if !ok {
		return nil, ErrPublic
	}
	u := Scramble(c.public, b)
	x := privateKey(id, rawSalt, password)
	// S = (B - k*g^x)^(a + u*x) = (B - k*g^x)^a * ((B - k*g^x)^u)^x
	k, v := f.multiplier(), f.two()
	f.exp(&v, &v, x[:])
	f.mul(&v, &v, &k)
	f.sub(&base, &base, &v)
	var left, right element
	f.exp(&left, &base, c.a)
	f.exp(&right, &base, u)
	f.exp(&right, &right, x[:])
	f.mul(&left, &left, &right)
	return derive(u, f.leave(&left)), nil
}
