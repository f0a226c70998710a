package wire

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// router finds the operation of a REST request by method, path and the fixed
// parameters in some operations' URIs. A literal segment goes before a label, a
// label before a greedy one.
type router struct {
	root routeNode
	// exact lets a greedy label hold empty, "." and ".." segments: S3's keys may,
	// and S3's signatures cover the path as it stands. Those of all other
	// services cover the normalised path.
	exact bool
}

type routeNode struct {
	literal map[string]*routeNode
	label   *routeNode
	greedy  *routeNode
	leaves  []leaf
}

type leaf struct {
	op     *operation
	labels []string    // names, in the order of the path
	fixed  []parameter // that the query string must hold
}

// add takes an operation's template: "/a/{b}/{c+}?fixed=value".
func (rt *router) add(op *operation) {
	path, query, _ := strings.Cut(op.Path, "?")
	l := leaf{op: op}
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		if name != "" && name != "x-id" { // x-id is for readers of access logs alone
			l.fixed = append(l.fixed, parameter{name, value})
		}
	}
	n := &rt.root
	for _, segment := range segments(path) {
		if !strings.HasPrefix(segment, "{") {
			n = n.child(segment)
			continue
		}
		name := strings.Trim(segment, "{}")
		greedy := strings.HasSuffix(name, "+")
		l.labels = append(l.labels, strings.TrimSuffix(name, "+"))
		if greedy {
			n = grow(&n.greedy)
		} else {
			n = grow(&n.label)
		}
	}
	n.leaves = append(n.leaves, l)
}

func grow(n **routeNode) *routeNode {
	if *n == nil {
		*n = &routeNode{}
	}
	return *n
}

func (n *routeNode) child(segment string) *routeNode {
	if n.literal == nil {
		n.literal = map[string]*routeNode{}
	}
	c := n.literal[segment]
	if c == nil {
		c = &routeNode{}
		n.literal[segment] = c
	}
	return c
}

// segments cuts a path at its slashes. One slash at the end does not count:
// AWS's own models disagree with themselves about it.
func segments(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// match finds the operation for an escaped path. Labels are unescaped once; an
// escaped slash in one is data. Paths that different readers could read
// differently match nothing: empty, "." and ".." segments in any spelling, NUL,
// broken UTF-8.
func (rt *router) match(method, escaped string, query []parameter) (*operation, map[string]string) {
	if !strings.HasPrefix(escaped, "/") {
		return nil, nil
	}
	m := &routeMatch{exact: rt.exact, method: method, query: query, parts: segments(escaped), escaped: escaped}
	l := m.walk(&rt.root, 0, nil)
	if l == nil {
		return nil, nil
	}
	labels := make(map[string]string, len(l.labels))
	for i, name := range l.labels {
		labels[name] = m.values[i]
	}
	return l.op, labels
}

type routeMatch struct {
	exact   bool
	method  string
	query   []parameter
	parts   []string
	escaped string
	values  []string
}

// walk returns the leaf that the segments from i on lead to, and sets m.values.
func (m *routeMatch) walk(n *routeNode, i int, values []string) *leaf {
	if i == len(m.parts) {
		if l := m.leaf(n); l != nil {
			m.values = values
			return l
		}
		return nil
	}
	if c := n.literal[m.parts[i]]; c != nil {
		if l := m.walk(c, i+1, values); l != nil {
			return l
		}
	}
	if n.label != nil {
		if v, ok := labelValue(m.parts[i]); ok {
			if l := m.walk(n.label, i+1, append(values[:len(values):len(values)], v)); l != nil {
				return l
			}
		}
	}
	if n.greedy != nil {
		return m.rest(n.greedy, i, values)
	}
	return nil
}

// rest gives a greedy label every segment that is left.
func (m *routeMatch) rest(n *routeNode, i int, values []string) *leaf {
	l := m.leaf(n)
	if l == nil {
		return nil
	}
	for _, part := range m.parts[i:] {
		if _, ok := labelValue(part); !ok && !m.exact {
			return nil
		}
	}
	raw := strings.Join(m.parts[i:], "/")
	if strings.HasSuffix(m.escaped, "/") {
		raw += "/"
	}
	v, err := url.PathUnescape(raw)
	if err != nil || !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
		return nil
	}
	m.values = append(values[:len(values):len(values)], v)
	return l
}

func labelValue(segment string) (string, bool) {
	v, err := url.PathUnescape(segment)
	ok := err == nil && v != "" && v != "." && v != ".." && utf8.ValidString(v) && !strings.ContainsRune(v, 0)
	return v, ok
}

// leaf picks the operation with the most fixed parameters of those that fit.
func (m *routeMatch) leaf(n *routeNode) *leaf {
	var best *leaf
	for i := range n.leaves {
		l := &n.leaves[i]
		if l.op.Method != m.method && !(l.op.Method == "" && m.method == http.MethodPost) {
			continue
		}
		if m.holds(l.fixed) && (best == nil || len(l.fixed) > len(best.fixed)) {
			best = l
		}
	}
	return best
}

func (m *routeMatch) holds(fixed []parameter) bool {
	for _, want := range fixed {
		found := false
		for _, have := range m.query {
			found = found || have == want
		}
		if !found {
			return false
		}
	}
	return true
}
