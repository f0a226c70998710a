package courier

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

var testTime = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// mailServer is a real SMTP server on loopback.
type mailServer struct {
	addr  string
	roots *x509.CertPool

	mu       sync.Mutex
	received []received
	refuse   map[string]error // by command: MAIL, RCPT, DATA
	logins   int
}

type received struct {
	hello, from, to string
	user            string // "" without a login
	data            string
}

type serverOptions struct {
	tls      bool // STARTTLS is offered
	implicit bool // TLS from the first byte
	login    bool // a login is demanded
}

func newMailServer(t *testing.T, o serverOptions) *mailServer {
	t.Helper()
	m := &mailServer{refuse: map[string]error{}}
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		session := &mailSession{server: m, got: received{hello: c.Hostname()}, login: o.login}
		if !o.login {
			return plainSession{session}, nil
		}
		return session, nil
	}))
	s.Domain, s.AllowInsecureAuth, s.ErrorLog = "mail.example", !o.tls && !o.implicit, log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.addr = l.Addr().String()
	if o.tls || o.implicit {
		var cfg *tls.Config
		cfg, m.roots = certificate(t)
		if o.tls {
			s.TLSConfig = cfg
		} else {
			l = tls.NewListener(l, cfg)
		}
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return m
}

func (m *mailServer) all() []received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]received(nil), m.received...)
}

func (m *mailServer) answer(command string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refuse[command]
}

// plainSession hides that a session could take a login.
type plainSession struct{ smtp.Session }

type mailSession struct {
	server *mailServer
	got    received
	login  bool
}

func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "moat" || password != "p&ss:word" {
			return smtp.ErrAuthFailed
		}
		s.got.user = user
		return nil
	}), nil
}

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	if s.login && s.got.user == "" {
		return smtp.ErrAuthRequired
	}
	s.got.from = from
	return s.server.answer("MAIL")
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.got.to += to
	return s.server.answer("RCPT")
}

func (s *mailSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.server.answer("DATA"); err != nil {
		return err
	}
	s.got.data = string(b)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.received = append(s.server.received, s.got)
	return nil
}

func (s *mailSession) Reset()        { s.got.from, s.got.to = "", "" }
func (s *mailSession) Logout() error { return nil }

// certificate makes a certificate of 127.0.0.1 that only its own pool trusts.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}

func sender(t *testing.T, server string, roots *x509.CertPool) *SMTP {
	t.Helper()
	s, err := NewSMTP(SMTPConfig{URL: server, From: "School <school@example.com>", Hello: "moat.example.com", Roots: roots, Now: func() time.Time { return testTime }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var login = url.UserPassword("moat", "p&ss:word").String()

func mailTo(to string) Mail {
	return Mail{ID: "m1", To: to, Subject: "Your code", HTML: `<p>Hi Änn,</p><p>it is <b>123456</b>. <a href="https://example.com/c?a=1&amp;b=2">Confirm</a></p>`}
}

// A mail arrives whole: over STARTTLS, with a login, as HTML and as text.
func TestSMTP_Send_whole(t *testing.T) {
	t.Parallel()
	m := newMailServer(t, serverOptions{tls: true, login: true})
	mail := mailTo("ann@example.com")
	mail.From, mail.ReplyTo = "Schüle <other@example.org>", "help@example.org"
	if err := sender(t, "smtp://"+login+"@"+m.addr, m.roots).Send(t.Context(), mail); err != nil {
		t.Fatal(err)
	}
	all := m.all()
	if len(all) != 1 {
		t.Fatalf("%d mails arrived", len(all))
	}
	got := all[0]
	if got.from != "other@example.org" || got.to != "ann@example.com" || got.user != "moat" || got.hello != "moat.example.com" {
		t.Errorf("got %+v", got)
	}
	msg, err := netmail.ReadMessage(strings.NewReader(got.data))
	if err != nil {
		t.Fatal(err)
	}
	decoded := func(name string) string {
		v, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get(name))
		if err != nil {
			t.Error(err)
		}
		return v
	}
	for name, want := range map[string]string{
		"From": `Schüle <other@example.org>`, "To": "<ann@example.com>", "Reply-To": "<help@example.org>", "Subject": "Your code",
		"Message-Id": "<m1@example.org>", "Date": testTime.Format(time.RFC1123Z), "Auto-Submitted": "auto-generated", "User-Agent": "", "Bcc": "",
	} {
		if got := strings.ReplaceAll(decoded(name), `"`, ""); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	want := []string{"text/plain: Hi Änn,\nit is 123456. Confirm ( https://example.com/c?a=1&b=2 )", "text/html: " + mail.HTML}
	if got := parts(t, msg); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// parts are the alternatives of a mail.
func parts(t *testing.T, msg *netmail.Message) (out []string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s %v", kind, err)
	}
	for r := multipart.NewReader(msg.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil || p.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Fatal(err, p.Header)
		}
		out = append(out, kind+": "+strings.ReplaceAll(strings.TrimRight(string(b), "\r\n"), "\r\n", "\n"))
	}
}

// Each way to the server, and the nearest that must not lead there.
func TestSMTP_Send_transport(t *testing.T) {
	t.Parallel()
	starttls := newMailServer(t, serverOptions{tls: true})
	implicit := newMailServer(t, serverOptions{implicit: true, login: true})
	bare := newMailServer(t, serverOptions{})
	bareLogin := newMailServer(t, serverOptions{login: true})
	_, stranger := certificate(t)
	_, port, err := net.SplitHostPort(starttls.addr)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		server *mailServer
		url    string
		roots  *x509.CertPool
		ok     bool
	}{
		"STARTTLS":                           {starttls, "smtp://" + starttls.addr, starttls.roots, true},
		"STARTTLS, unknown certificate":      {starttls, "smtp://" + starttls.addr, stranger, false},
		"STARTTLS, certificate of another":   {starttls, "smtp://localhost:" + port, starttls.roots, false},
		"STARTTLS not offered":               {bare, "smtp://" + bare.addr, nil, false},
		"in the clear because told so":       {bare, "smtp://" + bare.addr + "?tls=none", nil, true},
		"TLS at once, login":                 {implicit, "smtps://" + login + "@" + implicit.addr, implicit.roots, true},
		"TLS at once, unknown certificate":   {implicit, "smtps://" + login + "@" + implicit.addr, stranger, false},
		"TLS at once, wrong password":        {implicit, "smtps://moat:wrong@" + implicit.addr, implicit.roots, false},
		"TLS at once, no login":              {implicit, "smtps://" + implicit.addr, implicit.roots, false},
		"TLS at once where STARTTLS is":      {starttls, "smtps://" + starttls.addr, starttls.roots, false},
		"login that is not asked for":        {starttls, "smtp://" + login + "@" + starttls.addr, starttls.roots, false},
		"login in the clear on this machine": {bareLogin, "smtp://" + login + "@" + bareLogin.addr + "?tls=none", nil, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := len(tt.server.all())
			err := sender(t, tt.url, tt.roots).Send(t.Context(), mailTo("ann@example.com"))
			if (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
			if arrived := len(tt.server.all()) - before; arrived != map[bool]int{true: 1}[tt.ok] {
				t.Errorf("%d mails arrived", arrived)
			}
			if err != nil && (errors.Is(err, ErrFinal) || strings.Contains(err.Error(), "word")) {
				t.Errorf("a server that is not as it should be can be mended, and tells no password: %v", err)
			}
		})
	}
}

// What the server says decides whether to come again.
func TestSMTP_Send_refused(t *testing.T) {
	t.Parallel()
	m := newMailServer(t, serverOptions{})
	s := sender(t, "smtp://"+m.addr+"?tls=none", nil)
	for _, command := range []string{"MAIL", "RCPT", "DATA"} {
		for code, final := range map[int]bool{421: false, 451: false, 452: false, 535: false, 550: true, 554: true} {
			m.mu.Lock()
			m.refuse = map[string]error{command: &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "ann@example.com is no good"}}
			m.mu.Unlock()
			err := s.Send(t.Context(), mailTo("ann@example.com"))
			if err == nil || errors.Is(err, ErrFinal) != final {
				t.Errorf("%d to %s: got %v", code, command, err)
			}
			if err != nil && strings.Contains(err.Error(), "ann@") {
				t.Errorf("the error repeats an address: %v", err)
			}
		}
	}
	m.mu.Lock()
	m.refuse = nil
	m.mu.Unlock()
	if err := s.Send(t.Context(), mailTo("ann@example.com")); err != nil || len(m.all()) != 1 {
		t.Errorf("the twin that must pass: %v, %d arrived", err, len(m.all()))
	}
}

// Nothing in a message adds a header, a recipient or a command.
func TestSMTP_Send_injection(t *testing.T) {
	t.Parallel()
	m := newMailServer(t, serverOptions{})
	s := sender(t, "smtp://"+m.addr+"?tls=none", nil)
	for _, subject := range []string{"Code\r\nBcc: eve@example.com", "Code\nBcc: eve@example.com", "Code\rBcc: eve@example.com", "Code\x00", "=?utf-8?q?=0D=0ABcc:_eve@example.com?=", strings.Repeat("ä", 400)} {
		mail := mailTo("ann@example.com")
		mail.Subject, mail.HTML = subject, "x\r\n.\r\nMAIL FROM:<eve@example.com>\r\n"
		before := len(m.all())
		if err := s.Send(t.Context(), mail); err != nil {
			t.Fatal(err)
		}
		all := m.all()
		if len(all) != before+1 {
			t.Fatalf("%q: %d mails arrived", subject, len(all)-before)
		}
		msg, err := netmail.ReadMessage(strings.NewReader(all[before].data))
		if err != nil {
			t.Fatal(err)
		}
		if msg.Header.Get("Bcc") != "" || len(msg.Header["Subject"]) != 1 || all[before].to != "ann@example.com" {
			t.Errorf("%q: %v to %s", subject, msg.Header, all[before].to)
		}
	}
	for _, to := range []string{
		"a@example.com>\r\nRCPT TO:<eve@example.com", "a@example.com, eve@example.com", "Ann <a@example.com>", "<a@example.com>", "a@example.com\n", "", "a", "a@example.com\r\nBcc: eve@example.com",
	} {
		if err := s.Send(t.Context(), mailTo(to)); !errors.Is(err, ErrFinal) {
			t.Errorf("to %q: got %v", to, err)
		}
	}
	for _, from := range []string{"a@example.com\r\nBcc: eve@example.com", "a, b", "nobody"} {
		mail := mailTo("ann@example.com")
		mail.From = from
		if err := s.Send(t.Context(), mail); !errors.Is(err, ErrFinal) {
			t.Errorf("from %q: got %v", from, err)
		}
		mail.From, mail.ReplyTo = "", from
		if err := s.Send(t.Context(), mail); !errors.Is(err, ErrFinal) {
			t.Errorf("replies to %q: got %v", from, err)
		}
	}
}

// A server that says nothing does not hold a delivery longer than its context.
func TestSMTP_Send_silentServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Write([]byte("220 x\r\n"))
		buf := make([]byte, 512)
		for n, _ := c.Read(buf); n > 0; n, _ = c.Read(buf) {
			if strings.HasPrefix(string(buf[:n]), "MAIL") {
				cancel() // and no answer to it
				continue
			}
			_, _ = c.Write([]byte("250 ok\r\n"))
		}
	}()
	if err := sender(t, "smtp://"+l.Addr().String()+"?tls=none", nil).Send(ctx, mailTo("ann@example.com")); err == nil || errors.Is(err, ErrFinal) {
		t.Errorf("got %v", err)
	}
}

func TestNewSMTP_refuses(t *testing.T) {
	t.Parallel()
	ok := SMTPConfig{URL: "smtp://moat:secret-word@mail.example.com", From: "school@example.com", Hello: "moat.example.com", Now: time.Now}
	if _, err := NewSMTP(ok); err != nil {
		t.Errorf("the twin that must pass: %v", err)
	}
	for _, u := range []string{
		"mail.example.com:25", "http://mail.example.com", "smtp://", "smtp://moat@mail.example.com", "smtp://:secret-word@mail.example.com", "smtp://moat:secret-word@mail.example.com?tls=none",
		"smtps://mail.example.com?tls=none", "smtp://mail.example.com?tls=maybe", "smtp://mail.example.com?verify=no", "smtp://mail.example.com:http", "smtp://moat:secret-word@mail.example.com/%zz", "smtp://mail.example.com/x",
	} {
		cfg := ok
		cfg.URL = u
		if _, err := NewSMTP(cfg); err == nil || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s: got %v", u, err)
		}
	}
	for _, from := range []string{"", "nobody", "a@b, c@d"} {
		cfg := ok
		cfg.From = from
		if _, err := NewSMTP(cfg); err == nil {
			t.Errorf("sender %q is taken", from)
		}
	}
}

func TestPlainText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Your code is 123456":                            "Your code is 123456",
		"line one\nline two":                             "line one\nline two",
		"<p>a</p>\n\n<p>b<br/>c</p>":                     "a\nb\nc",
		"1 &lt; 2 &amp; 3 < 4":                           "1 < 2 & 3 < 4",
		"<style>p{color:red}</style><b>x</b><!-- no -->": "x",
		`<a href='https://a/?x'>https://a/?x</a>`:        "https://a/?x",
		`<A class=b HREF="https://a"><b>Go</b></A>`:      "Go ( https://a )",
		`<a href="https://a">`:                           "",
		"<ul><li>a</li><li>b</li></ul>":                  "a\nb",
	} {
		if got := plainText(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
