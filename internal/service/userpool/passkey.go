package userpool

import (
	"context"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/hex"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"moat/internal/pure/lazyregexp"
	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// maxPasskeys is how many passkeys a user can have.
const maxPasskeys = 20

// maxPublicKey bounds a public key as an authenticator sends it; an RSA key of 4096 bits
// has some 540 bytes.
const maxPublicKey = 1 << 10

// Passkey is the public half of a key that an authenticator keeps for a user
// (WebAuthn Level 3, section 4, "credential record").
type Passkey struct {
	Pool, User, ID string // ID is the credential id in base64url
	RelyingParty   string // the domain that it was made for; it works for no other
	Key            []byte // COSE_Key, sealed: who can write the database cannot put his own
	Counter        uint32 // of signatures, as far as seen
	Name           string
	Transports     []string
	Attachment     string
	BackupEligible bool // never changes
	BackedUp       bool
	CreatedAt      time.Time
	UsedAt         time.Time
}

func newPasskeyTable() *store.Table[Passkey] {
	return store.NewTable(store.Schema[Passkey]{
		Name: "userpool_passkeys", Key: []string{"pool", "username", "credential"},
		KeyOf: func(k *Passkey) []string { return []string{k.Pool, k.User, k.ID} },
		Indexes: []store.Index[Passkey]{{
			Name: "credential", Columns: []string{"of_pool", "id"}, Unique: true,
			Of: func(k *Passkey) [][]string { return [][]string{{k.Pool, k.ID}} },
		}},
	})
}

// credentialParameters are the algorithms that Cognito offers: ES256 and RS256.
func credentialParameters() []protocol.CredentialParameter {
	return []protocol.CredentialParameter{
		{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
		{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
	}
}

// partyShape is a domain in lower case. A single label is a top-level domain, of which
// localhost alone is nobody else's, and digits at the end are an address.
var partyShape = lazyregexp.New(`^(localhost|([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+([a-z]([a-z0-9-]{0,61}[a-z0-9])?))$`)

// relyingParty is the domain that passkeys of a pool are made for: the one that is
// configured, or else the pool's own. Empty without either.
func (s *Service) relyingParty(p *Pool) string {
	if c := p.Settings.MFA.WebAuthn; c != nil && c.RelyingPartyId != nil {
		return *c.RelyingPartyId
	}
	host := s.domain
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host = p.Domain + ".auth." + p.Region + "." + host; p.Domain == "" || !partyShape.MatchString(host) {
		return ""
	}
	return host
}

// passkeys says whether the pool lets users sign in by passkey.
func (p *Pool) passkeys() bool {
	return slices.Contains(p.Settings.firstFactors(), api.AuthFactorTypeWEB_AUTHN)
}

// passkeyIsMFA says whether a passkey can stand for both factors, once the authenticator
// has verified its user.
func (p *Pool) passkeyIsMFA() bool {
	c := p.Settings.MFA.WebAuthn
	return c != nil && c.FactorConfiguration == api.WebAuthnFactorConfigurationTypeMULTI_FACTOR_WITH_USER_VERIFICATION
}

// userVerification is what the pool asks of authenticators. It is the same for all users
// of the pool: who has which factors must not show.
func (p *Pool) userVerification() api.UserVerificationType {
	c := p.Settings.MFA.WebAuthn
	if p.passkeyIsMFA() || c != nil && c.UserVerification == api.UserVerificationTyperequired {
		return api.UserVerificationTyperequired
	}
	return api.UserVerificationTypepreferred
}

func (p *Pool) demandsVerification() bool {
	return p.userVerification() == api.UserVerificationTyperequired
}

// allowsOrigin says whether a page of this origin may use passkeys of a relying party:
// it comes over TLS, or from this machine, from the party's domain or one below it
// (WebAuthn Level 3, section 13.4.9).
func allowsOrigin(party string, c *protocol.CollectedClientData) bool {
	u, err := url.Parse(c.Origin)
	if err != nil || u.Scheme+"://"+u.Host != c.Origin || c.CrossOrigin || c.TopOrigin != "" {
		return false
	}
	host := u.Hostname()
	here := host == "localhost" || strings.HasSuffix(host, ".localhost")
	if u.Scheme != "https" && (u.Scheme != "http" || !here) {
		return false
	}
	return party != "" && (host == party || strings.HasSuffix(host, "."+party))
}

// backup says whether the backup flags can be: what is no passkey that can be backed up
// is not backed up (WebAuthn Level 3, section 6.1.3).
func backup(f protocol.AuthenticatorFlags) bool {
	return f.HasBackupEligible() || !f.HasBackupState()
}

// follows says whether a signature counter can follow the last one that was seen. Some
// authenticators have none: it is always 0. A counter that stands still or goes back
// shows that there are two of the key (WebAuthn Level 3, section 6.1.1).
func follows(last, next uint32) bool {
	return next > last || last == 0 && next == 0
}

func credentialID(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// passkeysOf lists the passkeys of a user that were made for a relying party.
func (s *Service) passkeysOf(tx *store.Tx, u *User, party string) ([]Passkey, error) {
	all, err := s.tables.passkeys.List(tx, store.Query{Prefix: []string{u.Pool, u.Key}})
	return slices.DeleteFunc(all, func(k Passkey) bool { return k.RelyingParty != party }), err
}

// usablePasskeys are those that a user can sign in with now; none where the pool does
// not have that.
func (s *Service) usablePasskeys(ctx context.Context, p *Pool, u *User) (list []Passkey, err error) {
	party := s.relyingParty(p)
	if party == "" || !p.passkeys() {
		return nil, nil
	}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		list, err = s.passkeysOf(tx, u, party)
		return err
	})
	return list, err
}

// choicesFor are the choices of a user, passkeys included.
func (s *Service) choicesFor(ctx context.Context, p *Pool, u *User, everything bool) ([]api.ChallengeNameType, error) {
	list, err := s.usablePasskeys(ctx, p, u)
	return p.choices(u, everything && s.relyingParty(p) != "" || len(list) > 0, everything), err
}

// decoyKey is the COSE_Key with which the answers of those are checked who have no such
// passkey: nobody must see that from the time. It lets nobody in.
func decoyKey() []byte {
	curve := elliptic.P256().Params()
	x, y := curve.Gx.FillBytes(make([]byte, 32)), curve.Gy.FillBytes(make([]byte, 32))
	key := []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20}
	key = append(append(key, x...), 0x22, 0x58, 0x20)
	return append(key, y...)
}

// passkeyName is what a new passkey is called: by the program that keeps it, where that
// says so (the AAGUIDs are those that the makers publish), or else by its kind.
func passkeyName(aaguid []byte, attachment string) string {
	switch hex.EncodeToString(aaguid) {
	case "fbfc3007154e4ecc8c0b6e020557d7bd":
		return "iCloud Keychain"
	case "ea9b8d664d011d213ce4b6b48cb575d4":
		return "Google Password Manager"
	case "adce000235bcc60a648b0b25f1f05503":
		return "Chrome on Mac"
	case "08987058cadc4b81b6e130de50dcbe96", "9ddd1817af5a4672a2b93e3dd95000a9", "6028b017b1d44c02b4b3afcdafc96bb2":
		return "Windows Hello"
	case "bada5566a7aa401fbd9645619a55120d":
		return "1Password"
	case "d548826e79b4db40a3d811116f7e8349":
		return "Bitwarden"
	case "531126d6e717415c93203d9aa6981239":
		return "Dashlane"
	}
	if attachment == string(protocol.CrossPlatform) {
		return "Roaming passkey"
	}
	return "Passkey"
}
