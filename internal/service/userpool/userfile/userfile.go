// Package userfile owns the files in which users leave and enter a pool: their lines, the
// digest and the signature over them, and the seal around them. docs/users.md describes both
// formats for people.
//
// It reads and writes streams, one line at a time, and believes nothing of a file before it has
// seen the end of it: who imports reads a file twice.
package userfile

import (
	"encoding/json"
	"time"

	"moat/internal/service/userpool/pwhash"
)

// Version is that of the lines that are written. Files of another version are refused.
const Version = 1

// Kinds of files, in the first line's "moat".
const (
	KindUsers   = "users"         // what a Moat exports: whole, signed
	KindForeign = "foreign-users" // users of another system, as somebody wrote them
)

// Header is the first line.
type Header struct {
	Moat       string           `json:"moat"`
	Version    int              `json:"version"`
	Pool       *Pool            `json:"pool,omitempty"`
	ExportedAt *time.Time       `json:"exportedAt,omitempty"`
	Firebase   *pwhash.Firebase `json:"firebase,omitempty"` // of a foreign file from Firebase
}

// Pool is the pool that users come from.
type Pool struct {
	ID string `json:"id"`
	// Record is everything else that the pool is, but its keys, for a Moat that makes it anew.
	Record json.RawMessage `json:"record,omitempty"`
}

// Line is any later line: one of its members is there.
type Line struct {
	Group *Group `json:"group,omitempty"`
	User  *User  `json:"user,omitempty"`
	End   *End   `json:"end,omitempty"`
}

// Group is a group of the pool. Groups stand before users.
type Group struct {
	Name        string     `json:"name"`
	Description *string    `json:"description,omitempty"`
	Role        *string    `json:"role,omitempty"` // ARN
	Precedence  *int32     `json:"precedence,omitempty"`
	Created     *time.Time `json:"created,omitempty"`
	Modified    *time.Time `json:"modified,omitempty"`
}

// User is one user. Bytes are standard base64.
type User struct {
	Username   string            `json:"username"`
	Sub        string            `json:"sub,omitempty"`    // foreign: absent, one is derived from pool and username
	Status     string            `json:"status,omitempty"` // foreign: absent is CONFIRMED
	Disabled   bool              `json:"disabled,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Groups     []string          `json:"groups,omitempty"`
	Created    *time.Time        `json:"created,omitempty"`
	Modified   *time.Time        `json:"modified,omitempty"`
	Password   *Password         `json:"password,omitempty"`
	MFA        *MFA              `json:"mfa,omitempty"`
	Passkeys   []Passkey         `json:"passkeys,omitempty"`
	Devices    []Device          `json:"devices,omitempty"`
}

// Password is what is known of a user's password: a verifier, or a hash of another system.
type Password struct {
	SRP            *Verifier     `json:"srp,omitempty"`
	Hash           string        `json:"hash,omitempty"` // as pwhash.Parse reads it
	Firebase       *FirebaseHash `json:"firebase,omitempty"`
	TemporaryUntil *time.Time    `json:"temporaryUntil,omitempty"`
	History        []Verifier    `json:"history,omitempty"` // the last one first
}

// Verifier is an SRP verifier, and the identity that it was made for.
type Verifier struct {
	Pool     string `json:"pool"` // the part of the pool's id after the underscore
	User     string `json:"user"`
	Salt     []byte `json:"salt"`
	Verifier []byte `json:"verifier"`
}

// Passkey is a passkey's public half. The handle that its authenticator keeps is the user's sub.
type Passkey struct {
	ID             string     `json:"id"`     // base64url
	Domain         string     `json:"domain"` // relying party id
	Key            []byte     `json:"key"`    // COSE_Key (RFC 9052 section 7): ES256 or RS256
	Counter        uint32     `json:"counter,omitempty"`
	Name           string     `json:"name,omitempty"`
	Transports     []string   `json:"transports,omitempty"`
	Attachment     string     `json:"attachment,omitempty"`
	BackupEligible bool       `json:"backupEligible,omitempty"`
	BackedUp       bool       `json:"backedUp,omitempty"`
	Created        *time.Time `json:"created,omitempty"`
	Used           *time.Time `json:"used,omitempty"`
}

// FirebaseHash is a user's part of a Firebase hash, base64; the rest stands in the header.
type FirebaseHash struct {
	Hash string `json:"hash"`
	Salt string `json:"salt"`
}

// MFA is what a user has beside the password.
type MFA struct {
	Enabled   []string `json:"enabled,omitempty"` // SMS_MFA, SOFTWARE_TOKEN_MFA, EMAIL_OTP
	Preferred string   `json:"preferred,omitempty"`
	TOTP      *TOTP    `json:"totp,omitempty"`
	Passkey   bool     `json:"passkey,omitempty"` // a passkey stands for both factors
}

// TOTP is a software token.
type TOTP struct {
	Seed     []byte `json:"seed"`
	LastStep int64  `json:"lastStep,omitempty"` // period of the last code that was accepted
	Name     string `json:"name,omitempty"`
}

// Device is a browser or phone that the user's sign-ins know again.
type Device struct {
	Key        string     `json:"key"`
	Group      string     `json:"group"` // the name that stands for the pool in its SRP
	Name       string     `json:"name,omitempty"`
	Salt       []byte     `json:"salt"`
	Verifier   []byte     `json:"verifier"`
	Remembered bool       `json:"remembered,omitempty"`
	LastIP     string     `json:"lastIP,omitempty"`
	LastSignIn *time.Time `json:"lastSignIn,omitempty"`
	Created    *time.Time `json:"created,omitempty"`
	Modified   *time.Time `json:"modified,omitempty"`
}

// End is the last line of an export.
type End struct {
	Groups    int    `json:"groups"`
	Users     int    `json:"users"`
	Digest    []byte `json:"digest"`
	Key       string `json:"key"` // who signed, as [EncodeKey] writes it
	Signature []byte `json:"signature"`
}
