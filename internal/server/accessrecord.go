package server

import (
	"math/bits"
	"strconv"
	"time"

	"moat/internal/pure/jsonstring"
	"moat/internal/service/logs"
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

// accessForm is what all lines have in common: an [accessRecord] without its values.
func accessForm() *logs.Form {
	return logs.NewForm(`{"requestId":`, `,"ip":`, `,"requestTime":`, `,"httpMethod":`, `,"path":`, `,"route":`, `,"status":`, `,"who":`, `,"step":`, `,"grounds":`,
		`,"apiKeyId":`, `,"userAgent":`, `,"responseLength":`, `,"latencyMs":`, `,"integrationLatencyMs":`, `}`)
}

// The values of a line in the order of [accessForm]: those that are text, as a row keeps them, and
// the others.
const (
	accessTime   = 2
	accessStatus = 6
	accessLength = 12
	accessValues = 15
	accessTexts  = 10
	accessAll    = 1<<accessValues - 1
	// accessVaries are the values that are different in nearly every line.
	accessVaries = 1<<0 | 1<<(accessValues-2) | 1<<(accessValues-1)
)

// accessTextOf is which of a row's texts a value is, -1 for one that is no text of the request's.
func accessTextOf(value int) int {
	return [accessValues]int{0, 1, -1, 2, 3, 4, -1, 5, 6, 7, 8, 9, -1, -1, -1}[value]
}

// accessRow is a line in a buffer. Lines in succession share the texts that they have in common.
type accessRow struct {
	at    int64 // milliseconds
	place int32
	texts [accessTexts]accessCell

	status, size         int64
	latency, integration int64 // microseconds
}

// accessCell is a text in a buffer.
type accessCell struct{ from, n uint32 }

func (c accessCell) of(text string) string { return text[c.from : c.from+c.n] }

// fill sets a row but for its place. Texts that are not those of the line before are appended to room;
// they may be views of somebody else's buffer.
func (w *accessRow) fill(room []byte, before *[accessTexts]accessCell, r *wire.Record) []byte {
	for i, text := range [accessTexts]string{r.RequestID, r.SourceIP, r.Method, r.Path, r.Route, r.Who, r.Step, r.Grounds, r.KeyID, r.UserAgent} {
		c := &before[i]
		if int(c.n) != len(text) || string(room[c.from:c.from+c.n]) != text {
			*c = accessCell{uint32(len(room)), uint32(len(text))}
			room = append(room, text...)
		}
	}
	w.at, w.texts, w.status, w.size = r.Time.UnixMilli(), *before, int64(r.Status), r.BytesOut
	w.latency, w.integration = r.Latency.Microseconds(), r.Integration.Microseconds()
	return room
}

// append writes those of a row's values that a mask has, each as encoding/json would write it, as
// an array in JSON.
func (w *accessRow) append(b []byte, text string, mask uint, stamp *clfStamp) []byte {
	before := byte('[')
	for ; mask != 0; mask &= mask - 1 {
		b = append(b, before)
		before = ','
		i := bits.TrailingZeros(mask)
		if t := accessTextOf(i); t >= 0 {
			b = jsonstring.AppendHTML(b, w.texts[t].of(text))
			continue
		}
		b = w.appendNumber(b, i, stamp)
	}
	if before == '[' {
		b = append(b, '[')
	}
	return append(b, ']')
}

// appendNumber writes a value that is no text of the request's.
func (w *accessRow) appendNumber(b []byte, value int, stamp *clfStamp) []byte {
	switch value {
	case accessTime:
		return append(stamp.append(append(b, '"'), w.at), '"')
	case accessStatus:
		return strconv.AppendInt(b, w.status, 10)
	case accessLength:
		return strconv.AppendInt(b, w.size, 10)
	case accessValues - 2:
		return appendMilliseconds(b, w.latency)
	}
	return appendMilliseconds(b, w.integration)
}

// differs gives the values of a mask that another row does not have alike.
// shared: both are of one buffer.
func (w *accessRow) differs(text string, mask uint, v *accessRow, others string, shared bool) (out uint) {
	for rest := mask; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros(rest)
		t := accessTextOf(i)
		if t < 0 || shared && w.texts[t] == v.texts[t] {
			continue
		}
		if w.texts[t].of(text) != v.texts[t].of(others) {
			out |= 1 << i
		}
	}
	if w.status != v.status {
		out |= 1 << accessStatus
	}
	if w.size != v.size {
		out |= 1 << accessLength
	}
	if w.at != v.at && seconds(w.at) != seconds(v.at) {
		out |= 1 << accessTime
	}
	return out & mask
}

// seconds rounds milliseconds down.
func seconds(ms int64) int64 {
	s := ms / 1000
	if s*1000 > ms {
		s--
	}
	return s
}

// appendMilliseconds writes microseconds as milliseconds.
func appendMilliseconds(b []byte, us int64) []byte {
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

// append writes the second of a time in milliseconds.
func (s *clfStamp) append(b []byte, ms int64) []byte {
	if second := seconds(ms); s.text == nil || s.second != second {
		s.second, s.text = second, time.Unix(second, 0).UTC().AppendFormat(s.room[:0], "02/Jan/2006:15:04:05 -0700")
	}
	return append(b, s.text...)
}
