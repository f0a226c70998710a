package restapi

import (
	"context"
	"errors"
	"maps"
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
	if r.CloudWatchRoleARN != "" {
		out.CloudwatchRoleArn = &r.CloudWatchRoleARN
	}
	return out
}

// UpdateAccount patches the account's settings.
func (s *Service) UpdateAccount(ctx context.Context, in *apigatewayapi.UpdateAccountRequest) (*apigatewayapi.Account, error) {
	var out *apigatewayapi.Account
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		rec, err := s.settings(tx, s.place(ctx))
		if err != nil {
			return err
		}
		out = rec.account()
		if err := (patchRules{"/cloudwatchRoleArn": {replace, remove}}).apply(out, in.PatchOperations); err != nil {
			return err
		}
		rec.CloudWatchRoleARN = wire.Value(out.CloudwatchRoleArn)
		return s.tables.settings.Put(tx, rec)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
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
	out := &apigatewayapi.Tags{Tags: map[string]string{}}
	return out, s.editTags(ctx, in.ResourceArn, func(tags map[string]string) {
		clear(out.Tags)
		maps.Copy(out.Tags, tags)
	})
}

// editTags finds what an ARN names and changes its tags.
func (s *Service) editTags(ctx context.Context, resource string, fn func(tags map[string]string)) error {
	a, err := arn.Parse(resource)
	if err != nil || a.Service != "apigateway" {
		return badRequest("Invalid ARN specified in the request")
	}
	p := s.place(ctx)
	part := strings.Split(strings.TrimPrefix(a.Resource, "/"), "/")
	return s.db.Update(ctx, func(tx *store.Tx) error {
		switch {
		case len(part) == 2 && part[0] == "restapis":
			d, err := s.definition(tx, p, part[1])
			if err != nil {
				return err
			}
			d.API.Tags = changedTags(d.API.Tags, fn)
			return s.tables.definitions.Put(tx, d)
		case len(part) == 4 && part[0] == "restapis" && part[2] == "stages":
			st, err := s.stage(tx, p, part[1], part[3])
			if err != nil {
				return err
			}
			st.Stage.Tags = changedTags(st.Stage.Tags, fn)
			return s.tables.stages.Put(tx, st)
		case len(part) == 2 && part[0] == "apikeys":
			k, err := s.key(tx, p, part[1])
			if err != nil {
				return err
			}
			k.Key.Tags = changedTags(k.Key.Tags, fn)
			return s.tables.keys.Put(tx, k)
		case len(part) == 2 && part[0] == "usageplans":
			pl, err := s.plan(tx, p, part[1])
			if err != nil {
				return err
			}
			pl.Plan.Tags = changedTags(pl.Plan.Tags, fn)
			return s.tables.plans.Put(tx, pl)
		}
		return notFound("Invalid ARN specified in the request")
	})
}

func changedTags(old map[string]string, fn func(map[string]string)) map[string]string {
	tags := maps.Clone(old)
	if tags == nil {
		tags = map[string]string{}
	}
	fn(tags)
	return tags
}
