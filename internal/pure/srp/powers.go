package srp

import "moat/internal/pure/montgomery"

// powers holds the generator to the power of each value of each hexadecimal digit of a secret: entry [i][d] is
// g^(d * 16^i), so that a power of g is a product of one entry for each digit, without any squaring. It holds them in
// one of two forms, whichever the field computes with: 384 or 512 KiB.
type powers struct {
	words  *[2 * SecretSize][16]element
	vector *[2 * SecretSize][16]montgomery.Number
}

func newPowers(f *field) *powers {
	p := &powers{words: &[2 * SecretSize][16]element{}}
	step := f.two()
	for i := range p.words {
		row := &p.words[i]
		row[0] = f.one
		for d := range 15 {
			f.mul(&row[d+1], &row[d], &step)
		}
		f.mul(&step, &row[15], &step)
	}
	if f.vector == nil {
		return p
	}
	v := &powers{vector: &[2 * SecretSize][16]montgomery.Number{}}
	for i := range v.vector {
		for d := range v.vector[i] {
			v.vector[i][d] = f.toVector(&p.words[i][d])
		}
	}
	return v
}

// exp returns the number that g to the power of a secret of SecretSize bytes is. Each digit
// costs the reading of its whole row and one multiplication, whatever it is.
func (p *powers) exp(f *field, e *[SecretSize]byte) element {
	if p.vector != nil {
		return p.vectorExp(f, e)
	}
	z := f.one
	var t element
	for i := range p.words {
		t.choose(&p.words[i], digit(e, i))
		f.mul(&z, &z, &t)
	}
	return f.number(&z)
}

func (p *powers) vectorExp(f *field, e *[SecretSize]byte) element {
	z := f.vector.One()
	var t montgomery.Number
	for i := range p.vector {
		f.vector.Choose(&t, &p.vector[i], digit(e, i))
		f.vector.Product(&z, &z, &t)
	}
	return f.vectorNumber(&z)
}

// digit is the i-th hexadecimal digit of a secret, from its lowest.
func digit(e *[SecretSize]byte, i int) byte {
	return e[SecretSize-1-i/2] >> (4 * (i % 2)) & 15
}
