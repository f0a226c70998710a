package server

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"moat/internal/service/userpool"
)

// A mail is delivered whole, and nothing in it adds a line to its header.
func TestSMTP_Delivers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		var all strings.Builder
		fmt.Fprint(c, "220 x\r\n")
		data := false
		for in := bufio.NewScanner(c); in.Scan(); {
			line := in.Text()
			all.WriteString(line + "\n")
			switch {
			case data && line == ".":
				data = false
				fmt.Fprint(c, "250 ok\r\n")
			case data:
			case line == "DATA":
				data = true
				fmt.Fprint(c, "354 go\r\n")
			case line == "QUIT":
				fmt.Fprint(c, "221 bye\r\n")
				got <- all.String()
				return
			default:
				fmt.Fprint(c, "250 ok\r\n")
			}
		}
	}()
	cfg := Config{SMTP: "smtp://" + l.Addr().String(), MailFrom: "school@example.com", Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	m, err := newMessenger(&cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SendCode(t.Context(), userpool.Message{Medium: userpool.MediumEmail, Destination: "a@example.com", Subject: "Code\r\nBcc: eve@example.com", Body: "123456"}); err != nil {
		t.Fatal(err)
	}
	text := <-got
	if !strings.Contains(text, "123456") || strings.Contains(text, "\nBcc:") {
		t.Errorf("got %s", text)
	}
	if err := m.SendCode(t.Context(), userpool.Message{Medium: userpool.MediumEmail, Destination: "a@example.com>\r\nRCPT TO:<eve@example.com", Subject: "s"}); err == nil {
		t.Error("an address with a line break was written to")
	}
}
