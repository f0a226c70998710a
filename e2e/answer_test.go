package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// answer is what came back for a request.
type answer struct {
	status int
	body   string
	header http.Header
}

func send(client *http.Client, req *http.Request) (answer, error) {
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(body), resp.Header}, err
}

// requestID, as the value of a member, stands for the id in the answer's header.
const requestID = "(the request id)"

// want is what must come back. Of body, like and member those that are set are compared.
type want struct {
	status      int
	body        string
	like        *regexp.Regexp
	errorType   string            // x-amzn-ErrorType; empty: there must be none
	contentType string            // empty: application/json
	member      map[string]string // of a JSON object, by path ("a.b"); requestID stands for the answer's own
	who, step   string            // of the line that Moat prints
}

// check compares an answer of the gateway, and the line that Moat printed of it.
func (s *server) check(t *testing.T, req *http.Request, w want) answer {
	t.Helper()
	return s.checkOver(t, s.client, req, w)
}

// checkOver does the same with another HTTP client.
func (s *server) checkOver(t *testing.T, client *http.Client, req *http.Request, w want) answer {
	t.Helper()
	a, err := send(client, req)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != w.status {
		t.Errorf("status: got %d, want %d\nbody: %s", a.status, w.status, a.body)
	}
	if w.body != "" && a.body != w.body {
		t.Errorf("body:\n got %s\nwant %s", a.body, w.body)
	}
	if w.like != nil && !w.like.MatchString(a.body) {
		t.Errorf("body: got %s, want it to match %s", a.body, w.like)
	}
	if got := a.header.Get("X-Amzn-Errortype"); got != w.errorType {
		t.Errorf("x-amzn-ErrorType: got %q, want %q", got, w.errorType)
	}
	contentType := w.contentType
	if contentType == "" {
		contentType = "application/json"
	}
	if got := a.header.Get("Content-Type"); got != contentType {
		t.Errorf("content type: got %q, want %q", got, contentType)
	}
	for _, name := range []string{"X-Amzn-Requestid", "X-Amz-Apigw-Id"} {
		if len(a.header.Values(name)) != 1 {
			t.Errorf("%s: got %q, want one", name, a.header.Values(name))
		}
	}
	a.checkMembers(t, w.member)
	s.checkEvent(t, req, a, w)
	return a
}

func (a answer) checkMembers(t *testing.T, want map[string]string) {
	t.Helper()
	if len(want) == 0 {
		return
	}
	var body any
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Errorf("body: got %s, want JSON", a.body)
		return
	}
	for path, value := range want {
		if value == requestID {
			value = a.header.Get("X-Amzn-Requestid")
		}
		at := body
		for name := range strings.SplitSeq(path, ".") {
			m, _ := at.(map[string]any)
			at = m[name]
		}
		got, ok := at.(string)
		if !ok {
			b, err := json.Marshal(at)
			if err != nil {
				t.Fatal(err)
			}
			got = string(b)
		}
		if got != value {
			t.Errorf("%s: got %s, want %s\nbody: %s", path, got, value, a.body)
		}
	}
}

// checkEvent compares the line that Moat prints for the operator.
func (s *server) checkEvent(t *testing.T, req *http.Request, a answer, w want) {
	t.Helper()
	e, err := s.event(t.Context(), a.header.Get("X-Amzn-Requestid"))
	if err != nil {
		t.Error(err)
		return
	}
	if e.Status != a.status || e.Method != req.Method {
		t.Errorf("the printed line says %s %d, the answer to %s was %d", e.Method, e.Status, req.Method, a.status)
	}
	if e.Who == "" || e.Step == "" || w.status >= 400 && e.Grounds == "" {
		t.Errorf("the printed line does not say who, which step and why: %+v", e)
	}
	if w.who != "" && !strings.Contains(e.Who, w.who) {
		t.Errorf("who: got %q, want %q", e.Who, w.who)
	}
	if w.step != "" && e.Step != w.step {
		t.Errorf("deciding step: got %q, want %q (%s)", e.Step, w.step, e.Grounds)
	}
}
