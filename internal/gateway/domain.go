package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"

	"moat/internal/pure/policy"
)

// Domain is a custom domain name: which stage answers below which base path, and what its
// connections must prove. It must not be changed once it is published.
type Domain struct {
	Name string // lower case; "*.example.com" stands for every name one label below
	// Certificate proves the name; nil: the server has one of its own.
	Certificate *tls.Certificate
	// MinVersion is the lowest version of TLS; 0: the server's.
	MinVersion uint16
	// ClientCAs, when set, vouch for the certificates that clients must have: mutual TLS.
	ClientCAs *x509.CertPool
	// Strict asks that the name in the handshake be the one in the request.
	Strict   bool
	Mappings map[string]Mapping // by base path; "" answers what no other does
	// ARN makes the domain a private one, which VPC endpoints lead to, and names it in policies:
	// arn:aws:execute-api:{region}:{account}:/domainnames/{name}+{id}.
	ARN string
	// Policy says who may come by a private domain; nil: nobody.
	Policy *policy.Document
}

// Mapping is where a base path leads. Without a stage, the next segment of the path names it.
type Mapping struct{ APIID, Stage string }

// Via says by which custom domain name a request came.
type Via struct {
	Domain *Domain
	// Base is the part of the path before the API's: "", "/base" or "/base/stage".
	Base string
	// Matched is the base path of the mapping, without slashes.
	Matched string
	// Peer is the client's certificate where mutual TLS was asked for; its chain is verified.
	Peer *x509.Certificate
}

// PublishDomains replaces every custom domain name.
func (g *Gateway) PublishDomains(domains map[string]*Domain) { g.domains.Store(&domains) }

// Domain finds the custom domain name that a host is, or nil. Case and a trailing dot do not matter.
func (g *Gateway) Domain(host string) *Domain {
	domains := *g.domains.Load()
	if len(domains) == 0 {
		return nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if d := domains[host]; d != nil {
		return d
	}
	if _, parent, ok := strings.Cut(host, "."); ok {
		return domains["*."+parent]
	}
	return nil
}

// route finds the stage for an escaped path. The base path is compared as it was sent: another
// spelling of it is another path.
func (d *Domain) route(path string) (m Mapping, via Via, rest string) {
	via.Domain = d
	first, rest := segmentOf(path)
	m, ok := d.Mappings[first]
	if ok && first != "" {
		via.Base, via.Matched = "/"+first, first
	} else if m, ok = d.Mappings[""]; ok {
		rest = path
	} else {
		return Mapping{}, via, path
	}
	if m.Stage == "" {
		m.Stage, rest = segmentOf(rest)
		via.Base += "/" + m.Stage
	}
	if rest == "" {
		rest = "/"
	}
	return m, via, rest
}

// segmentOf splits "/a/b" into "a" and "/b".
func segmentOf(path string) (segment, rest string) {
	path = strings.TrimPrefix(path, "/")
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// admits reports whether a connection proves what the domain asks for. A connection may carry
// requests for several names, so each request is held to its own.
func (d *Domain) admits(state *tls.ConnectionState, host string) (peer *x509.Certificate, ok bool) {
	if d.ClientCAs == nil && !d.Strict && d.MinVersion == 0 {
		return nil, true
	}
	if state == nil {
		return nil, d.ClientCAs == nil && !d.Strict
	}
	if (d.ClientCAs != nil || d.Strict) && !strings.EqualFold(strings.TrimSuffix(state.ServerName, "."), strings.TrimSuffix(host, ".")) || state.Version < d.MinVersion {
		return nil, false
	}
	if d.ClientCAs == nil {
		return nil, true
	}
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return nil, false
	}
	return state.PeerCertificates[0], true
}

// ServeDomain answers a request to a custom domain name. host is the request's without its port.
// What no mapping leads to, and what the connection does not prove enough for, is refused as an
// API that is not there.
func (g *Gateway) ServeDomain(w http.ResponseWriter, r *http.Request, d *Domain, host string) {
	g.serveDomain(nil, w, r, d, host)
}

func (g *Gateway) serveDomain(e *VPCEndpoint, w http.ResponseWriter, r *http.Request, d *Domain, host string) {
	m, via, rest := d.route(r.URL.EscapedPath())
	peer, ok := d.admits(r.TLS, host)
	if !ok {
		m = Mapping{}
	}
	via.Peer = peer
	g.serveVia(e, w, r, m.APIID, m.Stage, rest, &via)
}

// TLSConfig is how a connection to a custom domain name begins, made from the server's own
// configuration; nil when base will do. Connections with client certificates are never resumed:
// each proves anew what it is.
func (d *Domain) TLSConfig(base *tls.Config) *tls.Config {
	if d.Certificate == nil && d.MinVersion <= base.MinVersion && d.ClientCAs == nil {
		return nil
	}
	c := base.Clone()
	c.GetConfigForClient = nil
	c.MinVersion = max(base.MinVersion, d.MinVersion)
	if d.Certificate != nil {
		own := d.Certificate
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own, nil }
	}
	if d.ClientCAs != nil {
		c.ClientAuth, c.ClientCAs, c.SessionTicketsDisabled = tls.RequireAndVerifyClientCert, d.ClientCAs, true
	}
	return c
}
