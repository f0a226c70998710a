package userpool

import (
	"context"
	"encoding/base32"
	"errors"
	"slices"

	"moat/internal/pure/totp"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// totpSkew is how many periods a phone's clock may be off.
const totpSkew = 1

func errTokenCode() error { return refuse(codeMismatch, "Invalid code received for user") }

// askTOTP asks for a code of the user's authenticator app.
func (s *Service) askTOTP(_ context.Context, st *step, u *User, at attempt) (answer, error) {
	ch, err := s.newChallenge(api.ChallengeNameTypeSOFTWARE_TOKEN_MFA, &st.client, u, at)
	if err != nil {
		return answer{}, err
	}
	params := map[string]string{"USER_ID_FOR_SRP": u.Name}
	if u.MFA.Device != "" {
		params["FRIENDLY_DEVICE_NAME"] = u.MFA.Device
	}
	return s.offered(ch, params)
}

// takeTOTP checks such a code. A wrong one may be given again, each counted as a
// failed sign-in.
func (s *Service) takeTOTP(ctx context.Context, st *step) (answer, error) {
	code, err := st.param("SOFTWARE_TOKEN_MFA_CODE")
	if err != nil {
		return answer{}, err
	}
	ch, u, err := s.resume(ctx, st, api.ChallengeNameTypeSOFTWARE_TOKEN_MFA)
	if err != nil {
		return answer{}, err
	}
	return s.conclude(ctx, st, &proof{user: u, factor: provesTOTP, right: true, from: &ch, retry: true, effect: func(tx *store.Tx, u *User) (verdict, err error) {
		seed, err := s.seed(u.MFA.Seed)
		if err != nil {
			return nil, err
		}
		stepOf, ok := totp.Match(seed, code, s.now(), totpSkew, u.MFA.LastStep)
		if !ok {
			if _, used := totp.Match(seed, code, s.now(), totpSkew, 0); used {
				return refuse(codeExpired, "Your software token has already been used once."), nil
			}
			return errTokenCode(), nil
		}
		u.MFA.LastStep = stepOf
		return nil, s.tables.users.Put(tx, *u)
	}})
}

// seed unseals the secret of a software token; none gives none, which matches no code.
func (s *Service) seed(sealed []byte) ([]byte, error) {
	if sealed == nil {
		return nil, nil
	}
	return s.db.Unseal(sealSeed, sealed)
}

// AssociateSoftwareToken draws the secret of a software token, for a user who is
// signed in or in the middle of MFA_SETUP. Until a code of it is seen it counts for
// nothing.
func (s *Service) AssociateSoftwareToken(ctx context.Context, in *api.AssociateSoftwareTokenRequest) (*api.AssociateSoftwareTokenResponse, error) {
	plain, err := s.random(totp.SecretSize)
	if err != nil {
		return nil, err
	}
	sealed, err := s.db.Seal(sealSeed, plain)
	if err != nil {
		return nil, err
	}
	out := &api.AssociateSoftwareTokenResponse{SecretCode: wire.String(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(plain))}
	switch {
	case in.AccessToken != nil && in.Session != nil, in.AccessToken == nil && in.Session == nil:
		return nil, exception(refuse(invalidParameter, "Only one of AccessToken or Session should be provided."))
	case in.AccessToken != nil:
		err = s.associateSignedIn(ctx, *in.AccessToken, sealed)
	default:
		out.Session, err = s.associateInSession(ctx, *in.Session, sealed)
	}
	if err != nil {
		return nil, exception(err)
	}
	return out, nil
}

func (s *Service) associateSignedIn(ctx context.Context, accessToken string, sealed []byte) error {
	b, err := s.plainBearer(ctx, accessToken)
	if err != nil {
		return err
	}
	if !b.pool.Settings.MFA.SoftwareToken {
		return refuse(softwareTokenNotFound, "Software token MFA has not been enabled by the userPool")
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := s.tables.users.Get(tx, b.pool.ID, b.user.Key)
		if err != nil {
			return missing(err, userNotFound, "User does not exist.")
		}
		u.MFA.Pending = sealed
		return s.tables.users.Put(tx, u)
	})
}

// setup reads the session of an MFA_SETUP, whose client is named by nothing else.
func (s *Service) setup(ctx context.Context, session string) (ch challenge, p Pool, err error) {
	ch, ok := s.unsealChallenge(sealedIn(session))
	if !ok || ch.Kind != api.ChallengeNameTypeMFA_SETUP {
		return ch, p, errSession()
	}
	if err := s.inTime(&ch); err != nil {
		return ch, p, err
	}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		if err := s.unspent(tx, &ch); err != nil {
			return err
		}
		var c Client
		if p, c, err = s.both(tx, ch.Client); err != nil || c.Pool != ch.Pool {
			return errors.Join(err, errSession())
		}
		return nil
	})
	return ch, p, err
}

func (s *Service) associateInSession(ctx context.Context, session string, sealed []byte) (*string, error) {
	ch, p, err := s.setup(ctx, session)
	if err != nil {
		return nil, err
	}
	if !p.Settings.MFA.SoftwareToken {
		return nil, refuse(softwareTokenNotFound, "Software token MFA has not been enabled by the userPool")
	}
	ch.Seed, ch.Ready = sealed, false
	next, err := s.sealSession(&ch)
	return &next, err
}

// VerifySoftwareToken takes the first code of a software token, which shows that the
// secret has arrived. In MFA_SETUP the token is switched on with it; a user who is
// signed in switches it on by SetUserMFAPreference.
func (s *Service) VerifySoftwareToken(ctx context.Context, in *api.VerifySoftwareTokenRequest) (*api.VerifySoftwareTokenResponse, error) {
	out := &api.VerifySoftwareTokenResponse{Status: api.VerifySoftwareTokenResponseTypeSUCCESS}
	var err error
	switch {
	case in.AccessToken != nil && in.Session != nil, in.AccessToken == nil && in.Session == nil:
		err = refuse(invalidParameter, "Only one of AccessToken or Session should be provided.")
	case in.AccessToken != nil:
		err = s.verifySignedIn(ctx, *in.AccessToken, in)
	default:
		out.Session, err = s.verifyInSession(ctx, *in.Session, in)
	}
	if err != nil {
		return nil, exception(err)
	}
	return out, nil
}

func (s *Service) verifySignedIn(ctx context.Context, accessToken string, in *api.VerifySoftwareTokenRequest) error {
	b, err := s.bearer(ctx, accessToken)
	if err != nil {
		return err
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := s.tables.users.Get(tx, b.pool.ID, b.user.Key)
		if err != nil {
			return missing(err, userNotFound, "User does not exist.")
		}
		if u.MFA.Pending == nil {
			return refuse(softwareTokenNotFound, "Software token MFA has not been associated.")
		}
		if err := s.adopt(&u, u.MFA.Pending, in); err != nil {
			return err
		}
		return s.tables.users.Put(tx, u)
	})
}

// verifyInSession is verifySignedIn in the middle of MFA_SETUP. A user who has got a
// second factor in the meantime cannot be given another one with a password alone.
func (s *Service) verifyInSession(ctx context.Context, session string, in *api.VerifySoftwareTokenRequest) (*string, error) {
	ch, p, err := s.setup(ctx, session)
	if err != nil {
		return nil, err
	}
	if ch.Seed == nil {
		return nil, refuse(softwareTokenNotFound, "Software token MFA has not been associated.")
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := s.tables.users.Get(tx, ch.Pool, ch.User)
		if err != nil {
			return missing(err, notAuthorized, "Invalid session for the user.")
		}
		if u.PasswordID != ch.PasswordID || u.Sub != ch.Sub || p.secondFactor(&u, ch.attempt) != api.ChallengeNameTypeMFA_SETUP {
			return errSession()
		}
		if err := s.adopt(&u, ch.Seed, in); err != nil {
			return err
		}
		if !slices.Contains(u.MFA.Enabled, mfaTOTP) {
			u.MFA.Enabled = append(u.MFA.Enabled, mfaTOTP)
		}
		return s.tables.users.Put(tx, u)
	})
	if err != nil {
		return nil, err
	}
	ch.Seed, ch.Ready = nil, true
	next, err := s.sealSession(&ch)
	return &next, err
}

// adopt makes a secret the user's, when the code is one of it.
func (s *Service) adopt(u *User, sealed []byte, in *api.VerifySoftwareTokenRequest) error {
	seed, err := s.seed(sealed)
	if err != nil {
		return err
	}
	at, ok := totp.Match(seed, in.UserCode, s.now(), totpSkew, 0)
	if !ok {
		return refuse(enableTokenFailed, "Code mismatch")
	}
	u.MFA.Seed, u.MFA.Pending, u.MFA.LastStep, u.MFA.Device = sealed, nil, at, deref(in.FriendlyDeviceName)
	return nil
}
