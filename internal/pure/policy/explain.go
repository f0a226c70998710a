package policy

import (
	"slices"
	"strings"
)

// Explanation is a decision with the judgement of every statement.
type Explanation struct {
	Decision Decision
	// Verdicts has one entry for each statement considered: guardrail,
	// resource, identity, boundary, session, each in the order of its text.
	Verdicts []Verdict
}

// Verdict says how one statement was judged.
type Verdict struct {
	Kind string // KindIdentity and its like
	// Policy is the document's id, Statement the Sid or "statement 2".
	Policy, Statement string
	Effect            string // Allow or Deny
	// Start and End are those of the statement in the document's text.
	Start, End Position
	Matched    bool
	// Failed is empty when the statement matched, else the first element that
	// did not: "action", "resource", "principal" or "condition".
	Failed string
	// Condition is the operator and the key as written when Failed is
	// "condition": StringEquals aws:SourceIp.
	Condition string
	// Missing lists the condition keys and variables that the statement asks
	// for and the request lacks, as written.
	Missing []string
}

// Explain decides as [Evaluate] does and tells how every statement was judged.
// It looks at all of them one by one: it is for people and simulations, not for
// hot paths.
func Explain(req *Request, p *Policies) Explanation { return explain(req, p, false) }

// ExplainTrust is Explain for [EvaluateTrust].
func ExplainTrust(req *Request, p *Policies) Explanation { return explain(req, p, true) }

func explain(req *Request, p *Policies, trust bool) Explanation {
	var room scratch
	e := newEvaluation(req, &room)
	var x Explanation
	var o outcomes
	judge := func(kind string, into *outcome, docs ...*Document) {
		for _, d := range docs {
			if d == nil {
				continue
			}
			for i := range d.statements {
				s := &d.statements[i]
				g, failed, condition := s.judge(&e, kind == KindResource)
				into.add(s, g)
				x.Verdicts = append(x.Verdicts, s.verdict(&e, kind, failed, condition))
			}
		}
	}
	if ofAccount(req.Principal.Kind) {
		judge(KindGuardrail, &o.guardrail, p.Guardrails...)
	}
	judge(KindResource, &o.resource, p.Resource)
	if ofAccount(req.Principal.Kind) {
		judge(KindIdentity, &o.identity, p.Identity...)
		judge(KindBoundary, &o.boundary, p.Boundary)
		judge(KindSession, &o.session, p.Session...)
	}
	x.Decision = o.decide(&e, p, trust)
	return x
}

func (s *statement) verdict(e *evaluation, kind, failed string, c *condition) Verdict {
	v := Verdict{Kind: kind, Policy: s.policy, Statement: s.name, Effect: "Deny", Start: s.start, End: s.end, Matched: failed == "", Failed: failed}
	if s.allow {
		v.Effect = "Allow"
	}
	if c != nil {
		v.Condition = c.String()
	}
	if failed != "action" && failed != "principal" {
		v.Missing = s.asks(e, failed == "resource")
	}
	return v
}

// asks lists the keys and variables, as written, that the statement asks for and
// the request lacks; onlyResource leaves the conditions out.
func (s *statement) asks(e *evaluation, onlyResource bool) (keys []string) {
	variable := func(v *part) {
		if !v.hasFall && e.lacks(v.variable) {
			keys = addKey(keys, v.written)
		}
	}
	for i := range s.resources {
		s.resources[i].variables(variable)
	}
	for i := range s.conditions {
		if c := &s.conditions[i]; !onlyResource {
			if e.lacks(c.key) {
				keys = addKey(keys, c.written)
			}
			c.variables(variable)
		}
	}
	return keys
}

func (e *evaluation) lacks(key string) bool {
	one, many := e.lookup(key)
	return one == "" && len(many) == 0
}

// addKey appends a key that is not there yet.
func addKey(keys []string, key string) []string {
	if slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, key) }) {
		return keys
	}
	return append(keys, key)
}
