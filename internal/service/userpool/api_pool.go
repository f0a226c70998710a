package userpool

import (
	"context"
	"maps"
	"slices"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// CreateUserPool makes a pool with a signing key out of the reserve. When the reserve is
// empty the pool gets its key a moment later; who needs it before then waits for it.
func (s *Service) CreateUserPool(ctx context.Context, in *api.CreateUserPoolRequest) (*api.CreateUserPoolResponse, error) {
	p, err := s.newPool(ctx, in)
	if err != nil {
		return nil, exception(err)
	}
	first, err := s.keys.firstKeys(&p)
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) (err error) {
		if err := room(tx, s.tables.pools, store.Query{Prefix: []string{p.Account, p.Region}}, maxPools, "user pools in a region"); err != nil {
			return err
		}
		if p.Keys, err = first(tx); err != nil {
			return err
		}
		return s.tables.pools.Insert(tx, p)
	})
	if err != nil {
		return nil, exception(err)
	}
	s.keys.born(p.ID)
	return &api.CreateUserPoolResponse{UserPool: s.describePool(&p, 0)}, nil
}

func (s *Service) newPool(ctx context.Context, in *api.CreateUserPoolRequest) (Pool, error) {
	var p Pool
	same := updateOf(in)
	if err := notBuilt("CreateUserPool", same); err != nil {
		return p, err
	}
	if len(in.AliasAttributes) > 0 && len(in.UsernameAttributes) > 0 {
		return p, refuse(invalidParameter, "Only one of the aliasAttributes or usernameAttributes can be set in a user pool.")
	}
	settings, err := newSettings(same)
	if err != nil {
		return p, err
	}
	if settings.MFA, err = (PoolMFA{}).updated(same); err != nil {
		return p, err
	}
	if settings.SenderKey, err = s.senderKey(ctx, "CreateUserPool", in.LambdaConfig); err != nil {
		return p, err
	}
	if err := settings.checkFactors(); err != nil {
		return p, err
	}
	schema, err := newSchema(in.Schema)
	if err == nil {
		err = checkTags(ctx, nil, in.UserPoolTags)
	}
	if err != nil {
		return p, err
	}
	region := wire.CallFrom(ctx).Region
	if region == "" {
		return p, refuse(invalidParameter, "The call names no region.")
	}
	tail, err := s.text(9, mixedAlphabet)
	if err != nil {
		return p, err
	}
	now := s.time()
	p = Pool{
		Account: s.account, Region: region, ID: region + "_" + tail, Name: in.PoolName,
		CreatedAt: now, ModifiedAt: now, Schema: schema, Settings: settings, Tags: in.UserPoolTags,
		AliasAttributes: convert[string](in.AliasAttributes), UsernameAttributes: convert[string](in.UsernameAttributes),
	}
	if c := in.UsernameConfiguration; c != nil {
		p.UsernameConfigured, p.CaseSensitive = true, c.CaseSensitive
	} else {
		// Without the member AWS's API makes a case-sensitive pool.
		p.CaseSensitive = true
	}
	return p, nil
}

// updateOf is the part of a creation that an update may change.
func updateOf(in *api.CreateUserPoolRequest) *api.UpdateUserPoolRequest {
	return &api.UpdateUserPoolRequest{
		AccountRecoverySetting: in.AccountRecoverySetting, AdminCreateUserConfig: in.AdminCreateUserConfig,
		AutoVerifiedAttributes: in.AutoVerifiedAttributes, DeletionProtection: in.DeletionProtection,
		DeviceConfiguration: in.DeviceConfiguration, EmailConfiguration: in.EmailConfiguration,
		EmailVerificationMessage: in.EmailVerificationMessage, EmailVerificationSubject: in.EmailVerificationSubject,
		LambdaConfig: in.LambdaConfig, MfaConfiguration: in.MfaConfiguration, Policies: in.Policies,
		SmsAuthenticationMessage: in.SmsAuthenticationMessage, SmsConfiguration: in.SmsConfiguration,
		SmsVerificationMessage: in.SmsVerificationMessage, UserAttributeUpdateSettings: in.UserAttributeUpdateSettings,
		UserPoolAddOns: in.UserPoolAddOns, UserPoolTags: in.UserPoolTags, UserPoolTier: in.UserPoolTier,
		VerificationMessageTemplate: in.VerificationMessageTemplate,
	}
}

// DescribeUserPool answers with everything about a pool but its keys.
func (s *Service) DescribeUserPool(ctx context.Context, in *api.DescribeUserPoolRequest) (*api.DescribeUserPoolResponse, error) {
	var p Pool
	var users int
	err := s.view(ctx, func(tx *store.Tx) (err error) {
		if p, err = s.poolHere(ctx, tx, in.UserPoolId); err != nil {
			return err
		}
		users, err = s.users(tx, p.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.DescribeUserPoolResponse{UserPool: s.describePool(&p, users)}, nil
}

// UpdateUserPool replaces the settings of a pool: what the request leaves out
// returns to its default, as on AWS.
func (s *Service) UpdateUserPool(ctx context.Context, in *api.UpdateUserPoolRequest) (*api.UpdateUserPoolResponse, error) {
	if err := notBuilt("UpdateUserPool", in); err != nil {
		return nil, err
	}
	settings, err := newSettings(in)
	if err == nil {
		settings.SenderKey, err = s.senderKey(ctx, "UpdateUserPool", in.LambdaConfig)
	}
	if err != nil {
		return nil, exception(err)
	}
	err = s.update(ctx, func(tx *store.Tx) error {
		p, err := s.poolHere(ctx, tx, in.UserPoolId)
		if err != nil {
			return err
		}
		if settings.MFA, err = p.Settings.MFA.updated(in); err != nil {
			return err
		}
		if err := settings.checkFactors(); err != nil {
			return err
		}
		if err := checkTags(ctx, p.Tags, in.UserPoolTags); err != nil {
			return err
		}
		p.Settings, p.ModifiedAt = settings, s.time()
		if in.PoolName != nil {
			p.Name = *in.PoolName
		}
		if in.UserPoolTags != nil {
			p.setTags(in.UserPoolTags)
		}
		return s.tables.pools.Put(tx, p)
	})
	if err != nil {
		return nil, err
	}
	s.keys.born(in.UserPoolId)
	return &api.UpdateUserPoolResponse{}, nil
}

// AddCustomAttributes extends the schema; attributes are never removed.
func (s *Service) AddCustomAttributes(ctx context.Context, in *api.AddCustomAttributesRequest) (*api.AddCustomAttributesResponse, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		p, err := s.poolHere(ctx, tx, in.UserPoolId)
		if err != nil {
			return err
		}
		for _, a := range in.CustomAttributes {
			c, err := customAttribute(a)
			if err != nil {
				return err
			}
			if _, there := p.attribute(*c.Name); there {
				return refuse(invalidParameter, *c.Name+": Existing attribute already has name "+*c.Name+".")
			}
			p.Schema = append(p.Schema, c)
		}
		if len(p.Schema) > len(standardSchema())+50 {
			return refuse(invalidParameter, "The number of custom attributes exceeds the limit of 50.")
		}
		p.ModifiedAt = s.time()
		return s.tables.pools.Put(tx, p)
	})
	if err != nil {
		return nil, err
	}
	return &api.AddCustomAttributesResponse{}, nil
}

// DeleteUserPool removes a pool and all that belongs to it. Its tokens are refused
// from then on, since their issuer has no keys any more.
func (s *Service) DeleteUserPool(ctx context.Context, in *api.DeleteUserPoolRequest) (*api.DeleteUserPoolOutput, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		p, err := s.poolHere(ctx, tx, in.UserPoolId)
		if err != nil {
			return err
		}
		if p.Settings.DeletionProtection == string(api.DeletionProtectionTypeACTIVE) {
			return refuse(invalidParameter, "The user pool cannot be deleted because deletion protection is activated. Deletion protection must be inactivated first.")
		}
		if p.Domain != "" {
			return refuse(invalidParameter, "User pool cannot be deleted. It has a domain configured that should be deleted first.")
		}
		return s.removePool(tx, &p)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteUserPoolOutput{}, nil
}

func (s *Service) removePool(tx *store.Tx, p *Pool) error {
	t := &s.tables
	clients, err := t.clients.List(tx, store.Query{Index: "pool", Values: []string{p.ID}})
	if err != nil {
		return err
	}
	for _, c := range clients {
		if err := t.clients.Delete(tx, c.ID); err != nil {
			return err
		}
	}
	sessions, err := t.sessions.List(tx, store.Query{Index: "user", Values: []string{p.ID}})
	if err != nil {
		return err
	}
	for _, x := range sessions {
		if err := t.sessions.Delete(tx, x.ID); err != nil {
			return err
		}
	}
	for _, empty := range []func(*store.Tx, ...string) (int, error){
		t.users.DeleteAll, t.groups.DeleteAll, t.members.DeleteAll, t.servers.DeleteAll, t.codes.DeleteAll, t.lockouts.DeleteAll, t.devices.DeleteAll, t.letters.DeleteAll, t.passkeys.DeleteAll,
		t.imports.DeleteAll, t.parts.DeleteAll, t.lines.DeleteAll,
		t.authEvents.DeleteAll, t.risks.DeleteAll, t.sprayers.DeleteAll,
	} {
		if _, err := empty(tx, p.ID); err != nil {
			return err
		}
	}
	return t.pools.Delete(tx, p.Account, p.Region, p.ID)
}

// ListUserPools lists the pools of the region by id.
func (s *Service) ListUserPools(ctx context.Context, in *api.ListUserPoolsRequest) (*api.ListUserPoolsResponse, error) {
	region := wire.CallFrom(ctx).Region
	scope := []string{"pools", region}
	after, err := s.openPage(in.NextToken, scope)
	if err != nil {
		return nil, exception(err)
	}
	limit := int(in.MaxResults)
	var list []Pool
	err = s.view(ctx, func(tx *store.Tx) (err error) {
		list, err = s.tables.pools.List(tx, store.Query{Prefix: []string{s.account, region}, After: after, Limit: limit + 1})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListUserPoolsResponse{UserPools: []api.UserPoolDescriptionType{}}
	list, out.NextToken, err = nextPage(s, list, limit, scope, func(p *Pool) []string { return []string{p.Account, p.Region, p.ID} })
	for _, p := range list {
		out.UserPools = append(out.UserPools, api.UserPoolDescriptionType{
			Id: &p.ID, Name: &p.Name, CreationDate: &p.CreatedAt, LastModifiedDate: &p.ModifiedAt, LambdaConfig: wire.Ptr(p.lambda()),
		})
	}
	return out, err
}

// taggedPool finds the pool that an ARN names.
func (s *Service) taggedPool(ctx context.Context, tx *store.Tx, arn string) (Pool, error) {
	id := poolIDOfARN(arn)
	p, err := s.poolHere(ctx, tx, id)
	if err == nil && s.poolARN(&p) != arn {
		return p, refuse(notFound, noPool(id))
	}
	return p, err
}

// TagResource sets tags of a pool.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceRequest) (*api.TagResourceResponse, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		p, err := s.taggedPool(ctx, tx, in.ResourceArn)
		if err != nil {
			return err
		}
		tags := map[string]string{}
		maps.Copy(tags, p.Tags)
		maps.Copy(tags, in.Tags)
		if err := checkTags(ctx, p.Tags, tags); err != nil {
			return err
		}
		p.setTags(tags)
		return s.tables.pools.Put(tx, p)
	})
	if err != nil {
		return nil, err
	}
	s.keys.born(poolIDOfARN(in.ResourceArn))
	return &api.TagResourceResponse{}, nil
}

// UntagResource removes tags of a pool.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceRequest) (*api.UntagResourceResponse, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		p, err := s.taggedPool(ctx, tx, in.ResourceArn)
		if err != nil {
			return err
		}
		maps.DeleteFunc(p.Tags, func(name, _ string) bool { return slices.Contains(in.TagKeys, name) })
		p.setTags(p.Tags)
		return s.tables.pools.Put(tx, p)
	})
	if err != nil {
		return nil, err
	}
	s.keys.born(poolIDOfARN(in.ResourceArn))
	return &api.UntagResourceResponse{}, nil
}

// ListTagsForResource lists the tags of a pool.
func (s *Service) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceRequest) (*api.ListTagsForResourceResponse, error) {
	out := &api.ListTagsForResourceResponse{Tags: map[string]string{}}
	err := s.view(ctx, func(tx *store.Tx) error {
		p, err := s.taggedPool(ctx, tx, in.ResourceArn)
		maps.Copy(out.Tags, p.Tags)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
