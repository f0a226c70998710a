package server

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// deadlines remembers what was set.
type deadlines []time.Time

func (d *deadlines) SetReadDeadline(t time.Time) error {
	*d = append(*d, t)
	return nil
}

func TestTimedBody(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	now := began
	var set deadlines
	b := &timedBody{ReadCloser: io.NopCloser(strings.NewReader("abc")), conn: &set, now: func() time.Time { return now }, end: began.Add(bodyTotal)}
	one := make([]byte, 1)
	for _, at := range []time.Duration{0, bodyPause / 2, bodyTotal - time.Second} {
		now = began.Add(at)
		if _, err := b.Read(one); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Read(one); err != io.EOF {
		t.Fatal(err)
	}
	want := deadlines{began.Add(bodyPause), began.Add(bodyPause / 2).Add(bodyPause), began.Add(bodyTotal), began.Add(bodyTotal), {}}
	if len(set) != len(want) {
		t.Fatalf("got %v, want %v", set, want)
	}
	for i := range want {
		if !set[i].Equal(want[i]) {
			t.Errorf("deadline %d: got %v, want %v", i, set[i], want[i])
		}
	}
}

// A handler that works longer than a body may pause is not disturbed, and a body that does
// not come ends the request.
func TestTimedBody_onAConnection(t *testing.T) {
	t.Parallel()
	const short = 50 * time.Millisecond
	outcome := make(chan error, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		b := &timedBody{ReadCloser: r.Body, conn: c, now: func() time.Time { return time.Now().Add(short - bodyPause) }, end: time.Now().Add(bodyTotal)}
		_, err := io.Copy(io.Discard, b)
		if err == nil {
			select {
			case <-r.Context().Done():
				err = r.Context().Err()
			case <-time.After(3 * short): // what a function might take
			}
		}
		outcome <- err
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	send := func(body string) error {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.Copy(c, bytes.NewReader([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"+body))); err != nil {
			t.Fatal(err)
		}
		return <-outcome
	}
	if err := send("abcd"); err != nil {
		t.Errorf("a whole body: %v", err)
	}
	if err := send("ab"); err == nil {
		t.Error("half a body was waited for")
	}
}
