package function

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/sandbox"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// Errors of Invoke, for callers that are not AWS clients. Each is wrapped with the
// sentence that AWS gives.
var (
	// ErrNotFound: there is no such function, version or alias.
	ErrNotFound = errors.New("the function does not exist")
	// ErrNotPermitted: the resource policy, or the caller's own, does not allow it.
	ErrNotPermitted = errors.New("the caller may not invoke the function")
	// ErrThrottled: the function, or the account, is at its limit of concurrency.
	ErrThrottled = errors.New("the function is at its limit of concurrent executions")
	// ErrRuntimeMissing: the program that runs the function is not installed.
	ErrRuntimeMissing = errors.New("the runtime of the function is not installed")
	// ErrIsolation: this machine cannot isolate functions, and must.
	ErrIsolation = errors.New("functions cannot be isolated on this machine")
	// ErrRole: the role of the function does not let Lambda assume it (any more).
	ErrRole = errors.New("the role of the function cannot be assumed")
	// ErrPayload: the payload is too large, or not JSON.
	ErrPayload = errors.New("the payload of the invocation is invalid")
)

// Type says whether an invocation waits for its outcome.
type Type string

// The types of invocation. The zero value is RequestResponse.
const (
	RequestResponse Type = "RequestResponse"
	EventType       Type = "Event"  // kept and run later, retried twice; nobody waits
	DryRun          Type = "DryRun" // only whether it would be permitted
)

// Invocation is one call of a function from within Moat.
type Invocation struct {
	// Function is a name, a partial ARN or an ARN, with or without qualifier.
	Function  string
	Qualifier string
	// Region is where a name without region is looked for. Empty: that of the ARN.
	Region  string
	Payload []byte // JSON; empty is {}
	Type    Type
	// RequestID names the invocation to the function. Empty: a new one.
	RequestID string
	// Service is the service principal that invokes, "apigateway.amazonaws.com". The
	// function's resource policy must let it in, for SourceARN and SourceAccount.
	Service                  string
	SourceARN, SourceAccount string
	// Caller is the IAM principal that invokes. Then its rights count, and those of
	// Service do not. Conditions are the condition keys of its request, which need
	// not hold the time.
	Caller     *wire.Caller
	Conditions policy.Context
	// ClientContext and CognitoIdentity are JSON for the function's context.
	ClientContext, CognitoIdentity string
	// Trace is the X-Ray trace header. Empty: a new one that is not sampled.
	Trace string
}

// Result is the outcome of an invocation.
type Result struct {
	Payload []byte
	// FunctionError is "Unhandled" when Payload describes an error of the function.
	FunctionError string
	LogTail       []byte
	Version       string
	RequestID     string
	Duration      time.Duration
	Cold          bool
}

// target is what a reference resolves to, ready to run.
type target struct {
	versions []*variant // more than one: an alias with weights, the main one first
	policy   *policy.Document
}

// variant is one version behind a reference.
type variant struct {
	weight float64 // of the additional ones
	number string
	spec   *sandbox.Spec
}

// Invoke checks that the caller may invoke the function, and does. What the function
// does, failing included, is a Result; the errors are those above.
func (s *Service) Invoke(ctx context.Context, inv Invocation) (Result, error) {
	call := *s.call(ctx)
	if inv.Region != "" {
		call.Region = inv.Region
	} else if m := functionName.FindStringSubmatch(inv.Function); m != nil && m[1] != "" {
		call.Region = m[1]
	}
	ref, err := s.parseName(&call, inv.Function, &inv.Qualifier)
	if err != nil {
		return Result{}, kindOf(err)
	}
	t, err := s.target(ctx, ref)
	if err != nil {
		return Result{}, kindOf(err)
	}
	if err := s.permit(ctx, ref, t, &inv); err != nil {
		return Result{}, err
	}
	return s.invoke(ctx, ref, t, inv)
}

// kindOf puts an AWS error under the kind that it is.
func kindOf(err error) error {
	var missing *lambdaapi.ResourceNotFoundException
	if errors.As(err, &missing) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

// permit asks the function's policy about a service, and the authority about a caller.
// Nobody is let in by default.
func (s *Service) permit(ctx context.Context, ref reference, t *target, inv *Invocation) error {
	keys := policy.Context{}
	for k, v := range inv.Conditions {
		keys.Set(k, v...)
	}
	now := s.cfg.Now().UTC()
	keys.Set("aws:CurrentTime", now.Format(time.RFC3339))
	keys.Set("aws:EpochTime", strconv.FormatInt(now.Unix(), 10))
	req := &policy.Request{Action: "lambda:InvokeFunction", Resource: ref.arn(), Account: ref.account, Context: keys}
	switch {
	case inv.Caller != nil && s.cfg.Authority != nil:
		d, err := s.cfg.Authority.AuthorizeResource(ctx, *inv.Caller, "lambda:InvokeFunction", ref.arn(), ref.account, t.policy, keys)
		if err != nil {
			return err
		}
		if d.Allowed {
			return nil
		}
	case inv.Caller == nil && inv.Service != "":
		req.Principal = policy.Principal{Kind: policy.PrincipalService, Service: inv.Service}
		if inv.SourceARN != "" {
			keys.Set("aws:SourceArn", inv.SourceARN)
		}
		if inv.SourceAccount != "" {
			keys.Set("aws:SourceAccount", inv.SourceAccount)
		}
		if t.policy != nil {
			if d := policy.Evaluate(req, &policy.Policies{Resource: t.policy}); d.Allowed {
				return nil
			}
		}
		return fmt.Errorf("%w: %s is not authorized to perform: lambda:InvokeFunction on resource: %s", ErrNotPermitted, inv.Service, ref.arn())
	}
	return fmt.Errorf("%w: lambda:InvokeFunction on resource: %s", ErrNotPermitted, ref.arn())
}

// invoke runs an invocation that is permitted.
func (s *Service) invoke(ctx context.Context, ref reference, t *target, inv Invocation) (Result, error) {
	if len(inv.Payload) == 0 {
		inv.Payload = []byte("{}")
	}
	limit := sandbox.MaxPayload
	if inv.Type == EventType {
		limit = maxEventPayload
	}
	if len(inv.Payload) > limit {
		return Result{}, fmt.Errorf("%w: %w", ErrPayload, &lambdaapi.RequestTooLargeException{
			Message: fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", limit), Type: wire.String("User"),
		})
	}
	if !json.Valid(inv.Payload) {
		return Result{}, fmt.Errorf("%w: %w", ErrPayload, &lambdaapi.InvalidRequestContentException{
			Message: "Could not parse request body into json: Could not parse payload into json.", Type: wire.String("User"),
		})
	}
	var err error
	if inv.RequestID == "" {
		if inv.RequestID, err = s.newID(); err != nil {
			return Result{}, err
		}
	}
	if inv.Trace == "" {
		if inv.Trace, err = s.newTrace(); err != nil {
			return Result{}, err
		}
	}
	v, err := s.pick(t)
	if err != nil {
		return Result{}, err
	}
	out := Result{RequestID: inv.RequestID, Version: v.number}
	switch inv.Type {
	case DryRun:
		return out, nil
	case EventType:
		return out, s.enqueue(ctx, ref, inv)
	}
	return s.run(ctx, ref, v, inv)
}

// run hands an invocation to the sandbox.
func (s *Service) run(ctx context.Context, ref reference, v *variant, inv Invocation) (Result, error) {
	res, err := s.host.Invoke(ctx, v.spec, sandbox.Invocation{
		RequestID: inv.RequestID, Payload: inv.Payload, ARN: ref.arn(), Version: v.number, TraceID: inv.Trace,
		ClientContext: inv.ClientContext, CognitoIdentity: inv.CognitoIdentity,
	})
	switch {
	case errors.Is(err, sandbox.ErrThrottled):
		err = fmt.Errorf("%w: %w", ErrThrottled, err)
	case errors.Is(err, sandbox.ErrRuntimeMissing):
		err = fmt.Errorf("%w: %w", ErrRuntimeMissing, err)
	case errors.Is(err, sandbox.ErrIsolation):
		err = fmt.Errorf("%w: %w", ErrIsolation, err)
	}
	return Result{
		Payload: res.Payload, FunctionError: res.FunctionError, LogTail: res.LogTail, Version: v.number,
		RequestID: inv.RequestID, Duration: res.Duration, Cold: res.Cold,
	}, err
}

// pick chooses between the versions of an alias by their weights.
func (s *Service) pick(t *target) (*variant, error) {
	if len(t.versions) == 1 {
		return t.versions[0], nil
	}
	var b [8]byte
	if _, err := io.ReadFull(s.cfg.Rand, b[:]); err != nil {
		return nil, err
	}
	x := float64(binary.LittleEndian.Uint64(b[:])>>11) / (1 << 53)
	for _, v := range t.versions[1:] {
		if x -= v.weight; x < 0 {
			return v, nil
		}
	}
	return t.versions[0], nil
}

// newTrace makes a trace header that asks for no sampling: some libraries report an
// error on every invocation that has none.
func (s *Service) newTrace() (string, error) {
	var b [20]byte
	if _, err := io.ReadFull(s.cfg.Rand, b[:]); err != nil {
		return "", err
	}
	return fmt.Sprintf("Root=1-%08x-%x;Parent=%x;Sampled=0", s.cfg.Now().Unix(), b[:12], b[12:]), nil
}

// target resolves a reference, from memory while nothing has changed.
func (s *Service) target(ctx context.Context, ref reference) (*target, error) {
	key := ref.arn()
	s.mu.Lock()
	t, gen := s.targets[key], s.gen
	s.mu.Unlock()
	if t != nil {
		return t, nil
	}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		var err error
		t, err = s.resolve(tx, ref)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.gen == gen { // else what was read may be old already
		s.targets[key] = t
	}
	s.mu.Unlock()
	for _, v := range t.versions {
		s.use(ref, v)
	}
	return t, nil
}

// use makes the environments of a version the current ones; those of an earlier state
// of it end.
func (s *Service) use(ref reference, v *variant) {
	name := ref.function() + ":" + v.number
	s.mu.Lock()
	old := s.specs[name]
	s.specs[name] = v.spec.Key
	s.mu.Unlock()
	if old != "" && old != v.spec.Key {
		s.host.Discard(old)
	}
}

// discard ends the environments of a function, or of one version of it.
func (s *Service) discard(ref reference) {
	var keys []string
	s.mu.Lock()
	for name, key := range s.specs {
		if name == ref.arn() || ref.qualifier == "" && len(name) > len(ref.arn()) && name[:len(ref.arn())+1] == ref.arn()+":" {
			keys = append(keys, key)
			delete(s.specs, name)
		}
	}
	s.mu.Unlock()
	for _, key := range keys {
		s.host.Discard(key)
	}
}

// resolve reads what a reference means.
func (s *Service) resolve(tx *store.Tx, ref reference) (*target, error) {
	f, v, err := s.find(tx, ref)
	if err != nil {
		return nil, err
	}
	t := &target{}
	add := func(v Version, weight float64) error {
		spec, err := s.spec(&f, &v)
		t.versions = append(t.versions, &variant{weight: weight, number: v.Number, spec: spec})
		return err
	}
	if err := add(v, 0); err != nil {
		return nil, err
	}
	if q := ref.qualifier; q != "" && q != latest && !isNumber(q) {
		a, err := s.tables.aliases.Get(tx, ref.account, ref.region, ref.name, q)
		if err != nil {
			return nil, err
		}
		for number, weight := range a.Weights {
			other, err := s.version(tx, &f, number)
			if err != nil {
				return nil, err
			}
			if err := add(other, weight); err != nil {
				return nil, err
			}
		}
	}
	t.policy, err = s.policy(tx, ref)
	return t, err
}
