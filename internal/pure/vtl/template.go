package vtl

import (
	"errors"
	"fmt"
	"maps"
	"regexp"

	"moat/internal/pure/jsonpath"
)

// Bounds of templates and of one rendering.
const (
	// MaxTemplate is API Gateway's limit of a template's size.
	MaxTemplate = 300 << 10
	// MaxLoop is how often a #foreach goes round; API Gateway's quota. What is left is
	// left out without a word, as Velocity's directive.foreach.maxloops does it.
	MaxLoop = 1000
	// maxCalls bounds macros, blocks and #evaluate inside each other (Velocity's bound).
	maxCalls = 20
	// maxNesting bounds directives, brackets and quotes inside each other.
	maxNesting = 100
)

// Limits bound one rendering.
type Limits struct {
	Steps  int // nodes visited
	Output int // bytes of the result
	Memory int // bytes of intermediate texts and lists
}

// DefaultLimits are the bounds where a field of [Limits] is zero.
func DefaultLimits() Limits { return Limits{Steps: 1 << 20, Output: 10 << 20, Memory: 64 << 20} }

// ParseError says where a template stops making sense.
type ParseError struct {
	Line, Column int
	Message      string
}

// Error gives the sentence.
func (e *ParseError) Error() string {
	return fmt.Sprintf("%s at line %d, column %d", e.Message, e.Line, e.Column)
}

// RenderError is a call that failed, as a Java method that throws.
type RenderError struct {
	Message string
	Err     error
}

// Error gives the sentence.
func (e *RenderError) Error() string { return e.Message }

// Unwrap gives the cause, when there is one.
func (e *RenderError) Unwrap() error { return e.Err }

// LimitError says which bound a template or a rendering exceeds.
type LimitError struct{ What string }

// Error gives the sentence.
func (e *LimitError) Error() string { return "the template " + e.What }

// Variables gives the values of top-level references.
type Variables interface {
	Lookup(name string) (value any, ok bool)
}

// Vars is [Variables] as a map.
type Vars map[string]any

// Lookup gives a variable.
func (v Vars) Lookup(name string) (any, bool) {
	value, ok := v[name]
	return value, ok
}

// Object is a value with properties and methods of its own. Values otherwise are nil,
// bool, string, and the numbers, [*jsonpath.Map] and [*jsonpath.List].
type Object interface {
	// Property gives $x.name.
	Property(name string) (value any, ok bool)
	// Call gives $x.name(args); ok is false when there is no such method. It must not
	// keep args.
	Call(name string, args []any) (value any, ok bool, err error)
}

// Settable is an [Object] whose properties #set may change.
type Settable interface {
	// SetProperty reports whether there is such a property.
	SetProperty(name string, value any) bool
}

// Template is a compiled template. It is immutable and safe for concurrent use.
type Template struct {
	nodes  []node
	names  map[string]int // slots of root references
	macros map[string]*macro
	text   string // when the whole template is text
	plain  bool
}

// Compile parses a template. Errors are [*ParseError] or [*LimitError].
func Compile(text string) (*Template, error) {
	if len(text) > MaxTemplate {
		return nil, &LimitError{"is larger than 300 KB"}
	}
	t := &Template{names: map[string]int{}, macros: map[string]*macro{}}
	p := &parser{src: text, t: t}
	nodes, err := p.template(true)
	if err != nil {
		return nil, err
	}
	t.nodes = nodes
	switch len(nodes) {
	case 0:
		t.plain = true
	case 1:
		if n, ok := nodes[0].(textNode); ok {
			t.plain, t.text = true, string(n)
		}
	}
	return t, nil
}

// Constant gives the text of a template without references and directives.
func (t *Template) Constant() (text string, ok bool) { return t.text, t.plain }

// Render appends the rendered template to dst. Errors are [*RenderError] or
// [*LimitError]; dst comes back as far as it got.
func (t *Template) Render(dst []byte, vars Variables, limits Limits) ([]byte, error) {
	if t.plain {
		return append(dst, t.text...), nil
	}
	d := DefaultLimits()
	if limits.Steps <= 0 {
		limits.Steps = d.Steps
	}
	if limits.Output <= 0 {
		limits.Output = d.Output
	}
	if limits.Memory <= 0 {
		limits.Memory = d.Memory
	}
	r := &run{t: t, vars: vars, out: dst, base: len(dst), limits: limits}
	r.slots = r.few[:]
	if n := len(t.names); n > len(r.few) {
		r.slots = make([]slot, n)
	}
	err := r.render(t.nodes)
	return r.out, ended(err)
}

// ended is the error of a whole rendering.
func ended(err error) error {
	if err == nil || errors.Is(err, errStop) || errors.Is(err, errBreak) {
		return nil
	}
	var deep *jsonpath.LimitError
	var input *InputError
	if errors.As(err, &deep) && !errors.As(err, &input) {
		return &LimitError{"makes too much of its input: " + deep.What}
	}
	return err
}

// Control flow travels as errors.
var (
	errStop  = errors.New("vtl: #stop")
	errBreak = errors.New("vtl: #break")
)

type slot struct {
	value any
	set   bool
}

// run is one rendering.
type run struct {
	t      *Template
	vars   Variables
	slots  []slot
	few    [16]slot
	out    []byte
	base   int
	args   []any // a stack of call arguments
	steps  int
	memory int
	calls  int
	limits Limits
	loop   *loop
}

func (r *run) step() error {
	if r.steps++; r.steps > r.limits.Steps {
		return &LimitError{"takes too many steps"}
	}
	return nil
}

// work accounts for n steps at once.
func (r *run) work(n int) error {
	if r.steps += n; n < 0 || r.steps > r.limits.Steps {
		return &LimitError{"takes too many steps"}
	}
	return nil
}

// charge accounts for n bytes made on the way.
func (r *run) charge(n int) error {
	if r.memory += n; n < 0 || r.memory > r.limits.Memory {
		return &LimitError{"makes too much text on the way"}
	}
	return nil
}

func (r *run) full() error {
	if len(r.out)-r.base > r.limits.Output {
		return &LimitError{"renders too much text"}
	}
	return nil
}

// enter counts a call inside calls.
func (r *run) enter() error {
	if r.calls++; r.calls > maxCalls {
		return &LimitError{"calls macros and blocks inside each other too deeply"}
	}
	return nil
}

func (r *run) render(nodes []node) error {
	for _, n := range nodes {
		if err := r.step(); err != nil {
			return err
		}
		if err := n.render(r); err != nil {
			return err
		}
	}
	return r.full()
}

// capture renders into a text of its own.
func (r *run) capture(nodes []node) (string, error) {
	start := len(r.out)
	err := r.render(nodes)
	s := string(r.out[start:])
	r.out = r.out[:start]
	if err == nil {
		err = r.charge(len(s))
	}
	return s, err
}

// text is v as a string.
func (r *run) text(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	start := len(r.out)
	err := r.emit(v)
	s := string(r.out[start:])
	r.out = r.out[:start]
	if err == nil {
		err = r.charge(len(s))
	}
	return s, err
}

// emit writes v.
func (r *run) emit(v any) (err error) {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		r.out = append(r.out, v...)
	case *block:
		return v.render(r)
	default:
		r.out, err = jsonpath.AppendText(r.out, v, r.base+r.limits.Output)
	}
	if err != nil {
		return err
	}
	return r.full()
}

func (r *run) lookup(slot int, name string) any {
	if s := &r.slots[slot]; s.set {
		return s.value
	}
	if r.vars == nil {
		return nil
	}
	v, _ := r.vars.Lookup(name)
	return v
}

// evaluate renders a text that is a template only now.
func (r *run) evaluate(text string) error {
	if err := r.enter(); err != nil {
		return err
	}
	defer func() { r.calls-- }()
	if len(text) > MaxTemplate {
		return &LimitError{"evaluates a text larger than 300 KB"}
	}
	if err := r.work(len(text)); err != nil {
		return err
	}
	outer := r.t
	t := &Template{names: maps.Clone(outer.names), macros: maps.Clone(outer.macros)}
	p := &parser{src: text, t: t}
	nodes, err := p.template(false)
	if err != nil {
		return &RenderError{"#evaluate: " + err.Error(), err}
	}
	for len(r.slots) < len(t.names) {
		r.slots = append(r.slots, slot{})
	}
	r.t = t // the slots of what it sets stay known to later #evaluate
	if err := r.render(nodes); err != nil && !errors.Is(err, errBreak) {
		return err
	}
	return nil
}

// pattern compiles a regular expression of Java's, to be matched with s. The work of
// matching grows with both.
func (r *run) pattern(text, s string, ready *regexp.Regexp) (*regexp.Regexp, error) {
	if err := r.work(len(s)/64*(len(text)+1) + len(s)/16); err != nil {
		return nil, err
	}
	if ready != nil {
		return ready, nil
	}
	if err := r.work(16 * len(text)); err != nil {
		return nil, err
	}
	re, err := compilePattern(text)
	if err != nil {
		return nil, &RenderError{err.Error(), err}
	}
	return re, nil
}
