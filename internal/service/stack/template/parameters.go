package template

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parameter is one entry of the Parameters section.
type Parameter struct {
	Name           string
	Type           string
	Default        *string
	AllowedValues  []string
	AllowedPattern string
	MinLength      *int
	MaxLength      *int
	MinValue       *float64
	MaxValue       *float64
	NoEcho         bool
	Description    string
	Constraint     string // ConstraintDescription
	Pos            Pos
}

const ssmValue = "AWS::SSM::Parameter::Value<"

var parameterTypes = []string{
	"String", "Number", "List<Number>", "CommaDelimitedList", "AWS::SSM::Parameter::Name",
	"AWS::SSM::Parameter::Value<String>", "AWS::SSM::Parameter::Value<List<String>>", "AWS::SSM::Parameter::Value<CommaDelimitedList>",
}

// Stored reports whether the parameter's value names a parameter of Systems Manager
// whose value is meant.
func (p *Parameter) Stored() bool { return strings.HasPrefix(p.Type, ssmValue) }

func (p *Parameter) list() bool {
	return strings.Contains(p.Type, "List<") || strings.Contains(p.Type, "CommaDelimitedList")
}

func (t *Template) readParameters(es *Errors) {
	section := t.section("Parameters", es)
	if section == nil {
		return
	}
	for _, f := range section.Fields {
		if !alphanumeric.MatchString(f.Key) {
			*es = append(*es, formatError(f.Pos, "Parameter name %s is non alphanumeric.", f.Key))
			continue
		}
		if !f.Value.Is(Map) {
			*es = append(*es, formatError(f.Pos, "Every Parameters object must contain a Type member."))
			continue
		}
		t.readParameter(f, es)
	}
}

func (t *Template) readParameter(f Field, es *Errors) {
	p := Parameter{Name: f.Key, Pos: f.Pos}
	for _, a := range f.Value.Fields {
		if err := p.attribute(a); err != nil {
			err.Property = "Parameters." + f.Key + "." + a.Key
			*es = append(*es, err)
		}
	}
	switch {
	case p.Type == "":
		*es = append(*es, formatError(f.Pos, "Every Parameters object must contain a Type member."))
	case contains(parameterTypes, p.Type):
	case strings.HasPrefix(p.Type, "AWS::") || strings.HasPrefix(p.Type, "List<AWS::"):
		*es = append(*es, notBuilt(f.Value.KeyPos("Type"), "parameter %s: the type %s is not implemented; expected one of %s", p.Name, p.Type, strings.Join(parameterTypes, ", ")))
	default:
		*es = append(*es, formatError(f.Value.KeyPos("Type"), "Unrecognized parameter type: %s", p.Type))
	}
	t.Parameters = append(t.Parameters, p)
}

func (p *Parameter) attribute(a Field) *Error {
	text, scalar := a.Value.Scalar()
	switch a.Key {
	case "Type":
		p.Type = a.Value.Str()
	case "Default":
		if !scalar {
			return formatError(a.Value.Pos, "Every Default member must be a string.")
		}
		p.Default = &text
	case "Description":
		p.Description = text
	case "ConstraintDescription":
		p.Constraint = text
	case "AllowedPattern":
		if _, err := regexp.Compile(text); err != nil {
			return formatError(a.Value.Pos, "AllowedPattern is not a regular expression: %v", err)
		}
		p.AllowedPattern = text
	case "AllowedValues":
		if !a.Value.Is(List) {
			return formatError(a.Value.Pos, "Every AllowedValues member must be a list.")
		}
		for _, x := range a.Value.Items {
			s, ok := x.Scalar()
			if !ok {
				return formatError(x.Pos, "an allowed value must be a string or a number")
			}
			p.AllowedValues = append(p.AllowedValues, s)
		}
	case "NoEcho":
		p.NoEcho = strings.EqualFold(text, "true")
	case "MinLength", "MaxLength", "MinValue", "MaxValue":
		return p.bound(a, text)
	default:
		return formatError(a.Pos, "Invalid template parameter property '%s'", a.Key)
	}
	return nil
}

func (p *Parameter) bound(a Field, text string) *Error {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return formatError(a.Value.Pos, "%s must be a number", a.Key)
	}
	whole := int(n)
	switch a.Key {
	case "MinLength":
		p.MinLength = &whole
	case "MaxLength":
		p.MaxLength = &whole
	case "MinValue":
		p.MinValue = &n
	case "MaxValue":
		p.MaxValue = &n
	}
	return nil
}

// ParameterValue is a value that was given for a parameter and what it stands for.
type ParameterValue struct {
	Given    string // as passed, or the default
	Resolved string // of a Systems Manager parameter; else as Given
	NoEcho   bool
	Value    *Value // what Ref gives: a String, or a List of Strings
}

// ResolveParameters gives every parameter its value. Lookup answers for parameters of
// type AWS::SSM::Parameter::Value; it is asked once for each of them.
// The sentences are CloudFormation's own.
func (t *Template) ResolveParameters(given map[string]string, lookup func(name string) (string, error)) (map[string]ParameterValue, error) {
	var missing, unknown []string
	for name := range given {
		if !t.hasParameter(name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return nil, &Error{Pos: Pos{File: t.File}, Sentence: "Parameters: [" + oneOf(unknown) + "] do not exist in the template"}
	}
	values := make(map[string]ParameterValue, len(t.Parameters))
	for i := range t.Parameters {
		p := &t.Parameters[i]
		text, ok := given[p.Name]
		if !ok && p.Default != nil {
			text, ok = *p.Default, true
		}
		if !ok {
			missing = append(missing, p.Name)
			continue
		}
		v, err := p.resolve(text, lookup)
		if err != nil {
			return nil, err
		}
		values[p.Name] = v
	}
	if len(missing) > 0 {
		return nil, &Error{Pos: Pos{File: t.File}, Sentence: "Parameters: [" + oneOf(missing) + "] must have values"}
	}
	return values, nil
}

func (t *Template) hasParameter(name string) bool {
	for _, p := range t.Parameters {
		if p.Name == name {
			return true
		}
	}
	return false
}

func (p *Parameter) resolve(text string, lookup func(string) (string, error)) (ParameterValue, error) {
	v := ParameterValue{Given: text, Resolved: text, NoEcho: p.NoEcho}
	if p.Stored() {
		var err error
		if lookup == nil {
			return v, &Error{Pos: p.Pos, Property: "Parameters." + p.Name, Message: "parameters of Systems Manager cannot be read here"}
		}
		if v.Resolved, err = lookup(text); err != nil {
			return v, &Error{
				Pos: p.Pos, Property: "Parameters." + p.Name, Message: "no value for " + text + ": " + err.Error(),
				Sentence: "Unable to fetch parameters [" + text + "] from parameter store for this account.",
			}
		}
	}
	if msg := p.violation(v.Given); msg != "" {
		if p.Constraint != "" {
			msg = "Parameter '" + p.Name + "' failed to satisfy constraint: " + p.Constraint
		}
		return v, &Error{Pos: p.Pos, Property: "Parameters." + p.Name, Sentence: msg}
	}
	v.Value = &Value{Kind: String, Text: v.Resolved, Pos: p.Pos}
	if p.list() {
		v.Value = &Value{Kind: List, Pos: p.Pos, Items: []*Value{}}
		for _, s := range splitList(v.Resolved) {
			v.Value.Items = append(v.Value.Items, &Value{Kind: String, Text: s, Pos: p.Pos})
		}
	}
	return v, nil
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func (p *Parameter) violation(text string) string {
	name := "Parameter '" + p.Name + "'"
	values := []string{text}
	if p.list() && !p.Stored() {
		values = splitList(text)
	}
	for _, s := range values {
		if p.Type == "Number" || p.Type == "List<Number>" {
			if msg := p.numberViolation(name, s); msg != "" {
				return msg
			}
		}
		if len(p.AllowedValues) > 0 && !contains(p.AllowedValues, s) {
			return name + " must be one of AllowedValues"
		}
		if p.AllowedPattern != "" && !regexp.MustCompile("^(?:"+p.AllowedPattern+")$").MatchString(s) {
			return name + " must match pattern " + p.AllowedPattern
		}
		n := utf8.RuneCountInString(s)
		if p.MinLength != nil && n < *p.MinLength {
			return name + " must contain at least " + strconv.Itoa(*p.MinLength) + " characters"
		}
		if p.MaxLength != nil && n > *p.MaxLength {
			return name + " must contain at most " + strconv.Itoa(*p.MaxLength) + " characters"
		}
	}
	return ""
}

func (p *Parameter) numberViolation(name, s string) string {
	n, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil:
		return name + " must be a number."
	case p.MinValue != nil && n < *p.MinValue:
		return name + " must be a number not less than " + strconv.FormatFloat(*p.MinValue, 'f', -1, 64)
	case p.MaxValue != nil && n > *p.MaxValue:
		return name + " must be a number not greater than " + strconv.FormatFloat(*p.MaxValue, 'f', -1, 64)
	}
	return ""
}
