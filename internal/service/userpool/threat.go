package userpool

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// RiskConfiguration is what a pool does about risks, or one of its clients in place of it.
type RiskConfiguration struct {
	Pool, Client string // Client is "" for the pool's own
	ModifiedAt   time.Time
	Compromised  *api.CompromisedCredentialsRiskConfigurationType
	Takeover     *api.AccountTakeoverRiskConfigurationType
	Exceptions   *api.RiskExceptionConfigurationType
}

func errSecurity() error {
	return refuse(notAuthorized, "Unable to login because of security reasons.")
}

// origin is where a request of a user comes from, as its operation tells: the context
// that an administrator's server sends, or a user's own.
type origin struct {
	admin *api.ContextDataType
	user  *api.UserContextDataType
}

// threat is what threat protection has to know of one request. The zero value protects
// from nothing: it is that of a pool where it is off.
type threat struct {
	mode    api.AdvancedSecurityModeType
	custom  api.AdvancedSecurityEnabledModeType // for CUSTOM_AUTH
	config  RiskConfiguration
	address netip.Addr // not valid: unknown
	device  string     // an opaque signal by which a device is recognised
	agent   string     // what the device calls itself
}

// on says whether requests are judged at all.
func (t *threat) on() bool {
	return t.mode == api.AdvancedSecurityModeTypeAUDIT || t.mode == api.AdvancedSecurityModeTypeENFORCED
}

// judges says whether sign-ins of a flow are judged; CUSTOM_AUTH has a setting of its own.
func (t *threat) judges(flow api.AuthFlowType) bool {
	return t.on() && (flow != api.AuthFlowTypeCUSTOM_AUTH || t.custom != "")
}

// enforces says whether a judgement has consequences.
func (t *threat) enforces(flow api.AuthFlowType) bool {
	if flow == api.AuthFlowTypeCUSTOM_AUTH {
		return t.on() && t.custom == api.AdvancedSecurityEnabledModeTypeENFORCED
	}
	return t.mode == api.AdvancedSecurityModeTypeENFORCED
}

// threatOf reads what applies to a request. It costs a read only where protection is on.
func (s *Service) threatOf(ctx context.Context, p *Pool, c *Client, from origin) (threat, error) {
	var t threat
	if a := p.Settings.AddOns; a != nil {
		t.mode = a.AdvancedSecurityMode
		if f := a.AdvancedSecurityAdditionalFlows; f != nil {
			t.custom = f.CustomAuthMode
		}
	}
	if !t.on() {
		return t, nil
	}
	t.locate(ctx, c, from)
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		t.config, err = s.riskConfiguration(tx, p.ID, c.ID)
		return err
	})
	return t, err
}

// riskConfiguration is what applies to a client: its own configuration, or else the pool's. It is
// shared: nothing in it may be changed.
func (s *Service) riskConfiguration(tx *store.Tx, poolID, clientID string) (RiskConfiguration, error) {
	for _, id := range slices.Compact([]string{clientID, ""}) {
		c, err := s.tables.risks.Look(tx, poolID, id)
		if err == nil || missing(err, notFound, "") == err {
			return c, err
		}
	}
	return RiskConfiguration{Pool: poolID}, nil
}

// locate finds out where a request comes from. A user's own word for his address counts
// only from a confidential client that may pass it on: anybody else would choose it.
func (t *threat) locate(ctx context.Context, c *Client, from origin) {
	call := wire.CallFrom(ctx)
	address, agent, encoded := call.SourceIP, call.UserAgent, ""
	switch {
	case from.admin != nil:
		address, agent, encoded = from.admin.IpAddress, "", deref(from.admin.EncodedData)
		for _, h := range from.admin.HttpHeaders {
			if isUserAgent(deref(h.HeaderName)) {
				agent = deref(h.HeaderValue)
			}
		}
	case from.user != nil:
		encoded = deref(from.user.EncodedData)
		if ip := deref(from.user.IpAddress); ip != "" && wire.Value(c.Settings.PropagateUserContext) && len(c.Secrets) > 0 {
			address = ip
		}
	}
	if a, err := netip.ParseAddr(address); err == nil {
		t.address = a.Unmap().WithZone("")
	}
	t.agent = agent[:min(len(agent), maxAgent)]
	t.device = deviceSignal(encoded, agent)
}

// within says whether the request's address is in one of the ranges.
func (t *threat) within(ranges []string) bool {
	return t.address.IsValid() && slices.ContainsFunc(ranges, func(r string) bool {
		prefix, err := parseRange(r)
		return err == nil && prefix.Contains(t.address)
	})
}

// admit refuses addresses from which nobody may even try.
func (t *threat) admit() error {
	if e := t.config.Exceptions; t.mode == api.AdvancedSecurityModeTypeENFORCED && e != nil && t.within(e.BlockedIPRangeList) {
		return refuse(notAuthorized, "Request not allowed due to security reasons.")
	}
	return nil
}

// skipped says whether the address is one that is not judged.
func (t *threat) skipped() bool {
	e := t.config.Exceptions
	return e != nil && t.within(e.SkippedIPRangeList)
}

// parseRange reads an address range: CIDR notation, or one address.
func parseRange(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, err
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96), nil
	}
	return p.Masked(), nil
}

// leaked says whether a password is one that attackers have, where the configuration
// watches the event. Addresses that are not judged are not asked about.
func (s *Service) leaked(t *threat, event api.EventFilterType, password string) (bool, error) {
	c := t.config.Compromised
	if !t.on() || c == nil || t.skipped() || len(c.EventFilter) > 0 && !slices.Contains(c.EventFilter, event) {
		return false, nil
	}
	return s.breached.Has(password)
}

// refusesLeaked says whether such a password is refused, not only noted.
func (t *threat) refusesLeaked() bool {
	c := t.config.Compromised
	return t.mode == api.AdvancedSecurityModeTypeENFORCED && c != nil && c.Actions != nil && c.Actions.EventAction == api.CompromisedCredentialsEventActionTypeBLOCK
}

// checkLeaked refuses a new password that attackers have. It does I/O: the list may be
// a file.
func (s *Service) checkLeaked(t *threat, event api.EventFilterType, password string) (noted bool, err error) {
	noted, err = s.leaked(t, event, password)
	if err == nil && noted && t.refusesLeaked() {
		err = refuse(invalidPassword, "Provided password cannot be used for security reasons.")
	}
	return noted, err
}
