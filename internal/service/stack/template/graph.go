package template

import (
	"sort"
	"strings"
)

// Reference is a use of a name in an expression: of a parameter, a pseudo parameter or
// a resource. Attribute is "" for Ref.
type Reference struct {
	Name      string
	Attribute string
	Pos       Pos
}

// References lists what the expressions in v refer to. With conditions given, only the
// branch of an Fn::If that counts is looked into; nil means both.
func References(v *Value, conditions map[string]bool) []Reference {
	var refs []Reference
	walkReferences(v, conditions, &refs)
	return refs
}

func walkReferences(v *Value, conditions map[string]bool, refs *[]Reference) {
	if v.Is(List) {
		for _, x := range v.Items {
			walkReferences(x, conditions, refs)
		}
		return
	}
	if !v.Is(Map) {
		return
	}
	name, arg, ok := v.Intrinsic()
	switch {
	case ok && name == "Ref" && arg.Is(String):
		*refs = append(*refs, Reference{Name: arg.Text, Pos: v.Pos})
		return
	case ok && name == "Fn::GetAtt":
		var s *Scope
		if id, attr, err := s.attributeOf(arg, v.Pos); err == nil {
			*refs = append(*refs, Reference{Name: id, Attribute: attr, Pos: v.Pos})
		} else if arg.Is(List) && len(arg.Items) > 0 {
			*refs = append(*refs, Reference{Name: arg.Items[0].Str(), Attribute: "*", Pos: v.Pos})
		}
		if arg.Is(List) && len(arg.Items) > 1 {
			walkReferences(&Value{Kind: List, Items: arg.Items[1:]}, conditions, refs)
		}
		return
	case ok && name == "Fn::Sub":
		subReferences(arg, v.Pos, conditions, refs)
		return
	case ok && name == "Fn::If" && arg.Is(List) && len(arg.Items) == 3 && conditions != nil:
		if conditions[arg.Items[0].Str()] {
			walkReferences(arg.Items[1], conditions, refs)
		} else {
			walkReferences(arg.Items[2], conditions, refs)
		}
		return
	}
	for _, f := range v.Fields {
		walkReferences(f.Value, conditions, refs)
	}
}

func subReferences(arg *Value, pos Pos, conditions map[string]bool, refs *[]Reference) {
	body, variables := arg, (*Value)(nil)
	if arg.Is(List) && len(arg.Items) == 2 {
		body, variables = arg.Items[0], arg.Items[1]
		walkReferences(variables, conditions, refs)
	}
	for _, m := range subVariable.FindAllStringSubmatch(body.Str(), -1) {
		name := strings.TrimSpace(m[1])
		if strings.HasPrefix(m[1], "!") || variables.Has(name) {
			continue
		}
		ref := Reference{Name: name, Pos: pos}
		if !strings.HasPrefix(name, "AWS::") {
			ref.Name, ref.Attribute, _ = strings.Cut(name, ".")
		}
		*refs = append(*refs, ref)
	}
}

// Graph says which resources wait for which.
type Graph struct {
	Order []string            // logical ids, each after those it depends on
	Needs map[string][]string // direct dependencies, sorted
}

// Dependents returns the reverse of Needs.
func (g *Graph) Dependents() map[string][]string {
	out := make(map[string][]string, len(g.Needs))
	for _, id := range g.Order {
		for _, n := range g.Needs[id] {
			out[n] = append(out[n], id)
		}
	}
	return out
}

// Live returns the resources whose condition is met.
func (t *Template) Live(conditions map[string]bool) []Resource {
	var live []Resource
	for _, r := range t.Resources {
		if r.Condition == "" || conditions[r.Condition] {
			live = append(live, r)
		}
	}
	return live
}

// Dependencies orders the resources whose condition is met. A cycle is an error that
// names it; so is a reference to a resource that the conditions leave out.
func (t *Template) Dependencies(conditions map[string]bool) (*Graph, error) {
	live := t.Live(conditions)
	known := make(map[string]bool, len(live))
	declared := make(map[string]bool, len(t.Resources))
	for _, r := range t.Resources {
		declared[r.LogicalID] = true
	}
	for _, r := range live {
		known[r.LogicalID] = true
	}
	g := &Graph{Needs: make(map[string][]string, len(live))}
	for _, r := range live {
		needs := map[string]bool{}
		for _, d := range r.DependsOn {
			if known[d] { // one that a condition leaves out is not waited for
				needs[d] = true
			}
		}
		for _, ref := range References(r.Properties, conditions) {
			if known[ref.Name] {
				needs[ref.Name] = true
			} else if declared[ref.Name] {
				return nil, formatError(ref.Pos, "Unresolved resource dependencies [%s] in the Resources block of the template", ref.Name)
			}
		}
		g.Needs[r.LogicalID] = sorted(needs)
	}
	return g, g.sort(live)
}

func sorted(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// sort fills Order by depth-first search, in the order of the template.
func (g *Graph) sort(live []Resource) error {
	const open, done = 1, 2
	state := make(map[string]int, len(live))
	pos := make(map[string]Pos, len(live))
	for _, r := range live {
		pos[r.LogicalID] = r.Pos
	}
	var path []string
	var visit func(id string) error
	visit = func(id string) error {
		switch state[id] {
		case done:
			return nil
		case open:
			cycle := append(append([]string(nil), path[indexOf(path, id):]...), id)
			return &Error{
				Pos: pos[id], LogicalID: id, Message: "circular dependency: " + strings.Join(cycle, " -> "),
				Sentence: "Circular dependency between resources: [" + strings.Join(cycle[:len(cycle)-1], ", ") + "]",
			}
		}
		state[id] = open
		path = append(path, id)
		for _, n := range g.Needs[id] {
			if err := visit(n); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		state[id] = done
		g.Order = append(g.Order, id)
		return nil
	}
	for _, r := range live {
		if err := visit(r.LogicalID); err != nil {
			return err
		}
	}
	return nil
}

func indexOf(list []string, s string) int {
	for i, x := range list {
		if x == s {
			return i
		}
	}
	return 0
}
