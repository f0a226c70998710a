package stack

import (
	"context"
	"maps"
	"slices"

	"moat/internal/service/stack/template"
	"moat/internal/wire/apigatewayapi"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/lambdaapi"
	"moat/internal/wire/logsapi"
	"moat/internal/wire/ssmapi"
)

// isTags reports whether a property holds the tags of its resource.
func isTags(property string) bool {
	return property == "Tags" || property == "UserPoolTags" || property == "IdentityPoolTags"
}

// tagsOf is the property that holds the tags of a resource type, "" if it takes none.
func (s *Service) tagsOf(resource string) string {
	for _, name := range []string{"Tags", "UserPoolTags", "IdentityPoolTags"} {
		if s.schema.HasProperty(resource, name) {
			return name
		}
	}
	return ""
}

// retagged reports whether a resource whose properties stay as they are has other tags, since
// those of its stack have changed: CloudFormation hands them on to all resources that take tags
// (AWS::CloudFormation::Stack, "Tags").
func (o *operation) retagged(r *Request) bool {
	name := o.s.tagsOf(r.Type)
	return name != "" && r.changed(name)
}

// before is the request that led to what is there now.
func (r *Request) before() *Request {
	was := *r
	was.Properties, was.Tags = r.Previous, r.PreviousTags
	if was.Properties == nil {
		was.Properties = template.NewMap()
	}
	return &was
}

// drops are the tags that an update takes away.
func (r *Request) drops(property string) []string {
	now := r.tags(property)
	var out []string
	for _, k := range sortedKeys(r.before().tags(property)) {
		if _, kept := now[k]; !kept {
			out = append(out, k)
		}
	}
	return out
}

func retagFunction(ctx context.Context, c lambdaapi.Service, r *Request) error {
	if dropped := r.drops("Tags"); len(dropped) > 0 {
		if _, err := c.UntagResource(ctx, &lambdaapi.UntagResourceRequest{Resource: r.Attributes["Arn"], TagKeys: dropped}); err != nil {
			return err
		}
	}
	now := r.tags("Tags")
	if len(now) == 0 {
		return nil
	}
	_, err := c.TagResource(ctx, &lambdaapi.TagResourceRequest{Resource: r.Attributes["Arn"], Tags: now})
	return err
}

func retagRole(ctx context.Context, c iamapi.Service, r *Request) error {
	if dropped := r.drops("Tags"); len(dropped) > 0 {
		if _, err := c.UntagRole(ctx, &iamapi.UntagRoleRequest{RoleName: r.PhysicalID, TagKeys: dropped}); err != nil {
			return err
		}
	}
	if len(r.tags("Tags")) == 0 {
		return nil
	}
	_, err := c.TagRole(ctx, &iamapi.TagRoleRequest{RoleName: r.PhysicalID, Tags: iamTags(r)})
	return err
}

func retagUser(ctx context.Context, c iamapi.Service, r *Request) error {
	if dropped := r.drops("Tags"); len(dropped) > 0 {
		if _, err := c.UntagUser(ctx, &iamapi.UntagUserRequest{UserName: r.PhysicalID, TagKeys: dropped}); err != nil {
			return err
		}
	}
	if len(r.tags("Tags")) == 0 {
		return nil
	}
	_, err := c.TagUser(ctx, &iamapi.TagUserRequest{UserName: r.PhysicalID, Tags: iamTags(r)})
	return err
}

func retagParameter(ctx context.Context, c ssmapi.Service, r *Request) error {
	if dropped := r.drops("Tags"); len(dropped) > 0 {
		in := &ssmapi.RemoveTagsFromResourceRequest{ResourceType: "Parameter", ResourceId: r.PhysicalID, TagKeys: dropped}
		if _, err := c.RemoveTagsFromResource(ctx, in); err != nil {
			return err
		}
	}
	in := &ssmapi.AddTagsToResourceRequest{ResourceType: "Parameter", ResourceId: r.PhysicalID}
	now := r.tags("Tags")
	for _, k := range sortedKeys(now) {
		in.Tags = append(in.Tags, ssmapi.Tag{Key: k, Value: now[k]})
	}
	if len(in.Tags) == 0 {
		return nil
	}
	_, err := c.AddTagsToResource(ctx, in)
	return err
}

func retagLogGroup(ctx context.Context, c logsapi.Service, r *Request) error {
	arn := "arn:aws:logs:" + r.Stack.Region + ":" + r.Stack.Account + ":log-group:" + r.PhysicalID
	if dropped := r.drops("Tags"); len(dropped) > 0 {
		if _, err := c.UntagResource(ctx, &logsapi.UntagResourceRequest{ResourceArn: arn, TagKeys: dropped}); err != nil {
			return err
		}
	}
	now := r.tags("Tags")
	if len(now) == 0 {
		return nil
	}
	_, err := c.TagResource(ctx, &logsapi.TagResourceRequest{ResourceArn: arn, Tags: now})
	return err
}

// retag brings the tags of something of API Gateway's to what the template and its stack say now.
func retag(ctx context.Context, c apigatewayapi.Service, r *Request, path string) error {
	return retagNamed(ctx, c, r, "arn:aws:apigateway:"+r.Stack.Region+"::"+path)
}

// retagNamed is retag for what has an ARN of its own kind.
func retagNamed(ctx context.Context, c apigatewayapi.Service, r *Request, arn string) error {
	if !r.changed("Tags") {
		return nil
	}
	have, err := c.GetTags(ctx, &apigatewayapi.GetTagsRequest{ResourceArn: arn})
	if err != nil {
		return err
	}
	want := r.marked("Tags")
	dropped := slices.DeleteFunc(sortedKeys(have.Tags), func(k string) bool { _, kept := want[k]; return kept })
	if len(dropped) > 0 {
		if _, err := c.UntagResource(ctx, &apigatewayapi.UntagResourceRequest{ResourceArn: arn, TagKeys: dropped}); err != nil {
			return err
		}
	}
	if maps.Equal(have.Tags, want) {
		return nil
	}
	_, err = c.TagResource(ctx, &apigatewayapi.TagResourceRequest{ResourceArn: arn, Tags: want})
	return err
}
