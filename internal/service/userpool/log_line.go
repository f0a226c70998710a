package userpool

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

const (
	// linePause is how often a node looks for lines that others have left.
	linePause = 10 * time.Second
	lineBatch = 100
	// lineLife bounds what waits for a log that takes nothing.
	lineLife = 24 * time.Hour
)

// LogLine is an event of a pool on its way to a log group. It is stored together with what it
// tells of. A newer state of an event replaces one that still waits.
type LogLine struct {
	Pool, ID string
	Source   string
	At       time.Time
	Text     string
}

func newLineTable() *store.Table[LogLine] {
	return store.NewTable(store.Schema[LogLine]{
		Name: "userpool_log_lines", Key: []string{"pool", "line"},
		KeyOf:   func(l *LogLine) []string { return []string{l.Pool, l.ID} },
		Expires: func(l *LogLine) time.Time { return l.At.Add(lineLife) },
	})
}

// The form of exported events (Cognito developer guide, "Exporting logs from Amazon Cognito
// user pools"). All values are text.
type (
	exportedEvent struct {
		EventTimestamp string         `json:"eventTimestamp"` // milliseconds since 1970
		EventSource    string         `json:"eventSource"`
		LogLevel       string         `json:"logLevel"`
		Message        any            `json:"message"`
		LogSourceID    exportedSource `json:"logSourceId"`
	}
	exportedSource struct {
		UserPoolID string `json:"userPoolId"`
	}
	exportedFailure struct {
		Details string `json:"details"`
	}
	exportedActivity struct {
		Version               string   `json:"version"`
		EventID               string   `json:"eventId"`
		EventType             string   `json:"eventType"`
		UserSub               string   `json:"userSub"`
		UserName              string   `json:"userName"`
		UserPoolID            string   `json:"userPoolId"`
		ClientID              string   `json:"clientId"`
		CreationDate          string   `json:"creationDate"`
		EventResponse         string   `json:"eventResponse"`
		RiskLevel             string   `json:"riskLevel"`
		RiskDecision          string   `json:"riskDecision"`
		Challenges            []string `json:"challenges"`
		DeviceName            string   `json:"deviceName"`
		IPAddress             string   `json:"ipAddress"`
		RequestID             string   `json:"requestId"`
		IDPName               string   `json:"idpName"`
		Compromised           string   `json:"compromisedCredentialDetected"`
		City                  string   `json:"city"`
		Country               string   `json:"country"`
		EventFeedbackValue    string   `json:"eventFeedbackValue"`
		EventFeedbackDate     string   `json:"eventFeedbackDate"`
		EventFeedbackProvider string   `json:"eventFeedbackProvider"`
		HasContextData        string   `json:"hasContextData"`
	}
)

// activity is an event of a user as it is exported.
func activity(e *AuthEvent) exportedActivity {
	out := exportedActivity{
		Version: "1", EventID: e.ID, EventType: e.Type, UserSub: e.Sub, UserName: e.User, UserPoolID: e.Pool, ClientID: e.Client,
		CreationDate: e.At.UTC().Format("Mon Jan 02 15:04:05 UTC 2006"), EventResponse: e.Response, RiskLevel: e.Level, RiskDecision: "PASS",
		Challenges: []string{}, DeviceName: e.Agent, IPAddress: e.Address, Compromised: strconv.FormatBool(e.Leaked),
		EventFeedbackValue: e.Feedback, EventFeedbackProvider: e.FeedbackBy, HasContextData: strconv.FormatBool(e.Address != ""),
	}
	switch e.Decision {
	case string(api.RiskDecisionTypeAccountTakeover):
		out.RiskDecision = "ACCOUNT_TAKEOVER"
	case string(api.RiskDecisionTypeBlock):
		out.RiskDecision = "BLOCK"
	}
	for _, step := range e.Steps {
		out.Challenges = append(out.Challenges, step.Name+":"+step.Result)
	}
	if !e.FeedbackAt.IsZero() {
		out.EventFeedbackDate = e.FeedbackAt.UTC().Format("Mon Jan 02 15:04:05 UTC 2006")
	}
	return out
}

// destination is where events of a source go; nil: nowhere.
func (p *Pool) destination(source api.EventSourceName) *LogDestination {
	i := slices.IndexFunc(p.Logs, func(d LogDestination) bool { return d.Source == string(source) })
	if i < 0 {
		return nil
	}
	return &p.Logs[i]
}

// export leaves an event for the pool's log group, if it has one for the source, within the
// transaction that stores what it tells of.
func (s *Service) export(tx *store.Tx, poolID string, source api.EventSourceName, id string, at time.Time, message any) error {
	p, err := s.lookPool(tx, poolID)
	if is(err, notFound) {
		return nil
	}
	if err != nil {
		return err
	}
	d := p.destination(source)
	if d == nil || s.appendLog == nil {
		return nil
	}
	event := exportedEvent{strconv.FormatInt(at.UnixMilli(), 10), "USER_ACTIVITY", d.Level, message, exportedSource{p.ID}}
	if source == api.EventSourceNameuserNotification {
		event.EventSource = "USER_NOTIFICATION"
	}
	raw, err := json.Marshal(event)
	if err != nil {
		return err
	}
	return s.tables.lines.Put(tx, LogLine{Pool: p.ID, ID: id, Source: string(source), At: at, Text: string(raw)})
}

// exportFailure leaves word that a message was not delivered: of the first attempt that failed
// and of the last. The message itself is a secret, and so is its address.
func (s *Service) exportFailure(tx *store.Tx, l *Letter, m *Message, failed error, over bool) error {
	if failed == nil || !over && l.Tries > 1 {
		return nil
	}
	what := "is tried again"
	if over {
		what = "was given up after " + strconv.Itoa(l.Tries) + " attempts"
	}
	details := fmt.Sprintf("The message %s (%s) to the user %s could not be delivered and %s: %v", m.Kind, m.Medium, l.User, what, failed)
	return s.export(tx, l.Pool, api.EventSourceNameuserNotification, "notification "+l.ID+" "+strconv.Itoa(l.Tries), s.time(), exportedFailure{details})
}

// runLines carries lines to log groups until ctx ends.
func (s *Service) runLines(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = s.carryLines(ctx); err != nil {
				more = false
				if ctx.Err() == nil {
					s.log.Error("events of user pools were not written to their log groups", "error", err)
				}
			}
		}
		timer.Reset(linePause)
	}
}

// carryLines takes some lines and writes them: a line is written once, by whichever node took
// it, and is lost if that node ends in between (Cognito: best effort). more says that there
// were as many as can be taken at once.
func (s *Service) carryLines(ctx context.Context) (more bool, err error) {
	var waiting int
	err = s.db.View(ctx, func(tx *store.Tx) (err error) { // most looks find nothing, and write nothing
		list, err := s.tables.lines.List(tx, store.Query{Limit: 1})
		waiting = len(list)
		return err
	})
	if err != nil || waiting == 0 {
		return false, err
	}
	var lines []LogLine
	pools := map[string]Pool{}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		lines, err = s.tables.lines.List(tx, store.Query{Limit: lineBatch})
		if err != nil {
			return err
		}
		for _, l := range lines {
			if err := s.tables.lines.Delete(tx, l.Pool, l.ID); err != nil {
				return err
			}
			p, err := s.lookPool(tx, l.Pool)
			if err != nil && !is(err, notFound) {
				return err
			}
			pools[l.Pool] = p
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	slices.SortStableFunc(lines, func(a, b LogLine) int { return a.At.Compare(b.At) })
	for len(lines) > 0 {
		first := lines[0]
		var times []time.Time
		var texts []string
		kept := slices.Clone(lines)
		lines = slices.DeleteFunc(lines, func(l LogLine) bool {
			same := l.Pool == first.Pool && l.Source == first.Source
			if same {
				times, texts = append(times, l.At), append(texts, l.Text)
			}
			return same
		})
		p := pools[first.Pool]
		d := p.destination(api.EventSourceName(first.Source))
		if d == nil { // the pool, or its wish, is gone
			continue
		}
		if err := s.appendLog(ctx, p.Region, d.Group, p.ID, times, texts); err != nil {
			return false, s.putBack(ctx, kept, err)
		}
	}
	return len(pools) > 0, nil
}

// putBack returns lines that could not be written.
func (s *Service) putBack(ctx context.Context, lines []LogLine, cause error) error {
	err := s.db.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		for _, l := range lines {
			if err := s.tables.lines.Put(tx, l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w; they are lost: %w", cause, err)
	}
	return cause
}
