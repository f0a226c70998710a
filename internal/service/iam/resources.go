package iam

import (
	"context"
	"reflect"
	"strconv"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// subject is the user, role or other resource that an operation acts on.
type subject struct {
	arns     []string
	tags     []Tag
	boundary string
}

// iamResources names what an IAM operation acts on: the user, role, group or policy that
// its input names (Service Authorization Reference).
func (s *Service) iamResources(ops map[string]*wire.Operation) func(*wire.Call, string, any) []wire.Need {
	return func(c *wire.Call, name string, in any) []wire.Need {
		op := ops[name]
		if op == nil || len(op.On) == 0 {
			return wire.Needs(requestKeys(op, in), "*")
		}
		keys := requestKeys(op, in)
		of := s.subject(c, op, in)
		for _, t := range of.tags {
			for _, k := range []string{"aws:ResourceTag/" + t.Key, "iam:ResourceTag/" + t.Key} {
				if op.Lists(k) {
					keys.Set(k, t.Value)
				}
			}
		}
		if of.boundary != "" && keys.Get("iam:PermissionsBoundary") == nil && op.Lists("iam:PermissionsBoundary") {
			keys.Set("iam:PermissionsBoundary", of.boundary)
		}
		return append(wire.Needs(keys, of.arns...), further(op, of, keys)...)
	}
}

// further is the permission to tag what an operation makes.
func further(op *wire.Operation, of subject, keys policy.Context) []wire.Need {
	if !strings.HasPrefix(op.Name, "Create") && !strings.HasPrefix(op.Name, "Upload") || len(op.Also) == 0 || keys.Get("aws:TagKeys") == nil {
		return nil
	}
	tagging := policy.Context{}
	for k, v := range keys {
		if strings.HasPrefix(k, "aws:requesttag/") || k == "aws:tagkeys" {
			tagging[k] = v
		}
	}
	return []wire.Need{{Action: op.Also[0], Resource: of.arns[0], Keys: tagging}}
}

// requestKeys are the condition keys that an input brings and its operation lists.
func requestKeys(op *wire.Operation, in any) policy.Context {
	keys := policy.Context{}
	if op == nil {
		return keys
	}
	v := reflect.Indirect(reflect.ValueOf(in))
	if f := v.FieldByName("Tags"); f.IsValid() {
		if tags, ok := f.Interface().([]iamapi.Tag); ok {
			setRequestTags(keys, tags)
		}
	}
	if f := v.FieldByName("TagKeys"); f.IsValid() {
		if names, ok := f.Interface().([]string); ok {
			wire.TagKeys(keys, names...)
		}
	}
	if r, ok := in.(*iamapi.CreateServiceSpecificCredentialRequest); ok && r.CredentialAgeDays != nil {
		keys.Set("iam:ServiceSpecificCredentialAgeDays", strconv.Itoa(int(*r.CredentialAgeDays)))
	}
	for key, member := range map[string]string{
		"iam:PolicyARN": "PolicyArn", "iam:PermissionsBoundary": "PermissionsBoundary", "iam:AWSServiceName": "AWSServiceName",
		"iam:OrganizationsPolicyId": "OrganizationsPolicyId", "iam:DelegationRequestOwner": "OwnerId", "iam:NotificationChannel": "NotificationChannel",
		"iam:ServiceSpecificCredentialServiceName": "ServiceName",
	} {
		if v := wire.Member(in, member); v != "" && op.Lists(key) {
			keys.Set(key, v)
		}
	}
	return keys
}

func setRequestTags(keys policy.Context, tags []iamapi.Tag) {
	names := make([]string, len(tags))
	for i, t := range tags {
		keys.Set("aws:RequestTag/"+t.Key, t.Value)
		names[i] = t.Key
	}
	wire.TagKeys(keys, names...)
}

// subject finds what an input names. One that does not exist yet, or not at all, has the
// ARN that it would have.
func (s *Service) subject(c *wire.Call, o *wire.Operation, in any) subject {
	op := o.Name
	if at, ok := s.listed(op, wire.Member(in, "PathPrefix")); ok {
		return at
	}
	for _, member := range []string{"OpenIDConnectProviderArn", "SAMLProviderArn", "PolicySourceArn", "Arn"} {
		if v := wire.Member(in, member); v != "" {
			return s.atARN(v)
		}
	}
	kind, name, path := named(op, in)
	switch {
	case op == "UpdateUser" || op == "UpdateGroup" || op == "UpdateServerCertificate":
		return s.renamed(kind, name, in)
	case op == "GetAccessKeyLastUsed":
		if k, err := s.accessKey(context.Background(), wire.Member(in, "AccessKeyId")); err == nil && k != nil {
			return s.find("user", k.user, "/")
		}
		return subject{arns: []string{s.arn("user", "/", "*")}}
	case kind == "" && wire.Member(in, "PolicyArn") != "":
		return s.atARN(wire.Member(in, "PolicyArn"))
	case strings.Contains(o.On[0], ":mfa/") && wire.Member(in, "SerialNumber") != "":
		return s.atARN(wire.Member(in, "SerialNumber"))
	case kind == "" && c.Caller.Kind == policy.PrincipalUser && !allUsers(in): // no name means the caller
		return s.find("user", c.Caller.ARN[strings.LastIndexByte(c.Caller.ARN, '/')+1:], "/")
	case kind == "": // a session or the root says whom it means, or is told so
		return subject{arns: []string{s.arn("user", "/", "*")}}
	case path != "" || strings.HasPrefix(op, "Create") && kind != "user" || op == "CreateUser" || op == "UploadServerCertificate":
		return subject{arns: []string{s.arn(kind, orRoot(path), name)}} // not there yet
	}
	return s.find(kind, name, "/")
}

// allUsers tells whether an operation that may leave out a user means everybody's.
func allUsers(in any) bool {
	l, ok := in.(*iamapi.ListServiceSpecificCredentialsRequest)
	return ok && wire.Value(l.AllUsers)
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// listed are the resources of operations that list a kind below a path.
func (s *Service) listed(op, prefix string) (subject, bool) {
	kind, ok := map[string]string{
		"ListUsers": "user", "ListRoles": "role", "ListGroups": "group", "ListInstanceProfiles": "instance-profile",
		"ListServerCertificates": "server-certificate",
	}[op]
	switch {
	case ok:
		return subject{arns: []string{s.arn(kind, orRoot(prefix), "")}}, true
	case op == "ListPolicies": // no ARN: only "*" allows it
		return subject{arns: []string{"policy path " + orRoot(prefix)}}, true
	}
	return subject{}, false
}

// named gives the kind, the name and, for what is to be made, the path of a subject. The
// order decides for operations with two names: adding a user to a group is decided on
// the group, adding a role to an instance profile on the profile.
func named(op string, in any) (kind, name, path string) {
	for _, k := range []struct{ member, kind string }{
		{"GroupName", "group"}, {"InstanceProfileName", "instance-profile"}, {"UserName", "user"}, {"RoleName", "role"},
		{"ServerCertificateName", "server-certificate"}, {"VirtualMFADeviceName", "mfa"}, {"DelegationRequestId", "delegation-request"},
	} {
		if v := wire.Member(in, k.member); v != "" {
			return k.kind, v, wire.Member(in, "Path")
		}
	}
	switch op {
	case "CreatePolicy":
		return "policy", wire.Member(in, "PolicyName"), orRoot(wire.Member(in, "Path"))
	case "CreateSAMLProvider":
		return "saml-provider", wire.Member(in, "Name"), "/"
	case "CreateOpenIDConnectProvider":
		_, rest, _ := strings.Cut(wire.Member(in, "Url"), "://")
		return "oidc-provider", strings.TrimSuffix(rest, "/"), "/"
	case "CreateServiceLinkedRole":
		service := wire.Member(in, "AWSServiceName")
		r, known := linkedRoleOf(service)
		if !known {
			r.role = "*"
		}
		return "role", r.role, linkedPath + service + "/"
	case "GetServiceLinkedRoleDeletionStatus": // task/aws-service-role/SERVICE/ROLE/ID
		if p := strings.Split(wire.Member(in, "DeletionTaskId"), "/"); len(p) > 3 {
			return "role", p[3], "/" + p[1] + "/" + p[2] + "/"
		}
		return "role", "*", "/"
	case "GenerateOrganizationsAccessReport":
		return "access-report", strings.TrimPrefix(wire.Member(in, "EntityPath"), "/"), "/"
	case "CreateDelegationRequest":
		return "delegation-request", "*", "/"
	case "GetHumanReadableSummary":
		return "delegation-request", wire.Member(in, "EntityArn")[strings.LastIndexByte(wire.Member(in, "EntityArn"), '/')+1:], "/"
	}
	return "", "", ""
}

// renamed are both names of what is renamed or moved: the caller needs the right on each
// (IAM API reference, UpdateUser).
func (s *Service) renamed(kind, name string, in any) subject {
	of := s.find(kind, name, "/")
	base, last := of.arns[0], strings.LastIndexByte(of.arns[0], '/')+1
	path := base[strings.IndexByte(base, '/'):last]
	fresh, at := base[last:], path
	for _, member := range []string{"NewUserName", "NewGroupName", "NewServerCertificateName"} {
		if v := wire.Member(in, member); v != "" {
			fresh = v
		}
	}
	if v := wire.Member(in, "NewPath"); v != "" {
		at = v
	}
	if arn := s.arn(kind, at, fresh); arn != base {
		of.arns = append(of.arns, arn)
	}
	return of
}

// atARN is what an ARN names, with its tags when it is known here.
func (s *Service) atARN(arn string) subject {
	of := subject{arns: []string{arn}}
	_, resource, _ := strings.Cut(arn, "::"+s.cfg.Account+":")
	kind, rest, _ := strings.Cut(resource, "/")
	switch kind {
	case "user", "role", "group":
		if at := s.find(kind, rest[strings.LastIndexByte(rest, '/')+1:], "/"); at.arns[0] == arn {
			return at
		}
	case "policy", "oidc-provider", "saml-provider", "mfa":
		_ = s.db.View(context.Background(), func(tx *store.Tx) error { // what is not found has no tags
			switch kind {
			case "policy":
				r, err := s.getPolicy(tx, arn)
				of.tags = r.Tags
				return err
			case "saml-provider":
				r, err := s.getSAML(tx, arn)
				of.tags = r.Tags
				return err
			case "mfa":
				r, err := s.getDevice(tx, arn)
				of.tags = r.Tags
				return err
			}
			r, err := s.getProvider(tx, arn)
			of.tags = r.Tags
			return err
		})
	}
	return of
}

// find looks up what has a name, for its path, spelling, tags and boundary.
func (s *Service) find(kind, name, path string) subject {
	of := subject{arns: []string{s.arn(kind, path, name)}}
	_ = s.db.View(context.Background(), func(tx *store.Tx) error { // what is not found has the ARN it would have
		switch kind {
		case "group":
			g, err := s.t.groups.Get(tx, s.cfg.Account, lower(name))
			if err == nil {
				of.arns[0] = s.arn("group", g.Path, g.Name)
			}
		case "user":
			u, err := s.t.users.Get(tx, s.cfg.Account, lower(name))
			if err == nil {
				of = subject{[]string{s.arn("user", u.Path, u.Name)}, u.Tags, u.Boundary}
			}
		case "instance-profile":
			p, err := s.t.profiles.Get(tx, s.cfg.Account, lower(name))
			if err == nil {
				of = subject{arns: []string{s.arn("instance-profile", p.Path, p.Name)}, tags: p.Tags}
			}
		case "server-certificate":
			cert, err := s.getServerCert(tx, name)
			if err == nil {
				of = subject{arns: []string{s.arn("server-certificate", cert.Path, cert.Name)}, tags: cert.Tags}
			}
		case "role":
			r, err := s.t.roles.Get(tx, s.cfg.Account, lower(name))
			if err == nil {
				of = subject{[]string{s.arn("role", r.Path, r.Name)}, r.Tags, r.Boundary}
			}
		}
		return nil
	})
	return of
}
