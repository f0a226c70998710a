package iam

import "moat/internal/store"

// IAM's default quotas per account ("IAM and AWS STS quotas").
const (
	maxUsers              = 5000
	maxAccountGroups      = 300
	maxRoles              = 1000
	maxPolicies           = 1500
	maxProfiles           = 1000
	maxProviders          = 100
	maxServerCertificates = 20
)

// room refuses what would be one too many of its kind in the account.
func room[T any](s *Service, tx *store.Tx, t *store.Table[T], quota string, most int) error {
	n, err := t.Count(tx, store.Query{Prefix: []string{s.cfg.Account}})
	if err == nil && n >= most {
		err = limit("Cannot exceed quota for %s: %d", quota, most)
	}
	return err
}
