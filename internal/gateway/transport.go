package gateway

import (
	"crypto/tls"
	"net/http"

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

// equip gives a snapshot the ways out that are its own. Connections that were made without its
// client certificate, or with another, are not shared.
func (g *Gateway) equip(s *Snapshot) {
	certified := func(t *http.Transport) http.RoundTripper {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: g.cfg.Roots}
		if c := s.def.ClientCertificate; c != nil {
			t.TLSClientConfig.Certificates = []tls.Certificate{*c}
		}
		return t
	}
	if s.def.ClientCertificate != nil && s.transport == nil && g.cfg.Transport == nil {
		s.transport = certified(outbound.NewTransport(g.cfg.AllowPrivate))
	}
	if s.canary != nil {
		g.equip(s.canary.snap)
	}
	for _, rt := range s.routes {
		if rt.link != nil && rt.transport == nil {
			rt.transport = certified(outbound.NewFixed(rt.link.Targets))
		}
	}
}

// release closes what a snapshot holds open once nobody serves it any more.
func (s *Snapshot) release() {
	for _, rt := range s.routes {
		closeIdle(rt.transport)
	}
	closeIdle(s.transport)
	if s.canary != nil {
		s.canary.snap.release()
	}
}

func closeIdle(t http.RoundTripper) {
	if t, ok := t.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}
