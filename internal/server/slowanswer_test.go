package server

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// slowClient notes the deadlines of what is written to it.
type slowClient struct {
	*httptest.ResponseRecorder
	pieces []int
	before []time.Time // the deadline of each piece
	read   []time.Time
	now    time.Time
}

func (c *slowClient) SetReadDeadline(t time.Time) error {
	c.read = append(c.read, t)
	return nil
}

func (c *slowClient) SetWriteDeadline(t time.Time) error {
	c.now = t
	return nil
}

func (c *slowClient) Write(p []byte) (int, error) {
	c.pieces, c.before = append(c.pieces, len(p)), append(c.before, c.now)
	return c.ResponseRecorder.Write(p)
}

// Each piece of an answer has its time, the whole has one, and between pieces none passes.
func TestTimedWriter(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	now := began
	c := &slowClient{ResponseRecorder: httptest.NewRecorder()}
	w := &timedWriter{ResponseWriter: c, conn: c, now: func() time.Time { return now }, end: began.Add(answerTimeout)}
	if n, err := w.Write(make([]byte, 2*writePiece+1)); n != 2*writePiece+1 || err != nil {
		t.Fatal(n, err)
	}
	if pause := began.Add(bodyPause); !slices.Equal(c.pieces, []int{writePiece, writePiece, 1}) || !slices.Equal(c.before, []time.Time{pause, pause, pause}) {
		t.Errorf("pieces %v, deadlines %v", c.pieces, c.before)
	}
	if !c.now.Equal(began.Add(answerTimeout)) {
		t.Errorf("between pieces: %v", c.now)
	}
	now = began.Add(answerTimeout - time.Second)
	if _, err := w.Write([]byte("x")); err != nil || !c.before[3].Equal(began.Add(answerTimeout)) {
		t.Errorf("at the end: %v %v", c.before[3], err)
	}
	now = began
	w.last()
	if !c.now.Equal(began.Add(bodyPause)) {
		t.Errorf("behind the handler: %v", c.now)
	}
}

// The head does not wait for a body that nobody reads, nor is the time of one that is read touched.
func TestTimedWriter_body(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		done, lifts, reading bool
		want                 int
	}{{false, false, false, 1}, {true, false, false, 0}, {false, true, false, 0}, {false, false, true, 0}} {
		c := &slowClient{ResponseRecorder: httptest.NewRecorder()}
		b := &timedBody{conn: c, now: func() time.Time { return now }, end: now.Add(bodyTotal), done: tt.done, lifts: tt.lifts, reading: tt.reading}
		w := &timedWriter{ResponseWriter: c, conn: c, now: b.now, end: b.end, body: b}
		w.WriteHeader(http.StatusEarlyHints)
		if len(c.read) > 0 {
			t.Errorf("%+v: an interim answer set %v", tt, c.read)
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("no"))
		if len(c.read) != tt.want || tt.want > 0 && !c.read[0].Equal(now.Add(unreadTime)) {
			t.Errorf("%+v: %v", tt, c.read)
		}
	}
}
