package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"moat/internal/pure/lazyregexp"
	"moat/internal/pure/policy"
	"moat/internal/service/trail"
	"moat/internal/wire"
	"moat/internal/wire/logsapi"
)

func (p *parts) makeTrail(cfg *Config) (err error) {
	p.trail, err = trail.New(trail.Config{
		DB: p.db, Dir: cfg.trailDir(), Account: cfg.Account, Region: cfg.Region, Now: cfg.Now, Rand: cfg.Rand, Log: cfg.Log,
		Retention: cfg.TrailRetention, NoSync: cfg.InMemory,
	})
	return err
}

// refused adds a refusal of a deployed API to the trail. What was let in stands in the access log
// alone, whatever became of it behind the gateway.
func (p *parts) refused(r *wire.Record) {
	if r.ErrorCode != "" && r.Step != "integrate" && r.Step != "respond" {
		p.trail.Record(*r)
	}
}

// explainPath and suggestPath are where `moat explain` and `moat policy suggest` ask.
const (
	explainPath = "/_moat/explain/"
	suggestPath = "/_moat/policy/suggest"
)

// lookUp is what a caller must be allowed who looks into the trail.
const lookUp = "cloudtrail:LookupEvents"

// readable tells of a region whether the caller has a permission in it. A request id
// and a principal's calls belong to no region: what is told of them is decided by
// the region of each event.
func (s *Server) readable(ctx context.Context, call *wire.Call, action string) func(region string) bool {
	known := map[string]bool{call.Region: true} // as was decided when it asked
	return func(region string) bool {
		may, asked := known[region]
		if !asked {
			there := *call
			there.Region = region
			d, err := s.parts.iam.Authorize(ctx, call.Caller, action, "*", s.cfg.Account, s.keysOf(&there))
			may = err == nil && d.Allowed
			known[region] = may
		}
		return may
	}
}

// reader lets through a signed GET of a caller who may look into the trail, and answers others.
func (s *Server) reader(w http.ResponseWriter, r *http.Request, operation string) (*wire.Call, bool) {
	call, _, ok := s.take(w, r, question{http.MethodGet, operation, 0})
	return call, ok && s.may(w, r, call, wire.Need{Action: lookUp, Resource: "*"})
}

// keysOf are the condition keys of a call to one of Moat's own addresses: those of every call.
func (s *Server) keysOf(call *wire.Call) policy.Context {
	keys := wire.RequestKeys(call)
	keys.Set("aws:ResourceAccount", s.cfg.Account)
	return keys
}

// Explanation is the answer to `moat explain`: the events of a request, the one from outside first.
type Explanation struct {
	Events []trail.Event `json:"events"`
}

// explain serves GET /_moat/explain/{id}. What a deployed API let in is not in the trail: it is
// looked for in the access log, as a call of the caller.
func (s *Server) explain(w http.ResponseWriter, r *http.Request, id string) {
	call, ok := s.reader(w, r, "Explain")
	if !ok {
		return
	}
	events, err := s.parts.trail.Find(r.Context(), id)
	may := s.readable(r.Context(), call, lookUp)
	events = slices.DeleteFunc(events, func(e trail.Event) bool { return !may(e.AWSRegion) })
	if err == nil && len(events) == 0 {
		events, err = s.accessEvent(wire.WithCall(r.Context(), call), id)
	}
	switch {
	case err != nil:
		s.cfg.Log.Error("explain", "error", err)
		answerJSON(w, http.StatusInternalServerError, map[string]string{"message": "the trail cannot be read; see the log"})
	case len(events) == 0:
		answerJSON(w, http.StatusNotFound, map[string]string{"message": "there is no request " + strconv.Quote(cutID(id)) +
			" in the trail of the last 90 days that you may read, nor in the access logs of " + call.Region})
	default:
		answerJSON(w, http.StatusOK, Explanation{Events: events})
	}
}

func cutID(id string) string { return id[:min(len(id), 64)] }

var requestID = lazyregexp.New(`^[0-9A-Za-z=_-]{8,64}$`)

// accessEvent looks for a request in the access logs that the caller may read.
func (s *Server) accessEvent(ctx context.Context, id string) ([]trail.Event, error) {
	if !requestID.MatchString(id) {
		return nil, nil
	}
	client := logsapi.Client(s.parts.pipeline)
	groups, err := client.DescribeLogGroups(ctx, &logsapi.DescribeLogGroupsRequest{LogGroupNamePrefix: wire.String("/moat/api/")})
	if err != nil {
		return nil, notRefused(err)
	}
	for _, g := range groups.LogGroups {
		found, err := client.FilterLogEvents(ctx, &logsapi.FilterLogEventsRequest{LogGroupName: g.LogGroupName, FilterPattern: wire.String(`"` + id + `"`)})
		if err = notRefused(err); err != nil {
			return nil, err
		}
		if found == nil {
			continue
		}
		for _, e := range found.Events {
			var line accessRecord
			if json.Unmarshal([]byte(wire.Value(e.Message)), &line) == nil && line.RequestID == id {
				return []trail.Event{s.accessed(&line, wire.CallFrom(ctx).Region, wire.Value(e.Timestamp))}, nil
			}
		}
	}
	return nil, nil
}

// notRefused passes over what the caller may not read.
func notRefused(err error) error {
	var refused wire.Exception
	if errors.As(err, &refused) && refused.HTTPStatus() < 500 {
		return nil
	}
	return err
}

// accessed is a line of an access log as an event.
func (s *Server) accessed(l *accessRecord, region string, ms int64) trail.Event {
	who := l.Who
	if who == "" {
		who = "Anonymous"
	}
	return trail.Event{
		UserIdentity: trail.Identity{Type: "Unknown", PrincipalID: who}, EventTime: time.UnixMilli(ms).UTC().Format(time.RFC3339), EventSource: "execute-api.amazonaws.com",
		EventName: "Invoke", AWSRegion: region, SourceIPAddress: l.IP, UserAgent: l.UserAgent, RequestID: l.RequestID, RecipientAccountID: s.cfg.Account, EventType: "AwsApiCall",
		EventCategory: "Data",
		AdditionalEventData: trail.Additional{
			Kind: wire.KindAPI, Method: l.Method, Path: l.Path, Route: l.Route, Status: l.Status, Step: l.Step, Grounds: l.Grounds, LatencyMS: l.LatencyMS,
		},
	}
}

// suggest serves GET /_moat/policy/suggest?principal=NAME&since=TIME. An ARN may be
// that of somebody who is gone: the trail remembers him.
func (s *Server) suggest(w http.ResponseWriter, r *http.Request) {
	call, ok := s.reader(w, r, "SuggestPolicy")
	if !ok {
		return
	}
	q := r.URL.Query()
	principal := q.Get("principal")
	since, err := time.Parse(time.RFC3339, q.Get("since"))
	if err != nil || principal == "" || len(principal) > 2048 {
		answerJSON(w, http.StatusBadRequest, map[string]string{"message": "a principal and a time since when are needed"})
		return
	}
	if !strings.HasPrefix(principal, "arn:") {
		found, err := s.parts.iam.FindPrincipal(r.Context(), principal)
		if err != nil {
			status, answer := s.noAnswer(err)
			answerJSON(w, status, answer)
			return
		}
		principal = found
	}
	out, err := s.parts.trail.Suggest(r.Context(), principal, trail.SuggestOptions{Since: since, Readable: s.readable(r.Context(), call, lookUp), Generalise: q.Get("generalise") == "true", Refused: q.Get("refused") == "true"})
	if err != nil {
		s.cfg.Log.Error("suggest a policy", "error", err)
		answerJSON(w, http.StatusInternalServerError, map[string]string{"message": "the trail cannot be read; see the log"})
		return
	}
	answerJSON(w, http.StatusOK, out)
}
