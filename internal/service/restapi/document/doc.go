// Package document reads and writes API documents (OpenAPI, Swagger) as plain values that
// keep the order of their members: what was written first is exported first.
//
// A value is nil, a bool, a [json.Number], a string, a []any or an [*Object]. What is read
// comes from strangers: its depth and the number of its values are bounded, aliases of YAML
// count as often as they are used, and a member that stands twice is refused.
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Bounds of a document that is read.
const (
	MaxDepth  = 100
	MaxValues = 200_000
	MaxText   = 16 << 20 // of all text, as often as aliases repeat it
)

// ErrTooLarge refuses a document that is deeper or has more values than the bounds allow.
var ErrTooLarge = errors.New("the document has too many values or is nested too deeply")

// Object is a mapping that keeps the order of its members. A nil *Object is empty and may be read.
type Object struct {
	keys   []string
	values map[string]any
}

// New makes an object of alternating names and values. A value that is nil is left out.
func New(pairs ...any) *Object {
	o := &Object{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != nil {
			o.Set(pairs[i].(string), pairs[i+1])
		}
	}
	return o
}

// Len returns the number of members.
func (o *Object) Len() int {
	if o == nil {
		return 0
	}
	return len(o.keys)
}

// Keys returns the names of the members in their order. The caller must not change it.
func (o *Object) Keys() []string {
	if o == nil {
		return nil
	}
	return o.keys
}

// Has tells whether there is a member of that name, null included.
func (o *Object) Has(name string) bool {
	if o == nil {
		return false
	}
	_, ok := o.values[name]
	return ok
}

// Get returns a member, nil when there is none.
func (o *Object) Get(name string) any {
	if o == nil {
		return nil
	}
	return o.values[name]
}

// Object returns a member that is an object, nil when it is not.
func (o *Object) Object(name string) *Object {
	m, _ := o.Get(name).(*Object)
	return m
}

// List returns a member that is a list, nil when it is not.
func (o *Object) List(name string) []any {
	l, _ := o.Get(name).([]any)
	return l
}

// Text returns a scalar member as text, "" when there is none.
func (o *Object) Text(name string) string { return Text(o.Get(name)) }

// Set writes a member: in its old place, or at the end.
func (o *Object) Set(name string, value any) {
	if o.values == nil {
		o.values = map[string]any{}
	}
	if _, ok := o.values[name]; !ok {
		o.keys = append(o.keys, name)
	}
	o.values[name] = value
}

// Delete removes a member.
func (o *Object) Delete(name string) {
	if o.Has(name) {
		delete(o.values, name)
		o.keys = slices.DeleteFunc(slices.Clone(o.keys), func(k string) bool { return k == name })
	}
}

// Sorted returns the same members in the order of their names.
func (o *Object) Sorted() *Object {
	out := &Object{}
	for _, k := range slices.Sorted(slices.Values(o.Keys())) {
		out.Set(k, o.Get(k))
	}
	return out
}

// Text returns a scalar as text: documents write status codes as numbers, and versions
// too. What is an object or a list becomes its JSON.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return string(v)
	case bool:
		return fmt.Sprint(v)
	}
	return string(Compact(v))
}

// Of converts what encoding/json and the standard types give into values of this package.
// The members of a Go map come out in the order of their names.
func Of(v any) any {
	switch v := v.(type) {
	case map[string]string:
		o := &Object{}
		for _, k := range sortedKeys(v) {
			o.Set(k, v[k])
		}
		return o
	case map[string]any:
		o := &Object{}
		for _, k := range sortedKeys(v) {
			o.Set(k, Of(v[k]))
		}
		return o
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = s
		}
		return out
	case int:
		return json.Number(fmt.Sprint(v))
	case int32:
		return json.Number(fmt.Sprint(v))
	}
	return v
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Parse reads a document, JSON or YAML.
func Parse(body []byte) (any, error) {
	if t := bytes.TrimLeft(body, " \t\r\n\xef\xbb\xbf"); len(t) > 0 && (t[0] == '{' || t[0] == '[') {
		v, err := ParseJSON(body)
		if err == nil || errors.Is(err, ErrTooLarge) {
			return v, err
		}
	}
	return ParseYAML(body)
}
