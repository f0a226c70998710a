package logs_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"moat/internal/service/logs"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

func (x *scenario) read(req *api.GetLogEventsRequest) ([]string, *api.GetLogEventsResponse) {
	x.t.Helper()
	req.LogGroupName, req.LogStreamName = wire.String("g"), "s"
	out, err := x.s.GetLogEvents(x.ctx, req)
	if err != nil {
		x.t.Fatal(err)
	}
	messages := []string{}
	for _, e := range out.Events {
		messages = append(messages, *e.Message)
	}
	return messages, out
}

func TestService_GetLogEvents(t *testing.T) {
	t.Parallel()
	testGetLogEvents(t, newScenario(t))
}

func testGetLogEvents(t *testing.T, x *scenario) {
	x.write("g", "s", "1", "2", "3", "4", "5")
	x.write("g", "other", "no")
	expect := func(req *api.GetLogEventsRequest, want ...string) *api.GetLogEventsResponse {
		t.Helper()
		got, out := x.read(req)
		if !slices.Equal(got, want) {
			t.Errorf("%+v: got %v, want %v", req, got, want)
		}
		return out
	}
	head := wire.Bool(true)
	expect(&api.GetLogEventsRequest{}, "1", "2", "3", "4", "5")
	expect(&api.GetLogEventsRequest{Limit: wire.Int32(2)}, "4", "5")
	expect(&api.GetLogEventsRequest{Limit: wire.Int32(2), StartFromHead: head}, "1", "2")
	start, end := wire.Int64(x.at(-3).UnixMilli()), wire.Int64(x.at(-1).UnixMilli())
	expect(&api.GetLogEventsRequest{StartTime: start}, "2", "3", "4", "5")
	expect(&api.GetLogEventsRequest{EndTime: end}, "1", "2", "3")
	expect(&api.GetLogEventsRequest{StartTime: start, EndTime: end, StartFromHead: head}, "2", "3")

	// Forward to the end, where the token stays the same until something comes.
	out := expect(&api.GetLogEventsRequest{Limit: wire.Int32(3), StartFromHead: head}, "1", "2", "3")
	out = expect(&api.GetLogEventsRequest{Limit: wire.Int32(3), NextToken: out.NextForwardToken}, "4", "5")
	last := *out.NextForwardToken
	out = expect(&api.GetLogEventsRequest{NextToken: &last})
	if *out.NextForwardToken != last {
		t.Error("the forward token changed at the end of the stream")
	}
	expect(&api.GetLogEventsRequest{NextToken: out.NextBackwardToken, Limit: wire.Int32(2)}, "4", "5")
	x.write("g", "s", "6")
	expect(&api.GetLogEventsRequest{NextToken: &last}, "6")

	// Backward to the beginning.
	out = expect(&api.GetLogEventsRequest{Limit: wire.Int32(4)}, "3", "4", "5", "6")
	out = expect(&api.GetLogEventsRequest{Limit: wire.Int32(4), NextToken: out.NextBackwardToken}, "1", "2")
	first := *out.NextBackwardToken
	out = expect(&api.GetLogEventsRequest{NextToken: &first})
	if *out.NextBackwardToken != first {
		t.Error("the backward token changed at the beginning of the stream")
	}
	expect(&api.GetLogEventsRequest{NextToken: out.NextForwardToken, Limit: wire.Int32(2)}, "1", "2")
}

// TestService_GetLogEvents_empty polls a stream from before its first event.
func TestService_GetLogEvents_empty(t *testing.T) {
	t.Parallel()
	for _, head := range []bool{false, true} {
		x := newScenario(t)
		x.group("g")
		if _, err := x.s.CreateLogStream(x.ctx, &api.CreateLogStreamRequest{LogGroupName: "g", LogStreamName: "s"}); err != nil {
			t.Fatal(err)
		}
		_, out := x.read(&api.GetLogEventsRequest{StartFromHead: &head})
		x.write("g", "s", "first")
		if got, _ := x.read(&api.GetLogEventsRequest{NextToken: out.NextForwardToken}); !slices.Equal(got, []string{"first"}) {
			t.Errorf("from head %v: got %v, want the first event", head, got)
		}
	}
}

func TestService_GetLogEvents_refused(t *testing.T) {
	t.Parallel()
	testGetLogEventsRefused(t, newScenario(t))
}

func testGetLogEventsRefused(t *testing.T, x *scenario) {
	x.write("g", "s", "1")
	x.write("g", "s2", "1")
	_, out := x.read(&api.GetLogEventsRequest{})
	token := *out.NextForwardToken
	for name, bad := range map[string]string{
		"direction": "x" + token[1:], "none": token[2:], "made up": "f/AAAA", "swapped": strings.Replace(token, "f/", "f/x", 1), "empty": "f/",
	} {
		_, err := x.s.GetLogEvents(x.ctx, &api.GetLogEventsRequest{LogGroupName: wire.String("g"), LogStreamName: "s", NextToken: &bad})
		t.Run(name, func(t *testing.T) {
			refused(t, err, "InvalidParameterException", "The specified nextToken is invalid.")
		})
	}
	_, err := x.s.GetLogEvents(x.ctx, &api.GetLogEventsRequest{LogGroupName: wire.String("g"), LogStreamName: "s2", NextToken: &token})
	refused(t, err, "InvalidParameterException", "The specified nextToken is invalid.")
	_, err = x.s.GetLogEvents(x.ctx, &api.GetLogEventsRequest{LogGroupName: wire.String("g"), LogStreamName: "none"})
	refused(t, err, "ResourceNotFoundException", "The specified log stream does not exist.")
	_, err = x.s.GetLogEvents(x.ctx, &api.GetLogEventsRequest{LogGroupName: wire.String("none"), LogStreamName: "s"})
	refused(t, err, "ResourceNotFoundException", "The specified log group does not exist.")
	_, err = x.s.GetLogEvents(x.ctx, &api.GetLogEventsRequest{LogStreamName: "s"})
	refused(t, err, "InvalidParameterException", "")
}

func TestService_pageSize(t *testing.T) {
	t.Parallel()
	testPageSize(t, newScenario(t))
}

func testPageSize(t *testing.T, x *scenario) {
	big := strings.Repeat("x", 400_000)
	x.write("g", "s", big, big, big, big, "end")
	got, out := x.read(&api.GetLogEventsRequest{StartFromHead: wire.Bool(true)})
	if len(got) != 2 {
		t.Errorf("got %d events, want the 2 that fit into 1 MB", len(got))
	}
	if got, _ := x.read(&api.GetLogEventsRequest{NextToken: out.NextForwardToken}); len(got) != 3 {
		t.Errorf("then got %d events, want 3", len(got))
	}
	if got := x.filter(&api.FilterLogEventsRequest{}); len(got) != 5 {
		t.Errorf("got %d events in all, want 5", len(got))
	}
}

// TestService_FilterLogEvents_merge compares with sorting everything, for random
// streams, windows and page sizes.
func TestService_FilterLogEvents_merge(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 15 {
		x := newScenario(t)
		x.group("g")
		type line struct {
			at             int64
			stream, number int
		}
		var all []line
		for stream := range 1 + r.IntN(6) {
			var events []logs.Event
			for i := range r.IntN(260) {
				at := x.now.Add(-time.Duration(r.IntN(120)) * time.Millisecond)
				events = append(events, logs.Event{Time: at, Message: fmt.Sprintf("%d-%d", stream, i)})
				all = append(all, line{at.UnixMilli(), stream, i})
			}
			if err := x.s.Append(x.ctx, region, "g", fmt.Sprint("s", stream), events); err != nil {
				t.Fatal(err)
			}
		}
		start := x.now.Add(-time.Duration(r.IntN(150)) * time.Millisecond).UnixMilli()
		end := start + r.Int64N(150)
		slices.SortFunc(all, func(a, b line) int {
			return slices.Compare([]int64{a.at, int64(a.stream), int64(a.number)}, []int64{b.at, int64(b.stream), int64(b.number)})
		})
		want := []string{}
		for _, l := range all {
			if l.at >= start && l.at < end {
				want = append(want, fmt.Sprintf("%d-%d", l.stream, l.number))
			}
		}
		got := x.filter(&api.FilterLogEventsRequest{StartTime: &start, EndTime: &end, Limit: wire.Int32(1 + r.Int32N(90))})
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("round %d: got %d events %v\nwant %d %v", round, len(got), got, len(want), want)
		}
	}
}

func TestService_FilterLogEvents(t *testing.T) {
	t.Parallel()
	testFilterLogEvents(t, newScenario(t))
}

func testFilterLogEvents(t *testing.T, x *scenario) {
	x.write("g", "a", "ERROR one", "info two")
	x.write("g", "b", "ERROR three")
	expect := func(req *api.FilterLogEventsRequest, want ...string) {
		t.Helper()
		if got := x.filter(req); !slices.Equal(got, want) {
			t.Errorf("%+v: got %v, want %v", req, got, want)
		}
	}
	expect(&api.FilterLogEventsRequest{}, "ERROR one", "info two", "ERROR three")
	expect(&api.FilterLogEventsRequest{FilterPattern: wire.String("ERROR")}, "ERROR one", "ERROR three")
	expect(&api.FilterLogEventsRequest{LogStreamNames: []string{"b", "b"}}, "ERROR three")
	expect(&api.FilterLogEventsRequest{LogStreamNamePrefix: wire.String("a")}, "ERROR one", "info two")
	out, err := x.s.FilterLogEvents(x.ctx, &api.FilterLogEventsRequest{LogGroupName: wire.String("g"), Limit: wire.Int32(1)})
	if err != nil || len(out.Events) != 1 || out.NextToken == nil || len(*out.Events[0].EventId) != 56 || *out.Events[0].LogStreamName != "a" {
		t.Fatalf("got %+v, %v", out, err)
	}
	for name, req := range map[string]*api.FilterLogEventsRequest{
		"token of another question": {LogGroupName: wire.String("g"), NextToken: out.NextToken, FilterPattern: wire.String("x")},
		"names and prefix":          {LogGroupName: wire.String("g"), LogStreamNames: []string{"a"}, LogStreamNamePrefix: wire.String("a")},
		"pattern":                   {LogGroupName: wire.String("g"), FilterPattern: wire.String(`"open`)},
		"no group":                  {},
		"two groups":                {LogGroupName: wire.String("g"), LogGroupIdentifier: wire.String("g")},
	} {
		_, err := x.s.FilterLogEvents(x.ctx, req)
		t.Run(name, func(t *testing.T) { refused(t, err, "InvalidParameterException", "") })
	}
	_, err = x.s.FilterLogEvents(x.ctx, &api.FilterLogEventsRequest{LogGroupName: wire.String("g"), LogStreamNames: []string{"none"}})
	refused(t, err, "ResourceNotFoundException", "The specified log stream does not exist.")
}
