package iam

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
)

// Allowance is what a principal may do in one service, on resources of one
// pattern and under the same conditions.
type Allowance struct {
	Service  string   `json:"service"`
	Name     string   `json:"name"`
	Actions  []string `json:"actions"` // "*" alone for all that exist here
	Of       int      `json:"of"`      // how many exist here
	Resource string   `json:"resource"`
	When     []string `json:"when,omitempty"`
	Unless   []string `json:"unless,omitempty"`
}

// Allowances lists what a principal may do, by service. Resources are those that
// its policies name; resource policies have no say.
func (s *Service) Allowances(ctx context.Context, principal string) (out []Allowance, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		q, err := s.inquire(tx, principal)
		if err != nil {
			return err
		}
		patterns, err := q.patterns()
		if err != nil {
			return err
		}
		out = out[:0]
		for _, svc := range s.services {
			if !slices.ContainsFunc(q.docs[policy.KindIdentity], func(r rawDoc) bool { return r.doc.GrantsService(svc.namespace) }) {
				continue
			}
			some, err := s.allowancesOf(q, &svc, patterns)
			if err != nil {
				return err
			}
			out = append(out, some...)
		}
		return nil
	})
	return out, err
}

func (s *Service) allowancesOf(q *inquiry, svc *awsService, patterns []string) (out []Allowance, err error) {
	for _, action := range svc.actions {
		var wider []string // the conditions on "*", which hold for narrower patterns as well
		for _, pattern := range patterns {
			if !ofService(pattern, svc.namespace) {
				continue
			}
			a, err := q.ask(svc.namespace+":"+action, pattern, accountOfARN(pattern, s.cfg.Account))
			if err != nil {
				return nil, err
			}
			if a.Answer == No {
				continue
			}
			conditions := append(a.conditions(), a.Unless...)
			if wider != nil && slices.Equal(conditions, wider) {
				continue
			}
			if pattern == "*" {
				wider = conditions
			}
			out = addAllowance(out, Allowance{Service: svc.namespace, Name: svc.name, Of: len(svc.actions), Resource: pattern, When: a.conditions(), Unless: a.Unless}, action)
			if a.Answer == Yes { // patterns are sorted, the widest first
				break
			}
		}
	}
	for i := range out {
		if len(out[i].Actions) == len(svc.actions) {
			out[i].Actions = []string{"*"}
		}
	}
	return out, nil
}

func addAllowance(out []Allowance, a Allowance, action string) []Allowance {
	for i := range out {
		if o := &out[i]; o.Resource == a.Resource && slices.Equal(o.When, a.When) && slices.Equal(o.Unless, a.Unless) {
			o.Actions = append(o.Actions, action)
			return out
		}
	}
	a.Actions = []string{action}
	return append(out, a)
}

// conditions are those of the grants, each of which is enough, and of the limits.
func (a *Answer) conditions() []string {
	if a.Answer == Yes {
		return nil
	}
	var grants []string
	for _, g := range a.By {
		if len(g.When) == 0 {
			return a.When // one allows without any
		}
		if text := strings.Join(g.When, " and "); !slices.Contains(grants, text) {
			grants = append(grants, text)
		}
	}
	if len(grants) == 0 {
		return a.When
	}
	return append([]string{strings.Join(grants, ", or ")}, a.When...)
}

// patterns are the resources that allowing statements name, "*" first.
func (q *inquiry) patterns() ([]string, error) {
	out := []string{"*"}
	for _, kind := range []string{policy.KindIdentity, policy.KindBoundary, policy.KindGuardrail} {
		for _, r := range q.docs[kind] {
			var doc map[string]json.RawMessage
			if err := json.Unmarshal([]byte(r.text), &doc); err != nil {
				return nil, err
			}
			statements, err := statementsOf(doc["Statement"])
			if err != nil {
				return nil, err
			}
			for _, st := range statements {
				for _, pattern := range stringsOf(st["Resource"]) {
					if pattern = q.resolve(pattern); string(st["Effect"]) == `"Allow"` && !slices.Contains(out, pattern) {
						out = append(out, pattern)
					}
				}
			}
		}
	}
	slices.SortStableFunc(out[1:], func(a, b string) int { return len(a) - len(b) })
	return out, nil
}

// resolve puts what is known of the principal in the place of policy variables.
func (q *inquiry) resolve(pattern string) string {
	for key, values := range q.who.Context {
		if i := strings.Index(strings.ToLower(pattern), "${"+key+"}"); i >= 0 && len(values) == 1 {
			pattern = pattern[:i] + values[0] + pattern[i+len(key)+3:]
		}
	}
	return pattern
}

// ofService reports whether a resource pattern can be of a service. Roles are
// resources of sts as well.
func ofService(pattern, namespace string) bool {
	parts := strings.SplitN(pattern, ":", 4)
	if len(parts) < 4 || strings.ContainsAny(parts[2], "*?") {
		return true
	}
	return parts[2] == namespace || namespace == "sts" && parts[2] == "iam"
}
