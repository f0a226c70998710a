package http1

import (
	"errors"
	"io"
	"testing"
	"time"
)

// Who takes a little of an answer again and again has ten minutes for the whole where its length
// was announced, and as long as he likes where it is streamed.
func TestServer_SteadyReader(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{1 << 30, -1} {
		failed := make(chan error, 1)
		s := start(t, Config{BodyPause: time.Hour, Handler: func(w *Response, r *Request) {
			w.Head(200, nil, length)
			for err := error(nil); err == nil; {
				if _, err = w.Write(make([]byte, 64<<10)); err != nil {
					failed <- err
				}
			}
		}})
		c := s.dial()
		send(t, c, get+"\r\n")
		for passed := time.Duration(0); passed < 11*time.Minute; passed += 5 * time.Second {
			if _, err := io.CopyN(io.Discard, c, 64<<10); err != nil {
				break
			}
			s.pass(5 * time.Second)
		}
		if length >= 0 {
			if err := <-failed; !errors.Is(err, ErrTimeout) {
				t.Errorf("an answer of a length: %v", err)
			}
			continue
		}
		select {
		case err := <-failed:
			t.Errorf("a streamed answer: %v", err)
		default:
			c.Close()
			<-failed
		}
	}
}
