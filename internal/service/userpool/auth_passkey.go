package userpool

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// nonceSize is how much of a challenge an authenticator signs (WebAuthn Level 3,
// section 13.4.3, asks for 16 bytes at least).
const nonceSize = 32

// requestOptions is what a browser needs to sign in by a passkey.
type requestOptions struct {
	Challenge        string                 `json:"challenge"`
	Timeout          int64                  `json:"timeout"`
	RPID             string                 `json:"rpId"`
	AllowCredentials []credentialDescriptor `json:"allowCredentials"`
	UserVerification string                 `json:"userVerification"`
}

// challengePasskey asks for a signature by one of the user's passkeys. Who has none, or
// does not exist, is asked for some that nobody has: the caller has decided that this
// must not show.
func (s *Service) challengePasskey(ctx context.Context, st *step, c *choice, at attempt) (answer, error) {
	ch, err := s.newChallenge(api.ChallengeNameTypeWEB_AUTHN, &st.client, &c.user, at)
	if err != nil {
		return answer{}, err
	}
	ch.Known, ch.Login = c.known, c.login
	options, err := s.askForPasskey(ctx, st, &c.user, &ch)
	if err != nil {
		return answer{}, err
	}
	return s.offered(ch, map[string]string{credentialOptions: options})
}

// credentialOptions names what a browser needs to answer by a passkey.
const credentialOptions = "CREDENTIAL_REQUEST_OPTIONS"

// askForPasskey lets a challenge be answered by a passkey of u, and says what a browser
// needs for it.
func (s *Service) askForPasskey(ctx context.Context, st *step, u *User, ch *challenge) (string, error) {
	list, err := s.usablePasskeys(ctx, &st.pool, u)
	if err != nil {
		return "", err
	}
	if ch.Nonce, err = s.random(nonceSize); err != nil {
		return "", err
	}
	options := requestOptions{
		Challenge: credentialID(ch.Nonce), Timeout: st.client.challengeValidity().Milliseconds(),
		RPID: s.relyingParty(&st.pool), UserVerification: string(st.pool.userVerification()),
	}
	// In order of their ids, the false ones too: another order would tell them apart.
	for _, k := range list {
		options.AllowCredentials = append(options.AllowCredentials, describeCredential(&k))
	}
	if len(list) == 0 {
		options.AllowCredentials = s.imaginaryPasskeys(u)
	}
	raw, err := json.Marshal(options)
	return string(raw), err
}

// imaginaryPasskeys are always the same for the same user. Ids and transports are as
// those of the authenticators that most people have.
func (s *Service) imaginaryPasskeys(u *User) []credentialDescriptor {
	seed := s.secrets.derive(2+2*32, "imaginary passkey", u.Pool, u.Key)
	n := 1
	if seed[0] < 64 { // a quarter has two
		n = 2
	}
	var out []credentialDescriptor
	for i := range n {
		d := credentialDescriptor{Type: string(protocol.PublicKeyCredentialType)}
		id := seed[2+32*i:][:32]
		switch kind := seed[1] >> (4 * i) & 0xf; {
		case kind < 8: // a password manager of a phone or browser
			id, d.Transports = id[:16], []string{"hybrid", "internal"}
		case kind < 13: // a phone
			id, d.Transports = id[:20], []string{"hybrid", "internal"}
		default: // a computer
			d.Transports = []string{"internal"}
		}
		d.ID = credentialID(id)
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b credentialDescriptor) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	return out
}

// takePasskey takes the answer to such a challenge.
func (s *Service) takePasskey(ctx context.Context, st *step) (answer, error) {
	given, err := assertion(st)
	if err != nil {
		return answer{}, err
	}
	ch, u, err := s.resumeAnybody(ctx, st, api.ChallengeNameTypeWEB_AUTHN)
	if err != nil {
		return answer{}, err
	}
	return s.provePasskey(ctx, st, &ch, u, given)
}

// assertion reads what an authenticator has signed.
func assertion(st *step) (*protocol.ParsedCredentialAssertionData, error) {
	text, err := st.param("CREDENTIAL")
	if err != nil {
		return nil, err
	}
	given, err := protocol.ParseCredentialRequestResponseBytes([]byte(text))
	if err != nil {
		return nil, refuse(invalidParameter, "Invalid value for parameter CREDENTIAL")
	}
	return given, nil
}

// provePasskey checks such a signature (WebAuthn Level 3, section 7.2). Whatever is wrong
// with it is told in one sentence.
func (s *Service) provePasskey(ctx context.Context, st *step, ch *challenge, u User, given *protocol.ParsedCredentialAssertionData) (answer, error) {
	k, key, err := s.presented(ctx, &st.pool, &u, given.RawID)
	if err != nil {
		return answer{}, err
	}
	right := s.signedBy(&st.pool, ch, given, key) && k != nil && ch.Known && k.answers(&u, given)
	at := ch.attempt.with(provesPasskey)
	if given.Response.AuthenticatorData.Flags.UserVerified() {
		at = at.with(provesVerification)
	}
	return s.conclude(ctx, st, &proof{
		user: u, factor: provesPasskey, right: right, from: ch, at: &at,
		effect: func(tx *store.Tx, _ *User) (verdict, err error) { return s.usePasskey(tx, k, given) },
	})
}

// presented finds the passkey that somebody says he has, and its public key; nil and a
// key that fits nobody if the user has no such passkey.
func (s *Service) presented(ctx context.Context, p *Pool, u *User, rawID []byte) (*Passkey, []byte, error) {
	list, err := s.usablePasskeys(ctx, p, u)
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(list, func(k Passkey) bool { return k.ID == credentialID(rawID) })
	if i < 0 {
		return nil, decoyKey(), nil
	}
	key, err := s.db.Unseal(sealPasskey, list[i].Key)
	return &list[i], key, err
}

// signedBy says whether an answer is signed by a key, for this challenge, on a page of
// the relying party, by an authenticator that did what the pool demands.
func (s *Service) signedBy(p *Pool, ch *challenge, given *protocol.ParsedCredentialAssertionData, key []byte) bool {
	client, party := &given.Response.CollectedClientData, s.relyingParty(p)
	err := given.Verify(credentialID(ch.Nonce), party, "", []string{client.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode, false,
		p.demandsVerification(), true, key, protocol.SignaturePolicy{})
	return err == nil && len(ch.Nonce) == nonceSize && allowsOrigin(party, client)
}

// answers says whether an answer can be one of this passkey of this user, signature and
// counter aside.
func (k *Passkey) answers(u *User, given *protocol.ParsedCredentialAssertionData) bool {
	flags, handle := given.Response.AuthenticatorData.Flags, given.Response.UserHandle
	return (len(handle) == 0 || subtle.ConstantTimeCompare(handle, []byte(u.Sub)) == 1) &&
		backup(flags) && flags.HasBackupEligible() == k.BackupEligible
}

// usePasskey counts a signature, within the transaction that lets it count: of two uses
// with the same counter one is right.
func (s *Service) usePasskey(tx *store.Tx, k *Passkey, given *protocol.ParsedCredentialAssertionData) (verdict, err error) {
	now, err := s.tables.passkeys.Get(tx, k.Pool, k.User, k.ID)
	if errors.Is(err, store.ErrNotFound) {
		return errWrongPassword(), nil // removed in the meantime
	}
	if err != nil {
		return nil, err
	}
	data := &given.Response.AuthenticatorData
	if !bytes.Equal(now.Key, k.Key) || !follows(now.Counter, data.Counter) {
		return errWrongPassword(), nil
	}
	now.Counter, now.BackedUp, now.UsedAt = data.Counter, data.Flags.HasBackupState(), s.time()
	return nil, s.tables.passkeys.Put(tx, now)
}
