package montgomery

import "math/bits"

// PrivateKey is an RSA key of 2,048 bits by its Chinese remainders (RFC 8017 section 3.2, the second
// representation), prepared. It is immutable and safe for concurrent use.
type PrivateKey struct {
	primes *TwinModulus
	dP, dQ [bytesOf1024]byte
	qInv   Twins // 1/q modulo p, a value; the second is nothing
	twiceP [lanesOf1024]uint64
	q      [bytesOf1024 / 8]uint64 // in words of 64 bits
}

// NewPrivateKey prepares a key: its primes p and q of 1,024 bits, d modulo p-1 and q-1, and 1/q modulo p, each in 128
// bytes, the highest first.
func NewPrivateKey(p, q, dP, dQ, qInv []byte) (*PrivateKey, error) {
	primes, err := NewTwinModulus(p, q)
	if err != nil {
		return nil, err
	}
	return newPrivateKey(primes, q, dP, dQ, qInv)
}

func newPrivateKey(primes *TwinModulus, q, dP, dQ, qInv []byte) (*PrivateKey, error) {
	if len(dP) != bytesOf1024 || len(dQ) != bytesOf1024 || len(qInv) != bytesOf1024 {
		return nil, ErrModulus
	}
	k := &PrivateKey{primes: primes, dP: [bytesOf1024]byte(dP), dQ: [bytesOf1024]byte(dQ), twiceP: primes.m[0], q: words(q)}
	setBytes(k.qInv[0][:], qInv)
	primes.product(&k.qInv, &k.qInv, &primes.rr)
	for i := range k.twiceP {
		k.twiceP[i] <<= 1
	}
	return k, nil
}

// Sign is RSASP1 (RFC 8017 section 5.2.1): m to the power of d. Whoever gives the outcome away must check it with the
// public key first: one that was computed wrongly for one of the primes gives that prime away.
func (k *PrivateKey) Sign(m *[2 * bytesOf1024]byte) (s [2 * bytesOf1024]byte) {
	x := k.primes.enter(m)
	k.primes.exp(&x, &k.dP, &k.dQ)
	k.primes.leave(&x)
	// h = (x_p - x_q) / q mod p. Twice p is more than q, so nothing is negative.
	var h Twins
	for i := range h[0] {
		h[0][i] = x[0][i] + k.twiceP[i] - x[1][i]
	}
	carry(h[0][:])
	k.primes.product(&h, &h, &k.qInv)
	reduce(h[0][:], k.primes.m[0][:])
	// s = x_q + h * q
	var low, high [bytesOf1024]byte
	fillBytes(high[:], h[0][:])
	fillBytes(low[:], x[1][:])
	s = mulAdd(words(high[:]), k.q, words(low[:]))
	return s
}

// words reads 128 bytes, the highest first, into words, the lowest first.
func words(b []byte) (w [bytesOf1024 / 8]uint64) {
	for i := range w {
		for _, v := range b[len(b)-8*(i+1) : len(b)-8*i] {
			w[i] = w[i]<<8 | uint64(v)
		}
	}
	return w
}

// mulAdd returns x * y + z.
func mulAdd(x, y, z [bytesOf1024 / 8]uint64) (out [2 * bytesOf1024]byte) {
	var t [2 * len(x)]uint64
	copy(t[:], z[:])
	for i := range x {
		var over uint64
		for j := range y {
			hi, lo := bits.Mul64(x[i], y[j])
			var c uint64
			lo, c = bits.Add64(lo, over, 0)
			hi += c
			t[i+j], c = bits.Add64(t[i+j], lo, 0)
			over = hi + c
		}
		t[i+len(y)] = over
	}
	for i, v := range t {
		for j := range 8 {
			out[len(out)-1-8*i-j] = byte(v >> (8 * j))
		}
	}
	return out
}
