package wiregen

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// plan is a model seen through the operations taken of it: the Go types to
// write, and what must be checked in which of them.
type plan struct {
	m          *Model
	ops        []string
	structures []string        // reachable structures that are no exceptions, sorted
	exceptions []string        // sorted
	enums      []string        // sorted
	checked    map[string]bool // structures that have something to check, reachable from an input
	texts      []string        // string shapes that checks refer to, sorted
	prefix     string          // of every Go type
}

func newPlan(m *Model, ops []string, prefix string) (*plan, error) {
	p := &plan{m: m, ops: ops, prefix: prefix}
	all, inputs := map[string]bool{}, map[string]bool{}
	for _, name := range ops {
		op := m.Operations.Get(name)
		if op.Input != nil {
			p.reach(op.Input.Shape, all)
			p.reach(op.Input.Shape, inputs)
		}
		if op.Output != nil {
			p.reach(op.Output.Shape, all)
		}
		for _, e := range op.Errors {
			p.reach(e.Shape, all)
		}
	}
	for _, name := range sorted(all) {
		s := m.Shapes.Get(name)
		switch {
		case s.Type == "structure" && s.Document:
		case s.Type == "structure" && s.Exception:
			p.exceptions = append(p.exceptions, name)
		case s.Type == "structure":
			p.structures = append(p.structures, name)
		case s.Type == "string" && len(s.Enum) > 0:
			p.enums = append(p.enums, name)
		}
	}
	p.findChecks(inputs)
	return p, p.checkNames()
}

func sorted(set map[string]bool) []string {
	var names []string
	for n := range set {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// reach adds a shape and all that it is made of.
func (p *plan) reach(name string, seen map[string]bool) {
	if seen[name] {
		return
	}
	seen[name] = true
	for _, r := range p.parts(p.m.Shapes.Get(name)) {
		p.reach(r.Shape, seen)
	}
}

func (p *plan) parts(s *Shape) []*Ref {
	if s.Document {
		return nil
	}
	var refs []*Ref
	for _, n := range s.Members.Names {
		refs = append(refs, s.Members.Get(n))
	}
	for _, r := range []*Ref{s.Member, s.Key, s.Value} {
		if r != nil {
			refs = append(refs, r)
		}
	}
	return refs
}

// checkNames refuses a model in which two things would get the same Go name.
func (p *plan) checkNames() error {
	taken := map[string]string{"Service": "the interface", "Unimplemented": "the empty service", "New": "the constructor", "Client": "the client"}
	claim := func(name, by string) error {
		if other, ok := taken[name]; ok {
			return fmt.Errorf("wiregen: both %s and %s are called %s", other, by, name)
		}
		taken[name] = by
		return nil
	}
	for _, list := range [][]string{p.structures, p.exceptions, p.enums} {
		for _, shape := range list {
			if err := claim(p.typeName(shape), shape); err != nil {
				return err
			}
		}
	}
	for _, op := range p.ops {
		for _, io := range []string{p.input(op), p.output(op)} {
			if taken[io] == "" {
				if err := claim(io, op); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// input returns the Go type of an operation's input.
func (p *plan) input(op string) string {
	if r := p.m.Operations.Get(op).Input; r != nil {
		return p.typeName(r.Shape)
	}
	return p.prefix + op + "Input"
}

// output returns the Go type of an operation's output.
func (p *plan) output(op string) string {
	if r := p.m.Operations.Get(op).Output; r != nil {
		return p.typeName(r.Shape)
	}
	return p.prefix + op + "Output"
}

func (p *plan) typeName(shape string) string { return p.prefix + exported(shape) }

// exported returns a model's name as an exported Go name: characters that Go does
// not allow become underscores, and a name that cannot be capitalised gets an X.
func exported(name string) string {
	r := []rune(strings.Map(func(r rune) rune {
		if r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '_'
	}, name))
	if r[0] = unicode.ToUpper(r[0]); !unicode.IsUpper(r[0]) {
		return "X" + string(r)
	}
	return string(r)
}

// goType returns the Go type of a reference, outside a structure.
func (p *plan) goType(r *Ref) string {
	s := p.m.Shapes.Get(r.Shape)
	switch s.Type {
	case "string", "character":
		if len(s.Enum) > 0 {
			return p.typeName(r.Shape)
		}
		return "string"
	case "integer":
		return "int32"
	case "long":
		return "int64"
	case "float", "double":
		return "float64"
	case "boolean":
		return "bool"
	case "timestamp":
		return "time.Time"
	case "blob":
		return "[]byte"
	case "list":
		return "[]" + p.goType(s.Member)
	case "map":
		return "map[string]" + p.goType(s.Value)
	case "structure":
		if s.Document {
			return "json.RawMessage"
		}
		return p.typeName(r.Shape)
	}
	panic("wiregen: unknown type " + s.Type)
}

// memberType returns the Go type of a member: what is optional and has no value
// that means absent becomes a pointer.
func (p *plan) memberType(r *Ref, required bool) string {
	t := p.goType(r)
	if p.pointer(r, required) {
		return "*" + t
	}
	return t
}

func (p *plan) pointer(r *Ref, required bool) bool {
	s := p.m.Shapes.Get(r.Shape)
	switch s.Type {
	case "structure":
		return !s.Document
	case "blob", "list", "map":
		return false
	case "string":
		return !required && len(s.Enum) == 0
	}
	return !required
}

// effective returns the traits of a reference together with those of its shape.
func (p *plan) effective(r *Ref) Traits {
	t, s := r.Traits, p.m.Shapes.Get(r.Shape)
	if t.Location == "" && s.Location != "" {
		t.Location = s.Location
	}
	if t.LocationName == "" && s.Location != "" {
		t.LocationName = s.LocationName
	}
	if t.TimestampFormat == "" {
		t.TimestampFormat = s.TimestampFormat
	}
	t.Flattened = t.Flattened || s.Flattened
	t.XMLAttribute = t.XMLAttribute || s.XMLAttribute
	if t.XMLNamespace == (Namespace{}) {
		t.XMLNamespace = s.XMLNamespace
	}
	t.JSONValue = t.JSONValue || s.Member != nil && s.Member.JSONValue
	t.Sensitive = p.sensitive(r.Shape)
	return t
}

// sensitive tells whether values of a shape must not be shown.
func (p *plan) sensitive(shape string) bool {
	s := p.m.Shapes.Get(shape)
	if s.Sensitive {
		return true
	}
	for _, r := range []*Ref{s.Member, s.Key, s.Value} {
		if r != nil && p.m.Shapes.Get(r.Shape).Sensitive {
			return true
		}
	}
	return false
}

// tag returns the content of a member's struct tag.
func (p *plan) tag(owner *Shape, member string) string {
	r := owner.Members.Get(member)
	t, s := p.effective(r), p.m.Shapes.Get(r.Shape)
	payload := owner.Payload == member
	opts := []string{tagName(t, s, member, payload)}
	add := func(when bool, opt string) {
		if when {
			opts = append(opts, opt)
		}
	}
	add(owner.requires(member), "required")
	loc := map[string]string{"statusCode": "status"}[t.Location]
	if loc == "" {
		loc = t.Location
	}
	add(loc != "", "loc="+loc)
	add(payload, "payload")
	add(t.Flattened, "flat")
	add(s.Member != nil && s.Member.LocationName != "", "item="+nameOf(s.Member))
	add(s.Type == "map" && nameOf(s.Key) != "", "key="+nameOf(s.Key))
	add(s.Type == "map" && nameOf(s.Value) != "", "value="+nameOf(s.Value))
	add(t.TimestampFormat != "", "ts="+strings.TrimSuffix(t.TimestampFormat, "Timestamp"))
	add(t.Sensitive, "sensitive")
	add(t.XMLAttribute, "attr")
	add(t.XMLNamespace.URI != "", "ns="+t.XMLNamespace.URI)
	add(t.XMLNamespace.Prefix != "", "prefix="+t.XMLNamespace.Prefix)
	add(t.JSONValue, "json")
	add(t.IdempotencyToken, "idem")
	tag := `aws:"` + strings.Join(opts, ",") + `"`
	if t.QueryName != "" {
		tag += ` q:"` + t.QueryName + `"`
	}
	return tag
}

func tagName(t Traits, s *Shape, member string, payload bool) string {
	switch {
	case t.LocationName != "":
		return t.LocationName
	case payload && s.LocationName != "":
		return s.LocationName
	}
	return member
}

func nameOf(r *Ref) string {
	if r == nil {
		return ""
	}
	return r.LocationName
}

// GoName is the name of a member in Go.
func GoName(member string) string { return exported(member) }
