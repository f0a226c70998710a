package srp

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
)

var (
	alice  = Identity{Pool: "AbCdEf123", User: "alice"}
	server = NewServer()
)

// exchange runs one sign-in and says whether both sides agree.
func exchange(t *testing.T, id Identity, salt, verifier []byte, password string) bool {
	t.Helper()
	c, err := NewClient(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := server.Public(verifier, b)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ParsePublic(c.Public())
	if err != nil {
		t.Fatal(err)
	}
	key, err := server.Key(a, Scramble(a, public), verifier, b)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := c.Key(id, Hex(salt), Hex(public), password)
	if err != nil {
		t.Fatal(err)
	}
	block := []byte("block")
	return bytes.Equal(Proof(key, id, block, "now"), Proof(theirs, id, block, "now"))
}

func TestExchange(t *testing.T) {
	t.Parallel()
	salt, err := NewSalt(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string][]byte{
		"drawn":         salt,
		"leading zero":  append([]byte{0}, salt[1:]...),
		"highest bit":   append([]byte{0xff}, salt[1:]...),
		"short nibble":  append([]byte{0x0a}, salt[1:]...),
		"two zeros":     append([]byte{0, 0}, salt[2:]...),
		"zero then msb": append([]byte{0, 0x80}, salt[2:]...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := Verifier(alice, s, "Correct horse 1")
			if !exchange(t, alice, s, v, "Correct horse 1") {
				t.Error("right password refused")
			}
			if exchange(t, alice, s, v, "Correct horse 2") {
				t.Error("wrong password accepted")
			}
			if exchange(t, Identity{alice.Pool, "bob"}, s, v, "Correct horse 1") {
				t.Error("another user accepted")
			}
			if !server.Matches(alice, s, v, "Correct horse 1") || server.Matches(alice, s, v, "correct horse 1") {
				t.Error("Matches disagrees")
			}
		})
	}
}

// The reference is written with math/big straight from RFC 5054 section 2.6.
func TestServerKey_reference(t *testing.T) {
	t.Parallel()
	for name, f := range fields() {
		t.Run(name, func(t *testing.T) { referTo(t, newServer(f)) })
	}
}

// referTo compares a server with the formulas.
func referTo(t *testing.T, server *Server) {
	n, g := modulus(), big.NewInt(2)
	for range 4 {
		salt, err := NewSalt(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		b, err := NewSecret(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		verifier := server.Verifier(alice, salt, "p")
		private := privateKey(alice, salt, "p")
		x := new(big.Int).SetBytes(private[:])
		v := new(big.Int).Exp(g, x, n)
		if v.Cmp(new(big.Int).SetBytes(verifier)) != 0 {
			t.Fatal("verifier differs")
		}
		k := sha256.Sum256(append(append([]byte{0}, n.Bytes()...), 2))
		want := new(big.Int).Mul(new(big.Int).SetBytes(k[:]), v)
		want.Add(want, new(big.Int).Exp(g, new(big.Int).SetBytes(b), n)).Mod(want, n)
		public, err := server.Public(verifier, b)
		if err != nil {
			t.Fatal(err)
		}
		if want.Cmp(new(big.Int).SetBytes(public)) != 0 {
			t.Fatal("B differs")
		}
		a := new(big.Int).Exp(g, big.NewInt(12345678901), n)
		u := new(big.Int).SetBytes(Scramble(a.Bytes(), public))
		s := new(big.Int).Exp(v, u, n)
		s.Mul(s, a).Exp(s, new(big.Int).SetBytes(b), n)
		sent, err := ParsePublic(a.Text(16))
		if err != nil {
			t.Fatal(err)
		}
		key, err := server.Key(sent, Scramble(sent, public), verifier, b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(key, derive(u.Bytes(), s.Bytes())) {
			t.Fatal("session key differs")
		}
	}
}

func TestModulus(t *testing.T) {
	t.Parallel()
	n := modulus()
	if n.BitLen() != 3072 || !n.ProbablyPrime(8) || !new(big.Int).Rsh(n, 1).ProbablyPrime(8) {
		t.Error("not a safe prime of 3072 bits")
	}
}

func TestParsePublic(t *testing.T) {
	t.Parallel()
	n := modulus()
	for name, text := range map[string]string{
		"one":       "1",
		"odd":       "abc",
		"padded":    "00ff",
		"below N":   new(big.Int).Sub(n, big.NewInt(1)).Text(16),
		"uppercase": "ABCDEF",
	} {
		if _, err := ParsePublic(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"empty":      "",
		"zero":       "0",
		"zeros":      "0000",
		"N":          n.Text(16),
		"2N":         new(big.Int).Lsh(n, 1).Text(16),
		"negative":   "-1",
		"plus":       "+1",
		"prefix":     "0x12",
		"underscore": "1_2",
		"not hex":    "xyz",
		"space":      " 12",
		"too long":   "0" + new(big.Int).Lsh(n, 20).Text(16),
	} {
		if _, err := ParsePublic(text); !errors.Is(err, ErrPublic) {
			t.Errorf("%s: got %v, want ErrPublic", name, err)
		}
	}
}

// scanPublic is ParsePublic as math/big would do it.
func scanPublic(text string) []byte {
	n, ok := new(big.Int).SetString(text, 16)
	if !ok || len(text) > 2*Size+2 || n.Sign() <= 0 || n.Cmp(modulus()) >= 0 || text[0] == '+' || text[0] == '-' {
		return nil
	}
	return n.FillBytes(make([]byte, Size))
}

func FuzzParsePublic(f *testing.F) {
	n := modulus()
	for _, text := range []string{"", "0", "00", "g", "1g", "-1", "+1", "1_0", "0x1", "\x00", "é", n.Text(16), strings.ToUpper(n.Text(16)), "0" + n.Text(16), "00" + n.Text(16), "1" + n.Text(16)} {
		f.Add(text)
	}
	for _, x := range edges() {
		f.Add(x.Text(16))
		f.Add("0" + x.Text(16))
		f.Add(strings.ToUpper("00" + x.Text(16)))
		f.Add(new(big.Int).Add(n, x).Text(16))
		f.Add(fmt.Sprintf("%0770x", x))
		f.Add(fmt.Sprintf("%0771x", x))
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParsePublic(text)
		if want := scanPublic(text); !bytes.Equal(got, want) || (err == nil) != (want != nil) || err != nil && !errors.Is(err, ErrPublic) {
			t.Errorf("%q: got %x, %v, want %x", text, got, err, want)
		}
	})
}

// What no group element is is refused by each way to compute.
func TestServer_refuses(t *testing.T) {
	t.Parallel()
	good, big, long := bytes.Repeat([]byte{1}, Size), bytes.Repeat([]byte{0xff}, Size), make([]byte, Size+1)
	secret, u := bytes.Repeat([]byte{1}, SecretSize), bytes.Repeat([]byte{2}, SecretSize)
	for name, f := range fields() {
		s := newServer(f)
		key := func(a, u, v []byte) error { _, err := s.Key(a, u, v, secret); return err }
		public := func(v, b []byte) error { _, err := s.Public(v, b); return err }
		for i, c := range []struct{ got, want error }{
			{key(good, u, good), nil}, {public(good, secret), nil},
			{key(good, make([]byte, SecretSize), good), ErrPublic}, {key(good, nil, good), ErrPublic},
			{key(big, u, good), ErrPublic}, {key(long, u, good), ErrPublic}, {key(modulusBytes(), u, good), ErrPublic},
			{key(good, u, big), ErrVerifier}, {key(good, u, long), ErrVerifier}, {key(good, u, modulusBytes()), ErrVerifier},
			{public(big, secret), ErrVerifier}, {public(long, secret), ErrVerifier}, {public(modulusBytes(), secret), ErrVerifier},
			{public(good, secret[1:]), ErrSecret}, {public(good, nil), ErrSecret},
		} {
			if !errors.Is(c.got, c.want) {
				t.Errorf("%s: case %d: got %v, want %v", name, i, c.got, c.want)
			}
		}
	}
}

func TestPad(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"7f": "7f", "80": "0080", "0080": "0080", "0001": "01", "00": "00", "ff01": "00ff01"} {
		raw, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(pad(raw)); got != want {
			t.Errorf("pad(%s): got %s, want %s", in, got, want)
		}
	}
}

func BenchmarkParsePublic(b *testing.B) {
	text := new(big.Int).Sub(modulus(), big.NewInt(1)).Text(16)
	for b.Loop() {
		if _, err := ParsePublic(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublic(b *testing.B) {
	v := Verifier(alice, []byte("salt"), "p")
	secret, _ := NewSecret(rand.Reader)
	server.powers()
	for b.Loop() {
		if _, err := server.Public(v, secret); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatches(b *testing.B) {
	v := Verifier(alice, []byte("salt"), "p")
	server.powers()
	for b.Loop() {
		if !server.Matches(alice, []byte("salt"), v, "p") {
			b.Fatal("no match")
		}
	}
}

func BenchmarkServerKey(b *testing.B) {
	v := Verifier(alice, []byte("salt"), "p")
	secret, _ := NewSecret(rand.Reader)
	public, _ := server.Public(v, secret)
	c, _ := NewClient(rand.Reader)
	a, _ := ParsePublic(c.Public())
	for b.Loop() {
		if _, err := server.Key(a, Scramble(a, public), v, secret); err != nil {
			b.Fatal(err)
		}
	}
}

// What a server makes once.
func BenchmarkPowers(b *testing.B) {
	for b.Loop() {
		NewServer().powers()
	}
}

// Public values as amazon-cognito-identity-js and Amplify sent them: without
// padding, of even and odd length, with and without the highest bit.
func TestParsePublic_recorded(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		Values []string `json:"SRP_A"`
	}
	if err := json.Unmarshal(raw, &recorded); err != nil {
		t.Fatal(err)
	}
	for _, text := range recorded.Values {
		a, err := ParsePublic(text)
		if err != nil {
			t.Errorf("%d digits: %v", len(text), err)
			continue
		}
		if n, ok := new(big.Int).SetString(text, 16); !ok || n.Cmp(new(big.Int).SetBytes(a)) != 0 {
			t.Errorf("%d digits: another number", len(text))
		}
	}
	if len(recorded.Values) < 3 {
		t.Errorf("only %d values", len(recorded.Values))
	}
}

func TestValidVerifier(t *testing.T) {
	t.Parallel()
	fill := func(n *big.Int) []byte { return n.FillBytes(make([]byte, Size)) }
	n, one := modulus(), big.NewInt(1)
	good := Verifier(alice, []byte("0123456789abcdef"), "Correct horse 1")
	if !ValidVerifier(good) || !ValidVerifier(fill(big.NewInt(2))) || !ValidVerifier(fill(new(big.Int).Sub(n, big.NewInt(2)))) {
		t.Error("a verifier is refused")
	}
	for name, v := range map[string][]byte{
		"none": nil, "zero": make([]byte, Size), "one": fill(one), "N-1": fill(new(big.Int).Sub(n, one)), "N": fill(n), "short": good[1:], "long": append([]byte{0}, good...),
	} {
		if ValidVerifier(v) {
			t.Errorf("%s is accepted", name)
		}
	}
}
