package parameter

import (
	"context"
	"strconv"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/ssmapi"
)

// resources names what a call acts on, and the condition keys that it brings
// (Service Authorization Reference, AWS Systems Manager).
func (s *Service) resources(c *wire.Call, _ string, in any) ([]string, policy.Context) {
	keys := policy.Context{}
	switch in := in.(type) {
	case *api.PutParameterRequest:
		keys.Set("ssm:Overwrite", strconv.FormatBool(wire.Value(in.Overwrite)))
		requestTags(keys, in.Tags)
		return s.named(c, keys, in.Name), keys
	case *api.GetParameterRequest:
		return s.named(c, keys, in.Name), keys
	case *api.GetParameterHistoryRequest:
		return s.named(c, keys, in.Name), keys
	case *api.GetParametersRequest:
		return s.named(c, keys, in.Names...), keys
	case *api.DeleteParameterRequest:
		return s.named(c, keys, in.Name), keys
	case *api.DeleteParametersRequest:
		return s.named(c, keys, in.Names...), keys
	case *api.LabelParameterVersionRequest:
		return s.named(c, keys, in.Name), keys
	case *api.UnlabelParameterVersionRequest:
		return s.named(c, keys, in.Name), keys
	case *api.GetParametersByPathRequest:
		keys.Set("ssm:Recursive", strconv.FormatBool(wire.Value(in.Recursive)))
		return []string{arnOf(c.Region, s.account, strings.TrimSuffix(in.Path, "/"))}, keys
	case *api.AddTagsToResourceRequest:
		requestTags(keys, in.Tags)
		return s.named(c, keys, in.ResourceId), keys
	case *api.RemoveTagsFromResourceRequest:
		keys.Set("aws:TagKeys", in.TagKeys...)
		return s.named(c, keys, in.ResourceId), keys
	case *api.ListTagsForResourceRequest:
		return s.named(c, keys, in.ResourceId), keys
	case *api.DescribeParametersRequest:
		return []string{"arn:aws:ssm:" + c.Region + ":" + s.account + ":*"}, keys
	}
	return []string{"*"}, keys
}

func requestTags(keys policy.Context, tags []api.Tag) {
	names := make([]string, len(tags))
	for i, t := range tags {
		names[i] = t.Key
		keys.Set("aws:RequestTag/"+t.Key, t.Value)
	}
	if len(names) > 0 {
		keys.Set("aws:TagKeys", names...)
	}
}

// named returns the ARNs of parameters. When there is one, its tags become
// condition keys; several may have contradicting tags, and bring none.
func (s *Service) named(c *wire.Call, keys policy.Context, names ...string) []string {
	arns := make([]string, len(names))
	for i, name := range names {
		r, err := s.parseReference(c, name)
		switch {
		case r.foreign:
			arns[i] = name
		case err != nil: // refused later, by its own sentence
			arns[i] = arnOf(c.Region, s.account, name)
		default:
			arns[i] = arnOf(c.Region, s.account, r.name)
			if len(names) == 1 {
				s.tagKeys(c, keys, r.name)
			}
		}
	}
	return arns
}

func (s *Service) tagKeys(c *wire.Call, keys policy.Context, name string) {
	var tags map[string]string
	err := s.db.View(context.Background(), func(tx *store.Tx) error {
		p, err := s.parameters.Get(tx, s.account, c.Region, name)
		tags = p.Tags
		return err
	})
	if err != nil { // absent, or the call itself will fail on the same database
		return
	}
	for key, value := range tags {
		keys.Set("aws:ResourceTag/"+key, value)
		keys.Set("ssm:resourceTag/"+key, value)
	}
}
