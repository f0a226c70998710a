package function

import (
	"context"
	"errors"
	"maps"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// maxTags is how many tags a function may have.
const maxTags = 50

// tagged finds the function of an ARN; only functions have tags here.
func (s *Service) tagged(ctx context.Context, operation, resource string) (reference, error) {
	if !strings.Contains(resource, ":function:") {
		return reference{}, wire.NotImplementedBecause("lambda", operation, "only functions have tags")
	}
	ref, err := s.parseName(s.call(ctx), resource, nil)
	if err == nil && ref.qualifier != "" {
		err = invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
	}
	return ref, err
}

// changeTags changes the tags of a function.
func (s *Service) changeTags(ctx context.Context, ref reference, change func(map[string]string)) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		f, err := s.tables.functions.Get(tx, ref.account, ref.region, ref.name)
		if errors.Is(err, store.ErrNotFound) {
			return noFunction(ref.arn())
		}
		if err != nil {
			return err
		}
		tags := maps.Clone(f.Tags)
		if tags == nil {
			tags = map[string]string{}
		}
		change(tags)
		if len(tags) > maxTags {
			return invalid("Number of tags exceeds resource tag limit.")
		}
		f.Tags = tags
		return s.tables.functions.Put(tx, f)
	})
}

// TagResource adds tags to a function.
func (s *Service) TagResource(ctx context.Context, in *lambdaapi.TagResourceRequest) (*lambdaapi.TagResourceOutput, error) {
	ref, err := s.tagged(ctx, "TagResource", in.Resource)
	if err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, invalid("An error occurred and the request cannot be processed.")
	}
	if err := s.changeTags(ctx, ref, func(tags map[string]string) { maps.Copy(tags, in.Tags) }); err != nil {
		return nil, err
	}
	return &lambdaapi.TagResourceOutput{}, nil
}

// UntagResource removes tags from a function.
func (s *Service) UntagResource(ctx context.Context, in *lambdaapi.UntagResourceRequest) (*lambdaapi.UntagResourceOutput, error) {
	ref, err := s.tagged(ctx, "UntagResource", in.Resource)
	if err != nil {
		return nil, err
	}
	err = s.changeTags(ctx, ref, func(tags map[string]string) {
		for _, key := range in.TagKeys {
			delete(tags, key)
		}
	})
	if err != nil {
		return nil, err
	}
	return &lambdaapi.UntagResourceOutput{}, nil
}

// ListTags lists the tags of a function.
func (s *Service) ListTags(ctx context.Context, in *lambdaapi.ListTagsRequest) (*lambdaapi.ListTagsResponse, error) {
	ref, err := s.tagged(ctx, "ListTags", in.Resource)
	if err != nil {
		return nil, err
	}
	_, f, _, err := s.lookup(ctx, ref.arn(), nil)
	if err != nil {
		return nil, err
	}
	if f.Tags == nil {
		f.Tags = map[string]string{}
	}
	return &lambdaapi.ListTagsResponse{Tags: f.Tags}, nil
}
