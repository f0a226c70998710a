package userpool

import (
	"context"
	"strings"

	"moat/internal/pure/arn"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// LogDestination is a log group that gets events of a pool.
type LogDestination struct {
	Source string // userNotification or userAuthEvents
	Level  string
	Group  string // name of the log group
	ARN    string // as it was given
}

// SetLogDeliveryConfiguration replaces where events of a pool go, beside where
// AdminListUserAuthEvents reads them.
func (s *Service) SetLogDeliveryConfiguration(ctx context.Context, in *api.SetLogDeliveryConfigurationRequest) (*api.SetLogDeliveryConfigurationResponse, error) {
	var p Pool
	err := s.update(ctx, func(tx *store.Tx) (err error) {
		if p, err = s.poolHere(ctx, tx, in.UserPoolId); err != nil {
			return err
		}
		if p.Logs, err = s.destinations(&p, in.LogConfigurations); err != nil {
			return err
		}
		return s.tables.pools.Put(tx, p)
	})
	if err != nil {
		return nil, err
	}
	return &api.SetLogDeliveryConfigurationResponse{LogDeliveryConfiguration: p.describeLogs()}, nil
}

// GetLogDeliveryConfiguration shows where events of a pool go.
func (s *Service) GetLogDeliveryConfiguration(ctx context.Context, in *api.GetLogDeliveryConfigurationRequest) (*api.GetLogDeliveryConfigurationResponse, error) {
	var p Pool
	err := s.view(ctx, func(tx *store.Tx) (err error) {
		p, err = s.poolHere(ctx, tx, in.UserPoolId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.GetLogDeliveryConfigurationResponse{LogDeliveryConfiguration: p.describeLogs()}, nil
}

func (p *Pool) describeLogs() *api.LogDeliveryConfigurationType {
	out := &api.LogDeliveryConfigurationType{UserPoolId: p.ID, LogConfigurations: []api.LogConfigurationType{}}
	for _, d := range p.Logs {
		out.LogConfigurations = append(out.LogConfigurations, api.LogConfigurationType{
			EventSource: api.EventSourceName(d.Source), LogLevel: api.LogLevel(d.Level), CloudWatchLogsConfiguration: &api.CloudWatchLogsConfigurationType{LogGroupArn: &d.ARN},
		})
	}
	return out
}

// destinations reads what is asked for. A source goes to one place, at its own level, in the
// pool's account and region.
func (s *Service) destinations(p *Pool, asked []api.LogConfigurationType) ([]LogDestination, error) {
	var out []LogDestination
	seen := map[api.EventSourceName]bool{}
	for _, c := range asked {
		if seen[c.EventSource] {
			return nil, refuse(invalidParameter, "Only one log configuration can be given for the event source "+string(c.EventSource)+".")
		}
		seen[c.EventSource] = true
		level := api.LogLevelINFO
		if c.EventSource == api.EventSourceNameuserNotification {
			level = api.LogLevelERROR
		}
		places := 0
		for _, given := range []bool{c.CloudWatchLogsConfiguration != nil, c.FirehoseConfiguration != nil, c.S3Configuration != nil} {
			if given {
				places++
			}
		}
		switch {
		case c.LogLevel != level:
			return nil, refuse(invalidParameter, "The log level of the event source "+string(c.EventSource)+" is "+string(level)+".")
		case places != 1 || c.EventSource == api.EventSourceNameuserNotification && c.CloudWatchLogsConfiguration == nil:
			return nil, refuse(invalidParameter, "The event source "+string(c.EventSource)+" needs one destination that it can have.")
		case c.FirehoseConfiguration != nil:
			return nil, notImplemented("SetLogDeliveryConfiguration", "there is no Firehose whose streams events could go to; log groups take them.")
		case c.S3Configuration != nil:
			return nil, notImplemented("SetLogDeliveryConfiguration", "there is no S3 whose buckets events could go to; log groups take them.")
		}
		text := deref(c.CloudWatchLogsConfiguration.LogGroupArn)
		group, ok := s.logGroup(p, text)
		if !ok {
			return nil, refuse(invalidParameter, "LogGroupArn must be the ARN of a log group of the user pool's account and region.")
		}
		out = append(out, LogDestination{string(c.EventSource), string(level), group, text})
	}
	return out, nil
}

// logGroup is the name of the log group with an ARN; false if the pool cannot write there.
func (s *Service) logGroup(p *Pool, text string) (string, bool) {
	a, err := arn.Parse(text)
	if err != nil || a.Service != "logs" || a.Account != s.account || a.Region != p.Region {
		return "", false
	}
	name, ok := strings.CutPrefix(a.Resource, "log-group:")
	return name, ok && name != "" && len(name) <= 512 && !notInLogName.MatchString(name)
}

// deliveryNeeds is what somebody needs beside the operation's own action who has a pool write
// to a log group (Cognito developer guide, "Exporting logs from Amazon Cognito user pools"):
// he could not write there himself otherwise.
func deliveryNeeds(needs []wire.Need, asked []api.LogConfigurationType) []wire.Need {
	if len(asked) == 0 {
		return needs
	}
	return append(needs, wire.Need{Action: "logs:CreateLogDelivery", Resource: "*"})
}
