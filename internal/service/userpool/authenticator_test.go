package userpool

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	api "moat/internal/wire/cognitoidpapi"
)

// Flags of authenticator data (WebAuthn Level 3, section 6.1).
const (
	flagPresent        = 1 << 0
	flagVerified       = 1 << 2
	flagBackupEligible = 1 << 3
	flagBackedUp       = 1 << 4
	flagAttested       = 1 << 6
)

// authenticator makes and uses one passkey, and does wrong what a test tells it to.
type authenticator struct {
	t       *testing.T
	key     crypto.Signer
	id      []byte
	handle  []byte
	origin  string
	party   string
	flags   byte
	counter uint32
	// What it signs in place of the right thing, where a test sets it.
	challenge, ceremony string
	cross               bool
	alg                 int // that it claims in place of its own
	format              string
}

func newAuthenticator(t *testing.T) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		t.Fatal(err)
	}
	return &authenticator{t: t, key: key, id: id, origin: "https://app.example.com", flags: flagPresent | flagVerified | flagBackupEligible}
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func (a *authenticator) json(v any) []byte {
	a.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		a.t.Fatal(err)
	}
	return raw
}

// cose is the public key (RFC 9053).
func (a *authenticator) cose() []byte {
	a.t.Helper()
	var m map[int]any
	switch k := a.key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			a.t.Fatal(err)
		}
		m = map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}
	case *rsa.PublicKey:
		m = map[int]any{1: 3, 3: -257, -1: k.N.Bytes(), -2: []byte{1, 0, 1}}
	}
	if a.alg != 0 {
		m[3] = a.alg
	}
	raw, err := webauthncbor.Marshal(m)
	if err != nil {
		a.t.Fatal(err)
	}
	return raw
}

func (a *authenticator) clientData(ceremony, challenge string) []byte {
	if a.challenge != "" {
		challenge = a.challenge
	}
	if a.ceremony != "" {
		ceremony = a.ceremony
	}
	return a.json(map[string]any{"type": ceremony, "challenge": challenge, "origin": a.origin, "crossOrigin": a.cross})
}

func (a *authenticator) data(party string, flags byte) []byte {
	if a.party != "" {
		party = a.party
	}
	hash := sha256.Sum256([]byte(party))
	return binary.BigEndian.AppendUint32(append(hash[:], flags), a.counter)
}

func (a *authenticator) sign(parts ...[]byte) []byte {
	a.t.Helper()
	digest := sha256.Sum256(slices.Concat(parts...))
	out, err := a.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

// create answers navigator.credentials.create.
func (a *authenticator) create(options json.RawMessage) json.RawMessage {
	a.t.Helper()
	var o creationOptions
	if err := json.Unmarshal(options, &o); err != nil {
		a.t.Fatal(err)
	}
	handle, err := base64.RawURLEncoding.DecodeString(o.User.ID)
	if err != nil {
		a.t.Fatal(err)
	}
	a.handle = handle
	data := a.data(o.RP.ID, a.flags|flagAttested)
	data = binary.BigEndian.AppendUint16(append(data, make([]byte, 16)...), uint16(len(a.id)))
	data = slices.Concat(data, a.id, a.cose())
	client := a.clientData("webauthn.create", o.Challenge)
	format := a.format
	if format == "" {
		format = "none"
	}
	statement := map[string]any{}
	if format == "packed" { // signed by the new key itself
		hash := sha256.Sum256(client)
		statement = map[string]any{"alg": -7, "sig": a.sign(data, hash[:])}
	}
	object, err := webauthncbor.Marshal(map[string]any{"fmt": format, "attStmt": statement, "authData": data})
	if err != nil {
		a.t.Fatal(err)
	}
	return a.json(map[string]any{
		"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "authenticatorAttachment": "platform", "clientExtensionResults": map[string]any{},
		"response": map[string]any{"clientDataJSON": b64(client), "attestationObject": b64(object), "transports": []string{"internal", "hybrid", "internal", "carrier-pigeon"}},
	})
}

// get answers navigator.credentials.get.
func (a *authenticator) get(options string) string {
	a.t.Helper()
	var o requestOptions
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		a.t.Fatal(err)
	}
	a.counter++
	return a.assert(o)
}

func (a *authenticator) assert(o requestOptions) string {
	a.t.Helper()
	data, client := a.data(o.RPID, a.flags), a.clientData("webauthn.get", o.Challenge)
	hash := sha256.Sum256(client)
	response := map[string]any{"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(a.sign(data, hash[:]))}
	if a.handle != nil {
		response["userHandle"] = b64(a.handle)
	}
	return string(a.json(map[string]any{
		"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "authenticatorAttachment": "platform", "clientExtensionResults": map[string]any{}, "response": response,
	}))
}

// passkeyPool is a pool for example.com with a client of each kind: the one tells who
// exists, the other does not.
func (h *house) passkeyPool(change func(*api.CreateUserPoolRequest)) (poolID, clientID, quietID string) {
	h.t.Helper()
	poolID = h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes = nil
		in.Policies.SignInPolicy = &api.SignInPolicyType{AllowedFirstAuthFactors: []api.AuthFactorType{"PASSWORD", "WEB_AUTHN"}}
		if change != nil {
			change(in)
		}
	})
	h.setWebAuthn(poolID, "OFF", api.WebAuthnConfigurationType{RelyingPartyId: ptr("example.com")})
	by := func(hide api.PreventUserExistenceErrorTypes) string {
		return *h.newClient(poolID, func(in *api.CreateUserPoolClientRequest) {
			in.ExplicitAuthFlows = append(in.ExplicitAuthFlows, "ALLOW_USER_AUTH")
			in.PreventUserExistenceErrors = hide
		}).ClientId
	}
	return poolID, by("LEGACY"), by("ENABLED")
}

func ptr[T any](v T) *T { return &v }

// setWebAuthn sets how passkeys are used, beside software tokens where there is MFA.
func (h *house) setWebAuthn(poolID string, mode api.UserPoolMfaType, c api.WebAuthnConfigurationType) {
	h.t.Helper()
	in := &api.SetUserPoolMfaConfigRequest{UserPoolId: poolID, MfaConfiguration: mode, WebAuthnConfiguration: &c}
	if mode != "OFF" {
		in.SoftwareTokenMfaConfiguration = &api.SoftwareTokenMfaConfigType{Enabled: ptr(true)}
	}
	must[*api.SetUserPoolMfaConfigResponse](h.t)(h.c.SetUserPoolMfaConfig(h.t.Context(), in))
}

func (h *house) startPasskey(access string) json.RawMessage {
	h.t.Helper()
	return must[*api.StartWebAuthnRegistrationResponse](h.t)(h.c.StartWebAuthnRegistration(h.t.Context(), &api.StartWebAuthnRegistrationRequest{AccessToken: access})).CredentialCreationOptions
}

func (h *house) completePasskey(access string, credential json.RawMessage) error {
	_, err := h.c.CompleteWebAuthnRegistration(h.t.Context(), &api.CompleteWebAuthnRegistrationRequest{AccessToken: access, Credential: credential})
	return err
}

// register gives a user who is signed in a new passkey.
func (h *house) register(access string) *authenticator {
	h.t.Helper()
	a := newAuthenticator(h.t)
	if err := h.completePasskey(access, a.create(h.startPasskey(access))); err != nil {
		h.t.Fatal(err)
	}
	return a
}

// askPasskey begins a sign-in by passkey.
func (h *house) askPasskey(clientID, name string) (options string, session *string) {
	h.t.Helper()
	out := must[*api.InitiateAuthResponse](h.t)(h.choose(clientID, name, "PREFERRED_CHALLENGE", "WEB_AUTHN"))
	if out.ChallengeName != "WEB_AUTHN" {
		h.t.Fatalf("got %+v", out)
	}
	return out.ChallengeParameters["CREDENTIAL_REQUEST_OPTIONS"], out.Session
}

func (h *house) answerPasskey(clientID, name string, session *string, credential string) (*api.RespondToAuthChallengeResponse, error) {
	return h.answer(clientID, "WEB_AUTHN", session, "USERNAME", name, "CREDENTIAL", credential)
}
