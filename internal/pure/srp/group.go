package srp

import (
	"crypto/sha256"
	"math/big"

	"filippo.io/bigmod"
)

// modulusHex is the 3072-bit prime of RFC 5054 appendix A (RFC 3526 group 15); its generator here is 2.
const modulusHex = "" +
	"FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74" +
	"020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437" +
	"4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED" +
	"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05" +
	"98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB" +
	"9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B" +
	"E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718" +
	"3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33" +
	"A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7" +
	"ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864" +
	"D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E2" +
	"08E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF"

func modulus() *big.Int {
	n, _ := new(big.Int).SetString(modulusHex, 16)
	return n
}

// group is the modulus prepared for constant-time work.
type group struct {
	n *bigmod.Modulus
	k []byte
}

func newGroup() *group {
	raw := modulus().Bytes()
	n, err := bigmod.NewModulus(raw)
	if err != nil { // an odd constant: cannot fail
		panic(err)
	}
	h := sha256.New()
	h.Write(pad(raw))
	h.Write([]byte{2})
	return &group{n: n, k: h.Sum(nil)}
}

// powG returns g to the power of a secret exponent.
func (g *group) powG(e []byte) *bigmod.Nat {
	two := bigmod.NewNat().SetUint(2).ExpandFor(g.n)
	return bigmod.NewNat().Exp(two, e, g.n)
}

// multiplier is k = H(padHex(N) | padHex(g)).
func (g *group) multiplier() *bigmod.Nat {
	k, err := bigmod.NewNat().SetOverflowingBytes(g.k, g.n)
	if err != nil { // 256 bits below a 3072-bit modulus
		panic(err)
	}
	return k
}
