package courier

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"moat/internal/outbound"
)

const (
	webhookTime  = 15 * time.Second
	secretPrefix = "whsec_"
)

// WebhookConfig says where text messages go.
type WebhookConfig struct {
	// URL gets one POST per message: https, or http to this machine or, where Private is
	// true, elsewhere.
	URL string
	// Secret signs each of them: "whsec_" and 24 to 64 bytes in base64.
	Secret  string
	Private bool // private and loopback addresses may be reached
	Now     func() time.Time
}

// Webhook gives text messages to a gateway of the operator's. It is safe for concurrent use.
//
// Requests are signed as Standard Webhooks (github.com/standard-webhooks) lays down:
// "webhook-signature: v1,BASE64(HMAC-SHA256(secret, id.timestamp.body))" with the headers
// webhook-id, the same at each repetition, and webhook-timestamp, in seconds.
type Webhook struct {
	url    string
	key    []byte
	client *http.Client
	now    func() time.Time
}

// NewWebhook checks the configuration; it connects to nothing. An error never holds the
// secret.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.Fragment != "" || u.User != nil {
		return nil, errors.New("the webhook is not of the form https://host/path")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) && !cfg.Private {
		return nil, errors.New("the webhook must be https: it is given codes; http is for this machine and, with private targets allowed, for a network of your own")
	}
	encoded, ok := strings.CutPrefix(cfg.Secret, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New(`the webhook needs a secret, "whsec_" and 24 to 64 random bytes in base64: echo whsec_$(openssl rand -base64 32)`)
	}
	return &Webhook{url: cfg.URL, key: key, now: cfg.Now, client: &http.Client{
		Transport: outbound.NewTransport(cfg.Private || loopback(u.Hostname())), Timeout: webhookTime,
		// A redirect would carry a code to somebody whom the operator did not name.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// textBody is what the gateway gets.
type textBody struct {
	ID        string `json:"id"`
	To        string `json:"to"`
	Message   string `json:"message"`
	Code      string `json:"code,omitempty"`
	Kind      string `json:"kind"`
	Pool      string `json:"pool"`
	PoolName  string `json:"poolName"`
	ExpiresAt string `json:"expiresAt"`
}

// Send gives one message to the gateway. Any status of 2xx takes it; 408, 425, 429 and
// 5xx, like no answer, ask for a repetition; every other status is final.
func (w *Webhook) Send(ctx context.Context, t Text) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	err := enc.Encode(textBody{t.ID, t.To, t.Message, t.Code, t.Kind, t.Pool, t.PoolName, t.ExpiresAt.UTC().Format(time.RFC3339)})
	if err != nil {
		return final{err}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body.Bytes()))
	if err != nil {
		return final{errors.New("the webhook's address is not one")}
	}
	at := strconv.FormatInt(w.now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "moat")
	r.Header.Set("Webhook-Id", t.ID)
	r.Header.Set("Webhook-Timestamp", at)
	r.Header.Set("Webhook-Signature", "v1,"+w.sign(t.ID, at, body.Bytes()))
	resp, err := w.client.Do(r)
	if err != nil {
		return unreachable(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode == http.StatusTooEarly, resp.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("the webhook answered %d", resp.StatusCode)
	}
	return final{fmt.Errorf("the webhook answered %d", resp.StatusCode)}
}

func (w *Webhook) sign(id, at string, body []byte) string {
	m := hmac.New(sha256.New, w.key)
	m.Write([]byte(id + "." + at + "."))
	m.Write(body)
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// unreachable leaves out the address, whose query may hold a token.
func unreachable(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	if errors.Is(err, outbound.ErrForbidden) {
		return errors.New("the webhook is at a private address; --allow-private-targets lets Moat reach it")
	}
	return fmt.Errorf("the webhook: %w", err)
}
