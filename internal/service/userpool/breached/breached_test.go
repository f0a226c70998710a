package breached

import (
	"crypto/sha1"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCommon(t *testing.T) {
	t.Parallel()
	c := NewCommon()
	for _, in := range []string{"password", "Password1", "Password123!", "PASSWORD@2024", "qwertyuiop", "1q2w3e4r5t", "Summer2024!", "Welcome@123", "P@ssw0rd", "Letmein!"} {
		if ok, err := c.Has(in); !ok || err != nil {
			t.Errorf("%q is not in the list: %v", in, err)
		}
	}
	for _, in := range []string{"", "Correct-horse-7", "Password-of-ours", "!", "2024", "Summer-in-the-city", strings.Repeat("password", 40), "7f3Kq0-ab"} {
		if ok, err := c.Has(in); ok || err != nil {
			t.Errorf("%q is in the list: %v", in, err)
		}
	}
}

// write makes a file of the hashes of passwords, sorted.
func write(t *testing.T, lineEnd string, count bool, passwords ...string) string {
	t.Helper()
	var lines []string
	for i, p := range passwords {
		line := fmt.Sprintf("%X", sha1.Sum([]byte(p)))
		if count {
			line += fmt.Sprintf(":%d", i*i*i+1)
		}
		lines = append(lines, line+lineEnd)
	}
	slices.Sort(lines)
	path := filepath.Join(t.TempDir(), "hashes")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFile(t *testing.T) {
	t.Parallel()
	for _, lineEnd := range []string{"\n", "\r\n"} {
		for _, count := range []bool{false, true} {
			for _, n := range []int{1, 2, 3, 7, 300} {
				var in []string
				for i := range n {
					in = append(in, fmt.Sprint("leaked ", i))
				}
				l, err := Open(write(t, lineEnd, count, in...))
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range in {
					if ok, err := l.Has(p); !ok || err != nil {
						t.Errorf("%d of %q: %q is not found: %v", n, lineEnd, p, err)
					}
				}
				for i := range 300 {
					if ok, err := l.Has(fmt.Sprint("kept ", i)); ok || err != nil {
						t.Errorf("%d of %q: a password that is not there is found: %v", n, lineEnd, err)
					}
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func TestOpen_refused(t *testing.T) {
	t.Parallel()
	low, high := strings.Repeat("0", 40), strings.Repeat("F", 40)
	for name, content := range map[string]string{
		"passwords": "password\n123456\n",
		"short":     strings.Repeat("A", 39) + ":1\n",
		"unsorted":  high + ":1\n" + low + ":2\n",
		"no digits": strings.Repeat("G", 40) + ":1\n",
		"one line":  strings.Repeat("A", 1000),
	} {
		path := filepath.Join(t.TempDir(), "list")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there was opened")
	}
}
