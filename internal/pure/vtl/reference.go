package vtl

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"moat/internal/pure/jsonpath"
)

// reference is $name with what follows it.
type reference struct {
	name    string
	slot    int
	path    []access
	literal string
}

// access is one step behind a reference's root: a property, a method or an index.
type access struct {
	name   string
	method bool
	args   []expr
	index  expr
	re     *regexp.Regexp // of a constant pattern argument
}

// eval gives the value; what has none is the empty text, as API Gateway has it.
func (f *reference) eval(r *run) (any, error) {
	if err := r.step(); err != nil {
		return nil, err
	}
	v := r.lookup(f.slot, f.name)
	for i := range f.path {
		if v == nil {
			break
		}
		var err error
		if v, err = f.path[i].eval(r, v); err != nil {
			return nil, err
		}
	}
	if v == nil {
		return "", nil
	}
	return v, nil
}

func (a *access) eval(r *run, v any) (any, error) {
	if b, ok := v.(*block); ok { // a #define has methods only as text
		s, err := r.capture([]node{b})
		if err != nil {
			return nil, err
		}
		v = s
	}
	switch {
	case a.index != nil:
		i, err := a.index.eval(r)
		if err != nil {
			return nil, err
		}
		return element(v, i), nil
	case a.method:
		return a.call(r, v)
	}
	return propertyOf(v, a.name), nil
}

func (a *access) call(r *run, v any) (any, error) {
	if err := r.step(); err != nil {
		return nil, err
	}
	base := len(r.args)
	for _, arg := range a.args {
		x, err := arg.eval(r)
		if err != nil {
			return nil, err
		}
		if b, ok := x.(*block); ok {
			if x, err = r.capture([]node{b}); err != nil {
				return nil, err
			}
		}
		r.args = append(r.args, x)
	}
	args := r.args[base:]
	out, err := r.method(v, a, args)
	clear(args)
	r.args = r.args[:base]
	return out, err
}

// element is v[i].
func element(v, i any) any {
	switch v := v.(type) {
	case *jsonpath.List:
		n, ok := i.(int64)
		if n < 0 {
			n += int64(len(v.Items))
		}
		if ok && n >= 0 && n < int64(len(v.Items)) {
			return v.Items[n]
		}
	case *jsonpath.Map:
		out, _ := v.Get(keyOf(i))
		return out
	case Object:
		if name, ok := i.(string); ok {
			out, _ := v.Property(name)
			return out
		}
	}
	return nil
}

// keyOf is a map's key: Java would tell 1 from "1", JSON does not.
func keyOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := jsonpath.AppendText(nil, v, 1<<16)
	if err != nil {
		return ""
	}
	return string(b)
}

func propertyOf(v any, name string) any {
	switch v := v.(type) {
	case *jsonpath.Map:
		out, _ := v.Get(name)
		return out
	case Object:
		out, _ := v.Property(name)
		return out
	case *jsonpath.List:
		if name == "empty" {
			return len(v.Items) == 0
		}
	case string:
		switch name {
		case "empty":
			return v == ""
		case "bytes":
			return &jsonpath.List{}
		}
	}
	return nil
}

// property is the name of what a Java getter gives.
func property(getter string) string {
	for _, prefix := range []string{"get", "is"} {
		if rest, ok := strings.CutPrefix(getter, prefix); ok && rest != "" {
			c, n := utf8.DecodeRuneInString(rest)
			return string(unicode.ToLower(c)) + rest[n:]
		}
	}
	return getter
}

// assign is #set. What cannot be set is left as it is: Velocity only logs that.
func (f *reference) assign(r *run, value any) error {
	if len(f.path) == 0 {
		r.slots[f.slot] = slot{value, true}
		return nil
	}
	v := r.lookup(f.slot, f.name)
	for i := range f.path[:len(f.path)-1] {
		if v == nil {
			return nil
		}
		var err error
		if v, err = f.path[i].eval(r, v); err != nil {
			return err
		}
	}
	last := &f.path[len(f.path)-1]
	if last.method {
		return nil
	}
	name, index := last.name, any(nil)
	if last.index != nil {
		var err error
		if index, err = last.index.eval(r); err != nil {
			return err
		}
		name = keyOf(index)
	}
	switch v := v.(type) {
	case *jsonpath.Map:
		v.Put(name, value)
		return r.charge(len(name) + 32)
	case *jsonpath.List:
		if n, ok := index.(int64); ok && n >= 0 && n < int64(len(v.Items)) {
			v.Items[n] = value
		}
	case Settable:
		v.SetProperty(name, value)
	}
	return nil
}
