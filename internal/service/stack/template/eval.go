package template

import (
	"encoding/base64"
	"strconv"
	"strings"

	"moat/internal/pure/lazyregexp"
)

// Scope is what the expressions of a template are evaluated against.
//
// A missing function means that nothing of its kind can be known here; an expression
// that needs it is an error. Functions return the text of a sentence as error.
type Scope struct {
	Parameters map[string]ParameterValue
	Pseudo     map[string]*Value // "AWS::Region" and the like, without AWS::NoValue
	Conditions map[string]bool
	Mappings   *Value
	Ref        func(logicalID string) (string, error)
	GetAtt     func(logicalID, attribute string) (*Value, error)
	Import     func(export string) (string, error)
	Dynamic    func(reference string) (string, error) // the text between "{{resolve:" and "}}"
}

var (
	subVariable    = lazyregexp.New(`\$\{([^}]*)\}`)
	dynamicPattern = lazyregexp.New(`\{\{resolve:([^}]*)\}\}`)
)

// Resolve evaluates every expression in v. The result is nil for AWS::NoValue; map
// entries and list items without a value are left out.
func (s *Scope) Resolve(v *Value) (*Value, error) {
	if v == nil {
		return nil, nil
	}
	switch v.Kind {
	case String:
		return s.dynamic(v)
	case List:
		out := &Value{Kind: List, Pos: v.Pos, Items: make([]*Value, 0, len(v.Items))}
		for _, x := range v.Items {
			r, err := s.Resolve(x)
			if err != nil {
				return nil, err
			}
			if r != nil {
				out.Items = append(out.Items, r)
			}
		}
		return out, nil
	case Map:
		if name, arg, ok := v.Intrinsic(); ok {
			return s.call(name, arg, v.Pos)
		}
		out := &Value{Kind: Map, Pos: v.Pos, Fields: make([]Field, 0, len(v.Fields))}
		for _, f := range v.Fields {
			r, err := s.Resolve(f.Value)
			if err != nil {
				return nil, err
			}
			if r != nil {
				f.Value = r
				out.Fields = append(out.Fields, f)
			}
		}
		return out, nil
	}
	return v, nil
}

// Known evaluates what can be known before resources exist. Expressions that need more stay as
// they are, as do those about parameters that must not be shown, and dynamic references.
func (s *Scope) Known(v *Value) *Value {
	switch {
	case v == nil:
		return nil
	case v.IsIntrinsic():
		return s.knownCall(v)
	case v.Kind == String && strings.Contains(v.Text, "{{resolve:"):
		return &Value{Kind: Map, Pos: v.Pos, Fields: []Field{{Key: "Fn::Dynamic", Value: v, Pos: v.Pos}}}
	case v.Kind == List:
		out := &Value{Kind: List, Pos: v.Pos}
		for _, x := range v.Items {
			if k := s.Known(x); k != nil {
				out.Items = append(out.Items, k)
			}
		}
		return out
	case v.Kind == Map:
		out := &Value{Kind: Map, Pos: v.Pos}
		for _, f := range v.Fields {
			if f.Value = s.Known(f.Value); f.Value != nil {
				out.Fields = append(out.Fields, f)
			}
		}
		return out
	}
	return v
}

func (s *Scope) knownCall(v *Value) *Value {
	name, arg, _ := v.Intrinsic()
	if name == "Fn::If" && arg.Is(List) && len(arg.Items) == 3 {
		if s.Conditions[arg.Items[0].Str()] {
			return s.Known(arg.Items[1])
		}
		return s.Known(arg.Items[2])
	}
	for _, ref := range References(v, s.Conditions) {
		if s.Parameters[ref.Name].NoEcho {
			return v
		}
	}
	r, err := s.Resolve(v)
	if err != nil || r.HasText("{{resolve:") {
		return v
	}
	return r
}

func (s *Scope) dynamic(v *Value) (*Value, error) {
	if s.Dynamic == nil || !strings.Contains(v.Text, "{{resolve:") {
		return v, nil
	}
	var failed error
	text := dynamicPattern.ReplaceAllStringFunc(v.Text, func(m string) string {
		r, err := s.Dynamic(m[len("{{resolve:") : len(m)-2])
		if err != nil && failed == nil {
			failed = &Error{Pos: v.Pos, Message: m + ": " + err.Error()}
		}
		return r
	})
	if failed != nil {
		return nil, failed
	}
	return &Value{Kind: String, Text: text, Pos: v.Pos}, nil
}

func (s *Scope) call(name string, arg *Value, pos Pos) (*Value, error) {
	switch name {
	case "Ref":
		return s.ref(arg.Str(), pos)
	case "Fn::GetAtt":
		return s.getAtt(arg, pos)
	case "Fn::Sub":
		return s.sub(arg, pos)
	case "Fn::Join":
		return s.join(arg, pos)
	case "Fn::Select":
		return s.selectItem(arg, pos)
	case "Fn::Split":
		return s.split(arg, pos)
	case "Fn::If":
		return s.choose(arg, pos)
	case "Fn::FindInMap":
		return s.findInMap(arg, pos)
	case "Fn::ImportValue":
		return s.importValue(arg, pos)
	case "Fn::Base64":
		text, err := s.text(arg, "Fn::Base64", pos)
		if err != nil {
			return nil, err
		}
		return &Value{Kind: String, Text: base64.StdEncoding.EncodeToString([]byte(text)), Pos: pos}, nil
	case "Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not", "Condition":
		if name == "Condition" && !arg.Is(String) {
			return s.policyCondition(arg, pos)
		}
		b, err := s.condition(NewMap(name, arg), pos)
		if err != nil {
			return nil, err
		}
		return &Value{Kind: Bool, True: b, Pos: pos}, nil
	}
	return nil, notBuilt(pos, "the intrinsic function %s is not implemented", name)
}

// policyCondition keeps {"Condition": {...}}: a map of a policy document that happens
// to have that single key is no call.
func (s *Scope) policyCondition(arg *Value, pos Pos) (*Value, error) {
	r, err := s.Resolve(arg)
	if err != nil || r == nil {
		return nil, err
	}
	return &Value{Kind: Map, Pos: pos, Fields: []Field{{Key: "Condition", Value: r, Pos: pos}}}, nil
}

func (s *Scope) ref(name string, pos Pos) (*Value, error) {
	if name == "AWS::NoValue" {
		return nil, nil
	}
	if v, ok := s.Pseudo[name]; ok {
		return v, nil
	}
	if p, ok := s.Parameters[name]; ok {
		return p.Value, nil
	}
	if s.Ref == nil {
		return nil, formatError(pos, "Unresolved dependencies [%s]. Cannot reference resources in the Conditions block of the template", name)
	}
	text, err := s.Ref(name)
	if err != nil {
		return nil, at(pos, err)
	}
	return &Value{Kind: String, Text: text, Pos: pos}, nil
}

func at(pos Pos, err error) error {
	if e, ok := err.(*Error); ok {
		return e
	}
	return &Error{Pos: pos, Message: err.Error(), Sentence: err.Error()}
}

// attributeOf reads the argument of Fn::GetAtt in either form.
func (s *Scope) attributeOf(arg *Value, pos Pos) (id, attribute string, err error) {
	if arg.Is(String) {
		id, attribute, _ = strings.Cut(arg.Text, ".")
	} else if arg.Is(List) && len(arg.Items) >= 2 {
		id = arg.Items[0].Str()
		parts := make([]string, 0, len(arg.Items)-1)
		for _, x := range arg.Items[1:] {
			if x.IsIntrinsic() && s != nil {
				if x, err = s.Resolve(x); err != nil {
					return "", "", err
				}
			}
			text, _ := x.Scalar()
			parts = append(parts, text)
		}
		attribute = strings.Join(parts, ".")
	}
	if id == "" || attribute == "" {
		return "", "", templateError(pos, "Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute")
	}
	return id, attribute, nil
}

func (s *Scope) getAtt(arg *Value, pos Pos) (*Value, error) {
	id, attribute, err := s.attributeOf(arg, pos)
	if err != nil {
		return nil, err
	}
	if s.GetAtt == nil {
		return nil, formatError(pos, "Unresolved dependencies [%s]. Cannot reference resources in the Conditions block of the template", id)
	}
	v, err := s.GetAtt(id, attribute)
	if err != nil {
		return nil, at(pos, err)
	}
	return v, nil
}

// text evaluates an argument that must become a string.
func (s *Scope) text(arg *Value, function string, pos Pos) (string, error) {
	v, err := s.Resolve(arg)
	if err != nil {
		return "", err
	}
	text, ok := v.Scalar()
	if !ok {
		return "", templateError(pos, "every %s object must have a String-typed value", function)
	}
	return text, nil
}

func (s *Scope) sub(arg *Value, pos Pos) (*Value, error) {
	body, variables := arg, (*Value)(nil)
	if arg.Is(List) && len(arg.Items) == 2 && arg.Items[1].Is(Map) {
		body, variables = arg.Items[0], arg.Items[1]
	}
	if !body.Is(String) {
		return nil, templateError(pos, "One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as first argument, and an optional second argument to specify a mapping of values to replace in the string")
	}
	var failed error
	text := subVariable.ReplaceAllStringFunc(body.Text, func(m string) string {
		r, err := s.variable(m[2:len(m)-1], variables, pos)
		if err != nil && failed == nil {
			failed = err
		}
		return r
	})
	if failed != nil {
		return nil, failed
	}
	return s.dynamic(&Value{Kind: String, Text: text, Pos: pos})
}

func (s *Scope) variable(name string, variables *Value, pos Pos) (string, error) {
	if strings.HasPrefix(name, "!") {
		return "${" + name[1:] + "}", nil
	}
	name = strings.TrimSpace(name)
	var v *Value
	var err error
	switch x := variables.Get(name); {
	case x != nil:
		v, err = s.Resolve(x)
	case strings.Contains(name, ".") && !strings.HasPrefix(name, "AWS::"):
		v, err = s.getAtt(NewString(name), pos)
	default:
		v, err = s.ref(name, pos)
	}
	if err != nil {
		return "", err
	}
	text, ok := v.Scalar()
	if !ok {
		return "", templateError(pos, "variable %s in Fn::Sub expression does not resolve to a string", name)
	}
	return text, nil
}

// items evaluates an argument that must become a list of strings.
func (s *Scope) items(arg *Value) ([]*Value, bool, error) {
	v, err := s.Resolve(arg)
	if err != nil {
		return nil, false, err
	}
	if !v.Is(List) {
		return nil, false, nil
	}
	return v.Items, true, nil
}

func (s *Scope) join(arg *Value, pos Pos) (*Value, error) {
	if !arg.Is(List) || len(arg.Items) != 2 || !arg.Items[0].Is(String) {
		return nil, templateError(pos, "every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined.")
	}
	items, ok, err := s.items(arg.Items[1])
	if err != nil {
		return nil, err
	}
	parts := make([]string, len(items))
	for i, x := range items {
		text, scalar := x.Scalar()
		ok = ok && scalar
		parts[i] = text
	}
	if !ok {
		return nil, templateError(pos, "every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined.")
	}
	return &Value{Kind: String, Text: strings.Join(parts, arg.Items[0].Text), Pos: pos}, nil
}

const selectSentence = "Fn::Select requires a list argument with two elements: an integer index and a list"

func (s *Scope) selectItem(arg *Value, pos Pos) (*Value, error) {
	if !arg.Is(List) || len(arg.Items) != 2 {
		return nil, templateError(pos, "%s", selectSentence)
	}
	index, err := s.Resolve(arg.Items[0])
	if err != nil {
		return nil, err
	}
	text, _ := index.Scalar()
	n, err := strconv.Atoi(text)
	if err != nil {
		return nil, templateError(pos, "%s", selectSentence)
	}
	items, ok, err := s.items(arg.Items[1])
	if err != nil {
		return nil, err
	}
	if !ok || n < 0 || n >= len(items) {
		return nil, templateError(pos, "%s", selectSentence)
	}
	return items[n], nil
}

func (s *Scope) split(arg *Value, pos Pos) (*Value, error) {
	if !arg.Is(List) || len(arg.Items) != 2 || !arg.Items[0].Is(String) || arg.Items[0].Text == "" {
		return nil, templateError(pos, "every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split or a function that returns a string to be split.")
	}
	text, err := s.text(arg.Items[1], "Fn::Split", pos)
	if err != nil {
		return nil, err
	}
	out := &Value{Kind: List, Pos: pos}
	for _, part := range strings.Split(text, arg.Items[0].Text) {
		out.Items = append(out.Items, &Value{Kind: String, Text: part, Pos: pos})
	}
	return out, nil
}

func (s *Scope) choose(arg *Value, pos Pos) (*Value, error) {
	if !arg.Is(List) || len(arg.Items) != 3 || !arg.Items[0].Is(String) {
		return nil, templateError(pos, "Fn::If requires a list argument with three elements")
	}
	name := arg.Items[0].Text
	met, ok := s.Conditions[name]
	if !ok {
		return nil, validationError(pos, "Template error: unresolved condition dependency: %s", name)
	}
	if met {
		return s.Resolve(arg.Items[1])
	}
	return s.Resolve(arg.Items[2])
}

func (s *Scope) findInMap(arg *Value, pos Pos) (*Value, error) {
	if !arg.Is(List) || len(arg.Items) < 3 || len(arg.Items) > 4 {
		return nil, templateError(pos, "Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value")
	}
	keys := make([]string, 3)
	for i, x := range arg.Items[:3] {
		text, err := s.text(x, "Fn::FindInMap", pos)
		if err != nil {
			return nil, err
		}
		keys[i] = text
	}
	if v := s.Mappings.At(keys...); v != nil {
		return v, nil
	}
	if len(arg.Items) == 4 {
		return s.Resolve(arg.Items[3].Get("DefaultValue"))
	}
	if s.Mappings.Get(keys[0]) == nil {
		return nil, templateError(pos, "Mapping named '%s' is not present in the 'Mappings' section of template.", keys[0])
	}
	return nil, templateError(pos, "Unable to get mapping for %s::%s::%s", keys[0], keys[1], keys[2])
}

func (s *Scope) importValue(arg *Value, pos Pos) (*Value, error) {
	name, err := s.text(arg, "Fn::ImportValue", pos)
	if err != nil {
		return nil, err
	}
	if s.Import == nil {
		return nil, templateError(pos, "Fn::ImportValue cannot be used here")
	}
	text, err := s.Import(name)
	if err != nil {
		return nil, at(pos, err)
	}
	return &Value{Kind: String, Text: text, Pos: pos}, nil
}

// EvaluateConditions evaluates the Conditions section. Parameters, Pseudo and Mappings
// of the scope must be set; its Conditions are replaced.
func (t *Template) EvaluateConditions(s *Scope) error {
	s.Conditions = map[string]bool{}
	if t.Conditions == nil {
		return nil
	}
	c := *s
	c.Ref, c.GetAtt = nil, nil
	e := conditionEvaluator{scope: &c, section: t.Conditions, open: map[string]bool{}}
	for _, f := range t.Conditions.Fields {
		if _, err := e.named(f.Key, f.Pos); err != nil {
			return err
		}
	}
	s.Conditions = c.Conditions
	return nil
}

type conditionEvaluator struct {
	scope   *Scope
	section *Value
	open    map[string]bool
}

func (e *conditionEvaluator) named(name string, pos Pos) (bool, error) {
	if b, ok := e.scope.Conditions[name]; ok {
		return b, nil
	}
	body := e.section.Get(name)
	if body == nil {
		return false, formatError(pos, "Unresolved condition dependency %s in the Conditions block of the template", name)
	}
	if e.open[name] {
		return false, formatError(pos, "Circular dependency between conditions: %s", name)
	}
	e.open[name] = true
	defer delete(e.open, name)
	b, err := e.evaluate(body)
	if err == nil {
		e.scope.Conditions[name] = b
	}
	return b, err
}

func (e *conditionEvaluator) evaluate(v *Value) (bool, error) {
	for _, name := range conditionNames(v) {
		if _, err := e.named(name, v.Pos); err != nil {
			return false, err
		}
	}
	return e.scope.condition(v, v.Pos)
}

// conditionNames finds the conditions that an expression refers to.
func conditionNames(v *Value) []string {
	var names []string
	if v.Is(List) {
		for _, x := range v.Items {
			names = append(names, conditionNames(x)...)
		}
	}
	if v.Is(Map) {
		for _, f := range v.Fields {
			switch {
			case f.Key == "Condition" && f.Value.Is(String):
				names = append(names, f.Value.Text)
			case f.Key == "Fn::If" && f.Value.Is(List) && len(f.Value.Items) > 0:
				names = append(names, f.Value.Items[0].Str())
				names = append(names, conditionNames(f.Value)...)
			default:
				names = append(names, conditionNames(f.Value)...)
			}
		}
	}
	return names
}

func (s *Scope) condition(v *Value, pos Pos) (bool, error) {
	name, arg, ok := v.Intrinsic()
	if !ok {
		if text, scalar := v.Scalar(); scalar && (text == "true" || text == "false") {
			return text == "true", nil
		}
		// SAM writes the bare name of a condition where one is only renamed.
		if b, known := s.Conditions[v.Str()]; known && v.Is(String) {
			return b, nil
		}
		return false, formatError(pos, "Conditions can only be boolean operations on parameters and other conditions")
	}
	switch name {
	case "Condition":
		b, known := s.Conditions[arg.Str()]
		if !known {
			return false, formatError(pos, "Unresolved condition dependency %s in the Conditions block of the template", arg.Str())
		}
		return b, nil
	case "Fn::Equals":
		return s.equals(arg, pos)
	case "Fn::Not":
		if !arg.Is(List) || len(arg.Items) != 1 {
			return false, templateError(pos, "Fn::Not requires a list argument with one element")
		}
		b, err := s.condition(arg.Items[0], pos)
		return !b, err
	case "Fn::And", "Fn::Or":
		return s.combine(name, arg, pos)
	case "Fn::If":
		r, err := s.choose(arg, pos)
		if err != nil {
			return false, err
		}
		return s.condition(r, pos)
	}
	return false, formatError(pos, "Conditions can only be boolean operations on parameters and other conditions")
}

func (s *Scope) combine(name string, arg *Value, pos Pos) (bool, error) {
	if !arg.Is(List) || len(arg.Items) < 2 || len(arg.Items) > 10 {
		return false, templateError(pos, "every %s object requires a list of at least 2 and at most 10 boolean parameters.", name)
	}
	result := name == "Fn::And"
	for _, x := range arg.Items {
		b, err := s.condition(x, pos)
		if err != nil {
			return false, err
		}
		if name == "Fn::And" {
			result = result && b
		} else {
			result = result || b
		}
	}
	return result, nil
}

func (s *Scope) equals(arg *Value, pos Pos) (bool, error) {
	if !arg.Is(List) || len(arg.Items) != 2 {
		return false, templateError(pos, "every Fn::Equals object requires a list of 2 string parameters.")
	}
	a, err := s.Resolve(arg.Items[0])
	if err != nil {
		return false, err
	}
	b, err := s.Resolve(arg.Items[1])
	if err != nil {
		return false, err
	}
	x, ok1 := a.Scalar()
	y, ok2 := b.Scalar()
	if ok1 && ok2 {
		return x == y, nil
	}
	return Equal(a, b), nil
}
