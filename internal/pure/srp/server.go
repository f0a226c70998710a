package srp

import (
	"crypto/subtle"
	"sync"

	"moat/internal/pure/montgomery"
)

// Server computes the server's side. It keeps a table of powers of the generator, which makes checking a
// password and answering a public value several times cheaper than an exponentiation. The table (384 KiB) is
// made when it is first wanted. A Server is safe for concurrent use.
type Server struct {
	f       *field
	k       element
	vectorK montgomery.Number // k once more, where f has a vector
	powers  func() *powers
}

// NewServer prepares the group.
func NewServer() *Server {
	return newServer(newField())
}

func newServer(f *field) *Server {
	s := &Server{f: f, k: f.multiplier(), powers: sync.OnceValue(func() *powers { return newPowers(f) })}
	if f.vector != nil {
		s.vectorK = f.toVector(&s.k)
	}
	return s
}

// Verifier derives what a server keeps in place of a password: g to the power of x.
func (s *Server) Verifier(id Identity, salt []byte, password string) []byte {
	x := privateKey(id, salt, password)
	v := s.powers().exp(s.f, &x)
	return v.bytes()
}

// Matches says whether a password is the one behind a verifier, in constant time.
func (s *Server) Matches(id Identity, salt, verifier []byte, password string) bool {
	return subtle.ConstantTimeCompare(s.Verifier(id, salt, password), verifier) == 1
}

// Public returns the server's public value B = k*v + g^b. The secret is of [NewSecret].
func (s *Server) Public(verifier, b []byte) ([]byte, error) {
	out, ok := s.masked(verifier)
	if !ok {
		return nil, ErrVerifier
	}
	if len(b) != SecretSize {
		return nil, ErrSecret
	}
	power := s.powers().exp(s.f, (*[SecretSize]byte)(b))
	s.f.add(&out, &out, &power)
	return out.bytes(), nil
}

// masked is the number k*v.
func (s *Server) masked(verifier []byte) (x element, ok bool) {
	if s.f.vector != nil {
		v, ok := s.f.vector.Enter(verifier)
		s.f.vector.Product(&v, &v, &s.vectorK)
		return s.f.vectorNumber(&v), ok
	}
	v, ok := s.f.enter(verifier)
	s.f.mul(&v, &v, &s.k)
	return s.f.number(&v), ok
}

// Key derives the session key from the client's public value A, as [ParsePublic] gives it, the scrambler u of
// [Scramble], the verifier and the server's secret b. It is (A * v^u)^b: two exponentiations, none of which a
// table could help, for their bases are the client's and the user's own.
func (s *Server) Key(a, u, verifier, b []byte) ([]byte, error) {
	if allZero(u) {
		return nil, ErrPublic
	}
	if s.f.vector != nil {
		return s.vectorKey(a, u, verifier, b)
	}
	v, ok := s.f.enter(verifier)
	if !ok {
		return nil, ErrVerifier
	}
	public, ok := s.f.enter(a)
	if !ok {
		return nil, ErrPublic
	}
	var z element
	s.f.exp(&z, &v, u)
	s.f.mul(&z, &z, &public)
	s.f.exp(&z, &z, b)
	return derive(u, s.f.leave(&z)), nil
}

// vectorKey is Key in the vector's form from the first number to the last: to change it costs as much as several products.
func (s *Server) vectorKey(a, u, verifier, b []byte) ([]byte, error) {
	m := s.f.vector
	z, ok := m.Enter(verifier)
	if !ok {
		return nil, ErrVerifier
	}
	public, ok := m.Enter(a)
	if !ok {
		return nil, ErrPublic
	}
	m.Exp(&z, &z, u)
	m.Product(&z, &z, &public)
	m.Exp(&z, &z, b)
	var out [Size]byte
	m.Leave(out[:], &z)
	return derive(u, out[:]), nil
}
