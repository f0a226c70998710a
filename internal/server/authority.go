package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"

	"moat/internal/store"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 90 * 24 * time.Hour
	leafRenewal   = 30 * 24 * time.Hour
	maxLeaves     = 1024
	sealAuthority = "server/certificate-authority"
)

// authorityRecord is the certificate authority of this installation, shared by its nodes.
type authorityRecord struct {
	ID   string
	Cert []byte // PEM
	Key  []byte // sealed PKCS #8
}

func newAuthorityTable() *store.Table[authorityRecord] {
	return store.NewTable(store.Schema[authorityRecord]{
		Name:  "server_authority",
		Key:   []string{"id"},
		KeyOf: func(r *authorityRecord) []string { return []string{r.ID} },
	})
}

// authority is Moat's own certificate authority. It vouches only for the names that
// Moat serves: its own domain, localhost, and AWS's host names as clients behind
// `moat run` use them. The certificate says so itself (RFC 5280, name constraints),
// so that trusting it gives away nothing else.
type authority struct {
	cert    *x509.Certificate
	certPEM []byte
	key     *ecdsa.PrivateKey
	names   []string // permitted DNS suffixes
	now     func() time.Time
	rand    io.Reader

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

// servedNames lists the DNS suffixes the authority may vouch for.
func servedNames(domain string) []string {
	names := []string{"localhost", "amazonaws.com", "amazoncognito.com"}
	host := hostOnly(domain)
	if host != "localhost" && host != "" && net.ParseIP(host) == nil {
		names = append(names, host)
	}
	return names
}

// openAuthority reads the authority from the store, or creates it at first start.
func openAuthority(ctx context.Context, db *store.DB, cfg *Config) (*authority, error) {
	table := newAuthorityTable()
	if err := db.Create(table); err != nil {
		return nil, err
	}
	a := &authority{names: servedNames(cfg.Domain), now: cfg.Now, rand: cfg.Rand, leaves: map[string]*tls.Certificate{}}
	fresh, err := a.generate(db)
	if err != nil {
		return nil, err
	}
	var rec authorityRecord
	err = db.Update(ctx, func(tx *store.Tx) error {
		rec, err = table.Get(tx, "ca")
		if errors.Is(err, store.ErrNotFound) {
			rec = fresh
			return table.Insert(tx, fresh)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return a, a.load(db, rec)
}

func (a *authority) generate(db *store.DB) (authorityRecord, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), a.rand)
	if err != nil {
		return authorityRecord{}, err
	}
	serial, err := a.serial()
	if err != nil {
		return authorityRecord{}, err
	}
	now := a.now()
	_, v4, _ := net.ParseCIDR("127.0.0.0/8")
	_, v6, _ := net.ParseCIDR("::1/128")
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Moat local authority", Organization: []string{"Moat"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, // no mail, no code, no clients
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: a.names, PermittedIPRanges: []*net.IPNet{v4, v6},
	}
	der, err := x509.CreateCertificate(a.rand, template, template, key.Public(), key)
	if err != nil {
		return authorityRecord{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return authorityRecord{}, err
	}
	sealed, err := db.Seal(sealAuthority, pkcs8)
	if err != nil {
		return authorityRecord{}, err
	}
	return authorityRecord{ID: "ca", Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), Key: sealed}, nil
}

func (a *authority) load(db *store.DB, rec authorityRecord) error {
	block, _ := pem.Decode(rec.Cert)
	if block == nil {
		return errors.New("the stored certificate authority is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("the stored certificate authority does not parse: %w", err)
	}
	pkcs8, err := db.Unseal(sealAuthority, rec.Key)
	if err != nil {
		return fmt.Errorf("open the key of the certificate authority: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("the key of the certificate authority is a %T", key)
	}
	a.cert, a.certPEM, a.key = cert, bytes.Clone(rec.Cert), ec
	return nil
}

func (a *authority) serial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(a.rand, b); err != nil {
		return nil, err
	}
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b), nil
}

// Certificate answers a TLS client hello with a certificate for the name it asks for.
// A name Moat does not serve is refused. Safe for concurrent use.
func (a *authority) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if name == "" {
		name = "localhost"
	}
	if !a.serves(name) {
		return nil, fmt.Errorf("moat does not serve %q", name)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.leaves[name]; c != nil && a.now().Before(c.Leaf.NotAfter.Add(-leafRenewal)) {
		return c, nil
	}
	c, err := a.issue(name)
	if err != nil {
		return nil, err
	}
	if len(a.leaves) >= maxLeaves {
		clear(a.leaves)
	}
	a.leaves[name] = c
	return c, nil
}

func (a *authority) serves(name string) bool {
	for _, suffix := range a.names {
		if name == suffix || strings.HasSuffix(name, "."+suffix) {
			return true
		}
	}
	return false
}

func (a *authority) issue(name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), a.rand)
	if err != nil {
		return nil, err
	}
	serial, err := a.serial()
	if err != nil {
		return nil, err
	}
	now := a.now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if name == "localhost" {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	der, err := x509.CreateCertificate(a.rand, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func (a *authority) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: a.Certificate, NextProtos: []string{"h2", "http/1.1"}}
}
