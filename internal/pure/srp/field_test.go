package srp

import (
	"bytes"
	"crypto/rand"
	"math/big"
	"testing"

	"filippo.io/bigmod"
)

// edges are numbers at which carries and reductions go wrong first.
func edges() []*big.Int {
	n, one := modulus(), big.NewInt(1)
	all := func(bits uint) *big.Int { return new(big.Int).Sub(new(big.Int).Lsh(one, bits), one) }
	out := []*big.Int{
		new(big.Int), one, big.NewInt(2), all(64), all(128), all(3008), new(big.Int).Lsh(one, 64), new(big.Int).Lsh(one, 3008), new(big.Int).Lsh(one, 3071),
		new(big.Int).Sub(n, one), new(big.Int).Sub(n, big.NewInt(2)), new(big.Int).Sub(n, all(64)), new(big.Int).Rsh(n, 1),
		new(big.Int).Sub(new(big.Int).Lsh(one, 3072), n), // what 2^3072 leaves
	}
	for range 12 {
		x, err := rand.Int(rand.Reader, n)
		if err != nil {
			panic(err)
		}
		out = append(out, x)
	}
	return out
}

// raw puts a number into words as it is.
func raw(x *big.Int) (e element) {
	e.setBytes(x.Bytes())
	return e
}

// fields are the ways to compute that this processor has.
func fields() map[string]*field {
	words := newField()
	words.vector = nil
	all := map[string]*field{"words": words}
	if f := newField(); f.vector != nil {
		all["vector"] = f
	}
	return all
}

// Each operation equals that of math/big, of all pairs of numbers, also where the result is written over an operand.
func TestField_arithmetic(t *testing.T) {
	t.Parallel()
	f, n := newField(), modulus()
	back := new(big.Int).ModInverse(new(big.Int).Lsh(big.NewInt(1), 3072), n) // Montgomery's product has 2^3072 too little
	same := func(what string, x, y *big.Int, got element, want *big.Int) {
		t.Helper()
		if want.Mod(want, n); !bytes.Equal(got.bytes(), want.FillBytes(make([]byte, Size))) {
			t.Errorf("%s of %x and %x: got %x, want %x", what, x, y, got.bytes(), want)
		}
	}
	for _, x := range edges() {
		for _, y := range edges() {
			var z element
			a, b := raw(x), raw(y)
			f.mul(&z, &a, &b)
			same("product", x, y, z, new(big.Int).Mul(new(big.Int).Mul(x, y), back))
			f.add(&z, &a, &b)
			same("sum", x, y, z, new(big.Int).Add(x, y))
			f.sub(&z, &a, &b)
			same("difference", x, y, z, new(big.Int).Sub(x, y))
			f.mul(&a, &a, &b)
			f.sub(&b, &a, &b)
			same("difference in place", x, y, b, new(big.Int).Sub(new(big.Int).Mul(new(big.Int).Mul(x, y), back), y))
		}
		a := raw(x)
		f.square(&a, &a)
		same("square", x, x, a, new(big.Int).Mul(new(big.Int).Mul(x, x), back))
	}
}

// Powers equal those of filippo.io/bigmod, of any base and of the generator by its table.
func TestField_powers(t *testing.T) {
	t.Parallel()
	n, err := bigmod.NewModulus(modulus().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	exponents := [][]byte{make([]byte, SecretSize), bytes.Repeat([]byte{0xff}, SecretSize), append(make([]byte, SecretSize-1), 1), append([]byte{0x80}, make([]byte, SecretSize-1)...)}
	for range 4 {
		e, err := NewSecret(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		exponents = append(exponents, e)
	}
	for name, f := range fields() {
		table := newPowers(f)
		for _, e := range exponents {
			two := bigmod.NewNat().SetUint(2).ExpandFor(n)
			got := table.exp(f, (*[SecretSize]byte)(e))
			if want := bigmod.NewNat().Exp(two, e, n).Bytes(n); !bytes.Equal(got.bytes(), want) {
				t.Errorf("%s: g^%x by the table: got %x, want %x", name, e, got.bytes(), want)
			}
			for _, x := range edges() {
				b, ok := f.enter(x.Bytes())
				if !ok {
					t.Fatalf("%s: %x is refused", name, x)
				}
				nat, err := bigmod.NewNat().SetBytes(x.Bytes(), n)
				if err != nil {
					t.Fatal(err)
				}
				var z element
				f.exp(&z, &b, e)
				if want := bigmod.NewNat().Exp(nat, e, n).Bytes(n); !bytes.Equal(f.leave(&z), want) {
					t.Errorf("%s: %x^%x: want %x", name, x, e, want)
				}
			}
		}
	}
}

func TestField_enter(t *testing.T) {
	t.Parallel()
	f, n, one := newField(), modulus(), big.NewInt(1)
	for name, x := range map[string][]byte{
		"N": n.Bytes(), "N+1": new(big.Int).Add(n, one).Bytes(), "all ones": bytes.Repeat([]byte{0xff}, Size), "a byte too long": make([]byte, Size+1),
	} {
		if _, ok := f.enter(x); ok {
			t.Errorf("%s is taken for a group element", name)
		}
	}
	for name, x := range map[string]*big.Int{"zero": new(big.Int), "one": one, "N-1": new(big.Int).Sub(n, one)} {
		e, ok := f.enter(x.Bytes())
		if got := new(big.Int).SetBytes(f.leave(&e)); !ok || got.Cmp(x) != 0 {
			t.Errorf("%s came back as %x", name, got)
		}
	}
}

// The number of multiplications is the cost of a sign-in; what they take of the heap is what they return.
func TestServer_allocations(t *testing.T) {
	v, secret := Verifier(alice, []byte("salt"), "p"), bytes.Repeat([]byte{7}, SecretSize)
	server.powers()
	text := Hex(v)
	for name, c := range map[string]struct {
		most float64
		do   func() bool
	}{
		"Public":  {1, func() bool { _, err := server.Public(v, secret); return err == nil }},
		"Key":     {30, func() bool { _, err := server.Key(v, secret, v, secret); return err == nil }},
		"Parse":   {2, func() bool { _, err := ParsePublic(text); return err == nil }},
		"Matches": {12, func() bool { return server.Matches(alice, []byte("salt"), v, "p") }},
	} {
		if n := testing.AllocsPerRun(3, func() {
			if !c.do() {
				t.Error("failed")
			}
		}); n > c.most {
			t.Errorf("%s: %v allocations, at most %v wanted", name, n, c.most)
		}
	}
}

func BenchmarkField(b *testing.B) {
	for name, f := range fields() {
		x, e := f.rr, bytes.Repeat([]byte{0xa5}, SecretSize)
		for what, do := range map[string]func(){
			"mul":    func() { f.mul(&x, &x, &f.rr) },
			"square": func() { f.square(&x, &x) },
			"exp":    func() { f.exp(&x, &x, e) },
		} {
			b.Run(name+"/"+what, func(b *testing.B) {
				for b.Loop() {
					do()
				}
			})
		}
	}
}
