// Package jsonstring writes JSON strings (RFC 8259 section 7) onto a buffer, as encoding/json
// writes them and without its allocations.
package jsonstring

import (
	"encoding/binary"
	"unicode/utf8"
)

const lowerHex = "0123456789abcdef"

// Each has a bit for each byte that stands for itself in a string: the bytes below 64, the same
// for a string that may become part of a page, and the bytes from 64 to 127.
const (
	low     uint64 = ^uint64(1<<' '-1) &^ (1 << '"')
	lowHTML uint64 = low &^ (1<<'&' | 1<<'<' | 1<<'>')
	high    uint64 = ^uint64(1 << ('\\' - 64))
)

// Append appends s with its quotes, as an encoding/json.Encoder does that does not escape for
// HTML. Broken UTF-8 becomes U+FFFD; the two line separators that end a line in old JavaScript
// are escaped.
func Append(b []byte, s string) []byte { return append(inside(append(b, '"'), s, low), '"') }

// AppendInside is [Append] without the quotes.
func AppendInside(b []byte, s string) []byte { return inside(b, s, low) }

// AppendHTML is [Append] for what may become part of a page: as encoding/json.Marshal does it.
func AppendHTML(b []byte, s string) []byte { return append(inside(append(b, '"'), s, lowHTML), '"') }

// Plain is how many bytes at the start of b stand for themselves in a string: those of ASCII that
// need no escape.
func Plain(b []byte) int {
	i := 0
	for i+8 <= len(b) && special(binary.LittleEndian.Uint64(b[i:]))&tops == 0 {
		i += 8
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

func inside(b []byte, s string, low uint64) []byte {
	start := 0
	for i := 0; i < len(s); {
		if i+8 <= len(s) {
			w := word(s[i : i+8])
			found := special(w)
			if low == lowHTML {
				found |= markup(w)
			}
			if found&tops == 0 {
				i += 8
				continue
			}
		}
		c := s[i]
		if c < utf8.RuneSelf {
			bits := low
			if c >= 64 {
				bits = high
			}
			if bits>>(c&63)&1 == 0 {
				b = escape(append(b, s[start:i]...), c)
				start = i + 1
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(append(b, s[start:i]...), `\ufffd`...)
			start = i + n
		case r == '\u2028' || r == '\u2029':
			b = append(append(b, s[start:i]...), '\\', 'u', '2', '0', '2', lowerHex[r&15])
			start = i + n
		}
		i += n
	}
	return append(b, s[start:]...)
}

// word is the first eight bytes of s.
func word(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

const ones, tops = 0x0101010101010101, 0x8080808080808080

// special has its top bits clear where each of eight bytes stands for itself: it is of ASCII and
// no control character, quote or backslash. Of several that do not, it may show the first alone.
func special(w uint64) uint64 {
	quote, backslash := w^ones*'"', w^ones*'\\'
	return w | (w-ones*' ')&^w | (quote-ones)&^quote | (backslash-ones)&^backslash
}

// markup is special for &, < and >, of which two differ in one bit.
func markup(w uint64) uint64 {
	amp, angle := (w|ones*('&'^'"'))^ones*'&', (w|ones*('<'^'>'))^ones*'>'
	return (amp-ones)&^amp | (angle-ones)&^angle
}

func escape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
}
