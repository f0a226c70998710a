package moattest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"moat/internal/pure/sigv4"
	"moat/internal/server"
)

// mailbox is a mail server that hands over what it gets.
type mailbox struct{ mails chan string }

func (b mailbox) NewSession(*smtp.Conn) (smtp.Session, error) { return b, nil }
func (mailbox) Mail(string, *smtp.MailOptions) error          { return nil }
func (mailbox) Rcpt(string, *smtp.RcptOptions) error          { return nil }
func (mailbox) Reset()                                        {}
func (mailbox) Logout() error                                 { return nil }

func (b mailbox) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err == nil {
		b.mails <- strings.ReplaceAll(string(text), "=\r\n", "") // soft line breaks
	}
	return err
}

func newMailbox(t *testing.T) (box mailbox, address string) {
	t.Helper()
	box = mailbox{make(chan string, 16)}
	s := smtp.NewServer(box)
	s.ErrorLog = log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return box, "smtp://" + l.Addr().String() + "?tls=none"
}

// arrives waits for the next message.
func arrives(t *testing.T, messages <-chan string) string {
	t.Helper()
	select {
	case m := <-messages:
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("no message arrived")
		return ""
	}
}

// serving makes the configuration of a Moat that serves for real.
func serving(data string, change func(*server.Config)) func(*server.Config) {
	return func(c *server.Config) {
		c.Dev, c.InMemory, c.Data, c.BaseURL, c.Domain = false, false, data, "https://moat.example.com", "moat.example.com"
		change(c)
	}
}

func (m *Moat) administrator(t *testing.T) sigv4.Credentials {
	t.Helper()
	key, secret, created, err := m.Administrator(t.Context())
	if err != nil || !created {
		t.Fatal(created, err)
	}
	return sigv4.Credentials{AccessKeyID: key, SecretAccessKey: secret}
}

// pools makes a signed call of a user pool operation, which has to succeed.
func (m *Moat) pools(t *testing.T, who sigv4.Credentials, operation, body string) string {
	t.Helper()
	status, answer := m.signed(t, who, "cognito-idp", "POST", "/", body, "X-Amz-Target", "AWSCognitoIdentityProviderService."+operation, "Content-Type", "application/x-amz-json-1.1")
	if status != 200 {
		t.Fatalf("%s: %d %s", operation, status, answer)
	}
	return answer
}

// anybody makes an unsigned call of a user pool operation, which has to succeed.
func (m *Moat) anybody(t *testing.T, operation, body string, headers ...string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", m.loopback("/"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService."+operation)
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	if status, answer := do(t, req); status != 200 {
		t.Fatalf("%s: %d %s", operation, status, answer)
	}
}

func field(t *testing.T, answer, object, name string) string {
	t.Helper()
	var out map[string]map[string]any
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		t.Fatal(err)
	}
	s, _ := out[object][name].(string)
	return s
}

const signUpBody = `{"ClientId":"CLIENT","Username":"ann@example.com","Password":"Analytical-Engine-1","UserAttributes":[{"Name":"phone_number","Value":"+4915112345678"}]}`

// mailPool makes a pool whose users confirm by e-mail, and a client of it.
func (m *Moat) mailPool(t *testing.T, who sigv4.Credentials, more string) (pool, client string) {
	t.Helper()
	pool = field(t, m.pools(t, who, "CreateUserPool", `{"PoolName":"school","UsernameAttributes":["email"],"AutoVerifiedAttributes":["email"]`+more+`}`), "UserPool", "Id")
	client = field(t, m.pools(t, who, "CreateUserPoolClient", `{"UserPoolId":"`+pool+`","ClientName":"web"}`), "UserPoolClient", "ClientId")
	return pool, client
}

// A sign-up goes through while the mail server is down, and its mail arrives after a
// restart, when the server is back.
func TestFlow_mailSurvivesRestart(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := "smtp://" + l.Addr().String() + "?tls=none"
	l.Close()
	data := t.TempDir()
	m := New(t, serving(data, func(c *server.Config) { c.SMTP = down }))
	_, client := m.mailPool(t, m.administrator(t), "")
	m.anybody(t, "SignUp", strings.ReplaceAll(signUpBody, "CLIENT", client))
	m.Close()

	box, up := newMailbox(t)
	later := Start().Add(3 * time.Minute)
	m = New(t, serving(data, func(c *server.Config) { c.SMTP, c.Now = up, func() time.Time { return later } }))
	code := regexp.MustCompile(`[0-9]{6}`).FindString(regexp.MustCompile(`code is [0-9]{6}`).FindString(arrives(t, box.mails)))
	m.anybody(t, "ConfirmSignUp", `{"ClientId":"`+client+`","Username":"ann@example.com","ConfirmationCode":"`+code+`"}`)
}

// Whatever host a request names, the link in a mail is the configured one.
func TestFlow_mailedLinkIgnoresTheHost(t *testing.T) {
	t.Parallel()
	box, up := newMailbox(t)
	m := New(t, serving(t.TempDir(), func(c *server.Config) { c.SMTP = up }))
	admin := m.administrator(t)
	pool, client := m.mailPool(t, admin, `,"VerificationMessageTemplate":{"DefaultEmailOption":"CONFIRM_WITH_LINK"},"EmailConfiguration":{"From":"School <school@example.org>","ReplyToEmailAddress":"help@example.org"}`)
	m.pools(t, admin, "CreateUserPoolDomain", `{"UserPoolId":"`+pool+`","Domain":"school"}`)
	m.anybody(t, "SignUp", strings.ReplaceAll(signUpBody, "CLIENT", client), "Host", "cognito-idp.evil.example", "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example", "Origin", "https://evil.example")
	mail := arrives(t, box.mails)
	if strings.Contains(mail, "evil") {
		t.Errorf("the request's host is in the mail: %s", mail)
	}
	for _, want := range []string{"moat.example.com", "/confirmUser?", `School" <school@example.org>`, "<help@example.org>"} {
		if !strings.Contains(mail, want) {
			t.Errorf("%s is not in the mail: %s", want, mail)
		}
	}
}

// A text message reaches the webhook and nobody else; it is signed.
func TestFlow_textMessage(t *testing.T) {
	t.Parallel()
	texts := make(chan string, 4)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		texts <- r.Header.Get("Webhook-Signature") + " " + string(body)
	}))
	defer hook.Close()
	m := New(t, serving(t.TempDir(), func(c *server.Config) {
		c.SMSWebhook, c.SMSWebhookSecret = hook.URL, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	}))
	admin := m.administrator(t)
	answer := m.pools(t, admin, "CreateUserPool", `{"PoolName":"school","UsernameAttributes":["phone_number","email"],"AutoVerifiedAttributes":["phone_number"],"SmsVerificationMessage":"Say {####} <now>",`+
		`"SmsConfiguration":{"SnsCallerArn":"arn:aws:iam::000000000000:role/sms"}}`)
	pool := field(t, answer, "UserPool", "Id")
	client := field(t, m.pools(t, admin, "CreateUserPoolClient", `{"UserPoolId":"`+pool+`","ClientName":"web"}`), "UserPoolClient", "ClientId")
	m.anybody(t, "SignUp", strings.ReplaceAll(signUpBody, "CLIENT", client))
	signature, body, _ := strings.Cut(arrives(t, texts), " ")
	var text struct{ ID, To, Message, Code, Kind, Pool, PoolName string }
	if err := json.Unmarshal([]byte(body), &text); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(signature, "v1,") || text.ID == "" || text.To != "+4915112345678" || text.Message != "Say "+text.Code+" <now>" || text.Kind != "SignUp" || text.Pool != pool || text.PoolName != "school" {
		t.Errorf("got %s %s", signature, body)
	}
	m.anybody(t, "ConfirmSignUp", `{"ClientId":"`+client+`","Username":"ann@example.com","ConfirmationCode":"`+text.Code+`"}`)
}

// The outbox of `moat dev` shows a message whole.
func TestFlow_outbox(t *testing.T) {
	t.Parallel()
	var told []server.Message
	m := New(t, func(c *server.Config) { c.Message = func(msg server.Message) { told = append(told, msg) } })
	_, client := m.mailPool(t, rootKey(), `,"EmailVerificationSubject":"Hello","EmailVerificationMessage":"Say {####}","EmailConfiguration":{"ReplyToEmailAddress":"help@example.org"}`)
	m.anybody(t, "SignUp", strings.ReplaceAll(signUpBody, "CLIENT", client))
	req, err := http.NewRequestWithContext(t.Context(), "GET", m.loopback("/_moat/outbox?to=ann@example.com"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, answer := do(t, req)
	var shown []server.Message
	if err := json.Unmarshal([]byte(answer), &shown); err != nil {
		t.Fatal(err)
	}
	if len(shown) != 1 || len(told) != 1 {
		t.Fatalf("shown %d, told %d", len(shown), len(told))
	}
	got := shown[0]
	if got.Medium != "EMAIL" || got.Trigger != "SignUp" || got.Subject != "Hello" || got.Text != "Say "+got.Code || len(got.Code) != 6 || got.ReplyTo != "help@example.org" || !got.ExpiresAt.Equal(Start().Add(24*time.Hour)) {
		t.Errorf("got %s", answer)
	}
	if told[0].Code != got.Code {
		t.Errorf("told %+v", told[0])
	}
}

// senderCode is a custom sender of Node.js alone. In place of a mail it uses the code: it
// confirms the user to whom it was to be sent.
const senderCode = `
const crypto = require('crypto');
const key = PRIVATE_KEY;
const open = (jwe) => {
  const [header, wrapped, iv, text, tag] = jwe.split('.'), raw = (s) => Buffer.from(s, 'base64url');
  const content = crypto.privateDecrypt({ key, oaepHash: 'sha256' }, raw(wrapped));
  const aes = crypto.createDecipheriv('aes-256-gcm', content, raw(iv)).setAAD(Buffer.from(header)).setAuthTag(raw(tag));
  return aes.update(raw(text), null, 'utf8') + aes.final('utf8');
};
exports.handler = async (event) => {
  const answer = await fetch(process.env.AWS_ENDPOINT_URL, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-amz-json-1.1', 'X-Amz-Target': 'AWSCognitoIdentityProviderService.ConfirmSignUp' },
    body: JSON.stringify({ ClientId: event.callerContext.clientId, Username: event.userName, ConfirmationCode: open(event.request.code) }),
  });
  if (!answer.ok) throw new Error(await answer.text());
};`

// A real function opens the code that is sealed to its key, whose public half lies in a parameter.
func TestFlow_customEmailSender(t *testing.T) {
	t.Parallel()
	m := New(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	quoted := func(kind string, der []byte) string {
		b, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	function := m.function(t, "sender", m.role(t, "exec", trusts("lambda.amazonaws.com")), strings.Replace(senderCode, "PRIVATE_KEY", quoted("PRIVATE KEY", private), 1))
	if status, answer := m.signed(t, rootKey(), "lambda", "POST", "/2015-03-31/functions/sender/policy",
		`{"StatementId":"pools","Action":"lambda:InvokeFunction","Principal":"cognito-idp.amazonaws.com"}`); status != 201 {
		t.Fatalf("AddPermission: %d %s", status, answer)
	}
	if status, answer := m.signed(t, rootKey(), "ssm", "POST", "/", `{"Name":"/pools/key","Type":"String","Value":`+quoted("PUBLIC KEY", public)+`}`,
		"X-Amz-Target", "AmazonSSM.PutParameter", "Content-Type", "application/x-amz-json-1.1"); status != 200 {
		t.Fatalf("PutParameter: %d %s", status, answer)
	}
	lambdaConfig := `{"KMSKeyID":"arn:aws:ssm:us-east-1:` + flowAccount + `:parameter/pools/key","CustomEmailSender":{"LambdaVersion":"V1_0","LambdaArn":"` + function + `"}}`
	pool, client := m.mailPool(t, rootKey(), `,"LambdaConfig":`+lambdaConfig)
	m.anybody(t, "SignUp", strings.ReplaceAll(signUpBody, "CLIENT", client))
	user := func() string {
		return m.pools(t, rootKey(), "AdminGetUser", `{"UserPoolId":"`+pool+`","Username":"ann@example.com"}`)
	}
	confirmed := func() bool { return strings.Contains(user(), `"UserStatus":"CONFIRMED"`) }
	for late := time.After(20 * time.Second); !confirmed(); { // a cold function may take longer than its sign-up waits
		select {
		case <-late:
			t.Fatalf("the function did not open the code: %s", user())
		case <-time.After(50 * time.Millisecond):
			m.Clock.Advance(time.Second)
		}
	}

	// Who may not read the parameter cannot name it.
	ada := m.user(t, "ada", allows("cognito-idp:*", "*"))
	status, answer := m.signed(t, ada, "cognito-idp", "POST", "/", `{"PoolName":"p","LambdaConfig":`+lambdaConfig+`}`,
		"X-Amz-Target", "AWSCognitoIdentityProviderService.CreateUserPool", "Content-Type", "application/x-amz-json-1.1")
	if status != 400 || !strings.Contains(answer, "is not authorized to perform: ssm:GetParameter") {
		t.Errorf("ada, who may not read the key: %d %s", status, answer)
	}
	m.allow(t, "User", "ada", allows("cognito-idp:*", "*"), allows("ssm:GetParameter", "*"))
	m.pools(t, ada, "CreateUserPool", `{"PoolName":"p","LambdaConfig":`+lambdaConfig+`}`)
}
