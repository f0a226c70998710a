package srp

import (
	"encoding/hex"
	"io"

	"filippo.io/bigmod"
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
	g := newGroup()
	return &Client{a: a, public: g.powG(a).Bytes(g.n)}, nil
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
	g := newGroup()
	u := Scramble(c.public, b)
	x := privateKey(id, rawSalt, password)
	// S = (B - k*g^x)^(a + u*x) = (B - k*g^x)^a * ((B - k*g^x)^u)^x
	base, err := bigmod.NewNat().SetBytes(b, g.n)
	if err != nil {
		return nil, ErrPublic
	}
	base.Sub(g.powG(x).Mul(g.multiplier(), g.n), g.n)
	left := bigmod.NewNat().Exp(base, c.a, g.n)
	right := bigmod.NewNat().Exp(base, u, g.n)
	right = bigmod.NewNat().Exp(right, x, g.n)
	return derive(u, left.Mul(right, g.n).Bytes(g.n)), nil
}
