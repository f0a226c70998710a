package userpool

import (
	"context"
	"errors"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// ForgotPassword sends a code by which the password can be replaced. A client that
// must not learn who exists gets the same answer for everybody.
func (s *Service) ForgotPassword(ctx context.Context, in *api.ForgotPasswordRequest) (*api.ForgotPasswordResponse, error) {
	if err := s.admit(ctx, in.ClientId, in.UserContextData); err != nil {
		return nil, exception(err)
	}
	plain, sealed, err := s.drawCode()
	if err != nil {
		return nil, err
	}
	on := occasion{client: in.ClientId, metadata: in.ClientMetadata}
	if err := s.migrateForgetful(ctx, in.ClientId, in.Username, in.SecretHash, on); err != nil {
		return nil, exception(err)
	}
	var to contact
	var p Pool
	var u User
	err = s.db.Update(ctx, func(tx *store.Tx) (err error) {
		var c Client
		if p, c, err = s.both(tx, in.ClientId); err != nil {
			return err
		}
		if err := s.checkSecretHash(&c, deref(in.SecretHash), in.Username); err != nil {
			return err
		}
		u, err = s.findEvenly(tx, &p, in.Username)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		var refusal error
		if to, refusal = recoverable(&p, &u, err); refusal != nil {
			if !c.hidesUsers() {
				return refusal
			}
			to = s.imaginaryContact(&p, in.Username)
			u = User{Pool: p.ID, Key: s.nobody(&p, in.Username), Name: in.Username}
			return s.putSentCode(tx, nobodysCode(&u, purposeRecovery, to, sealed), recoveryCodeLife, codeMessage(&p, &u, MessageRecovery, to.medium, to.destination, plain), on)
		}
		code := Code{Pool: p.ID, User: u.Key, Purpose: purposeRecovery, Sealed: sealed, Attribute: to.attribute, Value: to.destination}
		return s.putSentCode(tx, code, recoveryCodeLife, codeMessage(&p, &u, MessageRecovery, to.medium, to.destination, plain), on)
	})
	if err != nil {
		return nil, exception(err)
	}
	s.posted(ctx, &p, u.Key, purposeRecovery)
	return &api.ForgotPasswordResponse{CodeDeliveryDetails: to.details()}, nil
}

// migrateForgetful lets the pool's migration function bring in who forgot a password
// that the pool never knew.
func (s *Service) migrateForgetful(ctx context.Context, clientID, name string, hash *string, on occasion) error {
	var p Pool
	var known bool
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		var c Client
		if p, c, err = s.both(tx, clientID); err != nil || deref(p.lambda().UserMigration) == "" {
			known = true // or nobody to ask
			return err
		}
		if err := s.checkSecretHash(&c, deref(hash), name); err != nil {
			return err
		}
		_, err = s.findUser(tx, &p, name)
		known = err == nil
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return err
	})
	if err != nil || known {
		return err
	}
	_, err = s.migrate(ctx, &p, name, "", "ForgotPassword", on)
	return err
}

// recoverable says where a recovery code may go, or why none may be sent.
func recoverable(p *Pool, u *User, lookup error) (contact, error) {
	switch {
	case lookup != nil:
		return contact{}, refuse(userNotFound, "Username/client id combination not found.")
	case u.Disabled:
		return contact{}, refuse(notAuthorized, "User is disabled.")
	case u.Status == string(api.UserStatusTypeFORCE_CHANGE_PASSWORD):
		return contact{}, refuse(notAuthorized, "User password cannot be reset in the current state.")
	}
	return p.recoveryContact(u)
}

// ConfirmForgotPassword sets a new password against the code.
func (s *Service) ConfirmForgotPassword(ctx context.Context, in *api.ConfirmForgotPasswordRequest) (*api.ConfirmForgotPasswordResponse, error) {
	return &api.ConfirmForgotPasswordResponse{}, exception(s.confirmForgotPassword(ctx, in))
}

// recovering is what is known of a recovery before its code is looked at.
type recovering struct {
	p       Pool
	c       Client
	u       User
	threat  threat
	leaked  bool   // attackers have the new password, and it is noted only
	refusal error  // why there is nobody to recover, which a client may not know
	who     string // the user's key, or that of nobody
}

// recovering finds the user and checks what has nothing to do with the code.
func (s *Service) recovering(ctx context.Context, in *api.ConfirmForgotPasswordRequest) (r recovering, err error) {
	var lookup error
	err = s.db.View(ctx, func(tx *store.Tx) (err error) {
		if r.p, r.c, err = s.both(tx, in.ClientId); err != nil {
			return err
		}
		if r.u, lookup = s.findUser(tx, &r.p, in.Username); lookup != nil && !errors.Is(lookup, store.ErrNotFound) {
			return lookup
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	if err := s.checkSecretHash(&r.c, deref(in.SecretHash), in.Username); err != nil {
		return r, err
	}
	r.threat, err = s.threatOf(ctx, &r.p, &r.c, origin{user: in.UserContextData})
	if err = errors.Join(err, r.threat.admit()); err != nil {
		return r, err
	}
	if err := checkPassword(r.p.Settings.Password, in.Password); err != nil {
		return r, err
	}
	if r.leaked, err = s.checkLeaked(&r.threat, api.EventFilterTypePASSWORD_CHANGE, in.Password); err != nil {
		return r, err
	}
	_, r.refusal = recoverable(&r.p, &r.u, lookup)
	if r.refusal != nil && !r.c.hidesUsers() {
		return r, r.refusal
	}
	r.who = r.u.Key
	if r.refusal != nil {
		r.who = s.nobody(&r.p, in.Username)
	}
	return r, nil
}

func (s *Service) confirmForgotPassword(ctx context.Context, in *api.ConfirmForgotPasswordRequest) error {
	r, err := s.recovering(ctx, in)
	if err != nil {
		return err
	}
	p := &r.p
	pw, err := s.newPassword(p.ID, r.u.Name, in.Password) // for nobody, too: the same work
	if err != nil {
		return err
	}
	// Whether the password is an old one is looked at only for who has the code, and told when
	// that is certain: to anybody else the answer, and its time, would tell which passwords the
	// user has, and uncounted.
	var used error
	fits, err := s.fits(ctx, p.ID, r.who, purposeRecovery, in.ConfirmationCode)
	if err != nil {
		return err
	}
	if fits {
		used = s.checkHistory(p, &r.u, in.Password)
	}
	var verdict error
	var confirmed User
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		var code Code
		code, verdict, err = s.redeem(tx, p.ID, r.who, purposeRecovery, in.ConfirmationCode)
		if err != nil || verdict != nil || r.refusal != nil {
			return err
		}
		if !fits { // it came in this moment, and the history was not looked at
			used = errCodeExpired()
		}
		if used != nil {
			return used // which undoes the transaction: the code can be used with another password
		}
		u, err := s.tables.users.Get(tx, p.ID, r.who)
		if err != nil {
			return missing(err, userNotFound, "Username/client id combination not found.")
		}
		u.setPassword(p, pw)
		code.prove(&u)
		if u.Status == string(api.UserStatusTypeRESET_REQUIRED) {
			u.Status = string(api.UserStatusTypeCONFIRMED)
		}
		if err := s.clearFailures(tx, p.ID, u.Key); err != nil {
			return err
		}
		confirmed = u
		if err := s.note(tx, &r.threat, &u, api.EventTypeForgotPassword, r.c.ID, r.leaked); err != nil {
			return err
		}
		return s.putUser(tx, p, &u, false)
	})
	if err = decided(err, verdict); err != nil || r.refusal != nil {
		return err
	}
	return s.postConfirmation(ctx, p, &confirmed, "ConfirmForgotPassword", occasion{client: in.ClientId, metadata: in.ClientMetadata})
}

// AdminResetUserPassword makes the password useless and sends a recovery code.
func (s *Service) AdminResetUserPassword(ctx context.Context, in *api.AdminResetUserPasswordRequest) (*api.AdminResetUserPasswordResponse, error) {
	plain, sealed, err := s.drawCode()
	if err != nil {
		return nil, err
	}
	var m Message
	var p Pool
	var u User
	err = s.update(ctx, func(tx *store.Tx) (err error) {
		if p, u, err = s.userHere(ctx, tx, in.UserPoolId, in.Username); err != nil {
			return err
		}
		if u.Status != string(api.UserStatusTypeCONFIRMED) && u.Status != string(api.UserStatusTypeRESET_REQUIRED) {
			return refuse(notAuthorized, "User password cannot be reset in the current state.")
		}
		to, err := p.recoveryContact(&u)
		if err != nil {
			return err
		}
		u.Status = string(api.UserStatusTypeRESET_REQUIRED)
		if err := s.putUser(tx, &p, &u, false); err != nil {
			return err
		}
		m = codeMessage(&p, &u, MessageRecovery, to.medium, to.destination, plain)
		return s.putCode(tx, Code{Pool: p.ID, User: u.Key, Purpose: purposeRecovery, Sealed: sealed, Attribute: to.attribute, Value: to.destination}, recoveryCodeLife)
	})
	if err != nil {
		return nil, err
	}
	if err := s.post(ctx, &p, &u, m, occasion{metadata: in.ClientMetadata}); err != nil {
		s.log.Warn("the recovery code of a reset was not sent", "pool", in.UserPoolId)
	}
	return &api.AdminResetUserPasswordResponse{}, nil
}
