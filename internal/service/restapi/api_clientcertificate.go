package restapi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

const (
	sealCertificate = "restapi/client-certificate"
	// certificateLife is how long AWS's client certificates are valid (API Gateway Developer
	// Guide, "Generate and configure an SSL certificate for backend authentication").
	certificateLife = 365 * 24 * time.Hour
)

// certificate is a client certificate that the gateway shows to backends; its key is sealed.
type certificate struct {
	Account, Region, ID string
	Certificate         apigatewayapi.ClientCertificate
	Key                 []byte // sealed PKCS #8
}

// GenerateClientCertificate makes a self-signed certificate and keeps its key. Integrations of a
// stage that names it show it to their backends.
func (s *Service) GenerateClientCertificate(ctx context.Context, in *apigatewayapi.GenerateClientCertificateRequest) (*apigatewayapi.ClientCertificate, error) {
	id, err := s.id(shortID)
	if err != nil {
		return nil, err
	}
	p, now := s.place(ctx), s.now()
	text, key, err := selfSigned(s.cfg.Rand, now)
	if err != nil {
		return nil, err
	}
	sealed, err := s.db.Seal(sealCertificate, key)
	if err != nil {
		return nil, err
	}
	c := apigatewayapi.ClientCertificate{
		ClientCertificateId: &id, Description: in.Description, PemEncodedCertificate: &text, Tags: in.Tags,
		CreatedDate: &now, ExpirationDate: wire.Ptr(now.Add(certificateLife)),
	}
	rec := certificate{Account: p.account, Region: p.region, ID: id, Certificate: c, Key: sealed}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := room(s, tx, s.tables.certificates, "client-certificates", "Client Certificates", "", p.account, p.region); err != nil {
			return err
		}
		return s.tables.certificates.Insert(tx, rec)
	})
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// selfSigned makes a certificate for TLS clients and its key.
func selfSigned(random io.Reader, now time.Time) (text string, pkcs8 []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return "", nil, err
	}
	serial := make([]byte, 16)
	if _, err := io.ReadFull(random, serial); err != nil {
		return "", nil, err
	}
	serial[0] &= 0x7f
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: "ApiGateway"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return "", nil, err
	}
	pkcs8, err = x509.MarshalPKCS8PrivateKey(key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), pkcs8, err
}

func (s *Service) certificate(tx *store.Tx, p place, id string) (certificate, error) {
	c, err := s.tables.certificates.Get(tx, p.key(id)...)
	if errors.Is(err, store.ErrNotFound) {
		return c, notFound("Invalid Client Certificate identifier specified")
	}
	return c, err
}

// clientCertificate opens the certificate that a stage shows to its backends; nil: none.
func (s *Service) clientCertificate(tx *store.Tx, p place, id string) (*tls.Certificate, error) {
	if id == "" {
		return nil, nil
	}
	rec, err := s.certificate(tx, p, id)
	if err != nil {
		return nil, err
	}
	pkcs8, err := s.db.Unseal(sealCertificate, rec.Key)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(wire.Value(rec.Certificate.PemEncodedCertificate)))
	if block == nil {
		return nil, errors.New("restapi: a stored client certificate is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}, nil
}

// GetClientCertificate returns a certificate; its key never leaves.
func (s *Service) GetClientCertificate(ctx context.Context, in *apigatewayapi.GetClientCertificateRequest) (*apigatewayapi.ClientCertificate, error) {
	var c certificate
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		c, err = s.certificate(tx, s.place(ctx), in.ClientCertificateId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &c.Certificate, nil
}

// GetClientCertificates lists the certificates.
func (s *Service) GetClientCertificates(ctx context.Context, in *apigatewayapi.GetClientCertificatesRequest) (*apigatewayapi.ClientCertificates, error) {
	out, p := &apigatewayapi.ClientCertificates{}, s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		all, err := s.tables.certificates.List(tx, store.Query{Prefix: p.key()})
		if err != nil {
			return err
		}
		items := make([]apigatewayapi.ClientCertificate, len(all))
		for i, c := range all {
			items[i] = c.Certificate
		}
		out.Items, out.Position, err = cut(s.listing(ctx), items, func(c apigatewayapi.ClientCertificate) string { return *c.ClientCertificateId }, in.Position, in.Limit)
		return err
	})
	return out, err
}

// UpdateClientCertificate patches a certificate's description.
func (s *Service) UpdateClientCertificate(ctx context.Context, in *apigatewayapi.UpdateClientCertificateRequest) (*apigatewayapi.ClientCertificate, error) {
	c, err := amend(ctx, s, func(tx *store.Tx) (certificate, error) {
		return s.certificate(tx, s.place(ctx), in.ClientCertificateId)
	}, func(tx *store.Tx, c *certificate) error {
		return descriptionRules().apply(&c.Certificate, in.PatchOperations)
	}, s.tables.certificates.Put)
	if err != nil {
		return nil, err
	}
	return &c.Certificate, nil
}

// DeleteClientCertificate deletes a certificate that no stage shows.
func (s *Service) DeleteClientCertificate(ctx context.Context, in *apigatewayapi.DeleteClientCertificateRequest) (*apigatewayapi.DeleteClientCertificateOutput, error) {
	p := s.place(ctx)
	return &apigatewayapi.DeleteClientCertificateOutput{}, s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := s.certificate(tx, p, in.ClientCertificateId); err != nil {
			return err
		}
		stages, err := s.tables.stages.List(tx, store.Query{Prefix: p.key()})
		if err != nil {
			return err
		}
		for _, st := range stages {
			if wire.Value(st.Stage.ClientCertificateId) == in.ClientCertificateId {
				return badRequest("Client certificate %s is in use by stage %s of API %s", in.ClientCertificateId, st.Name, st.API)
			}
		}
		return s.tables.certificates.Delete(tx, p.key(in.ClientCertificateId)...)
	})
}
