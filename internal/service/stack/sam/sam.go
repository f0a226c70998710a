package sam

import (
	"crypto/sha1" //nolint:gosec // AWS derives logical ids with SHA-1; nothing is secured by it
	"encoding/hex"
	"fmt"
	"strings"

	"moat/internal/service/stack/template"
)

const (
	functionType = "AWS::Serverless::Function"
	apiType      = "AWS::Serverless::Api"
	prefix       = "AWS::Serverless::"
	implicitAPI  = "ServerlessRestApi"

	manageSwagger = "__MANAGE_SWAGGER" // marks an API definition that the events fill in
)

// Input is a template to expand.
type Input struct {
	Root       *template.Value // not changed
	Parameters map[string]template.ParameterValue
	Partition  string // "aws" when empty
	Region     string
}

// Transform expands the serverless resources of a template and returns a template
// without Globals and Transform. The error is a [template.Errors].
func Transform(in Input) (*template.Value, error) {
	tr := &transform{
		py: newPython(), root: in.Root.Clone(), parameters: in.Parameters, partition: in.Partition,
		functionNames: map[string]string{}, shared: &sharedPlan{}, refs: map[string]map[string]string{},
	}
	if tr.partition == "" {
		tr.partition = "aws"
	}
	if tr.resources = tr.root.Get("Resources"); tr.resources == nil {
		return tr.root, nil
	}
	if tr.defaultBodies(); tr.failed() {
		return nil, tr.es.Err()
	}
	if tr.implicit(); tr.failed() {
		return nil, tr.es.Err()
	}
	if tr.globals(); tr.failed() {
		return nil, tr.es.Err()
	}
	tr.expand()
	if tr.failed() {
		return nil, tr.es.Err()
	}
	tr.resolveRefs()
	tr.root.Delete("Transform")
	tr.root.Delete("Globals")
	return tr.root, nil
}

// transform is the state of one expansion.
type transform struct {
	py         *python
	root       *template.Value
	resources  *template.Value
	parameters map[string]template.ParameterValue
	partition  string
	es         template.Errors

	functionNames map[string]string // by API: names of functions that the deployment depends on
	shared        *sharedPlan
	refs          map[string]map[string]string // logical id -> "Stage" -> generated logical id
}

func (tr *transform) failed() bool { return len(tr.es) > 0 }

// fail notes a mistake at a value of a resource. The sentence is in the form of AWS's.
func (tr *transform) fail(pos template.Pos, id, property, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	tr.es = append(tr.es, &template.Error{
		Pos: pos, LogicalID: id, Property: property, Message: msg,
		Sentence: "Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless Application Specification document. Number of errors found: 1. Resource with id [" + id + "] is invalid. " + msg,
	})
}

func (tr *transform) notBuilt(pos template.Pos, id, property, what string) {
	tr.es = append(tr.es, &template.Error{Pos: pos, LogicalID: id, Property: property, Message: what + " is not implemented", NotBuilt: true})
}

// expand replaces functions first, then everything else: events write into the
// definitions of APIs.
func (tr *transform) expand() {
	ids := tr.py.keys(tr.resources)
	for _, id := range ids {
		if r := tr.resources.Get(id); r.Get("Type").Str() == functionType {
			tr.expandFunction(id, r)
		}
	}
	for _, id := range ids {
		r := tr.resources.Get(id)
		typ := r.Get("Type").Str()
		switch {
		case typ == apiType:
			tr.expandAPI(id, r)
		case strings.HasPrefix(typ, prefix) && typ != functionType:
			tr.notBuilt(r.KeyPos("Type"), id, "Type", "the resource type "+typ)
		case r.Has("Connectors"):
			tr.notBuilt(r.KeyPos("Connectors"), id, "Connectors", "a connector")
		}
	}
}

// put adds a generated resource, or replaces the serverless one of the same id.
func (tr *transform) put(id, typ string, properties, from *template.Value, attributes ...string) {
	r := template.NewMap("Type", typ)
	r.Pos = from.Pos
	if len(properties.Fields) > 0 {
		properties.Pos = from.KeyPos("Properties")
		r.Set("Properties", properties)
	}
	for _, a := range attributes {
		if x := from.Get(a); x != nil {
			r.Set(a, x.Clone())
		}
	}
	tr.resources.Set(id, r)
	i := fieldIndex(tr.resources, id)
	if tr.resources.Fields[i].Pos.Line == 0 {
		tr.resources.Fields[i].Pos = from.Pos
	}
}

// passThrough are the attributes that generated resources take over.
var passThrough = []string{"Condition", "DeletionPolicy", "UpdateReplacePolicy"}

func (tr *transform) refer(id, property, generated string) {
	if tr.refs[id] == nil {
		tr.refs[id] = map[string]string{}
	}
	tr.refs[id][property] = generated
}

// resolveParameters replaces references to parameters by their values, which is what
// SAM does for the properties that it reads itself.
func (tr *transform) resolveParameters(v *template.Value) *template.Value {
	if v == nil {
		return nil
	}
	if name, arg, ok := v.Intrinsic(); ok && name == "Ref" {
		if p, known := tr.parameters[arg.Str()]; known && p.Value != nil {
			return p.Value.Clone()
		}
		return v
	}
	for i, x := range v.Elements() {
		v.Items[i] = tr.resolveParameters(x)
	}
	for i := range v.Entries() {
		v.Fields[i].Value = tr.resolveParameters(v.Fields[i].Value)
	}
	return v
}

// digest is the hash in generated logical ids.
func digest(data string, length int) string {
	sum := sha1.Sum([]byte(data)) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])[:length]
}

// withHash appends the hash of data to a prefix; without data there is none.
func withHash(prefix, data string) string {
	if data == "" {
		return prefix
	}
	return prefix + digest(data, 10)
}

func isAlphanumeric(s string) bool {
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return s != ""
}

// The values that the transform writes itself are plain strings to Python, and the
// dictionaries it makes with plain keys; see python.go.

func text(s string) *template.Value {
	return &template.Value{Kind: template.String, Text: s, Plain: true}
}

// dict is a Python 2.7 dictionary: its order is that of the hash table.
func dict(entries ...any) *template.Value {
	m := &template.Value{Kind: template.Map, Fields: []template.Field{}}
	for i := 0; i+1 < len(entries); i += 2 {
		set(m, entries[i].(string), entries[i+1])
	}
	return m
}

// ordered is a dictionary of today's Python: its order is that of insertion.
func ordered(entries ...any) *template.Value {
	m := dict(entries...)
	m.Plain = true
	return m
}

// set writes an entry whose key is not from the template.
func set(m *template.Value, key string, x any) {
	var v *template.Value
	switch x := x.(type) {
	case *template.Value:
		v = x
	case string:
		v = text(x)
	case bool:
		v = template.NewBool(x)
	}
	had := m.Has(key)
	m.Set(key, v)
	if !had {
		m.Fields[len(m.Fields)-1].Plain = true
	}
}

// setFrom writes an entry whose key stood in the template.
func setFrom(m *template.Value, key string, v *template.Value) { m.Set(key, v) }

func list(items ...*template.Value) *template.Value {
	if items == nil {
		items = []*template.Value{}
	}
	return &template.Value{Kind: template.List, Items: items}
}

func ref(name string) *template.Value { return ordered("Ref", name) }

// sub is {"Fn::Sub": text} or, with variables, {"Fn::Sub": [text, variables]}.
func sub(s *template.Value, variables *template.Value) *template.Value {
	if variables == nil {
		return ordered("Fn::Sub", s)
	}
	return ordered("Fn::Sub", list(s, variables))
}

func noValue() *template.Value { return ref("AWS::NoValue") }

func conditional(name *template.Value, v *template.Value) *template.Value {
	return ordered("Fn::If", list(name, v, noValue()))
}

func isNoValue(v *template.Value) bool {
	name, arg, ok := v.Intrinsic()
	return ok && name == "Ref" && arg.Str() == "AWS::NoValue"
}

// contents returns both results of an Fn::If, or the value itself.
func contents(v *template.Value) []*template.Value {
	arg := v.Get("Fn::If")
	if !arg.Is(template.List) || len(arg.Items) == 0 {
		return []*template.Value{v}
	}
	var out []*template.Value
	for _, x := range arg.Items[1:] {
		if !isNoValue(x) {
			out = append(out, x)
		}
	}
	return out
}
