package vtl

import (
	"errors"
	"strings"

	"moat/internal/pure/jsonpath"
)

// InputError says that a body which a template reads as JSON is none.
type InputError struct{ Err error }

// Error gives the sentence that API Gateway begins so.
func (e *InputError) Error() string {
	return "Could not parse request body into json: " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *InputError) Unwrap() error { return e.Err }

// Parameters are a request's parameters, for $input.params. With a method Size() int they say how
// many there are, since who sends them must not decide what finding one costs.
type Parameters interface {
	// Parameter finds one by name: in the path, then the query string, then the header.
	Parameter(name string) (string, bool)
	// Parameters gives all of one place: path, querystring or header.
	Parameters(place string) *jsonpath.Map
}

// Input is $input: a payload and the request's parameters (API Gateway Developer
// Guide, "Mapping template variables"). It is for one rendering at a time.
type Input struct {
	Body   []byte
	Params Parameters

	root   any
	parsed bool
	err    error
	text   string // of the body, once it was asked for
	all    *jsonpath.Map
	cost   int
}

// Cost implements [Costly].
func (in *Input) Cost() int { return in.cost }

// Reset makes the input one of another payload.
func (in *Input) Reset(body []byte, params Parameters) { *in = Input{Body: body, Params: params} }

// Property gives $input.body; a payload that is not there is {}.
func (in *Input) Property(name string) (any, bool) {
	switch name {
	case "body":
		if len(in.Body) == 0 {
			return "{}", true
		}
		if in.text == "" {
			in.text = string(in.Body)
		}
		return in.text, true
	case "params":
		return in.params(), true
	}
	return nil, false
}

// Call gives $input.path(x), json(x) and params([x]).
func (in *Input) Call(name string, args []any) (any, bool, error) {
	in.cost = 0
	if name == "params" && len(args) == 0 {
		return in.params(), true, nil
	}
	text, ok := textArg(args, 0)
	if len(args) != 1 || !ok {
		return nil, false, nil
	}
	switch name {
	case "path":
		v, err := in.find(text)
		if errors.Is(err, jsonpath.ErrNotFound) {
			return nil, true, nil
		}
		return v, true, err
	case "json":
		out, err := in.json(text)
		return out, true, err
	case "params":
		if in.Params == nil {
			return "", true, nil
		}
		if n, ok := in.Params.(interface{ Size() int }); ok {
			in.cost = n.Size() / 16
		}
		v, _ := in.Params.Parameter(text)
		return v, true, nil
	}
	return nil, false, nil
}

// String is empty: the object itself says nothing.
func (in *Input) String() string { return "" }

// json is what the path names, as JSON; nothing is an empty JSON text.
func (in *Input) json(path string) (string, error) {
	v, err := in.find(path)
	if errors.Is(err, jsonpath.ErrNotFound) {
		return `""`, nil
	}
	if err != nil {
		return "", err
	}
	b, err := jsonpath.AppendJSON(make([]byte, 0, len(in.Body)), v, DefaultLimits().Output)
	return string(b), err
}

// Value gives what a path names in the payload, for mappings beside templates.
func (in *Input) Value(p *jsonpath.Path) (any, error) {
	if err := in.parse(); err != nil {
		return nil, err
	}
	return p.Find(in.root)
}

func (in *Input) parse() error {
	if !in.parsed {
		in.parsed = true
		if strings.TrimSpace(string(in.Body)) == "" {
			in.root = &jsonpath.Map{}
		} else if in.root, in.err = jsonpath.Parse(in.Body); in.err != nil {
			in.err = &InputError{in.err}
		}
	}
	return in.err
}

func (in *Input) find(path string) (any, error) {
	if err := in.parse(); err != nil {
		return nil, err
	}
	if in.cost = len(path); path == "$" {
		return in.root, nil
	}
	p, err := jsonpath.Compile(path)
	if err != nil {
		return nil, &RenderError{"the JSONPath " + path + ": " + err.Error(), err}
	}
	v, looked, err := p.FindCounted(in.root)
	in.cost += looked
	return v, err
}

// params are all parameters; a template that asks again gets the same.
func (in *Input) params() *jsonpath.Map {
	if in.all != nil {
		return in.all
	}
	m := jsonpath.NewMap(3)
	in.all = m
	for _, place := range []string{"path", "querystring", "header"} {
		var all *jsonpath.Map
		if in.Params != nil {
			all = in.Params.Parameters(place)
		}
		if all == nil {
			all = new(jsonpath.Map)
		}
		m.Put(place, all)
	}
	return m
}
