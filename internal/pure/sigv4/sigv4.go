// Package sigv4 signs requests and verifies their signatures by AWS Signature
// Version 4, in the header form and in the query (presigned) form.
//
// It reads a request as it was sent: the escaped path, the raw query, the
// header. It knows no keys, keeps no state and never reads a body: the caller
// supplies the hash of the payload and the time.
package sigv4

import (
	"errors"
	"net/http"
	"time"
)

// ErrMissing is returned by Parse for a request that carries no signature.
var ErrMissing = errors.New("sigv4: the request is not signed")

// Algorithm is the only algorithm of this package.
const Algorithm = "AWS4-HMAC-SHA256"

// UnsignedPayload and EmptyPayload stand in the place of a payload hash.
const (
	UnsignedPayload = "UNSIGNED-PAYLOAD"
	EmptyPayload    = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// Skew is how far the time of a request may be from ours, both ways.
const Skew = 5 * time.Minute

// Request is what a signature covers, as it stood on the wire.
type Request struct {
	Method   string
	Path     string // as sent, escaped
	RawQuery string
	Host     string
	Header   http.Header
	// Fields is the same as Header in the form that a server reads: names in any case, in
	// the order in which they came. It is looked at where Header is nil, and verified only.
	Fields []Field
}

// Field is one header field.
type Field struct{ Name, Value string }

// Credentials sign a request.
type Credentials struct{ AccessKeyID, SecretAccessKey, SessionToken string }

// Authorization is a signature taken from a request, not yet verified.
type Authorization struct {
	AccessKeyID, Date, Region, Service string
	SignedHeaders                      string // as sent: names in lower case, in order, between semicolons
	Signature                          string
	Time                               time.Time
	Expires                            time.Duration // of a presigned request that says so
	Presigned                          bool
	SecurityToken                      string

	stamp string // Time as the string to sign has it
}

// Error says why a signature was refused, with AWS's code and sentence.
type Error struct {
	Code, Message string
	// CanonicalRequest and StringToSign are what this side computed for a
	// signature that does not match, secrets left out. They are for operators only.
	CanonicalRequest, StringToSign string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }
