package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"moat/internal/service/stack/sam"
	"moat/internal/service/stack/template"
	"moat/internal/wire"
	"moat/internal/wire/ssmapi"
)

// source is a template as it was handed in.
type source struct {
	body         string
	file         string
	dir          string // "" where no local files may be read
	beyond       bool   // paths may lead out of dir
	parameters   map[string]string
	capabilities []string // nil: all
	direct       bool     // not through a change set, which would have shown the expansion
	tags         map[string]string
}

// plan is a template that was found sound, with everything that is known before
// resources exist.
type plan struct {
	source     source
	template   *template.Template // expanded
	processed  json.RawMessage
	scope      template.Scope // parameters, pseudo parameters, mappings, conditions
	graph      *template.Graph
	live       map[string]template.Resource
	parameters []storedParameter
}

// prepare checks and expands a template for a stack. Nothing is created.
func (s *Service) prepare(ctx context.Context, info StackInfo, src source) (*plan, error) {
	parsed, err := template.Parse([]byte(src.body), src.file)
	if err != nil {
		return nil, err
	}
	values, err := parsed.ResolveParameters(src.parameters, s.lookup(ctx))
	if err != nil {
		return nil, err
	}
	root := parsed.Root.Clone()
	if err := include(root, &src); err != nil {
		return nil, err
	}
	if err := s.packages(ctx, root, &src); err != nil {
		return nil, err
	}
	if parsed.Serverless() {
		if root, err = sam.Transform(sam.Input{Root: root, Parameters: values, Region: info.Region}); err != nil {
			return nil, err
		}
	}
	p, err := s.plan(info, root, values, src.file)
	if err != nil {
		return nil, err
	}
	p.source = src
	if err := capable(p.template, &src, len(parsed.Transforms) > 0); err != nil {
		return nil, err
	}
	p.parameters = storedParameters(parsed, values)
	return p, nil
}

// plan checks an expanded template and orders its resources.
func (s *Service) plan(info StackInfo, root *template.Value, values map[string]template.ParameterValue, file string) (*plan, error) {
	t, err := template.FromValue(root, file)
	if err != nil {
		return nil, err
	}
	if err := template.Check(t, s.schema); err != nil {
		return nil, err
	}
	p := &plan{template: t, processed: root.JSON(), live: map[string]template.Resource{}}
	p.scope = template.Scope{Parameters: values, Pseudo: pseudo(info), Mappings: t.Mappings}
	if err := t.EvaluateConditions(&p.scope); err != nil {
		return nil, err
	}
	var es template.Errors
	for _, r := range t.Live(p.scope.Conditions) {
		p.live[r.LogicalID] = r
		h, ok := s.handlers[r.Type]
		if !ok {
			return nil, &template.Error{Pos: r.Pos, LogicalID: r.LogicalID, Property: "Type", Message: "the resource type " + r.Type + " is not implemented", NotBuilt: true}
		}
		es = append(es, s.foreseen(r, h, p.scope.Known(r.Properties))...)
	}
	if err := es.Err(); err != nil {
		return nil, err
	}
	if p.graph, err = t.Dependencies(p.scope.Conditions); err != nil {
		return nil, err
	}
	return p, nil
}

func pseudo(info StackInfo) map[string]*template.Value {
	return map[string]*template.Value{
		"AWS::AccountId": template.NewString(info.Account), "AWS::Region": template.NewString(info.Region),
		"AWS::StackId": template.NewString(info.ID), "AWS::StackName": template.NewString(info.Name),
		"AWS::Partition": template.NewString("aws"), "AWS::URLSuffix": template.NewString("amazonaws.com"),
		"AWS::NotificationARNs": template.NewList(),
	}
}

func storedParameters(t *template.Template, values map[string]template.ParameterValue) []storedParameter {
	var out []storedParameter
	for i := range t.Parameters {
		p := &t.Parameters[i]
		v := values[p.Name]
		out = append(out, storedParameter{Key: p.Name, Given: v.Given, Resolved: v.Resolved, Stored: p.Stored(), NoEcho: p.NoEcho})
	}
	return out
}

// lookup reads a parameter of Systems Manager as the caller.
func (s *Service) lookup(ctx context.Context) func(string) (string, error) {
	if s.cfg.Services.SSM == nil {
		return nil
	}
	return func(name string) (string, error) {
		out, err := s.cfg.Services.SSM.GetParameter(ctx, &ssmapi.GetParameterRequest{Name: name})
		if err != nil {
			return "", err
		}
		if out.Parameter == nil {
			return "", errors.New("the parameter has no value")
		}
		if out.Parameter.Type == "SecureString" {
			return "", errors.New("a SecureString cannot be used in a template's parameter")
		}
		return wire.Value(out.Parameter.Value), nil
	}
}

// capable asks for the acknowledgement of what a template may do.
func capable(t *template.Template, src *source, transforms bool) error {
	if src.capabilities == nil {
		return nil
	}
	has := setOf(src.capabilities)
	var missing []string
	need := capabilities(t)
	if need == "CAPABILITY_NAMED_IAM" && !has[need] || need == "CAPABILITY_IAM" && !has[need] && !has["CAPABILITY_NAMED_IAM"] {
		missing = append(missing, need)
	}
	if transforms && src.direct && !has["CAPABILITY_AUTO_EXPAND"] {
		missing = append(missing, "CAPABILITY_AUTO_EXPAND")
	}
	if len(missing) > 0 {
		return insufficient(missing)
	}
	return nil
}

// capabilities returns the strongest acknowledgement that the resources need.
func capabilities(t *template.Template) string {
	need := ""
	for _, r := range t.Resources {
		name := ""
		switch r.Type {
		case "AWS::IAM::Role":
			name = "RoleName"
		case "AWS::IAM::User":
			name = "UserName"
		case "AWS::IAM::ManagedPolicy":
			name = "ManagedPolicyName"
		case "AWS::IAM::Policy", "AWS::IAM::AccessKey":
		default:
			continue
		}
		if name != "" && r.Properties.Has(name) {
			return "CAPABILITY_NAMED_IAM"
		}
		need = "CAPABILITY_IAM"
	}
	return need
}

// include replaces {"Fn::Transform": {"Name": "AWS::Include", ...}} by the file's content.
func include(v *template.Value, src *source) error {
	for i := range v.Items {
		if err := include(v.Items[i], src); err != nil {
			return err
		}
	}
	for i := range v.Fields {
		f := &v.Fields[i]
		if t := f.Value.Get("Fn::Transform"); t != nil {
			content, err := included(t, f.Value.Pos, src)
			if err != nil {
				return err
			}
			if f.Value, err = beside(f.Value, content); err != nil {
				return err
			}
			continue
		}
		if f.Value != nil {
			if err := include(f.Value, src); err != nil {
				return err
			}
		}
	}
	return nil
}

// beside adds what was included to the entries that stand beside the transform; those win.
func beside(v, content *template.Value) (*template.Value, error) {
	if len(v.Fields) == 1 {
		return content, nil
	}
	if !content.Is(template.Map) {
		return nil, &template.Error{Pos: v.Pos, Property: "Fn::Transform", Message: "the included file is no map and cannot be merged with the entries beside it"}
	}
	out := v.Clone()
	out.Delete("Fn::Transform")
	for _, f := range content.Fields {
		if !out.Has(f.Key) {
			out.Fields = append(out.Fields, f)
		}
	}
	return out, nil
}

func included(t *template.Value, pos template.Pos, src *source) (*template.Value, error) {
	location := t.At("Parameters", "Location").Str()
	fail := func(format string, args ...any) error {
		return &template.Error{Pos: pos, Property: "Fn::Transform", Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case t.Get("Name").Str() != "AWS::Include":
		return nil, &template.Error{Pos: pos, Property: "Fn::Transform", Message: "only the transform AWS::Include is implemented here", NotBuilt: true}
	case location == "":
		return nil, fail("AWS::Include needs Parameters.Location")
	case strings.HasPrefix(location, "s3://"):
		return nil, &template.Error{Pos: pos, Property: "Fn::Transform", Message: "AWS::Include from S3 is not implemented: there is no S3 here", NotBuilt: true}
	case src.dir == "":
		return nil, fail("the location parameter is not a valid S3 uri.")
	}
	path, err := src.within(location)
	if err != nil {
		return nil, fail("%v", err)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fail("%v", err)
	}
	return template.ParseValue(body, location)
}

// within joins a relative path to the template's folder. Out of it leads no path but
// that of an operator's own template: a template that was sent here must not read the
// server's files.
func (src *source) within(path string) (string, error) {
	if filepath.IsAbs(path) || !src.beyond && !filepath.IsLocal(path) {
		return "", fmt.Errorf("%s: expected a path below the template's folder", path)
	}
	return filepath.Join(src.dir, path), nil
}

// unchanged reports whether deploying p over what a stack has would change nothing.
func (p *plan) unchanged(processed json.RawMessage, parameters []storedParameter, tags map[string]string) bool {
	var old template.Value
	if err := json.Unmarshal(processed, &old); err != nil {
		return false
	}
	var now template.Value
	if err := json.Unmarshal(p.processed, &now); err != nil {
		return false
	}
	for _, section := range []string{"Resources", "Outputs", "Conditions", "Mappings"} {
		if !template.Equal(old.Get(section), now.Get(section)) {
			return false
		}
	}
	return sameParameters(parameters, p.parameters) && sameTags(tags, p.source.tags)
}

func sameParameters(a, b []storedParameter) bool {
	values := map[string]string{}
	for _, p := range a {
		values[p.Key] = p.Resolved
	}
	for _, p := range b {
		if v, ok := values[p.Key]; !ok || v != p.Resolved {
			return false
		}
	}
	return len(a) == len(b)
}

func sameTags(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

func sortedKeys[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
