package iam

import (
	"context"
	"strconv"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/wire"
)

// mfaKey tells authorizeTrust that the call shows a second factor. No request
// can set it.
const mfaKey = "\x00mfa"

// checkMFA verifies the second factor of a call. shown is false when the call
// brings none.
func (s *sts) checkMFA(ctx context.Context, caller wire.Caller, serial, code *string) (shown bool, err error) {
	switch {
	case serial == nil && code == nil:
		return false, nil
	case serial == nil || code == nil:
		return false, accessDenied("MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.")
	}
	// A second factor belongs to a user with a long-lived key; sessions and the
	// root of this installation have none.
	if caller.Kind != policy.PrincipalUser {
		return false, accessDenied(wrongDevice)
	}
	if err := s.verifyMFA(ctx, caller.ARN[strings.LastIndexByte(caller.ARN, '/')+1:], *serial, *code); err != nil {
		return false, err
	}
	return true, nil
}

// withMFAAge gives a principal the keys of a second factor that was shown so many
// seconds ago. The original, which calls share, is not changed.
func withMFAAge(who policy.Principal, age int64) policy.Principal {
	keys := make(policy.Context, len(who.Context)+2)
	for k, v := range who.Context {
		keys[k] = v
	}
	keys.Set("aws:MultiFactorAuthPresent", "true")
	keys.Set("aws:MultiFactorAuthAge", strconv.FormatInt(max(age, 0), 10))
	who.Context = keys
	return who
}
