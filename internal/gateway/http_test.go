package gateway

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// upstream is an ordinary web service that keeps the last request.
func upstream(t *testing.T, f http.HandlerFunc) (string, *http.Request) {
	t.Helper()
	last := new(http.Request)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*last = *r.Clone(t.Context())
		last.Body = io.NopCloser(strings.NewReader(string(body)))
		if f != nil {
			f(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, last
}

func withHTTP(uri string, params map[string]string, more ...Route) Definition {
	d := courses(uri)
	d.Routes = append(d.Routes, Route{Path: "/files/{proxy+}", Method: "ANY", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", Method: "ANY", URI: uri + "/base/{proxy}", RequestParameters: params}})
	d.Routes = append(d.Routes, more...)
	return d
}

func TestHTTP_request(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	uri, last := upstream(t, nil)
	k.publish(withHTTP(uri, map[string]string{
		"integration.request.header.X-User":    "context.authorizer.claims.sub",
		"integration.request.header.X-Static":  "'fixed'",
		"integration.request.header.X-Stage":   "stageVariables.color",
		"integration.request.querystring.from": "context.stage",
	}))
	r := request("POST", "/files/a/b%2Fc/%C3%A9/?x=1&x=2&from=client&y=%2f", "X-Own", "1", "X-Own", "2", "x_user", "root", "X.Static", "root", "X-Stage", "root",
		"X-Forwarded-For", "127.0.0.1", "X_Forwarded_Proto", "https", "Forwarded", "for=127.0.0.1", "X-Real-IP", "127.0.0.1",
		"Connection", "keep-alive, X-Forwarded-For, X-Hop, x-static", "X-Hop", "1", "Te", "trailers", "Upgrade", "websocket", "Keep-Alive", "1", "Authorization", "Bearer mine", "X-Amzn-Apigateway-Api-Id", "zzz")
	r.Body, r.ContentLength = httptest.NewRequest("POST", "/", strings.NewReader("payload")).Body, 7
	if w := k.serve(r); w.Code != 200 {
		t.Fatalf("status %d %s", w.Code, w.Body)
	}
	if last.Method != "POST" || last.RequestURI != "/base/a/b%2Fc/%C3%A9?x=1&x=2&y=%2f&from=api" {
		t.Errorf("got %s %s", last.Method, last.RequestURI)
	}
	if body, _ := io.ReadAll(last.Body); string(body) != "payload" {
		t.Errorf("body %q", body)
	}
	if "http://"+last.Host != uri {
		t.Errorf("Host %q", last.Host)
	}
	for name, want := range map[string]string{"X-Own": "1|2", "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "4566", "X-Static": "fixed", "X-Stage": "blue",
		"Authorization": "Bearer mine", "X-Amzn-Apigateway-Api-Id": apiID, "X-User": "", "X_user": "", "X.static": "", "X_forwarded_proto": "", "Forwarded": "", "X-Real-Ip": "", "X-Hop": "", "Te": "", "Upgrade": "", "Keep-Alive": "", "User-Agent": ""} {
		if got := strings.Join(last.Header[http.CanonicalHeaderKey(name)], "|"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestHTTP_mappedClaim(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	uri, last := upstream(t, nil)
	d := courses(uri)
	for i := range d.Routes {
		if d.Routes[i].Path == "/content/{proxy+}" {
			d.Routes[i].Integration.RequestParameters["integration.request.header.X-User"] = "context.authorizer.claims.sub"
		}
	}
	k.publish(d)
	for _, spoof := range []string{"X-User", "x-user", "X_User", "x.user"} {
		k.serve(request("GET", "/content/a", "Authorization", k.id(nil), spoof, "root"))
		if got := strings.Join(last.Header["X-User"], "|"); got != "sub-1" {
			t.Errorf("%s: got %q", spoof, got)
		}
		for name, values := range last.Header {
			if strings.Join(values, "") == "root" {
				t.Errorf("%s came through as %s", spoof, name)
			}
		}
	}
}

func TestHTTP_answer(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	uri, _ := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Server", "nginx")
		h.Set("X-Custom", "1")
		h.Set("Www-Authenticate", "Basic")
		h.Set("X-Amzn-Requestid", "forged")
		h.Set("Location", "http://169.254.169.254/latest")
		w.WriteHeader(302)
		io.WriteString(w, "moved")
	})
	k.publish(withHTTP(uri, nil))
	w := k.serve(request("GET", "/files/x"))
	if w.Code != 302 || w.Body.String() != "moved" || w.Header().Get("Location") != "http://169.254.169.254/latest" {
		t.Errorf("a redirect is the client's to follow: %d %s %v", w.Code, w.Body, w.Header())
	}
	for name, want := range map[string]string{"x-amzn-Remapped-Server": "nginx", "x-amzn-Remapped-Www-Authenticate": "Basic", "X-Custom": "1", "Server": "", "Www-Authenticate": "", "Content-Length": "5"} {
		if got := strings.Join(w.Header()[name], "|"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if ids := w.Header()["x-amzn-RequestId"]; len(ids) != 1 || ids[0] == "forged" || w.Header()["X-Amzn-Requestid"] != nil {
		t.Errorf("request id: %v", w.Header())
	}
	if w := k.serve(request("HEAD", "/files/x")); w.Code != 302 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d %q", w.Code, w.Body)
	}
}

func TestHTTP_streams(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	release := make(chan struct{})
	uri, _ := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first ")
		w.(http.Flusher).Flush()
		<-release
		io.WriteString(w, "second")
	})
	k.publish(withHTTP(uri, nil))
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { k.ServeAPI(w, r, apiID, "api", r.URL.EscapedPath()) }))
	defer front.Close()
	resp, err := http.Get(front.URL + "/files/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, 6)
	if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "first " {
		t.Fatalf("%q %v", buf, err)
	}
	close(release)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(rest) != "second" {
		t.Errorf("%q %v", rest, err)
	}
}

// patient gives an upstream time on a busy machine.
func patient(r Route) Route {
	r.Integration.Timeout = 5 * time.Second
	return r
}

func TestHTTP_failures(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	slow, _ := upstream(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	broken, _ := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	route := func(path, uri string) Route {
		return Route{Path: path, Method: "GET", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", URI: uri, Timeout: 50 * time.Millisecond}}
	}
	k.publish(withHTTP(closed, nil, route("/slow", slow), route("/metadata", "http://169.254.169.254/latest"), route("/mapped", "http://[::ffff:169.254.169.254]/"), patient(route("/broken", broken))))
	network := want{504, `{"message": "Network error communicating with endpoint"}`, "InternalServerErrorException"}
	check(t, k.serve(request("GET", "/files/x")), network)
	check(t, k.serve(request("GET", "/slow")), want{504, `{"message": "Endpoint request timed out"}`, "InternalServerErrorException"})
	for _, path := range []string{"/metadata", "/mapped", "/metadata", "/metadata", "/metadata", "/metadata"} { // the reason stays the same
		check(t, k.serve(request("GET", path)), network)
		if g := k.last().Grounds; !strings.Contains(g, "may not reach") {
			t.Errorf("%s: %s", path, g)
		}
	}
	t.Run("private addresses", func(t *testing.T) {
		strict := newKit(t)
		g := New(Config{Now: strict.clock.Now})
		good, _ := upstream(t, nil)
		s, err := Compile(withHTTP(good, nil))
		if err != nil {
			t.Fatal(err)
		}
		g.Publish(s)
		w := httptest.NewRecorder()
		answerOn(g, w, request("GET", "/files/x"), apiID, "api", "/files/x")
		check(t, w, network)
	})
	t.Run("broken off", func(t *testing.T) {
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { k.ServeAPI(w, r, apiID, "api", r.URL.EscapedPath()) }))
		defer front.Close()
		resp, err := http.Get(front.URL + "/broken")
		if err != nil {
			return
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("a part was taken for the whole: %q", body)
		}
	})
}
