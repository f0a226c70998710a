package srp

// powers holds the generator to the power of each value of each hexadecimal digit of a secret: entry [i][d] is
// g^(d * 16^i), so that a power of g is a product of one entry for each digit, without any squaring. 384 KiB.
type powers [2 * SecretSize][16]element

func newPowers(f *field) *powers {
	p := &powers{}
	step := f.two()
	for i := range p {
		p[i][0] = f.one
		for d := range 15 {
			f.mul(&p[i][d+1], &p[i][d], &step)
		}
		f.mul(&step, &p[i][15], &step)
	}
	return p
}

// exp returns g to the power of a secret of SecretSize bytes. Each digit costs the
// reading of its whole row and one multiplication, whatever it is.
func (p *powers) exp(f *field, e *[SecretSize]byte) (z element) {
	z = f.one
	var t element
	for i := range p {
		digit := e[SecretSize-1-i/2] >> (4 * (i % 2)) & 15
		t.choose(&p[i], digit)
		f.mul(&z, &z, &t)
	}
	return z
}
