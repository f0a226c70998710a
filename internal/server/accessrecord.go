package server

import (
	"strconv"
	"time"
	"unicode/utf8"

	"moat/internal/wire"
)

// accessRecord is a line of the access log, as it is read.
type accessRecord struct {
	RequestID      string  `json:"requestId"`
	IP             string  `json:"ip"`
	RequestTime    string  `json:"requestTime"`
	Method         string  `json:"httpMethod"`
	Path           string  `json:"path"`
	Route          string  `json:"route"`
	Status         int     `json:"status"`
	Who            string  `json:"who"`
	Step           string  `json:"step"`
	Grounds        string  `json:"grounds"`
	KeyID          string  `json:"apiKeyId"`
	UserAgent      string  `json:"userAgent"`
	ResponseLength int64   `json:"responseLength"`
	LatencyMS      float64 `json:"latencyMs"`
	IntegrationMS  float64 `json:"integrationLatencyMs"`
}

// appendAccessRecord appends the line of a record, as encoding/json would write its
// [accessRecord]. It allocates nothing.
func appendAccessRecord(b []byte, r *wire.Record, stamp *clfStamp) []byte {
	b = appendJSONString(append(b, `{"requestId":`...), r.RequestID)
	b = appendJSONString(append(b, `,"ip":`...), r.SourceIP)
	b = stamp.append(append(b, `,"requestTime":"`...), r.Time)
	b = appendJSONString(append(b, `","httpMethod":`...), r.Method)
	b = appendJSONString(append(b, `,"path":`...), r.Path)
	b = appendJSONString(append(b, `,"route":`...), r.Route)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(r.Status), 10)
	b = appendJSONString(append(b, `,"who":`...), r.Who)
	b = appendJSONString(append(b, `,"step":`...), r.Step)
	b = appendJSONString(append(b, `,"grounds":`...), r.Grounds)
	b = appendJSONString(append(b, `,"apiKeyId":`...), r.KeyID)
	b = appendJSONString(append(b, `,"userAgent":`...), r.UserAgent)
	b = strconv.AppendInt(append(b, `,"responseLength":`...), r.BytesOut, 10)
	b = appendMilliseconds(append(b, `,"latencyMs":`...), r.Latency)
	b = appendMilliseconds(append(b, `,"integrationLatencyMs":`...), r.Integration)
	return append(b, '}')
}

// appendMilliseconds writes a duration in milliseconds, to the microsecond.
func appendMilliseconds(b []byte, d time.Duration) []byte {
	us := d.Microseconds()
	if us < 0 {
		b, us = append(b, '-'), -us
	}
	b = strconv.AppendInt(b, us/1000, 10)
	rest := us % 1000
	if rest == 0 {
		return b
	}
	b = append(b, '.', byte('0'+rest/100))
	if rest %= 100; rest == 0 {
		return b
	}
	b = append(b, byte('0'+rest/10))
	if rest %= 10; rest == 0 {
		return b
	}
	return append(b, byte('0'+rest))
}

// clfStamp is a second in the common log format, kept for the further lines of that second.
type clfStamp struct {
	second int64
	room   [32]byte
	text   []byte
}

func (s *clfStamp) append(b []byte, t time.Time) []byte {
	if second := t.Unix(); s.text == nil || s.second != second {
		s.second, s.text = second, t.UTC().AppendFormat(s.room[:0], "02/Jan/2006:15:04:05 -0700")
	}
	return append(b, s.text...)
}

const lowerHex = "0123456789abcdef"

// plain says of each byte below 128 whether it stands for itself in a JSON string that may become
// part of a page. That is encoding/json's rule, too.
var plain = func() (is [utf8.RuneSelf]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		is[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	return is
}()

// appendJSONString quotes s exactly as encoding/json does.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if !plain[c] {
				b = appendEscape(append(b, s[start:i]...), c)
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
	return append(append(b, s[start:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
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
