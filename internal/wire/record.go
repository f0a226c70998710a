package wire

import "time"

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

	// Of a deployed API: where the request went and what it cost there.
	API, Stage, Route, KeyID string
	Integration              time.Duration
}
