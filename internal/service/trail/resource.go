package trail

import (
	"slices"
	"strings"

	"moat/internal/pure/arn"
	"moat/internal/wire"
)

// Resource is one thing that a request acts on.
type Resource struct {
	ARN       string `json:"ARN,omitempty"`
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type,omitempty"`
}

// maxResources bounds the resources of one event.
const maxResources = 50

// resourcesOf are the resources that the call was authorised on, each once.
func resourcesOf(r *wire.Record, account string) []Resource {
	var out []Resource
	var seen []string
	for i := range r.Checks {
		if len(out) == maxResources {
			break
		}
		if name := r.Checks[i].Resource; name != "*" && !slices.Contains(seen, name) {
			seen, out = append(seen, name), append(out, resource(name, account))
		}
	}
	return out
}

func resource(text, account string) Resource {
	r := Resource{ARN: cut(text, maxUserAgent), AccountID: account}
	a, err := arn.Parse(text)
	if err != nil {
		return r
	}
	if a.Account != "" {
		r.AccountID = a.Account
	}
	r.Type = typeOf(a)
	return r
}

// typeOf gives CloudFormation's name of a resource's type, as CloudTrail does.
func typeOf(a arn.ARN) string {
	kind, _, _ := strings.Cut(a.Resource, "/")
	kind, _, _ = strings.Cut(kind, ":")
	switch a.Service + ":" + kind {
	case "iam:user":
		return "AWS::IAM::User"
	case "iam:role":
		return "AWS::IAM::Role"
	case "iam:group":
		return "AWS::IAM::Group"
	case "iam:policy":
		return "AWS::IAM::ManagedPolicy"
	case "iam:instance-profile":
		return "AWS::IAM::InstanceProfile"
	case "iam:oidc-provider":
		return "AWS::IAM::OIDCProvider"
	case "iam:saml-provider":
		return "AWS::IAM::SAMLProvider"
	case "cognito-idp:userpool":
		return "AWS::Cognito::UserPool"
	case "cognito-identity:identitypool":
		return "AWS::Cognito::IdentityPool"
	case "lambda:function":
		return "AWS::Lambda::Function"
	case "lambda:layer":
		return "AWS::Lambda::LayerVersion"
	case "cloudformation:stack":
		return "AWS::CloudFormation::Stack"
	case "cloudformation:changeSet":
		return "AWS::CloudFormation::ChangeSet"
	case "ssm:parameter":
		return "AWS::SSM::Parameter"
	case "logs:log-group":
		return "AWS::Logs::LogGroup"
	}
	if a.Service == "apigateway" || a.Service == "execute-api" {
		return "AWS::ApiGateway::RestApi"
	}
	return ""
}

// names are the names under which LookupEvents finds a resource: its ARN, and its own name.
func (r *Resource) names() []string {
	a, err := arn.Parse(r.ARN)
	if err != nil {
		return []string{r.ARN}
	}
	name := a.Resource
	if i := strings.IndexAny(name, "/:"); i >= 0 {
		name = name[i+1:]
	}
	if a.Service == "iam" {
		name = a.Name()
	}
	if name == "" || name == r.ARN {
		return []string{r.ARN}
	}
	return []string{r.ARN, name}
}
