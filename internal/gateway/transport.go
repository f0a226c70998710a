package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"

	"moat/internal/http1"
	"moat/internal/outbound"
)

// Link is a VPC link: the targets (host:port) that its integrations reach, whatever host their
// URIs name.
type Link struct{ Targets []string }

// link finds the VPC link of a route's integration. The id may be a stage variable's.
func (s *Snapshot) link(rt *route, in Integration) error {
	switch in.ConnectionType {
	case "", "INTERNET":
		return nil
	case "VPC_LINK":
	default:
		return &DefinitionError{"Invalid connection type specified: " + in.ConnectionType}
	}
	if in.Type != "HTTP" && in.Type != "HTTP_PROXY" {
		return &NotBuiltError{rt.name, "VPC links of integrations of type " + in.Type + " are not built"}
	}
	id := s.expand(in.ConnectionID)
	l, ok := s.def.Links[id]
	if !ok && id == in.ConnectionID { // with a variable in it, the stage may yet name one; until then nothing is reached
		return &DefinitionError{"Invalid Vpc Link identifier specified for " + rt.name + ": " + in.ConnectionID}
	}
	rt.link = &l
	return nil
}

// transport is the way out for a route's HTTP integration: that of its VPC link or the common
// one, with the client certificate that the stage shows.
func (x *Exchange) transport() http.RoundTripper {
	switch {
	case x.route.transport != nil:
		return x.route.transport
	case x.snap.transport != nil:
		return x.snap.transport
	}
	return x.g.outbound
}

// client is the one behind [Exchange.transport]; nil where a test has another.
func (x *Exchange) client() *http1.Client {
	switch {
	case x.g.direct == nil:
		return nil
	case x.route.transport != nil:
		return x.route.transport.Client
	case x.snap.transport != nil:
		return x.snap.transport.Client
	}
	return x.g.direct
}

// client makes a way out: over connections that dial opens, showing a certificate where there is
// one. Each has a memory of TLS sessions of its own, so that none is resumed with another identity.
func (g *Gateway) client(dial dialFunc, certificate *tls.Certificate) *http1.Client {
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: g.cfg.Roots}
	if certificate != nil {
		c.Certificates = []tls.Certificate{*certificate}
	}
	return http1.NewClient(http1.ClientConfig{Dial: dial, TLS: c})
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// equip gives a snapshot the ways out that are its own. Connections that were made without its
// client certificate, or with another, are not shared.
func (g *Gateway) equip(s *Snapshot) {
	certificate := s.def.ClientCertificate
	if certificate != nil && s.transport == nil && g.cfg.Transport == nil {
		s.transport = &http1.Transport{Client: g.client(g.dialer.DialContext, certificate)}
	}
	if s.canary != nil {
		g.equip(s.canary.snap)
	}
	links := map[string]*http1.Transport{} // routes of one link share their connections
	for _, rt := range s.routes {
		if rt.link == nil || rt.transport != nil {
			continue
		}
		to := strings.Join(rt.link.Targets, " ")
		if links[to] == nil {
			links[to] = &http1.Transport{Client: g.client(outbound.Fixed(rt.link.Targets), certificate)}
		}
		rt.transport = links[to]
	}
}

// release closes what a snapshot holds open once nobody serves it any more.
func (s *Snapshot) release() {
	for _, rt := range s.routes {
		if rt.transport != nil {
			rt.transport.CloseIdle()
		}
	}
	if s.transport != nil {
		s.transport.CloseIdle()
	}
	if s.canary != nil {
		s.canary.snap.release()
	}
}
