package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"

	"moat/internal/gateway"
	"moat/internal/http1"
)

// VPCEndpoint is a way in of its own, which stands for an interface VPC endpoint: what arrives at
// Listen came by it. The operator says which networks can reach that address.
type VPCEndpoint struct {
	ID     string // vpce-...
	VPC    string // vpc-..., what aws:SourceVpc says; empty: nothing
	Listen string // host:port; port 0 takes a free one
}

// vpcEndpoint is a running [VPCEndpoint]. It leads to private APIs and private custom domain
// names, and to nothing else of this Moat.
type vpcEndpoint struct {
	gateway.VPCEndpoint
	server   *Server
	port     net.Listener
	listener *dualListener
	plain    *http1.Server // nil with Config.NetHTTP
	bridge   http1.Handler
}

// apiHeader names the API where the host does not (API Gateway Developer Guide, "Invoke a private API").
const apiHeader = "x-apigw-api-id"

// maxAPIID bounds what is taken for the id of an API.
const maxAPIID = 64

// listenPrivately takes the ports of all VPC endpoints, or none.
func listenPrivately(all []VPCEndpoint) ([]*vpcEndpoint, error) {
	var out []*vpcEndpoint
	for _, e := range all {
		l, err := listen(e.Listen)
		if err != nil {
			for _, other := range out {
				other.port.Close()
			}
			return nil, fmt.Errorf("VPC endpoint %s: %w", e.ID, err)
		}
		out = append(out, &vpcEndpoint{VPCEndpoint: gateway.VPCEndpoint{ID: e.ID, VPC: e.VPC}, port: l})
	}
	return out, nil
}

func (s *Server) closeEndpoints() {
	for _, e := range s.ends {
		if e.listener != nil {
			e.listener.Close()
		}
		e.port.Close()
	}
}

// VPCEndpoints are the addresses, host:port, of the VPC endpoints by their ids.
func (s *Server) VPCEndpoints() map[string]string {
	out := map[string]string{}
	for _, e := range s.ends {
		out[e.ID] = e.port.Addr().String()
	}
	return out
}

// serveEndpoint starts both engines of a VPC endpoint: our own for plain HTTP, net/http for TLS.
func (s *Server) serveEndpoint(ctx context.Context, e *vpcEndpoint) {
	e.server, e.listener = s, newDualListener(e.port, e.tlsConfig(s))
	e.listener.at = e
	accept := e.listener.run
	if !s.cfg.NetHTTP {
		e.bridge = http1.Bridge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.serve(w, s.received(w, r)) }))
		e.plain = s.engine(e.servePlain, e.listener)
		accept = take(e.plain, e.listener, e.port)
	}
	s.start(ctx, "VPC endpoint "+e.ID, func(context.Context) error { return accept() })
	s.start(ctx, "http of VPC endpoint "+e.ID, func(context.Context) error { return s.serveHTTP(e.listener) })
}

// engines are those of plain HTTP.
func (s *Server) engines() (all []*http1.Server) {
	if s.plain != nil {
		all = append(all, s.plain)
	}
	for _, e := range s.ends {
		if e.plain != nil {
			all = append(all, e.plain)
		}
	}
	return all
}

type arrivedKey struct{}

// arrivedAt notes by which VPC endpoint the connections of a listener of net/http come, if by any.
func arrivedAt(l net.Listener) context.Context {
	if d, ok := l.(*dualListener); ok && d.at != nil {
		return context.WithValue(context.Background(), arrivedKey{}, d.at)
	}
	return context.Background()
}

// tlsConfig is how TLS connections begin at a VPC endpoint. HTTP/2 is not spoken there, as at AWS.
func (e *vpcEndpoint) tlsConfig(s *Server) *tls.Config {
	base := s.parts.authority.tlsConfig()
	base.NextProtos = []string{"http/1.1"}
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if d := s.parts.gateway.PrivateDomain(&e.VPCEndpoint, hello.ServerName); d != nil {
			return d.TLSConfig(base), nil
		}
		return nil, nil
	}
	return base
}

// servePlain sends a request that our own engine has read through the gateway's steps.
func (e *vpcEndpoint) servePlain(w *http1.Response, r *http1.Request) {
	s := e.server
	if !usualPath(r.Path) || s.parts.gateway.PrivateDomain(&e.VPCEndpoint, hostOnly(r.Host)) != nil {
		e.bridge(w, r)
		return
	}
	header := ""
	for _, f := range r.Fields {
		if http1.Is(f.Name, apiHeader) {
			header = oneOf(header, f.Value)
		}
	}
	d := e.find(r.Host, r.Path, header)
	ctx := s.base[0]
	if s.cfg.Dev && s.strangerAt(r) {
		ctx = s.base[1]
	}
	s.asked.Add(1)
	s.parts.gateway.ServeHTTP1By(ctx, &e.VPCEndpoint, w, r, d.api, d.stage, d.path)
}

// serve is servePlain for a request in net/http's types.
func (e *vpcEndpoint) serve(w http.ResponseWriter, r *http.Request) {
	host := hostOnly(r.Host)
	if d := e.server.parts.gateway.PrivateDomain(&e.VPCEndpoint, host); d != nil {
		e.server.parts.gateway.ServeDomainBy(&e.VPCEndpoint, w, r, d, host)
		return
	}
	header := ""
	for _, v := range r.Header.Values(apiHeader) {
		header = oneOf(header, v)
	}
	d := e.find(r.Host, r.URL.EscapedPath(), header)
	e.server.parts.gateway.ServeAPIBy(&e.VPCEndpoint, w, r, d.api, d.stage, d.path)
}

// ambiguousAPI is the id of no API.
const ambiguousAPI = "-"

// oneOf takes a value of the header that names the API: two of them name none.
func oneOf(before, value string) string {
	if before != "" || value == "" || len(value) > maxAPIID {
		return ambiguousAPI
	}
	return value
}

// find reads which API a request is for: by its host, {api}.execute-api... or {api}-{vpce}.execute-api...;
// under any other host, the endpoint's own names among them, by the header, or by the path that
// leads to it on the main port, too. What it does not find is no API.
func (e *vpcEndpoint) find(host, path, header string) destination {
	host = strings.ToLower(strings.TrimSuffix(hostOnly(host), "."))
	label, ok := e.server.apiHost(host)
	if ok && !e.names(label) {
		return below(label, path)
	}
	if header != "" {
		return below(header, path)
	}
	if d, ok := e.server.classifyPath(path); ok {
		return d
	}
	return destination{kind: toAPI, path: orRoot(path)}
}

// names reports whether the first label of a host is the endpoint's: {vpce} or {vpce}-{suffix}.
func (e *vpcEndpoint) names(label string) bool {
	rest, ok := strings.CutPrefix(label, e.ID)
	return ok && (rest == "" || rest[0] == '-')
}

// below is the destination of a path whose first segment names the stage.
func below(api, path string) destination {
	stage, rest := cutSegment(strings.TrimPrefix(path, "/"))
	return destination{kind: toAPI, api: api, stage: stage, path: orRoot(rest)}
}
