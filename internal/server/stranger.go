package server

import (
	"net"
	"net/http"
	"strings"

	"moat/internal/http1"
)

// functionAddress is where the connections of isolated functions come from: a loopback
// address of their own, so that they can be told from those of this machine's user.
const functionAddress = "127.0.0.2"

// stranger reports whether a request to `moat dev` may be from somebody else than this
// machine's user: from a page of another site, under a name that was rebound to loopback,
// or from a function. The root key of `moat dev` is known to all and does not count for
// them; every other credential does.
func (s *Server) stranger(r *http.Request) bool {
	return !s.ours(r.Host) || fromPage(r) != "" || fromFunction(r)
}

// strangerAt is [Server.stranger] for a request of the plain port's engine.
func (s *Server) strangerAt(r *http1.Request) bool {
	if !s.ours(r.Host) || strings.HasPrefix(r.RemoteAddr, functionAddress+":") {
		return true
	}
	origins := 0
	for _, f := range r.Fields {
		switch {
		case http1.Is(f.Name, "origin"):
			if origins++; origins > 1 || f.Value != "http://"+r.Host && f.Value != "https://"+r.Host {
				return true
			}
		case http1.Is(f.Name, "sec-fetch-site") && (f.Value == "cross-site" || f.Value == "same-site"):
			return true
		}
	}
	return false
}

// ours reports whether a host is loopback or below a domain of ours.
func (s *Server) ours(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(hostOnly(host), "."))
	for _, suffix := range s.suffixes {
		if host == suffix || len(host) > len(suffix) && host[len(host)-len(suffix)-1] == '.' && host[len(host)-len(suffix):] == suffix {
			return true
		}
	}
	return isLoopbackName(host)
}

// foreign says why a request to a tool of `moat dev` is not from this machine's user.
func foreign(r *http.Request) string {
	host := strings.ToLower(hostOnly(r.Host))
	switch {
	case !isLoopbackName(host):
		return "this address answers to localhost only, not to " + host
	case fromFunction(r):
		return "this address does not answer to functions"
	case len(r.Header["X-Amzn-Apigateway-Api-Id"]) > 0:
		return "this address does not answer to integrations of an API"
	}
	return fromPage(r)
}

func isLoopbackName(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// fromPage says whether a browser sent the request for a page of another site (Fetch
// standard, Origin; Fetch Metadata, Sec-Fetch-Site), and for whose.
func fromPage(r *http.Request) string {
	if origins := r.Header["Origin"]; len(origins) > 0 && (len(origins) > 1 || origins[0] != "http://"+r.Host && origins[0] != "https://"+r.Host) {
		return "this address does not answer to pages of " + strings.Join(origins, ", ")
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return "this address does not answer to pages of another site"
	}
	return ""
}

func fromFunction(r *http.Request) bool { return strings.HasPrefix(r.RemoteAddr, functionAddress+":") }
