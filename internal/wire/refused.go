package wire

import (
	"context"

	"moat/internal/pure/policy"
)

// MessageHeader is the header of a refusal that carries the encoded authorization
// message, for sts:DecodeAuthorizationMessage. AWS's services that Moat serves put
// no such message into their sentences, so it stands beside them.
const MessageHeader = "X-Moat-Authorization-Message"

// Refused is a decision against a caller.
type Refused struct {
	Caller           Caller
	Action, Resource string
	Decision         policy.Decision
	Keys             policy.Context // condition keys of the request
}

// deny notes the refusal for the answer's header and gives it AWS's words.
func (x *exchange) deny(r Refused) error {
	x.call.noteRefusal(r)
	return x.call.AccessDenied(Denial(r.Caller, r.Action, r.Resource, r.Decision))
}

// NoteRefusal tells the answer of the call that ctx carries why a service itself
// refuses it: its encoded message goes into the header. It does nothing where
// there is no such call, or one inside of the process.
func NoteRefusal(ctx context.Context, r Refused) { CallFrom(ctx).noteRefusal(r) }

func (c *Call) noteRefusal(r Refused) {
	if c.refusal == nil || c.refusal.encode == nil {
		return
	}
	message := c.refusal.encode(r)
	c.refusal.mu.Lock()
	c.refusal.message = message
	c.refusal.mu.Unlock()
}
