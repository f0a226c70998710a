package wire

import (
	"strconv"
	"time"

	"moat/internal/pure/uuid"
)

// requestID makes a UUID of version 4, as AWS's request ids are, of random bytes. Its first six
// bytes are the time in milliseconds, covered by its last six: it looks as random as any, and who
// keeps requests in the order of their time finds this one without an index. See [RequestTime].
func requestID(at time.Time, b [16]byte) string {
	ms := at.UnixMilli()
	for i := range 6 {
		b[i] = byte(ms>>(40-8*i)) ^ b[10+i]
	}
	return uuid.V4(b)
}

// RequestTime reads the time in a request's id, to the millisecond. An id that was made elsewhere
// has some time, too: it holds only where it is near another time that is known.
func RequestTime(id string) (t time.Time, ok bool) {
	if len(id) != 36 || id[14] != '4' {
		return t, false
	}
	for i, c := range []byte(id) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && (c < '0' || c > 'f' || c > '9' && c < 'a') {
			return t, false
		}
	}
	covered, err := strconv.ParseUint(id[:8]+id[9:13], 16, 64)
	if err != nil {
		return t, false
	}
	cover, err := strconv.ParseUint(id[24:], 16, 64)
	return time.UnixMilli(int64(covered ^ cover)), err == nil
}
