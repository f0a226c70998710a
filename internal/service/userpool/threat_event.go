package userpool

import (
	"time"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

const (
	// eventLife is how long events are kept (Cognito developer guide: two years; here
	// as long as the trail answers).
	eventLife = 90 * 24 * time.Hour
	// maxEvents bounds a user's events of each outcome: a flood of failures must not push
	// out the sign-ins that a new one is compared with.
	maxEvents = 250
)

// AuthEvent is what happened to one user, as AdminListUserAuthEvents shows it. A sign-in
// is one event, however many steps it has.
type AuthEvent struct {
	Pool, User, ID  string // ID is a UUID that begins with the time (RFC 9562 section 5.7)
	Sub, Client     string
	At              time.Time
	Type            string
	Response        string
	Steps           []AuthStep `json:",omitempty"`
	Level, Decision string     `json:",omitempty"`
	Leaked          bool       `json:",omitempty"`
	Address         string     `json:",omitempty"`
	Network         string     `json:",omitempty"`
	Signal          string     `json:",omitempty"` // of the device
	Agent           string     `json:",omitempty"`
	Feedback        string     `json:",omitempty"` // Valid or Invalid
	FeedbackBy      string     `json:",omitempty"`
	FeedbackAt      time.Time
}

// AuthStep is one thing that a sign-in was asked for.
type AuthStep struct{ Name, Result string }

func newEventTable() *store.Table[AuthEvent] {
	return store.NewTable(store.Schema[AuthEvent]{
		Name: "userpool_auth_events", Key: []string{"pool", "username", "event"},
		KeyOf:   func(e *AuthEvent) []string { return []string{e.Pool, e.User, e.ID} },
		Expires: func(e *AuthEvent) time.Time { return e.At.Add(eventLife) },
		Indexes: []store.Index[AuthEvent]{{
			Name: "outcome", Columns: []string{"of_pool", "of_user", "outcome"},
			Of: func(e *AuthEvent) [][]string { return [][]string{{e.Pool, e.User, e.Response}} },
		}},
	})
}

func newRiskTable() *store.Table[RiskConfiguration] {
	return store.NewTable(store.Schema[RiskConfiguration]{
		Name: "userpool_risk_configurations", Key: []string{"pool", "client"},
		KeyOf: func(c *RiskConfiguration) []string { return []string{c.Pool, c.Client} },
	})
}

func newSprayerTable() *store.Table[Sprayer] {
	return store.NewTable(store.Schema[Sprayer]{
		Name: "userpool_sprayers", Key: []string{"pool", "network"},
		KeyOf:   func(x *Sprayer) []string { return []string{x.Pool, x.Network} },
		Expires: func(x *Sprayer) time.Time { return x.Since.Add(recently) },
	})
}

// newEvent begins an event of a request.
func (s *Service) newEvent(t *threat, u *User, kind api.EventType, clientID string) (AuthEvent, error) {
	id, err := s.timedUUID()
	e := AuthEvent{
		Pool: u.Pool, User: u.Key, ID: id, Sub: u.Sub, Client: clientID, At: s.time(), Type: string(kind),
		Response: string(api.EventResponseTypePass), Decision: string(api.RiskDecisionTypeNoRisk), Network: networkOf(t.address), Signal: t.device, Agent: t.agent,
	}
	if t.address.IsValid() {
		e.Address = t.address.String()
	}
	return e, err
}

// keep stores an event and drops the oldest of its outcome when there are too many.
func (s *Service) keep(tx *store.Tx, e AuthEvent) error {
	if err := s.tables.authEvents.Put(tx, e); err != nil {
		return err
	}
	if err := s.export(tx, e.Pool, api.EventSourceNameuserAuthEvents, e.ID, e.At, activity(&e)); err != nil {
		return err
	}
	of := store.Query{Index: "outcome", Values: []string{e.Pool, e.User, e.Response}}
	n, err := s.tables.authEvents.Count(tx, of)
	if err != nil || n <= maxEvents {
		return err
	}
	of.Limit = n - maxEvents
	old, err := s.tables.authEvents.List(tx, of)
	for _, o := range old {
		if err := s.tables.authEvents.Delete(tx, o.Pool, o.User, o.ID); err != nil {
			return err
		}
	}
	return err
}

// stepOf names what a step of a sign-in asked for, in the two words that events have.
func stepOf(f factor, right bool, at attempt) AuthStep {
	step := AuthStep{string(api.ChallengeNamePassword), string(api.ChallengeResponseSuccess)}
	if f != provesPassword && f != provesNothing && len(at.Proven) > 0 && at.Proven[0] != f {
		step.Name = string(api.ChallengeNameMfa)
	}
	if !right {
		step.Result = string(api.ChallengeResponseFailure)
	}
	return step
}

// eventOf is the event of a sign-in under way, or a new one. An event that is gone in
// the meantime is begun anew.
func (s *Service) eventOf(tx *store.Tx, st *step, u *User, id string) (AuthEvent, error) {
	if id != "" {
		e, err := s.tables.authEvents.Get(tx, u.Pool, u.Key, id)
		if err == nil || missing(err, notFound, "") == err {
			return e, err
		}
	}
	return s.newEvent(&st.threat, u, api.EventTypeSignIn, st.client.ID)
}

// noteFailure records a wrong answer. Names that belong to nobody leave no event, only
// a mark on the network they were tried from.
func (s *Service) noteFailure(tx *store.Tx, st *step, u *User, f factor, at attempt) error {
	if !st.threat.judges(at.Flow) {
		return nil
	}
	if err := s.spray(tx, &st.threat, st.pool.ID, u.Key); err != nil || u.Sub == "" {
		return err
	}
	e, err := s.eventOf(tx, st, u, at.Event)
	if err != nil {
		return err
	}
	e.Response = string(api.EventResponseTypeFail)
	e.Steps = append(e.Steps[:min(len(e.Steps), 10)], stepOf(f, false, at))
	return s.keep(tx, e)
}

// weigh judges a sign-in by its first right proof and notes each one. What it finds
// travels with the attempt; a verdict ends the sign-in.
func (s *Service) weigh(tx *store.Tx, st *step, pr *proof, u *User, at *attempt, out *concluded) (verdict, err error) {
	t := &st.threat
	if !t.judges(at.Flow) {
		return nil, nil
	}
	first := at.Event == ""
	e, err := s.eventOf(tx, st, u, at.Event)
	if err != nil {
		return nil, err
	}
	at.Event, e.Response = e.ID, string(api.EventResponseTypeInProgress)
	e.Steps = append(e.Steps[:min(len(e.Steps), 10)], stepOf(pr.factor, true, *at))
	if first && !t.skipped() {
		if verdict, err = s.judge(tx, st, pr, u, at, &e, out); err != nil {
			return nil, err
		}
	}
	if verdict != nil {
		e.Response = string(api.EventResponseTypeFail)
	}
	out.event = e
	return verdict, s.keep(tx, e)
}

// judge is what weigh finds of a sign-in that was not judged yet.
func (s *Service) judge(tx *store.Tx, st *step, pr *proof, u *User, at *attempt, e *AuthEvent, out *concluded) (verdict, err error) {
	t := &st.threat
	level, err := s.assess(tx, t, u)
	if err != nil {
		return nil, err
	}
	e.Level, e.Leaked = string(level), pr.leaked
	if level != "" {
		e.Decision = string(api.RiskDecisionTypeAccountTakeover)
		action := t.action(level)
		out.notify = action.Notify && t.enforces(at.Flow)
		out.action = action.EventAction
		if t.enforces(at.Flow) && action.EventAction != api.AccountTakeoverEventActionTypeNO_ACTION {
			at.Risk = string(action.EventAction)
		}
	}
	if at.Risk == string(api.AccountTakeoverEventActionTypeBLOCK) {
		e.Decision = string(api.RiskDecisionTypeBlock)
		return errSecurity(), nil
	}
	// A temporary password is replaced in any case, and by one that is looked at.
	if pr.leaked && t.refusesLeaked() && u.Status == string(api.UserStatusTypeCONFIRMED) {
		e.Decision = string(api.RiskDecisionTypeBlock)
		u.Status = string(api.UserStatusTypeRESET_REQUIRED)
		return refuse(passwordResetRequired, "Password reset required for the user"), s.tables.users.Put(tx, *u)
	}
	return nil, nil
}

// passed closes the event of a sign-in that ends with tokens.
func (s *Service) passed(tx *store.Tx, out *concluded) error {
	if out.event.ID == "" {
		return nil
	}
	out.event.Response = string(api.EventResponseTypePass)
	return s.keep(tx, out.event)
}

// refusedBy closes it when what comes next is a refusal.
func (s *Service) refusedBy(tx *store.Tx, out *concluded) error {
	if out.event.ID == "" || out.verdict == nil {
		return nil
	}
	out.event.Response = string(api.EventResponseTypeFail)
	if out.event.Level != "" && out.verdict.Error() == errSecurity().Error() {
		out.event.Decision = string(api.RiskDecisionTypeBlock)
	}
	return s.keep(tx, out.event)
}

// note records what is not a sign-in.
func (s *Service) note(tx *store.Tx, t *threat, u *User, kind api.EventType, clientID string, leaked bool) error {
	if !t.on() {
		return nil
	}
	e, err := s.newEvent(t, u, kind, clientID)
	if err != nil {
		return err
	}
	if e.Leaked = leaked; leaked {
		e.Decision = string(api.RiskDecisionTypeAccountTakeover)
	}
	return s.keep(tx, e)
}
