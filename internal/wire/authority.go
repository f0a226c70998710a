package wire

import (
	"context"
	"errors"

	"moat/internal/pure/policy"
)

// Errors of [Authority.Credential]. Any other error means that the authority
// could not look: the call then fails, it is never let through.
var (
	ErrUnknownKey   = errors.New("wire: no such access key")
	ErrBadToken     = errors.New("wire: the session token does not belong to the access key")
	ErrExpiredToken = errors.New("wire: the session has expired")
)

// Credential is an access key's secret and the caller that it proves.
type Credential struct {
	Secret string
	Caller Caller
	// NotFor is the action prefix of the API ("iam") to whose calls the credential
	// is none, whatever its caller may do; "" when it serves for all.
	NotFor string
}

// Authority knows access keys and decides what their holders may do. It is safe
// for concurrent use.
type Authority interface {
	// Credential finds an access key. The session token is the one that came
	// with the request, empty when none did; a temporary key without its token
	// gives ErrBadToken. Disabled keys give ErrUnknownKey.
	Credential(ctx context.Context, accessKeyID, sessionToken string) (Credential, error)
	// Authorize decides whether caller may do action on resource, an ARN or "*".
	// account owns the resource. A refusal tells how each statement was judged
	// ([policy.Decision.Considered]).
	Authorize(ctx context.Context, caller Caller, action, resource, account string, keys policy.Context) (policy.Decision, error)
}
