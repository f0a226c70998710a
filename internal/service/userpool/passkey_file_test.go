package userpool

import (
	"testing"

	"moat/internal/service/userpool/userfile"
	api "moat/internal/wire/cognitoidpapi"
)

// Passkeys leave with their users and sign in elsewhere, counters included.
func TestService_export_passkeys(t *testing.T) {
	t.Parallel()
	from, to := newHouse(t), newHouse(t)
	pool, client, _ := from.passkeyPool(nil)
	from.setWebAuthn(pool, "OPTIONAL", api.WebAuthnConfigurationType{FactorConfiguration: "MULTI_FACTOR_WITH_USER_VERIFICATION", RelyingPartyId: ptr("example.com")})
	from.member(pool, "ann")
	access := *from.mustSignIn(client, "ann").AccessToken
	a := from.register(access)
	from.token(&access)
	must[*api.SetUserMFAPreferenceResponse](t)(from.c.SetUserMFAPreference(t.Context(), &api.SetUserMFAPreferenceRequest{
		AccessToken: access, SoftwareTokenMfaSettings: &api.SoftwareTokenMfaSettingsType{Enabled: ptr(true)}, WebAuthnMfaSettings: &api.WebAuthnMfaSettingsType{Enabled: ptr(true)},
	}))
	options, session := from.askPasskey(client, "ann")
	must[*api.RespondToAuthChallengeResponse](t)(from.answerPasskey(client, "ann", session, a.get(options)))

	in := to.request(from.export(pool), "")
	to.stock()
	wantOutcomes(t, must[*ImportAnswer](t)(to.ImportUsers(to.ctx(), in)), "ann created")
	if from.plain(pool, "ann") != to.plain(pool, "ann") {
		t.Errorf("got %s, want %s", to.plain(pool, "ann"), from.plain(pool, "ann"))
	}
	elsewhere := *to.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows = append(in.ExplicitAuthFlows, "ALLOW_USER_AUTH")
	}).ClientId
	options, session = to.askPasskey(elsewhere, "ann")
	stale := *a
	stale.counter = 0 // of before the export
	_, err := to.answerPasskey(elsewhere, "ann", session, stale.get(options))
	want(t, err, "NotAuthorizedException", wrongSignIn)
	options, session = to.askPasskey(elsewhere, "ann")
	out := must[*api.RespondToAuthChallengeResponse](t)(to.answerPasskey(elsewhere, "ann", session, a.get(options)))
	if out.AuthenticationResult == nil { // the passkey still stands for both factors
		t.Errorf("got %+v", out)
	}

	// What is no passkey, or somebody's, does not come in.
	ann := *in.Users[0]
	ann.Username, ann.Sub = "bob", "0f8fad5b-d9cb-469f-a165-70867728950e"
	again := &ImportRequest{Pool: pool, Users: []*userfile.User{&ann}}
	wantOutcomes(t, must[*ImportAnswer](t)(to.ImportUsers(to.ctx(), again)), "bob conflict")
	for name, change := range map[string]func(*userfile.Passkey){
		"no id": func(p *userfile.Passkey) { p.ID = "" }, "padded id": func(p *userfile.Passkey) { p.ID = "AAA=" }, "address": func(p *userfile.Passkey) { p.Domain = "127.0.0.1" },
		"no key": func(p *userfile.Passkey) { p.Key = nil }, "cut key": func(p *userfile.Passkey) { p.Key = p.Key[:40] },
		"impossible backup": func(p *userfile.Passkey) { p.BackupEligible, p.BackedUp = false, true },
	} {
		p := ann.Passkeys[0]
		p.ID = b64(make([]byte, 16))
		change(&p)
		bob := ann
		bob.Passkeys = []userfile.Passkey{p}
		answer := must[*ImportAnswer](t)(to.ImportUsers(to.ctx(), &ImportRequest{Pool: pool, Users: []*userfile.User{&bob}}))
		if answer.Users[0].Outcome != ImportInvalid {
			t.Errorf("%s: got %+v", name, answer.Users[0])
		}
	}
	ann.Passkeys[0].ID = b64(make([]byte, 16))
	wantOutcomes(t, must[*ImportAnswer](t)(to.ImportUsers(to.ctx(), again)), "bob created")
}
