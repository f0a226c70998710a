package http1

import "encoding/binary"

// Characters of a token (RFC 9110, section 5.6.2), as two sets of bits.
const (
	tokenLow  = 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.' | (1<<10-1)<<'0'
	tokenHigh = 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64) | (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64)
)

func isToken(c byte) bool { return uint64(1)<<c&tokenLow|uint64(1)<<(c-64)&tokenHigh != 0 }

// IsToken reports whether s is a token: the name of a field, for example.
func IsToken(s string) bool { return validName(s) }

// Characters of a path beside "%" (RFC 3986, section 3.3), and brackets, as two sets of bits.
const (
	pathLow  = 1<<'!' | 1<<'$' | 1<<'&' | 1<<'\'' | 1<<'(' | 1<<')' | 1<<'*' | 1<<'+' | 1<<',' | 1<<'-' | 1<<'.' | 1<<'/' | (1<<10-1)<<'0' | 1<<':' | 1<<';' | 1<<'='
	pathHigh = 1<<('@'-64) | (1<<26-1)<<('A'-64) | 1<<('['-64) | 1<<(']'-64) | 1<<('_'-64) | (1<<26-1)<<('a'-64) | 1<<('~'-64)
)

// IsPathChar reports whether c stands for itself in a path.
func IsPathChar(c byte) bool { return uint64(1)<<c&pathLow|uint64(1)<<(c-64)&pathHigh != 0 }

func isDigit(c byte) bool { return c-'0' < 10 }

func isAlpha(c byte) bool { return c|0x20-'a' < 26 }

// token gives the length of the token at the start of b.
func tokenLen(b []byte) int {
	for i, c := range b {
		if !isToken(c) {
			return i
		}
	}
	return len(b)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// validValue reports whether a field value holds no control character but tabs
// (RFC 9110, section 5.5). It looks at 32 bytes at a time: tokens are long.
func validValue(b []byte) bool {
	for len(b) >= 32 {
		p := (*[32]byte)(b)
		if (odd(p[:8])|odd(p[8:16])|odd(p[16:24])|odd(p[24:]))&highs != 0 && !validSlow(p[:]) {
			return false
		}
		b = b[32:]
	}
	for len(b) >= 8 {
		if odd(b)&highs != 0 && !validSlow(b[:8]) {
			return false
		}
		b = b[8:]
	}
	return validSlow(b)
}

// odd sets the highest bit of a byte where one of eight is no printable ASCII: taking 0x20 from the
// first that is a control character borrows, adding 1 to DEL or to more carries into that bit. It may
// set others, too.
func odd(b []byte) uint64 {
	x := binary.LittleEndian.Uint64(b)
	return (x - ones*0x20) | (x + ones)
}

func validSlow(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// validTarget reports whether every byte is one that a URI may be written with, and a few
// that clients send all the same ("|", "{"); never a blank, a control, a fragment or 8-bit.
func validTarget(b []byte) bool {
	for _, c := range b {
		if c-'!' > '~'-'!' || c == '#' {
			return false
		}
	}
	return true
}

// Is reports whether name is the field name that lower, in lower case, stands for.
func Is(name, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := 0; i < len(lower); i++ {
		c := name[i]
		if c-'A' < 26 {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// trim takes blanks and tabs off both ends (OWS).
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// digits reads a number of digits only; ok is false for anything else and for more
// than 18 of them, which no length has.
func digits(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
