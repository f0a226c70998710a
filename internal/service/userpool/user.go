package userpool

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"moat/internal/pure/srp"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// Kinds of [Login]. Usernames and preferred usernames share one: neither may lead
// to two people.
const (
	loginSub   = "sub"
	loginName  = "name"
	loginEmail = "email"
	loginPhone = "phone_number"
)

// foldName is the form in which sign-in names are compared: Unicode-normalised, so
// that no second spelling of a name is a second account, and without case where
// the pool ignores it.
func foldName(name string, caseSensitive bool) string {
	name = norm.NFKC.String(name)
	if !caseSensitive {
		name = strings.ToLower(name)
	}
	return name
}

// attributeOf reads an attribute, sub included.
func (u *User) attributeOf(name string) string {
	if name == "sub" {
		return u.Sub
	}
	return u.Attributes[name]
}

func (u *User) verified(name string) bool { return u.Attributes[name+"_verified"] == "true" }

// logins lists by which names u may be found under the pool's rules.
func (p *Pool) logins(u *User) []Login {
	out := []Login{{loginSub, u.Sub}, {loginName, u.Key}}
	add := func(kind, value string) {
		if l := (Login{kind, p.fold(value)}); value != "" && !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	for _, name := range p.UsernameAttributes {
		add(name, u.Attributes[name])
	}
	for _, name := range p.AliasAttributes {
		switch {
		case name == "preferred_username" && u.Status != string(api.UserStatusTypeUNCONFIRMED) && p.likeAddress(u.Attributes[name]) == "":
			add(loginName, u.Attributes[name])
		case name != "preferred_username" && u.verified(name):
			add(name, u.Attributes[name])
		}
	}
	return out
}

// findUser finds a user by any name to sign in with. Nobody: store.ErrNotFound.
func (s *Service) findUser(tx *store.Tx, p *Pool, name string) (User, error) {
	return firstOf(s.tables.users.List, tx, p, name)
}

// lookUser is findUser for who only reads: what it returns is shared.
func (s *Service) lookUser(tx *store.Tx, p *Pool, name string) (User, error) {
	return firstOf(s.tables.users.LookList, tx, p, name)
}

func firstOf(list func(*store.Tx, store.Query) ([]User, error), tx *store.Tx, p *Pool, name string) (User, error) {
	folded := p.fold(name)
	for _, kind := range kindsOf(name) {
		found, err := list(tx, store.Query{Index: "login", Values: []string{p.ID, kind, folded}, Limit: 1})
		if err != nil {
			return User{}, err
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
	return User{}, store.ErrNotFound
}

// kindsOf lists what kinds of [Login] a name can be, in the order in which they count.
func kindsOf(name string) []string {
	kinds := []string{loginName}
	if strings.Contains(name, "@") {
		kinds = append(kinds, loginEmail)
	}
	if isPhone(name) {
		kinds = append(kinds, loginPhone)
	}
	return kinds
}

// findEvenly is findUser at the same cost whether it finds somebody or not, for operations that
// are little more than that: it looks under each kind of name, and reads a record in any case.
func (s *Service) findEvenly(tx *store.Tx, p *Pool, name string) (User, error) {
	var found []User
	for _, kind := range kindsOf(name) {
		u, err := s.userByLogin(tx, p, kind, p.fold(name))
		if err == nil {
			found = append(found, u)
		} else if !errors.Is(err, store.ErrNotFound) {
			return u, err
		}
	}
	if len(found) > 0 {
		return found[0], nil
	}
	var decoy User
	if err := json.Unmarshal(s.decoy, &decoy); err != nil {
		return decoy, err
	}
	return User{}, store.ErrNotFound
}

// newDecoy is the document of an imaginary user, about as long as most.
func newDecoy() ([]byte, error) {
	id := "00000000-0000-4000-8000-000000000000"
	at := time.Unix(1<<30, 0).UTC()
	return json.Marshal(User{
		Pool: "us-east-1_aaaaaaaaa", Key: id, Name: id, Sub: id, CreatedAt: at, ModifiedAt: at, Status: string(api.UserStatusTypeCONFIRMED),
		Attributes: map[string]string{loginEmail: "somebody@example.com", loginEmail + "_verified": "true"},
		Salt:       make([]byte, srp.SaltSize), Verifier: make([]byte, srp.Size+33), PasswordID: id,
		Logins: []Login{{loginName, id}, {loginSub, id}, {loginEmail, "somebody@example.com"}},
	})
}

func (s *Service) userByLogin(tx *store.Tx, p *Pool, kind, value string) (User, error) {
	list, err := s.tables.users.List(tx, store.Query{Index: "login", Values: []string{p.ID, kind, value}, Limit: 1})
	if err != nil {
		return User{}, err
	}
	if len(list) == 0 {
		return User{}, store.ErrNotFound
	}
	return list[0], nil
}

// userHere finds a user for an administrator: by sub or by any sign-in name. The sub comes first:
// nobody chooses it, so that no name that somebody chose can stand in front of it.
func (s *Service) userHere(ctx context.Context, tx *store.Tx, poolID, name string) (Pool, User, error) {
	p, err := s.poolHere(ctx, tx, poolID)
	if err != nil {
		return p, User{}, err
	}
	u, err := User{}, store.ErrNotFound
	if subShape.MatchString(name) {
		u, err = s.userByLogin(tx, &p, loginSub, name)
	}
	if errors.Is(err, store.ErrNotFound) {
		u, err = s.findUser(tx, &p, name)
	}
	return p, u, missing(err, userNotFound, "User does not exist.")
}

// putUser stores u with its logins. A login that belongs to somebody else is
// taken away from him if force says so, and refused otherwise.
func (s *Service) putUser(tx *store.Tx, p *Pool, u *User, force bool) error {
	if err := s.namesStand(tx, p); err != nil {
		return err
	}
	u.Logins = p.logins(u)
	for _, l := range u.Logins {
		other, err := s.userByLogin(tx, p, l.Kind, l.Value)
		if errors.Is(err, store.ErrNotFound) || (err == nil && other.Key == u.Key) {
			continue
		}
		if err != nil {
			return err
		}
		if !force || l.Kind == loginSub || l.Kind == loginName {
			return errAliasTaken(p, loginWord(l.Kind))
		}
		other.Attributes[l.Kind+"_verified"] = "false"
		other.Logins = p.logins(&other)
		if slices.Contains(other.Logins, l) { // a sign-in name by the pool's rules, not an alias
			return errAliasTaken(p, loginWord(l.Kind))
		}
		if err := s.tables.users.Put(tx, other); err != nil {
			return err
		}
	}
	u.ModifiedAt = s.time()
	return s.tables.users.Put(tx, *u)
}

// errAliasTaken says that an address or name is another user's, in AWS's words: they differ
// between aliases and addresses that stand for usernames.
func errAliasTaken(p *Pool, attribute string) error {
	given := ""
	if slices.Contains(p.UsernameAttributes, attribute) {
		given = "given "
	}
	return refuse(aliasExists, "An account with the "+given+attribute+" already exists.")
}

func loginWord(kind string) string {
	if kind == loginName {
		return "preferred_username"
	}
	return kind
}

// newUser makes the record of a user from the name that was given; in a pool with
// username attributes the name becomes an attribute and the username is generated.
func (s *Service) newUser(p *Pool, name string, attributes map[string]string) (User, error) {
	sub, err := s.uuid()
	if err != nil {
		return User{}, err
	}
	now := s.time()
	u := User{Pool: p.ID, Name: name, Sub: sub, CreatedAt: now, ModifiedAt: now, Attributes: maps.Clone(attributes)}
	if u.Attributes == nil {
		u.Attributes = map[string]string{}
	}
	if len(p.UsernameAttributes) > 0 {
		kind, err := p.usernameKind(name)
		if err != nil {
			return u, err
		}
		if given, there := u.Attributes[kind]; there && given != name {
			return u, refuse(invalidParameter, "Username and "+kind+" must be the same.")
		}
		u.Attributes[kind], u.Name = name, sub
	} else if err := p.checkUsername(name); err != nil {
		return u, err
	}
	if !p.CaseSensitive {
		u.Name = strings.ToLower(u.Name)
	}
	u.Key = p.fold(u.Name)
	return u, nil
}

// usernameKind says which of the pool's username attributes a name is.
func (p *Pool) usernameKind(name string) (string, error) {
	email, phone := slices.Contains(p.UsernameAttributes, loginEmail), slices.Contains(p.UsernameAttributes, loginPhone)
	switch {
	case email && isEmail(name):
		return loginEmail, nil
	case phone && isPhone(name):
		return loginPhone, nil
	case email && phone:
		return "", refuse(invalidParameter, "Username should be either an email or a phone number.")
	case email:
		return "", refuse(invalidParameter, "Username should be an email.")
	}
	return "", refuse(invalidParameter, "Username should be a phone number.")
}

// checkUsername keeps usernames apart from aliases.
func (p *Pool) checkUsername(name string) error {
	if format := p.likeAddress(name); format != "" {
		return refuse(invalidParameter, "Username cannot be of "+format+" format, since user pool is configured for "+format+" alias.")
	}
	return nil
}

// likeAddress says of which addresses a name has the form, where these are aliases: it would hide
// somebody else's, since usernames are looked for first. The form in which names are compared
// counts, too: there are more signs than one that fold into an @.
func (p *Pool) likeAddress(name string) (format string) {
	folded := p.fold(name)
	switch {
	case slices.Contains(p.AliasAttributes, loginEmail) && (isEmail(name) || isEmail(folded)):
		return "email"
	case slices.Contains(p.AliasAttributes, loginPhone) && (isPhone(name) || isPhone(folded)):
		return "phone number"
	}
	return ""
}

// insertUser stores a new user. Whose name is taken is told so: registering is the
// one thing that cannot hide it.
func (s *Service) insertUser(tx *store.Tx, p *Pool, u *User, force bool) error {
	if _, err := s.tables.users.Get(tx, p.ID, u.Key); !errors.Is(err, store.ErrNotFound) {
		if err != nil {
			return err
		}
		return refuse(usernameExists, "User already exists")
	}
	if subShape.MatchString(u.Key) { // an administrator who names that sub means somebody else
		other, err := s.userByLogin(tx, p, loginSub, u.Key)
		if err == nil && other.Key != u.Key {
			return refuse(usernameExists, "User already exists")
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	err := s.putUser(tx, p, u, force)
	if is(err, aliasExists) {
		if len(p.UsernameAttributes) == 0 {
			if other, lookup := s.userByLogin(tx, p, loginName, u.Key); lookup == nil && other.Key != u.Key {
				return refuse(usernameExists, "User already exists")
			}
		}
		return refuse(usernameExists, err.Error())
	}
	if err != nil {
		return err
	}
	return s.joinDefaultGroup(tx, p, u)
}

// wireAttributes lists attributes for an answer: sub first, then by name.
func wireAttributes(u *User, want func(name string) bool) []api.AttributeType {
	out := []api.AttributeType{}
	if want("sub") {
		out = append(out, api.AttributeType{Name: "sub", Value: &u.Sub})
	}
	for _, name := range slices.Sorted(maps.Keys(u.Attributes)) {
		if want(name) {
			out = append(out, api.AttributeType{Name: name, Value: wire.String(u.Attributes[name])})
		}
	}
	return out
}

// describeUser is a user in a list; only names the attributes to show, nil all.
func describeUser(u *User, only []string) api.UserType {
	return api.UserType{
		Username: &u.Name, Enabled: wire.Bool(!u.Disabled), UserStatus: api.UserStatusType(u.Status),
		UserCreateDate: &u.CreatedAt, UserLastModifiedDate: &u.ModifiedAt,
		Attributes: wireAttributes(u, func(name string) bool { return only == nil || slices.Contains(only, name) }),
	}
}

// searchable are the attributes that ListUsers can filter by.
func searchable() []string {
	return []string{"email", "phone_number", "name", "given_name", "family_name", "preferred_username"}
}

func searchRows(u *User) [][]string {
	enabled := "Enabled"
	if u.Disabled {
		enabled = "Disabled"
	}
	rows := [][]string{
		{u.Pool, "username", u.Name}, {u.Pool, "sub", u.Sub},
		{u.Pool, "cognito:user_status", u.Status}, {u.Pool, "status", enabled},
	}
	for _, name := range searchable() {
		if v := u.Attributes[name]; v != "" {
			rows = append(rows, []string{u.Pool, name, v})
		}
	}
	return rows
}

// removeUser deletes a user with everything that is his.
func (s *Service) removeUser(tx *store.Tx, u *User) error {
	members, err := s.tables.members.List(tx, store.Query{Index: "user", Values: []string{u.Pool, u.Key}})
	if err != nil {
		return err
	}
	for _, m := range members {
		if err := s.tables.members.Delete(tx, m.Pool, m.Group, m.User); err != nil {
			return err
		}
	}
	sessions, err := s.tables.sessions.List(tx, store.Query{Index: "user", Values: []string{u.Pool, u.Key}})
	if err != nil {
		return err
	}
	for _, x := range sessions {
		if err := s.tables.sessions.Delete(tx, x.ID); err != nil {
			return err
		}
	}
	if _, err := s.tables.devices.DeleteAll(tx, u.Pool, u.Key); err != nil {
		return err
	}
	if _, err := s.tables.passkeys.DeleteAll(tx, u.Pool, u.Key); err != nil {
		return err
	}
	if _, err := s.tables.codes.DeleteAll(tx, u.Pool, u.Key); err != nil {
		return err
	}
	if _, err := s.tables.letters.DeleteAll(tx, u.Pool, u.Key); err != nil {
		return err
	}
	return s.tables.users.Delete(tx, u.Pool, u.Key)
}
