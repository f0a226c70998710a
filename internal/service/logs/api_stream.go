package logs

import (
	"context"
	"errors"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

// CreateLogStream creates an empty stream in a group.
func (s *Service) CreateLogStream(ctx context.Context, in *api.CreateLogStreamRequest) (*api.CreateLogStreamOutput, error) {
	if len(in.LogStreamName) > 512 {
		return nil, invalid("Invalid LogGroup or LogStream, both must have length less than or equal to 512.")
	}
	if in.LogStreamName == "" || strings.ContainsAny(in.LogStreamName, ":*") {
		return nil, invalid("1 validation error detected: Value '%s' at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*", in.LogStreamName)
	}
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		g, err := s.group(tx, wire.CallFrom(ctx), in.LogGroupName)
		if err != nil {
			return err
		}
		return s.streams.Insert(tx, s.newStream(&g, in.LogStreamName))
	})
	if errors.Is(err, store.ErrExists) {
		return nil, &api.ResourceAlreadyExistsException{Message: "The specified log stream already exists"}
	}
	if err != nil {
		return nil, err
	}
	return &api.CreateLogStreamOutput{}, nil
}

func (s *Service) newStream(g *Group, name string) Stream {
	return Stream{Account: g.Account, Region: g.Region, Group: g.Name, Name: name, Created: s.now().UnixMilli(), Chunked: true}
}

// DeleteLogStream deletes a stream with its events.
func (s *Service) DeleteLogStream(ctx context.Context, in *api.DeleteLogStreamRequest) (*api.DeleteLogStreamOutput, error) {
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		g, err := s.group(tx, wire.CallFrom(ctx), in.LogGroupName)
		if err != nil {
			return err
		}
		err = s.streams.Delete(tx, g.Account, g.Region, g.Name, in.LogStreamName)
		if errors.Is(err, store.ErrNotFound) {
			return notFound("stream")
		}
		if err != nil {
			return err
		}
		return s.deleteEvents(tx, g.Account, g.Region, g.Name, in.LogStreamName)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteLogStreamOutput{}, nil
}

// DescribeLogStreams lists a group's streams by name or by the time of their last
// event.
func (s *Service) DescribeLogStreams(ctx context.Context, in *api.DescribeLogStreamsRequest) (*api.DescribeLogStreamsResponse, error) {
	c := wire.CallFrom(ctx)
	name, err := s.groupOf(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	byTime := in.OrderBy == api.OrderByLastEventTime
	if byTime && in.LogStreamNamePrefix != nil {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	question, err := s.question(c, "DescribeLogStreams", name, in.OrderBy, in.Descending, in.LogStreamNamePrefix)
	if err != nil {
		return nil, err
	}
	after, err := s.openToken(in.NextToken, question)
	if err != nil {
		return nil, err
	}
	limit := limitOf(in.Limit, 50)
	q := store.Query{Begins: wire.Value(in.LogStreamNamePrefix), After: after, Limit: limit + 1, Reverse: wire.Value(in.Descending)}
	out := &api.DescribeLogStreamsResponse{LogStreams: []api.LogStream{}}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		g, err := s.group(tx, c, name)
		if err != nil {
			return err
		}
		key := []string{g.Account, g.Region, g.Name}
		if byTime {
			q.Index, q.Values = "last", key
		} else {
			q.Prefix = key
		}
		found, err := s.streams.List(tx, q)
		if err != nil {
			return err
		}
		if len(found) > limit {
			found = found[:limit]
			last := []string{g.Account, g.Region, g.Name, found[limit-1].Name}
			if byTime {
				last = append([]string{stamp(found[limit-1].Last)}, last...)
			}
			if out.NextToken, err = s.sealToken(question, last); err != nil {
				return err
			}
		}
		for i := range found {
			out.LogStreams = append(out.LogStreams, describeStream(&found[i]))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func describeStream(s *Stream) api.LogStream {
	d := api.LogStream{Arn: wire.String(s.arn()), CreationTime: &s.Created, LogStreamName: &s.Name, StoredBytes: wire.Int64(0)}
	if s.Next > 0 {
		d.FirstEventTimestamp, d.LastEventTimestamp, d.LastIngestionTime = &s.First, &s.Last, &s.Ingested
	}
	return d
}
