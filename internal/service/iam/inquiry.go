package iam

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"moat/internal/pure/policy"
)

// Answers to "may this principal do this".
const (
	Yes  = "yes"
	When = "when" // it depends on the circumstances of the call
	No   = "no"
)

// Answer says whether a principal may do an action on a resource, whatever the
// circumstances of a call may be.
type Answer struct {
	Principal string `json:"principal"`
	Answer    string `json:"answer"`
	// By are the statements that allow; each may have conditions of its own.
	By []Grant `json:"by,omitempty"`
	// When must hold as well: conditions of boundaries and guardrails that allow.
	When []string `json:"when,omitempty"`
	// Unless are conditions under which a statement denies.
	Unless []string `json:"unless,omitempty"`
	// Because is one sentence for a No.
	Because string `json:"because,omitempty"`
}

// Grant is a statement that allows.
type Grant struct {
	Policy    string   `json:"policy"`
	Of        string   `json:"of,omitempty"`        // whose the policy is: group staff
	Statement string   `json:"statement,omitempty"` // "" of a policy that who asks may not read
	Kind      string   `json:"kind"`
	When      []string `json:"when,omitempty"`
}

// rawDoc is a policy with its text, which an inquiry takes apart.
type rawDoc struct {
	source
	opts []policy.Option
	doc  *policy.Document // as it is
	with bool             // it has conditions
}

// inquiry asks about one principal. What a call would bring and is not known
// now, such as its address, is open: a statement with an open condition may
// apply or not.
type inquiry struct {
	who   policy.Principal
	keys  policy.Context
	trust bool // the resource policy is a role's trust policy
	docs  map[string][]rawDoc
}

// kinds in the order in which package policy judges them.
func (q *inquiry) kinds() []string {
	return []string{policy.KindGuardrail, policy.KindResource, policy.KindIdentity, policy.KindBoundary}
}

// add compiles a policy under an id that tells its kind and place.
func (q *inquiry) add(kind string, src source, opts ...policy.Option) error {
	d, err := policy.Parse(fmt.Sprint(kind, "/", len(q.docs[kind])), []byte(src.text), opts...)
	if err != nil {
		return err
	}
	if q.docs == nil {
		q.docs = map[string][]rawDoc{}
	}
	q.docs[kind] = append(q.docs[kind], rawDoc{source: src, opts: opts, doc: d, with: strings.Contains(src.text, "Condition")})
	return nil
}

// gather hands the documents to the engine, each changed by how.
func (q *inquiry) gather(how func(kind string, i int, r *rawDoc) (*policy.Document, error)) (p policy.Policies, err error) {
	for _, kind := range q.kinds() {
		for i := range q.docs[kind] {
			d, err := how(kind, i, &q.docs[kind][i])
			if err != nil {
				return p, err
			}
			switch kind {
			case policy.KindGuardrail:
				p.Guardrails = append(p.Guardrails, d)
			case policy.KindResource:
				p.Resource = d
			case policy.KindIdentity:
				p.Identity = append(p.Identity, d)
			case policy.KindBoundary:
				p.Boundary = d
			}
		}
	}
	return p, nil
}

func (q *inquiry) explain(req *policy.Request, p *policy.Policies) policy.Explanation {
	if q.trust {
		return policy.ExplainTrust(req, p)
	}
	return policy.Explain(req, p)
}

// ask decides three times: as things are, to learn which conditions are open;
// with every open condition in favour of the caller; and with each against it.
func (q *inquiry) ask(action, resource, account string) (Answer, error) {
	a := Answer{Principal: nameOf(&q.who)}
	req := &policy.Request{Principal: q.who, Action: action, Resource: resource, Account: account, Context: q.keys}
	plain, err := q.gather(func(_ string, _ int, r *rawDoc) (*policy.Document, error) { return r.doc, nil })
	if err != nil {
		return a, err
	}
	known := q.explain(req, &plain)
	open := map[string][]string{} // conditions by document and statement
	side := func(hopeful bool) (policy.Explanation, error) {
		p, err := q.gather(func(kind string, i int, r *rawDoc) (*policy.Document, error) {
			return r.settle(fmt.Sprint(kind, "/", i), known.Verdicts, hopeful, open)
		})
		return q.explain(req, &p), err
	}
	hope, err := side(true)
	if err != nil {
		return a, err
	}
	fear, err := side(false)
	if err != nil {
		return a, err
	}
	switch {
	case fear.Decision.Allowed:
		a.Answer, a.By = Yes, q.grants(fear, open)
	case hope.Decision.Allowed:
		a.Answer, a.By = When, q.grants(hope, open)
		a.When, a.Unless = q.limits(hope, fear, open)
	default:
		a.Answer, a.Because = No, q.because(hope.Decision)
	}
	return a, nil
}

// nameOf is how a principal is called.
func nameOf(p *policy.Principal) string {
	for _, s := range []string{p.RoleARN, p.ARN, p.Service, p.Federated, p.Account} {
		if s != "" {
			return s
		}
	}
	return "everyone"
}

// grants are the statements that allow.
func (q *inquiry) grants(x policy.Explanation, open map[string][]string) []Grant {
	var out []Grant
	for _, v := range x.Verdicts {
		if v.Matched && v.Effect == "Allow" && (v.Kind == policy.KindIdentity || v.Kind == policy.KindResource) {
			g := q.grant(v)
			g.When = q.conditions(v, open)
			out = append(out, g)
		}
	}
	return out
}

// hiddenConditions stands for those of a policy that who asks may not read.
const hiddenConditions = "conditions that you may not read hold"

// conditions are the open ones of a statement.
func (q *inquiry) conditions(v policy.Verdict, open map[string][]string) []string {
	c := open[v.Policy+"/"+v.Statement]
	if len(c) > 0 && q.source(v.Policy).hidden {
		return []string{hiddenConditions}
	}
	return c
}

func (q *inquiry) grant(v policy.Verdict) Grant {
	src := q.source(v.Policy)
	g := Grant{Policy: src.name, Statement: v.Statement, Kind: v.Kind}
	if src.hidden {
		g.Statement = ""
	}
	if src.kind == "group" {
		g.Of = "group " + src.owner
	}
	return g
}

// source finds a policy by the id that add gave it.
func (q *inquiry) source(id string) *source {
	kind, place, _ := strings.Cut(id, "/")
	for i := range q.docs[kind] {
		if fmt.Sprint(i) == place {
			return &q.docs[kind][i].source
		}
	}
	return &source{name: id}
}

// limits are the open conditions of what limits beside the grants, and of what
// denies.
func (q *inquiry) limits(hope, fear policy.Explanation, open map[string][]string) (when, unless []string) {
	for _, v := range hope.Verdicts {
		if conditions := open[v.Policy+"/"+v.Statement]; v.Matched && len(conditions) > 0 && (v.Kind == policy.KindBoundary || v.Kind == policy.KindGuardrail) {
			when = append(when, strings.Join(conditions, " and "))
		}
	}
	for _, v := range fear.Verdicts {
		if v.Matched && v.Effect == "Deny" {
			unless = append(unless, strings.Join(q.conditions(v, open), " and "))
		}
	}
	return when, unless
}

// because is why not.
func (q *inquiry) because(d policy.Decision) string {
	if d.Explicit {
		src := q.source(d.Policy)
		if src.hidden {
			return fmt.Sprintf("The %s denies it.", src.name)
		}
		return fmt.Sprintf("%s of %s %s denies it.", d.Statement, d.Kind, src.name)
	}
	return "No " + d.Kind + " allows it."
}

// settle gives the document in which every open condition is decided: hopefully,
// allowances apply and denials do not; else the other way round. What is taken
// out of a statement is noted in open.
func (r *rawDoc) settle(id string, verdicts []policy.Verdict, hopeful bool, open map[string][]string) (*policy.Document, error) {
	if !r.with {
		return r.doc, nil
	}
	var own []policy.Verdict
	for _, v := range verdicts {
		if v.Policy == id {
			own = append(own, v)
		}
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal([]byte(r.text), &doc); err != nil {
		return nil, err
	}
	statements, err := statementsOf(doc["Statement"])
	if err != nil || len(statements) != len(own) {
		return r.doc, err // nobody was asked: the principal has no account
	}
	changed := false
	for i, st := range statements {
		conditions, taken, err := takeOpen(st["Condition"], own[i].Missing)
		if err != nil {
			return nil, err
		}
		if len(taken) == 0 {
			continue
		}
		changed = true
		open[id+"/"+own[i].Statement] = taken
		if (own[i].Effect == "Allow") != hopeful {
			delete(st, "NotAction")
			st["Action"] = json.RawMessage(`"moat:Never"`)
			continue
		}
		if delete(st, "Condition"); conditions != nil {
			st["Condition"] = conditions
		}
	}
	if !changed {
		return r.doc, nil
	}
	if doc["Statement"], err = json.Marshal(statements); err != nil {
		return nil, err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return policy.Parse(id, text, r.opts...)
}

// statementsOf reads one statement or a list of them.
func statementsOf(raw json.RawMessage) (out []map[string]json.RawMessage, err error) {
	if err = json.Unmarshal(raw, &out); err == nil {
		return out, nil
	}
	var one map[string]json.RawMessage
	err = json.Unmarshal(raw, &one)
	return []map[string]json.RawMessage{one}, err
}

// takeOpen splits a statement's conditions into those that can be decided and
// those that ask for a key that is not known.
func takeOpen(raw json.RawMessage, missing []string) (rest json.RawMessage, taken []string, err error) {
	if raw == nil || len(missing) == 0 {
		return raw, nil, nil
	}
	var block map[string]map[string]json.RawMessage
	if err := json.Unmarshal(raw, &block); err != nil {
		return nil, nil, err
	}
	for _, operator := range sortedKeys(block) {
		for _, key := range sortedKeys(block[operator]) {
			values := block[operator][key]
			isOpen := slices.ContainsFunc(missing, func(m string) bool {
				return strings.EqualFold(m, key) || strings.Contains(strings.ToLower(string(values)), "${"+strings.ToLower(m))
			})
			if isOpen {
				taken = append(taken, conditionText(operator, key, values))
				delete(block[operator], key)
			}
		}
		if len(block[operator]) == 0 {
			delete(block, operator)
		}
	}
	if len(block) == 0 {
		return nil, taken, nil
	}
	rest, err = json.Marshal(block)
	return rest, taken, err
}

// conditionText is a condition as a person reads it.
func conditionText(operator, key string, raw json.RawMessage) string {
	var values []any
	if json.Unmarshal(raw, &values) != nil {
		var one any
		_ = json.Unmarshal(raw, &one) // it was parsed before
		values = []any{one}
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprint(v)
	}
	base, ifExists := strings.CutSuffix(operator, "IfExists")
	verb, ok := map[string]string{
		"StringEquals": "is", "StringNotEquals": "is not", "StringLike": "is like", "StringNotLike": "is not like", "ArnEquals": "is", "ArnLike": "is like",
		"ArnNotLike": "is not like", "IpAddress": "is in", "NotIpAddress": "is not in", "Bool": "is", "NumericEquals": "is", "Null": "is absent:",
	}[base]
	if !ok {
		verb = base
	}
	text := key + " " + verb + " " + strings.Join(texts, " or ")
	if ifExists {
		text += ", if it is there"
	}
	return text
}
