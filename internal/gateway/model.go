package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// modelBase is how the models of an API name each other, before ".../{api}/models/X".
const modelBase = "https://apigateway.amazonaws.com/restapis/"

// maxModel is API Gateway's limit of a model's size (API Gateway quotas).
const maxModel = 400 << 10

// modelSet compiles the models of an API that its methods ask for.
type modelSet struct {
	base     string
	texts    map[string]string
	compiler *jsonschema.Compiler
	ready    map[string]*jsonschema.Schema
}

func newModelSet(apiID string, texts map[string]string) *modelSet {
	return &modelSet{base: modelBase + apiID + "/models/", texts: texts, ready: map[string]*jsonschema.Schema{}}
}

// Load gives the compiler what a $ref points at: a model of this API, nothing else. In
// particular nothing is read from disk or fetched.
func (m *modelSet) Load(address string) (any, error) {
	name, ok := strings.CutPrefix(address, m.base)
	if name, err := url.PathUnescape(name); ok && err == nil {
		if text, there := m.texts[name]; there {
			return schemaDocument(name, text)
		}
	}
	return nil, fmt.Errorf("%s is no model of this API", address)
}

// schemaDocument reads a model. What it says of its dialect is dropped: models are
// JSON Schema draft 4, whatever they say.
func schemaDocument(name, text string) (any, error) {
	if len(text) > maxModel {
		return nil, fmt.Errorf("the model %s is larger than 400 KB", name)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the model %s is not JSON: %w", name, err)
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the model %s is not an object", name)
	}
	if _, err := measure(object, 0); err != nil {
		return nil, fmt.Errorf("the model %s: %w", name, err)
	}
	delete(object, "$schema")
	return object, nil
}

// schema compiles a model and what it refers to.
func (m *modelSet) schema(where, name string) (*jsonschema.Schema, error) {
	if s := m.ready[name]; s != nil {
		return s, nil
	}
	if _, there := m.texts[name]; !there {
		return nil, &DefinitionError{"Invalid model name specified: " + name}
	}
	if m.compiler == nil {
		m.compiler = jsonschema.NewCompiler()
		m.compiler.DefaultDraft(jsonschema.Draft4)
		m.compiler.UseLoader(m)
		m.compiler.UseRegexpEngine(schemaPattern)
	}
	s, err := m.compiler.Compile(m.base + url.PathEscape(name))
	if err != nil {
		if text := err.Error(); strings.Contains(text, lookAround) {
			return nil, &NotBuiltError{where, "the model " + name + " has a pattern with look-around or back references, which are not built"}
		}
		return nil, &DefinitionError{"Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified: " + name + ": " + err.Error() + "]"}
	}
	m.ready[name] = s
	return s, nil
}

// models compiles the request models of a route, by content type.
func (m *modelSet) models(rt *route, r Route) error {
	if !r.ValidateBody || len(r.RequestModels) == 0 {
		return nil
	}
	rt.models = make(map[string]*jsonschema.Schema, len(r.RequestModels))
	for _, contentType := range slices.Sorted(maps.Keys(r.RequestModels)) {
		s, err := m.schema(rt.name, r.RequestModels[contentType])
		if err != nil {
			return err
		}
		rt.models[strings.ToLower(contentType)] = s
	}
	return nil
}

const lookAround = "look-around"

// schemaPattern compiles a pattern. RE2 matches in linear time, which is why look-around
// and back references are not to be had.
func schemaPattern(text string) (jsonschema.Regexp, error) {
	re, err := regexp.Compile(text)
	if err == nil {
		return re, nil
	}
	var bad *syntax.Error
	if errors.As(err, &bad) && (bad.Code == syntax.ErrInvalidPerlOp || bad.Code == syntax.ErrInvalidEscape && strings.ContainsAny(bad.Expr, "123456789k")) {
		return nil, fmt.Errorf("%s: %w", lookAround, err)
	}
	return nil, err
}

// decodeBody reads a body as JSON, with its numbers as they were written, and counts its
// values. Only one value may be there, of bounded depth, with no number that takes more
// room than its text.
func decodeBody(body []byte) (v any, values int, err error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, 0, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, 0, errors.New("something follows the value")
	}
	values, err = measure(v, 0)
	return v, values, err
}

const (
	maxDepth    = 512
	maxNumber   = 400 // digits
	maxExponent = 400
)

// measure counts the values of a document and refuses what would be dear to handle.
func measure(v any, depth int) (n int, err error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	n = 1
	add := func(inner any) bool {
		m, e := measure(inner, depth+1)
		n, err = n+m, e
		return e == nil
	}
	switch v := v.(type) {
	case json.Number:
		if !boundedNumber(string(v)) {
			return 0, errors.New("it holds a number that is too long")
		}
	case map[string]any:
		for _, inner := range v {
			if !add(inner) {
				return 0, err
			}
		}
	case []any:
		for _, inner := range v {
			if !add(inner) {
				return 0, err
			}
		}
	}
	return n, nil
}

// boundedNumber reports whether a JSON number has a reasonable size: 1e999999999 would
// take gigabytes as an exact number.
func boundedNumber(s string) bool {
	if len(s) > maxNumber {
		return false
	}
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return true
	}
	digits := strings.TrimLeft(strings.TrimLeft(s[i+1:], "+-"), "0")
	exponent := 0
	for _, c := range digits {
		if exponent = exponent*10 + int(c-'0'); exponent > maxExponent {
			return false
		}
	}
	return true
}
