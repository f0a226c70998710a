package userpool

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"

	"moat/internal/pure/srp"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

func errNoDevice() error { return refuse(notFound, "Device does not exist.") }

// deviceForMFA says whether a remembered device stands for the second factor.
func (p *Pool) deviceForMFA() bool {
	d := p.Settings.Device
	return d != nil && wire.Value(d.ChallengeRequiredOnNewDevice)
}

// newDeviceKey draws the key that a device gets which signs in for the first time;
// empty where the pool does not track devices.
func (s *Service) newDeviceKey(p *Pool) (string, error) {
	if p.Settings.Device == nil {
		return "", nil
	}
	id, err := s.uuid()
	return p.Region + "_" + id, err
}

// deviceGroup is the name that stands for the pool in a device's SRP.
func (s *Service) deviceGroup(poolID, user, key string) string {
	return "-" + hex.EncodeToString(s.secrets.mac("device group", poolID, user, key)[:6])
}

// groupOf is the group that a device knows: one that came in keeps the one that it has.
func (s *Service) groupOf(d *Device) string {
	if d.Group != "" {
		return d.Group
	}
	return s.deviceGroup(d.Pool, d.User, d.Key)
}

func (s *Service) deviceMetadata(x *Session) *api.NewDeviceMetadataType {
	return &api.NewDeviceMetadataType{DeviceKey: wire.String(x.Device), DeviceGroupKey: wire.String(s.deviceGroup(x.Pool, x.User, x.Device))}
}

// namedDevice reads the device that a client says it is. Clients that hear of an unknown
// one try again without it. Where no devices are tracked none is looked for.
func (s *Service) namedDevice(tx *store.Tx, p *Pool, u *User, key string) (*Device, error) {
	if key == "" || p.Settings.Device == nil {
		return nil, nil
	}
	d, err := s.tables.devices.Get(tx, u.Pool, u.Key, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errNoDevice()
	}
	return &d, err
}

// askDevice asks a device to prove that it is the one it says.
func (s *Service) askDevice(_ context.Context, st *step, u *User, at attempt) (answer, error) {
	ch, err := s.newChallenge(api.ChallengeNameTypeDEVICE_SRP_AUTH, &st.client, u, at)
	if err != nil {
		return answer{}, err
	}
	return s.offered(ch, map[string]string{})
}

// startDevice answers the device's public value with ours, as startSRP does a user's.
func (s *Service) startDevice(ctx context.Context, st *step) (answer, error) {
	text, err := st.param("SRP_A")
	if err != nil {
		return answer{}, err
	}
	a, err := srp.ParsePublic(text)
	if err != nil {
		return answer{}, refuse(invalidParameter, "Invalid value for parameter SRP_A")
	}
	before, u, err := s.resume(ctx, st, api.ChallengeNameTypeDEVICE_SRP_AUTH)
	if err != nil {
		return answer{}, err
	}
	if st.params["DEVICE_KEY"] != before.Device {
		return answer{}, errNoDevice()
	}
	d, verifier, err := s.challengedDevice(ctx, &st.pool, &u, before.Device)
	if err != nil {
		return answer{}, err
	}
	b, err := srp.NewSecret(s.rand)
	if err != nil {
		return answer{}, err
	}
	public, err := s.srp.Public(verifier, b)
	if err != nil {
		return answer{}, err
	}
	ch, err := s.newChallenge(api.ChallengeNameTypeDEVICE_PASSWORD_VERIFIER, &st.client, &u, before.attempt)
	if err != nil {
		return answer{}, err
	}
	ch.Login, ch.A, ch.U, ch.B = before.Login, a, srp.Scramble(a, public), b
	block, err := s.sealChallenge(&ch)
	if err != nil {
		return answer{}, err
	}
	if err := s.db.Update(ctx, func(tx *store.Tx) error { return s.spend(tx, &before) }); err != nil {
		return answer{}, err
	}
	return answer{name: ch.Kind, params: map[string]string{
		"SALT": srp.Hex(d.Salt), "SRP_B": srp.Hex(public), "SECRET_BLOCK": base64.StdEncoding.EncodeToString(block),
		"DEVICE_KEY": d.Key, "USERNAME": u.Name,
	}}, nil
}

func (s *Service) challengedDevice(ctx context.Context, p *Pool, u *User, key string) (*Device, []byte, error) {
	var d *Device
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		d, err = s.namedDevice(tx, p, u, key)
		return err
	})
	if err == nil && d == nil {
		err = errNoDevice()
	}
	if err != nil {
		return nil, nil, err
	}
	verifier, err := s.db.Unseal(sealVerifier, d.Verifier)
	return d, verifier, err
}

// proveDevice checks the device's proof that it knows its secret.
func (s *Service) proveDevice(ctx context.Context, st *step) (answer, error) {
	claim, err := st.claim()
	if err != nil {
		return answer{}, err
	}
	if err := s.checkSecretHash(&st.client, st.params["SECRET_HASH"], claim.name); err != nil {
		return answer{}, err
	}
	ch, err := s.openChallenge(claim.block, api.ChallengeNameTypeDEVICE_PASSWORD_VERIFIER, &st.client)
	if err != nil {
		return answer{}, err
	}
	if claim.name != ch.Name && claim.name != ch.Login || st.params["DEVICE_KEY"] != ch.Device {
		return answer{}, errWrongPassword()
	}
	u, err := s.challenged(ctx, st, &ch)
	if err != nil {
		return answer{}, err
	}
	d, verifier, err := s.challengedDevice(ctx, &st.pool, &u, ch.Device)
	if err != nil {
		return answer{}, err
	}
	key, err := s.srp.Key(ch.A, ch.U, verifier, ch.B)
	if err != nil {
		return answer{}, err
	}
	id := srp.Identity{Pool: s.groupOf(d), User: d.Key}
	right := claim.proves(key, id) && u.PasswordID == ch.PasswordID
	return s.conclude(ctx, st, &proof{user: u, factor: provesDevice, right: right, from: &ch, effect: func(tx *store.Tx, _ *User) (verdict, err error) {
		now, err := s.tables.devices.Get(tx, d.Pool, d.User, d.Key)
		if errors.Is(err, store.ErrNotFound) || err == nil && subtle.ConstantTimeCompare(now.Verifier, d.Verifier) != 1 {
			return errNoDevice(), nil // forgotten in the meantime
		}
		if err != nil {
			return nil, err
		}
		now.LastSignIn, now.LastIP = s.time(), wire.CallFrom(ctx).SourceIP
		return nil, s.tables.devices.Put(tx, now)
	}})
}
