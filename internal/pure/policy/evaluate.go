package policy

import "strings"

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
	deny, allow *statement
	grade       grade // of allow
}

// add counts a statement that applies with a grade. Of several that say the
// same, the first one that names the principal most closely stands for them.
func (o *outcome) add(s *statement, g grade) {
	switch {
	case g == gradeNone:
	case !s.allow:
		if o.deny == nil {
			o.deny = s
		}
	case g > o.grade:
		o.allow, o.grade = s, g
	}
}

// consider adds what one document says. resource is true for the policy of a
// resource, where the principal counts.
func (o *outcome) consider(e *evaluation, d *Document, resource bool) {
	for i := range d.statements {
		s := &d.statements[i]
		if s.allow && o.allow != nil && (!resource || o.grade == gradeDirect) {
			continue
		}
		g, _, _ := s.judge(e, resource)
		o.add(s, g)
	}
}

// judge reports whether the statement speaks of the request, and to whom. When
// it does not, failed names the first element that does not match, and for a
// condition which.
func (s *statement) judge(e *evaluation, resource bool) (g grade, failed string, c *condition) {
	if !s.matchesAction(e) {
		return gradeNone, "action", nil
	}
	if !s.matchesResource(e) {
		return gradeNone, "resource", nil
	}
	g = gradeDirect
	if resource || s.principals != nil {
		if g = s.matchesPrincipal(&e.req.Principal, resource); g == gradeNone {
			return gradeNone, "principal", nil
		}
	}
	for i := range s.conditions {
		if c := &s.conditions[i]; !c.holds(e, s.allow) {
			return gradeNone, "condition", c
		}
	}
	return g, "", nil
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

// outcomes is what every kind of policy says.
type outcomes struct{ guardrail, resource, identity, boundary, session outcome }

// ofAccount says whether a principal belongs to an account, and so has policies
// of its own.
func ofAccount(k Kind) bool {
	return k == PrincipalRoot || k == PrincipalUser || k == PrincipalAssumedRole
}

func evaluate(req *Request, p *Policies, trust bool) Decision {
	e := evaluation{req: req}
	var o outcomes
	if p.Resource != nil {
		o.resource.consider(&e, p.Resource, true)
	}
	if ofAccount(req.Principal.Kind) {
		for _, d := range p.Guardrails {
			o.guardrail.consider(&e, d, false)
		}
		for _, d := range p.Identity {
			o.identity.consider(&e, d, false)
		}
		if p.Boundary != nil {
			o.boundary.consider(&e, p.Boundary, false)
		}
		for _, d := range p.Session {
			o.session.consider(&e, d, false)
		}
	}
	return o.decide(&e, p, trust)
}

// decide combines what the kinds of policy say.
func (o *outcomes) decide(e *evaluation, p *Policies, trust bool) Decision {
	switch {
	case o.guardrail.deny != nil:
		return o.guardrail.refusal(KindGuardrail)
	case o.resource.deny != nil:
		return o.resource.refusal(KindResource)
	case o.identity.deny != nil:
		return o.identity.refusal(KindIdentity)
	case o.boundary.deny != nil:
		return o.boundary.refusal(KindBoundary)
	case o.session.deny != nil:
		return o.session.refusal(KindSession)
	case !ofAccount(e.req.Principal.Kind):
		if o.resource.grade > gradeAccount {
			return o.resource.grant(KindResource)
		}
		return implicit(e, p, KindResource)
	case len(p.Guardrails) > 0 && o.guardrail.allow == nil:
		return implicit(e, p, KindGuardrail)
	}
	same := e.req.Account == "" || e.req.Account == e.req.Principal.Account
	granted := o.resource.grade > gradeAccount // the resource's owner means this principal
	switch {
	case same && o.resource.grade == gradeDirect:
		return o.resource.grant(KindResource)
	case same && !trust && o.identity.allow == nil && !granted:
		return implicit(e, p, KindIdentity)
	case (trust || !same) && o.resource.allow == nil:
		return implicit(e, p, KindResource)
	case o.identity.allow == nil && !(same && granted):
		return implicit(e, p, KindIdentity)
	case p.Boundary != nil && o.boundary.allow == nil:
		return implicit(e, p, KindBoundary)
	case len(p.Session) > 0 && o.session.allow == nil:
		return implicit(e, p, KindSession)
	case o.identity.allow != nil:
		return o.identity.grant(KindIdentity)
	}
	return o.resource.grant(KindResource)
}

func (o *outcome) refusal(kind string) Decision {
	return Decision{Explicit: true, Policy: o.deny.policy, Statement: o.deny.name, Kind: kind, Reason: o.deny.reason}
}

func (o *outcome) grant(kind string) Decision {
	return Decision{Allowed: true, Policy: o.allow.policy, Statement: o.allow.name, Kind: kind, Reason: o.allow.reason}
}

// implicit is the refusal of a request that nothing allows. It looks once more
// for statements of the kind that had to allow, and would have but for a
// condition.
func implicit(e *evaluation, p *Policies, kind string) Decision {
	d := Decision{Kind: kind, Reason: "No " + kind + " allows " + e.req.Action + " on " + e.req.Resource + "."}
	var docs []*Document
	switch kind {
	case KindGuardrail:
		docs = p.Guardrails
	case KindIdentity:
		docs = p.Identity
	case KindSession:
		docs = p.Session
	case KindBoundary:
		docs = []*Document{p.Boundary}
	}
	for _, doc := range docs {
		doc.nearly(e, false, &d)
	}
	if p.Resource != nil && (kind == KindResource || kind == KindIdentity) {
		p.Resource.nearly(e, true, &d)
	}
	if d.Condition != "" {
		d.Reason += " The condition " + d.Condition + " does not hold."
	}
	if d.Missing != nil {
		d.Reason += " The request has no " + strings.Join(d.Missing, ", ") + "."
	}
	return d
}

// nearly notes which conditions alone kept statements from allowing.
func (d *Document) nearly(e *evaluation, resource bool, into *Decision) {
	for i := range d.statements {
		s := &d.statements[i]
		if !s.allow {
			continue
		}
		if _, _, c := s.judge(e, resource); c != nil {
			if into.Condition == "" {
				into.Condition = c.String()
			}
			for j := range s.conditions {
				if c := &s.conditions[j]; e.lacks(c.key) && !c.holds(e, true) {
					into.Missing = addKey(into.Missing, c.written)
				}
			}
		}
	}
}
