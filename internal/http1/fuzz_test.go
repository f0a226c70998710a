package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// seeds gives the corpora to a fuzzer.
func seeds(f *testing.F, side string) {
	files, _ := filepath.Glob("testdata/llhttp/" + side + "/*.md")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "```http\n")[1:] {
			input, _, _ := strings.Cut(part, "\n```")
			f.Add([]byte(withHost(llInput(input))))
		}
	}
}

// same compares fields with a header of net/http, which leaves out and adds a few.
func same(t *testing.T, fields []Field, h http.Header) {
	t.Helper()
	mine := http.Header{}
	for _, f := range fields {
		mine.Add(f.Name, f.Value)
	}
	if p := h["Pragma"]; len(p) > 0 && p[0] == "no-cache" && mine["Cache-Control"] == nil {
		delete(h, "Cache-Control") // net/http adds it
	}
	for _, name := range []string{"Content-Length", "Trailer", "Connection", "Upgrade", "Http2-Settings"} {
		delete(mine, name)
		delete(h, name)
	}
	for name, values := range mine {
		if !slices.Equal(values, h[name]) {
			t.Errorf("field %s: %q, net/http: %q", name, values, h[name])
		}
	}
	if len(mine) != len(h) {
		t.Errorf("fields %q, net/http: %q", mine, h)
	}
}

// What this package reads, net/http reads alike, request after request; and it does not
// matter in which pieces it comes.
func FuzzRequest(f *testing.F) {
	seeds(f, "request")
	for _, v := range vectors() {
		f.Add([]byte(v.text + next))
	}
	for _, v := range upgrades() {
		f.Add([]byte(v.text + next))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 4<<10 {
			return
		}
		seen, answers := reads(string(input), 0)
		for _, piece := range []int{1, 13} {
			again, other := reads(string(input), piece)
			if len(again) != len(seen) || statuses(other) != statuses(answers) {
				t.Fatalf("in pieces of %d: %s, whole: %s", piece, statuses(other), statuses(answers))
			}
		}
		r := bufio.NewReader(bytes.NewReader(input))
		for _, m := range seen {
			if m.err != nil {
				return
			}
			if b, _ := r.Peek(2); string(b) == "\r\n" {
				_, _ = r.Discard(2)
			}
			req, err := http.ReadRequest(r)
			for err == nil && req.RequestURI == "*" && m.target != "*" { // the engine answers this itself
				_, _ = io.Copy(io.Discard, req.Body)
				if b, _ := r.Peek(2); string(b) == "\r\n" {
					_, _ = r.Discard(2)
				}
				req, err = http.ReadRequest(r)
			}
			if err != nil {
				if strings.Contains(err.Error(), "invalid URL escape") || strings.Contains(err.Error(), "parse ") {
					return // the path's escapes are the router's to judge
				}
				t.Fatalf("%s %s is read; net/http: %v", m.method, m.target, err)
			}
			body, err := io.ReadAll(req.Body)
			if err != nil || string(body) != m.body {
				t.Fatalf("body %q; net/http: %q %v", m.body, body, err)
			}
			if req.Method != m.method || req.RequestURI != m.target || req.Host != m.host {
				t.Fatalf("%s %s %s; net/http: %s %s %s", m.method, m.target, m.host, req.Method, req.RequestURI, req.Host)
			}
			same(t, m.fields, req.Header)
		}
	})
}

// The same for answers.
func FuzzReply(f *testing.F) {
	seeds(f, "response")
	for _, text := range []string{fine, "HTTP/1.1 200 OK\r\n\r\nto the end", "HTTP/1.1 100 Continue\r\n\r\n" + fine, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nA: b\r\n\r\n"} {
		f.Add([]byte(text))
	}
	for _, h := range hostiles() {
		f.Add([]byte(h.second))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 4<<10 {
			return
		}
		c := NewClient(ClientConfig{Dial: dialScript(input)})
		reply, err := c.Pool("http", "a").Do(&Call{Method: "GET", Target: "/", Host: "a"})
		status, text, err2 := replies(string(input), 3)
		if err != nil {
			if err2 == nil {
				t.Fatalf("in pieces: %d %q, whole: %v", status, text, err)
			}
			return
		}
		fields := slices.Clone(reply.Fields)
		body, err := io.ReadAll(reply)
		if (err == nil) != (err2 == nil) || err == nil && (string(body) != text || status != reply.Status) {
			t.Fatalf("in pieces: %d %q %v, whole: %d %q %v", status, text, err2, reply.Status, body, err)
		}
		if err != nil {
			return
		}
		r := bufio.NewReader(bytes.NewReader(input))
		var resp *http.Response
		for resp == nil || resp.StatusCode < 200 {
			if resp, err = http.ReadResponse(r, nil); err != nil {
				t.Fatalf("%d %q is read; net/http: %v", reply.Status, body, err)
			}
		}
		theirs, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != reply.Status || string(theirs) != string(body) {
			t.Fatalf("%d %q; net/http: %d %q %v", reply.Status, body, resp.StatusCode, theirs, err)
		}
		same(t, fields, resp.Header)
	})
}
