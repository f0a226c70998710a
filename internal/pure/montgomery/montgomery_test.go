package montgomery

import (
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"
)

// kinds are the ways to compute that this processor has: in Go always, by its vectors where it has them.
func kinds() map[string]bool {
	all := map[string]bool{"go": false}
	if Available() {
		all["vector"] = true
	}
	return all
}

func random(t testing.TB, below *big.Int) *big.Int {
	t.Helper()
	x, err := rand.Int(rand.Reader, below)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// moduli are odd numbers of some size at which carries go wrong first, and some by chance.
func moduli(t testing.TB, bits uint) []*big.Int {
	one := big.NewInt(1)
	all := new(big.Int).Sub(new(big.Int).Lsh(one, bits), one)
	top := new(big.Int).Lsh(one, bits-1)
	out := []*big.Int{all, new(big.Int).Add(top, one), new(big.Int).Sub(all, new(big.Int).Lsh(one, bits/2)), new(big.Int).Sub(all, big.NewInt(1<<52))}
	for range 4 {
		m := random(t, top)
		out = append(out, m.SetBit(m.Add(m, top), 0, 1))
	}
	return out
}

// edges are numbers below a modulus at which carries and reductions go wrong first.
func edges(t testing.TB, m *big.Int) []*big.Int {
	one := big.NewInt(1)
	n := uint(m.BitLen())
	all := func(bits uint) *big.Int { return new(big.Int).Sub(new(big.Int).Lsh(one, bits), one) }
	out := []*big.Int{new(big.Int), one, big.NewInt(2), all(52), all(104), all(n - 1), new(big.Int).Lsh(one, 52), new(big.Int).Lsh(one, n-1), new(big.Int).Sub(m, one), new(big.Int).Rsh(m, 1)}
	for range 4 {
		out = append(out, random(t, m))
	}
	for i, x := range out {
		out[i] = new(big.Int).Mod(x, m)
	}
	return out
}

func TestModulus_arithmetic(t *testing.T) {
	t.Parallel()
	for name, vector := range kinds() {
		for _, bits := range []uint{2048, 3072} {
			for _, n := range moduli(t, bits) {
				m, err := newModulus(n.Bytes(), vector)
				if err != nil {
					t.Fatal(err)
				}
				size := int(bits) / 8
				number := func(x *Number) *big.Int {
					b := make([]byte, size)
					m.Leave(b, x)
					return new(big.Int).SetBytes(b)
				}
				for _, x := range edges(t, n) {
					vx, ok := m.Enter(x.Bytes())
					if !ok || number(&vx).Cmp(x) != 0 {
						t.Fatalf("%s: %x enters %x as %x, %v", name, x, n, number(&vx), ok)
					}
					for _, y := range edges(t, n) {
						vy, _ := m.Enter(y.Bytes())
						want := new(big.Int).Mul(x, y)
						want.Mod(want, n)
						var z Number
						if m.Product(&z, &vx, &vy); number(&z).Cmp(want) != 0 {
							t.Errorf("%s: %x * %x mod %x", name, x, y, n)
						}
						if m.Product(&vy, &vx, &vy); number(&vy).Cmp(want) != 0 {
							t.Errorf("%s: %x * %x mod %x, in place", name, x, y, n)
						}
					}
				}
				x, e := random(t, n), random(t, new(big.Int).Lsh(big.NewInt(1), 256))
				for _, e := range []*big.Int{e, new(big.Int), big.NewInt(1), big.NewInt(255)} {
					v, _ := m.Enter(x.Bytes())
					if m.Exp(&v, &v, e.FillBytes(make([]byte, 32))); number(&v).Cmp(new(big.Int).Exp(x, e, n)) != 0 {
						t.Errorf("%s: %x ^ %x mod %x", name, x, e, n)
					}
				}
				for _, e := range []uint{1, 2, 3, 17, 65537, 1<<31 - 1} {
					v, _ := m.Enter(x.Bytes())
					if m.ExpPublic(&v, &v, e); number(&v).Cmp(new(big.Int).Exp(x, big.NewInt(int64(e)), n)) != 0 {
						t.Errorf("%s: %x ^ %d mod %x", name, x, e, n)
					}
				}
			}
		}
	}
}

// A number that is not below the modulus does not enter, and what no modulus can be makes none.
func TestModulus_refuses(t *testing.T) {
	t.Parallel()
	for _, bits := range []uint{2048, 3072} {
		n := moduli(t, bits)[4]
		m, err := NewModulus(n.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []*big.Int{n, new(big.Int).Add(n, big.NewInt(1)), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), bits), big.NewInt(1)), new(big.Int).Lsh(n, 8)} {
			if _, ok := m.Enter(x.Bytes()); ok {
				t.Errorf("%x enters %x", x, n)
			}
		}
		if _, ok := m.Enter(new(big.Int).Sub(n, big.NewInt(1)).Bytes()); !ok {
			t.Errorf("the greatest number below %x does not enter", n)
		}
	}
	odd := moduli(t, 2048)[4]
	for name, b := range map[string][]byte{
		"nothing": nil, "even": new(big.Int).Add(odd, big.NewInt(1)).Bytes(), "short": odd.Bytes()[1:], "padded": append([]byte{0}, odd.Bytes()...),
		"below its size": new(big.Int).Rsh(odd, 1).FillBytes(make([]byte, 256)), "another size": moduli(t, 1024)[4].Bytes(),
	} {
		if _, err := NewModulus(b); err == nil {
			t.Errorf("%s: taken as a modulus", name)
		}
		if _, err := NewTwinModulus(b, moduli(t, 1024)[4].Bytes()); err == nil && name != "another size" {
			t.Errorf("%s: taken as a modulus of twins", name)
		}
	}
}

// What is chosen is the entry with the index, of each.
func TestChoose(t *testing.T) {
	t.Parallel()
	var numbers [16]Number
	var twins [16]Twins
	for i := range 16 {
		for d := range numbers[i] {
			numbers[i][d] = random(t, big.NewInt(1<<52)).Uint64()
		}
		for j := range twins[i] {
			for d := range twins[i][j] {
				twins[i][j][d] = random(t, big.NewInt(1<<52)).Uint64()
			}
		}
	}
	for name, vector := range kinds() {
		m, twin := &Modulus{vector: vector}, &TwinModulus{vector: vector}
		for i := range byte(16) {
			var z Number
			if m.Choose(&z, &numbers, i); z != numbers[i] {
				t.Errorf("%s: entry %d", name, i)
			}
			for j := range byte(16) {
				var z Twins
				if twin.choose(&z, &twins, i, j); z != (Twins{twins[i][0], twins[j][1]}) {
					t.Errorf("%s: entries %d and %d", name, i, j)
				}
			}
		}
	}
}

// prepared makes keys of crypto/rsa's, in each way to compute.
func prepared(t testing.TB, k *rsa.PrivateKey, vector bool) *PrivateKey {
	t.Helper()
	fixed := func(x *big.Int) []byte { return x.FillBytes(make([]byte, bytesOf1024)) }
	primes, err := newTwinModulus(fixed(k.Primes[0]), fixed(k.Primes[1]), vector)
	if err != nil {
		t.Fatal(err)
	}
	out, err := newPrivateKey(primes, fixed(k.Primes[1]), fixed(k.Precomputed.Dp), fixed(k.Precomputed.Dq), fixed(k.Precomputed.Qinv))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPrivateKey_Sign(t *testing.T) {
	t.Parallel()
	for range 4 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		mirrored := *k // p and q the other way round: q is the greater one in one of them
		mirrored.Primes = []*big.Int{k.Primes[1], k.Primes[0]}
		mirrored.Precomputed = rsa.PrecomputedValues{}
		mirrored.Precompute()
		for _, k := range []*rsa.PrivateKey{k, &mirrored} {
			for name, vector := range kinds() {
				ours := prepared(t, k, vector)
				numbers := append(edges(t, k.N), k.Primes[0], k.Primes[1], new(big.Int).Sub(k.N, k.Primes[1]))
				for _, m := range numbers {
					s := ours.Sign((*[256]byte)(m.FillBytes(make([]byte, 256))))
					if want := new(big.Int).Exp(m, k.D, k.N); new(big.Int).SetBytes(s[:]).Cmp(want) != 0 {
						t.Errorf("%s: %x ^ d mod %x: got %x, want %x", name, m, k.N, s, want)
					}
				}
			}
		}
	}
}

func TestPrivateKey_refuses(t *testing.T) {
	t.Parallel()
	p, q := moduli(t, 1024)[4].Bytes(), moduli(t, 1024)[5].Bytes()
	full, short := make([]byte, 128), make([]byte, 127)
	if _, err := NewPrivateKey(p, q, full, full, full); err != nil {
		t.Error(err)
	}
	for i, parts := range [][5][]byte{{short, q, full, full, full}, {p, short, full, full, full}, {p, q, short, full, full}, {p, q, full, short, full}, {p, q, full, full, short}} {
		if _, err := NewPrivateKey(parts[0], parts[1], parts[2], parts[3], parts[4]); err == nil {
			t.Errorf("a key whose part %d is short is taken", i)
		}
	}
}

func BenchmarkPrivateKey_Sign(b *testing.B) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	m := (*[256]byte)(random(b, k.N).FillBytes(make([]byte, 256)))
	for name, vector := range kinds() {
		ours := prepared(b, k, vector)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ours.Sign(m)
			}
		})
	}
}

func BenchmarkModulus(b *testing.B) {
	for name, vector := range kinds() {
		for _, bits := range []uint{2048, 3072} {
			m, err := newModulus(moduli(b, bits)[4].Bytes(), vector)
			if err != nil {
				b.Fatal(err)
			}
			x, secret := m.One(), make([]byte, 32)
			m.Product(&x, &x, &m.rr)
			if bits == 2048 {
				b.Run("public exponent/"+name, func(b *testing.B) {
					for b.Loop() {
						m.ExpPublic(&x, &x, 65537)
					}
				})
				continue
			}
			b.Run("256 bits of 3072/"+name, func(b *testing.B) {
				for b.Loop() {
					m.Exp(&x, &x, secret)
				}
			})
		}
	}
}
