package logs

import (
	"moat/internal/pure/policy"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

// resources names what a call acts on, as AWS does in its refusals: the older
// operations on a group end in ":log-stream:", so that a policy for "group:*"
// covers them; tags belong to the group itself.
func (s *Service) resources(c *wire.Call, _ string, in any) ([]string, policy.Context) {
	keys := policy.Context{}
	stream := func(group, name string) []string {
		return []string{groupARN(c.Region, s.account, group) + ":log-stream:" + name}
	}
	either := func(name, identifier *string, streamName string) []string {
		group, err := s.groupOf(c, name, identifier)
		switch {
		case err != nil && identifier != nil && name == nil: // an ARN of elsewhere
			return []string{*identifier}
		case err != nil: // refused later, by its own sentence
			return []string{"*"}
		}
		return stream(group, streamName)
	}
	tagged := func(arn string) []string {
		group, err := s.taggable(c, arn)
		if err != nil {
			return []string{arn}
		}
		return []string{groupARN(c.Region, s.account, group)}
	}
	switch in := in.(type) {
	case *api.CreateLogGroupRequest:
		requestTags(keys, in.Tags)
		return stream(in.LogGroupName, ""), keys
	case *api.DeleteLogGroupRequest:
		return stream(in.LogGroupName, ""), keys
	case *api.CreateLogStreamRequest:
		return stream(in.LogGroupName, in.LogStreamName), keys
	case *api.DeleteLogStreamRequest:
		return stream(in.LogGroupName, in.LogStreamName), keys
	case *api.PutLogEventsRequest:
		return stream(in.LogGroupName, in.LogStreamName), keys
	case *api.GetLogEventsRequest:
		return either(in.LogGroupName, in.LogGroupIdentifier, in.LogStreamName), keys
	case *api.FilterLogEventsRequest:
		return either(in.LogGroupName, in.LogGroupIdentifier, ""), keys
	case *api.DescribeLogStreamsRequest:
		return either(in.LogGroupName, in.LogGroupIdentifier, ""), keys
	case *api.PutRetentionPolicyRequest:
		return stream(in.LogGroupName, ""), keys
	case *api.DeleteRetentionPolicyRequest:
		return stream(in.LogGroupName, ""), keys
	case *api.TagLogGroupRequest:
		requestTags(keys, in.Tags)
		return stream(in.LogGroupName, ""), keys
	case *api.UntagLogGroupRequest:
		keys.Set("aws:TagKeys", in.Tags...)
		return stream(in.LogGroupName, ""), keys
	case *api.ListTagsLogGroupRequest:
		return stream(in.LogGroupName, ""), keys
	case *api.TagResourceRequest:
		requestTags(keys, in.Tags)
		return tagged(in.ResourceArn), keys
	case *api.UntagResourceRequest:
		keys.Set("aws:TagKeys", in.TagKeys...)
		return tagged(in.ResourceArn), keys
	case *api.ListTagsForResourceRequest:
		return tagged(in.ResourceArn), keys
	}
	return stream("", ""), keys // DescribeLogGroups, ListLogGroups
}

func requestTags(keys policy.Context, tags map[string]string) {
	var names []string
	for key, value := range tags {
		names = append(names, key)
		keys.Set("aws:RequestTag/"+key, value)
	}
	if len(names) > 0 {
		keys.Set("aws:TagKeys", names...)
	}
}
