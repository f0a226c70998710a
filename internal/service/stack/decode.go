package stack

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"

	"moat/internal/service/stack/template"
)

// skip, as the new name of a property, says that the handler reads it itself.
const skip = "-"

// decode fills an API's input from the properties of a resource. Members are found by
// name, whatever its case; rename maps a top-level property to another member or to
// skip. A property that the API does not know is an error: it cannot be deployed.
func decode(v *template.Value, into any, rename map[string]string) error {
	return decoder{}.structure(v, reflect.ValueOf(into).Elem(), "", rename)
}

// decoder fills inputs; a partial one leaves out what stands in expressions.
type decoder struct{ partial bool }

// decodeError is a property that does not fit what it is decoded into.
type decodeError struct {
	path, text string
	unknown    bool // the API has no such member
}

func (e *decodeError) Error() string {
	if e.unknown {
		return "the property " + e.path + " is not implemented"
	}
	return e.path + ": " + e.text
}

func (d decoder) structure(v *template.Value, s reflect.Value, path string, rename map[string]string) error {
	if !v.Is(template.Map) {
		return &decodeError{path: path, text: "expected a map"}
	}
	for _, f := range v.Fields {
		name := f.Key
		if to, ok := rename[name]; ok && path == "" {
			if to == skip {
				continue
			}
			name = to
		}
		at := strings.TrimPrefix(path+"."+f.Key, ".")
		field := s.FieldByNameFunc(func(n string) bool { return strings.EqualFold(n, name) })
		if !field.IsValid() {
			return &decodeError{path: at, unknown: true}
		}
		if err := d.value(f.Value, field, at); err != nil {
			return err
		}
	}
	return nil
}

func (d decoder) value(v *template.Value, to reflect.Value, path string) error {
	if v == nil || v.Is(template.Null) || d.partial && !reaches(v, to.Type()) {
		return nil
	}
	switch to.Kind() {
	case reflect.Pointer:
		if to.IsNil() {
			to.Set(reflect.New(to.Type().Elem()))
		}
		return d.value(v, to.Elem(), path)
	case reflect.Struct:
		return d.structure(v, to, path, nil)
	case reflect.Slice:
		return d.list(v, to, path)
	case reflect.Map:
		return d.entries(v, to, path)
	case reflect.String:
		to.SetString(jsonText(v))
		return nil
	}
	return decodeScalar(v, to, path)
}

// reaches reports whether a value that has expressions in it says something of a type all the
// same: a structure does by the members that are known, a list or map of scalars does not.
func reaches(v *template.Value, t reflect.Type) bool {
	if !v.HasCalls() {
		return true
	}
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && !v.IsIntrinsic()
}

// jsonText is the text of a scalar, or of a map or a list as JSON: what APIs want where
// CloudFormation takes a document.
func jsonText(v *template.Value) string {
	if text, ok := v.Scalar(); ok {
		return text
	}
	return string(v.JSON())
}

func decodeScalar(v *template.Value, to reflect.Value, path string) error {
	text, ok := v.Scalar()
	var err error
	switch to.Kind() {
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(strings.ToLower(text))
		to.SetBool(b)
	case reflect.Int32, reflect.Int64:
		var n int64
		n, err = strconv.ParseInt(strings.TrimSuffix(text, ".0"), 10, to.Type().Bits())
		to.SetInt(n)
	case reflect.Float64, reflect.Float32:
		var n float64
		n, err = strconv.ParseFloat(text, 64)
		to.SetFloat(n)
	default:
		return &decodeError{path: path, unknown: true}
	}
	if err != nil || !ok {
		return &decodeError{path: path, text: fmt.Sprintf("%q is no %s", text, to.Kind())}
	}
	return nil
}

func (d decoder) list(v *template.Value, to reflect.Value, path string) error {
	if to.Type().Elem().Kind() == reflect.Uint8 {
		to.SetBytes([]byte(jsonText(v)))
		return nil
	}
	if !v.Is(template.List) {
		return &decodeError{path: path, text: "expected a list"}
	}
	out := reflect.MakeSlice(to.Type(), len(v.Items), len(v.Items))
	for i, x := range v.Items {
		if err := d.value(x, out.Index(i), path+"."+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	to.Set(out)
	return nil
}

func (d decoder) entries(v *template.Value, to reflect.Value, path string) error {
	if !v.Is(template.Map) {
		return &decodeError{path: path, text: "expected a map"}
	}
	out := reflect.MakeMapWithSize(to.Type(), len(v.Fields))
	for _, f := range v.Fields {
		x := reflect.New(to.Type().Elem()).Elem()
		if err := d.value(f.Value, x, path+"."+f.Key); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(f.Key).Convert(to.Type().Key()), x)
	}
	to.Set(out)
	return nil
}

// text returns a property as text, "" when it is absent.
func (r *Request) text(name string) string {
	s, _ := r.Properties.Get(name).Scalar()
	return s
}

// named returns a property, or the generated name cut to a length.
func (r *Request) named(property string, limit int) string {
	if s := r.text(property); s != "" {
		return s
	}
	return fit(r.Name, limit)
}

// fit cuts a generated name in front of its random end.
func fit(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	end := name[strings.LastIndex(name, "-"):]
	return name[:limit-len(end)] + end
}

// tags are those of the stack and of the resource, which win.
func (r *Request) tags(property string) map[string]string {
	out := map[string]string{}
	for k, v := range r.Tags {
		out[k] = v
	}
	p := r.Properties.Get(property)
	for _, f := range p.Entries() {
		out[f.Key] = jsonText(f.Value)
	}
	for _, x := range p.Elements() {
		out[x.Get("Key").Str()], _ = x.Get("Value").Scalar()
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// marked are the tags with those that CloudFormation itself gives a resource; they
// tell whose it is.
func (r *Request) marked(property string) map[string]string {
	out := r.tags(property)
	if out == nil {
		out = map[string]string{}
	}
	out["aws:cloudformation:stack-id"] = r.Stack.ID
	out["aws:cloudformation:stack-name"] = r.Stack.Name
	out["aws:cloudformation:logical-id"] = r.LogicalID
	return out
}

// mine reports whether tags were given by this stack to this resource.
func (r *Request) mine(tags map[string]string) bool {
	return tags["aws:cloudformation:stack-id"] == r.Stack.ID && tags["aws:cloudformation:logical-id"] == r.LogicalID
}

// changed reports whether an update changes one of the properties. The tags of a resource change
// with those of its stack.
func (r *Request) changed(names ...string) bool {
	for _, n := range names {
		if isTags(n) {
			if !maps.Equal(r.tags(n), r.before().tags(n)) {
				return true
			}
			continue
		}
		if !template.Equal(r.Properties.Get(n), r.Previous.Get(n)) {
			return true
		}
	}
	return false
}

// allHandlers returns the handlers of all resource types.
func allHandlers(s Services) map[string]Handler {
	all := map[string]Handler{"AWS::CloudFormation::WaitConditionHandle": waitHandle()}
	for _, group := range []map[string]Handler{
		userPoolHandlers(s.UserPools), userHandlers(s.UserPools), poolConfigHandlers(s.UserPools), identityPoolHandlers(s.IdentityPools),
		roleHandlers(s.IAM), principalHandlers(s.IAM), functionHandlers(s.Lambda), functionPartHandlers(s.Lambda),
		restAPIHandlers(s.APIGateway), methodHandlers(s.APIGateway), deploymentHandlers(s.APIGateway), planHandlers(s.APIGateway),
		domainHandlers(s.APIGateway), connectionHandlers(s.APIGateway), documentationHandlers(s.APIGateway),
		parameterHandlers(s.SSM), logHandlers(s.Logs),
	} {
		for typ, h := range group {
			all[typ] = h
		}
	}
	return all
}

// waitHandle is a placeholder, which in CloudFormation is an address to signal to.
func waitHandle() Handler {
	return Handler{
		Create: func(_ context.Context, r *Request) (State, error) {
			id := r.Stack.ID + "/" + r.LogicalID
			return State{PhysicalID: id, Attributes: map[string]string{"Id": id}}, nil
		},
		Delete: func(context.Context, *Request) error { return nil },
	}
}

// pick returns the properties reduced to some.
func pick(r *Request, names ...string) *template.Value {
	out := template.NewMap()
	for _, n := range names {
		if v := r.Properties.Get(n); v != nil {
			out.Set(n, v)
		}
	}
	return out
}
