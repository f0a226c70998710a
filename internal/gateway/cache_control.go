package gateway

import (
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/wire"
)

// actionInvalidate is what a caller does who asks for a fresh answer instead of a cached one.
const actionInvalidate = "execute-api:InvalidateCache"

// mayInvalidate reports whether the caller may have a fresh answer, which then replaces
// the cached one. What becomes of a caller who may not is the method's setting.
func (c *cacheRule) mayInvalidate(x *Exchange) (bool, error) {
	if c.Open {
		return true, nil
	}
	d, err := x.decideInvalidate()
	if err != nil {
		return false, refuse(Default5XX, "the caller's policies could not be read: "+err.Error())
	}
	switch {
	case d.Allowed:
		return true, nil
	case c.Unauthorized == "FAIL_WITH_403":
		return false, &Refusal{Kind: AccessDenied, Grounds: "the caller may not invalidate the cache: " + grounds(d),
			checks: []wire.Check{{Action: actionInvalidate, Resource: strings.Clone(x.methodARN()), Decision: d}}}
	case c.Unauthorized == "SUCCEED_WITHOUT_RESPONSE_HEADER":
	default:
		x.warning = `199 - "The Cache-Control header was ignored: the caller is not authorized to invalidate the cache"`
	}
	return false, nil
}

// decideInvalidate asks the policies that the route's authorisation goes by.
func (x *Exchange) decideInvalidate() (policy.Decision, error) {
	switch {
	case x.caller != nil:
		return x.decide(*x.caller, actionInvalidate)
	case x.granted != nil:
		d := x.askGrant(x.granted, actionInvalidate)
		if x.snap.policy != nil && !d.Explicit {
			if r := x.askResource(wire.Caller{}, actionInvalidate); r.Explicit || !d.Allowed {
				return r, nil
			}
		}
		return d, nil
	case x.snap.policy != nil:
		return x.askResource(wire.Caller{}, actionInvalidate), nil
	}
	return policy.Decision{Reason: "nothing allows " + actionInvalidate}, nil
}
