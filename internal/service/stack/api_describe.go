package stack

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/cloudformationapi"
)

// pageSize is how many entries a list has before it is continued.
const pageSize = 100

func capabilityList(list []string) []cloudformationapi.Capability {
	out := make([]cloudformationapi.Capability, len(list))
	for i, c := range list {
		out[i] = cloudformationapi.Capability(c)
	}
	return out
}

func tagList(tags map[string]string) []cloudformationapi.Tag {
	out := []cloudformationapi.Tag{}
	for _, k := range sortedKeys(tags) {
		out = append(out, cloudformationapi.Tag{Key: k, Value: tags[k]})
	}
	return out
}

func parameterList(list []storedParameter) []cloudformationapi.Parameter {
	var out []cloudformationapi.Parameter
	for _, p := range list {
		w := cloudformationapi.Parameter{ParameterKey: wire.String(p.Key), ParameterValue: wire.String(p.Given)}
		if p.NoEcho {
			w.ParameterValue = wire.String("****")
		}
		if p.Stored {
			w.ResolvedValue = wire.String(p.Resolved)
		}
		out = append(out, w)
	}
	return out
}

// DescribeStacks returns one stack, or all that exist.
func (s *Service) DescribeStacks(ctx context.Context, in *cloudformationapi.DescribeStacksInput) (*cloudformationapi.DescribeStacksOutput, error) {
	const op = "DescribeStacks"
	account, region := s.where(ctx)
	var list []stackRecord
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		if name := wire.Value(in.StackName); name != "" {
			r, err := s.find(tx, account, region, name)
			if errors.Is(err, store.ErrNotFound) {
				return notExist(name)
			}
			list = []stackRecord{r}
			return err
		}
		var err error
		list, err = s.tables.stacks.List(tx, store.Query{Index: "live", Values: []string{account, region}})
		return err
	})
	if err != nil {
		return nil, s.exception(op, err)
	}
	out := &cloudformationapi.DescribeStacksOutput{Stacks: []cloudformationapi.Stack{}}
	for i := range list {
		st, err := s.describe(&list[i])
		if err != nil {
			return nil, s.exception(op, err)
		}
		out.Stacks = append(out.Stacks, st)
	}
	return out, nil
}

func (s *Service) describe(r *stackRecord) (cloudformationapi.Stack, error) {
	secret, err := s.stackSecret(r)
	st := cloudformationapi.Stack{
		StackId: wire.String(r.id()), StackName: r.Name, StackStatus: cloudformationapi.StackStatus(r.Status), StackStatusReason: optional(r.Reason),
		Description: optional(r.Description), CreationTime: r.Created, RoleARN: optional(r.RoleARN), ChangeSetId: optional(r.ChangeSetID),
		Capabilities: capabilityList(r.Capabilities), Tags: tagList(r.Tags), Parameters: parameterList(secret.Parameters),
		DisableRollback: wire.Bool(r.DisableRollback), EnableTerminationProtection: wire.Bool(r.Protected), NotificationARNs: []string{},
		RollbackConfiguration: &cloudformationapi.RollbackConfiguration{}, DriftInformation: &cloudformationapi.StackDriftInformation{StackDriftStatus: "NOT_CHECKED"},
	}
	if !r.Updated.IsZero() {
		st.LastUpdatedTime = &r.Updated
	}
	if !r.Deleted.IsZero() {
		st.DeletionTime, st.EnableTerminationProtection = &r.Deleted, nil
	}
	for _, o := range secret.Outputs {
		st.Outputs = append(st.Outputs, cloudformationapi.Output{
			OutputKey: wire.String(o.Key), OutputValue: wire.String(o.Value), Description: optional(o.Description), ExportName: optional(o.Export),
		})
	}
	return st, err
}

// ListStacks lists stacks, deleted ones too.
func (s *Service) ListStacks(ctx context.Context, in *cloudformationapi.ListStacksInput) (*cloudformationapi.ListStacksOutput, error) {
	account, region := s.where(ctx)
	wanted := map[string]bool{}
	for _, f := range in.StackStatusFilter {
		wanted[string(f)] = true
	}
	out := &cloudformationapi.ListStacksOutput{StackSummaries: []cloudformationapi.StackSummary{}}
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		list, err := s.tables.stacks.List(tx, store.Query{Prefix: []string{account, region}})
		for i := range list {
			r := &list[i]
			if len(wanted) > 0 && !wanted[r.Status] {
				continue
			}
			x := cloudformationapi.StackSummary{
				StackId: wire.String(r.id()), StackName: r.Name, StackStatus: cloudformationapi.StackStatus(r.Status), StackStatusReason: optional(r.Reason),
				CreationTime: r.Created, TemplateDescription: optional(r.Description), DriftInformation: &cloudformationapi.StackDriftInformationSummary{StackDriftStatus: "NOT_CHECKED"},
			}
			if !r.Updated.IsZero() {
				x.LastUpdatedTime = &r.Updated
			}
			if !r.Deleted.IsZero() {
				x.DeletionTime = &r.Deleted
			}
			out.StackSummaries = append(out.StackSummaries, x)
		}
		return err
	})
	return out, s.exception("ListStacks", err)
}

// DescribeStackEvents returns the history of a stack, latest first.
func (s *Service) DescribeStackEvents(ctx context.Context, in *cloudformationapi.DescribeStackEventsInput) (*cloudformationapi.DescribeStackEventsOutput, error) {
	const op = "DescribeStackEvents"
	st, err := s.mustExist(ctx, in.StackName, "Stack [%s] does not exist")
	if err != nil {
		return nil, s.exception(op, err)
	}
	q := store.Query{Prefix: st.key(), Reverse: true, Limit: pageSize + 1}
	if in.NextToken != nil {
		seq, err := base64.RawURLEncoding.DecodeString(*in.NextToken)
		if err != nil {
			return nil, validationError("The specified NextToken is not valid.")
		}
		q.After = append(st.key(), string(seq))
	}
	out := &cloudformationapi.DescribeStackEventsOutput{StackEvents: []cloudformationapi.StackEvent{}}
	err = s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		list, err := s.tables.events.List(tx, q)
		for i, e := range list {
			if i == pageSize {
				token := base64.RawURLEncoding.EncodeToString([]byte(list[i-1].Seq))
				out.NextToken = &token
				break
			}
			out.StackEvents = append(out.StackEvents, cloudformationapi.StackEvent{
				EventId: e.Event.ID, StackId: e.Event.StackID, StackName: e.Event.StackName, Timestamp: e.Event.Time,
				LogicalResourceId: optional(e.Event.LogicalID), PhysicalResourceId: wire.String(e.Event.PhysicalID), ResourceType: optional(e.Event.Type),
				ResourceStatus: cloudformationapi.ResourceStatus(e.Event.Status), ResourceStatusReason: optional(e.Event.Reason), ClientRequestToken: optional(e.Event.Token),
			})
		}
		return err
	})
	return out, s.exception(op, err)
}

// resourcesFor reads the resources of a stack.
func (s *Service) resourcesFor(ctx context.Context, st *stackRecord) ([]resourceRecord, error) {
	var list []resourceRecord
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
		list, err = s.tables.resources.List(tx, store.Query{Prefix: st.key()})
		return err
	})
	return list, err
}

// ListStackResources lists the resources of a stack.
func (s *Service) ListStackResources(ctx context.Context, in *cloudformationapi.ListStackResourcesInput) (*cloudformationapi.ListStackResourcesOutput, error) {
	const op = "ListStackResources"
	st, err := s.mustExist(ctx, in.StackName, "Stack with id %s does not exist")
	if err != nil {
		return nil, s.exception(op, err)
	}
	list, err := s.resourcesFor(ctx, st)
	out := &cloudformationapi.ListStackResourcesOutput{StackResourceSummaries: []cloudformationapi.StackResourceSummary{}}
	for _, r := range list {
		out.StackResourceSummaries = append(out.StackResourceSummaries, cloudformationapi.StackResourceSummary{
			LogicalResourceId: r.LogicalID, PhysicalResourceId: optional(r.Current.PhysicalID), ResourceType: r.Current.Type,
			ResourceStatus: cloudformationapi.ResourceStatus(r.Status), ResourceStatusReason: optional(r.Reason), LastUpdatedTimestamp: r.Time,
			DriftInformation: &cloudformationapi.StackResourceDriftInformationSummary{StackResourceDriftStatus: "NOT_CHECKED"},
		})
	}
	return out, s.exception(op, err)
}

// DescribeStackResource returns one resource of a stack.
func (s *Service) DescribeStackResource(ctx context.Context, in *cloudformationapi.DescribeStackResourceInput) (*cloudformationapi.DescribeStackResourceOutput, error) {
	const op = "DescribeStackResource"
	st, err := s.mustExist(ctx, in.StackName, "Stack '%s' does not exist")
	if err != nil {
		return nil, s.exception(op, err)
	}
	list, err := s.resourcesFor(ctx, st)
	if err != nil {
		return nil, s.exception(op, err)
	}
	for _, r := range list {
		if r.LogicalID == in.LogicalResourceId {
			return &cloudformationapi.DescribeStackResourceOutput{StackResourceDetail: &cloudformationapi.StackResourceDetail{
				StackId: wire.String(st.id()), StackName: wire.String(st.Name), LogicalResourceId: r.LogicalID, PhysicalResourceId: optional(r.Current.PhysicalID),
				ResourceType: r.Current.Type, ResourceStatus: cloudformationapi.ResourceStatus(r.Status), ResourceStatusReason: optional(r.Reason),
				LastUpdatedTimestamp: r.Time, Metadata: wire.String(metadata(r.Current.Metadata)),
				DriftInformation: &cloudformationapi.StackResourceDriftInformation{StackResourceDriftStatus: "NOT_CHECKED"},
			}}, nil
		}
	}
	return nil, validationError("Resource %s does not exist for stack %s", in.LogicalResourceId, in.StackName)
}

func metadata(s string) string {
	if s == "" {
		return "{}"
	}
	return s
}

// DescribeStackResources returns the resources of a stack, or of the stack that has a
// physical resource.
func (s *Service) DescribeStackResources(ctx context.Context, in *cloudformationapi.DescribeStackResourcesInput) (*cloudformationapi.DescribeStackResourcesOutput, error) {
	const op = "DescribeStackResources"
	name := wire.Value(in.StackName)
	account, region := s.where(ctx)
	if name == "" && in.PhysicalResourceId == nil {
		return nil, validationError("Either stack name or physical resource id must be specified")
	}
	if name == "" {
		err := s.cfg.DB.View(ctx, func(tx *store.Tx) error {
			list, err := s.tables.resources.List(tx, store.Query{Index: "physical", Values: []string{account, region, *in.PhysicalResourceId}, Limit: 1})
			if err != nil || len(list) == 0 {
				return err
			}
			st, err := s.tables.stacks.Get(tx, account, region, list[0].UUID)
			name = st.id()
			return err
		})
		if err != nil {
			return nil, s.exception(op, err)
		}
		if name == "" {
			return nil, validationError("Stack for %s does not exist", *in.PhysicalResourceId)
		}
	}
	st, err := s.mustExist(ctx, name, "Stack with id %s does not exist")
	if err != nil {
		return nil, s.exception(op, err)
	}
	list, err := s.resourcesFor(ctx, st)
	out := &cloudformationapi.DescribeStackResourcesOutput{StackResources: []cloudformationapi.StackResource{}}
	for _, r := range list {
		if in.LogicalResourceId != nil && *in.LogicalResourceId != r.LogicalID {
			continue
		}
		out.StackResources = append(out.StackResources, cloudformationapi.StackResource{
			StackId: wire.String(st.id()), StackName: wire.String(st.Name), LogicalResourceId: r.LogicalID, PhysicalResourceId: optional(r.Current.PhysicalID),
			ResourceType: r.Current.Type, ResourceStatus: cloudformationapi.ResourceStatus(r.Status), ResourceStatusReason: optional(r.Reason), Timestamp: r.Time,
			DriftInformation: &cloudformationapi.StackResourceDriftInformation{StackResourceDriftStatus: "NOT_CHECKED"},
		})
	}
	return out, s.exception(op, err)
}

// ListExports lists the exported outputs of the account and region.
func (s *Service) ListExports(ctx context.Context, _ *cloudformationapi.ListExportsInput) (*cloudformationapi.ListExportsOutput, error) {
	account, region := s.where(ctx)
	out := &cloudformationapi.ListExportsOutput{Exports: []cloudformationapi.Export{}}
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		list, err := s.tables.exports.List(tx, store.Query{Prefix: []string{account, region}})
		for _, e := range list {
			out.Exports = append(out.Exports, cloudformationapi.Export{Name: wire.String(e.Name), Value: wire.String(e.Value), ExportingStackId: wire.String(e.StackID)})
		}
		return err
	})
	return out, s.exception("ListExports", err)
}

// ListImports lists the stacks that use an export.
func (s *Service) ListImports(ctx context.Context, in *cloudformationapi.ListImportsInput) (*cloudformationapi.ListImportsOutput, error) {
	account, region := s.where(ctx)
	out := &cloudformationapi.ListImportsOutput{}
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		list, err := s.tables.imports.List(tx, store.Query{Prefix: []string{account, region, in.ExportName}})
		for _, i := range list {
			out.Imports = append(out.Imports, i.StackName)
		}
		return err
	})
	if err == nil && len(out.Imports) == 0 {
		err = validationError("Export '%s' is not imported by any stack.", strings.TrimSpace(in.ExportName))
	}
	return out, s.exception("ListImports", err)
}
