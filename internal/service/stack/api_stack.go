package stack

import (
	"context"
	"errors"
	"strings"

	"moat/internal/service/stack/template"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/cloudformationapi"
)

const noS3 = "TemplateURL: there is no S3 here; give TemplateBody"

// CreateStack begins the creation of a stack.
func (s *Service) CreateStack(ctx context.Context, in *cloudformationapi.CreateStackInput) (*cloudformationapi.CreateStackOutput, error) {
	const op = "CreateStack"
	if err := refuse(op, map[string]bool{
		noS3: in.TemplateURL != nil, "stack policies are not implemented": in.StackPolicyBody != nil || in.StackPolicyURL != nil,
		"NotificationARNs: notifications are not implemented": len(in.NotificationARNs) > 0,
		"RollbackConfiguration: alarms are not implemented":   in.RollbackConfiguration != nil && len(in.RollbackConfiguration.RollbackTriggers) > 0,
		"ResourceTypes is not implemented":                    len(in.ResourceTypes) > 0,
	}); err != nil {
		return nil, err
	}
	if in.TemplateBody == nil {
		return nil, validationError("Either Template URL or Template Body must be specified.")
	}
	cur, err := s.current(ctx, in.StackName)
	if err != nil {
		return nil, s.exception(op, err)
	}
	st := s.newStack(ctx, in.StackName)
	if cur != nil {
		if cur.Status != "REVIEW_IN_PROGRESS" {
			return nil, &cloudformationapi.AlreadyExistsException{Message: "Stack [" + in.StackName + "] already exists"}
		}
		st = *cur
	}
	who, err := s.identity(ctx, op, in.RoleARN, &st)
	if err != nil {
		return nil, s.exception(op, err)
	}
	st.Tags, st.Capabilities, st.RoleARN = tagMap(in.Tags), texts(in.Capabilities), who.role
	st.Protected, st.DisableRollback = wire.Value(in.EnableTerminationProtection), wire.Value(in.DisableRollback)
	p, err := s.prepare(who.as(ctx), infoOf(&st), source{
		body: *in.TemplateBody, file: "template", parameters: given(in.Parameters, nil), capabilities: acknowledged(in.Capabilities), tags: st.Tags, direct: true,
	})
	if err != nil {
		return nil, s.exception(op, err)
	}
	o, err := s.begin(ctx, beginning{
		kind: "create", plan: p, stack: st, who: who, token: wire.Value(in.ClientRequestToken), status: "CREATE_IN_PROGRESS",
		keepOnFailure:   st.DisableRollback || in.OnFailure == "DO_NOTHING",
		deleteOnFailure: in.OnFailure == "DELETE",
		also:            func(tx *store.Tx) error { return s.obsolete(tx, &st, "") },
	})
	if err != nil {
		return nil, s.exception(op, err)
	}
	s.enqueue(ctx, o)
	return &cloudformationapi.CreateStackOutput{StackId: wire.String(o.info.ID)}, nil
}

// refuse answers 501 for the first thing that is asked for and not built.
func refuse(operation string, asked map[string]bool) error {
	for _, why := range sortedKeys(asked) {
		if asked[why] {
			return wire.NotImplementedBecause("cloudformation", operation, why)
		}
	}
	return nil
}

func tagMap(tags []cloudformationapi.Tag) map[string]string {
	if len(tags) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, t := range tags {
		out[t.Key] = t.Value
	}
	return out
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = string(x)
	}
	return out
}

// acknowledged is never nil: through the API a capability counts only when given.
func acknowledged(c []cloudformationapi.Capability) []string { return texts(c) }

// given reads parameters; UsePreviousValue takes what the stack has.
func given(in []cloudformationapi.Parameter, previous []storedParameter) map[string]string {
	out := map[string]string{}
	for _, p := range in {
		key := wire.Value(p.ParameterKey)
		if !wire.Value(p.UsePreviousValue) {
			out[key] = wire.Value(p.ParameterValue)
			continue
		}
		for _, old := range previous {
			if old.Key == key {
				out[key] = old.Given
			}
		}
	}
	return out
}

// UpdateStack begins an update.
func (s *Service) UpdateStack(ctx context.Context, in *cloudformationapi.UpdateStackInput) (*cloudformationapi.UpdateStackOutput, error) {
	const op = "UpdateStack"
	if err := refuse(op, map[string]bool{
		noS3:                                  in.TemplateURL != nil,
		"stack policies are not implemented":  in.StackPolicyBody != nil || in.StackPolicyURL != nil || in.StackPolicyDuringUpdateBody != nil || in.StackPolicyDuringUpdateURL != nil,
		"notifications are not implemented":   len(in.NotificationARNs) > 0,
		"ResourceTypes is not implemented":    len(in.ResourceTypes) > 0,
		"rollback alarms are not implemented": in.RollbackConfiguration != nil && len(in.RollbackConfiguration.RollbackTriggers) > 0,
	}); err != nil {
		return nil, err
	}
	cur, err := s.mustExist(ctx, in.StackName, "Stack [%s] does not exist")
	if err != nil {
		return nil, s.exception(op, err)
	}
	if !settled(cur.Status) || cur.Status == "CREATE_FAILED" {
		return nil, busy(cur)
	}
	who, err := s.identity(ctx, op, in.RoleARN, cur)
	if err != nil {
		return nil, s.exception(op, err)
	}
	b, err := s.updateOf(ctx, cur, who, wire.Value(in.TemplateBody), wire.Value(in.UsePreviousTemplate), true, in.Parameters, in.Tags, in.Capabilities)
	if err != nil {
		return nil, s.exception(op, err)
	}
	same, err := s.same(ctx, cur, b.plan)
	if err != nil {
		return nil, s.exception(op, err)
	}
	if same {
		return nil, validationError("No updates are to be performed.")
	}
	b.token, b.keepOnFailure = wire.Value(in.ClientRequestToken), wire.Value(in.DisableRollback)
	b.also = func(tx *store.Tx) error { return s.obsolete(tx, cur, "") }
	o, err := s.begin(ctx, b)
	if err != nil {
		return nil, s.exception(op, err)
	}
	s.enqueue(ctx, o)
	return &cloudformationapi.UpdateStackOutput{StackId: wire.String(o.info.ID)}, nil
}

// updateOf prepares the update of a stack.
func (s *Service) updateOf(ctx context.Context, cur *stackRecord, who identity, body string, previous, direct bool, parameters []cloudformationapi.Parameter,
	tags []cloudformationapi.Tag, capabilities []cloudformationapi.Capability) (beginning, error) {
	b := beginning{kind: "update", status: "UPDATE_IN_PROGRESS", stack: *cur, before: cur, who: who}
	secret, err := s.stackSecret(cur)
	if err != nil {
		return b, err
	}
	if previous {
		err = s.cfg.DB.View(ctx, func(tx *store.Tx) error {
			t, err := s.template(tx, cur.Account, cur.Region, cur.UUID, generation(cur.Generation))
			body = t.Body
			return err
		})
		if err != nil {
			return b, err
		}
	}
	if body == "" {
		return b, validationError("Either Template URL or Template Body must be specified.")
	}
	b.stack.Updated = s.cfg.Now()
	if tags != nil {
		b.stack.Tags = tagMap(tags)
	}
	b.stack.Capabilities = texts(capabilities)
	b.stack.RoleARN = who.role
	b.plan, err = s.prepare(who.as(ctx), infoOf(&b.stack), source{
		body: body, file: "template", parameters: given(parameters, secret.Parameters), capabilities: acknowledged(capabilities), tags: b.stack.Tags, direct: direct,
	})
	return b, err
}

func (s *Service) mustExist(ctx context.Context, nameOrID, sentence string) (*stackRecord, error) {
	account, region := s.where(ctx)
	var r stackRecord
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
		r, err = s.find(tx, account, region, nameOrID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, validationError(sentence, nameOrID)
	}
	return &r, err
}

// DeleteStack begins a deletion. What does not exist is deleted.
func (s *Service) DeleteStack(ctx context.Context, in *cloudformationapi.DeleteStackInput) (*cloudformationapi.DeleteStackOutput, error) {
	const op = "DeleteStack"
	if err := refuse(op, map[string]bool{"DeletionMode FORCE_DELETE_STACK is not implemented": in.DeletionMode == "FORCE_DELETE_STACK"}); err != nil {
		return nil, err
	}
	cur, err := s.current(ctx, in.StackName)
	if err != nil || cur == nil {
		return &cloudformationapi.DeleteStackOutput{}, s.exception(op, err)
	}
	if cur.Status == "DELETE_IN_PROGRESS" {
		return &cloudformationapi.DeleteStackOutput{}, nil
	}
	if len(in.RetainResources) > 0 && cur.Status != "DELETE_FAILED" {
		return nil, validationError("Invalid operation on stack [%s]. To delete a stack with retained resources, the stack must be in the DELETE_FAILED state.", cur.id())
	}
	who, err := s.identity(ctx, op, in.RoleARN, cur)
	if err != nil {
		return nil, s.exception(op, err)
	}
	o, err := s.beginDelete(ctx, *cur, operationRecord{Caller: who.caller, RoleARN: who.role, Token: wire.Value(in.ClientRequestToken), Retain: in.RetainResources}, nil)
	if err != nil {
		return nil, s.exception(op, err)
	}
	s.enqueue(ctx, o)
	return &cloudformationapi.DeleteStackOutput{}, nil
}

// UpdateTerminationProtection says whether a stack may be deleted.
func (s *Service) UpdateTerminationProtection(ctx context.Context, in *cloudformationapi.UpdateTerminationProtectionInput) (*cloudformationapi.UpdateTerminationProtectionOutput, error) {
	account, region := s.where(ctx)
	var id string
	err := s.cfg.DB.Update(ctx, func(tx *store.Tx) error {
		r, err := s.find(tx, account, region, in.StackName)
		if errors.Is(err, store.ErrNotFound) || err == nil && r.gone() {
			return validationError("Stack [%s] does not exist", in.StackName)
		}
		if err != nil {
			return err
		}
		r.Protected, id = in.EnableTerminationProtection, r.id()
		return s.tables.stacks.Put(tx, r)
	})
	return &cloudformationapi.UpdateTerminationProtectionOutput{StackId: &id}, s.exception("UpdateTerminationProtection", err)
}

// RollbackStack rolls back what was kept after a failure.
func (s *Service) RollbackStack(ctx context.Context, in *cloudformationapi.RollbackStackInput) (*cloudformationapi.RollbackStackOutput, error) {
	const op = "RollbackStack"
	cur, err := s.mustExist(ctx, in.StackName, "Stack [%s] does not exist")
	if err != nil {
		return nil, s.exception(op, err)
	}
	if cur.Status != "CREATE_FAILED" && cur.Status != "UPDATE_FAILED" {
		return nil, validationError("Stack [%s] is in %s state and can not be rolled back.", cur.Name, cur.Status)
	}
	if err := s.undo(ctx, op, cur, in.RoleARN, wire.Value(in.ClientRequestToken)); err != nil {
		return nil, s.exception(op, err)
	}
	return &cloudformationapi.RollbackStackOutput{StackId: wire.String(cur.id())}, nil
}

// ContinueUpdateRollback tries a failed rollback again.
func (s *Service) ContinueUpdateRollback(ctx context.Context, in *cloudformationapi.ContinueUpdateRollbackInput) (*cloudformationapi.ContinueUpdateRollbackOutput, error) {
	const op = "ContinueUpdateRollback"
	if err := refuse(op, map[string]bool{"ResourcesToSkip is not implemented": len(in.ResourcesToSkip) > 0}); err != nil {
		return nil, err
	}
	cur, err := s.mustExist(ctx, in.StackName, "Stack [%s] does not exist")
	if err != nil {
		return nil, s.exception(op, err)
	}
	if cur.Status != "UPDATE_ROLLBACK_FAILED" {
		return nil, validationError("Stack %s is in %s state and can not continue rollback.", cur.id(), cur.Status)
	}
	return &cloudformationapi.ContinueUpdateRollbackOutput{}, s.exception(op, s.undo(ctx, op, cur, in.RoleARN, wire.Value(in.ClientRequestToken)))
}

// undo begins the rollback of an operation that stopped.
func (s *Service) undo(ctx context.Context, op string, cur *stackRecord, role *string, token string) error {
	who, err := s.identity(ctx, op, role, cur)
	if err != nil {
		return err
	}
	o, err := s.beginUndo(ctx, cur, who, token)
	if err == nil {
		s.enqueue(ctx, o)
	}
	return err
}

// beginUndo commits the start of a rollback.
func (s *Service) beginUndo(ctx context.Context, cur *stackRecord, who identity, token string) (*operation, error) {
	var rec operationRecord
	var tpl templateRecord
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		var err error
		if rec, err = s.tables.operations.Get(tx, cur.Account, cur.Region, cur.UUID); errors.Is(err, store.ErrNotFound) {
			rec, err = operationRecord{Account: cur.Account, Region: cur.Region, UUID: cur.UUID, ID: s.uuid(), Kind: "create", Generation: cur.Generation}, nil
		}
		if err != nil {
			return err
		}
		tpl, err = s.template(tx, cur.Account, cur.Region, cur.UUID, generation(rec.Generation))
		return err
	})
	if err != nil {
		return nil, err
	}
	rec.Phase, rec.Token, rec.Owner, rec.Beat, rec.KeepOnFailure = "rollback", token, s.owner, s.cfg.Now(), false
	rec.Caller, rec.RoleARN = who.caller, who.role
	st := *cur
	st.RoleARN = who.role
	o, err := s.resume(ctx, rec, st, tpl)
	if err != nil {
		return nil, err
	}
	if !s.claim(cur.UUID) {
		return nil, busy(cur)
	}
	status := "UPDATE_ROLLBACK_IN_PROGRESS"
	if rec.Kind == "create" {
		status = "ROLLBACK_IN_PROGRESS"
	}
	if err := o.phase(ctx, "rollback", status, "User Initiated"); err != nil {
		s.release(cur.UUID)
		return nil, err
	}
	return o, nil
}

// ValidateTemplate checks a template without deploying it.
func (s *Service) ValidateTemplate(_ context.Context, in *cloudformationapi.ValidateTemplateInput) (*cloudformationapi.ValidateTemplateOutput, error) {
	const op = "ValidateTemplate"
	if in.TemplateURL != nil {
		return nil, wire.NotImplementedBecause("cloudformation", op, noS3)
	}
	t, err := template.Parse([]byte(wire.Value(in.TemplateBody)), "template")
	if err != nil {
		return nil, s.exception(op, err)
	}
	out := &cloudformationapi.ValidateTemplateOutput{DeclaredTransforms: t.Transforms, Parameters: []cloudformationapi.TemplateParameter{}}
	if t.Description != "" {
		out.Description = &t.Description
	}
	for _, p := range t.Parameters {
		out.Parameters = append(out.Parameters, cloudformationapi.TemplateParameter{
			ParameterKey: wire.String(p.Name), DefaultValue: p.Default, NoEcho: wire.Bool(p.NoEcho), Description: optional(p.Description),
		})
	}
	if c, why := needed(t); c != "" {
		out.Capabilities, out.CapabilitiesReason = []cloudformationapi.Capability{cloudformationapi.Capability(c)}, &why
	}
	return out, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// needed is the capability of a template that is not expanded yet, and why.
func needed(t *template.Template) (capability, why string) {
	if c := capabilities(t); c != "" {
		var types []string
		for _, r := range t.Resources {
			if strings.HasPrefix(r.Type, "AWS::IAM::") {
				types = append(types, r.Type)
			}
		}
		return c, "The following resource(s) require capabilities: [" + strings.Join(sortedKeys(setOf(types)), ", ") + "]"
	}
	if t.Serverless() {
		for _, r := range t.Resources {
			if r.Type == "AWS::Serverless::Function" && !r.Properties.Has("Role") {
				return "CAPABILITY_IAM", "The following resource(s) require capabilities: [AWS::IAM::Role]"
			}
		}
	}
	return "", ""
}

// GetTemplateSummary describes a template or the template of a stack.
func (s *Service) GetTemplateSummary(ctx context.Context, in *cloudformationapi.GetTemplateSummaryInput) (*cloudformationapi.GetTemplateSummaryOutput, error) {
	const op = "GetTemplateSummary"
	if err := refuse(op, map[string]bool{noS3: in.TemplateURL != nil, "stack sets are not implemented": in.StackSetName != nil}); err != nil {
		return nil, err
	}
	body := wire.Value(in.TemplateBody)
	if in.StackName != nil {
		_, t, err := s.templateOf(ctx, *in.StackName)
		if err != nil {
			return nil, s.exception(op, err)
		}
		body = t.Body
	}
	t, err := template.Parse([]byte(body), "template")
	if err != nil {
		return nil, s.exception(op, err)
	}
	out := &cloudformationapi.GetTemplateSummaryOutput{
		Parameters: []cloudformationapi.ParameterDeclaration{}, DeclaredTransforms: t.Transforms, Description: optional(t.Description),
		ResourceIdentifierSummaries: []cloudformationapi.ResourceIdentifierSummary{},
	}
	if v, ok := t.Root.Get("AWSTemplateFormatVersion").Scalar(); ok {
		out.Version = &v
	}
	if t.Metadata != nil {
		out.Metadata = wire.String(string(t.Metadata.JSON()))
	}
	for _, p := range t.Parameters {
		d := cloudformationapi.ParameterDeclaration{
			ParameterKey: wire.String(p.Name), ParameterType: wire.String(p.Type), DefaultValue: p.Default, NoEcho: wire.Bool(p.NoEcho),
			Description: optional(p.Description), ParameterConstraints: &cloudformationapi.ParameterConstraints{AllowedValues: p.AllowedValues},
		}
		out.Parameters = append(out.Parameters, d)
	}
	ids := map[string][]string{}
	for _, r := range t.Resources {
		ids[r.Type] = append(ids[r.Type], r.LogicalID)
	}
	for _, typ := range sortedKeys(ids) {
		out.ResourceTypes = append(out.ResourceTypes, typ)
		out.ResourceIdentifierSummaries = append(out.ResourceIdentifierSummaries, cloudformationapi.ResourceIdentifierSummary{ResourceType: wire.String(typ), LogicalResourceIds: ids[typ]})
	}
	if c, why := needed(t); c != "" {
		out.Capabilities, out.CapabilitiesReason = []cloudformationapi.Capability{cloudformationapi.Capability(c)}, &why
	}
	return out, nil
}

// templateOf returns a stack and the template it has now.
func (s *Service) templateOf(ctx context.Context, nameOrID string) (stackRecord, templateRecord, error) {
	account, region := s.where(ctx)
	var r stackRecord
	var t templateRecord
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
		if r, err = s.find(tx, account, region, nameOrID); err != nil {
			return err
		}
		t, err = s.template(tx, r.Account, r.Region, r.UUID, generation(r.Generation))
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return r, t, notExist(nameOrID)
	}
	return r, t, err
}

// GetTemplate returns the template of a stack or of a change set.
func (s *Service) GetTemplate(ctx context.Context, in *cloudformationapi.GetTemplateInput) (*cloudformationapi.GetTemplateOutput, error) {
	const op = "GetTemplate"
	var body string
	var processed []byte
	if in.ChangeSetName != nil {
		cs, err := s.changeSet(ctx, *in.ChangeSetName, wire.Value(in.StackName))
		if err != nil {
			return nil, s.exception(op, err)
		}
		body, processed = cs.Template, cs.Processed
	} else {
		_, t, err := s.templateOf(ctx, wire.Value(in.StackName))
		if err != nil {
			return nil, s.exception(op, err)
		}
		body, processed = t.Body, t.Processed
	}
	out := &cloudformationapi.GetTemplateOutput{StagesAvailable: []cloudformationapi.TemplateStage{"Original", "Processed"}, TemplateBody: &body}
	if t, err := template.Parse([]byte(body), ""); in.TemplateStage == "Processed" && (err != nil || len(t.Transforms) > 0) {
		out.TemplateBody = wire.String(string(processed))
	}
	return out, nil
}
