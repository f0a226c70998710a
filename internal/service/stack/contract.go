package stack

import (
	"errors"
	"reflect"
	"strconv"
	"strings"

	"moat/internal/service/stack/template"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
	"moat/internal/wire/cognitoidentityapi"
	"moat/internal/wire/cognitoidpapi"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/lambdaapi"
	"moat/internal/wire/logsapi"
	"moat/internal/wire/ssmapi"
)

// contracts are the operations that the shapes of handlers name. Only their inputs and
// constraints are used.
func contracts(handlers map[string]Handler) map[string]*wire.Operation {
	all := map[string]*wire.Operation{}
	for _, api := range []*wire.API{
		apigatewayapi.New(apigatewayapi.Unimplemented{}), cognitoidpapi.New(cognitoidpapi.Unimplemented{}), cognitoidentityapi.New(cognitoidentityapi.Unimplemented{}),
		iamapi.New(iamapi.Unimplemented{}), lambdaapi.New(lambdaapi.Unimplemented{}), ssmapi.New(ssmapi.Unimplemented{}), logsapi.New(logsapi.Unimplemented{}),
	} {
		for name, op := range api.ByName() {
			all[api.Action+":"+name] = op
		}
	}
	out := map[string]*wire.Operation{}
	for _, h := range handlers {
		for _, s := range h.Shapes {
			if op := all[s.Operation]; op != nil {
				kept := *op // not the table that it stands in
				out[s.Operation] = &kept
			}
		}
	}
	return out
}

// foreseen are the mistakes of a resource that would come out only when it is made: what its
// handler cannot carry, and what is against the constraints of the API that its properties go to.
func (s *Service) foreseen(r template.Resource, h Handler, known *template.Value) template.Errors {
	var es template.Errors
	if known == nil {
		known = template.NewMap()
	}
	fail := func(path, text string, unbuilt bool) {
		es = append(es, &template.Error{Pos: placeOf(known, path, r.Pos), LogicalID: r.LogicalID, Property: "Properties." + path, Message: text, NotBuilt: unbuilt})
	}
	if h.Refuses != nil {
		for _, x := range h.Refuses(known) {
			fail(x.Property, "not implemented: "+x.Why, true)
		}
	}
	for _, shape := range h.Shapes {
		op := s.contracts[shape.Operation]
		if op == nil {
			continue
		}
		for path, part := range parts(known, shape.At) {
			s.held(op, shape, path, part, fail)
		}
	}
	return es
}

// unbuilt refuses properties that have no effect here.
func unbuilt(names ...string) func(*template.Value) []Refusal {
	why := map[string]string{}
	for _, n := range names {
		why[n] = "it has no effect here"
	}
	return func(known *template.Value) []Refusal { return refusals(known, why) }
}

// held compares a part of the properties with the input that it becomes.
func (s *Service) held(op *wire.Operation, shape Shape, path string, part *template.Value, fail func(path, text string, unbuilt bool)) {
	in := op.NewInput()
	if err := (decoder{partial: true}).structure(part, reflect.ValueOf(in).Elem(), "", shape.Rename); err != nil {
		var e *decodeError
		if errors.As(err, &e) {
			text := e.text
			if e.unknown {
				text = "the property is not implemented"
			}
			fail(joinPath(path, e.path), text, e.unknown)
		}
		return
	}
	if op.Validate == nil {
		return
	}
	var v wire.Violations
	op.Validate(in, &v)
	v.Each(func(at, value, constraint string) {
		at = strings.TrimPrefix(at, op.BodyPath+".")
		if property, ok := propertyAt(part, strings.Split(at, "."), shape.Rename); ok {
			fail(joinPath(path, property), "value "+value+" failed to satisfy constraint: "+constraint, false)
		}
	})
}

// propertyAt finds the property that an input's member came from. A member that no property
// names, or that an expression gives, is none of the template's mistakes.
func propertyAt(v *template.Value, member []string, rename map[string]string) (string, bool) {
	var path []string
	for depth := 0; len(member) > 0; depth++ {
		switch {
		case v.IsIntrinsic():
			return "", false
		case v.Is(template.List):
			i, err := strconv.Atoi(member[0])
			if err != nil || i < 1 || i > len(v.Items) {
				return strings.Join(path, "."), true
			}
			path, v = append(path, strconv.Itoa(i-1)), v.Items[i-1]
			member = member[min(2, len(member)):] // "2.member"
		case v.Is(template.Map):
			f := fieldFor(v, member[0], depth, rename)
			if f == nil {
				return strings.Join(path, "."), depth > 0
			}
			path, v, member = append(path, f.Key), f.Value, member[1:]
			if len(member) > 0 && member[0] == "member" {
				member = member[1:]
			}
		default:
			return strings.Join(path, "."), true
		}
	}
	return strings.Join(path, "."), !v.HasCalls()
}

func fieldFor(v *template.Value, member string, depth int, rename map[string]string) *template.Field {
	for i, f := range v.Fields {
		name := f.Key
		if to, ok := rename[name]; ok && depth == 0 {
			name = to
		}
		if strings.EqualFold(name, member) {
			return &v.Fields[i]
		}
	}
	return nil
}

// parts are the places that a shape is about, by their paths.
func parts(v *template.Value, at string) map[string]*template.Value {
	found := map[string]*template.Value{"": v}
	for step := range strings.SplitSeq(at, ".") {
		next := map[string]*template.Value{}
		for path, x := range found {
			switch {
			case step == "":
				next[path] = x
			case step == "*":
				for i, e := range x.Elements() {
					next[joinPath(path, strconv.Itoa(i))] = e
				}
			case x.Has(step):
				next[joinPath(path, step)] = x.Get(step)
			}
		}
		found = next
	}
	for path, x := range found {
		if x.IsIntrinsic() || !x.Is(template.Map) {
			delete(found, path)
		}
	}
	return found
}

func joinPath(a, b string) string { return strings.Trim(a+"."+b, ".") }

// placeOf is where a property stands in the file, or what is around it.
func placeOf(v *template.Value, path string, around template.Pos) template.Pos {
	pos := around
	for step := range strings.SplitSeq(path, ".") {
		if i, err := strconv.Atoi(step); err == nil && v.Is(template.List) && i < len(v.Items) {
			v = v.Items[i]
		} else if v.Has(step) {
			pos = v.KeyPos(step)
			v = v.Get(step)
			continue
		} else {
			return pos
		}
		if v != nil && v.Pos.Line > 0 {
			pos = v.Pos
		}
	}
	return pos
}
