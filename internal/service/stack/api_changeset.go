package stack

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"moat/internal/service/stack/template"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/cloudformationapi"
)

func (r *changeSetRecord) id() string {
	return "arn:aws:cloudformation:" + r.Region + ":" + r.Account + ":changeSet/" + r.Name + "/" + r.ID
}

// change is one resource that a change set would touch.
type change struct {
	Action, LogicalID, PhysicalID, Type, Replacement string
	Properties                                       []changedProperty
	Retagged                                         bool   // by the stack's tags, and not changed otherwise
	Before, After                                    string // JSON of the properties
}

type changedProperty struct{ Name, Recreation string }

// CreateChangeSet computes what deploying a template would change.
func (s *Service) CreateChangeSet(ctx context.Context, in *cloudformationapi.CreateChangeSetInput) (*cloudformationapi.CreateChangeSetOutput, error) {
	const op = "CreateChangeSet"
	if err := refuse(op, map[string]bool{
		noS3: in.TemplateURL != nil, "notifications are not implemented": len(in.NotificationARNs) > 0,
		"importing resources is not implemented": in.ChangeSetType == "IMPORT" || len(in.ResourcesToImport) > 0 || wire.Value(in.ImportExistingResources),
		"nested stacks are not implemented":      wire.Value(in.IncludeNestedStacks), "ResourceTypes is not implemented": len(in.ResourceTypes) > 0,
		"rollback alarms are not implemented": in.RollbackConfiguration != nil && len(in.RollbackConfiguration.RollbackTriggers) > 0,
	}); err != nil {
		return nil, err
	}
	cur, err := s.changeSetStack(ctx, in)
	if err != nil {
		return nil, s.exception(op, err)
	}
	cs := changeSetRecord{
		ID: s.uuid(), Name: in.ChangeSetName, Type: string(in.ChangeSetType), Description: wire.Value(in.Description), Created: s.cfg.Now(),
		Capabilities: texts(in.Capabilities), RoleARN: wire.Value(in.RoleARN), OnFailure: string(in.OnStackFailure), StackName: in.StackName,
	}
	var st stackRecord
	var p *plan
	if st = s.newStack(ctx, in.StackName); cur != nil {
		st = *cur
	}
	who, err := s.identity(ctx, op, in.RoleARN, &st)
	if err != nil {
		return nil, s.exception(op, err)
	}
	if cur == nil || cur.Status == "REVIEW_IN_PROGRESS" {
		cs.Type = "CREATE"
		st.Status, st.Reason = "REVIEW_IN_PROGRESS", "User Initiated"
		cs.Tags = tagMap(in.Tags)
		p, err = s.prepare(who.as(ctx), infoOf(&st), source{
			body: wire.Value(in.TemplateBody), file: "template", parameters: given(in.Parameters, nil), capabilities: acknowledged(in.Capabilities), tags: cs.Tags,
		})
	} else {
		cs.Type = "UPDATE"
		var b beginning
		b, err = s.updateOf(ctx, cur, who, wire.Value(in.TemplateBody), wire.Value(in.UsePreviousTemplate), false, in.Parameters, in.Tags, in.Capabilities)
		p, cs.Tags = b.plan, b.stack.Tags
	}
	if err != nil {
		return nil, s.exception(op, err)
	}
	cs.Account, cs.Region, cs.UUID, cs.StackName, cs.Template, cs.Processed = st.Account, st.Region, st.UUID, st.Name, p.source.body, p.processed
	if cs.Secret, err = s.seal(changeSetPurpose, stackSecret{Parameters: p.parameters}); err != nil {
		return nil, s.exception(op, err)
	}
	if err := s.describeChanges(ctx, &cs, &st, p, who); err != nil {
		return nil, s.exception(op, err)
	}
	if err := s.keepChangeSet(ctx, &cs, &st, cur); err != nil {
		return nil, s.exception(op, err)
	}
	return &cloudformationapi.CreateChangeSetOutput{Id: wire.String(cs.id()), StackId: wire.String(st.id())}, nil
}

// changeSetStack finds the stack that a change set is for; nil: it shall be new.
func (s *Service) changeSetStack(ctx context.Context, in *cloudformationapi.CreateChangeSetInput) (*stackRecord, error) {
	account, region := s.where(ctx)
	var r stackRecord
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
		r, err = s.find(tx, account, region, in.StackName)
		return err
	})
	found := err == nil && !r.gone()
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	create := in.ChangeSetType == "CREATE"
	switch {
	case err == nil && r.gone() && create && strings.HasPrefix(in.StackName, "arn:"):
		return nil, validationError("Stack [%s] already exists and cannot be created again with the changeSet [%s].", in.StackName, in.ChangeSetName)
	case create && found && r.Status != "REVIEW_IN_PROGRESS":
		return nil, validationError("Stack [%s] already exists and cannot be created again with the changeSet [%s].", in.StackName, in.ChangeSetName)
	case !create && !found:
		return nil, validationError("Stack [%s] does not exist", in.StackName)
	case !found && !stackName.MatchString(in.StackName):
		return nil, validationError("Stack [%s] does not exist", in.StackName)
	case !found:
		return nil, nil
	case inProgress(r.Status) || !settled(r.Status) && r.Status != "REVIEW_IN_PROGRESS":
		return nil, busy(&r)
	}
	return &r, nil
}

func (s *Service) describeChanges(ctx context.Context, cs *changeSetRecord, st *stackRecord, p *plan, who identity) error {
	cs.Status, cs.Execution = "CREATE_COMPLETE", "AVAILABLE"
	if cs.Type == "UPDATE" {
		same, err := s.same(ctx, st, p)
		if err != nil {
			return err
		}
		if same {
			cs.Status, cs.Execution = "FAILED", "UNAVAILABLE"
			cs.Reason = "The submitted information didn't contain changes. Submit different information to create a change set."
		}
	}
	changes, err := s.changes(ctx, st, p, who)
	if err != nil {
		return err
	}
	if cs.Changes, err = json.Marshal(changes); err != nil {
		return err
	}
	cs.Content, err = s.seal(contentPurpose, cs.changeSetContent)
	return err
}

func (s *Service) keepChangeSet(ctx context.Context, cs *changeSetRecord, st, cur *stackRecord) error {
	return s.cfg.DB.Update(ctx, func(tx *store.Tx) error {
		existing, err := s.tables.changeSets.List(tx, store.Query{Prefix: st.key()})
		if err != nil {
			return err
		}
		for _, x := range existing {
			if x.Name == cs.Name {
				return &cloudformationapi.AlreadyExistsException{Message: "ChangeSet " + cs.Name + " already exists for stack " + st.id()}
			}
		}
		if cur == nil {
			if _, err := s.find(tx, st.Account, st.Region, st.Name); err == nil {
				return &cloudformationapi.AlreadyExistsException{Message: "Stack [" + st.Name + "] already exists"}
			}
			e := Event{ID: s.uuid(), Time: s.cfg.Now(), StackID: st.id(), StackName: st.Name, LogicalID: st.Name, PhysicalID: st.id(), Type: stackType, Status: st.Status, Reason: st.Reason}
			j := s.newJournal(st.key(), nil)
			j.append(e)
			if err := j.put(tx, nil, j.events); err != nil {
				return err
			}
			if err := s.tables.stacks.Put(tx, *st); err != nil {
				return err
			}
		}
		return s.tables.changeSets.Put(tx, *cs)
	})
}

const knownLater = "{{changeSet:KNOWN_AFTER_APPLY}}"

// changes compares a plan with the resources of a stack. What is not known before
// deploying counts as changed.
func (s *Service) changes(ctx context.Context, st *stackRecord, p *plan, who identity) ([]change, error) {
	o := &operation{s: s, rec: operationRecord{Caller: who.caller, RoleARN: who.role}, stack: *st, info: infoOf(st), plan: p, imported: map[string]bool{}}
	o.stack.Tags = p.source.tags
	if err := o.load(ctx); err != nil {
		return nil, err
	}
	later := map[string]bool{} // resources whose id or attributes are not known yet
	sc := o.scope(o.context(ctx))
	ref, att, imported := sc.Ref, sc.GetAtt, sc.Import
	sc.Ref = func(id string) (string, error) {
		if later[id] {
			return knownLater, nil
		}
		return ref(id)
	}
	sc.GetAtt = func(id, attribute string) (*template.Value, error) {
		if later[id] {
			return template.NewString(knownLater), nil
		}
		return att(id, attribute)
	}
	sc.Import = func(name string) (string, error) {
		v, err := imported(name)
		if err != nil {
			return knownLater, nil //nolint:nilerr // the export may exist when the change set is executed
		}
		return v, nil
	}
	out := []change{}
	for _, id := range p.graph.Order {
		c, err := o.changeOf(sc, id, later)
		if err != nil {
			return nil, err
		}
		if c != nil {
			out = append(out, *c)
		}
	}
	for _, id := range sortedKeys(o.resources) {
		if _, live := p.live[id]; !live {
			r := o.resources[id].Current
			out = append(out, change{Action: "Remove", LogicalID: id, PhysicalID: r.PhysicalID, Type: r.Type})
		}
	}
	return out, nil
}

func (o *operation) changeOf(sc *template.Scope, id string, later map[string]bool) (*change, error) {
	r := o.plan.live[id]
	properties, err := sc.Resolve(r.Properties)
	if err != nil {
		return nil, err
	}
	if properties == nil {
		properties = template.NewMap()
	}
	after := string(template.NewMap("Properties", properties).JSON())
	cur := o.resources[id]
	if cur == nil {
		later[id] = true
		return &change{Action: "Add", LogicalID: id, Type: r.Type, After: after}, nil
	}
	var old resourceSecret
	if err := o.s.unseal(resourcePurpose, cur.Current.Secret, &old); err != nil {
		return nil, err
	}
	c := &change{
		Action: "Modify", LogicalID: id, PhysicalID: cur.Current.PhysicalID, Type: r.Type, Replacement: "False",
		Before: string(template.NewMap("Properties", old.Properties).JSON()), After: after,
	}
	names := map[string]bool{}
	for _, f := range append(properties.Entries(), old.Properties.Entries()...) {
		names[f.Key] = true
	}
	for _, n := range sortedKeys(names) {
		if template.Equal(properties.Get(n), old.Properties.Get(n)) {
			continue
		}
		p := changedProperty{Name: n, Recreation: "Never"}
		if o.s.schema.Replaces(r.Type, n) {
			p.Recreation, c.Replacement = "Always", "True"
		}
		c.Properties = append(c.Properties, p)
	}
	h := o.s.handlers[r.Type]
	req := o.request(id, r.Type, properties)
	req.Previous, req.PreviousTags = old.Properties, old.Tags
	if len(c.Properties) == 0 && cur.Current.Type == r.Type {
		if c.Retagged = h.Update != nil && o.retagged(req); !c.Retagged {
			return nil, nil
		}
	}
	if cur.Current.Type != r.Type || h.Update == nil || o.s.replaces(h, req) {
		c.Replacement = "True"
	}
	later[id] = c.Replacement == "True"
	return c, nil
}

// changeSet finds a change set by its id, or by name and stack.
func (s *Service) changeSet(ctx context.Context, nameOrID, stackName string) (changeSetRecord, error) {
	account, region := s.where(ctx)
	var found changeSetRecord
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		if strings.HasPrefix(nameOrID, "arn:") {
			id := lastPart(nameOrID, "/")
			list, err := s.tables.changeSets.List(tx, store.Query{Index: "id", Values: []string{account, region, id}, Limit: 1})
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return &cloudformationapi.ChangeSetNotFoundException{Message: "ChangeSet [" + nameOrID + "] does not exist"}
			}
			found = list[0]
			if stackName != "" && stackName != found.StackName && stackName != found.stackID() {
				return &cloudformationapi.ChangeSetNotFoundException{Message: "ChangeSet [" + nameOrID + "] does not exist"}
			}
			return nil
		}
		if stackName == "" {
			return validationError("StackName must be specified if ChangeSetName is not specified as an ARN.")
		}
		st, err := s.find(tx, account, region, stackName)
		if errors.Is(err, store.ErrNotFound) {
			return validationError("Stack [%s] does not exist", stackName)
		}
		if err != nil {
			return err
		}
		list, err := s.tables.changeSets.List(tx, store.Query{Prefix: st.key()})
		for _, x := range list {
			if x.Name == nameOrID {
				found = x
				return nil
			}
		}
		if err == nil {
			err = &cloudformationapi.ChangeSetNotFoundException{Message: "ChangeSet [" + nameOrID + "] does not exist"}
		}
		return err
	})
	if err == nil {
		err = s.unseal(contentPurpose, found.Content, &found.changeSetContent)
	}
	return found, err
}

func (r *changeSetRecord) stackID() string {
	st := stackRecord{Account: r.Account, Region: r.Region, Name: r.StackName, UUID: r.UUID}
	return st.id()
}

// DescribeChangeSet returns a change set and its changes.
func (s *Service) DescribeChangeSet(ctx context.Context, in *cloudformationapi.DescribeChangeSetInput) (*cloudformationapi.DescribeChangeSetOutput, error) {
	const op = "DescribeChangeSet"
	cs, err := s.changeSet(ctx, in.ChangeSetName, wire.Value(in.StackName))
	if err != nil {
		return nil, s.exception(op, err)
	}
	var changes []change
	var secret stackSecret
	if err := errors.Join(json.Unmarshal(cs.Changes, &changes), s.unseal(changeSetPurpose, cs.Secret, &secret)); err != nil {
		return nil, s.exception(op, err)
	}
	out := &cloudformationapi.DescribeChangeSetOutput{
		ChangeSetName: &cs.Name, ChangeSetId: wire.String(cs.id()), StackId: wire.String(cs.stackID()), StackName: &cs.StackName,
		CreationTime: &cs.Created, ExecutionStatus: cloudformationapi.ExecutionStatus(cs.Execution), Status: cloudformationapi.ChangeSetStatus(cs.Status),
		StatusReason: optional(cs.Reason), Description: optional(cs.Description), Capabilities: capabilityList(cs.Capabilities), Tags: tagList(cs.Tags),
		Parameters: parameterList(secret.Parameters), NotificationARNs: []string{}, RollbackConfiguration: &cloudformationapi.RollbackConfiguration{},
		IncludeNestedStacks: wire.Bool(false), Changes: []cloudformationapi.Change{}, OnStackFailure: cloudformationapi.OnStackFailure(cs.OnFailure),
	}
	for _, c := range changes {
		out.Changes = append(out.Changes, c.wire(wire.Value(in.IncludePropertyValues)))
	}
	return out, nil
}

func (c change) wire(values bool) cloudformationapi.Change {
	rc := &cloudformationapi.ResourceChange{
		Action: cloudformationapi.ChangeAction(c.Action), LogicalResourceId: wire.String(c.LogicalID), ResourceType: wire.String(c.Type),
		PhysicalResourceId: optional(c.PhysicalID), Replacement: cloudformationapi.Replacement(c.Replacement),
		Scope: []cloudformationapi.ResourceAttribute{}, Details: []cloudformationapi.ResourceChangeDetail{},
	}
	switch {
	case c.Retagged:
		rc.Scope = append(rc.Scope, "Tags")
		rc.Details = append(rc.Details, cloudformationapi.ResourceChangeDetail{
			Target: &cloudformationapi.ResourceTargetDefinition{Attribute: "Tags", RequiresRecreation: "Never"}, Evaluation: "Static", ChangeSource: "DirectModification",
		})
	case c.Action == "Modify":
		rc.Scope = append(rc.Scope, "Properties")
	}
	if values {
		rc.BeforeContext, rc.AfterContext = optional(c.Before), optional(c.After)
	}
	for _, p := range c.Properties {
		rc.Details = append(rc.Details, cloudformationapi.ResourceChangeDetail{
			Target:     &cloudformationapi.ResourceTargetDefinition{Attribute: "Properties", Name: wire.String(p.Name), RequiresRecreation: cloudformationapi.RequiresRecreation(p.Recreation)},
			Evaluation: "Static", ChangeSource: "DirectModification",
		})
	}
	return cloudformationapi.Change{Type: "Resource", ResourceChange: rc}
}

// ListChangeSets lists the change sets of a stack.
func (s *Service) ListChangeSets(ctx context.Context, in *cloudformationapi.ListChangeSetsInput) (*cloudformationapi.ListChangeSetsOutput, error) {
	const op = "ListChangeSets"
	st, err := s.mustExist(ctx, in.StackName, "Stack [%s] does not exist")
	if err != nil {
		return nil, s.exception(op, err)
	}
	out := &cloudformationapi.ListChangeSetsOutput{Summaries: []cloudformationapi.ChangeSetSummary{}}
	err = s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		list, err := s.tables.changeSets.List(tx, store.Query{Prefix: st.key()})
		for i := range list {
			cs := &list[i]
			out.Summaries = append(out.Summaries, cloudformationapi.ChangeSetSummary{
				ChangeSetId: wire.String(cs.id()), ChangeSetName: &cs.Name, CreationTime: &cs.Created, Description: optional(cs.Description),
				ExecutionStatus: cloudformationapi.ExecutionStatus(cs.Execution), Status: cloudformationapi.ChangeSetStatus(cs.Status), StatusReason: optional(cs.Reason),
				StackId: wire.String(cs.stackID()), StackName: &cs.StackName, IncludeNestedStacks: wire.Bool(false),
			})
		}
		return err
	})
	return out, s.exception(op, err)
}

// DeleteChangeSet forgets a change set. The stack that it would have created goes too.
func (s *Service) DeleteChangeSet(ctx context.Context, in *cloudformationapi.DeleteChangeSetInput) (*cloudformationapi.DeleteChangeSetOutput, error) {
	const op = "DeleteChangeSet"
	cs, err := s.changeSet(ctx, in.ChangeSetName, wire.Value(in.StackName))
	var none *cloudformationapi.ChangeSetNotFoundException
	if errors.As(err, &none) {
		return &cloudformationapi.DeleteChangeSetOutput{}, nil
	}
	if err != nil {
		return nil, s.exception(op, err)
	}
	err = s.cfg.DB.Update(ctx, func(tx *store.Tx) error {
		return s.tables.changeSets.Delete(tx, cs.Account, cs.Region, cs.UUID, cs.ID)
	})
	return &cloudformationapi.DeleteChangeSetOutput{}, s.exception(op, err)
}

// obsolete marks the other change sets of a stack: what they were computed from is no
// longer so.
func (s *Service) obsolete(tx *store.Tx, st *stackRecord, executed string) error {
	list, err := s.tables.changeSets.List(tx, store.Query{Prefix: st.key()})
	if err != nil {
		return err
	}
	for _, cs := range list {
		if cs.Execution != "AVAILABLE" {
			continue
		}
		cs.Execution = "OBSOLETE"
		if cs.ID == executed {
			cs.Execution = "EXECUTE_COMPLETE"
		}
		if err := s.tables.changeSets.Put(tx, cs); err != nil {
			return err
		}
	}
	return nil
}

// ExecuteChangeSet begins what a change set says.
func (s *Service) ExecuteChangeSet(ctx context.Context, in *cloudformationapi.ExecuteChangeSetInput) (*cloudformationapi.ExecuteChangeSetOutput, error) {
	const op = "ExecuteChangeSet"
	cs, err := s.changeSet(ctx, in.ChangeSetName, wire.Value(in.StackName))
	if err != nil {
		return nil, s.exception(op, err)
	}
	if cs.Execution != "AVAILABLE" {
		return nil, &cloudformationapi.InvalidChangeSetStatusException{Message: "ChangeSet [" + cs.id() + "] cannot be executed in its current status of [" + cs.Status + "] with execution status of [" + cs.Execution + "]"}
	}
	cur, err := s.mustExist(ctx, cs.stackID(), "Stack [%s] does not exist")
	if err != nil {
		return nil, s.exception(op, err)
	}
	var secret stackSecret
	if err := s.unseal(changeSetPurpose, cs.Secret, &secret); err != nil {
		return nil, s.exception(op, err)
	}
	values := map[string]string{}
	for _, p := range secret.Parameters {
		values[p.Key] = p.Given
	}
	b := beginning{kind: "create", status: "CREATE_IN_PROGRESS", stack: *cur, token: wire.Value(in.ClientRequestToken), keepOnFailure: wire.Value(in.DisableRollback) || cs.OnFailure == "DO_NOTHING", deleteOnFailure: cs.OnFailure == "DELETE"}
	if cs.Type == "UPDATE" {
		b.kind, b.status, b.before = "update", "UPDATE_IN_PROGRESS", cur
		if !settled(cur.Status) {
			return nil, busy(cur)
		}
	}
	b.stack.Updated = s.cfg.Now()
	b.stack.Tags, b.stack.Capabilities, b.stack.ChangeSetID = cs.Tags, cs.Capabilities, cs.id()
	if cs.RoleARN != "" { // passed when the change set was made
		b.stack.RoleARN = cs.RoleARN
	}
	if b.who, err = s.identity(ctx, op, nil, &b.stack); err != nil {
		return nil, s.exception(op, err)
	}
	if b.plan, err = s.prepare(b.who.as(ctx), infoOf(&b.stack), source{body: cs.Template, file: "template", parameters: values, capabilities: cs.Capabilities, tags: cs.Tags}); err != nil {
		return nil, s.exception(op, err)
	}
	b.also = func(tx *store.Tx) error { return s.obsolete(tx, cur, cs.ID) }
	o, err := s.begin(ctx, b)
	if err != nil {
		return nil, s.exception(op, err)
	}
	s.enqueue(ctx, o)
	return &cloudformationapi.ExecuteChangeSetOutput{}, nil
}
