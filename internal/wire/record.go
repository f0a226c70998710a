package wire

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"moat/internal/pure/policy"
)

// Kinds of [Record].
const (
	KindAWS   = "aws"   // a call of an AWS API
	KindAPI   = "api"   // a request to a deployed API
	KindOAuth = "oauth" // a request to the OAuth endpoints and login pages
)

// Record says what happened to one request: who asked for what, what was
// answered, and which step decided on what grounds. The grounds are for
// operators; the caller never sees them.
type Record struct {
	Time      time.Time
	RequestID string
	Kind      string
	Method    string
	Path      string // escaped, without the query
	Service   string
	Operation string
	Account   string
	Region    string
	Host      string
	SourceIP  string
	UserAgent string
	Via       string // service that called on the caller's behalf
	Who       string // ARN of the caller, or what else names it; empty for nobody
	AccessKey string // access key id of the signature
	Caller    Caller // whom the signature proved; the zero value for nobody
	Action    string // what was asked for, as policies name it: ssm:GetParameter

	Status       int
	Step         string // the stage that ended the request: "encode" when all went well
	Grounds      string // why that stage decided so
	Resource     string // resource of the deciding authorisation
	ErrorCode    string
	ErrorMessage string
	Latency      time.Duration
	BytesIn      int64
	BytesOut     int64

	// Checks are the decisions that the request needed, in their order.
	Checks []Check
	// Input and Output are the messages of an AWS call, pointers to types of its contract; nil
	// where the call did not come so far. They hold secrets, and others may read them: who keeps
	// or shows anything of them leaves out what the contract calls sensitive.
	Input, Output any

	// Of a deployed API: where the request went and what it cost there.
	API, Stage, Route, KeyID string
	Integration              time.Duration
}

// Clone copies the texts of a record that may be views of a request, so that it may be kept.
func (r Record) Clone() Record {
	for _, s := range []*string{
		&r.RequestID, &r.Method, &r.Path, &r.Host, &r.SourceIP, &r.UserAgent, &r.Who, &r.AccessKey, &r.Grounds, &r.ErrorMessage, &r.API, &r.Stage,
	} {
		*s = strings.Clone(*s)
	}
	return r
}

// Check is one decision of the authority about a request: may its caller do Action to Resource.
type Check struct {
	Action, Resource string
	// PassedTo is the service that is given the role, of an iam:PassRole.
	PassedTo string
	Decision policy.Decision
}

// checks collects the decisions of one call.
type checks struct {
	mu  sync.Mutex
	all []Check
}

// NoteCheck adds a decision that a service made itself to the record of the call that ctx
// carries. It does nothing where there is no such call.
func NoteCheck(ctx context.Context, c Check) { CallFrom(ctx).note(c) }

func (c *Call) note(k Check) {
	if c.checks == nil {
		return
	}
	c.checks.mu.Lock()
	c.checks.all = append(c.checks.all, k)
	c.checks.mu.Unlock()
}

// refusalMessage holds the encoded message of the last refusal of a call. A service may go
// on with a call after its answer: hence the lock.
type refusalMessage struct {
	encode  func(Refused) string
	mu      sync.Mutex
	message string
}

func (r *refusalMessage) taken() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.message
}

func (c *checks) taken() []Check {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clip(c.all)
}
