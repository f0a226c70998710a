package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"moat/internal/http1"
	"moat/internal/outbound"
)

// httpProxy is an integration of type HTTP_PROXY.
type httpProxy struct {
	method string // ANY or empty: the request's
	scheme string
	host   string
	path   []hole // escaped
	query  string // of the URI itself
	broken string

	headers []mapping
	aliases []string // of the headers' names
	params  []mapping

	direct bool // see simple
	way    atomic.Pointer[way]
}

// hole is a piece of the URI's path: text, or a value when the source is set.
type hole struct {
	text   string
	name   string // of the placeholder
	source *source
}

type mapping struct {
	name   string
	source source
}

func (s *Snapshot) compileHTTP(rt *route, res *resource, in Integration) (integration, error) {
	if in.Credentials != "" {
		return nil, &NotBuiltError{rt.name, "credentials of HTTP integrations are not built"}
	}
	if err := handles(rt.name, in.ContentHandling); err != nil {
		return nil, err
	}
	p := &httpProxy{method: in.Method}
	if p.method == "ANY" {
		p.method = ""
	}
	if p.method != "" && !validMethod(p.method) {
		return nil, &DefinitionError{"Invalid HTTP method for " + rt.name + ": " + p.method}
	}
	paths, err := p.mappings(rt, in.RequestParameters)
	if err != nil {
		return nil, err
	}
	uri := s.expand(in.URI)
	broken := func() (integration, error) {
		if uri != in.URI { // a stage variable decides; the stage may yet change it
			p.broken = "with the stage's variables the integration's URI is " + uri
			return p, nil
		}
		return nil, &DefinitionError{"Invalid HTTP endpoint specified for URI: " + in.URI}
	}
	rest, ok := strings.CutPrefix(uri, "http://")
	if p.scheme = "http"; !ok {
		rest, ok = strings.CutPrefix(uri, "https://")
		p.scheme = "https"
	}
	rest, p.query, _ = strings.Cut(rest, "?")
	host, path := rest, "/"
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	if strings.ContainsAny(host+p.query, "{}") {
		return nil, &NotBuiltError{rt.name, "path parameters in the host or query of an integration's URI are not built"}
	}
	u, err := url.Parse(p.scheme + "://" + host)
	if !ok || err != nil || u.Host != host || u.User != nil || !http1.ValidHost(host) || strings.ContainsAny(path+p.query, "# ") {
		return broken()
	}
	p.host = host
	if p.path, err = holes(rt, res, path, paths); err != nil {
		return nil, err
	}
	p.direct = p.simple()
	return p, nil
}

// mappings reads requestParameters; those of the path are given back.
func (p *httpProxy) mappings(rt *route, in map[string]string) (map[string]source, error) {
	paths := map[string]source{}
	for _, target := range slices.Sorted(maps.Keys(in)) {
		where, name, ok := strings.Cut(strings.TrimPrefix(target, "integration.request."), ".")
		if !ok || !strings.HasPrefix(target, "integration.request.") || name == "" {
			return nil, &DefinitionError{"Invalid mapping expression specified: " + target}
		}
		src, err := parseSource(rt.name, in[target])
		if err != nil {
			return nil, err
		}
		switch where {
		case "path":
			paths[name] = src
		case "querystring":
			p.params = append(p.params, mapping{name, src})
		case "header":
			if !validName(name) || hopByHop(alias(name)) {
				return nil, &DefinitionError{"Invalid mapping expression specified: " + target}
			}
			p.headers, p.aliases = append(p.headers, mapping{name, src}), append(p.aliases, alias(name))
		default:
			return nil, &DefinitionError{"Invalid mapping expression specified: " + target}
		}
	}
	return paths, nil
}

// holes splits the path at its {placeholders}. One that no mapping fills takes the
// route's path parameter of that name.
func holes(rt *route, res *resource, path string, paths map[string]source) ([]hole, error) {
	var out []hole
	for path != "" {
		i := strings.IndexByte(path, '{')
		if i < 0 {
			return append(out, hole{text: path}), nil
		}
		text, rest := path[:i], path[i+1:]
		name, after, ok := strings.Cut(rest, "}")
		name = strings.TrimSuffix(name, "+")
		src, mapped := paths[name]
		if !mapped {
			src = source{from: "path", name: name}
			mapped = slices.ContainsFunc(res.parts, func(p part) bool { return p.name == name && name != "" })
		}
		if !ok || !mapped {
			return nil, &DefinitionError{"Invalid mapping expression specified for " + rt.name + ": nothing fills {" + name + "}"}
		}
		if text != "" {
			out = append(out, hole{text: text})
		}
		out, path = append(out, hole{name: name, source: &src}), after
	}
	return out, nil
}

func (p *httpProxy) serve(x *Exchange) error {
	if p.broken != "" {
		return refuse(APIConfigurationError, p.broken)
	}
	if w := p.ways(x); w != nil {
		if ok, err := p.serveDirect(x, w); ok {
			return err
		}
	}
	x.keepText() // net/http may look at a request after it has answered
	ctx, cancel := context.WithTimeout(x.Context, x.route.timeout)
	req, err := p.request(ctx, x)
	if err != nil {
		cancel()
		return err
	}
	resp, err := x.transport().RoundTrip(req)
	if err != nil {
		cancel()
		return failed(err, req.URL.Host)
	}
	if err := x.boundAnswer(resp.ContentLength); err != nil {
		resp.Body.Close()
		cancel()
		return err
	}
	x.reply.status, x.reply.length, x.reply.stream = resp.StatusCode, resp.ContentLength, resp.Body
	x.reply.done = func() {
		resp.Body.Close()
		cancel()
	}
	x.upstreamFields(resp)
	return nil
}

// upstreamFields hands the fields of an upstream's answer on.
func (x *Exchange) upstreamFields(resp *http.Response) {
	var listed []string
	for _, v := range resp.Header["Connection"] {
		listed = appendListed(listed, v)
	}
	for name, values := range resp.Header {
		if listedIn(listed, name) {
			continue
		}
		for _, v := range values {
			x.keep(name, v)
		}
	}
}

// answerTooLarge is AWS's answer to more than 10 MB; the words are those of its execution log.
func answerTooLarge(length int64) *Refusal {
	return refuse(APIConfigurationError, "Integration response of reported length "+strconv.FormatInt(length, 10)+" is larger than allowed maximum of "+strconv.Itoa(maxBody)+" bytes.")
}

// failed is the answer to a call of an integration that had none.
func failed(err error, host string) *Refusal {
	var timeout net.Error
	var untrusted *tls.CertificateVerificationError
	var source *http1.SourceError
	switch {
	case errors.As(err, &source):
		return unread(source.Err)
	case errors.Is(err, http1.ErrBusy):
		return overloaded(host + " has as many requests as it may at once")
	case errors.As(err, &untrusted): // AWS: "Execution failed due to configuration error: General SSLEngine problem"
		return refuse(APIConfigurationError, host+": "+err.Error())
	case errors.Is(err, outbound.ErrForbidden):
		return refuse(IntegrationFailure, "the integration's host "+host+" is at an address that integrations may not reach")
	case errors.Is(err, http1.ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return refuse(IntegrationTimeout, host+" did not answer in time")
	}
	return refuse(IntegrationFailure, host+": "+err.Error())
}

// request builds the request to the upstream. Its path is made of escaped pieces that
// parsePath has accepted, so it has one reading there too.
func (p *httpProxy) request(ctx context.Context, x *Exchange) (*http.Request, error) {
	escaped, err := p.target(x)
	if err != nil {
		return nil, err
	}
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, refuse(Default4XX, "the path for the integration does not decode")
	}
	body, err := x.payload()
	if err != nil {
		return nil, err
	}
	if body, err = x.convertRequest(x.route.def.Integration.ContentHandling, x.get("Content-Type"), body); err != nil {
		return nil, err
	}
	method := p.method
	if method == "" {
		method = x.Method
	}
	req := (&http.Request{
		Method: method, Host: p.host, Header: make(http.Header, len(x.Fields)+6), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		URL: &url.URL{Scheme: p.scheme, Host: p.host, Path: path, RawPath: escaped, RawQuery: p.rawQuery(x)},
	}).WithContext(ctx)
	if len(body) > 0 {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	return req, p.fields(x, req)
}

// fields fills the header: what a mapping sets replaces what the client sent under
// that name or an alias of it.
func (p *httpProxy) fields(x *Exchange, req *http.Request) error {
	for name, value := range x.forwarded() {
		if !slices.Contains(p.aliases, alias(name)) {
			req.Header.Add(name, value)
		}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header["User-Agent"] = nil // net/http would add its own
	}
	req.Header.Set("X-Amzn-Apigateway-Api-Id", x.APIID)
	for _, m := range p.headers {
		value, ok := x.value(m.source)
		switch {
		case !ok || value == "":
			continue
		case !validValue(value):
			return refuse(Default4XX, "the value for the header "+m.name+" of the integration holds control characters")
		case alias(m.name) == "host":
			req.Host = value
		default:
			req.Header.Set(m.name, value)
		}
	}
	return nil
}

// target fills the holes of the path.
func (p *httpProxy) target(x *Exchange) (string, error) {
	b, err := p.appendTarget(nil, x)
	return string(b), err
}

func (p *httpProxy) appendTarget(b []byte, x *Exchange) ([]byte, error) {
	for i := range p.path {
		h := &p.path[i]
		if h.source == nil {
			b = append(b, h.text...)
			continue
		}
		value, _ := x.value(*h.source)
		from := h.source.from
		if v, ok := x.placeholder(h.name); ok {
			value, from = v, "override"
		}
		if from == "path" && !x.resource.spans(h.source.name) && separated(value) {
			// An encoded slash would reach below what the route exposes.
			return b, refuse(Default4XX, "the path parameter "+h.source.name+" holds an encoded separator")
		}
		if from != "path" {
			value = url.PathEscape(value)
			if _, ok := segmentKey(value); !ok {
				return b, refuse(Default4XX, "the value for the path of the integration has more than one reading")
			}
		}
		b = append(b, value...)
	}
	return b, nil
}

// spans reports whether a path parameter is the greedy one.
func (r *resource) spans(name string) bool {
	return r.greedy() && r.parts[len(r.parts)-1].name == name
}

func separated(escaped string) bool {
	upper := strings.ToUpper(escaped)
	return strings.Contains(upper, "%2F") || strings.Contains(upper, "%5C")
}

// rawQuery passes the client's query on as it was sent, with what mappings set.
func (p *httpProxy) rawQuery(x *Exchange) string {
	if q := x.RawQuery; p.query == "" && len(p.params) == 0 && x.caller == nil && !strings.Contains(q, "&&") && !strings.HasPrefix(q, "&") && !strings.HasSuffix(q, "&") {
		return q
	}
	parts := make([]string, 0, 2)
	if p.query != "" {
		parts = append(parts, p.query)
	}
	for piece := range strings.SplitSeq(x.RawQuery, "&") {
		name, _, _ := strings.Cut(piece, "=")
		name = unquery(name)
		if piece != "" && !x.presigned(name) && !slices.ContainsFunc(p.params, func(m mapping) bool { return m.name == name }) {
			parts = append(parts, piece)
		}
	}
	for _, m := range p.params {
		if v, ok := x.value(m.source); ok {
			parts = append(parts, url.QueryEscape(m.name)+"="+url.QueryEscape(v))
		}
	}
	return strings.Join(parts, "&")
}

// presigned reports whether a query parameter belongs to the signature of the
// request, which is nobody's business behind us.
func (x *Exchange) presigned(name string) bool {
	return x.caller != nil && strings.HasPrefix(name, "X-Amz-")
}
