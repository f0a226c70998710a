package vtl

import (
	"math"
	"math/big"
	"strings"

	"moat/internal/pure/jsonpath"
)

// expr is an expression.
type expr interface{ eval(r *run) (any, error) }

type constant struct{ value any }

func (e constant) eval(*run) (any, error) { return e.value, nil }

// interpolation is a double-quoted string with references or directives in it.
type interpolation struct{ nodes []node }

func (e interpolation) eval(r *run) (any, error) {
	if err := r.enter(); err != nil { // a string may hold a string
		return nil, err
	}
	defer func() { r.calls-- }()
	return r.captured(e.nodes)
}

func (r *run) captured(nodes []node) (any, error) {
	s, err := r.capture(nodes)
	if err != nil {
		return nil, err
	}
	return s, nil
}

type listExpr struct{ items []expr }

func (e listExpr) eval(r *run) (any, error) {
	if err := r.charge(16 * len(e.items)); err != nil {
		return nil, err
	}
	l := &jsonpath.List{Items: make([]any, len(e.items))}
	for i, item := range e.items {
		v, err := item.eval(r)
		if err != nil {
			return nil, err
		}
		l.Items[i] = v
	}
	return l, nil
}

type mapExpr struct{ keys, values []expr }

func (e mapExpr) eval(r *run) (any, error) {
	if err := r.charge(48 * len(e.keys)); err != nil {
		return nil, err
	}
	m := jsonpath.NewMap(len(e.keys))
	for i := range e.keys {
		k, err := e.keys[i].eval(r)
		if err != nil {
			return nil, err
		}
		v, err := e.values[i].eval(r)
		if err != nil {
			return nil, err
		}
		m.Put(keyOf(k), v)
	}
	return m, nil
}

type rangeExpr struct{ from, to expr }

func (e rangeExpr) eval(r *run) (any, error) {
	a, err := e.from.eval(r)
	if err != nil {
		return nil, err
	}
	b, err := e.to.eval(r)
	if err != nil {
		return nil, err
	}
	from, ok := a.(int64)
	to, also := b.(int64)
	if !ok || !also {
		return nil, nil
	}
	step := int64(1)
	if from > to {
		step = -1
	}
	n := (to-from)*step + 1
	if n <= 0 || n > int64(r.limits.Memory)/16 {
		return nil, &LimitError{"makes too long a range"}
	}
	if err := r.charge(16 * int(n)); err != nil {
		return nil, err
	}
	l := &jsonpath.List{Items: make([]any, n)}
	for i := range l.Items {
		l.Items[i] = from + int64(i)*step
	}
	return l, nil
}

type notExpr struct{ x expr }

func (e notExpr) eval(r *run) (any, error) {
	v, err := e.x.eval(r)
	return !truth(v), err
}

type logicExpr struct {
	and  bool
	a, b expr
}

func (e *logicExpr) eval(r *run) (any, error) {
	if err := r.step(); err != nil {
		return nil, err
	}
	v, err := e.a.eval(r)
	if err != nil || truth(v) != e.and {
		return truth(v), err
	}
	v, err = e.b.eval(r)
	return truth(v), err
}

type binaryExpr struct {
	op   string
	a, b expr
}

func (e *binaryExpr) eval(r *run) (any, error) {
	if err := r.step(); err != nil {
		return nil, err
	}
	a, err := e.a.eval(r)
	if err != nil {
		return nil, err
	}
	b, err := e.b.eval(r)
	if err != nil {
		return nil, err
	}
	switch e.op {
	case "==":
		return r.equal(a, b)
	case "!=":
		same, err := r.equal(a, b)
		return !same, err
	case "<", "<=", ">", ">=":
		return ordered(e.op, a, b), nil
	case "+":
		_, left := a.(string)
		_, right := b.(string)
		if left || right {
			return r.concat(a, b)
		}
	}
	return r.arithmetic(e.op[0], a, b)
}

func (r *run) concat(a, b any) (any, error) {
	x, err := r.text(a)
	if err != nil {
		return nil, err
	}
	y, err := r.text(b)
	if err != nil {
		return nil, err
	}
	return x + y, r.charge(len(x) + len(y))
}

func ordered(op string, a, b any) bool {
	order, ok := jsonpath.CompareNumbers(a, b)
	if s, is := a.(string); is {
		var t string
		if t, ok = b.(string); ok {
			order = strings.Compare(s, t)
		}
	}
	return ok && (order < 0 && op[0] == '<' || order > 0 && op[0] == '>' || order == 0 && len(op) == 2)
}

// equal is Velocity's ==: numbers by value, like with like, and the rest as texts.
func (r *run) equal(a, b any) (bool, error) {
	if err := r.step(); err != nil {
		return false, err
	}
	if a == nil || b == nil {
		return a == b, nil
	}
	if order, ok := jsonpath.CompareNumbers(a, b); ok {
		return order == 0, nil
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return x == y, r.work(min(len(x), len(y)) / 256)
		}
	case bool:
		if y, ok := b.(bool); ok {
			return x == y, nil
		}
	}
	return r.sameText(a, b)
}

func (r *run) sameText(a, b any) (bool, error) {
	x, err := r.text(a)
	if err != nil {
		return false, err
	}
	y, err := r.text(b)
	return x == y, err
}

// maxBits bounds whole numbers, which grow as they need to.
const maxBits = 4096

// arithmetic works on numbers; with anything else, and by zero, the result is null.
func (r *run) arithmetic(op byte, a, b any) (any, error) {
	x, whole := a.(int64)
	y, also := b.(int64)
	if whole && also {
		if v, ok := small(op, x, y); ok {
			return v, nil
		}
	}
	p, isP := integer(a)
	q, isQ := integer(b)
	if isP && isQ {
		if p.BitLen()+q.BitLen() > maxBits {
			return nil, &LimitError{"computes with too large a number"}
		}
		return large(op, p, q), nil
	}
	f, okF := jsonpath.Float(a)
	g, okG := jsonpath.Float(b)
	if !okF || !okG {
		return nil, nil
	}
	switch op {
	case '+':
		return f + g, nil
	case '-':
		return f - g, nil
	case '*':
		return f * g, nil
	case '/':
		if g == 0 {
			return nil, nil
		}
		return f / g, nil
	}
	if g == 0 {
		return nil, nil
	}
	return math.Mod(f, g), nil
}

// small computes in 64 bits; ok is false when the result does not fit.
func small(op byte, x, y int64) (v any, ok bool) {
	switch op {
	case '+':
		z := x + y
		return z, (z > x) == (y > 0)
	case '-':
		z := x - y
		return z, (z < x) == (y > 0)
	case '*':
		if x == 0 || y == 0 {
			return int64(0), true
		}
		z := x * y
		return z, z/y == x && !(x == -1 && y == math.MinInt64) && !(y == -1 && x == math.MinInt64)
	case '/':
		if y == 0 {
			return nil, true
		}
		return x / y, !(y == -1 && x == math.MinInt64)
	}
	if y == 0 {
		return nil, true
	}
	return x % y, true
}

func integer(v any) (*big.Int, bool) {
	switch v := v.(type) {
	case int64:
		return big.NewInt(v), true
	case *big.Int:
		return v, true
	}
	return nil, false
}

func large(op byte, p, q *big.Int) any {
	z := new(big.Int)
	switch op {
	case '+':
		z.Add(p, q)
	case '-':
		z.Sub(p, q)
	case '*':
		z.Mul(p, q)
	default:
		if q.Sign() == 0 {
			return nil
		}
		if op == '/' {
			z.Quo(p, q)
		} else {
			z.Rem(p, q)
		}
	}
	if z.IsInt64() {
		return z.Int64()
	}
	return z
}
