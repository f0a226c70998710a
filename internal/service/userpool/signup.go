package userpool

import (
	"context"
	"errors"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// SignUp registers a user, then sends the confirmation code.
func (s *Service) SignUp(ctx context.Context, in *api.SignUpRequest) (*api.SignUpResponse, error) {
	out, err := s.signUp(ctx, in)
	return out, exception(err)
}

func (s *Service) signUp(ctx context.Context, in *api.SignUpRequest) (*api.SignUpResponse, error) {
	var p Pool
	var c Client
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, c, err = s.both(tx, in.ClientId)
		return err
	})
	if err != nil {
		return nil, err
	}
	threat, err := s.threatOf(ctx, &p, &c, origin{user: in.UserContextData})
	if err = errors.Join(err, threat.admit()); err != nil {
		return nil, err
	}
	u, err := s.candidate(&p, &c, in)
	if err != nil {
		return nil, err
	}
	leaked, err := s.checkLeaked(&threat, api.EventFilterTypeSIGN_UP, deref(in.Password))
	if err != nil {
		return nil, err
	}
	on := occasion{client: in.ClientId, metadata: in.ClientMetadata, validation: attributePairs(in.ValidationData)}
	if err := s.preSignUp(ctx, &p, &u, "SignUp", on); err != nil {
		return nil, err
	}
	if in.Password != nil {
		pw, err := s.newPassword(p.ID, u.Name, *in.Password)
		if err != nil {
			return nil, err
		}
		u.setPassword(&p, pw)
	}
	confirmed := u.Status == string(api.UserStatusTypeCONFIRMED)
	to, wanted := p.confirmationContact(&u)
	wanted = wanted && !confirmed
	if wanted && to.medium == MediumEmail {
		if err := p.linkable(); err != nil {
			return nil, err
		}
	}
	plain, sealed, err := s.drawCode()
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := s.insertUser(tx, &p, &u, false); err != nil {
			return err
		}
		if err := s.note(tx, &threat, &u, api.EventTypeSignUp, c.ID, leaked); err != nil || !wanted {
			return err
		}
		code := Code{Pool: p.ID, User: u.Key, Purpose: purposeSignUp, Sealed: sealed, Attribute: to.attribute, Value: to.destination}
		return s.putSentCode(tx, code, signUpCodeLife, s.confirmationMessage(&p, &u, c.ID, MessageSignUp, to, plain), on)
	})
	if err != nil {
		return nil, err
	}
	out := &api.SignUpResponse{UserSub: u.Sub, UserConfirmed: confirmed}
	if confirmed {
		return out, s.postConfirmation(ctx, &p, &u, "ConfirmSignUp", on)
	}
	if wanted {
		if out.Session, err = s.signedUpSession(&c, &u); err != nil {
			return nil, err
		}
		out.CodeDeliveryDetails = to.details()
		s.posted(ctx, &p, u.Key, purposeSignUp)
	}
	return out, nil
}

// candidate checks a registration as far as that goes without the other users.
func (s *Service) candidate(p *Pool, c *Client, in *api.SignUpRequest) (User, error) {
	if err := s.checkSecretHash(c, deref(in.SecretHash), in.Username); err != nil {
		return User{}, err
	}
	if wire.Value(p.Settings.AdminCreateUser.AllowAdminCreateUserOnly) {
		return User{}, refuse(notAuthorized, "SignUp is not permitted for this user pool")
	}
	if in.Password == nil && !p.passwordless() {
		return User{}, refuse(invalidParameter, "Password is required for this user pool.")
	}
	if in.Password != nil {
		if err := checkPassword(p.Settings.Password, *in.Password); err != nil {
			return User{}, err
		}
	}
	attributes, err := attributeMap(in.UserAttributes)
	if err != nil {
		return User{}, err
	}
	for name := range attributes {
		if _, known := p.attribute(name); known && !c.mayWrite(name) {
			return User{}, refuse(notAuthorized, "A client attempted to write unauthorized attribute")
		}
	}
	u, err := s.newUser(p, in.Username, attributes)
	if err != nil {
		return User{}, err
	}
	if err := p.checkNew(u.Attributes, true); err != nil {
		return User{}, err
	}
	u.Status = string(api.UserStatusTypeUNCONFIRMED)
	markUnverified(&u)
	return u, nil
}

// markUnverified says of an address that it is not proven, unless something is said.
func markUnverified(u *User) {
	for _, name := range []string{loginEmail, loginPhone} {
		if _, said := u.Attributes[name+"_verified"]; !said && u.Attributes[name] != "" {
			u.Attributes[name+"_verified"] = "false"
		}
	}
}

// ConfirmSignUp proves the address that the code went to and lets the user in.
func (s *Service) ConfirmSignUp(ctx context.Context, in *api.ConfirmSignUpRequest) (*api.ConfirmSignUpResponse, error) {
	if err := s.admit(ctx, in.ClientId, in.UserContextData); err != nil {
		return nil, exception(err)
	}
	var verdict error
	var p Pool
	var c Client
	var u User
	var begun challenge
	var proven string
	err := s.db.Update(ctx, func(tx *store.Tx) (err error) {
		if p, c, err = s.both(tx, in.ClientId); err != nil {
			return err
		}
		if err := s.checkSecretHash(&c, deref(in.SecretHash), in.Username); err != nil {
			return err
		}
		u, err = s.findUser(tx, &p, in.Username)
		if errors.Is(err, store.ErrNotFound) {
			if c.hidesUsers() {
				return errCodeExpired()
			}
			return refuse(userNotFound, "Username/client id combination not found.")
		}
		if err != nil {
			return err
		}
		if u.Status != string(api.UserStatusTypeUNCONFIRMED) {
			if c.hidesUsers() && wire.Value(p.Settings.AdminCreateUser.AllowAdminCreateUserOnly) {
				return errCodeExpired() // where SignUp tells nobody who exists, this does not either
			}
			return refuse(notAuthorized, "User cannot be confirmed. Current status is "+u.Status)
		}
		var code Code
		if code, verdict, err = s.redeem(tx, p.ID, u.Key, purposeSignUp, in.ConfirmationCode); err != nil || verdict != nil {
			return err
		}
		u.Status = string(api.UserStatusTypeCONFIRMED)
		code.prove(&u)
		proven = code.Attribute
		if in.Session != nil {
			if begun, err = s.openSession(*in.Session, sessionSignedUp, &c); err != nil {
				return err
			}
			if begun.User != u.Key || begun.Sub != u.Sub {
				return errSession()
			}
			if err := s.spend(tx, &begun); err != nil {
				return err
			}
		}
		return s.putUser(tx, &p, &u, wire.Value(in.ForceAliasCreation))
	})
	if err = decided(err, verdict); err != nil {
		return nil, exception(err)
	}
	if err := s.postConfirmation(ctx, &p, &u, "ConfirmSignUp", occasion{client: in.ClientId, metadata: in.ClientMetadata}); err != nil {
		return nil, exception(err)
	}
	out := &api.ConfirmSignUpResponse{}
	if in.Session != nil || p.signsInByCode(&c, &u, proven) {
		if out.Session, err = s.confirmedSession(&c, &u, proven); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ResendConfirmationCode sends a new sign-up code in place of the old one.
func (s *Service) ResendConfirmationCode(ctx context.Context, in *api.ResendConfirmationCodeRequest) (*api.ResendConfirmationCodeResponse, error) {
	if err := s.admit(ctx, in.ClientId, in.UserContextData); err != nil {
		return nil, exception(err)
	}
	plain, sealed, err := s.drawCode()
	if err != nil {
		return nil, err
	}
	on := occasion{client: in.ClientId, metadata: in.ClientMetadata}
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
		if err := p.linkable(); err != nil {
			return err
		}
		refusal := resendRefusal(&p, &u, err)
		if refusal != nil {
			if !c.hidesUsers() {
				return refusal
			}
			to = s.imaginaryContact(&p, in.Username)
			u = User{Pool: p.ID, Key: s.nobody(&p, in.Username), Name: in.Username}
			return s.putSentCode(tx, nobodysCode(&u, purposeSignUp, to, sealed), signUpCodeLife, s.confirmationMessage(&p, &u, c.ID, MessageResend, to, plain), on)
		}
		to, _ = p.confirmationContact(&u)
		code := Code{Pool: p.ID, User: u.Key, Purpose: purposeSignUp, Sealed: sealed, Attribute: to.attribute, Value: to.destination}
		return s.putSentCode(tx, code, signUpCodeLife, s.confirmationMessage(&p, &u, c.ID, MessageResend, to, plain), on)
	})
	if err != nil {
		return nil, exception(err)
	}
	s.posted(ctx, &p, u.Key, purposeSignUp)
	return &api.ResendConfirmationCodeResponse{CodeDeliveryDetails: to.details()}, nil
}

// resendRefusal says why no sign-up code can be sent.
func resendRefusal(p *Pool, u *User, lookup error) error {
	if lookup != nil {
		return refuse(userNotFound, "Username/client id combination not found.")
	}
	if u.Status != string(api.UserStatusTypeUNCONFIRMED) {
		return refuse(invalidParameter, "User is already confirmed.")
	}
	if _, ok := p.confirmationContact(u); !ok {
		return refuse(invalidParameter, "Cannot resend codes. Auto verification not turned on.")
	}
	return nil
}
