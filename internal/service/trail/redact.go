package trail

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"moat/internal/pure/jsonstring"
)

// hidden stands for what does not enter the trail, in CloudTrail's words.
const hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

const hiddenText = `"` + hidden + `"`

// maxDepth bounds how deep a message is followed.
const maxDepth = 32

// message appends a message of a call without its secrets, and null for none. The names are the
// model's with a small first letter, as CloudTrail writes them; their order and all texts are those
// of encoding/json.
//
// Hidden are: members that the model calls sensitive, all binary content (code packages, function
// payloads), and what a model leaves unmarked although it is, or may hold, a secret: see [secret].
// A message that is too long is left out, and the record says so.
func (c *encoder) message(b []byte, message any) []byte {
	v := reflect.ValueOf(message)
	if !v.IsValid() || v.Kind() != reflect.Pointer || v.IsNil() {
		return append(b, "null"...)
	}
	start := len(b)
	b, err := c.write(b, v.Elem(), 0)
	switch size := len(b) - start; {
	case err != nil || string(b[start:]) == "{}":
		return append(b[:start], "null"...)
	case size > maxMessage:
		b = strconv.AppendInt(append(b[:start], `{"omitted":true,"originalSize":`...), int64(size), 10)
		return append(b, `,"reasonForOmission":"the event record would be too long"}`...)
	}
	return b
}

// plan is what the trail knows of a type of a message.
type plan struct {
	members []member // by name
	patch   bool     // a change of API Gateway
}

// member is what the trail knows of a field of a message.
type member struct {
	index  int
	name   string
	hidden bool
	number bool // or a bool: there even when it is zero
}

func (c *encoder) plan(t reflect.Type) *plan {
	if known := c.plans[t]; known != nil {
		return known
	}
	p := &plan{patch: t.Name() == "PatchOperation"}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, ok := f.Tag.Lookup("aws")
		if !ok || !f.IsExported() {
			continue
		}
		p.members = append(p.members, member{
			index: i, name: lowerFirst(f.Name), hidden: slices.Contains(strings.Split(tag, ","), "sensitive") || secret(t.Name(), f),
			number: f.Type.Kind() >= reflect.Bool && f.Type.Kind() <= reflect.Float64,
		})
	}
	slices.SortFunc(p.members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	if c.plans == nil {
		c.plans = map[reflect.Type]*plan{}
	}
	c.plans[t] = p
	return p
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

var (
	timeType  = reflect.TypeFor[time.Time]()
	textsType = reflect.TypeFor[map[string]string]()
)

func (c *encoder) write(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth > maxDepth {
		return append(b, hiddenText...), nil
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return append(b, "null"...), nil
		}
		return c.write(b, v.Elem(), depth)
	case reflect.Struct:
		if v.Type() == timeType {
			return append(v.Interface().(time.Time).UTC().AppendFormat(append(b, '"'), time.RFC3339), '"'), nil
		}
		return c.writeStruct(b, v, depth)
	case reflect.Slice:
		return c.writeList(b, v, depth)
	case reflect.Map:
		return c.writeMap(b, v, depth)
	case reflect.String:
		return jsonstring.AppendHTML(b, v.String()), nil
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), nil
	}
	text, err := json.Marshal(v.Interface()) // a number
	return append(b, text...), err
}

func (c *encoder) writeStruct(b []byte, v reflect.Value, depth int) ([]byte, error) {
	p, start := c.plan(v.Type()), len(b)
	patched := p.patch && patchesSecret(v)
	for i := range p.members {
		m := &p.members[i]
		f, hide := v.Field(m.index), m.hidden
		if patched && m.name == "value" {
			hide = true
		} else if !m.number && f.IsZero() { // not given
			continue
		}
		b = append(append(append(b, `,"`...), m.name...), `":`...)
		if hide {
			b = append(b, hiddenText...)
			continue
		}
		var err error
		if b, err = c.write(b, f, depth+1); err != nil {
			return b, err
		}
	}
	return closed(b, start, '{', '}'), nil
}

func (c *encoder) writeList(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return append(b, hiddenText...), nil
	}
	start := len(b)
	for i := range v.Len() {
		var err error
		if b, err = c.write(append(b, ','), v.Index(i), depth+1); err != nil {
			return b, err
		}
	}
	return closed(b, start, '[', ']'), nil
}

func (c *encoder) writeMap(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.Type() == textsType && depth < maxDepth {
		return appendTexts(b, v.Interface().(map[string]string), secretName), nil
	}
	keys, start := v.MapKeys(), len(b)
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		b = append(jsonstring.AppendHTML(append(b, ','), k.String()), ':')
		if secretName(k.String()) {
			b = append(b, hiddenText...)
			continue
		}
		var err error
		if b, err = c.write(b, v.MapIndex(k), depth+1); err != nil {
			return b, err
		}
	}
	return closed(b, start, '{', '}'), nil
}

// patchesSecret tells of the changes of API Gateway that write a stage's variables or a key's value.
func patchesSecret(v reflect.Value) bool {
	path := ""
	if f := reflect.Indirect(v.FieldByName("Path")); f.Kind() == reflect.String {
		path = strings.TrimPrefix(f.String(), "/") // API Gateway's service reads a path without it, too
	}
	return strings.HasPrefix(path, "variables") || strings.HasPrefix(path, "value")
}

// secret tells of a member that the model does not call sensitive and that is, or may hold, one.
func secret(owner string, f reflect.StructField) bool {
	t := f.Type
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	textual := t.Kind() == reflect.String || t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String
	if textual && secretName(f.Name) {
		return true
	}
	switch f.Name {
	case "TemplateBody", "ProcessedTemplate", "Payload", "ClientContext", "ClientMetadata", "ValidationData", "Logins", "LogEvents", "Variables", "StageVariables",
		"ResolvedValue", "ParameterValue", "UserContextData", "ContextData":
		return true
	case "Value": // of an API key, also one in a plan, of an SSM parameter
		return strings.Contains(owner, "ApiKey") || strings.Contains(owner, "PlanKey") || strings.Contains(owner, "Parameter")
	case "Headers", "MultiValueHeaders", "Body", "PathWithQueryString":
		return strings.HasPrefix(owner, "TestInvoke")
	case "Message": // of a log event
		return strings.HasSuffix(owner, "LogEvent")
	}
	return false
}

// openNames are names that sound like secrets and are none: where a list goes on, and what makes
// a call safe to repeat.
func openName(name string) bool {
	switch name {
	case "nexttoken", "paginationtoken", "clientrequesttoken", "sequencetoken", "nextsequencetoken", "nextforwardtoken", "nextbackwardtoken",
		"subjectfromwebidentitytoken", "pretokengeneration", "statuscode", "errorcode", "responsecode":
		return true
	}
	return strings.HasSuffix(name, "arn")
}

func secretName(name string) bool {
	var room [64]byte
	n := string(folded(room[:0], name))
	if openName(n) {
		return false
	}
	for _, part := range [...]string{"password", "passphrase", "secret", "token", "privatekey", "assertion", "authorization", "cookie"} {
		if strings.Contains(n, part) {
			return true
		}
	}
	return n == "session" || strings.HasSuffix(strings.TrimRight(n, "0123456789"), "code")
}

// folded appends a name in small letters and without what parts its words.
func folded(b []byte, name string) []byte {
	for _, r := range name {
		if r != '_' && r != '-' {
			b = utf8.AppendRune(b, unicode.ToLower(r))
		}
	}
	return b
}
