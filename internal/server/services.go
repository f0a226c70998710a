package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"moat/internal/gateway"
	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/wire"
)

// gatewayServices calls the services of this installation for integrations of type AWS.
// A call is an ordinary one: signed with a session of the integration's role and sent
// through every stage of the pipeline, only not through the network.
type gatewayServices struct {
	p   *parts
	cfg *Config
}

// Do implements [gateway.Services].
func (g gatewayServices) Do(ctx context.Context, call gateway.ServiceCall) (gateway.ServiceAnswer, error) {
	api := g.api(call.Service)
	if api == nil {
		return gateway.ServiceAnswer{}, fmt.Errorf("there is no service %s", call.Service)
	}
	keys := policy.Context{}
	keys.Set("aws:SourceArn", call.Source)
	who, _, err := g.p.iam.ServiceCredentials(ctx, call.Role, "BackplaneAssumeRoleSession", "apigateway.amazonaws.com", keys, 0)
	if err != nil {
		return gateway.ServiceAnswer{}, fmt.Errorf("%w: %w", gateway.ErrRoleRefused, err)
	}
	r := serviceRequest(ctx, api, &call)
	s := sigv4.Request{Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Host: r.Host, Header: r.Header}
	sigv4.Sign(&s, sigv4.HashOf(call.Body), who, call.Region, api.Signing, g.cfg.Now())
	w := &captured{header: http.Header{}}
	g.p.pipeline.ServeHTTP(w, r)
	return gateway.ServiceAnswer{Status: w.status, Header: w.header, Body: w.body.Bytes()}, ctx.Err()
}

func (g gatewayServices) api(endpoint string) *wire.API {
	for _, api := range g.p.apis() {
		if api.Endpoint == endpoint {
			return api
		}
	}
	return nil
}

// serviceRequest says the call in the way of the service's protocol: an action is the
// target of a JSON service, a parameter of a query service, whose answer is asked for in
// JSON. A JSON service that takes forms gets one when its parameters come as one (recorded of
// Systems Manager).
func serviceRequest(ctx context.Context, api *wire.API, call *gateway.ServiceCall) *http.Request {
	path := call.Path
	if call.Action != "" {
		path = "/"
		switch {
		case api.Protocol == "json" && !(api.HasForms() && asForm(call)):
			call.Method = http.MethodPost
			call.Header.Set("X-Amz-Target", api.TargetPrefix+"."+call.Action)
			call.Header.Set("Content-Type", "application/x-amz-json-"+api.JSONVersion)
			if call.RawQuery = ""; len(call.Body) == 0 {
				call.Body = []byte("{}")
			}
		case api.Protocol == "json" || api.Protocol == "query":
			call.Method = http.MethodPost
			if call.Header.Get("Accept") == "" {
				call.Header.Set("Accept", "application/json")
			}
			call.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			call.Body, call.RawQuery = queryBody(api, call), ""
		}
	}
	host := call.Service + "." + call.Region + ".amazonaws.com"
	decoded, err := url.PathUnescape(path)
	if err != nil {
		decoded = path
	}
	r := &http.Request{
		Method: call.Method, Host: host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: call.Header,
		URL:  &url.URL{Path: decoded, RawPath: path, RawQuery: call.RawQuery},
		Body: http.NoBody, ContentLength: int64(len(call.Body)),
	}
	if len(call.Body) > 0 {
		r.Body = readCloser{bytes.NewReader(call.Body)}
	}
	return r.WithContext(ctx)
}

// asForm reports whether the parameters of a call come as a form: in the query string, or in a
// body of that type.
func asForm(call *gateway.ServiceCall) bool {
	if len(call.Body) == 0 {
		return call.RawQuery != ""
	}
	return strings.HasPrefix(strings.ToLower(call.Header.Get("Content-Type")), "application/x-www-form-urlencoded")
}

// queryBody is the form of a query service: the action, its parameters from the URI's
// query, and those of a mapped form. Nobody but the URI names the action.
func queryBody(api *wire.API, call *gateway.ServiceCall) []byte {
	version := "Version=" + api.Version
	parts := []string{"Action=" + url.QueryEscape(call.Action)}
	for _, text := range []string{call.RawQuery, strings.TrimSpace(string(call.Body))} {
		for piece := range strings.SplitSeq(text, "&") {
			name, _, _ := strings.Cut(piece, "=")
			if plain, err := url.QueryUnescape(name); err == nil {
				name = plain
			}
			switch name {
			case "", "Action":
			case "Version":
				version = piece
			default:
				parts = append(parts, piece)
			}
		}
	}
	return []byte(strings.Join(append(parts, version), "&"))
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// captured keeps an answer instead of sending it.
type captured struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (c *captured) Header() http.Header { return c.header }

func (c *captured) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

func (c *captured) Write(p []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	return c.body.Write(p)
}
