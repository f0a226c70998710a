package trail

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// hidden stands for what does not enter the trail, in CloudTrail's words.
const hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

// maxDepth bounds how deep a message is followed.
const maxDepth = 32

// message writes a message of a call without its secrets; nil for none. The names are the
// model's with a small first letter, as CloudTrail writes them.
//
// Hidden are: members that the model calls sensitive, all binary content (code packages, function
// payloads), and what a model leaves unmarked although it is, or may hold, a secret: see [secret].
// A message that is too long is left out, and the record says so.
func (c *encoder) message(message any) json.RawMessage {
	v := reflect.ValueOf(message)
	if !v.IsValid() || v.Kind() != reflect.Pointer || v.IsNil() {
		return nil
	}
	written := c.write(v.Elem(), 0)
	if m, ok := written.(map[string]any); ok && len(m) == 0 {
		return nil
	}
	b := marshal(written)
	if len(b) > maxMessage {
		return marshal(map[string]any{"omitted": true, "originalSize": len(b), "reasonForOmission": "the event record would be too long"})
	}
	return b
}

// member is what the trail knows of a field of a message.
type member struct {
	index  int
	name   string
	hidden bool
}

func (c *encoder) members(t reflect.Type) []member {
	if known, ok := c.plans.Load(t); ok {
		return known.([]member)
	}
	var out []member
	for i := range t.NumField() {
		f := t.Field(i)
		tag, ok := f.Tag.Lookup("aws")
		if !ok || !f.IsExported() {
			continue
		}
		out = append(out, member{index: i, name: lowerFirst(f.Name), hidden: slices.Contains(strings.Split(tag, ","), "sensitive") || secret(t.Name(), f)})
	}
	c.plans.Store(t, out)
	return out
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

// write turns a value into what encoding/json writes.
func (c *encoder) write(v reflect.Value, depth int) any {
	if depth > maxDepth {
		return hidden
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return c.write(v.Elem(), depth)
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return t.UTC().Format(time.RFC3339)
		}
		return c.writeStruct(v, depth)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return hidden
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = c.write(v.Index(i), depth+1)
		}
		return out
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for _, k := range v.MapKeys() {
			if name := k.String(); secretName(name) {
				out[name] = hidden
			} else {
				out[name] = c.write(v.MapIndex(k), depth+1)
			}
		}
		return out
	}
	return v.Interface()
}

func (c *encoder) writeStruct(v reflect.Value, depth int) any {
	out := map[string]any{}
	for _, m := range c.members(v.Type()) {
		f := v.Field(m.index)
		switch {
		case f.IsZero() && f.Kind() != reflect.Bool && !isNumber(f.Kind()): // not given
		case m.hidden:
			out[m.name] = hidden
		default:
			out[m.name] = c.write(f, depth+1)
		}
	}
	if v.Type().Name() == "PatchOperation" && patchesSecret(out["path"]) {
		out["value"] = hidden
	}
	return out
}

func isNumber(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Float64 }

// patchesSecret tells of the changes of API Gateway that write a stage's variables or a key's value.
func patchesSecret(path any) bool {
	s, _ := path.(*string)
	text, _ := path.(string)
	if s != nil {
		text = *s
	}
	text = strings.TrimPrefix(text, "/") // API Gateway's service reads a path without it, too
	return strings.HasPrefix(text, "variables") || strings.HasPrefix(text, "value")
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
	n := strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
	if openName(n) {
		return false
	}
	for _, part := range []string{"password", "passphrase", "secret", "token", "privatekey", "assertion", "authorization", "cookie"} {
		if strings.Contains(n, part) {
			return true
		}
	}
	return n == "session" || strings.HasSuffix(strings.TrimRight(n, "0123456789"), "code")
}
