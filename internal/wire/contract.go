package wire

import (
	"context"
	"reflect"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
)

// Operation is one call of an AWS API: its binding to HTTP, the Go types of its
// two messages and the service method behind it. Generated code builds the
// table anew for each service value, so a table may be kept but not shared.
type Operation struct {
	Name   string // SignUp
	Method string // HTTP method; POST for json and query
	Path   string // URI template of the REST protocols ("/2015-03-31/functions/{FunctionName}"), may carry a fixed query; "/" otherwise
	Status int    // HTTP status of success; 200 unless the model says otherwise

	// Action is what the caller must be allowed to do, as IAM policies name it:
	// mostly Signing:Name, but "lambda:InvokeFunction" for Invoke, and API
	// Gateway names its actions by HTTP method ("apigateway:PATCH").
	Action string

	// Access is the kind of action: Read, Write, List, Tagging or Permissions.
	// On are the ARN patterns of what it acts on ("*" when there is none), Keys
	// the condition keys beside those that every request has, Also the actions
	// that some inputs ask for as well (Service Authorization Reference).
	Access         string
	On, Keys, Also []string

	// Unsigned is true where the model says that the call carries no signature
	// (authtype none, or noAuth as an accepted scheme).
	Unsigned bool

	Input, Output reflect.Type // struct types, not pointers
	ResultWrapper string       // element around the members of an answer of the query protocol

	// BodyPath is what AWS writes before the path of a member of the request's
	// body in a validation error ("createRestApiInput"), where it writes
	// anything at all: API Gateway does, for members that are in no header,
	// URI or query string.
	BodyPath string

	Errors []string // codes of the exceptions that the model lists, as ErrorCode gives them

	NewInput func() any                                     // a new *Input
	Call     func(ctx context.Context, in any) (any, error) // in is a *Input, the result a *Output, never nil without an error
	Validate func(in any, v *Violations)                    // every constraint but a missing scalar; nil when there is none
}

// API is one AWS API as a service offers it.
type API struct {
	Package      string // Go package of the contract: cognitoidpapi
	Endpoint     string // endpoint prefix, the first label of AWS's host name: cognito-idp
	Signing      string // service name in the credential scope of a signature
	Action       string // prefix of IAM actions: "cognito-idp" in "cognito-idp:SignUp"
	Protocol     string // json, query, rest-json or rest-xml
	TargetPrefix string // X-Amz-Target before the dot (json)
	JSONVersion  string // "1.0" or "1.1" (json)
	Version      string // API version: 2016-04-18
	Namespace    string // XML namespace of answers (query, rest-xml)

	Operations []Operation
	NotTaken   []string // operations of AWS's model that this contract leaves out: they answer 501 as well

	// Payloads are the forms of an unproven or chunked body that the API permits. A
	// service sets it; AWS has them for S3 alone.
	Payloads sigv4.Payloads

	// PolicyOf returns the policy that a resource has of its own, nil when it has
	// none. A service whose resources have policies sets it.
	PolicyOf func(ctx context.Context, c *Call, resource string) (*policy.Document, error)

	// Resources names what a call needs permission for. A service sets it; nil,
	// and no need at all, mean the operation's action on "*", for API Gateway on
	// the path of the call. That is in c.Resource already.
	Resources func(c *Call, op string, in any) []Need

	// Resource renames what the path of a call names, c.Resource, where the input says more of it; nil:
	// nothing is renamed. It must not read anything else.
	Resource func(c *Call, in any) string

	// PlainFirst says that Resources is work, or reads what its caller may not see. The operation's
	// own action on c.Resource is then decided before it, without the keys that it brings; a
	// refusal that none of them could turn ends the call there.
	PlainFirst bool
}

// ByName returns the operations by their names.
func (a *API) ByName() map[string]*Operation {
	out := make(map[string]*Operation, len(a.Operations))
	for i := range a.Operations {
		out[a.Operations[i].Name] = &a.Operations[i]
	}
	return out
}

// Need is one permission that a call needs. A call goes on when its caller has all.
type Need struct {
	Action   string         // empty for the operation's own
	Resource string         // an ARN, or "*"
	Keys     policy.Context // condition keys of the operation and the resource; may be nil
}

// Needs is the need of an operation's own action on each of arns, with the same keys.
func Needs(keys policy.Context, arns ...string) []Need {
	out := make([]Need, len(arns))
	for i, a := range arns {
		out[i] = Need{Resource: a, Keys: keys}
	}
	return out
}

// Caller is who makes a call: the principal, and the access key that proved it.
// The zero value is anonymous.
type Caller struct {
	policy.Principal
	AccessKeyID string
}

// Call describes the running AWS call to the service method that serves it.
type Call struct {
	RequestID string
	Service   string // endpoint prefix
	Operation string
	Account   string
	Region    string
	SourceIP  string
	Host      string
	UserAgent string
	Referer   string
	Secure    bool // arrived over TLS
	Time      time.Time
	Caller    Caller
	Resource  string // what the call was authorised on: an ARN or "*"
	Via       string // service principal that calls on the caller's behalf ("cloudformation.amazonaws.com"); empty for a call from outside
	// ByServiceRole: Via acts in a role of its own, and so on nobody's behalf.
	ByServiceRole bool

	checks   *checks         // decisions about this call; nil when nobody records them
	refusal  *refusalMessage // the refusal that its answer tells of; nil for a call inside of the process
	protocol string          // how a refusal looks
}

type callKey struct{}

// WithCall returns a context that carries c.
func WithCall(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallFrom returns the call that ctx carries, or an empty one (an anonymous
// caller, no region) when it carries none. It is never nil.
func CallFrom(ctx context.Context) *Call {
	if c, ok := ctx.Value(callKey{}).(*Call); ok && c != nil {
		return c
	}
	return &Call{}
}

// Invoker calls an operation inside the process, through the same validation
// and authorisation as a call from outside. api is the endpoint prefix; in is a
// pointer to the input, out a pointer to an empty output that is filled in.
// Generated clients are written on it.
type Invoker interface {
	Invoke(ctx context.Context, api, operation string, in, out any) error
}

// Bind completes op with the types of a service method and a call of it.
// Generated operation tables are made of it.
func Bind[I, O any](op Operation, f func(context.Context, *I) (*O, error)) Operation {
	op.Input, op.Output = reflect.TypeFor[I](), reflect.TypeFor[O]()
	op.NewInput = func() any { return new(I) }
	op.Call = func(ctx context.Context, in any) (any, error) {
		out, err := f(ctx, in.(*I))
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = new(O)
		}
		return out, nil
	}
	return op
}

// Invoke calls an operation through inv and returns its output. Generated
// clients are made of it.
func Invoke[O any](ctx context.Context, inv Invoker, api, operation string, in any) (*O, error) {
	out := new(O)
	if err := inv.Invoke(ctx, api, operation, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Ptr returns a pointer to a copy of v.
func Ptr[T any](v T) *T { return &v }

// Value returns what p points to, or the zero value when p is nil.
func Value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// String returns a pointer to s.
func String(s string) *string { return &s }

// Int32 returns a pointer to n.
func Int32(n int32) *int32 { return &n }

// Int64 returns a pointer to n.
func Int64(n int64) *int64 { return &n }

// Bool returns a pointer to b.
func Bool(b bool) *bool { return &b }

// Float64 returns a pointer to f.
func Float64(f float64) *float64 { return &f }

// Time returns a pointer to t.
func Time(t time.Time) *time.Time { return &t }
