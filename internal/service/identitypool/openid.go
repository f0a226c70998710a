package identitypool

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"time"

	"moat/internal/pure/token"
	"moat/internal/store"
	api "moat/internal/wire/cognitoidentityapi"
)

// Issuer is the issuer of the tokens of the basic flow. It is AWS's name: trust
// policies and clients know identity pools by it, and no other installation's
// keys verify what this one signs.
const Issuer = "https://" + provider

const (
	openIDLife   = 10 * time.Minute
	keyPurpose   = "identitypool/signing-key"
	signingKeyID = "identitypool-1"
	keyBits      = 2048
)

// tagsClaim is where STS reads session tags (IAM, "Passing session tags using
// AssumeRoleWithWebIdentity").
const tagsClaim = "https://aws.amazon.com/tags"

// GetOpenIdToken implements cognitoidentityapi.Service: the basic flow, whose
// token buys credentials at STS.
func (s *Service) GetOpenIdToken(ctx context.Context, in *api.GetOpenIdTokenInput) (*api.GetOpenIdTokenResponse, error) {
	who, err := s.authenticate(ctx, in.IdentityId, in.Logins, false)
	if err != nil {
		return nil, err
	}
	if !who.pool.Classic {
		return nil, invalidParameter("Basic (classic) flow is not enabled, please use enhanced flow.")
	}
	tags, err := principalTags(&who.pool, who.proofs)
	if err != nil {
		return nil, err
	}
	signed, err := s.issue(ctx, who.pool.ID, who.identity.ID, amr(who), tags, openIDLife)
	return &api.GetOpenIdTokenResponse{IdentityId: &who.identity.ID, Token: &signed}, err
}

// issue signs a token about an identity.
func (s *Service) issue(ctx context.Context, pool, identity string, amr []string, tags map[string]string, life time.Duration) (string, error) {
	key, err := s.signingKey(ctx, true)
	if err != nil {
		return "", err
	}
	now := s.cfg.Now().Unix()
	content := map[string]any{"iss": Issuer, "aud": pool, "sub": identity, "amr": amr, "iat": now, "exp": now + int64(life/time.Second)}
	if len(tags) > 0 {
		values := map[string][]string{}
		for k, v := range tags {
			values[k] = []string{v}
		}
		content[tagsClaim] = map[string]any{"principal_tags": values}
	}
	claims, err := json.Marshal(content)
	if err != nil {
		return "", err
	}
	signed, err := token.Sign(key, claims)
	if err == nil && len(signed) > token.MaxLength {
		return "", invalidParameter("The principal tags are too long for a token.")
	}
	return signed, err
}

// Resolve returns the keys of the basic flow's tokens for [Issuer], false for
// every other issuer. It is made to be registered as an issuer's resolver.
func (s *Service) Resolve(issuer string) (token.KeySet, bool) {
	if issuer != Issuer {
		return nil, false
	}
	key, err := s.signingKey(context.Background(), false)
	if err != nil || key == nil {
		return token.NewKeys(), true // ours, and no key: nothing verifies
	}
	return token.NewKeys(key.Key()), true
}

// signingKey returns the key of this installation; create makes it when there is
// none yet. Of several nodes that make one, one wins.
func (s *Service) signingKey(ctx context.Context, create bool) (*token.SigningKey, error) {
	if key := s.key.Load(); key != nil {
		return key, nil
	}
	s.making.Lock()
	defer s.making.Unlock()
	record, err := s.loadKey(ctx)
	if errors.Is(err, store.ErrNotFound) {
		if !create {
			return nil, nil
		}
		record, err = s.createKey(ctx)
	}
	if err != nil {
		return nil, err
	}
	plain, err := s.db.Unseal(keyPurpose, record.Private)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, err
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("identitypool: the signing key is not an RSA key")
	}
	key, err := token.NewSigningKey(record.ID, private)
	if err != nil {
		return nil, err
	}
	s.key.Store(key)
	return key, nil
}

func (s *Service) loadKey(ctx context.Context) (k SigningKey, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		k, err = s.t.keys.Get(tx, signingKeyID)
		return err
	})
	return k, err
}

func (s *Service) createKey(ctx context.Context) (SigningKey, error) {
	// Not s.cfg.Rand: key generation reads an unforeseeable number of bytes, so
	// an injected source would make nothing repeatable and be weaker.
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return SigningKey{}, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return SigningKey{}, err
	}
	k := SigningKey{ID: signingKeyID, Created: s.now()}
	if k.Private, err = s.db.Seal(keyPurpose, plain); err != nil {
		return SigningKey{}, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error { return s.t.keys.Insert(tx, k) })
	if errors.Is(err, store.ErrExists) {
		return s.loadKey(ctx)
	}
	return k, err
}
