package iam

import (
	"slices"
	"strconv"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// simulation is one call of the policy simulator: who, by which documents, and
// under which circumstances. It decides as real calls are decided.
type simulation struct {
	account   string
	principal policy.Principal
	policies  policy.Policies
	sources   map[string]*source // by the id of the compiled document
	owner     string             // account of what names none in its ARN
	keys      policy.Context
}

// The words of the simulator for where a policy stands.
const (
	identitySource = "IAM Policy"
	resourceSource = "Resource Policy"
)

// compile parses a document for the simulation under an id of its own.
func (m *simulation) compile(src source, use policy.Use) (*policy.Document, error) {
	id := strconv.Itoa(len(m.sources))
	d, err := policy.Parse(id, []byte(src.text))
	if err == nil {
		err = d.Check(use)
	}
	if err != nil {
		return nil, err
	}
	m.sources[id] = &src
	return d, nil
}

// decision is what the simulator says about one action on one resource.
type decision struct {
	result   iamapi.PolicyEvaluationDecisionType
	matched  []iamapi.Statement
	missing  []string
	details  map[string]iamapi.PolicyEvaluationDecisionType
	boundary *iamapi.PermissionsBoundaryDecisionDetail
	org      *iamapi.OrganizationsDecisionDetail
}

// explain asks the engine. A resource policy of an action that assumes a role is
// that role's trust policy.
func (m *simulation) explain(action, resource string) (policy.Explanation, *policy.Request) {
	req := &policy.Request{Principal: m.principal, Action: action, Resource: resource, Account: accountOfARN(resource, m.owner), Context: m.keys}
	if m.policies.Resource != nil && assumes(action) {
		return policy.ExplainTrust(req, &m.policies), req
	}
	return policy.Explain(req, &m.policies), req
}

func assumes(action string) bool {
	for _, a := range []string{"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"} {
		if strings.EqualFold(a, action) {
			return true
		}
	}
	return false
}

func (m *simulation) decide(action, resource string) decision {
	x, req := m.explain(action, resource)
	d := decision{result: resultOf(x.Decision), matched: []iamapi.Statement{}, missing: []string{}}
	if len(m.policies.Guardrails) > 0 {
		allowed := verdictOf(x, policy.KindGuardrail) == "allowed"
		d.org = &iamapi.OrganizationsDecisionDetail{AllowedByOrganizations: &allowed}
		if !allowed {
			return d // as AWS: the simulation ends here
		}
	}
	if m.policies.Boundary != nil {
		d.boundary = &iamapi.PermissionsBoundaryDecisionDetail{AllowedByPermissionsBoundary: wire.Bool(verdictOf(x, policy.KindBoundary) == "allowed")}
	}
	if resource != "*" {
		d.details = map[string]iamapi.PolicyEvaluationDecisionType{}
		if req.Account != m.principal.Account {
			d.details[identitySource] = verdictOf(x, policy.KindIdentity)
			d.details[resourceSource] = verdictOf(x, policy.KindResource)
		}
	}
	d.matched = m.matched(x)
	for _, v := range x.Verdicts {
		for _, key := range v.Missing {
			if v.Kind != policy.KindGuardrail && !slices.Contains(d.missing, key) {
				d.missing = append(d.missing, key)
			}
		}
	}
	slices.Sort(d.missing)
	return d
}

func resultOf(d policy.Decision) iamapi.PolicyEvaluationDecisionType {
	switch {
	case d.Allowed:
		return "allowed"
	case d.Explicit:
		return "explicitDeny"
	}
	return "implicitDeny"
}

// verdictOf is what the documents of one kind say by themselves.
func verdictOf(x policy.Explanation, kind string) iamapi.PolicyEvaluationDecisionType {
	out := iamapi.PolicyEvaluationDecisionType("implicitDeny")
	for _, v := range x.Verdicts {
		switch {
		case v.Kind != kind || !v.Matched:
		case v.Effect == "Deny":
			return "explicitDeny"
		default:
			out = "allowed"
		}
	}
	return out
}

// matched lists the statements that determine the result: those that deny, and
// where none does, those that allow.
func (m *simulation) matched(x policy.Explanation) []iamapi.Statement {
	effect := "Allow"
	if x.Decision.Explicit {
		effect = "Deny"
	}
	out := []iamapi.Statement{}
	var before policy.Verdict // the statement before, in the same document
	for _, v := range x.Verdicts {
		src := m.sources[v.Policy]
		if v.Matched && v.Effect == effect && src != nil && (effect == "Deny" || v.Kind == policy.KindIdentity || v.Kind == policy.KindResource) {
			start := openedAt(src.text, v.Start)
			if before.Policy == v.Policy {
				start = behind(before.End)
			}
			st := iamapi.Statement{SourcePolicyId: wire.String(src.title()), SourcePolicyType: identitySource, StartPosition: positionOut(start), EndPosition: positionOut(behind(v.End))}
			if v.Kind == policy.KindResource {
				st.SourcePolicyType = resourceSource
			}
			out = append(out, st)
		}
		before = v
	}
	return out
}

// openedAt is where the list of statements opens whose first one is at a place:
// AWS counts a statement from the end of what stands before it.
func openedAt(text string, first policy.Position) policy.Position {
	here, opened := policy.Position{Line: 1, Column: 1}, first
	for _, r := range text {
		if here == first {
			break
		}
		if here.Column++; r == '\n' {
			here = policy.Position{Line: here.Line + 1, Column: 1}
		}
		switch {
		case r == '[':
			opened = here
		case !strings.ContainsRune(" \t\r\n", r):
			opened = first
		}
	}
	return opened
}

// behind is the place after a character.
func behind(p policy.Position) policy.Position {
	return policy.Position{Line: p.Line, Column: p.Column + 1}
}

// positionOut is a place in a document; lines and columns count from 1.
func positionOut(p policy.Position) *iamapi.Position {
	return &iamapi.Position{Line: wire.Int32(int32(p.Line)), Column: wire.Int32(int32(p.Column))}
}

// evaluate makes the result of one action: of all resources together, and of
// each, where resources were named.
func (m *simulation) evaluate(action string, resources []string) iamapi.EvaluationResult {
	if len(resources) == 0 || len(resources) == 1 && resources[0] == "*" {
		d := m.decide(action, "*")
		return iamapi.EvaluationResult{
			EvalActionName: action, EvalResourceName: wire.String("*"), EvalDecision: d.result, MatchedStatements: d.matched,
			MissingContextValues: d.missing, OrganizationsDecisionDetail: d.org, PermissionsBoundaryDecisionDetail: d.boundary,
		}
	}
	out := iamapi.EvaluationResult{EvalActionName: action, EvalResourceName: wire.String("*"), MatchedStatements: []iamapi.Statement{}, MissingContextValues: []string{}}
	for i, resource := range resources {
		d := m.decide(action, resource)
		if len(resources) == 1 {
			out.EvalResourceName, out.MatchedStatements, out.EvalDecisionDetails = &resource, d.matched, d.details
		}
		if i == 0 || stricter(d.result, out.EvalDecision) {
			out.EvalDecision, out.OrganizationsDecisionDetail, out.PermissionsBoundaryDecisionDetail = d.result, d.org, d.boundary
		}
		out.ResourceSpecificResults = append(out.ResourceSpecificResults, iamapi.ResourceSpecificResult{
			EvalResourceName: resource, EvalResourceDecision: d.result, EvalDecisionDetails: d.details,
			MatchedStatements: d.matched, MissingContextValues: d.missing, PermissionsBoundaryDecisionDetail: d.boundary,
		})
	}
	return out
}

// stricter reports whether a refuses more clearly than b.
func stricter(a, b iamapi.PolicyEvaluationDecisionType) bool {
	rank := func(d iamapi.PolicyEvaluationDecisionType) int {
		return slices.Index([]iamapi.PolicyEvaluationDecisionType{"allowed", "implicitDeny", "explicitDeny"}, d)
	}
	return rank(a) > rank(b)
}
