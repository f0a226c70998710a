package policy

import (
	"cmp"
	"slices"
)

// index finds the statements of a document that may speak of an action on a
// resource. It only leaves out: what it finds is still judged in full.
//
// It is a tree over the literal beginnings of actions (lower-cased), each of
// whose buckets has a tree over the literal beginnings of resources, so that a
// decision costs what the statements near it cost, however many others there
// are. Statements that differ in conditions or principals alone, and resources
// that begin with a wildcard, share a bucket and are looked at one by one.
type index struct {
	nodes   []indexNode // the first is the root of the actions
	buckets []bucket    // the first is not used
	entries []entry
}

// indexNode is a node of a radix tree. Its children stand side by side, ordered
// by the first byte of their labels.
type indexNode struct {
	label  string
	first  int32
	count  int32
	bucket int32 // 0 for none
}

// bucket holds the entries of one beginning: Deny from start to allow, Allow
// from allow to end, each in the order of the document.
type bucket struct {
	start, allow, end int32
	tree              int32 // of an action's bucket: the root of its resources, 0 for none
}

// entry is one statement with the action and the resource of it that led here;
// -1 means that all of them must be looked at.
type entry struct{ statement, action, resource int32 }

const (
	// fewStatements are looked at one by one: an index would cost more.
	fewStatements = 4
	// maxEntries bounds actions times resources of one statement. Above it the
	// statement stands at what all its resources begin with.
	maxEntries = 1024
)

// place is where entries belong: the beginnings of an action and a resource.
type place struct{ action, resource string }

func buildIndex(statements []statement) index {
	places := map[place][]entry{}
	for i := range statements {
		if len(statements) <= fewStatements {
			places[place{}] = append(places[place{}], entry{int32(i), -1, -1})
			continue
		}
		statements[i].places(func(p place, action, resource int) {
			places[p] = append(places[p], entry{int32(i), int32(action), int32(resource)})
		})
	}
	x := index{buckets: make([]bucket, 1), nodes: make([]indexNode, 1)}
	byAction := map[string][]string{"": nil}
	for p := range places {
		byAction[p.action] = append(byAction[p.action], p.resource)
	}
	actions := sortedKeys(byAction)
	at := make([]int32, len(actions))
	for i, action := range actions {
		at[i] = int32(len(x.buckets))
		x.buckets = append(x.buckets, x.bucket(statements, places[place{action, ""}]))
	}
	x.grow(0, actions, at, 0)
	for i, action := range actions {
		resources := slices.DeleteFunc(byAction[action], func(r string) bool { return r == "" })
		if len(resources) == 0 {
			continue
		}
		slices.Sort(resources)
		under := make([]int32, len(resources))
		for j, r := range resources {
			under[j] = int32(len(x.buckets))
			x.buckets = append(x.buckets, x.bucket(statements, places[place{action, r}]))
		}
		root := int32(len(x.nodes))
		x.nodes = append(x.nodes, indexNode{})
		x.grow(root, resources, under, 0)
		x.buckets[at[i]].tree = root
	}
	return x
}

func sortedKeys(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// bucket appends entries, Deny first.
func (x *index) bucket(statements []statement, entries []entry) bucket {
	b := bucket{start: int32(len(x.entries))}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.statement, b.statement) })
	for _, allow := range [...]bool{false, true} {
		if allow {
			b.allow = int32(len(x.entries))
		}
		for _, e := range entries {
			if statements[e.statement].allow == allow {
				x.entries = append(x.entries, e)
			}
		}
	}
	b.end = int32(len(x.entries))
	return b
}

// grow builds the tree below a node from sorted keys that share their first
// depth bytes.
func (x *index) grow(node int32, keys []string, buckets []int32, depth int) {
	if len(keys) > 0 && len(keys[0]) == depth {
		x.nodes[node].bucket = buckets[0]
		keys, buckets = keys[1:], buckets[1:]
	}
	first, count := int32(len(x.nodes)), int32(0)
	for i, k := range keys {
		if i == 0 || k[depth] != keys[i-1][depth] {
			count++
		}
	}
	x.nodes[node].first, x.nodes[node].count = first, count
	x.nodes = append(x.nodes, make([]indexNode, count)...)
	for child := first; child < first+count; child++ {
		n := 1
		for n < len(keys) && keys[n][depth] == keys[0][depth] {
			n++
		}
		end := len(commonPrefix(keys[0], keys[n-1])) // sorted: all between share it, too
		x.nodes[child].label = keys[0][depth:end]
		x.grow(child, keys[:n], buckets[:n], end)
		keys, buckets = keys[n:], buckets[n:]
	}
}

func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

// places visits every place where the statement must be found.
func (s *statement) places(visit func(p place, action, resource int)) {
	actions, resources := s.actionKeys(), s.resourceKeys()
	all := func(i int, is bool) int {
		if is {
			return -1
		}
		return i
	}
	if len(actions)*len(resources) > maxEntries && len(resources) > 1 {
		shared := resources[0]
		for _, r := range resources {
			shared = commonPrefix(shared, r)
		}
		for i, a := range actions {
			visit(place{a, shared}, all(i, s.notAction), -1)
		}
		return
	}
	whole := s.notResource || s.resources == nil
	for i, a := range actions {
		for j, r := range resources {
			visit(place{a, r}, all(i, s.notAction), all(j, whole))
		}
	}
}

// actionKeys are what the actions begin with, in lower case.
func (s *statement) actionKeys() []string {
	if s.notAction {
		return []string{""}
	}
	keys := make([]string, len(s.actions))
	for i := range s.actions {
		keys[i] = lowered(s.actions[i].literal())
	}
	return keys
}

func (s *statement) resourceKeys() []string {
	if s.notResource || s.resources == nil {
		return []string{""}
	}
	keys := make([]string, len(s.resources))
	for i := range s.resources {
		keys[i] = s.resources[i].key()
	}
	return keys
}

// literal is what everything that matches begins with.
func (p *pattern) literal() string {
	text := p.text
	if p.parts != nil {
		text = p.parts[0].text
	}
	for i := range len(text) {
		if text[i] == anyMany || text[i] == anyOne {
			return text[:i]
		}
	}
	return text
}

// key is what resources are found by: service, account and the beginning of the
// resource field. An account that is not literal is written "*".
func (a *arnPattern) key() string {
	service := &a.fields[2]
	if a.all || service.wild || service.parts != nil {
		return ""
	}
	account := "*"
	if p := &a.fields[4]; !p.wild && p.parts == nil {
		account = p.text
	}
	return service.text + ":" + account + ":" + a.fields[5].literal()
}

// appendKey builds the text in which a resource's key is looked for.
func appendKey(b []byte, fields *[6]string, account string) []byte {
	b = append(append(b, fields[2]...), ':')
	b = append(append(b, account...), ':')
	return append(b, fields[5]...)
}

// walk goes down a tree along a text and stops at each bucket on the way. It
// holds no pointer, so that what it walks along may stay on the stack.
type walk struct {
	node    int32
	at      int32 // bytes of the text that led to the node
	visited bool
}

// bucket returns the next bucket, 0 when there is none.
func (w *walk) bucket(x *index, text []byte) int32 {
	for {
		n := &x.nodes[w.node]
		if !w.visited {
			if w.visited = true; n.bucket != 0 {
				return n.bucket
			}
		}
		rest := text[w.at:]
		if len(rest) == 0 {
			return 0
		}
		child := x.child(n, rest[0])
		if child < 0 {
			return 0
		}
		label := x.nodes[child].label
		if len(rest) < len(label) || string(rest[:len(label)]) != label {
			return 0
		}
		*w = walk{node: child, at: w.at + int32(len(label))}
	}
}

// child finds the child whose label begins with a byte, -1 when there is none.
func (x *index) child(n *indexNode, c byte) int32 {
	low, high := n.first, n.first+n.count
	for low < high {
		middle := (low + high) / 2
		switch l := x.nodes[middle].label[0]; {
		case l == c:
			return middle
		case l < c:
			low = middle + 1
		default:
			high = middle
		}
	}
	return -1
}

// search visits the buckets that may hold statements about a request: those on
// the way of the action and, for each, those on the way of the resource. The
// zero value is ready.
type search struct {
	action, resource walk
	tree             int32 // of resources, 0 when none is walked
	key              int   // the one of e.keys that is walked
}

// bucket returns the next bucket, nil when there is none.
func (s *search) bucket(x *index, e *evaluation) *bucket {
	for s.tree != 0 {
		if b := s.resource.bucket(x, e.keys[s.key]); b != 0 {
			return &x.buckets[b]
		}
		if s.key++; s.key == len(e.keys) {
			s.tree = 0
			break
		}
		s.resource = walk{node: s.tree}
	}
	at := s.action.bucket(x, e.action)
	if at == 0 {
		return nil
	}
	b := &x.buckets[at]
	if b.tree != 0 && e.isARN {
		s.tree, s.key, s.resource = b.tree, 0, walk{node: b.tree}
	}
	return b
}

// candidates lists the statements that may speak of the request, each once, in
// their order.
func (d *Document) candidates(e *evaluation) []int32 {
	var out []int32
	var found search
	for b := found.bucket(&d.index, e); b != nil; b = found.bucket(&d.index, e) {
		for _, en := range d.index.entries[b.start:b.end] {
			out = append(out, en.statement)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// appendLower appends text with its ASCII letters in lower case.
func appendLower(b []byte, text string) []byte {
	b = append(b, text...)
	for i, c := range b {
		b[i] = lower(c)
	}
	return b
}

// Join makes one document of several, so that a decision looks into one index.
// Its statements keep the names of the documents they came from. Joining is
// worth its while for what is kept: the policies of one principal.
func Join(docs ...*Document) *Document {
	if len(docs) == 1 {
		return docs[0]
	}
	d := &Document{}
	for _, doc := range docs {
		d.statements = append(d.statements, doc.statements...)
	}
	d.index = buildIndex(d.statements)
	return d
}
