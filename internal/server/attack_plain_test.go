package server

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Whatever a request of the plain port is for, one that two readers could frame
// differently gets one answer at most, and what hides in or behind it is never served.
func TestAttack_PlainPortSmuggling(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	addr := s.listener.Addr().String()
	const hidden = "GET /_moat/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
	const chunked = "Transfer-Encoding: chunked\r\n"
	for _, to := range []struct{ target, host, fields string }{
		{"/", "localhost", "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: AWSCognitoIdentityProviderService.InitiateAuth\r\n"},
		{"/", "sts.us-east-1.localhost", "Content-Type: application/x-www-form-urlencoded\r\n"},
		{"/2015-03-31/functions", "lambda.us-east-1.localhost", ""},
		{"/restapis/none/api/_user_request_/x", "localhost", ""},
		{"/api/x", "none.execute-api.us-east-1.localhost", ""},
		{"/oauth2/token", "none.auth.us-east-1.localhost", "Content-Type: application/x-www-form-urlencoded\r\n"},
		{"/login?client_id=x", "none.auth.us-east-1.localhost", "Content-Type: application/x-www-form-urlencoded\r\n"},
		{"/_moat/health", "localhost", ""},
		{"/nothing/here", "localhost", ""},
	} {
		head := "POST " + to.target + " HTTP/1.1\r\nHost: " + to.host + "\r\n" + to.fields
		for name, text := range map[string]string{
			"CL.TE":                          head + "Content-Length: 5\r\n" + chunked + "\r\n0\r\n\r\n",
			"TE.CL":                          head + chunked + "Content-Length: 3\r\n\r\n0\r\n\r\n",
			"two lengths":                    head + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
			"a list of lengths":              head + "Content-Length: 0, 0\r\n\r\n",
			"a signed length":                head + "Content-Length: +0\r\n\r\n",
			"two codings":                    head + chunked + "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
			"an unknown coding":              head + "Transfer-Encoding: xchunked\r\n\r\n",
			"a blank before the colon":       head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
			"a folded field":                 head + "X: a\r\n b\r\n\r\n",
			"a bare LF":                      head + "X: a\nY: b\r\n\r\n",
			"a bare CR":                      head + "X: a\rContent-Length: 5\r\n\r\n",
			"a NUL":                          head + "X: \x00\r\n\r\n",
			"two hosts":                      head + "Host: localhost\r\n\r\n",
			"a coding in HTTP/1.0":           strings.Replace(head, "HTTP/1.1", "HTTP/1.0", 1) + chunked + "\r\n0\r\n\r\n",
			"a broken size":                  head + chunked + "\r\n0x0\r\n\r\n",
			"an empty extension":             head + chunked + "\r\n0;\r\n\r\n",
			"LF in an extension":             head + chunked + "\r\n0;a\n\r\n",
			"LF behind a chunk":              head + chunked + "\r\n1\r\nx\n0\r\n\r\n",
			"more than a chunk":              head + chunked + "\r\n1\r\nxyz\r\n0\r\n\r\n",
			"a trailer that is no field":     head + chunked + "\r\n0\r\n",
			"CONNECT":                        "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n",
			"an absolute target, other host": "POST http://localhost" + to.target + " HTTP/1.1\r\nHost: other.example\r\n\r\n",
		} {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.WriteString(c, text+hidden); err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(c)
			got := string(b)
			if err != nil || strings.Count(got, "HTTP/1.1 ") != 1 || strings.Contains(got, `"status":"ok"`) && to.target != "/_moat/health" {
				t.Errorf("%s to %s%s: %q %v", name, to.host, to.target, got, err)
			}
			c.Close()
		}
	}
}
