package stack

import (
	"context"
	"strings"
	"time"

	"moat/internal/service/stack/template"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

func roleHandlers(c iamapi.Service) map[string]Handler {
	return map[string]Handler{
		"AWS::IAM::Role":          iamRole(c),
		"AWS::IAM::Policy":        inlinePolicy(c),
		"AWS::IAM::ManagedPolicy": managedPolicy(c),
	}
}

func iamTags(r *Request) []iamapi.Tag {
	var out []iamapi.Tag
	tags := r.marked("Tags")
	for _, k := range sortedKeys(tags) {
		out = append(out, iamapi.Tag{Key: k, Value: tags[k]})
	}
	return out
}

// inlineOf returns the Policies of a role or user: name to document.
func inlineOf(props *template.Value) map[string]string {
	out := map[string]string{}
	for _, p := range props.Get("Policies").Elements() {
		name, _ := p.Get("PolicyName").Scalar()
		out[name] = jsonText(p.Get("PolicyDocument"))
	}
	return out
}

func textsOf(v *template.Value) []string {
	var out []string
	for _, x := range v.Elements() {
		if s, ok := x.Scalar(); ok {
			out = append(out, s)
		}
	}
	return out
}

// attachments are the calls that differ between roles and users.
type attachments struct {
	put, remove, attach, detach func(ctx context.Context, owner, policy, document string) error
}

// reconcile brings inline and attached policies from one set of properties to another.
func (a attachments) reconcile(ctx context.Context, owner string, from, to *template.Value) error {
	was, is := inlineOf(from), inlineOf(to)
	for _, name := range sortedKeys(is) {
		if was[name] != is[name] {
			if err := a.put(ctx, owner, name, is[name]); err != nil {
				return err
			}
		}
	}
	attached, wanted := setOf(textsOf(from.Get("ManagedPolicyArns"))), setOf(textsOf(to.Get("ManagedPolicyArns")))
	for _, arn := range sortedKeys(wanted) {
		if !attached[arn] {
			if err := a.attach(ctx, owner, arn, ""); err != nil {
				return err
			}
		}
	}
	for _, arn := range sortedKeys(attached) {
		if !wanted[arn] {
			if err := gone(a.detach(ctx, owner, arn, "")); err != nil {
				return err
			}
		}
	}
	for _, name := range sortedKeys(was) {
		if _, kept := is[name]; !kept {
			if err := gone(a.remove(ctx, owner, name, "")); err != nil {
				return err
			}
		}
	}
	return nil
}

func setOf(list []string) map[string]bool {
	out := map[string]bool{}
	for _, s := range list {
		out[s] = true
	}
	return out
}

func roleAttachments(c iamapi.Service) attachments {
	return attachments{
		put: func(ctx context.Context, role, name, doc string) error {
			_, err := c.PutRolePolicy(ctx, &iamapi.PutRolePolicyRequest{RoleName: role, PolicyName: name, PolicyDocument: doc})
			return err
		},
		remove: func(ctx context.Context, role, name, _ string) error {
			_, err := c.DeleteRolePolicy(ctx, &iamapi.DeleteRolePolicyRequest{RoleName: role, PolicyName: name})
			return err
		},
		attach: func(ctx context.Context, role, arn, _ string) error {
			_, err := c.AttachRolePolicy(ctx, &iamapi.AttachRolePolicyRequest{RoleName: role, PolicyArn: arn})
			return err
		},
		detach: func(ctx context.Context, role, arn, _ string) error {
			_, err := c.DetachRolePolicy(ctx, &iamapi.DetachRolePolicyRequest{RoleName: role, PolicyArn: arn})
			return err
		},
	}
}

func userAttachments(c iamapi.Service) attachments {
	return attachments{
		put: func(ctx context.Context, user, name, doc string) error {
			_, err := c.PutUserPolicy(ctx, &iamapi.PutUserPolicyRequest{UserName: user, PolicyName: name, PolicyDocument: doc})
			return err
		},
		remove: func(ctx context.Context, user, name, _ string) error {
			_, err := c.DeleteUserPolicy(ctx, &iamapi.DeleteUserPolicyRequest{UserName: user, PolicyName: name})
			return err
		},
		attach: func(ctx context.Context, user, arn, _ string) error {
			_, err := c.AttachUserPolicy(ctx, &iamapi.AttachUserPolicyRequest{UserName: user, PolicyArn: arn})
			return err
		},
		detach: func(ctx context.Context, user, arn, _ string) error {
			_, err := c.DetachUserPolicy(ctx, &iamapi.DetachUserPolicyRequest{UserName: user, PolicyArn: arn})
			return err
		},
	}
}

var roleRename = map[string]string{"Policies": skip, "ManagedPolicyArns": skip, "Tags": skip}

func iamRole(c iamapi.Service) Handler {
	a := roleAttachments(c)
	none := template.NewMap()
	return Handler{
		Shapes: []Shape{{Operation: "iam:CreateRole", Rename: roleRename}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &iamapi.CreateRoleRequest{}
			if err := decode(r.Properties, in, roleRename); err != nil {
				return State{}, err
			}
			in.RoleName, in.Tags = r.named("RoleName", 64), iamTags(r)
			out, err := c.CreateRole(ctx, in)
			if err != nil {
				return State{}, err
			}
			st := State{PhysicalID: in.RoleName, Attributes: map[string]string{"Arn": out.Role.Arn, "RoleId": out.Role.RoleId}}
			return st, a.reconcile(ctx, in.RoleName, none, r.Properties)
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			return State{PhysicalID: r.PhysicalID, Attributes: r.Attributes}, updateRole(ctx, c, a, r)
		},
		Delete: func(ctx context.Context, r *Request) error {
			if err := a.reconcile(ctx, r.PhysicalID, r.Properties, none); err != nil {
				return err
			}
			_, err := c.DeleteRole(ctx, &iamapi.DeleteRoleRequest{RoleName: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.GetRole(ctx, &iamapi.GetRoleRequest{RoleName: r.named("RoleName", 64)})
			if err != nil || out.Role == nil {
				return State{}, false, gone(err)
			}
			tags := map[string]string{}
			for _, t := range out.Role.Tags {
				tags[t.Key] = t.Value
			}
			if r.text("RoleName") != "" && !r.mine(tags) {
				return State{}, false, nil
			}
			return State{PhysicalID: out.Role.RoleName, Attributes: map[string]string{"Arn": out.Role.Arn, "RoleId": out.Role.RoleId}}, true, nil
		},
	}
}

func updateRole(ctx context.Context, c iamapi.Service, a attachments, r *Request) error {
	in := &iamapi.CreateRoleRequest{}
	if err := decode(r.Properties, in, roleRename); err != nil {
		return err
	}
	if r.changed("AssumeRolePolicyDocument") {
		if _, err := c.UpdateAssumeRolePolicy(ctx, &iamapi.UpdateAssumeRolePolicyRequest{RoleName: r.PhysicalID, PolicyDocument: in.AssumeRolePolicyDocument}); err != nil {
			return err
		}
	}
	if r.changed("Description", "MaxSessionDuration") {
		if _, err := c.UpdateRole(ctx, &iamapi.UpdateRoleRequest{RoleName: r.PhysicalID, Description: in.Description, MaxSessionDuration: in.MaxSessionDuration}); err != nil {
			return err
		}
	}
	if r.changed("PermissionsBoundary") {
		var err error
		if in.PermissionsBoundary != nil {
			_, err = c.PutRolePermissionsBoundary(ctx, &iamapi.PutRolePermissionsBoundaryRequest{RoleName: r.PhysicalID, PermissionsBoundary: *in.PermissionsBoundary})
		} else {
			_, err = c.DeleteRolePermissionsBoundary(ctx, &iamapi.DeleteRolePermissionsBoundaryRequest{RoleName: r.PhysicalID})
		}
		if err != nil {
			return err
		}
	}
	if r.changed("Tags") {
		if err := retagRole(ctx, c, r); err != nil {
			return err
		}
	}
	return a.reconcile(ctx, r.PhysicalID, r.Previous, r.Properties)
}

// inlinePolicy is AWS::IAM::Policy: one document in several roles and users.
func inlinePolicy(c iamapi.Service) Handler {
	roles, users := roleAttachments(c), userAttachments(c)
	apply := func(ctx context.Context, r *Request, from, to *template.Value) error {
		if v := to.Get("Groups"); !v.Empty() {
			return wire.NotImplementedBecause("cloudformation", r.Type, "policies of groups are not implemented")
		}
		for _, kind := range []struct {
			property string
			a        attachments
		}{{"Roles", roles}, {"Users", users}} {
			now := setOf(textsOf(to.Get(kind.property)))
			for _, owner := range sortedKeys(now) {
				name, _ := to.Get("PolicyName").Scalar()
				if err := kind.a.put(ctx, owner, name, jsonText(to.Get("PolicyDocument"))); err != nil {
					return err
				}
			}
			old, _ := from.Get("PolicyName").Scalar()
			for _, owner := range textsOf(from.Get(kind.property)) {
				if name, _ := to.Get("PolicyName").Scalar(); now[owner] && name == old {
					continue
				}
				if err := gone(kind.a.remove(ctx, owner, old, "")); err != nil {
					return err
				}
			}
		}
		return nil
	}
	none := template.NewMap()
	return Handler{
		Create: func(ctx context.Context, r *Request) (State, error) {
			id := fit(r.Name, 128)
			return State{PhysicalID: id, Attributes: map[string]string{"Id": id}}, apply(ctx, r, none, r.Properties)
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			return State{PhysicalID: r.PhysicalID, Attributes: r.Attributes}, apply(ctx, r, r.Previous, r.Properties)
		},
		Delete: func(ctx context.Context, r *Request) error { return apply(ctx, r, r.Properties, none) },
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			id := fit(r.Name, 128)
			for _, role := range textsOf(r.Properties.Get("Roles")) {
				if _, err := c.GetRolePolicy(ctx, &iamapi.GetRolePolicyRequest{RoleName: role, PolicyName: r.text("PolicyName")}); err == nil {
					return State{PhysicalID: id, Attributes: map[string]string{"Id": id}}, true, nil
				}
			}
			for _, user := range textsOf(r.Properties.Get("Users")) {
				if _, err := c.GetUserPolicy(ctx, &iamapi.GetUserPolicyRequest{UserName: user, PolicyName: r.text("PolicyName")}); err == nil {
					return State{PhysicalID: id, Attributes: map[string]string{"Id": id}}, true, nil
				}
			}
			return State{}, false, nil
		},
		Claims: func(*Request) bool { return true },
	}
}

// managedPolicy is a policy of its own, attached to roles and users.
func managedPolicy(c iamapi.Service) Handler {
	roles, users := roleAttachments(c), userAttachments(c)
	attach := func(ctx context.Context, arn string, from, to *template.Value) error {
		for _, kind := range []struct {
			property string
			a        attachments
		}{{"Roles", roles}, {"Users", users}} {
			was, is := setOf(textsOf(from.Get(kind.property))), setOf(textsOf(to.Get(kind.property)))
			for _, owner := range sortedKeys(is) {
				if !was[owner] {
					if err := kind.a.attach(ctx, owner, arn, ""); err != nil {
						return err
					}
				}
			}
			for _, owner := range sortedKeys(was) {
				if !is[owner] {
					if err := gone(kind.a.detach(ctx, owner, arn, "")); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	none := template.NewMap()
	rename := map[string]string{"ManagedPolicyName": skip, "Roles": skip, "Users": skip, "Groups": skip}
	return Handler{
		Shapes:  []Shape{{Operation: "iam:CreatePolicy", Rename: rename}},
		Refuses: unbuilt("Groups"),
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &iamapi.CreatePolicyRequest{}
			if err := decode(r.Properties, in, rename); err != nil {
				return State{}, err
			}
			in.PolicyName = r.named("ManagedPolicyName", 128)
			out, err := c.CreatePolicy(ctx, in)
			if err != nil {
				return State{}, err
			}
			arn := wire.Value(out.Policy.Arn)
			st := State{PhysicalID: arn, Attributes: map[string]string{"PolicyArn": arn, "PolicyId": wire.Value(out.Policy.PolicyId), "DefaultVersionId": wire.Value(out.Policy.DefaultVersionId)}}
			return st, attach(ctx, arn, none, r.Properties)
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			if r.changed("PolicyDocument") {
				if err := newPolicyVersion(ctx, c, r); err != nil {
					return State{}, err
				}
			}
			return State{PhysicalID: r.PhysicalID, Attributes: r.Attributes}, attach(ctx, r.PhysicalID, r.Previous, r.Properties)
		},
		Delete: func(ctx context.Context, r *Request) error {
			if err := attach(ctx, r.PhysicalID, r.Properties, none); err != nil {
				return err
			}
			if err := dropPolicyVersions(ctx, c, r.PhysicalID); err != nil {
				return err
			}
			_, err := c.DeletePolicy(ctx, &iamapi.DeletePolicyRequest{PolicyArn: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			path := r.text("Path")
			if path == "" {
				path = "/"
			}
			arn := "arn:aws:iam::" + r.Stack.Account + ":policy" + path + r.named("ManagedPolicyName", 128)
			out, err := c.GetPolicy(ctx, &iamapi.GetPolicyRequest{PolicyArn: arn})
			if err != nil || out.Policy == nil {
				return State{}, false, gone(err)
			}
			return State{PhysicalID: arn, Attributes: map[string]string{"PolicyArn": arn, "PolicyId": wire.Value(out.Policy.PolicyId)}}, true, nil
		},
		Claims: func(r *Request) bool { return r.text("ManagedPolicyName") != "" },
	}
}

// newPolicyVersion makes the document the default version; older ones are dropped,
// since a policy has room for five.
func newPolicyVersion(ctx context.Context, c iamapi.Service, r *Request) error {
	_, err := c.CreatePolicyVersion(ctx, &iamapi.CreatePolicyVersionRequest{
		PolicyArn: r.PhysicalID, PolicyDocument: jsonText(r.Properties.Get("PolicyDocument")), SetAsDefault: wire.Bool(true),
	})
	if err != nil {
		return err
	}
	return dropPolicyVersions(ctx, c, r.PhysicalID)
}

func dropPolicyVersions(ctx context.Context, c iamapi.Service, arn string) error {
	out, err := c.ListPolicyVersions(ctx, &iamapi.ListPolicyVersionsRequest{PolicyArn: arn})
	if err != nil {
		return gone(err)
	}
	for _, v := range out.Versions {
		if wire.Value(v.IsDefaultVersion) {
			continue
		}
		_, err := c.DeletePolicyVersion(ctx, &iamapi.DeletePolicyVersionRequest{PolicyArn: arn, VersionId: wire.Value(v.VersionId)})
		if gone(err) != nil {
			return err
		}
	}
	return nil
}

func principalHandlers(c iamapi.Service) map[string]Handler {
	a := userAttachments(c)
	none := template.NewMap()
	rename := map[string]string{"Policies": skip, "ManagedPolicyArns": skip, "Tags": skip, "Groups": skip, "LoginProfile": skip}
	user := Handler{
		Shapes:  []Shape{{Operation: "iam:CreateUser", Rename: rename}},
		Refuses: unbuilt("Groups", "LoginProfile"),
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &iamapi.CreateUserRequest{}
			if err := decode(r.Properties, in, rename); err != nil {
				return State{}, err
			}
			in.UserName, in.Tags = r.named("UserName", 64), iamTags(r)
			out, err := c.CreateUser(ctx, in)
			if err != nil {
				return State{}, err
			}
			st := State{PhysicalID: in.UserName, Attributes: map[string]string{"Arn": out.User.Arn}}
			return st, a.reconcile(ctx, in.UserName, none, r.Properties)
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			if r.changed("Path", "PermissionsBoundary") {
				return State{}, wire.NotImplementedBecause("cloudformation", r.Type, "only Policies, ManagedPolicyArns and Tags of a user can be updated")
			}
			if r.changed("Tags") {
				if err := retagUser(ctx, c, r); err != nil {
					return State{}, err
				}
			}
			return State{PhysicalID: r.PhysicalID, Attributes: r.Attributes}, a.reconcile(ctx, r.PhysicalID, r.Previous, r.Properties)
		},
		Delete: func(ctx context.Context, r *Request) error {
			if err := a.reconcile(ctx, r.PhysicalID, r.Properties, none); err != nil {
				return err
			}
			_, err := c.DeleteUser(ctx, &iamapi.DeleteUserRequest{UserName: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			name := r.named("UserName", 64)
			out, err := c.GetUser(ctx, &iamapi.GetUserRequest{UserName: &name})
			if err != nil || out.User == nil {
				return State{}, false, gone(err)
			}
			return State{PhysicalID: name, Attributes: map[string]string{"Arn": out.User.Arn}}, true, nil
		},
		Claims: func(r *Request) bool { return r.text("UserName") != "" },
	}
	return map[string]Handler{"AWS::IAM::User": user, "AWS::IAM::AccessKey": accessKey(c)}
}

func accessKey(c iamapi.Service) Handler {
	status := func(ctx context.Context, r *Request, id string) error {
		s := r.text("Status")
		if s == "" || s == "Active" && r.Previous == nil {
			return nil
		}
		user := r.text("UserName")
		_, err := c.UpdateAccessKey(ctx, &iamapi.UpdateAccessKeyRequest{UserName: &user, AccessKeyId: id, Status: iamapi.StatusType(s)})
		return err
	}
	return Handler{
		Create: func(ctx context.Context, r *Request) (State, error) {
			user := r.text("UserName")
			out, err := c.CreateAccessKey(ctx, &iamapi.CreateAccessKeyRequest{UserName: &user})
			if err != nil {
				return State{}, err
			}
			id := out.AccessKey.AccessKeyId
			return State{PhysicalID: id, Attributes: map[string]string{"Id": id, "SecretAccessKey": out.AccessKey.SecretAccessKey}}, status(ctx, r, id)
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			return State{PhysicalID: r.PhysicalID, Attributes: r.Attributes}, status(ctx, r, r.PhysicalID)
		},
		Delete: func(ctx context.Context, r *Request) error {
			user := r.text("UserName")
			_, err := c.DeleteAccessKey(ctx, &iamapi.DeleteAccessKeyRequest{UserName: &user, AccessKeyId: r.PhysicalID})
			return err
		},
		Replaces: func(r *Request) bool { return r.changed("Serial", "UserName") },
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			user := r.text("UserName")
			out, err := c.ListAccessKeys(ctx, &iamapi.ListAccessKeysRequest{UserName: &user})
			if err != nil {
				return State{}, false, gone(err)
			}
			for _, k := range out.AccessKeyMetadata {
				id := wire.Value(k.AccessKeyId)
				if id != r.PhysicalID && !r.Known(id) && !wire.Value(k.CreateDate).Before(r.Since.Truncate(time.Second)) {
					return State{PhysicalID: id, Attributes: map[string]string{"Id": id}}, true, nil
				}
			}
			return State{}, false, nil
		},
	}
}

// lastPart is what follows the last separator of an id.
func lastPart(id, sep string) string { return id[strings.LastIndex(id, sep)+1:] }
