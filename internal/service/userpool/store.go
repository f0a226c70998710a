package userpool

import (
	"time"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// topicPools tells of changes to pools and domains, of which parts are held in memory.
const topicPools = "userpool"

// Pool is a user pool.
type Pool struct {
	Account, Region, ID, Name string
	CreatedAt, ModifiedAt     time.Time
	Schema                    []api.SchemaAttributeType // standard and custom, by full name
	AliasAttributes           []string                  // also sign in with these, once verified
	UsernameAttributes        []string                  // sign in with these; the username is generated
	CaseSensitive             bool
	UsernameConfigured        bool // UsernameConfiguration was given
	Tags                      map[string]string
	Keys                      []PoolKey        // the first signs; all are published
	Retired                   []RetiredKey     `json:",omitempty"` // sign no more, and are published while tokens of theirs may live
	Domain                    string           // prefix domain, "" without one
	Logs                      []LogDestination `json:",omitempty"`
	Settings                  PoolSettings
}

// PoolSettings is the part of a pool that UpdateUserPool replaces as a whole.
type PoolSettings struct {
	AccountRecovery          *api.AccountRecoverySettingType
	AdminCreateUser          api.AdminCreateUserConfigType
	AutoVerified             []string
	DeletionProtection       string
	Device                   *api.DeviceConfigurationType
	Email                    *api.EmailConfigurationType
	EmailVerificationMessage *string
	EmailVerificationSubject *string
	Password                 api.PasswordPolicyType
	SignIn                   *api.SignInPolicyType
	Sms                      *api.SmsConfigurationType
	SmsAuthenticationMessage *string
	SmsVerificationMessage   *string
	UpdateSettings           *api.UserAttributeUpdateSettingsType
	AddOns                   *api.UserPoolAddOnsType
	Tier                     string
	Template                 *api.VerificationMessageTemplateType
	MFA                      PoolMFA
	Lambda                   *api.LambdaConfigType
	SenderKey                string `json:",omitempty"` // public key that KMSKeyID named, PEM
}

// PoolKey is a signing key: its PKCS #8 form, sealed.
type PoolKey struct {
	ID        string
	Algorithm string `json:",omitempty"` // "" is RS256
	Sealed    []byte
}

// Client is an app client.
type Client struct {
	Pool, ID, Name        string
	CreatedAt, ModifiedAt time.Time
	Secrets               []ClientSecret // none: a public client
	Settings              ClientSettings
}

// ClientSecret is one of a confidential client's secrets; two at once while rotating.
type ClientSecret struct {
	ID        string
	Sealed    []byte
	CreatedAt time.Time
}

// ClientSettings is the part of a client that UpdateUserPoolClient replaces as a whole.
type ClientSettings struct {
	AuthFlows             []string
	AllowedFlows          []string
	AllowedFlowsEnabled   bool
	AllowedScopes         []string
	CallbackURLs          []string
	LogoutURLs            []string
	DefaultRedirectURI    *string
	IdentityProviders     []string
	ReadAttributes        []string
	WriteAttributes       []string
	AccessTokenValidity   *int32
	IDTokenValidity       *int32
	RefreshTokenValidity  int32
	Units                 *api.TokenValidityUnitsType
	AuthSessionValidity   int32
	PreventUserExistence  string
	EnableTokenRevocation bool
	PropagateUserContext  *bool
	Rotation              *api.RefreshTokenRotationType
}

// User is one person's account in a pool. Key is the folded username.
type User struct {
	Pool, Key, Name, Sub  string
	CreatedAt, ModifiedAt time.Time
	Attributes            map[string]string // without sub
	Status                string
	Disabled              bool
	Salt                  []byte
	Verifier              []byte  // SRP verifier, sealed; nil: no password
	PasswordID            string  // changes with every password
	Origin                *Origin `json:",omitempty"` // for whom Verifier was made; nil: for the user
	Hash                  []byte  `json:",omitempty"` // another system's hash, sealed, in place of Verifier until the first password sign-in
	TemporaryUntil        time.Time
	SignOuts              int       // sessions of an earlier count are revoked
	SignedOutAt           time.Time // of the last one
	History               []OldPassword
	Logins                []Login // by what the user signs in; kept equal to what the pool's rules give
	MFA                   UserMFA
}

// UserMFA is what a user has besides the first factor.
type UserMFA struct {
	Enabled   []string `json:",omitempty"` // names of challenges: SMS_MFA, SOFTWARE_TOKEN_MFA, EMAIL_OTP
	Preferred string   `json:",omitempty"`
	Passkey   bool     `json:",omitempty"` // a passkey stands for both factors, where the pool has that
	Seed      []byte   `json:",omitempty"` // of the software token, sealed; nil: none was set up
	Pending   []byte   `json:",omitempty"` // a seed whose first code was not seen yet, sealed
	LastStep  int64    `json:",omitempty"` // period of the last accepted code: none counts twice
	Device    string   `json:",omitempty"` // friendly name of the software token
}

// PoolMFA says which second factors a pool has, and whether one is needed.
type PoolMFA struct {
	Mode          string                  // OFF, OPTIONAL or ON
	SoftwareToken bool                    `json:",omitempty"`
	SMS           bool                    `json:",omitempty"`
	Email         *api.EmailMfaConfigType `json:",omitempty"`
	// WebAuthn is how passkeys are used; the pool's sign-in policy says whether.
	WebAuthn *api.WebAuthnConfigurationType `json:",omitempty"`
}

// OldPassword is a password that may not come back.
type OldPassword struct {
	Salt, Verifier []byte  // Verifier is sealed
	Origin         *Origin `json:",omitempty"`
}

// Login is a name that leads to a user.
type Login struct{ Kind, Value string }

// Group is a group of users.
type Group struct {
	Pool, Name            string
	CreatedAt, ModifiedAt time.Time
	Description, RoleARN  *string
	Precedence            *int32
}

// Member is a user's membership of a group.
type Member struct{ Pool, Group, User string }

// ResourceServer defines scopes.
type ResourceServer struct {
	Pool, Identifier, Name string
	Scopes                 []api.ResourceServerScopeType
}

// Domain is a prefix under which the OAuth endpoints of a pool answer.
type Domain struct {
	Name, Pool          string
	ManagedLoginVersion *int32
}

// Code is a confirmation code on its way to somebody. User may be a name that
// belongs to nobody: asking must not tell.
type Code struct {
	Pool, User, Purpose string
	Sealed              []byte // nil: no code was made, none is right
	Nobody              bool   `json:",omitempty"` // Sealed is not right either: it is only as long as a code
	Attribute, Value    string // the address that the code was sent to, and so proves
	Pending             bool   // Value becomes the attribute only when proven
	For                 string // id of the challenge that the code answers; "" outside of sign-ins
	Network             string `json:",omitempty"` // of who asked for a code that opens a sign-in
	ExpiresAt           time.Time
	Attempts            int
	Sent                int
	Window              time.Time // since when Attempts and Sent count
}

// Lockout counts failed sign-ins of one user, or of one name that belongs to nobody.
type Lockout struct {
	Pool, Who string
	Failures  int
	Until     time.Time
	Last      time.Time
}

// Session is what a sign-in began: its refresh token family and the tokens that
// name it as origin_jti. Its ID is that of the challenge whose answer began it, if there
// was one. Without a user it is no more than the mark that a challenge was answered:
// so no challenge is answered twice, and a sign-in leaves one record.
type Session struct {
	ID, Pool, User, Sub, Client string
	CreatedAt, ExpiresAt        time.Time
	Scope                       string
	Epoch                       int       // the user's SignOuts when it began
	Generation                  uint32    // of the present refresh token
	RotatedAt                   time.Time // when the present one replaced its forerunner
	Revoked                     bool
	Device                      string // key of the device it was begun on, where the pool tracks devices
}

// Device is a browser or phone that a user has signed in from and that can prove so by
// a secret of its own.
type Device struct {
	Pool, User, Key, Name string
	CreatedAt, ModifiedAt time.Time
	LastSignIn            time.Time
	LastIP                string
	Salt, Verifier        []byte // Verifier is sealed
	Group                 string `json:",omitempty"` // for which group Verifier was made; "": its own
	Remembered            bool
}

// ReserveKey is a signing key that no pool has yet.
type ReserveKey struct{ Key PoolKey }

// Secret is a key of the service itself, sealed.
type Secret struct {
	Name   string
	Sealed []byte
}

type tables struct {
	pools    *store.Table[Pool]
	clients  *store.Table[Client]
	users    *store.Table[User]
	groups   *store.Table[Group]
	members  *store.Table[Member]
	servers  *store.Table[ResourceServer]
	domains  *store.Table[Domain]
	codes    *store.Table[Code]
	lockouts *store.Table[Lockout]
	sessions *store.Table[Session]
	devices  *store.Table[Device]
	passkeys *store.Table[Passkey]
	reserve  *store.Table[ReserveKey]
	secrets  *store.Table[Secret]
	letters  *store.Table[Letter]
	imports  *store.Table[ImportJob]
	parts    *store.Table[ImportPart]
	lines    *store.Table[LogLine]

	authEvents *store.Table[AuthEvent]
	risks      *store.Table[RiskConfiguration]
	sprayers   *store.Table[Sprayer]
}

func (t tables) all() []store.Definer {
	return []store.Definer{
		t.pools, t.clients, t.users, t.groups, t.members, t.servers, t.domains,
		t.codes, t.lockouts, t.sessions, t.devices, t.passkeys, t.reserve, t.secrets, t.letters,
		t.imports, t.parts, t.lines,
		t.authEvents, t.risks, t.sprayers,
	}
}

func newTables() tables {
	return tables{
		pools: store.NewTable(store.Schema[Pool]{
			Name: "userpool_pools", Key: []string{"account", "region", "pool"}, Topic: topicPools,
			KeyOf: func(p *Pool) []string { return []string{p.Account, p.Region, p.ID} },
		}),
		clients: store.NewTable(store.Schema[Client]{
			Name: "userpool_clients", Key: []string{"client"},
			KeyOf: func(c *Client) []string { return []string{c.ID} },
			Indexes: []store.Index[Client]{{
				Name: "pool", Columns: []string{"pool"},
				Of: func(c *Client) [][]string { return [][]string{{c.Pool}} },
			}},
		}),
		users:   newUserTable(),
		letters: newLetterTable(),
		imports: newImportTable(),
		parts:   newPartTable(),
		lines:   newLineTable(),
		groups: store.NewTable(store.Schema[Group]{
			Name: "userpool_groups", Key: []string{"pool", "name"},
			KeyOf: func(g *Group) []string { return []string{g.Pool, g.Name} },
		}),
		members: store.NewTable(store.Schema[Member]{
			Name: "userpool_members", Key: []string{"pool", "group_name", "username"},
			KeyOf: func(m *Member) []string { return []string{m.Pool, m.Group, m.User} },
			Indexes: []store.Index[Member]{{
				Name: "user", Columns: []string{"of_pool", "of_user"},
				Of: func(m *Member) [][]string { return [][]string{{m.Pool, m.User}} },
			}},
		}),
		servers: store.NewTable(store.Schema[ResourceServer]{
			Name: "userpool_resource_servers", Key: []string{"pool", "identifier"},
			KeyOf: func(r *ResourceServer) []string { return []string{r.Pool, r.Identifier} },
		}),
		domains: store.NewTable(store.Schema[Domain]{
			Name: "userpool_domains", Key: []string{"domain"}, Topic: topicPools,
			KeyOf: func(d *Domain) []string { return []string{d.Name} },
		}),
		codes: store.NewTable(store.Schema[Code]{
			Name: "userpool_codes", Key: []string{"pool", "username", "purpose"},
			KeyOf:   func(c *Code) []string { return []string{c.Pool, c.User, c.Purpose} },
			Expires: func(c *Code) time.Time { return c.ExpiresAt.Add(codeWindow) },
		}),
		lockouts: store.NewTable(store.Schema[Lockout]{
			Name: "userpool_lockouts", Key: []string{"pool", "who"},
			KeyOf:   func(l *Lockout) []string { return []string{l.Pool, l.Who} },
			Expires: func(l *Lockout) time.Time { return l.Last.Add(2 * lockoutMemory) },
		}),
		sessions: newSessionTable(), authEvents: newEventTable(), risks: newRiskTable(), sprayers: newSprayerTable(),
		devices: store.NewTable(store.Schema[Device]{
			Name: "userpool_devices", Key: []string{"pool", "username", "device"},
			KeyOf: func(d *Device) []string { return []string{d.Pool, d.User, d.Key} },
		}),
		passkeys: newPasskeyTable(),
		reserve: store.NewTable(store.Schema[ReserveKey]{
			Name: "userpool_reserve_keys", Key: []string{"key_id"},
			KeyOf: func(k *ReserveKey) []string { return []string{k.Key.ID} },
		}),
		secrets: store.NewTable(store.Schema[Secret]{
			Name: "userpool_secrets", Key: []string{"name"},
			KeyOf: func(s *Secret) []string { return []string{s.Name} },
		}),
	}
}

func newSessionTable() *store.Table[Session] {
	return store.NewTable(store.Schema[Session]{
		Name: "userpool_sessions", Key: []string{"session"},
		KeyOf: func(s *Session) []string { return []string{s.ID} },
		Expires: func(s *Session) time.Time {
			if s.User == "" {
				return s.ExpiresAt
			}
			return s.ExpiresAt.Add(24 * time.Hour) // access tokens of the last refresh live up to a day longer and name the session
		},
		Indexes: []store.Index[Session]{{
			Name: "user", Columns: []string{"pool", "username"},
			Of: func(s *Session) [][]string {
				if s.User == "" {
					return nil
				}
				return [][]string{{s.Pool, s.User}}
			},
		}},
	})
}

func newUserTable() *store.Table[User] {
	return store.NewTable(store.Schema[User]{
		Name: "userpool_users", Key: []string{"pool", "username"},
		KeyOf: func(u *User) []string { return []string{u.Pool, u.Key} },
		Indexes: []store.Index[User]{
			{
				Name: "login", Columns: []string{"of_pool", "kind", "value"}, Unique: true,
				Of: func(u *User) [][]string {
					var rows [][]string
					for _, l := range u.Logins {
						rows = append(rows, []string{u.Pool, l.Kind, l.Value})
					}
					return rows
				},
			},
			{Name: "search", Columns: []string{"of_pool", "attribute", "value"}, Of: searchRows},
			{Name: "foreign", Columns: []string{"of_pool"}, Of: foreignRows},
		},
	})
}
