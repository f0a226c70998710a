package userfile

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line: fifty attributes of 2048 characters, and twenty-four old passwords.
const maxLine = 1 << 20

// Reader reads the lines of a file. What it returns is not to be believed before the end came.
type Reader struct {
	Header Header
	// End is the last line, once it was read; nil in a foreign file.
	End *End

	lines         *bufio.Scanner
	digest        Digest
	at            int
	groups, users int
}

// Open reads the first line.
func Open(r io.Reader) (*Reader, error) {
	f := &Reader{lines: bufio.NewScanner(r), digest: NewDigest()}
	f.lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	line, err := f.line()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty")
	}
	if err != nil {
		return nil, err
	}
	var kind struct{ Moat, Version any }
	if json.Unmarshal(line, &kind) != nil || kind.Moat != KindUsers && kind.Moat != KindForeign {
		return nil, errors.New(`this is not a file of users: its first line is not {"moat":"users",...} or {"moat":"foreign-users",...}`)
	}
	if kind.Version != float64(Version) {
		return nil, fmt.Errorf("the file has version %v of the format; this Moat reads version %d", kind.Version, Version)
	}
	return f, f.decode(line, &f.Header)
}

// Next returns the next group or user, and io.EOF behind the last one: only then, and only with
// that error, the file is whole.
func (f *Reader) Next() (*Line, error) {
	before := f.digest
	text, err := f.line()
	if errors.Is(err, io.EOF) {
		if f.Header.Moat == KindUsers && f.End == nil {
			return nil, fmt.Errorf("the file is cut: it ends behind line %d without its signature", f.at)
		}
		return nil, io.EOF
	}
	if err != nil {
		return nil, err
	}
	if f.End != nil {
		return nil, fmt.Errorf("line %d: there is something behind the signature", f.at)
	}
	var line Line
	if err := f.decode(text, &line); err != nil {
		return nil, err
	}
	switch {
	case line.End != nil && line.Group == nil && line.User == nil && f.Header.Moat == KindUsers:
		return nil, f.finish(line.End, before)
	case line.Group != nil && line.User == nil && line.End == nil && f.users == 0:
		f.groups++
	case line.User != nil && line.Group == nil && line.End == nil:
		f.users++
	default:
		return nil, fmt.Errorf("line %d: it is not one user, nor one group in front of all users", f.at)
	}
	return &line, nil
}

// finish compares the last line with what came before it.
func (f *Reader) finish(end *End, before Digest) error {
	if subtle.ConstantTimeCompare(end.Digest, before[:]) != 1 || end.Groups != f.groups || end.Users != f.users {
		return errors.New("the file was altered: its lines are not the ones that were signed")
	}
	if !end.signed() {
		return errors.New("the file was altered: its signature is not valid")
	}
	f.End = end
	_, err := f.Next()
	return err
}

func (f *Reader) line() ([]byte, error) {
	if !f.lines.Scan() {
		if err := f.lines.Err(); err != nil {
			return nil, fmt.Errorf("line %d: %w", f.at+1, err)
		}
		return nil, io.EOF
	}
	f.at++
	f.digest = f.digest.Add(f.lines.Bytes())
	return f.lines.Bytes(), nil
}

// decode reads a line. A member that this version does not know is refused: passing over it
// would lose something of a user.
func (f *Reader) decode(line []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("line %d: %w", f.at, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: there is more than one object", f.at)
	}
	return nil
}
