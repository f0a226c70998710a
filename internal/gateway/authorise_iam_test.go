package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"

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
