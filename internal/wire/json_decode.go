package wire

import (
	"bytes"
	"math"
	"reflect"
	"strconv"
)

// maxDepth bounds how deep a message may nest. The models' own shapes need less
// than a third of it.
const maxDepth = 64

// jsonDecoder reads one JSON text into a generated shape, without a detour.
//
// It is stricter than encoding/json where leniency has been an attack: names are
// case-sensitive, a name given twice is refused, so are broken UTF-8 and lone
// surrogates. Unknown members are checked and skipped, as AWS does.
type jsonDecoder struct {
	data  []byte
	pos   int
	depth int
	v     *Violations
}

// decodeJSON reads data, a JSON object or nothing at all, into the structure v.
func decodeJSON(data []byte, p *plan, v reflect.Value, violations *Violations, path string) error {
	d := &jsonDecoder{data: data, v: violations}
	d.space()
	if d.pos == len(d.data) {
		for i := range p.fields {
			if p.fields[i].place == placeBody {
				p.fields[i].missing(violations, path)
			}
		}
		return nil
	}
	if err := d.structure(p, v, path); err != nil {
		return err
	}
	d.space()
	if d.pos != len(d.data) {
		return serialization("Unexpected data after the end of the JSON document")
	}
	return nil
}

// name reads an object's next name and the colon. It lives as long as the document.
func (d *jsonDecoder) name() ([]byte, error) {
	if d.peek() != '"' {
		return nil, d.syntax()
	}
	s, err := d.text()
	if err != nil {
		return nil, err
	}
	return s, d.expect(':')
}

// found describes the token ahead as AWS does, for an error message.
func (d *jsonDecoder) found() string {
	switch c := d.peek(); {
	case c == '"':
		return "STRING_VALUE"
	case c == 't':
		return "TRUE_VALUE"
	case c == 'f':
		return "FALSE_VALUE"
	case c == '-' || c >= '0' && c <= '9':
		return "NUMBER_VALUE"
	}
	return ""
}

// mismatch refuses the token ahead where want is expected.
func (d *jsonDecoder) mismatch(p *plan) error {
	switch d.peek() {
	case '{':
		return serialization("Start of structure or map found where not expected.")
	case '[':
		return serialization("Start of list found where not expected")
	}
	found := d.found()
	if found == "" {
		return d.syntax()
	}
	switch p.kind {
	case kindStruct, kindMap:
		return serialization("Expected a structure or map, found " + found)
	case kindList:
		return serialization("Expected list or null")
	}
	return serialization(found + " can not be converted to " + p.typeName())
}

func (d *jsonDecoder) structure(p *plan, v reflect.Value, path string) error {
	if d.peek() != '{' {
		return d.mismatch(p)
	}
	if err := d.enter(); err != nil {
		return err
	}
	var room [2 * 32]bool // of most structures; it stays on the stack
	seen := append(room[:0], make([]bool, 2*len(p.fields))...)
	seen, given := seen[:len(p.fields)], seen[len(p.fields):]
	var unknown map[string]bool
	for first := true; ; first = false {
		ok, err := d.more('}', first)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		name, err := d.name()
		if err != nil {
			return err
		}
		i, known := p.body[string(name)]
		if known && seen[i] || !known && unknown[string(name)] {
			return serialization("Duplicate field " + strconv.Quote(string(name)))
		}
		if !known {
			if unknown == nil {
				unknown = map[string]bool{}
			}
			unknown[string(name)] = true
			if err := d.skip(); err != nil {
				return err
			}
			continue
		}
		seen[i] = true
		if given[i], err = d.member(&p.fields[i], v, path); err != nil {
			return err
		}
	}
	for i := range p.fields {
		if !given[i] && p.fields[i].place == placeBody {
			p.fields[i].missing(d.v, path)
		}
	}
	return nil
}

// member reads the value of member f of v. null counts as absent.
func (d *jsonDecoder) member(f *field, v reflect.Value, path string) (given bool, err error) {
	if null, err := d.null(); null || err != nil {
		return false, err
	}
	if f.holds {
		path = Join(path, f.goName)
	}
	return true, d.value(f, f.slot(v), path)
}

func (d *jsonDecoder) null() (bool, error) {
	if d.peek() != 'n' {
		return false, nil
	}
	return true, d.literal("null")
}

func (d *jsonDecoder) literal(s string) error {
	if len(d.data)-d.pos < len(s) || string(d.data[d.pos:d.pos+len(s)]) != s {
		return d.syntax()
	}
	d.pos += len(s)
	return nil
}

func (d *jsonDecoder) value(f *field, v reflect.Value, path string) error {
	switch f.kind {
	case kindStruct:
		return d.structure(f.plan, v, path)
	case kindList:
		return d.list(f, v, path)
	case kindMap:
		return d.mapping(f, v, path)
	case kindBool:
		return d.boolean(f, v)
	case kindInt, kindFloat:
		return d.numeric(f, v)
	case kindTime:
		return d.timestamp(f, v)
	case kindDocument:
		d.space()
		start := d.pos
		if err := d.skip(); err != nil {
			return err
		}
		v.SetBytes(bytes.Clone(d.data[start:d.pos]))
		return nil
	}
	if d.peek() != '"' {
		return d.mismatch(f.plan)
	}
	s, err := d.text()
	if err != nil {
		return err
	}
	if f.kind == kindString {
		v.SetString(string(s))
		return nil
	}
	if !f.setScalar(v, string(s), timeDefault) {
		return serialization("STRING_VALUE can not be converted to " + f.typeName())
	}
	return nil
}

func (d *jsonDecoder) list(f *field, v reflect.Value, path string) error {
	if d.peek() != '[' {
		return d.mismatch(f.plan)
	}
	if err := d.enter(); err != nil {
		return err
	}
	elem, et := f.inner(f.elem), v.Type().Elem()
	out := reflect.MakeSlice(v.Type(), 0, 0)
	for first := true; ; first = false {
		ok, err := d.more(']', first)
		if err != nil {
			return err
		}
		if !ok {
			v.Set(out)
			return nil
		}
		slot := reflect.New(et).Elem()
		at := ""
		if elem.holds {
			at = Element(path, out.Len())
		}
		if err := d.element(&elem, slot, at); err != nil {
			return err
		}
		out = reflect.Append(out, slot)
	}
}

// element reads one element of a list or map into slot; null is its zero value.
func (d *jsonDecoder) element(f *field, slot reflect.Value, path string) error {
	if null, err := d.null(); null || err != nil {
		return err
	}
	if slot.Kind() == reflect.Pointer {
		slot.Set(reflect.New(f.goType))
		slot = slot.Elem()
	}
	return d.value(f, slot, path)
}

func (d *jsonDecoder) mapping(f *field, v reflect.Value, path string) error {
	if d.peek() != '{' {
		return d.mismatch(f.plan)
	}
	if err := d.enter(); err != nil {
		return err
	}
	if v.Type() == textMap {
		return d.texts(f.elem, v)
	}
	elem, et, kt := f.inner(f.elem), v.Type().Elem(), v.Type().Key()
	out := reflect.MakeMap(v.Type())
	for first := true; ; first = false {
		ok, err := d.more('}', first)
		if err != nil {
			return err
		}
		if !ok {
			v.Set(out)
			return nil
		}
		name, err := d.name()
		if err != nil {
			return err
		}
		key := reflect.ValueOf(string(name)).Convert(kt)
		if out.MapIndex(key).IsValid() {
			return serialization("Duplicate field " + strconv.Quote(string(name)))
		}
		slot, at := reflect.New(et).Elem(), ""
		if elem.holds {
			at = Entry(path, string(name))
		}
		if err := d.element(&elem, slot, at); err != nil {
			return err
		}
		out.SetMapIndex(key, slot)
	}
}

var textMap = reflect.TypeFor[map[string]string]()

// texts is mapping for a map[string]string v, whose elements are of plan elem: most maps are one.
func (d *jsonDecoder) texts(elem *plan, v reflect.Value) error {
	out := map[string]string{}
	for first := true; ; first = false {
		ok, err := d.more('}', first)
		if err != nil {
			return err
		}
		if !ok {
			v.Set(reflect.ValueOf(out))
			return nil
		}
		name, err := d.name()
		if err != nil {
			return err
		}
		key := string(name)
		if _, known := out[key]; known {
			return serialization("Duplicate field " + strconv.Quote(key))
		}
		null, err := d.null()
		if err != nil {
			return err
		}
		var value []byte
		if !null {
			if d.peek() != '"' {
				return d.mismatch(elem)
			}
			if value, err = d.text(); err != nil {
				return err
			}
		}
		out[key] = string(value)
	}
}

func (d *jsonDecoder) boolean(f *field, v reflect.Value) error {
	switch d.peek() {
	case 't':
		v.SetBool(true)
		return d.literal("true")
	case 'f':
		v.SetBool(false)
		return d.literal("false")
	}
	return d.mismatch(f.plan)
}

func (d *jsonDecoder) numeric(f *field, v reflect.Value) error {
	if f.kind == kindFloat && d.peek() == '"' { // NaN and the infinities have no number
		s, err := d.text()
		if err != nil {
			return err
		}
		if n, ok := parseFloat(string(s)); ok && (math.IsNaN(n) || math.IsInf(n, 0)) {
			v.SetFloat(n)
			return nil
		}
		return serialization("STRING_VALUE can not be converted to " + f.typeName())
	}
	if d.found() != "NUMBER_VALUE" {
		return d.mismatch(f.plan)
	}
	s, err := d.number()
	if err != nil {
		return err
	}
	if f.kind == kindFloat {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return serialization("NUMBER_VALUE can not be converted to " + f.typeName())
		}
		v.SetFloat(n)
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil { // 3.0 and 1e3 are whole numbers too
		x, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || x != math.Trunc(x) || math.Abs(x) > 1<<53 {
			return serialization("NUMBER_VALUE can not be converted to " + f.typeName())
		}
		n = int64(x)
	}
	if v.OverflowInt(n) {
		return serialization("NUMBER_VALUE can not be converted to " + f.typeName())
	}
	v.SetInt(n)
	return nil
}

func (d *jsonDecoder) timestamp(f *field, v reflect.Value) error {
	format := f.format.or(timeUnix)
	var s string
	var err error
	switch {
	case format == timeUnix && d.found() == "NUMBER_VALUE":
		s, err = d.number()
	case format != timeUnix && d.peek() == '"':
		var text []byte
		text, err = d.text()
		s = string(text)
	default:
		return d.mismatch(f.plan)
	}
	if err != nil {
		return err
	}
	t, ok := parseTime(s, format)
	if !ok {
		return serialization("Unable to parse the date " + strconv.Quote(s))
	}
	v.Set(reflect.ValueOf(t))
	return nil
}

// skip reads any value and drops it.
func (d *jsonDecoder) skip() error {
	switch c := d.peek(); c {
	case '{':
		return d.skipObject()
	case '[':
		if err := d.enter(); err != nil {
			return err
		}
		for first := true; ; first = false {
			ok, err := d.more(']', first)
			if err != nil || !ok {
				return err
			}
			if err := d.skip(); err != nil {
				return err
			}
		}
	case '"':
		_, err := d.text()
		return err
	case 't':
		return d.literal("true")
	case 'f':
		return d.literal("false")
	case 'n':
		return d.literal("null")
	default:
		if d.found() == "" {
			return d.syntax()
		}
		_, err := d.number()
		return err
	}
}

func (d *jsonDecoder) skipObject() error {
	if err := d.enter(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for first := true; ; first = false {
		ok, err := d.more('}', first)
		if err != nil || !ok {
			return err
		}
		name, err := d.name()
		if err != nil {
			return err
		}
		if seen[string(name)] {
			return serialization("Duplicate field " + strconv.Quote(string(name)))
		}
		seen[string(name)] = true
		if err := d.skip(); err != nil {
			return err
		}
	}
}
