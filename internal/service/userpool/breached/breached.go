// Package breached knows passwords that attackers have: a short list that comes with
// the program, or a file of hashes in the form that Have I Been Pwned publishes.
//
// It asks nobody: a password never leaves the machine, and neither does a part of its
// hash. What it says of a password is yes or no, never how often it was seen.
package breached

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
)

// List says whether a password is in the hands of attackers. It is safe for concurrent use.
type List interface {
	Has(password string) (bool, error)
}

//go:embed common.txt
var commonWords string

// Common is the list that comes with the program: the words and rows of keys that the
// published lists of leaked passwords begin with, in any case, alone or with one of the
// endings that people add to satisfy a policy ("Summer2024!", "Welcome@123").
type Common struct{ words, endings map[string]bool }

// longest bounds what Common looks at; its longest entry is much shorter.
const longest = 48

// NewCommon reads the list that comes with the program.
func NewCommon() *Common {
	c := &Common{words: map[string]bool{}, endings: map[string]bool{"": true}}
	for _, w := range strings.Fields(commonWords) {
		c.words[w] = true
	}
	numbers := strings.Fields("0 00 000 01 007 1 10 11 111 12 13 123 1234 12345 123456 2 21 22 23 3 321 4 5 6 666 69 7 77 777 8 88 9 99")
	for year := 1970; year <= 2030; year++ {
		numbers = append(numbers, fmt.Sprint(year), fmt.Sprintf("%02d", year%100))
	}
	marks := strings.Fields("! !! . ? * $ # @ _ -")
	for _, m := range marks {
		c.endings[m] = true
	}
	for _, n := range numbers {
		c.endings[n] = true
		for _, m := range marks {
			c.endings[n+m], c.endings[m+n] = true, true
		}
		c.endings["@"+n+"!"], c.endings["!"+n+"!"] = true, true
	}
	return c
}

// Has implements [List]; it never fails.
func (c *Common) Has(password string) (bool, error) {
	if len(password) > longest {
		return false, nil
	}
	folded := strings.ToLower(password)
	for i := range len(folded) + 1 {
		if c.words[folded[:i]] && c.endings[folded[i:]] {
			return true, nil
		}
	}
	return false, nil
}

// File is a list of SHA-1 hashes on disk: lines of 40 hexadecimal digits, sorted, each
// optionally with ":" and a count behind it ("Pwned Passwords, ordered by hash"). It is
// searched where it lies; nothing of it is kept in memory.
type File struct {
	f    io.ReaderAt
	size int64
}

// Open opens such a file and looks at its first and last line: a file of another form,
// or one that is not sorted, is refused as far as these show it.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	l, err := newFile(f, info.Size())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

func newFile(f io.ReaderAt, size int64) (*File, error) {
	l := &File{f, size}
	first, _, err := l.line(0)
	if err != nil {
		return nil, err
	}
	last, _, err := l.line(max(0, size-2*hashLength))
	if err == nil && bytes.Compare(first, last) > 0 {
		err = fmt.Errorf("not sorted by hash: it ends with %s and begins with %s", last, first)
	}
	return l, err
}

// Close closes the file.
func (l *File) Close() error {
	if c, ok := l.f.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

const (
	hashLength = 2 * sha1.Size
	maxLine    = 128 // with the count and a line end, a line is much shorter
)

// Has implements [List]: about thirty reads for a file of a billion hashes.
func (l *File) Has(password string) (bool, error) {
	sum := sha1.Sum([]byte(password))
	want := bytes.ToUpper(hex.AppendEncode(nil, sum[:]))
	// Lines that begin before low are smaller, lines that begin at high or later are larger.
	low, high := int64(0), l.size
	for low < high {
		mid := low + (high-low)/2
		hash, next, err := l.line(mid)
		if err != nil {
			return false, err
		}
		switch order := bytes.Compare(hash, want); {
		case hash == nil || order > 0:
			high = mid
		case order == 0:
			return true, nil
		default:
			low = next
		}
	}
	return false, nil
}

// line reads the hash of the first line that begins at offset or later, and where the
// line after it begins; no hash when there is no further line.
func (l *File) line(offset int64) (hash []byte, next int64, err error) {
	from := max(0, offset-1) // a line begins behind a line end
	r := bufio.NewReaderSize(io.NewSectionReader(l.f, from, 2*maxLine), 2*maxLine)
	if offset > 0 {
		skipped, err := r.ReadSlice('\n')
		if err == io.EOF {
			return nil, l.size, nil
		}
		if err != nil {
			return nil, 0, err
		}
		from += int64(len(skipped))
	}
	text, err := r.ReadSlice('\n')
	if err != nil && err != io.EOF {
		return nil, 0, err
	}
	next = from + int64(len(text))
	if text = bytes.TrimSpace(text); len(text) == 0 && next >= l.size {
		return nil, l.size, nil
	}
	hash, _, _ = bytes.Cut(text, []byte(":"))
	if hash = bytes.ToUpper(hash); len(hash) != hashLength || len(bytes.Trim(hash, "0123456789ABCDEF")) > 0 {
		return nil, 0, fmt.Errorf("no list of SHA-1 hashes: the line at %d is not forty hexadecimal digits and a count", from)
	}
	return hash, next, nil
}
