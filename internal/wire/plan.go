package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"moat/internal/pure/jsonstring"
)

// kind is what a shape is on the wire.
type kind uint8

const (
	kindString kind = iota
	kindBool
	kindInt
	kindFloat
	kindTime
	kindBlob
	kindStruct
	kindList
	kindMap
	kindDocument // JSON of any kind, kept as it came
)

// place is where the REST protocols put a member.
type place uint8

const (
	placeBody    place = iota
	placeLabel         // in the path
	placeQuery         // in the query string
	placeHeader        // in one header
	placeHeaders       // in all headers that begin with the member's name
	placeStatus        // the status code of the answer
)

// timeFormat is how a timestamp is written. The zero value leaves it to the
// protocol and the place.
type timeFormat uint8

const (
	timeDefault timeFormat = iota
	timeISO8601
	timeUnix
	timeRFC822
)

// plan is what the codecs know of a Go type. It is immutable once published.
type plan struct {
	kind   kind
	goType reflect.Type // without the pointer
	enum   bool         // a named string, whose "" is absent
	holds  bool         // structures, or is one: violations in it have a path
	fields []field      // of a structure, in the model's order
	body   map[string]int
	labels bool  // some member has a place other than the body
	pay    int   // index of the payload member, -1 when there is none
	elem   *plan // of a list or a map
	key    *plan // of a map
}

// field is one member of a structure.
type field struct {
	name      string // on the wire
	label     []byte // the name in JSON, with its colon
	goName    string
	index     int
	pointer   bool
	required  bool
	place     place
	payload   bool
	flat      bool
	item      string // name of a list's element, "" when the model gives none
	mapKey    string // names of a map's key and value
	mapValue  string
	format    timeFormat
	attribute bool // XML attribute
	prefix    string
	namespace string
	json      bool // a string that holds JSON
	*plan
}

// planner makes plans, once per type. The zero value is ready.
type planner struct {
	mu    sync.RWMutex
	plans map[reflect.Type]*plan
}

// of returns the plan of t, a struct type of a generated contract. A type that no
// contract can hold is a mistake of the generator: of panics.
func (ps *planner) of(t reflect.Type) *plan {
	ps.mu.RLock()
	p := ps.plans[t]
	ps.mu.RUnlock()
	if p != nil {
		return p
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.plans == nil {
		ps.plans = map[reflect.Type]*plan{}
	}
	return ps.make(t)
}

// known is of for a type whose plan is noted at a place of its own.
func (ps *planner) known(at *atomic.Pointer[plan], t reflect.Type) *plan {
	p := at.Load()
	if p == nil {
		p = ps.of(t)
		at.Store(p)
	}
	return p
}

// make fills the table first and the plan after, so that a type may hold itself.
func (ps *planner) make(t reflect.Type) *plan {
	if p := ps.plans[t]; p != nil {
		return p
	}
	p := &plan{goType: t, pay: -1}
	ps.plans[t] = p
	switch t.Kind() {
	case reflect.String:
		p.kind, p.enum = kindString, t != reflect.TypeFor[string]()
	case reflect.Bool:
		p.kind = kindBool
	case reflect.Int32, reflect.Int64, reflect.Int:
		p.kind = kindInt
	case reflect.Float32, reflect.Float64:
		p.kind = kindFloat
	case reflect.Slice:
		if t == reflect.TypeFor[json.RawMessage]() {
			p.kind = kindDocument
			break
		}
		if t.Elem().Kind() == reflect.Uint8 {
			p.kind = kindBlob
			break
		}
		p.kind, p.elem = kindList, ps.make(deref(t.Elem()))
		p.holds = p.elem.holds
	case reflect.Map:
		p.kind, p.elem, p.key = kindMap, ps.make(deref(t.Elem())), ps.make(t.Key())
		p.holds = p.elem.holds
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			p.kind = kindTime
			break
		}
		p.kind, p.holds = kindStruct, true
		ps.members(p)
	default:
		panic("wire: a contract cannot hold a " + t.String())
	}
	return p
}

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

func (ps *planner) members(p *plan) {
	p.body = map[string]int{}
	for i := range p.goType.NumField() {
		sf := p.goType.Field(i)
		tag, ok := sf.Tag.Lookup("aws")
		if !ok || tag == "-" || !sf.IsExported() {
			continue
		}
		f := field{goName: sf.Name, index: i, pointer: sf.Type.Kind() == reflect.Pointer}
		f.plan = ps.make(deref(sf.Type))
		f.parse(tag)
		n := len(p.fields)
		if f.place != placeBody {
			p.labels = true
		} else {
			p.body[f.name] = n
		}
		if f.payload {
			p.pay = n
		}
		p.fields = append(p.fields, f)
	}
}

// parse reads a struct tag: the name on the wire, then options.
func (f *field) parse(tag string) {
	parts := strings.Split(tag, ",")
	if f.name = parts[0]; f.name == "" {
		f.name = f.goName
	}
	for _, part := range parts[1:] {
		option, value, _ := strings.Cut(part, "=")
		switch option {
		case "required":
			f.required = true
		case "payload":
			f.payload = true
		case "flat":
			f.flat = true
		case "attr":
			f.attribute = true
		case "json":
			f.json = true
		case "item":
			f.item = value
		case "key":
			f.mapKey = value
		case "value":
			f.mapValue = value
		case "ns":
			f.namespace = value
		case "prefix":
			f.prefix = value
		case "loc":
			f.place = places(value)
		case "ts":
			f.format = timeFormats(value)
		}
	}
	// An element of a flattened list has no parent: its own name replaces the
	// member's.
	if f.flat && f.kind == kindList && f.item != "" {
		f.name = f.item
	}
	f.label = append(jsonstring.Append(nil, f.name), ':')
}

func places(s string) place {
	switch s {
	case "uri":
		return placeLabel
	case "querystring":
		return placeQuery
	case "header":
		return placeHeader
	case "headers":
		return placeHeaders
	case "status", "statusCode":
		return placeStatus
	}
	return placeBody
}

func timeFormats(s string) timeFormat {
	switch s {
	case "iso8601":
		return timeISO8601
	case "unix", "unixTimestamp":
		return timeUnix
	case "rfc822":
		return timeRFC822
	}
	return timeDefault
}

// itemName is the element name of a list that is not flattened.
func (f *field) itemName() string {
	if f.item != "" {
		return f.item
	}
	return "member"
}

func (f *field) keyName() string {
	if f.mapKey != "" {
		return f.mapKey
	}
	return "key"
}

func (f *field) valueName() string {
	if f.mapValue != "" {
		return f.mapValue
	}
	return "value"
}

// inner is f for the elements of its list or map: what the tag says of names and
// timestamps holds for one level, and nothing is required of an element.
func (f *field) inner(p *plan) field {
	return field{plan: p, format: f.format, json: f.json}
}

// slot returns the settable value behind member f of v, made when it is absent.
func (f *field) slot(v reflect.Value) reflect.Value {
	s := v.Field(f.index)
	if !f.pointer {
		return s
	}
	if s.IsNil() {
		s.Set(reflect.New(f.goType))
	}
	return s.Elem()
}

// value returns the value of member f of v; ok is false when it is absent.
func (f *field) value(v reflect.Value) (_ reflect.Value, ok bool) {
	s := v.Field(f.index)
	switch {
	case f.pointer:
		if s.IsNil() {
			return s, false
		}
		return s.Elem(), true
	case f.kind == kindList, f.kind == kindMap, f.kind == kindBlob, f.kind == kindDocument:
		return s, !s.IsNil()
	case f.enum:
		return s, s.Len() > 0
	}
	return s, true
}

// missing reports a required member that did not come, unless generated
// validation sees it (it does where Go has a value for "absent").
func (f *field) missing(v *Violations, path string) {
	if f.required {
		v.Null(Join(path, f.goName))
	}
}
