package gateway

import "moat/internal/pure/jsonpath"

// overrides is $context.requestOverride or responseOverride, or one place of it. Within a
// template a parameter can be overridden once (API Gateway Developer Guide, "Override your
// API's request and response parameters").
type overrides struct {
	state  *mapState
	values *jsonpath.Map
	set    map[string]int // by which rendering
}

func (m *mapState) newOverrides(places ...string) *overrides {
	o := &overrides{state: m, values: jsonpath.NewMap(len(places))}
	for _, place := range places {
		o.values.Put(place, m.newOverrides())
	}
	return o
}

// requestOverride is $context.requestOverride, made when it is first mentioned.
func (m *mapState) requestOverride() *overrides {
	if m.request == nil {
		m.request = m.newOverrides("header", "path", "querystring")
	}
	return m.request
}

// responseOverride is $context.responseOverride.
func (m *mapState) responseOverride() *overrides {
	if m.response == nil {
		m.response = m.newOverrides("header")
	}
	return m.response
}

// place is what was set below one name; a template may also have put a map of its own there.
func (o *overrides) place(name string) *jsonpath.Map {
	v, _ := o.values.Get(name)
	switch v := v.(type) {
	case *overrides:
		return v.values
	case *jsonpath.Map:
		return v
	}
	return nil
}

// Property gives what was set.
func (o *overrides) Property(name string) (any, bool) { return o.values.Get(name) }

// SetProperty overrides a parameter.
func (o *overrides) SetProperty(name string, v any) bool {
	if o.set[name] == o.state.renders && o.state.renders > 0 {
		o.state.twice = name
	}
	if o.set == nil {
		o.set = map[string]int{}
	}
	o.set[name] = o.state.renders
	o.values.Put(name, v)
	return true
}

// Call gives get(name), put(name, value), containsKey(name), keySet() and isEmpty().
func (o *overrides) Call(name string, args []any) (any, bool, error) {
	key := ""
	if len(args) > 0 {
		var ok bool
		if key, ok = args[0].(string); !ok {
			return nil, false, nil
		}
	}
	switch {
	case name == "get" && len(args) == 1:
		v, _ := o.values.Get(key)
		return v, true, nil
	case name == "put" && len(args) == 2:
		old, _ := o.values.Get(key)
		o.SetProperty(key, args[1])
		return old, true, nil
	case name == "containsKey" && len(args) == 1:
		return has(o.values, key), true, nil
	case name == "isEmpty" && len(args) == 0:
		return o.values.Len() == 0, true, nil
	case name == "keySet" && len(args) == 0:
		l := jsonpath.NewList()
		for i := range o.values.Len() {
			k, _ := o.values.At(i)
			l.Items = append(l.Items, k)
		}
		return l, true, nil
	}
	return nil, false, nil
}

// AppendText is what Java prints of the map.
func (o *overrides) AppendText(dst []byte, limit, depth int) ([]byte, error) {
	return jsonpath.AppendTextAt(dst, o.values, limit, depth)
}
