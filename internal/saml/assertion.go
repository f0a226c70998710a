package saml

import (
	"slices"
	"time"

	"github.com/beevik/etree"
)

// read checks what a signed assertion says and returns it.
func (p *Provider) read(e *etree.Element, want *Expected) (*Assertion, error) {
	if e.SelectAttrValue("Version", "") != "2.0" {
		return nil, ErrMalformed
	}
	a := &Assertion{ID: e.SelectAttrValue("ID", "")}
	var ok bool
	if a.Issuer, ok = text(child(e, nsAssertion, "Issuer")); !ok || p.EntityID == "" || a.Issuer != p.EntityID {
		return nil, ErrIssuer
	}
	if a.Issued, ok = instant(e, "IssueInstant"); !ok {
		return nil, ErrMalformed
	}
	if a.Issued.After(want.Now.Add(skew)) || want.Within > 0 && !want.Now.Before(a.Issued.Add(want.Within)) {
		return nil, ErrExpired
	}
	for _, check := range []func(*Assertion, *etree.Element, *Expected) error{subject, conditions, statements} {
		if err := check(a, e, want); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// subject reads who the assertion is about, and by whom, where and until when it
// may be presented: by its bearer.
func subject(a *Assertion, e *etree.Element, want *Expected) error {
	s := child(e, nsAssertion, "Subject")
	name := child(s, nsAssertion, "NameID")
	var ok bool
	if a.Subject, ok = text(name); !ok || a.Subject == "" {
		return ErrMalformed
	}
	a.Format = name.SelectAttrValue("Format", "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified")
	err := ErrRecipient
	for _, c := range children(s, nsAssertion, "SubjectConfirmation") {
		data := child(c, nsAssertion, "SubjectConfirmationData")
		if c.SelectAttrValue("Method", "") != methodBearer || data == nil {
			continue
		}
		to := data.SelectAttrValue("Recipient", "")
		if !slices.Contains(want.Recipients, to) {
			continue
		}
		until, ok := instant(data, "NotOnOrAfter") // a bearer's must have one (Profiles, 4.1.4.2)
		if !ok || !want.Now.Before(until) || !begun(data, want.Now) {
			err = ErrExpired
			continue
		}
		a.Recipient = to
		return nil
	}
	return err
}

// conditions must hold all; one that is not understood does not.
func conditions(_ *Assertion, e *etree.Element, want *Expected) error {
	c := child(e, nsAssertion, "Conditions")
	if c == nil {
		return ErrAudience
	}
	if !begun(c, want.Now) || !unended(c, "NotOnOrAfter", want.Now) {
		return ErrExpired
	}
	restricted := false
	for _, r := range c.ChildElements() {
		switch {
		case is(r, nsAssertion, "AudienceRestriction"):
			restricted = true
			if !slices.ContainsFunc(children(r, nsAssertion, "Audience"), func(a *etree.Element) bool {
				v, ok := text(a)
				return ok && slices.Contains(want.Audiences, v)
			}) {
				return ErrAudience
			}
		case is(r, nsAssertion, "OneTimeUse"), is(r, nsAssertion, "ProxyRestriction"):
		default:
			return ErrMalformed
		}
	}
	if !restricted {
		return ErrAudience
	}
	return nil
}

// statements reads when the subject signed in and its attributes.
func statements(a *Assertion, e *etree.Element, want *Expected) error {
	signedIn := children(e, nsAssertion, "AuthnStatement")
	if len(signedIn) == 0 {
		return ErrMalformed
	}
	for _, s := range signedIn {
		if s.SelectAttr("SessionNotOnOrAfter") == nil {
			continue
		}
		end, ok := instant(s, "SessionNotOnOrAfter")
		if !ok || !want.Now.Before(end) {
			return ErrExpired
		}
		if a.SessionEnds.IsZero() || end.Before(a.SessionEnds) {
			a.SessionEnds = end
		}
	}
	a.Attributes = map[string][]string{}
	for _, s := range children(e, nsAssertion, "AttributeStatement") {
		for _, attr := range children(s, nsAssertion, "Attribute") {
			name := attr.SelectAttrValue("Name", "")
			for _, v := range children(attr, nsAssertion, "AttributeValue") {
				value, ok := text(v)
				if !ok || name == "" {
					return ErrMalformed
				}
				a.Attributes[name] = append(a.Attributes[name], value)
			}
		}
	}
	return nil
}

// instant reads a time attribute (Core, section 1.3.3: UTC).
func instant(e *etree.Element, name string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, e.SelectAttrValue(name, ""))
	return t, err == nil
}

func begun(e *etree.Element, now time.Time) bool {
	if e.SelectAttr("NotBefore") == nil {
		return true
	}
	t, ok := instant(e, "NotBefore")
	return ok && !t.After(now.Add(skew))
}

func unended(e *etree.Element, name string, now time.Time) bool {
	if e.SelectAttr(name) == nil {
		return true
	}
	t, ok := instant(e, name)
	return ok && now.Before(t)
}
