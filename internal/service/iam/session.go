package iam

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/wire"
)

// sessionPurpose is authenticated with each session token.
const sessionPurpose = "iam/session"

// session is what a session token holds: everything that is needed to verify a
// signature made with it and to decide what it may do. Any node with the master
// key reads it without a table.
type session struct {
	KeyID     string              `json:"k"`
	Secret    string              `json:"s"`
	Issued    int64               `json:"i"`
	Expires   int64               `json:"e"`
	Kind      policy.Kind         `json:"p"`
	Name      string              `json:"n,omitempty"` // of the user or role
	EntityID  string              `json:"d,omitempty"` // AIDA or AROA: a new entity of the old name is another one
	Session   string              `json:"r,omitempty"` // role session name
	Keys      map[string][]string `json:"c,omitempty"`
	Policies  []string            `json:"l,omitempty"` // documents
	Managed   []string            `json:"m,omitempty"` // ARNs of policies
	MadeByKey string              `json:"b,omitempty"` // the access key behind GetSessionToken and GetFederationToken
	MFA       int64               `json:"f,omitempty"` // when a second factor was shown
	Root      bool                `json:"o,omitempty"` // the federated user is one of the account's root
}

// notFor is the API to which the session is no credential: IAM, for those of
// GetSessionToken without a second factor (STS API reference, GetSessionToken).
func (v *session) notFor() string {
	if v.MFA == 0 && (v.Kind == policy.PrincipalUser || v.Kind == policy.PrincipalRoot) {
		return "iam"
	}
	return ""
}

// errToken says that a token is none of ours, or not for this key.
var errToken = errors.New("iam: not a session token of this installation")

// deflated marks a session that is deflated: JSON begins with a brace.
const deflated = 1

// deflateFrom is the size from which deflating a session is worth its time.
const deflateFrom = 1 << 10

// seal turns a session into its token, of less than 4 KiB for all that fits
// into the room for policies and tags.
func (s *Service) seal(v session) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	if len(plain) >= deflateFrom {
		packed, err := s.deflate(plain)
		if err != nil {
			return "", err
		}
		plain = append([]byte{deflated}, packed...)
	}
	sealed, err := s.db.Seal(sessionPurpose, plain)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(sealed), nil
}

// unseal reads a token. Exactly one text stands for each token: base64 that
// decodes to the same bytes but reads otherwise is refused.
func (s *Service) unseal(token string) (session, error) {
	var v session
	sealed, err := base64.StdEncoding.Strict().DecodeString(token)
	if err != nil || base64.StdEncoding.EncodeToString(sealed) != token {
		return v, errToken
	}
	plain, err := s.db.Unseal(sessionPurpose, sealed)
	if err != nil {
		return v, errToken
	}
	if len(plain) > 0 && plain[0] == deflated { // sealed by us, so no bomb
		if plain, err = io.ReadAll(flate.NewReader(bytes.NewReader(plain[1:]))); err != nil {
			return v, errToken
		}
	}
	if err := json.Unmarshal(plain, &v); err != nil {
		return v, errToken
	}
	return v, nil
}

// These carry the session policies from Credential to Authorize. No condition
// key has this form, and no request can set one.
const (
	policiesKey = "\x00session"
	managedKey  = "\x00managed"
)

// newSession makes the credentials of a session for d.
func (s *Service) newSession(v session, d time.Duration) (Credentials, error) {
	now := s.cfg.Now()
	var err error
	if v.KeyID, err = s.newID("ASIA", keyIDLength); err != nil {
		return Credentials{}, err
	}
	if v.Secret, err = s.newSecret(); err != nil {
		return Credentials{}, err
	}
	expires := now.Add(d).Truncate(time.Second)
	v.Issued, v.Expires = now.Unix(), expires.Unix()
	token, err := s.seal(v)
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{AccessKeyID: v.KeyID, SecretAccessKey: v.Secret, SessionToken: token, Expiration: expires}, nil
}

// Credentials are temporary.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	Expiration                                 time.Time
	// ARN and ID are those of the session: arn:aws:sts::A:assumed-role/R/S and
	// AROA...:S.
	ARN, ID string
}

// caller is the principal of a session. The user or role behind it must still
// exist; the account may have given its name to another in the meantime.
func (s *Service) caller(v *session, e *entity) (wire.Caller, error) {
	keys := policy.Context{}
	for k, values := range v.Keys {
		keys.Set(k, values...)
	}
	keys.Set("aws:TokenIssueTime", time.Unix(v.Issued, 0).UTC().Format(time.RFC3339))
	keys.Set(policiesKey, v.Policies...)
	keys.Set(managedKey, v.Managed...)
	// Only temporary credentials have the key (IAM user guide, global condition
	// context keys); how old the proof is depends on the moment: see Credential.
	keys.Set("aws:MultiFactorAuthPresent", strconv.FormatBool(v.MFA != 0))
	p := policy.Principal{Kind: v.Kind, Account: s.cfg.Account, Context: keys}
	switch v.Kind {
	case policy.PrincipalRoot:
		p.ARN, p.ID = s.arn("root", "", ""), s.cfg.Account
		return wire.Caller{Principal: p, AccessKeyID: v.KeyID}, nil
	case policy.PrincipalUser:
		if e == nil || e.id != v.EntityID {
			return wire.Caller{}, wire.ErrUnknownKey
		}
		p.ARN, p.ID = e.arn, e.id
		keys.Set("aws:username", e.name)
	case policy.PrincipalAssumedRole:
		if e == nil || e.id != v.EntityID {
			return wire.Caller{}, wire.ErrUnknownKey
		}
		p.ARN = "arn:aws:sts::" + s.cfg.Account + ":assumed-role/" + e.name + "/" + v.Session
		p.ID, p.RoleARN = e.id+":"+v.Session, e.arn
	case policy.PrincipalFederatedUser:
		p.ARN, p.ID = s.federatedARN(v.Session), s.cfg.Account+":"+v.Session
		if v.Root {
			p.UserARN, p.UserID = s.arn("root", "", ""), s.cfg.Account
			return wire.Caller{Principal: p, AccessKeyID: v.KeyID}, nil
		}
		if e == nil || e.id != v.EntityID {
			return wire.Caller{}, wire.ErrUnknownKey
		}
		p.UserARN, p.UserID = e.arn, e.id
	default:
		return wire.Caller{}, errToken
	}
	for _, t := range e.tags { // tags of the session outrank those of the role
		if key := "aws:PrincipalTag/" + t.Key; keys.Get(key) == nil {
			keys.Set(key, t.Value)
		}
	}
	return wire.Caller{Principal: p, AccessKeyID: v.KeyID}, nil
}
