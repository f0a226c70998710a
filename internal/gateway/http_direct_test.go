package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"moat/internal/http1"
)

// told is a backend that tells the request that it got, as it came, and answers by its query.
func told(t *testing.T) string {
	t.Helper()
	s := http1.NewServer(http1.Config{Handler: func(w *http1.Response, r *http1.Request) {
		body, _ := io.ReadAll(r.Body)
		lines := []string{r.Method + " " + r.Path + "?" + r.RawQuery + " " + r.Host, string(body)}
		for _, f := range r.Fields {
			lines = append(lines, f.Name+": "+f.Value)
		}
		slices.Sort(lines[2:])
		fields := []http1.Field{{Name: "server", Value: "x"}, {Name: "DATE", Value: "Fri, 20 Nov 2026 12:00:00 GMT"}, {Name: "set-cookie", Value: "a=1"}, {Name: "Set-Cookie", Value: "b=2"},
			{Name: "x-hop", Value: "1"}, {Name: "X_Amzn_RequestId", Value: "forged"}, {Name: "TE", Value: "1"}, {Name: "x-empty", Value: ""}}
		for _, v := range strings.Split(r.RawQuery, "&") {
			if name, value, _ := strings.Cut(v, "="); name == "field" {
				value, text, _ := strings.Cut(value, ":")
				fields = append(fields, http1.Field{Name: value, Value: text})
			}
		}
		status := 200
		if strings.Contains(r.RawQuery, "none") {
			status = 304
		}
		text := strings.Join(lines, "\n")
		w.Head(status, fields, int64(len(text)))
		_, _ = io.WriteString(w, text)
	}})
	h := httptest.NewUnstartedServer(nil)
	l := h.Listener
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return "http://" + l.Addr().String()
}

// What goes out directly, and what comes back, is what goes over net/http's types.
func TestHTTP_directIsTheLongWay(t *testing.T) {
	t.Parallel()
	short, long := newKit(t), newKit(t)
	long.direct = nil
	uri := told(t)
	mapped := map[string]string{"integration.request.header.X-User": "method.request.header.x-from", "integration.request.header.x-static": "'fixed'", "integration.request.querystring.from": "context.stage"}
	twice := map[string]string{"integration.request.header.X-A": "'1'", "integration.request.header.x_a": "'2'"}
	route := func(path, uri string, params map[string]string) Route {
		return patient(Route{Path: path, Method: "ANY", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", Method: "ANY", URI: uri, RequestParameters: params}})
	}
	d := withHTTP(uri, nil, route("/mapped/{p}", uri+"/m/{p}?own=1", mapped), route("/twice", uri+"/a|b", twice), route("/hosted", uri, map[string]string{"integration.request.header.Host": "'other.test'"}))
	short.publish(d)
	long.publish(d)
	trace := []string{"X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793"}
	for _, tt := range []struct {
		method, path, body string
		headers            []string
	}{
		{"GET", "/files/a/b", "", nil},
		{"GET", "/files/a%2Fb/%C3%A9/%7Bx%7D/(1)!*'?&a=1&&b=2&", "", []string{"user-agent", ""}},
		{"GET", "/files/a", "", []string{"User-Agent", "", "User-Agent", "b"}},
		{"POST", "/files/a?q=%zz&x={y}", "payload", []string{"content-type", "text/plain", "X_Own", "1", "x.own", "2", "X-OWN", "3"}},
		{"POST", "/files/a", "", nil}, {"PUT", "/files/a", strings.Repeat("x", 100<<10), nil}, {"DELETE", "/files/a", "d", nil},
		{"GET", "/files/a", "", []string{"Connection", "close, X-Hop, x_odd", "x-hop", "1", "X_odd", "1", "X-Odd", "2", "Te", "trailers", "X-Forwarded-For", "1.2.3.4", "x_forwarded_for", "1", "Forwarded", "f", "Upgrade", "h2c", "Expect", "100-continue"}},
		{"GET", "/files/a?field=connection:X-Hop,keep-alive", "", nil}, {"GET", "/files/a?field=Connection:close,X-Hop", "", nil}, {"GET", "/files/a?none", "", nil}, {"HEAD", "/files/a", "", nil},
		{"GET", "/mapped/a?x=1&from=me", "", []string{"X-From", "v", "X_User", "root", "x-static", "root"}},
		{"GET", "/mapped/a", "", []string{"X.User", "root"}},
		{"GET", "/twice", "", []string{"X-A", "root"}}, {"GET", "/hosted", "", nil},
		{"GET", "/files/" + strings.Repeat("n", 500), "", []string{"X-" + strings.Repeat("n_", 100), "v"}},
	} {
		ask := func(k *kit) (int, string, []string) {
			r := request(tt.method, tt.path, append(trace, tt.headers...)...)
			if tt.body != "" {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(tt.body)), int64(len(tt.body))
			}
			w := k.serve(r)
			var fields []string
			for name, values := range w.Header() {
				if name != "x-amzn-RequestId" && name != "x-amz-apigw-id" {
					fields = append(fields, name+": "+strings.Join(values, "|"))
				}
			}
			slices.Sort(fields)
			return w.Code, w.Body.String(), fields
		}
		for range 2 {
			status, body, fields := ask(short)
			wantStatus, wantBody, want := ask(long)
			if status != wantStatus || body != wantBody || !slices.Equal(fields, want) {
				t.Errorf("%s %.80s: got %d %q\n%.900s\nwant %d %q\n%.900s", tt.method, tt.path, status, fields, body, wantStatus, want, wantBody)
			}
		}
	}
}

// An answer that a cache keeps does not live in the exchange's memory.
func TestHTTP_directIsKept(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	uri, _ := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Path", r.URL.Path)
		_, _ = io.WriteString(w, r.URL.Path)
	})
	d := caching(uri, nil)
	d.Routes = append(d.Routes, Route{Path: "/kept/{p}", Method: "GET", AuthorizationType: "NONE", Integration: with(Integration{Type: "HTTP_PROXY", Method: "GET", URI: uri + "/{p}"}, "method.request.path.p")})
	k.publish(d)
	for range 2 {
		for _, p := range []string{"/a", "/bb", "/ccc"} {
			if w := k.serve(request("GET", "/kept"+p)); w.Header().Get("X-Path") != p || w.Body.String() != p {
				t.Errorf("%s: %v %s", p, w.Header(), w.Body)
			}
		}
	}
}

func TestHTTP_allocs(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes pools forget")
	}
	send := proxied(t)
	for range 10 {
		send()
	}
	if got := testing.AllocsPerRun(200, send); got > 0 {
		t.Errorf("%v allocations for a proxied request", got)
	}
}

func TestAppendCanonical(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"x-own", "WWW-AUTHENTICATE", "x_own-a", "a--b", "-a", "Etag", "1a", "x.Y", "Content-MD5", "~A"} {
		if got := string(appendCanonical(nil, name)); got != http.CanonicalHeaderKey(name) {
			t.Errorf("%s: got %s", name, got)
		}
	}
}
