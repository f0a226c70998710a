package iam

import (
	"context"
	"encoding/base32"
	"errors"
	"net/url"
	"strings"
	"time"

	"rsc.io/qr"

	"moat/internal/pure/totp"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// MFADevice is a virtual device: a shared secret that an app makes codes of.
type MFADevice struct {
	Account, Path, Name string
	Created             time.Time
	Tags                []Tag  `json:",omitempty"`
	Seed                []byte // sealed
	// User is the unique id of who uses the device, since Enabled; empty while
	// nobody does.
	User    string    `json:",omitempty"`
	Enabled time.Time `json:",omitzero"`
	// Drift is how many steps the device's clock is ahead of ours; Last the last
	// step, on its clock, whose code was accepted: no step up to it counts again.
	Drift, Last int64
	Attempts
}

const (
	// seedSize makes 64 letters of base32, as AWS's seeds have.
	seedSize   = 40
	maxDevices = 8 // IAM's quota of devices per user

	// How far, in steps, the clock of a device may be away: when a code is
	// checked, when the device is enabled, and when it is synchronised anew.
	skewCheck, skewEnable, skewResync = 1, 10, 120
)

func newDeviceTable() *store.Table[MFADevice] {
	return store.NewTable(store.Schema[MFADevice]{
		Name: "iam_mfa_devices", Key: []string{"account", "device"},
		KeyOf: func(d *MFADevice) []string { return []string{d.Account, lower(d.Path + d.Name)} },
		Indexes: []store.Index[MFADevice]{
			{Name: "by_user", Columns: []string{"account", "username"}, Of: func(d *MFADevice) [][]string { return boundaryRow(d.Account, d.User) }},
		},
	})
}

func (s *Service) serial(d *MFADevice) string { return s.arn("mfa", d.Path, d.Name) }

// seedPurpose binds a sealed seed to its device: it cannot be moved to another.
func seedPurpose(serial string) string { return "iam/mfa/" + serial }

// getDevice finds a device by its serial number, which is its ARN.
func (s *Service) getDevice(tx *store.Tx, serial string) (MFADevice, error) {
	missing := noSuch("VirtualMFADevice with serial number %s doesn't exist.", serial)
	name, ok := strings.CutPrefix(serial, s.arn("mfa", "", ""))
	if !ok || !strings.HasPrefix(name, "/") {
		return MFADevice{}, missing
	}
	d, err := s.t.devices.Get(tx, s.cfg.Account, lower(name))
	if err == nil && s.serial(&d) != serial {
		err = store.ErrNotFound
	}
	return d, or(err, missing, nil)
}

func (s *Service) devicesOf(tx *store.Tx, userID string) ([]MFADevice, error) {
	return s.t.devices.List(tx, store.Query{Index: "by_user", Values: []string{s.cfg.Account, userID}})
}

// newDevice makes a device and what an app reads: the seed in base32, and the same
// as a QR code in the key URI format of authenticator apps.
func (s *Service) newDevice(path, name string) (d MFADevice, seed string, png []byte, err error) {
	raw := make([]byte, seedSize)
	if _, err := s.rand.Read(raw); err != nil {
		return d, "", nil, err
	}
	d = MFADevice{Account: s.cfg.Account, Path: path, Name: name, Created: s.now()}
	if d.Seed, err = s.db.Seal(seedPurpose(s.serial(&d)), raw); err != nil {
		return d, "", nil, err
	}
	seed = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
	code, err := qr.Encode("otpauth://totp/"+url.PathEscape(name+"@"+s.cfg.Account)+"?secret="+seed, qr.M)
	if err != nil {
		return d, "", nil, err
	}
	return d, seed, code.PNG(), nil
}

// synchronise looks for two consecutive codes within skew steps around now and
// sets the device's clock by them. Codes that were accepted before do not count.
func (s *Service) synchronise(d *MFADevice, first, second string, skew int) (bool, error) {
	seed, err := s.db.Unseal(seedPurpose(s.serial(d)), d.Seed)
	if err != nil {
		return false, err
	}
	now := s.cfg.Now()
	step, ok := totp.Match(seed, second, now, skew, d.Last)
	for ok {
		if _, both := totp.Match(seed, first, timeOf(step-1), 0, d.Last); both {
			d.Drift, d.Last = step-totp.StepOf(now), step
			return true, nil
		}
		step, ok = totp.Match(seed, second, now, skew, step)
	}
	return false, nil
}

func timeOf(step int64) time.Time { return time.Unix(step*int64(totp.Period/time.Second), 0) }

// accept checks one code and remembers its step.
func (s *Service) accept(d *MFADevice, code string) (bool, error) {
	seed, err := s.db.Unseal(seedPurpose(s.serial(d)), d.Seed)
	if err != nil {
		return false, err
	}
	clock := s.cfg.Now().Add(time.Duration(d.Drift) * totp.Period)
	step, ok := totp.Match(seed, code, clock, skewCheck, d.Last)
	if ok {
		d.Last = step
	}
	return ok, nil
}

// The answers of STS to a second factor that proves nothing.
const (
	wrongDevice = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."
	wrongCode   = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
)

// verifyMFA checks the code that a user's device shows. Of all who bring the same
// code one is let in: the step is marked as used in the transaction that looks at
// it. Failures are counted, and guessing is slowed down.
func (s *Service) verifyMFA(ctx context.Context, userName, serial, code string) error {
	accepted, message := false, ""
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		accepted, message = false, wrongDevice
		u, err := s.t.users.Get(tx, s.cfg.Account, lower(userName))
		if err != nil {
			return or(err, wire.NewError(403, "AccessDenied", wrongDevice), nil)
		}
		d, err := s.getDevice(tx, serial)
		var missing *iamapi.NoSuchEntityException
		if errors.As(err, &missing) || err == nil && d.User != u.ID {
			return nil
		}
		if err != nil {
			return err
		}
		accepted, err = s.attempt(tx, &d, func() (bool, error) { return s.accept(&d, code) })
		message = wrongCode
		return err
	})
	if err != nil || accepted {
		return err
	}
	return wire.NewError(403, "AccessDenied", message)
}

// attempt runs a check of codes and keeps its outcome, whatever it is. While the
// device is blocked nothing is checked.
func (s *Service) attempt(tx *store.Tx, d *MFADevice, check func() (bool, error)) (bool, error) {
	now := s.cfg.Now()
	if d.blocked(now) {
		return false, nil
	}
	ok, err := check()
	if err != nil {
		return false, err
	}
	if ok {
		d.Attempts = Attempts{}
	} else {
		d.failed(now)
	}
	return ok, s.t.devices.Put(tx, *d)
}
