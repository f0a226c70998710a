package iam

import (
	"context"
	"slices"
	"time"

	"moat/internal/store"
	"moat/internal/wire/iamapi"
)

// SigningCertificate is an X.509 certificate of a user. Nothing here takes a
// signature made with it.
type SigningCertificate struct {
	Account, ID, User string // unique id
	Body              string
	Active            bool
	Uploaded          time.Time
}

// maxSigning is IAM's quota of signing certificates per user.
const maxSigning = 2

func newSigningTable() *store.Table[SigningCertificate] {
	return store.NewTable(store.Schema[SigningCertificate]{
		Name: "iam_signing_certificates", Key: []string{"account", "id"},
		KeyOf: func(c *SigningCertificate) []string { return []string{c.Account, c.ID} },
		Indexes: []store.Index[SigningCertificate]{
			{Name: "by_user", Columns: []string{"account", "username"}, Of: func(c *SigningCertificate) [][]string { return [][]string{{c.Account, c.User}} }},
		},
	})
}

// status is how the API writes whether a credential counts.
func status(active bool) iamapi.StatusType {
	if active {
		return iamapi.StatusTypeActive
	}
	return iamapi.StatusTypeInactive
}

// setStatus reads a status that a client sets; only time makes a credential Expired.
func setStatus(active *bool, to iamapi.StatusType) error {
	if to == iamapi.StatusTypeExpired {
		return validation("The status Expired cannot be set.")
	}
	*active = to == iamapi.StatusTypeActive
	return nil
}

func (s *Service) signingOf(tx *store.Tx, userID string) ([]SigningCertificate, error) {
	list, err := s.t.signing.List(tx, store.Query{Index: "by_user", Values: []string{s.cfg.Account, userID}})
	slices.SortStableFunc(list, func(a, b SigningCertificate) int { return a.Uploaded.Compare(b.Uploaded) })
	return list, err
}

// UploadSigningCertificate implements iamapi.Service.
func (s *Service) UploadSigningCertificate(ctx context.Context, in *iamapi.UploadSigningCertificateRequest) (*iamapi.UploadSigningCertificateResponse, error) {
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	own, err := parseCertificates(in.CertificateBody)
	switch {
	case err != nil:
		return nil, err
	case len(own) != 1:
		return nil, malformedCertificate("A signing certificate has to be one certificate.")
	case s.cfg.Now().After(own[0].NotAfter):
		return nil, &iamapi.InvalidCertificateException{Message: "The certificate has expired."}
	}
	id, err := s.newID("", 32)
	if err != nil {
		return nil, err
	}
	out := &iamapi.UploadSigningCertificateResponse{}
	return out, s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := s.getUser(tx, name)
		if err != nil {
			return err
		}
		have, err := s.signingOf(tx, u.ID)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(have, func(c SigningCertificate) bool {
			other, err := parseCertificates(c.Body)
			return err == nil && other[0].Equal(own[0])
		}) {
			return &iamapi.DuplicateCertificateException{Message: "The certificate is associated with the user already."}
		}
		if len(have) >= maxSigning {
			return limit("Cannot exceed quota for SigningCertificatesPerUser: %d", maxSigning)
		}
		c := SigningCertificate{Account: s.cfg.Account, ID: id, User: u.ID, Body: in.CertificateBody, Active: true, Uploaded: s.now()}
		out.Certificate = signingOut(&c, u.Name)
		return s.t.signing.Insert(tx, c)
	})
}

func signingOut(c *SigningCertificate, user string) *iamapi.SigningCertificate {
	return &iamapi.SigningCertificate{CertificateBody: c.Body, CertificateId: c.ID, Status: status(c.Active), UploadDate: &c.Uploaded, UserName: user}
}

func (s *Service) getSigning(tx *store.Tx, user, id string) (SigningCertificate, error) {
	u, err := s.getUser(tx, user)
	if err != nil {
		return SigningCertificate{}, err
	}
	c, err := s.t.signing.Get(tx, s.cfg.Account, id)
	if err == nil && c.User != u.ID {
		err = store.ErrNotFound
	}
	return c, or(err, noSuch("The Certificate with id %s cannot be found.", id), nil)
}

// UpdateSigningCertificate implements iamapi.Service.
func (s *Service) UpdateSigningCertificate(ctx context.Context, in *iamapi.UpdateSigningCertificateRequest) (*iamapi.UpdateSigningCertificateOutput, error) {
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		c, err := s.getSigning(tx, name, in.CertificateId)
		if err != nil {
			return err
		}
		if err := setStatus(&c.Active, in.Status); err != nil {
			return err
		}
		return s.t.signing.Put(tx, c)
	})
}

// DeleteSigningCertificate implements iamapi.Service.
func (s *Service) DeleteSigningCertificate(ctx context.Context, in *iamapi.DeleteSigningCertificateRequest) (*iamapi.DeleteSigningCertificateOutput, error) {
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		c, err := s.getSigning(tx, name, in.CertificateId)
		if err != nil {
			return err
		}
		return s.t.signing.Delete(tx, s.cfg.Account, c.ID)
	})
}

// ListSigningCertificates implements iamapi.Service.
func (s *Service) ListSigningCertificates(ctx context.Context, in *iamapi.ListSigningCertificatesRequest) (*iamapi.ListSigningCertificatesResponse, error) {
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	var list []SigningCertificate
	err = s.db.View(ctx, func(tx *store.Tx) error {
		u, err := s.getUser(tx, name)
		if err != nil {
			return err
		}
		name = u.Name
		list, err = s.t.signing.List(tx, store.Query{Index: "by_user", Values: []string{s.cfg.Account, u.ID}})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListSigningCertificatesResponse{Certificates: []iamapi.SigningCertificate{}}
	list, out.Marker, out.IsTruncated, err = page(s, "signing/"+name, list, func(c *SigningCertificate) string { return c.ID }, in.Marker, in.MaxItems)
	for i := range list {
		out.Certificates = append(out.Certificates, *signingOut(&list[i], name))
	}
	return out, err
}
