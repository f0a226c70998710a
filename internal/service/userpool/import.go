package userpool

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"

	"moat/internal/pure/lazyregexp"
	"moat/internal/pure/policy"
	"moat/internal/service/userpool/pwhash"
	"moat/internal/service/userpool/userfile"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// MaxImportUsers bounds one request of an import: its users come in together.
const MaxImportUsers = 200

// ImportRequest brings a batch of users into a pool.
type ImportRequest struct {
	Pool     string            `json:"pool"`
	DryRun   bool              `json:"dryRun,omitempty"`
	Create   *userfile.Pool    `json:"create,omitempty"` // make this pool first, unless it is there
	Firebase *pwhash.Firebase  `json:"firebase,omitempty"`
	Foreign  bool              `json:"foreign,omitempty"` // of another system: what a new user needs is required
	Groups   []*userfile.Group `json:"groups,omitempty"`
	Users    []*userfile.User  `json:"users,omitempty"`
	Known    []string          `json:"known,omitempty"` // groups that a dry run has seen and not made
}

// What became of a group or user of an import.
const (
	ImportCreated  = "created"
	ImportPresent  = "present"  // the same one is there already, and stays as it is
	ImportConflict = "conflict" // another one has the name, the address or the sub
	ImportInvalid  = "invalid"
)

// ImportResult is what became of one group or user.
type ImportResult struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"`
	Why     string `json:"why,omitempty"`
	// PasswordOnly: the first sign-in must show the password itself; SRP works from then on.
	PasswordOnly bool `json:"passwordOnly,omitempty"`
}

// ImportAnswer is the answer to an [ImportRequest], in its order.
type ImportAnswer struct {
	Groups []ImportResult `json:"groups"`
	Users  []ImportResult `json:"users"`
}

// ImportNeeds is what a caller must be allowed to bring users into a pool. As with
// [Service.ExportNeeds] it is no action of AWS: who imports sets passwords, second factors and
// subs that others trust.
func (s *Service) ImportNeeds(in *ImportRequest) []wire.Need {
	needs := s.onPool(policy.Context{}, in.Pool)
	needs[0].Action = "moat:ImportUsers"
	if in.Create != nil {
		var p Pool
		_ = json.Unmarshal(in.Create.Record, &p) // or the import itself will fail on it
		keys := policy.Context{}
		wire.RequestTags(keys, p.Tags)
		create := passSMSRole(wire.Needs(keys, "*"), p.Settings.Sms)
		create[0].Action = "cognito-idp:CreateUserPool"
		needs = append(needs, create...)
	}
	for _, g := range in.Groups {
		if g != nil && deref(g.Role) != "" {
			needs = append(needs, wire.PassRole(*g.Role, servicePrincipal, needs[0].Resource))
		}
	}
	return needs
}

// errDryRun undoes a transaction whose results were wanted only.
var errDryRun = errors.New("userpool: dry run")

// ImportUsers brings users and groups into a pool. Those that nothing speaks against come in
// together or, when an error is returned, none of them. Who is there with the same sub and
// username is left as he is: a request may be sent again. Triggers are not asked and no message is
// sent; foreign users join the default group.
func (s *Service) ImportUsers(ctx context.Context, in *ImportRequest) (*ImportAnswer, error) {
	out, err := s.importUsers(ctx, in)
	return out, exception(err)
}

func (s *Service) importUsers(ctx context.Context, in *ImportRequest) (*ImportAnswer, error) {
	if len(in.Users) > MaxImportUsers || slices.Contains(in.Users, nil) || slices.Contains(in.Groups, nil) {
		return nil, refuse(invalidParameter, "An import brings at most 200 users at once.")
	}
	made, err := s.importPool(ctx, in)
	if err != nil {
		return nil, err
	}
	p := made
	if p == nil {
		err := s.db.View(ctx, func(tx *store.Tx) error {
			found, err := s.poolHere(ctx, tx, in.Pool)
			p = &found
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	ready := make([]arrival, len(in.Users)) // what costs something, before the transaction
	wrong := make([]error, len(in.Users))
	for i, u := range in.Users {
		if ready[i], wrong[i] = s.arriving(p, in, u); wrong[i] != nil && !isFault(wrong[i]) {
			return nil, wrong[i]
		}
	}
	first, err := s.keys.firstKeys(p)
	if err != nil {
		return nil, err
	}
	var out *ImportAnswer
	err = s.db.Update(ctx, func(tx *store.Tx) (err error) {
		out = &ImportAnswer{Groups: []ImportResult{}, Users: []ImportResult{}}
		if err := s.insertPool(tx, made, first); err != nil {
			return err
		}
		if err := s.importGroups(tx, p, in.Groups, out); err != nil {
			return err
		}
		for i := range in.Users {
			r, err := s.importUser(tx, p, in, i, ready[i], wrong[i])
			if err != nil {
				return err
			}
			out.Users = append(out.Users, r)
		}
		if in.DryRun {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		return out, nil
	}
	if err == nil && made != nil {
		s.keys.born(p.ID)
	}
	return out, err
}

func isFault(err error) bool {
	var f *fault
	return errors.As(err, &f)
}

// importPool makes the record of the pool that a request wants to be there; nil: none, or it is.
func (s *Service) importPool(ctx context.Context, in *ImportRequest) (*Pool, error) {
	if in.Create == nil {
		return nil, nil
	}
	var p Pool
	if in.Create.ID != in.Pool || json.Unmarshal(in.Create.Record, &p) != nil || p.ID != in.Pool || !soundSchema(p.Schema) {
		return nil, refuse(invalidParameter, "The pool in the file cannot be read.")
	}
	if !isPoolID(p.ID) || regionOf(p.ID) != wire.CallFrom(ctx).Region {
		return nil, refuse(invalidParameter, "A pool keeps its id only in its region, "+regionOf(p.ID)+".")
	}
	p.Account, p.Region, p.Keys, p.Retired, p.Domain, p.Logs = s.account, regionOf(p.ID), nil, nil, "", nil
	err := s.db.View(ctx, func(tx *store.Tx) error {
		_, err := s.pool(tx, p.ID)
		return err
	})
	switch {
	case is(err, notFound):
		return &p, nil
	case err != nil:
		return nil, err
	}
	return nil, nil
}

// soundSchema says whether a schema from elsewhere holds attributes with names, each once.
func soundSchema(schema []api.SchemaAttributeType) bool {
	seen := map[string]bool{}
	for _, a := range schema {
		name := deref(a.Name)
		if name == "" || seen[name] || checkConstraints(a) != nil {
			return false
		}
		seen[name] = true
	}
	return seen["sub"]
}

// insertPool makes a pool with its old id, and new keys: tokens of the old issuer stay with it.
func (s *Service) insertPool(tx *store.Tx, p *Pool, first func(*store.Tx) ([]PoolKey, error)) (err error) {
	if p == nil {
		return nil
	}
	fresh := *p
	if fresh.Keys, err = first(tx); err != nil {
		return err
	}
	err = s.tables.pools.Insert(tx, fresh)
	if errors.Is(err, store.ErrExists) {
		return refuse(invalidParameter, "The pool was made in this moment; send the request again.")
	}
	return err
}

func (s *Service) importGroups(tx *store.Tx, p *Pool, groups []*userfile.Group, out *ImportAnswer) error {
	now := s.time()
	for _, g := range groups {
		r := ImportResult{Name: g.Name, Outcome: ImportCreated}
		if !isName(g.Name) || g.Precedence != nil && *g.Precedence < 0 || len(deref(g.Description)) > 4*2048 || len(deref(g.Role)) > 2048 {
			r.Outcome, r.Why = ImportInvalid, "This is not a group: its name or one of its members is out of bounds."
			out.Groups = append(out.Groups, r)
			continue
		}
		err := s.tables.groups.Insert(tx, Group{
			Pool: p.ID, Name: g.Name, Description: g.Description, RoleARN: g.Role, Precedence: g.Precedence,
			CreatedAt: timeOr(g.Created, now), ModifiedAt: timeOr(g.Modified, now),
		})
		if errors.Is(err, store.ErrExists) {
			r.Outcome, err = ImportPresent, nil
		}
		if err != nil {
			return err
		}
		out.Groups = append(out.Groups, r)
	}
	return nil
}

// nameShape is the pattern of usernames and group names in the API's model.
var nameShape = lazyregexp.New(`^[\p{L}\p{M}\p{S}\p{N}\p{P}]+$`)

// isName says whether a name can be one of a user or group.
func isName(name string) bool {
	return utf8.ValidString(name) && utf8.RuneCountInString(name) <= 128 && nameShape.MatchString(name)
}

// importUser puts one user into the pool, within the transaction of his batch.
func (s *Service) importUser(tx *store.Tx, p *Pool, in *ImportRequest, i int, a arrival, wrong error) (ImportResult, error) {
	r := ImportResult{Name: in.Users[i].Username}
	if wrong != nil {
		r.Outcome, r.Why = ImportInvalid, wrong.Error()
		return r, nil
	}
	var err error
	u := a.user
	if r.Outcome, r.Why, err = s.taken(tx, p, &u); err != nil || r.Outcome != "" {
		return r, err
	}
	if taken, err := s.passkeyTaken(tx, a.passkeys); err != nil || taken {
		r.Outcome, r.Why = ImportConflict, "Another user has the passkey."
		return r, err
	}
	for _, name := range in.Users[i].Groups {
		if _, err := s.tables.groups.Get(tx, p.ID, name); errors.Is(err, store.ErrNotFound) && !(in.DryRun && slices.Contains(in.Known, name)) {
			r.Outcome, r.Why = ImportInvalid, "There is no group "+name+"."
			return r, nil
		} else if err != nil && !errors.Is(err, store.ErrNotFound) {
			return r, err
		}
	}
	for _, name := range in.Users[i].Groups {
		if err := s.tables.members.Put(tx, Member{Pool: p.ID, Group: name, User: u.Key}); err != nil {
			return r, err
		}
	}
	if err := s.insertPasskeys(tx, a.passkeys); err != nil {
		return r, err
	}
	if err := s.insertDevices(tx, a.devices); err != nil {
		return r, err
	}
	if in.Foreign {
		if err := s.joinDefaultGroup(tx, p, &u); err != nil {
			return r, err
		}
	}
	r.Outcome, r.PasswordOnly = ImportCreated, u.Hash != nil || u.Origin != nil
	return r, s.tables.users.Insert(tx, u)
}

// taken says whether the user is there already, or whether somebody else has what is his alone.
func (s *Service) taken(tx *store.Tx, p *Pool, u *User) (outcome, why string, err error) {
	there, err := s.tables.users.Get(tx, p.ID, u.Key)
	switch {
	case err == nil && there.Sub == u.Sub:
		return ImportPresent, "", nil
	case err == nil:
		return ImportConflict, "Another user has the username.", nil
	case !errors.Is(err, store.ErrNotFound):
		return "", "", err
	}
	for _, l := range u.Logins {
		_, err := s.userByLogin(tx, p, l.Kind, l.Value)
		if err == nil {
			return ImportConflict, "Another user signs in with the same " + loginWord(l.Kind) + ".", nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return "", "", err
		}
	}
	return "", "", nil
}

// importable are the states that a user can come in with.
func importable(status string) bool {
	return slices.Contains([]string{
		string(api.UserStatusTypeCONFIRMED), string(api.UserStatusTypeUNCONFIRMED), string(api.UserStatusTypeRESET_REQUIRED), string(api.UserStatusTypeFORCE_CHANGE_PASSWORD),
	}, status)
}
