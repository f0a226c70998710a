package userpool

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"moat/internal/pure/token"
	"moat/internal/pure/uuid"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// newSession begins a session with a challenge, or with none; the caller fills in whose it is.
func (s *Service) newSession(c *Client, from *challenge) (Session, error) {
	var id string
	var err error
	if from != nil {
		id = from.ID
	} else {
		id, err = s.timedUUID()
	}
	now := s.time()
	return Session{
		ID: id, Pool: c.Pool, Client: c.ID, Scope: scopeAdmin,
		CreatedAt: now, ExpiresAt: now.Add(c.refreshValidity()),
	}, err
}

// of binds a session to its user, as he is in the transaction that stores it.
func (x *Session) of(u *User) { x.User, x.Sub, x.Epoch = u.Key, u.Sub, u.SignOuts }

// signOut revokes all that was issued to u until now.
func (u *User) signOut(now time.Time) {
	u.SignOuts++
	u.SignedOutAt = now
}

// A refresh token is session id (16 bytes), generation (4) and an authenticator
// (32) over these, pool and client, under the service's own key. Nothing of it is
// stored: who reads the database without the master key can make none, and no part
// of it can be cut off or changed.
const refreshTokenSize = 16 + 4 + 32

func (s *Service) refreshToken(x *Session) (string, error) {
	raw := make([]byte, 0, refreshTokenSize)
	for part := range strings.SplitSeq(x.ID, "-") {
		var err error
		if raw, err = hex.AppendDecode(raw, []byte(part)); err != nil {
			return "", err
		}
	}
	raw = binary.BigEndian.AppendUint32(raw, x.Generation)
	raw = append(raw, s.secrets.mac("refresh token", string(raw), x.Pool, x.Client)...)
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// readRefreshToken checks that a refresh token is ours and of this client.
func (s *Service) readRefreshToken(c *Client, text string) (id string, generation uint32, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != refreshTokenSize || strings.ContainsAny(text, "\r\n") {
		return "", 0, false
	}
	head, mac := raw[:20], raw[20:]
	if subtle.ConstantTimeCompare(mac, s.secrets.mac("refresh token", string(head), c.Pool, c.ID)) != 1 {
		return "", 0, false
	}
	return uuid.Text([16]byte(head[:16])), binary.BigEndian.Uint32(head[16:]), true
}

// onDevice refuses a device that is not the one on which the session was begun. Who names none
// is let through.
func (x *Session) onDevice(key string) error {
	if key != "" && x.Device != "" && key != x.Device {
		return errInvalidRefresh()
	}
	return nil
}

func errInvalidRefresh() error { return refuse(notAuthorized, "Invalid Refresh Token") }
func errRevokedRefresh() error { return refuse(notAuthorized, "Refresh Token has been revoked") }

// refreshStep is the REFRESH_TOKEN_AUTH flow.
func (s *Service) refreshStep(ctx context.Context, st *step) (answer, error) {
	text, err := st.param("REFRESH_TOKEN")
	if err != nil {
		return answer{}, err
	}
	result, err := s.refresh(ctx, &st.pool, &st.client, text, st.on, func(u *User, x *Session) error {
		if err := x.onDevice(st.params["DEVICE_KEY"]); err != nil {
			return err
		}
		return s.checkSecretHash(&st.client, st.params["SECRET_HASH"], u.Name, u.Sub)
	})
	return answer{result: result, params: map[string]string{}}, err
}

// refresh issues new tokens for a session that still stands. With rotation the
// refresh token is replaced; its forerunner works for the grace period only, and
// used later it counts as stolen: the whole session is revoked.
func (s *Service) refresh(ctx context.Context, p *Pool, c *Client, text string, on occasion, check func(*User, *Session) error) (*api.AuthenticationResultType, error) {
	id, generation, ok := s.readRefreshToken(c, text)
	if !ok {
		return nil, errInvalidRefresh()
	}
	var u User
	var x Session
	var groups []Group
	var verdict error
	read := func(tx *store.Tx) (err error) {
		x, u, err = s.standing(tx, c, id)
		if err == nil && check != nil {
			err = check(&u, &x)
		}
		if err == nil {
			groups, err = s.groupsOf(tx, &u)
		}
		return err
	}
	var err error
	if c.rotates() {
		err = s.db.Update(ctx, func(tx *store.Tx) error {
			if err := read(tx); err != nil {
				return err
			}
			verdict, err = s.rotate(tx, c, &x, generation)
			return err
		})
	} else {
		err = s.db.View(ctx, read)
		if err == nil && generation != x.Generation {
			err = errRevokedRefresh()
		}
	}
	if err = decided(err, verdict); err != nil {
		return nil, err
	}
	return s.issue(ctx, &issuance{pool: p, client: c, user: &u, groups: groups, session: &x, refresh: c.rotates(), why: issuedByRefresh, on: on})
}

// standing reads a session and its user, who is shared, and refuses what does not stand any more.
func (s *Service) standing(tx *store.Tx, c *Client, id string) (Session, User, error) {
	x, err := s.tables.sessions.Get(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return x, User{}, errInvalidRefresh()
	}
	if err != nil {
		return x, User{}, err
	}
	if x.Client != c.ID || x.Pool != c.Pool {
		return x, User{}, errInvalidRefresh()
	}
	u, err := s.tables.users.Look(tx, x.Pool, x.User)
	if errors.Is(err, store.ErrNotFound) || (err == nil && u.Sub != x.Sub) {
		return x, u, errInvalidRefresh()
	}
	switch {
	case err != nil:
		return x, u, err
	case x.Revoked || x.Epoch != u.SignOuts:
		return x, u, errRevokedRefresh()
	case !s.time().Before(x.ExpiresAt):
		return x, u, refuse(notAuthorized, "Refresh Token has expired")
	case u.Disabled:
		return x, u, refuse(notAuthorized, "User is disabled.")
	}
	return x, u, nil
}

// rotate replaces the refresh token of a session.
func (s *Service) rotate(tx *store.Tx, c *Client, x *Session, presented uint32) (verdict, err error) {
	now := s.time()
	grace := time.Duration(wire.Value(c.Settings.Rotation.RetryGracePeriodSeconds)) * time.Second
	switch {
	case presented == x.Generation:
		x.Generation++
		x.RotatedAt = now
		return nil, s.tables.sessions.Replace(tx, *x)
	case presented+1 == x.Generation && now.Before(x.RotatedAt.Add(grace)):
		return nil, nil // a retry: the successor is given once more
	}
	x.Revoked = true
	return refuse(refreshTokenReused, "Refresh token has been invalidated, and cannot be reused."), s.tables.sessions.Put(tx, *x)
}

// bearer is who an access token speaks for.
type bearer struct {
	pool   Pool
	client Client
	user   User
	claims token.Claims
}

// bearer checks an access token that is used for self-service: signature, time,
// use, scope, and that its session, user and client still stand.
func (s *Service) bearer(ctx context.Context, raw string) (bearer, error) {
	b, err := s.accessToken(ctx, raw)
	if err != nil {
		return b, err
	}
	for _, scope := range strings.Fields(b.claims.String("scope")) {
		if scope == scopeAdmin {
			return b, nil
		}
	}
	return b, refuse(notAuthorized, "Access Token does not have required scopes")
}

// accessToken is bearer whatever the scope.
func (s *Service) accessToken(ctx context.Context, raw string) (bearer, error) {
	invalid := refuse(notAuthorized, "Invalid Access Token")
	t, err := token.Parse(raw)
	if err != nil {
		return bearer{}, invalid
	}
	poolID, ok := s.poolOfIssuer(t.Issuer())
	if !ok {
		return bearer{}, invalid
	}
	keys, err := s.keys.of(ctx, poolID)
	if is(err, notFound) {
		return bearer{}, invalid
	}
	if err != nil {
		return bearer{}, err
	}
	if t.VerifyBy(keys.public, s.moduli.Verify) != nil {
		return bearer{}, refuse(notAuthorized, "Could not verify signature for Access Token")
	}
	if t.Claims.String("token_use") != "access" {
		return bearer{}, invalid
	}
	switch err := t.CheckTime(s.now()); {
	case errors.Is(err, token.ErrExpired):
		return bearer{}, refuse(notAuthorized, "Access Token has expired")
	case err != nil:
		return bearer{}, invalid
	}
	b := bearer{claims: t.Claims}
	err = s.db.View(ctx, func(tx *store.Tx) (err error) {
		if b.pool, b.client, err = s.both(tx, t.Claims.String("client_id")); err != nil {
			return err
		}
		if b.pool.ID != poolID {
			return invalid
		}
		b.user, err = s.live(tx, &b.pool, t.Claims)
		return err
	})
	if is(err, notFound) { // the client is gone
		err = invalid
	}
	return b, err
}

// live finds the user of verified claims, who is shared, and says whether their session stands.
func (s *Service) live(tx *store.Tx, p *Pool, claims token.Claims) (User, error) {
	revoked := refuse(notAuthorized, "Access Token has been revoked")
	name := claims.String("username")
	if claims.String("token_use") == "id" {
		name = claims.String("cognito:username")
	}
	u, err := s.tables.users.Look(tx, p.ID, p.fold(name))
	if errors.Is(err, store.ErrNotFound) || (err == nil && u.Sub != claims.String("sub")) {
		return u, refuse(userNotFound, "User does not exist.")
	}
	if err != nil {
		return u, err
	}
	if u.Disabled {
		return u, refuse(notAuthorized, "User is disabled.")
	}
	id := claims.String("origin_jti")
	if id == "" { // of a client without revocation: only the time can tell
		at, ok := claims.Time("auth_time")
		if !ok || (!u.SignedOutAt.IsZero() && at.Unix() <= u.SignedOutAt.Unix()) {
			return u, revoked
		}
		return u, nil
	}
	x, err := s.tables.sessions.Look(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		return u, revoked
	}
	if err != nil {
		return u, err
	}
	if x.Revoked || x.Sub != u.Sub || x.Pool != p.ID || x.Epoch != u.SignOuts {
		return u, revoked
	}
	return u, nil
}

// TokenLive says whether the claims of a verified token of one of our pools still
// stand: its client exists and, for a person's token, the user exists and is
// enabled and the session is not revoked. An error means: refuse.
func (s *Service) TokenLive(ctx context.Context, claims token.Claims) error {
	poolID, ok := s.poolOfIssuer(claims.String("iss"))
	if !ok {
		return refuse(notAuthorized, "Invalid token issuer")
	}
	return s.view(ctx, func(tx *store.Tx) error {
		p, err := s.lookPool(tx, poolID)
		if err != nil {
			return err
		}
		clientID := claims.String("client_id")
		if claims.String("token_use") == "id" {
			clientID = claims.String("aud")
		}
		if _, err := s.lookClient(tx, p.ID, clientID); err != nil {
			return err
		}
		if claims.String("token_use") == "access" && claims.String("username") == "" && claims.String("sub") == clientID {
			return nil // of the client itself
		}
		_, err = s.live(tx, &p, claims)
		return err
	})
}
