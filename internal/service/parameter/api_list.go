package parameter

import (
	"context"
	"slices"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/ssmapi"
)

// GetParametersByPath returns the parameters of a hierarchy: of one level, or of
// all below when Recursive is set.
func (s *Service) GetParametersByPath(ctx context.Context, in *api.GetParametersByPathRequest) (*api.GetParametersByPathResult, error) {
	c := wire.CallFrom(ctx)
	if err := checkPath(in.Path); err != nil {
		return nil, err
	}
	keep, err := filters(in.ParameterFilters, pathFilterKeys)
	if err != nil {
		return nil, err
	}
	question, err := s.question(c, "GetParametersByPath", in.Path, wire.Value(in.Recursive), in.ParameterFilters)
	if err != nil {
		return nil, err
	}
	after, err := s.openToken(in.NextToken, question)
	if err != nil {
		return nil, err
	}
	out := &api.GetParametersByPathResult{Parameters: []api.Parameter{}}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		base, recursive := strings.TrimSuffix(in.Path, "/"), wire.Value(in.Recursive)
		begins := ""
		if base != "" {
			begins = base + "/"
		}
		found, more, err := s.scan(tx, c.Region, begins, after, limitOf(in.MaxResults, 10), func(p *Parameter) bool {
			return below(p.Name, base, recursive) && keep(p)
		})
		if err != nil {
			return err
		}
		for i := range found {
			v, selector, err := s.labelled(tx, &found[i], in.ParameterFilters)
			if err != nil {
				return err
			}
			p, err := s.shown(&v, wire.Value(in.WithDecryption), selector)
			if err != nil {
				return err
			}
			out.Parameters = append(out.Parameters, p)
		}
		if more {
			out.NextToken, err = s.sealToken(question, found[len(found)-1].Name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// below says whether a name is in the hierarchy of base ("" is the root, where
// names without a slash are too).
func below(name, base string, recursive bool) bool {
	rest, ok := strings.CutPrefix(name, base+"/")
	if !ok {
		if base != "" {
			return false
		}
		rest = name
	}
	return recursive || !strings.Contains(rest, "/")
}

// labelled returns the version that a filter on labels asks for, or the newest.
func (s *Service) labelled(tx *store.Tx, p *Parameter, list []api.ParameterStringFilter) (Version, string, error) {
	for _, f := range list {
		if f.Key != "Label" {
			continue
		}
		for _, label := range f.Values {
			if n, ok := p.Labels[label]; ok {
				v, err := s.versions.Get(tx, p.Account, p.Region, p.Name, number(n))
				return v, ":" + label, err
			}
		}
	}
	return p.Version, "", nil
}

// DescribeParameters lists parameters without their values.
func (s *Service) DescribeParameters(ctx context.Context, in *api.DescribeParametersRequest) (*api.DescribeParametersResult, error) {
	c := wire.CallFrom(ctx)
	if len(in.Filters) > 0 && len(in.ParameterFilters) > 0 {
		return nil, invalid("You can use either Filters or ParameterFilters in a single request.")
	}
	list := in.ParameterFilters
	for _, f := range in.Filters {
		list = append(list, api.ParameterStringFilter{Key: string(f.Key), Values: f.Values})
	}
	keep, err := filters(list, describeFilterKeys)
	if err != nil {
		return nil, err
	}
	question, err := s.question(c, "DescribeParameters", list, wire.Value(in.Shared))
	if err != nil {
		return nil, err
	}
	after, err := s.openToken(in.NextToken, question)
	if err != nil {
		return nil, err
	}
	out := &api.DescribeParametersResult{Parameters: []api.ParameterMetadata{}}
	if wire.Value(in.Shared) { // nothing is shared between accounts here
		return out, nil
	}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		found, more, err := s.scan(tx, c.Region, "", after, limitOf(in.MaxResults, 50), keep)
		if err != nil {
			return err
		}
		for i := range found {
			out.Parameters = append(out.Parameters, described(&found[i].Version))
		}
		if more {
			out.NextToken, err = s.sealToken(question, found[len(found)-1].Name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func described(v *Version) api.ParameterMetadata {
	return api.ParameterMetadata{
		ARN: wire.String(v.arn()), AllowedPattern: optional(v.AllowedPattern), DataType: wire.String(v.DataType),
		Description: optional(v.Description), KeyId: optional(v.KeyID), LastModifiedDate: wire.Time(v.Modified),
		LastModifiedUser: optional(v.ModifiedBy), Name: wire.String(v.Name), Policies: []api.ParameterInlinePolicy{},
		Tier: api.ParameterTier(v.Tier), Type: api.ParameterType(v.Type), Version: wire.Int64(v.Number),
	}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// GetParameterHistory lists the versions of a parameter, the oldest first.
func (s *Service) GetParameterHistory(ctx context.Context, in *api.GetParameterHistoryRequest) (*api.GetParameterHistoryResult, error) {
	c := wire.CallFrom(ctx)
	r, err := s.parseReference(c, in.Name)
	if err != nil {
		return nil, err
	}
	question, err := s.question(c, "GetParameterHistory", r.name)
	if err != nil {
		return nil, err
	}
	after, err := s.openToken(in.NextToken, question)
	if err != nil {
		return nil, err
	}
	out := &api.GetParameterHistoryResult{Parameters: []api.ParameterHistory{}}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		p, err := s.whole(tx, c.Region, r)
		if err != nil {
			return err
		}
		limit := limitOf(in.MaxResults, 50)
		q := store.Query{Prefix: []string{s.account, c.Region, p.Name}, Limit: limit + 1}
		if after != "" {
			q.After = []string{s.account, c.Region, p.Name, after}
		}
		found, err := s.versions.List(tx, q)
		if err != nil {
			return err
		}
		if len(found) > limit {
			found = found[:limit]
			if out.NextToken, err = s.sealToken(question, number(found[limit-1].Number)); err != nil {
				return err
			}
		}
		for i := range found {
			h, err := s.history(&found[i], p.Labels, wire.Value(in.WithDecryption))
			if err != nil {
				return err
			}
			out.Parameters = append(out.Parameters, h)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) history(v *Version, labels map[string]int64, decrypt bool) (api.ParameterHistory, error) {
	value, err := s.reveal(v, decrypt)
	own := []string{}
	for label, n := range labels {
		if n == v.Number {
			own = append(own, label)
		}
	}
	slices.Sort(own)
	m := described(v)
	return api.ParameterHistory{
		AllowedPattern: m.AllowedPattern, DataType: m.DataType, Description: m.Description, KeyId: m.KeyId, Labels: own,
		LastModifiedDate: m.LastModifiedDate, LastModifiedUser: m.LastModifiedUser, Name: m.Name, Policies: m.Policies,
		Tier: m.Tier, Type: m.Type, Value: &value, Version: m.Version,
	}, err
}
