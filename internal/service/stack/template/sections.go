package template

import (
	"strings"

	"moat/internal/pure/lazyregexp"
)

// Template is a parsed template with its sections found and their form checked.
type Template struct {
	File        string
	Root        *Value
	Description string
	Parameters  []Parameter
	Transforms  []string
	Resources   []Resource
	Outputs     []Output
	Mappings    *Value
	Conditions  *Value
	Metadata    *Value
}

// Resource is one entry of the Resources section.
type Resource struct {
	LogicalID           string
	Type                string
	Properties          *Value // nil when the template gives none
	DependsOn           []string
	Condition           string
	DeletionPolicy      string
	UpdateReplacePolicy string
	Metadata            *Value
	Value               *Value
	Pos                 Pos
}

// Output is one entry of the Outputs section.
type Output struct {
	Name        string
	Value       *Value
	Description string
	Export      *Value // the expression of the export's name, nil when not exported
	Condition   string
	Pos         Pos
}

var (
	alphanumeric = lazyregexp.New(`^[A-Za-z0-9]+$`)

	sectionNames = []string{
		"AWSTemplateFormatVersion", "Conditions", "Description", "Mappings", "Metadata",
		"Outputs", "Parameters", "Resources", "Rules", "Transform", "Globals", "Hooks",
	}
	attributeNames = []string{
		"Condition", "CreationPolicy", "DeletionPolicy", "DependsOn", "Metadata",
		"Properties", "Type", "UpdatePolicy", "UpdateReplacePolicy", "Connectors", "IgnoreGlobals",
	}
)

const samTransform = "AWS::Serverless-2016-10-31"

// Parse reads a template and checks the form of its sections. Properties of resources
// are not looked into: see [Check]. The error is an [Errors] or an [*Error].
func Parse(body []byte, file string) (*Template, error) {
	root, err := ParseValue(body, file)
	if err != nil {
		return nil, err
	}
	return FromValue(root, file)
}

// FromValue does for a parsed document what [Parse] does for its text.
func FromValue(root *Value, file string) (*Template, error) {
	if !root.Is(Map) {
		return nil, formatError(root.Pos, "unsupported structure.")
	}
	t := &Template{File: file, Root: root}
	var es Errors
	t.checkSections(&es)
	t.readTransforms(&es)
	t.readParameters(&es)
	t.readResources(&es)
	t.readOutputs(&es)
	if err := es.Err(); err != nil {
		return nil, err
	}
	return t, nil
}

// Serverless reports whether the template asks for the SAM transform.
func (t *Template) Serverless() bool {
	for _, name := range t.Transforms {
		if name == samTransform {
			return true
		}
	}
	return false
}

// Resource returns the resource of a logical id.
func (t *Template) Resource(id string) (Resource, bool) {
	for _, r := range t.Resources {
		if r.LogicalID == id {
			return r, true
		}
	}
	return Resource{}, false
}

func (t *Template) checkSections(es *Errors) {
	for _, f := range t.Root.Fields {
		known := false
		for _, s := range sectionNames {
			known = known || s == f.Key
		}
		if !known {
			e := &Error{Pos: f.Pos, Sentence: "Invalid template property or properties [" + f.Key + "]"}
			e.Message = "unknown section " + f.Key
			if s := suggest(f.Key, sectionNames); s != "" {
				e.Message += "; did you mean " + s + "?"
			}
			*es = append(*es, e)
		}
		if f.Key == "Rules" || f.Key == "Hooks" {
			*es = append(*es, notBuilt(f.Pos, "the section %s is not implemented", f.Key))
		}
	}
	if v := t.Root.Get("AWSTemplateFormatVersion"); v != nil {
		if s, _ := v.Scalar(); s != "2010-09-09" {
			*es = append(*es, formatError(v.Pos, "unsupported value for AWSTemplateFormatVersion: expected 2010-09-09."))
		}
	}
	if v := t.Root.Get("Description"); v != nil {
		if !v.Is(String) {
			*es = append(*es, formatError(v.Pos, "Description must be a string"))
		}
		t.Description = v.Str()
	}
	t.Mappings = t.section("Mappings", es)
	t.Conditions = t.section("Conditions", es)
	t.Metadata = t.section("Metadata", es)
	t.checkMappings(es)
}

// section returns a section that must be a map when it is there.
func (t *Template) section(name string, es *Errors) *Value {
	v := t.Root.Get(name)
	if v == nil || v.Is(Map) {
		return v
	}
	*es = append(*es, formatError(v.Pos, "Every %s member must be a map.", name))
	return nil
}

func (t *Template) checkMappings(es *Errors) {
	if t.Mappings == nil {
		return
	}
	for _, m := range t.Mappings.Fields {
		if !m.Value.Is(Map) {
			*es = append(*es, formatError(m.Pos, "Every Mappings member %s must be a map", m.Key))
			continue
		}
		for _, top := range m.Value.Fields {
			if !top.Value.Is(Map) {
				*es = append(*es, formatError(top.Pos, "Every Mappings attribute must be a map: %s.%s", m.Key, top.Key))
			}
		}
	}
}

func (t *Template) readTransforms(es *Errors) {
	v := t.Root.Get("Transform")
	if v == nil {
		return
	}
	items := []*Value{v}
	if v.Is(List) {
		items = v.Items
	}
	for _, x := range items {
		switch name := x.Str(); name {
		case samTransform:
			t.Transforms = append(t.Transforms, name)
		case "AWS::LanguageExtensions", "AWS::CodeDeployBlueGreen", "AWS::SecretsManager-2020-07-23", "AWS::SecretsManager-2024-09-16", "AWS::ServiceCatalog":
			*es = append(*es, notBuilt(x.Pos, "the transform %s is not implemented", name))
		case "":
			if x.Is(Map) && x.Get("Name").Str() == "AWS::Include" {
				*es = append(*es, notBuilt(x.Pos, "AWS::Include of whole sections is not implemented; use Fn::Transform inside a section"))
				continue
			}
			*es = append(*es, formatError(x.Pos, "Key Name of transform definition must be a string."))
		default:
			*es = append(*es, &Error{
				Pos: x.Pos, Message: "no transform named " + name + ": expected " + samTransform,
				Sentence: "No transform named " + name + " found.",
			})
		}
	}
}

func (t *Template) readResources(es *Errors) {
	section := t.section("Resources", es)
	if section.Empty() {
		pos := t.Root.KeyPos("Resources")
		*es = append(*es, formatError(pos, "At least one Resources member must be defined."))
		return
	}
	for _, f := range section.Fields {
		if !alphanumeric.MatchString(f.Key) {
			*es = append(*es, formatError(f.Pos, "Resource name %s is non alphanumeric.", f.Key))
			continue
		}
		if !f.Value.Is(Map) {
			*es = append(*es, formatError(f.Pos, "Any Resources member must be an object."))
			continue
		}
		t.readResource(f, es)
	}
}

func (t *Template) readResource(f Field, es *Errors) {
	r := Resource{LogicalID: f.Key, Value: f.Value, Pos: f.Pos, Metadata: f.Value.Get("Metadata")}
	fail := func(pos Pos, property, sentence, message string) {
		*es = append(*es, &Error{Pos: pos, LogicalID: f.Key, Property: property, Message: message, Sentence: sentence})
	}
	for _, a := range f.Value.Fields {
		if !contains(attributeNames, a.Key) {
			message := "unknown attribute of a resource"
			if s := suggest(a.Key, attributeNames); s != "" {
				message += "; did you mean " + s + "?"
			}
			fail(a.Pos, a.Key, "Invalid template resource property '"+a.Key+"'", message)
		}
	}
	if r.Type = f.Value.Get("Type").Str(); r.Type == "" {
		fail(f.Pos, "Type", "Template format error: [/Resources/"+f.Key+"] Every Resources object must contain a Type member.",
			"expected the type of the resource, such as AWS::SSM::Parameter")
	}
	if p := f.Value.Get("Properties"); p != nil && !p.Is(Null) {
		if !p.Is(Map) {
			fail(p.Pos, "Properties", "Template format error: [/Resources/"+f.Key+"/Properties] 'null' values are not allowed in templates",
				"expected a map of properties, found a "+p.Kind.String())
		} else {
			r.Properties = p
		}
	}
	if c := f.Value.Get("Condition"); c != nil {
		if r.Condition = c.Str(); r.Condition == "" {
			fail(c.Pos, "Condition", "Template format error: Every Condition member must be a string.", "expected the name of a condition")
		}
	}
	r.DependsOn = dependsOn(f.Value.Get("DependsOn"), func(pos Pos) {
		fail(pos, "DependsOn", "Template format error: Every DependsOn value must be a string.", "expected a logical id or a list of them")
	})
	r.DeletionPolicy = policy(f.Value, "DeletionPolicy", fail)
	r.UpdateReplacePolicy = policy(f.Value, "UpdateReplacePolicy", fail)
	t.Resources = append(t.Resources, r)
}

func policy(v *Value, name string, fail func(pos Pos, property, sentence, message string)) string {
	x := v.Get(name)
	if x == nil {
		return ""
	}
	switch s := x.Str(); s {
	case "Delete", "Retain", "RetainExceptOnCreate":
		return s
	case "Snapshot":
		fail(x.Pos, name, "Template error: resource type does not support "+name+" Snapshot", "expected Delete or Retain: none of the resource types here has snapshots")
	default:
		fail(x.Pos, name, "Template format error: Unrecognized "+name+" "+s, "expected Delete, Retain or RetainExceptOnCreate")
	}
	return ""
}

func dependsOn(v *Value, fail func(Pos)) []string {
	if v == nil {
		return nil
	}
	if v.Is(String) {
		return []string{v.Text}
	}
	var ids []string
	for _, x := range v.Items {
		if !x.Is(String) {
			fail(x.Pos)
			continue
		}
		ids = append(ids, x.Text)
	}
	if !v.Is(List) {
		fail(v.Pos)
	}
	return ids
}

func (t *Template) readOutputs(es *Errors) {
	section := t.section("Outputs", es)
	if section == nil {
		return
	}
	for _, f := range section.Fields {
		if !alphanumeric.MatchString(f.Key) {
			*es = append(*es, formatError(f.Pos, "Output name %s is non alphanumeric.", f.Key))
			continue
		}
		if !f.Value.Is(Map) || f.Value.Get("Value") == nil {
			*es = append(*es, formatError(f.Pos, "Every Outputs member must contain a Value object: %s", f.Key))
			continue
		}
		o := Output{Name: f.Key, Value: f.Value.Get("Value"), Description: f.Value.Get("Description").Str(), Condition: f.Value.Get("Condition").Str(), Pos: f.Pos}
		for _, k := range f.Value.Fields {
			if !contains([]string{"Value", "Description", "Export", "Condition"}, k.Key) {
				*es = append(*es, &Error{Pos: k.Pos, Property: "Outputs." + f.Key + "." + k.Key, Message: "unknown attribute of an output; expected Value, Description, Export or Condition", Sentence: "Invalid template outputs property '" + k.Key + "'"})
			}
		}
		if e := f.Value.Get("Export"); e != nil {
			if o.Export = e.Get("Name"); o.Export == nil {
				*es = append(*es, formatError(e.Pos, "Output %s is malformed. The Export must have a Name.", f.Key))
				continue
			}
		}
		t.Outputs = append(t.Outputs, o)
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func join(path, key string) string {
	return strings.TrimPrefix(path+"."+key, ".")
}
