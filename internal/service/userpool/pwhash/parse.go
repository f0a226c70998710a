package pwhash

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// decode reads base64: standard or URL-safe, passlib's "." for "+" too, padded or not.
func decode(text string) ([]byte, error) {
	text = strings.NewReplacer(".", "+", "-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	return base64.RawStdEncoding.DecodeString(text)
}

// saltAndSum reads the last two fields of a hash.
func saltAndSum(salt, sum string) (a, b []byte, err error) {
	if a, err = decode(salt); err != nil || len(a) == 0 || len(a) > maxSalt {
		return nil, nil, errors.New("its salt is not base64 of 1 to 256 bytes")
	}
	b, err = readSum(sum)
	return a, b, err
}

func readSum(text string) ([]byte, error) {
	b, err := decode(text)
	if err != nil || len(b) < minSum || len(b) > maxSum {
		return nil, errors.New("it does not end in base64 of 16 to 64 bytes")
	}
	return b, nil
}

// parameters reads "ln=14,r=8,p=1". Each of the names must be there once, and no other;
// those in maybe may be left out.
func parameters(text string, names []string, maybe ...string) (map[string]int, error) {
	out := map[string]int{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		n, err := strconv.ParseUint(value, 10, 31)
		if _, twice := out[name]; err != nil || twice {
			return nil, fmt.Errorf("its parameter %q is not a number given once", name)
		}
		out[name] = int(n)
	}
	known := 0
	for _, name := range names {
		if _, there := out[name]; !there {
			return nil, fmt.Errorf("it lacks the parameter %s", name)
		}
		known++
	}
	for _, name := range maybe {
		if _, there := out[name]; there {
			known++
		}
	}
	if known != len(out) {
		return nil, fmt.Errorf("its parameters are not %s", strings.Join(append(names, maybe...), ", "))
	}
	return out, nil
}

var errFields = errors.New("it has too few or too many fields")
