package iam

import (
	"context"
	"slices"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// CreateVirtualMFADevice implements iamapi.Service. Seed and QR code are shown
// once: what is stored of them is sealed.
func (s *Service) CreateVirtualMFADevice(ctx context.Context, in *iamapi.CreateVirtualMFADeviceRequest) (*iamapi.CreateVirtualMFADeviceResponse, error) {
	tags, err := setTags(ctx, nil, in.Tags)
	if err != nil {
		return nil, err
	}
	d, seed, png, err := s.newDevice(path(in.Path), in.VirtualMFADeviceName)
	if err != nil {
		return nil, err
	}
	d.Tags = tags
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		return or(s.t.devices.Insert(tx, d), nil, exists("MFADevice entity at the same path and name already exists."))
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.CreateVirtualMFADeviceResponse{VirtualMFADevice: &iamapi.VirtualMFADevice{
		SerialNumber: s.serial(&d), Base32StringSeed: []byte(seed), QRCodePNG: png, Tags: tagsOut(tags),
	}}, nil
}

// errNoCode is the answer to codes that the device did not show; it is written after
// the failure was counted.
var errNoCode = &iamapi.InvalidAuthenticationCodeException{Message: "Authentication code for device is not valid."}

// EnableMFADevice implements iamapi.Service.
func (s *Service) EnableMFADevice(ctx context.Context, in *iamapi.EnableMFADeviceRequest) (*iamapi.EnableMFADeviceOutput, error) {
	ok := false
	err := s.db.Update(ctx, func(tx *store.Tx) (err error) {
		ok = false
		u, err := s.getUser(tx, in.UserName)
		if err != nil {
			return err
		}
		d, err := s.getDevice(tx, in.SerialNumber)
		if err != nil {
			return err
		}
		have, err := s.devicesOf(tx, u.ID)
		switch {
		case err != nil:
			return err
		case d.User != "":
			return exists("MFA Device is already in use.")
		case len(have) >= maxDevices:
			return limit("Cannot exceed quota for MFADevicesPerUser: %d", maxDevices)
		}
		ok, err = s.attempt(tx, &d, func() (bool, error) {
			ok, err := s.synchronise(&d, in.AuthenticationCode1, in.AuthenticationCode2, skewEnable)
			if ok {
				d.User, d.Enabled = u.ID, s.now()
			}
			return ok, err
		})
		return err
	})
	if err == nil && !ok {
		err = errNoCode
	}
	return nil, err
}

// deviceOf returns a device that the user has enabled.
func (s *Service) deviceOf(tx *store.Tx, userName, serial string) (MFADevice, error) {
	u, err := s.getUser(tx, userName)
	if err != nil {
		return MFADevice{}, err
	}
	d, err := s.getDevice(tx, serial)
	if err == nil && d.User != u.ID {
		err = noSuch("MFA Device invalid for user.")
	}
	return d, err
}

// ResyncMFADevice implements iamapi.Service.
func (s *Service) ResyncMFADevice(ctx context.Context, in *iamapi.ResyncMFADeviceRequest) (*iamapi.ResyncMFADeviceOutput, error) {
	ok := false
	err := s.db.Update(ctx, func(tx *store.Tx) (err error) {
		ok = false
		d, err := s.deviceOf(tx, in.UserName, in.SerialNumber)
		if err != nil {
			return err
		}
		ok, err = s.attempt(tx, &d, func() (bool, error) {
			return s.synchronise(&d, in.AuthenticationCode1, in.AuthenticationCode2, skewResync)
		})
		return err
	})
	if err == nil && !ok {
		err = errNoCode
	}
	return nil, err
}

// DeactivateMFADevice implements iamapi.Service.
func (s *Service) DeactivateMFADevice(ctx context.Context, in *iamapi.DeactivateMFADeviceRequest) (*iamapi.DeactivateMFADeviceOutput, error) {
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		d, err := s.deviceOf(tx, name, in.SerialNumber)
		if err != nil {
			return err
		}
		// The last step stays: whoever gets the device next cannot use old codes.
		return s.t.devices.Put(tx, MFADevice{Account: d.Account, Path: d.Path, Name: d.Name, Created: d.Created, Tags: d.Tags, Seed: d.Seed, Last: d.Last, Attempts: d.Attempts})
	})
}

// DeleteVirtualMFADevice implements iamapi.Service.
func (s *Service) DeleteVirtualMFADevice(ctx context.Context, in *iamapi.DeleteVirtualMFADeviceRequest) (*iamapi.DeleteVirtualMFADeviceOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		d, err := s.getDevice(tx, in.SerialNumber)
		switch {
		case err != nil:
			return err
		case d.User != "":
			return conflict("MFA VirtualDevice in use. Must deactivate first.")
		}
		return s.t.devices.Delete(tx, s.cfg.Account, lower(d.Path+d.Name))
	})
}

// ListMFADevices implements iamapi.Service. Without a name it lists the caller's;
// the root here has none.
func (s *Service) ListMFADevices(ctx context.Context, in *iamapi.ListMFADevicesRequest) (*iamapi.ListMFADevicesResponse, error) {
	if in.UserName == nil && wire.CallFrom(ctx).Caller.Kind == policy.PrincipalRoot {
		return &iamapi.ListMFADevicesResponse{MFADevices: []iamapi.MFADevice{}, IsTruncated: wire.Bool(false)}, nil
	}
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	var list []MFADevice
	err = s.db.View(ctx, func(tx *store.Tx) error {
		u, err := s.getUser(tx, name)
		if err != nil {
			return err
		}
		name = u.Name
		list, err = s.devicesOf(tx, u.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListMFADevicesResponse{MFADevices: []iamapi.MFADevice{}}
	list, out.Marker, out.IsTruncated, err = page(s, "mfa/"+name, list, deviceKey, in.Marker, in.MaxItems)
	for i := range list {
		out.MFADevices = append(out.MFADevices, iamapi.MFADevice{UserName: name, SerialNumber: s.serial(&list[i]), EnableDate: list[i].Enabled})
	}
	return out, err
}

func deviceKey(d *MFADevice) string { return lower(d.Path + d.Name) }

// GetMFADevice implements iamapi.Service.
func (s *Service) GetMFADevice(ctx context.Context, in *iamapi.GetMFADeviceRequest) (*iamapi.GetMFADeviceResponse, error) {
	out := &iamapi.GetMFADeviceResponse{SerialNumber: in.SerialNumber}
	return out, s.db.View(ctx, func(tx *store.Tx) error {
		d, err := s.getDevice(tx, in.SerialNumber)
		if err == nil && in.UserName != nil {
			d, err = s.deviceOf(tx, *in.UserName, in.SerialNumber)
		}
		if err != nil || d.User == "" {
			return err
		}
		u, err := s.userByID(tx, d.User)
		out.UserName, out.EnableDate = wire.String(u.Name), wire.Time(d.Enabled)
		return err
	})
}

// ListVirtualMFADevices implements iamapi.Service.
func (s *Service) ListVirtualMFADevices(ctx context.Context, in *iamapi.ListVirtualMFADevicesRequest) (*iamapi.ListVirtualMFADevicesResponse, error) {
	out := &iamapi.ListVirtualMFADevicesResponse{}
	return out, s.db.View(ctx, func(tx *store.Tx) error {
		out.VirtualMFADevices = []iamapi.VirtualMFADevice{}
		list, err := s.t.devices.List(tx, store.Query{Prefix: []string{s.cfg.Account}})
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(d MFADevice) bool {
			return in.AssignmentStatus == "Assigned" && d.User == "" || in.AssignmentStatus == "Unassigned" && d.User != ""
		})
		list, out.Marker, out.IsTruncated, err = page(s, "mfa devices/"+string(in.AssignmentStatus), list, deviceKey, in.Marker, in.MaxItems)
		if err != nil {
			return err
		}
		for i := range list {
			shown := iamapi.VirtualMFADevice{SerialNumber: s.serial(&list[i])}
			if list[i].User != "" {
				u, err := s.userByID(tx, list[i].User)
				if err != nil {
					return err
				}
				shown.User, shown.EnableDate = s.userOut(&u, false), wire.Time(list[i].Enabled)
			}
			out.VirtualMFADevices = append(out.VirtualMFADevices, shown)
		}
		return nil
	})
}

func (s *Service) updateDevice(ctx context.Context, serial string, change func(*MFADevice) error) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		d, err := s.getDevice(tx, serial)
		if err != nil {
			return err
		}
		if err := change(&d); err != nil {
			return err
		}
		return s.t.devices.Put(tx, d)
	})
}

// TagMFADevice implements iamapi.Service.
func (s *Service) TagMFADevice(ctx context.Context, in *iamapi.TagMFADeviceRequest) (*iamapi.TagMFADeviceOutput, error) {
	return nil, s.updateDevice(ctx, in.SerialNumber, func(d *MFADevice) (err error) {
		d.Tags, err = setTags(ctx, d.Tags, in.Tags)
		return err
	})
}

// UntagMFADevice implements iamapi.Service.
func (s *Service) UntagMFADevice(ctx context.Context, in *iamapi.UntagMFADeviceRequest) (*iamapi.UntagMFADeviceOutput, error) {
	return nil, s.updateDevice(ctx, in.SerialNumber, func(d *MFADevice) (err error) {
		d.Tags, err = removeTags(ctx, d.Tags, in.TagKeys)
		return err
	})
}

// ListMFADeviceTags implements iamapi.Service.
func (s *Service) ListMFADeviceTags(ctx context.Context, in *iamapi.ListMFADeviceTagsRequest) (*iamapi.ListMFADeviceTagsResponse, error) {
	var d MFADevice
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		d, err = s.getDevice(tx, in.SerialNumber)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListMFADeviceTagsResponse{}
	out.Tags, out.Marker, out.IsTruncated, err = s.tagPage(in.SerialNumber, d.Tags, in.Marker, in.MaxItems)
	return out, err
}
