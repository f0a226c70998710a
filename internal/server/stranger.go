package server

import (
	"net"
	"net/http"
	"strings"
)

// functionAddress is where the connections of isolated functions come from: a loopback
// address of their own, so that they can be told from those of this machine's user.
const functionAddress = "127.0.0.2"

// stranger reports whether a request to `moat dev` may be from somebody else than this
// machine's user: from a page of another site, under a name that was rebound to loopback,
// or from a function. The root key of `moat dev` is known to all and does not count for
// them; every other credential does.
func (s *Server) stranger(r *http.Request) bool {
	host := strings.ToLower(strings.TrimSuffix(hostOnly(r.Host), "."))
	ours := isLoopbackName(host)
	for _, suffix := range s.suffixes {
		ours = ours || host == suffix || strings.HasSuffix(host, "."+suffix)
	}
	return !ours || fromPage(r) != "" || fromFunction(r)
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
