package iam

import (
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// ServiceCredential is a user's name and password for one service. None of those
// services is here: the password is shown once and not kept in any form.
type ServiceCredential struct {
	Account, ID, User string // unique id
	Service, Name     string
	Active            bool
	Created           time.Time
}

// maxServiceCredentials is IAM's quota per user and service.
const maxServiceCredentials = 2

func newServiceCredentialTable() *store.Table[ServiceCredential] {
	return store.NewTable(store.Schema[ServiceCredential]{
		Name: "iam_service_credentials", Key: []string{"account", "id"},
		KeyOf: func(c *ServiceCredential) []string { return []string{c.Account, c.ID} },
		Indexes: []store.Index[ServiceCredential]{
			{Name: "by_user", Columns: []string{"account", "username"}, Of: func(c *ServiceCredential) [][]string { return [][]string{{c.Account, c.User}} }},
		},
	})
}

// checkCredentialService refuses services that take no such credentials, and
// those whose credentials expire.
func checkCredentialService(operation, service string) error {
	switch service {
	case "codecommit.amazonaws.com", "cassandra.amazonaws.com":
		return nil
	case "bedrock.amazonaws.com", "logs.amazonaws.com":
		return wire.NotImplementedBecause("iam", operation, "API keys of services are not accepted anywhere here")
	}
	return noSuch("No such service %s is supported for Service Specific Credentials", service)
}

func (s *Service) serviceCredentialsOf(tx *store.Tx, userID string) ([]ServiceCredential, error) {
	return s.t.serviceCreds.List(tx, store.Query{Index: "by_user", Values: []string{s.cfg.Account, userID}})
}

func (s *Service) servicePassword() (string, error) {
	b := make([]byte, 32)
	_, err := s.rand.Read(b)
	return base64.StdEncoding.EncodeToString(b), err
}

func serviceCredentialOut(c *ServiceCredential, user string, password *string) *iamapi.ServiceSpecificCredential {
	return &iamapi.ServiceSpecificCredential{
		ServiceSpecificCredentialId: c.ID, ServiceName: c.Service, ServiceUserName: &c.Name, ServicePassword: password, UserName: user, Status: status(c.Active), CreateDate: c.Created,
	}
}

// CreateServiceSpecificCredential implements iamapi.Service.
func (s *Service) CreateServiceSpecificCredential(ctx context.Context, in *iamapi.CreateServiceSpecificCredentialRequest) (*iamapi.CreateServiceSpecificCredentialResponse, error) {
	if err := checkCredentialService("CreateServiceSpecificCredential", in.ServiceName); err != nil {
		return nil, err
	}
	if in.CredentialAgeDays != nil {
		return nil, validation("CredentialAgeDays is not supported for %s", in.ServiceName)
	}
	id, err := s.newID("ACCA", entityIDLength)
	if err != nil {
		return nil, err
	}
	password, err := s.servicePassword()
	if err != nil {
		return nil, err
	}
	out := &iamapi.CreateServiceSpecificCredentialResponse{}
	return out, s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := s.getUser(tx, in.UserName)
		if err != nil {
			return err
		}
		have, err := s.serviceCredentialsOf(tx, u.ID)
		if err != nil {
			return err
		}
		have = slices.DeleteFunc(have, func(c ServiceCredential) bool { return c.Service != in.ServiceName })
		if len(have) >= maxServiceCredentials {
			return limit("Cannot exceed quota for ServiceSpecificCredentialsPerUser: %d", maxServiceCredentials)
		}
		c := ServiceCredential{Account: s.cfg.Account, ID: id, User: u.ID, Service: in.ServiceName, Name: u.Name + "-at-" + s.cfg.Account, Active: true, Created: s.now()}
		for n := 1; slices.ContainsFunc(have, func(h ServiceCredential) bool { return h.Name == c.Name }); n++ {
			c.Name = u.Name + "+" + strconv.Itoa(n) + "-at-" + s.cfg.Account
		}
		out.ServiceSpecificCredential = serviceCredentialOut(&c, u.Name, &password)
		return s.t.serviceCreds.Insert(tx, c)
	})
}

// getServiceCredential returns a credential of the user that a call means.
func (s *Service) getServiceCredential(ctx context.Context, tx *store.Tx, user *string, id string) (u User, c ServiceCredential, err error) {
	name, err := userName(ctx, user)
	if err != nil {
		return u, c, err
	}
	if u, err = s.getUser(tx, name); err != nil {
		return u, c, err
	}
	c, err = s.t.serviceCreds.Get(tx, s.cfg.Account, id)
	if err == nil && c.User != u.ID {
		err = store.ErrNotFound
	}
	return u, c, or(err, noSuch("No such credential %s exists", id), nil)
}

// ResetServiceSpecificCredential implements iamapi.Service.
func (s *Service) ResetServiceSpecificCredential(ctx context.Context, in *iamapi.ResetServiceSpecificCredentialRequest) (*iamapi.ResetServiceSpecificCredentialResponse, error) {
	password, err := s.servicePassword()
	if err != nil {
		return nil, err
	}
	out := &iamapi.ResetServiceSpecificCredentialResponse{}
	return out, s.db.View(ctx, func(tx *store.Tx) error {
		u, c, err := s.getServiceCredential(ctx, tx, in.UserName, in.ServiceSpecificCredentialId)
		out.ServiceSpecificCredential = serviceCredentialOut(&c, u.Name, &password)
		return err
	})
}

// UpdateServiceSpecificCredential implements iamapi.Service.
func (s *Service) UpdateServiceSpecificCredential(ctx context.Context, in *iamapi.UpdateServiceSpecificCredentialRequest) (*iamapi.UpdateServiceSpecificCredentialOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		_, c, err := s.getServiceCredential(ctx, tx, in.UserName, in.ServiceSpecificCredentialId)
		if err != nil {
			return err
		}
		if err := setStatus(&c.Active, in.Status); err != nil {
			return err
		}
		return s.t.serviceCreds.Put(tx, c)
	})
}

// DeleteServiceSpecificCredential implements iamapi.Service.
func (s *Service) DeleteServiceSpecificCredential(ctx context.Context, in *iamapi.DeleteServiceSpecificCredentialRequest) (*iamapi.DeleteServiceSpecificCredentialOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		_, c, err := s.getServiceCredential(ctx, tx, in.UserName, in.ServiceSpecificCredentialId)
		if err != nil {
			return err
		}
		return s.t.serviceCreds.Delete(tx, s.cfg.Account, c.ID)
	})
}

// ListServiceSpecificCredentials implements iamapi.Service.
func (s *Service) ListServiceSpecificCredentials(ctx context.Context, in *iamapi.ListServiceSpecificCredentialsRequest) (*iamapi.ListServiceSpecificCredentialsResponse, error) {
	if in.ServiceName != nil {
		if err := checkCredentialService("ListServiceSpecificCredentials", *in.ServiceName); err != nil {
			return nil, err
		}
	}
	if wire.Value(in.AllUsers) && in.UserName != nil {
		return nil, validation("AllUsers and UserName cannot be given together")
	}
	out := &iamapi.ListServiceSpecificCredentialsResponse{}
	return out, s.db.View(ctx, func(tx *store.Tx) error {
		out.ServiceSpecificCredentials = []iamapi.ServiceSpecificCredentialMetadata{}
		q, list := store.Query{Prefix: []string{s.cfg.Account}}, "service credentials"
		if !wire.Value(in.AllUsers) {
			name, err := userName(ctx, in.UserName)
			if err != nil {
				return err
			}
			u, err := s.getUser(tx, name)
			if err != nil {
				return err
			}
			q, list = store.Query{Index: "by_user", Values: []string{s.cfg.Account, u.ID}}, list+"/"+u.ID
		}
		all, err := s.t.serviceCreds.List(tx, q)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(c ServiceCredential) bool { return in.ServiceName != nil && c.Service != *in.ServiceName })
		var truncated *bool
		all, out.Marker, truncated, err = page(s, list, all, func(c *ServiceCredential) string { return c.ID }, in.Marker, in.MaxItems)
		if wire.Value(truncated) { // AWS's recorded answers leave a false one out
			out.IsTruncated = truncated
		}
		for i := 0; i < len(all) && err == nil; i++ {
			var u User
			c := &all[i]
			u, err = s.userByID(tx, c.User)
			out.ServiceSpecificCredentials = append(out.ServiceSpecificCredentials, iamapi.ServiceSpecificCredentialMetadata{
				ServiceSpecificCredentialId: c.ID, ServiceName: c.Service, ServiceUserName: &c.Name, UserName: u.Name, Status: status(c.Active), CreateDate: c.Created,
			})
		}
		return err
	})
}
