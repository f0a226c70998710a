package server

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"

	"moat/internal/http1"
)

// maxUpload bounds every body at the door; each service bounds its own further.
const maxUpload = 1 << 30

// accept serves the port: by our own engine where the client speaks plain HTTP, by
// net/http where it speaks TLS.
func (s *Server) accept(l net.Listener) (serve func() error) {
	if s.cfg.NetHTTP {
		return s.listener.run
	}
	return take(s.plain, s.listener, l)
}

// take lets our own engine accept what a listener brings; secure gets what speaks TLS.
func take(engine *http1.Server, secure *dualListener, l net.Listener) (serve func() error) {
	secure.shared = true
	run := engine.Take(l)
	return func() error {
		if err := run(); !errors.Is(err, http1.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

func (s *Server) newPlain() *http1.Server {
	s.bridge = http1.Bridge(s)
	return s.engine(s.servePlain, s.listener)
}

// engine is our own engine over plain HTTP; secure takes what speaks TLS.
func (s *Server) engine(h http1.Handler, secure *dualListener) *http1.Server {
	return http1.NewServer(http1.Config{
		Handler: h, TLS: secure.secure, Log: s.cfg.Log, Limits: http1.Limits{Head: maxHeader}, MaxBody: maxUpload,
		FirstTimeout: firstByteTimeout, HeadTimeout: headerTimeout, IdleTimeout: idleTimeout, BodyPause: bodyPause, BodyTimeout: bodyTotal,
	})
}

// drain ends both servers at once.
func (s *Server) drain(ctx context.Context) {
	var both sync.WaitGroup
	for _, engine := range s.engines() {
		both.Go(func() {
			if err := engine.Shutdown(ctx); err != nil {
				engine.Close()
			}
		})
	}
	both.Go(func() {
		s.lastRequests(ctx)
		if err := s.http.Shutdown(ctx); err != nil {
			s.http.Close()
		}
	})
	both.Wait()
	s.listener.Close()
	s.listener.Listener.Close()
	s.closeEndpoints()
}

// servePlain sends a request to a deployed API through the gateway's steps; every other one
// goes over the bridge to [Server.ServeHTTP].
func (s *Server) servePlain(w *http1.Response, r *http1.Request) {
	api, stage, path, ok := s.apiOf(r)
	if !ok || !usualPath(r.Path) {
		s.bridge(w, r)
		return
	}
	ctx := s.base[0]
	if s.cfg.Dev && s.strangerAt(r) {
		ctx = s.base[1]
	}
	s.asked.Add(1)
	s.parts.gateway.ServeHTTP1(ctx, w, r, api, stage, path)
}

// apiOf reads the two forms of a deployed API's address, as [Server.classify] does, without
// allocating. What it does not find there classify looks for.
func (s *Server) apiOf(r *http1.Request) (api, stage, path string, ok bool) {
	host := r.Host
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	if api, ok = s.apiHost(strings.TrimSuffix(host, ".")); ok {
		stage, rest := cutSegment(strings.TrimLeft(r.Path, "/"))
		return api, stage, orRoot(rest), true
	}
	if d, ok := s.classifyPath(r.Path); ok && !s.known(host) && s.customDomain(host) == nil {
		return d.api, d.stage, d.path, true
	}
	return "", "", "", false
}

// apiHost reads {api}.execute-api.{region}.DOMAIN, for a DOMAIN and an api in lower case.
func (s *Server) apiHost(host string) (api string, ok bool) {
	api, rest, ok := strings.Cut(host, ".")
	if !ok {
		return "", false
	}
	label, rest, _ := strings.Cut(rest, ".")
	if label != "execute-api" || strings.ToLower(api) != api {
		return "", false
	}
	// The domain is what follows the labels, of which a region is one.
	for _, suffix := range s.suffixes {
		if rest == suffix || len(rest) > len(suffix) && rest[len(rest)-len(suffix)-1] == '.' && rest[len(rest)-len(suffix):] == suffix {
			return api, true
		}
	}
	return "", false
}

// known reports whether a host stands below a domain of ours, where its labels may decide.
func (s *Server) known(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, suffix := range s.suffixes {
		if strings.HasSuffix(host, suffix) && host != suffix {
			return true
		}
	}
	return false
}

func (s *Server) classifyPath(path string) (destination, bool) {
	if !strings.HasPrefix(path, apiPath) {
		return destination{}, false
	}
	return byAPIPath(path)
}

// usualPath reports whether a path is written as net/url would write it, so that it is read
// the same on every engine; whatever else there is goes over net/url.
func usualPath(path string) bool {
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case http1.IsPathChar(c):
		case c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]):
			i += 2
		default:
			return false
		}
	}
	return path != "" && path[0] == '/'
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }
