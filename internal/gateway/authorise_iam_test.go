package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
)

// counted counts what is read of a body.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// TestIAM_body: a body whose hash is declared is read for who holds the key, and for
// nobody else; it has to be the one that was signed in either case.
func TestIAM_body(t *testing.T) {
	t.Parallel()
	k := quiet(t, 1)
	const sent = "the body"
	for name, c := range map[string]struct {
		declared, signedFor string // bodies
		secret              string
		status              int
		read                bool
	}{
		"declared":                    {sent, sent, "", 204, true},
		"not declared":                {"", sent, "", 204, true},
		"declared, another body":      {"other body", "other body", "", 403, true},
		"not declared, another body":  {"", "other body", "", 403, true},
		"declared, wrong secret":      {sent, sent, "wrong", 403, false},
		"declared, signed as another": {sent, "other body", "", 403, false},
	} {
		cred := sigv4.Credentials{AccessKeyID: "ASIAMEMBER", SecretAccessKey: "secret-ASIAMEMBER" + c.secret, SessionToken: "member-session"}
		if c.secret == "" {
			found, err := k.auth.Credential(t.Context(), cred.AccessKeyID, cred.SessionToken)
			if err != nil {
				t.Fatal(err)
			}
			cred.SecretAccessKey = found.Secret
		}
		r := sigv4.Request{Method: "GET", Path: "/api/progress", Host: "h", Header: http.Header{}}
		if c.declared != "" {
			r.Header.Set("X-Amz-Content-Sha256", sigv4.HashOf([]byte(c.declared)))
		}
		sigv4.Sign(&r, sigv4.HashOf([]byte(c.signedFor)), cred, region, "execute-api", noon)
		var fields []Field
		for name, values := range r.Header {
			fields = append(fields, Field{strings.ToLower(name), values[0]})
		}
		body := &counted{Reader: strings.NewReader(sent)}
		x := exchange("/progress", fields...)()
		x.Body, x.Length = body, int64(len(sent))
		k.Serve(x)
		if status := x.Out.(*discard).status; status != c.status || (body.n > 0) != c.read {
			t.Errorf("%s: status %d, %d bytes read", name, status, body.n)
		}
	}
}

// TestAsked: the keys of a decision are those of its request, whatever the exchange before
// has left.
func TestAsked(t *testing.T) {
	t.Parallel()
	k := quiet(t, 1)
	s, err := Compile(courses("http://localhost:1"))
	if err != nil {
		t.Fatal(err)
	}
	x := new(Exchange)
	var kept []policy.Context
	for i, fields := range [][]Field{
		nil, {{"User-Agent", "a"}}, {{"User-Agent", "b"}, {"Referer", "c"}}, {{"referer", "d"}}, {{"User-Agent", ""}}, {{"USER-AGENT", "e"}, {"User-Agent", "f"}}, nil,
	} {
		x.renew()
		x.g, x.snap, x.start, x.Secure, x.RemoteIP, x.Fields = k.Gateway, s, noon.Add(time.Duration(i/2)*time.Second), i%2 == 1, "203.0.113."+strconv.Itoa(i), fields
		want := policy.Context{
			"aws:sourceip": {x.RemoteIP}, "aws:securetransport": {strconv.FormatBool(x.Secure)}, "aws:currenttime": {x.start.Format(time.RFC3339)}, "aws:epochtime": {strconv.FormatInt(x.start.Unix(), 10)},
			"aws:requestedregion": {region}, "aws:resourceaccount": {account}, "aws:viaawsservice": {"false"},
		}
		for _, name := range []string{"User-Agent", "Referer"} {
			if v := x.get(name); v != "" {
				want.Set("aws:"+strings.ReplaceAll(name, "-", ""), v)
			}
		}
		for range 2 {
			if diff := cmp.Diff(want, x.asked()); diff != "" {
				t.Errorf("%d: -want +got:\n%s", i, diff)
			}
		}
		kept = append(kept, x.conditions(), want)
	}
	for i := 0; i < len(kept); i += 2 { // what was given away stays as it was
		if diff := cmp.Diff(kept[i+1], kept[i]); diff != "" {
			t.Errorf("%d, afterwards: -want +got:\n%s", i/2, diff)
		}
	}
}

// TestIAM_kept: what is kept of a signed request that is passed on is not the connection's.
func TestIAM_kept(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(append([]byte(r.URL.Path+" "), body...))
	}))
	defer up.Close()
	d := courses(up.URL)
	d.Routes = append(d.Routes, Route{Path: "/signed/{id}", Method: "GET", AuthorizationType: "AWS_IAM",
		Integration: Integration{Type: "HTTP_PROXY", Method: "GET", URI: up.URL + "/there/{id}", RequestParameters: map[string]string{"integration.request.path.id": "method.request.path.id"}}})
	s := k.publish(d)
	passing := false
	for _, rt := range s.routes {
		passing = passing || rt.passing && rt.def.AuthorizationType == "AWS_IAM"
	}
	if !passing {
		t.Error("no signed route passes requests on as they came")
	}
	for i := range 3 {
		path := "/signed/" + strconv.Itoa(i)
		res := k.serve(signed(request("GET", path, "User-Agent", "agent-"+strconv.Itoa(i)), "ASIAMEMBER", "member-session", region, noon))
		if body := res.Body.String(); res.Code != 200 || body != "/there/"+strconv.Itoa(i)+" " {
			t.Errorf("%d %s", res.Code, body)
		}
	}
	for i, r := range k.records {
		if r.AccessKey != "ASIAMEMBER" || r.Caller.AccessKeyID != "ASIAMEMBER" || r.Path != "/api/signed/"+strconv.Itoa(i) || r.UserAgent != "agent-"+strconv.Itoa(i) || !strings.Contains(r.Who, "assumed-role/Member") {
			t.Errorf("%+v", r)
		}
	}
}
