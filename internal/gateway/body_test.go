package gateway

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	send := func(size int) *httptest.ResponseRecorder {
		r := request("GET", "/open", "Connection", "close")
		left := size - len("Host: \r\n") - len(r.Host)
		for name, values := range r.Header {
			left -= len(name) + len(": \r\n") + len(values[0])
		}
		r.Header.Set("X-Long", strings.Repeat("a", left-len("X-Long: \r\n")))
		return k.serve(r)
	}
	check(t, send(maxFields), ok)
	check(t, send(maxFields+1), want{431, `{"message":"HTTP header is larger than 10240 bytes."}`, "RequestHeaderFieldsTooLargeException"})
	if r := k.last(); r.Step != "match" || r.Status != 431 {
		t.Errorf("record: %+v", r)
	}
}

// An integration's answer has at most 10 MB; one that does not say its length breaks off there.
func TestAnswerLimit(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	uri, _ := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.URL.Query().Get("size"))
		if r.URL.Query().Get("say") != "" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		} else {
			w.(http.Flusher).Flush()
		}
		piece := make([]byte, 64<<10)
		for ; size > 0; size -= len(piece) {
			if _, err := w.Write(piece[:min(size, len(piece))]); err != nil {
				return
			}
		}
	})
	mapped := patient(Route{Path: "/mapped", Method: "ANY", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP", Method: "GET", URI: uri, Responses: []IntegrationResponse{{StatusCode: "200"}}, RequestParameters: map[string]string{"integration.request.querystring.size": "method.request.querystring.size", "integration.request.querystring.say": "method.request.querystring.say"}}})
	k.publish(withHTTP(uri, nil, mapped))
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.ServeAPI(w, r, apiID, "api", r.URL.EscapedPath())
	}))
	defer front.Close()
	ask := func(method, path string) (int, int, error) {
		req, _ := http.NewRequest(method, front.URL+path, nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, 0, err
		}
		defer resp.Body.Close()
		n, err := io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, int(n), err
	}
	for _, path := range []string{"/files/x", "/mapped"} {
		for _, say := range []string{"", "&say=1"} {
			if status, n, err := ask("GET", fmt.Sprint(path, "?size=", maxBody, say)); status != 200 || n != maxBody || err != nil {
				t.Errorf("%s%s: %d, %d bytes, %v", path, say, status, n, err)
			}
			status, n, err := ask("GET", fmt.Sprint(path, "?size=", maxBody+1, say))
			if broken := path == "/files/x" && say == ""; broken && (err == nil || n > maxBody) || !broken && (status != 500 || err != nil) {
				t.Errorf("%s%s, a byte more: %d, %d bytes, %v", path, say, status, n, err)
			}
			if status != 500 {
				continue
			}
			if g := k.last().Grounds; g != "Integration response of reported length 10485761 is larger than allowed maximum of 10485760 bytes." {
				t.Error(g)
			}
		}
	}
	if status, _, err := ask("HEAD", fmt.Sprint("/files/x?say=1&size=", maxBody+1)); status != 200 || err != nil {
		t.Errorf("HEAD: %d %v", status, err)
	}
}

// Longer bodies share a bounded room: when it is taken, who brings one is sent away, for a moment.
func TestRoom(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://localhost:1")
	least := int32(0)
	d.MinimumCompression = &least
	k.publish(d)
	k.invoker.f = func(Invocation) (Result, error) { return Result{Payload: []byte(`{"body":""}`)}, nil }
	send := func(body []byte, headers ...string) *httptest.ResponseRecorder {
		r := request("POST", "/open", headers...)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		w := k.serve(r)
		return w
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(make([]byte, 5<<20))
	_ = z.Close()
	long := make([]byte, 3*smallBody)
	held := func() int64 {
		k.room.mu.Lock()
		defer k.room.mu.Unlock()
		return k.room.taken + int64(len(k.room.shares))
	}
	for _, taken := range []int64{0, maxRoomed} {
		k.room.taken += taken
		check(t, send(long[:smallBody]), ok)
		for name, w := range map[string]*httptest.ResponseRecorder{"long": send(long), "compressed": send(zipped.Bytes(), "Content-Encoding", "gzip")} {
			switch {
			case taken == 0:
				check(t, w, ok)
			case w.Code != 503 || w.Body.String() != `{"message": "Service Unavailable"}` || w.Header().Get("Retry-After") != "1" || w.Header()["x-amzn-ErrorType"][0] != "ServiceUnavailableException":
				t.Errorf("%s: got %d %s %v", name, w.Code, w.Body, w.Header())
			}
		}
		k.room.taken -= taken
		if n := held(); n != 0 {
			t.Errorf("%d bytes are still taken", n)
		}
	}
	k.invoker.f = func(Invocation) (Result, error) { panic("boom") }
	if w := send(long); w.Code != 500 || held() != 0 {
		t.Errorf("after a panic: %d, %d bytes are taken", w.Code, held())
	}
}

// An answer that is held for who takes it slowly counts, too.
func TestRoom_Answers(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	size := 0
	k.invoker.f = func(Invocation) (Result, error) {
		return Result{Payload: []byte(`{"body":"` + strings.Repeat("x", size) + `"}`)}, nil
	}
	for _, tt := range []struct {
		size   int
		taken  int64
		status int
	}{{smallBody, maxRoomed, 200}, {smallBody + 1, maxRoomed - 1, 200}, {smallBody + 1, maxRoomed, 503}, {5 << 20, 0, 200}, {5 << 20, maxRoomed - 1<<20, 503}} {
		size, k.room.taken = tt.size, tt.taken
		w := k.serve(request("GET", "/open"))
		if w.Code != tt.status || tt.status == 503 && w.Header().Get("Retry-After") != "1" || tt.status == 200 && w.Body.Len() != tt.size {
			t.Errorf("%d bytes with %d taken: %d, %d bytes", tt.size, tt.taken, w.Code, w.Body.Len())
		}
		k.room.mu.Lock()
		if k.room.taken != tt.taken || len(k.room.shares) != 0 {
			t.Errorf("%d bytes are taken, not %d", k.room.taken, tt.taken)
		}
		k.room.mu.Unlock()
	}
}

// One address has a share of the room and no more; others are not hindered.
func TestRoom_Shares(t *testing.T) {
	t.Parallel()
	r := new(room)
	for _, step := range []struct {
		ip string
		n  int64
		ok bool
	}{
		{"192.0.2.1", maxShare, true}, {"192.0.2.1", 1, false}, {"::ffff:192.0.2.1", 1, false}, {"192.0.2.2", 1, true},
		{"2001:db8::1", maxShare - 1, true}, {"2001:db8::ffff", 1, true}, {"2001:db8::2", 1, false}, {"2001:db8:0:1::2", 1, true},
		{"127.0.0.1", maxShare, true}, {"127.0.0.1", maxShare - 2, true}, {"::1", 1, false}, {"198.51.100.1", 1, false},
	} {
		if ok := r.take(step.ip, step.n); ok != step.ok {
			t.Errorf("%s %d: %v", step.ip, step.n, ok)
		}
	}
	r.give("192.0.2.1", maxShare)
	if !r.take("::ffff:192.0.2.1", maxShare-1) || r.take("192.0.2.1", 2) || !r.take("198.51.100.1", 1) {
		t.Error("what was given back is not there")
	}
	r.give("192.0.2.1", maxShare-1)
	r.give("192.0.2.2", 1)
	r.give("198.51.100.1", 1)
	r.give("2001:db8::9", maxShare)
	r.give("2001:db8:0:1::3", 1)
	r.give("127.0.0.1", 2*maxShare-2)
	if r.taken != 0 || len(r.shares) != 0 {
		t.Errorf("%d bytes, %d shares are left", r.taken, len(r.shares))
	}
}
