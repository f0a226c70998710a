package trail

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"moat/internal/pure/arn"
)

// Need is a permission that recorded calls needed.
type Need struct {
	Action   string
	Resource string
	PassedTo string // of iam:PassRole
}

// Suggestion is the least policy for recorded calls.
type Suggestion struct {
	Principal string          `json:"principal"`
	Since     time.Time       `json:"since"`
	Events    int             `json:"events"`   // calls that were looked at
	Refused   int             `json:"refused"`  // of them, refused and left out
	Document  json.RawMessage `json:"document"` // nil when nothing was needed
}

// SuggestOptions say what a suggestion covers.
type SuggestOptions struct {
	Since time.Time
	// Readable tells whether events of a region count; nil: all do.
	Readable func(region string) bool
	// Generalise writes `*` for the last part of each resource's name.
	Generalise bool
	// Refused includes what was refused. Whoever could make calls in the principal's name then
	// has a say in its policy.
	Refused bool
}

// Suggest makes the least policy that the recorded calls of a principal needed: the ARN of a user,
// of a role (for its sessions), or of root.
func (s *Service) Suggest(ctx context.Context, principal string, opt SuggestOptions) (Suggestion, error) {
	out := Suggestion{Principal: principal, Since: opt.Since.UTC()}
	if err := s.Flush(ctx); err != nil {
		return out, err
	}
	q := question{Attribute: byPrincipal, Value: principal, Start: opt.Since.UnixMilli(), End: s.cfg.Now().Add(time.Minute).UnixMilli()}
	needs := map[Need]bool{}
	for from, more := (place{}), true; more; {
		var events []located
		var err error
		if events, from, more, err = s.look(ctx, q, from, 10*pageEvents); err != nil {
			return out, err
		}
		for i := range events {
			if opt.Readable != nil && !opt.Readable(events[i].AWSRegion) {
				continue
			}
			out.Events++
			refused := false
			for _, d := range events[i].AdditionalEventData.Decisions {
				if d.Result != resultAllowed {
					refused = true
					if !opt.Refused {
						continue
					}
				}
				n := Need{d.Action, d.Resource, d.PassedTo}
				if !strings.HasPrefix(n.Resource, "arn:") { // what has no ARN is allowed by "*" alone
					n.Resource = "*"
				} else {
					n.Resource = literal(n.Resource)
				}
				if opt.Generalise {
					n.Resource = generalised(n.Resource)
				}
				needs[n] = true
			}
			if refused {
				out.Refused++
			}
		}
	}
	if len(needs) > 0 {
		out.Document = document(slices.Collect(maps.Keys(needs)))
	}
	return out, nil
}

// statement is a statement of a policy document, in the order that people write it.
type statement struct {
	Effect    string
	Action    []string
	Resource  []string
	Condition map[string]map[string][]string `json:",omitempty"`
}

// document writes needs as a policy: actions with the same resources share a statement, and a role
// is passed only to the services that it was passed to.
func document(needs []Need) json.RawMessage {
	type group struct{ action, passed string }
	resources := map[group]map[string]bool{}
	for _, n := range needs {
		g := group{n.Action, n.PassedTo}
		if resources[g] == nil {
			resources[g] = map[string]bool{}
		}
		resources[g][n.Resource] = true
	}
	shared := map[string]*statement{}
	for g, set := range resources {
		list := slices.Sorted(maps.Keys(set))
		key := strings.Join(list, " ") + " " + g.passed
		st := shared[key]
		if st == nil {
			st = &statement{Effect: "Allow", Resource: list}
			if g.passed != "" {
				st.Condition = map[string]map[string][]string{"StringEquals": {"iam:PassedToService": {g.passed}}}
			}
			shared[key] = st
		}
		st.Action = append(st.Action, g.action)
	}
	statements := slices.Collect(maps.Values(shared))
	for _, st := range statements {
		slices.Sort(st.Action)
	}
	slices.SortFunc(statements, func(a, b *statement) int {
		return cmp.Or(cmp.Compare(a.Action[0], b.Action[0]), slices.Compare(a.Resource, b.Resource))
	})
	return marshal(struct {
		Version   string
		Statement []*statement
	}{"2012-10-17", statements})
}

// literal writes a resource so that a policy means it alone. A call may have named
// `*`, and what a principal could ask for must not widen what is suggested for it.
func literal(resource string) string {
	return strings.NewReplacer("$", "${$}", "*", "${*}", "?", "${?}").Replace(resource)
}

// generalised writes `*` for what names one resource among others of its type.
func generalised(resource string) string {
	a, err := arn.Parse(resource)
	if err != nil {
		return resource
	}
	switch i := strings.IndexAny(a.Resource, "/:"); {
	case strings.HasPrefix(a.Resource, "/"): // API Gateway: /restapis/ID/resources/ID
		parts := strings.Split(a.Resource, "/")
		for i := 2; i < len(parts); i += 2 {
			parts[i] = "*"
		}
		a.Resource = strings.Join(parts, "/")
	case i >= 0:
		a.Resource = a.Resource[:i+1] + "*"
	default:
		a.Resource = "*"
	}
	return a.String()
}
