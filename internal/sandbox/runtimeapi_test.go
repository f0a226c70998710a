package sandbox

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// talk gives the client's end of a connection to the Runtime API of an environment in
// which nothing runs.
func talk(t *testing.T) (*environment, net.Conn, *bufio.Reader) {
	t.Helper()
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	e := &environment{
		host: h, spec: &Spec{Timeout: time.Minute}, log: &logPipe{},
		ready: make(chan struct{}), work: make(chan *delivery), quit: make(chan struct{}), gone: make(chan struct{}), open: map[net.Conn]struct{}{},
	}
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); e.serveAPI(theirs) }()
	t.Cleanup(func() { close(e.quit); ours.Close(); <-done })
	_ = ours.SetDeadline(time.Now().Add(20 * time.Second))
	return e, ours, bufio.NewReader(ours)
}

func answerTo(t *testing.T, c net.Conn, r *bufio.Reader, request string) (int, string) {
	t.Helper()
	go func() { _, _ = io.WriteString(c, request) }()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestRuntimeAPI(t *testing.T) {
	t.Parallel()
	post := func(path, body string) string {
		return fmt.Sprintf("POST /2018-06-01/runtime/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	}
	e, c, r := talk(t)
	for _, x := range []struct {
		request string
		status  int
		body    string
	}{
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404, "NotFound"},
		{"GET /2018-06-01/runtime/invocation/x/response HTTP/1.1\r\nHost: x\r\n\r\n", 405, "MethodNotAllowed"},
		{post("invocation/x/other", ""), 404, "NotFound"},
		{post("invocation/x/response", "{}"), 400, "InvalidRequestID"},
		{post("invocation/x/error", "{}"), 400, "InvalidRequestID"},
	} {
		if status, body := answerTo(t, c, r, x.request); status != x.status || !strings.Contains(body, x.body) {
			t.Errorf("%.60q: got %d %s, want %d %s", x.request, status, body, x.status, x.body)
		}
	}
	d := &delivery{Invocation: Invocation{RequestID: "id", Payload: []byte(`1`), ARN: "arn", TraceID: "trace", ClientContext: "{\"a\":\"\r\nX: y\"}"}, done: make(chan struct{})}
	go func() { e.work <- d }()
	go func() {
		_, _ = io.WriteString(c, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	}()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "1" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	for name, want := range map[string]string{
		"Lambda-Runtime-Aws-Request-Id": "id", "Lambda-Runtime-Invoked-Function-Arn": "arn", "Lambda-Runtime-Trace-Id": "trace",
		"Lambda-Runtime-Client-Context": `{"a":"  X: y"}`, "X": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if status, body := answerTo(t, c, r, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"); status != 403 || !strings.Contains(body, "InvalidStateTransition") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := answerTo(t, c, r, post("init/error", "{}")); status != 403 || !strings.Contains(body, "InvalidStateTransition") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := answerTo(t, c, r, post("invocation/id/response", strings.Repeat("x", MaxResponse+1))); status != 413 || !strings.Contains(body, "RequestEntityTooLarge") {
		t.Errorf("%d %s", status, body)
	}
	<-d.done
	if !d.failed || !strings.Contains(string(d.payload), "Function.ResponseSizeTooLarge") {
		t.Errorf("%s", d.payload)
	}
	if status, _ := answerTo(t, c, r, post("invocation/id/response", "2")); status != 400 {
		t.Errorf("a second answer: %d", status)
	}
}

func TestRuntimeAPI_hostile(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"not HTTP":       "hello\r\n\r\n",
		"endless header": "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 2*maxAPIHeader),
		"two lengths":    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"no length":      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c, r := talk(t)
			go func() { _, _ = io.WriteString(c, request) }()
			resp, err := http.ReadResponse(r, nil)
			if err == nil && resp.StatusCode != 400 {
				t.Errorf("got %d", resp.StatusCode)
			}
			if _, err := io.Copy(io.Discard, r); err != nil && !strings.Contains(err.Error(), "closed pipe") {
				t.Errorf("the connection stays open: %v", err)
			}
		})
	}
}
