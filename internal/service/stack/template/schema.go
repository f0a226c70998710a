package template

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// The property types, replacement rules and attributes of the resource types, derived
// from the schema database that AWS publishes for CloudFormation (Apache-2.0, see NOTICE).
//
//go:embed schema.json
var schemaJSON []byte

// Schema knows the properties and attributes of the resource types.
type Schema struct {
	Types     map[string]structure    `json:"types"`
	Resources map[string]resourceType `json:"resources"`
}

type structure struct {
	Name       string              `json:"name"`
	Properties map[string]property `json:"p"`
}

type resourceType struct {
	Properties map[string]property `json:"p"`
	Attributes []string            `json:"a"`
}

type property struct {
	Type     string `json:"t"` // string, integer, number, boolean, json, [T], {T}, #structure, A|B
	Required bool   `json:"r"`
	Replace  string `json:"c"` // "yes": a change replaces the resource; "maybe": it can
	// Enum are the values that it, or each of its elements, may have, where no contract of an API
	// says so.
	Enum []string `json:"e"`
}

// NewSchema reads the embedded schema.
func NewSchema() (*Schema, error) {
	s := &Schema{}
	if err := json.Unmarshal(schemaJSON, s); err != nil {
		return nil, fmt.Errorf("embedded resource schema: %w", err)
	}
	return s, nil
}

// Names returns the resource types, sorted.
func (s *Schema) Names() []string {
	names := make([]string, 0, len(s.Resources))
	for n := range s.Resources {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Replaces reports whether a change of a top-level property replaces the resource.
func (s *Schema) Replaces(resource, property string) bool {
	return s.Resources[resource].Properties[property].Replace == "yes"
}

// HasProperty reports whether a resource type has a top-level property.
func (s *Schema) HasProperty(resource, property string) bool {
	_, has := s.Resources[resource].Properties[property]
	return has
}

// HasAttribute reports whether Fn::GetAtt knows the attribute.
func (s *Schema) HasAttribute(resource, attribute string) bool {
	return contains(s.Resources[resource].Attributes, attribute)
}

// checker collects the mistakes of one resource.
type checker struct {
	schema *Schema
	id     string
	es     *Errors
}

func (c *checker) fail(pos Pos, path, format string, args ...any) {
	*c.es = append(*c.es, &Error{Pos: pos, LogicalID: c.id, Property: path, Message: fmt.Sprintf(format, args...)})
}

// CheckProperties compares the properties of a resource with its schema. What an
// intrinsic function will give is not known yet and passes.
func (s *Schema) CheckProperties(r Resource, es *Errors) {
	t, ok := s.Resources[r.Type]
	if !ok {
		return
	}
	props := r.Properties
	if props == nil {
		props = &Value{Kind: Map, Pos: r.Pos}
	}
	c := &checker{schema: s, id: r.LogicalID, es: es}
	c.fields(props, t.Properties, "Properties", r.Type)
}

func (c *checker) fields(v *Value, props map[string]property, path, owner string) {
	if v.IsIntrinsic() {
		c.branches(v, path, func(x *Value) { c.fields(x, props, path, owner) })
		return
	}
	if !v.Is(Map) {
		c.fail(v.Pos, path, "expected a map (%s), found a %s", owner, v.Kind)
		return
	}
	names := make([]string, 0, len(props))
	for n := range props {
		names = append(names, n)
	}
	for _, f := range v.Fields {
		p, ok := props[f.Key]
		if !ok {
			msg := "unknown property of " + owner
			if s := suggest(f.Key, names); s != "" {
				msg += "; did you mean " + s + "?"
			} else {
				msg += "; expected one of " + oneOf(names)
			}
			c.fail(f.Pos, join(path, f.Key), "%s", msg)
			continue
		}
		c.value(f.Value, p.Type, join(path, f.Key))
		if p.Enum != nil {
			c.enum(f.Value, p.Enum, join(path, f.Key))
		}
	}
	sort.Strings(names)
	for _, n := range names {
		if x := v.Get(n); props[n].Required && (x == nil || isNoValue(x)) {
			c.fail(v.Pos, join(path, n), "required by %s and missing; expected %s", owner, c.describe(props[n].Type))
		}
	}
}

func isNoValue(v *Value) bool {
	name, arg, ok := v.Intrinsic()
	return ok && name == "Ref" && arg.Str() == "AWS::NoValue"
}

// branches looks into both results of an Fn::If; other functions are not looked into.
func (c *checker) branches(v *Value, path string, check func(*Value)) {
	name, arg, _ := v.Intrinsic()
	if name != "Fn::If" || !arg.Is(List) || len(arg.Items) != 3 {
		return
	}
	for _, x := range arg.Items[1:] {
		if !isNoValue(x) {
			check(x)
		}
	}
}

func (c *checker) value(v *Value, typ, path string) {
	if v.IsIntrinsic() && !(typ == "json") {
		c.branches(v, path, func(x *Value) { c.value(x, typ, path) })
		return
	}
	if v.Is(Null) {
		c.fail(v.Pos, path, "null is no value; expected %s", c.describe(typ))
		return
	}
	if strings.Contains(typ, "|") {
		c.union(v, strings.Split(typ, "|"), path)
		return
	}
	switch typ[0] {
	case '[':
		if !v.Is(List) {
			c.fail(v.Pos, path, "expected a list, found a %s", v.Kind)
			return
		}
		for i, x := range v.Items {
			c.value(x, typ[1:len(typ)-1], join(path, strconv.Itoa(i)))
		}
	case '{':
		if !v.Is(Map) {
			c.fail(v.Pos, path, "expected a map, found a %s", v.Kind)
			return
		}
		for _, f := range v.Fields {
			c.value(f.Value, typ[1:len(typ)-1], join(path, f.Key))
		}
	case '#':
		t := c.schema.Types[typ[1:]]
		c.fields(v, t.Properties, path, t.Name)
	default:
		if !fits(v, typ) {
			c.fail(v.Pos, path, "expected %s, found %s", c.describe(typ), shown(v))
		}
	}
}

// enum compares the values that are written in the template.
func (c *checker) enum(v *Value, allowed []string, path string) {
	if v.IsIntrinsic() {
		c.branches(v, path, func(x *Value) { c.enum(x, allowed, path) })
		return
	}
	for i, x := range v.Elements() {
		c.enum(x, allowed, join(path, strconv.Itoa(i)))
	}
	if text, ok := v.Scalar(); ok && !strings.Contains(text, "{{resolve:") && !contains(allowed, strings.TrimSuffix(text, ".0")) {
		c.fail(v.Pos, path, "expected %s, found %s", oneOf(allowed), shown(v))
	}
}

// union accepts a value that fits one of the types; with a structure among them its
// mistakes are the ones reported for a map.
func (c *checker) union(v *Value, types []string, path string) {
	for _, t := range types {
		if t == "json" && (v.Is(Map) || v.Is(List)) {
			return
		}
		if !strings.HasPrefix(t, "#") && !strings.HasPrefix(t, "[") && !strings.HasPrefix(t, "{") && fits(v, t) {
			return
		}
		if strings.HasPrefix(t, "[") && v.Is(List) || strings.HasPrefix(t, "{") && v.Is(Map) || strings.HasPrefix(t, "#") && v.Is(Map) {
			c.value(v, t, path)
			return
		}
	}
	c.fail(v.Pos, path, "expected %s, found %s", c.describe(strings.Join(types, "|")), shown(v))
}

func fits(v *Value, typ string) bool {
	text, scalar := v.Scalar()
	switch typ {
	case "json":
		return true
	case "string":
		return scalar
	case "integer":
		_, err := strconv.ParseInt(strings.TrimSuffix(text, ".0"), 10, 64)
		return scalar && err == nil
	case "number":
		_, err := strconv.ParseFloat(text, 64)
		return scalar && err == nil
	case "boolean":
		return scalar && (strings.EqualFold(text, "true") || strings.EqualFold(text, "false"))
	}
	return false
}

func (c *checker) describe(typ string) string {
	switch {
	case strings.Contains(typ, "|"):
		parts := strings.Split(typ, "|")
		for i := range parts {
			parts[i] = c.describe(parts[i])
		}
		return strings.Join(parts, " or ")
	case typ[0] == '[':
		return "a list"
	case typ[0] == '{':
		return "a map"
	case typ[0] == '#':
		return "a map (" + c.schema.Types[typ[1:]].Name + ")"
	case typ == "integer":
		return "an integer"
	case typ == "json":
		return "a map"
	}
	return "a " + typ
}

func shown(v *Value) string {
	if text, ok := v.Scalar(); ok {
		if len(text) > 40 {
			text = text[:40] + "..."
		}
		return v.Kind.String() + " " + strconv.Quote(text)
	}
	return "a " + v.Kind.String()
}
