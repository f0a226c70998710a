package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{ // keys joined by a blank; "-" is refused
		"": "", "/": "", "//": "", "/a": "a", "/a/": "a", "//a": "a", "/a//b": "a  b", "/a/b/": "a b",
		"/%61": "a", "/%2f": "%2F", "/a%2Fb": "a%2Fb", "/a%252fb": "a%252fb", "/%5c": "%5C", "/%3A": ":", "/a:b@c": "a:b@c", "/%C3%A9": "é", "/a;b=1": "a;b=1",
		"/...": "...", "/.a": ".a", "/a.": "a.", "/..a": "..a", "/%20": " ", "/a+b": "a+b",
		"/.": "-", "/..": "-", "/a/../b": "-", "/a/./b": "-", "/%2e%2e": "-", "/%2E": "-", "/.%2e": "-", "/..%2f": "-", "/a%2f..%2fb": "-", "/..%5cb": "-", "/a%5c..": "-",
		"/..;/a": "-", "/..;x=1": "-", "/%2e%2e;": "-", "/%252e%252e": "-", "/..%252fa": "-", "/a\\b": "-", "/..\\a": "-",
		"/%00": "-", "/a%00b": "-", "/%0a": "-", "/%7f": "-", "/\x00": "-", "/a b": "-", "/é": "-", "/%": "-", "/%4": "-", "/%zz": "-", "/%u0041": "-",
		"/%c0%ae%c0%ae": "-", "/%c0%af": "-", "/%ff": "-", "/%e0%80%af": "-", "/%ed%a0%80": "-", "a": "-", "/a?b": "-", "/a#b": "-",
	} {
		_, segs, err := parsePath(raw, nil)
		keys := make([]string, len(segs))
		for i, s := range segs {
			keys[i] = s.key
		}
		got := strings.Join(keys, " ")
		if err != nil {
			got = "-"
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
	if _, _, err := parsePath(strings.Repeat("/a", maxSegments+1), nil); err == nil {
		t.Error("too many segments are accepted")
	}
	if _, _, err := parsePath("/"+strings.Repeat("a", maxPath), nil); err == nil {
		t.Error("a path too long is accepted")
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	var root node
	for _, p := range []string{"/", "/a", "/a/b", "/a/{x}", "/a/{x}/c", "/a/{proxy+}", "/a/b/d", "/{any+}", "/x:y"} {
		if _, err := root.add(p, p); err != nil {
			t.Fatal(err)
		}
	}
	for p, want := range map[string]string{
		"/": "/", "/a": "/a", "/a/": "/a", "/a/b": "/a/b", "/a/z": "/a/{x}", "/a/b/c": "/a/{x}/c", "/a/b/d": "/a/b/d", "/a/b/e": "/a/{proxy+}",
		"/a/b/c/d": "/a/{proxy+}", "/b": "/{any+}", "/A": "/{any+}", "/%61/%62": "/a/b", "/a%2Fb": "/{any+}", "/a//b": "/a/{proxy+}", "/x%3Ay": "/x:y",
	} {
		_, segs, err := parsePath(p, nil)
		if err != nil {
			t.Fatal(p, err)
		}
		if got := root.match(segs); got == nil || got.path != want {
			t.Errorf("%s: got %v, want %s", p, got, want)
		}
	}
}

// TestAmbiguous tries to get at a protected resource through an open one beside it.
func TestAmbiguous(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	uri, last := upstream(t, nil)
	d := courses(uri)
	d.Routes = []Route{
		{Path: "/files/{proxy+}", Method: "GET", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", URI: uri + "/base/{proxy}"}},
		{Path: "/files/private/{id}", Method: "GET", AuthorizationType: "AWS_IAM", Integration: proxy("x")},
		{Path: "/items/{id}", Method: "GET", AuthorizationType: "NONE", Integration: proxy("x")},
		{Path: "/pages/{id}", Method: "GET", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", URI: uri + "/pages/{id}"}},
		{Path: "/signed/{proxy+}", Method: "GET", AuthorizationType: "AWS_IAM", Integration: proxy("x")},
	}
	k.auth.docs["ASIAMEMBER"] = append(k.auth.docs["ASIAMEMBER"], document(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"*"}}`))
	k.publish(d)
	bad := want{400, `{"message":"Bad Request"}`, "BadRequestException"}
	for p, want := range map[string]want{
		"/files/a": ok, "/files/a//b": ok, "/files/a%2Fb": ok, "/files/a;v=1": ok, "/files/private": ok, "/files/a%20b": ok,
		"/files/private/1":   {403, noToken, "MissingAuthenticationTokenException"},
		"/files/private//1":  bad,
		"/files//private/1":  bad,
		"/files/private%2F1": bad, "/files/private%5c1": bad, "/files/private%252F1": bad, "/files/private;x/1": bad, "/files/%70rivate%2f1": bad,
		"/items/a%2Fb": ok, "/items/a;b": ok, "/pages/a": ok, "/pages/a%2Fb": bad, "/pages/a%5Cb": bad, "/pages/a%20b": ok,
	} {
		*last = http.Request{}
		w := k.serve(request("GET", p))
		if w.Code != want.status || want.body != "" && w.Body.String() != want.body {
			t.Errorf("%s: got %d %s, want %d", p, w.Code, w.Body, want.status)
		}
		if w.Code != 200 && last.URL != nil {
			t.Errorf("%s reached the upstream", p)
		}
	}
	for p, status := range map[string]int{"/signed/a/b": 200, "/signed/a//b": 400, "/signed/a%2Fb": 400, "/signed/a;x": 400} {
		if w := k.serve(signed(request("GET", p), "ASIAMEMBER", "member-session", region, noon)); w.Code != status {
			t.Errorf("%s: got %d %s, want %d", p, w.Code, w.Body, status)
		}
	}
}

// FuzzPath checks that whoever reads a path after us reads the same: an upstream that
// decodes, cleans and strips parameters ends where the router did, below the base.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/a/b", "/%2e%2e/x", "/..%2f..%2fetc", "/a;x=1/..;/b", "/a//b", "/%c0%ae", "/a%5c..%5cb", "/%252e%252e%252f", "/x/%2F%2F/y", "/\\..\\", "/%00", "/a%3f%23"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, segs, err := parsePath(raw, nil)
		if err != nil {
			return
		}
		again, more, err := parsePath(got, nil)
		if err != nil || again != got || len(more) != len(segs) {
			t.Fatalf("%q: not stable: %q %v", raw, again, err)
		}
		u, err := url.ParseRequestURI("/base" + got)
		if err != nil {
			t.Fatalf("%q: net/url refuses %q: %v", raw, got, err)
		}
		for _, reading := range []string{u.Path, u.EscapedPath(), strings.ReplaceAll(u.Path, `\`, "/"), decodeOnce(u.Path)} {
			var plain []string
			for _, part := range strings.Split(reading, "/") {
				part, _, _ = strings.Cut(part, ";")
				plain = append(plain, part)
			}
			joined := strings.Join(plain, "/")
			clean := path.Clean(joined)
			if clean != "/base" && !strings.HasPrefix(clean, "/base/") {
				t.Fatalf("%q: an upstream reads %q, which leaves the base", raw, clean)
			}
			for _, part := range plain {
				if part == "." || part == ".." {
					t.Fatalf("%q: an upstream sees a dot segment in %q", raw, reading)
				}
			}
		}
	})
}

// FuzzUpstream runs whole requests: the upstream gets exactly the path that the
// parameters of the event name, and only what the router matched.
func FuzzUpstream(f *testing.F) {
	var uri string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { uri = r.URL.EscapedPath() }))
	defer s.Close()
	k := newKit(f)
	d := courses(s.URL)
	d.Routes = []Route{
		{Path: "/files/{proxy+}", Method: "GET", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", Method: "GET", URI: s.URL + "/base/{proxy}"}},
		{Path: "/files/private", Method: "GET", AuthorizationType: "AWS_IAM", Integration: Integration{Type: "HTTP_PROXY", Method: "GET", URI: s.URL + "/base/private"}},
	}
	k.publish(d)
	for _, p := range []string{"a", "private", "%70rivate", "private/", "private/x", "./private", "x/../private", "private%2f", "%2fprivate", "private;x", "/private"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		r := request("GET", "/files/x")
		w := httptest.NewRecorder()
		uri = ""
		answerOn(k.Gateway, w, r, apiID, "api", "/files/"+p)
		if w.Code != 200 {
			return
		}
		plain, err := url.PathUnescape(uri)
		if err != nil || !strings.HasPrefix(plain, "/base/") {
			t.Fatalf("%q: the upstream got %q", p, uri)
		}
		if strings.TrimSuffix(plain, "/") == "/base/private" {
			t.Fatalf("%q reached the private resource unsigned", p)
		}
		var read []string
		for part := range strings.FieldsFuncSeq(decodeOnce(plain), func(r rune) bool { return r == '/' || r == '\\' }) {
			if part, _, _ = strings.Cut(part, ";"); part != "" {
				read = append(read, part)
			}
		}
		if strings.Join(read, "/") == "base/private" {
			t.Fatalf("%q: a generous upstream reads the private resource", p)
		}
		if clean := path.Clean(plain); !strings.HasPrefix(clean, "/base") {
			t.Fatalf("%q: the upstream reads %q", p, clean)
		}
	})
}
