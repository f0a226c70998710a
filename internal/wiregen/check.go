package wiregen

import (
	"fmt"
	"strings"
)

// findChecks decides which structures need a validate method: those reachable
// from an input that have, at any depth, something to check.
func (p *plan) findChecks(inputs map[string]bool) {
	p.checked = map[string]bool{}
	texts := map[string]bool{}
	for again := true; again; {
		again = false
		for _, name := range p.structures {
			if inputs[name] && !p.checked[name] && p.checks(name, texts) {
				p.checked[name], again = true, true
			}
		}
	}
	p.texts = sorted(texts)
}

func (p *plan) checks(name string, texts map[string]bool) bool {
	s, found := p.m.Shapes.Get(name), false
	for _, member := range s.Members.Names {
		if len(p.memberChecks(s, member, texts)) > 0 {
			found = true
		}
	}
	return found
}

// memberChecks returns the statements that check one member; string shapes
// that they name are added to texts.
func (p *plan) memberChecks(owner *Shape, member string, texts map[string]bool) []string {
	r := owner.Members.Get(member)
	c := &checkWriter{p: p, s: p.m.Shapes.Get(r.Shape), ref: r, texts: texts, member: member, field: "s." + exported(member), path: "path"}
	c.required = owner.requires(member)
	c.traits = p.effective(r)
	if c.traits.Location != "" {
		c.path = `""`
	}
	c.present()
	switch c.s.Type {
	case "string", "character":
		c.text()
	case "integer", "long", "float", "double":
		c.number()
	case "blob":
		c.size()
	case "list":
		c.size()
		c.elements(c.s.Member, "CheckTexts", "range "+c.field, "wire.Element", "i")
	case "map":
		c.size()
		if p.constrained(c.s.Key.Shape) {
			c.add("wire.CheckKeys(v, %s, %q, %s, &%s)", c.path, member, c.field, c.textVar(c.s.Key.Shape))
		}
		c.entries()
	case "structure":
		if p.checked[r.Shape] {
			c.add("if %s != nil {\n%s.validate(v, wire.Join(%s, %q))\n}", c.field, c.field, c.path, member)
		}
	}
	return c.out
}

type checkWriter struct {
	p        *plan
	s        *Shape
	ref      *Ref
	traits   Traits
	texts    map[string]bool
	member   string // its name in the model
	field    string // Go expression of its value
	path     string // Go expression of the owner's path
	required bool
	out      []string
}

func (c *checkWriter) add(format string, args ...any) {
	c.out = append(c.out, fmt.Sprintf(format, args...))
}

// present checks a required member whose Go value can be absent. Scalars are
// left to the decoder.
func (c *checkWriter) present() {
	if !c.required || c.traits.Location == "uri" {
		return
	}
	present := ""
	switch {
	case c.s.Type == "string" && len(c.s.Enum) > 0:
		present = c.field + ` != ""`
	case c.s.Type == "timestamp":
		present = "!" + c.field + ".IsZero()"
	case c.s.Type == "list", c.s.Type == "map", c.s.Type == "structure", c.s.Type == "blob":
		present = c.field + " != nil"
	default:
		return
	}
	c.add("wire.CheckPresent(v, %s, %q, %s)", c.path, c.member, present)
}

func (c *checkWriter) text() {
	if !c.p.constrained(c.ref.Shape) {
		return
	}
	check := "CheckText"
	switch {
	case len(c.s.Enum) > 0:
		check = "CheckEnum"
	case !c.required:
		check = "CheckOptText"
	}
	c.add("wire.%s(v, %s, %q, %s, &%s)", check, c.path, c.member, c.field, c.textVar(c.ref.Shape))
}

func (c *checkWriter) number() {
	value, guard := c.field, ""
	if !c.required {
		value, guard = "*"+c.field, c.field+" != nil"
	}
	var checks []string
	if c.s.Min != nil {
		checks = append(checks, fmt.Sprintf("wire.CheckMin(v, %s, %q, %s, %s)", c.path, c.member, value, *c.s.Min))
	}
	if c.s.Max != nil {
		checks = append(checks, fmt.Sprintf("wire.CheckMax(v, %s, %q, %s, %s)", c.path, c.member, value, *c.s.Max))
	}
	switch {
	case len(checks) == 0:
	case guard != "":
		c.add("if %s {\n%s\n}", guard, strings.Join(checks, "\n"))
	default:
		c.add("%s", strings.Join(checks, "\n"))
	}
}

// size checks the length of a list, a map or a blob.
func (c *checkWriter) size() {
	min, max := "0", "0"
	if c.s.Min != nil {
		min = string(*c.s.Min)
	}
	if c.s.Max != nil {
		max = string(*c.s.Max)
	}
	if min == "0" && max == "0" {
		return
	}
	c.add("if %s != nil {\nwire.CheckSize(v, %s, %q, %s, len(%s), %s, %s, %v)\n}",
		c.field, c.path, c.member, c.field, c.field, min, max, c.traits.Sensitive)
}

func (c *checkWriter) elements(r *Ref, check, each, element, index string) {
	switch s := c.p.m.Shapes.Get(r.Shape); {
	case s.Type == "string" && c.p.constrained(r.Shape):
		c.add("wire.%s(v, %s, %q, %s, &%s)", check, c.path, c.member, c.field, c.textVar(r.Shape))
	case s.Type == "structure" && c.p.checked[r.Shape]:
		c.add("for %s := %s {\n%s[%s].validate(v, %s(wire.Join(%s, %q), %s))\n}",
			index, each, c.field, index, element, c.path, c.member, index)
	}
}

func (c *checkWriter) entries() {
	r := c.s.Value
	if c.p.m.Shapes.Get(r.Shape).Type == "structure" && c.p.checked[r.Shape] {
		c.add("for k, e := range %s {\ne.validate(v, wire.Entry(wire.Join(%s, %q), k))\n}", c.field, c.path, c.member)
		return
	}
	c.elements(r, "CheckValues", "", "", "")
}

// constrained tells whether a string shape limits its values.
func (p *plan) constrained(shape string) bool {
	s := p.m.Shapes.Get(shape)
	return s.Type == "string" && (s.Pattern != "" || len(s.Enum) > 0 || positive(s.Min) || positive(s.Max))
}

func (c *checkWriter) textVar(shape string) string {
	c.texts[shape] = true
	return textVar(shape)
}

func textVar(shape string) string { return "text" + exported(shape) }
