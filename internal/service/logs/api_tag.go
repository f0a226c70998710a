package logs

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

const maxTags = 50

func checkTags(tags map[string]string) error {
	for key := range tags {
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return invalid("Tag keys can't start with aws: (%s).", key)
		}
	}
	if len(tags) > maxTags {
		return invalid("A log group can have at most %d tags.", maxTags)
	}
	return nil
}

// taggable returns the group of an ARN.
func (s *Service) taggable(c *wire.Call, arn string) (string, error) {
	if !strings.HasPrefix(arn, "arn:") {
		return "", invalid("The specified resource ARN is not valid: %s", arn)
	}
	name, err := s.named(c, arn)
	if err != nil || strings.Contains(name, ":") {
		return "", &api.ResourceNotFoundException{Message: "The specified resource does not exist."}
	}
	return name, nil
}

func (s *Service) tag(ctx context.Context, name string, tags map[string]string) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	return s.changeGroup(ctx, name, func(g *Group) error {
		all := maps.Clone(g.Tags)
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, tags)
		if len(all) > maxTags {
			return &api.TooManyTagsException{Message: fmt.Sprintf("A resource can have at most %d tags.", maxTags)}
		}
		g.Tags = all
		return nil
	})
}

func (s *Service) untag(ctx context.Context, name string, keys []string) error {
	return s.changeGroup(ctx, name, func(g *Group) error {
		for _, key := range keys {
			delete(g.Tags, key)
		}
		return nil
	})
}

func (s *Service) tags(ctx context.Context, name string) (map[string]string, error) {
	tags := map[string]string{}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		g, err := s.group(tx, wire.CallFrom(ctx), name)
		maps.Copy(tags, g.Tags)
		return err
	})
	return tags, err
}

// TagResource adds tags to the group of an ARN, replacing those with the same key.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceRequest) (*api.TagResourceOutput, error) {
	name, err := s.taggable(wire.CallFrom(ctx), in.ResourceArn)
	if err == nil {
		err = s.tag(ctx, name, in.Tags)
	}
	if err != nil {
		return nil, err
	}
	return &api.TagResourceOutput{}, nil
}

// UntagResource removes tags from the group of an ARN; absent ones are no error.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceRequest) (*api.UntagResourceOutput, error) {
	name, err := s.taggable(wire.CallFrom(ctx), in.ResourceArn)
	if err == nil {
		err = s.untag(ctx, name, in.TagKeys)
	}
	if err != nil {
		return nil, err
	}
	return &api.UntagResourceOutput{}, nil
}

// ListTagsForResource lists the tags of the group of an ARN.
func (s *Service) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceRequest) (*api.ListTagsForResourceResponse, error) {
	name, err := s.taggable(wire.CallFrom(ctx), in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := s.tags(ctx, name)
	if err != nil {
		return nil, err
	}
	return &api.ListTagsForResourceResponse{Tags: tags}, nil
}

// TagLogGroup adds tags to a group; AWS has replaced it by TagResource.
func (s *Service) TagLogGroup(ctx context.Context, in *api.TagLogGroupRequest) (*api.TagLogGroupOutput, error) {
	err := s.tag(ctx, in.LogGroupName, in.Tags)
	if many, ok := err.(*api.TooManyTagsException); ok { // which AWS does not list here
		err = invalid("%s", many.Message)
	}
	if err != nil {
		return nil, err
	}
	return &api.TagLogGroupOutput{}, nil
}

// UntagLogGroup removes tags from a group; AWS has replaced it by UntagResource.
func (s *Service) UntagLogGroup(ctx context.Context, in *api.UntagLogGroupRequest) (*api.UntagLogGroupOutput, error) {
	if err := s.untag(ctx, in.LogGroupName, in.Tags); err != nil {
		return nil, err
	}
	return &api.UntagLogGroupOutput{}, nil
}

// ListTagsLogGroup lists a group's tags; AWS has replaced it by ListTagsForResource.
func (s *Service) ListTagsLogGroup(ctx context.Context, in *api.ListTagsLogGroupRequest) (*api.ListTagsLogGroupResponse, error) {
	tags, err := s.tags(ctx, in.LogGroupName)
	if err != nil {
		return nil, err
	}
	return &api.ListTagsLogGroupResponse{Tags: tags}, nil
}
