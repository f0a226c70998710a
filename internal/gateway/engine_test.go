package gateway

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"moat/internal/http1"
)

// onHTTP1 says that the kit's requests go over the engine of the plain port, not over net/http.
var onHTTP1 bool

// Every test runs on both engines.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && flag.Lookup("test.bench").Value.String() == "" { // benchmarks need no engine
		onHTTP1 = true
		code = m.Run()
	}
	os.Exit(code)
}

// answer serves a request on the engine that is under test.
func answerOn(g *Gateway, w *httptest.ResponseRecorder, r *http.Request, api, stage, path string) {
	answerBy(g, nil, w, r, api, stage, path)
}

// answerBy is answerOn for a request that came by a VPC endpoint, or by none.
func answerBy(g *Gateway, e *VPCEndpoint, w *httptest.ResponseRecorder, r *http.Request, api, stage, path string) {
	if !onHTTP1 || !sendable(r) {
		g.ServeAPIBy(e, w, r, api, stage, path)
		return
	}
	s := http1.NewServer(http1.Config{Handler: func(w *http1.Response, r *http1.Request) {
		defer scribble(r)()
		g.ServeHTTP1By(context.Background(), e, w, r, api, stage, path)
	}})
	mine, theirs := net.Pipe()
	go s.ServeConn(named{theirs, r.RemoteAddr})
	go func() { _, _ = mine.Write(onWire(r)) }()
	raw, _ := io.ReadAll(mine)
	mine.Close()
	if err := fromWire(w, raw, r.Method); err != nil {
		panic(fmt.Sprint(err, ": ", string(raw)))
	}
}

// scribble gives a function that overwrites what a request's strings are views of: what has kept
// one and not copied it shows.
func scribble(r *http1.Request) func() {
	views := []string{r.Target, r.Host}
	for _, f := range r.Fields {
		views = append(views, f.Name, f.Value)
	}
	return func() {
		for _, s := range views {
			for i := range unsafe.Slice(unsafe.StringData(s), len(s)) {
				unsafe.Slice(unsafe.StringData(s), len(s))[i] = '!'
			}
		}
	}
}

type named struct {
	net.Conn
	addr string
}

func (n named) RemoteAddr() net.Addr {
	at, err := netip.ParseAddrPort(n.addr)
	if err != nil {
		at = netip.MustParseAddrPort("192.0.2.1:1234")
	}
	return net.TCPAddrFromAddrPort(at)
}

// sendable reports whether a request can come over a connection as it is: values have no
// blanks around them there, and no control characters.
func sendable(r *http.Request) bool {
	for name, values := range r.Header {
		for _, v := range values {
			if !validName(name) || !validValue(v) || strings.TrimSpace(v) != v {
				return false
			}
		}
	}
	return true
}

// onWire writes a request as it stands, with nothing added.
func onWire(r *http.Request) []byte {
	var b bytes.Buffer
	uri := r.RequestURI
	if i := strings.Index(uri, "://"); i >= 0 {
		uri = r.URL.RequestURI()
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, uri, r.Host)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, v := range r.Header[name] {
			if !strings.EqualFold(name, "Content-Length") && !strings.EqualFold(name, "Transfer-Encoding") {
				fmt.Fprintf(&b, "%s: %s\r\n", name, v)
			}
		}
	}
	if !strings.EqualFold(r.Header.Get("Connection"), "close") {
		b.WriteString("Connection: close\r\n")
	}
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	switch {
	case r.ContentLength < 0:
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	case r.ContentLength > 0 || len(body) > 0:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", max(r.ContentLength, int64(len(body))), body)
	default:
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// fromWire reads an answer; its names keep their case.
func fromWire(w *httptest.ResponseRecorder, raw []byte, method string) error {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: method})
	if err != nil {
		return err
	}
	head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok && name != "Connection" && name != "Transfer-Encoding" && name != "Date" {
			if strings.EqualFold(name, "Content-Type") {
				name = "Content-Type"
			}
			w.Header()[name] = append(w.Header()[name], value)
		}
	}
	w.WriteHeader(resp.StatusCode)
	_, err = io.Copy(w, resp.Body)
	return err
}
