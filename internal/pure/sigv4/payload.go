package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// Payloads says how bodies may be proven beyond the one way that is always
// open: a hash of the whole body, covered by the signature. The zero value
// permits nothing else.
type Payloads uint8

// What a service may permit; AWS permits both for S3 alone.
const (
	// AllowUnsigned permits a body that the signature leaves out, over TLS: in the
	// header form as [UnsignedPayload], in the query form without a word.
	AllowUnsigned Payloads = 1 << iota
	// AllowChunked permits the aws-chunked coding, with and without trailer.
	AllowChunked
)

// Form is how a body is proven.
type Form uint8

// The forms of a body. That of the zero value is covered by the signature.
const (
	FormHashed          Form = iota // the signature covers the hash of the body
	FormUnsigned                    // nothing covers the body
	FormChunked                     // each chunk is signed, in a chain that begins with the request's signature
	FormChunkedTrailer              // the same, and so are the trailing headers
	FormUnsignedTrailer             // chunks without signatures, then a checksum
)

// Payload is what a request says about its body.
type Payload struct {
	Form Form
	// Hash is what the signature covers. It is empty for a hashed body whose hash
	// is not declared: the body has to be read first then.
	Hash string
	// Length is the length of a chunked body after decoding.
	Length int64
	// Trailers are the trailing headers announced, in lower case.
	Trailers []string
}

// maxTrailers bounds the trailing headers of a body.
const maxTrailers = 8

// streaming names the chunked forms, as x-amz-content-sha256 does (Amazon S3 API
// reference, "Authenticating requests: using the Authorization header").
func streaming(declared string) (Form, bool) {
	switch declared {
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD":
		return FormChunked, true
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
		return FormChunkedTrailer, true
	case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		return FormUnsignedTrailer, true
	}
	return FormHashed, false
}

// PayloadOf reads what a request, of the form of a, says about its body. secure
// tells that it came over TLS, without which nothing may be left unsigned.
//
// A form that permit does not name, and one that nobody knows, is an [*Error].
func (a *Authorization) PayloadOf(r Request, permit Payloads, secure bool) (Payload, error) {
	declared, err := a.declared(r)
	if err != nil {
		return Payload{}, err
	}
	form, chunked := streaming(declared)
	switch {
	case declared == "" && a.Presigned && permit&AllowUnsigned != 0:
		return Payload{Form: FormUnsigned, Hash: UnsignedPayload}, nil
	case declared == "", isHash(declared):
		return Payload{Hash: declared}, nil
	case declared == UnsignedPayload && permit&AllowUnsigned != 0 && (secure || a.Presigned):
		return Payload{Form: FormUnsigned, Hash: declared}, nil
	case declared == UnsignedPayload && permit&AllowUnsigned != 0, form == FormUnsignedTrailer && permit&AllowChunked != 0 && !secure:
		return Payload{}, mismatch("An unsigned payload is accepted over HTTPS only.")
	case chunked && permit&AllowChunked != 0 && !a.Presigned:
		return chunkedPayload(r, form, declared)
	}
	return Payload{}, mismatch("The payload of this request must be signed.")
}

// declared is the value of x-amz-content-sha256: a header, or a parameter of a
// presigned request. Both must be covered by the signature, so that a header
// which is not signed is refused earlier, by Parse.
func (a *Authorization) declared(r Request) (string, error) {
	header, headers := r.first("x-amz-content-sha256")
	query, n := "", 0
	if a.Presigned {
		query, n = queryValue(r.RawQuery, "X-Amz-Content-Sha256")
	}
	switch {
	case headers+n > 1:
		return "", incomplete("x-amz-content-sha256 must not be repeated.")
	case headers == 1 && header == "", n == 1 && query == "":
		return "", mismatch("The payload of this request must be signed.")
	case headers == 1:
		return header, nil
	}
	return query, nil
}

// chunkedPayload reads the headers that announce a chunked body.
func chunkedPayload(r Request, form Form, declared string) (Payload, error) {
	length, lengths := r.first("x-amz-decoded-content-length")
	if lengths != 1 {
		return Payload{}, &Error{Code: "MissingContentLength", Message: "You must provide the x-amz-decoded-content-length HTTP header once."}
	}
	n, err := strconv.ParseUint(length, 10, 62)
	if err != nil || length != strconv.FormatUint(n, 10) {
		return Payload{}, incomplete("x-amz-decoded-content-length must be a number.")
	}
	p := Payload{Form: form, Hash: declared, Length: int64(n)}
	for _, list := range r.values("x-amz-trailer") {
		for name := range strings.SplitSeq(list, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || name == trailerSignature || len(p.Trailers) == maxTrailers {
				return Payload{}, incomplete("x-amz-trailer must list header names.")
			}
			p.Trailers = append(p.Trailers, name)
		}
	}
	if (form == FormChunked) != (len(p.Trailers) == 0) {
		return Payload{}, incomplete("x-amz-trailer and x-amz-content-sha256 must announce the same trailing headers.")
	}
	return p, nil
}

// PayloadHash returns the hash to verify a request with whose body is given, for
// a service that permits nothing but hashed bodies: what the request declares,
// if it does, must be the hash of the body.
func (a *Authorization) PayloadHash(r Request, body []byte) (string, error) {
	p, err := a.PayloadOf(r, 0, false)
	if err != nil {
		return "", err
	}
	hash := HashOf(body)
	if p.Hash != "" && p.Hash != hash {
		return "", mismatch(WrongHash)
	}
	return hash, nil
}

// WrongHash is AWS's sentence for a body that has not the hash it is declared with.
const WrongHash = "The provided 'x-amz-content-sha256' header does not match what was computed."

// HashOf is the hash of a body, as signatures have it.
func HashOf(body []byte) string {
	if len(body) == 0 {
		return EmptyPayload
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
