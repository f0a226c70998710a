package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"moat/internal/pure/sigv4"
)

// authenticate proves who sent the request, or refuses it. An operation that the
// model calls unsigned has no caller, whatever the request carries.
func (x *exchange) authenticate() error {
	if x.op.Unsigned {
		if x.host.region != "" {
			x.call.Region = x.host.region
		}
		return x.readBody()
	}
	req := sigv4.Request{
		Method: x.r.Method, Path: x.r.URL.EscapedPath(), RawQuery: x.r.URL.RawQuery, Host: x.r.Host, Header: x.r.Header,
	}
	auth, err := sigv4.Parse(req)
	if err != nil {
		return x.signatureError(err)
	}
	x.record.AccessKey = auth.AccessKeyID
	if err := x.checkScope(auth); err != nil {
		return err
	}
	cred, err := x.p.cfg.Authority.Credential(x.ctx, auth.AccessKeyID, auth.SecurityToken)
	if err != nil {
		return x.credentialError(err)
	}
	if err := x.verify(req, auth, cred.Secret); err != nil {
		return err
	}
	if cred.NotFor != "" && cred.NotFor == x.end.api.Action {
		return x.refuse(refusedUnknownKey, "", "the session may not call "+x.end.api.Action+" at all: it was made without a second factor")
	}
	x.call.Caller = cred.Caller
	x.call.Caller.AccessKeyID = auth.AccessKeyID
	x.call.Region = auth.Region
	return nil
}

// checkScope refuses a signature made for another service, or for another region
// than the host names.
func (x *exchange) checkScope(auth sigv4.Authorization) error {
	switch {
	case auth.Service != x.end.api.Signing:
		return x.refuse(refusedMismatch, fmt.Sprintf("Credential should be scoped to correct service: '%s'.", x.end.api.Signing),
			"signed for service "+quoted(auth.Service))
	case !isRegion(auth.Region), x.host.region != "" && x.host.region != auth.Region:
		return x.refuse(refusedMismatch, "Credential should be scoped to a valid region.", "signed for region "+quoted(auth.Region))
	}
	return nil
}

// verify checks the signature. A payload hash that the request declares is
// verified before the body is read, so that only key holders make us read one.
func (x *exchange) verify(req sigv4.Request, auth sigv4.Authorization, secret string) error {
	if secret == "" { // a missing secret must never verify anything
		return x.refuse(refusedUnknownKey, "", "the access key has no secret")
	}
	payload, err := auth.PayloadOf(req, x.end.api.Payloads, x.call.Secure)
	if err != nil {
		return x.signatureError(err)
	}
	hash := payload.Hash
	if hash == "" {
		if err := x.readBody(); err != nil {
			return err
		}
		hash = sigv4.HashOf(x.message.body)
	}
	if err := auth.VerifyWith(&x.p.keys, req, hash, secret, x.p.cfg.Now()); err != nil {
		return x.signatureError(err)
	}
	if payload.Form >= sigv4.FormChunked {
		if x.bodyRead { // as something else than it is: no API of forms permits chunks
			return x.refuse(refusedMismatch, "The payload of this request must be signed.", "a form was sent in chunks")
		}
		x.chunks = auth.Chunks(&x.p.keys, x.r.Body, payload, secret)
		if payload.Length > x.limit {
			return tooLarge(x.limit)
		}
	}
	if err := x.readBody(); err != nil {
		return err
	}
	if payload.Form == sigv4.FormHashed && sigv4.HashOf(x.message.body) != hash {
		return x.refuse(refusedMismatch, sigv4.WrongHash, "the body is not the one that was signed")
	}
	return nil
}

// refuse makes the refusal of the protocol and notes the grounds for operators.
func (x *exchange) refuse(r refusal, message, grounds string) error {
	x.record.Grounds = grounds
	return r.exception(x.protocol, message)
}

// signatureError gives an error of sigv4 AWS's words.
func (x *exchange) signatureError(err error) error {
	var e *sigv4.Error
	switch {
	case errors.Is(err, sigv4.ErrMissing):
		return x.refuse(refusedMissing, "", "the request carries no signature")
	case !errors.As(err, &e):
		return fmt.Errorf("verify a signature: %w", err)
	}
	grounds := e.Error()
	if e.CanonicalRequest != "" {
		grounds += "; canonical request here: " + fmt.Sprintf("%q", e.CanonicalRequest)
	}
	switch e.Code {
	case "IncompleteSignature", "MissingAuthenticationToken":
		return x.refuse(refusedIncomplete, e.Message, grounds)
	case "IncompleteBody", "BadDigest", "MissingContentLength":
		x.record.Grounds = grounds
		status := http.StatusBadRequest
		if e.Code == "MissingContentLength" {
			status = http.StatusLengthRequired
		}
		return NewError(status, e.Code, e.Message)
	}
	return x.refuse(refusedMismatch, e.Message, grounds)
}

func (x *exchange) credentialError(err error) error {
	switch {
	case errors.Is(err, ErrUnknownKey):
		return x.refuse(refusedUnknownKey, "", "no active access key has this id")
	case errors.Is(err, ErrBadToken):
		return x.refuse(refusedUnknownKey, "", "the session token does not belong to the access key")
	case errors.Is(err, ErrExpiredToken):
		return x.refuse(refusedExpired, "", "the session has expired")
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("look up an access key: %w", err)
}
