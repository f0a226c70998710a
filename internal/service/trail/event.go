package trail

import (
	"encoding/json"
	"io"
	"path"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"moat/internal/pure/policy"
	"moat/internal/pure/uuid"
	"moat/internal/wire"
)

// eventVersion is the version of CloudTrail's record format that [Event] has.
const eventVersion = "1.11"

// Bounds of texts that a client chooses, as CloudTrail has them (User Guide, "CloudTrail record contents").
const (
	maxUserAgent = 1 << 10
	maxError     = 1 << 10
	maxMessage   = 100 << 10 // of requestParameters and of responseElements
	maxGrounds   = 4 << 10
	maxVerdicts  = 200
)

// Event is one record in CloudTrail's format. What Moat knows beyond it (the step that ended the
// request, the decisions) stands in AdditionalEventData.
type Event struct {
	EventVersion        string          `json:"eventVersion"`
	UserIdentity        Identity        `json:"userIdentity"`
	EventTime           string          `json:"eventTime"` // when the request was completed
	EventSource         string          `json:"eventSource"`
	EventName           string          `json:"eventName"`
	AWSRegion           string          `json:"awsRegion"`
	SourceIPAddress     string          `json:"sourceIPAddress"`
	UserAgent           string          `json:"userAgent"`
	ErrorCode           string          `json:"errorCode,omitempty"`
	ErrorMessage        string          `json:"errorMessage,omitempty"`
	RequestParameters   json.RawMessage `json:"requestParameters"`
	ResponseElements    json.RawMessage `json:"responseElements"`
	AdditionalEventData Additional      `json:"additionalEventData"`
	RequestID           string          `json:"requestID"`
	EventID             string          `json:"eventID"`
	ReadOnly            bool            `json:"readOnly"`
	Resources           []Resource      `json:"resources,omitempty"`
	EventType           string          `json:"eventType"`
	ManagementEvent     bool            `json:"managementEvent"`
	RecipientAccountID  string          `json:"recipientAccountId"`
	EventCategory       string          `json:"eventCategory"`
}

// Additional is what Moat says of a request beyond CloudTrail's format.
type Additional struct {
	Kind      string     `json:"kind"` // aws, api or oauth
	Method    string     `json:"method,omitempty"`
	Path      string     `json:"path,omitempty"`
	Route     string     `json:"route,omitempty"`
	Status    int        `json:"status"`
	Step      string     `json:"step"` // the stage that ended the request
	Grounds   string     `json:"grounds,omitempty"`
	LatencyMS float64    `json:"latencyMs"`
	Decisions []Decision `json:"decisions,omitempty"`
}

// Decision is one answer of the authority, with what it was made of.
type Decision struct {
	Action    string   `json:"action"`
	Resource  string   `json:"resource"`
	PassedTo  string   `json:"passedToService,omitempty"`
	Result    string   `json:"result"` // allowed, explicitDeny or implicitDeny
	Kind      string   `json:"kind,omitempty"`
	Policy    string   `json:"policy,omitempty"`
	Statement string   `json:"statement,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	Condition string   `json:"condition,omitempty"` // that alone kept a statement from allowing
	Missing   []string `json:"missingContext,omitempty"`
	// Considered are the statements that were looked at, of a refusal only.
	Considered []Considered `json:"considered,omitempty"`
}

// Considered is how one statement was judged.
type Considered struct {
	Kind      string   `json:"kind"`
	Policy    string   `json:"policy"`
	Statement string   `json:"statement"`
	Effect    string   `json:"effect"`
	Matched   bool     `json:"matched"`
	Failed    string   `json:"failed,omitempty"` // the first element that did not match
	Condition string   `json:"condition,omitempty"`
	Missing   []string `json:"missingContext,omitempty"`
}

// Results of a [Decision].
const (
	resultAllowed  = "allowed"
	resultExplicit = "explicitDeny"
	resultImplicit = "implicitDeny"
)

// encoder makes events of records. It belongs to one goroutine at a time.
type encoder struct {
	account  string
	random   io.Reader
	plans    map[reflect.Type]*plan // of each type of a message
	messages []byte                 // of the event that was made last
}

// event makes the event of a record. Secrets stay behind: see [encoder.message]. Its messages are
// overwritten by those of the next event.
func (c *encoder) event(r *wire.Record) (Event, error) {
	account := c.account
	at := r.Time.Add(r.Latency).UTC()
	id, err := newEventID(at, c.random)
	if err != nil {
		return Event{}, err
	}
	e := Event{
		EventVersion: eventVersion, UserIdentity: identityOf(r, account), EventTime: at.Format(time.RFC3339), EventSource: r.Service + ".amazonaws.com",
		EventName: r.Operation, AWSRegion: r.Region, SourceIPAddress: r.SourceIP, UserAgent: cut(r.UserAgent, maxUserAgent),
		ErrorCode: cut(r.ErrorCode, maxError), ErrorMessage: cut(r.ErrorMessage, maxError), RequestID: r.RequestID, EventID: id,
		ReadOnly: readOnly(r.Operation), EventType: "AwsApiCall", ManagementEvent: true, EventCategory: "Management", RecipientAccountID: account,
		AdditionalEventData: Additional{
			Kind: r.Kind, Status: r.Status, Step: r.Step, Grounds: groundsOf(r), LatencyMS: float64(r.Latency.Microseconds()) / 1000, Decisions: decisionsOf(r.Checks),
		},
	}
	switch r.Kind {
	case wire.KindAPI:
		e.ofGateway(r)
	case wire.KindOAuth:
		e.ofDomain(r)
	default:
		c.call(&e, r)
	}
	return e, nil
}

func (c *encoder) call(e *Event, r *wire.Record) {
	if r.Via != "" { // CloudTrail names the service where an address would stand
		e.SourceIPAddress, e.UserAgent = r.Via, r.Via
	}
	if e.EventName == "" {
		e.EventName = "UnknownOperation"
	}
	if isData(r.Service, r.Operation) {
		e.ManagementEvent, e.EventCategory = false, "Data"
	}
	b := c.message(c.messages[:0], r.Input)
	n := len(b)
	if e.ErrorCode == "" && (!e.ReadOnly || r.Service == "sts") {
		b = c.message(b, r.Output)
		e.ResponseElements = b[n:]
	}
	e.RequestParameters, c.messages = b[:n:n], b
	e.Resources = resourcesOf(r, c.account)
}

func (e *Event) ofGateway(r *wire.Record) {
	e.EventName, e.ManagementEvent, e.EventCategory = "Invoke", false, "Data"
	e.ReadOnly = r.Method == "GET" || r.Method == "HEAD" || r.Method == "OPTIONS"
	e.RequestParameters = appendTexts(nil, map[string]string{"restApiId": r.API, "stage": r.Stage, "httpMethod": r.Method, "path": cut(r.Path, maxError), "apiKeyId": r.KeyID}, nil)
	a := &e.AdditionalEventData
	a.Method, a.Path, a.Route = r.Method, cut(r.Path, maxError), r.Route
	for _, c := range r.Checks {
		e.Resources = append(e.Resources, resource(c.Resource, e.RecipientAccountID))
	}
}

// ofDomain names a request to a pool's domain as CloudTrail does: Token_POST.
func (e *Event) ofDomain(r *wire.Record) {
	name := path.Base(r.Operation)
	first, n := utf8.DecodeRuneInString(name)
	e.EventName, e.EventType = cut(string(unicode.ToUpper(first))+name[n:], 64)+"_"+r.Method, "AwsServiceEvent"
	e.ReadOnly = r.Method == "GET" || r.Method == "HEAD" || r.Method == "OPTIONS"
	e.AdditionalEventData.Method, e.AdditionalEventData.Path = r.Method, cut(r.Path, maxError)
}

// groundsOf leaves out what was computed for a signature that does not match: the trail is no
// place for requests of others.
func groundsOf(r *wire.Record) string {
	g, _, _ := strings.Cut(r.Grounds, "; canonical request")
	g, _, _ = strings.Cut(g, "\n") // the stack of a panic
	return cut(g, maxGrounds)
}

func decisionsOf(checks []wire.Check) []Decision {
	var out []Decision
	for _, c := range checks {
		d := Decision{
			Action: c.Action, Resource: c.Resource, PassedTo: c.PassedTo, Result: resultImplicit, Kind: c.Decision.Kind, Policy: c.Decision.Policy,
			Statement: c.Decision.Statement, Reason: cut(c.Decision.Reason, maxGrounds), Condition: c.Decision.Condition, Missing: c.Decision.Missing, Considered: consideredOf(c.Decision.Considered),
		}
		switch {
		case c.Decision.Allowed:
			d.Result = resultAllowed
		case c.Decision.Explicit:
			d.Result = resultExplicit
		}
		out = append(out, d)
	}
	return out
}

func consideredOf(verdicts []policy.Verdict) []Considered {
	var out []Considered
	for _, v := range verdicts[:min(len(verdicts), maxVerdicts)] {
		out = append(out, Considered{
			Kind: v.Kind, Policy: v.Policy, Statement: v.Statement, Effect: v.Effect, Matched: v.Matched, Failed: v.Failed, Condition: v.Condition, Missing: v.Missing,
		})
	}
	return out
}

// readOnly tells whether an operation changes nothing. AWS says so of sts:AssumeRole and its like, too.
func readOnly(operation string) bool {
	switch operation { // reads by name that hand out what they make
	case "GetId", "GetCredentialsForIdentity", "GetTokensFromRefreshToken":
		return false
	}
	if strings.HasPrefix(operation, "GetOpenIdToken") {
		return false
	}
	if strings.HasPrefix(operation, "AssumeRole") {
		return true
	}
	name := strings.TrimPrefix(operation, "Admin")
	for _, read := range [...]string{"Get", "List", "Describe", "Lookup", "BatchGet", "Search", "Filter", "Simulate", "Validate", "Estimate", "Head", "Test"} {
		if strings.HasPrefix(name, read) {
			return true
		}
	}
	return false
}

// isData tells CloudTrail's data events from its management events.
func isData(service, operation string) bool {
	return service == "lambda" && strings.HasPrefix(operation, "Invoke") || service == "logs" && operation == "PutLogEvents"
}

// newEventID makes a UUID that carries the time (RFC 9562 section 5.7), so that the event is
// found by it without an index.
func newEventID(at time.Time, random io.Reader) (string, error) {
	var b [10]byte
	_, err := io.ReadFull(random, b[:])
	return uuid.V7(at, b), err
}

// timeOfID reads the time in an event id.
func timeOfID(id string) (time.Time, bool) {
	if len(id) != 36 || id[14] != '7' {
		return time.Time{}, false
	}
	ms, err := strconv.ParseUint(id[:8]+id[9:13], 16, 64)
	return time.UnixMilli(int64(ms)), err == nil
}

// cut bounds a text without breaking a character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}
