package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// connectProxy is the HTTPS proxy of `moat run`. AWS's host names lead to Moat's own port,
// where Moat terminates TLS with its own authority; every other host gets an untouched
// tunnel. The proxy holds no key and reads nothing (RFC 9110, section 9.3.6).
type connectProxy struct {
	moat string // endpoint
}

// awsSuffixes are the host names that lead to Moat.
var awsSuffixes = []string{".amazonaws.com", ".amazoncognito.com"}

// elsewhereSuffixes are AWS's names for what Moat does not serve: other partitions and
// dual-stack endpoints. A program that runs with Moat as its AWS never reaches the real one.
var elsewhereSuffixes = []string{".amazonaws.com.cn", ".amazonwebservices.com.cn", ".api.aws", ".amazonaws.eu", ".on.aws"}

func isAWSHost(host string) bool { return below(host, awsSuffixes) }

// below reports whether a host name has one of the suffixes, or is one without its dot.
func below(host string, suffixes []string) bool {
	host = "." + strings.ToLower(strings.TrimRight(host, "."))
	return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(host, s) })
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "this proxy only tunnels HTTPS (CONNECT)", http.StatusMethodNotAllowed)
		return
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil || port == "" {
		http.Error(w, "CONNECT needs host:port", http.StatusBadRequest)
		return
	}
	target := r.Host
	if below(host, elsewhereSuffixes) {
		http.Error(w, fmt.Sprintf("Moat does not serve %s, and this proxy does not lead to AWS", host), http.StatusForbidden)
		return
	}
	if isAWSHost(host) {
		if port != "443" {
			http.Error(w, fmt.Sprintf("Moat serves %s on port 443 only", host), http.StatusForbidden)
			return
		}
		if target, err = endpointAddress(p.moat); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	upstream, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(r.Context(), "tcp", target)
	if err != nil {
		http.Error(w, fmt.Sprintf("%s cannot be reached: %v", host, err), http.StatusBadGateway)
		return
	}
	p.tunnel(w, upstream)
}

// tunnel joins the client's connection with upstream until both sides have ended.
func (p *connectProxy) tunnel(w http.ResponseWriter, upstream net.Conn) {
	defer upstream.Close()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this connection cannot be tunnelled", http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { copyHalf(upstream, buffered) })
	both.Go(func() { copyHalf(conn, upstream) })
	both.Wait()
}

// copyHalf copies one direction and passes its end on.
func copyHalf(dst net.Conn, src io.Reader) {
	_, _ = io.Copy(dst, src)
	if half, ok := dst.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	dst.Close()
}

// endpointAddress is the host:port of an endpoint URL.
func endpointAddress(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("the endpoint %q is not a URL", endpoint)
	}
	if u.Port() != "" {
		return u.Host, nil
	}
	if u.Scheme == "https" {
		return net.JoinHostPort(u.Hostname(), "443"), nil
	}
	return net.JoinHostPort(u.Hostname(), "80"), nil
}
