package jsonpath

import (
	"errors"
	"math"
)

// ErrNotFound: a definite path names nothing in the document.
var ErrNotFound = errors.New("jsonpath: nothing there")

// Find gives what the path names in root: one value for a definite path or a
// function, else a [*List] of all matches, which may be empty. A definite path that
// names nothing is [ErrNotFound]; too much work is a [*LimitError].
func (p *Path) Find(root any) (any, error) {
	v, _, err := p.FindCounted(root)
	return v, err
}

// FindCounted is Find, with the number of values that were looked at.
func (p *Path) FindCounted(root any) (v any, looked int, err error) {
	e := evaluation{root: root}
	v, err = e.find(p, root)
	return v, e.steps, err
}

type evaluation struct {
	root  any
	steps int
}

func (e *evaluation) find(p *Path, from any) (any, error) {
	if p.definite {
		v, ok := direct(p.steps, from)
		if !ok {
			return nil, ErrNotFound
		}
		return p.apply(v)
	}
	out := &List{JSON: true}
	if err := e.walk(p.steps, from, out); err != nil {
		return nil, err
	}
	return p.apply(out)
}

// direct follows a definite path without a list of matches.
func direct(steps []segment, v any) (any, bool) {
	for i := range steps {
		s := &steps[i]
		var ok bool
		if s.kind == member {
			m, is := v.(*Map)
			if !is {
				return nil, false
			}
			v, ok = m.Get(s.name)
		} else if s.kind == members {
			m, is := v.(*Map)
			if !is {
				return nil, false
			}
			v, ok = m.some(s.names), true
		} else if l, is := v.(*List); is {
			v, ok = l.at(s.indexes[0])
		}
		if !ok {
			return nil, false
		}
	}
	return v, true
}

// some is an object with those of the members that are there.
func (m *Map) some(names []string) *Map {
	out := NewMap(len(names))
	for _, name := range names {
		if v, ok := m.Get(name); ok {
			out.Put(name, v)
		}
	}
	return out
}

func (l *List) at(i int) (any, bool) {
	if i < 0 {
		i += len(l.Items)
	}
	if i < 0 || i >= len(l.Items) {
		return nil, false
	}
	return l.Items[i], true
}

func (e *evaluation) work() error {
	if e.steps++; e.steps > maxSteps {
		return &LimitError{"the path looks at too many values"}
	}
	return nil
}

// walk collects what steps match below v.
func (e *evaluation) walk(steps []segment, v any, out *List) error {
	if err := e.work(); err != nil {
		return err
	}
	if len(steps) == 0 {
		out.Items = append(out.Items, v)
		return nil
	}
	s, rest := &steps[0], steps[1:]
	if s.kind == deep {
		return e.descend(rest, v, out, 0)
	}
	switch v := v.(type) {
	case *Map:
		return e.walkMap(s, rest, v, out)
	case *List:
		return e.walkList(s, rest, v, out)
	}
	return nil
}

func (e *evaluation) walkMap(s *segment, rest []segment, m *Map, out *List) error {
	switch s.kind {
	case member:
		if v, ok := m.Get(s.name); ok {
			return e.walk(rest, v, out)
		}
	case members: // Jayway gives one object with those of the members that are there
		if len(rest) == 0 {
			return e.walk(rest, m.some(s.names), out)
		}
		for _, name := range s.names {
			if v, ok := m.Get(name); ok {
				if err := e.walk(rest, v, out); err != nil {
					return err
				}
			}
		}
	case wildcard:
		for _, v := range m.values {
			if err := e.walk(rest, v, out); err != nil {
				return err
			}
		}
	case filter:
		return e.accept(s, rest, m, out)
	}
	return nil
}

func (e *evaluation) walkList(s *segment, rest []segment, l *List, out *List) error {
	switch s.kind {
	case element, elements:
		for _, i := range s.indexes {
			if v, ok := l.at(i); ok {
				if err := e.walk(rest, v, out); err != nil {
					return err
				}
			}
		}
	case slice, wildcard:
		from, to := s.bounds(len(l.Items))
		for i := from; i < to; i++ {
			if err := e.walk(rest, l.Items[i], out); err != nil {
				return err
			}
		}
	case filter:
		for _, v := range l.Items {
			if err := e.accept(s, rest, v, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// bounds of a slice as Jayway reads them: negative counts from the end.
func (s *segment) bounds(n int) (from, to int) {
	to = n
	if s.from != nil {
		if from = *s.from; from < 0 {
			from += n
		}
	}
	if s.to != nil {
		if to = *s.to; to < 0 {
			to += n
		}
	}
	return max(from, 0), min(to, n)
}

func (e *evaluation) accept(s *segment, rest []segment, v any, out *List) error {
	ok, err := s.test.holds(e, v)
	if err != nil || !ok {
		return err
	}
	return e.walk(rest, v, out)
}

// descend tries steps on v and on everything below it, outermost first.
func (e *evaluation) descend(steps []segment, v any, out *List, depth int) error {
	if depth > MaxDepth {
		return &LimitError{"the document is nested too deeply"}
	}
	if err := e.walk(steps, v, out); err != nil {
		return err
	}
	switch v := v.(type) {
	case *Map:
		for _, child := range v.values {
			if err := e.descend(steps, child, out, depth+1); err != nil {
				return err
			}
		}
	case *List:
		for _, child := range v.Items {
			if err := e.descend(steps, child, out, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply runs the path's function on what was found.
func (p *Path) apply(v any) (any, error) {
	if p.function == "" {
		return v, nil
	}
	l, isList := v.(*List)
	m, isMap := v.(*Map)
	switch p.function {
	case "length", "size":
		switch {
		case isList:
			return int64(len(l.Items)), nil
		case isMap:
			return int64(m.Len()), nil
		}
		return nil, nil
	case "keys":
		if !isMap {
			return nil, nil
		}
		out := &List{JSON: true}
		for _, k := range m.keys {
			out.Items = append(out.Items, k)
		}
		return out, nil
	case "first", "last":
		if !isList || len(l.Items) == 0 {
			return nil, ErrNotFound
		}
		if p.function == "first" {
			return l.Items[0], nil
		}
		return l.Items[len(l.Items)-1], nil
	}
	if !isList {
		return nil, ErrNotFound
	}
	return aggregate(p.function, l.Items)
}

// aggregate computes over the numbers of items; Java does it in doubles.
func aggregate(function string, items []any) (any, error) {
	var n, sum, squares float64
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range items {
		f, ok := Float(v)
		if !ok {
			continue
		}
		n++
		sum += f
		squares += f * f
		low, high = math.Min(low, f), math.Max(high, f)
	}
	if n == 0 {
		return nil, ErrNotFound
	}
	switch function {
	case "min":
		return low, nil
	case "max":
		return high, nil
	case "sum":
		return sum, nil
	case "avg":
		return sum / n, nil
	}
	return math.Sqrt(math.Max(0, squares/n-sum*sum/n/n)), nil
}
