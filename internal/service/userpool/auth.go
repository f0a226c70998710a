package userpool

import (
	"context"
	"errors"
	"slices"
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/pure/srp"
	"moat/internal/pure/uuid"
	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// answer is what a step of a sign-in ends with: tokens, or the next challenge.
type answer struct {
	result  *api.AuthenticationResultType
	name    api.ChallengeNameType
	params  map[string]string
	session *string
	// available lists the challenges that SELECT_CHALLENGE can be answered with.
	available []api.ChallengeNameType
}

// step is a request of a sign-in, whichever operation brought it.
type step struct {
	operation string
	admin     bool
	pool      Pool
	client    Client
	params    map[string]string
	session   *string
	flow      api.AuthFlowType // of the first step
	on        occasion
	from      origin
	threat    threat
}

// maxParam bounds a parameter; the longest honest one is a secret block.
const maxParam = 8 << 10

func (st *step) param(name string) (string, error) {
	v := st.params[name]
	if v == "" {
		return "", refuse(invalidParameter, "Missing required parameter "+name)
	}
	if len(v) > maxParam {
		return "", refuse(invalidParameter, "Invalid value for parameter "+name)
	}
	return v, nil
}

// begun is the occasion of a sign-in that begins. What the client says with it is for the
// functions that judge who comes, and for no other (InitiateAuth, ClientMetadata).
func begun(clientID string, metadata map[string]string) occasion {
	return occasion{client: clientID, validation: metadata}
}

// InitiateAuth begins a sign-in for an app.
func (s *Service) InitiateAuth(ctx context.Context, in *api.InitiateAuthRequest) (*api.InitiateAuthResponse, error) {
	st := step{operation: "InitiateAuth", params: in.AuthParameters, session: in.Session, on: begun(in.ClientId, in.ClientMetadata), from: origin{user: in.UserContextData}}
	a, err := s.initiate(ctx, &st, "", in.ClientId, in.AuthFlow)
	if err != nil {
		return nil, exception(err)
	}
	return &api.InitiateAuthResponse{AuthenticationResult: a.result, AvailableChallenges: a.available, ChallengeName: a.name, ChallengeParameters: a.params, Session: a.session}, nil
}

// AdminInitiateAuth begins a sign-in for a server that has a key of its own.
func (s *Service) AdminInitiateAuth(ctx context.Context, in *api.AdminInitiateAuthRequest) (*api.AdminInitiateAuthResponse, error) {
	st := step{operation: "AdminInitiateAuth", admin: true, params: in.AuthParameters, session: in.Session, on: begun(in.ClientId, in.ClientMetadata), from: origin{admin: in.ContextData}}
	a, err := s.initiate(ctx, &st, in.UserPoolId, in.ClientId, in.AuthFlow)
	if err != nil {
		return nil, exception(err)
	}
	return &api.AdminInitiateAuthResponse{AuthenticationResult: a.result, AvailableChallenges: a.available, ChallengeName: a.name, ChallengeParameters: a.params, Session: a.session}, nil
}

// RespondToAuthChallenge goes on with a sign-in.
func (s *Service) RespondToAuthChallenge(ctx context.Context, in *api.RespondToAuthChallengeRequest) (*api.RespondToAuthChallengeResponse, error) {
	st := step{operation: "RespondToAuthChallenge", params: in.ChallengeResponses, session: in.Session, on: occasion{client: in.ClientId, metadata: in.ClientMetadata}, from: origin{user: in.UserContextData}}
	a, err := s.respond(ctx, &st, "", in.ClientId, in.ChallengeName)
	if err != nil {
		return nil, exception(err)
	}
	return &api.RespondToAuthChallengeResponse{AuthenticationResult: a.result, ChallengeName: a.name, ChallengeParameters: a.params, Session: a.session}, nil
}

// AdminRespondToAuthChallenge goes on with a sign-in, for a server.
func (s *Service) AdminRespondToAuthChallenge(ctx context.Context, in *api.AdminRespondToAuthChallengeRequest) (*api.AdminRespondToAuthChallengeResponse, error) {
	st := step{operation: "AdminRespondToAuthChallenge", admin: true, params: in.ChallengeResponses, session: in.Session, on: occasion{client: in.ClientId, metadata: in.ClientMetadata}, from: origin{admin: in.ContextData}}
	a, err := s.respond(ctx, &st, in.UserPoolId, in.ClientId, in.ChallengeName)
	if err != nil {
		return nil, exception(err)
	}
	return &api.AdminRespondToAuthChallengeResponse{AuthenticationResult: a.result, ChallengeName: a.name, ChallengeParameters: a.params, Session: a.session}, nil
}

// enter reads the client and its pool; an administrator names the pool, too.
func (s *Service) enter(ctx context.Context, st *step, poolID, clientID string) error {
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		if st.admin {
			if _, err = s.poolHere(ctx, tx, poolID); err != nil {
				return err
			}
			if _, err = s.lookClient(tx, poolID, clientID); err != nil {
				return err
			}
		}
		st.pool, st.client, err = s.both(tx, clientID)
		return err
	})
	if err != nil {
		return err
	}
	if st.threat, err = s.threatOf(ctx, &st.pool, &st.client, st.from); err != nil {
		return err
	}
	return st.threat.admit()
}

// initiate begins a sign-in by one of the flows of the machine.
func (s *Service) initiate(ctx context.Context, st *step, poolID, clientID string, flow api.AuthFlowType) (answer, error) {
	if err := s.enter(ctx, st, poolID, clientID); err != nil {
		return answer{}, err
	}
	o, ok := s.machine.flows[flow]
	switch {
	case !ok:
		return answer{}, notImplemented(st.operation, "the flow "+string(flow)+" is not available yet.")
	case st.admin && !o.admin, !st.admin && !o.public:
		return answer{}, refuse(invalidParameter, "Initiate Auth method not supported.")
	case !st.client.allows(flow):
		return answer{}, refuse(invalidParameter, o.refusal)
	}
	st.flow = flow
	return o.start(ctx, st)
}

// respond goes on with a sign-in by one of the challenges of the machine.
func (s *Service) respond(ctx context.Context, st *step, poolID, clientID string, name api.ChallengeNameType) (answer, error) {
	if err := s.enter(ctx, st, poolID, clientID); err != nil {
		return answer{}, err
	}
	r, ok := s.machine.challenges[name]
	if !ok {
		return answer{}, notImplemented(st.operation, "the challenge "+string(name)+" is not available yet.")
	}
	return r.take(ctx, st)
}

// find looks up who wants to sign in. Of somebody unknown it returns an imaginary
// user, always the same for the same name, on whom the same work is done; unless
// the client may learn who exists. What it returns may be shared.
func (s *Service) find(ctx context.Context, st *step, name string) (u User, known bool, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		find := s.findUser // the same for who was here a moment ago and for who never was
		if !st.client.hidesUsers() {
			find = s.lookUser
		}
		u, err = find(tx, &st.pool, name)
		known = err == nil
		if errors.Is(err, store.ErrNotFound) {
			if !st.client.hidesUsers() {
				return refuse(userNotFound, "User does not exist.")
			}
			u, err = s.imaginaryUser(&st.pool, name), nil
		}
		if err != nil {
			return err
		}
		return s.locked(tx, st.pool.ID, u.Key)
	})
	return u, known, err
}

// findOrMigrate is find for who shows his password: somebody unknown may be known to
// the pool's migration function.
func (s *Service) findOrMigrate(ctx context.Context, st *step, name, password string) (User, bool, error) {
	u, known, err := s.find(ctx, st, name)
	if known || err != nil && !is(err, userNotFound) {
		return u, known, err
	}
	there, failed := s.migrate(ctx, &st.pool, name, password, "Authentication", st.on)
	if failed != nil {
		return u, false, failed
	}
	if there {
		return s.find(ctx, st, name)
	}
	return u, known, err
}

// uuidShape is the form of the usernames that pools with username attributes generate.
var uuidShape = lazyregexp.New(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func (s *Service) imaginaryUser(p *Pool, name string) User {
	u := User{Pool: p.ID, Key: s.nobody(p, name), Name: name}
	folded := p.fold(name)
	switch {
	case uuidShape.MatchString(folded): // a generated username signs in as it is
		u.Name = folded
	case len(p.UsernameAttributes) > 0 || strings.Contains(name, "@") || isPhone(name):
		u.Name = uuid.V4([16]byte(s.secrets.derive(16, "imaginary username", p.ID, folded)))
	case !p.CaseSensitive:
		u.Name = strings.ToLower(name)
	}
	u.Salt = s.secrets.derive(srp.SaltSize, "imaginary salt", p.ID, folded)
	u.Salt[0] = u.Salt[0]&0x7f | 0x40 // as NewSalt draws them
	return u
}

// verifier unseals a user's SRP verifier. Who has none, and an imaginary user,
// gets a number of which nobody knows the password.
func (s *Service) verifier(u *User) (v []byte, real bool, err error) {
	if u.Verifier == nil {
		v = s.secrets.derive(srp.Size, "imaginary verifier", u.Pool, u.Key)
		v[0] &= 0x7f // below the modulus, which begins with ones
		return v, false, nil
	}
	v, err = s.db.Unseal(sealVerifier, u.Verifier)
	return v, true, err
}

// matches says whether a password is the user's, at the same cost for everybody; what that
// means for hashes of other systems, see decoyHash.
func (s *Service) matches(ctx context.Context, u *User, password string) (bool, error) {
	verifier, real, err := s.verifier(u)
	if err != nil {
		return false, err
	}
	ok := s.srp.Matches(u.identity(), u.Salt, verifier, password)
	foreign, err := s.matchesForeign(ctx, u, password)
	return ok && real || foreign, err
}

// passwordSignIn takes the password itself.
func (s *Service) passwordSignIn(ctx context.Context, st *step) (answer, error) {
	name, err := st.param("USERNAME")
	if err != nil {
		return answer{}, err
	}
	password, err := st.param("PASSWORD")
	if err != nil {
		return answer{}, err
	}
	if err := s.checkSecretHash(&st.client, st.params["SECRET_HASH"], name); err != nil {
		return answer{}, err
	}
	u, known, err := s.findOrMigrate(ctx, st, name, password)
	if err != nil {
		return answer{}, err
	}
	if err := s.preAuthentication(ctx, st, &u, known); err != nil {
		return answer{}, err
	}
	right, err := s.matches(ctx, &u, password)
	if err != nil {
		return answer{}, err
	}
	leaked, err := s.leaked(&st.threat, api.EventFilterTypeSIGN_IN, password)
	if err != nil {
		return answer{}, err
	}
	renew, err := s.renewal(&u, password, known && right)
	if err != nil {
		return answer{}, err
	}
	return s.conclude(ctx, st, &proof{user: u, factor: provesPassword, right: known && right, leaked: leaked, effect: renew})
}

// missingRequired lists the required attributes that a user lacks, as the
// NEW_PASSWORD_REQUIRED challenge names them.
func (p *Pool) missingRequired(u *User) []string {
	out := []string{}
	for _, name := range p.required() {
		if u.Attributes[name] == "" {
			out = append(out, "userAttributes."+name)
		}
	}
	slices.Sort(out)
	return out
}
