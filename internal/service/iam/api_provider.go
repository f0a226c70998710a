package iam

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// IAM's quotas of audiences and thumbprints per provider.
const (
	maxClientIDs   = 100
	maxThumbprints = 5
)

// checkThumbprints refuses what is no SHA-1 sum in hexadecimal.
func checkThumbprints(list []string) error {
	if len(list) > maxThumbprints {
		return invalidInput("Thumbprint list must contain fewer than %d entries.", maxThumbprints)
	}
	for _, t := range list {
		if sum, err := hex.DecodeString(t); err != nil || len(sum) != sha1.Size {
			return invalidInput("Thumbprint %s is not a SHA-1 sum in hexadecimal.", t)
		}
	}
	return nil
}

func (s *Service) providerARN(p *Provider) string { return s.arn("oidc-provider/", "", p.URL) }

func (s *Service) getProvider(tx *store.Tx, arn string) (Provider, error) {
	missing := noSuch("OpenIDConnect Provider not found for arn %s", arn)
	name, ok := strings.CutPrefix(arn, s.arn("oidc-provider/", "", ""))
	if !ok {
		return Provider{}, missing
	}
	p, err := s.t.providers.Get(tx, s.cfg.Account, name)
	return p, or(err, missing, nil)
}

func (s *Service) updateProvider(ctx context.Context, arn string, change func(*Provider) error) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := s.getProvider(tx, arn)
		if err != nil {
			return err
		}
		if err := change(&p); err != nil {
			return err
		}
		return s.t.providers.Put(tx, p)
	})
}

// CreateOpenIDConnectProvider implements iamapi.Service. AWS accepts https
// alone; here the issuers of this installation may have a plain http address.
func (s *Service) CreateOpenIDConnectProvider(ctx context.Context, in *iamapi.CreateOpenIDConnectProviderRequest) (*iamapi.CreateOpenIDConnectProviderResponse, error) {
	u, err := url.Parse(in.Url)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, validation("Invalid Open ID Connect Provider URL")
	}
	tags, err := setTags(ctx, nil, in.Tags)
	if err != nil {
		return nil, err
	}
	if len(in.ClientIDList) > maxClientIDs {
		return nil, limit("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: %d", maxClientIDs)
	}
	if err := checkThumbprints(in.ThumbprintList); err != nil {
		return nil, err
	}
	p := Provider{Account: s.cfg.Account, URL: u.Host + strings.TrimSuffix(u.EscapedPath(), "/"), ClientIDs: in.ClientIDList, Thumbprints: in.ThumbprintList, Tags: tags, Created: s.now()}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := room(s, tx, s.t.providers, "OpenIdConnectProvidersPerAccount", maxProviders); err != nil {
			return err
		}
		return or(s.t.providers.Insert(tx, p), nil, exists("Provider with url %s already exists.", in.Url))
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.CreateOpenIDConnectProviderResponse{OpenIDConnectProviderArn: wire.String(s.providerARN(&p)), Tags: tagsOut(tags)}, nil
}

// GetOpenIDConnectProvider implements iamapi.Service.
func (s *Service) GetOpenIDConnectProvider(ctx context.Context, in *iamapi.GetOpenIDConnectProviderRequest) (*iamapi.GetOpenIDConnectProviderResponse, error) {
	var p Provider
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, err = s.getProvider(tx, in.OpenIDConnectProviderArn)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.GetOpenIDConnectProviderResponse{Url: wire.String(p.URL), ClientIDList: p.ClientIDs, ThumbprintList: p.Thumbprints, CreateDate: wire.Time(p.Created), Tags: tagsOut(p.Tags)}, nil
}

// ListOpenIDConnectProviders implements iamapi.Service.
func (s *Service) ListOpenIDConnectProviders(ctx context.Context, _ *iamapi.ListOpenIDConnectProvidersRequest) (*iamapi.ListOpenIDConnectProvidersResponse, error) {
	out := &iamapi.ListOpenIDConnectProvidersResponse{OpenIDConnectProviderList: []iamapi.OpenIDConnectProviderListEntry{}}
	return out, s.db.View(ctx, func(tx *store.Tx) error {
		list, err := s.t.providers.List(tx, store.Query{Prefix: []string{s.cfg.Account}})
		for i := range list {
			out.OpenIDConnectProviderList = append(out.OpenIDConnectProviderList, iamapi.OpenIDConnectProviderListEntry{Arn: wire.String(s.providerARN(&list[i]))})
		}
		return err
	})
}

// DeleteOpenIDConnectProvider implements iamapi.Service.
func (s *Service) DeleteOpenIDConnectProvider(ctx context.Context, in *iamapi.DeleteOpenIDConnectProviderRequest) (*iamapi.DeleteOpenIDConnectProviderOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := s.getProvider(tx, in.OpenIDConnectProviderArn)
		if err != nil {
			return err
		}
		return s.t.providers.Delete(tx, s.cfg.Account, p.URL)
	})
}

// AddClientIDToOpenIDConnectProvider implements iamapi.Service.
func (s *Service) AddClientIDToOpenIDConnectProvider(ctx context.Context, in *iamapi.AddClientIDToOpenIDConnectProviderRequest) (*iamapi.AddClientIDToOpenIDConnectProviderOutput, error) {
	return nil, s.updateProvider(ctx, in.OpenIDConnectProviderArn, func(p *Provider) error {
		if slices.Contains(p.ClientIDs, in.ClientID) {
			return nil
		}
		if len(p.ClientIDs) >= maxClientIDs {
			return limit("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: %d", maxClientIDs)
		}
		p.ClientIDs = append(p.ClientIDs, in.ClientID)
		return nil
	})
}

// RemoveClientIDFromOpenIDConnectProvider implements iamapi.Service.
func (s *Service) RemoveClientIDFromOpenIDConnectProvider(ctx context.Context, in *iamapi.RemoveClientIDFromOpenIDConnectProviderRequest) (*iamapi.RemoveClientIDFromOpenIDConnectProviderOutput, error) {
	return nil, s.updateProvider(ctx, in.OpenIDConnectProviderArn, func(p *Provider) error {
		p.ClientIDs = slices.DeleteFunc(p.ClientIDs, func(id string) bool { return id == in.ClientID })
		return nil
	})
}

// UpdateOpenIDConnectProviderThumbprint implements iamapi.Service.
func (s *Service) UpdateOpenIDConnectProviderThumbprint(ctx context.Context, in *iamapi.UpdateOpenIDConnectProviderThumbprintRequest) (*iamapi.UpdateOpenIDConnectProviderThumbprintOutput, error) {
	if err := checkThumbprints(in.ThumbprintList); err != nil {
		return nil, err
	}
	return nil, s.updateProvider(ctx, in.OpenIDConnectProviderArn, func(p *Provider) error {
		p.Thumbprints = in.ThumbprintList
		return nil
	})
}

// TagOpenIDConnectProvider implements iamapi.Service.
func (s *Service) TagOpenIDConnectProvider(ctx context.Context, in *iamapi.TagOpenIDConnectProviderRequest) (*iamapi.TagOpenIDConnectProviderOutput, error) {
	return nil, s.updateProvider(ctx, in.OpenIDConnectProviderArn, func(p *Provider) (err error) {
		p.Tags, err = setTags(ctx, p.Tags, in.Tags)
		return err
	})
}

// UntagOpenIDConnectProvider implements iamapi.Service.
func (s *Service) UntagOpenIDConnectProvider(ctx context.Context, in *iamapi.UntagOpenIDConnectProviderRequest) (*iamapi.UntagOpenIDConnectProviderOutput, error) {
	return nil, s.updateProvider(ctx, in.OpenIDConnectProviderArn, func(p *Provider) (err error) {
		p.Tags, err = removeTags(ctx, p.Tags, in.TagKeys)
		return err
	})
}

// ListOpenIDConnectProviderTags implements iamapi.Service.
func (s *Service) ListOpenIDConnectProviderTags(ctx context.Context, in *iamapi.ListOpenIDConnectProviderTagsRequest) (*iamapi.ListOpenIDConnectProviderTagsResponse, error) {
	var p Provider
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, err = s.getProvider(tx, in.OpenIDConnectProviderArn)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListOpenIDConnectProviderTagsResponse{}
	out.Tags, out.Marker, out.IsTruncated, err = s.tagPage(in.OpenIDConnectProviderArn, p.Tags, in.Marker, in.MaxItems)
	return out, err
}
