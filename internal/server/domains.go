package server

import (
	"crypto/tls"
	"net"
	"net/url"
	"strings"

	"moat/internal/gateway"
	"moat/internal/pure/lazyregexp"
)

// regionLabel is a label of a host name that is a region: what stands before it names a service.
var regionLabel = lazyregexp.New(`^[a-z]{2}(-[a-z]+)+-\d+$`)

// foreignSuffixes are AWS's: what lies below is never a custom domain name.
func foreignSuffixes() []string {
	return []string{"amazonaws.com", "amazonaws.com.cn", "amazoncognito.com", "api.aws"}
}

// ownHost reports whether a host is Moat's own or AWS's: no custom domain name may stand in its way.
func ownHost(cfg *Config, host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if net.ParseIP(host) != nil || host == "" || host == "localhost" || host == strings.ToLower(hostOnly(cfg.Domain)) {
		return true
	}
	if base, err := url.Parse(cfg.BaseURL); err == nil && strings.EqualFold(base.Hostname(), host) {
		return true
	}
	for _, suffix := range foreignSuffixes() {
		if host == suffix || strings.HasSuffix(host, "."+suffix) {
			return true
		}
	}
	return false
}

// reserved reports whether a name may not become a custom domain name: requests to it, or to names
// that it covers, are Moat's own business.
func (p *parts) reserved(cfg *Config) func(name string) bool {
	return func(name string) bool {
		plain, wildcard := strings.CutPrefix(name, "*.")
		if ownHost(cfg, plain) || ownHost(cfg, name) {
			return true
		}
		if wildcard { // it would cover the hosts below
			for _, host := range []string{hostOnly(cfg.Domain), hostOf(cfg.BaseURL)} {
				if _, parent, ok := strings.Cut(strings.ToLower(host), "."); ok && parent == plain {
					return true
				}
			}
		}
		labels := strings.Split(plain, ".")
		if len(labels) > 2 && regionLabel.MatchString(labels[1]) {
			return true
		}
		for _, suffix := range []string{"localhost", strings.ToLower(hostOnly(cfg.Domain))} {
			below, ok := strings.CutSuffix(plain, "."+suffix)
			if ok && (wildcard || strings.Contains(below, ".") || p.isService(below)) {
				return true
			}
		}
		return false
	}
}

func hostOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// isService reports whether a label names an API, as in iam.localhost.
func (p *parts) isService(label string) bool {
	for _, a := range p.apis() {
		if a.Endpoint == label {
			return true
		}
	}
	return false
}

// customDomain finds the custom domain name that a request is for.
func (s *Server) customDomain(host string) *gateway.Domain {
	if d := s.parts.gateway.Domain(host); d != nil && !ownHost(&s.cfg, host) {
		return d
	}
	return nil
}

// tlsConfig is how TLS connections begin: by the name that the client asks for, with the
// certificate and the demands of the custom domain name, or with Moat's own certificate.
func (s *Server) tlsConfig() *tls.Config {
	base := s.parts.authority.tlsConfig()
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if d := s.customDomain(hello.ServerName); d != nil {
			return d.TLSConfig(base), nil
		}
		return nil, nil
	}
	return base
}
