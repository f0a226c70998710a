package pwhash

import (
	"encoding/hex"
	"strings"
	"testing"
)

// firebaseText is the example in the README of github.com/firebase/scrypt.
func firebaseText() string {
	f := Firebase{SignerKey: "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==", SaltSeparator: "Bw==", Rounds: 8, MemoryCost: 14}
	return f.Text("42xEC+ixf3L2lw==", "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==")
}

func hexSum(t *testing.T, text string) string {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return Encode(b)
}

func b64(s string) string { return Encode([]byte(s)) }

// Vectors of the specifications, or of the reference implementations where those have none.
func TestMatches_vectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, algorithm, text, password string }{
		{"jBCrypt, a", "bcrypt", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe", "a"},
		{"jBCrypt, abc", "bcrypt", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "abc"},
		{"crypt_blowfish, U*U", "bcrypt", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
		{"argon2 test.c, i", "argon2i", "$argon2i$v=19$m=256,t=2,p=1$" + b64("somesalt") + "$" + hexSum(t, "89e9029f4637b295beb027056a7336c414fadd43f6b208645281cb214a56452f"), "password"},
		{"argon2 test.c, id", "argon2id", "$argon2id$v=19$m=256,t=2,p=1$" + b64("somesalt") + "$" + hexSum(t, "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"), "password"},
		{"argon2 test.c, as Django writes it", "argon2id", "argon2$argon2id$v=19$m=65536,t=2,p=1$" + b64("somesalt") + "$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
		{"RFC 7914 section 12", "scrypt", "$scrypt$ln=10,r=8,p=16$" + b64("NaCl") + "$" + hexSum(t, "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"), "password"},
		{"RFC 6070", "pbkdf2-sha1", "$pbkdf2-sha1$i=4096,l=20$" + b64("salt") + "$" + hexSum(t, "4b007901b765489abead49d926f721d065a429c1"), "password"},
		{"RFC 6070, as passlib names it", "pbkdf2-sha1", "$pbkdf2$4096$" + b64("salt") + "$" + hexSum(t, "4b007901b765489abead49d926f721d065a429c1"), "password"},
		{"RFC 7914 section 11", "pbkdf2-sha256", "$pbkdf2-sha256$i=1$" + b64("salt") + "$" + hexSum(t, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"), "passwd"},
		{"RFC 7914 section 11, as Django writes it", "pbkdf2-sha256", "pbkdf2_sha256$80000$NaCl$" + hexSum(t, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"), "Password"},
		{"PBKDF2 with SHA-512", "pbkdf2-sha512", "$pbkdf2-sha512$i=1$" + b64("salt") + "$" + hexSum(t, "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252c02d470a285a0501bad999bfe943c08f050235d7d68b1da55e63f73b60a57fce"), "password"},
		{"github.com/firebase/scrypt", "firebase-scrypt", firebaseText(), "user1password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, err := Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if h.Algorithm() != c.algorithm {
				t.Errorf("got %s, want %s", h.Algorithm(), c.algorithm)
			}
			if !h.Matches(c.password) {
				t.Error("the right password is refused")
			}
			if h.Matches(c.password+"x") || h.Matches("\x00") {
				t.Error("a wrong password is accepted")
			}
			if Specimen(h).Matches(c.password) {
				t.Error("a specimen matches")
			}
		})
	}
}

func TestParse_refuses(t *testing.T) {
	t.Parallel()
	salt, sum := b64("somesalt"), b64(strings.Repeat("s", 32))
	tail := "$" + salt + "$" + sum
	for name, text := range map[string]string{
		"nothing":                    "",
		"plain text":                 "secret",
		"md5crypt":                   "$1$abcdefgh$ijklmnopqrstuvwxyz",
		"bcrypt's broken variant":    "$2x$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
		"bcrypt, too costly":         "$2a$15$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
		"bcrypt, no cost":            "$2a$00$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
		"bcrypt, cut":                "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0",
		"argon2d":                    "$argon2d$v=19$m=256,t=2,p=1" + tail,
		"argon2, old version":        "$argon2id$v=16$m=256,t=2,p=1" + tail,
		"argon2, no version":         "$argon2id$m=256,t=2,p=1" + tail,
		"argon2, memory":             "$argon2id$v=19$m=131073,t=1,p=1" + tail,
		"argon2, passes":             "$argon2id$v=19$m=131072,t=5,p=1" + tail,
		"argon2, lanes":              "$argon2id$v=19$m=65536,t=1,p=17" + tail,
		"argon2, no passes":          "$argon2id$v=19$m=256,t=0,p=1" + tail,
		"argon2, memory per lane":    "$argon2id$v=19$m=15,t=1,p=2" + tail,
		"argon2, other parameter":    "$argon2id$v=19$m=256,t=2,p=1,keyid=x" + tail,
		"argon2, number too large":   "$argon2id$v=19$m=4294967296,t=1,p=1" + tail,
		"argon2, parameter twice":    "$argon2id$v=19$m=256,m=9,t=2,p=1" + tail,
		"argon2, long sum":           "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + b64(strings.Repeat("s", 65)),
		"scrypt, memory":             "$scrypt$ln=18,r=8,p=1" + tail,
		"scrypt, work":               "$scrypt$ln=17,r=8,p=3" + tail,
		"scrypt, overflow":           "$scrypt$ln=63,r=8,p=1" + tail,
		"scrypt, no work":            "$scrypt$ln=0,r=8,p=1" + tail,
		"scrypt, no block":           "$scrypt$ln=4,r=0,p=1" + tail,
		"scrypt, no lane":            "$scrypt$ln=4,r=8,p=0" + tail,
		"pbkdf2, iterations":         "$pbkdf2-sha256$i=2000001" + tail,
		"pbkdf2, blocks":             "$pbkdf2-sha256$i=1500000$" + salt + "$" + b64(strings.Repeat("s", 64)),
		"pbkdf2, none":               "$pbkdf2-sha256$i=0" + tail,
		"pbkdf2, no salt":            "$pbkdf2-sha256$i=10$$" + sum,
		"pbkdf2, short sum":          "$pbkdf2-sha256$i=10$" + salt + "$" + b64("short"),
		"pbkdf2, other length":       "$pbkdf2-sha256$i=10,l=31" + tail,
		"pbkdf2, md5":                "$pbkdf2-md5$i=10" + tail,
		"Django's md5":               "pbkdf2_md5$10$salt$" + sum,
		"firebase, no signer key":    "$firebase-scrypt$ln=14,r=8$Bw==$$42xEC+ixf3L2lw==$" + sum,
		"firebase, too costly":       strings.Replace(firebaseText(), "ln=14", "ln=18", 1),
		"firebase, a field too many": firebaseText() + "$",
		"too long":                   "$pbkdf2-sha256$i=10$" + salt + "$" + strings.Repeat("A", maxText),
	} {
		if h, err := Parse(text); err == nil {
			t.Errorf("%s: read as %s", name, h.Algorithm())
		} else if text != "" && len(text) > 30 && strings.Contains(err.Error(), text[len(text)-20:]) {
			t.Errorf("%s: the error repeats the hash: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i")
	f.Add("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add(firebaseText())
	f.Add("pbkdf2_sha256$10$NaCl$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := Parse(text)
		if (h == nil) == (err == nil) {
			t.Fatal("neither a hash nor an error")
		}
	})
}
