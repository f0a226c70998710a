package jsonpath

import (
	"math/big"
	"slices"
)

// A value is nil, bool, int64, *big.Int, float64, [Decimal], string, *Map or *List.

// Decimal is a number with more digits than a float64 holds, as it was written.
type Decimal string

// List is an array that can grow. JSON says that it came from a document: Java's
// JSON arrays print themselves as JSON, its other lists do not.
type List struct {
	Items []any
	JSON  bool
}

// NewList returns a list of items, which it owns from then on.
func NewList(items ...any) *List { return &List{Items: items} }

// Map is an object whose members keep the order in which they were first put.
// The zero value is empty and ready.
type Map struct {
	keys   []string
	values []any
	index  map[string]int // nil while the map is small
}

// linear is the size up to which looking through the keys beats hashing.
const linear = 12

// NewMap returns a map with room for n members.
func NewMap(n int) *Map { return &Map{keys: make([]string, 0, n), values: make([]any, 0, n)} }

// Len is the number of members.
func (m *Map) Len() int { return len(m.keys) }

// At gives member i in order.
func (m *Map) At(i int) (string, any) { return m.keys[i], m.values[i] }

func (m *Map) find(key string) int {
	if m.index != nil {
		if i, ok := m.index[key]; ok {
			return i
		}
		return -1
	}
	return slices.Index(m.keys, key)
}

// Get gives a member's value; ok is false when there is none of that name.
func (m *Map) Get(key string) (value any, ok bool) {
	if i := m.find(key); i >= 0 {
		return m.values[i], true
	}
	return nil, false
}

// Put sets a member and gives back what it replaced. A member that was there keeps its place.
func (m *Map) Put(key string, value any) (old any) {
	if i := m.find(key); i >= 0 {
		old, m.values[i] = m.values[i], value
		return old
	}
	m.keys, m.values = append(m.keys, key), append(m.values, value)
	switch {
	case m.index != nil:
		m.index[key] = len(m.keys) - 1
	case len(m.keys) > linear:
		m.reindex()
	}
	return nil
}

// Delete takes a member away and gives back its value.
func (m *Map) Delete(key string) (old any) {
	i := m.find(key)
	if i < 0 {
		return nil
	}
	old = m.values[i]
	m.keys, m.values = slices.Delete(m.keys, i, i+1), slices.Delete(m.values, i, i+1)
	if m.index != nil {
		m.reindex()
	}
	return old
}

func (m *Map) reindex() {
	m.index = make(map[string]int, len(m.keys))
	for i, k := range m.keys {
		m.index[k] = i
	}
}

// Clear takes every member away.
func (m *Map) Clear() { *m = Map{} }

// Float reads any number as a float64.
func Float(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f, true
	case Decimal:
		f, _, err := big.ParseFloat(string(v), 10, 64, big.ToNearestEven)
		if err != nil {
			return 0, false
		}
		out, _ := f.Float64()
		return out, true
	}
	return 0, false
}

// compareNumbers orders two numbers; ok is false when one is none.
func compareNumbers(a, b any) (order int, ok bool) {
	x, isX := a.(int64)
	y, isY := b.(int64)
	if isX && isY {
		switch {
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		}
		return 0, true
	}
	p, isP := a.(*big.Int)
	q, isQ := b.(*big.Int)
	if isP && isY {
		return p.Cmp(big.NewInt(y)), true
	}
	if isX && isQ {
		return big.NewInt(x).Cmp(q), true
	}
	if isP && isQ {
		return p.Cmp(q), true
	}
	f, okF := Float(a)
	g, okG := Float(b)
	switch {
	case !okF || !okG:
		return 0, false
	case f < g:
		return -1, true
	case f > g:
		return 1, true
	}
	return 0, f == g
}

// CompareNumbers orders two numbers; ok is false when one of them is no number.
func CompareNumbers(a, b any) (order int, ok bool) { return compareNumbers(a, b) }
