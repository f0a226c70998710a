package identitypool

import (
	"strings"
	"time"

	"moat/internal/store"
)

// Provider is a user pool's app client whose ID tokens a pool accepts.
type Provider struct {
	Name        string // cognito-idp.{region}.amazonaws.com/{user pool}
	Client      string
	ServerCheck bool `json:",omitempty"`
}

// Rule gives a role to users with a claim.
type Rule struct{ Claim, Match, Value, Role string }

// Mapping chooses the role of a provider's users.
type Mapping struct {
	Type      string // Token or Rules
	Ambiguous string `json:",omitempty"` // AuthenticatedRole or Deny
	Rules     []Rule `json:",omitempty"`
}

// TagMap turns claims of a provider into principal tags.
type TagMap struct {
	Defaults bool
	Tags     map[string]string `json:",omitempty"` // claim by tag
}

// Pool is an identity pool.
type Pool struct {
	Account, ID, Name string
	Guests, Classic   bool
	Providers         []Provider         `json:",omitempty"`
	Developer         string             `json:",omitempty"` // name of the developer provider; never changes once set
	Social            map[string]string  `json:",omitempty"` // application id by provider
	OIDC, SAML        []string           `json:",omitempty"` // ARNs
	Tags              map[string]string  `json:",omitempty"`
	Roles             map[string]string  `json:",omitempty"` // authenticated, unauthenticated
	Mappings          map[string]Mapping `json:",omitempty"` // by provider:client
	TagMaps           map[string]TagMap  `json:",omitempty"` // by provider
	Created           time.Time
}

// Login is a user of a provider, by the name that the provider has in a call's
// logins.
type Login struct{ Provider, Subject string }

// Identity is somebody in a pool: a guest as long as it has no login and is not
// disabled.
type Identity struct {
	Account, ID, Pool string
	Logins            []Login `json:",omitempty"`
	// Disabled identities have no login and get none: their last one was unlinked,
	// or they were merged into another one.
	Disabled          bool   `json:",omitempty"`
	MergedInto        string `json:",omitempty"` // its id
	Created, Modified time.Time
}

// guest reports whether nobody has signed in as the identity yet.
func (i *Identity) guest() bool { return len(i.Logins) == 0 && !i.Disabled }

// SigningKey signs the tokens of the basic flow.
type SigningKey struct {
	ID      string
	Private []byte // sealed PKCS #8
	Created time.Time
}

// keyTopic is raised when the signing key changes.
const keyTopic = "identity_pool_keys"

type tables struct {
	pools      *store.Table[Pool]
	identities *store.Table[Identity]
	keys       *store.Table[SigningKey]
}

func newTables() tables {
	return tables{
		pools: store.NewTable(store.Schema[Pool]{
			Name: "identity_pools", Key: []string{"account", "id"},
			KeyOf: func(p *Pool) []string { return []string{p.Account, p.ID} },
		}),
		identities: store.NewTable(store.Schema[Identity]{
			Name: "identities", Key: []string{"account", "id"},
			KeyOf: func(i *Identity) []string { return []string{i.Account, i.ID} },
			Indexes: []store.Index[Identity]{
				{Name: "by_pool", Columns: []string{"account", "pool"}, Of: func(i *Identity) [][]string { return [][]string{{i.Account, i.Pool}} }},
				{Name: "by_login", Columns: []string{"account", "pool", "provider", "subject"}, Unique: true, Of: func(i *Identity) [][]string {
					rows := make([][]string, len(i.Logins))
					for n, l := range i.Logins {
						rows[n] = []string{i.Account, i.Pool, l.Provider, l.Subject}
					}
					return rows
				}},
			},
		}),
		keys: store.NewTable(store.Schema[SigningKey]{
			Name: "identity_pool_keys", Key: []string{"id"}, Topic: keyTopic, KeyOf: func(k *SigningKey) []string { return []string{k.ID} },
		}),
	}
}

// regionOf is the region in a pool's or an identity's id.
func regionOf(id string) string {
	region, _, _ := strings.Cut(id, ":")
	return region
}
