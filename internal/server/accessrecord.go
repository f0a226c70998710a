package server

import (
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

// appendAccessRecord appends the values of a record's line in the order of [accessForm], each as
// encoding/json would write it. It allocates nothing.
func appendAccessRecord(b []byte, r *wire.Record, stamp *clfStamp) []byte {
	b = jsonstring.AppendHTML(append(b, '['), r.RequestID)
	b = jsonstring.AppendHTML(append(b, ','), r.SourceIP)
	b = append(stamp.append(append(b, ',', '"'), r.Time), '"')
	b = jsonstring.AppendHTML(append(b, ','), r.Method)
	b = jsonstring.AppendHTML(append(b, ','), r.Path)
	b = jsonstring.AppendHTML(append(b, ','), r.Route)
	b = strconv.AppendInt(append(b, ','), int64(r.Status), 10)
	b = jsonstring.AppendHTML(append(b, ','), r.Who)
	b = jsonstring.AppendHTML(append(b, ','), r.Step)
	b = jsonstring.AppendHTML(append(b, ','), r.Grounds)
	b = jsonstring.AppendHTML(append(b, ','), r.KeyID)
	b = jsonstring.AppendHTML(append(b, ','), r.UserAgent)
	b = strconv.AppendInt(append(b, ','), r.BytesOut, 10)
	b = appendMilliseconds(append(b, ','), r.Latency)
	b = appendMilliseconds(append(b, ','), r.Integration)
	return append(b, ']')
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
