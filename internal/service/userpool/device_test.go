package userpool

import (
	"crypto/rand"
	"encoding/base64"
	"testing"

	"moat/internal/pure/srp"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

const devicePassword = "a secret of the device's own"

func (h *house) devicePool(prompt, forMFA bool) (poolID, clientID string) {
	poolID = h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes = nil
		in.DeviceConfiguration = &api.DeviceConfigurationType{DeviceOnlyRememberedOnUserPrompt: &prompt, ChallengeRequiredOnNewDevice: &forMFA}
	})
	return poolID, *h.newClient(poolID, nil).ClientId
}

// confirmDevice is what a client does with NewDeviceMetadata.
func (h *house) confirmDevice(access *string, m *api.NewDeviceMetadataType) *api.ConfirmDeviceResponse {
	h.t.Helper()
	salt := []byte("\x05sixteen bytes ok")
	v := srp.Verifier(srp.Identity{Pool: *m.DeviceGroupKey, User: *m.DeviceKey}, salt, devicePassword)
	return must[*api.ConfirmDeviceResponse](h.t)(h.c.ConfirmDevice(h.t.Context(), &api.ConfirmDeviceRequest{
		AccessToken: *access, DeviceKey: *m.DeviceKey, DeviceName: wire.String("laptop"),
		DeviceSecretVerifierConfig: &api.DeviceSecretVerifierConfigType{
			Salt: wire.String(base64.StdEncoding.EncodeToString(salt)), PasswordVerifier: wire.String(base64.StdEncoding.EncodeToString(append([]byte{0}, v...))),
		},
	}))
}

func (h *house) beginOn(clientID, name, device string) (*api.InitiateAuthResponse, error) {
	return h.c.InitiateAuth(h.t.Context(), &api.InitiateAuthRequest{
		AuthFlow: "USER_PASSWORD_AUTH", ClientId: clientID, AuthParameters: map[string]string{"USERNAME": name, "PASSWORD": goodPass, "DEVICE_KEY": device},
	})
}

// provesDevice answers both challenges of a device.
func (h *house) deviceSignIn(clientID, name string, m *api.NewDeviceMetadataType, session *string, password string) (*api.RespondToAuthChallengeResponse, error) {
	h.t.Helper()
	c, err := srp.NewClient(rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := h.answer(clientID, "DEVICE_SRP_AUTH", session, "USERNAME", name, "DEVICE_KEY", *m.DeviceKey, "SRP_A", c.Public())
	if err != nil {
		return nil, err
	}
	if out.ChallengeName != "DEVICE_PASSWORD_VERIFIER" || out.AuthenticationResult != nil {
		h.t.Fatalf("got %+v", out)
	}
	p := out.ChallengeParameters
	id := srp.Identity{Pool: *m.DeviceGroupKey, User: *m.DeviceKey}
	key, err := c.Key(id, p["SALT"], p["SRP_B"], password)
	if err != nil {
		h.t.Fatal(err)
	}
	block, err := base64.StdEncoding.DecodeString(p["SECRET_BLOCK"])
	if err != nil {
		h.t.Fatal(err)
	}
	stamp := h.clock().Format("Mon Jan 2 15:04:05 UTC 2006")
	return h.answer(clientID, "DEVICE_PASSWORD_VERIFIER", nil, "USERNAME", name, "DEVICE_KEY", *m.DeviceKey, "TIMESTAMP", stamp,
		"PASSWORD_CLAIM_SECRET_BLOCK", p["SECRET_BLOCK"], "PASSWORD_CLAIM_SIGNATURE", base64.StdEncoding.EncodeToString(srp.Proof(key, id, block, stamp)))
}

func TestService_device(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client := h.devicePool(false, false)
	h.member(pool, "ann")
	h.member(pool, "eve")
	r := h.mustSignIn(client, "ann")
	m := r.NewDeviceMetadata
	if m == nil || h.claims(r.AccessToken).String("device_key") != *m.DeviceKey {
		t.Fatalf("got %+v", r)
	}
	if out := h.confirmDevice(r.AccessToken, m); *out.UserConfirmationNecessary {
		t.Error("a device that is always remembered needs confirmation")
	}
	eve := h.mustSignIn(client, "eve")
	_, err := h.c.ConfirmDevice(t.Context(), &api.ConfirmDeviceRequest{AccessToken: *eve.AccessToken, DeviceKey: *m.DeviceKey, DeviceSecretVerifierConfig: &api.DeviceSecretVerifierConfigType{Salt: wire.String("AAAA"), PasswordVerifier: wire.String("AAAA")}})
	want(t, err, "ResourceNotFoundException", "Device does not exist.")

	first := must[*api.InitiateAuthResponse](t)(h.beginOn(client, "ann", *m.DeviceKey))
	if first.ChallengeName != "DEVICE_SRP_AUTH" || first.AuthenticationResult != nil {
		t.Fatalf("got %+v", first)
	}
	out := must[*api.RespondToAuthChallengeResponse](t)(h.deviceSignIn(client, "ann", m, first.Session, devicePassword))
	if out.AuthenticationResult == nil || out.AuthenticationResult.NewDeviceMetadata != nil {
		t.Fatalf("got %+v", out)
	}
	first = must[*api.InitiateAuthResponse](t)(h.beginOn(client, "ann", *m.DeviceKey))
	_, err = h.deviceSignIn(client, "ann", m, first.Session, "another secret")
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	_, err = h.deviceSignIn(client, "ann", m, first.Session, devicePassword)
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")
	_, err = h.beginOn(client, "ann", *eve.NewDeviceMetadata.DeviceKey)
	want(t, err, "ResourceNotFoundException", "Device does not exist.") // clients then try without a device
	_, err = h.beginOn(client, "eve", *m.DeviceKey)
	want(t, err, "ResourceNotFoundException", "Device does not exist.")

	list := must[*api.ListDevicesResponse](t)(h.c.ListDevices(t.Context(), &api.ListDevicesRequest{AccessToken: *r.AccessToken}))
	if len(list.Devices) != 1 || attributesOf(list.Devices[0].DeviceAttributes)["device_name"] != "laptop" {
		t.Errorf("got %+v", list)
	}
	must[*api.ForgetDeviceOutput](t)(h.c.ForgetDevice(t.Context(), &api.ForgetDeviceRequest{AccessToken: r.AccessToken, DeviceKey: *m.DeviceKey}))
	_, err = h.c.InitiateAuth(t.Context(), &api.InitiateAuthRequest{AuthFlow: "REFRESH_TOKEN_AUTH", ClientId: client, AuthParameters: map[string]string{"REFRESH_TOKEN": *out.AuthenticationResult.RefreshToken, "DEVICE_KEY": *m.DeviceKey}})
	want(t, err, "NotAuthorizedException", "Refresh Token has been revoked")
}

// A remembered device stands for the second factor where the pool says so, and for
// nothing where it does not.
func TestService_device_forMFA(t *testing.T) {
	t.Parallel()
	for _, forMFA := range []bool{true, false} {
		h := newHouse(t)
		pool, client := h.devicePool(true, forMFA)
		h.member(pool, "ann", "phone_number", "+4915112345678", "phone_number_verified", "true")
		r := h.mustSignIn(client, "ann")
		m := r.NewDeviceMetadata
		if out := h.confirmDevice(r.AccessToken, m); !*out.UserConfirmationNecessary {
			t.Error("the user is not asked")
		}
		h.setMFA(pool, "ON")
		if out := must[*api.InitiateAuthResponse](t)(h.beginOn(client, "ann", *m.DeviceKey)); out.ChallengeName != "SMS_MFA" {
			t.Fatalf("a device that is not remembered counts: %+v", out)
		}
		must[*api.AdminUpdateDeviceStatusResponse](t)(h.c.AdminUpdateDeviceStatus(t.Context(), &api.AdminUpdateDeviceStatusRequest{UserPoolId: pool, Username: "ann", DeviceKey: *m.DeviceKey, DeviceRememberedStatus: "remembered"}))
		first := must[*api.InitiateAuthResponse](t)(h.beginOn(client, "ann", *m.DeviceKey))
		out := must[*api.RespondToAuthChallengeResponse](t)(h.deviceSignIn(client, "ann", m, first.Session, devicePassword))
		if forMFA && out.AuthenticationResult == nil || !forMFA && out.ChallengeName != "SMS_MFA" {
			t.Errorf("for MFA %v: got %+v", forMFA, out)
		}
		if out := h.begin(client, "ann", goodPass); out.ChallengeName != "SMS_MFA" {
			t.Errorf("without the device: got %+v", out)
		}
	}
}

func TestService_ConfirmDevice_refused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client := h.devicePool(false, false)
	h.member(pool, "ann")
	r := h.mustSignIn(client, "ann")
	key := *r.NewDeviceMetadata.DeviceKey
	for name, c := range map[string]*api.DeviceSecretVerifierConfigType{
		"none":              nil,
		"no salt":           {PasswordVerifier: wire.String("AQ==")},
		"not base64":        {Salt: wire.String("AAAA"), PasswordVerifier: wire.String("%")},
		"zero":              {Salt: wire.String("AAAA"), PasswordVerifier: wire.String("AA==")},
		"beyond the group":  {Salt: wire.String("AAAA"), PasswordVerifier: wire.String(base64.StdEncoding.EncodeToString(append([]byte{1}, make([]byte, srp.Size)...)))},
		"salt far too long": {Salt: wire.String(base64.StdEncoding.EncodeToString(make([]byte, 99))), PasswordVerifier: wire.String("Ag==")},
	} {
		_, err := h.c.ConfirmDevice(t.Context(), &api.ConfirmDeviceRequest{AccessToken: *r.AccessToken, DeviceKey: key, DeviceSecretVerifierConfig: c})
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		want(t, err, "InvalidParameterException", "")
	}
	h.confirmDevice(r.AccessToken, r.NewDeviceMetadata)
	_, err := h.c.ConfirmDevice(t.Context(), &api.ConfirmDeviceRequest{AccessToken: *r.AccessToken, DeviceKey: key, DeviceSecretVerifierConfig: &api.DeviceSecretVerifierConfigType{Salt: wire.String("AAAA"), PasswordVerifier: wire.String("Ag==")}})
	want(t, err, "DeviceKeyExistsException", "")
	bare := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil })
	other := *h.newClient(bare, nil).ClientId
	h.member(bare, "ann")
	plain := h.mustSignIn(other, "ann")
	if plain.NewDeviceMetadata != nil || h.claims(plain.AccessToken).String("device_key") != "" {
		t.Error("devices are tracked though nobody wants it")
	}
	_, err = h.c.ConfirmDevice(t.Context(), &api.ConfirmDeviceRequest{AccessToken: *plain.AccessToken, DeviceKey: key, DeviceSecretVerifierConfig: &api.DeviceSecretVerifierConfigType{}})
	want(t, err, "InvalidUserPoolConfigurationException", "")
}

// A refresh token that is shown together with another device's key is refused, by both operations;
// and a function hears whether the device is new.
func TestService_device_refreshAndTrigger(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool, client := h.devicePool(false, false)
	var fresh []any
	post := h.function("post", func(ev map[string]any) (any, error) {
		fresh = append(fresh, at(ev, "request", "newDeviceUsed"))
		return object{}, nil
	})
	must[*api.UpdateUserPoolResponse](t)(h.c.UpdateUserPool(ctx, &api.UpdateUserPoolRequest{
		UserPoolId: pool, LambdaConfig: &api.LambdaConfigType{PostAuthentication: post},
		DeviceConfiguration: &api.DeviceConfigurationType{DeviceOnlyRememberedOnUserPrompt: wire.Bool(false)},
	}))
	h.member(pool, "ann")
	r := h.mustSignIn(client, "ann")
	m := r.NewDeviceMetadata
	h.confirmDevice(r.AccessToken, m)
	refresh := func(key *string) error {
		_, err := h.c.GetTokensFromRefreshToken(ctx, &api.GetTokensFromRefreshTokenRequest{ClientId: client, RefreshToken: *r.RefreshToken, DeviceKey: key})
		return err
	}
	want(t, refresh(wire.String("eu-central-1_0d9fd4ee-7d1c-4d3e-9d3b-0d4c1c9f6a01")), "NotAuthorizedException", "Invalid Refresh Token")
	for _, key := range []*string{m.DeviceKey, nil} {
		if err := refresh(key); err != nil {
			t.Error(err)
		}
	}
	begun := must[*api.InitiateAuthResponse](t)(h.beginOn(client, "ann", *m.DeviceKey))
	must[*api.RespondToAuthChallengeResponse](t)(h.deviceSignIn(client, "ann", m, begun.Session, devicePassword))
	if len(fresh) != 2 || fresh[0] != true || fresh[1] != false {
		t.Errorf("the function heard of new devices: %v", fresh)
	}
}
