package vtl

import (
	"errors"

	"moat/internal/pure/jsonpath"
)

// node is a piece of a template.
type node interface{ render(r *run) error }

type textNode string

func (n textNode) render(r *run) error {
	r.out = append(r.out, n...)
	return nil
}

// refNode writes a reference's value.
type refNode struct{ ref *reference }

func (n refNode) render(r *run) error {
	v, err := n.ref.eval(r)
	if err != nil {
		return err
	}
	return r.emit(v)
}

type setNode struct {
	target *reference
	value  expr
}

func (n *setNode) render(r *run) error {
	v, err := n.value.eval(r)
	if err != nil {
		return err
	}
	return n.target.assign(r, v)
}

type branch struct {
	when expr // nil: else
	body []node
}

type ifNode struct{ branches []branch }

func (n *ifNode) render(r *run) error {
	for i := range n.branches {
		b := &n.branches[i]
		if b.when != nil {
			v, err := b.when.eval(r)
			if err != nil {
				return err
			}
			if !truth(v) {
				continue
			}
		}
		return r.render(b.body)
	}
	return nil
}

// truth is Velocity's: everything but null and false.
func truth(v any) bool {
	b, ok := v.(bool)
	return v != nil && (!ok || b)
}

type foreachNode struct {
	slot, loopSlot, countSlot, nextSlot int // of the item, $foreach, $velocityCount, $velocityHasNext
	list                                expr
	body                                []node
}

// loop is $foreach.
type loop struct {
	index, size int
	parent      *loop
	stopped     bool
}

func (n *foreachNode) render(r *run) error {
	v, err := n.list.eval(r)
	if err != nil {
		return err
	}
	var items []any
	switch v := v.(type) {
	case *jsonpath.List:
		items = v.Items
	case *jsonpath.Map:
		items = make([]any, v.Len())
		for i := range items {
			_, items[i] = v.At(i)
		}
	default:
		return nil
	}
	if len(items) == 0 {
		return nil
	}
	l := &loop{size: len(items), parent: r.loop}
	saved := [4]slot{r.slots[n.slot], r.slots[n.loopSlot], r.slots[n.countSlot], r.slots[n.nextSlot]}
	r.loop = l
	defer func() {
		r.loop = l.parent
		r.slots[n.slot], r.slots[n.loopSlot], r.slots[n.countSlot], r.slots[n.nextSlot] = saved[0], saved[1], saved[2], saved[3]
	}()
	r.slots[n.loopSlot] = slot{l, true}
	for i, item := range items {
		if i >= MaxLoop || l.stopped {
			break
		}
		l.index = i
		r.slots[n.slot] = slot{item, true}
		r.slots[n.countSlot] = slot{int64(i + 1), true}
		r.slots[n.nextSlot] = slot{i+1 < len(items), true}
		if err := r.render(n.body); errors.Is(err, errBreak) {
			break
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Property gives $foreach.index and its like.
func (l *loop) Property(name string) (any, bool) {
	switch name {
	case "index":
		return int64(l.index), true
	case "count":
		return int64(l.index + 1), true
	case "hasNext":
		return l.index+1 < l.size, true
	case "first":
		return l.index == 0, true
	case "last":
		return l.index+1 == l.size, true
	case "parent":
		if l.parent == nil {
			return nil, false
		}
		return l.parent, true
	case "topmost":
		for l.parent != nil {
			l = l.parent
		}
		return l, true
	}
	return nil, false
}

// Call gives $foreach.hasNext() and its like; stop() ends the loop after this round.
func (l *loop) Call(name string, args []any) (any, bool, error) {
	if len(args) > 0 {
		return nil, false, nil
	}
	switch name {
	case "stop":
		l.stopped = true
		return nil, true, nil
	case "hasNext":
		v, ok := l.Property("hasNext")
		return v, ok, nil
	case "getIndex", "getCount", "getParent", "getTopmost", "isFirst", "isLast", "getHasNext":
		v, ok := l.Property(property(name))
		return v, ok, nil
	}
	return nil, false, nil
}

// String is empty: the object itself says nothing.
func (l *loop) String() string { return "" }

type controlNode struct{ err error }

func (n controlNode) render(*run) error { return n.err }

// block is the value that #define gives a name to: rendered wherever it is mentioned.
type block struct{ body []node }

func (b *block) render(r *run) error {
	if err := r.enter(); err != nil {
		return err
	}
	defer func() { r.calls-- }()
	if err := r.render(b.body); err != nil && !errors.Is(err, errBreak) {
		return err
	}
	return nil
}

type defineNode struct {
	slot  int
	block *block
}

func (n *defineNode) render(r *run) error {
	r.slots[n.slot] = slot{n.block, true}
	return nil
}

type macro struct {
	params []int // slots
	body   []node
}

type macroNode struct {
	t       *Template
	name    string
	literal string
	args    []expr
	body    *block // of #@name(...)
	content int    // the slot of $bodyContent
}

// render binds the arguments to the parameters' names for as long as the macro runs.
func (n *macroNode) render(r *run) error {
	m := n.t.macros[n.name]
	if m == nil {
		r.out = append(r.out, n.literal...)
		return nil
	}
	if err := r.enter(); err != nil {
		return err
	}
	defer func() { r.calls-- }()
	values := make([]slot, len(m.params), len(m.params)+1)
	for i := range m.params {
		if i < len(n.args) {
			v, err := n.args[i].eval(r)
			if err != nil {
				return err
			}
			values[i] = slot{v, true}
		}
	}
	slots := m.params
	if n.body != nil {
		slots, values = append(slots[:len(slots):len(slots)], n.content), append(values, slot{n.body, true})
	}
	for i, s := range slots {
		r.slots[s], values[i] = values[i], r.slots[s]
	}
	defer func() {
		for i := len(slots) - 1; i >= 0; i-- {
			r.slots[slots[i]] = values[i]
		}
	}()
	if err := r.render(m.body); err != nil && !errors.Is(err, errBreak) {
		return err
	}
	return nil
}

type evaluateNode struct{ value expr }

func (n *evaluateNode) render(r *run) error {
	v, err := n.value.eval(r)
	if err != nil {
		return err
	}
	s, err := r.text(v)
	if err != nil {
		return err
	}
	return r.evaluate(s)
}
