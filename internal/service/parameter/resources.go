package parameter

import (
	"context"
	"maps"
	"strconv"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/ssmapi"
)

// resources names what a call acts on, and the condition keys that it brings
// (Service Authorization Reference, AWS Systems Manager).
func (s *Service) resources(c *wire.Call, _ string, in any) []wire.Need {
	keys := policy.Context{}
	switch in := in.(type) {
	case *api.PutParameterRequest:
		return s.put(c, in)
	case *api.GetParameterRequest:
		return s.named(c, keys, in.Name)
	case *api.GetParameterHistoryRequest:
		return s.named(c, keys, in.Name)
	case *api.GetParametersRequest:
		return s.named(c, keys, in.Names...)
	case *api.DeleteParameterRequest:
		return s.named(c, keys, in.Name)
	case *api.DeleteParametersRequest:
		return s.named(c, keys, in.Names...)
	case *api.LabelParameterVersionRequest:
		return s.named(c, keys, in.Name)
	case *api.UnlabelParameterVersionRequest:
		return s.named(c, keys, in.Name)
	case *api.GetParametersByPathRequest:
		keys.Set("ssm:Recursive", strconv.FormatBool(wire.Value(in.Recursive)))
		return wire.Needs(keys, arnOf(c.Region, s.account, strings.TrimSuffix(in.Path, "/")))
	case *api.AddTagsToResourceRequest:
		requestTags(keys, in.Tags)
		return s.named(c, keys, in.ResourceId)
	case *api.RemoveTagsFromResourceRequest:
		wire.TagKeys(keys, in.TagKeys...)
		return s.named(c, keys, in.ResourceId)
	case *api.ListTagsForResourceRequest:
		return s.named(c, keys, in.ResourceId)
	case *api.DescribeParametersRequest:
		return wire.Needs(keys, "arn:aws:ssm:"+c.Region+":"+s.account+":*")
	}
	return nil
}

// put is what writing a parameter needs: tags ask for a permission of their own.
func (s *Service) put(c *wire.Call, in *api.PutParameterRequest) []wire.Need {
	keys := policy.Context{}
	requestTags(keys, in.Tags)
	tagging := maps.Clone(keys)
	keys.Set("ssm:Overwrite", strconv.FormatBool(wire.Value(in.Overwrite)))
	keys.Set("ssm:Policies", strconv.FormatBool(wire.Value(in.Policies) != ""))
	needs := s.named(c, keys, in.Name)
	if len(in.Tags) > 0 {
		needs = append(needs, wire.Need{Action: "ssm:AddTagsToResource", Resource: needs[0].Resource, Keys: tagging})
	}
	return needs
}

// requestTags adds the keys of tags in a request. A key that comes twice is refused later.
func requestTags(keys policy.Context, tags []api.Tag) {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	wire.RequestTags(keys, m)
}

// named are the needs to act on parameters, each with its own tags.
func (s *Service) named(c *wire.Call, keys policy.Context, names ...string) []wire.Need {
	needs := make([]wire.Need, len(names))
	for i, name := range names {
		needs[i].Keys = keys
		if len(names) > 1 {
			needs[i].Keys = maps.Clone(keys)
		}
		r, err := s.parseReference(c, name)
		switch {
		case r.foreign:
			needs[i].Resource = name
		case err != nil: // refused later, by its own sentence
			needs[i].Resource = arnOf(c.Region, s.account, name)
		default:
			needs[i].Resource = arnOf(c.Region, s.account, r.name)
			s.tagKeys(c, needs[i].Keys, r.name)
		}
	}
	return needs
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
	wire.ResourceTags(keys, tags)
	for key, value := range tags {
		keys.Add("ssm:resourceTag/"+key, value)
	}
}
