package wire

import "moat/internal/pure/policy"

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
	if x.p.cfg.EncodeRefusal != nil && x.r != nil {
		x.refused = x.p.cfg.EncodeRefusal(r)
	}
	return x.call.AccessDenied(Denial(r.Caller, r.Action, r.Resource, r.Decision))
}
