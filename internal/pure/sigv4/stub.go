package sigv4

import "time"

// Parse finds the signature of a request.
func Parse(r Request) (Authorization, error) { return Authorization{}, ErrMissing }

// Verify checks a signature.
func (a Authorization) Verify(r Request, payloadHash, secret string, now time.Time) error {
	return &Error{Code: "SignatureDoesNotMatch"}
}

// Sign sets the headers of a signed request.
func Sign(r *Request, payloadHash string, c Credentials, region, service string, t time.Time) {}

// Presign returns the raw query of a presigned request.
func Presign(r *Request, c Credentials, region, service string, t time.Time, expires time.Duration) string {
	return ""
}
