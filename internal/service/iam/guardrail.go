package iam

import (
	"strings"

	"moat/internal/pure/policy"
)

// serviceRolePath is that of service-linked roles; no other role may have it.
const serviceRolePath = ":role/aws-service-role/"

// guardrails are the account-wide limits of a principal: every user, role and
// root has them, service-linked roles do not (AWS Organizations user guide,
// "Tasks and entities not restricted by SCPs").
func (s *Service) guardrails(who *policy.Principal) []*policy.Document {
	if who.Kind == policy.PrincipalAssumedRole && strings.Contains(who.RoleARN, serviceRolePath) {
		return nil
	}
	return s.cfg.Guardrails
}
