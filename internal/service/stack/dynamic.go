package stack

import (
	"context"
	"errors"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/cloudformationapi"
	"moat/internal/wire/ssmapi"
)

// dynamic resolves "{{resolve:ssm:name:version}}" in properties, as the caller.
func (s *Service) dynamic(ctx context.Context) func(string) (string, error) {
	return func(reference string) (string, error) {
		service, rest, _ := strings.Cut(reference, ":")
		if service != "ssm" || s.cfg.Services.SSM == nil {
			return "", errors.New("dynamic references to " + service + " are not implemented; expected ssm")
		}
		out, err := s.cfg.Services.SSM.GetParameter(ctx, &ssmapi.GetParameterRequest{Name: rest})
		if err != nil {
			return "", err
		}
		if out.Parameter == nil || out.Parameter.Type == "SecureString" {
			return "", errors.New("a SecureString needs ssm-secure, which is not implemented")
		}
		return wire.Value(out.Parameter.Value), nil
	}
}

// resourcesOf names the stack that a call acts on.
func (s *Service) resourcesOf(c *wire.Call, _ string, in any) ([]string, policy.Context) {
	keys := policy.Context{}
	name, role := "", (*string)(nil)
	switch in := in.(type) {
	case *cloudformationapi.CreateStackInput:
		name, role = in.StackName, in.RoleARN
	case *cloudformationapi.UpdateStackInput:
		name, role = in.StackName, in.RoleARN
	case *cloudformationapi.DeleteStackInput:
		name, role = in.StackName, in.RoleARN
	case *cloudformationapi.CreateChangeSetInput:
		name, role = in.StackName, in.RoleARN
		keys["cloudformation:changesetname"] = []string{in.ChangeSetName}
	case *cloudformationapi.DescribeChangeSetInput:
		name = s.stackOfChangeSet(c, in.ChangeSetName, in.StackName)
	case *cloudformationapi.ExecuteChangeSetInput:
		name = s.stackOfChangeSet(c, in.ChangeSetName, in.StackName)
	case *cloudformationapi.DeleteChangeSetInput:
		name = s.stackOfChangeSet(c, in.ChangeSetName, in.StackName)
	case *cloudformationapi.ListChangeSetsInput:
		name = in.StackName
	case *cloudformationapi.DescribeStacksInput:
		name = wire.Value(in.StackName)
	case *cloudformationapi.DescribeStackEventsInput:
		name = in.StackName
	case *cloudformationapi.DescribeStackResourceInput:
		name = in.StackName
	case *cloudformationapi.DescribeStackResourcesInput:
		name = wire.Value(in.StackName)
	case *cloudformationapi.ListStackResourcesInput:
		name = in.StackName
	case *cloudformationapi.GetTemplateInput:
		name = s.stackOfChangeSet(c, wire.Value(in.ChangeSetName), in.StackName)
	case *cloudformationapi.UpdateTerminationProtectionInput:
		name = in.StackName
	case *cloudformationapi.RollbackStackInput:
		name, role = in.StackName, in.RoleARN
	case *cloudformationapi.ContinueUpdateRollbackInput:
		name, role = in.StackName, in.RoleARN
	}
	if role != nil {
		keys.Set("cloudformation:RoleArn", *role)
	}
	if name == "" {
		return []string{"*"}, keys
	}
	return []string{s.stackResource(c, name)}, keys
}

// stackResource is the ARN of a stack, whichever way it was named: a statement about its id
// holds for its name too. A stack that is not there has the ARN that it would have.
func (s *Service) stackResource(c *wire.Call, name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name // found by exactly this text, or not at all
	}
	var r stackRecord
	err := s.cfg.DB.View(context.Background(), func(tx *store.Tx) (err error) {
		r, err = s.find(tx, c.Account, c.Region, name)
		return err
	})
	if err == nil && !r.gone() {
		return r.id()
	}
	return "arn:aws:cloudformation:" + c.Region + ":" + c.Account + ":stack/" + name + "/*"
}

// stackOfChangeSet is the stack that a change set belongs to, not the one that a call says.
func (s *Service) stackOfChangeSet(c *wire.Call, changeSet string, stack *string) string {
	if strings.HasPrefix(changeSet, "arn:") {
		if cs, err := s.changeSet(wire.WithCall(context.Background(), c), changeSet, wire.Value(stack)); err == nil {
			return cs.stackID()
		}
	}
	return wire.Value(stack)
}
