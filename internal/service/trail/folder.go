package trail

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"moat/internal/pure/lazyregexp"
)

// folder is one chain on disk: a folder named after it, which one process holds at a time.
//
//	chain-3f2a9c1b/
//	  20261120T120000Z_000000000001.jsonl.gz      closed, compressed
//	  20261120T120000Z_000000000001.digest.json   its digest, tied to the digest before
//	  20261121T000000Z_000000000812.jsonl         being written
//	  head                                        number and hash of the last line that is on disk
type folder struct {
	dir    string
	lock   io.Closer
	links  links
	active *os.File
	size   int64
	day    string // of the active file, UTC
	cfg    *folderConfig
	// digest of the file that was closed last
	digestHash, digestMac, digestName string
}

type folderConfig struct {
	key         []byte
	masterKeyID string
	account     string
	rotate      int64         // size at which a file is closed
	retention   time.Duration // 0 keeps files for ever
	noSync      bool
	now         func() time.Time
}

var (
	chainName = lazyregexp.New(`^chain-[0-9a-f]{16}$`)
	fileName  = lazyregexp.New(`^(\d{8}T\d{6}Z)_(\d{12,20})\.jsonl(\.gz)?$`)
)

const stampLayout = "20060102T150405Z"

// trailFile is one file of a chain.
type trailFile struct {
	name   string
	first  uint64 // number of its first line
	start  time.Time
	closed bool
}

func (f *trailFile) base() string {
	return strings.TrimSuffix(strings.TrimSuffix(f.name, ".gz"), ".jsonl")
}

// filesOf lists the files of a chain in order. A file that is there both open and compressed was
// being closed when the process ended: the compressed one is whole, and counts.
func filesOf(dir string) ([]trailFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	byFirst := map[uint64]trailFile{}
	for _, e := range entries {
		m := fileName.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() {
			continue
		}
		first, err := strconv.ParseUint(m[2], 10, 64)
		if err != nil {
			continue
		}
		start, _ := time.Parse(stampLayout, m[1])
		f := trailFile{name: e.Name(), first: first, start: start, closed: m[3] != ""}
		if known, ok := byFirst[first]; !ok || !known.closed {
			byFirst[first] = f
		}
	}
	files := make([]trailFile, 0, len(byFirst))
	for _, f := range byFirst {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b trailFile) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return files, nil
}

// read calls fn with each whole line of a file and its offset; rest is the number of bytes behind
// the last line end.
func (f *trailFile) read(dir string, fn func(text []byte, offset int64) error) (rest int64, err error) {
	file, err := os.Open(filepath.Join(dir, f.name))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var from io.Reader = file
	if f.closed {
		z, err := gzip.NewReader(file)
		if err != nil {
			return 0, fmt.Errorf("%s is damaged: %w", f.name, err)
		}
		from = z
	}
	r := bufio.NewReaderSize(from, 64<<10)
	offset := int64(0)
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		long = append(long, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(long) <= maxLine:
			continue
		case errors.Is(err, bufio.ErrBufferFull):
			return 0, fmt.Errorf("%s holds a line that is longer than any line of a trail", f.name)
		case errors.Is(err, io.EOF):
			return int64(len(long)), nil
		case err != nil:
			return 0, fmt.Errorf("%s is damaged: %w", f.name, err)
		}
		if err := fn(long[:len(long)-1], offset); err != nil {
			return 0, err
		}
		offset += int64(len(long))
		long = long[:0]
	}
}

// claim takes a chain below dir that no other process holds, or makes a new one.
func claim(dir string, random io.Reader) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of the trail cannot be made: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() || !chainName.MatchString(e.Name()) {
			continue
		}
		if f, err := hold(filepath.Join(dir, e.Name())); err == nil {
			return f, nil
		} else if !errors.Is(err, errHeld) {
			return nil, err
		}
	}
	id := make([]byte, 8)
	if _, err := io.ReadFull(random, id); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "chain-"+hex.EncodeToString(id))
	if err := os.Mkdir(name, 0o700); err != nil {
		return nil, err
	}
	return hold(name)
}

var errHeld = errors.New("trail: another process writes this chain")

func hold(dir string) (*folder, error) {
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	return &folder{dir: dir, lock: lock}, nil
}

// resume finds the end of the chain, cuts off a line that was being written when the process
// ended, and says in a note what is wrong with the end, if anything is. anchor is the last line
// that the database knows of; the head file may know a later one.
func (f *folder) resume(cfg *folderConfig, anchor head) (trouble string, err error) {
	f.cfg = cfg
	f.links = newLinks(cfg.key, filepath.Base(f.dir))
	if h, ok := readHead(f.dir, cfg.key); ok && h.Seq > anchor.Seq {
		anchor = h
	}
	files, err := filesOf(f.dir)
	if err != nil {
		return "", err
	}
	if len(files) > 0 {
		if trouble, err = f.readLast(files[len(files)-1]); err != nil {
			return "", err
		}
	}
	if f.links.seq < anchor.Seq {
		trouble = fmt.Sprintf("lines %d to %d are gone", f.links.seq+1, anchor.Seq)
		f.links.seq, f.links.mac = anchor.Seq, anchor.Mac
	}
	for _, file := range files { // what was not closed when the process ended
		if file.closed {
			f.rememberDigest(file)
			_ = os.Remove(filepath.Join(f.dir, strings.TrimSuffix(file.name, ".gz")))
		} else if err := f.settle(file); err != nil {
			return "", err
		}
	}
	if err := f.open(); err != nil {
		return "", err
	}
	if trouble != "" {
		return trouble, f.writeNote(note{Kind: noteBroken, Reason: trouble})
	}
	return "", nil
}

// settle closes a file that a process left open. One without a line says nothing, and goes.
func (f *folder) settle(file trailFile) error {
	path := filepath.Join(f.dir, file.name)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return os.Remove(path)
	}
	return f.compress(file)
}

// readLast finds the end of the chain in its last file.
func (f *folder) readLast(file trailFile) (trouble string, err error) {
	end := int64(0)
	rest, err := file.read(f.dir, func(text []byte, offset int64) error {
		var l line
		if json.Unmarshal(text, &l) != nil || !opened(f.cfg.key, f.links.name, text) {
			trouble = fmt.Sprintf("a line at byte %d of %s is not as it was written", offset, file.name)
		} else {
			f.links.seq, f.links.mac = l.Seq, l.Mac
		}
		end = offset + int64(len(text)) + 1
		return nil
	})
	if err != nil && file.closed {
		return err.Error(), nil
	}
	if err != nil {
		return "", err
	}
	if rest > 0 && !file.closed {
		return trouble, os.Truncate(filepath.Join(f.dir, file.name), end)
	}
	return trouble, nil
}

// open begins a new file.
func (f *folder) open() error {
	now := f.cfg.now().UTC()
	name := fmt.Sprintf("%s_%012d.jsonl", now.Format(stampLayout), f.links.seq+1)
	file, err := os.OpenFile(filepath.Join(f.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	f.active, f.size, f.day = file, 0, now.Format(time.DateOnly)
	err = f.syncDir()
	if err == nil {
		err = f.writeNote(note{Kind: noteFile, Chain: f.links.name, Account: f.cfg.account, MasterKeyID: f.cfg.masterKeyID})
	}
	if err != nil {
		f.active = nil
		return errors.Join(err, file.Close(), os.Remove(filepath.Join(f.dir, name)))
	}
	return nil
}

func (f *folder) writeNote(n note) error {
	n.Time = f.cfg.now().UTC()
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	before := f.links
	if err = f.append(f.links.append(nil, "note", text)); err != nil {
		f.links = before
	}
	return err
}

// append writes whole lines and has them on disk when it returns. What could be written only in
// part is taken back.
func (f *folder) append(lines []byte) error {
	_, err := f.active.Write(lines)
	if err == nil && !f.cfg.noSync {
		err = f.active.Sync()
	}
	if err != nil {
		return errors.Join(err, f.active.Truncate(f.size))
	}
	f.size += int64(len(lines))
	return f.writeHead()
}

// due tells whether the active file is to be closed.
func (f *folder) due() bool {
	return f.size >= f.cfg.rotate || f.day != f.cfg.now().UTC().Format(time.DateOnly)
}

// rotate closes the active file, begins the next, and retires those that are too old.
func (f *folder) rotate() error {
	name, active := filepath.Base(f.active.Name()), f.active
	f.active = nil
	if err := active.Close(); err != nil {
		return err
	}
	m := fileName.FindStringSubmatch(name)
	first, err := strconv.ParseUint(m[2], 10, 64)
	if err != nil {
		return err
	}
	if err := f.compress(trailFile{name: name, first: first}); err != nil {
		return err
	}
	if err := f.open(); err != nil {
		return err
	}
	return f.retire()
}

// retire deletes the closed files whose time is over; the chain says first that it will.
func (f *folder) retire() error {
	if f.cfg.retention == 0 {
		return nil
	}
	files, err := filesOf(f.dir)
	if err != nil {
		return err
	}
	horizon := f.cfg.now().Add(-f.cfg.retention)
	n := 0
	for n+1 < len(files) && files[n].closed && files[n+1].start.Before(horizon) {
		n++
	}
	if n == 0 {
		return nil
	}
	if err := f.writeNote(note{Kind: noteRetired, UpTo: files[n].first - 1, Reason: "the retention of the trail is over"}); err != nil {
		return err
	}
	for _, file := range files[:n] {
		for _, name := range []string{file.base() + ".digest.json", file.name} {
			if err := os.Remove(filepath.Join(f.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// close ends the work on the chain.
func (f *folder) close() error {
	var err error
	if f.active != nil {
		err = f.active.Close()
	}
	return errors.Join(err, f.lock.Close())
}

func (f *folder) syncDir() error {
	if f.cfg.noSync {
		return nil
	}
	d, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// head is the last line of a chain that is on disk.
type head struct {
	Seq uint64 `json:"seq"`
	Mac string `json:"lineMac"`
}

const headFile = "head"

// writeHead keeps the end of the chain beside it, so that lines cut off its end are missed. It
// is not synced: after a loss of power it may be older than the chain, never newer.
//
// A head as long as the one before is written over it, which is a tenth of the work of a rename: no
// file is made, named and freed. It lies within one sector of a disk, which a crash leaves old or new.
func (f *folder) writeHead() error {
	sealed, _ := seal(f.cfg.key, f.links.name+"/head", marshal(head{Seq: f.links.seq, Mac: f.links.mac}))
	sealed = append(sealed, '\n')
	path := filepath.Join(f.dir, headFile)
	if overwrite(path, sealed) {
		return nil
	}
	if err := os.WriteFile(path+".new", sealed, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// overwrite writes text over a file that is as long; it reports false when it could not.
func overwrite(path string, text []byte) bool {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	info, err := file.Stat()
	fits := err == nil && info.Mode().IsRegular() && info.Size() == int64(len(text))
	if fits {
		_, err = file.WriteAt(text, 0)
	}
	return errors.Join(err, file.Close()) == nil && fits
}

// readHead reads the last line that is on disk. It reads again what is being written just now.
func readHead(dir string, key []byte) (h head, ok bool) {
	for range 10 {
		text, err := os.ReadFile(filepath.Join(dir, headFile))
		if err != nil {
			return h, false
		}
		text = bytes.TrimSuffix(text, []byte("\n"))
		if opened(key, filepath.Base(dir)+"/head", text) {
			ok = json.Unmarshal(text, &h) == nil
			return h, ok
		}
	}
	return h, false
}
