package function

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// api is the service as AWS's clients see it: its Invoke is the operation, where that of
// Service is for the rest of Moat.
type api struct{ *Service }

// Invoke runs a function for a caller that the wire layer has authorised, by the
// function's policy and the caller's own.
func (s api) Invoke(ctx context.Context, in *lambdaapi.InvocationRequest) (*lambdaapi.InvocationResponse, error) {
	c := s.call(ctx)
	ref, err := s.parseName(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if in.DurableExecutionName != nil || in.TenantId != nil {
		return nil, wire.NotImplementedBecause("lambda", "Invoke", "durable functions and tenant isolation are not built")
	}
	t, err := s.target(ctx, ref)
	if err != nil {
		return nil, err
	}
	inv := Invocation{Payload: in.Payload, Type: Type(in.InvocationType), RequestID: c.RequestID}
	if inv.ClientContext, err = clientContext(in.ClientContext); err != nil {
		return nil, err
	}
	res, err := s.invoke(ctx, ref, t, inv)
	if err != nil {
		return nil, s.exception(ref, err)
	}
	out := &lambdaapi.InvocationResponse{ExecutedVersion: &res.Version, Payload: res.Payload}
	switch inv.Type {
	case EventType:
		return &lambdaapi.InvocationResponse{StatusCode: wire.Int32(202)}, nil
	case DryRun:
		return &lambdaapi.InvocationResponse{StatusCode: wire.Int32(204), ExecutedVersion: &res.Version}, nil
	}
	out.StatusCode = wire.Int32(200)
	if res.FunctionError != "" {
		out.FunctionError = &res.FunctionError
	}
	if in.LogType == lambdaapi.LogTypeTail {
		out.LogResult = wire.String(base64.StdEncoding.EncodeToString(res.LogTail))
	}
	return out, nil
}

// clientContext decodes what a mobile client says about itself.
func clientContext(encoded *string) (string, error) {
	if wire.Value(encoded) == "" {
		return "", nil
	}
	b, err := base64.StdEncoding.DecodeString(*encoded)
	if err != nil || !json.Valid(b) || len(*encoded) > 3583 {
		return "", &lambdaapi.InvalidRequestContentException{Message: "Client context must be a valid Base64-encoded JSON object.", Type: wire.String("User")}
	}
	return string(b), nil
}

// exception words an error of an invocation as Lambda does.
func (s *Service) exception(ref reference, err error) error {
	var e wire.Exception
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, ErrThrottled):
		return &lambdaapi.TooManyRequestsException{Message: "Rate Exceeded.", Type: wire.String("User"), Reason: lambdaapi.ThrottleReasonConcurrentInvocationLimitExceeded}
	case errors.Is(err, ErrRuntimeMissing):
		return &lambdaapi.InvalidRuntimeException{Message: err.Error(), Type: wire.String("User")}
	case errors.Is(err, ErrRole):
		return wire.NewError(403, "AccessDeniedException", "The role defined for the function cannot be assumed by Lambda.")
	case errors.Is(err, ErrIsolation):
		s.cfg.Log.Error("a function was not run", "function", ref.arn(), "error", err)
		return &lambdaapi.ServiceException{Message: "This server cannot isolate functions, so it does not run them.", Type: wire.String("Service")}
	}
	return err
}
