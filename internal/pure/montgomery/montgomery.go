// Package montgomery multiplies large numbers modulo odd ones, by Montgomery's method in digits of 52 bits, which
// is what the multipliers of AVX-512 take eight of at a time (IFMA; see S. Gueron and V. Krasnov, "Accelerating Big
// Integer Arithmetic Using Intel IFMA Extensions", ARITH 2016). Where a processor has them, an RSA-2048 signature and an
// exponentiation of SRP cost a quarter of what they do in words of 64 bits. Everywhere else the same steps are done in
// Go, which is slower than [math/big]: ask [Available] before choosing this package.
//
// Every function does the same steps whatever the numbers are, but for those whose comment says otherwise: no branch
// and no address depends on a number, and neither processors' multipliers nor [bits.Mul64] have a time that does.
//
// A value stands for x * R mod m, with R = 2^(52 * digits), and is less than 2m, which is far below R: so a product of two values
// needs no subtraction to be one itself.
package montgomery

import "math/bits"

const (
	digitBits = 52
	mask      = 1<<digitBits - 1
)

// setBytes reads a number, the highest byte first, that fits; what it does not reach is zero.
func setBytes(z []uint64, b []byte) {
	clear(z)
	for i, v := range b { // from the highest byte
		at := 8 * (len(b) - 1 - i)
		d, shift := at/digitBits, at%digitBits
		z[d] |= uint64(v) << shift & mask
		if shift > digitBits-8 {
			z[d+1] |= uint64(v) >> (digitBits - shift)
		}
	}
}

// fillBytes writes a number that fits, the highest byte first.
func fillBytes(b []byte, x []uint64) {
	for i := range b {
		at := 8 * (len(b) - 1 - i)
		d, shift := at/digitBits, at%digitBits
		v := x[d] >> shift
		if shift > digitBits-8 {
			v |= x[d+1] << (digitBits - shift)
		}
		b[i] = byte(v)
	}
}

// carry brings digits of less than 63 bits below 2^52. They may be negative, as their two's complement; the whole may not.
func carry(z []uint64) {
	var c int64
	for i, v := range z {
		c += int64(v)
		z[i] = uint64(c) & mask
		c >>= digitBits
	}
}

// reduce subtracts m from z, below 2m, once, if it is not below m.
func reduce(z, m []uint64) {
	var borrow uint64
	for i := range z {
		borrow = (z[i] - m[i] - borrow) >> 63
	}
	var c int64
	keep := borrow - 1 // all ones where m is to be subtracted
	for i := range z {
		c += int64(z[i]) - int64(m[i]&keep)
		z[i] = uint64(c) & mask
		c >>= digitBits
	}
}

// double sets z to 2z mod m; z is below m.
func double(z, m []uint64) {
	for i := range z {
		z[i] <<= 1
	}
	carry(z)
	reduce(z, m)
}

// negativeInverse returns -1/m modulo 2^52 of an odd m.
func negativeInverse(m uint64) uint64 {
	x := m // right in its lowest 3 bits; each round doubles them
	for range 5 {
		x *= 2 - m*x
	}
	return -x & mask
}

// product is what the processor's kernels do, in Go: z = x * y / 2^(52 * digits) mod m, with k = -1/m modulo 2^52.
func product(z, x, y, m []uint64, k uint64, digits int) {
	var r [lanesOf3072 + 1]uint64
	for i := range digits {
		for j := range digits {
			_, lo := bits.Mul64(x[j], y[i])
			r[j] += lo & mask
		}
		_, q := bits.Mul64(r[0]&mask, k)
		q &= mask
		for j := range digits {
			_, lo := bits.Mul64(m[j], q)
			r[j] += lo & mask
		}
		r[1] += r[0] >> digitBits
		copy(r[:digits], r[1:digits+1])
		for j := range digits {
			hi, lo := bits.Mul64(x[j], y[i])
			r[j] += hi<<(64-digitBits) | lo>>digitBits
			hi, lo = bits.Mul64(m[j], q)
			r[j] += hi<<(64-digitBits) | lo>>digitBits
		}
	}
	carry(r[:digits])
	copy(z, r[:digits])
}
