package stack

import (
	"context"
	"errors"
	"strings"

	"moat/internal/pure/policy"
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
	name := ""
	switch in := in.(type) {
	case *cloudformationapi.CreateStackInput:
		name = in.StackName
		if in.RoleARN != nil {
			keys["cloudformation:rolearn"] = []string{*in.RoleARN}
		}
	case *cloudformationapi.UpdateStackInput:
		name = in.StackName
		if in.RoleARN != nil {
			keys["cloudformation:rolearn"] = []string{*in.RoleARN}
		}
	case *cloudformationapi.DeleteStackInput:
		name = in.StackName
	case *cloudformationapi.CreateChangeSetInput:
		name = in.StackName
		keys["cloudformation:changesetname"] = []string{in.ChangeSetName}
	case *cloudformationapi.DescribeChangeSetInput:
		name = wire.Value(in.StackName)
	case *cloudformationapi.ExecuteChangeSetInput:
		name = wire.Value(in.StackName)
	case *cloudformationapi.DeleteChangeSetInput:
		name = wire.Value(in.StackName)
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
		name = wire.Value(in.StackName)
	case *cloudformationapi.UpdateTerminationProtectionInput:
		name = in.StackName
	case *cloudformationapi.RollbackStackInput:
		name = in.StackName
	case *cloudformationapi.ContinueUpdateRollbackInput:
		name = in.StackName
	}
	if name == "" {
		return []string{"*"}, keys
	}
	if strings.HasPrefix(name, "arn:") {
		return []string{name}, keys
	}
	return []string{"arn:aws:cloudformation:" + c.Region + ":" + c.Account + ":stack/" + name + "/*"}, keys
}
