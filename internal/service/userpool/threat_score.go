package userpool

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

const (
	// remembered is how many of a user's past sign-ins a new one is compared with.
	remembered = 50
	// recently is how far back failures make a sign-in unusual.
	recently = time.Hour
	// manyFailures of one user, manyUsers from one network: recently, both are unusual.
	manyFailures = 3
	manyUsers    = 5
	maxSprayed   = 20
	maxAgent     = 256
)

// Sprayer counts of whom a sign-in from one network failed, within a window.
type Sprayer struct {
	Pool, Network string
	Users         []string
	Since         time.Time
}

func isUserAgent(header string) bool { return strings.EqualFold(header, "User-Agent") }

// deviceSignal is by what a device is recognised: the fingerprint or id in the data
// that a client's library has collected, or else what the browser calls itself. It
// proves nothing, since all of it can be copied; it only can be new.
func deviceSignal(encoded, agent string) string {
	what := agent
	if raw, err := base64.StdEncoding.DecodeString(encoded); err == nil && len(raw) > 0 {
		var outer struct {
			Payload string `json:"payload"`
		}
		var inner struct {
			Context struct {
				ID          string `json:"DeviceId"`
				Fingerprint string `json:"DeviceFingerprint"`
			} `json:"contextData"`
		}
		if json.Unmarshal(raw, &outer) == nil && json.Unmarshal([]byte(outer.Payload), &inner) == nil && inner.Context.ID+inner.Context.Fingerprint != "" {
			what = inner.Context.ID + "\x00" + inner.Context.Fingerprint
		}
	}
	if what == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(what))
	return hex.EncodeToString(sum[:8])
}

// networkOf is what an address has in common with its neighbours: people move within it.
func networkOf(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// assess scores a sign-in whose first proof was right, by what is known here: whether
// the user has signed in from this network and with this device before, whether many
// attempts at the user failed lately, and whether sign-ins of many users failed from
// this network. The first sign-in of all has nothing to be compared with. Where an
// address lies is not known, and so neither is how fast somebody travelled.
func (s *Service) assess(tx *store.Tx, t *threat, u *User) (api.RiskLevelType, error) {
	known, err := s.tables.authEvents.List(tx, store.Query{Index: "outcome", Values: []string{u.Pool, u.Key, string(api.EventResponseTypePass)}, Reverse: true, Limit: remembered})
	if err != nil {
		return "", err
	}
	failed, err := s.tables.authEvents.List(tx, store.Query{Index: "outcome", Values: []string{u.Pool, u.Key, string(api.EventResponseTypeFail)}, Reverse: true, Limit: remembered})
	if err != nil {
		return "", err
	}
	sprayed, err := s.sprayed(tx, u.Pool, networkOf(t.address))
	if err != nil {
		return "", err
	}
	points, lately := 0, 0
	for _, e := range failed {
		if e.Feedback == string(api.FeedbackValueTypeValid) { // it was the user, whatever we thought
			known = append(known, e)
		} else if s.time().Sub(e.At) < recently {
			lately++
		}
	}
	known = slices.DeleteFunc(known, func(e AuthEvent) bool {
		return e.Sub != u.Sub || e.Type != string(api.EventTypeSignIn) || e.Feedback == string(api.FeedbackValueTypeInvalid)
	})
	if len(known) > 0 {
		if !slices.ContainsFunc(known, func(e AuthEvent) bool { return e.Network == networkOf(t.address) }) {
			points++
		}
		if !slices.ContainsFunc(known, func(e AuthEvent) bool { return e.Signal == t.device }) {
			points++
		}
	}
	if lately >= manyFailures {
		points++
	}
	if len(sprayed.Users) >= manyUsers {
		points += 2
	}
	return []api.RiskLevelType{"", api.RiskLevelTypeLow, api.RiskLevelTypeMedium, api.RiskLevelTypeHigh}[min(points, 3)], nil
}

func (s *Service) sprayed(tx *store.Tx, poolID, network string) (Sprayer, error) {
	fresh := Sprayer{Pool: poolID, Network: network, Since: s.time()}
	if network == "" {
		return fresh, nil
	}
	x, err := s.tables.sprayers.Get(tx, poolID, network)
	if errors.Is(err, store.ErrNotFound) || err == nil && s.time().Sub(x.Since) >= recently {
		return fresh, nil
	}
	return x, err
}

// spray counts a failure against the network that it came from.
func (s *Service) spray(tx *store.Tx, t *threat, poolID, who string) error {
	x, err := s.sprayed(tx, poolID, networkOf(t.address))
	if err != nil || x.Network == "" || len(x.Users) >= maxSprayed || slices.Contains(x.Users, who) {
		return err
	}
	x.Users = append(x.Users, who)
	return s.tables.sprayers.Put(tx, x)
}

// action is what the configuration says of a level.
func (t *threat) action(level api.RiskLevelType) api.AccountTakeoverActionType {
	none := api.AccountTakeoverActionType{EventAction: api.AccountTakeoverEventActionTypeNO_ACTION}
	c := t.config.Takeover
	if c == nil || c.Actions == nil {
		return none
	}
	a := map[api.RiskLevelType]*api.AccountTakeoverActionType{
		api.RiskLevelTypeLow: c.Actions.LowAction, api.RiskLevelTypeMedium: c.Actions.MediumAction, api.RiskLevelTypeHigh: c.Actions.HighAction,
	}[level]
	if a == nil {
		return none
	}
	return *a
}

// riskFactor is the second factor that an attempt owes because it looked unusual. What
// the user has set up counts, whether he has switched it on or not. Nothing is set up
// in such a sign-in: whoever has only the password would set up a factor of his own.
func (p *Pool) riskFactor(u *User, at attempt) (api.ChallengeNameType, error) {
	risk := api.AccountTakeoverEventActionType(at.Risk)
	switch {
	case risk == "":
		return "", nil
	case risk != api.AccountTakeoverEventActionTypeMFA_IF_CONFIGURED && risk != api.AccountTakeoverEventActionTypeMFA_REQUIRED:
		return "", errSecurity()
	case p.passkeyIsMFA() && u.MFA.Passkey && at.has(provesPasskey) && at.has(provesVerification):
		return "", nil
	}
	var usable []string
	for _, mfa := range []string{mfaTOTP, mfaSMS, mfaEmail} {
		on := p.Settings.MFA.Mode != "" && p.Settings.MFA.Mode != string(api.UserPoolMfaTypeOFF) && p.Settings.MFA.has(mfa)
		if on && u.isSetUp(mfa, slices.Contains(u.MFA.Enabled, mfa)) && (len(at.Proven) == 0 || factorOf(mfa) != at.Proven[0]) {
			usable = append(usable, mfa)
		}
	}
	for _, mfa := range usable {
		if at.has(factorOf(mfa)) {
			return "", nil
		}
	}
	switch {
	case slices.Contains(usable, u.MFA.Preferred):
		return api.ChallengeNameType(u.MFA.Preferred), nil
	case len(usable) > 0:
		return api.ChallengeNameType(usable[0]), nil
	case risk == api.AccountTakeoverEventActionTypeMFA_REQUIRED:
		return "", errSecurity()
	}
	return "", nil
}

// owed is what an attempt still owes before tokens: to the pool's MFA setting first, and
// then to its own risk. device says that a remembered device stands for the first.
func (p *Pool) owed(u *User, at attempt, device bool) (api.ChallengeNameType, error) {
	name := api.ChallengeNameType("")
	if !device {
		name = p.secondFactor(u, at)
	}
	if name == "" || name == api.ChallengeNameTypeMFA_SETUP && at.Risk == string(api.AccountTakeoverEventActionTypeMFA_REQUIRED) {
		return p.riskFactor(u, at)
	}
	return name, nil
}
