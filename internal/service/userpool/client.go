package userpool

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"moat/internal/pure/lazyregexp"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// scopeAdmin lets an access token use the self-service operations.
const scopeAdmin = "aws.cognito.signin.user.admin"

// standardScopes are the scopes that need no resource server.
func standardScopes() []string { return []string{"phone", "email", "openid", "profile", scopeAdmin} }

func noClient(id string) string { return "User pool client " + id + " does not exist." }

// client reads an app client by its id alone, as unsigned calls name it.
func (s *Service) client(tx *store.Tx, id string) (Client, error) {
	c, err := s.tables.clients.Get(tx, id)
	return c, missing(err, notFound, noClient(id))
}

// clientOf reads an app client that must belong to the pool.
func (s *Service) clientOf(tx *store.Tx, poolID, id string) (Client, error) {
	c, err := s.client(tx, id)
	if err == nil && c.Pool != poolID {
		return Client{}, refuse(notFound, noClient(id))
	}
	return c, err
}

// lookClient is clientOf for who only reads the client: what it returns is shared.
func (s *Service) lookClient(tx *store.Tx, poolID, id string) (Client, error) {
	c, err := s.tables.clients.Look(tx, id)
	if err == nil && c.Pool != poolID {
		return Client{}, refuse(notFound, noClient(id))
	}
	return c, missing(err, notFound, noClient(id))
}

// both reads a client and its pool, for who only reads them: what it returns is shared.
func (s *Service) both(tx *store.Tx, clientID string) (Pool, Client, error) {
	c, err := s.tables.clients.Look(tx, clientID)
	if err != nil {
		return Pool{}, c, missing(err, notFound, noClient(clientID))
	}
	p, err := s.lookPool(tx, c.Pool)
	return p, c, err
}

// hidesUsers says whether the client must not learn which users exist.
func (c *Client) hidesUsers() bool {
	return c.Settings.PreventUserExistence == string(api.PreventUserExistenceErrorTypesENABLED)
}

// checkSecretHash demands the keyed hash of username and client id wherever the
// client has a secret. One of several usernames may be hashed: a refresh does not
// repeat the one of the sign-in.
func (s *Service) checkSecretHash(c *Client, given string, usernames ...string) error {
	if len(c.Secrets) == 0 {
		return nil
	}
	if given == "" {
		return refuse(notAuthorized, fmt.Sprintf("Client %s is configured with secret but SECRET_HASH was not received", c.ID))
	}
	raw, err := base64.StdEncoding.DecodeString(given)
	ok := 0
	for _, cs := range c.Secrets {
		secret, unseal := s.db.Unseal(sealClient, cs.Sealed)
		if unseal != nil {
			return unseal
		}
		for _, name := range usernames {
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(name + c.ID))
			ok |= subtle.ConstantTimeCompare(mac.Sum(nil), raw)
		}
	}
	if err != nil || ok != 1 {
		return refuse(notAuthorized, "Unable to verify secret hash for client "+c.ID)
	}
	return nil
}

// checkSecret compares a client secret itself. A public client has none to check;
// for it no secret may be given.
func (s *Service) checkSecret(c *Client, given string) (bool, error) {
	if len(c.Secrets) == 0 {
		return given == "", nil
	}
	ok := 0
	for _, cs := range c.Secrets {
		secret, err := s.db.Unseal(sealClient, cs.Sealed)
		if err != nil {
			return false, err
		}
		ok |= subtle.ConstantTimeCompare(secret, []byte(given))
	}
	return ok == 1, nil
}

// allows says whether the client may use a sign-in flow, under its present or old name.
func (c *Client) allows(flow api.AuthFlowType) bool {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(c.Settings.AuthFlows, n) })
	}
	old := len(c.Settings.AuthFlows) > 0 && !strings.HasPrefix(c.Settings.AuthFlows[0], "ALLOW_")
	onlyCustom := has("CUSTOM_AUTH_FLOW_ONLY")
	switch flow {
	case api.AuthFlowTypeUSER_SRP_AUTH:
		return has("ALLOW_USER_SRP_AUTH") || (old && !onlyCustom)
	case api.AuthFlowTypeUSER_PASSWORD_AUTH:
		return has("ALLOW_USER_PASSWORD_AUTH", "USER_PASSWORD_AUTH")
	case api.AuthFlowTypeADMIN_USER_PASSWORD_AUTH, api.AuthFlowTypeADMIN_NO_SRP_AUTH:
		return has("ALLOW_ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH")
	case api.AuthFlowTypeUSER_AUTH:
		return has("ALLOW_USER_AUTH")
	case api.AuthFlowTypeCUSTOM_AUTH:
		return has("ALLOW_CUSTOM_AUTH", "CUSTOM_AUTH_FLOW_ONLY")
	case api.AuthFlowTypeREFRESH_TOKEN_AUTH, api.AuthFlowTypeREFRESH_TOKEN:
		return has("ALLOW_REFRESH_TOKEN_AUTH") || old
	}
	return false
}

// rotates says whether each refresh replaces the refresh token.
func (c *Client) rotates() bool {
	return c.Settings.Rotation != nil && c.Settings.Rotation.Feature == api.FeatureTypeENABLED
}

// validity of the client's tokens.
func (c *Client) accessValidity() time.Duration {
	return validity(c.Settings.AccessTokenValidity, c.units().AccessToken, time.Hour, time.Hour)
}

func (c *Client) idValidity() time.Duration {
	return validity(c.Settings.IDTokenValidity, c.units().IdToken, time.Hour, time.Hour)
}

func (c *Client) refreshValidity() time.Duration {
	n := c.Settings.RefreshTokenValidity
	return validity(&n, c.units().RefreshToken, 24*time.Hour, 30*24*time.Hour)
}

func (c *Client) units() api.TokenValidityUnitsType { return wire.Value(c.Settings.Units) }

func (c *Client) challengeValidity() time.Duration {
	if c.Settings.AuthSessionValidity > 0 {
		return time.Duration(c.Settings.AuthSessionValidity) * time.Minute
	}
	return 3 * time.Minute
}

// validity multiplies a number by its unit; unit is what an absent one means and
// otherwise what no number, or 0, means.
func validity(n *int32, unit api.TimeUnitsType, without, otherwise time.Duration) time.Duration {
	if n == nil || *n == 0 {
		return otherwise
	}
	switch unit {
	case api.TimeUnitsTypeseconds:
		without = time.Second
	case api.TimeUnitsTypeminutes:
		without = time.Minute
	case api.TimeUnitsTypehours:
		without = time.Hour
	case api.TimeUnitsTypedays:
		without = 24 * time.Hour
	}
	if int64(*n) > int64(math.MaxInt64/without) { // no token lives so long
		return math.MaxInt64
	}
	return time.Duration(*n) * without
}

// newClientSettings completes and checks the settings of a client. confidential
// says whether it has a secret; scopes are those of the pool's resource servers.
func newClientSettings(operation string, in *api.UpdateUserPoolClientRequest, p *Pool, confidential bool, scopes []string) (ClientSettings, error) {
	out := ClientSettings{
		AuthFlows: convert[string](in.ExplicitAuthFlows), AllowedFlows: convert[string](in.AllowedOAuthFlows),
		AllowedFlowsEnabled: wire.Value(in.AllowedOAuthFlowsUserPoolClient), AllowedScopes: in.AllowedOAuthScopes,
		CallbackURLs: in.CallbackURLs, LogoutURLs: in.LogoutURLs, DefaultRedirectURI: in.DefaultRedirectURI,
		IdentityProviders: in.SupportedIdentityProviders, ReadAttributes: in.ReadAttributes, WriteAttributes: in.WriteAttributes,
		AccessTokenValidity: in.AccessTokenValidity, IDTokenValidity: in.IdTokenValidity,
		RefreshTokenValidity: wire.Value(in.RefreshTokenValidity), Units: in.TokenValidityUnits,
		AuthSessionValidity: wire.Value(in.AuthSessionValidity), PreventUserExistence: string(in.PreventUserExistenceErrors),
		EnableTokenRevocation: in.EnableTokenRevocation == nil || *in.EnableTokenRevocation,
		PropagateUserContext:  in.EnablePropagateAdditionalUserContextData, Rotation: in.RefreshTokenRotation,
	}
	if in.AnalyticsConfiguration != nil {
		return out, notImplemented(operation, "there is no analytics service to send to; AnalyticsConfiguration must be absent.")
	}
	if out.AuthFlows == nil {
		out.AuthFlows = []string{"ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_CUSTOM_AUTH"}
		if out.rotating() {
			out.AuthFlows = out.AuthFlows[1:]
		}
	}
	if out.PreventUserExistence == "" {
		out.PreventUserExistence = string(api.PreventUserExistenceErrorTypesLEGACY)
	}
	if out.AuthSessionValidity == 0 {
		out.AuthSessionValidity = 3
	}
	if out.RefreshTokenValidity == 0 {
		out.RefreshTokenValidity = 30
		if u := out.Units; u != nil && u.RefreshToken != "" && u.RefreshToken != api.TimeUnitsTypedays {
			out.RefreshTokenValidity = int32(30 * 24 * time.Hour / validity(wire.Int32(1), u.RefreshToken, 0, 0))
		}
	}
	for _, check := range []func() error{
		func() error { return out.checkFlows() },
		func() error { return out.checkValidity() },
		func() error { return out.checkOAuth(p, confidential, scopes) },
		func() error { return out.checkAttributes(p) },
	} {
		if err := check(); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (c *ClientSettings) rotating() bool {
	return c.Rotation != nil && c.Rotation.Feature == api.FeatureTypeENABLED
}

func (c *ClientSettings) checkFlows() error {
	modern := 0
	for _, f := range c.AuthFlows {
		if strings.HasPrefix(f, "ALLOW_") {
			modern++
		}
	}
	if modern > 0 && modern < len(c.AuthFlows) {
		return refuse(invalidParameter, "ExplicitAuthFlows can not contain both values with and without the ALLOW_ prefix.")
	}
	if c.rotating() && slices.Contains(c.AuthFlows, "ALLOW_REFRESH_TOKEN_AUTH") {
		return refuse(invalidParameter, "Refresh token rotation cannot be enabled with the ALLOW_REFRESH_TOKEN_AUTH flow.")
	}
	return nil
}

func (c *ClientSettings) checkValidity() error {
	probe := Client{Settings: *c}
	access, id, refresh := probe.accessValidity(), probe.idValidity(), probe.refreshValidity()
	day := 24 * time.Hour
	switch {
	case access < 5*time.Minute || access > day:
		return refuse(invalidParameter, "Invalid range for token validity. Access token validity must be between 5 minutes and 1 day.")
	case id < 5*time.Minute || id > day:
		return refuse(invalidParameter, "Invalid range for token validity. ID token validity must be between 5 minutes and 1 day.")
	case refresh < time.Hour || refresh > 3650*day:
		return refuse(invalidParameter, "Invalid range for token validity. Refresh token validity must be between 60 minutes and 3650 days.")
	case refresh < access || refresh < id:
		return refuse(invalidParameter, "Refresh token validity must be longer than access and ID token validity.")
	}
	return nil
}

func (c *ClientSettings) checkOAuth(p *Pool, confidential bool, scopes []string) error {
	if slices.Contains(c.AllowedFlows, "client_credentials") {
		if len(c.AllowedFlows) > 1 {
			return refuse(invalidOAuthFlow, "client_credentials flow can not be selected along with code flow or implicit flow.")
		}
		if !confidential {
			return refuse(invalidOAuthFlow, "client_credentials flow can not be selected if client does not have a client secret.")
		}
	}
	if c.AllowedFlowsEnabled && (len(c.AllowedFlows) == 0 || len(c.AllowedScopes) == 0) {
		return refuse(invalidOAuthFlow, "AllowedOAuthFlows and AllowedOAuthScopes are required if user pool client is allowed to use OAuth flows.")
	}
	for _, name := range c.AllowedScopes {
		standard := slices.Contains(standardScopes(), name)
		if standard && slices.Contains(c.AllowedFlows, "client_credentials") {
			return refuse(invalidOAuthFlow, name+" is not supported with client_credentials flow.")
		}
		if !standard && !slices.Contains(scopes, name) {
			return refuse(scopeUnknown, "Invalid scope requested: "+name)
		}
	}
	for _, list := range [][]string{c.CallbackURLs, c.LogoutURLs} {
		for _, u := range list {
			if !isRedirect(u) {
				return refuse(invalidParameter, u+" is not a valid URL. Only HTTPS is allowed, HTTP for http://localhost, and application schemes.")
			}
		}
	}
	if u := c.DefaultRedirectURI; u != nil && !slices.Contains(c.CallbackURLs, *u) {
		return refuse(invalidParameter, "DefaultRedirectURI must be in the list of CallbackURLs.")
	}
	for _, name := range c.IdentityProviders {
		if name != "COGNITO" {
			return refuse(invalidParameter, fmt.Sprintf("The provider %s does not exist for User Pool %s.", name, p.ID))
		}
	}
	return nil
}

var schemeShape = lazyregexp.New(`^[a-zA-Z][a-zA-Z0-9+.-]*$`)

// isRedirect admits what may be redirected to: https, http to this machine, and
// schemes of applications. Those by which a browser runs or reads something are
// never admitted.
func isRedirect(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Fragment != "" || strings.Contains(raw, "#") || u.User != nil || strings.ContainsAny(raw, "\\ \t\r\n") {
		return false
	}
	switch u.Scheme {
	case "https":
		return u.Host != ""
	case "http":
		host := u.Hostname()
		ip := net.ParseIP(host)
		return host == "localhost" || (ip != nil && ip.IsLoopback())
	case "", "javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source":
		return false
	}
	return schemeShape.MatchString(u.Scheme)
}

func (c *ClientSettings) checkAttributes(p *Pool) error {
	for _, name := range c.ReadAttributes {
		if _, ok := p.attribute(name); !ok {
			return refuse(invalidParameter, "Invalid read attributes specified while creating a client.")
		}
	}
	for _, name := range c.WriteAttributes {
		_, ok := p.attribute(name)
		if !ok || !selfWritable(name) {
			return refuse(invalidParameter, "Invalid write attributes specified while creating a client.")
		}
	}
	if c.WriteAttributes != nil {
		for _, name := range p.required() {
			if !slices.Contains(c.WriteAttributes, name) {
				return refuse(invalidParameter, "Invalid write attributes specified while creating a client. Required attributes must be writable.")
			}
		}
	}
	return nil
}

// selfWritable is false for what a user must never say about himself.
func selfWritable(name string) bool {
	return name != "sub" && name != "email_verified" && name != "phone_number_verified" && !strings.HasPrefix(name, "dev:")
}

// mayRead says whether the client may see an attribute.
func (c *Client) mayRead(name string) bool {
	if strings.HasPrefix(name, "dev:") {
		return false
	}
	return name == "sub" || c.Settings.ReadAttributes == nil || slices.Contains(c.Settings.ReadAttributes, name)
}

// mayWrite says whether the client may set an attribute for its users.
func (c *Client) mayWrite(name string) bool {
	return selfWritable(name) && (c.Settings.WriteAttributes == nil || slices.Contains(c.Settings.WriteAttributes, name))
}
