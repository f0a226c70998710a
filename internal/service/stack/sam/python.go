package sam

import (
	"sort"
	"strconv"
	"strings"
	"unicode"

	"moat/internal/service/stack/template"
)

// AWS names a deployment after the SHA-1 of Python 2.7's text of the API definition,
// in which the keys of a dictionary stand in the order of its hash table. The same
// logical ids need the same text; this file imitates both (dictobject.c, stringobject.c
// of Python 2.7).

// python follows the hash tables of the dictionaries of one transform.
type python struct {
	tables map[*template.Value]*keyTable
}

func newPython() *python { return &python{tables: map[*template.Value]*keyTable{}} }

// keyTable is the open-addressing table of a dictionary: slot to key.
type keyTable struct {
	slots map[uint64]slot
	known map[string]bool
	used  int // live keys
	fill  int // live and deleted keys
	mask  uint64
}

type slot struct {
	key     string
	deleted bool
}

func newKeyTable() *keyTable {
	return &keyTable{slots: map[uint64]slot{}, known: map[string]bool{}, mask: 7}
}

// hash27 is the hash of a string in Python 2.7 on 64 bits.
func hash27(s string) uint64 {
	runes := []rune(s)
	if len(runes) == 0 {
		return 0
	}
	x := uint64(runes[0]) << 7
	for _, r := range runes {
		x = (1000003 * x) ^ uint64(r)
	}
	return x ^ uint64(len(runes))
}

// find returns the slot of a key, or the slot it would take.
func (t *keyTable) find(key string) uint64 {
	h := hash27(key)
	i := h & t.mask
	s, taken := t.slots[i]
	if !taken || !s.deleted && s.key == key {
		return i
	}
	free, haveFree := i, s.deleted
	walker, perturb := i, h
	for {
		walker = walker<<2 + walker + perturb + 1
		i = walker & t.mask
		s, taken = t.slots[i]
		if !taken {
			if haveFree {
				return free
			}
			return i
		}
		if !s.deleted && s.key == key {
			return i
		}
		if s.deleted && !haveFree {
			free, haveFree = i, true
		}
		perturb >>= 5
	}
}

func (t *keyTable) add(key string) {
	i := t.find(key)
	s, taken := t.slots[i]
	if taken && !s.deleted {
		return
	}
	t.used++
	if !taken {
		t.fill++
	}
	t.slots[i] = slot{key: key}
	t.known[key] = true
	if t.fill*3 >= int(t.mask+1)*2 {
		t.resize(t.used * 4)
	}
}

func (t *keyTable) remove(key string) {
	i := t.find(key)
	if s, taken := t.slots[i]; taken && !s.deleted {
		t.slots[i] = slot{deleted: true}
		t.used--
		delete(t.known, key)
	}
}

func (t *keyTable) resize(atLeast int) {
	size := 8
	for size <= atLeast {
		size <<= 1
	}
	keys := t.keys()
	*t = *newKeyTable()
	t.mask = uint64(size - 1)
	for _, k := range keys {
		t.add(k)
	}
}

func (t *keyTable) keys() []string {
	at := make([]uint64, 0, len(t.slots))
	for i, s := range t.slots {
		if !s.deleted {
			at = append(at, i)
		}
	}
	sort.Slice(at, func(a, b int) bool { return at[a] < at[b] })
	keys := make([]string, len(at))
	for n, i := range at {
		keys[n] = t.slots[i].key
	}
	return keys
}

// table returns the table of a dictionary after the keys that were added since.
func (p *python) table(v *template.Value) *keyTable {
	t := p.tables[v]
	if t == nil {
		t = newKeyTable()
		p.tables[v] = t
	}
	for _, f := range v.Entries() {
		if !t.known[f.Key] {
			t.add(f.Key)
		}
	}
	return t
}

// keys returns the keys of a map in the order in which Python walks it.
func (p *python) keys(v *template.Value) []string {
	if !v.Is(template.Map) {
		return nil
	}
	if v.Plain {
		return v.Keys()
	}
	return p.table(v).keys()
}

// remove deletes an entry; its slot stays marked.
func (p *python) remove(v *template.Value, key string) {
	p.table(v).remove(key)
	v.Delete(key)
}

// merge sets an entry as dict.update does, which may grow the table beforehand.
func (p *python) merge(v *template.Value, key string, x *template.Value) {
	t := p.table(v)
	if (t.fill+1)*3 >= int(t.mask+1)*2 {
		t.resize((t.used + 1) * 2)
	}
	v.Set(key, x)
	v.Fields[fieldIndex(v, key)].Plain = true
}

func fieldIndex(v *template.Value, key string) int {
	for i, f := range v.Entries() {
		if f.Key == key {
			return i
		}
	}
	return -1
}

// clone copies as copy.deepcopy does: every dictionary is filled anew in the order of
// the old one, and may come out in another order.
func (p *python) clone(v *template.Value) *template.Value {
	if v == nil {
		return nil
	}
	c := *v
	if v.Items != nil {
		c.Items = make([]*template.Value, len(v.Items))
		for i, x := range v.Elements() {
			c.Items[i] = p.clone(x)
		}
	}
	if v.Fields != nil {
		c.Fields = make([]template.Field, 0, len(v.Fields))
		for _, k := range p.keys(v) {
			f := v.Fields[fieldIndex(v, k)]
			f.Value = p.clone(f.Value)
			c.Fields = append(c.Fields, f)
		}
	}
	return &c
}

// text is str() of a value in Python 2.7.
func (p *python) text(v *template.Value) string {
	var b strings.Builder
	p.write(&b, v)
	return b.String()
}

func (p *python) write(b *strings.Builder, v *template.Value) {
	switch {
	case v == nil || v.Kind == template.Null:
		b.WriteString("None")
	case v.Kind == template.Bool && v.True:
		b.WriteString("True")
	case v.Kind == template.Bool:
		b.WriteString("False")
	case v.Kind == template.Number:
		b.WriteString(pythonNumber(v.Text))
	case v.Kind == template.String:
		writeRepr(b, v.Text, v.Plain)
	case v.Kind == template.List:
		b.WriteByte('[')
		for i, x := range v.Elements() {
			if i > 0 {
				b.WriteString(", ")
			}
			p.write(b, x)
		}
		b.WriteByte(']')
	default:
		b.WriteByte('{')
		for i, k := range p.keys(v) {
			if i > 0 {
				b.WriteString(", ")
			}
			f := v.Fields[fieldIndex(v, k)]
			writeRepr(b, f.Key, f.Plain)
			b.WriteString(": ")
			p.write(b, f.Value)
		}
		b.WriteByte('}')
	}
}

func pythonNumber(text string) string {
	if !strings.ContainsAny(text, ".eE") {
		return text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// writeRepr writes repr() of a string; text of the template is unicode: u'...'.
func writeRepr(b *strings.Builder, s string, plain bool) {
	if !plain {
		b.WriteByte('u')
	}
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f || r > 0x7e && (!plain || !unicode.IsPrint(r)):
			writeEscape(b, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte(quote)
}

func writeEscape(b *strings.Builder, r rune) {
	hex := strconv.FormatInt(int64(r), 16)
	switch {
	case r <= 0xff:
		b.WriteString(`\x` + strings.Repeat("0", 2-len(hex)) + hex)
	case r <= 0xffff:
		b.WriteString(`\u` + strings.Repeat("0", 4-len(hex)) + hex)
	default:
		b.WriteString(`\U` + strings.Repeat("0", 8-len(hex)) + hex)
	}
}
