package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Cache is a stage's response cache.
type Cache struct {
	// Bytes bounds what the cache of one node holds.
	Bytes int64
	// Epoch rises when the cache is flushed.
	Epoch int64
}

// maxCached is the largest answer that is kept (API Gateway Developer Guide, "Cache
// settings for REST APIs").
const maxCached = 1 << 20

// cacheRule says how a route's answers are kept.
//
// AWS finds an answer by its cache namespace and key parameters alone, so that a route
// without them has one answer for everybody. Here an entry belongs, besides, to the
// caller whom the route asked for, by authorisation or API key; and what a request says
// of its sender beside that (a cookie, an Authorization header that nobody here reads)
// keeps it out of the cache, unless it is a key parameter.
type cacheRule struct {
	CacheSettings
	namespace string
	params    []source
	auth      string // the route's authorization type
	byKey     bool
	encoding  bool // the integration sees Accept-Encoding
	bearer    bool // the route's authorisation reads the Authorization header, or it is a key parameter
	cookie    bool // the cookie is a key parameter
	headers   []string
}

// compileCache makes the rule of a route. A setting for all methods holds for GET only.
func (s *Snapshot) compileCache(rt *route, set CacheSettings, own bool) error {
	if !set.Enabled || set.TTL <= 0 || s.def.Cache == nil || !own && rt.def.Method != "GET" {
		return nil
	}
	in := rt.def.Integration
	c := &cacheRule{CacheSettings: set, namespace: in.CacheNamespace, auth: rt.def.AuthorizationType, byKey: rt.def.APIKeyRequired,
		encoding: strings.HasSuffix(in.Type, "_PROXY")}
	if c.namespace == "" {
		c.namespace = rt.def.ResourceID
	}
	for _, text := range in.CacheKeyParameters {
		src, err := cacheParameter(rt.name, text, in.RequestParameters)
		if err != nil {
			return err
		}
		c.params = append(c.params, src)
		if src.from == "header" {
			c.headers = append(c.headers, strings.ToLower(src.name))
		}
	}
	c.bearer, c.cookie = contains(c.headers, "authorization") || readsAuthorization(rt), contains(c.headers, "cookie")
	rt.cache = c
	return nil
}

// cacheParameter reads method.request.X or integration.request.X, the latter by what is mapped to it.
func cacheParameter(where, text string, mapped map[string]string) (source, error) {
	if strings.HasPrefix(text, "integration.request.") {
		expression, ok := mapped[text]
		if !ok {
			return source{}, &DefinitionError{"Invalid cache key parameter specified: " + text}
		}
		return parseSource(where, expression)
	}
	src, err := parseSource(where, text)
	if err != nil || src.from != "path" && src.from != "querystring" && src.from != "header" {
		return source{}, &DefinitionError{"Invalid cache key parameter specified: " + text}
	}
	return src, nil
}

// readsAuthorization reports whether what the Authorization header says is part of who the caller is.
func readsAuthorization(rt *route) bool {
	switch a := rt.authorizer; {
	case rt.def.AuthorizationType == "AWS_IAM":
		return true
	case a == nil:
		return false
	case a.header != "":
		return strings.EqualFold(a.header, "Authorization")
	default:
		return slices.ContainsFunc(a.sources, func(s source) bool { return s.from == "header" && strings.EqualFold(s.name, "Authorization") })
	}
}

// cacheState is what the cache had to do with a request.
type cacheState uint8

const (
	cacheUnused cacheState = iota
	cacheHit
	cacheMiss
)

// cached answers from the stage's cache.
func cached(x *Exchange) error {
	c, store := x.route.cache, x.snap.cache
	if c == nil || store == nil || !c.bearer && x.get("Authorization") != "" || !c.cookie && x.get("Cookie") != "" {
		return nil
	}
	var err error
	if x.cacheKey, err = c.key(x, x.cacheKey[:0]); err != nil {
		return err
	}
	fresh := false
	if maxAgeZero(x.get("Cache-Control")) {
		if fresh, err = c.mayInvalidate(x); err != nil {
			return err
		}
	}
	if !fresh {
		if e := store.get(x.cacheKey, x.start); e != nil && store.open(e, &x.reply) {
			x.cache = cacheHit
			return nil
		}
	}
	x.cache = cacheMiss
	return nil
}

// key writes the name of the request's answer. Every part has its length before it, so
// that no two requests share a name by the way their parts join.
func (c *cacheRule) key(x *Exchange, b []byte) ([]byte, error) {
	b = appendPart(b, c.namespace)
	b = appendPart(b, x.Method)
	switch {
	case x.caller != nil:
		b = appendPart(appendPart(append(b, 'i'), x.caller.AccessKeyID), x.caller.ARN)
	case x.claims != nil:
		b = append(append(b, 't'), x.bearerSum[:]...)
	case x.custom != nil:
		// By what the authorizer made of the request and by what it read: many name every
		// caller alike, and leave it to the function behind to read the token itself.
		b = append(append(b, 'c'), x.custom.sum[:]...)
		for _, src := range x.route.authorizer.sources {
			b = x.appendSource(b, src)
		}
	case c.auth != "NONE": // nobody is known: nothing may be shared
		return nil, refuse(Default5XX, "the caller of a cached route is not known")
	}
	if x.Via != nil && x.Via.Peer != nil { // mutual TLS asked who calls, whatever the route asks
		b = append(appendPart(b, "m"), x.peerSum()...)
	}
	if c.byKey && x.key != nil {
		b = appendPart(append(b, 'k'), x.key.ID)
	}
	if c.encoding {
		b = appendPart(b, x.get("Accept-Encoding"))
	}
	if len(x.snap.binary) > 0 {
		b = strconv.AppendBool(b, x.wantsBinary())
	}
	for _, p := range c.params {
		b = x.appendSource(b, p)
	}
	if x.Method != "GET" && x.Method != "HEAD" { // what was asked is in the body, too
		body, err := x.payload()
		if err != nil {
			return nil, err
		}
		b = appendPart(b, string(body))
	}
	return b, nil
}

// peerSum tells the client's certificate from every other one.
func (x *Exchange) peerSum() []byte {
	sum := sha256.Sum256(x.Via.Peer.Raw)
	return sum[:]
}

func appendPart(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendSource writes all values of a parameter, and how many they are.
func (x *Exchange) appendSource(b []byte, p source) []byte {
	at, n := len(b), byte(0)
	b = append(b, 0)
	add := func(v string) { b, n = appendPart(b, v), n+1 }
	switch p.from {
	case "querystring":
		for rest := x.RawQuery; rest != ""; {
			var piece string
			piece, rest, _ = strings.Cut(rest, "&")
			name, value, _ := strings.Cut(piece, "=")
			if piece != "" && unquery(name) == p.name {
				add(unquery(value))
			}
		}
	case "header":
		for i := range x.Fields {
			if strings.EqualFold(x.Fields[i].Name, p.name) {
				add(x.Fields[i].Value)
			}
		}
		if strings.EqualFold(p.name, "Host") {
			add(x.Host)
		}
	default:
		if v, ok := x.value(p); ok {
			add(v)
		}
	}
	b[at] = n // 255 and 511 values look alike only where all their bytes are alike
	return b
}

// maxAgeZero reports whether a Cache-Control field asks for a fresh answer.
func maxAgeZero(field string) bool {
	for field != "" {
		var directive string
		directive, field, _ = strings.Cut(field, ",")
		if strings.EqualFold(strings.TrimSpace(directive), "max-age=0") {
			return true
		}
	}
	return false
}

// keepable reports whether an answer may be kept: no error, nothing that answers a range or a
// condition of one request, nothing that was made for one caller alone, nothing that
// depends on a field that is not in its name.
func (c *cacheRule) keepable(r *reply) bool {
	switch {
	case r.status < 200, r.status >= 400, r.status == http.StatusPartialContent, r.status == http.StatusNotModified:
		return false
	}
	for _, f := range r.fields {
		switch strings.ToLower(f.Name) {
		case "set-cookie":
			return false
		case "cache-control":
			for directive := range strings.SplitSeq(f.Value, ",") {
				if d := strings.ToLower(strings.TrimSpace(directive)); d == "no-store" || d == "private" || strings.HasPrefix(d, "private=") {
					return false
				}
			}
		case "vary":
			for name := range strings.SplitSeq(f.Value, ",") {
				name = strings.ToLower(strings.TrimSpace(name))
				if name != "" && !(name == "accept-encoding" && c.encoding) && !contains(c.headers, name) {
					return false
				}
			}
		}
	}
	return true
}

// keepAnswer puts the reply into the cache once it is whole. body is what was sent of it.
func (x *Exchange) keepAnswer(body []byte) {
	c := x.route.cache
	if x.cache != cacheMiss || len(body) > maxCached || !c.keepable(&x.reply) {
		return
	}
	x.snap.cache.put(x.cacheKey, &x.reply, body, c.Encrypted, x.start.Add(c.TTL), x.start)
}

// giveCache gives a snapshot its cache: that of the one before, where it serves the same.
func (g *Gateway) giveCache(s, old *Snapshot) {
	if s.def.Cache == nil || s.cache != nil {
		return
	}
	s.cache = newAnswerCache(s.def.Cache.Bytes, g.cfg.Rand)
	if old != nil {
		s.adoptCache(old)
	}
}

// adoptCache takes over the cache of the snapshot before: what it serves is the same.
func (s *Snapshot) adoptCache(old *Snapshot) {
	if s.cache == nil || old.cache == nil || *s.def.Cache != *old.def.Cache {
		return
	}
	if s.def.DeploymentID == old.def.DeploymentID && maps.Equal(s.def.Variables, old.def.Variables) {
		s.cache = old.cache
	}
}
