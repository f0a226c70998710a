package iam

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

const trustLambda = `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`

// The answers of AWS's own recordings, by key set.
func TestRole_shapes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	r := must(t)(h.iam.CreateRole(ctx, &iamapi.CreateRoleRequest{RoleName: "r", Path: wire.String("/with-tags/"), AssumeRolePolicyDocument: doc(trustLambda), Tags: []iamapi.Tag{{Key: "test", Value: "value"}}})).(*iamapi.CreateRoleResponse).Role
	if r.Arn != "arn:aws:iam::000000000000:role/with-tags/r" || !strings.HasPrefix(r.RoleId, "AROA") || len(r.RoleId) != 21 || r.MaxSessionDuration != nil || r.RoleLastUsed != nil || len(r.Tags) != 1 {
		t.Errorf("created %+v", r)
	}
	if got, _ := url.PathUnescape(*r.AssumeRolePolicyDocument); got != doc(trustLambda) || strings.ContainsAny(*r.AssumeRolePolicyDocument, `{" +`) {
		t.Errorf("document %q", *r.AssumeRolePolicyDocument)
	}
	g := must(t)(h.iam.GetRole(ctx, &iamapi.GetRoleRequest{RoleName: "r"})).(*iamapi.GetRoleResponse).Role
	if *g.MaxSessionDuration != 3600 || g.RoleLastUsed == nil || len(g.Tags) != 1 {
		t.Errorf("got %+v", g)
	}
	l := must(t)(h.iam.ListRoles(ctx, &iamapi.ListRolesRequest{PathPrefix: wire.String("/with-tags/")})).(*iamapi.ListRolesResponse)
	if len(l.Roles) != 1 || l.Roles[0].Tags != nil || l.Roles[0].RoleLastUsed != nil || *l.IsTruncated {
		t.Errorf("listed %+v", l)
	}
}

// Code and sentence of each refusal.
func TestErrors(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	h.user("alice", allowAll)
	h.role("r", trustLambda, allowAll)
	must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "g"}))
	p := *must(t)(h.iam.CreatePolicy(ctx, &iamapi.CreatePolicyRequest{PolicyName: "p", PolicyDocument: doc(allowAll)})).(*iamapi.CreatePolicyResponse).Policy.Arn
	must(t)(h.iam.AttachRolePolicy(ctx, &iamapi.AttachRolePolicyRequest{RoleName: "r", PolicyArn: p}))
	must(t)(h.iam.AttachRolePolicy(ctx, &iamapi.AttachRolePolicyRequest{RoleName: "r", PolicyArn: p}))
	must(t)(h.iam.AddUserToGroup(ctx, &iamapi.AddUserToGroupRequest{GroupName: "g", UserName: "alice"}))
	must(t)(h.iam.CreateOpenIDConnectProvider(ctx, &iamapi.CreateOpenIDConnectProviderRequest{Url: "https://a.example"}))
	missing := strings.Replace(p, "/p", "/non-existent-policy", 1)
	call := func(f func(context.Context) error) error { return f(ctx) }
	for _, tt := range []struct {
		name          string
		err           error
		code, message string
	}{
		{"user exists", call(func(c context.Context) error {
			_, err := h.iam.CreateUser(c, &iamapi.CreateUserRequest{UserName: "ALICE"})
			return err
		}), "EntityAlreadyExists", "User with name ALICE already exists."},
		{"no user", call(func(c context.Context) error {
			_, err := h.iam.GetUser(c, &iamapi.GetUserRequest{UserName: wire.String("wrong-user-name")})
			return err
		}), "NoSuchEntity", "The user with name wrong-user-name cannot be found."},
		{"role exists", call(func(c context.Context) error {
			_, err := h.iam.CreateRole(c, &iamapi.CreateRoleRequest{RoleName: "r", AssumeRolePolicyDocument: doc(trustLambda)})
			return err
		}), "EntityAlreadyExists", "Role with name r already exists."},
		{"no role", call(func(c context.Context) error {
			_, err := h.iam.GetRole(c, &iamapi.GetRoleRequest{RoleName: "x"})
			return err
		}), "NoSuchEntity", "The role with name x cannot be found."},
		{"trust policy with a resource", call(func(c context.Context) error {
			_, err := h.iam.CreateRole(c, &iamapi.CreateRoleRequest{RoleName: "x", AssumeRolePolicyDocument: doc(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole","Resource":"*"}`)})
			return err
		}), "MalformedPolicyDocument", "Has prohibited field Resource"},
		{"trust policy not JSON", call(func(c context.Context) error {
			_, err := h.iam.UpdateAssumeRolePolicy(c, &iamapi.UpdateAssumeRolePolicyRequest{RoleName: "r", PolicyDocument: "{"})
			return err
		}), "MalformedPolicyDocument", "This policy contains invalid Json"},
		{"inline with a principal", call(func(c context.Context) error {
			_, err := h.iam.PutUserPolicy(c, &iamapi.PutUserPolicyRequest{UserName: "alice", PolicyName: "x", PolicyDocument: doc(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`)})
			return err
		}), "MalformedPolicyDocument", "Policy document should not specify a principal."},
		{"no inline policy", call(func(c context.Context) error {
			_, err := h.iam.GetRolePolicy(c, &iamapi.GetRolePolicyRequest{RoleName: "r", PolicyName: "x"})
			return err
		}), "NoSuchEntity", "The role policy with name x cannot be found."},
		{"attach what is not", call(func(c context.Context) error {
			_, err := h.iam.AttachUserPolicy(c, &iamapi.AttachUserPolicyRequest{UserName: "alice", PolicyArn: missing})
			return err
		}), "NoSuchEntity", "Policy " + missing + " does not exist or is not attachable."},
		{"detach what is not", call(func(c context.Context) error {
			_, err := h.iam.DetachUserPolicy(c, &iamapi.DetachUserPolicyRequest{UserName: "alice", PolicyArn: p})
			return err
		}), "NoSuchEntity", "Policy " + p + " was not found."},
		{"no policy", call(func(c context.Context) error {
			_, err := h.iam.DeletePolicy(c, &iamapi.DeletePolicyRequest{PolicyArn: missing})
			return err
		}), "NoSuchEntity", "Policy " + missing + " was not found."},
		{"policy of another account", call(func(c context.Context) error {
			_, err := h.iam.GetPolicy(c, &iamapi.GetPolicyRequest{PolicyArn: strings.Replace(p, account, "111111111111", 1)})
			return err
		}), "AccessDenied", ""},
		{"policy exists", call(func(c context.Context) error {
			_, err := h.iam.CreatePolicy(c, &iamapi.CreatePolicyRequest{PolicyName: "p", PolicyDocument: doc(allowAll)})
			return err
		}), "EntityAlreadyExists", "A policy called p already exists. Duplicate names are not allowed."},
		{"policy in use", call(func(c context.Context) error {
			_, err := h.iam.DeletePolicy(c, &iamapi.DeletePolicyRequest{PolicyArn: p})
			return err
		}), "DeleteConflict", "Cannot delete a policy attached to entities."},
		{"AWS's policy", call(func(c context.Context) error {
			_, err := h.iam.DeletePolicy(c, &iamapi.DeletePolicyRequest{PolicyArn: managedPrefix + "AdministratorAccess"})
			return err
		}), "AccessDenied", ""},
		{"role with policies", call(func(c context.Context) error {
			_, err := h.iam.DeleteRole(c, &iamapi.DeleteRoleRequest{RoleName: "r"})
			return err
		}), "DeleteConflict", "Cannot delete entity, must detach all policies first."},
		{"user with keys", call(func(c context.Context) error {
			_, err := h.iam.DeleteUser(c, &iamapi.DeleteUserRequest{UserName: "alice"})
			return err
		}), "DeleteConflict", "Cannot delete entity, must delete access keys first."},
		{"group with users", call(func(c context.Context) error {
			_, err := h.iam.DeleteGroup(c, &iamapi.DeleteGroupRequest{GroupName: "g"})
			return err
		}), "DeleteConflict", "Cannot delete entity, must remove users from group first."},
		{"another's key", call(func(c context.Context) error {
			_, err := h.iam.DeleteAccessKey(c, &iamapi.DeleteAccessKeyRequest{UserName: wire.String("bob"), AccessKeyId: "AKIAABCDEFGHIJKLMNOP"})
			return err
		}), "NoSuchEntity", "The Access Key with id AKIAABCDEFGHIJKLMNOP cannot be found."},
		{"provider exists", call(func(c context.Context) error {
			_, err := h.iam.CreateOpenIDConnectProvider(c, &iamapi.CreateOpenIDConnectProviderRequest{Url: "https://a.example"})
			return err
		}), "EntityAlreadyExists", "Provider with url https://a.example already exists."},
		{"provider without a scheme", call(func(c context.Context) error {
			_, err := h.iam.CreateOpenIDConnectProvider(c, &iamapi.CreateOpenIDConnectProviderRequest{Url: "a.example"})
			return err
		}), "ValidationError", "Invalid Open ID Connect Provider URL"},
		{"too large", call(func(c context.Context) error {
			_, err := h.iam.PutUserPolicy(c, &iamapi.PutUserPolicyRequest{UserName: "alice", PolicyName: "x", PolicyDocument: doc(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::` + strings.Repeat("x", 2048) + `"}`)})
			return err
		}), "LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user alice"},
		{"tags twice", call(func(c context.Context) error {
			_, err := h.iam.TagRole(c, &iamapi.TagRoleRequest{RoleName: "r", Tags: []iamapi.Tag{{Key: "a", Value: "1"}, {Key: "A", Value: "2"}}})
			return err
		}), "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive."},
		{"boundary that is not", call(func(c context.Context) error {
			_, err := h.iam.PutUserPermissionsBoundary(c, &iamapi.PutUserPermissionsBoundaryRequest{UserName: "alice", PermissionsBoundary: missing})
			return err
		}), "NoSuchEntity", ""},
	} {
		if tt.err == nil {
			t.Errorf("%s: accepted", tt.name)
			continue
		}
		want(t, tt.name, tt.err, tt.code, tt.message)
	}
}

func TestAccessKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	first := h.user("alice", "")
	name := wire.String("alice")
	must(t)(h.iam.CreateAccessKey(ctx, &iamapi.CreateAccessKeyRequest{UserName: name}))
	_, err := h.iam.CreateAccessKey(ctx, &iamapi.CreateAccessKeyRequest{UserName: name})
	want(t, "third key", err, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
	must(t)(h.iam.UpdateAccessKey(ctx, &iamapi.UpdateAccessKeyRequest{UserName: name, AccessKeyId: first.AccessKeyID, Status: "Inactive"}))
	l := must(t)(h.iam.ListAccessKeys(ctx, &iamapi.ListAccessKeysRequest{UserName: name})).(*iamapi.ListAccessKeysResponse).AccessKeyMetadata
	i := slices.IndexFunc(l, func(k iamapi.AccessKeyMetadata) bool { return *k.AccessKeyId == first.AccessKeyID })
	if len(l) != 2 || i < 0 || l[i].Status != "Inactive" {
		t.Errorf("%+v", l)
	}
	// A renamed user keeps its keys.
	must(t)(h.iam.UpdateAccessKey(ctx, &iamapi.UpdateAccessKeyRequest{UserName: name, AccessKeyId: first.AccessKeyID, Status: "Active"}))
	must(t)(h.iam.UpdateUser(ctx, &iamapi.UpdateUserRequest{UserName: "alice", NewUserName: wire.String("alicia")}))
	c, err := h.s.Credential(t.Context(), first.AccessKeyID, "")
	if err != nil || c.Caller.ARN != "arn:aws:iam::000000000000:user/alicia" {
		t.Errorf("%+v, %v", c.Caller, err)
	}
}

func TestPolicyVersions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	arn := *must(t)(h.iam.CreatePolicy(ctx, &iamapi.CreatePolicyRequest{PolicyName: "p", PolicyDocument: doc(allowRead)})).(*iamapi.CreatePolicyResponse).Policy.Arn
	for range 4 {
		must(t)(h.iam.CreatePolicyVersion(ctx, &iamapi.CreatePolicyVersionRequest{PolicyArn: arn, PolicyDocument: doc(allowAll)}))
	}
	_, err := h.iam.CreatePolicyVersion(ctx, &iamapi.CreatePolicyVersionRequest{PolicyArn: arn, PolicyDocument: doc(allowAll)})
	want(t, "sixth", err, "LimitExceeded", "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")
	_, err = h.iam.DeletePolicyVersion(ctx, &iamapi.DeletePolicyVersionRequest{PolicyArn: arn, VersionId: "v1"})
	want(t, "default", err, "DeleteConflict", "Cannot delete the default version of a policy.")
	must(t)(h.iam.SetDefaultPolicyVersion(ctx, &iamapi.SetDefaultPolicyVersionRequest{PolicyArn: arn, VersionId: "v5"}))
	must(t)(h.iam.DeletePolicyVersion(ctx, &iamapi.DeletePolicyVersionRequest{PolicyArn: arn, VersionId: "v1"}))
	v := must(t)(h.iam.CreatePolicyVersion(ctx, &iamapi.CreatePolicyVersionRequest{PolicyArn: arn, PolicyDocument: doc(allowAll)})).(*iamapi.CreatePolicyVersionResponse).PolicyVersion
	if *v.VersionId != "v6" || *v.IsDefaultVersion {
		t.Errorf("%+v", v)
	}
	g := must(t)(h.iam.GetPolicyVersion(ctx, &iamapi.GetPolicyVersionRequest{PolicyArn: arn, VersionId: "v5"})).(*iamapi.GetPolicyVersionResponse).PolicyVersion
	if got, _ := url.PathUnescape(*g.Document); got != doc(allowAll) || !*g.IsDefaultVersion {
		t.Errorf("%+v", g)
	}
	_, err = h.iam.DeletePolicy(ctx, &iamapi.DeletePolicyRequest{PolicyArn: arn})
	want(t, "several versions", err, "DeleteConflict", "")
}

func TestPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	var names []string
	for _, n := range []string{"e", "b", "d", "a", "c"} {
		must(t)(h.iam.CreateUser(ctx, &iamapi.CreateUserRequest{UserName: n}))
	}
	in := &iamapi.ListUsersRequest{MaxItems: wire.Int32(2)}
	for {
		l := must(t)(h.iam.ListUsers(ctx, in)).(*iamapi.ListUsersResponse)
		for _, u := range l.Users {
			names = append(names, u.UserName)
		}
		if !*l.IsTruncated {
			break
		}
		in.Marker = l.Marker
	}
	if strings.Join(names, "") != "abcde" {
		t.Errorf("%v", names)
	}
	_, err := h.iam.ListRoles(ctx, &iamapi.ListRolesRequest{Marker: in.Marker})
	want(t, "marker of another list", err, "ValidationError", "")
	_, err = h.iam.ListUsers(ctx, &iamapi.ListUsersRequest{Marker: wire.String((*in.Marker)[1:])})
	want(t, "altered marker", err, "ValidationError", "")
}

func TestManagedPolicies(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	managed, err := managedPolicies()
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for arn, p := range managed {
		if err := checkPolicy(p.Versions[0].Document, policy.IdentityPolicy); err != nil {
			t.Errorf("%s: %v", arn, err)
		}
		if other := ids[p.ID]; other != "" {
			t.Errorf("%s and %s share an id", arn, other)
		}
		ids[p.ID] = arn
		if h.s.policyARN(&p) != arn {
			t.Errorf("%s has the ARN %s", arn, h.s.policyARN(&p))
		}
	}
	for _, arn := range []string{"service-role/AWSLambdaBasicExecutionRole", "service-role/AWSLambdaRole", "AmazonSSMReadOnlyAccess", "AmazonCognitoPowerUser", "AmazonAPIGatewayInvokeFullAccess", "AdministratorAccess", "ReadOnlyAccess"} {
		if _, err := h.iam.GetPolicy(h.root(), &iamapi.GetPolicyRequest{PolicyArn: managedPrefix + arn}); err != nil {
			t.Errorf("%s: %v", arn, err)
		}
	}
}

// What the resource functions say, since authorisation rests on it.
func TestResources(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	must(t)(h.iam.CreateUser(ctx, &iamapi.CreateUserRequest{UserName: "alice", Path: wire.String("/team/"), Tags: []iamapi.Tag{{Key: "team", Value: "red"}}}))
	h.role("r", trustLambda, "")
	call := &wire.Call{Caller: wire.Caller{Principal: policy.Principal{Kind: policy.PrincipalUser, ARN: "arn:aws:iam::000000000000:user/me"}}}
	for _, tt := range []struct {
		op   string
		in   any
		want string
		keys map[string]string
	}{
		{"GetUser", &iamapi.GetUserRequest{UserName: wire.String("alice")}, "arn:aws:iam::000000000000:user/team/alice", map[string]string{"aws:ResourceTag/team": "red"}},
		{"GetUser", &iamapi.GetUserRequest{}, "arn:aws:iam::000000000000:user/me", nil},
		{"ListAccessKeys", &iamapi.ListAccessKeysRequest{}, "arn:aws:iam::000000000000:user/me", nil},
		{"CreateUser", &iamapi.CreateUserRequest{UserName: "bob", Path: wire.String("/p/"), Tags: []iamapi.Tag{{Key: "a", Value: "1"}}}, "arn:aws:iam::000000000000:user/p/bob iam:TagUser arn:aws:iam::000000000000:user/p/bob", map[string]string{"aws:RequestTag/a": "1", "aws:TagKeys": "a"}},
		{"CreateUser", &iamapi.CreateUserRequest{UserName: "alice"}, "arn:aws:iam::000000000000:user/alice", nil},
		{"AttachRolePolicy", &iamapi.AttachRolePolicyRequest{RoleName: "r", PolicyArn: "arn:aws:iam::aws:policy/AdministratorAccess"}, "arn:aws:iam::000000000000:role/r", map[string]string{"iam:PolicyARN": "arn:aws:iam::aws:policy/AdministratorAccess"}},
		{"PutRolePolicy", &iamapi.PutRolePolicyRequest{RoleName: "r", PolicyName: "p"}, "arn:aws:iam::000000000000:role/r", nil},
		{"AddUserToGroup", &iamapi.AddUserToGroupRequest{GroupName: "g", UserName: "alice"}, "arn:aws:iam::000000000000:group/g", nil},
		{"CreatePolicy", &iamapi.CreatePolicyRequest{PolicyName: "p", Path: wire.String("/x/")}, "arn:aws:iam::000000000000:policy/x/p", nil},
		{"GetPolicy", &iamapi.GetPolicyRequest{PolicyArn: "arn:aws:iam::aws:policy/x"}, "arn:aws:iam::aws:policy/x", nil},
		{"CreateOpenIDConnectProvider", &iamapi.CreateOpenIDConnectProviderRequest{Url: "https://a.example/p"}, "arn:aws:iam::000000000000:oidc-provider/a.example/p", nil},
		{"ListUsers", &iamapi.ListUsersRequest{}, "arn:aws:iam::000000000000:user/", nil},
		{"ListRoles", &iamapi.ListRolesRequest{PathPrefix: wire.String("/p/")}, "arn:aws:iam::000000000000:role/p/", nil},
		{"ListPolicies", &iamapi.ListPoliciesRequest{}, "policy path /", nil},
		{"UpdateUser", &iamapi.UpdateUserRequest{UserName: "alice", NewUserName: wire.String("eve")}, "arn:aws:iam::000000000000:user/team/alice arn:aws:iam::000000000000:user/team/eve", nil},
		{"UpdateGroup", &iamapi.UpdateGroupRequest{GroupName: "g", NewPath: wire.String("/p/")}, "arn:aws:iam::000000000000:group/g arn:aws:iam::000000000000:group/p/g", nil},
		{"CreateServiceLinkedRole", &iamapi.CreateServiceLinkedRoleRequest{AWSServiceName: "cloudtrail.amazonaws.com"}, "arn:aws:iam::000000000000:role/aws-service-role/cloudtrail.amazonaws.com/AWSServiceRoleForCloudTrail", map[string]string{"iam:AWSServiceName": "cloudtrail.amazonaws.com"}},
		{"GetAccountSummary", &iamapi.GetAccountSummaryInput{}, "*", nil},
		{"ListUserTags", &iamapi.ListUserTagsRequest{UserName: "alice"}, "arn:aws:iam::000000000000:user/team/alice", nil},
	} {
		needs := h.s.APIs()[0].Resources(call, tt.op, tt.in)
		var got []string
		for _, n := range needs {
			got = append(got, strings.TrimSpace(n.Action+" "+n.Resource))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.op, got, tt.want)
		}
		for k, v := range tt.keys {
			if got := needs[0].Keys.Get(k); len(got) != 1 || got[0] != v {
				t.Errorf("%s: %s = %v, want %s", tt.op, k, got, v)
			}
		}
	}
}
