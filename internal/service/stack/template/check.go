package template

import (
	"slices"
	"strings"
)

// PseudoNames are the pseudo parameters, AWS::NoValue among them.
var pseudoNames = []string{
	"AWS::AccountId", "AWS::NotificationARNs", "AWS::NoValue", "AWS::Partition",
	"AWS::Region", "AWS::StackId", "AWS::StackName", "AWS::URLSuffix",
}

// Check finds the mistakes of an expanded template that can be known before anything is
// deployed: unknown types, properties and attributes, references to nothing, malformed
// calls of intrinsic functions. The error is an [Errors] in the order of the file.
func Check(t *Template, s *Schema) error {
	c := templateChecker{t: t, schema: s, names: map[string]bool{}, types: map[string]string{}}
	for _, p := range t.Parameters {
		c.names[p.Name] = true
	}
	for _, r := range t.Resources {
		if c.names[r.LogicalID] {
			c.es = append(c.es, formatError(r.Pos, "Duplicate name %s: a parameter and a resource", r.LogicalID))
		}
		c.types[r.LogicalID] = r.Type
	}
	for _, r := range t.Resources {
		c.resource(r)
	}
	for _, o := range t.Outputs {
		c.expressions(o.Value, "", "Outputs."+o.Name+".Value", "Outputs")
		c.expressions(o.Export, "", "Outputs."+o.Name+".Export.Name", "Outputs")
		c.condition(o.Condition, o.Pos, "", "Outputs."+o.Name+".Condition")
	}
	return c.es.Err()
}

type templateChecker struct {
	t      *Template
	schema *Schema
	names  map[string]bool   // parameters
	types  map[string]string // resources
	es     Errors
}

func (c *templateChecker) fail(e *Error, id, path string) {
	e.LogicalID, e.Property = id, path
	c.es = append(c.es, e)
}

func (c *templateChecker) resource(r Resource) {
	if _, ok := c.schema.Resources[r.Type]; !ok {
		c.unknownType(r)
		return
	}
	c.schema.CheckProperties(r, &c.es)
	c.properties(r)
	c.condition(r.Condition, r.Value.KeyPos("Condition"), r.LogicalID, "Condition")
	for _, d := range r.DependsOn {
		if _, ok := c.types[d]; !ok {
			e := formatError(r.Value.KeyPos("DependsOn"), "Unresolved resource dependencies [%s] in the Resources block of the template", d)
			c.fail(e, r.LogicalID, "DependsOn")
		}
	}
}

// properties checks the expressions of each property under the property's own name.
func (c *templateChecker) properties(r Resource) {
	isCall := func(f Field) bool { return f.Key == "Ref" || strings.HasPrefix(f.Key, "Fn::") }
	if !r.Properties.Is(Map) || slices.ContainsFunc(r.Properties.Fields, isCall) {
		c.expressions(r.Properties, r.LogicalID, "Properties", "Resources")
		return
	}
	for _, f := range r.Properties.Fields {
		c.expressions(f.Value, r.LogicalID, "Properties."+f.Key, "Resources")
	}
}

func (c *templateChecker) unknownType(r Resource) {
	pos := r.Value.KeyPos("Type")
	if f := r.Value.Get("Type"); f != nil && f.Pos.Line > 0 {
		pos = f.Pos
	}
	if strings.HasPrefix(r.Type, "AWS::") && strings.Count(r.Type, "::") == 2 || strings.HasPrefix(r.Type, "Custom::") {
		e := notBuilt(pos, "the resource type %s is not implemented", r.Type)
		if why := unbuiltReason(r.Type); why != "" {
			e.Message += ": " + why
		} else if s := suggest(r.Type, c.schema.Names()); s != "" {
			e.Message += "; did you mean " + s + "?"
		}
		e.Sentence = "Template format error: Unrecognized resource types: [" + r.Type + "]"
		c.fail(e, r.LogicalID, "Type")
		return
	}
	c.fail(formatError(pos, "Unrecognized resource types: [%s]", r.Type), r.LogicalID, "Type")
}

func (c *templateChecker) condition(name string, pos Pos, id, path string) {
	if name != "" && !c.t.Conditions.Has(name) {
		c.fail(formatError(pos, "Template validation error: unresolved condition dependency: %s", name), id, path)
	}
}

// expressions checks the calls of intrinsic functions in v and what they refer to.
func (c *templateChecker) expressions(v *Value, id, path, section string) {
	if v == nil {
		return
	}
	c.calls(v, id, path)
	for _, ref := range References(v, nil) {
		c.reference(ref, id, path, section)
	}
}

func (c *templateChecker) reference(ref Reference, id, path, section string) {
	if strings.HasPrefix(ref.Name, "AWS::") {
		if !contains(pseudoNames, ref.Name) {
			c.fail(formatError(ref.Pos, "Unresolved resource dependencies [%s] in the %s block of the template", ref.Name, section), id, path)
		}
		return
	}
	if ref.Attribute == "" {
		if _, ok := c.types[ref.Name]; ok || c.names[ref.Name] {
			return
		}
		e := formatError(ref.Pos, "Unresolved resource dependencies [%s] in the %s block of the template", ref.Name, section)
		if s := suggest(ref.Name, c.candidates()); s != "" {
			e.Message += "; did you mean " + s + "?"
		}
		c.fail(e, id, path)
		return
	}
	typ, ok := c.types[ref.Name]
	if !ok {
		c.fail(templateError(ref.Pos, "instance of Fn::GetAtt references undefined resource %s", ref.Name), id, path)
		return
	}
	if _, known := c.schema.Resources[typ]; known && ref.Attribute != "*" && !c.schema.HasAttribute(typ, ref.Attribute) {
		e := templateError(ref.Pos, "resource %s does not support attribute type %s in Fn::GetAtt", ref.Name, ref.Attribute)
		e.Message += "; " + typ + " has " + oneOf(c.schema.Resources[typ].Attributes)
		c.fail(e, id, path)
	}
}

func (c *templateChecker) candidates() []string {
	out := append([]string(nil), pseudoNames...)
	for n := range c.names {
		out = append(out, n)
	}
	for n := range c.types {
		out = append(out, n)
	}
	return out
}

// calls checks the names of functions and the conditions of Fn::If.
func (c *templateChecker) calls(v *Value, id, path string) {
	for _, x := range v.Items {
		c.calls(x, id, path)
	}
	for _, f := range v.Fields {
		switch {
		case strings.HasPrefix(f.Key, "Fn::") && len(v.Fields) > 1:
			c.fail(templateError(f.Pos, "%s must be the only key of its map", f.Key), id, path)
		case f.Key == "Ref" && len(v.Fields) == 1 && !f.Value.Is(String):
			c.fail(templateError(f.Pos, "every Ref object must have a single String value."), id, path)
		case f.Key == "Fn::If" && (!f.Value.Is(List) || len(f.Value.Items) != 3):
			c.fail(templateError(f.Pos, "Fn::If requires a list argument with three elements"), id, path)
		case f.Key == "Fn::If":
			c.condition(f.Value.Items[0].Str(), f.Pos, id, path)
		case f.Key == "Fn::GetAtt":
			if refs := References(v, nil); len(refs) == 0 {
				c.fail(templateError(f.Pos, "Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute"), id, path)
			}
		case strings.HasPrefix(f.Key, "Fn::") && !contains(builtFunctions, f.Key):
			c.fail(notBuilt(f.Pos, "the intrinsic function %s is not implemented", f.Key), id, path)
		}
		c.calls(f.Value, id, path)
	}
}

var builtFunctions = []string{
	"Fn::GetAtt", "Fn::Sub", "Fn::Join", "Fn::Select", "Fn::Split", "Fn::If", "Fn::FindInMap",
	"Fn::ImportValue", "Fn::Base64", "Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not",
}
