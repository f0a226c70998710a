package http1

import "bytes"

// replyHead is the head of an answer.
type replyHead struct {
	status int
	minor  int
	fields []Field
	head   head
}

// parseReply reads the head of an answer from the start of b. n is its length, 0 without an
// error: there is more to come.
func parseReply(b []byte, lim *Limits, r *replyHead) (n int, err *Error) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		if len(b) >= lim.Head || len(b) > 5 && string(b[:5]) != "HTTP/" {
			return 0, errStatusLine
		}
		return 0, nil
	}
	if i == 0 || b[i-1] != '\r' {
		return 0, errBareLF
	}
	if err := r.statusLine(b[:i-1]); err != nil {
		return 0, err
	}
	fields, next, err := r.head.parseFields(b, i+1, lim, r.fields[:0], true)
	r.fields = fields
	switch {
	case err != nil:
		return 0, err
	case next == 0 && len(b) >= lim.Head || next > lim.Head:
		return 0, errHeadLarge
	case next == 0:
		return 0, nil
	}
	return next, r.head.framed(r.minor)
}

// statusLine reads "HTTP/1.1 200 OK". The blank before a missing reason may be missing, too.
func (r *replyHead) statusLine(line []byte) *Error {
	if len(line) < 12 || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return errStatusLine
	}
	minor, err := parseVersion(line[:8], errStatusLine)
	if err != nil {
		return err
	}
	code, ok := digits(line[9:12])
	if !ok || code < 100 || code > 599 || !validValue(line[12:]) {
		return errStatusLine
	}
	r.minor, r.status = minor, int(code)
	return nil
}

// bodyless reports whether an answer of this status has no body (RFC 9110, section 6.4.1).
func bodyless(status int) bool { return status < 200 || status == 204 || status == 304 }
