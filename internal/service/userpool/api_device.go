package userpool

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"

	"moat/internal/pure/srp"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// maxDeviceSalt bounds the salt that a device brings; clients send 16 bytes.
const maxDeviceSalt = 64

// ConfirmDevice keeps the secret's verifier of the device that the user is signed in
// on. The access token must be the one that the device got when it was new.
func (s *Service) ConfirmDevice(ctx context.Context, in *api.ConfirmDeviceRequest) (*api.ConfirmDeviceResponse, error) {
	b, err := s.bearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	if b.pool.Settings.Device == nil {
		return nil, exception(refuse(invalidPoolConfiguration, "Device tracking is not configured for this user pool."))
	}
	if in.DeviceKey != b.claims.String("device_key") {
		return nil, exception(refuse(notFound, "Device does not exist."))
	}
	d, err := s.newDevice(ctx, &b, in)
	if err != nil {
		return nil, exception(err)
	}
	err = s.update(ctx, func(tx *store.Tx) error {
		err := s.tables.devices.Insert(tx, d)
		if errors.Is(err, store.ErrExists) {
			return refuse(deviceKeyExists, "Device already exists.")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.ConfirmDeviceResponse{UserConfirmationNecessary: wire.Bool(!d.Remembered)}, nil
}

func (s *Service) newDevice(ctx context.Context, b *bearer, in *api.ConfirmDeviceRequest) (Device, error) {
	invalid := refuse(invalidParameter, "Invalid device secret verifier config.")
	c := in.DeviceSecretVerifierConfig
	if c == nil || c.Salt == nil || c.PasswordVerifier == nil {
		return Device{}, invalid
	}
	salt, err := base64.StdEncoding.DecodeString(*c.Salt)
	if err != nil || len(salt) == 0 || len(salt) > maxDeviceSalt {
		return Device{}, invalid
	}
	raw, err := base64.StdEncoding.DecodeString(*c.PasswordVerifier)
	if err != nil {
		return Device{}, invalid
	}
	verifier, err := srp.ParsePublic(hex.EncodeToString(raw)) // in the group, and not a trivial element of it
	if err != nil {
		return Device{}, invalid
	}
	sealed, err := s.db.Seal(sealVerifier, verifier)
	now := s.time()
	return Device{
		Pool: b.pool.ID, User: b.user.Key, Key: in.DeviceKey, Name: deref(in.DeviceName), CreatedAt: now, ModifiedAt: now,
		LastSignIn: now, LastIP: wire.CallFrom(ctx).SourceIP, Salt: salt, Verifier: sealed,
		Remembered: !wire.Value(b.pool.Settings.Device.DeviceOnlyRememberedOnUserPrompt),
	}, err
}

func (s *Service) describeDevice(d *Device) api.DeviceType {
	status := "not_remembered"
	if d.Remembered {
		status = "remembered"
	}
	pair := func(name, value string) api.AttributeType {
		return api.AttributeType{Name: name, Value: wire.String(value)}
	}
	return api.DeviceType{
		DeviceKey: wire.String(d.Key), DeviceCreateDate: wire.Time(d.CreatedAt), DeviceLastModifiedDate: wire.Time(d.ModifiedAt),
		DeviceLastAuthenticatedDate: wire.Time(d.LastSignIn),
		DeviceAttributes:            []api.AttributeType{pair("device_status", status), pair("device_name", d.Name), pair("last_ip_used", d.LastIP)},
	}
}

// device reads a device of a user.
func (s *Service) device(tx *store.Tx, u *User, key string) (Device, error) {
	d, err := s.tables.devices.Get(tx, u.Pool, u.Key, key)
	return d, missing(err, notFound, "Device does not exist.")
}

// forget removes a device and ends what was begun on it.
func (s *Service) forget(tx *store.Tx, u *User, key string) error {
	if _, err := s.device(tx, u, key); err != nil {
		return err
	}
	sessions, err := s.tables.sessions.List(tx, store.Query{Index: "user", Values: []string{u.Pool, u.Key}})
	if err != nil {
		return err
	}
	for _, x := range sessions {
		if x.Device != key || x.Revoked {
			continue
		}
		x.Revoked = true
		if err := s.tables.sessions.Put(tx, x); err != nil {
			return err
		}
	}
	return s.tables.devices.Delete(tx, u.Pool, u.Key, key)
}

func (s *Service) remember(tx *store.Tx, u *User, key string, status api.DeviceRememberedStatusType) error {
	d, err := s.device(tx, u, key)
	if err != nil {
		return err
	}
	if status == "" {
		return refuse(invalidParameter, "DeviceRememberedStatus is required.")
	}
	d.Remembered, d.ModifiedAt = status == api.DeviceRememberedStatusTyperemembered, s.time()
	return s.tables.devices.Put(tx, d)
}

// signedIn is the user of an access token that may be missing in the model.
func (s *Service) signedIn(ctx context.Context, accessToken *string) (bearer, error) {
	if deref(accessToken) == "" {
		return bearer{}, refuse(invalidParameter, "Missing required parameter AccessToken")
	}
	return s.bearer(ctx, *accessToken)
}

// GetDevice describes a device of the user who asks.
func (s *Service) GetDevice(ctx context.Context, in *api.GetDeviceRequest) (*api.GetDeviceResponse, error) {
	b, err := s.signedIn(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	var d Device
	err = s.view(ctx, func(tx *store.Tx) (err error) { d, err = s.device(tx, &b.user, in.DeviceKey); return err })
	if err != nil {
		return nil, err
	}
	return &api.GetDeviceResponse{Device: wire.Ptr(s.describeDevice(&d))}, nil
}

// ForgetDevice removes a device of the user who asks.
func (s *Service) ForgetDevice(ctx context.Context, in *api.ForgetDeviceRequest) (*api.ForgetDeviceOutput, error) {
	b, err := s.signedIn(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	if err := s.update(ctx, func(tx *store.Tx) error { return s.forget(tx, &b.user, in.DeviceKey) }); err != nil {
		return nil, err
	}
	return &api.ForgetDeviceOutput{}, nil
}

// UpdateDeviceStatus says whether a device of the user who asks is remembered.
func (s *Service) UpdateDeviceStatus(ctx context.Context, in *api.UpdateDeviceStatusRequest) (*api.UpdateDeviceStatusResponse, error) {
	b, err := s.bearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	err = s.update(ctx, func(tx *store.Tx) error {
		return s.remember(tx, &b.user, in.DeviceKey, in.DeviceRememberedStatus)
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateDeviceStatusResponse{}, nil
}

// ListDevices lists the devices of the user who asks.
func (s *Service) ListDevices(ctx context.Context, in *api.ListDevicesRequest) (*api.ListDevicesResponse, error) {
	b, err := s.bearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	list, next, err := s.listDevices(ctx, &b.user, in.Limit, in.PaginationToken)
	if err != nil {
		return nil, exception(err)
	}
	return &api.ListDevicesResponse{Devices: list, PaginationToken: next}, nil
}

func (s *Service) listDevices(ctx context.Context, u *User, limit *int32, token *string) ([]api.DeviceType, *string, error) {
	scope := []string{"devices", u.Pool, u.Key}
	after, err := s.openPage(token, scope)
	if err != nil {
		return nil, nil, err
	}
	n := limitOf(limit)
	var list []Device
	err = s.db.View(ctx, func(tx *store.Tx) (err error) {
		list, err = s.tables.devices.List(tx, store.Query{Prefix: []string{u.Pool, u.Key}, After: after, Limit: n + 1})
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	list, next, err := nextPage(s, list, n, scope, func(d *Device) []string { return []string{d.Pool, d.User, d.Key} })
	out := []api.DeviceType{}
	for i := range list {
		out = append(out, s.describeDevice(&list[i]))
	}
	return out, next, err
}

// deviceOfNobody is err in the words of operations whose model has no UserNotFoundException.
func deviceOfNobody(err error) error {
	if is(err, userNotFound) {
		return refuse(notFound, err.Error())
	}
	return err
}

// AdminGetDevice describes a device of any user.
func (s *Service) AdminGetDevice(ctx context.Context, in *api.AdminGetDeviceRequest) (*api.AdminGetDeviceResponse, error) {
	var d Device
	err := s.view(ctx, func(tx *store.Tx) error {
		_, u, err := s.userHere(ctx, tx, in.UserPoolId, in.Username)
		if err == nil {
			d, err = s.device(tx, &u, in.DeviceKey)
		}
		return deviceOfNobody(err)
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminGetDeviceResponse{Device: wire.Ptr(s.describeDevice(&d))}, nil
}

// AdminForgetDevice removes a device of any user.
func (s *Service) AdminForgetDevice(ctx context.Context, in *api.AdminForgetDeviceRequest) (*api.AdminForgetDeviceOutput, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		_, u, err := s.userHere(ctx, tx, in.UserPoolId, in.Username)
		if err != nil {
			return err
		}
		return s.forget(tx, &u, in.DeviceKey)
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminForgetDeviceOutput{}, nil
}

// AdminUpdateDeviceStatus says whether a device of any user is remembered.
func (s *Service) AdminUpdateDeviceStatus(ctx context.Context, in *api.AdminUpdateDeviceStatusRequest) (*api.AdminUpdateDeviceStatusResponse, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		_, u, err := s.userHere(ctx, tx, in.UserPoolId, in.Username)
		if err != nil {
			return err
		}
		return s.remember(tx, &u, in.DeviceKey, in.DeviceRememberedStatus)
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminUpdateDeviceStatusResponse{}, nil
}

// AdminListDevices lists the devices of any user.
func (s *Service) AdminListDevices(ctx context.Context, in *api.AdminListDevicesRequest) (*api.AdminListDevicesResponse, error) {
	var u User
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		_, u, err = s.userHere(ctx, tx, in.UserPoolId, in.Username)
		return err
	})
	if err = deviceOfNobody(err); err != nil {
		return nil, exception(err)
	}
	list, next, err := s.listDevices(ctx, &u, in.Limit, in.PaginationToken)
	if err != nil {
		return nil, exception(err)
	}
	return &api.AdminListDevicesResponse{Devices: list, PaginationToken: next}, nil
}
