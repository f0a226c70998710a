package userpool

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"moat/internal/pure/totp"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// walker tries everything in any order with whatever it was ever given. It keeps, apart
// from the service, what was really proven for each session it holds.
type walker struct {
	h       *house
	random  *rand.Rand
	pool    string
	clients []string
	users   map[string]*walked
	held    []held
	trail   []string
}

// walked is a user with what only his owner knows.
type walked struct {
	name, password string
	secret         []byte
	key            *authenticator
	needs          func(proven []string) bool
}

// held is a session with the factors that were proven on its way.
type held struct {
	session *string
	kind    api.ChallengeNameType
	user    string
	client  string
	proven  []string
	code    string // that was sent for it
	options string // for a passkey
}

// TestMachine_model walks the challenges at random. Whatever the way: tokens come only
// where each factor that the pool and the user ask for was proven on it.
func TestMachine_model(t *testing.T) {
	t.Parallel()
	for _, mode := range []api.UserPoolMfaType{"OFF", "OPTIONAL", "ON"} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			tokens := 0
			for seed := range uint64(3) {
				w := newWalker(t, mode, seed)
				w.addKeys(mode, seed%2 == 0)
				for range 60 {
					tokens += w.step()
				}
				if t.Failed() {
					t.Fatalf("way %d: %v", seed, w.trail)
				}
			}
			if tokens < 10 {
				t.Errorf("only %d walks reached tokens: the test proves little", tokens)
			}
		})
	}
}

func newWalker(t *testing.T, mode api.UserPoolMfaType, seed uint64) *walker {
	t.Helper()
	h := newHouse(t)
	w := &walker{h: h, random: rand.New(rand.NewPCG(seed, 7)), users: map[string]*walked{}}
	w.pool = h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes = nil
		in.Policies.SignInPolicy = &api.SignInPolicyType{AllowedFirstAuthFactors: []api.AuthFactorType{"PASSWORD", "WEB_AUTHN"}}
	})
	h.setWebAuthn(w.pool, "OFF", api.WebAuthnConfigurationType{FactorConfiguration: "MULTI_FACTOR_WITH_USER_VERIFICATION"})
	for range 2 {
		w.clients = append(w.clients, *h.newClient(w.pool, func(in *api.CreateUserPoolClientRequest) {
			in.ExplicitAuthFlows = append(in.ExplicitAuthFlows, "ALLOW_USER_AUTH")
		}).ClientId)
	}
	password := func(proven []string) bool { return slices.Contains(proven, "password") }
	second := func(kinds ...string) func([]string) bool {
		return func(proven []string) bool {
			return password(proven) && slices.ContainsFunc(kinds, func(k string) bool { return slices.Contains(proven, k) })
		}
	}
	add := func(name string, needs func([]string) bool, attributes ...string) {
		h.member(w.pool, name, attributes...)
		w.users[name] = &walked{name: name, password: goodPass, needs: needs}
	}
	phone := []string{"phone_number", "+4915112345678", "phone_number_verified", "true"}
	both := append(phone, "email", "ann@example.com", "email_verified", "true")
	if mode == "OFF" {
		add("plain", password)
		add("reachable", password, both...)
		return w
	}
	h.setMFA(w.pool, "OPTIONAL")
	anything := second("totp", "sms", "email", "setup")
	if mode == "OPTIONAL" {
		add("plain", password)
	} else {
		add("plain", second("setup"))
	}
	add("app", second("totp"))
	add("sms", second("sms"), phone...)
	add("two", second("sms", "email"), both...)
	w.users["app"].secret = h.token(h.mustSignIn(w.clients[0], "app").AccessToken)
	on := &api.SoftwareTokenMfaSettingsType{Enabled: wire.Bool(true)}
	for _, in := range []*api.AdminSetUserMFAPreferenceRequest{
		{Username: "app", SoftwareTokenMfaSettings: on},
		{Username: "sms", SMSMfaSettings: &api.SMSMfaSettingsType{Enabled: wire.Bool(true)}},
		{Username: "two", SMSMfaSettings: &api.SMSMfaSettingsType{Enabled: wire.Bool(true)}, EmailMfaSettings: &api.EmailMfaSettingsType{Enabled: wire.Bool(true)}},
	} {
		in.UserPoolId = w.pool
		must[*api.AdminSetUserMFAPreferenceResponse](t)(h.c.AdminSetUserMFAPreference(t.Context(), in))
	}
	// A user who has to change a temporary password first.
	temporary := "Temporary-123"
	must[*api.AdminCreateUserResponse](t)(h.c.AdminCreateUser(t.Context(), &api.AdminCreateUserRequest{
		UserPoolId: w.pool, Username: "fresh", TemporaryPassword: &temporary, MessageAction: "SUPPRESS", UserAttributes: []api.AttributeType{attr("phone_number", "+4915100000000")},
	}))
	fresh := &walked{name: "fresh", password: temporary}
	fresh.needs = func(proven []string) bool {
		return (fresh.password != temporary || slices.Contains(proven, "new")) && password(proven) && (mode == "OPTIONAL" || anything(proven))
	}
	w.users["fresh"] = fresh
	h.setMFA(w.pool, mode)
	return w
}

// addKeys adds users with passkeys; multi says whether these can stand for both factors.
func (w *walker) addKeys(mode api.UserPoolMfaType, multi bool) {
	h, single := w.h, !multi
	multi = multi || mode == "ON" // where two factors are demanded there is nothing else
	c := api.WebAuthnConfigurationType{RelyingPartyId: ptr("example.com"), FactorConfiguration: "MULTI_FACTOR_WITH_USER_VERIFICATION"}
	h.setWebAuthn(w.pool, "OFF", c)
	has := func(proven []string, kinds ...string) bool {
		return slices.ContainsFunc(kinds, func(k string) bool { return slices.Contains(proven, k) })
	}
	add := func(name string, needs func([]string) bool) string {
		h.member(w.pool, name)
		access := *h.mustSignIn(w.clients[0], name).AccessToken
		w.users[name] = &walked{name: name, password: goodPass, key: h.register(access), needs: needs}
		return access
	}
	if mode == "OFF" {
		add("key", func(proven []string) bool { return has(proven, "password", "passkey", "verified passkey") })
	} else {
		h.setWebAuthn(w.pool, "OPTIONAL", c)
		both := func(proven []string) bool {
			return has(proven, "password", "passkey", "verified passkey") && has(proven, "totp")
		}
		for name, stands := range map[string]bool{"key": false, "both": true} {
			access := add(name, func(proven []string) bool {
				return both(proven) || stands && multi && has(proven, "verified passkey")
			})
			w.users[name].secret = h.token(&access)
			must[*api.SetUserMFAPreferenceResponse](h.t)(h.c.SetUserMFAPreference(h.t.Context(), &api.SetUserMFAPreferenceRequest{
				AccessToken: access, SoftwareTokenMfaSettings: &api.SoftwareTokenMfaSettingsType{Enabled: ptr(true)}, WebAuthnMfaSettings: &api.WebAuthnMfaSettingsType{Enabled: ptr(stands)},
			}))
		}
		h.setMFA(w.pool, mode)
	}
	if single {
		c.FactorConfiguration = "SINGLE_FACTOR"
		now := must[*api.GetUserPoolMfaConfigResponse](h.t)(h.c.GetUserPoolMfaConfig(h.t.Context(), &api.GetUserPoolMfaConfigRequest{UserPoolId: w.pool}))
		_, err := h.c.SetUserPoolMfaConfig(h.t.Context(), &api.SetUserPoolMfaConfigRequest{
			UserPoolId: w.pool, MfaConfiguration: now.MfaConfiguration, SmsMfaConfiguration: now.SmsMfaConfiguration, EmailMfaConfiguration: now.EmailMfaConfiguration,
			SoftwareTokenMfaConfiguration: now.SoftwareTokenMfaConfiguration, WebAuthnConfiguration: &c,
		})
		if (err != nil) != multi {
			h.t.Fatalf("passkeys as one factor where MFA is %s: %v", mode, err)
		}
	}
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func (w *walker) note(format string, args ...any) {
	w.trail = append(w.trail, fmt.Sprintf(format, args...))
}

// step does one thing and returns 1 when it brought tokens.
func (w *walker) step() int {
	w.h.advance(totp.Period) // also ends short locks
	names := []string{}
	for name := range w.users {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(w.held) == 0 || w.random.IntN(4) == 0 {
		return w.begin(w.users[pick(w.random, names)])
	}
	from := w.held[len(w.held)-1]
	if w.random.IntN(3) == 0 {
		from = pick(w.random, w.held)
	}
	user := w.users[from.user]
	if w.random.IntN(10) == 0 {
		user = w.users[pick(w.random, names)]
	}
	if w.random.IntN(5) == 0 && from.kind == "MFA_SETUP" {
		return w.setup(from)
	}
	kinds := []api.ChallengeNameType{"SOFTWARE_TOKEN_MFA", "SMS_MFA", "EMAIL_OTP", "SELECT_MFA_TYPE", "MFA_SETUP", "NEW_PASSWORD_REQUIRED", "PASSWORD_VERIFIER", "WEB_AUTHN", "SELECT_CHALLENGE"}
	kind := from.kind
	if w.random.IntN(5) == 0 {
		kind = pick(w.random, kinds)
	}
	return w.respond(from, user, kind)
}

func (w *walker) begin(u *walked) int {
	client := pick(w.random, w.clients)
	if u.key != nil && w.random.IntN(2) == 0 {
		w.note("begin %s by passkey", u.name)
		preferred := pick(w.random, []string{"WEB_AUTHN", ""})
		out, err := w.h.choose(client, u.name, "PREFERRED_CHALLENGE", preferred)
		if err != nil {
			return 0
		}
		return w.got(u, client, nil, out.AuthenticationResult, out.ChallengeName, out.Session, out.ChallengeParameters)
	}
	password, proven := u.password, []string{"password"}
	if w.random.IntN(5) == 0 {
		password, proven = "Wrong-horse-77", nil
	}
	w.note("begin %s right=%v", u.name, proven != nil)
	out, err := w.h.c.InitiateAuth(w.h.t.Context(), &api.InitiateAuthRequest{
		AuthFlow: "USER_PASSWORD_AUTH", ClientId: client, AuthParameters: map[string]string{"USERNAME": u.name, "PASSWORD": password},
	})
	if err != nil {
		return 0
	}
	return w.got(u, client, proven, out.AuthenticationResult, out.ChallengeName, out.Session, nil)
}

func (w *walker) respond(from held, u *walked, kind api.ChallengeNameType) int {
	right := w.random.IntN(4) > 0
	client := from.client
	if w.random.IntN(10) == 0 {
		client = pick(w.random, w.clients)
	}
	params, proves := w.answers(from, u, kind, right)
	w.note("%s of %s (session of %s, %s) right=%v", kind, u.name, from.user, from.kind, right)
	out, err := w.h.answer(client, kind, from.session, params...)
	if err != nil {
		return 0
	}
	proven := slices.Clone(from.proven)
	if right && proves != "" && u.name == from.user && kind == from.kind && client == from.client {
		proven = append(proven, proves)
	}
	if kind == "NEW_PASSWORD_REQUIRED" {
		u.password = goodPass
	}
	return w.got(w.users[from.user], client, proven, out.AuthenticationResult, out.ChallengeName, out.Session, out.ChallengeParameters)
}

// answers are the parameters of a response, and what they prove when right.
func (w *walker) answers(from held, u *walked, kind api.ChallengeNameType, right bool) (params []string, proves string) {
	code := wrongCode(from.code)
	if right {
		code = from.code
	}
	params = []string{"USERNAME", u.name}
	switch kind {
	case "SOFTWARE_TOKEN_MFA":
		code = "000000"
		if right && u.secret != nil {
			code = w.h.code(u.secret)
		}
		return append(params, "SOFTWARE_TOKEN_MFA_CODE", code), "totp"
	case "SMS_MFA":
		return append(params, "SMS_MFA_CODE", code), "sms"
	case "EMAIL_OTP":
		return append(params, "EMAIL_OTP_CODE", code), "email"
	case "SELECT_MFA_TYPE":
		return append(params, "ANSWER", pick(w.random, []string{mfaSMS, mfaEmail, mfaTOTP})), ""
	case "NEW_PASSWORD_REQUIRED":
		return append(params, "NEW_PASSWORD", goodPass), "new"
	case "SELECT_CHALLENGE", "WEB_AUTHN":
		if kind == "SELECT_CHALLENGE" {
			if params = append(params, "ANSWER", "WEB_AUTHN"); w.random.IntN(2) == 0 {
				return params, ""
			}
		}
		if u.key == nil || from.options == "" {
			return append(params, "CREDENTIAL", "{}"), ""
		}
		key := *u.key
		if !right {
			pick(w.random, []func(){
				func() { key.origin = "https://example.org" }, func() { key.party = "example.org" }, func() { key.id = make([]byte, 16) },
				func() { key.counter = 0 }, func() { key.flags = 0 }, func() { key.ceremony = "webauthn.create" }, func() { key.challenge = "AAAA" },
			})()
		}
		proves = "verified passkey"
		if right && w.random.IntN(3) == 0 {
			key.flags &^= flagVerified
			proves = "passkey"
		}
		credential := key.get(from.options)
		u.key.counter++
		return append(params, "CREDENTIAL", credential), proves
	}
	return params, ""
}

// setup goes through the setting up of a software token.
func (w *walker) setup(from held) int {
	right := w.random.IntN(3) > 0
	w.note("set up in session of %s right=%v", from.user, right)
	set, err := w.h.c.AssociateSoftwareToken(w.h.t.Context(), &api.AssociateSoftwareTokenRequest{Session: from.session})
	if err != nil {
		return 0
	}
	secret := seedOf(w.h.t, set.SecretCode)
	w.held = append(w.held, held{set.Session, "MFA_SETUP", from.user, from.client, from.proven, "", ""})
	code := "000000"
	if right {
		code = w.h.code(secret)
	}
	ok, err := w.h.c.VerifySoftwareToken(w.h.t.Context(), &api.VerifySoftwareTokenRequest{Session: set.Session, UserCode: code})
	if err != nil {
		return 0
	}
	u := w.users[from.user]
	u.secret = secret
	before := u.needs
	u.needs = func(proven []string) bool {
		return before(proven) || slices.Contains(proven, "password") && slices.Contains(proven, "totp")
	}
	w.held = append(w.held, held{ok.Session, "MFA_SETUP", from.user, from.client, append(slices.Clone(from.proven), "setup"), "", ""})
	return 0
}

// got checks tokens against what was proven, and keeps a session.
func (w *walker) got(u *walked, client string, proven []string, tokens *api.AuthenticationResultType, next api.ChallengeNameType, session *string, params map[string]string) int {
	if tokens != nil {
		if !u.needs(proven) {
			w.h.t.Errorf("tokens of %s for proof of %v only", u.name, proven)
		}
		if name := w.h.claims(tokens.IdToken).String("cognito:username"); name != u.name {
			w.h.t.Errorf("tokens of %s in a sign-in of %s", name, u.name)
		}
		return 1
	}
	if session != nil {
		code := ""
		if next == "SMS_MFA" || next == "EMAIL_OTP" {
			code = w.h.box.last(w.h.t).Code
		}
		w.held = append(w.held, held{session, next, u.name, client, proven, code, params["CREDENTIAL_REQUEST_OPTIONS"]})
	}
	return 0
}
