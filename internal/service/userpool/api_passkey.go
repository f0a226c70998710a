package userpool

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// registrationTimeout is how long a browser is told to wait for its user.
const registrationTimeout = 60 * time.Second

// registration is the state between the two steps of a registration. Sealed, it is the
// challenge itself: it comes back within what the authenticator has seen.
type registration struct {
	ID                             string
	Pool, User, Sub, Client, Party string
	ExpiresAt                      time.Time
}

// The members of PublicKeyCredentialCreationOptionsJSON and
// PublicKeyCredentialRequestOptionsJSON (WebAuthn Level 3, section 5.1.8) that Cognito sends.
type (
	creationOptions struct {
		AuthenticatorSelection authenticatorSelection         `json:"authenticatorSelection"`
		Challenge              string                         `json:"challenge"`
		ExcludeCredentials     []credentialDescriptor         `json:"excludeCredentials"`
		PubKeyCredParams       []protocol.CredentialParameter `json:"pubKeyCredParams"`
		RP                     relyingPartyEntity             `json:"rp"`
		Timeout                int64                          `json:"timeout"`
		User                   userEntity                     `json:"user"`
	}
	authenticatorSelection struct {
		RequireResidentKey bool   `json:"requireResidentKey"`
		ResidentKey        string `json:"residentKey"`
		UserVerification   string `json:"userVerification"`
	}
	relyingPartyEntity struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	userEntity struct {
		DisplayName string `json:"displayName"`
		ID          string `json:"id"`
		Name        string `json:"name"`
	}
	credentialDescriptor struct {
		Type       string   `json:"type"`
		ID         string   `json:"id"`
		Transports []string `json:"transports"`
	}
)

func describeCredential(k *Passkey) credentialDescriptor {
	d := credentialDescriptor{Type: string(protocol.PublicKeyCredentialType), ID: k.ID, Transports: k.Transports}
	if d.Transports == nil {
		d.Transports = []string{}
	}
	return d
}

// plainBearer is bearer in the words of operations whose model has no UserNotFoundException.
func (s *Service) plainBearer(ctx context.Context, accessToken string) (bearer, error) {
	b, err := s.bearer(ctx, accessToken)
	if is(err, userNotFound) {
		err = refuse(notAuthorized, err.Error())
	}
	return b, err
}

// registrant is who registers a passkey, and for which domain.
func (s *Service) registrant(ctx context.Context, accessToken string) (b bearer, party string, err error) {
	if b, err = s.plainBearer(ctx, accessToken); err != nil {
		return b, "", err
	}
	if !b.pool.passkeys() {
		return b, "", refuse(webAuthnNotEnabled, "WEB_AUTHN is not enabled for the user pool.")
	}
	return b, s.relyingParty(&b.pool), nil
}

func errTooManyPasskeys() error {
	return refuse(limitExceeded, "User has reached the maximum number of passkeys.")
}

// StartWebAuthnRegistration gives what a browser needs to make a passkey for the user who
// asks.
func (s *Service) StartWebAuthnRegistration(ctx context.Context, in *api.StartWebAuthnRegistrationRequest) (*api.StartWebAuthnRegistrationResponse, error) {
	b, party, err := s.registrant(ctx, in.AccessToken)
	if err == nil && party == "" {
		err = refuse(webAuthnConfigurationMissing, "The user pool has neither a relying party id nor a domain.")
	}
	if err != nil {
		return nil, exception(err)
	}
	var have []Passkey
	err = s.view(ctx, func(tx *store.Tx) error {
		all, err := s.tables.passkeys.List(tx, store.Query{Prefix: []string{b.user.Pool, b.user.Key}})
		if err == nil && len(all) >= maxPasskeys {
			err = errTooManyPasskeys()
		}
		have = slices.DeleteFunc(all, func(k Passkey) bool { return k.RelyingParty != party })
		return err
	})
	if err != nil {
		return nil, err
	}
	id, err := s.uuid()
	if err != nil {
		return nil, err
	}
	challenge, err := s.sealJSON(sealRegistration, registration{
		ID: id, Pool: b.pool.ID, User: b.user.Key, Sub: b.user.Sub, Client: b.client.ID, Party: party,
		ExpiresAt: s.time().Add(b.client.challengeValidity()),
	})
	if err != nil {
		return nil, err
	}
	name := b.user.shownName(&b.pool)
	options := creationOptions{
		AuthenticatorSelection: authenticatorSelection{true, string(protocol.ResidentKeyRequirementRequired), string(b.pool.userVerification())},
		Challenge:              challenge, ExcludeCredentials: []credentialDescriptor{}, PubKeyCredParams: credentialParameters(),
		RP: relyingPartyEntity{party, party}, Timeout: registrationTimeout.Milliseconds(),
		User: userEntity{name, base64.RawURLEncoding.EncodeToString([]byte(b.user.Sub)), name},
	}
	for i := range have {
		options.ExcludeCredentials = append(options.ExcludeCredentials, describeCredential(&have[i]))
	}
	raw, err := json.Marshal(options)
	return &api.StartWebAuthnRegistrationResponse{CredentialCreationOptions: raw}, err
}

// shownName is by what a user tells his passkeys apart: what he signs in with, not the
// username that the pool has made for him.
func (u *User) shownName(p *Pool) string {
	for _, name := range p.UsernameAttributes {
		if v := u.Attributes[name]; v != "" {
			return v
		}
	}
	return u.Name
}

// CompleteWebAuthnRegistration keeps the passkey that an authenticator has made
// (WebAuthn Level 3, section 7.1). Who made the authenticator is not asked: nothing is
// read from attestation statements, which are only required to be sound.
func (s *Service) CompleteWebAuthnRegistration(ctx context.Context, in *api.CompleteWebAuthnRegistrationRequest) (*api.CompleteWebAuthnRegistrationResponse, error) {
	b, party, err := s.registrant(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	made, err := protocol.ParseCredentialCreationResponseBytes(in.Credential)
	if err != nil || made.Response.CollectedClientData.Type != protocol.CreateCeremony {
		return nil, exception(refuse(invalidParameter, "The credential cannot be read."))
	}
	reg, err := s.openRegistration(&b, made.Response.CollectedClientData.Challenge)
	if err == nil {
		err = checkRegistration(&b.pool, party, reg, made)
	}
	if err != nil {
		return nil, exception(err)
	}
	k, err := s.newPasskey(&b, party, made)
	if err != nil {
		return nil, err
	}
	if err := s.update(ctx, func(tx *store.Tx) error { return s.addPasskey(tx, reg, k) }); err != nil {
		return nil, err
	}
	return &api.CompleteWebAuthnRegistrationResponse{}, nil
}

func errNoRegistration() error {
	return refuse(webAuthnChallengeNotFound, "The challenge of the registration was not found or has expired.")
}

// openRegistration reads the challenge that an authenticator has signed: one of ours, for
// this user, by this client, in time.
func (s *Service) openRegistration(b *bearer, challenge string) (reg registration, err error) {
	if !s.unsealJSON(sealRegistration, challenge, &reg) || !s.time().Before(reg.ExpiresAt) ||
		reg.Pool != b.pool.ID || reg.User != b.user.Key || reg.Sub != b.user.Sub {
		return reg, errNoRegistration()
	}
	if reg.Client != b.client.ID {
		return reg, refuse(webAuthnClientMismatch, "The access token is for another client than the one that started the registration.")
	}
	return reg, nil
}

// checkRegistration checks everything that can be checked without the other passkeys.
func checkRegistration(p *Pool, party string, reg registration, made *protocol.ParsedCredentialCreationData) error {
	client, data := &made.Response.CollectedClientData, &made.Response.AttestationObject.AuthData
	hash := sha256.Sum256([]byte(party))
	switch {
	case party == "" || reg.Party != party || subtle.ConstantTimeCompare(data.RPIDHash, hash[:]) != 1:
		return refuse(webAuthnRelyingPartyMismatch, "The credential is for another relying party than the user pool's.")
	case !allowsOrigin(party, client):
		return refuse(webAuthnOriginNotAllowed, "The origin of the credential does not belong to the relying party of the user pool.")
	case !backup(data.Flags), len(data.AttData.CredentialPublicKey) > maxPublicKey, len(data.AttData.CredentialID) == 0:
		return errUnsupportedPasskey()
	}
	_, err := made.Verify(client.Challenge, party, []string{client.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode, false,
		p.demandsVerification(), true, nil, credentialParameters(), protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
	if err != nil {
		return errUnsupportedPasskey()
	}
	return nil
}

func errUnsupportedPasskey() error {
	return refuse(webAuthnCredentialNotSupported, "The passkey comes from a device or provider that is not supported.")
}

func (s *Service) newPasskey(b *bearer, party string, made *protocol.ParsedCredentialCreationData) (Passkey, error) {
	data := &made.Response.AttestationObject.AuthData
	sealed, err := s.db.Seal(sealPasskey, data.AttData.CredentialPublicKey)
	k := Passkey{
		Pool: b.pool.ID, User: b.user.Key, ID: credentialID(data.AttData.CredentialID), RelyingParty: party,
		Key: sealed, Counter: data.Counter, Name: passkeyName(data.AttData.AAGUID, string(made.AuthenticatorAttachment)),
		Attachment: string(made.AuthenticatorAttachment), BackupEligible: data.Flags.HasBackupEligible(), BackedUp: data.Flags.HasBackupState(),
		CreatedAt: s.time(),
	}
	for _, t := range made.Response.Transports {
		switch t {
		case protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal:
			if !slices.Contains(k.Transports, string(t)) {
				k.Transports = append(k.Transports, string(t))
			}
		}
	}
	return k, err
}

// addPasskey stores a passkey, uses the challenge up, and looks once more at the user.
func (s *Service) addPasskey(tx *store.Tx, reg registration, k Passkey) error {
	err := s.tables.sessions.Insert(tx, answered(reg.ID, reg.ExpiresAt))
	if errors.Is(err, store.ErrExists) {
		return errNoRegistration()
	}
	if err != nil {
		return err
	}
	u, err := s.tables.users.Get(tx, k.Pool, k.User)
	if errors.Is(err, store.ErrNotFound) || err == nil && u.Sub != reg.Sub {
		return refuse(notAuthorized, "Invalid Access Token")
	}
	if err != nil {
		return err
	}
	n, err := s.tables.passkeys.Count(tx, store.Query{Prefix: []string{k.Pool, k.User}})
	if err != nil {
		return err
	}
	if n >= maxPasskeys {
		return errTooManyPasskeys()
	}
	err = s.tables.passkeys.Insert(tx, k)
	if errors.Is(err, store.ErrExists) {
		return refuse(invalidParameter, "The credential is registered already.")
	}
	return err
}

// ListWebAuthnCredentials lists the passkeys of the user who asks.
func (s *Service) ListWebAuthnCredentials(ctx context.Context, in *api.ListWebAuthnCredentialsRequest) (*api.ListWebAuthnCredentialsResponse, error) {
	b, err := s.plainBearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	scope := []string{"passkeys", b.user.Pool, b.user.Key}
	after, err := s.openPage(in.NextToken, scope)
	if err != nil {
		return nil, exception(err)
	}
	n := maxPasskeys
	if v := wire.Value(in.MaxResults); v > 0 {
		n = min(n, int(v))
	}
	var list []Passkey
	err = s.view(ctx, func(tx *store.Tx) (err error) {
		list, err = s.tables.passkeys.List(tx, store.Query{Prefix: []string{b.user.Pool, b.user.Key}, After: after, Limit: n + 1})
		return err
	})
	if err != nil {
		return nil, err
	}
	list, next, err := nextPage(s, list, n, scope, func(k *Passkey) []string { return []string{k.Pool, k.User, k.ID} })
	out := &api.ListWebAuthnCredentialsResponse{Credentials: []api.WebAuthnCredentialDescription{}, NextToken: next}
	for _, k := range list {
		d := api.WebAuthnCredentialDescription{
			CredentialId: k.ID, FriendlyCredentialName: k.Name, RelyingPartyId: k.RelyingParty,
			AuthenticatorTransports: k.Transports, CreatedAt: k.CreatedAt,
		}
		if k.Attachment != "" {
			d.AuthenticatorAttachment = wire.String(k.Attachment)
		}
		if d.AuthenticatorTransports == nil {
			d.AuthenticatorTransports = []string{}
		}
		out.Credentials = append(out.Credentials, d)
	}
	return out, err
}

// DeleteWebAuthnCredential removes a passkey of the user who asks.
func (s *Service) DeleteWebAuthnCredential(ctx context.Context, in *api.DeleteWebAuthnCredentialRequest) (*api.DeleteWebAuthnCredentialResponse, error) {
	b, err := s.plainBearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	err = s.update(ctx, func(tx *store.Tx) error {
		return missing(s.tables.passkeys.Delete(tx, b.user.Pool, b.user.Key, in.CredentialId), notFound, "The credential does not exist.")
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteWebAuthnCredentialResponse{}, nil
}
