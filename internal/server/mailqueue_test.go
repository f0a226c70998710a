package server

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"moat/internal/service/userpool"
)

type messengerFunc func(userpool.Message) error

func (f messengerFunc) SendCode(_ context.Context, m userpool.Message) error { return f(m) }

// How long a mail server takes must not tell who has an account.
func TestMailQueue_DoesNotLetTheOneWhoAskedWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		q := newMailQueue(messengerFunc(func(userpool.Message) error {
			time.Sleep(time.Hour) // of the bubble
			sent.Add(1)
			return nil
		}), slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = q.run(ctx) }()
		began := time.Now()
		for range 3 {
			if err := q.SendCode(ctx, userpool.Message{}); err != nil {
				t.Error(err)
			}
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %s", waited)
		}
		cancel()
		<-done
		if sent.Load() != 3 {
			t.Errorf("%d of 3 were delivered before the end", sent.Load())
		}
	})
}

func TestMailQueue_IsBounded(t *testing.T) {
	t.Parallel()
	q := newMailQueue(nil, slog.New(slog.DiscardHandler))
	var err error
	for range maxMails {
		if err = q.SendCode(t.Context(), userpool.Message{}); err != nil {
			t.Fatal(err)
		}
	}
	if err = q.SendCode(t.Context(), userpool.Message{}); err == nil {
		t.Error("it takes more than it holds")
	}
}

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
	q, ok := m.(*mailQueue)
	if !ok {
		t.Fatalf("mails are sent by a %T", m)
	}
	if err := q.to.SendCode(t.Context(), userpool.Message{Medium: userpool.MediumEmail, Destination: "a@example.com", Subject: "Code\r\nBcc: eve@example.com", Body: "123456"}); err != nil {
		t.Fatal(err)
	}
	text := <-got
	if !strings.Contains(text, "123456") || strings.Contains(text, "\nBcc:") {
		t.Errorf("got %s", text)
	}
	if err := q.to.SendCode(t.Context(), userpool.Message{Medium: userpool.MediumEmail, Destination: "a@example.com>\r\nRCPT TO:<eve@example.com", Subject: "s"}); err == nil {
		t.Error("an address with a line break was written to")
	}
}
