package iam

import (
	"fmt"
	"strings"

	"moat/internal/pure/policy"
)

// Guardrail is a service control policy.
type Guardrail struct{ Name, Text string }

// rootPolicy is what the root of an account has.
const rootPolicy = `{"Version":"2012-10-17","Statement":{"Sid":"Root","Effect":"Allow","Action":"*","Resource":"*"}}`

// Compile checks a guardrail: the grammar is that of identity policies.
func (g Guardrail) Compile() (*policy.Document, error) {
	d, err := policy.Parse(g.Name, []byte(g.Text))
	if err == nil {
		err = d.Check(policy.IdentityPolicy)
	}
	return d, err
}

func compileGuardrails(all []Guardrail) (out []*policy.Document, err error) {
	for _, g := range all {
		d, err := g.Compile()
		if err != nil {
			return nil, fmt.Errorf("service control policy %s: %w", g.Name, err)
		}
		out = append(out, d)
	}
	return out, nil
}

// serviceRolePath is that of service-linked roles; no other role may have it.
const serviceRolePath = ":role/aws-service-role/"

// guardrails are the account-wide limits of a principal: every user, role and
// root has them, service-linked roles do not (AWS Organizations user guide,
// "Tasks and entities not restricted by SCPs").
func (s *Service) guardrails(who *policy.Principal) []*policy.Document {
	if who.Kind == policy.PrincipalAssumedRole && strings.Contains(who.RoleARN, serviceRolePath) {
		return nil
	}
	return s.guards
}
