package stack

import (
	"context"
	"strings"

	"moat/internal/wire"
	"moat/internal/wire/logsapi"
	"moat/internal/wire/ssmapi"
)

func parameterHandlers(c ssmapi.Service) map[string]Handler {
	name := func(r *Request) string {
		if n := r.text("Name"); n != "" {
			return n
		}
		return "CFN-" + r.Name
	}
	put := func(ctx context.Context, r *Request, id string, overwrite bool) (State, error) {
		in := &ssmapi.PutParameterRequest{}
		if err := decode(r.Properties, in, map[string]string{"Tags": skip}); err != nil {
			return State{}, err
		}
		in.Name = id
		if overwrite {
			in.Overwrite = wire.Bool(true) // tags cannot be given with it
		} else {
			for _, k := range sortedKeys(r.tags("Tags")) {
				in.Tags = append(in.Tags, ssmapi.Tag{Key: k, Value: r.tags("Tags")[k]})
			}
		}
		if _, err := c.PutParameter(ctx, in); err != nil {
			return State{}, err
		}
		arn := "arn:aws:ssm:" + r.Stack.Region + ":" + r.Stack.Account + ":parameter/" + strings.TrimPrefix(id, "/")
		return State{PhysicalID: id, Attributes: map[string]string{"Type": r.text("Type"), "Value": r.text("Value"), "Arn": arn}}, nil
	}
	return map[string]Handler{"AWS::SSM::Parameter": {
		Shapes: []Shape{{Operation: "ssm:PutParameter", Rename: map[string]string{"Tags": skip}}},
		Create: func(ctx context.Context, r *Request) (State, error) { return put(ctx, r, name(r), false) },
		Update: func(ctx context.Context, r *Request) (State, error) {
			st := State{PhysicalID: r.PhysicalID, Attributes: r.Attributes}
			if configurationChanged(r, map[string]string{"Tags": skip}) { // tags alone make no new version
				var err error
				if st, err = put(ctx, r, r.PhysicalID, true); err != nil {
					return st, err
				}
			}
			if !r.changed("Tags") {
				return st, nil
			}
			return st, retagParameter(ctx, c, r)
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteParameter(ctx, &ssmapi.DeleteParameterRequest{Name: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			_, err := c.GetParameter(ctx, &ssmapi.GetParameterRequest{Name: name(r)})
			return State{PhysicalID: name(r)}, err == nil, gone(err)
		},
		Claims: func(r *Request) bool { return r.text("Name") != "" },
	}}
}

func logHandlers(c logsapi.Service) map[string]Handler {
	name := func(r *Request) string { return r.named("LogGroupName", 512) }
	retention := func(ctx context.Context, r *Request, group string) error {
		var days int32
		if v := r.Properties.Get("RetentionInDays"); v != nil {
			in := struct{ RetentionInDays int32 }{}
			if err := decode(pick(r, "RetentionInDays"), &in, nil); err != nil {
				return err
			}
			days = in.RetentionInDays
		}
		if days > 0 {
			_, err := c.PutRetentionPolicy(ctx, &logsapi.PutRetentionPolicyRequest{LogGroupName: group, RetentionInDays: days})
			return err
		}
		if r.Previous.Has("RetentionInDays") {
			_, err := c.DeleteRetentionPolicy(ctx, &logsapi.DeleteRetentionPolicyRequest{LogGroupName: group})
			return err
		}
		return nil
	}
	state := func(r *Request, group string) State {
		return State{PhysicalID: group, Attributes: map[string]string{"Arn": "arn:aws:logs:" + r.Stack.Region + ":" + r.Stack.Account + ":log-group:" + group + ":*"}}
	}
	return map[string]Handler{"AWS::Logs::LogGroup": {
		Shapes: []Shape{{Operation: "logs:CreateLogGroup", Rename: map[string]string{
			"RetentionInDays": skip, "Tags": skip, "DataProtectionPolicy": skip, "FieldIndexPolicies": skip, "ResourcePolicyDocument": skip, "BearerTokenAuthenticationEnabled": skip,
		}}},
		Refuses: unbuilt("DataProtectionPolicy", "FieldIndexPolicies", "ResourcePolicyDocument", "BearerTokenAuthenticationEnabled"),
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &logsapi.CreateLogGroupRequest{LogGroupName: name(r), LogGroupClass: logsapi.LogGroupClass(r.text("LogGroupClass")), Tags: r.tags("Tags")}
			if k := r.text("KmsKeyId"); k != "" {
				in.KmsKeyId = &k
			}
			if _, err := c.CreateLogGroup(ctx, in); err != nil {
				return State{}, err
			}
			return state(r, in.LogGroupName), retention(ctx, r, in.LogGroupName)
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			if err := retention(ctx, r, r.PhysicalID); err != nil || !r.changed("Tags") {
				return state(r, r.PhysicalID), err
			}
			return state(r, r.PhysicalID), retagLogGroup(ctx, c, r)
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteLogGroup(ctx, &logsapi.DeleteLogGroupRequest{LogGroupName: r.PhysicalID})
			return err
		},
		Claims: func(r *Request) bool { return r.text("LogGroupName") != "" },
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			group := name(r)
			out, err := c.DescribeLogGroups(ctx, &logsapi.DescribeLogGroupsRequest{LogGroupNamePrefix: &group})
			if err != nil {
				return State{}, false, err
			}
			for _, g := range out.LogGroups {
				if wire.Value(g.LogGroupName) == group {
					return state(r, group), true, nil
				}
			}
			return State{}, false, nil
		},
	}}
}
