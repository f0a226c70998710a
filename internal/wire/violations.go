package wire

import (
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Violations collects what is wrong with a request, in the order found. The
// decoder reports members that are missing, generated code everything else.
//
// A path is made of member names with their first letter lowered, joined by
// dots; an element of a list adds its number from one and "member", an entry of
// a map its key and "member": "patchOperations.1.member.op". See [Join],
// [Element] and [Entry].
type Violations struct {
	found []violation
}

type violation struct{ path, value, constraint string }

// Null reports that the required member at path is missing. A path reported
// once is not reported again, for whatever reason.
func (v *Violations) Null(path string) {
	v.add(path, "null", "Member must not be null")
}

// maxFound bounds what one answer reports, and what a request of many bad
// elements can cost.
const maxFound = 64

func (v *Violations) full() bool { return len(v.found) >= maxFound }

// add keeps the first violation of each path and constraint; a missing member
// has no other faults.
func (v *Violations) add(path, value, constraint string) {
	if v.full() {
		return
	}
	for i := range v.found {
		f := &v.found[i]
		if f.path == path && (f.value == "null" || f.constraint == constraint) {
			return
		}
	}
	v.found = append(v.found, violation{path, value, constraint})
}

// Len returns the number of violations found.
func (v *Violations) Len() int { return len(v.found) }

// Each tells what was found, in order: where, the value as a sentence shows it, and what it is held to.
func (v *Violations) Each(f func(path, value, constraint string)) {
	for _, x := range v.found {
		f(x.path, x.value, x.constraint)
	}
}

// String returns AWS's sentence, or "" when nothing was found:
//
//	1 validation error detected: Value '' at 'userPoolId' failed to satisfy constraint: Member must have length greater than or equal to 1
func (v *Violations) String() string {
	if len(v.found) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(strconv.Itoa(len(v.found)))
	b.WriteString(" validation error")
	if len(v.found) > 1 {
		b.WriteByte('s')
	}
	b.WriteString(" detected: ")
	for i, f := range v.found {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString("Value")
		if f.value != "" {
			b.WriteByte(' ')
			b.WriteString(f.value)
		}
		b.WriteString(" at '")
		b.WriteString(f.path)
		b.WriteString("' failed to satisfy constraint: ")
		b.WriteString(f.constraint)
	}
	return b.String()
}

// iamString is the sentence as IAM has it: it never repeats a value, and has words
// of its own for names and paths.
func (v *Violations) iamString() string {
	for _, f := range v.found {
		switch f.constraint {
		case `Member must satisfy regular expression pattern: [\w+=,.@-]+`:
			return "The specified value for " + f.path + " is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"
		case `Member must satisfy regular expression pattern: (\u002F)|(\u002F[\u0021-\u007E]+\u002F)`:
			return "The specified value for " + f.path + " is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters."
		}
	}
	plain := Violations{found: make([]violation, len(v.found))}
	for i, f := range v.found {
		f.value = ""
		plain.found[i] = f
	}
	return plain.String()
}

// Join returns the path of member name of the structure at path. The name's
// first letter is lowered.
func Join(path, name string) string {
	if name != "" && name[0] >= 'A' && name[0] <= 'Z' {
		name = string(name[0]+'a'-'A') + name[1:]
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// Element returns the path of element i (from zero) of the list at path.
func Element(path string, i int) string {
	return path + "." + strconv.Itoa(i+1) + ".member"
}

// Entry returns the path of the value at key of the map at path.
func Entry(path, key string) string {
	return path + "." + key + ".member"
}

const (
	maxShown      = 4096 // bytes of a value that an error message repeats
	maxShownDepth = 8
)

// quote shows a value as AWS does, in quotes; a sensitive one not at all.
func quote(x any, sensitive bool) string {
	if sensitive {
		return ""
	}
	var b strings.Builder
	b.WriteByte('\'')
	show(&b, reflect.ValueOf(x), 0)
	s := b.String()
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "..."
	}
	return s + "'"
}

// show writes a value in the form in which AWS's error messages show it:
// [a, b], {k=v}, Tag(key=a, value=null).
func show(b *strings.Builder, x reflect.Value, depth int) {
	if b.Len() > maxShown || depth > maxShownDepth {
		b.WriteString("...")
		return
	}
	switch x.Kind() {
	case reflect.Pointer:
		if x.IsNil() {
			b.WriteString("null")
			return
		}
		show(b, x.Elem(), depth)
	case reflect.Slice:
		if x.Type().Elem().Kind() == reflect.Uint8 {
			fmt.Fprintf(b, "java.nio.HeapByteBuffer[pos=0 lim=%d cap=%d]", x.Len(), x.Len())
			return
		}
		b.WriteByte('[')
		for i := range x.Len() {
			if i > 0 {
				b.WriteString(", ")
			}
			show(b, x.Index(i), depth+1)
		}
		b.WriteByte(']')
	case reflect.Map:
		showMap(b, x, depth)
	case reflect.Struct:
		showStruct(b, x, depth)
	default:
		fmt.Fprint(b, x.Interface())
	}
}

func showMap(b *strings.Builder, x reflect.Value, depth int) {
	keys := x.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	b.WriteByte('{')
	for i, k := range keys {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(k.String())
		b.WriteByte('=')
		show(b, x.MapIndex(k), depth+1)
	}
	b.WriteByte('}')
}

func showStruct(b *strings.Builder, x reflect.Value, depth int) {
	if t, ok := x.Interface().(time.Time); ok {
		b.WriteString(t.UTC().Format(time.RFC3339))
		return
	}
	t := x.Type()
	b.WriteString(t.Name())
	b.WriteByte('(')
	for i := range t.NumField() {
		if i > 0 {
			b.WriteString(", ")
		}
		f := t.Field(i)
		b.WriteString(Join("", f.Name))
		b.WriteByte('=')
		switch {
		case hasOption(f.Tag.Get("aws"), "sensitive"):
			b.WriteString("***Sensitive Data Redacted***")
		case isAbsent(x.Field(i)):
			b.WriteString("null")
		default:
			show(b, x.Field(i), depth+1)
		}
	}
	b.WriteByte(')')
}

func isAbsent(x reflect.Value) bool {
	switch x.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return x.IsNil()
	case reflect.String:
		return x.Len() == 0
	}
	return false
}

func hasOption(tag, option string) bool {
	for _, o := range strings.Split(tag, ",")[1:] {
		if o == option {
			return true
		}
	}
	return false
}
