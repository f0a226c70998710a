package token

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"testing"

	"moat/internal/pure/montgomery"
)

func rsaTestKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A signature of this scheme has no chance in it: ours are those of crypto/rsa, of keys of every size.
func TestRSAKey_sign(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{1024, 2046, 2048, 3072} {
		private := rsaTestKey(t, bits)
		k := newRSAKey(private)
		if fast := bits == 2048 && montgomery.Available(); (k.fast != nil) != fast {
			t.Errorf("%d bits: signed by vectors: %v, want %v", bits, k.fast != nil, fast)
		}
		for i := range 20 {
			sum := sha256.Sum256(fmt.Append(nil, bits, i))
			got, err := k.sign(&sum)
			if err != nil {
				t.Fatal(err)
			}
			want, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d bits: got %x, want %x", bits, got, want)
			}
		}
	}
}

// A key without what crypto/rsa computes beforehand signs, too.
func TestRSAKey_signNotPrecomputed(t *testing.T) {
	t.Parallel()
	private := *rsaTestKey(t, 2048)
	private.Precomputed = rsa.PrecomputedValues{}
	sum := sha256.Sum256(nil)
	sig, err := newRSAKey(&private).sign(&sum)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, sum[:], sig); err != nil {
		t.Error(err)
	}
}

// What was computed wrongly, as by a fault of the processor, is never given away: from such a signature anybody could
// factor the modulus.
func TestRSAKey_signFault(t *testing.T) {
	t.Parallel()
	private, other := rsaTestKey(t, 2048), rsaTestKey(t, 2048)
	part := func(x *big.Int) []byte { return x.FillBytes(make([]byte, 128)) }
	k := newRSAKey(private)
	faulty, err := montgomery.NewPrivateKey(part(private.Primes[0]), part(private.Primes[1]), part(private.Precomputed.Dp), part(other.Precomputed.Dq), part(private.Precomputed.Qinv))
	if err != nil {
		t.Fatal(err)
	}
	if k.modulus, err = montgomery.NewModulus(private.N.Bytes()); err != nil {
		t.Fatal(err)
	}
	k.fast = faulty
	sum := sha256.Sum256([]byte("message"))
	em := encode(&sum)
	wrong := faulty.Sign(&em)
	if k.right(&wrong, &em) {
		t.Error("a signature of a wrong exponent is held to be right")
	}
	all := bytes.Repeat([]byte{0xff}, 256)
	if k.right((*[256]byte)(all), &em) {
		t.Error("a signature that is not below the modulus is held to be right")
	}
	sig, err := k.sign(&sum)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, sum[:], sig); err != nil {
		t.Errorf("with a fault: %v", err)
	}
	k.fast, _ = montgomery.NewPrivateKey(part(private.Primes[0]), part(private.Primes[1]), part(private.Precomputed.Dp), part(private.Precomputed.Dq), part(private.Precomputed.Qinv))
	if good := k.fast.Sign(&em); !k.right(&good, &em) || !bytes.Equal(good[:], sig) {
		t.Error("the right signature is not held to be right")
	}
}

// Whatever is signed, and whichever of the primes is the greater, the bytes are those of crypto/rsa.
func FuzzRSAKey_sign(f *testing.F) {
	private := rsaTestKey(f, 2048)
	mirrored := *private
	mirrored.Primes = []*big.Int{private.Primes[1], private.Primes[0]}
	mirrored.Precomputed = rsa.PrecomputedValues{}
	mirrored.Precompute()
	keys := []*rsaKey{newRSAKey(private), newRSAKey(&mirrored)}
	f.Add([]byte("message"))
	f.Fuzz(func(t *testing.T, message []byte) {
		sum := sha256.Sum256(message)
		want, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		for i, k := range keys {
			if k.fast == nil {
				continue
			}
			em := encode(&sum)
			if got := k.fast.Sign(&em); !bytes.Equal(got[:], want) {
				t.Errorf("key %d: got %x, want %x", i, got, want)
			}
		}
	})
}
