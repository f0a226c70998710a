package restapi

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// patchRules say which paths of a shape a patch may touch, and by which operations, in the order in
// which a refusal lists them. A path names members as they are on the wire; "*" stands for any one segment.
type patchRules []patchRule

type patchRule struct {
	path   string
	ops    []apigatewayapi.Op
	hidden bool // not listed: another spelling, or Moat's own
}

// at is a rule.
func at(path string, ops ...apigatewayapi.Op) patchRule { return patchRule{path: path, ops: ops} }

// also is a rule that a refusal does not list.
func also(path string, ops ...apigatewayapi.Op) patchRule {
	return patchRule{path: path, ops: ops, hidden: true}
}

const (
	add     = apigatewayapi.Opadd
	remove  = apigatewayapi.Opremove
	replace = apigatewayapi.Opreplace
	copyOp  = apigatewayapi.Opcopy
)

// apply runs the operations on a shape, in order (RFC 6902 in API Gateway's dialect:
// values are strings, a list is addressed by its elements).
func (rules patchRules) apply(shape any, ops []apigatewayapi.PatchOperation) error {
	for _, op := range ops {
		if op.Path == nil {
			return badRequest("Invalid patch path null")
		}
		segments := pointer(*op.Path)
		allowed, ok := rules.find(segments)
		if !ok {
			return badRequest("Invalid patch path  '%s' specified for op '%s'. Must be one of: [%s]", *op.Path, op.Op, strings.Join(rules.paths(), ", "))
		}
		if !slices.Contains(allowed, op.Op) {
			return badRequest("Invalid patch path  '%s' specified for op '%s'. Please choose supported operations", *op.Path, op.Op)
		}
		if err := patchValue(reflect.ValueOf(shape).Elem(), segments, op); err != nil {
			return err
		}
	}
	return nil
}

// applyTersely is apply for the shapes whose refusals name the path and nothing else (recorded). An
// operation that a path does not take is refused with notAllowed, or as the path when it is "".
func (rules patchRules) applyTersely(shape any, ops []apigatewayapi.PatchOperation, notAllowed string) error {
	for _, op := range ops {
		if op.Path == nil {
			return badRequest("Invalid patch path null")
		}
		allowed, ok := rules.find(pointer(*op.Path))
		switch {
		case ok && !slices.Contains(allowed, op.Op) && notAllowed != "":
			return badRequest("%s", notAllowed)
		case !ok || !slices.Contains(allowed, op.Op):
			return badRequest("Invalid patch path %s", *op.Path)
		}
	}
	return rules.apply(shape, ops)
}

func (rules patchRules) paths() []string {
	var out []string
	for _, r := range rules {
		if !r.hidden {
			out = append(out, r.path)
		}
	}
	return out
}

func (rules patchRules) find(segments []string) ([]apigatewayapi.Op, bool) {
	for _, r := range rules {
		want := strings.Split(strings.TrimPrefix(r.path, "/"), "/")
		if len(want) != len(segments) {
			continue
		}
		match := true
		for i, w := range want {
			match = match && (w == "*" || w == segments[i])
		}
		if match {
			return r.ops, true
		}
	}
	return nil, false
}

// pointer splits a JSON pointer (RFC 6901).
func pointer(path string) []string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, p := range parts {
		parts[i] = unescaped(p)
	}
	return parts
}

func unescaped(segment string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(segment)
}

// patchValue walks to the addressed member and changes it.
func patchValue(v reflect.Value, segments []string, op apigatewayapi.PatchOperation) error {
	switch v.Kind() {
	case reflect.Pointer:
		if len(segments) == 0 && (op.Op == remove || empties(v, op)) {
			v.SetZero()
			return nil
		}
		fresh := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			fresh.Elem().Set(v.Elem())
		}
		if err := patchValue(fresh.Elem(), segments, op); err != nil {
			return err
		}
		v.Set(fresh)
		return nil
	case reflect.Struct:
		if len(segments) == 0 {
			return badRequest("Invalid patch path %s", *op.Path)
		}
		f, ok := member(v, segments[0])
		if !ok {
			return badRequest("Invalid patch path %s", *op.Path)
		}
		return patchValue(f, segments[1:], op)
	case reflect.Map:
		return patchMap(v, segments, op)
	case reflect.Slice:
		return patchList(v, segments, op)
	}
	if len(segments) > 0 {
		return badRequest("Invalid patch path %s", *op.Path)
	}
	return setScalar(v, op)
}

// empties tells whether an operation takes a member away by giving it nothing: texts, but for a selection
// pattern, whose empty form means something; and a compression size, which is switched off so (API Gateway
// API Reference, "Patch Operations").
func empties(v reflect.Value, op apigatewayapi.PatchOperation) bool {
	if wire.Value(op.Value) != "" {
		return false
	}
	return v.Type().Elem().Kind() == reflect.String && (op.Value == nil || *op.Path != "/selectionPattern") ||
		*op.Path == "/minimumCompressionSize" || *op.Path == "/authorizerResultTtlInSeconds"
}

// member finds a field by its name on the wire.
func member(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		wireName, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("aws"), ",")
		if wireName == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func patchMap(v reflect.Value, segments []string, op apigatewayapi.PatchOperation) error {
	if len(segments) == 0 {
		if op.Op == remove {
			v.SetZero()
			return nil
		}
		return badRequest("Invalid patch path %s", *op.Path)
	}
	k := reflect.ValueOf(segments[0]).Convert(v.Type().Key())
	if op.Op == remove && len(segments) == 1 {
		if !v.MapIndex(k).IsValid() {
			return notFound("Invalid parameter name specified")
		}
		v.SetMapIndex(k, reflect.Value{})
		return nil
	}
	elem := reflect.New(v.Type().Elem()).Elem()
	if old := v.MapIndex(k); old.IsValid() {
		elem.Set(old)
	}
	if err := patchValue(elem, segments[1:], op); err != nil {
		return err
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	v.SetMapIndex(k, elem)
	return nil
}

// patchList treats a list as a set of strings: its elements are addressed by value, in
// the path ("/binaryMediaTypes/image~1png") or as the operation's value ("/authorizationScopes").
func patchList(v reflect.Value, segments []string, op apigatewayapi.PatchOperation) error {
	if v.Type().Elem().Kind() != reflect.String || len(segments) > 1 {
		return badRequest("Invalid patch path %s", *op.Path)
	}
	element := wire.Value(op.Value)
	if len(segments) == 1 {
		element = segments[0]
	}
	index := -1
	for i := range v.Len() {
		if v.Index(i).String() == element {
			index = i
		}
	}
	without := func() reflect.Value { return reflect.AppendSlice(v.Slice3(0, index, index), v.Slice(index+1, v.Len())) }
	as := func(text string) reflect.Value { return reflect.ValueOf(text).Convert(v.Type().Elem()) }
	switch {
	case op.Op == replace && len(segments) == 0:
		v.Set(reflect.Append(reflect.MakeSlice(v.Type(), 0, 1), as(element)))
	case op.Op == add && element == "":
		return badRequest("Invalid null or empty value in %s", strings.TrimPrefix(*op.Path, "/"))
	case op.Op != add && index < 0:
		return notFound("Invalid parameter name specified")
	case op.Op == remove:
		v.Set(without())
	case op.Op == replace: // recorded: what comes in its place stands at the end, and is escaped as it is in a path
		v.Set(reflect.Append(without(), as(unescaped(wire.Value(op.Value)))))
	case index < 0:
		v.Set(reflect.Append(v, as(element)))
	}
	return nil
}

func setScalar(v reflect.Value, op apigatewayapi.PatchOperation) error {
	if op.Op == remove {
		v.SetZero()
		return nil
	}
	text := wire.Value(op.Value)
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(strings.ToLower(text))
		if err != nil {
			return badRequest("Invalid value '%s' for '%s'. Must be a boolean", text, *op.Path)
		}
		v.SetBool(b)
	case reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return badRequest("Invalid value '%s' for '%s'. Must be a number", text, *op.Path)
		}
		v.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return badRequest("Invalid value '%s' for '%s'. Must be a number", text, *op.Path)
		}
		v.SetFloat(f)
	default:
		return badRequest("Invalid patch path %s", *op.Path)
	}
	return nil
}
