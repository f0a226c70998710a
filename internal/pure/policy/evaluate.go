package policy

import "strings"

// evaluation is the state of one decision: the request, taken apart once.
type evaluation struct {
	req    *Request
	action []byte    // in lower case
	fields [6]string // of the resource
	isARN  bool
	keys   [2][]byte // what an index is searched for: with the account, and with "*"
}

// scratch is room for what an evaluation takes apart, on the stack of who
// decides.
type scratch struct {
	action [64]byte
	keys   [2][192]byte
}

func newEvaluation(req *Request, room *scratch) evaluation {
	e := evaluation{req: req, action: appendLower(room.action[:0], req.Action)}
	if e.fields, e.isARN = splitARN(req.Resource); e.isARN {
		e.keys[0] = appendKey(room.keys[0][:0], &e.fields, e.fields[4])
		e.keys[1] = appendKey(room.keys[1][:0], &e.fields, "*")
	}
	return e
}

// grade says how closely a resource policy's principal names the one who asks.
type grade uint8

const (
	gradeNone     grade = iota
	gradeAccount        // the principal's account, which delegates to its own policies
	gradeEveryone       // "*"
	gradeBehind         // the role, or the user, behind a session
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
	// What an earlier document decided stands; within one, the earliest
	// statement does, in whatever order the index brings them.
	denied, allowed := int32(len(d.statements)), int32(len(d.statements))
	if o.deny != nil {
		denied = -1
	}
	if o.grade == gradeDirect {
		allowed = -1
	}
	var found search
	for b := found.bucket(&d.index, e); b != nil; b = found.bucket(&d.index, e) {
		for _, en := range d.index.entries[b.start:b.allow] {
			if en.statement >= denied {
				break
			}
			if s := &d.statements[en.statement]; s.matches(e, resource, en) != gradeNone {
				o.deny, denied = s, en.statement
				break
			}
		}
		for _, en := range d.index.entries[b.allow:b.end] {
			if o.grade == gradeDirect && en.statement >= allowed {
				break
			}
			s := &d.statements[en.statement]
			if g := s.matches(e, resource, en); g > o.grade || g == o.grade && g != gradeNone && en.statement < allowed {
				o.allow, o.grade, allowed = s, g, en.statement
			}
		}
	}
}

// matches is judge for a statement that an index found: only the action and the
// resource that led there are compared.
func (s *statement) matches(e *evaluation, resource bool, en entry) grade {
	if en.action < 0 {
		if !s.matchesAction(e) {
			return gradeNone
		}
	} else if !s.actions[en.action].matchesAction(e) {
		return gradeNone
	}
	if en.resource < 0 {
		if !s.matchesResource(e) {
			return gradeNone
		}
	} else if m, _ := s.resources[en.resource].match(&e.fields, e.isARN, e); !m {
		return gradeNone
	}
	g, c := s.rest(e, resource)
	if c != nil {
		return gradeNone
	}
	return g
}

// rest judges principal and conditions. It returns the condition that fails, if
// one does.
func (s *statement) rest(e *evaluation, resource bool) (grade, *condition) {
	g := gradeDirect
	if resource || s.principals != nil {
		if g = s.matchesPrincipal(&e.req.Principal, resource); g == gradeNone {
			return gradeNone, nil
		}
		if g == gradeEveryone && s.byARN {
			g = gradeDirect // the condition names the principal
		}
	}
	for i := range s.conditions {
		if c := &s.conditions[i]; !c.holds(e, s.allow) {
			return gradeNone, c
		}
	}
	return g, nil
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
	switch g, c = s.rest(e, resource); {
	case c != nil:
		return gradeNone, "condition", c
	case g == gradeNone:
		return gradeNone, "principal", nil
	}
	return g, "", nil
}

func (s *statement) matchesAction(e *evaluation) bool {
	for i := range s.actions {
		if s.actions[i].matchesAction(e) {
			return !s.notAction
		}
	}
	return s.notAction
}

func (p *pattern) matchesAction(e *evaluation) bool {
	return len(p.text) == 1 && p.wild || glob(p.text, e.req.Action, true)
}

func (s *statement) matchesResource(e *evaluation) bool {
	if s.resources == nil {
		return true // a trust policy: the resource is the role it belongs to
	}
	unresolved := false
	for i := range s.resources {
		matched, resolved := s.resources[i].match(&e.fields, e.isARN, e)
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
		if p.Kind == PrincipalAnonymous {
			return "anonymous", nil
		}
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
	case PrincipalUser, PrincipalAssumedRole, PrincipalFederatedUser:
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
// that a resource policy which names this very user or session, in Principal or
// for everyone with a condition on aws:PrincipalArn, is not limited by them. A
// federated user needs a session policy that allows. Principals without an
// account (services, web identities, nobody) have resource policies only.
// Source: the IAM user guide, "How AWS enforcement code logic evaluates
// requests to allow or deny access" and "Cross-account policy evaluation logic".
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
	return k == PrincipalRoot || k == PrincipalUser || k == PrincipalAssumedRole || k == PrincipalFederatedUser
}

func evaluate(req *Request, p *Policies, trust bool) Decision {
	var room scratch
	e := newEvaluation(req, &room)
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
	case o.session.allow == nil && (len(p.Session) > 0 || e.req.Principal.Kind == PrincipalFederatedUser):
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
	for _, i := range d.candidates(e) {
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
