package iam

import (
	"bytes"
	"encoding/base32"
	"image/png"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/pure/totp"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/stsapi"
)

// device makes a virtual device and returns its serial number and seed.
func (h *house) device(name string) (serial string, seed []byte) {
	h.t.Helper()
	d := must(h.t)(h.iam.CreateVirtualMFADevice(h.root(), &iamapi.CreateVirtualMFADeviceRequest{VirtualMFADeviceName: name})).(*iamapi.CreateVirtualMFADeviceResponse).VirtualMFADevice
	seed, err := base32.StdEncoding.DecodeString(string(d.Base32StringSeed))
	if err != nil || len(d.Base32StringSeed) != 64 {
		h.t.Fatalf("seed %d: %v", len(d.Base32StringSeed), err)
	}
	if img, err := png.Decode(bytes.NewReader(d.QRCodePNG)); err != nil || img.Bounds().Dx() < 100 {
		h.t.Errorf("QR code: %v", err)
	}
	return d.SerialNumber, seed
}

// code is what a device shows, so many steps from now.
func (h *house) code(seed []byte, ahead int64) string {
	return totp.Code(seed, totp.StepOf(h.clock())+ahead)
}

func (h *house) enable(user, serial, first, second string) error {
	_, err := h.iam.EnableMFADevice(h.root(), &iamapi.EnableMFADeviceRequest{UserName: user, SerialNumber: serial, AuthenticationCode1: first, AuthenticationCode2: second})
	return err
}

func TestMFA_enable(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	h.user("alice", "")
	serial, seed := h.device("phone")
	if serial != "arn:aws:iam::000000000000:mfa/phone" {
		t.Errorf("serial %s", serial)
	}
	_, err := h.iam.CreateVirtualMFADevice(ctx, &iamapi.CreateVirtualMFADeviceRequest{VirtualMFADeviceName: "phone"})
	want(t, "twice", err, "EntityAlreadyExists", "MFADevice entity at the same path and name already exists.")
	want(t, "no device", h.enable("alice", serial+"x", "000000", "000000"), "NoSuchEntity", "VirtualMFADevice with serial number "+serial+"x doesn't exist.")
	want(t, "the same code twice", h.enable("alice", serial, h.code(seed, 0), h.code(seed, 0)), "InvalidAuthenticationCode", "Authentication code for device is not valid.")
	want(t, "not consecutive", h.enable("alice", serial, h.code(seed, -2), h.code(seed, 0)), "InvalidAuthenticationCode", "")
	want(t, "wrong order", h.enable("alice", serial, h.code(seed, 0), h.code(seed, -1)), "InvalidAuthenticationCode", "")
	if err := h.enable("alice", serial, h.code(seed, -1), h.code(seed, 0)); err != nil {
		t.Fatal(err)
	}
	want(t, "in use", h.enable("alice", serial, h.code(seed, 1), h.code(seed, 2)), "EntityAlreadyExists", "MFA Device is already in use.")
	l := must(t)(h.iam.ListMFADevices(ctx, &iamapi.ListMFADevicesRequest{UserName: wire.String("alice")})).(*iamapi.ListMFADevicesResponse).MFADevices
	if len(l) != 1 || l[0].SerialNumber != serial || l[0].UserName != "alice" || !l[0].EnableDate.Equal(h.clock()) {
		t.Errorf("%+v", l)
	}
	// A renamed user keeps the device.
	must(t)(h.iam.UpdateUser(ctx, &iamapi.UpdateUserRequest{UserName: "alice", NewUserName: wire.String("alicia")}))
	v := must(t)(h.iam.ListVirtualMFADevices(ctx, &iamapi.ListVirtualMFADevicesRequest{AssignmentStatus: "Assigned"})).(*iamapi.ListVirtualMFADevicesResponse).VirtualMFADevices
	if len(v) != 1 || v[0].User.UserName != "alicia" || v[0].Base32StringSeed != nil || v[0].QRCodePNG != nil {
		t.Errorf("%+v", v)
	}
	if v := must(t)(h.iam.ListVirtualMFADevices(ctx, &iamapi.ListVirtualMFADevicesRequest{AssignmentStatus: "Unassigned"})).(*iamapi.ListVirtualMFADevicesResponse).VirtualMFADevices; len(v) != 0 {
		t.Errorf("%+v", v)
	}
	_, err = h.iam.DeleteVirtualMFADevice(ctx, &iamapi.DeleteVirtualMFADeviceRequest{SerialNumber: serial})
	want(t, "delete in use", err, "DeleteConflict", "MFA VirtualDevice in use. Must deactivate first.")
	h.user("bob", "")
	_, err = h.iam.DeactivateMFADevice(ctx, &iamapi.DeactivateMFADeviceRequest{UserName: wire.String("bob"), SerialNumber: serial})
	want(t, "another's", err, "NoSuchEntity", "")
	must(t)(h.iam.DeactivateMFADevice(ctx, &iamapi.DeactivateMFADeviceRequest{UserName: wire.String("alicia"), SerialNumber: serial}))
	want(t, "codes that were used", h.enable("bob", serial, h.code(seed, -1), h.code(seed, 0)), "InvalidAuthenticationCode", "")
	must(t)(h.iam.DeleteVirtualMFADevice(ctx, &iamapi.DeleteVirtualMFADeviceRequest{SerialNumber: serial}))
}

func TestMFA_verify(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	h.user("alice", "")
	h.user("bob", "")
	serial, seed := h.device("phone")
	const denied = "MultiFactorAuthentication failed, unable to validate MFA code"
	want(t, "not enabled", h.s.verifyMFA(ctx, "alice", serial, h.code(seed, 0)), "AccessDenied", wrongDevice)
	if err := h.enable("alice", serial, h.code(seed, -1), h.code(seed, 0)); err != nil {
		t.Fatal(err)
	}
	want(t, "used when it was enabled", h.s.verifyMFA(ctx, "alice", serial, h.code(seed, 0)), "AccessDenied", wrongCode)
	h.advance(30 * time.Second)
	fresh := h.code(seed, 0)
	if err := h.s.verifyMFA(ctx, "bob", serial, fresh); err == nil || !strings.Contains(err.Error(), denied) {
		t.Errorf("another user: %v", err)
	}
	want(t, "no device", h.s.verifyMFA(ctx, "alice", serial+"x", fresh), "AccessDenied", wrongDevice)
	want(t, "no user", h.s.verifyMFA(ctx, "nobody", serial, fresh), "AccessDenied", wrongDevice)
	// Of many who bring the same code one is let in.
	var in atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if h.s.verifyMFA(ctx, "alice", serial, fresh) == nil {
				in.Add(1)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d let in", in.Load())
	}
	h.advance(time.Minute)
	if err := h.s.verifyMFA(ctx, "alice", serial, h.code(seed, 1)); err != nil {
		t.Errorf("a step ahead: %v", err)
	}
	want(t, "an earlier step after a later one", h.s.verifyMFA(ctx, "alice", serial, h.code(seed, 0)), "AccessDenied", wrongCode)
	h.advance(5 * time.Minute)
	want(t, "two steps behind", h.s.verifyMFA(ctx, "alice", serial, h.code(seed, -2)), "AccessDenied", wrongCode)
	if err := h.s.verifyMFA(ctx, "alice", serial, h.code(seed, 0)); err != nil {
		t.Error(err)
	}
}

// TestMFA_guessing: after five failures a right code waits as well.
func TestMFA_guessing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.user("alice", "")
	serial, seed := h.device("phone")
	if err := h.enable("alice", serial, h.code(seed, -1), h.code(seed, 0)); err != nil {
		t.Fatal(err)
	}
	h.advance(time.Minute)
	for range 8 {
		wrong := "000000"
		if h.code(seed, 0) == wrong {
			wrong = "000001"
		}
		want(t, "wrong", h.s.verifyMFA(t.Context(), "alice", serial, wrong), "AccessDenied", wrongCode)
		h.advance(500 * time.Millisecond)
	}
	want(t, "right, but too early", h.s.verifyMFA(t.Context(), "alice", serial, h.code(seed, 0)), "AccessDenied", wrongCode)
	h.advance(time.Minute)
	if err := h.s.verifyMFA(t.Context(), "alice", serial, h.code(seed, 0)); err != nil {
		t.Error(err)
	}
}

// TestMFA_resync: a device whose clock went astray is set by two codes.
func TestMFA_resync(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	h.user("alice", "")
	serial, seed := h.device("phone")
	if err := h.enable("alice", serial, h.code(seed, -1), h.code(seed, 0)); err != nil {
		t.Fatal(err)
	}
	h.advance(time.Hour)
	want(t, "40 steps ahead", h.s.verifyMFA(t.Context(), "alice", serial, h.code(seed, 40)), "AccessDenied", wrongCode)
	resync := func(first, second int64) error {
		_, err := h.iam.ResyncMFADevice(ctx, &iamapi.ResyncMFADeviceRequest{UserName: "alice", SerialNumber: serial, AuthenticationCode1: h.code(seed, first), AuthenticationCode2: h.code(seed, second)})
		return err
	}
	want(t, "too far", resync(200, 201), "InvalidAuthenticationCode", "Authentication code for device is not valid.")
	if err := resync(40, 41); err != nil {
		t.Fatal(err)
	}
	want(t, "replayed", h.s.verifyMFA(t.Context(), "alice", serial, h.code(seed, 41)), "AccessDenied", wrongCode)
	h.advance(30 * time.Second)
	if err := h.s.verifyMFA(t.Context(), "alice", serial, h.code(seed, 41)); err != nil {
		t.Error(err)
	}
	want(t, "by our clock", h.s.verifyMFA(t.Context(), "alice", serial, h.code(seed, 0)), "AccessDenied", wrongCode)
}

// TestMFA_session: a session that was made with a code may do what a policy allows
// with a second factor only; one without a code may not.
func TestMFA_session(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.user("alice", `{"Effect":"Allow","Action":"ssm:GetParameter","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}`)
	serial, seed := h.device("phone")
	if err := h.enable("alice", serial, h.code(seed, -1), h.code(seed, 0)); err != nil {
		t.Fatal(err)
	}
	h.advance(time.Minute)
	session := func(serial, code *string) (sigv4.Credentials, error) {
		out, err := h.sts.GetSessionToken(h.as(key), &stsapi.GetSessionTokenRequest{SerialNumber: serial, TokenCode: code})
		if err != nil {
			return sigv4.Credentials{}, err
		}
		return sigv4.Credentials{AccessKeyID: out.Credentials.AccessKeyId, SecretAccessKey: out.Credentials.SecretAccessKey, SessionToken: out.Credentials.SessionToken}, nil
	}
	const parameter = "arn:aws:ssm:us-east-1:000000000000:parameter/x"
	plain, err := session(nil, nil)
	if err != nil || h.may(plain, "ssm:GetParameter", parameter) {
		t.Errorf("without a code: %v, or it may", err)
	}
	code := h.code(seed, 0)
	strong, err := session(&serial, &code)
	if err != nil || !h.may(strong, "ssm:GetParameter", parameter) {
		t.Errorf("with a code: %v, or it may not", err)
	}
	_, err = session(&serial, &code)
	want(t, "the same code again", err, "AccessDenied", wrongCode)
	if h.may(key, "ssm:GetParameter", parameter) {
		t.Error("the long-lived key may")
	}
}
