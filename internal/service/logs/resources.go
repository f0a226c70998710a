package logs

import (
	"context"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

// resources names what a call acts on, as AWS does in its refusals: the older
// operations on a group end in ":log-stream:", so that a policy for "group:*"
// covers them; tags belong to the group itself.
func (s *Service) resources(c *wire.Call, _ string, in any) []wire.Need {
	keys := policy.Context{}
	stream := func(group, name string) []wire.Need {
		s.tagKeys(c, keys, group)
		return wire.Needs(keys, groupARN(c.Region, s.account, group)+":log-stream:"+name)
	}
	either := func(name, identifier *string, streamName string) []wire.Need {
		group, err := s.groupOf(c, name, identifier)
		switch {
		case err != nil && identifier != nil && name == nil: // an ARN of elsewhere
			return wire.Needs(keys, *identifier)
		case err != nil: // refused later, by its own sentence
			return wire.Needs(keys, "*")
		}
		return stream(group, streamName)
	}
	tagged := func(arn string) []wire.Need {
		group, err := s.taggable(c, arn)
		if err != nil {
			return wire.Needs(keys, arn)
		}
		s.tagKeys(c, keys, group)
		return wire.Needs(keys, groupARN(c.Region, s.account, group))
	}
	switch in := in.(type) {
	case *api.CreateLogGroupRequest:
		wire.RequestTags(keys, in.Tags)
		needs := stream(in.LogGroupName, "")
		if len(in.Tags) > 0 {
			needs = append(needs, wire.Need{Action: "logs:TagResource", Resource: groupARN(c.Region, s.account, in.LogGroupName), Keys: keys})
		}
		return needs
	case *api.DeleteLogGroupRequest:
		return stream(in.LogGroupName, "")
	case *api.CreateLogStreamRequest:
		return stream(in.LogGroupName, in.LogStreamName)
	case *api.DeleteLogStreamRequest:
		return stream(in.LogGroupName, in.LogStreamName)
	case *api.PutLogEventsRequest:
		return stream(in.LogGroupName, in.LogStreamName)
	case *api.GetLogEventsRequest:
		return either(in.LogGroupName, in.LogGroupIdentifier, in.LogStreamName)
	case *api.FilterLogEventsRequest:
		return either(in.LogGroupName, in.LogGroupIdentifier, "")
	case *api.DescribeLogStreamsRequest:
		return either(in.LogGroupName, in.LogGroupIdentifier, "")
	case *api.PutRetentionPolicyRequest:
		return stream(in.LogGroupName, "")
	case *api.DeleteRetentionPolicyRequest:
		return stream(in.LogGroupName, "")
	case *api.TagLogGroupRequest:
		wire.RequestTags(keys, in.Tags)
		return stream(in.LogGroupName, "")
	case *api.UntagLogGroupRequest:
		wire.TagKeys(keys, in.Tags...)
		return stream(in.LogGroupName, "")
	case *api.ListTagsLogGroupRequest:
		return stream(in.LogGroupName, "")
	case *api.TagResourceRequest:
		wire.RequestTags(keys, in.Tags)
		return tagged(in.ResourceArn)
	case *api.UntagResourceRequest:
		wire.TagKeys(keys, in.TagKeys...)
		return tagged(in.ResourceArn)
	case *api.ListTagsForResourceRequest:
		return tagged(in.ResourceArn)
	}
	return stream("", "") // DescribeLogGroups, ListLogGroups
}

// tagKeys adds the tags of a group; one that does not exist has none.
func (s *Service) tagKeys(c *wire.Call, keys policy.Context, group string) {
	if group == "" {
		return
	}
	_ = s.db.View(context.Background(), func(tx *store.Tx) error { // or the call itself will fail on the same database
		g, err := s.groups.Get(tx, s.account, c.Region, group)
		wire.ResourceTags(keys, g.Tags)
		return err
	})
}
