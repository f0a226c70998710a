package iam

import (
	"bytes"
	"context"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

func violation() error {
	return &iamapi.PasswordPolicyViolationException{Message: "Password does not conform to the account password policy."}
}

// CreateLoginProfile implements iamapi.Service.
func (s *Service) CreateLoginProfile(ctx context.Context, in *iamapi.CreateLoginProfileRequest) (*iamapi.CreateLoginProfileResponse, error) {
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	if in.Password == nil {
		return nil, wire.NotImplementedBecause("iam", "CreateLoginProfile", "a login profile here is a password")
	}
	salt := make([]byte, saltSize)
	if _, err := s.rand.Read(salt); err != nil {
		return nil, err
	}
	hash, err := s.hash.sum(ctx, *in.Password, salt)
	if err != nil {
		return nil, err
	}
	out := &iamapi.CreateLoginProfileResponse{}
	return out, s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := s.getUser(tx, name)
		if err != nil {
			return err
		}
		a, err := s.settings(tx)
		if err != nil {
			return err
		}
		if err := a.check(*in.Password); err != nil {
			return err
		}
		l := LoginProfile{Account: s.cfg.Account, User: u.ID, Created: s.now(), ResetRequired: wire.Value(in.PasswordResetRequired)}
		if err := s.setPassword(&l, passwords{Salt: salt}, hash, a.Passwords); err != nil {
			return err
		}
		out.LoginProfile = s.loginOut(u.Name, &l)
		return or(s.t.logins.Insert(tx, l), nil, exists("Login Profile for user %s already exists.", u.Name))
	})
}

// GetLoginProfile implements iamapi.Service.
func (s *Service) GetLoginProfile(ctx context.Context, in *iamapi.GetLoginProfileRequest) (*iamapi.GetLoginProfileResponse, error) {
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	out := &iamapi.GetLoginProfileResponse{}
	return out, s.db.View(ctx, func(tx *store.Tx) error {
		u, l, _, err := s.loginOf(tx, name)
		out.LoginProfile = s.loginOut(u.Name, &l)
		return err
	})
}

// DeleteLoginProfile implements iamapi.Service.
func (s *Service) DeleteLoginProfile(ctx context.Context, in *iamapi.DeleteLoginProfileRequest) (*iamapi.DeleteLoginProfileOutput, error) {
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		u, _, _, err := s.loginOf(tx, name)
		if err != nil {
			return err
		}
		return s.t.logins.Delete(tx, s.cfg.Account, u.ID)
	})
}

// hashes computes what given passwords come to with the salt of a user's profile.
func (s *Service) hashes(ctx context.Context, name string, given ...string) (salt []byte, sums [][]byte, err error) {
	var p passwords
	err = s.db.View(ctx, func(tx *store.Tx) error {
		_, l, _, err := s.loginOf(tx, name)
		if err == nil {
			p, err = s.passwordsOf(&l)
		}
		return err
	})
	for _, text := range given {
		if err != nil {
			return nil, nil, err
		}
		var sum []byte
		sum, err = s.hash.sum(ctx, text, p.Salt)
		sums = append(sums, sum)
	}
	return p.Salt, sums, err
}

// UpdateLoginProfile implements iamapi.Service: an administrator sets a password.
func (s *Service) UpdateLoginProfile(ctx context.Context, in *iamapi.UpdateLoginProfileRequest) (*iamapi.UpdateLoginProfileOutput, error) {
	var salt []byte
	var sums [][]byte
	if in.Password != nil {
		var err error
		if salt, sums, err = s.hashes(ctx, in.UserName, *in.Password); err != nil {
			return nil, err
		}
	}
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		u, l, a, err := s.loginOf(tx, in.UserName)
		if err != nil {
			return err
		}
		if in.PasswordResetRequired != nil {
			l.ResetRequired = *in.PasswordResetRequired
		}
		if in.Password != nil {
			p, err := s.passwordsOf(&l)
			if err != nil {
				return err
			}
			if !bytes.Equal(p.Salt, salt) { // another profile since
				return noLogin(u.Name)
			}
			if err := a.check(*in.Password); err != nil {
				return err
			}
			if err := s.setPassword(&l, p, sums[0], a.Passwords); err != nil {
				return err
			}
			l.Attempts = Attempts{}
		}
		return s.t.logins.Put(tx, l)
	})
}

// ChangePassword implements iamapi.Service: a user replaces the own password. A
// wrong old one is counted, and guessing is slowed down.
func (s *Service) ChangePassword(ctx context.Context, in *iamapi.ChangePasswordRequest) (*iamapi.ChangePasswordOutput, error) {
	caller := wire.CallFrom(ctx).Caller
	if caller.Kind != policy.PrincipalUser {
		return nil, &iamapi.InvalidUserTypeException{Message: "Only IAM Users can change their own password"}
	}
	name := caller.ARN[strings.LastIndexByte(caller.ARN, '/')+1:]
	salt, sums, err := s.hashes(ctx, name, in.OldPassword, in.NewPassword)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	proven := false
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		proven = false
		u, l, a, err := s.loginOf(tx, name)
		if err != nil {
			return err
		}
		p, err := s.passwordsOf(&l)
		if err != nil {
			return err
		}
		switch {
		case !bytes.Equal(p.Salt, salt):
			return noLogin(u.Name)
		case l.blocked(now):
			return nil
		case !p.current(sums[0]):
			l.failed(now)
			return s.t.logins.Put(tx, l)
		}
		proven = true
		if a.Passwords.expired(l.Changed, now) && a.Passwords.HardExpiry {
			return wire.NewError(403, "AccessDenied", "The password has expired; an administrator has to set a new one.")
		}
		if err := a.check(in.NewPassword); err != nil {
			return err
		}
		if err := s.setPassword(&l, p, sums[1], a.Passwords); err != nil {
			return err
		}
		l.ResetRequired, l.Attempts = false, Attempts{}
		return s.t.logins.Put(tx, l)
	})
	if err == nil && !proven {
		err = wire.NewError(403, "AccessDenied", "The old password was incorrect.")
	}
	return nil, err
}
