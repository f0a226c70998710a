package userpool

import (
	"context"
	"slices"
	"strings"

	api "moat/internal/wire/cognitoidpapi"
)

// Why tokens are made, as PreTokenGeneration is told.
const (
	issuedBySignIn      = "Authentication"
	issuedByNewPassword = "NewPasswordChallenge"
	issuedByRefresh     = "RefreshTokens"
	issuedToClient      = "ClientCredentials"
)

type tokenGroups struct {
	Groups    []string `json:"groupsToOverride"`
	Roles     []string `json:"iamRolesToOverride"`
	Preferred *string  `json:"preferredRole"`
}

type tokenRequest struct {
	UserAttributes map[string]string `json:"userAttributes,omitempty"`
	Scopes         []string          `json:"scopes,omitempty"`
	Groups         *tokenGroups      `json:"groupConfiguration,omitempty"`
	ClientMetadata map[string]string `json:"clientMetadata,omitempty"`
}

// tokenOverride is what a function changes of one token.
type tokenOverride struct {
	Set            map[string]any `json:"claimsToAddOrOverride,omitempty"`
	Suppress       []string       `json:"claimsToSuppress,omitempty"`
	AddScopes      []string       `json:"scopesToAdd,omitempty"`
	SuppressScopes []string       `json:"scopesToSuppress,omitempty"`
}

type tokenResponse struct {
	// Of events of version 1.
	Claims *struct {
		tokenOverride
		Groups *tokenGroups `json:"groupOverrideDetails,omitempty"`
	} `json:"claimsOverrideDetails"`
	// Of versions 2 and 3.
	ClaimsAndScopes *struct {
		ID     *tokenOverride `json:"idTokenGeneration,omitempty"`
		Access *tokenOverride `json:"accessTokenGeneration,omitempty"`
		Groups *tokenGroups   `json:"groupOverrideDetails,omitempty"`
	} `json:"claimsAndScopeOverrideDetails"`
}

// overrides is the outcome of PreTokenGeneration; the zero value changes nothing.
type overrides struct {
	id, access tokenOverride
	groups     *tokenGroups
}

// tokenFunction is the pool's PreTokenGeneration function and the version of its event.
func (p *Pool) tokenFunction() (function, version string) {
	l := p.lambda()
	if c := l.PreTokenGenerationConfig; c != nil {
		return c.LambdaArn, strings.TrimSuffix(strings.TrimPrefix(string(c.LambdaVersion), "V"), "_0")
	}
	return deref(l.PreTokenGeneration), "1"
}

// preTokenGeneration asks the pool's function what the tokens of a user shall say.
func (s *Service) preTokenGeneration(ctx context.Context, p *Pool, u *User, groups []Group, scope, why string, on occasion) (overrides, error) {
	var out overrides
	function, version := p.tokenFunction()
	if function == "" {
		return out, nil
	}
	g := &tokenGroups{Groups: []string{}, Roles: []string{}}
	for i := range groups {
		g.Groups = append(g.Groups, groups[i].Name)
	}
	roles, preferred := groupRoles(groups)
	g.Roles = append(g.Roles, roles...)
	if preferred != "" {
		g.Preferred = &preferred
	}
	request := tokenRequest{UserAttributes: eventAttributes(u), Groups: g, ClientMetadata: on.metadata}
	if version != "1" {
		request.Scopes = strings.Fields(scope)
	}
	err := s.tokenCall(ctx, p, call{function: function, version: version, source: why, user: u.Name, on: on, request: request}, &out)
	return out, err
}

// preClientToken is preTokenGeneration for a client's own token, which only functions
// of version 3 hear of.
func (s *Service) preClientToken(ctx context.Context, p *Pool, scopes []string, on occasion) (overrides, error) {
	var out overrides
	function, version := p.tokenFunction()
	if function == "" || version != "3" {
		return out, nil
	}
	request := tokenRequest{Scopes: scopes, ClientMetadata: on.metadata}
	err := s.tokenCall(ctx, p, call{function: function, version: version, source: issuedToClient, on: on, request: request}, &out)
	return out, err
}

func (s *Service) tokenCall(ctx context.Context, p *Pool, c call, out *overrides) error {
	var r tokenResponse
	c.name, c.response = "TokenGeneration", &r
	err := s.fire(ctx, p, c)
	if err != nil {
		return renamed(err, "TokenGeneration", "PreTokenGeneration")
	}
	switch {
	case c.version == "1" && r.Claims != nil:
		for _, v := range r.Claims.Set {
			if _, text := v.(string); !text {
				return refuse(lambdaUnreadable, "Unrecognizable lambda output")
			}
		}
		out.id.Set, out.id.Suppress, out.groups = r.Claims.Set, r.Claims.Suppress, r.Claims.Groups
	case c.version != "1" && r.ClaimsAndScopes != nil:
		d := r.ClaimsAndScopes
		if d.ID != nil {
			out.id = *d.ID
		}
		if d.Access != nil {
			out.access = *d.Access
		}
		out.groups = d.Groups
	}
	return nil
}

// renamed gives a refusal the trigger's name: its source is called differently.
func renamed(err error, from, to string) error {
	if f, ok := err.(*fault); ok {
		return refuse(f.kind, strings.Replace(f.text, from, to, 1))
	}
	return err
}

// fixed are the claims that no function changes: they say who, for whom and until when.
func fixed(name string) bool {
	if strings.HasPrefix(name, "cognito:") || strings.HasPrefix(name, "dev:") {
		return true
	}
	return slices.Contains([]string{
		"acr", "amr", "at_hash", "auth_time", "azp", "client_id", "device_key", "event_id", "exp", "iat", "identities", "iss", "jti",
		"nbf", "nonce", "origin_jti", "scope", "sub", "token_use", "username", "version",
	}, name)
}

// apply changes the claims of a token. What is fixed stays, whatever the function says.
func (o *tokenOverride) apply(c *claims, clientID string) {
	use := c.get("token_use")
	for name, value := range o.Set {
		if fixed(name) || name == "aud" && (use == "id" || value != clientID) {
			continue
		}
		*c = append(*c, claimed{name, value})
	}
	if len(o.Suppress) > 0 {
		gone := map[string]bool{}
		for _, name := range o.Suppress {
			gone[name] = !fixed(name) && name != "aud"
		}
		c.drop(gone)
	}
	scope, has := c.get("scope").(string)
	if !has || len(o.AddScopes)+len(o.SuppressScopes) == 0 {
		return
	}
	list := slices.DeleteFunc(strings.Fields(scope), func(s string) bool { return slices.Contains(o.SuppressScopes, s) })
	for _, add := range o.AddScopes {
		if add != "" && !strings.ContainsAny(add, " \t\r\n") && !slices.Contains(list, add) {
			list = append(list, add)
		}
	}
	*c = append(*c, claimed{"scope", strings.Join(list, " ")})
}

// applyGroups replaces the groups and roles that the tokens name.
func (o *overrides) applyGroups(access, id *claims) {
	if o.groups == nil {
		return
	}
	replace := func(c *claims, name string, value any, some bool) {
		c.drop(map[string]bool{name: true})
		if some {
			*c = append(*c, claimed{name, value})
		}
	}
	if names := o.groups.Groups; names != nil {
		replace(access, "cognito:groups", names, len(names) > 0)
		replace(id, "cognito:groups", names, len(names) > 0)
	}
	if roles := o.groups.Roles; roles != nil {
		replace(id, "cognito:roles", roles, len(roles) > 0)
	}
	if preferred := o.groups.Preferred; preferred != nil {
		replace(id, "cognito:preferred_role", *preferred, *preferred != "")
	}
}

// checkLambda checks the triggers of a pool.
func checkLambda(l *api.LambdaConfigType) error {
	if l == nil {
		return nil
	}
	if c := l.PreTokenGenerationConfig; c != nil && l.PreTokenGeneration != nil && *l.PreTokenGeneration != c.LambdaArn {
		return refuse(invalidParameter, "PreTokenGeneration and PreTokenGenerationConfig must name the same function.")
	}
	return nil
}
