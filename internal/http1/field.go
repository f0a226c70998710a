package http1

import (
	"bytes"
	"unsafe"
)

// Field is one header field. The name keeps its case; the value has no blanks around it.
type Field struct{ Name, Value string }

// Get returns the value of the first field of a name, which is given in lower case.
func Get(fields []Field, lower string) string {
	for i := range fields {
		if Is(fields[i].Name, lower) {
			return fields[i].Value
		}
	}
	return ""
}

// view makes a string of bytes without copying them.
func view(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

// Limits of a head.
type Limits struct {
	Head   int // bytes of a head
	URI    int // bytes of the target
	Fields int
}

// head is what both kinds of heads have.
type head struct {
	host    string
	hosts   int
	length  int64 // -1: not given
	coding  bool  // a Transfer-Encoding that says chunked
	close   bool
	keep    bool
	expect  bool
	trailer string
	reply   bool
}

// parseFields reads field lines from b[pos:] up to the empty one. next is 0 when it is not
// there yet. Fields about the connection's framing are taken out: Transfer-Encoding, Trailer and,
// of a request, Host and Upgrade.
func (h *head) parseFields(b []byte, pos int, lim *Limits, dst []Field, reply bool) (fields []Field, next int, err *Error) {
	*h = head{length: -1, reply: reply}
	codings := 0
	for count := 0; ; count++ {
		i := bytes.IndexByte(b[pos:], '\n')
		if i < 0 {
			return dst, 0, nil
		}
		if i == 0 || b[pos+i-1] != '\r' {
			return dst, 0, errBareLF
		}
		line := b[pos : pos+i-1]
		pos += i + 1
		if len(line) == 0 {
			return dst, pos, nil
		}
		if count == lim.Fields {
			return dst, 0, errHeadMany
		}
		name, value, err := splitField(line)
		if err != nil {
			return dst, 0, err
		}
		keep := true
		switch len(name) {
		case 4, 6, 7, 10, 14, 17:
			if keep, err = h.note(name, value, &codings); err != nil {
				return dst, 0, err
			}
		}
		if keep {
			dst = append(dst, Field{view(name), view(value)})
		}
	}
}

func splitField(line []byte) (name, value []byte, err *Error) {
	if line[0] == ' ' || line[0] == '\t' {
		return nil, nil, errFold
	}
	n := tokenLen(line)
	if n == 0 || n == len(line) || line[n] != ':' {
		return nil, nil, errFieldName
	}
	value = trim(line[n+1:])
	if !validValue(value) {
		return nil, nil, errFieldValue
	}
	return line[:n], value, nil
}

// note takes from a field what decides on framing and connection.
func (h *head) note(name, value []byte, codings *int) (keep bool, err *Error) {
	switch n := view(name); {
	case Is(n, "host"):
		h.hosts++
		h.host = view(value)
		return h.reply, nil
	case Is(n, "content-length"):
		if h.length >= 0 {
			return true, errLengths
		}
		length, ok := digits(value)
		if !ok {
			return true, errLength
		}
		h.length = length
	case Is(n, "transfer-encoding"):
		if *codings++; *codings > 1 {
			return false, errCodings
		}
		if !Is(view(value), "chunked") {
			if tokenLen(value) == len(value) && len(value) > 0 {
				return false, errCoding
			}
			return false, errCodings
		}
		h.coding = true
		return false, nil
	case Is(n, "connection"):
		return true, h.connection(value)
	case Is(n, "expect") && !h.reply:
		if !Is(view(value), "100-continue") {
			return true, errExpect
		}
		h.expect = true
	case Is(n, "trailer"):
		h.trailer = view(value)
		return false, nil
	case Is(n, "upgrade") && !h.reply:
		// Who asks for another protocol may believe that he got it, whatever we answer: nothing
		// that he sends behind is read. Java's and curl's clients ask for h2c in passing.
		h.close = h.close || !Is(view(value), "h2c")
		return false, nil
	case Is(n, "http2-settings") && !h.reply:
		return false, nil
	}
	return true, nil
}

// connection reads the options of a Connection field (RFC 9110, section 7.6.1).
func (h *head) connection(value []byte) *Error {
	for len(value) > 0 {
		item := value
		if i := bytes.IndexByte(value, ','); i >= 0 {
			item, value = value[:i], value[i+1:]
		} else {
			value = nil
		}
		item = trim(item)
		switch {
		case tokenLen(item) != len(item):
			return errConnection
		case Is(view(item), "close"):
			h.close = true
		case Is(view(item), "keep-alive"):
			h.keep = true
		}
	}
	return nil
}

// framed checks that the body has one length for every reader (RFC 9112, section 6.3).
func (h *head) framed(minor int) *Error {
	switch {
	case h.coding && h.length >= 0:
		return errBothFrames
	case h.coding && minor == 0:
		return errOldCoding
	}
	return nil
}

// persistent reports whether the connection may go on after the message (RFC 9112, section 9.3).
func (h *head) persistent(minor int) bool {
	return !h.close && (minor == 1 || h.keep)
}
