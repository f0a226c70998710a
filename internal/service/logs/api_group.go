package logs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

var groupName = lazyregexp.New(`^[.\-_/#A-Za-z0-9]{1,512}$`)

// CreateLogGroup creates an empty group.
func (s *Service) CreateLogGroup(ctx context.Context, in *api.CreateLogGroupRequest) (*api.CreateLogGroupOutput, error) {
	switch {
	case in.KmsKeyId != nil:
		return nil, wire.NotImplementedBecause("logs", "CreateLogGroup", "a kmsKeyId is not supported")
	case wire.Value(in.DeletionProtectionEnabled):
		return nil, wire.NotImplementedBecause("logs", "CreateLogGroup", "deletion protection is not supported")
	case in.LogGroupClass == api.LogGroupClassDELIVERY:
		return nil, wire.NotImplementedBecause("logs", "CreateLogGroup", "the class DELIVERY is not supported")
	case len(in.LogGroupName) > 512:
		return nil, invalid("Invalid LogGroup or LogStream, both must have length less than or equal to 512.")
	case !groupName.MatchString(in.LogGroupName):
		return nil, invalid(`1 validation error detected: Value '%s' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+`, in.LogGroupName)
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	g := Group{
		Account: s.account, Region: wire.CallFrom(ctx).Region, Name: in.LogGroupName, Class: string(in.LogGroupClass),
		Created: s.now().UnixMilli(), Tags: in.Tags,
	}
	if g.Class == "" {
		g.Class = string(api.LogGroupClassSTANDARD)
	}
	err := s.db.Update(ctx, func(tx *store.Tx) error { return s.groups.Insert(tx, g) })
	if errors.Is(err, store.ErrExists) {
		return nil, &api.ResourceAlreadyExistsException{Message: "The specified log group already exists"}
	}
	if err != nil {
		return nil, err
	}
	return &api.CreateLogGroupOutput{}, nil
}

// DeleteLogGroup deletes a group with its streams and events.
func (s *Service) DeleteLogGroup(ctx context.Context, in *api.DeleteLogGroupRequest) (*api.DeleteLogGroupOutput, error) {
	key := []string{s.account, wire.CallFrom(ctx).Region, in.LogGroupName}
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		if err := s.groups.Delete(tx, key...); err != nil {
			return err
		}
		if _, err := s.streams.DeleteAll(tx, key...); err != nil {
			return err
		}
		return s.deleteEvents(tx, key...)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("group")
	}
	if err != nil {
		return nil, err
	}
	return &api.DeleteLogGroupOutput{}, nil
}

// listGroups pages through the groups that keep accepts, in the order of names.
func (s *Service) listGroups(ctx context.Context, begins string, token *string, limit int, question string, keep func(*Group) bool) (found []Group, next *string, err error) {
	after, err := s.openToken(token, question)
	if err != nil {
		return nil, nil, err
	}
	const chunk = 200
	err = s.db.View(ctx, func(tx *store.Tx) error {
		for {
			q := store.Query{Prefix: []string{s.account, wire.CallFrom(ctx).Region}, Begins: begins, After: after, Limit: chunk}
			groups, err := s.groups.List(tx, q)
			if err != nil {
				return err
			}
			for i := range groups {
				g := &groups[i]
				if !keep(g) {
					continue
				}
				if len(found) == limit {
					last := found[limit-1]
					next, err = s.sealToken(question, []string{last.Account, last.Region, last.Name})
					return err
				}
				found = append(found, *g)
			}
			if len(groups) < chunk {
				return nil
			}
			last := groups[chunk-1]
			after = []string{last.Account, last.Region, last.Name}
		}
	})
	return found, next, err
}

// DescribeLogGroups lists groups by a prefix, a part of the name, or by name.
func (s *Service) DescribeLogGroups(ctx context.Context, in *api.DescribeLogGroupsRequest) (*api.DescribeLogGroupsResponse, error) {
	c := wire.CallFrom(ctx)
	if in.LogGroupNamePattern != nil && in.LogGroupNamePrefix != nil {
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	var names []string
	for _, id := range in.LogGroupIdentifiers {
		name, err := s.named(c, id)
		if err != nil {
			continue // what is elsewhere is not found here
		}
		names = append(names, name)
	}
	question, err := s.question(c, "DescribeLogGroups", in.LogGroupNamePattern, in.LogGroupNamePrefix, in.LogGroupIdentifiers, in.LogGroupClass)
	if err != nil {
		return nil, err
	}
	found, next, err := s.listGroups(ctx, wire.Value(in.LogGroupNamePrefix), in.NextToken, limitOf(in.Limit, 50), question, func(g *Group) bool {
		return (in.LogGroupClass == "" || string(in.LogGroupClass) == g.Class) &&
			strings.Contains(g.Name, wire.Value(in.LogGroupNamePattern)) &&
			(in.LogGroupIdentifiers == nil || slices.Contains(names, g.Name))
	})
	if err != nil {
		return nil, err
	}
	out := &api.DescribeLogGroupsResponse{LogGroups: make([]api.LogGroup, len(found)), NextToken: next}
	for i := range found {
		out.LogGroups[i] = describeGroup(&found[i])
	}
	return out, nil
}

func describeGroup(g *Group) api.LogGroup {
	d := api.LogGroup{
		Arn: wire.String(g.arn() + ":*"), LogGroupArn: wire.String(g.arn()), LogGroupName: &g.Name, LogGroupClass: api.LogGroupClass(g.Class),
		CreationTime: &g.Created, MetricFilterCount: wire.Int32(0), StoredBytes: &g.StoredBytes, DeletionProtectionEnabled: wire.Bool(false),
	}
	if g.Retention != 0 {
		d.RetentionInDays = &g.Retention
	}
	return d
}

// ListLogGroups lists groups by a pattern: up to five parts of names, with ^ for
// a beginning, separated by |.
func (s *Service) ListLogGroups(ctx context.Context, in *api.ListLogGroupsRequest) (*api.ListLogGroupsResponse, error) {
	if len(in.DataSources) > 0 || len(in.FieldIndexNames) > 0 {
		return nil, wire.NotImplementedBecause("logs", "ListLogGroups", "filters on data sources and field indexes are not supported")
	}
	question, err := s.question(wire.CallFrom(ctx), "ListLogGroups", in.LogGroupNamePattern, in.LogGroupClass, in.LogGroupTags)
	if err != nil {
		return nil, err
	}
	found, next, err := s.listGroups(ctx, "", in.NextToken, limitOf(in.Limit, 50), question, func(g *Group) bool {
		return (in.LogGroupClass == "" || string(in.LogGroupClass) == g.Class) &&
			(in.LogGroupNamePattern == nil || matchesName(g.Name, *in.LogGroupNamePattern)) && matchesTags(g.Tags, in.LogGroupTags)
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListLogGroupsResponse{LogGroups: make([]api.LogGroupSummary, len(found)), NextToken: next}
	for i := range found {
		g := &found[i]
		out.LogGroups[i] = api.LogGroupSummary{LogGroupArn: wire.String(g.arn()), LogGroupClass: api.LogGroupClass(g.Class), LogGroupName: &g.Name}
	}
	return out, nil
}

func matchesName(name, pattern string) bool {
	return slices.ContainsFunc(strings.Split(pattern, "|"), func(part string) bool {
		if begin, ok := strings.CutPrefix(part, "^"); ok {
			return strings.HasPrefix(name, begin)
		}
		return strings.Contains(name, part)
	})
}

func matchesTags(tags map[string]string, filters []api.TagFilter) bool {
	return !slices.ContainsFunc(filters, func(f api.TagFilter) bool {
		v, ok := tags[f.Key]
		return !ok || len(f.Values) > 0 && !slices.Contains(f.Values, v)
	})
}

// retentions are the periods that AWS offers, in days.
func retentions() []int32 {
	return []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
}

// PutRetentionPolicy sets how long events are kept; older ones vanish at once.
func (s *Service) PutRetentionPolicy(ctx context.Context, in *api.PutRetentionPolicyRequest) (*api.PutRetentionPolicyOutput, error) {
	if !slices.Contains(retentions(), in.RetentionInDays) {
		return nil, invalid("1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: %s",
			in.RetentionInDays, strings.Join(strings.Fields(fmt.Sprint(retentions())), ", "))
	}
	err := s.changeGroup(ctx, in.LogGroupName, func(g *Group) error { g.Retention = in.RetentionInDays; return nil })
	if err != nil {
		return nil, err
	}
	return &api.PutRetentionPolicyOutput{}, nil
}

// DeleteRetentionPolicy has a group keep its events for ever.
func (s *Service) DeleteRetentionPolicy(ctx context.Context, in *api.DeleteRetentionPolicyRequest) (*api.DeleteRetentionPolicyOutput, error) {
	err := s.changeGroup(ctx, in.LogGroupName, func(g *Group) error { g.Retention = 0; return nil })
	if err != nil {
		return nil, err
	}
	return &api.DeleteRetentionPolicyOutput{}, nil
}

func (s *Service) changeGroup(ctx context.Context, name string, change func(*Group) error) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		g, err := s.group(tx, wire.CallFrom(ctx), name)
		if err != nil {
			return err
		}
		if err := change(&g); err != nil {
			return err
		}
		return s.groups.Put(tx, g)
	})
}
