package iam

import (
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/saml"
	"moat/internal/wire"
	"moat/internal/wire/stsapi"
)

// What an assertion must be made for (IAM user guide, "Configure SAML assertions
// for the authentication response").
const (
	samlAudience = "urn:amazon:webservices"
	samlEndpoint = "https://signin.aws.amazon.com/saml"
	// samlWithin is how long an assertion may be presented, any number of times.
	samlWithin = 5 * time.Minute
)

// The attributes of an assertion that mean something to STS.
const (
	samlAttributes = "https://aws.amazon.com/SAML/Attributes/"
	samlTags       = samlAttributes + "PrincipalTag:"
	nameIDFormat   = "urn:oasis:names:tc:SAML:2.0:nameid-format:"
)

// VerifySAML verifies an assertion, in base64, of a SAML provider of the account:
// signed by one of its certificates, issued by it at most five minutes ago, for
// this installation or for AWS. The errors are STS's exceptions.
func (s *Service) VerifySAML(ctx context.Context, providerARN, assertion string) (*saml.Assertion, error) {
	p, err := s.samlProvider(ctx, providerARN)
	if err != nil {
		return nil, err
	}
	if p == nil || !s.cfg.Now().Before(p.ValidUntil) {
		return nil, invalidToken("Specified provider doesn't exist")
	}
	idp := saml.Provider{EntityID: p.EntityID, MustEncrypt: p.mustEncrypt()}
	if idp.Keys, err = s.openSAMLKeys(p); err != nil {
		return nil, err
	}
	for _, der := range p.Certificates {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		idp.Certificates = append(idp.Certificates, c)
	}
	to := append([]string{samlEndpoint}, s.cfg.SAMLRecipients...)
	if region := wire.CallFrom(ctx).Region; region != "" {
		to = append(to, "https://"+region+".signin.aws.amazon.com/saml")
	}
	a, err := idp.Verify(assertion, saml.Expected{Audiences: append([]string{samlAudience}, to...), Recipients: to, Now: s.cfg.Now(), Within: samlWithin})
	return a, samlRefusal(err)
}

// samlRefusal is STS's exception for why an assertion is refused.
func samlRefusal(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, saml.ErrExpired):
		return &stsapi.ExpiredTokenException{Message: "Token must be redeemed within 5 minutes of issuance"}
	case errors.Is(err, saml.ErrSignature):
		return invalidToken("Response signature invalid")
	case errors.Is(err, saml.ErrIssuer):
		return invalidToken("Issuer not present in specified provider")
	case errors.Is(err, saml.ErrAudience), errors.Is(err, saml.ErrRecipient):
		return invalidToken("Response does not contain the required audience.")
	case errors.Is(err, saml.ErrStatus):
		return &stsapi.IDPRejectedClaimException{Message: "The identity provider reported that authentication failed."}
	case errors.Is(err, saml.ErrEncrypted):
		return invalidToken("The assertion is encrypted, and the provider has no private key.")
	case errors.Is(err, saml.ErrUnencrypted):
		return invalidToken("The assertion is not encrypted, which the provider requires.")
	case errors.Is(err, saml.ErrUnopened):
		return invalidToken("The encrypted assertion cannot be decrypted with the provider's private keys, or is not signed.")
	}
	return invalidToken("Invalid base64 SAMLResponse")
}

// samlSession is what an assertion says about a session.
type samlSession struct {
	name     string
	roles    [][2]string // role and provider
	duration time.Duration
	attributes
}

// readSAML reads the attributes that STS gives a meaning.
func readSAML(a *saml.Assertion) (v samlSession, err error) {
	one := func(name string) (string, bool, error) {
		values, there := a.Attributes[samlAttributes+name]
		if there && len(values) != 1 {
			return "", true, invalidToken("%s in AuthnResponse must have exactly one value", name)
		}
		if !there {
			return "", false, nil
		}
		return values[0], true, nil
	}
	var there bool
	if v.name, there, err = one("RoleSessionName"); err != nil {
		return v, err
	}
	switch {
	case !there:
		return v, invalidToken("RoleSessionName is required in AuthnResponse")
	case !sessionName.MatchString(v.name):
		return v, invalidToken("RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}")
	}
	if v.source, there, err = one("SourceIdentity"); err != nil {
		return v, err
	} else if there && !sourceIdentity(v.source) {
		return v, invalidToken(`Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"`)
	}
	text, there, err := one("SessionDuration")
	if err != nil {
		return v, err
	}
	if there {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 900 || seconds > 43200 {
			return v, invalidToken("SessionDuration in AuthnResponse must be between 900 and 43200")
		}
		v.duration = time.Duration(seconds) * time.Second
	}
	for _, pair := range a.Attributes[samlAttributes+"Role"] {
		first, second, ok := strings.Cut(pair, ",")
		if !ok {
			continue
		}
		first, second = strings.TrimSpace(first), strings.TrimSpace(second)
		v.roles = append(v.roles, [2]string{first, second}, [2]string{second, first}) // either order
	}
	for _, name := range sortedKeys(a.Attributes) {
		key, ok := strings.CutPrefix(name, samlTags)
		if !ok {
			continue
		}
		if len(a.Attributes[name]) != 1 {
			return v, invalidToken("PrincipalTag:%s in AuthnResponse must have exactly one value", key)
		}
		v.tags = append(v.tags, Tag{key, a.Attributes[name][0]})
	}
	v.transitive = a.Attributes[samlAttributes+"TransitiveTagKeys"]
	return v, v.checkForm()
}

// nameQualifier tells subjects of one name apart (STS API reference,
// AssumeRoleWithSAML): a digest of issuer, account and provider.
func (s *Service) nameQualifier(issuer, providerARN string) string {
	sum := sha1.Sum([]byte(issuer + s.cfg.Account + providerARN[strings.LastIndexByte(providerARN, '/'):]))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// samlKeys are the condition keys of an assertion (IAM user guide, "Available
// keys for SAML-based AWS STS federation"): for the trust policy, and those that
// the session carries on.
func (s *Service) samlKeys(a *saml.Assertion, providerARN string) (trust, carried policy.Context) {
	trust, carried = policy.Context{}, policy.Context{}
	for key, value := range map[string]string{
		"saml:sub": a.Subject, "saml:sub_type": strings.TrimPrefix(a.Format, nameIDFormat), "saml:namequalifier": s.nameQualifier(a.Issuer, providerARN),
	} {
		trust.Set(key, value)
		carried.Set(key, value)
	}
	trust.Set("saml:aud", a.Recipient)
	trust.Set("saml:iss", a.Issuer)
	trust.Set("saml:doc", s.cfg.Account+providerARN[strings.LastIndexByte(providerARN, '/'):])
	for name, key := range samlAttributeKeys() {
		if values := a.Attributes[name]; len(values) > 0 {
			trust.Set("saml:"+key, values...)
		}
	}
	return trust, carried
}

// samlAttributeKeys are the attributes that have condition keys of their own.
func samlAttributeKeys() map[string]string {
	const person, organisation = "urn:oid:1.3.6.1.4.1.5923.1.1.1.", "urn:oid:1.3.6.1.4.1.5923.1.2.1."
	const claims, microsoft = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/", "http://schemas.microsoft.com/ws/2008/06/identity/claims/"
	return map[string]string{
		person + "1": "edupersonaffiliation", person + "2": "edupersonnickname", person + "3": "edupersonorgdn", person + "4": "edupersonorgunitdn",
		person + "5": "edupersonprimaryaffiliation", person + "6": "edupersonprincipalname", person + "7": "edupersonentitlement",
		person + "8": "edupersonprimaryorgunitdn", person + "9": "edupersonscopedaffiliation", person + "10": "edupersontargetedid", person + "11": "edupersonassurance",
		organisation + "2": "eduorghomepageuri", organisation + "3": "eduorgidentityauthnpolicyuri", organisation + "4": "eduorglegalname",
		organisation + "5": "eduorgsuperioruri", organisation + "6": "eduorgwhitepagesuri", "urn:oid:2.5.4.3": "cn",
		claims + "name": "name", "http://schemas.xmlsoap.org/claims/CommonName": "commonName", claims + "givenname": "givenName", claims + "surname": "surname",
		claims + "emailaddress": "mail", "http://schemas.xmlsoap.org/claims/UPN": "uid", claims + "x500distinguishedname": "x500UniqueIdentifier",
		microsoft + "primarygroupsid": "primaryGroupSID",
	}
}
