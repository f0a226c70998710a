package courier

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/wneessen/go-mail"
)

// smtpTime bounds the conversation up to the message, and each pause in it.
const smtpTime = 20 * time.Second

// SMTPConfig says how mails are sent.
type SMTPConfig struct {
	// URL is smtp://user:password@host:port, which demands STARTTLS (RFC 3207), or
	// smtps:// for TLS from the first byte (RFC 8314). Certificates are verified.
	// "?tls=none" sends in the clear, and a password so to this machine only.
	URL   string
	From  string         // sender of mails that name none
	Hello string         // name by which we introduce ourselves
	Roots *x509.CertPool // nil: the machine's
	Now   func() time.Time
}

// SMTP sends mails through one server. It is safe for concurrent use.
type SMTP struct {
	host     string
	options  []mail.Option
	tls      *tls.Config
	implicit bool
	from     *netmail.Address
	now      func() time.Time
}

// NewSMTP checks the configuration; it connects to nothing. An error never holds the
// password.
func NewSMTP(cfg SMTPConfig) (*SMTP, error) {
	s := &SMTP{now: cfg.Now}
	var err error
	if s.from, err = netmail.ParseAddress(cfg.From); err != nil {
		return nil, fmt.Errorf("the sender %q is not an address", cfg.From)
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || (u.Scheme != "smtp" && u.Scheme != "smtps") || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return nil, errors.New("the mail server is not of the form smtp://user:password@host:port or smtps://user:password@host:port")
	}
	s.host = u.Hostname()
	mode, err := tlsMode(u)
	if err != nil {
		return nil, err
	}
	s.implicit = u.Scheme == "smtps"
	s.tls = &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots}
	s.options = []mail.Option{mode, mail.WithTimeout(smtpTime), mail.WithHELO(cfg.Hello), mail.WithoutNoop(), mail.WithTLSConfig(s.tls)}
	port := map[string]int{"smtp": 587, "smtps": 465}[u.Scheme]
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil {
			return nil, errors.New("the port of the mail server is not a number")
		}
	}
	s.options = append(s.options, mail.WithPort(port))
	if u.User != nil {
		password, ok := u.User.Password()
		if !ok || password == "" || u.User.Username() == "" {
			return nil, errors.New("the mail server needs both a user and a password, or neither")
		}
		s.options = append(s.options, mail.WithUsername(u.User.Username()), mail.WithPassword(password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	if _, err := mail.NewClient(s.host, s.options...); err != nil {
		return nil, fmt.Errorf("the mail server: %w", err)
	}
	return s, nil
}

// tlsMode is how the connection is protected.
func tlsMode(u *url.URL) (mail.Option, error) {
	q := u.Query()
	none := q.Get("tls") == "none"
	if len(q) > 1 || len(q) == 1 && (!none || len(q["tls"]) != 1) {
		return nil, errors.New(`the mail server takes no parameter but "?tls=none"`)
	}
	switch {
	case u.Scheme == "smtps" && none:
		return nil, errors.New(`smtps:// and "?tls=none" contradict each other`)
	case u.Scheme == "smtps":
		return mail.WithSSL(), nil
	case !none:
		return mail.WithTLSPolicy(mail.TLSMandatory), nil
	case u.User != nil && !loopback(u.Hostname()):
		return nil, errors.New(`with "?tls=none" a password goes to this machine only`)
	}
	return mail.WithTLSPolicy(mail.NoTLS), nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Send delivers one mail to the server. After an error that is not [ErrFinal] the
// server may have taken it all the same, when it did not say so in time.
func (s *SMTP) Send(ctx context.Context, m Mail) error {
	msg, err := s.compose(m)
	if err != nil {
		return final{err}
	}
	// The library looks at ctx only while it connects: the connection is closed under it.
	var line net.Conn
	defer func() {
		if line != nil {
			_ = line.Close()
		}
	}()
	c, err := mail.NewClient(s.host, append(slices.Clip(s.options), mail.WithDialContextFunc(func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := s.dial(dialing, network, address)
		if err == nil {
			line = conn
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}))...)
	if err != nil {
		return err
	}
	conn, err := c.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("the mail server: %w", err) // nothing of the message was said yet
	}
	err = c.SendWithSMTPClient(conn, msg)
	if msg.IsDelivered() {
		_ = c.CloseWithSMTPClient(conn) // what the server thinks of QUIT changes nothing
		return nil
	}
	return refusal(err)
}

// dial connects, with TLS at once where the server is named so.
func (s *SMTP) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.implicit {
		return (&tls.Dialer{Config: s.tls}).DialContext(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// refusal tells what the server said, without its words: they repeat addresses.
func refusal(err error) error {
	var e *mail.SendError
	if !errors.As(err, &e) {
		return errors.New("the mail server broke off")
	}
	code := e.ErrorCode()
	if code == 0 {
		return fmt.Errorf("the mail server broke off: %s", e.Reason)
	}
	out := fmt.Errorf("the mail server answered %s", strings.TrimSpace(strconv.Itoa(code)+" "+e.EnhancedStatusCode()+" ("+e.Reason.String()+")"))
	switch code {
	case 502, 503, 530, 534, 535, 538: // it wants a login, another one, or TLS: the operator's to mend (RFC 4954)
		return out
	}
	if code >= 500 {
		return final{out}
	}
	return out
}

// compose writes the mail (RFC 5322). Addresses come from the parser, the subject is
// stripped of control characters and encoded: nothing that a user, an operator or a
// function wrote can add a header or a recipient.
func (s *SMTP) compose(m Mail) (*mail.Msg, error) {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	from := s.from
	if m.From != "" {
		var err error
		if from, err = netmail.ParseAddress(m.From); err != nil {
			return nil, errors.New("the sender is not an address")
		}
	}
	msg.FromMailAddress(from)
	to, err := netmail.ParseAddress(m.To)
	if err != nil || to.Name != "" || to.Address != m.To {
		return nil, errors.New("the recipient is not an address")
	}
	msg.ToMailAddress(to)
	if m.ReplyTo != "" {
		reply, err := netmail.ParseAddress(m.ReplyTo)
		if err != nil {
			return nil, errors.New("the address for replies is not an address")
		}
		msg.ReplyToMailAddress(reply)
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	msg.SetMessageIDWithValue(m.ID + "@" + domain)
	msg.SetDateWithValue(s.now())
	msg.Subject(oneLine(m.Subject))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	msg.SetBodyString(mail.TypeTextPlain, plainText(m.HTML))
	msg.AddAlternativeString(mail.TypeTextHTML, m.HTML)
	return msg, nil
}

// oneLine replaces what does not belong into a header.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}
