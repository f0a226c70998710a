package userpool

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// tagSchemaChanges is the tag that lets a pool be changed in what Cognito fixes at its
// creation. Without it, having the right to is not enough.
const tagSchemaChanges = "moat:allow-schema-changes"

const (
	// maxConflicts is how many conflicts an answer names; the others are counted.
	maxConflicts = 100
	schemaPage   = 500
)

// SchemaChange is what a pool is to become. What is nil stays.
type SchemaChange struct {
	Pool               string          `json:"pool"`
	Required           map[string]bool `json:"required,omitempty"` // of standard attributes
	UsernameAttributes *[]string       `json:"usernameAttributes,omitempty"`
	AliasAttributes    *[]string       `json:"aliasAttributes,omitempty"`
	CaseSensitive      *bool           `json:"caseSensitive,omitempty"`
	DryRun             bool            `json:"dryRun,omitempty"`
}

// SchemaConflict is a user or an app client that the changed pool could not have.
type SchemaConflict struct {
	User   string `json:"user,omitempty"`
	Client string `json:"client,omitempty"`
	Why    string `json:"why"`
}

// SchemaAnswer is what became of a change. With conflicts nothing has.
type SchemaAnswer struct {
	Changed   bool             `json:"changed"`
	Users     int              `json:"users"`     // that were looked at
	Reindexed int              `json:"reindexed"` // those who sign in by other names now
	Conflicts []SchemaConflict `json:"conflicts"`
	More      int              `json:"moreConflicts,omitempty"` // beside those that are named
}

var errConflicts = errors.New("userpool: the pool's users do not fit the change")

// SchemaNeeds is what somebody needs who changes the schema of a pool: the answer names users.
func (s *Service) SchemaNeeds(poolID string) []wire.Need {
	update, list := s.onPool(policy.Context{}, poolID), s.onPool(policy.Context{}, poolID)
	update[0].Action, list[0].Action = "cognito-idp:UpdateUserPool", "cognito-idp:ListUsers"
	return append(update, list...)
}

// ChangeSchema changes required flags and sign-in names of a pool that has the tag for it. All
// users are checked first, and again within the transaction that changes the pool and the names
// they are found by: either all of it happens or nothing. Writing waits meanwhile.
func (s *Service) ChangeSchema(ctx context.Context, in *SchemaChange) (*SchemaAnswer, error) {
	var out *SchemaAnswer
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		_, out, err = s.tryChange(tx, in, nil)
		return err
	})
	if err != nil || in.DryRun || len(out.Conflicts) > 0 {
		return out, exception(err)
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		next, answer, err := s.tryChange(tx, in, func(u *User) error { return s.tables.users.Put(tx, *u) })
		if out = answer; err != nil {
			return err
		}
		if len(out.Conflicts) > 0 {
			return errConflicts
		}
		next.ModifiedAt, out.Changed = s.time(), true
		return s.tables.pools.Put(tx, next)
	})
	if errors.Is(err, errConflicts) {
		return out, nil
	}
	return out, exception(err)
}

// tryChange makes the changed pool and checks everybody against it; put stores a user who is
// found by other names, as long as there is no conflict.
func (s *Service) tryChange(tx *store.Tx, in *SchemaChange, put func(*User) error) (Pool, *SchemaAnswer, error) {
	now, err := s.pool(tx, in.Pool)
	if err != nil {
		return now, nil, err
	}
	if now.Tags[tagSchemaChanges] != "true" {
		return now, nil, refuse(invalidParameter, "The user pool does not allow this: it needs the tag "+tagSchemaChanges+" with the value true.")
	}
	next, err := now.changed(in)
	if err != nil {
		return next, nil, err
	}
	c := schemaCheck{now: &now, next: &next, seen: map[[16]byte]bool{}, out: &SchemaAnswer{Conflicts: []SchemaConflict{}}}
	clients, err := s.tables.clients.List(tx, store.Query{Index: "pool", Values: []string{now.ID}})
	if err != nil {
		return next, nil, err
	}
	for _, client := range clients {
		if client.Settings.checkAttributes(&next) != nil {
			c.conflict(SchemaConflict{Client: client.ID, Why: "may not write all required attributes"})
		}
	}
	q := store.Query{Prefix: []string{now.ID}, Limit: schemaPage}
	for {
		users, err := s.tables.users.List(tx, q)
		if err != nil {
			return next, nil, err
		}
		for i := range users {
			u := &users[i]
			moved := c.user(u)
			if !moved || len(c.out.Conflicts) > 0 {
				continue
			}
			c.out.Reindexed++
			if put == nil {
				continue
			}
			if err := put(u); err != nil {
				return next, nil, err
			}
		}
		if len(users) < schemaPage {
			return next, c.out, nil
		}
		q.After = []string{now.ID, users[len(users)-1].Key}
	}
}

// namesStand refuses to store a user by sign-in rules that were read before the pool got others:
// the caller tries again.
func (s *Service) namesStand(tx *store.Tx, p *Pool) error {
	now, err := s.lookPool(tx, p.ID)
	if err == nil && (now.CaseSensitive != p.CaseSensitive || !slices.Equal(now.UsernameAttributes, p.UsernameAttributes) || !slices.Equal(now.AliasAttributes, p.AliasAttributes)) {
		err = errors.New("userpool: the sign-in names of the pool were changed in this moment")
	}
	return err
}

// changed is the pool with the change.
func (p *Pool) changed(in *SchemaChange) (Pool, error) {
	next := *p
	next.Schema = slices.Clone(p.Schema)
	for _, name := range slices.Sorted(maps.Keys(in.Required)) {
		i := slices.IndexFunc(next.Schema, func(a api.SchemaAttributeType) bool { return *a.Name == name })
		if i < 0 || !selfWritable(name) || strings.HasPrefix(name, customPrefix) {
			return next, refuse(invalidParameter, name+" is no standard attribute that can be required.")
		}
		next.Schema[i].Required = wire.Bool(in.Required[name])
	}
	if in.UsernameAttributes != nil {
		next.UsernameAttributes = *in.UsernameAttributes
	}
	if in.AliasAttributes != nil {
		next.AliasAttributes = *in.AliasAttributes
	}
	if in.CaseSensitive != nil {
		next.UsernameConfigured, next.CaseSensitive = true, *in.CaseSensitive
	}
	if len(next.AliasAttributes) > 0 && len(next.UsernameAttributes) > 0 {
		return next, refuse(invalidParameter, "Only one of the aliasAttributes or usernameAttributes can be set in a user pool.")
	}
	for _, list := range []struct {
		names []string
		known []string
	}{{next.UsernameAttributes, []string{loginEmail, loginPhone}}, {next.AliasAttributes, []string{loginEmail, loginPhone, "preferred_username"}}} {
		seen := map[string]bool{}
		for _, name := range list.names {
			if !slices.Contains(list.known, name) || seen[name] {
				return next, refuse(invalidParameter, "One of "+strings.Join(list.known, ", ")+" was expected, each at most once, and not "+name+".")
			}
			seen[name] = true
		}
	}
	return next, nil
}

// schemaCheck compares users with what a pool is to become.
type schemaCheck struct {
	now, next *Pool
	seen      map[[16]byte]bool // names that lead to somebody
	out       *SchemaAnswer
}

func (c *schemaCheck) conflict(x SchemaConflict) {
	if len(c.out.Conflicts) >= maxConflicts {
		c.out.More++
		return
	}
	c.out.Conflicts = append(c.out.Conflicts, x)
}

// user checks one and gives him the names that lead to him then; it says whether they are others.
func (c *schemaCheck) user(u *User) (moved bool) {
	c.out.Users++
	say := func(format string, args ...any) {
		c.conflict(SchemaConflict{User: u.Name, Why: fmt.Sprintf(format, args...)})
	}
	for _, name := range c.next.required() {
		if u.Attributes[name] == "" && !slices.Contains(c.now.required(), name) {
			say("has no %s", name)
		}
	}
	if c.next.fold(u.Name) != u.Key {
		say("has a username that would be another one where letter case counts differently")
		return false
	}
	c.addresses(u, say)
	before := u.Logins
	u.Logins = c.next.logins(u)
	for _, l := range u.Logins {
		if !c.take(l) {
			say("shares the %s with another user", sharedWord(l.Kind))
		}
	}
	if u.Name == u.Sub && len(u.Logins) == 2 && len(before) > 2 {
		say("would have no name to sign in with but the generated one")
	}
	return !slices.Equal(before, u.Logins)
}

// addresses checks those attributes that come to be names. An address that nobody has proven must
// not become somebody's name, and a username must not look like somebody else's address.
func (c *schemaCheck) addresses(u *User, say func(string, ...any)) {
	var has bool
	for _, name := range c.next.UsernameAttributes {
		has = has || u.Attributes[name] != ""
		if !slices.Contains(c.now.UsernameAttributes, name) && u.Attributes[name] != "" && !u.verified(name) {
			say("has an unverified %s", name)
		}
	}
	if !has && len(c.next.UsernameAttributes) > 0 {
		say("has no %s", strings.Join(c.next.UsernameAttributes, " or "))
	}
	names := slices.Concat(c.next.UsernameAttributes, c.next.AliasAttributes)
	like := func(name string) bool {
		return slices.Contains(names, loginEmail) && isEmail(name) || slices.Contains(names, loginPhone) && isPhone(name)
	}
	if like(u.Name) || like(c.next.fold(u.Name)) {
		say("has a username that looks like an address")
	}
	if preferred := u.Attributes["preferred_username"]; slices.Contains(names, "preferred_username") && (like(preferred) || like(c.next.fold(preferred))) {
		say("has a preferred_username that looks like an address")
	}
}

// take says whether nobody else had a name; from then on somebody has.
func (c *schemaCheck) take(l Login) bool {
	sum := sha256.Sum256([]byte(l.Kind + "\x00" + l.Value))
	key := [16]byte(sum[:])
	if c.seen[key] {
		return false
	}
	c.seen[key] = true
	return true
}

func sharedWord(kind string) string {
	if kind == loginName {
		return "username or preferred_username"
	}
	return kind
}
