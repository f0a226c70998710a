package gateway

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// httpMapped is an integration of type HTTP: what goes out and what comes back is mapped.
type httpMapped struct {
	target    *httpProxy // its method, address and path
	request   requestMapping
	responses []responseMapping
}

func (s *Snapshot) compileMappedHTTP(rt *route, res *resource, in Integration) (integration, error) {
	m := &httpMapped{}
	var err error
	if m.request, err = compileRequest(rt.name, in); err != nil {
		return nil, err
	}
	if m.responses, err = compileResponses(rt.name, in.Responses); err != nil {
		return nil, err
	}
	paths := in
	paths.RequestParameters = map[string]string{} // the others are of the mapping
	for target, expression := range in.RequestParameters {
		if strings.HasPrefix(target, "integration.request.path.") {
			paths.RequestParameters[target] = expression
		}
	}
	target, err := s.compileHTTP(rt, res, paths)
	if err != nil {
		return nil, err
	}
	m.target = target.(*httpProxy)
	return m, nil
}

func (m *httpMapped) serve(x *Exchange) error {
	if m.target.broken != "" {
		return refuse(APIConfigurationError, m.target.broken)
	}
	mapped, err := m.request.make(x)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(x.Context, x.route.timeout)
	defer cancel()
	req, err := m.outgoing(ctx, x, mapped)
	if err != nil {
		return err
	}
	x.traceRequest(req.URL.String(), req.Header, mapped.body)
	resp, err := x.transport().RoundTrip(req)
	if err != nil {
		return failed(err, req.URL.Host)
	}
	defer resp.Body.Close()
	if err := x.boundAnswer(resp.ContentLength); err != nil {
		return err
	}
	body, err := x.gather(resp.Body, resp.ContentLength)
	switch {
	case err == errNoRoom:
		return unread(err)
	case err != nil:
		return failed(err, req.URL.Host)
	case len(body) > maxBody:
		return answerTooLarge(int64(len(body)))
	}
	return x.mapAnswer(m.responses, &integrationAnswer{status: resp.StatusCode, selection: strconv.Itoa(resp.StatusCode), fields: resp.Header, body: body})
}

// outgoing builds the request: of the client's header nothing is in it but what is mapped.
func (m *httpMapped) outgoing(ctx context.Context, x *Exchange, mapped *mappedRequest) (*http.Request, error) {
	escaped, err := m.target.target(x)
	if err != nil {
		return nil, err
	}
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, refuse(Default4XX, "the path for the integration does not decode")
	}
	method := m.target.method
	if method == "" {
		method = x.Method
	}
	req := (&http.Request{
		Method: method, Host: m.target.host, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		URL: &url.URL{Scheme: m.target.scheme, Host: m.target.host, Path: path, RawPath: escaped, RawQuery: joinQuery(m.target.query, mapped.query)},
	}).WithContext(ctx)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "AmazonAPIGateway_"+x.APIID)
	req.Header.Set("Content-Type", mapped.contentType(x))
	req.Header.Set("X-Amzn-Apigateway-Api-Id", x.APIID)
	req.Header.Set("X-Amzn-Trace-Id", x.trace())
	set := map[string]bool{}
	for _, f := range mapped.headers {
		lower := strings.ToLower(f.Name)
		switch {
		case lower == "host":
			req.Host = f.Value
			continue
		case !set[lower]:
			req.Header.Del(f.Name)
			set[lower] = true
		}
		req.Header.Add(f.Name, f.Value)
	}
	if len(mapped.body) > 0 && method != http.MethodGet && method != http.MethodHead {
		body := mapped.body
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	return req, nil
}

// contentType is that of the mapped body: the one that is mapped, JSON for what a
// template made, the request's own for what is passed on.
func (r *mappedRequest) contentType(x *Exchange) string {
	if v := r.header("Content-Type"); v != "" {
		return v
	}
	if v := x.get("Content-Type"); v != "" && !r.templated {
		return v
	}
	return "application/json"
}

// joinQuery adds mapped parameters to the query of the integration's URI; one that is
// there already is replaced.
func joinQuery(own string, mapped []pair) string {
	var parts []string
	for piece := range strings.SplitSeq(own, "&") {
		name, _, _ := strings.Cut(piece, "=")
		if piece != "" && !slices.ContainsFunc(mapped, func(p pair) bool { return p.name == unquery(name) }) {
			parts = append(parts, piece)
		}
	}
	for _, p := range mapped {
		parts = append(parts, url.QueryEscape(p.name)+"="+url.QueryEscape(p.value))
	}
	return strings.Join(parts, "&")
}
