package iam

import (
	"context"
	"errors"
	"strings"
	"sync"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
)

// cache holds what decisions need, compiled. It is dropped whole when a table of
// this package changes: a reader that filled it from before the change filled a
// cache that nobody asks any more.
type cache struct {
	mu       sync.RWMutex
	users    map[string]*entity
	roles    map[string]*entity
	keys     map[string]*knownKey
	sessions map[string]*knownSession // by token
	policies map[string]*policy.Document
}

// The bounds of what strangers can fill.
const (
	maxSessions        = 10_000
	maxSessionPolicies = 1_000
)

// entity is a user or a role with its policies compiled. It is immutable.
type entity struct {
	name, id, arn string
	tags          []Tag
	identity      []*policy.Document
	boundary      *policy.Document
	trust         *policy.Document // of a role
	maxSession    int32
	keys          policy.Context // of a user, when it calls by itself
}

// userKeys are the condition keys that a user brings.
func userKeys(name string, tags []Tag) policy.Context {
	keys := policy.Context{"aws:username": {name}}
	for _, t := range tags {
		keys.Set("aws:PrincipalTag/"+t.Key, t.Value)
	}
	return keys
}

type knownKey struct {
	secret string
	user   string
	active bool
}

type knownSession struct {
	session session
	caller  wire.Caller
}

func (s *Service) forget() {
	s.cache.Store(&cache{
		users: map[string]*entity{}, roles: map[string]*entity{}, keys: map[string]*knownKey{},
		sessions: map[string]*knownSession{}, policies: map[string]*policy.Document{},
	})
}

// remember returns the cached value or loads it. A value that does not exist is
// not remembered, so that asking for what is not there fills nothing.
func remember[T any](mu *sync.RWMutex, m map[string]*T, bound int, key string, load func() (*T, error)) (*T, error) {
	mu.RLock()
	v, ok := m[key]
	mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := load()
	if err != nil || v == nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	if bound > 0 && len(m) >= bound {
		clear(m)
	}
	m[strings.Clone(key)] = v // it may be a view of a request
	return v, nil
}

// user returns a user, nil when there is none.
func (s *Service) user(ctx context.Context, name string) (*entity, error) {
	c := s.cache.Load()
	return remember(&c.mu, c.users, 0, lower(name), func() (e *entity, err error) {
		err = s.db.View(ctx, func(tx *store.Tx) error {
			u, err := s.t.users.Get(tx, s.cfg.Account, lower(name))
			if err != nil {
				return err
			}
			e = &entity{name: u.Name, id: u.ID, arn: s.arn("user", u.Path, u.Name), tags: u.Tags, keys: userKeys(u.Name, u.Tags)}
			if err := s.compile(tx, e, u.Policies, u.Boundary, ""); err != nil {
				return err
			}
			if err := s.compileOwn(tx, e); err != nil {
				return err
			}
			for _, g := range u.Groups {
				group, err := s.t.groups.Get(tx, s.cfg.Account, g)
				if err != nil {
					return err
				}
				if err := s.compile(tx, e, group.Policies, "", " of group "+group.Name); err != nil {
					return err
				}
			}
			e.identity = joined(e.identity)
			return nil
		})
		return absent(e, err)
	})
}

// role returns a role, nil when there is none.
func (s *Service) role(ctx context.Context, name string) (*entity, error) {
	c := s.cache.Load()
	return remember(&c.mu, c.roles, 0, lower(name), func() (e *entity, err error) {
		err = s.db.View(ctx, func(tx *store.Tx) error {
			r, err := s.t.roles.Get(tx, s.cfg.Account, lower(name))
			if err != nil {
				return err
			}
			e = &entity{name: r.Name, id: r.ID, arn: s.arn("role", r.Path, r.Name), tags: r.Tags, maxSession: r.MaxSession}
			if e.trust, err = policy.Parse("trust policy of role "+r.Name, []byte(r.Trust), policy.PrincipalIDs(r.Pins)); err != nil {
				return err
			}
			if err := s.compile(tx, e, r.Policies, r.Boundary, ""); err != nil {
				return err
			}
			e.identity = joined(e.identity)
			return nil
		})
		return absent(e, err)
	})
}

// absent turns ErrNotFound into no entity. A policy that cannot be found or read
// is an error instead: half of somebody's policies might lack the Deny.
func absent(e *entity, err error) (*entity, error) {
	if errors.Is(err, store.ErrNotFound) && e == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// joined makes one document of an entity's policies: one index for a decision.
func joined(docs []*policy.Document) []*policy.Document {
	return []*policy.Document{policy.Join(docs...)}
}

// compile adds policies to an entity. of says in decisions whose the inline ones are,
// where they are another's: names of policies have no spaces.
func (s *Service) compile(tx *store.Tx, e *entity, p Policies, boundary, of string) error {
	for _, name := range sortedKeys(p.Inline) {
		d, err := policy.Parse(name+of, []byte(p.Inline[name]))
		if err != nil {
			return err
		}
		e.identity = append(e.identity, d)
	}
	for _, arn := range p.Attached {
		d, err := s.managed(tx, arn)
		if err != nil {
			return err
		}
		e.identity = append(e.identity, d)
	}
	if boundary != "" {
		d, err := s.managed(tx, boundary)
		if err != nil {
			return err
		}
		e.boundary = d
	}
	return nil
}

// compileOwn adds what the account's password policy lets every user do.
func (s *Service) compileOwn(tx *store.Tx, e *entity) error {
	a, err := s.settings(tx)
	if err != nil || a.Passwords == nil || !a.Passwords.AllowChange {
		return err
	}
	d, err := policy.Parse("account password policy", []byte(changeOwnPassword(e.arn)))
	if err != nil {
		return err
	}
	e.identity = append(e.identity, d)
	return nil
}

// managed compiles the default version of a managed policy.
func (s *Service) managed(tx *store.Tx, arn string) (*policy.Document, error) {
	p, err := s.getPolicy(tx, arn)
	if err != nil {
		return nil, err
	}
	v := p.version(p.Default)
	if v == nil {
		return nil, errors.New("iam: policy " + arn + " has no default version")
	}
	return policy.Parse(arn, []byte(v.Document))
}
