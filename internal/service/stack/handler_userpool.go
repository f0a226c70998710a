package stack

import (
	"context"
	"strings"
	"time"

	"moat/internal/service/stack/template"
	"moat/internal/wire"
	"moat/internal/wire/cognitoidpapi"
)

func userPoolHandlers(c cognitoidpapi.Service) map[string]Handler {
	return map[string]Handler{
		"AWS::Cognito::UserPool":               userPool(c),
		"AWS::Cognito::UserPoolClient":         userPoolClient(c),
		"AWS::Cognito::UserPoolDomain":         userPoolDomain(c),
		"AWS::Cognito::UserPoolResourceServer": resourceServer(c),
	}
}

// poolRename: what CreateUserPool and UpdateUserPool do not take by that name.
func poolRename(update bool) map[string]string {
	m := map[string]string{
		"UserPoolName": "PoolName", "EnabledMfas": skip, "EmailAuthenticationMessage": skip, "EmailAuthenticationSubject": skip,
		"WebAuthnRelyingPartyID": skip, "WebAuthnUserVerification": skip, "WebAuthnFactorConfiguration": skip, "UserPoolTags": skip, "LambdaConfig": skip,
	}
	if update {
		for _, p := range []string{"Schema", "AliasAttributes", "UsernameAttributes", "UsernameConfiguration"} {
			m[p] = skip // cannot change; Replaces says so
		}
	}
	return m
}

func userPool(c cognitoidpapi.Service) Handler {
	return Handler{
		Shapes: []Shape{{Operation: "cognito-idp:CreateUserPool", Rename: poolRename(false)}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidpapi.CreateUserPoolRequest{}
			if err := decode(r.Properties, in, poolRename(false)); err != nil {
				return State{}, err
			}
			in.PoolName, in.UserPoolTags = r.named("UserPoolName", 128), r.marked("UserPoolTags")
			if err := decodeLambdaConfig(r, &in.LambdaConfig); err != nil {
				return State{}, err
			}
			in.MfaConfiguration = mfaAtFirst(r, in.MfaConfiguration)
			out, err := c.CreateUserPool(ctx, in)
			if err != nil {
				return State{}, err
			}
			st := poolState(r, wire.Value(out.UserPool.Id), wire.Value(out.UserPool.Arn))
			return st, setMFA(ctx, c, r, st.PhysicalID)
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidpapi.UpdateUserPoolRequest{}
			if err := decode(r.Properties, in, poolRename(true)); err != nil {
				return State{}, err
			}
			in.UserPoolId, in.UserPoolTags = r.PhysicalID, r.marked("UserPoolTags")
			if err := decodeLambdaConfig(r, &in.LambdaConfig); err != nil {
				return State{}, err
			}
			in.MfaConfiguration = mfaAtFirst(r, in.MfaConfiguration)
			if _, err := c.UpdateUserPool(ctx, in); err != nil {
				return State{}, err
			}
			return poolState(r, r.PhysicalID, r.Attributes["Arn"]), setMFA(ctx, c, r, r.PhysicalID)
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteUserPool(ctx, &cognitoidpapi.DeleteUserPoolRequest{UserPoolId: r.PhysicalID})
			return err
		},
		Replaces: func(r *Request) bool {
			return r.changed("AliasAttributes", "UsernameAttributes", "UsernameConfiguration", "Schema")
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) { return findPool(ctx, c, r) },
	}
}

func findPool(ctx context.Context, c cognitoidpapi.Service, r *Request) (State, bool, error) {
	var next *string
	for {
		out, err := c.ListUserPools(ctx, &cognitoidpapi.ListUserPoolsRequest{MaxResults: 60, NextToken: next})
		if err != nil {
			return State{}, false, err
		}
		for _, p := range out.UserPools {
			id := wire.Value(p.Id)
			if wire.Value(p.Name) != r.named("UserPoolName", 128) || id == r.PhysicalID {
				continue
			}
			d, err := c.DescribeUserPool(ctx, &cognitoidpapi.DescribeUserPoolRequest{UserPoolId: id})
			if err == nil && d.UserPool != nil && r.mine(d.UserPool.UserPoolTags) {
				return poolState(r, id, wire.Value(d.UserPool.Arn)), true, nil
			}
		}
		if next = out.NextToken; next == nil {
			return State{}, false, nil
		}
	}
}

func poolState(r *Request, id, arn string) State {
	provider := "cognito-idp." + r.Stack.Region + ".amazonaws.com/" + id
	return State{PhysicalID: id, Attributes: map[string]string{"Arn": arn, "ProviderName": provider, "ProviderURL": "https://" + provider, "UserPoolId": id}}
}

// decodeLambdaConfig reads LambdaConfig apart, because SAM writes it as a map of triggers.
func decodeLambdaConfig(r *Request, to **cognitoidpapi.LambdaConfigType) error {
	v := r.Properties.Get("LambdaConfig")
	if v == nil {
		return nil
	}
	*to = &cognitoidpapi.LambdaConfigType{}
	return decode(v, *to, nil)
}

// mfaAtFirst keeps MFA off until the factors are set, if the template names them, or says what
// passkeys are worth: where MFA is required, one that is worth one factor is refused.
func mfaAtFirst(r *Request, m cognitoidpapi.UserPoolMfaType) cognitoidpapi.UserPoolMfaType {
	if r.Properties.Has("EnabledMfas") || r.Properties.Has("WebAuthnFactorConfiguration") {
		return ""
	}
	return m
}

// setMFA sets the factors of a pool, which CreateUserPool does not take.
func setMFA(ctx context.Context, c cognitoidpapi.Service, r *Request, pool string) error {
	factors, passkeys := r.Properties.Get("EnabledMfas"), webAuthn(r)
	if factors == nil {
		return setWebAuthn(ctx, c, r, passkeys, pool)
	}
	in := &cognitoidpapi.SetUserPoolMfaConfigRequest{UserPoolId: pool, MfaConfiguration: cognitoidpapi.UserPoolMfaType(r.text("MfaConfiguration")), WebAuthnConfiguration: passkeys}
	for _, f := range factors.Elements() {
		switch f.Str() {
		case "SOFTWARE_TOKEN_MFA":
			in.SoftwareTokenMfaConfiguration = &cognitoidpapi.SoftwareTokenMfaConfigType{Enabled: wire.Bool(true)}
		case "SMS_MFA":
			in.SmsMfaConfiguration = &cognitoidpapi.SmsMfaConfigType{}
			if v := r.Properties.Get("SmsConfiguration"); v != nil {
				in.SmsMfaConfiguration.SmsConfiguration = &cognitoidpapi.SmsConfigurationType{}
				if err := decode(v, in.SmsMfaConfiguration.SmsConfiguration, nil); err != nil {
					return err
				}
			}
		case "EMAIL_OTP":
			in.EmailMfaConfiguration = &cognitoidpapi.EmailMfaConfigType{}
			if v := r.text("EmailAuthenticationMessage"); v != "" {
				in.EmailMfaConfiguration.Message = &v
			}
			if v := r.text("EmailAuthenticationSubject"); v != "" {
				in.EmailMfaConfiguration.Subject = &v
			}
		}
	}
	_, err := c.SetUserPoolMfaConfig(ctx, in)
	return err
}

// webAuthn is how a template says that passkeys are used; nil where it does not.
func webAuthn(r *Request) *cognitoidpapi.WebAuthnConfigurationType {
	out := cognitoidpapi.WebAuthnConfigurationType{
		UserVerification:    cognitoidpapi.UserVerificationType(r.text("WebAuthnUserVerification")),
		FactorConfiguration: cognitoidpapi.WebAuthnFactorConfigurationType(r.text("WebAuthnFactorConfiguration")),
	}
	if v := r.text("WebAuthnRelyingPartyID"); v != "" {
		out.RelyingPartyId = &v
	}
	if out == (cognitoidpapi.WebAuthnConfigurationType{}) {
		return nil
	}
	return &out
}

// setWebAuthn sets it, and the MFA that waited for it; the factors stay as they are. A pool that
// requires MFA and names no factor has codes by SMS, as CreateUserPool gives it.
func setWebAuthn(ctx context.Context, c cognitoidpapi.Service, r *Request, passkeys *cognitoidpapi.WebAuthnConfigurationType, pool string) error {
	if passkeys == nil {
		return nil
	}
	now, err := c.GetUserPoolMfaConfig(ctx, &cognitoidpapi.GetUserPoolMfaConfigRequest{UserPoolId: pool})
	if err != nil {
		return err
	}
	in := &cognitoidpapi.SetUserPoolMfaConfigRequest{
		UserPoolId: pool, MfaConfiguration: now.MfaConfiguration, EmailMfaConfiguration: now.EmailMfaConfiguration, SmsMfaConfiguration: now.SmsMfaConfiguration,
		SoftwareTokenMfaConfiguration: now.SoftwareTokenMfaConfiguration, WebAuthnConfiguration: passkeys,
	}
	if m := cognitoidpapi.UserPoolMfaType(r.text("MfaConfiguration")); m != "" {
		in.MfaConfiguration = m
		if m != cognitoidpapi.UserPoolMfaTypeOFF && in.EmailMfaConfiguration == nil && in.SmsMfaConfiguration == nil && in.SoftwareTokenMfaConfiguration == nil {
			in.SmsMfaConfiguration = &cognitoidpapi.SmsMfaConfigType{}
		}
	}
	_, err = c.SetUserPoolMfaConfig(ctx, in)
	return err
}

func userPoolClient(c cognitoidpapi.Service) Handler {
	state := func(r *Request, id, secret string) State {
		st := State{PhysicalID: id, Attributes: map[string]string{"ClientId": id, "Name": r.named("ClientName", 128)}}
		if secret != "" {
			st.Attributes["ClientSecret"] = secret
		}
		return st
	}
	return Handler{
		Shapes: []Shape{{Operation: "cognito-idp:CreateUserPoolClient"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidpapi.CreateUserPoolClientRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			in.ClientName = r.named("ClientName", 128)
			out, err := c.CreateUserPoolClient(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(r, wire.Value(out.UserPoolClient.ClientId), wire.Value(out.UserPoolClient.ClientSecret)), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidpapi.UpdateUserPoolClientRequest{}
			if err := decode(r.Properties, in, map[string]string{"GenerateSecret": skip}); err != nil {
				return State{}, err
			}
			in.ClientId = r.PhysicalID
			if _, err := c.UpdateUserPoolClient(ctx, in); err != nil {
				return State{}, err
			}
			st := state(r, r.PhysicalID, r.Attributes["ClientSecret"])
			if r.text("ClientName") == "" {
				st.Attributes["Name"] = r.Attributes["Name"]
			}
			return st, nil
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteUserPoolClient(ctx, &cognitoidpapi.DeleteUserPoolClientRequest{UserPoolId: r.text("UserPoolId"), ClientId: r.PhysicalID})
			return err
		},
		Replaces: func(r *Request) bool { return r.changed("UserPoolId", "GenerateSecret") },
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.ListUserPoolClients(ctx, &cognitoidpapi.ListUserPoolClientsRequest{UserPoolId: r.text("UserPoolId"), MaxResults: wire.Int32(60)})
			if err != nil {
				return State{}, false, gone(err)
			}
			for _, x := range out.UserPoolClients {
				id := wire.Value(x.ClientId)
				if wire.Value(x.ClientName) != r.named("ClientName", 128) || id == r.PhysicalID || r.Known(id) {
					continue // names are not unique: the client may be another's
				}
				d, err := c.DescribeUserPoolClient(ctx, &cognitoidpapi.DescribeUserPoolClientRequest{UserPoolId: r.text("UserPoolId"), ClientId: id})
				if err == nil && d.UserPoolClient != nil && !wire.Value(d.UserPoolClient.CreationDate).Before(r.Since.Truncate(time.Second)) {
					return state(r, id, wire.Value(d.UserPoolClient.ClientSecret)), true, nil
				}
			}
			return State{}, false, nil
		},
	}
}

func userPoolDomain(c cognitoidpapi.Service) Handler {
	state := func(r *Request) State {
		return State{PhysicalID: r.text("Domain"), Attributes: map[string]string{"CloudFrontDistribution": ""}}
	}
	return Handler{
		Shapes: []Shape{{Operation: "cognito-idp:CreateUserPoolDomain"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidpapi.CreateUserPoolDomainRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			_, err := c.CreateUserPoolDomain(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(r), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidpapi.UpdateUserPoolDomainRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			_, err := c.UpdateUserPoolDomain(ctx, in)
			return state(r), err
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteUserPoolDomain(ctx, &cognitoidpapi.DeleteUserPoolDomainRequest{UserPoolId: r.text("UserPoolId"), Domain: r.text("Domain")})
			return err
		},
		Replaces: func(r *Request) bool { return r.changed("Domain", "UserPoolId") },
		Claims:   func(*Request) bool { return true },
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.DescribeUserPoolDomain(ctx, &cognitoidpapi.DescribeUserPoolDomainRequest{Domain: r.text("Domain")})
			if err != nil || out.DomainDescription == nil {
				return State{}, false, gone(err)
			}
			return state(r), wire.Value(out.DomainDescription.UserPoolId) == r.text("UserPoolId"), nil
		},
	}
}

func resourceServer(c cognitoidpapi.Service) Handler {
	state := func(r *Request) State {
		return State{PhysicalID: r.text("UserPoolId") + "|" + r.text("Identifier"), Ref: r.text("Identifier")}
	}
	return Handler{
		Shapes: []Shape{{Operation: "cognito-idp:CreateResourceServer"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidpapi.CreateResourceServerRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			if _, err := c.CreateResourceServer(ctx, in); err != nil {
				return State{}, err
			}
			return state(r), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidpapi.UpdateResourceServerRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			_, err := c.UpdateResourceServer(ctx, in)
			return state(r), err
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteResourceServer(ctx, &cognitoidpapi.DeleteResourceServerRequest{UserPoolId: r.text("UserPoolId"), Identifier: r.text("Identifier")})
			return err
		},
		Replaces: func(r *Request) bool { return r.changed("Identifier", "UserPoolId") },
		Claims:   func(*Request) bool { return true },
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			_, err := c.DescribeResourceServer(ctx, &cognitoidpapi.DescribeResourceServerRequest{UserPoolId: r.text("UserPoolId"), Identifier: r.text("Identifier")})
			return state(r), err == nil, gone(err)
		},
	}
}

func userHandlers(c cognitoidpapi.Service) map[string]Handler {
	return map[string]Handler{
		"AWS::Cognito::UserPoolGroup":                 group(c),
		"AWS::Cognito::UserPoolUser":                  poolUser(c),
		"AWS::Cognito::UserPoolUserToGroupAttachment": membership(c),
	}
}

func group(c cognitoidpapi.Service) Handler {
	name := func(r *Request) string { return r.named("GroupName", 128) }
	return Handler{
		Shapes: []Shape{{Operation: "cognito-idp:CreateGroup"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidpapi.CreateGroupRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			in.GroupName = name(r)
			if _, err := c.CreateGroup(ctx, in); err != nil {
				return State{}, err
			}
			return State{PhysicalID: in.GroupName}, nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidpapi.UpdateGroupRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			in.GroupName = r.PhysicalID
			_, err := c.UpdateGroup(ctx, in)
			return State{PhysicalID: r.PhysicalID}, err
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteGroup(ctx, &cognitoidpapi.DeleteGroupRequest{UserPoolId: r.text("UserPoolId"), GroupName: r.PhysicalID})
			return err
		},
		Claims: func(r *Request) bool { return r.text("GroupName") != "" },
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			_, err := c.GetGroup(ctx, &cognitoidpapi.GetGroupRequest{UserPoolId: r.text("UserPoolId"), GroupName: name(r)})
			return State{PhysicalID: name(r)}, err == nil, gone(err)
		},
	}
}

func poolUser(c cognitoidpapi.Service) Handler {
	name := func(r *Request) string { return r.named("Username", 128) }
	return Handler{
		Shapes: []Shape{{Operation: "cognito-idp:AdminCreateUser"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidpapi.AdminCreateUserRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			in.Username = name(r)
			out, err := c.AdminCreateUser(ctx, in)
			if err != nil {
				return State{}, err
			}
			st := State{PhysicalID: in.Username}
			if out.User != nil && out.User.Username != nil {
				st.PhysicalID = *out.User.Username
			}
			return st, nil
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.AdminDeleteUser(ctx, &cognitoidpapi.AdminDeleteUserRequest{UserPoolId: r.text("UserPoolId"), Username: r.PhysicalID})
			return err
		},
		Claims: func(r *Request) bool { return r.text("Username") != "" },
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.AdminGetUser(ctx, &cognitoidpapi.AdminGetUserRequest{UserPoolId: r.text("UserPoolId"), Username: name(r)})
			if err != nil {
				return State{}, false, gone(err)
			}
			return State{PhysicalID: out.Username}, true, nil
		},
	}
}

func membership(c cognitoidpapi.Service) Handler {
	return Handler{
		Shapes: []Shape{{Operation: "cognito-idp:AdminAddUserToGroup"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidpapi.AdminAddUserToGroupRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			if _, err := c.AdminAddUserToGroup(ctx, in); err != nil {
				return State{}, err
			}
			return State{PhysicalID: strings.Join([]string{in.UserPoolId, in.GroupName, in.Username}, "|")}, nil
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.AdminRemoveUserFromGroup(ctx, &cognitoidpapi.AdminRemoveUserFromGroupRequest{
				UserPoolId: r.text("UserPoolId"), GroupName: r.text("GroupName"), Username: r.text("Username"),
			})
			return err
		},
	}
}

// mapOf reads a property that is a map of texts.
func mapOf(v *template.Value) map[string]string {
	if v == nil {
		return nil
	}
	out := map[string]string{}
	for _, f := range v.Entries() {
		out[f.Key] = jsonText(f.Value)
	}
	return out
}
