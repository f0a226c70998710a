package gateway

import (
	"context"

	"moat/internal/pure/policy"
	"moat/internal/wire"
)

// Invoker runs a function. An error of [ErrFunctionNotPermitted], [ErrFunctionNotFound],
// [ErrFunctionPayload] or [ErrFunctionThrottled] (wrapped or not) is answered as AWS does; any other counts as a failed integration.
type Invoker interface {
	Invoke(ctx context.Context, inv Invocation) (Result, error)
}

// Invocation is one call of a function on behalf of an API.
type Invocation struct {
	// FunctionARN may carry a qualifier.
	FunctionARN string
	Payload     []byte
	// Service is the calling service principal, "apigateway.amazonaws.com"; the
	// function's resource policy must let it in for SourceARN.
	Service       string
	SourceARN     string
	SourceAccount string
	RequestID     string
	// Trace is the X-Ray trace header of the invocation.
	Trace string
	// Role, when set, is the role ARN with whose rights the function is called
	// instead of by its resource policy.
	Role string
	// Caller, when set, is the signed-in caller whose own rights count (credentials
	// "arn:aws:iam::*:user/*"), and Conditions the condition keys of its request.
	Caller     *wire.Caller
	Conditions policy.Context
	// Event says that the caller does not wait for the answer.
	Event bool
}

// Result is a function's answer. FunctionError is empty, "Handled" or "Unhandled".
type Result struct {
	Payload       []byte
	FunctionError string
	LogTail       []byte
}
