package trail

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"moat/internal/store"
)

// Report is what [Verify] found.
type Report struct {
	Chains int       `json:"chains"`
	Files  int       `json:"files"`
	Lines  int64     `json:"lines"`
	Events int64     `json:"events"`
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	// Lost counts the records that the chains say they could not keep.
	Lost int64 `json:"lost"`
	// Breaks has one sentence for each chain that is not whole: where it breaks, and how.
	Breaks []string `json:"breaks"`
}

// broken is where a chain breaks, as a sentence for people.
type broken string

func (b broken) Error() string { return string(b) }

func breaks(format string, args ...any) error { return broken(fmt.Sprintf(format, args...)) }

// Verify reads the chains below dir, or the one chain that dir is, and checks every line: that it
// is as it was written, that it follows the one before, that none is missing at either end.
// A line that is being written just now is no break. The error says that it could not look.
func Verify(dir string, master []byte) (Report, error) {
	rep := Report{Breaks: []string{}}
	key, id, err := store.MACKey(master, macPurpose)
	if err != nil {
		return rep, err
	}
	dirs := []string{dir}
	if !chainName.MatchString(filepath.Base(dir)) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return rep, err
		}
		dirs = nil
		for _, e := range entries {
			if e.IsDir() && chainName.MatchString(e.Name()) {
				dirs = append(dirs, filepath.Join(dir, e.Name()))
			}
		}
	}
	if len(dirs) == 0 {
		return rep, fmt.Errorf("there is no trail in %s", dir)
	}
	for _, d := range dirs {
		if err := rep.chain(d, key, id); err != nil {
			return rep, err
		}
	}
	return rep, nil
}

// chain verifies one chain. A file that was closed while it was read is read again.
func (rep *Report) chain(dir string, key []byte, keyID string) error {
	var err error
	for range 3 {
		c := checker{dir: dir, key: key, keyID: keyID, name: filepath.Base(dir), mac: firstPrev, rep: Report{}}
		if err = c.check(); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		rep.Chains++
		rep.Files += c.rep.Files
		rep.Lines += c.rep.Lines
		rep.Events += c.rep.Events
		rep.Lost += c.rep.Lost
		if rep.From.IsZero() || !c.rep.From.IsZero() && c.rep.From.Before(rep.From) {
			rep.From = c.rep.From
		}
		if c.rep.To.After(rep.To) {
			rep.To = c.rep.To
		}
		var b broken
		if errors.As(err, &b) {
			rep.Breaks = append(rep.Breaks, fmt.Sprintf("%s: %s", c.name, b))
			return nil
		}
		return err
	}
	return err
}

// checker walks along one chain.
type checker struct {
	dir, name string
	key       []byte
	keyID     string
	head      head
	rep       Report

	first   uint64 // number of the first line that is there
	seq     uint64
	mac     string
	retired uint64 // lines up to this one may be gone
	digest  string // name of the digest before
	sum     string // its hash
}

func (c *checker) check() error {
	var known bool
	c.head, known = readHead(c.dir, c.key) // before the lines: they may grow meanwhile
	files, err := filesOf(c.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := c.file(f); err != nil {
			return err
		}
	}
	switch {
	case c.first > c.retired+1:
		return breaks("lines 1 to %d are gone, and nothing in the chain says that their time was over", c.first-1)
	case !known && c.rep.Lines > 0:
		return breaks("its head is gone or altered, so that nobody can say whether lines are missing behind line %d", c.seq)
	case c.head.Seq > c.seq:
		return breaks("the end is cut off: lines %d to %d are gone", c.seq+1, c.head.Seq)
	}
	return nil
}

func (c *checker) file(f trailFile) error {
	c.rep.Files++
	hash := sha256.New()
	rest, err := f.read(c.dir, func(text []byte, offset int64) error {
		hash.Write(text)
		hash.Write([]byte{'\n'})
		return c.line(f.name, text, offset)
	})
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.As(err, new(broken)):
		return breaks("%s", err)
	case err != nil:
		return err
	case rest > 0 && f.closed:
		return breaks("%s ends in the middle of a line", f.name)
	case f.closed:
		return c.vouched(f, hex.EncodeToString(hash.Sum(nil)))
	}
	return nil
}

func (c *checker) line(file string, text []byte, offset int64) error {
	var l line
	err := json.Unmarshal(text, &l)
	if err != nil || !opened(c.key, c.name, text) {
		if c.rep.Lines == 0 && err == nil && l.Note != nil && l.Note.MasterKeyID != c.keyID {
			return breaks("it was written with the master key %s, and the key %s was given", l.Note.MasterKeyID, c.keyID)
		}
		return breaks("the line behind line %d (at byte %d of %s) is not as it was written", c.seq, offset, file)
	}
	switch {
	case c.rep.Lines == 0:
		c.first = l.Seq
		if l.Seq == 1 && l.Prev != firstPrev {
			return breaks("line 1 does not begin a chain")
		}
	case l.Seq > c.seq+1:
		return breaks("%s missing before line %d (at byte %d of %s)", lines(c.seq+1, l.Seq-1), l.Seq, offset, file)
	case l.Seq <= c.seq:
		return breaks("line %d stands behind line %d (at byte %d of %s): lines were moved or repeated", l.Seq, c.seq, offset, file)
	case l.Prev != c.mac:
		return breaks("line %d (at byte %d of %s) does not follow the line before it", l.Seq, offset, file)
	}
	c.seq, c.mac = l.Seq, l.Mac
	c.rep.Lines++
	if c.head.Seq == l.Seq && c.head.Mac != l.Mac {
		return breaks("line %d is not the one that the head names", l.Seq)
	}
	return c.content(&l)
}

func (c *checker) content(l *line) error {
	if n := l.Note; n != nil {
		switch n.Kind {
		case noteLost:
			c.rep.Lost += n.Lost
		case noteRetired:
			c.retired = max(c.retired, n.UpTo)
		case noteBroken:
			return breaks("line %d says that the chain was found altered: %s", l.Seq, n.Reason)
		}
		return nil
	}
	c.rep.Events++
	var e struct {
		EventTime time.Time `json:"eventTime"`
	}
	if json.Unmarshal(l.Event, &e) == nil && !e.EventTime.IsZero() {
		if c.rep.From.IsZero() || e.EventTime.Before(c.rep.From) {
			c.rep.From = e.EventTime
		}
		if e.EventTime.After(c.rep.To) {
			c.rep.To = e.EventTime
		}
	}
	return nil
}

// vouched checks the digest of a closed file.
func (c *checker) vouched(f trailFile, hash string) error {
	name := f.base() + ".digest.json"
	text, err := os.ReadFile(filepath.Join(c.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(c.dir, f.name)); err != nil {
			return err // retired just now
		}
		return breaks("the digest %s is gone", name)
	}
	if err != nil {
		return err
	}
	sealed := strings.TrimSuffix(string(text), "\n")
	var d digest
	switch {
	case !opened(c.key, c.name+"/digest", []byte(sealed)) || json.Unmarshal([]byte(sealed), &d) != nil:
		return breaks("the digest %s is not as it was written", name)
	case len(d.LogFiles) != 1 || d.LogFiles[0].HashValue != hash || d.LogFiles[0].LastLine != c.seq:
		return breaks("%s is not the file that its digest names", f.name)
	case c.digest != "" && (d.PreviousDigest != c.digest || d.PreviousDigestHashValue != c.sum):
		return breaks("the digest %s does not follow %s", name, c.digest)
	}
	c.digest, c.sum = name, hashOf([]byte(sealed))
	return nil
}

func lines(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("line %d is", from)
	}
	return fmt.Sprintf("lines %d to %d are", from, to)
}
