package stack

import (
	"context"

	"moat/internal/service/stack/template"
	"moat/internal/wire"
	"moat/internal/wire/cognitoidentityapi"
)

func identityPoolHandlers(c cognitoidentityapi.Service) map[string]Handler {
	return map[string]Handler{
		"AWS::Cognito::IdentityPool":               identityPool(c),
		"AWS::Cognito::IdentityPoolRoleAttachment": roleAttachment(c),
		"AWS::Cognito::IdentityPoolPrincipalTag":   principalTag(c),
	}
}

var identityPoolRename = map[string]string{
	"IdentityPoolTags": skip, "CognitoEvents": skip, "CognitoStreams": skip, "PushSync": skip,
}

func identityPool(c cognitoidentityapi.Service) Handler {
	state := func(id, name string) State {
		return State{PhysicalID: id, Attributes: map[string]string{"Id": id, "Name": name}}
	}
	return Handler{
		Shapes: []Shape{{Operation: "cognito-identity:CreateIdentityPool", Rename: identityPoolRename}},
		Refuses: func(known *template.Value) []Refusal {
			const sync = "Cognito Sync is not built"
			return refusals(known, map[string]string{"CognitoEvents": sync, "CognitoStreams": sync, "PushSync": sync})
		},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidentityapi.CreateIdentityPoolInput{}
			if err := decode(r.Properties, in, identityPoolRename); err != nil {
				return State{}, err
			}
			in.IdentityPoolName, in.IdentityPoolTags = r.named("IdentityPoolName", 128), r.marked("IdentityPoolTags")
			out, err := c.CreateIdentityPool(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(out.IdentityPoolId, out.IdentityPoolName), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			in := &cognitoidentityapi.IdentityPool{}
			if err := decode(r.Properties, in, identityPoolRename); err != nil {
				return State{}, err
			}
			in.IdentityPoolId, in.IdentityPoolTags = r.PhysicalID, r.marked("IdentityPoolTags")
			if in.IdentityPoolName == "" {
				in.IdentityPoolName = r.Attributes["Name"]
			}
			out, err := c.UpdateIdentityPool(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(r.PhysicalID, out.IdentityPoolName), nil
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteIdentityPool(ctx, &cognitoidentityapi.DeleteIdentityPoolInput{IdentityPoolId: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.ListIdentityPools(ctx, &cognitoidentityapi.ListIdentityPoolsInput{MaxResults: 60})
			if err != nil {
				return State{}, false, err
			}
			for _, p := range out.IdentityPools {
				id := wire.Value(p.IdentityPoolId)
				if wire.Value(p.IdentityPoolName) != r.named("IdentityPoolName", 128) || id == r.PhysicalID {
					continue
				}
				d, err := c.DescribeIdentityPool(ctx, &cognitoidentityapi.DescribeIdentityPoolInput{IdentityPoolId: id})
				if err == nil && r.mine(d.IdentityPoolTags) {
					return state(id, d.IdentityPoolName), true, nil
				}
			}
			return State{}, false, nil
		},
	}
}

func roleAttachment(c cognitoidentityapi.Service) Handler {
	put := func(ctx context.Context, r *Request) (State, error) {
		in := &cognitoidentityapi.SetIdentityPoolRolesInput{IdentityPoolId: r.text("IdentityPoolId"), Roles: mapOf(r.Properties.Get("Roles"))}
		if in.Roles == nil {
			in.Roles = map[string]string{}
		}
		for _, f := range r.Properties.Get("RoleMappings").Entries() {
			var m cognitoidentityapi.RoleMapping
			if err := decode(f.Value, &m, map[string]string{"IdentityProvider": skip}); err != nil {
				return State{}, err
			}
			name := f.Key // a provider's name may be given inside, since a key cannot be an expression
			if p, ok := f.Value.Get("IdentityProvider").Scalar(); ok {
				name = p
			}
			if in.RoleMappings == nil {
				in.RoleMappings = map[string]cognitoidentityapi.RoleMapping{}
			}
			in.RoleMappings[name] = m
		}
		if _, err := c.SetIdentityPoolRoles(ctx, in); err != nil {
			return State{}, err
		}
		id := in.IdentityPoolId + "-roles"
		return State{PhysicalID: id, Attributes: map[string]string{"Id": id}}, nil
	}
	return Handler{
		Create: put,
		Update: put,
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.SetIdentityPoolRoles(ctx, &cognitoidentityapi.SetIdentityPoolRolesInput{IdentityPoolId: r.text("IdentityPoolId"), Roles: map[string]string{}})
			return err
		},
	}
}

// principalTag maps claims of a provider to tags; without the resource no claim
// becomes a tag.
func principalTag(c cognitoidentityapi.Service) Handler {
	put := func(ctx context.Context, r *Request) (State, error) {
		in := &cognitoidentityapi.SetPrincipalTagAttributeMapInput{}
		if err := decode(r.Properties, in, nil); err != nil {
			return State{}, err
		}
		if _, err := c.SetPrincipalTagAttributeMap(ctx, in); err != nil {
			return State{}, err
		}
		return State{PhysicalID: in.IdentityPoolId + "|" + in.IdentityProviderName}, nil
	}
	return Handler{
		Shapes: []Shape{{Operation: "cognito-identity:SetPrincipalTagAttributeMap"}},
		Create: put,
		Update: put,
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.SetPrincipalTagAttributeMap(ctx, &cognitoidentityapi.SetPrincipalTagAttributeMapInput{
				IdentityPoolId: r.text("IdentityPoolId"), IdentityProviderName: r.text("IdentityProviderName"), UseDefaults: wire.Bool(false),
			})
			return err
		},
	}
}
