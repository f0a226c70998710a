package trail

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/store"
)

// Lines are what encoding/json makes of them, with a keyed hash of what stands before it.
func TestLinks_plain(t *testing.T) {
	t.Parallel()
	const name = "chain-0123456789abcdef"
	l, prev := newLinks(master, name), firstPrev
	for i := range 5 {
		want := line{Seq: uint64(i) + 1, Prev: prev}
		var got []byte
		if i%2 == 0 {
			want.Note = &note{Kind: noteFile, Time: time.Unix(1<<30, 0).UTC(), Chain: name, Account: account}
			got = l.append([]byte("x"), "note", marshal(want.Note))
		} else {
			want.Event = json.RawMessage(fmt.Sprintf(`{"a":[%d,"\u003c"]}`, i))
			got = l.append([]byte("x"), "event", want.Event)
		}
		body := marshal(want)
		h := hmac.New(sha256.New, master)
		h.Write([]byte("22:" + name))
		h.Write(body[:len(body)-1])
		want.Mac = hex.EncodeToString(h.Sum(nil))
		if string(got) != "x"+string(marshal(want))+"\n" {
			t.Fatalf("got  %s\nwant %s", got, marshal(want))
		}
		prev = want.Mac
	}
}

// Batches share memory one after the other; what the store has are the lines of the files all the
// same, each once and in their order.
func TestService_batches(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	s := newService(t, openStore(t, c), dir, c)
	ctx, cancel := context.WithCancel(t.Context())
	var running, recording sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	const each = 60
	for n := range 4 {
		recording.Go(func() {
			for i := range each {
				r := signIn(c)
				r.RequestID, r.UserAgent = fmt.Sprintf("request-%d-%d", n, i), strings.Repeat("x", 1+n*37*i%1000)
				s.Record(r)
				if i%(n+2) == 0 {
					if err := s.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	recording.Wait()
	cancel()
	running.Wait()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rep := whole(t, dir); rep.Events != 4*each {
		t.Errorf("%d events, want %d", rep.Events, 4*each)
	}
	text, err := os.ReadFile(only(t, dir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var written, copied []string
	for _, one := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var l line
		if err := json.Unmarshal([]byte(one), &l); err != nil {
			t.Fatal(err)
		}
		if l.Event != nil {
			written = append(written, string(l.Event))
		}
	}
	var chunks []chunk
	if err := s.cfg.DB.View(t.Context(), func(tx *store.Tx) (err error) {
		chunks, err = s.chunks.List(tx, store.Query{Limit: 1000})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, chunk := range chunks {
		for _, e := range chunk.Events {
			copied = append(copied, string(e))
		}
	}
	if !slices.Equal(written, copied) {
		t.Errorf("the files have %d events, the store %d, or others", len(written), len(copied))
	}
	found, err := s.Find(t.Context(), "request-3-59")
	if err != nil || len(found) != 1 || len(found[0].UserAgent) != 1+3*37*59%1000 {
		t.Errorf("found %+v %v", found, err)
	}
}

// Memory for many events is not kept for few.
func TestSpare(t *testing.T) {
	t.Parallel()
	var s spare
	b := s.take()
	b.text = make([]byte, maxSpareText+1)
	s.put(b)
	if again := s.take(); again == b {
		t.Error("a large batch was kept")
	}
	b = &batch{entries: []entry{{mac: "x"}}, finds: []attribute{{"a", "b"}}, text: make([]byte, 5, 10)}
	s.put(b)
	if again := s.take(); again != b || len(b.entries)+len(b.finds)+len(b.text) > 0 || b.entries[:1][0].mac != "" || b.finds[:1][0].name != "" {
		t.Errorf("%+v", again)
	}
	if s.take() == b {
		t.Error("two have one batch")
	}
}
