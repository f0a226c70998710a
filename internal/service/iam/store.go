package iam

import (
	"time"

	"moat/internal/store"
)

// topic is raised by every write of this package.
const topic = "iam"

// Tag is a key and its value, in the order they were given.
type Tag struct{ Key, Value string }

// Policies are what a user, a group or a role has been given.
type Policies struct {
	Inline   map[string]string `json:",omitempty"` // documents by name
	Attached []string          `json:",omitempty"` // ARNs of managed policies
}

// User is a person's or a program's long-lived principal.
type User struct {
	Account, Name, Path, ID string
	Created                 time.Time
	Tags                    []Tag    `json:",omitempty"`
	Groups                  []string `json:",omitempty"` // keys of groups
	Boundary                string   `json:",omitempty"`
	Policies
}

// Group gives its policies to its users.
type Group struct {
	Account, Name, Path, ID string
	Created                 time.Time
	Policies
}

// Role is a principal that others become for a while.
type Role struct {
	Account, Name, Path, ID, Description, Trust string
	Created                                     time.Time
	MaxSession                                  int32  // seconds
	Linked                                      string `json:",omitempty"` // the service whose own role it is
	Tags                                        []Tag  `json:",omitempty"`
	Boundary                                    string `json:",omitempty"`
	// Pins are the unique ids, by ARN, of the users and roles that the trust
	// policy names.
	Pins map[string]string `json:",omitempty"`
	Policies
}

// Version is one version of a managed policy.
type Version struct {
	ID, Document string
	Created      time.Time
}

// Policy is a managed policy of the account.
type Policy struct {
	Account, Name, Path, ID, Description string
	Created, Updated                     time.Time
	Tags                                 []Tag `json:",omitempty"`
	Versions                             []Version
	Default                              string
	Last                                 int // the highest version number ever given
}

func (p *Policy) version(id string) *Version {
	for i := range p.Versions {
		if p.Versions[i].ID == id {
			return &p.Versions[i]
		}
	}
	return nil
}

// AccessKey is a long-lived key of a user.
type AccessKey struct {
	ID, Account, User string
	Secret            []byte // sealed
	Active            bool
	Created           time.Time
}

// Provider is an OpenID Connect provider whose tokens may assume roles.
type Provider struct {
	Account, URL string // without its scheme
	ClientIDs    []string
	Thumbprints  []string `json:",omitempty"`
	Tags         []Tag    `json:",omitempty"`
	Created      time.Time
}

type tables struct {
	users        *store.Table[User]
	groups       *store.Table[Group]
	roles        *store.Table[Role]
	policies     *store.Table[Policy]
	keys         *store.Table[AccessKey]
	providers    *store.Table[Provider]
	profiles     *store.Table[InstanceProfile]
	deletions    *store.Table[Deletion]
	devices      *store.Table[MFADevice]
	saml         *store.Table[SAMLProvider]
	settings     *store.Table[AccountSettings]
	logins       *store.Table[LoginProfile]
	reports      *store.Table[Report]
	serverCerts  *store.Table[ServerCertificate]
	signing      *store.Table[SigningCertificate]
	sshKeys      *store.Table[SSHKey]
	serviceCreds *store.Table[ServiceCredential]
}

// all are the tables, to create them.
func (t *tables) all() []store.Definer {
	return []store.Definer{t.users, t.groups, t.roles, t.policies, t.keys, t.providers, t.profiles, t.deletions, t.devices, t.saml, t.settings, t.logins, t.reports, t.serverCerts, t.signing, t.sshKeys, t.serviceCreds}
}

func newTables() tables {
	named := []string{"account", "name"}
	return tables{
		users: store.NewTable(store.Schema[User]{
			Name: "iam_users", Key: named, Topic: topic,
			KeyOf: func(u *User) []string { return []string{u.Account, lower(u.Name)} },
			Indexes: []store.Index[User]{
				{Name: "by_group", Columns: []string{"account", "grp"}, Of: func(u *User) [][]string { return rows(u.Account, u.Groups) }},
				{Name: "by_policy", Columns: []string{"account", "policy"}, Of: func(u *User) [][]string { return rows(u.Account, u.Attached) }},
				{Name: "by_id", Columns: []string{"account", "id"}, Unique: true, Of: func(u *User) [][]string { return [][]string{{u.Account, u.ID}} }},
				{Name: "by_boundary", Columns: []string{"account", "boundary"}, Of: func(u *User) [][]string { return boundaryRow(u.Account, u.Boundary) }},
			},
		}),
		groups: store.NewTable(store.Schema[Group]{
			Name: "iam_groups", Key: named, Topic: topic,
			KeyOf: func(g *Group) []string { return []string{g.Account, lower(g.Name)} },
			Indexes: []store.Index[Group]{
				{Name: "by_policy", Columns: []string{"account", "policy"}, Of: func(g *Group) [][]string { return rows(g.Account, g.Attached) }},
			},
		}),
		roles: store.NewTable(store.Schema[Role]{
			Name: "iam_roles", Key: named, Topic: topic,
			KeyOf: func(r *Role) []string { return []string{r.Account, lower(r.Name)} },
			Indexes: []store.Index[Role]{
				{Name: "by_policy", Columns: []string{"account", "policy"}, Of: func(r *Role) [][]string { return rows(r.Account, r.Attached) }},
				{Name: "by_boundary", Columns: []string{"account", "boundary"}, Of: func(r *Role) [][]string { return boundaryRow(r.Account, r.Boundary) }},
			},
		}),
		policies: store.NewTable(store.Schema[Policy]{
			Name: "iam_policies", Key: named, Topic: topic,
			KeyOf: func(p *Policy) []string { return []string{p.Account, lower(p.Name)} },
		}),
		keys: store.NewTable(store.Schema[AccessKey]{
			Name: "iam_access_keys", Key: []string{"id"}, Topic: topic,
			KeyOf: func(k *AccessKey) []string { return []string{k.ID} },
			Indexes: []store.Index[AccessKey]{
				{Name: "by_user", Columns: []string{"account", "username"}, Of: func(k *AccessKey) [][]string { return [][]string{{k.Account, lower(k.User)}} }},
			},
		}),
		profiles:     newProfileTable(),
		deletions:    newDeletionTable(),
		devices:      newDeviceTable(),
		saml:         newSAMLTable(),
		settings:     newSettingsTable(),
		logins:       newLoginTable(),
		reports:      newReportTable(),
		serverCerts:  newServerCertTable(),
		signing:      newSigningTable(),
		sshKeys:      newSSHTable(),
		serviceCreds: newServiceCredentialTable(),
		providers: store.NewTable(store.Schema[Provider]{
			Name: "iam_oidc_providers", Key: []string{"account", "url"}, Topic: topic,
			KeyOf: func(p *Provider) []string { return []string{p.Account, p.URL} },
		}),
	}
}

func rows(account string, values []string) [][]string {
	out := make([][]string, len(values))
	for i, v := range values {
		out[i] = []string{account, v}
	}
	return out
}

func boundaryRow(account, arn string) [][]string {
	if arn == "" {
		return nil
	}
	return [][]string{{account, arn}}
}
