package iam

import (
	"context"
	"errors"
	"strings"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// SAMLProvider is an identity provider whose SAML assertions may assume roles.
type SAMLProvider struct {
	Account, Name, ID   string
	Created, ValidUntil time.Time
	Tags                []Tag  `json:",omitempty"`
	Document            string // the metadata as it was given
	EntityID            string // who issues the assertions
	Certificates        [][]byte
	SignIn              []SAMLEndpoint
	Keys                []SAMLKey `json:",omitempty"`
	Encryption          string    `json:",omitempty"` // Required, Allowed; "" before there was a key
}

// samlLifetime is the validity, in years, of metadata that names none.
const samlLifetime = 100

func newSAMLTable() *store.Table[SAMLProvider] {
	return store.NewTable(store.Schema[SAMLProvider]{
		Name: "iam_saml_providers", Key: []string{"account", "name"},
		KeyOf: func(p *SAMLProvider) []string { return []string{p.Account, p.Name} },
	})
}

func (s *Service) samlARN(p *SAMLProvider) string { return s.arn("saml-provider/", "", p.Name) }

func (s *Service) getSAML(tx *store.Tx, arn string) (SAMLProvider, error) {
	missing := noSuch("Manifest not found for arn %s", arn)
	name, ok := strings.CutPrefix(arn, s.arn("saml-provider/", "", ""))
	if !ok {
		return SAMLProvider{}, missing
	}
	p, err := s.t.saml.Get(tx, s.cfg.Account, name)
	return p, or(err, missing, nil)
}

// samlProvider returns the SAML provider of an ARN, nil when there is none. An
// assertion counts when its issuer is EntityID, one of Certificates signed it, and
// ValidUntil has not passed.
func (s *Service) samlProvider(ctx context.Context, arn string) (*SAMLProvider, error) {
	var p SAMLProvider
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, err = s.getSAML(tx, arn)
		return err
	})
	var missing *iamapi.NoSuchEntityException
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// setMetadata gives a provider its metadata document.
func (s *Service) setMetadata(p *SAMLProvider, doc string) error {
	m, err := parseSAMLMetadata(doc)
	if err != nil {
		s.cfg.Log.Info("SAML metadata refused", "provider", p.Name, "reason", err)
		return invalidInput("Could not parse metadata")
	}
	now := s.now()
	if m.ValidUntil.IsZero() {
		m.ValidUntil = now.AddDate(samlLifetime, 0, 0)
	}
	if !m.ValidUntil.After(now) {
		return invalidInput("Metadata is expired: it was valid until %s", m.ValidUntil.Format(time.RFC3339))
	}
	p.Document, p.EntityID, p.ValidUntil, p.Certificates, p.SignIn = doc, m.EntityID, m.ValidUntil, m.Certificates, m.SignIn
	return nil
}

// CreateSAMLProvider implements iamapi.Service.
func (s *Service) CreateSAMLProvider(ctx context.Context, in *iamapi.CreateSAMLProviderRequest) (*iamapi.CreateSAMLProviderResponse, error) {
	tags, err := setTags(ctx, nil, in.Tags)
	if err != nil {
		return nil, err
	}
	id, err := s.newID("SAMLSP", 26)
	if err != nil {
		return nil, err
	}
	p := SAMLProvider{Account: s.cfg.Account, Name: in.Name, ID: id, Created: s.now(), Tags: tags}
	if err := s.setMetadata(&p, in.SAMLMetadataDocument); err != nil {
		return nil, err
	}
	key, err := s.sealSAMLKey(id, in.AddPrivateKey)
	if err != nil {
		return nil, err
	}
	if err := p.setEncryption(key, nil, in.AssertionEncryptionMode); err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := room(s, tx, s.t.saml, "SAMLProvidersPerAccount", maxProviders); err != nil {
			return err
		}
		return or(s.t.saml.Insert(tx, p), nil, exists("SAML provider with name %s already exists.", p.Name))
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.CreateSAMLProviderResponse{SAMLProviderArn: wire.String(s.samlARN(&p)), Tags: tagsOut(tags)}, nil
}

// GetSAMLProvider implements iamapi.Service.
func (s *Service) GetSAMLProvider(ctx context.Context, in *iamapi.GetSAMLProviderRequest) (*iamapi.GetSAMLProviderResponse, error) {
	var p SAMLProvider
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, err = s.getSAML(tx, in.SAMLProviderArn)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.GetSAMLProviderResponse{
		SAMLProviderUUID: wire.String(p.ID), SAMLMetadataDocument: wire.String(p.Document), CreateDate: wire.Time(p.Created), ValidUntil: wire.Time(p.ValidUntil), Tags: tagsOut(p.Tags),
		PrivateKeyList: samlKeysOut(p.Keys), AssertionEncryptionMode: iamapi.AssertionEncryptionModeType(p.Encryption),
	}, nil
}

func (s *Service) updateSAML(ctx context.Context, arn string, change func(*SAMLProvider) error) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := s.getSAML(tx, arn)
		if err != nil {
			return err
		}
		if err := change(&p); err != nil {
			return err
		}
		return s.t.saml.Put(tx, p)
	})
}

// UpdateSAMLProvider implements iamapi.Service. It replaces the metadata whole; a
// key that opens assertions is added or removed.
func (s *Service) UpdateSAMLProvider(ctx context.Context, in *iamapi.UpdateSAMLProviderRequest) (*iamapi.UpdateSAMLProviderResponse, error) {
	switch {
	case in.AddPrivateKey != nil && in.RemovePrivateKey != nil:
		return nil, invalidInput("A private key is added and another one removed in separate requests.")
	case in.SAMLMetadataDocument == nil && in.AddPrivateKey == nil && in.RemovePrivateKey == nil && in.AssertionEncryptionMode == "":
		return nil, invalidInput("The request changes nothing of the provider.")
	}
	known, err := s.samlProvider(ctx, in.SAMLProviderArn)
	if err != nil {
		return nil, err
	}
	if known == nil {
		return nil, noSuch("Manifest not found for arn %s", in.SAMLProviderArn)
	}
	key, err := s.sealSAMLKey(known.ID, in.AddPrivateKey)
	if err != nil {
		return nil, err
	}
	err = s.updateSAML(ctx, in.SAMLProviderArn, func(p *SAMLProvider) error {
		if p.ID != known.ID { // another one of the same name: the key is sealed for that
			return noSuch("Manifest not found for arn %s", in.SAMLProviderArn)
		}
		if in.SAMLMetadataDocument != nil {
			if err := s.setMetadata(p, *in.SAMLMetadataDocument); err != nil {
				return err
			}
		}
		return p.setEncryption(key, in.RemovePrivateKey, in.AssertionEncryptionMode)
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.UpdateSAMLProviderResponse{SAMLProviderArn: wire.String(in.SAMLProviderArn)}, nil
}

// DeleteSAMLProvider implements iamapi.Service.
func (s *Service) DeleteSAMLProvider(ctx context.Context, in *iamapi.DeleteSAMLProviderRequest) (*iamapi.DeleteSAMLProviderOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := s.getSAML(tx, in.SAMLProviderArn)
		if err != nil {
			return err
		}
		return s.t.saml.Delete(tx, s.cfg.Account, p.Name)
	})
}

// ListSAMLProviders implements iamapi.Service.
func (s *Service) ListSAMLProviders(ctx context.Context, _ *iamapi.ListSAMLProvidersRequest) (*iamapi.ListSAMLProvidersResponse, error) {
	out := &iamapi.ListSAMLProvidersResponse{SAMLProviderList: []iamapi.SAMLProviderListEntry{}}
	var list []SAMLProvider
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		list, err = s.t.saml.List(tx, store.Query{Prefix: []string{s.cfg.Account}})
		return err
	})
	for i := range list {
		p := &list[i]
		out.SAMLProviderList = append(out.SAMLProviderList, iamapi.SAMLProviderListEntry{Arn: wire.String(s.samlARN(p)), CreateDate: &p.Created, ValidUntil: &p.ValidUntil})
	}
	return out, err
}

// TagSAMLProvider implements iamapi.Service.
func (s *Service) TagSAMLProvider(ctx context.Context, in *iamapi.TagSAMLProviderRequest) (*iamapi.TagSAMLProviderOutput, error) {
	return nil, s.updateSAML(ctx, in.SAMLProviderArn, func(p *SAMLProvider) (err error) {
		p.Tags, err = setTags(ctx, p.Tags, in.Tags)
		return err
	})
}

// UntagSAMLProvider implements iamapi.Service.
func (s *Service) UntagSAMLProvider(ctx context.Context, in *iamapi.UntagSAMLProviderRequest) (*iamapi.UntagSAMLProviderOutput, error) {
	return nil, s.updateSAML(ctx, in.SAMLProviderArn, func(p *SAMLProvider) (err error) {
		p.Tags, err = removeTags(ctx, p.Tags, in.TagKeys)
		return err
	})
}

// ListSAMLProviderTags implements iamapi.Service.
func (s *Service) ListSAMLProviderTags(ctx context.Context, in *iamapi.ListSAMLProviderTagsRequest) (*iamapi.ListSAMLProviderTagsResponse, error) {
	var p SAMLProvider
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, err = s.getSAML(tx, in.SAMLProviderArn)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListSAMLProviderTagsResponse{}
	out.Tags, out.Marker, out.IsTruncated, err = s.tagPage(in.SAMLProviderArn, p.Tags, in.Marker, in.MaxItems)
	return out, err
}
