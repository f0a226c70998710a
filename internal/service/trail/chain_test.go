package trail

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestVerify_whole(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	s := newService(t, openStore(t, c), dir, c)
	record(t, s, some(c, 5)...)
	rep := whole(t, dir)
	if rep.Chains != 1 || rep.Files != 1 || rep.Lines != 6 || rep.Events != 5 || !rep.From.Equal(c.Now()) {
		t.Errorf("report %+v", rep)
	}
	if _, err := Verify(t.TempDir(), master); err == nil {
		t.Error("a folder without a trail is whole")
	}
	other := bytes.Repeat([]byte{8}, 32)
	if rep, err := Verify(dir, other); err != nil || len(rep.Breaks) != 1 || !strings.Contains(rep.Breaks[0], "master key") {
		t.Errorf("another master key: %+v %v", rep, err)
	}
}

// Whatever is done to the lines shows, and the sentence says where.
func TestVerify_altered(t *testing.T) {
	t.Parallel()
	lines := func(text []byte) [][]byte { return bytes.SplitAfter(text, []byte("\n")) }
	join := func(l ...[]byte) []byte { return bytes.Join(l, nil) }
	for _, tc := range []struct {
		name   string
		change func(text []byte) []byte
		want   []string
	}{
		{"a word of a line", func(b []byte) []byte { return bytes.Replace(b, []byte("request-2"), []byte("request-9"), 1) }, []string{"behind line 3", "not as it was written"}},
		{"a hash of a line", func(b []byte) []byte {
			l := lines(b)
			l[2] = bytes.Replace(l[2], []byte(`"mac":"`), []byte(`"mac":"f`), 1)
			return join(l...)
		}, []string{"behind line 2", "not as it was written"}},
		{"a line removed", func(b []byte) []byte { l := lines(b); return join(l[0], l[1], l[3], l[4], l[5]) }, []string{"line 3 is missing before line 4"}},
		{"lines removed", func(b []byte) []byte { l := lines(b); return join(l[0], l[4], l[5]) }, []string{"lines 2 to 4 are missing before line 5"}},
		{"lines swapped", func(b []byte) []byte { l := lines(b); return join(l[0], l[2], l[1], l[3], l[4], l[5]) }, []string{"line 2 is missing before line 3"}},
		{"a line repeated", func(b []byte) []byte { l := lines(b); return join(l[0], l[1], l[1], l[2], l[3], l[4], l[5]) }, []string{"line 2 stands behind line 2"}},
		{"the end cut off", func(b []byte) []byte { l := lines(b); return join(l[0], l[1], l[2]) }, []string{"the end is cut off", "lines 4 to 6 are gone"}},
		{"the beginning cut off", func(b []byte) []byte { l := lines(b); return join(l[2:]...) }, []string{"lines 1 to 2 are gone"}},
		{"a member added behind the hash", func(b []byte) []byte {
			l := lines(b)
			l[3] = append(bytes.TrimSuffix(l[3], []byte("}\n")), []byte(`,"x":1}`+"\n")...)
			return join(l...)
		}, []string{"behind line 3", "not as it was written"}},
		{"everything", func([]byte) []byte { return nil }, []string{"the end is cut off", "lines 1 to 6 are gone"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, dir := newClock(), t.TempDir()
			record(t, newService(t, openStore(t, c), dir, c), some(c, 5)...)
			change(t, only(t, dir, "*.jsonl"), tc.change)
			breaksWith(t, dir, tc.want...)
		})
	}
}

// Who has the files but no key cannot make a line, a head or a digest of his own.
func TestVerify_forgedHead(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	record(t, newService(t, openStore(t, c), dir, c), some(c, 3)...)
	change(t, only(t, dir, "*.jsonl"), func(b []byte) []byte { return bytes.Join(bytes.SplitAfter(b, []byte("\n"))[:2], nil) })
	change(t, only(t, dir, "head"), func(b []byte) []byte { return bytes.Replace(b, []byte(`"seq":4`), []byte(`"seq":2`), 1) })
	breaksWith(t, dir, "its head is gone or altered")
	if err := os.Remove(only(t, dir, "head")); err != nil {
		t.Fatal(err)
	}
	breaksWith(t, dir, "its head is gone or altered")
}

// A file is closed at the end of the day or when it is large, compressed, and vouched for.
func TestFolder_rotate(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	s := newService(t, openStore(t, c), dir, c)
	record(t, s, some(c, 2)...)
	c.advance(24 * time.Hour)
	record(t, s, some(c, 2)...)
	c.advance(24 * time.Hour)
	record(t, s, some(c, 1)...)
	rep := whole(t, dir)
	if rep.Files != 3 || rep.Events != 5 {
		t.Errorf("report %+v", rep)
	}
	closed, _ := filepath.Glob(filepath.Join(dir, "chain-*", "*.jsonl.gz"))
	var d digest
	text, err := os.ReadFile(strings.TrimSuffix(closed[1], ".jsonl.gz") + ".digest.json")
	if err != nil || json.Unmarshal(text, &d) != nil {
		t.Fatal(err)
	}
	if d.AWSAccountID != account || d.LogFiles[0].FirstLine != 4 || d.LogFiles[0].LastLine != 6 || d.PreviousDigestSignature == "" || d.OldestEventTime != "2026-11-21T12:00:00Z" {
		t.Errorf("digest %+v", d)
	}

	t.Run("a closed file altered", func(t *testing.T) {
		change(t, closed[0], func(b []byte) []byte {
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			w := gzip.NewWriter(&out)
			_, _ = w.Write(bytes.Replace(plain, []byte("request-0"), []byte("request-x"), 1))
			_ = w.Close()
			return out.Bytes()
		})
		breaksWith(t, dir, "not as it was written")
	})
	t.Run("a closed file removed", func(t *testing.T) {
		for _, suffix := range []string{".jsonl.gz", ".digest.json"} {
			if err := os.Remove(strings.TrimSuffix(closed[0], ".jsonl.gz") + suffix); err != nil {
				t.Fatal(err)
			}
		}
		breaksWith(t, dir, "lines 1 to 3 are gone", "nothing in the chain says")
	})
	t.Run("its digest removed", func(t *testing.T) {
		if err := os.Remove(strings.TrimSuffix(closed[1], ".jsonl.gz") + ".digest.json"); err != nil {
			t.Fatal(err)
		}
		breaksWith(t, dir, "the digest", "is gone")
	})
}

func TestFolder_rotateBySize(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	s := newService(t, openStore(t, c), dir, c, func(cfg *Config) { cfg.RotateBytes = 1000 })
	for range 4 {
		record(t, s, some(c, 1)...)
	}
	if rep := whole(t, dir); rep.Files < 2 || rep.Events != 4 {
		t.Errorf("report %+v", rep)
	}
}

// Files whose time is over go; the chain says so first and stays whole.
func TestFolder_retire(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	s := newService(t, openStore(t, c), dir, c, func(cfg *Config) { cfg.Retention = 48 * time.Hour })
	for range 6 {
		record(t, s, some(c, 1)...)
		c.advance(24 * time.Hour)
	}
	rep := whole(t, dir)
	if rep.Events >= 6 || rep.Events < 2 {
		t.Errorf("report %+v", rep)
	}
	files, err := filepath.Glob(filepath.Join(dir, "chain-*", "*.gz"))
	if err != nil || int64(len(files)) != rep.Events-1 {
		t.Errorf("files %v %v", files, err)
	}
}

// After a crash in the middle of a line the chain goes on behind the last whole one.
func TestFolder_crash(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	db := openStore(t, c)
	s := newService(t, db, dir, c)
	record(t, s, some(c, 3)...)
	s.folder.lock.Close() // as the end of a process does
	change(t, only(t, dir, "*.jsonl"), func(b []byte) []byte { return append(b, `{"seq":5,"prev":"`...) })
	whole(t, dir)

	s = newService(t, db, dir, c)
	record(t, s, some(c, 2)...)
	rep := whole(t, dir)
	if rep.Chains != 1 || rep.Events != 5 || rep.Files != 2 {
		t.Errorf("report %+v", rep)
	}
}

// Lines that were written and not copied to the store before a crash are copied at the next start.
func TestService_catchesUp(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	db := openStore(t, c)
	s := newService(t, db, dir, c)
	record(t, s, a(c, "copied", "CreateUser"))
	s.Record(a(c, "written", "CreateUser"))
	s.drain()
	s.folder.lock.Close()

	s = newService(t, db, dir, c)
	for _, id := range []string{"copied", "written"} {
		if found, err := s.Find(t.Context(), id); err != nil || len(found) != 1 {
			t.Errorf("%s: %v %v", id, found, err)
		}
	}
}

// Lines cut off the end while nobody wrote are missed at the next start: the store knows of them.
func TestFolder_cutWhileDown(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	db := openStore(t, c)
	s := newService(t, db, dir, c)
	record(t, s, some(c, 3)...)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	change(t, only(t, dir, "*.jsonl"), func(b []byte) []byte { return bytes.Join(bytes.SplitAfter(b, []byte("\n"))[:2], nil) })
	if err := os.Remove(only(t, dir, "head")); err != nil { // the store still knows
		t.Fatal(err)
	}
	s = newService(t, db, dir, c)
	record(t, s, some(c, 1)...)
	breaksWith(t, dir, "lines 3 to 4 are missing")
}

// A second process takes a chain of its own.
func TestFolder_two(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	db := openStore(t, c)
	first, second := newService(t, db, dir, c), newService(t, db, dir, c)
	record(t, first, a(c, "one", "CreateUser"))
	record(t, second, a(c, "two", "CreateUser"))
	if rep := whole(t, dir); rep.Chains != 2 || rep.Events != 2 {
		t.Errorf("report %+v", rep)
	}
	for _, s := range []*Service{first, second} {
		for _, id := range []string{"one", "two"} {
			if found, err := s.Find(t.Context(), id); err != nil || len(found) != 1 {
				t.Errorf("%s: %v %v", id, found, err)
			}
		}
	}
}

// When nothing can be written a request waits; what is lost in the end stands in the chain.
func TestService_lost(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	s := newService(t, openStore(t, c), dir, c, func(cfg *Config) { cfg.Patience = time.Millisecond })
	big := a(c, "big", "CreateUser")
	big.BytesIn = maxQueuedBytes
	s.Record(big)
	s.Record(a(c, "lost", "CreateUser")) // there is no room, and nobody makes any
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rep := whole(t, dir); rep.Lost != 1 || rep.Events != 1 {
		t.Errorf("report %+v", rep)
	}
}

// A file that cannot be written keeps its events until it can.
func TestService_writeFails(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	s := newService(t, openStore(t, c), dir, c)
	good := s.folder.active
	bad, err := os.Open(good.Name()) // for reading only
	if err != nil {
		t.Fatal(err)
	}
	s.folder.active = bad
	s.Record(a(c, "kept", "CreateUser"))
	if s.drain() {
		t.Fatal("it was written to a file that cannot be written")
	}
	s.folder.active = good
	_ = bad.Close()
	record(t, s, a(c, "next", "CreateUser"))
	if rep := whole(t, dir); rep.Events != 2 || rep.Lost != 0 {
		t.Errorf("report %+v", rep)
	}
}

// A head is written over the one before; one that is longer, or that somebody touched, is a new file.
func TestFolder_head(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	s := newService(t, openStore(t, c), dir, c)
	next := func() os.FileInfo {
		t.Helper()
		record(t, s, some(c, 1)...)
		whole(t, dir)
		info, err := os.Stat(only(t, dir, "head"))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first, second := next(), next()
	if !os.SameFile(first, second) {
		t.Error("a head of the same length is a new file")
	}
	for s.folder.links.seq < 9 {
		second = next()
	}
	if tenth := next(); os.SameFile(second, tenth) || tenth.Size() != second.Size()+1 {
		t.Error("a longer head was written over a shorter one")
	}
	for _, text := range []string{"", "{", strings.Repeat("x", 1000)} {
		change(t, only(t, dir, "head"), func([]byte) []byte { return []byte(text) })
		breaksWith(t, dir, "its head is gone or altered")
		next()
	}
	if err := os.Remove(only(t, dir, "head")); err != nil {
		t.Fatal(err)
	}
	next()
}

// What holds no event's time has none, and what does has that of [newEventID].
func TestTimeOfID(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 12, 0, 0, 5e6, time.UTC)
	id, err := newEventID(at, zeros{})
	if got, ok := timeOfID(id); err != nil || !ok || !got.Equal(at) || id != "01a1f8d3-ea05-7000-8000-000000000000" {
		t.Errorf("%s: %v %v %v", id, got, ok, err)
	}
	for _, id := range []string{"", "x", strings.ReplaceAll(id, "-", ""), "01a1f8d3-ea05-4000-8000-000000000000", "-1a1f8d3-ea05-7000-8000-000000000000", "+1a1f8d3-ea05-7000-8000-000000000000"} {
		if got, ok := timeOfID(id); ok {
			t.Errorf("%s: %v", id, got)
		}
	}
}
