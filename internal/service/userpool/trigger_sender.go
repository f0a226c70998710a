package userpool

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"

	"moat/internal/pure/arn"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// SenderKeys reads what a pool's KMSKeyID names, in the caller's name: he needs the
// permission to read it.
type SenderKeys interface {
	SenderKey(ctx context.Context, parameterARN string) (text string, err error)
}

type customSenderRequest struct {
	Type           string            `json:"type"`
	Code           *string           `json:"code"` // sealed to the function's key; null: there is none
	ClientMetadata map[string]string `json:"clientMetadata"`
	UserAttributes map[string]string `json:"userAttributes"`
}

// customSender is the function that delivers a medium in Moat's place; "" when none does.
func (p *Pool) customSender(medium string) string {
	l := p.lambda()
	switch {
	case medium == MediumEmail && l.CustomEmailSender != nil:
		return l.CustomEmailSender.LambdaArn
	case medium == MediumSMS && l.CustomSMSSender != nil:
		return l.CustomSMSSender.LambdaArn
	}
	return ""
}

// functionFailed marks what a function made fail: it is asked as often as Lambda asks for
// an asynchronous event.
type functionFailed struct{ error }

func (f functionFailed) Unwrap() error { return f.error }

// sendByFunction hands a message to the pool's own function, the code sealed to its key
// (Cognito developer guide, "Custom sender Lambda triggers"). It words the message itself.
func (s *Service) sendByFunction(ctx context.Context, p *Pool, u *User, m *Message, text *letterText) error {
	c := call{name: "CustomEmailSender", source: m.Kind, user: u.Name, function: p.customSender(m.Medium), on: occasion{client: text.Client}, response: struct{}{}}
	request := customSenderRequest{Type: "customEmailSenderRequestV1", ClientMetadata: text.Metadata, UserAttributes: eventAttributes(u)}
	if m.Medium == MediumSMS {
		c.name, request.Type = "CustomSMSSender", "customSMSSenderRequestV1"
	}
	if m.Kind == MessageRisk {
		c.source = "AccountTakeOverNotification"
	}
	if secret := m.Code + m.Password; secret != "" {
		key, err := parseSenderKey(p.Settings.SenderKey)
		if err != nil {
			return errors.Join(ErrUndeliverable, err)
		}
		sealed, err := sealTo(key, s.rand, []byte(secret))
		if err != nil {
			return err
		}
		request.Code = &sealed
	}
	c.request = request
	event, err := c.event(p)
	if err != nil {
		return err
	}
	if s.invoker == nil {
		return errors.Join(ErrUndeliverable, errors.New("no functions can be run here"))
	}
	result, err := s.invoker.InvokeTrigger(ctx, c.function, s.poolARN(p), event)
	if err != nil {
		return functionFailed{err}
	}
	if result.Failed { // what it says may hold what it was told
		return functionFailed{errors.New("the function " + c.function + " failed")}
	}
	return nil
}

// senderKey reads the public key of a pool's senders; "" when it has none. It is read
// once, when the pool is told of it: what is under that name later changes nothing.
func (s *Service) senderKey(ctx context.Context, operation string, l *api.LambdaConfigType) (string, error) {
	if l == nil || l.KMSKeyID == nil {
		if l != nil && (l.CustomEmailSender != nil || l.CustomSMSSender != nil) {
			return "", refuse(invalidParameter, "KMSKeyID is required to use a custom sender.")
		}
		return "", nil
	}
	named, err := arn.Parse(*l.KMSKeyID)
	if err == nil && named.Service == "kms" {
		return "", notImplemented(operation, "there is no KMS; KMSKeyID names a Systems Manager parameter that holds an RSA public key.")
	}
	if err != nil || named.Service != "ssm" || named.Type() != "parameter" {
		return "", refuse(invalidParameter, "KMSKeyID must be the ARN of a Systems Manager parameter that holds an RSA public key.")
	}
	if s.senderKeys == nil {
		return "", notImplemented(operation, "there are no parameters here that could hold the key.")
	}
	text, err := s.senderKeys.SenderKey(ctx, *l.KMSKeyID)
	var denied wire.Exception
	if errors.As(err, &denied) {
		if strings.HasPrefix(denied.ErrorCode(), "AccessDenied") {
			return "", refuse(notAuthorized, denied.ErrorMessage())
		}
		return "", refuse(invalidParameter, "KMSKeyID cannot be read: "+denied.ErrorCode())
	}
	if err != nil {
		return "", err
	}
	if _, err := parseSenderKey(text); err != nil {
		return "", refuse(invalidParameter, "KMSKeyID: "+err.Error()+".")
	}
	return text, nil
}

// parseSenderKey reads an RSA public key of at least 2048 bits in PEM. Its errors never
// hold the text, which may be something else.
func parseSenderKey(text string) (*rsa.PublicKey, error) {
	block, rest := pem.Decode([]byte(strings.TrimSpace(text) + "\n"))
	if block == nil || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, errors.New("the parameter does not hold one public key in PEM")
	}
	var key any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return nil, errors.New("the parameter holds something else than a public key")
	}
	public, ok := key.(*rsa.PublicKey)
	if err != nil || !ok || public.N.BitLen() < 2048 || public.N.BitLen() > 8192 {
		return nil, errors.New("the public key is not one of RSA with 2048 to 8192 bits")
	}
	return public, nil
}
