package montgomery

import "errors"

const (
	digitsOf2048, lanesOf2048 = 40, 40
	digitsOf3072, lanesOf3072 = 60, 64
)

// Number is a value modulo a [Modulus].
type Number [lanesOf3072]uint64

// Modulus is an odd number of 2,048 or 3,072 bits, prepared. It is immutable and safe for concurrent use.
type Modulus struct {
	m, one, rr Number // R and R^2 modulo m
	k          uint64
	digits     int
	size       int // bytes
	vector     bool
}

// ErrModulus says that a modulus is even, or of another size than is computed with.
var ErrModulus = errors.New("montgomery: a modulus that is not taken")

// NewModulus prepares a modulus, given by its bytes, the highest first. It takes some 100 microseconds.
func NewModulus(m []byte) (*Modulus, error) {
	return newModulus(m, Available())
}

func newModulus(m []byte, vector bool) (*Modulus, error) {
	out := &Modulus{size: len(m), vector: vector}
	switch len(m) {
	case 256:
		out.digits = digitsOf2048
	case 384:
		out.digits = digitsOf3072
	default:
		return nil, ErrModulus
	}
	if m[0] < 0x80 || m[len(m)-1]&1 == 0 {
		return nil, ErrModulus
	}
	setBytes(out.m[:], m)
	out.k = negativeInverse(out.m[0])
	out.one = Number{1}
	for range out.digits * digitBits {
		double(out.one[:], out.m[:])
	}
	out.rr = out.one
	for range out.digits * digitBits {
		double(out.rr[:], out.m[:])
	}
	return out, nil
}

// One is the value of 1.
func (m *Modulus) One() Number { return m.one }

// Enter reads a number, the highest byte first. False: it is not below the modulus (the time tells which).
func (m *Modulus) Enter(b []byte) (x Number, ok bool) {
	if len(b) > m.size {
		return x, false
	}
	setBytes(x[:], b)
	t := x
	if reduce(t[:], m.m[:]); t != x {
		return x, false
	}
	m.Product(&x, &x, &m.rr)
	return x, true
}

// Leave writes the number that x is the value of, in as many bytes as the modulus has.
func (m *Modulus) Leave(b []byte, x *Number) {
	t := Number{1}
	m.Product(&t, x, &t)
	reduce(t[:], m.m[:])
	fillBytes(b[:m.size], t[:])
}

// Product sets z to x * y. z may be either of them.
func (m *Modulus) Product(z, x, y *Number) {
	switch {
	case !m.vector:
		product(z[:], x[:], y[:], m.m[:], m.k, m.digits)
	case m.digits == digitsOf2048:
		product2048(z, x, y, &m.m, m.k)
	default:
		product3072(z, x, y, &m.m, m.k)
	}
}

// Choose sets z to the entry of a table with a secret index, by reading all of them.
func (m *Modulus) Choose(z *Number, table *[16]Number, index byte) {
	if m.vector {
		choose(z, table, uint64(index))
		return
	}
	*z = Number{}
	for i := range table {
		same := isZero(uint64(index) ^ uint64(i))
		for j, v := range table[i] {
			z[j] |= v & same
		}
	}
}

// isZero is all ones for 0 and zero for what is less than 2^63 otherwise.
func isZero(x uint64) uint64 { return -((x - 1) >> 63) }

// Exp sets z to x to the power of e, the highest byte first, in a time that depends on the length of e alone.
func (m *Modulus) Exp(z, x *Number, e []byte) {
	var powers [16]Number
	powers[0], powers[1] = m.one, *x
	for i := 2; i < 16; i++ {
		m.Product(&powers[i], &powers[i-1], x)
	}
	t := m.one
	var factor Number
	for _, b := range e {
		for _, digit := range [2]byte{b >> 4, b & 15} {
			for range 4 {
				m.Product(&t, &t, &t)
			}
			m.Choose(&factor, &powers, digit)
			m.Product(&t, &t, &factor)
		}
	}
	*z = t
}

// ExpPublic sets z to x to the power of e, which is at least 1 and shows in the time that it takes.
func (m *Modulus) ExpPublic(z, x *Number, e uint) {
	t, base := *x, *x
	top := 0
	for e>>top > 1 {
		top++
	}
	for i := top - 1; i >= 0; i-- {
		m.Product(&t, &t, &t)
		if e>>i&1 == 1 {
			m.Product(&t, &t, &base)
		}
	}
	*z = t
}
