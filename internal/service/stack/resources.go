package stack

import (
	"context"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/cloudformationapi"
)

// resources names the stack that a call acts on, and the condition keys that it brings
// (Service Authorization Reference, AWS CloudFormation).
func (s *Service) resources(ops map[string]*wire.Operation) func(*wire.Call, string, any) []wire.Need {
	return func(c *wire.Call, name string, in any) []wire.Need {
		op := ops[name]
		if op == nil {
			return nil
		}
		keys := stackKeys(op, in)
		tags := tagsOf(in)
		wire.RequestTags(keys, tags)
		if len(op.On) == 0 {
			return wire.Needs(keys, "*")
		}
		arn, own := s.actedOn(c, in)
		wire.ResourceTags(keys, own)
		needs := wire.Needs(keys, arn)
		if len(tags) > 0 {
			tagging := policy.Context{"cloudformation:createaction": {name}}
			wire.RequestTags(tagging, tags)
			needs = append(needs, wire.Need{Action: "cloudformation:TagResource", Resource: arn, Keys: tagging})
		}
		return needs
	}
}

// stackKeys are the keys of the service that an input brings and its operation lists.
func stackKeys(op *wire.Operation, in any) policy.Context {
	keys := policy.Context{}
	for key, member := range map[string]string{
		"cloudformation:RoleArn": "RoleARN", "cloudformation:TemplateUrl": "TemplateURL", "cloudformation:StackPolicyUrl": "StackPolicyURL",
	} {
		if v := wire.Member(in, member); v != "" && op.Lists(key) {
			keys.Set(key, v)
		}
	}
	if name := wire.Member(in, "ChangeSetName"); name != "" && op.Lists("cloudformation:ChangeSetName") {
		if strings.HasPrefix(name, "arn:") { // arn:...:changeSet/NAME/ID
			_, name, _ = strings.Cut(name, "/")
			name, _, _ = strings.Cut(name, "/")
		}
		keys.Set("cloudformation:ChangeSetName", name)
	}
	switch in := in.(type) {
	case *cloudformationapi.CreateStackInput:
		keys.Set("cloudformation:ResourceTypes", in.ResourceTypes...)
	case *cloudformationapi.UpdateStackInput:
		keys.Set("cloudformation:ResourceTypes", in.ResourceTypes...)
	case *cloudformationapi.CreateChangeSetInput:
		keys.Set("cloudformation:ResourceTypes", in.ResourceTypes...)
		var imported []string
		for _, r := range in.ResourcesToImport {
			imported = append(imported, r.ResourceType)
		}
		keys.Set("cloudformation:ImportResourceTypes", imported...)
	}
	return keys
}

func tagsOf(in any) map[string]string {
	switch in := in.(type) {
	case *cloudformationapi.CreateStackInput:
		return tagMap(in.Tags)
	case *cloudformationapi.UpdateStackInput:
		return tagMap(in.Tags)
	case *cloudformationapi.CreateChangeSetInput:
		return tagMap(in.Tags)
	}
	return nil
}

// actedOn is the ARN of a stack, whichever way a call names it, with its tags: a statement
// about its id holds for its name too. A stack that is not there has the ARN that it would
// have; a call that names none acts on all.
func (s *Service) actedOn(c *wire.Call, in any) (string, map[string]string) {
	name := wire.Member(in, "StackName")
	if cs := wire.Member(in, "ChangeSetName"); cs != "" {
		name = s.stackOfChangeSet(c, cs, name)
	}
	if d, ok := in.(*cloudformationapi.DescribeStackResourcesInput); ok && name == "" {
		name = s.stackOfPhysical(c, wire.Value(d.PhysicalResourceId))
	}
	if name == "" {
		return "arn:aws:cloudformation:" + c.Region + ":" + c.Account + ":stack/*/*", nil
	}
	var r stackRecord
	err := s.cfg.DB.View(context.Background(), func(tx *store.Tx) (err error) {
		r, err = s.find(tx, c.Account, c.Region, name)
		return err
	})
	switch {
	case err == nil && (!r.gone() || r.id() == name):
		return r.id(), r.Tags
	case strings.HasPrefix(name, "arn:"):
		return name, nil // found by exactly this text, or not at all
	}
	return "arn:aws:cloudformation:" + c.Region + ":" + c.Account + ":stack/" + name + "/*", nil
}

// stackOfChangeSet is the stack that a change set belongs to, not the one that a call says.
func (s *Service) stackOfChangeSet(c *wire.Call, changeSet, stack string) string {
	if strings.HasPrefix(changeSet, "arn:") {
		if cs, err := s.changeSet(wire.WithCall(context.Background(), c), changeSet, stack); err == nil {
			return cs.stackID()
		}
	}
	return stack
}

// stackOfPhysical is the stack that has a resource.
func (s *Service) stackOfPhysical(c *wire.Call, physical string) string {
	id := ""
	_ = s.cfg.DB.View(context.Background(), func(tx *store.Tx) error { // or the call itself will not find it
		list, err := s.tables.resources.List(tx, store.Query{Index: "physical", Values: []string{c.Account, c.Region, physical}, Limit: 1})
		if err != nil || len(list) == 0 {
			return err
		}
		r, err := s.tables.stacks.Get(tx, c.Account, c.Region, list[0].UUID)
		if err == nil {
			id = r.id()
		}
		return err
	})
	return id
}
