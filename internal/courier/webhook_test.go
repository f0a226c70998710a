package courier

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const testSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

func testText() Text {
	return Text{ID: "m1", To: "+4915112345678", Message: "Your code is <123456>", Code: "123456", Kind: "SignUp", Pool: "us-east-1_abc", PoolName: "school", ExpiresAt: testTime.Add(time.Hour)}
}

func webhook(t *testing.T, url string) *Webhook {
	t.Helper()
	w, err := NewWebhook(WebhookConfig{URL: url, Secret: testSecret, Now: func() time.Time { return testTime }})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// verified is what a receiver does with a request, as Standard Webhooks describes it.
func verified(secret string, r *http.Request, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte(r.Header.Get("webhook-id") + "." + r.Header.Get("webhook-timestamp") + "."))
	m.Write(body)
	return hmac.Equal([]byte("v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil))), []byte(r.Header.Get("webhook-signature")))
}

func TestWebhook_Send_signed(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer s.Close()
	if err := webhook(t, s.URL+"/sms?token=x").Send(t.Context(), testText()); err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodPost || got.URL.String() != "/sms?token=x" || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Webhook-Timestamp") != "1795176000" {
		t.Errorf("got %s %s %v", got.Method, got.URL, got.Header)
	}
	if !verified(testSecret, got, body) {
		t.Error("the signature does not fit")
	}
	if verified("whsec_"+strings.Repeat("A", 32), got, body) || verified(testSecret, got, append(body, ' ')) {
		t.Error("the signature fits another secret or another text")
	}
	later := got.Clone(t.Context())
	later.Header.Set("Webhook-Timestamp", "1795176001")
	if verified(testSecret, later, body) {
		t.Error("the signature fits another time")
	}
	var text map[string]string
	if err := json.Unmarshal(body, &text); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"id": "m1", "to": "+4915112345678", "message": "Your code is <123456>", "code": "123456", "kind": "SignUp", "pool": "us-east-1_abc", "poolName": "school", "expiresAt": "2026-11-20T13:00:00Z",
	} {
		if text[name] != want {
			t.Errorf("%s: got %q, want %q", name, text[name], want)
		}
	}
}

func TestWebhook_Send_refused(t *testing.T) {
	t.Parallel()
	status, redirected := 0, false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			redirected = true
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer s.Close()
	w := webhook(t, s.URL+"/sms?token=hidden-word")
	for code, final := range map[int]bool{302: true, 307: true, 400: true, 401: true, 404: true, 410: true, 408: false, 425: false, 429: false, 500: false, 503: false} {
		status = code
		if err := w.Send(t.Context(), testText()); err == nil || errors.Is(err, ErrFinal) != final {
			t.Errorf("%d: got %v", code, err)
		}
	}
	if redirected {
		t.Error("a redirect was followed")
	}
	s.Close()
	if err := w.Send(t.Context(), testText()); err == nil || errors.Is(err, ErrFinal) || strings.Contains(err.Error(), "hidden-word") {
		t.Errorf("nobody listens: got %v", err)
	}
}

func TestWebhook_Send_boundedByItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		cancel()
		<-r.Context().Done()
	}))
	defer s.Close()
	if err := webhook(t, s.URL).Send(ctx, testText()); !errors.Is(err, context.Canceled) || errors.Is(err, ErrFinal) {
		t.Errorf("got %v", err)
	}
}

// A name that leads to a private address leads nowhere unless the operator says so.
func TestWebhook_Send_privateAddress(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"https://10.0.0.1/", "https://169.254.169.254/", "https://[fd00::1]/"} {
		err := webhook(t, u).Send(t.Context(), testText())
		if err == nil || !strings.Contains(err.Error(), "--allow-private-targets") {
			t.Errorf("%s: got %v", u, err)
		}
	}
}

func TestNewWebhook_refuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		url, secret string
		private, ok bool
	}{
		{"https://sms.example.com/x", testSecret, false, true},
		{"http://127.0.0.1:8080", testSecret, false, true},
		{"http://sms:8080", testSecret, true, true},
		{"http://sms:8080", testSecret, false, false},
		{"http://sms.example.com", testSecret, false, false},
		{"sms.example.com", testSecret, false, false},
		{"ftp://sms.example.com", testSecret, false, false},
		{"https://user:pw@sms.example.com", testSecret, false, false},
		{"https://sms.example.com", "", false, false},
		{"https://sms.example.com", "whsec_MDEyMw==", false, false},
		{"https://sms.example.com", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", false, false},
		{"https://sms.example.com", "whsec_not base64 at all, but it is long", false, false},
	} {
		if _, err := NewWebhook(WebhookConfig{URL: tt.url, Secret: tt.secret, Private: tt.private, Now: time.Now}); (err == nil) != tt.ok {
			t.Errorf("%s with %q: got %v", tt.url, tt.secret, err)
		}
	}
}
