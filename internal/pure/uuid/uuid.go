// Package uuid makes UUIDs (RFC 9562) of the random bytes and times that it is given.
package uuid

import (
	"encoding/hex"
	"time"
)

// V4 is the UUID of version 4 (section 5.4) of random bytes, six bits of which it replaces.
func V4(random [16]byte) string {
	random[6] = random[6]&0x0f | 0x40
	return variant(random)
}

// V7 is the UUID of version 7 (section 5.7): it begins with the milliseconds of a time since 1970, so that UUIDs
// sort by their time. The other ten bytes are random ones, six bits of which it replaces.
func V7(at time.Time, random [10]byte) string {
	ms := uint64(max(at.UnixMilli(), 0))
	b := [16]byte{byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms)}
	copy(b[6:], random[:])
	b[6] = b[6]&0x0f | 0x70
	return variant(b)
}

func variant(b [16]byte) string {
	b[8] = b[8]&0x3f | 0x80
	return Text(b)
}

// Text writes sixteen bytes as a UUID is written, whatever they are (section 4).
func Text(b [16]byte) string {
	var out [36]byte
	hex.Encode(out[:], b[:4])
	for i, at := range [...]int{9, 14, 19} {
		hex.Encode(out[at:], b[4+2*i:6+2*i])
	}
	hex.Encode(out[24:], b[10:])
	for _, at := range [...]int{8, 13, 18, 23} {
		out[at] = '-'
	}
	return string(out[:])
}
