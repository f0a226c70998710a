package restapi

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"moat/internal/wire/apigatewayapi"
)

// Models may refer to themselves: bounds of how deep one is followed, and how long a template gets.
const (
	maxTemplateDepth = 16
	maxTemplateSize  = 256 << 10
)

// defaultModels are those that an API has from the beginning.
func (s *Service) defaultModels() (map[string]apigatewayapi.Model, error) {
	const schema = `{
  "$schema": "http://json-schema.org/draft-04/schema#",
  "title": "Empty Schema",
  "type": "object"
}`
	const failed = `{
  "$schema" : "http://json-schema.org/draft-04/schema#",
  "title" : "Error Schema",
  "type" : "object",
  "properties" : {
    "message" : { "type" : "string" }
  }
}`
	out, contentType := map[string]apigatewayapi.Model{}, "application/json"
	for name, m := range map[string][2]string{"Empty": {"This is a default empty schema model", schema}, "Error": {"This is a default error schema model", failed}} {
		id, err := s.id(shortID)
		if err != nil {
			return nil, err
		}
		out[name] = apigatewayapi.Model{Id: &id, Name: &name, Description: &m[0], Schema: &m[1], ContentType: &contentType}
	}
	return out, nil
}

// GetModelTemplate writes a mapping template whose output has the form of a model, with sample
// values, to begin one's own from.
func (s *Service) GetModelTemplate(ctx context.Context, in *apigatewayapi.GetModelTemplateRequest) (*apigatewayapi.Template, error) {
	out := &apigatewayapi.Template{}
	err := s.view(ctx, in.RestApiId, func(d *definition) error {
		m, err := d.model(in.ModelName)
		if err != nil {
			return err
		}
		t := sampler{d: d}
		t.b.WriteString("#set($inputRoot = $input.path('$'))\n")
		t.write(parseSchema([]byte(*m.Schema)), "$inputRoot", 0, 0)
		text := t.b.String()
		out.Value = &text
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// schema is the part of a JSON schema that a sample needs; properties keep their order.
type schema struct {
	Ref   string          `json:"$ref"`
	Type  json.RawMessage `json:"type"`
	Items json.RawMessage `json:"items"`
	Enum  []any           `json:"enum"`

	Properties json.RawMessage `json:"properties"`
}

func parseSchema(raw []byte) schema {
	var s schema
	_ = json.Unmarshal(raw, &s) // a schema of another form has no sample, as a schema without members
	return s
}

func (s schema) kind() string {
	var one string
	var several []string
	switch {
	case json.Unmarshal(s.Type, &one) == nil:
		return one
	case json.Unmarshal(s.Type, &several) == nil && len(several) > 0:
		return several[0]
	case len(s.Items) > 0:
		return "array"
	}
	return "object"
}

// sampler writes a template for a model.
type sampler struct {
	d *definition
	b strings.Builder
}

func (t *sampler) write(s schema, from string, indent, depth int) {
	if name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]; name != "" && depth < maxTemplateDepth {
		if m, err := t.d.model(name); err == nil && m.Schema != nil {
			t.write(parseSchema([]byte(*m.Schema)), from, indent, depth+1)
			return
		}
	}
	switch s.kind() {
	case "string":
		t.b.WriteString(`"foo"`)
	case "integer":
		t.b.WriteString("42")
	case "number":
		t.b.WriteString("1.2")
	case "boolean":
		t.b.WriteString("true")
	case "null":
		t.b.WriteString("null")
	case "array":
		t.array(s, from, indent, depth)
	default:
		t.object(s, from, indent, depth)
	}
}

func (t *sampler) array(s schema, from string, indent, depth int) {
	pad := strings.Repeat(" ", indent)
	t.b.WriteString("[\n##TODO: Update this foreach loop to reference array from input json\n#foreach($elem in " + from + ")\n" + pad + "  ")
	if depth < maxTemplateDepth && t.b.Len() < maxTemplateSize {
		t.write(parseSchema(s.Items), "$elem", indent+2, depth+1)
	}
	t.b.WriteString("#if($foreach.hasNext),#end\n\n#end\n" + pad + "]")
}

func (t *sampler) object(s schema, from string, indent, depth int) {
	names, values := members(s.Properties)
	if len(names) == 0 || depth >= maxTemplateDepth || t.b.Len() > maxTemplateSize {
		t.b.WriteString("{ }")
		return
	}
	pad := strings.Repeat(" ", indent)
	t.b.WriteString("{\n")
	for i, name := range names {
		quoted, err := json.Marshal(name)
		if err != nil {
			continue
		}
		t.b.WriteString(pad + "  " + string(quoted) + " : ")
		t.write(parseSchema(values[i]), from+"."+name, indent+2, depth+1)
		if i < len(names)-1 {
			t.b.WriteByte(',')
		}
		t.b.WriteByte('\n')
	}
	t.b.WriteString(pad + "}")
}

// members are the members of an object in the order in which they are written.
func members(object json.RawMessage) (names []string, values []json.RawMessage) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, nil
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			break
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			break
		}
		names, values = append(names, name.(string)), append(values, value)
	}
	return names, values
}
