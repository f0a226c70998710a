package gateway

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"

	"moat/internal/http1"
)

// way is the connections of a client to a target. A snapshot that two gateways serve reaches
// its targets by the rules of each.
type way struct {
	client  *http1.Client
	pool    *http1.Pool
	uploads atomic.Int32 // bodies on their way
}

// direct is what an exchange keeps for calls without net/http in between.
type direct struct {
	call      http1.Call
	reply     *http1.Reply
	uploading *way
	upload    passed // on its way there
	target    []byte
	names     []byte // of the call's fields, in canonical form
	text      []byte // of the reply's fields
}

// maxRoom is how much text an exchange keeps room for.
const maxRoom = 16 << 10

// renewed keeps the memory.
func (d *direct) renewed() direct {
	clear(d.call.Fields)
	if cap(d.names)+cap(d.text) > maxRoom {
		d.names, d.text = nil, nil
	}
	return direct{call: http1.Call{Fields: d.call.Fields[:0]}, target: d.target[:0], names: d.names[:0], text: d.text[:0]}
}

// simple reports whether requests of an integration may go out without net/http's types:
// with no two mappings of one field and none of a field that is ours to set.
func (p *httpProxy) simple() bool {
	for i, name := range p.aliases {
		if name == "host" || ours(name) || slices.Contains(p.aliases[:i], name) {
			return false
		}
	}
	return plainHost(p.host)
}

// plainHost reports whether a host is a name or an IPv4 address, with a port or without.
func plainHost(s string) bool {
	name, port, found := strings.Cut(s, ":")
	if found && (port == "" || len(port) > 5 || strings.Trim(port, "0123456789") != "") {
		return false
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c != '-' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return name != "" && len(name) <= 253
}

// ways gives the connections to the integration's host, nil where the request has to go the
// long way: by the transport of a test, too.
func (p *httpProxy) ways(x *Exchange) *way {
	client := x.client()
	if !p.direct || client == nil {
		return nil
	}
	w := p.way.Load()
	if w == nil || w.client != client {
		w = &way{client: client, pool: client.Pool(p.scheme, p.host)}
		p.way.Store(w)
	}
	return w
}

// serveDirect asks the integration by w. ok is false when the request is one for the
// long way; nothing was sent then.
func (p *httpProxy) serveDirect(x *Exchange, w *way) (ok bool, err error) {
	target, err := p.appendTarget(x.direct.target[:0], x)
	if err != nil {
		return true, err
	}
	path := len(target)
	if query := p.rawQuery(x); query != "" {
		target = append(append(target, '?'), query...)
	}
	x.direct.target = target
	if !asWritten(target, path) {
		return false, nil
	}
	body, rest, err := x.outgoing(w)
	if err != nil {
		return true, err
	}
	call := &x.direct.call
	call.Method, call.Target, call.Host, call.Content, call.Context, call.Lasting, call.Timeout = p.method, view(target), p.host, body, x.Context, x.Lasting, x.route.timeout
	if call.Method == "" {
		call.Method = x.Method
	}
	if rest != nil {
		call.Body, call.Length = rest, x.Length
	}
	if err := p.directFields(x); err != nil {
		return true, err
	}
	r, err := w.pool.Do(call)
	if err != nil {
		return true, failed(err, p.host)
	}
	x.direct.reply = r
	if err := x.boundAnswer(r.Length); err != nil {
		return true, err
	}
	x.reply.status, x.reply.length, x.reply.stream = r.Status, r.Length, r
	if bodyless(r.Status) {
		x.reply.length = 0
	}
	if x.route.passing && len(x.snap.binary) == 0 { // nothing is done about it as a stream
		if body := r.Whole(); body != nil {
			x.reply.stream, x.reply.body = nil, body
		}
	}
	x.directAnswer(r)
	return true, nil
}

// asWritten reports whether a target is sent as it stands: net/url escapes what it does not
// know in a path, and what no URI holds is not for this client.
func asWritten(target []byte, path int) bool {
	for i := 0; i < len(target); i++ {
		c := target[i]
		switch {
		case c <= ' ' || c >= 0x7f || c == '#':
			return false
		case i >= path || http1.IsPathChar(c):
		case c == '%':
			if i+2 >= path || unhex(target[i+1]) < 0 || unhex(target[i+2]) < 0 {
				return false
			}
		default:
			return false
		}
	}
	return len(target) > 0 && target[0] == '/'
}

// directFields fills the call's fields as [httpProxy.fields] fills a header.
func (p *httpProxy) directFields(x *Exchange) error {
	d := &x.direct
	fields := slices.Grow(d.call.Fields[:0], len(x.Fields)+len(p.headers)+5)
	var room [4]string
	var buf [maxAlias]byte
	listed, agent := connectionListed(room[:0], x.Fields), 0
	for _, f := range x.Fields {
		lower := aliasIn(&buf, f.Name)
		if x.withheld(f.Name, lower, listed) || slices.Contains(p.aliases, lower) {
			continue
		}
		if http1.Is(f.Name, "user-agent") {
			if agent++; agent == 1 && f.Value == "" {
				agent = -len(x.Fields) // an empty one, and those behind it, are as none
			}
			if agent < 0 {
				continue
			}
		}
		fields = append(fields, http1.Field{Name: d.canonical(f.Name), Value: f.Value})
	}
	for _, f := range x.own() {
		fields = append(fields, http1.Field(f))
	}
	fields = append(fields, http1.Field{Name: "X-Amzn-Apigateway-Api-Id", Value: x.APIID})
	for i := range p.headers {
		m := &p.headers[i]
		value, ok := x.value(m.source)
		switch {
		case !ok || value == "":
			continue
		case !validValue(value):
			return refuse(Default4XX, "the value for the header "+m.name+" of the integration holds control characters")
		}
		fields = append(fields, http1.Field{Name: d.canonical(m.name), Value: value})
	}
	d.call.Fields = fields
	return nil
}

// canonical is a name as net/http writes it, made in the exchange's memory where it is not one yet.
func (d *direct) canonical(name string) string {
	if !validName(name) {
		return http.CanonicalHeaderKey(name)
	}
	at := len(d.names)
	d.names = appendCanonical(d.names, name)
	if made := d.names[at:]; string(made) != name {
		return unsafe.String(&made[0], len(made))
	}
	d.names = d.names[:at]
	return name
}

// appendCanonical writes a valid name as http.CanonicalHeaderKey gives it.
func appendCanonical(b []byte, name string) []byte {
	upper := true
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case upper && 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case !upper && 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		upper = c == '-'
		b = append(b, c)
	}
	return b
}

// directAnswer takes the fields of an answer on, by the rules of [Exchange.keep]. Their text is
// copied: the reply's is gone before the exchange is recorded.
func (x *Exchange) directAnswer(r *http1.Reply) {
	const prefix = "x-amzn-Remapped-"
	size, closing := 0, false
	var room [4]string
	var buf [maxAlias]byte
	var listed []string
	for i := range r.Fields {
		size += len(r.Fields[i].Name) + len(r.Fields[i].Value) + len(prefix)
	}
	if listed = connectionListed(room[:0], fieldsOf(r.Fields)); contains(listed, "close") {
		listed, closing = nil, true // as net/http has it, there is no such field then
	}
	text := x.direct.text[:0]
	if !x.passing() {
		text = nil
	}
	text = slices.Grow(text, size) // all of it: what was given stays
	if x.passing() {
		x.direct.text = text
	}
	fields := slices.Grow(x.reply.fields, len(r.Fields)+8)
	for _, f := range r.Fields {
		lower := aliasIn(&buf, f.Name)
		if dropped(lower) || listedIn(listed, f.Name) || closing && http1.Is(f.Name, "connection") {
			continue
		}
		at := len(text)
		if remapped(lower) {
			text = append(text, prefix...)
		}
		text = appendCanonical(text, f.Name)
		value := len(text)
		text = append(text, f.Value...)
		fields = append(fields, Field{view(text[at:value]), view(text[value:])})
	}
	x.reply.fields = fields
}

// passing reports that nobody has an answer's fields once the exchange is over: the engine has
// written them then, which net/http has not, and a cache copies what it keeps.
func (x *Exchange) passing() bool {
	_, ok := x.Out.(*http1Writer)
	return ok
}

// view makes a string of bytes that do not change while it lives.
func view(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

// finish lets go of the integration's answer, once.
func (x *Exchange) finish() {
	if r := x.direct.reply; r != nil {
		x.direct.reply = nil
		r.Close() // the next call may have it from here on
	}
	x.uploaded()
	x.leaveRoom()
	if done := x.reply.done; done != nil {
		x.reply.done = nil
		done()
	}
}
