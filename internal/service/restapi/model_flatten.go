package restapi

import (
	"maps"
	"slices"
	"strings"

	"moat/internal/service/restapi/document"
	"moat/internal/wire"
)

// flattened is a model's schema with the models that it refers to, directly or not, as
// definitions inside (API Gateway API Reference, GetModel: flatten resolves all external
// model references). A model may refer to itself.
func (d *definition) flattened(name string) (*string, error) {
	f := flattener{d: d, root: name, wanted: map[string]bool{}, definitions: map[string]*document.Object{}}
	root, ok := f.schema(name)
	if !ok {
		return d.Models[name].Schema, nil // of another format, which has no references
	}
	for len(f.wanted) > 0 {
		next := slices.Sorted(maps.Keys(f.wanted))[0]
		delete(f.wanted, next)
		f.definitions[next] = nil // being read
		s, ok := f.schema(next)
		if !ok {
			return nil, badRequest("Invalid model reference specified: %s", next)
		}
		f.definitions[next] = s
	}
	if len(f.definitions) > 0 {
		all := &document.Object{}
		if own := root.Object("definitions"); own != nil {
			for _, k := range own.Keys() {
				all.Set(k, own.Get(k))
			}
		}
		for _, k := range slices.Sorted(maps.Keys(f.definitions)) {
			all.Set(k, f.definitions[k])
		}
		root.Set("definitions", all)
	}
	return wire.String(string(document.Pretty(root))), nil
}

type flattener struct {
	d           *definition
	root        string
	wanted      map[string]bool
	definitions map[string]*document.Object
}

// schema reads a model's schema with its references turned inwards.
func (f *flattener) schema(name string) (*document.Object, bool) {
	m, there := f.d.Models[name]
	v, err := document.ParseJSON([]byte(wire.Value(m.Schema)))
	o, ok := v.(*document.Object)
	if !there || err != nil || !ok {
		return nil, false
	}
	return f.turn(o).(*document.Object), true
}

func (f *flattener) turn(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = f.turn(e)
		}
		return out
	case *document.Object:
		out := &document.Object{}
		for _, k := range v.Keys() {
			e := v.Get(k)
			if ref, ok := e.(string); ok && k == "$ref" {
				e = f.refer(ref)
			} else {
				e = f.turn(e)
			}
			out.Set(k, e)
		}
		return out
	}
	return v
}

func (f *flattener) refer(ref string) string {
	name := strings.TrimPrefix(ref, modelBase+f.d.ID+"/models/")
	if name == ref {
		return ref
	}
	if name == f.root {
		return "#"
	}
	if _, known := f.definitions[name]; !known {
		f.wanted[name] = true
	}
	return "#/definitions/" + name
}
