package montgomery

const (
	digitsOf1024, lanesOf1024 = 20, 24
	bytesOf1024               = 128
)

// Twins are two values, each modulo a prime of its own: what the two halves of an RSA signature work with. They are computed
// with side by side, which costs as much as one of them.
type Twins [2][lanesOf1024]uint64

// TwinModulus are two odd numbers of 1,024 bits, prepared. It is immutable and safe for concurrent use.
type TwinModulus struct {
	m, one, rr, rrr Twins // R, R^2 and R^3 modulo each
	k               [2]uint64
	vector          bool
}

// NewTwinModulus prepares two moduli, given by their bytes, the highest first.
func NewTwinModulus(p, q []byte) (*TwinModulus, error) {
	return newTwinModulus(p, q, Available())
}

func newTwinModulus(p, q []byte, vector bool) (*TwinModulus, error) {
	out := &TwinModulus{vector: vector}
	for i, b := range [2][]byte{p, q} {
		if len(b) != bytesOf1024 || b[0] < 0x80 || b[len(b)-1]&1 == 0 {
			return nil, ErrModulus
		}
		m := out.m[i][:]
		setBytes(m, b)
		out.k[i] = negativeInverse(m[0])
		x := [lanesOf1024]uint64{1}
		for _, power := range []*Twins{&out.one, &out.rr, &out.rrr} {
			for range digitsOf1024 * digitBits {
				double(x[:], m)
			}
			power[i] = x
		}
	}
	return out, nil
}

// product sets z to x * y, of each twin. z may be either of them.
func (m *TwinModulus) product(z, x, y *Twins) {
	if m.vector {
		twinProduct(z, x, y, &m.m, &m.k)
		return
	}
	for i := range z {
		product(z[i][:], x[i][:], y[i][:], m.m[i][:], m.k[i], digitsOf1024)
	}
}

// choose sets z to the twins of a table with secret indexes, by reading all of them.
func (m *TwinModulus) choose(z *Twins, table *[16]Twins, first, second byte) {
	if m.vector {
		twinChoose(z, table, uint64(first), uint64(second))
		return
	}
	*z = Twins{}
	for i := range table {
		same := [2]uint64{isZero(uint64(first) ^ uint64(i)), isZero(uint64(second) ^ uint64(i))}
		for j := range z {
			for d, v := range table[i][j] {
				z[j][d] |= v & same[j]
			}
		}
	}
}

// enter reads a number of 2,048 bits modulo each, the highest byte first: its upper part times R, which is 2^1040, and its lower part.
func (m *TwinModulus) enter(b *[2 * bytesOf1024]byte) (x Twins) {
	const lower = digitsOf1024 * digitBits / 8
	var high Twins
	for i := range x {
		setBytes(high[i][:], b[:len(b)-lower])
		setBytes(x[i][:], b[len(b)-lower:])
	}
	m.product(&high, &high, &m.rrr)
	m.product(&x, &x, &m.rr)
	for i := range x {
		for d := range x[i] {
			x[i][d] += high[i][d]
		}
		carry(x[i][:])
	}
	return x
}

// exp raises each of x to an exponent of its own, in a time that depends on nothing.
func (m *TwinModulus) exp(x *Twins, first, second *[bytesOf1024]byte) {
	var powers [16]Twins
	powers[0], powers[1] = m.one, *x
	for i := 2; i < 16; i++ {
		m.product(&powers[i], &powers[i-1], x)
	}
	*x = m.one
	var factor Twins
	for i := range first {
		for shift := 4; shift >= 0; shift -= 4 {
			for range 4 {
				m.product(x, x, x)
			}
			m.choose(&factor, &powers, first[i]>>shift&15, second[i]>>shift&15)
			m.product(x, x, &factor)
		}
	}
}

// leave makes of values the numbers that they stand for, each below its modulus.
func (m *TwinModulus) leave(x *Twins) {
	m.product(x, x, &Twins{{1}, {1}})
	for i := range x {
		reduce(x[i][:], m.m[i][:])
	}
}
