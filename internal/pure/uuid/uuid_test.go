package uuid

import (
	"testing"
	"time"
)

func TestUUID(t *testing.T) {
	random := [16]byte([]byte("\x00\x11\x22\x33\x44\x55\xf6\x77\xf8\x99\xaa\xbb\xcc\xdd\xee\xff"))
	for name, test := range map[string]struct{ got, want string }{
		"text":                {Text(random), "00112233-4455-f677-f899-aabbccddeeff"},
		"version 4":           {V4(random), "00112233-4455-4677-b899-aabbccddeeff"},
		"version 7":           {V7(time.UnixMilli(0x017F22E279B0), [10]byte([]byte("\x0c\xc3\x58\xc4\xdc\x0c\x0c\x07\x39\x8f"))), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"}, // of RFC 9562, appendix A.6
		"version 7, all set":  {V7(time.UnixMilli(1<<48-1), [10]byte([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))), "ffffffff-ffff-7fff-bfff-ffffffffffff"},
		"version 7, long ago": {V7(time.UnixMilli(-1), [10]byte{}), "00000000-0000-7000-8000-000000000000"},
		"version 4, none set": {V4([16]byte{}), "00000000-0000-4000-8000-000000000000"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %s, want %s", name, test.got, test.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { V4(random) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
