package restapi

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"moat/internal/pure/arn"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// GetAccount returns the account's settings and limits.
func (s *Service) GetAccount(ctx context.Context, _ *apigatewayapi.GetAccountRequest) (*apigatewayapi.Account, error) {
	var rec settings
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		rec, err = s.settings(tx, s.place(ctx))
		return err
	})
	if err != nil {
		return nil, err
	}
	return rec.account(), nil
}

func (s *Service) settings(tx *store.Tx, p place) (settings, error) {
	rec, err := s.tables.settings.Get(tx, p.key()...)
	if errors.Is(err, store.ErrNotFound) {
		return settings{Account: p.account, Region: p.region}, nil
	}
	return rec, err
}

func (r settings) account() *apigatewayapi.Account {
	out := &apigatewayapi.Account{
		ApiKeyVersion: wire.String("4"), Features: []string{"UsagePlans"},
		ThrottleSettings: &apigatewayapi.ThrottleSettings{BurstLimit: wire.Int32(defaultBurst), RateLimit: wire.Float64(defaultRate)},
	}
	if r.RateLimit != nil {
		out.ThrottleSettings.RateLimit = r.RateLimit
	}
	if r.BurstLimit != nil {
		out.ThrottleSettings.BurstLimit = r.BurstLimit
	}
	if r.CloudWatchRoleARN != "" {
		out.CloudwatchRoleArn = &r.CloudWatchRoleARN
	}
	return out
}

// UpdateAccount patches the account's settings.
func (s *Service) UpdateAccount(ctx context.Context, in *apigatewayapi.UpdateAccountRequest) (*apigatewayapi.Account, error) {
	if err := s.checkLogRoles(ctx, in); err != nil {
		return nil, err
	}
	var out *apigatewayapi.Account
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		rec, err := s.settings(tx, s.place(ctx))
		if err != nil {
			return err
		}
		out = rec.account()
		if err := accountRules().apply(out, in.PatchOperations); err != nil {
			return err
		}
		if !slices.Equal(out.Features, rec.account().Features) {
			return badRequest("Invalid feature: UsagePlans is the only one, and cannot be removed")
		}
		t := out.ThrottleSettings
		if !(*t.RateLimit >= 0) || *t.BurstLimit < 0 {
			return badRequest("The account's throttle must not be negative")
		}
		rec.CloudWatchRoleARN, rec.RateLimit, rec.BurstLimit = wire.Value(out.CloudwatchRoleArn), nil, nil
		if *t.RateLimit != defaultRate || *t.BurstLimit != defaultBurst {
			rec.RateLimit, rec.BurstLimit = t.RateLimit, t.BurstLimit
		}
		return s.tables.settings.Put(tx, rec)
	})
	if err != nil {
		return nil, err
	}
	return out, s.PublishAll(ctx)
}

// checkLogRoles refuses a role for the account's logs that API Gateway may not assume.
func (s *Service) checkLogRoles(ctx context.Context, in *apigatewayapi.UpdateAccountRequest) error {
	for _, need := range logRoles(in, "") {
		if s.cfg.Trusts == nil {
			return nil
		}
		ok, err := s.cfg.Trusts.RoleTrusts(ctx, need.Resource, gatewayPrincipal, "arn:aws:apigateway:"+s.place(ctx).region+"::/account")
		if err != nil {
			return err
		}
		if !ok {
			return badRequest("The role ARN does not have required permissions configured. Please grant trust permission for API Gateway and add the required role policy.")
		}
	}
	return nil
}

// TagResource adds tags to an API, a stage, a key or a plan.
func (s *Service) TagResource(ctx context.Context, in *apigatewayapi.TagResourceRequest) (*apigatewayapi.TagResourceOutput, error) {
	return &apigatewayapi.TagResourceOutput{}, s.editTags(ctx, in.ResourceArn, func(tags map[string]string) { maps.Copy(tags, in.Tags) })
}

// UntagResource takes tags away.
func (s *Service) UntagResource(ctx context.Context, in *apigatewayapi.UntagResourceRequest) (*apigatewayapi.UntagResourceOutput, error) {
	return &apigatewayapi.UntagResourceOutput{}, s.editTags(ctx, in.ResourceArn, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
}

// GetTags lists the tags of an API, a stage, a key or a plan.
func (s *Service) GetTags(ctx context.Context, in *apigatewayapi.GetTagsRequest) (*apigatewayapi.Tags, error) {
	out := &apigatewayapi.Tags{}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		t, err := s.tagged(tx, s.place(ctx), in.ResourceArn)
		if err == nil {
			out.Tags = t.tags
		}
		return err
	})
	return out, err
}

func (s *Service) editTags(ctx context.Context, resource string, fn func(tags map[string]string)) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		t, err := s.tagged(tx, s.place(ctx), resource)
		if err != nil {
			return err
		}
		fn(t.tags)
		return t.save(t.tags)
	})
}

// tagged is something that carries tags: a copy of them, and how to write them back.
type tagged struct {
	tags map[string]string
	save func(tags map[string]string) error
}

func newTagged(tags map[string]string, save func(tags map[string]string) error) tagged {
	own := maps.Clone(tags)
	if own == nil {
		own = map[string]string{}
	}
	return tagged{own, save}
}

// tagged finds what an ARN names.
func (s *Service) tagged(tx *store.Tx, p place, resource string) (tagged, error) {
	a, err := arn.Parse(resource)
	if err != nil || a.Service != "apigateway" {
		return tagged{}, badRequest("Invalid ARN specified in the request")
	}
	part := strings.Split(strings.TrimPrefix(a.Resource, "/"), "/")
	switch {
	case len(part) == 2 && part[0] == "restapis":
		d, err := s.definition(tx, p, part[1])
		return newTagged(d.API.Tags, func(tags map[string]string) error {
			d.API.Tags = tags
			return s.tables.definitions.Put(tx, d)
		}), err
	case len(part) == 4 && part[0] == "restapis" && part[2] == "stages":
		st, err := s.stage(tx, p, part[1], part[3])
		return newTagged(st.Stage.Tags, func(tags map[string]string) error {
			st.Stage.Tags = tags
			return s.tables.stages.Put(tx, st)
		}), err
	case len(part) == 2 && part[0] == "apikeys":
		k, err := s.key(tx, p, part[1])
		return newTagged(k.Key.Tags, func(tags map[string]string) error {
			k.Key.Tags = tags
			return s.tables.keys.Put(tx, k)
		}), err
	case len(part) == 2 && part[0] == "domainnames":
		d, err := s.domainAt(tx, p, part[1])
		return newTagged(d.Domain.Tags, func(tags map[string]string) error {
			d.Domain.Tags = tags
			return s.tables.domains.Put(tx, d)
		}), err
	case len(part) == 5 && part[0] == "domainnameaccessassociations":
		k, ok := associationKey(resource, p.region)
		if !ok || k.account != p.account {
			return tagged{}, badRequest("Invalid ARN specified in the request")
		}
		found, err := s.association(tx, k)
		return newTagged(found.Association.Tags, func(tags map[string]string) error {
			found.Association.Tags = tags
			return s.tables.associations.Put(tx, found)
		}), err
	case len(part) == 2 && part[0] == "vpclinks":
		l, err := s.link(tx, p, part[1])
		return newTagged(l.Link.Tags, func(tags map[string]string) error {
			l.Link.Tags = tags
			return s.tables.links.Put(tx, l)
		}), err
	case len(part) == 2 && part[0] == "clientcertificates":
		c, err := s.certificate(tx, p, part[1])
		return newTagged(c.Certificate.Tags, func(tags map[string]string) error {
			c.Certificate.Tags = tags
			return s.tables.certificates.Put(tx, c)
		}), err
	case len(part) == 2 && part[0] == "usageplans":
		pl, err := s.plan(tx, p, part[1])
		return newTagged(pl.Plan.Tags, func(tags map[string]string) error {
			pl.Plan.Tags = tags
			return s.tables.plans.Put(tx, pl)
		}), err
	}
	return tagged{}, notFound("Invalid ARN specified in the request")
}
