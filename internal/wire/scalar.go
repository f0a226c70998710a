package wire

import (
	"encoding/base64"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// serialization is the answer to a request that cannot be read.
func serialization(message string) error {
	return NewError(http.StatusBadRequest, "SerializationException", message)
}

// parseTime reads a timestamp of one format, strictly.
func parseTime(s string, f timeFormat) (time.Time, bool) {
	switch f {
	case timeUnix:
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || s == "" || s[0] == '+' || strings.ContainsAny(s, "xXpP_") {
			return time.Time{}, false
		}
		return unixTime(n)
	case timeRFC822:
		for _, layout := range [...]string{http.TimeFormat, "Mon, 2 Jan 2006 15:04:05 GMT", "Mon, 02 Jan 2006 15:04:05.999 GMT"} {
			if t, err := time.Parse(layout, s); err == nil {
				return t.UTC(), true
			}
		}
		return time.Time{}, false
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05-0700", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// unixTime makes a time of seconds since 1970, to the millisecond. Years that
// the other formats could not write are refused.
func unixTime(seconds float64) (time.Time, bool) {
	const limit = 253402300799 // end of the year 9999
	if math.IsNaN(seconds) || math.Abs(seconds) > limit {
		return time.Time{}, false
	}
	whole := math.Floor(seconds)
	milli := math.Round((seconds - whole) * 1000)
	return time.Unix(int64(whole), int64(milli)*int64(time.Millisecond)).UTC(), true
}

// appendTime writes a timestamp; fractions of a second appear as milliseconds.
func appendTime(b []byte, t time.Time, f timeFormat) []byte {
	t = t.UTC()
	milli := t.Nanosecond() / int(time.Millisecond)
	switch f {
	case timeUnix:
		if milli == 0 {
			return strconv.AppendInt(b, t.Unix(), 10)
		}
		return strconv.AppendFloat(b, float64(t.UnixMilli())/1000, 'f', 3, 64)
	case timeRFC822:
		return t.AppendFormat(b, http.TimeFormat)
	}
	if milli == 0 {
		return t.AppendFormat(b, "2006-01-02T15:04:05Z")
	}
	return t.AppendFormat(b, "2006-01-02T15:04:05.000Z")
}

// or returns f, or d when the model leaves the format to the protocol.
func (f timeFormat) or(d timeFormat) timeFormat {
	if f == timeDefault {
		return d
	}
	return f
}

// parseBlob reads base64, with or without its padding.
func parseBlob(s string) ([]byte, bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		b, err = base64.RawStdEncoding.Strict().DecodeString(s)
	}
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	if b == nil {
		b = []byte{}
	}
	return b, true
}

func parseFloat(s string) (float64, bool) {
	switch s {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	if s == "" || strings.Trim(s, "+-.0123456789eE") != "" {
		return 0, false // ParseFloat also takes hexadecimal, underscores and "inf"
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func appendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	case f != 0 && (math.Abs(f) < 1e-6 || math.Abs(f) >= 1e21):
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

// setScalar reads text into v as query parameters, headers, path labels and XML
// have it. d is the timestamp format of the place.
func (f *field) setScalar(v reflect.Value, s string, d timeFormat) bool {
	switch f.kind {
	case kindString:
		if !utf8.ValidString(s) {
			return false
		}
		v.SetString(s)
	case kindBool:
		if s != "true" && s != "false" {
			return false
		}
		v.SetBool(s == "true")
	case kindInt:
		n, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if err != nil {
			return false
		}
		v.SetInt(n)
	case kindFloat:
		n, ok := parseFloat(s)
		if !ok {
			return false
		}
		v.SetFloat(n)
	case kindTime:
		t, ok := parseTime(s, f.format.or(d))
		if !ok {
			return false
		}
		v.Set(reflect.ValueOf(t))
	case kindBlob:
		b, ok := parseBlob(s)
		if !ok {
			return false
		}
		v.SetBytes(b)
	default:
		return false
	}
	return true
}

// appendScalar is the inverse of setScalar.
func (f *field) appendScalar(b []byte, v reflect.Value, d timeFormat) []byte {
	switch f.kind {
	case kindString:
		return append(b, v.String()...)
	case kindBool:
		return strconv.AppendBool(b, v.Bool())
	case kindInt:
		return strconv.AppendInt(b, v.Int(), 10)
	case kindFloat:
		return appendFloat(b, floatOf(v))
	case kindTime:
		return appendTime(b, v.Interface().(time.Time), f.format.or(d))
	case kindBlob:
		return base64.StdEncoding.AppendEncode(b, v.Bytes())
	}
	return b
}

// floatOf keeps the shortest form of a 32-bit float.
func floatOf(v reflect.Value) float64 {
	if v.Kind() == reflect.Float32 {
		f, err := strconv.ParseFloat(strconv.FormatFloat(v.Float(), 'g', -1, 32), 64)
		if err == nil {
			return f
		}
	}
	return v.Float()
}

// typeName is how AWS's messages call the Java type of a shape.
func (p *plan) typeName() string {
	switch p.kind {
	case kindBool:
		return "a Boolean"
	case kindInt:
		if p.goType.Bits() == 64 {
			return "a Long"
		}
		return "an Integer"
	case kindFloat:
		return "a Double"
	case kindTime:
		return "a Timestamp"
	case kindBlob:
		return "a Blob"
	}
	return "a String"
}
