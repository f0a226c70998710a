package wiregen

import (
	"embed"
	"fmt"
	"path"
	"slices"
)

//go:embed models/*.json overlays authorization/*.json
var data embed.FS

// API says how one model becomes a contract.
type API struct {
	Package string // Go package, and its directory below internal/wire
	Model   string // file name below models, without .json; the endpoint prefix as well

	// Take lists the operations taken, by name or by path.Match pattern; empty
	// means all. Drop lists those left out of Take. Operations with event
	// streams are never taken.
	Take, Drop []string

	BodyPaths bool // validation errors name the input before a member of the body
	NotNull   bool // validation errors about list elements end in "Member must not be null"
}

// APIs returns what this server speaks, in the order of the documentation.
func APIs() []API {
	return []API{
		{Package: "cognitoidpapi", Model: "cognito-idp"},
		{Package: "cognitoidentityapi", Model: "cognito-identity"},
		{Package: "iamapi", Model: "iam"},
		{Package: "stsapi", Model: "sts"},
		{Package: "apigatewayapi", Model: "apigateway", BodyPaths: true},
		{Package: "lambdaapi", Model: "lambda", NotNull: true},
		{Package: "ssmapi", Model: "ssm", Take: []string{
			"PutParameter", "GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory",
			"DeleteParameter", "DeleteParameters", "DescribeParameters",
			"LabelParameterVersion", "UnlabelParameterVersion",
			"AddTagsToResource", "RemoveTagsFromResource", "ListTagsForResource",
		}},
		{Package: "cloudformationapi", Model: "cloudformation", Take: []string{
			"CreateStack", "UpdateStack", "DeleteStack", "DescribeStacks", "ListStacks", "CancelUpdateStack",
			"ContinueUpdateRollback", "RollbackStack", "UpdateTerminationProtection", "SignalResource",
			"CreateChangeSet", "DescribeChangeSet", "DeleteChangeSet", "ExecuteChangeSet", "ListChangeSets",
			"DescribeStackEvents", "DescribeEvents", "DescribeStackResource", "DescribeStackResources", "ListStackResources",
			"GetTemplate", "GetTemplateSummary", "ValidateTemplate", "EstimateTemplateCost",
			"ListExports", "ListImports", "GetStackPolicy", "SetStackPolicy", "DescribeAccountLimits",
		}},
		{Package: "logsapi", Model: "logs", Take: []string{
			"CreateLogGroup", "DeleteLogGroup", "DescribeLogGroups", "ListLogGroups",
			"CreateLogStream", "DeleteLogStream", "DescribeLogStreams",
			"PutLogEvents", "GetLogEvents", "FilterLogEvents",
			"PutRetentionPolicy", "DeleteRetentionPolicy",
			"TagResource", "UntagResource", "ListTagsForResource", "TagLogGroup", "UntagLogGroup", "ListTagsLogGroup",
		}},
		{Package: "cloudtrailapi", Model: "cloudtrail", Take: []string{"LookupEvents", "DescribeTrails", "GetTrail", "GetTrailStatus", "ListTrails"}},
	}
}

// Load reads the model of a with its overlay, if there is one.
func (a API) Load() (*Model, error) {
	doc, err := data.ReadFile("models/" + a.Model + ".json")
	if err != nil {
		return nil, fmt.Errorf("wiregen: %w", err)
	}
	var overlays [][]byte
	if o, err := data.ReadFile("overlays/" + a.Model + ".json"); err == nil {
		overlays = append(overlays, o)
	}
	return ParseModel(doc, overlays...)
}

// Split returns the names of the operations that a takes of m and of those that
// it does not, both sorted.
func (a API) Split(m *Model) (taken, notTaken []string) {
	for _, name := range m.Operations.Names {
		if a.takes(name) && !streams(m, m.Operations.Get(name)) {
			taken = append(taken, name)
		} else {
			notTaken = append(notTaken, name)
		}
	}
	slices.Sort(taken)
	slices.Sort(notTaken)
	return taken, notTaken
}

func (a API) takes(name string) bool {
	matches := func(pattern string) bool {
		ok, _ := path.Match(pattern, name)
		return ok
	}
	if slices.ContainsFunc(a.Drop, matches) {
		return false
	}
	return len(a.Take) == 0 || slices.ContainsFunc(a.Take, matches)
}

// streams tells whether an operation sends or receives an event stream.
func streams(m *Model, op *ModelOperation) bool {
	for _, r := range []*Ref{op.Input, op.Output} {
		if r == nil {
			continue
		}
		s := m.Shapes.Get(r.Shape)
		for _, name := range s.Members.Names {
			if m.Shapes.Get(s.Members.Get(name).Shape).EventStream {
				return true
			}
		}
	}
	return false
}
