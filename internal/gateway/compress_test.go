package gateway

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"moat/internal/pure/sigv4"
)

func zipped(coding string, body []byte) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	default:
		w, _ = flate.NewWriter(&b, 9)
	}
	w.Write(body)
	w.Close()
	return b.Bytes()
}

func unzipped(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var from io.Reader = w.Body
	var err error
	switch w.Header().Get("Content-Encoding") {
	case "gzip":
		from, err = gzip.NewReader(w.Body)
	case "deflate":
		from, err = zlib.NewReader(w.Body)
	}
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(from)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}

func compressing(upstream string, least int32) Definition {
	d := caching(upstream, nil)
	d.MinimumCompression = &least
	d.Routes = append(d.Routes, Route{Path: "/up/{id}", Method: "ANY", ResourceID: "u1", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", URI: upstream + "/{id}"}})
	return d
}

// TestCompression_answers: by the API's minimum and what the client takes.
func TestCompression_answers(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("text ", 200)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunked":
			io.WriteString(w, text[:500])
			w.(http.Flusher).Flush()
			io.WriteString(w, text[500:])
		case "/encoded":
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, text)
		case "/part":
			w.Header().Set("Content-Range", "bytes 0-999/2000")
			w.WriteHeader(206)
			io.WriteString(w, text)
		case "/untouched":
			w.Header().Set("Cache-Control", "no-transform")
			io.WriteString(w, text)
		default:
			io.WriteString(w, text)
		}
	}))
	defer up.Close()
	k := newKit(t)
	k.counting(`{"statusCode":200,"body":"` + text + `"}`)
	for _, c := range []struct {
		least        int32
		path, accept string
		want         string
	}{
		{1000, "/page", "gzip", "gzip"}, {1000, "/page", "gzip", "gzip"}, // the second from the cache
		{1001, "/page", "gzip", ""}, {0, "/page", "deflate", "deflate"}, {0, "/page", "", ""}, {0, "/page", "br, zstd", ""},
		{0, "/page", "deflate, GZIP", "gzip"}, {0, "/page", "gzip;q=0.1, deflate; q=0.9", "deflate"}, {0, "/page", "gzip;q=0", ""}, {0, "/page", "*", "gzip"}, {0, "/page", "identity", ""},
		{1000, "/up/whole", "gzip", "gzip"}, {1001, "/up/whole", "gzip", ""}, {5000, "/up/chunked", "gzip", "gzip"}, {0, "/up/chunked", "", ""},
		{0, "/up/encoded", "gzip", "br"}, {0, "/up/part", "gzip", ""}, {0, "/up/untouched", "gzip", ""},
		{0, "/nothing", "gzip", ""},
	} {
		k.publish(compressing(up.URL, c.least))
		r := request("GET", c.path)
		if c.accept != "" {
			r.Header.Set("Accept-Encoding", c.accept)
		}
		w := k.serve(r)
		if got := w.Header().Get("Content-Encoding"); got != c.want {
			t.Errorf("%d %s, %q: coding %q, want %q", c.least, c.path, c.accept, got, c.want)
			continue
		}
		written, length := w.Body.Len(), w.Header().Get("Content-Length")
		if got := unzipped(t, w); got != text && w.Code < 400 {
			t.Errorf("%s: %.40s", c.path, got)
		}
		if k.last().BytesOut != int64(written) || c.want == "gzip" && (written > 500 || w.Header().Get("Vary") != "Accept-Encoding") {
			t.Errorf("%s: %d bytes, recorded %d, Content-Length %s", c.path, written, k.last().BytesOut, length)
		}
	}
	d := compressing(up.URL, 0)
	d.MinimumCompression = nil
	k.publish(d)
	if w := k.serve(request("GET", "/page", "Accept-Encoding", "gzip")); w.Header().Get("Content-Encoding") != "" {
		t.Error("compressed without being told to")
	}
}

// TestCompression_requests: a compressed body is opened once, within bounds, for validation and integration alike.
func TestCompression_requests(t *testing.T) {
	t.Parallel()
	var seen http.Header
	var got []byte
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen = r.Header
		got, _ = io.ReadAll(r.Body)
	}))
	defer up.Close()
	k := newKit(t)
	d := compressing(up.URL, 100)
	d.Models = map[string]string{"M": `{"required":["a"]}`}
	d.Routes = append(d.Routes, Route{Path: "/valid", Method: "POST", AuthorizationType: "NONE", ValidateBody: true, RequestModels: map[string]string{"application/json": "M"}, Integration: proxy("valid")})
	k.publish(d)
	send := func(path, coding string, body []byte) *httptest.ResponseRecorder {
		r := post(path, "application/json", string(body))
		if coding != "" {
			r.Header["Content-Encoding"] = []string{coding}
		}
		return k.serve(r)
	}
	plain := []byte(`{"a":"` + strings.Repeat("x", 500) + `"}`)
	for coding, body := range map[string][]byte{"gzip": zipped("gzip", plain), "X-GZIP": zipped("gzip", plain), "deflate": zipped("deflate", plain), "Deflate": zipped("bare", plain), "identity": plain, "": plain} {
		w := send("/valid", coding, body)
		var echoed struct {
			Body    string
			Headers map[string]string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &echoed); err != nil || w.Code != 200 || echoed.Body != string(plain) {
			t.Errorf("%q: status %d, %.100s", coding, w.Code, w.Body)
		}
		if _, there := echoed.Headers["Content-Encoding"]; there != (coding == "identity") {
			t.Errorf("%q: the function sees Content-Encoding: %v", coding, there)
		}
		if w := send("/up/x", coding, body); w.Code != 200 || !bytes.Equal(got, plain) || coding != "identity" && seen.Get("Content-Encoding") != "" {
			t.Errorf("%q: status %d, upstream got %d bytes, %v", coding, w.Code, len(got), seen)
		}
	}
	bomb := zipped("gzip", make([]byte, 11<<20))
	for name, c := range map[string]struct {
		coding string
		body   []byte
		status int
	}{
		"not valid":   {"gzip", zipped("gzip", []byte(`{}`)), 400},
		"not gzip":    {"gzip", plain, 400},
		"cut off":     {"gzip", zipped("gzip", plain)[:20], 400},
		"bomb":        {"gzip", bomb, 413},
		"brotli":      {"br", plain, 415},
		"twice":       {"gzip, gzip", zipped("gzip", zipped("gzip", plain)), 415},
		"empty":       {"gzip", nil, 400}, // as {}, which lacks a
		"to the brim": {"gzip", zipped("gzip", append([]byte(`{"a":1}`), bytes.Repeat([]byte(" "), maxBody-7)...)), 200},
	} {
		if w := send("/valid", c.coding, c.body); w.Code != c.status {
			t.Errorf("%s: status %d, want %d", name, w.Code, c.status)
		}
	}
	d.MinimumCompression = nil
	k.publish(d)
	if w := send("/up/x", "gzip", bomb); w.Code != 200 || !bytes.Equal(got, bomb) || seen.Get("Content-Encoding") != "gzip" {
		t.Errorf("without compression: status %d, %d bytes", w.Code, len(got))
	}
}

// TestCompression_signed: what a signature covers is the body as it was sent.
func TestCompression_signed(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.auth.docs["ASIAMEMBER"] = append(k.auth.docs["ASIAMEMBER"], document(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`))
	k.publish(compressing("http://localhost:1", 0))
	body := zipped("gzip", []byte(`{"a":1}`))
	sign := func(sent []byte) *http.Request {
		r := post("/progress", "application/json", string(body))
		r.Header.Set("Content-Encoding", "gzip")
		r = signedBody(r, "ASIAMEMBER", "member-session", body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
		return r
	}
	if w := k.serve(sign(body)); w.Code != 200 || !strings.Contains(w.Body.String(), `\"a\":1`) {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	other := zipped("gzip", []byte(`{"a":2}`))
	r := sign(other)
	r.ContentLength = int64(len(other))
	if w := k.serve(r); w.Code != 403 {
		t.Errorf("another body: status %d", w.Code)
	}
}

// signedBody signs a request with its body.
func signedBody(r *http.Request, key, session string, body []byte) *http.Request {
	s := sigv4.Request{Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Host: r.Host, Header: r.Header}
	sigv4.Sign(&s, sigv4.HashOf(body), sigv4.Credentials{AccessKeyID: key, SecretAccessKey: "member-secret", SessionToken: session}, region, "execute-api", noon)
	r.Header = s.Header
	return r
}

// TestDisabledEndpoint: the API's own address refuses, its domain names do not.
func TestDisabledEndpoint(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://localhost:1")
	d.DisableDefaultEndpoint = true
	k.publish(d)
	check(t, k.serve(request("GET", "/open")), want{403, `{"message":"Forbidden"}`, "ForbiddenException"})
	out := new(discard)
	x := exchange("/open")()
	x.Out, x.CustomDomain = out, "api.example.com"
	if k.Serve(x); out.status != 200 {
		t.Errorf("by a domain name: status %d", out.status)
	}
}
