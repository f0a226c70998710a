package gateway

import "strings"

// resource is a resource with its methods; part i of its path stands for segment i
// of the request, a greedy part for all that follow.
type resource struct {
	path    string
	id      string
	parts   []part
	methods map[string]*route
	any     *route
}

type part struct {
	name   string // of a parameter
	greedy bool
}

func (r *resource) route(method string) *route {
	if rt := r.methods[method]; rt != nil {
		return rt
	}
	return r.any
}

// node is a level of the routing tree: literal before parameter before {proxy+}.
type node struct {
	literal map[string]*node
	param   *node
	greedy  *resource
	here    *resource
}

// match finds the most specific resource. It goes back up when a literal branch
// leads nowhere, as AWS does: /a/{proxy+} serves /a/b/c beside /a/b.
func (n *node) match(segs []segment) *resource {
	if len(segs) == 0 {
		return n.here
	}
	if next := n.literal[segs[0].key]; next != nil {
		if r := next.match(segs[1:]); r != nil {
			return r
		}
	}
	if n.param != nil && segs[0].key != "" {
		if r := n.param.match(segs[1:]); r != nil {
			return r
		}
	}
	return n.greedy
}

// add returns the resource at path, making it if need be.
func (n *node) add(path, id string) (*resource, error) {
	res := &resource{path: path, id: id, methods: map[string]*route{}}
	at := n
	if path != "/" {
		parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
		for i, text := range parts {
			p, literal, err := parsePart(text)
			switch {
			case err != nil || !strings.HasPrefix(path, "/") || p.greedy && i != len(parts)-1:
				return nil, &DefinitionError{"Invalid resource path " + path}
			case p.greedy:
				res.parts = append(res.parts, p)
				if at.greedy == nil {
					at.greedy = res
				}
				return at.greedy, sameResource(at.greedy, path)
			case p.name != "":
				if at.param == nil {
					at.param = &node{}
				}
				at = at.param
			default:
				if at.literal == nil {
					at.literal = map[string]*node{}
				}
				if at.literal[literal] == nil {
					at.literal[literal] = &node{}
				}
				at = at.literal[literal]
			}
			res.parts = append(res.parts, p)
		}
	}
	if at.here == nil {
		at.here = res
	}
	return at.here, sameResource(at.here, path)
}

func sameResource(r *resource, path string) error {
	if r.path != path {
		return &DefinitionError{"The resources " + r.path + " and " + path + " cannot be told apart"}
	}
	return nil
}

// parsePart reads "{name}", "{name+}" or a literal, whose key it returns.
func parsePart(text string) (part, string, error) {
	if inner, ok := strings.CutPrefix(text, "{"); ok {
		name, ok := strings.CutSuffix(inner, "}")
		name, greedy := strings.CutSuffix(name, "+")
		if !ok || name == "" || strings.ContainsAny(name, "{}+/") {
			return part{}, "", errPath
		}
		return part{name: name, greedy: greedy}, "", nil
	}
	if text == "" || strings.ContainsAny(text, "{}") || !plainPath("/"+text) {
		return part{}, "", errPath
	}
	key, ok := segmentKey(text)
	if !ok {
		return part{}, "", errPath
	}
	return part{}, key, nil
}

// param returns a path parameter as it was sent, still escaped: recorded answers
// show that AWS hands it on like that.
func (x *Exchange) param(name string) (string, bool) {
	if x.resource == nil {
		return "", false
	}
	for i, p := range x.resource.parts {
		if p.name == name && p.name != "" {
			return x.paramAt(i), true
		}
	}
	return "", false
}

func (x *Exchange) paramAt(i int) string {
	if x.resource.parts[i].greedy {
		return x.path[x.segs[i].start:x.segs[len(x.segs)-1].end]
	}
	return x.path[x.segs[i].start:x.segs[i].end]
}
