package logs_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"moat/internal/service/logs"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

const (
	account = "111111111111"
	region  = "eu-west-1"
)

type scenario struct {
	t   *testing.T
	ctx context.Context
	s   *logs.Service
	now time.Time
}

func newScenario(t *testing.T) *scenario {
	t.Helper()
	return newScenarioOn(t, store.Config{Path: ":memory:"})
}

func newScenarioOn(t *testing.T, cfg store.Config) *scenario {
	t.Helper()
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	x := &scenario{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	x.s, err = logs.New(logs.Config{DB: db, Account: account, Now: func() time.Time { return x.now }})
	if err != nil {
		t.Fatal(err)
	}
	x.ctx = in(region)
	return x
}

func in(region string) context.Context {
	return wire.WithCall(context.Background(), &wire.Call{Account: account, Region: region})
}

func (x *scenario) group(name string) {
	x.t.Helper()
	if _, err := x.s.CreateLogGroup(x.ctx, &api.CreateLogGroupRequest{LogGroupName: name}); err != nil {
		x.t.Fatal(err)
	}
}

// write appends messages, one second apart, ending now.
func (x *scenario) write(group, stream string, messages ...string) {
	x.t.Helper()
	events := make([]logs.Event, len(messages))
	for i, m := range messages {
		events[i] = logs.Event{Time: x.at(i - len(messages) + 1), Message: m}
	}
	if err := x.s.Append(x.ctx, region, group, stream, events); err != nil {
		x.t.Fatal(err)
	}
}

func (x *scenario) at(seconds int) time.Time { return x.now.Add(time.Duration(seconds) * time.Second) }

func refused(t *testing.T, err error, code, part string) {
	t.Helper()
	var e wire.Exception
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), part) {
		t.Errorf("got error %v, want %s with %q", err, code, part)
	}
}

func TestService_groups(t *testing.T) {
	t.Parallel()
	testGroups(t, newScenario(t))
}

func testGroups(t *testing.T, x *scenario) {
	for _, name := range []string{"/aws/lambda/a", "/aws/lambda/b", "other"} {
		x.group(name)
	}
	_, err := x.s.CreateLogGroup(x.ctx, &api.CreateLogGroupRequest{LogGroupName: "other"})
	refused(t, err, "ResourceAlreadyExistsException", "The specified log group already exists")
	_, err = x.s.CreateLogGroup(x.ctx, &api.CreateLogGroupRequest{LogGroupName: strings.Repeat("x", 513)})
	refused(t, err, "InvalidParameterException", "Invalid LogGroup or LogStream, both must have length less than or equal to 512.")
	_, err = x.s.CreateLogGroup(x.ctx, &api.CreateLogGroupRequest{LogGroupName: "a b"})
	refused(t, err, "InvalidParameterException", "regular expression")
	_, err = x.s.CreateLogGroup(x.ctx, &api.CreateLogGroupRequest{LogGroupName: "k", KmsKeyId: wire.String("arn")})
	refused(t, err, "NotImplemented", "kmsKeyId")

	list := func(req *api.DescribeLogGroupsRequest) []string {
		names := []string{}
		for {
			out, err := x.s.DescribeLogGroups(x.ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range out.LogGroups {
				names = append(names, *g.LogGroupName)
			}
			if req.NextToken = out.NextToken; out.NextToken == nil {
				return names
			}
		}
	}
	for _, c := range []struct {
		req  api.DescribeLogGroupsRequest
		want []string
	}{
		{api.DescribeLogGroupsRequest{}, []string{"/aws/lambda/a", "/aws/lambda/b", "other"}},
		{api.DescribeLogGroupsRequest{Limit: wire.Int32(1)}, []string{"/aws/lambda/a", "/aws/lambda/b", "other"}},
		{api.DescribeLogGroupsRequest{LogGroupNamePrefix: wire.String("/aws/lambda/")}, []string{"/aws/lambda/a", "/aws/lambda/b"}},
		{api.DescribeLogGroupsRequest{LogGroupNamePattern: wire.String("the")}, []string{"other"}},
		{api.DescribeLogGroupsRequest{LogGroupIdentifiers: []string{"other", "arn:aws:logs:eu-west-1:111111111111:log-group:/aws/lambda/b"}}, []string{"/aws/lambda/b", "other"}},
		{api.DescribeLogGroupsRequest{LogGroupNamePrefix: wire.String("no")}, []string{}},
	} {
		if got := list(&c.req); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: got %v, want %v", c.req, got, c.want)
		}
	}
	out, err := x.s.DescribeLogGroups(x.ctx, &api.DescribeLogGroupsRequest{Limit: wire.Int32(1), LogGroupNamePrefix: wire.String("other")})
	want := api.LogGroup{
		Arn: wire.String("arn:aws:logs:eu-west-1:111111111111:log-group:other:*"), LogGroupArn: wire.String("arn:aws:logs:eu-west-1:111111111111:log-group:other"),
		CreationTime: wire.Int64(x.now.UnixMilli()), DeletionProtectionEnabled: wire.Bool(false), LogGroupClass: api.LogGroupClassSTANDARD,
		LogGroupName: wire.String("other"), MetricFilterCount: wire.Int32(0), StoredBytes: wire.Int64(0),
	}
	if err != nil || !reflect.DeepEqual(out.LogGroups, []api.LogGroup{want}) {
		t.Errorf("got %+v, %v, want %+v", out, err, want)
	}
	summaries, err := x.s.ListLogGroups(x.ctx, &api.ListLogGroupsRequest{LogGroupNamePattern: wire.String("^oth|lambda/b")})
	if err != nil || len(summaries.LogGroups) != 2 {
		t.Errorf("got %+v, %v", summaries, err)
	}
	if out, err := x.s.DescribeLogGroups(in("us-east-1"), &api.DescribeLogGroupsRequest{}); err != nil || len(out.LogGroups) != 0 {
		t.Errorf("another region: got %+v, %v", out, err)
	}
}

func TestService_deletion(t *testing.T) {
	t.Parallel()
	testDeletion(t, newScenario(t))
}

func testDeletion(t *testing.T, x *scenario) {
	x.write("g", "s", "one")
	x.write("g", "s2", "two")
	if _, err := x.s.DeleteLogStream(x.ctx, &api.DeleteLogStreamRequest{LogGroupName: "g", LogStreamName: "s"}); err != nil {
		t.Fatal(err)
	}
	_, err := x.s.DeleteLogStream(x.ctx, &api.DeleteLogStreamRequest{LogGroupName: "g", LogStreamName: "s"})
	refused(t, err, "ResourceNotFoundException", "The specified log stream does not exist.")
	if _, err := x.s.DeleteLogGroup(x.ctx, &api.DeleteLogGroupRequest{LogGroupName: "g"}); err != nil {
		t.Fatal(err)
	}
	_, err = x.s.DeleteLogGroup(x.ctx, &api.DeleteLogGroupRequest{LogGroupName: "g"})
	refused(t, err, "ResourceNotFoundException", "The specified log group does not exist.")
	x.group("g")
	out, err := x.s.FilterLogEvents(x.ctx, &api.FilterLogEventsRequest{LogGroupName: wire.String("g")})
	if err != nil || len(out.Events) != 0 {
		t.Errorf("a new group of the name has events: %+v, %v", out, err)
	}
}

func TestService_streams(t *testing.T) {
	t.Parallel()
	testStreams(t, newScenario(t))
}

func testStreams(t *testing.T, x *scenario) {
	x.group("g")
	create := func(group, stream string) error {
		_, err := x.s.CreateLogStream(x.ctx, &api.CreateLogStreamRequest{LogGroupName: group, LogStreamName: stream})
		return err
	}
	for _, name := range []string{"b", "a", "c/1", "c/2"} {
		if err := create("g", name); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, create("g", "a"), "ResourceAlreadyExistsException", "The specified log stream already exists")
	refused(t, create("none", "a"), "ResourceNotFoundException", "The specified log group does not exist.")
	refused(t, create("g", "a:b"), "InvalidParameterException", "")
	x.write("g", "b", "late")
	if err := x.s.Append(x.ctx, region, "g", "c/1", []logs.Event{{Time: x.at(-100), Message: "early"}}); err != nil {
		t.Fatal(err)
	}
	list := func(req *api.DescribeLogStreamsRequest) []string {
		req.LogGroupName, req.Limit = wire.String("g"), wire.Int32(1)
		names := []string{}
		for {
			out, err := x.s.DescribeLogStreams(x.ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range out.LogStreams {
				names = append(names, *s.LogStreamName)
			}
			if req.NextToken = out.NextToken; out.NextToken == nil {
				return names
			}
		}
	}
	for _, c := range []struct {
		req  api.DescribeLogStreamsRequest
		want []string
	}{
		{api.DescribeLogStreamsRequest{}, []string{"a", "b", "c/1", "c/2"}},
		{api.DescribeLogStreamsRequest{Descending: wire.Bool(true)}, []string{"c/2", "c/1", "b", "a"}},
		{api.DescribeLogStreamsRequest{LogStreamNamePrefix: wire.String("c/")}, []string{"c/1", "c/2"}},
		{api.DescribeLogStreamsRequest{OrderBy: api.OrderByLastEventTime, Descending: wire.Bool(true)}, []string{"b", "c/1", "c/2", "a"}},
	} {
		if got := list(&c.req); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: got %v, want %v", c.req, got, c.want)
		}
	}
	_, err := x.s.DescribeLogStreams(x.ctx, &api.DescribeLogStreamsRequest{LogGroupName: wire.String("g"), OrderBy: api.OrderByLastEventTime, LogStreamNamePrefix: wire.String("c")})
	refused(t, err, "InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix.")
	out, err := x.s.DescribeLogStreams(x.ctx, &api.DescribeLogStreamsRequest{LogGroupIdentifier: wire.String("arn:aws:logs:eu-west-1:111111111111:log-group:g:*"), LogStreamNamePrefix: wire.String("b")})
	now := wire.Int64(x.now.UnixMilli())
	want := []api.LogStream{{Arn: wire.String("arn:aws:logs:eu-west-1:111111111111:log-group:g:log-stream:b"), CreationTime: now,
		FirstEventTimestamp: now, LastEventTimestamp: now, LastIngestionTime: now, LogStreamName: wire.String("b"), StoredBytes: wire.Int64(0)}}
	if err != nil || !reflect.DeepEqual(out.LogStreams, want) {
		t.Errorf("got %+v, %v, want %+v", out, err, want)
	}
}

func TestService_PutLogEvents(t *testing.T) {
	t.Parallel()
	testPutLogEvents(t, newScenario(t))
}

func testPutLogEvents(t *testing.T, x *scenario) {
	x.group("g")
	if _, err := x.s.CreateLogStream(x.ctx, &api.CreateLogStreamRequest{LogGroupName: "g", LogStreamName: "s"}); err != nil {
		t.Fatal(err)
	}
	event := func(at time.Time, m string) api.InputLogEvent {
		return api.InputLogEvent{Timestamp: at.UnixMilli(), Message: m}
	}
	put := func(events ...api.InputLogEvent) (*api.PutLogEventsResponse, error) {
		return x.s.PutLogEvents(x.ctx, &api.PutLogEventsRequest{LogGroupName: "g", LogStreamName: "s", LogEvents: events})
	}
	out, err := put(event(x.at(-2), "a"), event(x.at(-2), "b"), event(x.at(-1), "c"))
	if err != nil || out.NextSequenceToken == nil || out.RejectedLogEventsInfo != nil {
		t.Fatalf("got %+v, %v", out, err)
	}
	day := 24 * time.Hour
	for _, c := range []struct {
		name   string
		events []api.InputLogEvent
		part   string
	}{
		{"none", nil, "length greater than or equal to 1"},
		{"wrong order", []api.InputLogEvent{event(x.at(0), "a"), event(x.at(-1), "b")}, "Log events in a single PutLogEvents request must be in chronological order."},
		{"long span", []api.InputLogEvent{event(x.now.Add(-day-time.Second), "a"), event(x.now, "b")}, "cannot span more than 24 hours"},
		{"too large", []api.InputLogEvent{event(x.now, strings.Repeat("x", 1<<20))}, "Upload too large: 1048602 bytes exceeds limit of 1048576"},
	} {
		_, err := put(c.events...)
		t.Run(c.name, func(t *testing.T) { refused(t, err, "InvalidParameterException", c.part) })
	}
	_, err = x.s.PutLogEvents(x.ctx, &api.PutLogEventsRequest{LogGroupName: "g", LogStreamName: "none", LogEvents: []api.InputLogEvent{event(x.now, "a")}})
	refused(t, err, "ResourceNotFoundException", "The specified log stream does not exist.")
	_, err = x.s.PutLogEvents(x.ctx, &api.PutLogEventsRequest{LogGroupName: "none", LogStreamName: "s", LogEvents: []api.InputLogEvent{event(x.now, "a")}})
	refused(t, err, "ResourceNotFoundException", "The specified log group does not exist.")

	out, err = put(event(x.now, "kept"), event(x.now.Add(3*time.Hour), "too new"))
	if err != nil || !reflect.DeepEqual(out.RejectedLogEventsInfo, &api.RejectedLogEventsInfo{TooNewLogEventStartIndex: wire.Int32(1)}) {
		t.Errorf("too new: got %+v, %v", out, err)
	}
	out, err = put(event(x.now.Add(-14*day-time.Hour), "too old"), event(x.now.Add(-13*day-2*time.Hour), "old but kept"))
	if err != nil || !reflect.DeepEqual(out.RejectedLogEventsInfo, &api.RejectedLogEventsInfo{TooOldLogEventEndIndex: wire.Int32(1)}) {
		t.Errorf("too old: got %+v, %v", out, err)
	}
	if _, err := x.s.PutRetentionPolicy(x.ctx, &api.PutRetentionPolicyRequest{LogGroupName: "g", RetentionInDays: 3}); err != nil {
		t.Fatal(err)
	}
	out, err = put(event(x.now.Add(-4*day), "expired"))
	if err != nil || !reflect.DeepEqual(out.RejectedLogEventsInfo, &api.RejectedLogEventsInfo{ExpiredLogEventEndIndex: wire.Int32(1)}) {
		t.Errorf("expired: got %+v, %v", out, err)
	}
	if got := x.filter(&api.FilterLogEventsRequest{}); !reflect.DeepEqual(got, []string{"a", "b", "c", "kept"}) {
		t.Errorf("got %v", got)
	}
}

// filter returns the messages of group g, over all pages.
func (x *scenario) filter(req *api.FilterLogEventsRequest) []string {
	x.t.Helper()
	req.LogGroupName = wire.String("g")
	messages := []string{}
	for range 1000 {
		out, err := x.s.FilterLogEvents(x.ctx, req)
		if err != nil {
			x.t.Fatal(err)
		}
		for _, e := range out.Events {
			messages = append(messages, *e.Message)
		}
		if req.NextToken = out.NextToken; out.NextToken == nil {
			return messages
		}
	}
	x.t.Fatal("the pages do not end")
	return nil
}

func TestService_retention(t *testing.T) {
	t.Parallel()
	testRetention(t, newScenario(t))
}

func testRetention(t *testing.T, x *scenario) {
	var events []logs.Event
	for i := range 1200 {
		events = append(events, logs.Event{Time: x.now.Add(-48 * time.Hour).Add(time.Duration(i) * time.Millisecond), Message: "old"})
	}
	if err := x.s.Append(x.ctx, region, "g", "s", events); err != nil {
		t.Fatal(err)
	}
	x.write("g", "s", "new")
	policy := func(days int32) error {
		_, err := x.s.PutRetentionPolicy(x.ctx, &api.PutRetentionPolicyRequest{LogGroupName: "g", RetentionInDays: days})
		return err
	}
	if err := policy(3); err != nil {
		t.Fatal(err)
	}
	if err := x.s.Sweep(x.ctx); err != nil {
		t.Fatal(err)
	}
	if got := len(x.filter(&api.FilterLogEventsRequest{})); got != 1201 {
		t.Errorf("within the retention: got %d events, want 1201", got)
	}
	if err := policy(1); err != nil {
		t.Fatal(err)
	}
	if got := x.filter(&api.FilterLogEventsRequest{}); !reflect.DeepEqual(got, []string{"new"}) {
		t.Errorf("beyond the retention: got %d events", len(got))
	}
	if err := x.s.Sweep(x.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := x.s.DeleteRetentionPolicy(x.ctx, &api.DeleteRetentionPolicyRequest{LogGroupName: "g"}); err != nil {
		t.Fatal(err)
	}
	if got := x.filter(&api.FilterLogEventsRequest{}); !reflect.DeepEqual(got, []string{"new"}) {
		t.Errorf("the expired events were not deleted: got %d", len(got))
	}
	out, err := x.s.DescribeLogGroups(x.ctx, &api.DescribeLogGroupsRequest{})
	if err != nil || *out.LogGroups[0].StoredBytes != 29 || out.LogGroups[0].RetentionInDays != nil {
		t.Errorf("got %+v, %v, want 29 bytes", out, err)
	}
	for _, days := range []int32{0, 2, -1, 4000} {
		refused(t, policy(days), "InvalidParameterException", "retentionInDays")
	}
}

func TestService_tags(t *testing.T) {
	t.Parallel()
	testTags(t, newScenario(t))
}

func testTags(t *testing.T, x *scenario) {
	if _, err := x.s.CreateLogGroup(x.ctx, &api.CreateLogGroupRequest{LogGroupName: "g", Tags: map[string]string{"env": "testing"}}); err != nil {
		t.Fatal(err)
	}
	arn := "arn:aws:logs:eu-west-1:111111111111:log-group:g"
	list := func(arn string) (map[string]string, error) {
		out, err := x.s.ListTagsForResource(x.ctx, &api.ListTagsForResourceRequest{ResourceArn: arn})
		if err != nil {
			return nil, err
		}
		return out.Tags, nil
	}
	if _, err := x.s.TagResource(x.ctx, &api.TagResourceRequest{ResourceArn: arn, Tags: map[string]string{"a": "1", "b": "2"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.s.UntagLogGroup(x.ctx, &api.UntagLogGroupRequest{LogGroupName: "g", Tags: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	got, err := list(arn + ":*")
	if want := map[string]string{"env": "testing", "b": "2"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	_, err = list("arn:aws:logs:eu-west-1:111111111111:log-group:none")
	refused(t, err, "ResourceNotFoundException", "")
	_, err = list("arn:aws:logs:us-east-1:111111111111:log-group:g")
	refused(t, err, "ResourceNotFoundException", "")
	_, err = x.s.TagResource(x.ctx, &api.TagResourceRequest{ResourceArn: arn, Tags: map[string]string{"aws:x": "1"}})
	refused(t, err, "InvalidParameterException", "aws:")
	many := map[string]string{}
	for i := range 49 {
		many[fmt.Sprint(i)] = ""
	}
	_, err = x.s.TagResource(x.ctx, &api.TagResourceRequest{ResourceArn: arn, Tags: many})
	refused(t, err, "TooManyTagsException", "")
}

func TestService_Resources(t *testing.T) {
	t.Parallel()
	testResources(t, newScenario(t))
}

func testResources(t *testing.T, x *scenario) {
	resources := x.s.APIs()[0].Resources
	prefix := "arn:aws:logs:eu-west-1:111111111111:log-group:"
	for _, c := range []struct {
		in   any
		want string
	}{
		{&api.CreateLogGroupRequest{LogGroupName: "/aws/lambda/f"}, prefix + "/aws/lambda/f:log-stream:"},
		{&api.PutLogEventsRequest{LogGroupName: "g", LogStreamName: "s"}, prefix + "g:log-stream:s"},
		{&api.GetLogEventsRequest{LogGroupIdentifier: wire.String(prefix + "g"), LogStreamName: "s"}, prefix + "g:log-stream:s"},
		{&api.FilterLogEventsRequest{LogGroupName: wire.String("g")}, prefix + "g:log-stream:"},
		{&api.FilterLogEventsRequest{LogGroupIdentifier: wire.String("arn:aws:logs:eu-west-1:222222222222:log-group:g")}, "arn:aws:logs:eu-west-1:222222222222:log-group:g"},
		{&api.FilterLogEventsRequest{}, "*"},
		{&api.TagResourceRequest{ResourceArn: prefix + "g:*"}, prefix + "g"},
		{&api.DescribeLogGroupsRequest{}, prefix + ":log-stream:"},
	} {
		if needs := resources(&wire.Call{Region: region}, "", c.in); len(needs) != 1 || needs[0].Resource != c.want {
			t.Errorf("%+v: got %v, want %s", c.in, needs, c.want)
		}
	}
}
