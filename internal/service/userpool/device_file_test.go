package userpool

import (
	"slices"
	"testing"

	"moat/internal/service/userpool/userfile"
	api "moat/internal/wire/cognitoidpapi"
)

// A device goes on proving itself by the group that it knows.
func TestService_ImportUsers_devices(t *testing.T) {
	t.Parallel()
	from, to := newHouse(t), newHouse(t)
	pool, client := from.devicePool(false, false)
	from.member(pool, "ann")
	r := from.mustSignIn(client, "ann")
	m := r.NewDeviceMetadata
	from.confirmDevice(r.AccessToken, m)
	into, client := to.devicePool(false, false)
	in := from.request(from.export(pool), into)
	wantOutcomes(t, must[*ImportAnswer](t)(to.ImportUsers(to.ctx(), in)), "ann created")
	first := must[*api.InitiateAuthResponse](t)(to.beginOn(client, "ann", *m.DeviceKey))
	if first.ChallengeName != "DEVICE_SRP_AUTH" {
		t.Fatalf("got %+v", first)
	}
	_, err := to.deviceSignIn(client, "ann", m, first.Session, "another secret")
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	first = must[*api.InitiateAuthResponse](t)(to.beginOn(client, "ann", *m.DeviceKey))
	if out := must[*api.RespondToAuthChallengeResponse](t)(to.deviceSignIn(client, "ann", m, first.Session, devicePassword)); out.AuthenticationResult == nil {
		t.Errorf("got %+v", out)
	}
	if got := from.request(to.export(into), into).Users[0].Devices; len(got) != 1 || got[0].Group != *m.DeviceGroupKey {
		t.Errorf("exported again as %+v", got)
	}
	bad := *in.Users[0]
	bad.Username, bad.Sub = "eve", "0d9fd4ee-7d1c-4d3e-9d3b-0d4c1c9f6a01"
	bad.Devices = slices.Clone(bad.Devices)
	bad.Devices[0].Verifier = make([]byte, 384)
	answer := must[*ImportAnswer](t)(to.ImportUsers(to.ctx(), &ImportRequest{Pool: into, Users: []*userfile.User{&bad}}))
	if answer.Users[0].Outcome != ImportInvalid {
		t.Errorf("got %+v", answer.Users[0])
	}
}
