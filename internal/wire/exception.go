package wire

import (
	"fmt"
	"net/http"
)

// Exception is an error that reaches the client as AWS would send it: a code, an
// HTTP status and a message. Generated exceptions implement it; those with
// members of their own are encoded as structures too. A status below 500 says that
// the fault is the sender's.
type Exception interface {
	error
	ErrorCode() string
	HTTPStatus() int
	ErrorMessage() string
}

type plainException struct {
	status        int
	code, message string
}

// NewError makes an exception that no model lists, such as the ones common to
// all APIs (ValidationError, AccessDenied).
func NewError(status int, code, message string) Exception {
	return &plainException{status: status, code: code, message: message}
}

// NotImplemented is the answer of an operation that this server does not have:
// status 501, code NotImplemented.
func NotImplemented(service, operation string) Exception {
	return NewError(http.StatusNotImplemented, "NotImplemented",
		fmt.Sprintf("Moat does not implement %s %s.", service, operation))
}

// NotImplementedBecause is the answer when an operation exists but a member or a
// mode that the request asks for does not; reason is a sentence without its
// first capital ("the explicit flow CUSTOM_AUTH_FLOW_ONLY is not supported").
func NotImplementedBecause(service, operation, reason string) Exception {
	return NewError(http.StatusNotImplemented, "NotImplemented",
		fmt.Sprintf("Moat does not implement this call of %s %s: %s", service, operation, reason))
}

func (e *plainException) Error() string        { return e.code + ": " + e.message }
func (e *plainException) ErrorCode() string    { return e.code }
func (e *plainException) HTTPStatus() int      { return e.status }
func (e *plainException) ErrorMessage() string { return e.message }
