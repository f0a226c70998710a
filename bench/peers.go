package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Names of the peers that ratios are taken against.
const (
	haproxyPlain = "HAProxy, forwarding"
	haproxyJWT   = "HAProxy, jwt_verify RS256"
)

// recipe says how a peer is started. Its configuration is a file of this name with
// the addresses and the key put in.
type recipe struct {
	name, program string
	file, config  string
	args          []string
	token         bool // it asks for a token
}

// recipes are the peers: what Debian has, and what Go brings along. Each forwards over kept
// connections with two workers or as many threads as it likes, and writes no access log.
func recipes() []recipe {
	haproxy := func(name, rules string, token bool) recipe {
		return recipe{name: name, program: "haproxy", file: "haproxy.cfg", args: []string{"-db", "-f", "FILE"}, token: token, config: `
global
  nbthread 2
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend front
  bind LISTEN
` + rules + `  default_backend back
backend back
  server one BACKEND
`}
	}
	return []recipe{
		haproxy(haproxyPlain, "", false),
		haproxy(haproxyJWT, `  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless { var(txn.alg) -m str RS256 }
  http-request deny deny_status 401 unless { var(txn.bearer),jwt_payload_query('$.iss') -m str ISSUER }
  http-request deny deny_status 401 unless { var(txn.bearer),jwt_verify(txn.alg,"KEY") -m int 1 }
  http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }
`, true),
		{name: "nginx, forwarding", program: "nginx", file: "nginx.conf", args: []string{"-p", "DIR", "-e", "stderr", "-c", "FILE"}, config: `
daemon off;
pid DIR/nginx.pid;
worker_processes 2;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  keepalive_requests 100000000;
  upstream back { server BACKEND; keepalive 64; keepalive_requests 100000000; }
  server {
    listen LISTEN reuseport;
    location / { proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`},
		{name: "Caddy, forwarding", program: "caddy", file: "Caddyfile", args: []string{"run", "--adapter", "caddyfile", "--config", "FILE"}, config: `{
	admin off
	auto_https off
}
http://:PORT {
	bind 127.0.0.1
	reverse_proxy BACKEND
}
`},
		{name: "Go's httputil.ReverseProxy", file: "none", args: []string{"-proxy", "LISTEN", "-backend", "BACKEND"}},
	}
}

// startPeers starts the peers that are installed; the others are named.
func (r *rig) startPeers(ctx context.Context, b *bench, token string) ([]*peer, error) {
	key, issuer, err := r.tokenKey(ctx, token)
	if err != nil {
		return nil, err
	}
	var out []*peer
	for _, rc := range recipes() {
		p, err := r.startRecipe(ctx, b, rc, key, issuer)
		if errors.Is(err, exec.ErrNotFound) {
			fmt.Fprintf(b.progress, "gateway: %s is left out: %s is not installed\n", rc.name, rc.program)
			continue
		}
		if err != nil {
			for _, p := range out {
				p.stop()
			}
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (r *rig) startRecipe(ctx context.Context, b *bench, rc recipe, key []byte, issuer string) (*peer, error) {
	program := rc.program
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	program, err := exec.LookPath(program)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "peer-")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	keyFile := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(address, ":")
	fill := strings.NewReplacer("LISTEN", address, "PORT", port, "BACKEND", strings.TrimSuffix(strings.TrimPrefix(r.backend.url(), "http://"), "/"),
		"DIR", dir, "FILE", filepath.Join(dir, rc.file), "KEY", keyFile, "ISSUER", issuer)
	if err := os.WriteFile(filepath.Join(dir, rc.file), []byte(fill.Replace(rc.config)), 0o600); err != nil {
		return nil, err
	}
	args := make([]string, len(rc.args))
	for i, a := range rc.args {
		args[i] = fill.Replace(a)
	}
	return startPeer(ctx, dir, rc.name, address, program, args...)
}

// tokenKey finds the key that signed a token of the pool, as PEM, and the token's issuer.
func (r *rig) tokenKey(ctx context.Context, token string) (key []byte, issuer string, err error) {
	var header struct{ Kid string }
	var claims struct{ Iss string }
	for i, part := range strings.SplitN(token, ".", 3)[:2] {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			return nil, "", err
		}
		if err := json.Unmarshal(raw, []any{&header, &claims}[i]); err != nil {
			return nil, "", err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.aws.endpoint+"/"+r.pool.id+"/.well-known/jwks.json", nil)
	if err != nil {
		return nil, "", err
	}
	resp, err := r.aws.http.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, "", err
	}
	var set struct{ Keys []struct{ Kid, N, E string } }
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, "", err
	}
	for _, k := range set.Keys {
		if k.Kid != header.Kid {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(k.N)
		if err != nil {
			return nil, "", err
		}
		e, err := base64.RawURLEncoding.DecodeString(k.E)
		if err != nil {
			return nil, "", err
		}
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())})
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), claims.Iss, err
	}
	return nil, "", errors.New("the pool does not publish the key of its token")
}

// serveReverseProxy is the peer that Go brings along; it runs in a process of its own.
func serveReverseProxy(ctx context.Context, listen, backend string) error {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: backend})
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 256}
	server := &http.Server{Addr: listen, Handler: proxy}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
