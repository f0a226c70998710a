// Package example makes inputs of operations that satisfy the constraints of AWS's models.
//
// It is for tests that walk over every operation. The server does not import it.
package example

import (
	"fmt"
	"reflect"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"
	"unicode/utf8"

	"moat/internal/wiregen"
)

// maxDepth bounds shapes that contain themselves.
const maxDepth = 4

// Maker makes inputs for the operations of one model.
type Maker struct {
	Model *wiregen.Model
	// Text gives the value of a text member by its name, where any that the model
	// permits would not do; "" leaves it to the model. It may be nil.
	Text func(member string) string
	// Full fills optional members, too, but for those that Skip names. It may be nil.
	Full bool
	Skip func(member string) bool
}

// Fill makes the input of an operation in a pointer to its Go type.
func (m *Maker) Fill(operation string, in any) error {
	op := m.Model.Operations.Get(operation)
	if op == nil {
		return fmt.Errorf("example: no operation %s", operation)
	}
	if op.Input == nil {
		return nil
	}
	return m.structure(reflect.ValueOf(in).Elem(), op.Input.Shape, 0)
}

func (m *Maker) structure(v reflect.Value, shape string, depth int) error {
	s := m.Model.Shapes.Get(shape)
	for _, member := range s.Members.Names {
		required := false
		for _, r := range s.Required {
			required = required || r == member
		}
		if !required && (!m.Full || depth >= maxDepth || m.Skip != nil && m.Skip(member)) {
			continue
		}
		f := v.FieldByName(wiregen.GoName(member))
		if !f.IsValid() {
			continue // an empty union, or what the contract leaves out
		}
		if err := m.value(f, s.Members.Get(member).Shape, member, depth+1); err != nil {
			return fmt.Errorf("%s: %w", member, err)
		}
	}
	return nil
}

func (m *Maker) value(v reflect.Value, shape, member string, depth int) error {
	s := m.Model.Shapes.Get(shape)
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(1_800_000_000, 0)))
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return m.value(v.Elem(), shape, member, depth)
	case reflect.String:
		text, err := m.text(s, member)
		v.SetString(text)
		return err
	case reflect.Struct:
		return m.structure(v, shape, depth)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("{}"))
			return nil
		}
		if depth > maxDepth && (s.Min == nil || s.Min.String() == "0") {
			return nil
		}
		v.Set(reflect.MakeSlice(v.Type(), int(max(1, number(s.Min))), int(max(1, number(s.Min)))))
		for i := range v.Len() {
			if err := m.value(v.Index(i), s.Member.Shape, member, depth+1); err != nil {
				return err
			}
		}
	case reflect.Map:
		if depth > maxDepth {
			return nil
		}
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		if err := m.value(key, s.Key.Shape, member+"Key", depth+1); err != nil {
			return err
		}
		if err := m.value(value, s.Value.Shape, member+"Value", depth+1); err != nil {
			return err
		}
		v.SetMapIndex(key, value)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(max(1, number(s.Min)))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(max(1, number(s.Min))))
	}
	return nil
}

func number(n interface{ Float64() (float64, error) }) int64 {
	if v := reflect.ValueOf(n); v.Kind() == reflect.Pointer && v.IsNil() {
		return 0
	}
	f, _ := n.Float64() // the model was parsed before
	return int64(f)
}

// text makes a text that a shape permits.
func (m *Maker) text(s *wiregen.Shape, member string) (string, error) {
	if m.Text != nil {
		if t := m.Text(member); t != "" {
			return t, nil
		}
	}
	if len(s.Enum) > 0 {
		return s.Enum[0], nil
	}
	least, most := int(number(s.Min)), 1<<20
	if s.Max != nil {
		most = int(number(s.Max))
	}
	if s.Pattern == "" {
		return strings.Repeat("a", max(1, least)), nil
	}
	expr, not, err := wiregen.Expression(s.Pattern)
	if err != nil {
		return "", err
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return "", err
	}
	whole, refused := regexp.MustCompile(`\A(?:`+expr+`)\z`), regexp.MustCompile(`\A(?:`+not+`)`)
	for _, more := range []bool{false, true} {
		for n := range 300 {
			t := word(tree, n, more)
			if l := utf8.RuneCountInString(t); l >= max(1, least) && l <= most && whole.MatchString(t) && (not == "" || !refused.MatchString(t)) {
				return t, nil
			}
		}
	}
	return "", fmt.Errorf("no text of %d to %d found for %s", least, most, s.Pattern)
}

// word makes a text that an expression matches, with n repetitions of what may repeat; more
// says whether to write what may be left out.
func word(re *syntax.Regexp, n int, more bool) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		return string(letter(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "a"
	case syntax.OpCapture:
		return word(re.Sub[0], n, more)
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range re.Sub {
			b.WriteString(word(sub, n, more))
		}
		return b.String()
	case syntax.OpAlternate:
		return word(re.Sub[n%len(re.Sub)], n, more)
	case syntax.OpStar:
		return strings.Repeat(word(re.Sub[0], 1, more), n)
	case syntax.OpPlus:
		return strings.Repeat(word(re.Sub[0], 1, more), max(1, n))
	case syntax.OpQuest:
		if more {
			return word(re.Sub[0], n, more)
		}
	case syntax.OpRepeat:
		times := max(re.Min, n)
		if re.Max >= 0 {
			times = min(times, re.Max)
		}
		return strings.Repeat(word(re.Sub[0], 1, more), times)
	}
	return ""
}

// letter picks a plain letter or digit of a class where it has one.
func letter(ranges []rune) rune {
	for _, r := range "aA0-_/" {
		for i := 0; i < len(ranges); i += 2 {
			if ranges[i] <= r && r <= ranges[i+1] {
				return r
			}
		}
	}
	return ranges[0]
}
