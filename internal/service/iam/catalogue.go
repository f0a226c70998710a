package iam

import (
	"slices"
	"strings"

	"moat/internal/wire"
)

// awsService is a service as policies name it, with the actions that exist here.
type awsService struct {
	namespace, name string
	actions         []string // without the namespace, sorted
}

// Catalogue tells which APIs the installation has: reports about services and
// actions speak of them. It is called once, before the first call; without it
// such reports are empty.
func (s *Service) Catalogue(apis []*wire.API) {
	actions := map[string][]string{"execute-api": {"Invoke", "InvalidateCache", "ManageConnections"}}
	for _, api := range apis {
		for _, op := range api.Operations {
			action := op.Action
			if action == "" {
				action = api.Action + ":" + op.Name
			}
			if namespace, name, ok := strings.Cut(action, ":"); ok && !slices.Contains(actions[namespace], name) {
				actions[namespace] = append(actions[namespace], name)
			}
		}
	}
	s.services = s.services[:0]
	for _, namespace := range sortedKeys(actions) {
		slices.Sort(actions[namespace])
		s.services = append(s.services, awsService{namespace, serviceName(namespace), actions[namespace]})
	}
}

// serviceName is how the Service Authorization Reference calls a service.
func serviceName(namespace string) string {
	switch namespace {
	case "apigateway":
		return "Amazon API Gateway Management"
	case "execute-api":
		return "Amazon API Gateway"
	case "cloudformation":
		return "AWS CloudFormation"
	case "cloudtrail":
		return "AWS CloudTrail"
	case "cloudwatch":
		return "Amazon CloudWatch"
	case "cognito-identity":
		return "Amazon Cognito Identity"
	case "cognito-idp":
		return "Amazon Cognito User Pools"
	case "iam":
		return "AWS Identity and Access Management"
	case "lambda":
		return "AWS Lambda"
	case "logs":
		return "Amazon CloudWatch Logs"
	case "s3":
		return "Amazon S3"
	case "ssm":
		return "AWS Systems Manager"
	case "sts":
		return "AWS Security Token Service"
	}
	return namespace
}
