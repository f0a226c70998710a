package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// errTooManySteps ends a validation whose schema and body multiply each other.
var errTooManySteps = errors.New("gateway: validating the body takes too many steps")

// validateBody holds the body to the route's model for its content type. A content type
// without a model is not validated; $default stands for the ones that have none (API
// Gateway Developer Guide, "Request validation for REST APIs").
func validateBody(x *Exchange) error {
	if len(x.route.models) == 0 {
		return nil
	}
	schema := x.model()
	if schema == nil {
		return nil
	}
	body, err := x.payload()
	if err != nil {
		return err
	}
	if len(body) == 0 {
		body = []byte("{}")
	}
	value, values, err := decodeBody(body)
	if err != nil {
		return badBody("[Unable to parse JSON from request body]", x.route.name+": the body is not usable JSON: "+err.Error())
	}
	c := schemaCheck{budget: 10_000 + 64*values}
	c.visit(schema, value, 0)
	switch {
	case c.budget < 0:
		return badBody("[Unable to validate request body]", x.route.name+": "+errTooManySteps.Error())
	case len(c.found) > 0:
		text := "[" + strings.Join(c.found, ", ") + "]"
		return badBody(text, "the model of "+x.route.name+": "+clip([]byte(text)))
	}
	return nil
}

func badBody(validation, grounds string) *Refusal {
	return &Refusal{Kind: BadRequestBody, Validation: validation, Grounds: grounds}
}

// model picks the model for the request's content type, application/json when it has none.
func (x *Exchange) model() *jsonschema.Schema {
	media := "application/json"
	if v := x.get("Content-Type"); v != "" {
		var err error
		if media, _, err = mime.ParseMediaType(v); err != nil {
			media, _, _ = strings.Cut(v, ";")
			media = strings.ToLower(strings.TrimSpace(media))
		}
	}
	if s := x.route.models[media]; s != nil {
		return s
	}
	return x.route.models["$default"]
}

// schemaCheck walks a document along a compiled schema and collects what is wrong in the
// words that AWS's validator has (json-schema-validator's message bundle). Children of a
// value that is wrong itself are not looked at. A budget bounds the work, since a schema
// that branches can multiply with the depth of a document.
type schemaCheck struct {
	budget int
	found  []string
}

const (
	maxFindings = 100
	maxRefs     = 2048
)

func (c *schemaCheck) say(format string, args ...any) {
	if len(c.found) < maxFindings {
		c.found = append(c.found, fmt.Sprintf(format, args...))
	}
}

// valid reports whether a value fits a schema, without collecting why not.
func (c *schemaCheck) valid(s *jsonschema.Schema, v any, depth int) bool {
	inner := schemaCheck{budget: c.budget}
	inner.visit(s, v, depth)
	c.budget = inner.budget
	return len(inner.found) == 0
}

func (c *schemaCheck) visit(s *jsonschema.Schema, v any, depth int) {
	for refs := 0; s.Ref != nil; refs++ { // draft 4: nothing beside a $ref counts
		if refs == maxRefs {
			c.say("the schema refers to itself")
			return
		}
		s = s.Ref
	}
	if c.budget--; c.budget < 0 || depth > 4*maxDepth {
		c.budget = min(c.budget, -1)
		return
	}
	before := len(c.found)
	c.any(s, v, depth)
	switch v := v.(type) {
	case map[string]any:
		c.object(s, v)
	case []any:
		c.array(s, v)
	case string:
		c.text(s, v)
	case json.Number:
		c.number(s, v)
	}
	if len(c.found) == before {
		c.children(s, v, depth)
	}
}

// any checks what can be asked of every value.
func (c *schemaCheck) any(s *jsonschema.Schema, v any, depth int) {
	if len(s.AllOf) > 0 {
		if n := c.matches(s.AllOf, v, depth); n < len(s.AllOf) {
			c.say("instance failed to match all required schemas (matched only %d out of %d)", n, len(s.AllOf))
		}
	}
	if len(s.AnyOf) > 0 && c.matches(s.AnyOf, v, depth) == 0 {
		c.say("instance failed to match at least one required schema among %d", len(s.AnyOf))
	}
	if s.Enum != nil && !slices.ContainsFunc(s.Enum.Values, func(e any) bool { return equalJSON(e, v) }) {
		c.say("instance value (%s) not found in enum (possible values: %s)", jsonText(v), jsonText(s.Enum.Values))
	}
	if s.Not != nil && c.valid(s.Not, v, depth+1) {
		c.say("instance matched a schema which it should not have")
	}
	if len(s.OneOf) > 0 {
		if n := c.matches(s.OneOf, v, depth); n != 1 {
			c.say("instance failed to match exactly one schema (matched %d out of %d)", n, len(s.OneOf))
		}
	}
	if s.Types != nil && !s.Types.IsEmpty() {
		allowed, got := s.Types.ToStrings(), typeName(v)
		if slices.Contains(allowed, "number") && !slices.Contains(allowed, "integer") {
			allowed = append(allowed, "integer")
		}
		if !slices.Contains(allowed, got) {
			slices.Sort(allowed)
			c.say("instance type (%s) does not match any allowed primitive type (allowed: %s)", got, jsonText(allowed))
		}
	}
}

func (c *schemaCheck) matches(schemas []*jsonschema.Schema, v any, depth int) int {
	n := 0
	for _, s := range schemas {
		if c.valid(s, v, depth+1) {
			n++
		}
	}
	return n
}

func (c *schemaCheck) object(s *jsonschema.Schema, v map[string]any) {
	if closed, ok := s.AdditionalProperties.(bool); ok && !closed {
		var extra []string
		for name := range v {
			if s.Properties[name] == nil && !matchesPattern(s, name) {
				extra = append(extra, name)
			}
		}
		if extra != nil {
			slices.Sort(extra)
			c.say("object instance has properties which are not allowed by the schema: %s", jsonText(extra))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Dependencies)) {
		need, ok := s.Dependencies[name].([]string)
		if _, there := v[name]; !ok || !there {
			continue
		}
		if missing := missingOf(v, need); missing != nil {
			c.say("property %s of object has missing property dependencies (schema requires %s; missing: %s)", jsonText(name), jsonText(sortedCopy(need)), jsonText(missing))
		}
	}
	if s.MaxProperties != nil && len(v) > *s.MaxProperties {
		c.say("object has too many properties (found %d but schema requires at most %d)", len(v), *s.MaxProperties)
	}
	if s.MinProperties != nil && len(v) < *s.MinProperties {
		c.say("object has too few properties (found %d but schema requires at least %d)", len(v), *s.MinProperties)
	}
	if missing := missingOf(v, s.Required); missing != nil {
		c.say("object has missing required properties (%s)", jsonText(missing))
	}
}

func missingOf(v map[string]any, names []string) []string {
	var out []string
	for _, name := range names {
		if _, there := v[name]; !there {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func sortedCopy(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return out
}

func matchesPattern(s *jsonschema.Schema, name string) bool {
	for re := range s.PatternProperties {
		if re.MatchString(name) {
			return true
		}
	}
	return false
}

func (c *schemaCheck) array(s *jsonschema.Schema, v []any) {
	if closed, ok := s.AdditionalItems.(bool); ok && !closed {
		if items, tuple := s.Items.([]*jsonschema.Schema); tuple && len(v) > len(items) {
			c.say("array is too long: must have at most %d elements but instance has %d elements", len(items), len(v))
		}
	}
	if s.MaxItems != nil && len(v) > *s.MaxItems {
		c.say("array is too long: must have at most %d elements but instance has %d elements", *s.MaxItems, len(v))
	}
	if s.MinItems != nil && len(v) < *s.MinItems {
		c.say("array is too short: must have at least %d elements but instance has %d elements", *s.MinItems, len(v))
	}
	if s.UniqueItems {
		seen := make(map[string]bool, len(v))
		for _, item := range v {
			key := string(appendValue(nil, item, true))
			if seen[key] {
				c.say("array must not contain duplicate elements")
				break
			}
			seen[key] = true
		}
	}
}

func (c *schemaCheck) text(s *jsonschema.Schema, v string) {
	if s.Format != nil {
		if sentence := wrongFormat(s.Format, v); sentence != "" {
			c.say("string %s %s", jsonText(v), sentence)
		}
	}
	if n := utf8.RuneCountInString(v); s.MaxLength != nil && n > *s.MaxLength {
		c.say("string %s is too long (length: %d, maximum allowed: %d)", jsonText(v), n, *s.MaxLength)
	} else if s.MinLength != nil && n < *s.MinLength {
		c.say("string %s is too short (length: %d, required minimum: %d)", jsonText(v), n, *s.MinLength)
	}
	if s.Pattern != nil && !s.Pattern.MatchString(v) {
		c.say("ECMA 262 regex %s does not match input string %s", jsonText(s.Pattern.String()), jsonText(v))
	}
}

func (c *schemaCheck) number(s *jsonschema.Schema, v json.Number) {
	if s.Maximum == nil && s.Minimum == nil && s.ExclusiveMaximum == nil && s.ExclusiveMinimum == nil && s.MultipleOf == nil {
		return
	}
	n, ok := new(big.Rat).SetString(string(v))
	if !ok {
		return
	}
	if s.MultipleOf != nil && s.MultipleOf.Sign() != 0 && !new(big.Rat).Quo(n, s.MultipleOf).IsInt() {
		c.say("remainder of division is not zero (%s / %s)", v, ratText(s.MultipleOf))
	}
	if s.ExclusiveMaximum != nil && n.Cmp(s.ExclusiveMaximum) >= 0 {
		c.say("numeric instance is not strictly lower than the required maximum %s", ratText(s.ExclusiveMaximum))
	} else if s.Maximum != nil && n.Cmp(s.Maximum) > 0 {
		c.say("numeric instance is greater than the required maximum (maximum: %s, found: %s)", ratText(s.Maximum), v)
	}
	if s.ExclusiveMinimum != nil && n.Cmp(s.ExclusiveMinimum) <= 0 {
		c.say("numeric instance is not strictly greater than the required minimum %s", ratText(s.ExclusiveMinimum))
	} else if s.Minimum != nil && n.Cmp(s.Minimum) < 0 {
		c.say("numeric instance is lower than the required minimum (minimum: %s, found: %s)", ratText(s.Minimum), v)
	}
}

// children goes on to what a value holds.
func (c *schemaCheck) children(s *jsonschema.Schema, v any, depth int) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(s.Dependencies)) {
			dep, ok := s.Dependencies[name].(*jsonschema.Schema)
			if _, there := v[name]; ok && there {
				c.visit(dep, v, depth+1)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			c.property(s, name, v[name], depth)
		}
	case []any:
		for i, item := range v {
			switch items := s.Items.(type) {
			case *jsonschema.Schema:
				c.visit(items, item, depth+1)
			case []*jsonschema.Schema:
				if i < len(items) {
					c.visit(items[i], item, depth+1)
				} else if more, ok := s.AdditionalItems.(*jsonschema.Schema); ok {
					c.visit(more, item, depth+1)
				}
			}
		}
	}
}

func (c *schemaCheck) property(s *jsonschema.Schema, name string, v any, depth int) {
	known := false
	if inner := s.Properties[name]; inner != nil {
		known = true
		c.visit(inner, v, depth+1)
	}
	for re, inner := range s.PatternProperties {
		if re.MatchString(name) {
			known = true
			c.visit(inner, v, depth+1)
		}
	}
	if more, ok := s.AdditionalProperties.(*jsonschema.Schema); ok && !known {
		c.visit(more, v, depth+1)
	}
}

func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case json.Number:
		if n, ok := new(big.Rat).SetString(string(v)); ok && n.IsInt() {
			return "integer"
		}
	}
	return "number"
}

func ratText(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// wrongFormat says how a text misses the format; draft 4 knows these and no others.
func wrongFormat(f *jsonschema.Format, v string) string {
	sentence := map[string]string{
		"email":     "is not a valid email address",
		"ipv4":      "is not a valid IPv4 address",
		"ipv6":      "is not a valid IPv6 address",
		"hostname":  "is not a valid hostname",
		"uri":       "is not a valid URI",
		"regex":     "is not a valid ECMA 262 regular expression",
		"date-time": "is invalid against requested date format(s) [yyyy-MM-dd'T'HH:mm:ssZ, yyyy-MM-dd'T'HH:mm:ss.[0-9]{1,12}Z]",
	}[f.Name]
	err := f.Validate(v)
	if f.Name == "uri" { // relative references are URIs to AWS's validator
		_, err = url.Parse(v)
	}
	if err == nil {
		return ""
	}
	return sentence
}

// jsonText writes a value as JSON, clipped: it may be the caller's.
func jsonText(v any) string { return clip(appendValue(nil, v, false)) }
