package userpool

import (
	"context"
	"errors"
	"slices"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// factor is something that a sign-in can prove.
type factor string

const (
	provesNothing  factor = ""
	provesPassword factor = "password"
	provesTOTP     factor = "software token"
	provesSMS      factor = "sms"
	provesEmail    factor = "email"
	provesDevice   factor = "device" // that the user was here before
	provesCustom   factor = "custom" // whatever the pool's own functions ask for
	provesPasskey  factor = "passkey"
	// provesVerification: the passkey's authenticator knows its user, by finger or PIN.
	provesVerification factor = "user verification"
)

// attempt is how far a sign-in has come. It travels inside of each challenge, sealed,
// so that no step can be left out and none can be claimed.
type attempt struct {
	Flow        api.AuthFlowType
	Proven      []factor
	Device      string       `json:",omitempty"` // key of the device that the client says it is
	NewPassword bool         `json:",omitempty"` // a temporary password was replaced on the way
	Mailbox     string       `json:",omitempty"` // MFA_SETUP: the address that a code is to make the user's
	Custom      []customStep `json:",omitempty"` // CUSTOM_AUTH: the challenges so far, as its functions see them
	Event       string       `json:",omitempty"` // where threat protection is on: the event of this sign-in, which was judged
	Risk        string       `json:",omitempty"` // what its risk demands before tokens
}

func (a *attempt) has(f factor) bool { return slices.Contains(a.Proven, f) }

// with returns the attempt after f was proven, too.
func (a attempt) with(f factor) attempt {
	if f != provesNothing && !a.has(f) {
		a.Proven = append(slices.Clone(a.Proven), f)
	}
	return a
}

// row is one challenge of a sign-in: what a right answer proves, how the challenge is
// put, and how its answer is taken. An answer ends in [Service.conclude], which alone
// knows the way to tokens.
type row struct {
	proves factor
	offer  func(context.Context, *step, *User, attempt) (answer, error)
	take   func(context.Context, *step) (answer, error)
}

// opening is one way to begin a sign-in: by which operations, on which clients, and
// the sentence for a client that may not.
type opening struct {
	public, admin bool
	refusal       string
	start         func(context.Context, *step) (answer, error)
}

// machine is the whole of signing in, at a glance: the flows that begin it and the
// challenges that go on with it. What is not in these tables does not happen.
type machine struct {
	flows      map[api.AuthFlowType]opening
	challenges map[api.ChallengeNameType]row
}

func (s *Service) newMachine() machine {
	const disabled = "Auth flow not enabled for this client"
	password := opening{false, true, disabled, s.passwordSignIn}
	refresh := opening{true, true, disabled, s.refreshStep}
	return machine{
		flows: map[api.AuthFlowType]opening{
			api.AuthFlowTypeUSER_SRP_AUTH:            {true, true, "USER_SRP_AUTH is not enabled for the client.", s.startSRP},
			api.AuthFlowTypeUSER_PASSWORD_AUTH:       {true, false, "USER_PASSWORD_AUTH flow not enabled for this client", s.passwordSignIn},
			api.AuthFlowTypeUSER_AUTH:                {true, true, "USER_AUTH is not enabled for the client.", s.startChoice},
			api.AuthFlowTypeCUSTOM_AUTH:              {true, true, "CUSTOM_AUTH is not enabled for the client.", s.startCustom},
			api.AuthFlowTypeADMIN_USER_PASSWORD_AUTH: password,
			api.AuthFlowTypeADMIN_NO_SRP_AUTH:        password,
			api.AuthFlowTypeREFRESH_TOKEN_AUTH:       refresh,
			api.AuthFlowTypeREFRESH_TOKEN:            refresh,
		},
		challenges: map[api.ChallengeNameType]row{
			// challenge                                 proves          is put by          is answered by
			api.ChallengeNameTypePASSWORD_VERIFIER:        {provesPassword, nil /* startSRP */, s.proveSRP},
			api.ChallengeNameTypeNEW_PASSWORD_REQUIRED:    {provesNothing, s.demandPassword, s.newPasswordStep},
			api.ChallengeNameTypeSELECT_CHALLENGE:         {provesNothing, nil /* startChoice */, s.takeChoice},
			api.ChallengeNameTypePASSWORD:                 {provesPassword, nil, s.takePassword},
			api.ChallengeNameTypePASSWORD_SRP:             {provesNothing, nil, s.takeSRP},
			api.ChallengeNameTypeSMS_OTP:                  {provesSMS, nil, s.takeCode(api.ChallengeNameTypeSMS_OTP)},
			api.ChallengeNameTypeWEB_AUTHN:                {provesPasskey, nil /* startChoice */, s.takePasskey},
			api.ChallengeNameTypeCUSTOM_CHALLENGE:         {provesCustom, s.offerCustom, s.takeCustom},
			api.ChallengeNameTypeDEVICE_SRP_AUTH:          {provesNothing, s.askDevice, s.startDevice},
			api.ChallengeNameTypeDEVICE_PASSWORD_VERIFIER: {provesDevice, nil /* startDevice */, s.proveDevice},
			api.ChallengeNameTypeSELECT_MFA_TYPE:          {provesNothing, s.offerChoice, s.choose},
			api.ChallengeNameTypeMFA_SETUP:                {provesTOTP, s.offerSetup, s.finishSetup},
			api.ChallengeNameTypeSOFTWARE_TOKEN_MFA:       {provesTOTP, s.askTOTP, s.takeTOTP},
			api.ChallengeNameTypeSMS_MFA:                  {provesSMS, s.askCode(api.ChallengeNameTypeSMS_MFA), s.takeCode(api.ChallengeNameTypeSMS_MFA)},
			api.ChallengeNameTypeEMAIL_OTP:                {provesEmail, s.askCode(api.ChallengeNameTypeEMAIL_OTP), s.takeCode(api.ChallengeNameTypeEMAIL_OTP)},
		},
	}
}

// next says what stands between what was proven and tokens: a challenge, nothing, or
// a refusal. This is the order of a sign-in. d is the device that the client has named,
// nil without one.
func (s *Service) next(p *Pool, u *User, at attempt, d *Device) (api.ChallengeNameType, error) {
	switch {
	case u.Disabled:
		return "", refuse(notAuthorized, "User is disabled.")
	case u.Status == string(api.UserStatusTypeCONFIRMED):
		// goes on below
	case u.Status == string(api.UserStatusTypeUNCONFIRMED):
		return "", refuse(userNotConfirmed, "User is not confirmed.")
	case u.Status == string(api.UserStatusTypeRESET_REQUIRED):
		return "", refuse(passwordResetRequired, "Password reset required for the user")
	case u.Status == string(api.UserStatusTypeFORCE_CHANGE_PASSWORD):
		if !s.time().Before(u.TemporaryUntil) {
			return "", refuse(notAuthorized, "Temporary password has expired and must be reset by an administrator.")
		}
		return api.ChallengeNameTypeNEW_PASSWORD_REQUIRED, nil
	default:
		return "", errWrongPassword() // a state that this version does not know lets nobody in
	}
	if at.Flow == api.AuthFlowTypeCUSTOM_AUTH && !at.has(provesCustom) {
		return api.ChallengeNameTypeCUSTOM_CHALLENGE, nil
	}
	if d != nil && d.Remembered && !at.has(provesDevice) {
		return api.ChallengeNameTypeDEVICE_SRP_AUTH, nil
	}
	if d != nil && d.Remembered && p.deviceForMFA() {
		return p.owed(u, at, true) // a device that is remembered stands for the second factor
	}
	return p.owed(u, at, false)
}

// proof is what the answer to one step amounts to.
type proof struct {
	user        User // whose sign-in it is, as read before any arithmetic
	factor      factor
	right       bool
	from        *challenge // what was answered; nil for what opens a sign-in
	at          *attempt   // how far it had come where from does not say so
	newPassword bool       // the answer replaced a temporary password
	leaked      bool       // the password is one that attackers have
	// retry lets a wrong answer be given again: the challenge is used up by a right one only.
	retry bool
	// wrong is what a wrong answer is told; nil stands for errWrongPassword.
	wrong error
	// effect is what a right answer does, within the transaction that lets it count; it
	// stores what it changes. It has the last word: with a verdict, nothing was proven,
	// and with an error nothing happened.
	effect func(tx *store.Tx, u *User) (verdict, err error)
}

// conclude reveals what became of a proof: it counts it and, when it is right, lets in
// who has proven enough or puts the next challenge. Every way to tokens leads through
// here. A right answer that is not the last does not clear the failures: who knows the
// password must not get guesses at the second factor for it.
func (s *Service) conclude(ctx context.Context, st *step, pr *proof) (answer, error) {
	session, err := s.newSession(&st.client, pr.from)
	if err != nil {
		return answer{}, err
	}
	at := pr.reached(st.flow)
	at.NewPassword = at.NewPassword || pr.newPassword
	if at.Device == "" && st.pool.Settings.Device != nil {
		at.Device = st.params["DEVICE_KEY"]
	}
	fresh, err := s.newDeviceKey(&st.pool)
	if err != nil {
		return answer{}, err
	}
	var out concluded
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		out = concluded{session: session}
		return s.count(tx, st, pr, at, fresh, &out)
	})
	if err == nil && out.notify {
		s.notifyRisk(ctx, st, &out)
	}
	if err = decided(err, out.verdict); err != nil {
		return answer{}, err
	}
	at = out.at
	if out.next != "" {
		return s.put(ctx, st, out.next, &out.user, at)
	}
	result, err := s.welcome(ctx, st, &out, at)
	if err == nil && out.newDevice {
		result.NewDeviceMetadata = s.deviceMetadata(&out.session)
	}
	if err != nil { // no token leaves, so the session must not stand either, be the client gone or not
		err = errors.Join(err, s.discard(context.WithoutCancel(ctx), pr, out.session.ID))
	}
	return answer{result: result, params: map[string]string{}}, err
}

// welcome asks the functions that have the last word, and issues the tokens.
func (s *Service) welcome(ctx context.Context, st *step, out *concluded, at attempt) (*api.AuthenticationResultType, error) {
	if err := s.postAuthentication(ctx, st, &out.user, out.newDevice); err != nil {
		return nil, err
	}
	why := issuedBySignIn
	if at.NewPassword {
		why = issuedByNewPassword
	}
	return s.issue(ctx, &issuance{
		pool: &st.pool, client: &st.client, user: &out.user, groups: out.groups, session: &out.session, refresh: true, why: why, on: st.on,
	})
}

// discard removes a session of which nobody has a token. The challenge it began with stays answered.
func (s *Service) discard(ctx context.Context, pr *proof, id string) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		if pr.from != nil {
			return s.tables.sessions.Put(tx, answered(id, pr.from.ExpiresAt))
		}
		return s.tables.sessions.Delete(tx, id)
	})
}

// reached is how far a sign-in has come with a right proof.
func (pr *proof) reached(flow api.AuthFlowType) attempt {
	at := attempt{Flow: flow}
	switch {
	case pr.at != nil:
		at = *pr.at
	case pr.from != nil:
		at = pr.from.attempt
		if at.Flow == api.AuthFlowTypeCUSTOM_AUTH {
			at.Custom = append(slices.Clone(at.Custom), customStep{Name: string(pr.from.Kind), Result: true})
		}
	}
	return at.with(pr.factor)
}

// concluded is what the transaction of a proof found.
type concluded struct {
	verdict error // a refusal that must not undo the transaction
	next    api.ChallengeNameType
	user    User
	groups  []Group
	session Session
	// newDevice says that the session is on a device that was not seen before.
	newDevice bool
	at        attempt // as it goes on
	event     AuthEvent
	action    api.AccountTakeoverEventActionType // that the risk has brought about
	notify    bool                               // and the user is told of
}

// count is the transaction of conclude. The challenge that was answered is spent by the session
// that begins with it, or else by a mark: of two answers at once one undoes all it did.
func (s *Service) count(tx *store.Tx, st *step, pr *proof, at attempt, freshDevice string, out *concluded) error {
	if pr.from != nil && (pr.effect != nil || pr.retry) { // else no answer hangs on what comes before it is spent
		if err := s.unspent(tx, pr.from); err != nil {
			return err
		}
	}
	u, right, err := s.stillRight(tx, pr)
	if err != nil {
		return err
	}
	locked, err := s.lockedNow(tx, st.pool.ID, pr.user.Key)
	if err != nil {
		return err
	}
	wrong := pr.wrong
	if right && !locked && pr.effect != nil {
		if wrong, err = pr.effect(tx, &u); err != nil {
			return err
		}
		right = wrong == nil
	}
	switch {
	case locked:
		out.verdict = errLocked()
	case right:
		err = s.letIn(tx, st, pr, u, at, freshDevice, out)
	default:
		if out.verdict = wrong; wrong == nil {
			out.verdict = wrongPassword(&st.client, &pr.user)
		}
		err = s.countWrong(tx, st, pr, at)
	}
	switch {
	case err != nil:
		return err
	case out.session.User != "":
		return s.begin(tx, out.session)
	case pr.from != nil && (right && !locked || !pr.retry):
		return s.spend(tx, pr.from)
	}
	return nil
}

// countWrong counts a wrong answer.
func (s *Service) countWrong(tx *store.Tx, st *step, pr *proof, at attempt) error {
	if err := s.noteFailure(tx, st, &pr.user, pr.factor, at); err != nil {
		return err
	}
	return s.failed(tx, st.pool.ID, pr.user.Key)
}

// letIn finds what comes of a right proof: a refusal all the same, the next challenge, or a
// session, which then has a user.
func (s *Service) letIn(tx *store.Tx, st *step, pr *proof, u User, at attempt, freshDevice string, out *concluded) (err error) {
	if out.verdict, err = s.weigh(tx, st, pr, &u, &at, out); err != nil || out.verdict != nil {
		out.user = u
		return err
	}
	out.user, out.at = u, at
	d, err := s.namedDevice(tx, &st.pool, &u, at.Device)
	if err != nil {
		return err
	}
	if out.next, out.verdict = s.next(&st.pool, &u, at, d); out.verdict != nil || out.next != "" {
		return s.refusedBy(tx, out)
	}
	if err := s.passed(tx, out); err != nil {
		return err
	}
	if err := s.clearFailures(tx, st.pool.ID, u.Key); err != nil {
		return err
	}
	if out.groups, err = s.groupsOf(tx, &u); err != nil {
		return err
	}
	if out.session.Device, out.newDevice = freshDevice, freshDevice != ""; d != nil {
		out.session.Device, out.newDevice = d.Key, false
	}
	out.session.of(&u)
	return nil
}

// stillRight reads the user of a proof anew: the password that was proven, or that the
// sign-in began with, must still be the password.
func (s *Service) stillRight(tx *store.Tx, pr *proof) (User, bool, error) {
	if !pr.right {
		return User{}, false, nil
	}
	read := s.tables.users.Look
	if pr.effect != nil {
		read = s.tables.users.Get // it may be changed
	}
	u, err := read(tx, pr.user.Pool, pr.user.Key)
	if errors.Is(err, store.ErrNotFound) {
		return u, false, nil
	}
	return u, err == nil && u.PasswordID == pr.user.PasswordID && u.Sub == pr.user.Sub, err
}

// put puts a challenge.
func (s *Service) put(ctx context.Context, st *step, name api.ChallengeNameType, u *User, at attempt) (answer, error) {
	r, ok := s.machine.challenges[name]
	if !ok || r.offer == nil {
		return answer{}, notImplemented(st.operation, "the challenge "+string(name)+" is not available.")
	}
	return r.offer(ctx, st, u, at)
}

// offered makes the answer that carries a challenge in its session.
func (s *Service) offered(ch challenge, params map[string]string) (answer, error) {
	session, err := s.sealSession(&ch)
	return answer{name: ch.Kind, params: params, session: &session}, err
}

// resume opens the session that a step answers and checks that whoever answers is who
// was asked.
func (s *Service) resume(ctx context.Context, st *step, kind api.ChallengeNameType) (challenge, User, error) {
	ch, err := s.resumable(st, kind)
	if err != nil {
		return ch, User{}, err
	}
	name, err := st.param("USERNAME")
	if err != nil {
		return ch, User{}, err
	}
	if err := s.checkSecretHash(&st.client, st.params["SECRET_HASH"], name); err != nil {
		return ch, User{}, err
	}
	var u User
	err = s.db.View(ctx, func(tx *store.Tx) error {
		if err := s.unspent(tx, &ch); err != nil {
			return err
		}
		if u, err = s.tables.users.Get(tx, ch.Pool, ch.User); err != nil {
			return missing(err, notAuthorized, "Invalid session for the user.")
		}
		if name == ch.Name || name == ch.Login {
			return s.locked(tx, ch.Pool, ch.User)
		}
		named, err := s.findUser(tx, &st.pool, name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err != nil || named.Key != u.Key {
			return errSession()
		}
		return s.locked(tx, ch.Pool, ch.User)
	})
	if err == nil && (u.PasswordID != ch.PasswordID || u.Sub != ch.Sub) {
		err = errSession()
	}
	return ch, u, err
}

func (s *Service) resumable(st *step, kind api.ChallengeNameType) (challenge, error) {
	if wire.Value(st.session) == "" {
		return challenge{}, refuse(invalidParameter, "Missing required parameter Session")
	}
	return s.openSession(*st.session, kind, &st.client)
}
