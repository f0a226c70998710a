package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Kind says what a [Value] is.
type Kind uint8

// The kinds of values of a template. The zero value is Null.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Map
)

func (k Kind) String() string {
	return [...]string{"null", "boolean", "number", "string", "list", "map"}[k]
}

// Pos is a place in a file. Lines and columns start at 1; a zero line is unknown.
type Pos struct {
	File         string
	Line, Column int
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Value is a node of a template: a scalar, a list, or a map that keeps its order.
//
// Number keeps the text as written, so that no digit is lost. Values form a tree
// (anchors are copied); whoever changes one works on a [Value.Clone].
type Value struct {
	Kind   Kind
	Text   string // of a String or a Number
	True   bool   // of a Bool
	Items  []*Value
	Fields []Field
	Pos    Pos

	// Plain marks what a transform wrote, as opposed to what stood in the template.
	// SAM's deployment ids are computed from a text in which the two look different.
	Plain bool
}

// Field is one entry of a map.
type Field struct {
	Key   string
	Value *Value
	Pos   Pos
	Plain bool // as Value.Plain, of the key
}

// NewString returns a String value.
func NewString(s string) *Value { return &Value{Kind: String, Text: s} }

// NewBool returns a Bool value.
func NewBool(b bool) *Value { return &Value{Kind: Bool, True: b} }

// NewInt returns a Number value.
func NewInt(n int) *Value { return &Value{Kind: Number, Text: strconv.Itoa(n)} }

// NewList returns a List of the given items.
func NewList(items ...*Value) *Value { return &Value{Kind: List, Items: items} }

// NewMap returns a Map with the given entries in their order: key, value, key, value.
// A key is a string, a value a *Value, a string, a bool or an int.
func NewMap(entries ...any) *Value {
	m := &Value{Kind: Map}
	for i := 0; i+1 < len(entries); i += 2 {
		m.Set(entries[i].(string), wrap(entries[i+1]))
	}
	return m
}

func wrap(x any) *Value {
	switch x := x.(type) {
	case *Value:
		return x
	case string:
		return NewString(x)
	case bool:
		return NewBool(x)
	case int:
		return NewInt(x)
	}
	panic(fmt.Sprintf("template: NewMap of %T", x))
}

// Ref returns {"Ref": name}.
func Ref(name string) *Value { return NewMap("Ref", name) }

// GetAtt returns {"Fn::GetAtt": [id, attribute]}.
func GetAtt(id, attribute string) *Value {
	return NewMap("Fn::GetAtt", NewList(NewString(id), NewString(attribute)))
}

// Is reports whether v is of the kind; a nil value is of no kind.
func (v *Value) Is(k Kind) bool { return v != nil && v.Kind == k }

// Str returns the text of a String and "" for anything else.
func (v *Value) Str() string {
	if v.Is(String) {
		return v.Text
	}
	return ""
}

// Scalar returns the text of a string, a number or a boolean.
func (v *Value) Scalar() (string, bool) {
	if v == nil {
		return "", false
	}
	switch v.Kind {
	case String, Number:
		return v.Text, true
	case Bool:
		return strconv.FormatBool(v.True), true
	}
	return "", false
}

// Get returns the entry of a map, nil when there is none or v is no map.
func (v *Value) Get(key string) *Value {
	if !v.Is(Map) {
		return nil
	}
	for i := range v.Fields {
		if v.Fields[i].Key == key {
			return v.Fields[i].Value
		}
	}
	return nil
}

// At walks nested maps by their keys.
func (v *Value) At(keys ...string) *Value {
	for _, k := range keys {
		v = v.Get(k)
	}
	return v
}

// Has reports whether a map has the key.
func (v *Value) Has(key string) bool { return v.Get(key) != nil }

// KeyPos returns where a key stands, or the place of the map itself.
func (v *Value) KeyPos(key string) Pos {
	if v == nil {
		return Pos{}
	}
	for _, f := range v.Fields {
		if f.Key == key && f.Pos.Line > 0 {
			return f.Pos
		}
	}
	return v.Pos
}

// Set replaces an entry in its place or appends it.
func (v *Value) Set(key string, x *Value) {
	for i := range v.Fields {
		if v.Fields[i].Key == key {
			v.Fields[i].Value = x
			return
		}
	}
	v.Fields = append(v.Fields, Field{Key: key, Value: x, Pos: x.Pos})
}

// Delete removes an entry if it is there.
func (v *Value) Delete(key string) {
	for i := range v.Fields {
		if v.Fields[i].Key == key {
			v.Fields = append(v.Fields[:i:i], v.Fields[i+1:]...)
			return
		}
	}
}

// Keys returns the keys of a map in their order.
func (v *Value) Keys() []string {
	if !v.Is(Map) {
		return nil
	}
	keys := make([]string, len(v.Fields))
	for i, f := range v.Fields {
		keys[i] = f.Key
	}
	return keys
}

// Empty reports what Python calls false: nil, null, "", 0, false, and an empty list or map.
func (v *Value) Empty() bool {
	if v == nil {
		return true
	}
	switch v.Kind {
	case Bool:
		return !v.True
	case String:
		return v.Text == ""
	case Number:
		f, err := strconv.ParseFloat(v.Text, 64)
		return err == nil && f == 0
	case List:
		return len(v.Items) == 0
	case Map:
		return len(v.Fields) == 0
	}
	return true
}

// Clone returns a deep copy.
func (v *Value) Clone() *Value {
	if v == nil {
		return nil
	}
	c := *v
	if v.Items != nil {
		c.Items = make([]*Value, len(v.Items))
		for i, x := range v.Items {
			c.Items[i] = x.Clone()
		}
	}
	if v.Fields != nil {
		c.Fields = make([]Field, len(v.Fields))
		for i, f := range v.Fields {
			f.Value = f.Value.Clone()
			c.Fields[i] = f
		}
	}
	return &c
}

// Equal compares what two values say; the order of map entries and the writing of
// numbers do not count.
func Equal(a, b *Value) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case Null:
		return true
	case Bool:
		return a.True == b.True
	case String:
		return a.Text == b.Text
	case Number:
		return a.Text == b.Text || sameNumber(a.Text, b.Text)
	case List:
		if len(a.Items) != len(b.Items) {
			return false
		}
		for i := range a.Items {
			if !Equal(a.Items[i], b.Items[i]) {
				return false
			}
		}
		return true
	}
	if len(a.Fields) != len(b.Fields) {
		return false
	}
	for _, f := range a.Fields {
		if !Equal(f.Value, b.Get(f.Key)) {
			return false
		}
	}
	return true
}

func sameNumber(a, b string) bool {
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err1 == nil && err2 == nil && x == y
}

// MarshalJSON writes the value with its own order of keys.
func (v *Value) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	err := v.write(&b)
	return b.Bytes(), err
}

func (v *Value) write(b *bytes.Buffer) error {
	if v == nil {
		b.WriteString("null")
		return nil
	}
	switch v.Kind {
	case Null:
		b.WriteString("null")
	case Bool:
		b.WriteString(strconv.FormatBool(v.True))
	case Number:
		b.WriteString(v.Text)
	case String:
		return writeString(b, v.Text)
	case List:
		b.WriteByte('[')
		for i, x := range v.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := x.write(b); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case Map:
		b.WriteByte('{')
		for i, f := range v.Fields {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeString(b, f.Key); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := f.Value.write(b); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	}
	return nil
}

func writeString(b *bytes.Buffer, s string) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the encoder ends with a newline
	return nil
}

// JSON returns the value as JSON text; a tree without cycles cannot fail.
func (v *Value) JSON() []byte {
	b, err := v.MarshalJSON()
	if err != nil {
		return []byte("null")
	}
	return b
}

// UnmarshalJSON reads what MarshalJSON wrote; positions are lost.
func (v *Value) UnmarshalJSON(b []byte) error {
	x, err := parseJSON(b, "")
	if err != nil {
		return errors.New(err.Message)
	}
	*v = *x
	return nil
}

// Canonical returns JSON with sorted keys, the same for values that are [Equal].
func (v *Value) Canonical() string {
	c := v.Clone()
	sortKeys(c)
	return string(c.JSON())
}

func sortKeys(v *Value) {
	if v == nil {
		return
	}
	sort.Slice(v.Fields, func(i, j int) bool { return v.Fields[i].Key < v.Fields[j].Key })
	for _, f := range v.Fields {
		sortKeys(f.Value)
	}
	for _, x := range v.Items {
		sortKeys(x)
	}
}

// Intrinsic returns the name and the argument of an intrinsic function call: a map
// with the single key "Ref", "Condition" or "Fn::...".
func (v *Value) Intrinsic() (name string, arg *Value, ok bool) {
	if !v.Is(Map) || len(v.Fields) != 1 {
		return "", nil, false
	}
	k := v.Fields[0].Key
	if k == "Ref" || k == "Condition" || strings.HasPrefix(k, "Fn::") {
		return k, v.Fields[0].Value, true
	}
	return "", nil, false
}

// IsIntrinsic reports whether v is a call of an intrinsic function.
func (v *Value) IsIntrinsic() bool {
	_, _, ok := v.Intrinsic()
	return ok
}

// HasCalls reports whether a call of an intrinsic function stands anywhere in a value.
func (v *Value) HasCalls() bool {
	return v.any(func(x *Value) bool { return x.IsIntrinsic() })
}

// HasText reports whether a text anywhere in a value contains another one.
func (v *Value) HasText(part string) bool {
	return v.any(func(x *Value) bool { return x.Kind == String && strings.Contains(x.Text, part) })
}

func (v *Value) any(is func(*Value) bool) bool {
	if v == nil {
		return false
	}
	if is(v) {
		return true
	}
	for _, x := range v.Items {
		if x.any(is) {
			return true
		}
	}
	for _, f := range v.Fields {
		if f.Value.any(is) {
			return true
		}
	}
	return false
}

// Entries returns the entries of a map, none of anything else.
func (v *Value) Entries() []Field {
	if !v.Is(Map) {
		return nil
	}
	return v.Fields
}

// Elements returns the items of a list, none of anything else.
func (v *Value) Elements() []*Value {
	if !v.Is(List) {
		return nil
	}
	return v.Items
}
