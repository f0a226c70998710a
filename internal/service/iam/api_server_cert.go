package iam

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// ServerCertificate is a certificate of a server with its chain. Its private key is
// checked and then forgotten: nothing here serves with it, and IAM never returns it.
type ServerCertificate struct {
	Account, Name, Path, ID string
	Uploaded, Expires       time.Time
	Body, Chain             string
	Tags                    []Tag `json:",omitempty"`
}

// maxChain is how many certificates a chain may have.
const maxChain = 20

func newServerCertTable() *store.Table[ServerCertificate] {
	return store.NewTable(store.Schema[ServerCertificate]{
		Name: "iam_server_certificates", Key: []string{"account", "name"},
		KeyOf: func(c *ServerCertificate) []string { return []string{c.Account, lower(c.Name)} },
	})
}

func malformedCertificate(format string, args ...any) error {
	return &iamapi.MalformedCertificateException{Message: fmt.Sprintf(format, args...)}
}

// parseCertificates reads a text of PEM certificates and nothing else.
func parseCertificates(text string) (list []*x509.Certificate, err error) {
	for rest := []byte(text); len(strings.TrimSpace(string(rest))) > 0; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil || b.Type != "CERTIFICATE" || len(list) == maxChain {
			return nil, malformedCertificate("Unable to parse certificate. Please ensure the certificate is in PEM format.")
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, malformedCertificate("Unable to parse certificate. Please ensure the certificate is in PEM format.")
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, malformedCertificate("Unable to parse certificate. Please ensure the certificate is in PEM format.")
	}
	return list, nil
}

// checkServerCertificate checks one certificate, that the key is its own, and that
// each certificate of the chain signed the one before it.
func checkServerCertificate(body, key string, chain *string) (*x509.Certificate, error) {
	own, err := parseCertificates(body)
	if err != nil {
		return nil, err
	}
	if len(own) != 1 {
		return nil, malformedCertificate("The certificate body has to be one certificate; others belong into the chain.")
	}
	if b, _ := pem.Decode([]byte(key)); b == nil {
		return nil, malformedCertificate("Unable to parse private key. Please ensure the key is unencrypted and in PEM format.")
	}
	if _, err := tls.X509KeyPair([]byte(body), []byte(key)); err != nil {
		return nil, &iamapi.KeyPairMismatchException{Message: "Private key does not match the certificate."}
	}
	signed := own[0]
	if chain == nil {
		return own[0], nil
	}
	signers, err := parseCertificates(*chain)
	if err != nil {
		return nil, err
	}
	for _, c := range signers {
		if err := signed.CheckSignatureFrom(c); err != nil {
			return nil, malformedCertificate("Unable to validate certificate chain. The certificate chain must start with the immediate signing certificate, followed by any intermediaries in order.")
		}
		signed = c
	}
	return own[0], nil
}

func (s *Service) serverCertOut(c *ServerCertificate) *iamapi.ServerCertificateMetadata {
	return &iamapi.ServerCertificateMetadata{
		Arn: s.arn("server-certificate", c.Path, c.Name), Path: c.Path, ServerCertificateId: c.ID, ServerCertificateName: c.Name, Expiration: &c.Expires, UploadDate: &c.Uploaded,
	}
}

func (s *Service) getServerCert(tx *store.Tx, name string) (ServerCertificate, error) {
	c, err := s.t.serverCerts.Get(tx, s.cfg.Account, lower(name))
	return c, or(err, noSuch("The Server Certificate with name %s cannot be found.", name), nil)
}

// UploadServerCertificate implements iamapi.Service.
func (s *Service) UploadServerCertificate(ctx context.Context, in *iamapi.UploadServerCertificateRequest) (*iamapi.UploadServerCertificateResponse, error) {
	own, err := checkServerCertificate(in.CertificateBody, in.PrivateKey, in.CertificateChain)
	if err != nil {
		return nil, err
	}
	tags, err := setTags(ctx, nil, in.Tags)
	if err != nil {
		return nil, err
	}
	id, err := s.newID("ASCA", entityIDLength)
	if err != nil {
		return nil, err
	}
	c := ServerCertificate{
		Account: s.cfg.Account, Name: in.ServerCertificateName, Path: path(in.Path), ID: id, Uploaded: s.now(), Expires: own.NotAfter.UTC(),
		Body: in.CertificateBody, Chain: wire.Value(in.CertificateChain), Tags: tags,
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := room(s, tx, s.t.serverCerts, "ServerCertificatesPerAccount", maxServerCertificates); err != nil {
			return err
		}
		return or(s.t.serverCerts.Insert(tx, c), nil, noRoomFor(c.Name))
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.UploadServerCertificateResponse{ServerCertificateMetadata: s.serverCertOut(&c), Tags: tagsOut(tags)}, nil
}

func noRoomFor(name string) error {
	return exists("The Server Certificate with name %s already exists.", name)
}

// GetServerCertificate implements iamapi.Service.
func (s *Service) GetServerCertificate(ctx context.Context, in *iamapi.GetServerCertificateRequest) (*iamapi.GetServerCertificateResponse, error) {
	var c ServerCertificate
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		c, err = s.getServerCert(tx, in.ServerCertificateName)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ServerCertificate{CertificateBody: c.Body, ServerCertificateMetadata: s.serverCertOut(&c), Tags: tagsOut(c.Tags)}
	if c.Chain != "" {
		out.CertificateChain = &c.Chain
	}
	return &iamapi.GetServerCertificateResponse{ServerCertificate: out}, nil
}

// UpdateServerCertificate implements iamapi.Service.
func (s *Service) UpdateServerCertificate(ctx context.Context, in *iamapi.UpdateServerCertificateRequest) (*iamapi.UpdateServerCertificateOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		c, err := s.getServerCert(tx, in.ServerCertificateName)
		if err != nil {
			return err
		}
		old := lower(c.Name)
		if in.NewPath != nil {
			c.Path = path(in.NewPath)
		}
		if in.NewServerCertificateName != nil {
			c.Name = *in.NewServerCertificateName
		}
		if lower(c.Name) == old {
			return s.t.serverCerts.Put(tx, c)
		}
		if err := s.t.serverCerts.Insert(tx, c); err != nil {
			return or(err, nil, noRoomFor(c.Name))
		}
		return s.t.serverCerts.Delete(tx, s.cfg.Account, old)
	})
}

// DeleteServerCertificate implements iamapi.Service.
func (s *Service) DeleteServerCertificate(ctx context.Context, in *iamapi.DeleteServerCertificateRequest) (*iamapi.DeleteServerCertificateOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		c, err := s.getServerCert(tx, in.ServerCertificateName)
		if err != nil {
			return err
		}
		return s.t.serverCerts.Delete(tx, s.cfg.Account, lower(c.Name))
	})
}

// ListServerCertificates implements iamapi.Service.
func (s *Service) ListServerCertificates(ctx context.Context, in *iamapi.ListServerCertificatesRequest) (*iamapi.ListServerCertificatesResponse, error) {
	var list []ServerCertificate
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		list, err = s.t.serverCerts.List(tx, store.Query{Prefix: []string{s.cfg.Account}})
		return err
	})
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(c ServerCertificate) bool { return !hasPath(c.Path, in.PathPrefix) })
	out := &iamapi.ListServerCertificatesResponse{ServerCertificateMetadataList: []iamapi.ServerCertificateMetadata{}}
	list, out.Marker, out.IsTruncated, err = page(s, "server certificates", list, func(c *ServerCertificate) string { return lower(c.Name) }, in.Marker, in.MaxItems)
	for i := range list {
		out.ServerCertificateMetadataList = append(out.ServerCertificateMetadataList, *s.serverCertOut(&list[i]))
	}
	return out, err
}

func (s *Service) updateServerCert(ctx context.Context, name string, change func(*ServerCertificate) error) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		c, err := s.getServerCert(tx, name)
		if err != nil {
			return err
		}
		if err := change(&c); err != nil {
			return err
		}
		return s.t.serverCerts.Put(tx, c)
	})
}

// TagServerCertificate implements iamapi.Service.
func (s *Service) TagServerCertificate(ctx context.Context, in *iamapi.TagServerCertificateRequest) (*iamapi.TagServerCertificateOutput, error) {
	return nil, s.updateServerCert(ctx, in.ServerCertificateName, func(c *ServerCertificate) (err error) {
		c.Tags, err = setTags(ctx, c.Tags, in.Tags)
		return err
	})
}

// UntagServerCertificate implements iamapi.Service.
func (s *Service) UntagServerCertificate(ctx context.Context, in *iamapi.UntagServerCertificateRequest) (*iamapi.UntagServerCertificateOutput, error) {
	return nil, s.updateServerCert(ctx, in.ServerCertificateName, func(c *ServerCertificate) (err error) {
		c.Tags, err = removeTags(ctx, c.Tags, in.TagKeys)
		return err
	})
}

// ListServerCertificateTags implements iamapi.Service.
func (s *Service) ListServerCertificateTags(ctx context.Context, in *iamapi.ListServerCertificateTagsRequest) (*iamapi.ListServerCertificateTagsResponse, error) {
	var c ServerCertificate
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		c, err = s.getServerCert(tx, in.ServerCertificateName)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListServerCertificateTagsResponse{}
	out.Tags, out.Marker, out.IsTruncated, err = s.tagPage("server-certificate/"+c.Name, c.Tags, in.Marker, in.MaxItems)
	return out, err
}
