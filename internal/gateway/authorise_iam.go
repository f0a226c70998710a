package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"unsafe"

	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/wire"
)

// authoriseIAM verifies the signature, then asks for execute-api:Invoke.
func authoriseIAM(x *Exchange) error {
	req := sigv4.Request{Method: x.Method, Path: x.Target, RawQuery: x.RawQuery, Host: x.Host, Fields: signedFields(x.Fields)}
	auth, err := sigv4.Parse(req)
	if err != nil {
		return x.unsigned(err)
	}
	if x.g.cfg.Authority == nil {
		return refuse(Default5XX, "there is nobody who knows access keys")
	}
	// The id becomes the caller's, whom records keep.
	auth.AccessKeyID = strings.Clone(auth.AccessKeyID)
	cred, err := x.g.cfg.Authority.Credential(x.Context, auth.AccessKeyID, auth.SecurityToken)
	if err != nil {
		return unknownKey(err)
	}
	if err := x.scope(&auth); err != nil {
		return err
	}
	if err := x.proven(&auth, req, cred.Secret); err != nil {
		return err
	}
	if cred.Caller.AccessKeyID == "" {
		cred.Caller.AccessKeyID = auth.AccessKeyID
	}
	x.signer = cred.Caller
	x.caller, x.who = &x.signer, cred.Caller.ARN
	x.enter(deciding)
	return x.mayInvoke(cred.Caller)
}

// proven verifies the signature and the body that it covers. Where the request declares
// the body's hash, only who holds the key makes us read the body.
func (x *Exchange) proven(auth *sigv4.Authorization, req sigv4.Request, secret string) error {
	declared, err := auth.PayloadOf(req, 0, x.Secure)
	if err != nil {
		return badSignature(err)
	}
	hash := declared.Hash
	if hash == "" {
		body, err := x.payload()
		if err != nil {
			return err
		}
		hash = sigv4.HashOf(body)
	}
	if err := auth.VerifyWith(&x.g.signing, req, hash, secret, x.start); err != nil {
		return badSignature(err)
	}
	if declared.Hash == "" {
		return nil
	}
	body, err := x.payload()
	if err != nil {
		return err
	}
	if sigv4.HashOf(body) != hash {
		return badSignature(&sigv4.Error{Code: "SignatureDoesNotMatch", Message: sigv4.WrongHash})
	}
	return nil
}

// signedFields gives the request's fields the name that package sigv4 has for them,
// without copying them: both types are the same two strings.
func signedFields(f []Field) []sigv4.Field {
	_ = sigv4.Field(Field{}) // that they are, the compiler sees here
	return unsafe.Slice((*sigv4.Field)(unsafe.Pointer(unsafe.SliceData(f))), len(f))
}

// unsigned answers a request without a readable signature. Another scheme in the
// Authorization header is read as a broken signature, as AWS reads it.
func (x *Exchange) unsigned(err error) *Refusal {
	value, n := x.one("Authorization")
	var sig *sigv4.Error
	switch {
	case errors.As(err, &sig) && sig.Code == "SignatureDoesNotMatch":
		return badSignature(err)
	case errors.As(err, &sig) && !strings.Contains(sig.Message, "not a valid key=value pair"):
		return incomplete(sig.Message)
	case n == 0 || value == "":
		return refuse(MissingAuthenticationToken, "the request carries no signature")
	}
	// The header is not repeated to the caller, who may be logging: AWS gives its hash.
	sum := sha256.Sum256([]byte(value))
	return incomplete("Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'.")
}

func incomplete(message string) *Refusal {
	return &Refusal{Kind: Default4XX, Status: http.StatusForbidden, ErrorType: "IncompleteSignatureException", Message: message, Grounds: "the signature cannot be read"}
}

func unknownKey(err error) *Refusal {
	const invalid = "The security token included in the request is invalid."
	switch {
	case errors.Is(err, wire.ErrExpiredToken):
		return refuse(ExpiredToken, "the session has expired")
	case errors.Is(err, wire.ErrUnknownKey):
		return &Refusal{Kind: Default4XX, Status: http.StatusForbidden, ErrorType: "UnrecognizedClientException", Message: invalid, Grounds: "the access key is not known or not active"}
	case errors.Is(err, wire.ErrBadToken):
		return &Refusal{Kind: Default4XX, Status: http.StatusForbidden, ErrorType: "UnrecognizedClientException", Message: invalid, Grounds: "the session token does not belong to the access key"}
	}
	return refuse(Default5XX, "the access key could not be looked up: "+err.Error())
}

// scope checks that the signature was made for this API's region and for execute-api.
func (x *Exchange) scope(a *sigv4.Authorization) error {
	message := ""
	if a.Region != x.snap.def.Region {
		message = "Credential should be scoped to a valid region. "
	}
	if a.Service != "execute-api" {
		message += "Credential should be scoped to correct service: 'execute-api'. "
	}
	if message == "" {
		return nil
	}
	return &Refusal{Kind: InvalidSignature, Message: message, Grounds: "the signature is for " + a.Service + " in " + a.Region}
}

func badSignature(err error) *Refusal {
	var sig *sigv4.Error
	if !errors.As(err, &sig) {
		return refuse(Default5XX, err.Error())
	}
	if sig.Code == "IncompleteSignature" {
		return incomplete(sig.Message)
	}
	r := &Refusal{Kind: InvalidSignature, Message: sig.Message, Grounds: sig.Message}
	if sig.CanonicalRequest != "" {
		// What we computed helps whoever debugs a client, but belongs to the operator.
		r.Grounds = "the signature does not match; canonical request: " + sig.CanonicalRequest
	}
	return r
}

// ResourceAuthority is an [Authority] that weighs a resource's policy together with
// the caller's own. Without it an API's resource policy can only refuse signed
// callers: whether a session is limited by a boundary is not ours to guess.
type ResourceAuthority interface {
	AuthorizeResource(ctx context.Context, caller wire.Caller, action, resource, account string, resourcePolicy *policy.Document, keys policy.Context) (policy.Decision, error)
}

// mayInvoke weighs the caller's policies and the API's own.
func (x *Exchange) mayInvoke(caller wire.Caller) error {
	d, err := x.decide(caller, actionInvoke)
	if err != nil {
		return refuse(Default5XX, "the caller's policies could not be read: "+err.Error())
	}
	if !d.Allowed {
		return x.denied(caller.ARN, d)
	}
	x.grounds = x.room.grounds(d)
	return nil
}

func (x *Exchange) decide(caller wire.Caller, action string) (policy.Decision, error) {
	arn, account, keys := x.methodARN(), x.snap.def.Account, x.asked()
	if x.snap.policy == nil {
		return x.g.cfg.Authority.Authorize(x.Context, caller, action, arn, account, keys)
	}
	if both, ok := x.g.cfg.Authority.(ResourceAuthority); ok {
		return both.AuthorizeResource(x.Context, caller, action, arn, account, x.snap.policy, keys)
	}
	if d := x.askResource(caller, action); d.Explicit {
		return d, nil
	}
	return x.g.cfg.Authority.Authorize(x.Context, caller, action, arn, account, keys)
}
