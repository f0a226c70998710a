package sam

import (
	"strconv"
	"strings"

	"moat/internal/service/stack/template"
)

// serviceRoles are the managed policies that live below a path.
var serviceRoles = map[string]string{
	"AWSLambdaBasicExecutionRole": "service-role/", "AWSLambdaVPCAccessExecutionRole": "service-role/", "AWSLambdaRole": "service-role/",
	"AWSLambdaENIManagementAccess": "service-role/", "AWSLambdaDynamoDBExecutionRole": "service-role/",
	"AWSLambdaKinesisExecutionRole": "service-role/", "AWSLambdaSQSQueueExecutionRole": "service-role/",
	"AmazonAPIGatewayPushToCloudWatchLogs": "service-role/",
}

// policies sorts the Policies of a function into managed ones, whose ARNs are appended,
// and inline ones, which are returned.
func (f *function) policies(arns *template.Value) *template.Value {
	inline := list()
	p := f.p.Get("Policies")
	if p.Empty() {
		return inline
	}
	items := []*template.Value{p}
	if p.Is(template.List) {
		items = p.Items
	} else if p.Is(template.Map) && !p.Has("Statement") && !p.IsIntrinsic() {
		items = nil
		for _, x := range p.Entries() {
			items = append(items, &template.Value{Kind: template.Map, Fields: []template.Field{x}, Pos: x.Pos})
		}
	}
	for i, item := range items {
		switch {
		case item.Is(template.String):
			arn := f.policyARN(item)
			if !hasItem(arns, arn) {
				arns.Items = append(arns.Items, arn)
			}
		case item.Has("Statement"):
			inline.Items = append(inline.Items, f.inline(i, item))
		case isPolicyTemplate(item):
			if d := f.fromTemplate(item); d != nil {
				inline.Items = append(inline.Items, f.inline(i, d))
			}
		case item.IsIntrinsic():
			f.intrinsicPolicy(i, item, arns, inline)
		default:
			f.tr.fail(item.Pos, f.id, "Properties.Policies."+strconv.Itoa(i), "expected the name or ARN of a managed policy, a policy document with Statement, or a policy template")
		}
	}
	return inline
}

func hasItem(l, x *template.Value) bool {
	for _, y := range l.Items {
		if template.Equal(x, y) {
			return true
		}
	}
	return false
}

func (f *function) policyARN(v *template.Value) *template.Value {
	name := v.Text
	if strings.HasPrefix(name, "arn:") || strings.ContainsAny(name, ":/") {
		return v
	}
	if path, ok := serviceRoles[name]; ok {
		return &template.Value{Kind: template.String, Text: f.managed(path + name), Pos: v.Pos}
	}
	if strings.HasPrefix(name, "AWS") || strings.HasPrefix(name, "Amazon") || strings.HasPrefix(name, "CloudWatch") {
		return &template.Value{Kind: template.String, Text: f.managed(name), Pos: v.Pos}
	}
	return v
}

func (f *function) inline(i int, document *template.Value) *template.Value {
	return template.NewMap("PolicyName", f.id+"RolePolicy"+strconv.Itoa(i), "PolicyDocument", document)
}

// intrinsicPolicy looks into an Fn::If: its results decide what kind of policy it is.
func (f *function) intrinsicPolicy(i int, item, arns, inline *template.Value) {
	documents := false
	for _, c := range contents(item) {
		documents = documents || c.Has("Statement")
		if isPolicyTemplate(c) {
			f.tr.notBuilt(item.Pos, f.id, "Properties.Policies."+strconv.Itoa(i), "a policy template inside Fn::If")
			return
		}
	}
	if documents {
		// Each result is a whole policy, so that the one without can vanish.
		args := item.Get("Fn::If").Items
		out := []*template.Value{args[0]}
		for _, c := range args[1:] {
			if c.Has("Statement") {
				c = f.inline(i, c)
			}
			out = append(out, c)
		}
		inline.Items = append(inline.Items, template.NewMap("Fn::If", list(out...)))
		return
	}
	if !hasItem(arns, item) {
		arns.Items = append(arns.Items, item)
	}
}

func isPolicyTemplate(v *template.Value) bool {
	return v.Is(template.Map) && len(v.Fields) == 1 && strings.HasSuffix(v.Fields[0].Key, "Policy") && !v.IsIntrinsic()
}

// policyTemplate is a policy with parameters: statements of actions on resources, in
// which ${name} stands for a parameter.
type policyTemplate struct {
	parameters map[string]string // parameter -> its name inside the resources
	statements []policyStatement
}

type policyStatement struct {
	actions   string
	resources []string // "*" or what follows the partition, region and account are AWS's
}

const here = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:"

func resource(service, rest string) string { return strings.Replace(here, "%s", service, 1) + rest }

func policyTemplates() map[string]policyTemplate {
	one := func(parameter, name string) map[string]string { return map[string]string{parameter: name} }
	return map[string]policyTemplate{
		"SSMParameterReadPolicy": {one("ParameterName", "parameterName"), []policyStatement{
			{"ssm:DescribeParameters", []string{"*"}},
			{"ssm:GetParameters ssm:GetParameter ssm:GetParametersByPath", []string{resource("ssm", "parameter/${parameterName}")}},
		}},
		"SSMParameterWithSlashPrefixReadPolicy": {one("ParameterName", "parameterName"), []policyStatement{
			{"ssm:DescribeParameters", []string{"*"}},
			{"ssm:GetParameters ssm:GetParameter ssm:GetParametersByPath", []string{resource("ssm", "parameter${parameterName}")}},
		}},
		"LambdaInvokePolicy": {one("FunctionName", "functionName"), []policyStatement{
			{"lambda:InvokeFunction", []string{resource("lambda", "function:${functionName}*")}},
		}},
		"SQSPollerPolicy": {one("QueueName", "queueName"), []policyStatement{
			{"sqs:ChangeMessageVisibility sqs:ChangeMessageVisibilityBatch sqs:DeleteMessage sqs:DeleteMessageBatch sqs:GetQueueAttributes sqs:ReceiveMessage",
				[]string{resource("sqs", "${queueName}")}},
		}},
		"SQSSendMessagePolicy": {one("QueueName", "queueName"), []policyStatement{
			{"sqs:SendMessage*", []string{resource("sqs", "${queueName}")}},
		}},
		"CloudWatchPutMetricPolicy": {nil, []policyStatement{{"cloudwatch:PutMetricData", []string{"*"}}}},
	}
}

func (f *function) fromTemplate(item *template.Value) *template.Value {
	name, given := item.Fields[0].Key, item.Fields[0].Value
	t, ok := policyTemplates()[name]
	if !ok {
		f.tr.notBuilt(item.Pos, f.id, "Properties.Policies", "the policy template "+name)
		return nil
	}
	statements := list()
	for _, s := range t.statements {
		actions := list()
		for _, a := range strings.Fields(s.actions) {
			actions.Items = append(actions.Items, template.NewString(a))
		}
		for _, r := range s.resources {
			value := template.NewString(r)
			for parameter, variable := range t.parameters {
				if !strings.Contains(r, "${"+variable+"}") {
					continue
				}
				x := given.Get(parameter)
				if x == nil {
					f.tr.fail(item.Pos, f.id, "Properties.Policies."+name, "the policy template %s needs %s", name, parameter)
					return nil
				}
				value = sub(template.NewString(r), template.NewMap(variable, x))
			}
			statements.Items = append(statements.Items, template.NewMap("Effect", "Allow", "Action", actions.Clone(), "Resource", value))
		}
	}
	return template.NewMap("Statement", statements)
}
