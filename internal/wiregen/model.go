package wiregen

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Model is an API model as AWS's SDKs share it.
type Model struct {
	Metadata   Metadata
	Operations Ordered[ModelOperation]
	Shapes     Ordered[Shape]
}

// Metadata describes the API as a whole.
type Metadata struct {
	APIVersion     string `json:"apiVersion"`
	EndpointPrefix string
	SigningName    string
	Protocol       string
	JSONVersion    string `json:"jsonVersion"`
	TargetPrefix   string
	XMLNamespace   Namespace `json:"xmlNamespace"`
}

// ModelOperation is one operation of the model.
type ModelOperation struct {
	Name     string
	AuthType string `json:"authtype"`
	HTTP     struct {
		Method       string
		RequestURI   string `json:"requestUri"`
		ResponseCode int
	}
	Input, Output *Ref
	Errors        []Ref
}

// Ref refers to a shape, with the traits that hold in this place.
type Ref struct {
	Shape string
	Traits
	ResultWrapper string
}

// Traits are what may be said of a shape or of a reference to it.
type Traits struct {
	Location         string
	LocationName     string
	TimestampFormat  string
	QueryName        string
	Flattened        bool
	XMLAttribute     bool      `json:"xmlAttribute"`
	XMLNamespace     Namespace `json:"xmlNamespace"`
	JSONValue        bool      `json:"jsonvalue"`
	IdempotencyToken bool
	Sensitive        bool
}

// Namespace is an XML namespace, in the model either a string or an object.
type Namespace struct{ Prefix, URI string }

// UnmarshalJSON accepts both forms.
func (n *Namespace) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &n.URI)
	}
	type plain Namespace
	return json.Unmarshal(b, (*plain)(n))
}

// Shape is a type of the model.
type Shape struct {
	Type string
	Traits
	Members            Ordered[Ref]
	Required           []string
	Payload            string
	Member, Key, Value *Ref

	Min, Max *json.Number
	Pattern  string
	Enum     []string

	Exception   bool
	Fault       bool
	Error       *ErrorTrait
	Document    bool
	EventStream bool
}

// ErrorTrait says how an exception appears on the wire.
type ErrorTrait struct {
	Code           string
	HTTPStatusCode int `json:"httpStatusCode"`
	SenderFault    bool
}

func (s *Shape) requires(member string) bool {
	for _, r := range s.Required {
		if r == member {
			return true
		}
	}
	return false
}

// Ordered is a JSON object that remembers the order of its keys.
type Ordered[T any] struct {
	Names []string
	by    map[string]*T
}

// Get returns the value of a name, or nil.
func (o *Ordered[T]) Get(name string) *T { return o.by[name] }

// UnmarshalJSON reads an object; a key that appears twice is an error.
func (o *Ordered[T]) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("wiregen: want an object, got %v (%v)", t, err)
	}
	o.by = map[string]*T{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name := t.(string)
		v := new(T)
		if err := d.Decode(v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if o.by[name] != nil {
			return fmt.Errorf("wiregen: %s appears twice", name)
		}
		o.Names = append(o.Names, name)
		o.by[name] = v
	}
	return nil
}

// ParseModel reads a model and, where there are any, merges overlays over it.
func ParseModel(doc []byte, overlays ...[]byte) (*Model, error) {
	if len(overlays) > 0 {
		var err error
		if doc, err = merge(doc, overlays); err != nil {
			return nil, err
		}
	}
	m := new(Model)
	if err := json.Unmarshal(doc, m); err != nil {
		return nil, fmt.Errorf("wiregen: model: %w", err)
	}
	return m, nil
}

func merge(doc []byte, overlays [][]byte) ([]byte, error) {
	base, err := parseAny(doc)
	if err != nil {
		return nil, err
	}
	for _, o := range overlays {
		over, err := parseAny(o)
		if err != nil {
			return nil, fmt.Errorf("wiregen: overlay: %w", err)
		}
		base = mergeValue(base, over)
	}
	return json.Marshal(base)
}

func parseAny(doc []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// mergeValue merges over into base (RFC 7396).
func mergeValue(base, over any) any {
	o, ok := over.(map[string]any)
	if !ok {
		return over
	}
	b, ok := base.(map[string]any)
	if !ok {
		b = map[string]any{}
	}
	for k, v := range o {
		if v == nil {
			delete(b, k)
			continue
		}
		b[k] = mergeValue(b[k], v)
	}
	return b
}
