package userpool

import (
	"context"
	"errors"
	"strings"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// GetUser answers with what the token's client may read of its user.
func (s *Service) GetUser(ctx context.Context, in *api.GetUserRequest) (*api.GetUserResponse, error) {
	b, err := s.bearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	u := &b.user
	return &api.GetUserResponse{
		Username: u.Name, UserAttributes: wireAttributes(u, b.client.mayRead),
		MFAOptions: u.mfaOptions(), UserMFASettingList: u.mfaSettings(), PreferredMfaSetting: u.preferredMFA(),
	}, nil
}

// UpdateUserAttributes changes the user's own attributes as far as the client may
// write them; new addresses get a code where the pool verifies them.
func (s *Service) UpdateUserAttributes(ctx context.Context, in *api.UpdateUserAttributesRequest) (*api.UpdateUserAttributesResponse, error) {
	attributes, err := attributeMap(in.UserAttributes)
	if err != nil {
		return nil, exception(err)
	}
	b, err := s.bearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	for name := range attributes {
		if _, known := b.pool.attribute(name); known && !b.client.mayWrite(name) {
			return nil, exception(refuse(notAuthorized, "A client attempted to write unauthorized attribute"))
		}
	}
	c, plain, err := s.changeAttributes(ctx, b.pool.ID, b.user.Key, attributes, false)
	if err != nil {
		return nil, exception(err)
	}
	out := &api.UpdateUserAttributesResponse{CodeDeliveryDetailsList: []api.CodeDeliveryDetailsType{}}
	for _, to := range c.proofs {
		out.CodeDeliveryDetailsList = append(out.CodeDeliveryDetailsList, *to.details())
		_ = s.post(ctx, &b.pool, &c.user, codeMessage(&b.pool, &c.user, MessageUpdate, to.medium, to.destination, plain[to.attribute]), occasion{client: b.client.ID, metadata: in.ClientMetadata}) // logged there
	}
	return out, nil
}

func (s *Service) changeAttributes(ctx context.Context, poolID, key string, attributes map[string]string, admin bool) (change, map[string]string, error) {
	var c change
	plain, sealed, err := s.drawCodes()
	if err != nil {
		return c, nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := s.pool(tx, poolID)
		if err != nil {
			return err
		}
		u, err := s.tables.users.Get(tx, poolID, key)
		if err != nil {
			return missing(err, userNotFound, "User does not exist.")
		}
		if c, err = p.applyAttributes(u, attributes, admin); err != nil {
			return err
		}
		return s.storeChange(tx, &p, &u, &c, sealed)
	})
	return c, plain, err
}

// DeleteUserAttributes removes attributes of the user's own.
func (s *Service) DeleteUserAttributes(ctx context.Context, in *api.DeleteUserAttributesRequest) (*api.DeleteUserAttributesResponse, error) {
	b, err := s.bearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	attributes := map[string]string{}
	for _, name := range in.UserAttributeNames {
		if _, known := b.pool.attribute(name); known && !b.client.mayWrite(name) {
			return nil, exception(refuse(notAuthorized, "A client attempted to write unauthorized attribute"))
		}
		attributes[name] = ""
	}
	if _, _, err := s.changeAttributes(ctx, b.pool.ID, b.user.Key, attributes, false); err != nil {
		return nil, exception(err)
	}
	return &api.DeleteUserAttributesResponse{}, nil
}

// GetUserAttributeVerificationCode sends a code to an address of the user's own.
func (s *Service) GetUserAttributeVerificationCode(ctx context.Context, in *api.GetUserAttributeVerificationCodeRequest) (*api.GetUserAttributeVerificationCodeResponse, error) {
	b, err := s.bearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	plain, sealed, err := s.drawCode()
	if err != nil {
		return nil, err
	}
	name := in.AttributeName
	if name != loginEmail && name != loginPhone {
		return nil, exception(refuse(invalidParameter, "Invalid attribute name: "+name+". Only email and phone_number can be verified."))
	}
	var to contact
	err = s.update(ctx, func(tx *store.Tx) error {
		value := b.user.Attributes[name]
		old, err := s.tables.codes.Get(tx, b.pool.ID, b.user.Key, purposeAttribute(name))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		pending := err == nil && old.Pending
		if pending { // an address that waits for its proof is the one meant
			value = old.Value
		}
		if value == "" {
			return refuse(invalidParameter, "User does not have a value for the attribute "+name+".")
		}
		to = contactFor(name, value)
		code := Code{
			Pool: b.pool.ID, User: b.user.Key, Purpose: purposeAttribute(name), Sealed: sealed,
			Attribute: name, Value: value, Pending: pending,
		}
		return s.putCode(tx, code, attributeCodeLife)
	})
	if err != nil {
		return nil, err
	}
	if err := s.post(ctx, &b.pool, &b.user, codeMessage(&b.pool, &b.user, MessageAttribute, to.medium, to.destination, plain), occasion{client: b.client.ID, metadata: in.ClientMetadata}); err != nil {
		return nil, exception(err)
	}
	return &api.GetUserAttributeVerificationCodeResponse{CodeDeliveryDetails: to.details()}, nil
}

// VerifyUserAttribute proves an address by its code.
func (s *Service) VerifyUserAttribute(ctx context.Context, in *api.VerifyUserAttributeRequest) (*api.VerifyUserAttributeResponse, error) {
	b, err := s.bearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	var verdict error
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		var code Code
		code, verdict, err = s.redeem(tx, b.pool.ID, b.user.Key, purposeAttribute(in.AttributeName), in.Code)
		if err != nil || verdict != nil {
			return err
		}
		u, err := s.tables.users.Get(tx, b.pool.ID, b.user.Key)
		if err != nil {
			return missing(err, userNotFound, "User does not exist.")
		}
		code.prove(&u)
		return s.putUser(tx, &b.pool, &u, false)
	})
	if err = decided(err, verdict); err != nil {
		return nil, exception(err)
	}
	return &api.VerifyUserAttributeResponse{}, nil
}

// ChangePassword replaces the password against the old one, under the same
// lockout as a sign-in: a stolen access token is no way to guess.
func (s *Service) ChangePassword(ctx context.Context, in *api.ChangePasswordRequest) (*api.ChangePasswordResponse, error) {
	return &api.ChangePasswordResponse{}, exception(s.changePassword(ctx, in))
}

func (s *Service) changePassword(ctx context.Context, in *api.ChangePasswordRequest) error {
	b, err := s.bearer(ctx, in.AccessToken)
	if err != nil {
		return err
	}
	right, err := s.matches(ctx, &b.user, deref(in.PreviousPassword))
	if err != nil {
		return err
	}
	// Who signs in without a password has none to show (ChangePassword, PreviousPassword).
	right = right || in.PreviousPassword == nil && !b.user.hasPassword()
	threat, err := s.threatOf(ctx, &b.pool, &b.client, origin{})
	if err != nil {
		return err
	}
	// What is wrong with the new password is told only to who has proven the old one: to
	// anybody else it would tell that his guess was right, and uncounted.
	refusal := checkPassword(b.pool.Settings.Password, in.ProposedPassword)
	var leaked bool
	if refusal == nil { // whether the old one was right or not: the same work
		if leaked, refusal = s.checkLeaked(&threat, api.EventFilterTypePASSWORD_CHANGE, in.ProposedPassword); refusal == nil {
			refusal = s.checkHistory(&b.pool, &b.user, in.ProposedPassword)
		}
	}
	if f := (*fault)(nil); refusal != nil && !errors.As(refusal, &f) {
		return refusal
	}
	pw, err := s.newPassword(b.pool.ID, b.user.Name, in.ProposedPassword)
	if err != nil {
		return err
	}
	var verdict error
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := s.tables.users.Get(tx, b.pool.ID, b.user.Key)
		if err != nil {
			return missing(err, userNotFound, "User does not exist.")
		}
		if verdict, err = s.settle(tx, u.Pool, u.Key, right && u.PasswordID == b.user.PasswordID); err != nil || verdict != nil {
			return err
		}
		if verdict = refusal; verdict != nil {
			return nil
		}
		u.setPassword(&b.pool, pw)
		if err := s.note(tx, &threat, &u, api.EventTypePasswordChange, b.client.ID, leaked); err != nil {
			return err
		}
		return s.putUser(tx, &b.pool, &u, false)
	})
	return decided(err, verdict)
}

// DeleteUser removes the user who asks, for good.
func (s *Service) DeleteUser(ctx context.Context, in *api.DeleteUserRequest) (*api.DeleteUserOutput, error) {
	b, err := s.bearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	if err := s.update(ctx, func(tx *store.Tx) error { return s.removeUser(tx, &b.user) }); err != nil {
		return nil, err
	}
	return &api.DeleteUserOutput{}, nil
}

// GlobalSignOut revokes all of the user's sessions.
func (s *Service) GlobalSignOut(ctx context.Context, in *api.GlobalSignOutRequest) (*api.GlobalSignOutResponse, error) {
	b, err := s.plainBearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	err = s.update(ctx, func(tx *store.Tx) error { return s.signOut(tx, b.pool.ID, b.user.Key) })
	if err != nil {
		return nil, err
	}
	return &api.GlobalSignOutResponse{}, nil
}

// signOut revokes what was issued until now.
func (s *Service) signOut(tx *store.Tx, poolID, key string) error {
	u, err := s.tables.users.Get(tx, poolID, key)
	if err != nil {
		return missing(err, userNotFound, "User does not exist.")
	}
	u.signOut(s.time())
	return s.tables.users.Put(tx, u)
}

// GetUserAuthFactors lists by what the user who asks can begin and complete a sign-in.
func (s *Service) GetUserAuthFactors(ctx context.Context, in *api.GetUserAuthFactorsRequest) (*api.GetUserAuthFactorsResponse, error) {
	b, err := s.bearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	out := &api.GetUserAuthFactorsResponse{Username: b.user.Name, UserMFASettingList: b.user.mfaSettings(), PreferredMfaSetting: b.user.preferredMFA()}
	can, err := s.choicesFor(ctx, &b.pool, &b.user, false)
	for _, c := range can {
		if c != api.ChallengeNameTypePASSWORD_SRP { // the same factor in another way
			out.ConfiguredUserAuthFactors = append(out.ConfiguredUserAuthFactors, api.AuthFactorType(c))
		}
	}
	return out, err
}

// RevokeToken ends the session of a refresh token: it, its successors and the
// access tokens made with it. A token that is not known is no error (RFC 7009).
func (s *Service) RevokeToken(ctx context.Context, in *api.RevokeTokenRequest) (*api.RevokeTokenResponse, error) {
	var c Client
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		c, err = s.client(tx, in.ClientId)
		return err
	})
	if is(err, notFound) {
		err = refuse(invalidParameter, "Invalid client id.")
	}
	if err != nil {
		return nil, exception(err)
	}
	ok, err := s.checkSecret(&c, deref(in.ClientSecret))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, exception(refuse(unauthorized, "Client secret is missing or wrong."))
	}
	if err := s.revoke(ctx, &c, in.Token); err != nil {
		return nil, exception(err)
	}
	return &api.RevokeTokenResponse{}, nil
}

// revoke ends the session of a refresh token of client c.
func (s *Service) revoke(ctx context.Context, c *Client, text string) error {
	if strings.Count(text, ".") == 2 {
		return refuse(unsupportedTokenType, "Only refresh tokens can be revoked.")
	}
	if !c.Settings.EnableTokenRevocation {
		return refuse(unsupportedOperation, "Token revocation is not enabled for this client.")
	}
	id, _, ok := s.readRefreshToken(c, text)
	if !ok {
		return nil
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		x, err := s.tables.sessions.Get(tx, id)
		if errors.Is(err, store.ErrNotFound) || (err == nil && x.Client != c.ID) {
			return nil
		}
		if err != nil {
			return err
		}
		x.Revoked = true
		return s.tables.sessions.Put(tx, x)
	})
}

// GetTokensFromRefreshToken refreshes, and rotates the refresh token where the
// client wants that.
func (s *Service) GetTokensFromRefreshToken(ctx context.Context, in *api.GetTokensFromRefreshTokenRequest) (*api.GetTokensFromRefreshTokenResponse, error) {
	var p Pool
	var c Client
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, c, err = s.both(tx, in.ClientId)
		return err
	})
	if err != nil {
		return nil, exception(err)
	}
	ok, err := s.checkSecret(&c, deref(in.ClientSecret))
	if err == nil && !ok {
		err = refuse(notAuthorized, "Client secret is missing or wrong.")
	}
	if err != nil {
		return nil, exception(err)
	}
	threat, err := s.threatOf(ctx, &p, &c, origin{})
	if err = errors.Join(err, threat.admit()); err != nil {
		return nil, exception(err)
	}
	out, err := s.refresh(ctx, &p, &c, in.RefreshToken, occasion{client: in.ClientId, metadata: in.ClientMetadata}, func(_ *User, x *Session) error {
		return x.onDevice(deref(in.DeviceKey))
	})
	if err != nil {
		return nil, exception(err)
	}
	return &api.GetTokensFromRefreshTokenResponse{AuthenticationResult: out}, nil
}
