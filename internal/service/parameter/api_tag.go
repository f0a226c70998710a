package parameter

import (
	"context"
	"maps"
	"slices"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/ssmapi"
)

// AddTagsToResource adds tags to a parameter, replacing those with the same key.
func (s *Service) AddTagsToResource(ctx context.Context, in *api.AddTagsToResourceRequest) (*api.AddTagsToResourceResult, error) {
	added, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	err = s.retag(ctx, in.ResourceType, in.ResourceId, func(tags map[string]string) error {
		maps.Copy(tags, added)
		return limitTags(tags)
	})
	if err != nil {
		return nil, err
	}
	return &api.AddTagsToResourceResult{}, nil
}

// RemoveTagsFromResource removes tags; absent ones are no error.
func (s *Service) RemoveTagsFromResource(ctx context.Context, in *api.RemoveTagsFromResourceRequest) (*api.RemoveTagsFromResourceResult, error) {
	err := s.retag(ctx, in.ResourceType, in.ResourceId, func(tags map[string]string) error {
		for _, key := range in.TagKeys {
			delete(tags, key)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.RemoveTagsFromResourceResult{}, nil
}

// ListTagsForResource lists a parameter's tags in the order of their keys.
func (s *Service) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceRequest) (*api.ListTagsForResourceResult, error) {
	out := &api.ListTagsForResourceResult{TagList: []api.Tag{}}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		p, err := s.tagged(tx, wire.CallFrom(ctx), in.ResourceType, in.ResourceId)
		for _, key := range slices.Sorted(maps.Keys(p.Tags)) {
			out.TagList = append(out.TagList, api.Tag{Key: key, Value: p.Tags[key]})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) retag(ctx context.Context, kind api.ResourceTypeForTagging, id string, change func(map[string]string) error) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := s.tagged(tx, wire.CallFrom(ctx), kind, id)
		if err != nil {
			return err
		}
		if p.Tags == nil {
			p.Tags = map[string]string{}
		}
		if err := change(p.Tags); err != nil {
			return err
		}
		return s.parameters.Put(tx, p)
	})
}

// tagged finds the resource of a tag operation; only parameters are there.
func (s *Service) tagged(tx *store.Tx, c *wire.Call, kind api.ResourceTypeForTagging, id string) (Parameter, error) {
	if kind != api.ResourceTypeForTaggingParameter {
		return Parameter{}, &api.InvalidResourceType{Message: "The resource type is not valid. Only parameters can be tagged here."}
	}
	refused := &api.InvalidResourceId{Message: "The resource ID is not valid. Verify that you entered the correct ID and try again."}
	r, err := s.parseReference(c, id)
	if err != nil {
		return Parameter{}, refused
	}
	p, err := s.whole(tx, c.Region, r)
	if missing(err) {
		return p, refused
	}
	return p, err
}
