package restapi

import (
	"fmt"

	"moat/internal/store"
	"moat/internal/wire/apigatewayapi"
)

// Quotas are the bounds that API Gateway raises on request, by name, as it has them at first (API Gateway Developer
// Guide, "Quotas for configuring and running a REST API"). AWS counts regional and edge-optimised APIs apart.
func Quotas() map[string]int {
	return map[string]int{
		"apis": 600, "resources": 300, "stages": 10, "authorizers": 10, "api-keys": 10000, "usage-plans": 300, "usage-plans-per-key": 10,
		"client-certificates": 60, "vpc-links": 20, "domain-names": 120, "domain-name-access-associations": 100,
	}
}

// quota is a bound, as the operator has it.
func (s *Service) quota(name string) int {
	if n, own := s.cfg.Quotas[name]; own {
		return n
	}
	return Quotas()[name]
}

// exceeded is the refusal of one thing too many, of an API (" for this API") or of the account ("").
func exceeded(things, of string) error {
	return &apigatewayapi.LimitExceededException{Message: fmt.Sprintf("Maximum number of %s%s has been reached.  Please contact AWS if you need additional %s.", things, of, things)}
}

const ofAPI = " for this API"

// room refuses one more record where a quota is reached.
func room[T any](s *Service, tx *store.Tx, t *store.Table[T], quota, things, of string, prefix ...string) error {
	n, err := t.CountUpTo(tx, store.Query{Prefix: prefix, Limit: s.quota(quota)})
	if err == nil && n >= s.quota(quota) {
		return exceeded(things, of)
	}
	return err
}
