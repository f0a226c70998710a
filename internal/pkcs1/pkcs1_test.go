package pkcs1

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // its Size
	_ "crypto/sha512"
	"errors"
	"math/big"
	mrand "math/rand/v2"
	"sync"
	"testing"
)

func newKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// hashed gives a message's hash.
func hashed(h crypto.Hash, message string) []byte {
	d := h.New()
	d.Write([]byte(message))
	return d.Sum(nil)
}

// same compares our verdict with that of crypto/rsa and returns whether both accept.
func same(t testing.TB, keys *Keys, public *rsa.PublicKey, h crypto.Hash, sum, sig []byte) bool {
	t.Helper()
	ours := keys.Verify(public, h, sum, sig)
	theirs := rsa.VerifyPKCS1v15(public, h, sum, sig)
	if (ours == nil) != (theirs == nil) {
		t.Errorf("%v, modulus of %d bits, e %d, signature of %d bytes: ours %v, crypto/rsa %v", h, public.N.BitLen(), public.E, len(sig), ours, theirs)
	}
	return ours == nil
}

func TestKeys_Verify(t *testing.T) {
	t.Parallel()
	keys := new(Keys)
	for _, bits := range []int{1024, 1031, 2048, 2049, 3072} {
		private := newKey(t, bits)
		public := &private.PublicKey
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			sum := hashed(h, "message")
			sig, err := rsa.SignPKCS1v15(nil, private, h, sum)
			if err != nil {
				t.Fatal(err)
			}
			if !same(t, keys, public, h, sum, sig) {
				t.Errorf("%d bits, %v: refused", bits, h)
			}
			for _, other := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
				if other != h && same(t, keys, public, other, hashed(other, "message"), sig) {
					t.Errorf("%v for %v", h, other)
				}
			}
			for name, bad := range map[string][]byte{
				"empty": nil, "shorter": sig[1:], "longer": append([]byte{0}, sig...), "cut": sig[:len(sig)-1], "more": append(bytes.Clone(sig), 0),
				"zero": make([]byte, len(sig)), "one": append(make([]byte, len(sig)-1), 1), "all ones": bytes.Repeat([]byte{0xff}, len(sig)),
				"modulus": public.N.FillBytes(make([]byte, len(sig))), "modulus-1": new(big.Int).Sub(public.N, big.NewInt(1)).FillBytes(make([]byte, len(sig))),
			} {
				if same(t, keys, public, h, sum, bad) {
					t.Errorf("%s accepted", name)
				}
			}
			// s + n is the same number modulo n.
			if plus := new(big.Int).Add(new(big.Int).SetBytes(sig), public.N); plus.BitLen() <= 8*len(sig) {
				if same(t, keys, public, h, sum, plus.FillBytes(make([]byte, len(sig)))) {
					t.Error("s + n accepted")
				}
			}
			for range 40 {
				bad := bytes.Clone(sig)
				bad[mrand.IntN(len(bad))] ^= 1 << mrand.IntN(8)
				if same(t, keys, public, h, sum, bad) {
					t.Error("an altered signature accepted")
				}
				other := bytes.Clone(sum)
				other[mrand.IntN(len(other))] ^= 1 << mrand.IntN(8)
				if same(t, keys, public, h, other, sig) {
					t.Error("another message accepted")
				}
			}
		}
	}
}

// TestKeys_Verify_encodings signs encoded messages that are nearly right.
func TestKeys_Verify_encodings(t *testing.T) {
	t.Parallel()
	keys, private := new(Keys), newKey(t, 1024)
	public, sum := &private.PublicKey, hashed(crypto.SHA256, "message")
	right := make([]byte, 128)
	if !encode(right, prefixOf(crypto.SHA256), sum) {
		t.Fatal("it does not fit")
	}
	sign := func(em []byte) []byte {
		return new(big.Int).Exp(new(big.Int).SetBytes(em), private.D, private.N).FillBytes(make([]byte, 128))
	}
	if !same(t, keys, public, crypto.SHA256, sum, sign(right)) {
		t.Fatal("the right one is refused")
	}
	for i := range right { // each byte of it counts
		for _, change := range []byte{1, 0x80, 0xff} {
			em := bytes.Clone(right)
			if em[i] ^= change; new(big.Int).SetBytes(em).Cmp(private.N) >= 0 {
				continue
			}
			if same(t, keys, public, crypto.SHA256, sum, sign(em)) {
				t.Errorf("byte %d, xor %02x: accepted", i, change)
			}
		}
	}
	info := append([]byte(prefixOf(crypto.SHA256)), sum...)
	short := append(append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 8)...), 0)
	for name, em := range map[string][]byte{
		"garbage behind": append(append(bytes.Clone(short), info...), make([]byte, 128-len(short)-len(info))...),
		"no parameters":  withInfo("\x30\x2f\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x20" + string(sum)),
		"hash alone":     withInfo(string(sum)),
		"long form":      withInfo("\x30\x81\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20" + string(sum)),
		"block type 2":   append([]byte{0, 2}, right[2:]...),
	} {
		if same(t, keys, public, crypto.SHA256, sum, sign(em)) {
			t.Errorf("%s: accepted", name)
		}
	}
}

// withInfo is an encoded message around any text.
func withInfo(info string) []byte {
	em := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 128-3-len(info))...)
	return append(append(em, 0), info...)
}

// TestKeys_Verify_exponents: with a small exponent whoever reads padding loosely can be
// forged without the key. A cube root shows that the whole message is compared.
func TestKeys_Verify_exponents(t *testing.T) {
	t.Parallel()
	keys, private := new(Keys), newKey(t, 2048)
	sum := hashed(crypto.SHA256, "message")
	sig, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []int{-65537, -1, 0, 1, 2, 3, 4, 5, 17, 65536, 65537, 65538, 65539, 1<<31 - 1, 1 << 31, 1<<31 + 1, 1 << 40} {
		public := &rsa.PublicKey{N: private.N, E: e}
		if got := same(t, keys, public, crypto.SHA256, sum, sig); got != (e == 65537) {
			t.Errorf("e = %d: %v", e, got)
		}
		if same(t, keys, public, crypto.SHA256, sum, make([]byte, 256)) {
			t.Errorf("e = %d: zero accepted", e)
		}
	}
	// The signature 1 under e = 3 is the message 1; the cube root of a message with
	// garbage behind is below n.
	em := append(append([]byte{0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}, prefixOf(crypto.SHA256)...), sum...)
	want := new(big.Int).SetBytes(append(em, bytes.Repeat([]byte{0xff}, 256-len(em))...))
	root := cubeRoot(want)
	if cubed := new(big.Int).Exp(root, big.NewInt(3), nil).FillBytes(make([]byte, 256)); !bytes.HasPrefix(cubed, em) {
		t.Fatal("the forgery does not begin as it must")
	}
	if same(t, keys, &rsa.PublicKey{N: private.N, E: 3}, crypto.SHA256, sum, root.FillBytes(make([]byte, 256))) {
		t.Error("a cube root accepted")
	}
}

func cubeRoot(n *big.Int) *big.Int {
	low, high := big.NewInt(0), new(big.Int).Lsh(big.NewInt(1), uint(n.BitLen()/3+1))
	for new(big.Int).Sub(high, low).Cmp(big.NewInt(1)) > 0 {
		mid := new(big.Int).Rsh(new(big.Int).Add(low, high), 1)
		if new(big.Int).Exp(mid, big.NewInt(3), nil).Cmp(n) <= 0 {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

func TestKeys_Verify_keys(t *testing.T) {
	t.Parallel()
	keys, private := new(Keys), newKey(t, 2048)
	sum := hashed(crypto.SHA256, "message")
	sig, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum)
	if err != nil {
		t.Fatal(err)
	}
	for name, public := range map[string]*rsa.PublicKey{
		"none": nil, "no modulus": {E: 65537}, "zero": {N: new(big.Int), E: 65537}, "negative": {N: new(big.Int).Neg(private.N), E: 65537},
		"even": {N: new(big.Int).Add(private.N, big.NewInt(1)), E: 65537}, "short": {N: new(big.Int).Rsh(private.N, 1025), E: 65537},
		"long": {N: new(big.Int).SetBit(private.N, 8193, 1), E: 65537}, "no exponent": {N: private.N},
	} {
		if err := keys.Verify(public, crypto.SHA256, sum, sig); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, h := range []crypto.Hash{0, crypto.MD5, crypto.SHA1, crypto.SHA224, crypto.MD5SHA1} {
		if err := keys.Verify(&private.PublicKey, h, sum, sig); err == nil {
			t.Errorf("%v: accepted", h)
		}
	}
	for _, sum := range [][]byte{nil, sum[1:], append(bytes.Clone(sum), 0)} {
		if err := keys.Verify(&private.PublicKey, crypto.SHA256, sum, sig); err == nil || errors.Is(err, ErrVerification) {
			t.Errorf("a hash of %d bytes: %v", len(sum), err)
		}
	}
}

// TestKeys_changed: what was prepared belongs to what the key was, not to where it is.
func TestKeys_changed(t *testing.T) {
	t.Parallel()
	keys, a, b := new(Keys), newKey(t, 2048), newKey(t, 2048)
	sum := hashed(crypto.SHA256, "message")
	sigA, errA := rsa.SignPKCS1v15(nil, a, crypto.SHA256, sum)
	sigB, errB := rsa.SignPKCS1v15(nil, b, crypto.SHA256, sum)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	public := &rsa.PublicKey{N: new(big.Int).Set(a.N), E: a.E}
	if !same(t, keys, public, crypto.SHA256, sum, sigA) || same(t, keys, public, crypto.SHA256, sum, sigB) {
		t.Error("the first key")
	}
	public.N.Set(b.N) // in place
	if same(t, keys, public, crypto.SHA256, sum, sigA) || !same(t, keys, public, crypto.SHA256, sum, sigB) {
		t.Error("the key after it was changed")
	}
	public.E = 3
	if same(t, keys, public, crypto.SHA256, sum, sigB) {
		t.Error("another exponent")
	}
}

// TestKeys_bound asks in parallel with more keys than are held.
func TestKeys_bound(t *testing.T) {
	t.Parallel()
	keys, private := new(Keys), newKey(t, 1024)
	sum := hashed(crypto.SHA256, "message")
	sig, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range maxKeys / 3 {
				public := private.PublicKey
				if err := keys.Verify(&public, crypto.SHA256, sum, sig); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := len(*keys.prepared.Load()); n > maxKeys {
		t.Errorf("%d keys are held", n)
	}
}

func TestAllocs(t *testing.T) {
	keys, private := new(Keys), newKey(t, 2048)
	sum := hashed(crypto.SHA256, "message")
	sig, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum)
	if err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(100, func() { _ = keys.Verify(&private.PublicKey, crypto.SHA256, sum, sig) }); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

func FuzzVerify(f *testing.F) {
	private := newKey(f, 1024)
	sum := hashed(crypto.SHA256, "message")
	sig, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(private.N.Bytes(), 65537, sig, sum)
	keys := new(Keys)
	f.Fuzz(func(t *testing.T, n []byte, e int, sig, sum []byte) {
		if len(n) > maxBits/8 || len(sum) != 32 {
			return
		}
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: e}
		if public.N.BitLen() < minBits {
			return
		}
		same(t, keys, public, crypto.SHA256, sum, sig)
	})
}

func BenchmarkVerify(b *testing.B) {
	keys, private := new(Keys), newKey(b, 2048)
	sum := hashed(crypto.SHA256, "message")
	sig, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("prepared", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if keys.Verify(&private.PublicKey, crypto.SHA256, sum, sig) != nil {
				b.Fatal("refused")
			}
		}
	})
	b.Run("crypto/rsa", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, sum, sig) != nil {
				b.Fatal("refused")
			}
		}
	})
}
