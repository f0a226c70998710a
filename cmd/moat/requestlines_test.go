package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"moat/internal/server"
	"moat/internal/wire"
)

// `moat dev` shows each message with what is needed to go on by hand.
func TestRequestLines_message(t *testing.T) {
	t.Parallel()
	m := server.Message{Time: time.Now(), Medium: "EMAIL", Trigger: "SignUp", To: "ann@example.com", Code: "123456", Text: "Your code is 123456"}
	link, invitation := m, m
	link.Link, invitation.Code, invitation.Password = "https://example.com/confirmUser?x=1", "", "Temp-1"
	for want, in := range map[string]server.Message{
		"EMAIL  SignUp to ann@example.com        code 123456": m, "https://example.com/confirmUser?x=1": link, "password Temp-1": invitation,
	} {
		var out bytes.Buffer
		lines := &requestLines{app: &app{stdout: &out}}
		lines.message(in)
		if got := out.String(); !strings.Contains(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("got %q, want %q in one line", got, want)
		}
		out.Reset()
		lines.muted = true
		if lines.message(in); out.Len() != 0 {
			t.Errorf("a muted line: %q", out.String())
		}
		asked := make(chan struct{})
		if err := lines.begin(func() error {
			go func() { lines.print(wire.Record{Method: "GET", Path: "/early"}); close(asked) }() // it may ask as soon as it reads
			_, err := out.WriteString("ready\n")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if <-asked; !strings.HasPrefix(out.String(), "ready\n") || !strings.Contains(out.String(), "/early") {
			t.Errorf("got %q, want the ready line and the request's", out.String())
		}
	}
	var out bytes.Buffer
	(&requestLines{app: &app{stdout: &out, json: true}}).message(m)
	for _, want := range []string{`"event":"message"`, `"trigger":"SignUp"`, `"code":"123456"`, `"to":"ann@example.com"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %s, want %s", out.String(), want)
		}
	}
}
