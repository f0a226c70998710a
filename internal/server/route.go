package server

import (
	"net"
	"net/http"
	"strings"

	"moat/internal/gateway"
	"moat/internal/pure/lazyregexp"
)

var poolPath = lazyregexp.New(`^/([\w-]+_[0-9A-Za-z]+)(/\.well-known/.*)$`)

const (
	userAPI    = "/_user_request_"
	domainPath = "/_auth/"
	apiPath    = "/restapis/"
)

// destination names who serves a request, and what it asks of that server.
type destination struct {
	kind   destinationKind
	api    string // REST API id, user pool id or pool domain
	stage  string
	path   string // escaped path below the API's stage, the pool or the domain
	region string
	custom *gateway.Domain
}

type destinationKind int

const (
	toAWS    destinationKind = iota // an AWS call
	toAPI                           // a deployed API
	toPool                          // a user pool's issuer documents
	toDomain                        // a pool domain: OAuth endpoints, login pages
	toMoat                          // Moat's own, below /_moat/
	toCustom                        // a custom domain name
)

// classify decides by host, then by path, who serves a request. It reads the host and
// the escaped path once; whoever serves gets that reading, so that router, signature
// and authorizer cannot disagree.
func (s *Server) classify(r *http.Request) destination {
	path := r.URL.EscapedPath()
	if d, ok := s.byHost(r, path); ok {
		return d
	}
	if d := s.customDomain(hostOnly(r.Host)); d != nil {
		return destination{kind: toCustom, custom: d}
	}
	switch {
	case strings.HasPrefix(path, "/_moat/") || path == "/_moat":
		return destination{kind: toMoat, path: path}
	case strings.HasPrefix(path, domainPath):
		domain, rest := cutSegment(path[len(domainPath):])
		return destination{kind: toDomain, api: domain, path: rest}
	case strings.HasPrefix(path, apiPath):
		if d, ok := byAPIPath(path); ok {
			return d
		}
	}
	if d, ok := byPoolPath(path); ok {
		return d
	}
	return destination{kind: toAWS}
}

func byPoolPath(path string) (destination, bool) {
	if !strings.Contains(path, "/.well-known/") { // which is found faster
		return destination{}, false
	}
	m := poolPath.FindStringSubmatch(path)
	if m == nil {
		return destination{}, false
	}
	return destination{kind: toPool, api: m[1], path: m[2]}, true
}

// byAPIPath reads /restapis/{api}/{stage}/_user_request_/{path}.
func byAPIPath(path string) (destination, bool) {
	api, rest := cutSegment(path[len(apiPath):])
	stage, rest := cutSegment(strings.TrimPrefix(rest, "/"))
	if rest != userAPI && !strings.HasPrefix(rest, userAPI+"/") {
		return destination{}, false
	}
	return destination{kind: toAPI, api: api, stage: stage, path: orRoot(rest[len(userAPI):])}, true
}

// byHost reads the host names of DESIGN's table: {api}.execute-api.{region}.DOMAIN,
// {domain}.auth.{region}.DOMAIN, cognito-idp.{region}.DOMAIN.
func (s *Server) byHost(r *http.Request, path string) (destination, bool) {
	labels, ok := s.hostLabels(r.Host)
	if !ok || len(labels) < 2 {
		return destination{}, false
	}
	switch {
	case labels[1] == "execute-api":
		stage, rest := cutSegment(strings.TrimLeft(path, "/")) // recorded: //stage/x is /stage/x
		return destination{kind: toAPI, api: labels[0], stage: stage, path: orRoot(rest)}, true
	case labels[1] == "auth" && len(labels) == 3:
		if r.Header.Get("X-Amz-Target") != "" { // clients that take the login host for the API's
			return destination{kind: toAWS, region: labels[2]}, true
		}
		return destination{kind: toDomain, api: labels[0], path: path}, true
	case labels[0] == "cognito-idp":
		return byPoolPath(path)
	}
	return destination{}, false
}

// hostLabels returns the labels of a host below one of the domains that Moat answers for.
func (s *Server) hostLabels(host string) ([]string, bool) {
	host = strings.ToLower(strings.TrimSuffix(hostOnly(host), "."))
	for _, suffix := range s.suffixes {
		if rest, ok := strings.CutSuffix(host, suffix); ok && strings.HasSuffix(rest, ".") {
			return strings.Split(rest[:len(rest)-1], "."), true
		}
	}
	return nil, false
}

// hostOnly strips the port of a host.
func hostOnly(host string) string {
	if strings.IndexByte(host, ':') < 0 {
		return host
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}

// cutSegment splits "a/b/c" into "a" and "/b/c".
func cutSegment(path string) (segment, rest string) {
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}
