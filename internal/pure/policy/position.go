package policy

import "unicode/utf8"

// Position is a place in the text of a document. Both count from 1; a column is
// a character, not a byte.
type Position struct{ Line, Column int }

// scanner counts lines and columns on its way through a text.
type scanner struct {
	text []byte
	at   int
	here Position
}

// position returns the place of a byte. Offsets must be asked for in rising
// order.
func (s *scanner) position(offset int64) Position {
	if s.here.Line == 0 {
		s.here = Position{1, 1}
	}
	for s.at < int(offset) && s.at < len(s.text) {
		r, n := utf8.DecodeRune(s.text[s.at:])
		s.at += n
		if s.here.Column++; r == '\n' {
			s.here = Position{s.here.Line + 1, 1}
		}
	}
	return s.here
}
