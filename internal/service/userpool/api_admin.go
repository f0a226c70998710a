package userpool

import (
	"context"
	"errors"
	"maps"
	"slices"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// AdminCreateUser makes a user with a temporary password and invites him.
func (s *Service) AdminCreateUser(ctx context.Context, in *api.AdminCreateUserRequest) (*api.AdminCreateUserResponse, error) {
	if in.MessageAction == api.MessageActionTypeRESEND {
		out, err := s.inviteAgain(ctx, in)
		return out, exception(err)
	}
	out, err := s.adminCreateUser(ctx, in)
	return out, exception(err)
}

func (s *Service) adminCreateUser(ctx context.Context, in *api.AdminCreateUserRequest) (*api.AdminCreateUserResponse, error) {
	p, err := s.readPool(ctx, in.UserPoolId)
	if err != nil {
		return nil, err
	}
	attributes, err := attributeMap(in.UserAttributes)
	if err != nil {
		return nil, err
	}
	if _, there := attributes["sub"]; there {
		return nil, refuse(invalidParameter, "Cannot modify the non-mutable attribute sub")
	}
	u, err := s.newUser(&p, in.Username, attributes)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(u.Attributes, func(_, value string) bool { return value == "" })
	if err := p.checkNew(u.Attributes, false); err != nil {
		return nil, err
	}
	u.Status = string(api.UserStatusTypeFORCE_CHANGE_PASSWORD)
	markUnverified(&u)
	var password string
	if deref(in.TemporaryPassword) == "" && p.passwordless() {
		u.Status = string(api.UserStatusTypeCONFIRMED) // signs in by a code, and has no password to change
	} else if password, err = s.setTemporary(&p, &u, in.TemporaryPassword); err != nil {
		return nil, err
	}
	on := occasion{metadata: in.ClientMetadata, validation: attributePairs(in.ValidationData)}
	if err := s.preSignUp(ctx, &p, &u, "AdminCreateUser", on); err != nil {
		if is(err, usernameExists) {
			err = refuse(usernameExists, "User account already exists")
		}
		return nil, err
	}
	message, wanted, err := s.invitationFor(&p, &u, in, password)
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		return s.insertUser(tx, &p, &u, wire.Value(in.ForceAliasCreation))
	})
	if is(err, usernameExists) && err.Error() == "User already exists" {
		return nil, refuse(usernameExists, "User account already exists")
	}
	if err != nil {
		return nil, err
	}
	if wanted {
		_ = s.post(ctx, &p, &u, message, on) // logged there; RESEND tries again
	}
	d := describeUser(&u, nil)
	return &api.AdminCreateUserResponse{User: &d}, nil
}

func (s *Service) readPool(ctx context.Context, id string) (p Pool, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, err = s.poolHere(ctx, tx, id)
		return err
	})
	return p, err
}

// setTemporary gives u a password that must be changed at the first sign-in.
func (s *Service) setTemporary(p *Pool, u *User, given *string) (string, error) {
	password := deref(given)
	if password == "" {
		var err error
		if password, err = s.temporaryPassword(p.Settings.Password); err != nil {
			return "", err
		}
	} else if err := checkPassword(p.Settings.Password, password); err != nil {
		return "", err
	}
	pw, err := s.newPassword(p.ID, u.Name, password)
	if err != nil {
		return "", err
	}
	u.setPassword(p, pw)
	u.TemporaryUntil = p.temporaryUntil(s.time())
	return password, nil
}

// invitationFor words the invitation; false when none is to be sent.
func (s *Service) invitationFor(p *Pool, u *User, in *api.AdminCreateUserRequest, password string) (Message, bool, error) {
	if in.MessageAction == api.MessageActionTypeSUPPRESS || password == "" {
		return Message{}, false, nil
	}
	wanted := []string{loginPhone, loginEmail}
	if len(in.DesiredDeliveryMediums) > 0 {
		wanted = nil
		if slices.Contains(in.DesiredDeliveryMediums, api.DeliveryMediumTypeSMS) {
			wanted = append(wanted, loginPhone)
		}
		if slices.Contains(in.DesiredDeliveryMediums, api.DeliveryMediumTypeEMAIL) {
			wanted = append(wanted, loginEmail)
		}
	}
	for _, name := range wanted {
		if v := u.Attributes[name]; v != "" {
			c := contactFor(name, v)
			return invitation(p, u, c.medium, c.destination, password), true, nil
		}
	}
	if len(in.DesiredDeliveryMediums) > 0 {
		return Message{}, false, refuse(invalidParameter, "The user has no address for the desired delivery medium.")
	}
	return Message{}, false, nil
}

// inviteAgain gives an invited user a new temporary password and sends it.
func (s *Service) inviteAgain(ctx context.Context, in *api.AdminCreateUserRequest) (*api.AdminCreateUserResponse, error) {
	var p Pool
	var u User
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, u, err = s.userHere(ctx, tx, in.UserPoolId, in.Username)
		return err
	})
	if err != nil {
		return nil, err
	}
	if u.Status != string(api.UserStatusTypeFORCE_CHANGE_PASSWORD) {
		return nil, refuse(unsupportedUserState, "Resend not possible. User status is not FORCE_CHANGE_PASSWORD")
	}
	password, err := s.setTemporary(&p, &u, in.TemporaryPassword)
	if err != nil {
		return nil, err
	}
	message, wanted, err := s.invitationFor(&p, &u, in, password)
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		now, err := s.tables.users.Get(tx, p.ID, u.Key)
		if err != nil {
			return missing(err, userNotFound, "User does not exist.")
		}
		if now.Status != u.Status {
			return refuse(unsupportedUserState, "Resend not possible. User status is not FORCE_CHANGE_PASSWORD")
		}
		now.Salt, now.Verifier, now.PasswordID = u.Salt, u.Verifier, u.PasswordID
		now.Hash, now.Origin = u.Hash, u.Origin
		now.History, now.TemporaryUntil = u.History, u.TemporaryUntil
		return s.putUser(tx, &p, &now, false)
	})
	if err != nil {
		return nil, err
	}
	if wanted {
		if err := s.post(ctx, &p, &u, message, occasion{metadata: in.ClientMetadata}); err != nil {
			return nil, err
		}
	}
	d := describeUser(&u, nil)
	return &api.AdminCreateUserResponse{User: &d}, nil
}

// AdminSetUserPassword sets a password, for good or until the next sign-in.
func (s *Service) AdminSetUserPassword(ctx context.Context, in *api.AdminSetUserPasswordRequest) (*api.AdminSetUserPasswordResponse, error) {
	return &api.AdminSetUserPasswordResponse{}, exception(s.adminSetPassword(ctx, in))
}

func (s *Service) adminSetPassword(ctx context.Context, in *api.AdminSetUserPasswordRequest) error {
	var p Pool
	var u User
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, u, err = s.userHere(ctx, tx, in.UserPoolId, in.Username)
		return err
	})
	if err != nil {
		return err
	}
	if err := checkPassword(p.Settings.Password, in.Password); err != nil {
		return err
	}
	if err := s.checkHistory(&p, &u, in.Password); err != nil {
		return err
	}
	pw, err := s.newPassword(p.ID, u.Name, in.Password)
	if err != nil {
		return err
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := s.tables.users.Get(tx, p.ID, u.Key)
		if err != nil {
			return missing(err, userNotFound, "User does not exist.")
		}
		u.setPassword(&p, pw)
		u.Status, u.TemporaryUntil = string(api.UserStatusTypeFORCE_CHANGE_PASSWORD), p.temporaryUntil(s.time())
		if wire.Value(in.Permanent) {
			u.Status = string(api.UserStatusTypeCONFIRMED)
		}
		if err := s.clearFailures(tx, p.ID, u.Key); err != nil {
			return err
		}
		return s.putUser(tx, &p, &u, false)
	})
}

// changeUser changes one user in a transaction, for the short operations.
func (s *Service) changeUser(ctx context.Context, poolID, name string, change func(tx *store.Tx, p *Pool, u *User) error) error {
	return s.update(ctx, func(tx *store.Tx) error {
		p, u, err := s.userHere(ctx, tx, poolID, name)
		if err != nil {
			return err
		}
		if err := change(tx, &p, &u); err != nil {
			return err
		}
		return s.putUser(tx, &p, &u, false)
	})
}

// AdminConfirmSignUp lets a user in without a code; his addresses stay unproven.
func (s *Service) AdminConfirmSignUp(ctx context.Context, in *api.AdminConfirmSignUpRequest) (*api.AdminConfirmSignUpResponse, error) {
	var pool Pool
	var confirmed User
	err := s.changeUser(ctx, in.UserPoolId, in.Username, func(tx *store.Tx, p *Pool, u *User) error {
		if u.Status != string(api.UserStatusTypeUNCONFIRMED) {
			return refuse(notAuthorized, "User cannot be confirmed. Current status is "+u.Status)
		}
		u.Status = string(api.UserStatusTypeCONFIRMED)
		pool, confirmed = *p, *u
		err := s.tables.codes.Delete(tx, u.Pool, u.Key, purposeSignUp)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.postConfirmation(ctx, &pool, &confirmed, "ConfirmSignUp", occasion{metadata: in.ClientMetadata}); err != nil {
		return nil, exception(err)
	}
	return &api.AdminConfirmSignUpResponse{}, nil
}

// AdminEnableUser lets a disabled user in again.
func (s *Service) AdminEnableUser(ctx context.Context, in *api.AdminEnableUserRequest) (*api.AdminEnableUserResponse, error) {
	err := s.changeUser(ctx, in.UserPoolId, in.Username, func(_ *store.Tx, _ *Pool, u *User) error {
		u.Disabled = false
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminEnableUserResponse{}, nil
}

// AdminDisableUser shuts a user out at once: sign-in, refresh and self-service are
// refused, and what was issued before stays revoked when he is let in again.
func (s *Service) AdminDisableUser(ctx context.Context, in *api.AdminDisableUserRequest) (*api.AdminDisableUserResponse, error) {
	err := s.changeUser(ctx, in.UserPoolId, in.Username, func(_ *store.Tx, _ *Pool, u *User) error {
		u.Disabled = true
		u.signOut(s.time())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminDisableUserResponse{}, nil
}

// AdminUserGlobalSignOut revokes all sessions of a user.
func (s *Service) AdminUserGlobalSignOut(ctx context.Context, in *api.AdminUserGlobalSignOutRequest) (*api.AdminUserGlobalSignOutResponse, error) {
	err := s.changeUser(ctx, in.UserPoolId, in.Username, func(_ *store.Tx, _ *Pool, u *User) error {
		u.signOut(s.time())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminUserGlobalSignOutResponse{}, nil
}

// AdminDeleteUser removes a user for good.
func (s *Service) AdminDeleteUser(ctx context.Context, in *api.AdminDeleteUserRequest) (*api.AdminDeleteUserOutput, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		_, u, err := s.userHere(ctx, tx, in.UserPoolId, in.Username)
		if err != nil {
			return err
		}
		return s.removeUser(tx, &u)
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminDeleteUserOutput{}, nil
}

// AdminGetUser answers with everything about a user but his password.
func (s *Service) AdminGetUser(ctx context.Context, in *api.AdminGetUserRequest) (*api.AdminGetUserResponse, error) {
	var u User
	err := s.view(ctx, func(tx *store.Tx) (err error) {
		_, u, err = s.userHere(ctx, tx, in.UserPoolId, in.Username)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminGetUserResponse{
		Username: u.Name, Enabled: wire.Bool(!u.Disabled), UserStatus: api.UserStatusType(u.Status),
		UserCreateDate: &u.CreatedAt, UserLastModifiedDate: &u.ModifiedAt,
		UserAttributes: wireAttributes(&u, func(string) bool { return true }),
		MFAOptions:     u.mfaOptions(), UserMFASettingList: u.mfaSettings(), PreferredMfaSetting: u.preferredMFA(),
	}, nil
}

// AdminUpdateUserAttributes sets a user's attributes, verdicts on addresses included.
func (s *Service) AdminUpdateUserAttributes(ctx context.Context, in *api.AdminUpdateUserAttributesRequest) (*api.AdminUpdateUserAttributesResponse, error) {
	attributes, err := attributeMap(in.UserAttributes)
	if err != nil {
		return nil, exception(err)
	}
	if err := s.adminChange(ctx, in.UserPoolId, in.Username, attributes, occasion{metadata: in.ClientMetadata}); err != nil {
		return nil, exception(err)
	}
	return &api.AdminUpdateUserAttributesResponse{}, nil
}

func (s *Service) adminChange(ctx context.Context, poolID, name string, attributes map[string]string, on occasion) error {
	var p Pool
	var u User
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, u, err = s.userHere(ctx, tx, poolID, name)
		return err
	})
	if err != nil {
		return err
	}
	c, plain, err := s.changeAttributes(ctx, p.ID, u.Key, attributes, true)
	for _, to := range c.proofs {
		if err == nil {
			_ = s.post(ctx, &p, &c.user, codeMessage(&p, &c.user, MessageUpdate, to.medium, to.destination, plain[to.attribute]), on) // logged there
		}
	}
	return err
}

// AdminDeleteUserAttributes removes attributes of a user.
func (s *Service) AdminDeleteUserAttributes(ctx context.Context, in *api.AdminDeleteUserAttributesRequest) (*api.AdminDeleteUserAttributesResponse, error) {
	attributes := map[string]string{}
	for _, name := range in.UserAttributeNames {
		attributes[name] = ""
	}
	if err := s.adminChange(ctx, in.UserPoolId, in.Username, attributes, occasion{}); err != nil {
		return nil, exception(err)
	}
	return &api.AdminDeleteUserAttributesResponse{}, nil
}
