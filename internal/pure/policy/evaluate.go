package policy

import (
	"slices"
	"strings"
)

// evaluation is the state of one decision.
type evaluation struct{ req *Request }

// grade says how closely a resource policy's principal names the one who asks.
type grade uint8

const (
	gradeNone     grade = iota
	gradeAccount        // the principal's account, which delegates to its own policies
	gradeEveryone       // "*"
	gradeRole           // the role behind a session
	gradeDirect         // this user, session, root, service or provider
)

// outcome is what the documents of one kind say together.
type outcome struct {
	deny, allow       *statement
	denyDoc, allowDoc *Document
	grade             grade
}

// consider adds what one document says. resource is true for the policy of a
// resource, where the principal counts.
func (o *outcome) consider(e *evaluation, d *Document, resource bool) {
	for i := range d.statements {
		s := &d.statements[i]
		if s.allow && o.allow != nil && (!resource || o.grade == gradeDirect) {
			continue
		}
		g := s.applies(e, resource)
		switch {
		case g == gradeNone:
		case !s.allow:
			o.deny, o.denyDoc = s, d
			return
		case g > o.grade:
			o.allow, o.allowDoc, o.grade = s, d, g
		}
	}
}

// applies reports whether the statement speaks of the request, and to whom.
func (s *statement) applies(e *evaluation, resource bool) grade {
	if !s.matchesAction(e) {
		return gradeNone
	}
	g := gradeDirect
	if resource || s.principals != nil {
		if g = s.matchesPrincipal(&e.req.Principal, resource); g == gradeNone {
			return gradeNone
		}
	}
	if !s.matchesResource(e) {
		return gradeNone
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(e, s.allow) {
			return gradeNone
		}
	}
	return g
}

func (s *statement) matchesAction(e *evaluation) bool {
	for i := range s.actions {
		if p := &s.actions[i]; p.wild && len(p.text) == 1 || glob(p.text, e.req.Action, true) {
			return !s.notAction
		}
	}
	return s.notAction
}

func (s *statement) matchesResource(e *evaluation) bool {
	if s.resources == nil {
		return true // a trust policy: the resource is the role it belongs to
	}
	unresolved := false
	for i := range s.resources {
		matched, resolved := s.resources[i].match(e.req.Resource, e)
		if matched {
			return !s.notResource
		}
		unresolved = unresolved || !resolved
	}
	if s.notResource && unresolved {
		return !s.allow // what cannot be compared never helps the request
	}
	return s.notResource
}

func (s *statement) matchesPrincipal(p *Principal, resource bool) grade {
	switch {
	case s.principals == nil && !s.allow && resource:
		return gradeDirect
	case s.principals == nil:
		return gradeNone
	case !s.notPrincipal:
		return s.principals.match(p)
	}
	// NotPrincipal: a refusal spares only who is named with its role and its
	// account; a grant leaves out whoever is named by any of them.
	named, wholly := s.principals.names(p)
	if s.allow && !named || !s.allow && !wholly {
		return gradeEveryone
	}
	return gradeNone
}

// lookup returns the value or the values of a condition key. What is known of
// the principal outranks what the request says of itself.
func (e *evaluation) lookup(key string) (one string, many []string) {
	p := &e.req.Principal
	switch key {
	case "aws:principalarn":
		if p.RoleARN != "" {
			return p.RoleARN, nil
		}
		return p.ARN, nil
	case "aws:principalaccount":
		return p.Account, nil
	case "aws:userid":
		return p.ID, nil
	case "aws:principaltype":
		return principalType(p.Kind), nil
	case "aws:principalservicename":
		return p.Service, nil
	case "aws:principalisawsservice":
		if p.Kind == PrincipalService {
			return "true", nil
		}
		return "false", nil
	}
	if v, ok := p.Context[key]; ok {
		return "", v
	}
	if ofPrincipal(key) {
		return "", nil
	}
	return "", e.req.Context[key]
}

// ofPrincipal says which keys only the session can bring.
func ofPrincipal(key string) bool {
	rest, ok := strings.CutPrefix(key, "aws:")
	return ok && (strings.HasPrefix(rest, "principal") || strings.HasPrefix(rest, "multifactorauth") ||
		rest == "username" || rest == "tokenissuetime" || rest == "federatedprovider" || rest == "sourceidentity")
}

func principalType(k Kind) string {
	switch k {
	case PrincipalRoot:
		return "Account"
	case PrincipalUser, PrincipalAssumedRole:
		return string(k)
	case PrincipalService:
		return "AWSService"
	case PrincipalFederated:
		return "FederatedUser"
	}
	return "Anonymous"
}

// Evaluate decides a request, as AWS documents its evaluation logic.
//
// A Deny in any document refuses. Guardrails, when there are any, must allow.
// Within one account it is then enough that an identity policy allows, or that
// the resource policy allows the principal itself, its role, or everyone;
// naming the account only delegates to identity policies. Across accounts both
// must allow. The boundary and the session policies must allow as well, except
// that a resource policy which names this very user or session is not limited
// by them. Principals without an account (services, web identities, nobody)
// have resource policies only.
//
// Evaluate does not know that the root of an account needs no policy: who calls
// it for a root adds one that allows everything.
func Evaluate(req *Request, p *Policies) Decision { return evaluate(req, p, false) }

// EvaluateTrust is Evaluate for assuming the role whose trust policy is
// p.Resource: there an identity policy alone is never enough.
func EvaluateTrust(req *Request, p *Policies) Decision { return evaluate(req, p, true) }

// The kinds of policy, in the words of AWS's refusals.
const (
	KindIdentity  = "identity-based policy"
	KindResource  = "resource-based policy"
	KindBoundary  = "permissions boundary"
	KindSession   = "session policy"
	KindGuardrail = "service control policy"
)

func evaluate(req *Request, p *Policies, trust bool) Decision {
	e := evaluation{req: req}
	ofAccount := req.Principal.Kind == PrincipalRoot || req.Principal.Kind == PrincipalUser || req.Principal.Kind == PrincipalAssumedRole
	var guard, resource, identity, boundary, session outcome
	if ofAccount {
		for _, d := range p.Guardrails {
			if guard.consider(&e, d, false); guard.deny != nil {
				return guard.refusal(KindGuardrail)
			}
		}
	}
	if p.Resource != nil {
		if resource.consider(&e, p.Resource, true); resource.deny != nil {
			return resource.refusal(KindResource)
		}
	}
	if !ofAccount {
		if resource.allow != nil && resource.grade != gradeAccount {
			return resource.grant(KindResource)
		}
		return implicit(&e, p, KindResource)
	}
	for _, d := range p.Identity {
		if identity.consider(&e, d, false); identity.deny != nil {
			return identity.refusal(KindIdentity)
		}
	}
	if p.Boundary != nil {
		if boundary.consider(&e, p.Boundary, false); boundary.deny != nil {
			return boundary.refusal(KindBoundary)
		}
	}
	for _, d := range p.Session {
		if session.consider(&e, d, false); session.deny != nil {
			return session.refusal(KindSession)
		}
	}
	if len(p.Guardrails) > 0 && guard.allow == nil {
		return implicit(&e, p, KindGuardrail)
	}
	same := req.Account == "" || req.Account == req.Principal.Account
	return combine(&e, p, same, trust, &resource, &identity, &boundary, &session)
}

// combine decides when nothing refuses.
func combine(e *evaluation, p *Policies, same, trust bool, resource, identity, boundary, session *outcome) Decision {
	granted := resource.grade > gradeAccount // the resource's owner means this principal
	switch {
	case same && resource.grade == gradeDirect:
		return resource.grant(KindResource)
	case same && !trust && identity.allow == nil && !granted:
		return implicit(e, p, KindIdentity)
	case (trust || !same) && resource.allow == nil:
		return implicit(e, p, KindResource)
	case identity.allow == nil && !(same && granted):
		return implicit(e, p, KindIdentity)
	case p.Boundary != nil && boundary.allow == nil:
		return implicit(e, p, KindBoundary)
	case len(p.Session) > 0 && session.allow == nil:
		return implicit(e, p, KindSession)
	case identity.allow != nil:
		return identity.grant(KindIdentity)
	}
	return resource.grant(KindResource)
}

func (o *outcome) refusal(kind string) Decision {
	return Decision{Explicit: true, Policy: o.denyDoc.id, Statement: o.deny.name, Kind: kind, Reason: o.deny.reason}
}

func (o *outcome) grant(kind string) Decision {
	return Decision{Allowed: true, Policy: o.allowDoc.id, Statement: o.allow.name, Kind: kind, Reason: o.allow.reason}
}

// implicit is the refusal of a request that nothing allows. It looks once more
// for statements that would have allowed it if a condition key had been there.
func implicit(e *evaluation, p *Policies, kind string) Decision {
	d := Decision{Kind: kind, Reason: "No " + kind + " allows " + e.req.Action + " on " + e.req.Resource + "."}
	for _, doc := range p.Identity {
		d.Missing = doc.missing(e, false, d.Missing)
	}
	if p.Resource != nil {
		d.Missing = p.Resource.missing(e, true, d.Missing)
	}
	if d.Missing != nil {
		d.Reason += " The request has no " + strings.Join(d.Missing, ", ") + "."
	}
	return d
}

func (d *Document) missing(e *evaluation, resource bool, keys []string) []string {
	for i := range d.statements {
		s := &d.statements[i]
		if !s.allow || !s.matchesAction(e) || !s.matchesResource(e) ||
			resource && s.matchesPrincipal(&e.req.Principal, true) == gradeNone {
			continue
		}
		for j := range s.conditions {
			c := &s.conditions[j]
			one, many := e.lookup(c.key)
			if one == "" && len(many) == 0 && !c.holds(e, true) && !slices.Contains(keys, c.key) {
				keys = append(keys, c.key)
			}
		}
	}
	return keys
}
