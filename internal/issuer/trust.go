package issuer

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// errRedirect says that an issuer leads somewhere else than it may.
var errRedirect = errors.New("issuer: it redirects away from https, or too often")

const maxRedirects = 3

// trusting returns a client that follows few redirects, to https alone, and that
// accepts besides the certificates of client's authorities those whose chain ends
// in a certificate with one of the thumbprints.
func trusting(client *http.Client, thumbprints []string, now func() time.Time) *http.Client {
	c := *client
	c.Jar = nil
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if req.URL.Scheme != "https" || len(via) > maxRedirects {
			return errRedirect
		}
		return nil
	}
	transport, ok := c.Transport.(*http.Transport)
	if !ok || len(thumbprints) == 0 {
		return &c
	}
	transport = transport.Clone()
	conf := transport.TLSClientConfig.Clone()
	if conf == nil {
		conf = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	dial := transport.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		raw, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := conf.Clone()
		c.ServerName, c.NextProtos = host, nil
		c.InsecureSkipVerify = true // VerifyConnection verifies instead
		c.VerifyConnection = func(state tls.ConnectionState) error {
			return verifyChain(state.PeerCertificates, host, conf.RootCAs, thumbprints, now())
		}
		conn := tls.Client(raw, c)
		if err := conn.HandshakeContext(ctx); err != nil {
			_ = raw.Close() // nothing was sent
			return nil, err
		}
		return conn, nil
	}
	c.Transport = transport
	return &c
}

// verifyChain accepts a chain of a trusted authority, and one that ends in a
// certificate with a known thumbprint. Name, time and signatures must be right in
// either case.
func verifyChain(chain []*x509.Certificate, host string, roots *x509.CertPool, thumbprints []string, now time.Time) error {
	if len(chain) == 0 || host == "" {
		return ErrThumbprint
	}
	o := x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(o); err == nil {
		return nil
	}
	last := chain[len(chain)-1]
	sum := sha1.Sum(last.Raw)
	if !slices.ContainsFunc(thumbprints, func(t string) bool { return strings.EqualFold(t, hex.EncodeToString(sum[:])) }) {
		return ErrThumbprint
	}
	o.Roots = x509.NewCertPool()
	o.Roots.AddCert(last)
	if _, err := chain[0].Verify(o); err != nil {
		return ErrThumbprint
	}
	return nil
}
