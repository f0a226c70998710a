package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// answerer listens, and says its name to whoever connects.
func answerer(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, name)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// AWS's names lead to Moat or nowhere; everything else leads where it says.
func TestProxy_Leads(t *testing.T) {
	t.Parallel()
	moat, other := answerer(t, "moat"), answerer(t, "other")
	proxy := httptest.NewServer(&connectProxy{moat: "http://" + moat})
	t.Cleanup(proxy.Close)
	for _, c := range []struct {
		target string
		status int
		to     string
	}{
		{"sts.amazonaws.com:443", 200, "moat"},
		{"STS.us-east-1.AmazonAWS.com.:443", 200, "moat"},
		{"school.auth.us-east-1.amazoncognito.com:443", 200, "moat"},
		{"amazonaws.com:443", 200, "moat"},
		{other, 200, "other"},
		{"sts.amazonaws.com:22", 403, ""},
		{"sts.cn-north-1.amazonaws.com.cn:443", 403, ""},
		{"lambda.us-east-1.api.aws:443", 403, ""},
		{"lambda.us-east-1.api.aws.:443", 403, ""},
		{"sts.eusc-de-east-1.amazonaws.eu:443", 403, ""},
		{"sts.amazonaws.com", 400, ""},
	} {
		conn, err := net.Dial("tcp", proxy.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", c.target, c.target)
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
		if err != nil {
			t.Fatal(err)
		}
		to := ""
		if resp.StatusCode == 200 {
			b, err := io.ReadAll(in)
			if err != nil {
				t.Fatal(err)
			}
			to = string(b)
		}
		if resp.StatusCode != c.status || to != c.to {
			t.Errorf("%s: got %d to %q, want %d to %q", c.target, resp.StatusCode, to, c.status, c.to)
		}
		_ = conn.Close()
	}
	resp, err := http.Get(proxy.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: got %d", resp.StatusCode)
	}
}
