package sandbox

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// apiPrefix begins every path of the Runtime API ("Using the Lambda runtime API for
// custom runtimes").
const apiPrefix = "/2018-06-01/runtime/"

// maxErrorReport bounds the description of an error that a runtime posts.
const maxErrorReport = MaxResponse

const (
	// maxAPIHeader and maxAPIBody bound what is read of one request; a body larger than
	// any answer is still read to its end, so that a function hears of its mistake.
	maxAPIHeader = 64 << 10
	maxAPIBody   = 64 << 20
	// maxAPIConns bounds the connections of one environment to its Runtime API.
	maxAPIConns = 32
)

// serveAPI speaks the Runtime API on one connection: strictly one request after the
// other, so a pipelined "next" waits behind the "response" it was sent with.
func (e *environment) serveAPI(c net.Conn) {
	e.mu.Lock()
	if e.exit != "" || len(e.open) >= maxAPIConns {
		e.mu.Unlock()
		_ = c.Close()
		return
	}
	e.open[c] = struct{}{}
	e.conns.Add(1)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.open, c)
		e.mu.Unlock()
		_ = c.Close()
		e.conns.Done()
	}()
	limited := &io.LimitedReader{R: c}
	a := &apiConn{env: e, limit: limited, r: bufio.NewReaderSize(limited, 16<<10), w: bufio.NewWriterSize(c, 16<<10)}
	for a.exchange() {
	}
}

type apiConn struct {
	env   *environment
	limit *io.LimitedReader // below r
	r     *bufio.Reader
	w     *bufio.Writer
}

// exchange serves one request and says whether another may follow.
func (a *apiConn) exchange() bool {
	a.limit.N = maxAPIHeader
	req, err := http.ReadRequest(a.r)
	a.limit.N = maxAPIBody
	if err != nil {
		var syntax net.Error
		if !errors.Is(err, io.EOF) && !errors.As(err, &syntax) {
			a.answer(http.StatusBadRequest, "InvalidRequest", "The request is not HTTP.")
			_ = a.w.Flush()
		}
		return false
	}
	if strings.EqualFold(req.Header.Get("Expect"), "100-continue") {
		_, _ = a.w.WriteString("HTTP/1.1 100 Continue\r\n\r\n")
		if a.w.Flush() != nil {
			return false
		}
	}
	if !a.route(req) {
		return false
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil { // what was too large is still read to its end
		return false
	}
	// A runtime that has asked for more in the same breath does not wait for this answer:
	// it gets it together with the next one, and is woken once instead of twice.
	if a.r.Buffered() > 0 && !req.Close {
		return true
	}
	return a.w.Flush() == nil && !req.Close
}

// route answers one request; false ends the connection.
func (a *apiConn) route(req *http.Request) bool {
	path := req.URL.Path
	if secret := a.env.secret; secret != "" {
		var ok bool
		if path, ok = strings.CutPrefix(path, secret); !ok {
			return a.answer(http.StatusForbidden, "Forbidden", "This is the runtime API of another function.")
		}
	}
	path, ok := strings.CutPrefix(path, apiPrefix)
	if !ok {
		return a.answer(http.StatusNotFound, "NotFound", "There is no such path in the runtime API.")
	}
	switch {
	case path == "invocation/next" && req.Method == http.MethodGet:
		return a.next()
	case path == "init/error" && req.Method == http.MethodPost:
		return a.initError(req)
	}
	id, verb, ok := strings.Cut(strings.TrimPrefix(path, "invocation/"), "/")
	if !ok || !strings.HasPrefix(path, "invocation/") || (verb != "response" && verb != "error") {
		return a.answer(http.StatusNotFound, "NotFound", "There is no such path in the runtime API.")
	}
	if req.Method != http.MethodPost {
		return a.answer(http.StatusMethodNotAllowed, "MethodNotAllowed", "This path takes POST.")
	}
	return a.complete(req, id, verb == "error")
}

// next waits for work. A second call while one waits takes its place; a call while an
// invocation has no answer is refused.
func (a *apiConn) next() bool {
	e := a.env
	e.mu.Lock()
	if e.current != nil {
		e.mu.Unlock()
		return a.answer(http.StatusForbidden, "InvalidStateTransition",
			"State transition from Running to Ready failed for runtime. Error: State transition is not allowed")
	}
	if e.waiting != nil {
		close(e.waiting)
	}
	superseded := make(chan struct{})
	e.waiting = superseded
	if !e.isReady {
		e.isReady = true
		close(e.ready)
	}
	e.mu.Unlock()
	select {
	case d := <-e.work:
		return a.deliver(d, superseded)
	case <-superseded:
		return false
	case <-e.quit:
		return false
	}
}

// deliver begins an invocation and sends it to the runtime.
func (a *apiConn) deliver(d *delivery, superseded chan struct{}) bool {
	e := a.env
	e.log.begin(d.RequestID, d.Version)
	e.mu.Lock()
	e.current = d
	if e.waiting == superseded {
		e.waiting = nil
	}
	e.mu.Unlock()
	w := a.w
	header := func(name, value string) {
		if value != "" {
			_, _ = w.WriteString(name)
			_, _ = w.WriteString(": ")
			_, _ = w.WriteString(value)
			_, _ = w.WriteString("\r\n")
		}
	}
	_, _ = w.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
	header("Content-Length", strconv.Itoa(len(d.Payload)))
	header("Lambda-Runtime-Aws-Request-Id", d.RequestID)
	header("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(d.deadline.UnixMilli(), 10))
	header("Lambda-Runtime-Invoked-Function-Arn", d.ARN)
	header("Lambda-Runtime-Trace-Id", d.TraceID)
	header("Lambda-Runtime-Client-Context", headerValue(d.ClientContext))
	header("Lambda-Runtime-Cognito-Identity", headerValue(d.CognitoIdentity))
	_, _ = w.WriteString("\r\n")
	_, err := w.Write(d.Payload)
	return err == nil
}

// headerValue keeps what a client chose from ending a header line.
func headerValue(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// complete takes the answer, or the error, of the invocation under way.
func (a *apiConn) complete(req *http.Request, id string, failed bool) bool {
	e := a.env
	e.mu.Lock()
	d := e.current
	e.mu.Unlock()
	if d == nil || d.RequestID != id {
		return a.answer(http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
	}
	body, tooLarge, err := readBody(req, MaxResponse)
	if err != nil {
		return false
	}
	if tooLarge {
		failed = true
		body = errorPayload("Function.ResponseSizeTooLarge",
			"Response payload size exceeded maximum allowed payload size ("+strconv.Itoa(MaxResponse)+" bytes).")
	}
	e.mu.Lock()
	mine := e.current == d
	if mine {
		e.current = nil
		d.payload, d.failed = body, failed
		close(d.done)
	}
	e.mu.Unlock()
	switch {
	case !mine:
		return a.answer(http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
	case tooLarge:
		return a.answer(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			"Exceeded maximum allowed payload size ("+strconv.Itoa(MaxResponse)+" bytes).")
	}
	return a.accepted()
}

// initError takes the error that keeps the runtime from becoming ready. The process is
// expected to end by itself.
func (a *apiConn) initError(req *http.Request) bool {
	e := a.env
	body, tooLarge, err := readBody(req, maxErrorReport)
	if err != nil || tooLarge {
		return false
	}
	e.mu.Lock()
	ready := e.isReady
	if !ready && e.failed == nil {
		e.failed = &failure{payload: body}
	}
	e.mu.Unlock()
	if ready {
		return a.answer(http.StatusForbidden, "InvalidStateTransition",
			"State transition from Ready to InitError failed for runtime. Error: State transition is not allowed")
	}
	if !a.accepted() || a.w.Flush() != nil {
		return false
	}
	// A runtime that stays alive after this would hold up its caller.
	timer := time.AfterFunc(time.Second, func() { e.end("its init phase failed") })
	go func() { <-e.gone; timer.Stop() }()
	return true
}

func readBody(req *http.Request, limit int) (body []byte, tooLarge bool, err error) {
	if req.ContentLength > int64(limit) {
		return nil, true, nil
	}
	if n := req.ContentLength; n >= 0 {
		body = make([]byte, n)
		_, err = io.ReadFull(req.Body, body)
		return body, false, err
	}
	body, err = io.ReadAll(io.LimitReader(req.Body, int64(limit)+1))
	if len(body) > limit {
		return nil, true, err
	}
	return body, false, err
}

func (a *apiConn) accepted() bool {
	_, err := a.w.WriteString("HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n")
	return err == nil
}

// answer sends an error of the Runtime API itself.
func (a *apiConn) answer(status int, kind, message string) bool {
	body := errorPayload(kind, message)
	_, _ = a.w.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) +
		"\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n")
	_, err := a.w.Write(body)
	return err == nil
}
