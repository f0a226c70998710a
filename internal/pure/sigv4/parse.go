package sigv4

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	timeLayout = "20060102T150405Z"
	terminator = "aws4_request"
	// maxExpires is the longest life of a presigned request: seven days.
	maxExpires = 7 * 24 * time.Hour
	// maxSignedHeaders bounds the work that an unverified request can ask for.
	maxSignedHeaders = 128
)

// Parse finds the signature of a request, in the header or in the query.
//
// It returns [ErrMissing] when there is none, and an [*Error] with the code
// IncompleteSignature when it is malformed, or when the request carries both
// forms: which of the two counts must never be a matter of taste. Only
// [Algorithm] is read; SigV4A (AWS4-ECDSA-P256-SHA256) is refused by its name.
func Parse(r Request) (Authorization, error) {
	header, n := r.first("authorization")
	presigned := hasQuery(r.RawQuery, "X-Amz-Signature") || hasQuery(r.RawQuery, "X-Amz-Algorithm")
	signed := strings.HasPrefix(header, "AWS4-")
	switch {
	case presigned && n > 0: // of any scheme: two readers could take it for two requests
		return Authorization{}, incomplete("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header should be specified")
	case signed && n > 1:
		return Authorization{}, incomplete("Authorization header must not be repeated.")
	case signed:
		return parseHeader(&r, header)
	case presigned:
		return parseQuery(&r)
	}
	return Authorization{}, ErrMissing
}

func incomplete(message string) *Error { return &Error{Code: "IncompleteSignature", Message: message} }

func parseHeader(r *Request, value string) (Authorization, error) {
	algorithm, rest, _ := strings.Cut(value, " ")
	if algorithm != Algorithm {
		return Authorization{}, incomplete("Unsupported AWS 'algorithm': '" + algorithm + "'.")
	}
	var credential, signedHeaders, signature string
	for more := true; more; {
		var part string
		part, rest, more = strings.Cut(rest, ",")
		name, v, ok := strings.Cut(strings.TrimSpace(part), "=")
		var field *string
		switch name {
		case "Credential":
			field = &credential
		case "SignedHeaders":
			field = &signedHeaders
		case "Signature":
			field = &signature
		}
		if !ok || field == nil || *field != "" {
			return Authorization{}, incomplete("'" + strings.TrimSpace(part) + "' not a valid key=value pair (missing equal-sign) in Authorization header: '" + value + "'.")
		}
		*field = v
	}
	var missing []string
	for i, v := range [...]string{credential, signature, signedHeaders} {
		if v == "" {
			missing = append(missing, "Authorization header requires '"+[...]string{"Credential", "Signature", "SignedHeaders"}[i]+"' parameter.")
		}
	}
	dateHeader := "x-amz-date"
	date, amzDates := r.first(dateHeader)
	otherDate, dates := r.first("date")
	if date == "" {
		date, dateHeader = otherDate, "date"
	}
	if date == "" {
		missing = append(missing, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if missing != nil {
		return Authorization{}, incomplete(strings.Join(missing, " ") + " Authorization=" + redact(value))
	}
	token, tokens := r.first("x-amz-security-token")
	a := Authorization{SecurityToken: token}
	if tokens > 1 || amzDates > 1 || dates > 1 {
		return Authorization{}, incomplete("X-Amz-Date, Date and X-Amz-Security-Token must not be repeated.")
	}
	if err := a.fill(r, credential, signedHeaders, signature, date); err != nil {
		return Authorization{}, err
	}
	if !a.signs(dateHeader) {
		return Authorization{}, incomplete("'" + dateHeader + "' must be a 'SignedHeader' in the AWS Authorization.")
	}
	return a, nil
}

// redact keeps a signature out of the text of an error.
func redact(header string) string {
	if i := strings.Index(header, "Signature="); i >= 0 {
		return header[:i] + "Signature=[redacted]"
	}
	return header
}

// parseQuery reads a presigned request. Without X-Amz-Expires, which S3 alone demands
// (AWS's SDK for Go leaves it out for STS, aws4 for everything else), it lives as
// long as a signature in a header.
func parseQuery(r *Request) (Authorization, error) {
	var q [7]string
	var seen [7]bool
	names := [...]string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Security-Token"}
	for piece := range strings.SplitSeq(r.RawQuery, "&") {
		k, v, _ := strings.Cut(piece, "=")
		key, err := url.QueryUnescape(k)
		if err != nil {
			continue
		}
		for i, name := range names {
			if key != name {
				continue
			}
			if seen[i] {
				return Authorization{}, incomplete("AWS query-string parameter " + name + " must not be repeated.")
			}
			seen[i] = true
			if q[i], err = url.QueryUnescape(v); err != nil {
				return Authorization{}, incomplete("AWS query-string parameter " + name + " is malformed.")
			}
		}
	}
	lasts := seen[3]
	for i, name := range names[:6] {
		if q[i] == "" && (i != 3 || lasts) {
			return Authorization{}, incomplete("AWS query-string parameters must include '" + name + "'. Re-examine the query-string parameters.")
		}
	}
	if q[0] != Algorithm {
		return Authorization{}, incomplete("Unsupported AWS 'algorithm': '" + q[0] + "'.")
	}
	a := Authorization{Presigned: true, SecurityToken: q[6]}
	if lasts {
		seconds, err := strconv.ParseUint(q[3], 10, 32)
		if err != nil || seconds == 0 || time.Duration(seconds)*time.Second > maxExpires {
			return Authorization{}, incomplete("X-Amz-Expires must be between 1 and 604800 seconds.")
		}
		a.Expires = time.Duration(seconds) * time.Second
	}
	if err := a.fill(r, q[1], q[4], q[5], q[2]); err != nil {
		return Authorization{}, err
	}
	if a.Service == "s3" && !lasts {
		return Authorization{}, incomplete("AWS query-string parameters must include 'X-Amz-Expires'. Re-examine the query-string parameters.")
	}
	return a, nil
}

// fill reads the parts that both forms have.
func (a *Authorization) fill(r *Request, credential, signedHeaders, signature, date string) error {
	// An access key id may hold slashes; the scope may not.
	var scope [5]string
	rest, n := credential, 4
	for ; n > 0; n-- {
		i := strings.LastIndexByte(rest, '/')
		if i < 0 {
			break
		}
		scope[n], rest = rest[i+1:], rest[:i]
	}
	if n > 0 || rest == "" {
		return incomplete("Credential must have at least 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" + credential + "'")
	}
	a.AccessKeyID, a.Date, a.Region, a.Service = rest, scope[1], scope[2], scope[3]
	if scope[4] != terminator {
		return mismatch("Credential should be scoped with a valid terminator: '" + terminator + "', not '" + scope[4] + "'.")
	}
	var err error
	if a.Time, a.stamp, err = parseTime(date); err != nil {
		return incomplete("Date must be in ISO-8601 'basic format'. Got '" + date + "'. See http://en.wikipedia.org/wiki/ISO_8601")
	}
	if day := a.stamp[:8]; a.Date != day {
		return mismatch("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" + a.Date + "' != '" + day + "', from '" + date + "'.")
	}
	if !isHash(signature) {
		return mismatch(mismatchSentence)
	}
	a.Signature = signature
	return a.fillHeaders(r, signedHeaders)
}

// fillHeaders checks the list of signed headers: in lower case, in order,
// without repetition, with the host, and with every header that says something
// to an AWS service. A header left out of it could be altered on the way.
func (a *Authorization) fillHeaders(r *Request, list string) error {
	if strings.Count(list, ";") >= maxSignedHeaders {
		return incomplete("Too many signed headers.")
	}
	a.SignedHeaders = list
	for before, from := "", 0; from <= len(list); {
		h := nameAt(list, from)
		from += len(h) + 1
		if h <= before || !isLower(h) {
			return incomplete("SignedHeaders must be lower-case header names in order, each once: '" + list + "'.")
		}
		before = h
	}
	if !a.signs("host") {
		return mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	if name := r.unsignedName(a); name != "" {
		return mismatch("There were headers present in the request which were not signed: " + name)
	}
	return nil
}

// signs reports whether a field is among the signed ones.
func (a *Authorization) signs(header string) bool {
	for from, list := 0, a.SignedHeaders; from <= len(list); {
		h := nameAt(list, from)
		if isName(header, h) {
			return true
		}
		from += len(h) + 1
	}
	return false
}

// nameAt is the name at a place of a list of signed headers.
func nameAt(list string, from int) string {
	to := from
	for to < len(list) && list[to] != ';' {
		to++
	}
	return list[from:to]
}

// isLower reports whether a name is its own lower case.
func isLower(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; 'A' <= c && c <= 'Z' || c >= 0x80 {
			return name == strings.ToLower(name)
		}
	}
	return true
}

// isHash reports whether a text is a SHA-256 in lower-case hexadecimal digits.
func isHash(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// parseTime reads the basic ISO 8601 form, and the form of the Date header. It
// gives the former back, too.
func parseTime(s string) (time.Time, string, error) {
	if t, ok := parseBasic(s); ok {
		return t, s, nil
	}
	if t, err := time.Parse(timeLayout, s); err == nil && len(s) == len(timeLayout) { // no fractions of a second
		return t, s, nil
	}
	t, err := time.Parse(time.RFC1123, s)
	t = t.UTC()
	return t, t.Format(timeLayout), err
}

// parseBasic reads the basic form as [time.Parse] does, in a third of its time. What it
// does not take is left to that.
func parseBasic(s string) (t time.Time, ok bool) {
	if len(s) != len(timeLayout) || s[8] != 'T' || s[15] != 'Z' {
		return t, false
	}
	var part [7]int // century, year, month, day, hour, minute, second
	at := 0
	for i := range part {
		if at == 8 {
			at++
		}
		tens, ones := s[at]-'0', s[at+1]-'0'
		if tens > 9 || ones > 9 {
			return t, false
		}
		part[i], at = int(tens)*10+int(ones), at+2
	}
	year, month, day := part[0]*100+part[1], part[2], part[3]
	if month < 1 || month > 12 || day < 1 || part[4] > 23 || part[5] > 59 || part[6] > 59 {
		return t, false
	}
	t = time.Date(year, time.Month(month), day, part[4], part[5], part[6], 0, time.UTC)
	return t, t.Day() == day // there is no 30 February
}

// hasQuery reports whether a raw query has a parameter of this name.
func hasQuery(raw, name string) bool {
	_, n := queryValue(raw, name)
	return n > 0
}

// queryValue gives the last value of a parameter of a raw query, and how many
// there are. A value that cannot be decoded is empty.
func queryValue(raw, name string) (value string, n int) {
	for raw != "" {
		var piece string
		piece, raw, _ = strings.Cut(raw, "&")
		key, v, _ := strings.Cut(piece, "=")
		if key != name {
			if strings.IndexByte(key, '%') < 0 {
				continue
			}
			if k, err := url.QueryUnescape(key); err != nil || k != name {
				continue
			}
		}
		n++
		value, _ = url.QueryUnescape(v)
	}
	return value, n
}
