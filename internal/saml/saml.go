// Package saml verifies SAML 2.0 responses: whether an identity provider that is
// known by its certificates says of a subject, now and to us, what a response
// claims (OASIS SAML 2.0 Core, and Profiles section 4.1.4.3).
//
// What it returns comes from the very bytes that were signed. It has no clock,
// fetches nothing, keeps nothing, and refuses what it does not understand:
// encrypted names and attributes, several assertions, comments, document types.
package saml

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"time"
)

// MaxLength is the length of a response, in base64, above which it is refused
// unread (STS API reference, AssumeRoleWithSAML).
const MaxLength = 100_000

// Why a response is refused.
var (
	// ErrMalformed: it is not one response with one readable assertion.
	ErrMalformed = errors.New("saml: malformed response")
	// ErrEncrypted: its assertion is encrypted; there is no key here to open it.
	ErrEncrypted = errors.New("saml: encrypted assertion")
	// ErrUnencrypted: its assertion is not encrypted, and has to be.
	ErrUnencrypted = errors.New("saml: an assertion that is not encrypted")
	// ErrUnopened: no key opens its assertion, or what is inside is not one that
	// the provider signed.
	ErrUnopened = errors.New("saml: the encrypted assertion cannot be opened, or is not signed")
	// ErrStatus: the provider says that it let nobody in.
	ErrStatus = errors.New("saml: the response tells of a failure")
	// ErrSignature: it is not signed by the provider, or was changed since.
	ErrSignature = errors.New("saml: wrong signature")
	// ErrIssuer: somebody else than the provider issued it.
	ErrIssuer = errors.New("saml: wrong issuer")
	// ErrAudience: it is meant for somebody else.
	ErrAudience = errors.New("saml: wrong audience")
	// ErrRecipient: its bearer may present it, but not here.
	ErrRecipient = errors.New("saml: wrong recipient")
	// ErrExpired: its time is over, or has not come.
	ErrExpired = errors.New("saml: expired")
)

// Provider is an identity provider, as its metadata describe it.
type Provider struct {
	EntityID     string
	Certificates []*x509.Certificate // any of them may sign
	// Keys open encrypted assertions; MustEncrypt refuses those that are not.
	Keys        []*rsa.PrivateKey
	MustEncrypt bool
}

// Expected is what a response must be made for.
type Expected struct {
	Audiences  []string
	Recipients []string
	Now        time.Time
	// Within bounds the age of an assertion: its bearer has this long to present it.
	Within time.Duration
}

// Assertion is a verified assertion.
type Assertion struct {
	ID        string
	Issuer    string
	Subject   string // NameID
	Format    string // of the NameID, as it was given
	Recipient string
	Issued    time.Time
	// SessionEnds bounds what may be built on the assertion; zero when the
	// provider sets no bound.
	SessionEnds time.Time
	// Attributes are the values by name, in the order of the document.
	Attributes map[string][]string
}

// skew is how far the provider's clock may be ahead of ours.
const skew = time.Minute

// The namespaces of SAML and of XML signatures.
const (
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsSignature = "http://www.w3.org/2000/09/xmldsig#"

	statusSuccess = "urn:oasis:names:tc:SAML:2.0:status:Success"
	methodBearer  = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
)

// Verify checks a response in base64. It never returns an assertion with an error.
func (p *Provider) Verify(response string, want Expected) (*Assertion, error) {
	root, err := parse(response)
	if err != nil {
		return nil, err
	}
	open := p.verified
	if child(root, nsAssertion, "Assertion") == nil {
		open = p.opened
	} else if p.MustEncrypt {
		return nil, ErrUnencrypted
	}
	a, err := open(root, want.Now)
	if err != nil {
		return nil, err
	}
	return p.read(a, &want)
}
