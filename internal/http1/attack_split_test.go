package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// mangled takes right requests and breaks each in every place, in the ways that parsers
// are known to repair.
func mangled() [][]byte {
	var out [][]byte
	for _, text := range []string{
		"POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: u\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
	} {
		for i := range len(text) + 1 {
			for _, put := range []string{"\r", "\n", "\r\n", " ", "\t", "\x00", "\x7f", "\xff", ":", ";", ",", "0", "\v", "\"", "%"} {
				out = append(out, []byte(text[:i]+put+text[i:]))
			}
			if i < len(text) {
				out = append(out, []byte(text[:i]+text[i+1:]), []byte(text[:i]+text[i:i+1]+text[i:]))
			}
		}
	}
	return out
}

// For every broken stream, split at every byte: what is handled are requests that net/http
// frames in the same way, one answer each, and a refusal is the last of them.
func TestAttack_MangledRequests(t *testing.T) {
	t.Parallel()
	inputs := mangled()
	for _, v := range vectors() {
		if len(v.text) < 400 {
			inputs = append(inputs, []byte(v.text))
		}
	}
	for _, input := range inputs {
		text := string(input) + next
		seen, answers := reads(text, 0)
		codes := strings.Fields(statuses(answers))
		for i, code := range codes[:max(len(codes)-1, 0)] {
			if code != "200" {
				t.Errorf("%q: answer %d is %s and not the last of %v", text, i, code, codes)
			}
		}
		if again, other := reads(text, 1); len(again) != len(seen) || statuses(other) != statuses(answers) {
			t.Errorf("%q: byte by byte %s, whole %s", text, statuses(other), statuses(answers))
		}
		framedAlike(t, text, seen, len(codes))
	}
}

// framedAlike reads a text with net/http as far as requests were handled.
func framedAlike(t *testing.T, text string, seen []message, answers int) {
	t.Helper()
	if len(seen) > answers {
		t.Errorf("%q: %d requests were handled, %d answered", text, len(seen), answers)
	}
	r := bufio.NewReader(strings.NewReader(text))
	for _, m := range seen {
		if b, _ := r.Peek(2); bytes.Equal(b, []byte("\r\n")) {
			_, _ = r.Discard(2)
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			if !strings.Contains(err.Error(), "parse ") { // escapes of a path are the router's
				t.Errorf("%q: %s %s is handled; net/http: %v", text, m.method, m.target, err)
			}
			return
		}
		body, err := io.ReadAll(req.Body)
		if m.err != nil {
			return // refused while it was read; nothing is handled behind it
		}
		if err != nil || string(body) != m.body || req.Method != m.method || req.RequestURI != m.target || req.Host != m.host {
			t.Errorf("%q: %s %s %s %q; net/http: %s %s %s %q %v", text, m.method, m.target, m.host, m.body, req.Method, req.RequestURI, req.Host, body, err)
		}
	}
}

// Whatever place a stream is split in, it is read alike.
func TestAttack_EverySplit(t *testing.T) {
	t.Parallel()
	for _, v := range vectors() {
		if len(v.text) > 200 {
			continue
		}
		text := v.text + next
		_, whole := reads(text, 0)
		for at := 1; at < len(text); at++ {
			s := NewServer(Config{Handler: func(w *Response, r *Request) {
				if _, err := io.ReadAll(r.Body); err != nil {
					w.close = true
					w.fail(400, "the body")
					return
				}
				w.Head(200, nil, 0)
			}})
			sc := &script{in: []byte(text), piece: at}
			s.ServeConn(sc)
			if got := statuses(sc.out.String()); got != statuses(whole) {
				t.Errorf("%s, in pieces of %d: %s, whole %s", v.name, at, got, statuses(whole))
			}
		}
	}
}
