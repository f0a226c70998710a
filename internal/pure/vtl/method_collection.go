package vtl

import (
	"slices"

	"moat/internal/pure/jsonpath"
)

func (r *run) listMethod(l *jsonpath.List, name string, args []any) (any, bool, error) {
	switch len(args) {
	case 0:
		return r.listMethod0(l, name)
	case 1:
		return r.listMethod1(l, name, args[0])
	}
	n, ok := intArg(args, 0)
	if !ok || len(args) != 2 {
		return nil, false, nil
	}
	switch name {
	case "set":
		if n < 0 || n >= len(l.Items) {
			return nil, true, badIndex(name)
		}
		old := l.Items[n]
		l.Items[n] = args[1]
		return old, true, nil
	case "add":
		if n < 0 || n > len(l.Items) {
			return nil, true, badIndex(name)
		}
		l.Items = slices.Insert(l.Items, n, args[1])
		r.steps += len(l.Items) / 16
		return nil, true, r.charge(16)
	case "subList":
		to, ok := intArg(args, 1)
		if !ok || n < 0 || n > to || to > len(l.Items) {
			return nil, true, badIndex(name)
		}
		return &jsonpath.List{Items: slices.Clone(l.Items[n:to])}, true, r.charge(16 * (to - n))
	}
	return nil, false, nil
}

func badIndex(name string) error {
	return &RenderError{Message: "List." + name + ": index out of bounds"}
}

func (r *run) listMethod0(l *jsonpath.List, name string) (any, bool, error) {
	switch name {
	case "size", "length":
		return int64(len(l.Items)), true, nil
	case "isEmpty":
		return len(l.Items) == 0, true, nil
	case "clear":
		l.Items = nil
		return nil, true, nil
	case "iterator", "listIterator", "toArray", "clone":
		return &jsonpath.List{Items: slices.Clone(l.Items)}, true, r.charge(16 * len(l.Items))
	}
	return nil, false, nil
}

func (r *run) listMethod1(l *jsonpath.List, name string, arg any) (any, bool, error) {
	n, isInt := arg.(int64)
	switch name {
	case "get":
		if !isInt {
			return nil, false, nil
		}
		if n < 0 || n >= int64(len(l.Items)) {
			return nil, true, badIndex(name)
		}
		return l.Items[n], true, nil
	case "add":
		l.Items = append(l.Items, arg)
		return true, true, r.charge(16)
	case "remove":
		if isInt {
			if n < 0 || n >= int64(len(l.Items)) {
				return nil, true, badIndex(name)
			}
			old := l.Items[n]
			l.Items = slices.Delete(l.Items, int(n), int(n)+1)
			return old, true, r.work(len(l.Items) / 16)
		}
		i, err := r.index(l, arg, false)
		if i >= 0 {
			l.Items = slices.Delete(l.Items, i, i+1)
		}
		return i >= 0, true, err
	case "contains":
		i, err := r.index(l, arg, false)
		return i >= 0, true, err
	case "indexOf", "lastIndexOf":
		i, err := r.index(l, arg, name == "lastIndexOf")
		return int64(i), true, err
	}
	other, ok := arg.(*jsonpath.List)
	if !ok {
		return nil, false, nil
	}
	return r.listMethodList(l, name, other)
}

// listMethodList has the methods of another collection.
func (r *run) listMethodList(l *jsonpath.List, name string, other *jsonpath.List) (any, bool, error) {
	switch name {
	case "addAll":
		l.Items = append(l.Items, other.Items...)
		return len(other.Items) > 0, true, r.charge(16 * len(other.Items))
	case "containsAll":
		for _, v := range other.Items {
			if i, err := r.index(l, v, false); i < 0 || err != nil {
				return false, true, err
			}
		}
		return true, true, nil
	case "removeAll", "retainAll":
		var keep []any
		for _, v := range l.Items {
			i, err := r.index(other, v, false)
			if err != nil {
				return nil, true, err
			}
			if (i >= 0) == (name == "retainAll") {
				keep = append(keep, v)
			}
		}
		changed := len(keep) != len(l.Items)
		l.Items = keep
		return changed, true, nil
	}
	return nil, false, nil
}

// index finds an equal item; -1 when there is none.
func (r *run) index(l *jsonpath.List, v any, last bool) (int, error) {
	found := -1
	for i, item := range l.Items {
		if err := r.step(); err != nil {
			return -1, err
		}
		same := item == nil && v == nil
		if !same && sameKind(item, v) {
			var err error
			if same, err = r.equal(item, v); err != nil {
				return -1, err
			}
		}
		if same {
			if found = i; !last {
				return i, nil
			}
		}
	}
	return found, nil
}

func (r *run) mapMethod(m *jsonpath.Map, name string, args []any) (any, bool, error) {
	switch len(args) {
	case 0:
		return r.mapMethod0(m, name)
	case 1:
		switch name {
		case "get":
			v, _ := m.Get(keyOf(args[0]))
			return v, true, nil
		case "containsKey":
			_, ok := m.Get(keyOf(args[0]))
			return ok, true, nil
		case "remove":
			r.steps += m.Len() / 16
			return m.Delete(keyOf(args[0])), true, nil
		case "containsValue":
			i, err := r.index(values(m), args[0], false)
			return i >= 0, true, err
		case "putAll":
			other, ok := args[0].(*jsonpath.Map)
			if !ok {
				return nil, false, nil
			}
			for i := range other.Len() {
				m.Put(other.At(i))
			}
			return nil, true, r.charge(48 * other.Len())
		}
		return nil, false, nil
	case 2:
		key := keyOf(args[0])
		old, there := m.Get(key)
		switch name {
		case "put":
			m.Put(key, args[1])
			return old, true, r.charge(48 + len(key))
		case "putIfAbsent":
			if !there {
				m.Put(key, args[1])
			}
			return old, true, r.charge(48 + len(key))
		case "getOrDefault":
			if !there {
				return args[1], true, nil
			}
			return old, true, nil
		case "replace":
			if there {
				m.Put(key, args[1])
			}
			return old, true, nil
		}
	}
	return nil, false, nil
}

func values(m *jsonpath.Map) *jsonpath.List {
	l := &jsonpath.List{Items: make([]any, m.Len())}
	for i := range l.Items {
		_, l.Items[i] = m.At(i)
	}
	return l
}

func (r *run) mapMethod0(m *jsonpath.Map, name string) (any, bool, error) {
	switch name {
	case "size":
		return int64(m.Len()), true, nil
	case "isEmpty":
		return m.Len() == 0, true, nil
	case "clear":
		m.Clear()
		return nil, true, nil
	case "values":
		return values(m), true, r.charge(16 * m.Len())
	case "keySet":
		l := &jsonpath.List{Items: make([]any, m.Len())}
		for i := range l.Items {
			l.Items[i], _ = m.At(i)
		}
		return l, true, r.charge(32 * m.Len())
	case "entrySet":
		l := &jsonpath.List{Items: make([]any, m.Len())}
		for i := range l.Items {
			key, _ := m.At(i)
			l.Items[i] = &entry{m, key}
		}
		return l, true, r.charge(48 * m.Len())
	}
	return nil, false, nil
}

// entry is a Map.Entry: a view of its map.
type entry struct {
	m   *jsonpath.Map
	key string
}

// Property gives $entry.key and $entry.value.
func (e *entry) Property(name string) (any, bool) {
	switch name {
	case "key":
		return e.key, true
	case "value":
		return e.m.Get(e.key)
	}
	return nil, false
}

// Call is answered by method.
func (e *entry) Call(name string, args []any) (any, bool, error) {
	out, ok := e.method(name, args)
	return out, ok, nil
}

// SetProperty sets $entry.value.
func (e *entry) SetProperty(name string, v any) bool {
	if name == "value" {
		e.m.Put(e.key, v)
	}
	return name == "value"
}

func (e *entry) method(name string, args []any) (any, bool) {
	switch {
	case name == "getKey" && len(args) == 0:
		return e.key, true
	case name == "getValue" && len(args) == 0:
		v, _ := e.m.Get(e.key)
		return v, true
	case name == "setValue" && len(args) == 1:
		return e.m.Put(e.key, args[0]), true
	}
	return nil, false
}

// AppendText is key=value.
func (e *entry) AppendText(dst []byte, limit, depth int) ([]byte, error) {
	v, _ := e.m.Get(e.key)
	return jsonpath.AppendTextAt(append(append(dst, e.key...), '='), v, limit, depth)
}
