package stack

import (
	"context"
	"io"
	"log/slog"
	"time"

	"moat/internal/service/stack/template"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
	"moat/internal/wire/cloudformationapi"
	"moat/internal/wire/cognitoidentityapi"
	"moat/internal/wire/cognitoidpapi"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/lambdaapi"
	"moat/internal/wire/logsapi"
	"moat/internal/wire/ssmapi"
)

// Services are the in-process clients through which handlers act. Calls carry the
// caller of the operation in their context and are authorised like any other.
type Services struct {
	UserPools     cognitoidpapi.Service
	IdentityPools cognitoidentityapi.Service
	IAM           iamapi.Service
	Lambda        lambdaapi.Service
	APIGateway    apigatewayapi.Service
	SSM           ssmapi.Service
	Logs          logsapi.Service
}

// Packager makes a deployment package of a folder with a function's code.
type Packager interface {
	// Package returns a zip that is the same for the same files.
	Package(ctx context.Context, dir string, build BuildMethod) ([]byte, error)
}

// BuildMethod is the Metadata of a function that says how its code is built: the
// members of SAM's Metadata that matter here.
type BuildMethod struct {
	Name         string // BuildMethod: "" (files as they are), go1.x, provided.al2023 or makefile
	LogicalID    string // makefile builds the target build-<LogicalID>
	Architecture string // x86_64 or arm64
}

// Roles knows the service roles that stacks are told to act with (RoleARN).
type Roles interface {
	// PassRole returns nil when the caller may give a role to a service, and else the
	// exception to answer with.
	PassRole(ctx context.Context, caller wire.Caller, roleARN, service string) error
	// AssumeServiceRole makes a service that acts for source, an ARN, a session of a role.
	// ok is false when the role does not exist or does not trust the service.
	AssumeServiceRole(ctx context.Context, roleARN, service, session, source string) (who wire.Caller, ok bool, err error)
}

// Config holds what a [Service] needs.
type Config struct {
	DB      *store.DB
	Now     func() time.Time
	Rand    io.Reader
	Log     *slog.Logger
	Account string
	BaseURL string // "http://localhost:4566": stack outputs name this address for what is served here
	Domain  string

	Services Services
	Packager Packager // nil: functions with code in a local folder are refused
	Roles    Roles    // nil: RoleARN answers 501

	// PackageDir keeps the packages of deployed functions by content hash, so that
	// an update can be rolled back. "" keeps them in memory.
	PackageDir string

	// Shared says that other nodes use the same database: an operation of theirs is
	// taken over only when it has shown no sign of life for a while.
	Shared bool

	// Handlers replaces or adds handlers by resource type; tests use it.
	Handlers map[string]Handler
}

// StackInfo names the stack that a resource belongs to.
type StackInfo struct {
	ID, Name, Account, Region string
}

// Request is what a handler is asked to do to one resource. Properties are resolved:
// no intrinsic function is left in them.
type Request struct {
	Stack      StackInfo
	LogicalID  string
	Type       string
	Name       string // a name that is unique to this resource, for templates that give none
	Properties *template.Value
	Previous   *template.Value   // Update: the properties until now
	PhysicalID string            // Update, Delete
	Attributes map[string]string // Update, Delete: as the handler returned them
	Tags       map[string]string // tags of the stack
	// PreviousTags are, for Update, the stack's tags when Previous was in force.
	PreviousTags map[string]string
	Since        time.Time                    // Find: when the operation began
	Known        func(physicalID string) bool // Find: whether some stack has the resource
	Package      func(key string) ([]byte, error)
}

// State is a deployed resource.
type State struct {
	PhysicalID string
	Ref        string            // what Ref gives; "" means PhysicalID
	Attributes map[string]string // what Fn::GetAtt gives
}

// Handler knows one resource type. Create and Delete are required. Delete of what is
// not there succeeds. Without Update every change replaces the resource.
type Handler struct {
	Create func(ctx context.Context, r *Request) (State, error)
	Update func(ctx context.Context, r *Request) (State, error)
	Delete func(ctx context.Context, r *Request) error

	// Find returns the resource if an earlier Create with the same request made it,
	// although its answer was lost; PhysicalID is one that is not meant (the resource
	// that was to be replaced). Nil: such a resource cannot be found.
	Find func(ctx context.Context, r *Request) (State, bool, error)

	// Claims reports that nothing but the name, which the template gives, tells whose
	// the resource is. Its creation is journalled before it is tried, and only a
	// resource that did not exist before counts as made by the stack.
	Claims func(r *Request) bool

	// Shapes are the inputs that properties become. What a template says of them is held to the
	// contract before anything is made.
	Shapes []Shape

	// Refuses lists what properties ask for that cannot be carried. It is asked before anything is
	// made, with what is known then: expressions about resources stand as they are.
	Refuses func(known *template.Value) []Refusal

	// Replaces reports a change that needs a new resource, beyond what the schema says.
	Replaces func(r *Request) bool
}

// Shape is an input of an operation that properties are decoded into.
type Shape struct {
	At        string            // where the properties stand: "", "Integration" or "MethodResponses.*"
	Operation string            // "apigateway:CreateStage"
	Rename    map[string]string // as decode takes it
}

// Refusal is a property that cannot be carried, and why.
type Refusal struct{ Property, Why string }

// Event is one line of a stack's history.
type Event struct {
	ID         string
	Time       time.Time
	StackID    string
	StackName  string
	LogicalID  string
	PhysicalID string
	Type       string
	Status     string
	Reason     string
	Token      string
}

// DeployInput is a template to deploy and how.
type DeployInput struct {
	Name         string
	Template     []byte
	File         string // name of the template in messages; paths in it are relative to Dir
	Dir          string // "" refuses functions with code in a local folder
	Beyond       bool   // paths may lead out of Dir: the template is the operator's own
	Parameters   map[string]string
	Tags         map[string]string
	Capabilities []string // nil acknowledges everything: who deploys a file has read it
	RoleARN      string
	Progress     func(Event) // called in order, from one goroutine at a time; may be nil
}

// Result says what a deployment came to.
type Result struct {
	StackID string
	Name    string
	Status  string
	Changed bool // false: the template was deployed already
	Outputs map[string]string
}

// New builds the service and creates its tables. It starts nothing: see [Service.Run].
func New(cfg Config) (*Service, error) { return newService(cfg) }

// APIs returns the CloudFormation API.
func (s *Service) APIs() []*wire.API { return []*wire.API{s.api} }

var _ cloudformationapi.Service = (*Service)(nil)
