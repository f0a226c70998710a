package userpool

import (
	"context"
	"fmt"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
)

// How many there can be of a thing: as many as AWS raises a quota to (developer guide, "Quotas on
// resource number and size"). Users are not counted, import jobs neither.
const (
	maxPools      = 10_000 // of a region
	maxClients    = 10_000 // of a pool, as are those below
	maxServers    = 300
	maxGroups     = 10_000
	maxUserGroups = 100 // to which one user belongs
	maxTags       = 50
)

// room refuses one more of what a query counts when there are most of it already.
func room[T any](tx *store.Tx, table *store.Table[T], q store.Query, most int, what string) error {
	q.Limit = most
	n, err := table.CountUpTo(tx, q)
	if err == nil && n >= most {
		err = refuse(limitExceeded, fmt.Sprintf("There can be at most %d %s.", most, what))
	}
	return err
}

// checkTags refuses tags that no pool can get. Those that begin with aws: are CloudFormation's; one
// that the pool has already may be named again.
func checkTags(ctx context.Context, have, tags map[string]string) error {
	if len(tags) > maxTags {
		return refuse(invalidParameter, fmt.Sprintf("A user pool can have at most %d tags.", maxTags))
	}
	for name, value := range tags {
		if old, there := have[name]; there && old == value {
			continue
		}
		if wire.CallFrom(ctx).Via == "" && strings.HasPrefix(strings.ToLower(name), "aws:") {
			return refuse(invalidParameter, "Tag keys cannot start with aws:")
		}
	}
	return checkSigningAlgorithm(tags)
}
