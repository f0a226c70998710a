package iam

import (
	"context"
	"reflect"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// iamResources names what an IAM operation acts on: the user, role, group or
// policy that its input names (Service Authorization Reference). The input's
// members have the same names throughout the API, so they are read by name.
func (s *Service) iamResources(c *wire.Call, op string, in any) ([]string, policy.Context) {
	v := reflect.Indirect(reflect.ValueOf(in))
	keys := policy.Context{}
	member := func(name string) string {
		f := v.FieldByName(name)
		if f.IsValid() && f.Kind() == reflect.Pointer && !f.IsNil() {
			f = f.Elem()
		}
		if f.IsValid() && f.Kind() == reflect.String {
			return f.String()
		}
		return ""
	}
	if f := v.FieldByName("Tags"); f.IsValid() {
		if tags, ok := f.Interface().([]iamapi.Tag); ok {
			setRequestTags(keys, tags)
		}
	}
	if f := v.FieldByName("TagKeys"); f.IsValid() {
		if names, ok := f.Interface().([]string); ok {
			keys.Set("aws:TagKeys", names...)
		}
	}
	if arn := member("PolicyArn"); arn != "" {
		keys.Set("iam:PolicyARN", arn)
	}
	if name := member("AWSServiceName"); name != "" {
		keys.Set("iam:AWSServiceName", name)
	}
	if b := member("PermissionsBoundary"); b != "" {
		keys.Set("iam:PermissionsBoundary", b)
	}
	if arn, tags := s.namedOther(member, op); arn != "" {
		return []string{arn}, withTags(withTags(keys, "aws:ResourceTag/", tags), "iam:ResourceTag/", tags)
	}
	for _, name := range []string{"PolicySourceArn", "Arn"} {
		if arn := member(name); arn != "" {
			return []string{arn}, keys
		}
	}
	if meansCaller(op, v) && c.Caller.Kind == policy.PrincipalUser {
		named := member
		member = func(name string) string {
			if name == "UserName" {
				return c.Caller.ARN[strings.LastIndexByte(c.Caller.ARN, '/')+1:]
			}
			return named(name)
		}
	}
	if strings.HasPrefix(op, "List") && !strings.HasSuffix(op, "Tags") && member("UserName") == "" && member("RoleName") == "" && member("GroupName") == "" && member("PolicyArn") == "" {
		return s.listResources(op, member("PathPrefix")), keys
	}
	arns, tags, boundary := s.named(member, op)
	for _, t := range tags {
		keys.Set("aws:ResourceTag/"+t.Key, t.Value)
		keys.Set("iam:ResourceTag/"+t.Key, t.Value)
	}
	if boundary != "" && keys.Get("iam:PermissionsBoundary") == nil {
		keys.Set("iam:PermissionsBoundary", boundary)
	}
	return arns, keys
}

// meansCaller tells of the operations on a user's own things that name no user.
func meansCaller(op string, in reflect.Value) bool {
	if op == "ChangePassword" {
		return true
	}
	name := in.FieldByName("UserName")
	if !name.IsValid() || name.Kind() != reflect.Pointer || !name.IsNil() {
		return false
	}
	all := in.FieldByName("AllUsers")
	return !all.IsValid() || all.IsNil() || !all.Elem().Bool()
}

func setRequestTags(keys policy.Context, tags []iamapi.Tag) {
	var names []string
	for _, t := range tags {
		keys.Set("aws:RequestTag/"+t.Key, t.Value)
		names = append(names, t.Key)
	}
	keys.Set("aws:TagKeys", names...)
}

// listResources are those of operations that list a whole account: AWS decides
// on the path they list below.
func (s *Service) listResources(op, prefix string) []string {
	if prefix == "" {
		prefix = "/"
	}
	switch {
	case op == "ListUsers":
		return []string{s.arn("user", prefix, "")}
	case op == "ListRoles":
		return []string{s.arn("role", prefix, "")}
	case op == "ListGroups":
		return []string{s.arn("group", prefix, "")}
	}
	return []string{"*"}
}

// namedOther finds what an input names besides users, groups, roles and policies,
// with its tags; it is decided on by itself, whoever else is named.
func (s *Service) namedOther(member func(string) string, op string) (arn string, tags []Tag) {
	p := path(wire.String(member("Path")))
	create := strings.HasPrefix(op, "Create") || strings.HasPrefix(op, "Upload")
	_ = s.db.View(context.Background(), func(tx *store.Tx) error { // nothing found leaves the name as it is
		switch name := member("InstanceProfileName"); {
		case name != "":
			if have, err := s.t.profiles.Get(tx, s.cfg.Account, lower(name)); err == nil && !create {
				p, name, tags = have.Path, have.Name, have.Tags
			}
			arn = s.arn("instance-profile", p, name)
		case member("OpenIDConnectProviderArn") != "":
			arn = member("OpenIDConnectProviderArn")
			if have, err := s.getProvider(tx, arn); err == nil {
				tags = have.Tags
			}
		case member("SAMLProviderArn") != "":
			arn = member("SAMLProviderArn")
			if have, err := s.getSAML(tx, arn); err == nil {
				tags = have.Tags
			}
		case op == "CreateSAMLProvider":
			arn = s.arn("saml-provider/", "", member("Name"))
		case member("ServerCertificateName") != "":
			name := member("ServerCertificateName")
			if have, err := s.getServerCert(tx, name); err == nil && !create {
				p, name, tags = have.Path, have.Name, have.Tags
			}
			arn = s.arn("server-certificate", p, name)
		case member("VirtualMFADeviceName") != "":
			arn = s.arn("mfa", p, member("VirtualMFADeviceName"))
		case member("SerialNumber") != "" && member("UserName") == "" && op != "DeactivateMFADevice":
			arn = member("SerialNumber")
			if have, err := s.getDevice(tx, arn); err == nil {
				tags = have.Tags
			}
		case member("AWSServiceName") != "":
			r, _ := linkedRoleOf(member("AWSServiceName"))
			arn = s.arn("role", linkedPath+member("AWSServiceName")+"/", r.role)
		case member("DeletionTaskId") != "":
			if name, ok := strings.CutPrefix(member("DeletionTaskId"), "task"); ok && strings.LastIndexByte(name, '/') > 0 {
				arn = s.arn("role", name[:strings.LastIndexByte(name, '/')], "")
			}
		}
		return nil
	})
	return arn, tags
}

// named finds the entity that an input names, with its tags and boundary. One
// that does not exist yet, or not at all, has the ARN it would have.
func (s *Service) named(member func(string) string, op string) (arns []string, tags []Tag, boundary string) {
	p := member("Path")
	if p == "" {
		p = "/"
	}
	user, role, group, arn := member("UserName"), member("RoleName"), member("GroupName"), member("PolicyArn")
	create := strings.HasPrefix(op, "Create")
	_ = s.db.View(context.Background(), func(tx *store.Tx) error { // nothing found leaves the names as they are
		switch {
		case group != "":
			if g, err := s.t.groups.Get(tx, s.cfg.Account, lower(group)); err == nil && !create {
				p, group = g.Path, g.Name
			}
		case user != "":
			if u, err := s.t.users.Get(tx, s.cfg.Account, lower(user)); err == nil && op != "CreateUser" {
				p, user, tags, boundary = u.Path, u.Name, u.Tags, u.Boundary
			}
		case role != "":
			if r, err := s.t.roles.Get(tx, s.cfg.Account, lower(role)); err == nil && op != "CreateRole" {
				p, role, tags, boundary = r.Path, r.Name, r.Tags, r.Boundary
			}
		case arn != "":
			if r, err := s.getPolicy(tx, arn); err == nil {
				tags = r.Tags
			}
		}
		return nil
	})
	switch {
	case group != "": // adding a user to a group is decided on the group
		return []string{s.arn("group", p, group)}, nil, ""
	case user != "":
		return []string{s.arn("user", p, user)}, tags, boundary
	case role != "":
		return []string{s.arn("role", p, role)}, tags, boundary
	case arn != "":
		return []string{arn}, tags, ""
	case member("PolicyName") != "":
		return []string{s.arn("policy", p, member("PolicyName"))}, nil, ""
	case member("Url") != "":
		_, rest, _ := strings.Cut(member("Url"), "://")
		return []string{s.arn("oidc-provider/", "", strings.TrimSuffix(rest, "/"))}, nil, ""
	}
	return []string{"*"}, nil, ""
}
