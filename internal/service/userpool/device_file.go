package userpool

import (
	"fmt"
	"slices"
	"time"

	"moat/internal/pure/lazyregexp"
	"moat/internal/pure/srp"
	"moat/internal/service/userpool/userfile"
	"moat/internal/store"
)

// exportDevices unseals the devices of a user.
func (s *Service) exportDevices(tx *store.Tx, u *User) ([]userfile.Device, error) {
	list, err := s.tables.devices.List(tx, store.Query{Prefix: []string{u.Pool, u.Key}})
	if err != nil {
		return nil, err
	}
	var out []userfile.Device
	for _, d := range list {
		verifier, err := s.db.Unseal(sealVerifier, d.Verifier)
		if err != nil {
			return nil, err
		}
		out = append(out, userfile.Device{
			Key: d.Key, Group: s.groupOf(&d), Name: d.Name, Salt: d.Salt, Verifier: verifier, Remembered: d.Remembered, LastIP: d.LastIP,
			LastSignIn: given(d.LastSignIn), Created: given(d.CreatedAt), Modified: given(d.ModifiedAt),
		})
	}
	return out, nil
}

// maxImportDevices bounds what one user brings; Cognito knows no limit.
const maxImportDevices = 100

// deviceKeyShape is the pattern of device keys in the API's model.
var deviceKeyShape = lazyregexp.New(`^[\w-]+_[0-9a-f-]+$`)

// importedDevices checks and seals the devices of a user. They keep the group that they know: its
// name is part of what they prove.
func (s *Service) importedDevices(u *User, from []userfile.Device) ([]Device, error) {
	if len(from) > maxImportDevices {
		return nil, refuse(invalidParameter, fmt.Sprintf("A user brings at most %d devices.", maxImportDevices))
	}
	now := s.time()
	var out []Device
	for _, d := range from {
		twice := slices.ContainsFunc(out, func(o Device) bool { return o.Key == d.Key })
		if !deviceKeyShape.MatchString(d.Key) || len(d.Key) > 55 || d.Group == "" || len(d.Group) > 128 || len(d.Name) > 1024 || len(d.Salt) == 0 || len(d.Salt) > maxDeviceSalt || twice || !srp.ValidVerifier(d.Verifier) {
			return nil, refuse(invalidParameter, "This is not a device that can be used here.")
		}
		sealed, err := s.db.Seal(sealVerifier, d.Verifier)
		if err != nil {
			return nil, err
		}
		to := Device{
			Pool: u.Pool, User: u.Key, Key: d.Key, Name: d.Name, Salt: d.Salt, Verifier: sealed, Remembered: d.Remembered, LastIP: d.LastIP,
			LastSignIn: timeOr(d.LastSignIn, time.Time{}), CreatedAt: timeOr(d.Created, now), ModifiedAt: timeOr(d.Modified, now),
		}
		if d.Group != s.groupOf(&to) {
			to.Group = d.Group
		}
		out = append(out, to)
	}
	return out, nil
}

func (s *Service) insertDevices(tx *store.Tx, devices []Device) error {
	for _, d := range devices {
		if err := s.tables.devices.Put(tx, d); err != nil {
			return err
		}
	}
	return nil
}

// given is a time that a file has; nil: it never was.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
