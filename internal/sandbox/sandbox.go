// Package sandbox runs the process of a function behind the Lambda Runtime API.
//
// A [Host] keeps execution environments: a cold one is started for an invocation
// when no warm one of the same [Spec] is free, and is kept for the next. Each
// environment is one process tree of its own: on Linux it lives in its own user,
// mount, PID, IPC, UTS and network namespaces, on a read-only root in which only
// the system's libraries, the runtime and the package exist, without
// capabilities, behind Landlock and a seccomp filter, and within memory, CPU and
// process limits where the machine has writable control groups.
//
// The package knows processes, not functions: names, versions, roles and
// permissions are its caller's. It never passes a name to a shell, hands nothing
// of its own environment to a function, and runs nothing unisolated unless told so.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"io"
)

// Isolation says what to do where the machine cannot isolate a process.
type Isolation string

// The modes of isolation. The zero value is IsolationRequire.
const (
	IsolationRequire Isolation = "require" // refuse to run a function unisolated
	IsolationPrefer  Isolation = "prefer"  // isolate if the machine can, else run without and say so in the log
	IsolationNone    Isolation = "none"    // never isolate
)

// Network says what of the network a function reaches.
type Network string

// The networks. The zero value is NetworkNone.
const (
	// NetworkNone is a network namespace with a loopback interface only: the
	// Runtime API and the endpoint of [Config.Endpoint] are all that is there.
	NetworkNone Network = "none"
	// NetworkHost is the machine's network, its loopback included: a function
	// reaches the Internet, and everything that listens on this machine.
	NetworkHost Network = "host"
)

// Limits of the Lambda service ("Lambda quotas").
const (
	// MaxPayload is the largest request of a synchronous invocation, in bytes.
	MaxPayload = 6291456
	// MaxResponse is the largest answer of a function, in bytes.
	MaxResponse = 6291556
	// LogTailBytes is how much of the end of its log an invocation returns.
	LogTailBytes = 4096
)

// Errors of a Host. An error of the function itself is no error: it is a Result.
var (
	// ErrThrottled: the limit of concurrent invocations is reached.
	ErrThrottled = errors.New("the limit of concurrent executions is reached")
	// ErrClosed: the host is closed.
	ErrClosed = errors.New("the sandbox host is closed")
	// ErrPayloadTooLarge: the payload is larger than MaxPayload.
	ErrPayloadTooLarge = errors.New("the payload of the invocation is larger than 6 MB")
	// ErrIsolation is wrapped by every IsolationError.
	ErrIsolation = errors.New("this machine cannot isolate functions")
	// ErrRuntimeMissing is wrapped by every RuntimeError.
	ErrRuntimeMissing = errors.New("the runtime is not installed")
)

// IsolationError says which step of isolating a process the machine refused.
type IsolationError struct {
	Step string
	Err  error
}

func (e *IsolationError) Error() string {
	return fmt.Sprintf("%v: %s: %v", ErrIsolation, e.Step, e.Err)
}

// Unwrap makes errors.Is(err, ErrIsolation) and the cause both true.
func (e *IsolationError) Unwrap() []error { return []error{ErrIsolation, e.Err} }

// RuntimeError says in one sentence why a runtime cannot run here.
type RuntimeError struct {
	Runtime string
	Reason  string
}

func (e *RuntimeError) Error() string { return e.Reason }

// Unwrap makes errors.Is(err, ErrRuntimeMissing) true.
func (e *RuntimeError) Unwrap() error { return ErrRuntimeMissing }

// Config is what a Host needs.
type Config struct {
	// Dir is a folder of the host for its own small files. Empty: the temporary folder.
	Dir string
	// Executable is the program that calls RunShim first thing. Empty: this one.
	Executable string
	Isolation  Isolation
	Network    Network
	// EndpointPort is the port on 127.0.0.1 at which a function reaches Endpoint;
	// 0 means that there is none.
	EndpointPort int
	// Endpoint takes over each connection that a function without network makes
	// to EndpointPort. It runs in its own goroutine and closes the connection.
	Endpoint func(net.Conn)
	// DisableCgroups runs functions without memory, CPU and process-count groups.
	DisableCgroups bool
	// MaxEnvironments bounds the environments of all functions together. 0: 1000.
	MaxEnvironments int
	// IdleTimeout is how long a warm environment waits for work. 0: ten minutes.
	IdleTimeout time.Duration
	// Programs replaces the search of PATH for a runtime: "node" or "python3" to a path.
	Programs map[string]string
	Now      func() time.Time
	Rand     io.Reader
	Log      *slog.Logger
}

// Spec describes execution environments that are interchangeable. It must not
// change once it was used.
type Spec struct {
	// Key tells specs apart: two specs of one key share their environments.
	Key string
	// Group counts concurrency: usually the function, whatever its version.
	Group string
	// Limit bounds the concurrent invocations of the group; negative is unlimited.
	Limit int
	// Runtime is a name as Lambda has it: nodejs20.x, python3.12, provided.al2023.
	Runtime string
	Handler string
	// Package is the folder that becomes /var/task; Layers become /opt, the later on top.
	Package string
	Layers  []string
	// MemoryMB and EphemeralMB are the limits of memory and of /tmp.
	MemoryMB, EphemeralMB int
	// Timeout bounds one invocation.
	Timeout time.Duration
	// Start is called for each new environment.
	Start func(ctx context.Context, environmentID string) (Start, error)
}

// Start is what one environment is born with.
type Start struct {
	// Env is added to what the runtime itself needs, and overrides it.
	Env map[string]string
	// Expires: no invocation begins in the environment after this. Zero: never.
	Expires time.Time
	// Sink takes the environment's log. Nil: it is dropped.
	Sink LogSink
}

// LogSink takes the log of one environment, in order, from one goroutine at a
// time. It must not block.
type LogSink interface {
	Log(LogEvent)
}

// LogEvent is one line of a log, with its newline.
type LogEvent struct {
	Time    time.Time
	Message string
}

// Invocation is one call of a function.
type Invocation struct {
	RequestID       string
	Payload         []byte
	ARN             string // as it was invoked, with its qualifier
	Version         string
	TraceID         string
	ClientContext   string // JSON
	CognitoIdentity string // JSON
}

// Result is the outcome of an invocation.
type Result struct {
	Payload []byte
	// FunctionError is "Unhandled" when Payload describes an error of the function.
	FunctionError string
	// LogTail is the end of the invocation's log, at most LogTailBytes.
	LogTail []byte
	// Cold says that an environment was started for it.
	Cold         bool
	InitDuration time.Duration
	Duration     time.Duration
	MaxMemoryMB  int
}

// Capabilities says what this machine lets the host do.
type Capabilities struct {
	Isolated bool   // functions run in namespaces of their own
	Reason   string // why not
	Memory   bool   // memory is limited by a control group
	CPU      bool   // CPU is limited by a control group
	Pids     bool   // the number of processes is limited by a control group
	Cgroups  string // "v1", "v2" or ""
}
