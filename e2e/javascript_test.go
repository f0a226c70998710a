package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// step is the result of one named step of a script.
type step struct {
	OK      bool
	Value   any
	Name    string // of the error: its code
	Class   string
	Message string
}

// report is what a script prints.
type report map[string]step

// runScript runs one of the scripts in clients/.
func runScript(t *testing.T, c *courses, name string, more map[string]string) report {
	t.Helper()
	config := map[string]string{
		"endpoint": c.endpoint, "region": region, "api": c.api, "pool": c.pool, "publicClient": c.publicClient,
		"identityPool": c.identityPool, "loginName": c.loginName(),
	}
	for k, v := range more {
		config[k] = v
	}
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	res, err := command(t.Context(), "clients", environment("E2E_CONFIG="+string(b)), tool(t, "node"), name)
	if err != nil || res.code != 0 {
		t.Fatalf("node %s: %v: %s", name, err, res)
	}
	var r report
	if err := json.Unmarshal([]byte(res.stdout), &r); err != nil {
		t.Fatalf("node %s printed %q: %v", name, res.stdout, err)
	}
	return r
}

// ok checks that a step succeeded, and that its value holds the texts at the paths.
func (r report) ok(t *testing.T, name string, want map[string]string) {
	t.Helper()
	s, there := r[name]
	switch {
	case !there:
		t.Errorf("%s: the script took no such step", name)
	case !s.OK:
		t.Errorf("%s: %s (%s): %s", name, s.Name, s.Class, s.Message)
	default:
		b, err := json.Marshal(s.Value)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { answer{body: string(b)}.checkMembers(t, want) })
	}
}

// gives checks that a step succeeded with a plain value.
func (r report) gives(t *testing.T, name, want string) {
	t.Helper()
	switch s, there := r[name]; {
	case !there:
		t.Errorf("%s: the script took no such step", name)
	case !s.OK:
		t.Errorf("%s: %s (%s): %s", name, s.Name, s.Class, s.Message)
	case fmt.Sprint(s.Value) != want:
		t.Errorf("%s: got %v, want %s", name, s.Value, want)
	}
}

// refused checks that a step failed with an error code, and a sentence that AWS gives.
func (r report) refused(t *testing.T, name, code, message string) {
	t.Helper()
	s, there := r[name]
	switch {
	case !there:
		t.Errorf("%s: the script took no such step", name)
	case s.OK:
		t.Errorf("%s: it was let in: %v", name, s.Value)
	case s.Name != code || !strings.Contains(s.Message, message):
		t.Errorf("%s: got %s %q, want %s %q", name, s.Name, s.Message, code, message)
	}
}

func javascript(t *testing.T, c *courses) {
	u := c.newUser(t, "node@example.com")
	tok, err := c.signIn(t.Context(), c.publicClient, u)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("amazon-cognito-identity-js", func(t *testing.T) { cognitoIdentityJS(t, c) })
	t.Run("aws4", func(t *testing.T) {
		r := runScript(t, c, "aws4.mjs", map[string]string{"idToken": tok.id})
		r.ok(t, "signed in", progressOf(c))
		r.ok(t, "guest", map[string]string{"status": "403", "type": "AccessDeniedException"})
		r.ok(t, "altered path", map[string]string{"status": "403", "type": "InvalidSignatureException"})
		r.ok(t, "without the session token", map[string]string{"status": "403", "type": "UnrecognizedClientException"})
		r.ok(t, "presigned", progressOf(c))
		r.ok(t, "presigned guest", map[string]string{"status": "403", "type": "AccessDeniedException"})
		r.ok(t, "presigned, altered", map[string]string{"status": "403", "type": "InvalidSignatureException"})
		r.ok(t, "presigned, another token", map[string]string{"status": "403", "type": "UnrecognizedClientException"})
		r.ok(t, "presigned, a second signature", map[string]string{"status": "403", "type": "IncompleteSignatureException"})
	})
	t.Run("amplify", func(t *testing.T) {
		u := c.newUser(t, "amplify@example.com")
		r := runScript(t, c, "amplify.mjs", map[string]string{"email": u.email, "password": u.password})
		r.ok(t, "guest", map[string]string{"temporary": "true", "signedIn": "false"})
		r.ok(t, "guest's progress", map[string]string{"status": "403", "type": "AccessDeniedException"})
		r.refused(t, "sign-in, wrong password", "NotAuthorizedException", "Incorrect username or password.")
		r.ok(t, "sign-in", nil)
		r.ok(t, "member", map[string]string{"temporary": "true", "signedIn": "true"})
		r.ok(t, "same identity", map[string]string{"same": "true"})
		r.ok(t, "member's progress", progressOf(c))
		r.ok(t, "sign-out", nil)
		r.ok(t, "guest again", map[string]string{"temporary": "true", "signedIn": "false", "other": "true"})
		r.ok(t, "guest's progress again", map[string]string{"status": "403", "type": "AccessDeniedException"})
	})
	t.Run("sdk v3", func(t *testing.T) {
		r := runScript(t, c, "sdk-v3.mjs", map[string]string{"email": u.email, "password": u.password})
		r.ok(t, "sign-in", map[string]string{"TokenType": "Bearer", "ExpiresIn": "3600"})
		r.ok(t, "sign-in, wrong password", map[string]string{"class": "NotAuthorizedException", "status": "400", "message": "Incorrect username or password.", "requestId": "true"})
		r.ok(t, "sign-up again", map[string]string{"class": "UsernameExistsException", "status": "400"})
		r.ok(t, "user", nil)
		r.ok(t, "user, altered token", map[string]string{"class": "NotAuthorizedException", "status": "400"})
		r.ok(t, "progress", progressOf(c))
		r.ok(t, "progress, guest", map[string]string{"status": "403", "type": "AccessDeniedException"})
		r.ok(t, "progress, altered", map[string]string{"status": "403", "type": "InvalidSignatureException"})
		r.ok(t, "provider", progressOf(c))
		r.ok(t, "provider, guest", map[string]string{"status": "403", "type": "AccessDeniedException"})
		r.ok(t, "provider, access token", map[string]string{"class": "NotAuthorizedException", "message": "Invalid login token. Not a valid OpenId Connect identity token."})
		r.ok(t, "credentials, garbage token", map[string]string{"class": "NotAuthorizedException", "status": "400"})
		r.ok(t, "credentials, unknown pool", map[string]string{"class": "ResourceNotFoundException", "status": "400"})
	})
}

// progressOf is what GET /progress answers to a signed-in user.
func progressOf(*courses) map[string]string {
	return map[string]string{"status": "200", "body.done": "1", "body.goal": "3"}
}

func cognitoIdentityJS(t *testing.T, c *courses) {
	const email = "grace@example.com"
	r := runScript(t, c, "cognito-identity-js.mjs", map[string]string{"email": email, "password": "Nano-Seconds-11-8"})
	claims := map[string]string{"email": email, "use": "id", "access": "access", "verified": "true", "issuer": c.issuer}
	r.refused(t, "sign-up, weak password", "InvalidPasswordException", "Password did not conform with policy: Password not long enough")
	r.ok(t, "sign-up", map[string]string{"confirmed": "false"})
	r.refused(t, "sign-up again", "UsernameExistsException", "An account with the given email already exists.")
	r.refused(t, "sign-in, not confirmed", "UserNotConfirmedException", "User is not confirmed.")
	r.refused(t, "confirm, wrong code", "CodeMismatchException", "Invalid verification code provided, please try again.")
	r.ok(t, "confirm", nil)
	r.refused(t, "sign-in, wrong password", "NotAuthorizedException", "Incorrect username or password.")
	r.refused(t, "sign-in, unknown user", "NotAuthorizedException", "Incorrect username or password.")
	r.ok(t, "sign-in", claims)
	r.ok(t, "sign-in, eight times", nil)
	r.ok(t, "attributes", map[string]string{"email": email, "email_verified": "true", "name": "Grace"})
	r.ok(t, "refresh", map[string]string{"same": "true", "claims.email": email})
	r.refused(t, "refresh, altered", "NotAuthorizedException", "Invalid Refresh Token")
	r.ok(t, "sign-in elsewhere", claims)
	r.ok(t, "sign-out", nil)
	r.refused(t, "refresh after sign-out", "NotAuthorizedException", "Refresh Token has been revoked")
	r.ok(t, "refresh elsewhere", claims)
	r.ok(t, "global sign-out", nil)
	r.refused(t, "refresh after global sign-out", "NotAuthorizedException", "Refresh Token has been revoked")
	r.refused(t, "user after global sign-out", "NotAuthorizedException", "Access Token has been revoked")
}
