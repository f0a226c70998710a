package srp

import (
	"encoding/binary"
	"math/bits"

	"moat/internal/pure/montgomery"
)

// limbs is the length of a group element in words of 64 bits.
const limbs = Size / 8

// element is a number modulo N in Montgomery form: x stands for x * 2^3072 mod N, with the lowest word first.
//
// Every function of this file does the same steps whatever the words hold: no branch and no index depends on
// them, and [bits.Mul64], [bits.Add64] and [bits.Sub64] promise a time that does not depend on their operands.
type element [limbs]uint64

// field is N with what Montgomery's method wants to know of it. -1/N modulo 2^64, by which others multiply in
// each row, is 1 here: the lowest word of N is all ones.
type field struct {
	n, one, rr element             // N; 2^3072 and 2^6144 modulo N
	vector     *montgomery.Modulus // N once more, for exponentiations where the processor does them faster so; or nil
}

func newField() *field {
	f := &field{}
	f.n.setBytes(modulusBytes())
	f.one.sub(&f.n) // 2^3072 - N, below N for its highest bit is set
	rr := f.one     // stands for 1
	for range 3 {
		f.add(&rr, &rr, &rr) // 2, 4, 8
	}
	for range 10 {
		f.square(&rr, &rr) // 2^(3 * 2^10)
	}
	f.rr = rr
	if montgomery.Available() {
		f.vector, _ = montgomery.NewModulus(modulusBytes()) // N is odd and has 3,072 bits
	}
	return f
}

// enter reads a number below N.
func (f *field) enter(b []byte) (x element, ok bool) {
	if len(b) > Size {
		return x, false
	}
	x.setBytes(b)
	t := x
	if t.sub(&f.n) == 0 {
		return x, false
	}
	f.mul(&x, &x, &f.rr)
	return x, true
}

// leave writes what x stands for, in Size bytes.
func (f *field) leave(x *element) []byte {
	n := f.number(x)
	return n.bytes()
}

// number is what x stands for, as it is.
func (f *field) number(x *element) (n element) {
	f.mul(&n, x, &element{1})
	return n
}

// setBytes reads a number of Size bytes or less, the highest byte first.
func (x *element) setBytes(b []byte) {
	var full [Size]byte
	copy(full[Size-len(b):], b)
	for i := range x {
		x[i] = binary.BigEndian.Uint64(full[Size-8*(i+1):])
	}
}

func (x *element) bytes() []byte {
	out := make([]byte, Size)
	for i, w := range x {
		binary.BigEndian.PutUint64(out[Size-8*(i+1):], w)
	}
	return out
}

// sub subtracts without regard to N and returns the borrow.
func (x *element) sub(y *element) (borrow uint64) {
	for i := range x {
		x[i], borrow = bits.Sub64(x[i], y[i], borrow)
	}
	return borrow
}

// pick sets x to y where mask is all ones, and leaves it where mask is zero.
func (x *element) pick(mask uint64, y *element) {
	for i := range x {
		x[i] ^= mask & (x[i] ^ y[i])
	}
}

// reduce brings x + carry*2^3072, less than 2N, below N.
func (f *field) reduce(x *element, carry uint64) {
	t := *x
	borrow := t.sub(&f.n)
	x.pick(-(carry | (borrow ^ 1)), &t)
}

// add sets z to x + y.
func (f *field) add(z, x, y *element) {
	var c uint64
	for i := range z {
		z[i], c = bits.Add64(x[i], y[i], c)
	}
	f.reduce(z, c)
}

// sub sets z to x - y.
func (f *field) sub(z, x, y *element) {
	t := *x
	borrow := t.sub(y)
	back := t
	var c uint64
	for i := range back {
		back[i], c = bits.Add64(back[i], f.n[i], c)
	}
	t.pick(-borrow, &back)
	*z = t
}

// mul sets z to x * y.
func (f *field) mul(z, x, y *element) {
	var t [2 * limbs]uint64
	var c uint64
	for i, w := range y { // reduced row by row, while the row is at hand
		row := (*element)(t[i : i+limbs])
		c1 := row.addMul(x, w)
		c2 := row.addMul(&f.n, row[0])
		t[limbs+i], c = bits.Add64(c1, c2, c)
	}
	*z = element(t[limbs:])
	f.reduce(z, c)
}

// square sets z to x * x, with half of the products of mul.
func (f *field) square(z, x *element) {
	var t [2 * limbs]uint64
	for i, w := range x {
		var carry, c uint64
		next := (i + 4) &^ 3 // the first word of the next four
		for j := i + 1; j < next; j++ {
			hi, lo := bits.Mul64(x[j], w)
			lo, c = bits.Add64(lo, carry, 0)
			hi, _ = bits.Add64(hi, 0, c)
			t[i+j], c = bits.Add64(t[i+j], lo, 0)
			carry, _ = bits.Add64(hi, 0, c)
		}
		for j := next; j < limbs; j += 4 {
			carry = addMul4((*[4]uint64)(t[i+j:i+j+4]), (*[4]uint64)(x[j:j+4]), w, carry)
		}
		t[limbs+i] = carry
	}
	var c, twice uint64
	for i, w := range x { // each product of two different words counts twice, each word's own once
		hi, lo := bits.Mul64(w, w)
		low, high := t[2*i], t[2*i+1]
		t[2*i], c = bits.Add64(low<<1|twice, lo, c)
		t[2*i+1], c = bits.Add64(high<<1|low>>63, hi, c)
		twice = high >> 63
	}
	c = 0
	for i := range limbs {
		row := (*element)(t[i : i+limbs])
		c1 := row.addMul(&f.n, row[0])
		t[limbs+i], c = bits.Add64(t[limbs+i], c1, c)
	}
	*z = element(t[limbs:])
	f.reduce(z, c)
}

// exp sets z to x to the power of e, the highest byte first, in a time that depends on the length of e alone.
func (f *field) exp(z, x *element, e []byte) {
	if f.vector != nil {
		v := f.toVector(x)
		f.vector.Exp(&v, &v, e)
		*z = f.fromVector(&v)
		return
	}
	var powers [16]element
	powers[0], powers[1] = f.one, *x
	for i := 2; i < 16; i += 2 {
		f.square(&powers[i], &powers[i/2])
		f.mul(&powers[i+1], &powers[i], x)
	}
	var t element
	*z = f.one
	for _, b := range e {
		for _, digit := range [2]byte{b >> 4, b & 15} {
			for range 4 {
				f.square(z, z)
			}
			t.choose(&powers, digit)
			f.mul(z, z, &t)
		}
	}
}

// toVector and fromVector change the form of a value, by way of the number that it stands for.
func (f *field) toVector(x *element) montgomery.Number {
	v, _ := f.vector.Enter(f.leave(x)) // what leaves is below N
	return v
}

func (f *field) fromVector(v *montgomery.Number) element {
	x := f.vectorNumber(v)
	f.mul(&x, &x, &f.rr)
	return x
}

// vectorNumber is number for what is in the vector's form.
func (f *field) vectorNumber(v *montgomery.Number) (n element) {
	var b [Size]byte
	f.vector.Leave(b[:], v)
	n.setBytes(b[:])
	return n
}

// choose sets x to the element of a table with a secret index, by reading all of them.
func (x *element) choose(table *[16]element, index byte) {
	for i := range table {
		same := uint64(index) ^ uint64(i) // zero at the index
		x.pick(-((same - 1) >> 63), &table[i])
	}
}

// addMul adds x * y to z and returns what does not fit.
func (z *element) addMul(x *element, y uint64) (carry uint64) {
	for i := 0; i < limbs; i += 4 {
		carry = addMul4((*[4]uint64)(z[i:i+4]), (*[4]uint64)(x[i:i+4]), y, carry)
	}
	return carry
}

// addMul4 is addMul of four words, in whose two chains of additions the carry stays in the processor's flag.
func addMul4(z, x *[4]uint64, y, carry uint64) uint64 {
	var c uint64
	h0, l0 := bits.Mul64(x[0], y)
	h1, l1 := bits.Mul64(x[1], y)
	h2, l2 := bits.Mul64(x[2], y)
	h3, l3 := bits.Mul64(x[3], y)
	l0, c = bits.Add64(l0, carry, 0)
	l1, c = bits.Add64(l1, h0, c)
	l2, c = bits.Add64(l2, h1, c)
	l3, c = bits.Add64(l3, h2, c)
	h3, _ = bits.Add64(h3, 0, c)
	z[0], c = bits.Add64(z[0], l0, 0)
	z[1], c = bits.Add64(z[1], l1, c)
	z[2], c = bits.Add64(z[2], l2, c)
	z[3], c = bits.Add64(z[3], l3, c)
	h3, _ = bits.Add64(h3, 0, c)
	return h3
}
