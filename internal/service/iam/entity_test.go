package iam

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// TestUpdateGroup: a renamed group keeps members, policies and id.
func TestUpdateGroup(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	key := h.user("alice", "")
	g := must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "old"})).(*iamapi.CreateGroupResponse).Group
	must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "taken"}))
	must(t)(h.iam.PutGroupPolicy(ctx, &iamapi.PutGroupPolicyRequest{GroupName: "old", PolicyName: "p", PolicyDocument: doc(allowRead)}))
	must(t)(h.iam.AddUserToGroup(ctx, &iamapi.AddUserToGroupRequest{GroupName: "old", UserName: "alice"}))
	_, err := h.iam.UpdateGroup(ctx, &iamapi.UpdateGroupRequest{GroupName: "old", NewGroupName: wire.String("TAKEN")})
	want(t, "taken", err, "EntityAlreadyExists", "Group with name TAKEN already exists.")
	must(t)(h.iam.UpdateGroup(ctx, &iamapi.UpdateGroupRequest{GroupName: "old", NewGroupName: wire.String("New"), NewPath: wire.String("/p/")}))
	got := must(t)(h.iam.GetGroup(ctx, &iamapi.GetGroupRequest{GroupName: "new"})).(*iamapi.GetGroupResponse)
	if got.Group.GroupId != g.GroupId || got.Group.Arn != "arn:aws:iam::000000000000:group/p/New" || len(got.Users) != 1 {
		t.Errorf("%+v", got)
	}
	if !h.may(key, "ssm:GetParameter", "arn:aws:ssm:us-east-1:000000000000:parameter/x") {
		t.Error("the member lost the group's policy")
	}
	_, err = h.iam.GetGroup(ctx, &iamapi.GetGroupRequest{GroupName: "old"})
	want(t, "old name", err, "NoSuchEntity", "The group with name old cannot be found.")
	// Only the case changes.
	must(t)(h.iam.UpdateGroup(ctx, &iamapi.UpdateGroupRequest{GroupName: "new", NewGroupName: wire.String("NEW")}))
	if l := must(t)(h.iam.ListGroupsForUser(ctx, &iamapi.ListGroupsForUserRequest{UserName: "alice"})).(*iamapi.ListGroupsForUserResponse); len(l.Groups) != 1 || l.Groups[0].GroupName != "NEW" {
		t.Errorf("%+v", l.Groups)
	}
}

func TestInstanceProfiles(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	h.role("r", trustLambda, "")
	h.role("q", trustLambda, "")
	p := must(t)(h.iam.CreateInstanceProfile(ctx, &iamapi.CreateInstanceProfileRequest{InstanceProfileName: "p", Path: wire.String("/x/"), Tags: []iamapi.Tag{{Key: "a", Value: "1"}}})).(*iamapi.CreateInstanceProfileResponse).InstanceProfile
	if p.Arn != "arn:aws:iam::000000000000:instance-profile/x/p" || !strings.HasPrefix(p.InstanceProfileId, "AIPA") || len(p.Roles) != 0 || len(p.Tags) != 1 {
		t.Errorf("%+v", p)
	}
	_, err := h.iam.CreateInstanceProfile(ctx, &iamapi.CreateInstanceProfileRequest{InstanceProfileName: "P"})
	want(t, "exists", err, "EntityAlreadyExists", "Instance Profile P already exists.")
	_, err = h.iam.AddRoleToInstanceProfile(ctx, &iamapi.AddRoleToInstanceProfileRequest{InstanceProfileName: "p", RoleName: "none"})
	want(t, "no role", err, "NoSuchEntity", "The role with name none cannot be found.")
	must(t)(h.iam.AddRoleToInstanceProfile(ctx, &iamapi.AddRoleToInstanceProfileRequest{InstanceProfileName: "p", RoleName: "r"}))
	_, err = h.iam.AddRoleToInstanceProfile(ctx, &iamapi.AddRoleToInstanceProfileRequest{InstanceProfileName: "p", RoleName: "q"})
	want(t, "second role", err, "LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
	for _, list := range [][]iamapi.InstanceProfile{
		must(t)(h.iam.ListInstanceProfiles(ctx, &iamapi.ListInstanceProfilesRequest{PathPrefix: wire.String("/x/")})).(*iamapi.ListInstanceProfilesResponse).InstanceProfiles,
		must(t)(h.iam.ListInstanceProfilesForRole(ctx, &iamapi.ListInstanceProfilesForRoleRequest{RoleName: "r"})).(*iamapi.ListInstanceProfilesForRoleResponse).InstanceProfiles,
	} {
		if len(list) != 1 || len(list[0].Roles) != 1 || list[0].Roles[0].RoleName != "r" {
			t.Errorf("%+v", list)
		}
	}
	if l := must(t)(h.iam.ListInstanceProfiles(ctx, &iamapi.ListInstanceProfilesRequest{PathPrefix: wire.String("/y/")})).(*iamapi.ListInstanceProfilesResponse); len(l.InstanceProfiles) != 0 {
		t.Errorf("%+v", l.InstanceProfiles)
	}
	// Who adds a role passes it.
	key := h.user("alice", `{"Effect":"Allow","Action":["iam:AddRoleToInstanceProfile","iam:CreateInstanceProfile"],"Resource":"*"}`)
	must(t)(h.iam.CreateInstanceProfile(h.as(key), &iamapi.CreateInstanceProfileRequest{InstanceProfileName: "hers"}))
	add := func() error {
		_, err := h.iam.AddRoleToInstanceProfile(h.as(key), &iamapi.AddRoleToInstanceProfileRequest{InstanceProfileName: "hers", RoleName: "q"})
		return err
	}
	want(t, "not passed", add(), "AccessDenied", "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: iam:PassRole on resource: arn:aws:iam::000000000000:role/q because no identity-based policy allows the iam:PassRole action")
	must(t)(h.iam.PutUserPolicy(ctx, &iamapi.PutUserPolicyRequest{UserName: "alice", PolicyName: "pass", PolicyDocument: doc(`{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::*:role/q","Condition":{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}}`)}))
	if err := add(); err != nil {
		t.Error(err)
	}
	_, err = h.iam.DeleteRole(ctx, &iamapi.DeleteRoleRequest{RoleName: "r"})
	want(t, "role in a profile", err, "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")
	_, err = h.iam.DeleteInstanceProfile(ctx, &iamapi.DeleteInstanceProfileRequest{InstanceProfileName: "p"})
	want(t, "profile with a role", err, "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")
	_, err = h.iam.RemoveRoleFromInstanceProfile(ctx, &iamapi.RemoveRoleFromInstanceProfileRequest{InstanceProfileName: "p", RoleName: "q"})
	want(t, "another role", err, "NoSuchEntity", "")
	must(t)(h.iam.RemoveRoleFromInstanceProfile(ctx, &iamapi.RemoveRoleFromInstanceProfileRequest{InstanceProfileName: "p", RoleName: "r"}))
	must(t)(h.iam.DeleteRole(ctx, &iamapi.DeleteRoleRequest{RoleName: "r"}))
	must(t)(h.iam.DeleteInstanceProfile(ctx, &iamapi.DeleteInstanceProfileRequest{InstanceProfileName: "p"}))
	_, err = h.iam.GetInstanceProfile(ctx, &iamapi.GetInstanceProfileRequest{InstanceProfileName: "p"})
	want(t, "deleted", err, "NoSuchEntity", "Instance Profile p cannot be found.")
}

// TestServiceLinkedRole has the shape of AWS's recordings.
func TestServiceLinkedRole(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	const name, path = "AWSServiceRoleForAPIGateway", "/aws-service-role/ops.apigateway.amazonaws.com/"
	create := &iamapi.CreateServiceLinkedRoleRequest{AWSServiceName: "ops.apigateway.amazonaws.com"}
	must(t)(h.iam.CreateServiceLinkedRole(ctx, create))
	r := must(t)(h.iam.GetRole(ctx, &iamapi.GetRoleRequest{RoleName: name})).(*iamapi.GetRoleResponse).Role
	if r.Path != path || r.Arn != "arn:aws:iam::000000000000:role"+path+name || *r.MaxSessionDuration != 3600 || r.Description != nil || r.RoleLastUsed == nil {
		t.Errorf("%+v", r)
	}
	att := must(t)(h.iam.ListAttachedRolePolicies(ctx, &iamapi.ListAttachedRolePoliciesRequest{RoleName: name})).(*iamapi.ListAttachedRolePoliciesResponse).AttachedPolicies
	if len(att) != 1 || *att[0].PolicyArn != "arn:aws:iam::aws:policy/aws-service-role/APIGatewayServiceRolePolicy" {
		t.Errorf("%+v", att)
	}
	_, err := h.iam.CreateServiceLinkedRole(ctx, create)
	want(t, "twice", err, "InvalidInput", "Service role name AWSServiceRoleForAPIGateway has been taken in this account, please try a different suffix.")
	_, err = h.iam.CreateServiceLinkedRole(ctx, &iamapi.CreateServiceLinkedRoleRequest{AWSServiceName: "cloudtrail.amazonaws.com", CustomSuffix: wire.String("x")})
	want(t, "suffix", err, "InvalidInput", "Custom suffix is not allowed for cloudtrail.amazonaws.com")
	_, err = h.iam.CreateServiceLinkedRole(ctx, &iamapi.CreateServiceLinkedRoleRequest{AWSServiceName: "nothing.amazonaws.com"})
	want(t, "no such service", err, "InvalidInput", "")
	_, err = h.iam.CreateRole(ctx, &iamapi.CreateRoleRequest{RoleName: "fake", Path: wire.String(path), AssumeRolePolicyDocument: doc(trustLambda)})
	want(t, "reserved path", err, "InvalidInput", "")
	admin := managedPrefix + "AdministratorAccess"
	for what, f := range map[string]func(context.Context) error{
		"attach": func(c context.Context) error {
			_, err := h.iam.AttachRolePolicy(c, &iamapi.AttachRolePolicyRequest{RoleName: name, PolicyArn: admin})
			return err
		},
		"detach": func(c context.Context) error {
			_, err := h.iam.DetachRolePolicy(c, &iamapi.DetachRolePolicyRequest{RoleName: name, PolicyArn: *att[0].PolicyArn})
			return err
		},
		"inline": func(c context.Context) error {
			_, err := h.iam.PutRolePolicy(c, &iamapi.PutRolePolicyRequest{RoleName: name, PolicyName: "p", PolicyDocument: doc(allowAll)})
			return err
		},
		"trust": func(c context.Context) error {
			_, err := h.iam.UpdateAssumeRolePolicy(c, &iamapi.UpdateAssumeRolePolicyRequest{RoleName: name, PolicyDocument: doc(trustLambda)})
			return err
		},
		"delete": func(c context.Context) error {
			_, err := h.iam.DeleteRole(c, &iamapi.DeleteRoleRequest{RoleName: name})
			return err
		},
		"duration": func(c context.Context) error {
			_, err := h.iam.UpdateRole(c, &iamapi.UpdateRoleRequest{RoleName: name, MaxSessionDuration: wire.Int32(7200)})
			return err
		},
		"boundary": func(c context.Context) error {
			_, err := h.iam.PutRolePermissionsBoundary(c, &iamapi.PutRolePermissionsBoundaryRequest{RoleName: name, PermissionsBoundary: admin})
			return err
		},
	} {
		want(t, what, f(ctx), "UnmodifiableEntity", "Cannot perform the operation on the protected role 'AWSServiceRoleForAPIGateway' - this role is only modifiable by AWS")
	}
	must(t)(h.iam.UpdateRoleDescription(ctx, &iamapi.UpdateRoleDescriptionRequest{RoleName: name, Description: "ours"}))
	h.role("plain", trustLambda, "")
	_, err = h.iam.DeleteServiceLinkedRole(ctx, &iamapi.DeleteServiceLinkedRoleRequest{RoleName: "plain"})
	want(t, "not linked", err, "NoSuchEntity", "")
	task := must(t)(h.iam.DeleteServiceLinkedRole(ctx, &iamapi.DeleteServiceLinkedRoleRequest{RoleName: name})).(*iamapi.DeleteServiceLinkedRoleResponse).DeletionTaskId
	if !strings.HasPrefix(task, "task"+path+name+"/") || len(task) != len("task"+path+name+"/")+36 {
		t.Errorf("task %q", task)
	}
	if st := must(t)(h.iam.GetServiceLinkedRoleDeletionStatus(ctx, &iamapi.GetServiceLinkedRoleDeletionStatusRequest{DeletionTaskId: task})).(*iamapi.GetServiceLinkedRoleDeletionStatusResponse); st.Status != "SUCCEEDED" {
		t.Errorf("%+v", st)
	}
	_, err = h.iam.GetServiceLinkedRoleDeletionStatus(ctx, &iamapi.GetServiceLinkedRoleDeletionStatusRequest{DeletionTaskId: task[:len(task)-1]})
	want(t, "another task", err, "NoSuchEntity", "")
	_, err = h.iam.GetRole(ctx, &iamapi.GetRoleRequest{RoleName: name})
	want(t, "deleted", err, "NoSuchEntity", "")
}

func TestTags(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	h.user("alice", "")
	tag := func(ctx context.Context, tags ...iamapi.Tag) error {
		_, err := h.iam.TagUser(ctx, &iamapi.TagUserRequest{UserName: "alice", Tags: tags})
		return err
	}
	want(t, "reserved", tag(ctx, iamapi.Tag{Key: "AWS:x", Value: "1"}), "InvalidInput", "")
	var many []iamapi.Tag
	for i := range 50 {
		many = append(many, iamapi.Tag{Key: strings.Repeat("k", i+1), Value: ""})
	}
	if err := tag(ctx, many...); err != nil {
		t.Fatal(err)
	}
	want(t, "51", tag(ctx, iamapi.Tag{Key: "one-more"}), "LimitExceeded", "")
	if err := tag(ctx, iamapi.Tag{Key: "K", Value: "new"}); err != nil {
		t.Error(err)
	}
	in := &iamapi.ListUserTagsRequest{UserName: "alice", MaxItems: wire.Int32(20)}
	seen := map[string]string{}
	for {
		l := must(t)(h.iam.ListUserTags(ctx, in)).(*iamapi.ListUserTagsResponse)
		for _, x := range l.Tags {
			seen[x.Key] = x.Value
		}
		if !*l.IsTruncated {
			break
		}
		in.Marker = l.Marker
	}
	if _, old := seen["k"]; len(seen) != 50 || seen["K"] != "new" || old {
		t.Errorf("%d tags: %v", len(seen), seen)
	}
	must(t)(h.iam.UntagUser(ctx, &iamapi.UntagUserRequest{UserName: "alice", TagKeys: []string{"k", "kk", "never"}}))
	if l := must(t)(h.iam.ListUserTags(ctx, &iamapi.ListUserTagsRequest{UserName: "alice"})).(*iamapi.ListUserTagsResponse); len(l.Tags) != 48 {
		t.Errorf("%d left", len(l.Tags))
	}
	_, err := h.iam.UntagUser(ctx, &iamapi.UntagUserRequest{UserName: "alice", TagKeys: []string{"aws:x"}})
	want(t, "remove a reserved one", err, "ValidationError", "")
}

// TestSyntax: names, paths and lengths are refused in IAM's own words.
func TestSyntax(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	user := func(name, path string) error {
		in := &iamapi.CreateUserRequest{UserName: name}
		if path != "" {
			in.Path = &path
		}
		_, err := h.iam.CreateUser(ctx, in)
		return err
	}
	for _, ok := range []string{"a", "A+b=c,d.e@f_g-h", strings.Repeat("n", 64)} {
		if err := user(ok, "/team/one/"); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	const name = "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"
	for _, bad := range []string{"a b", "a/b", "a:b", "ä", "a\n"} {
		want(t, bad, user(bad, ""), "ValidationError", name)
	}
	want(t, "long", user(strings.Repeat("n", 65), ""), "ValidationError", "1 validation error detected: Value at 'userName' failed to satisfy constraint: Member must have length less than or equal to 64")
	for _, bad := range []string{"x", "/x", "x/", "/ä/", "/a b/"} {
		want(t, bad, user("x", bad), "ValidationError", "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	want(t, "long path", user("x", "/"+strings.Repeat("p", 511)+"/"), "ValidationError", "")
}

// TestQuotas: one more than documented is refused. White space is not counted.
func TestQuotas(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	h.user("alice", "")
	h.role("r", trustLambda, "")
	must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "g"}))
	sized := func(n int) string { // a document of n bytes, and white space
		empty := doc(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::"}`)
		return strings.Replace(empty, `:::"`, `:::`+strings.Repeat("x", n-len(empty))+`"`, 1) + strings.Repeat(" \n\t", 100)
	}
	put := map[string]func(string) error{
		"user 2048": func(d string) error {
			_, err := h.iam.PutUserPolicy(ctx, &iamapi.PutUserPolicyRequest{UserName: "alice", PolicyName: "p", PolicyDocument: d})
			return err
		},
		"group 5120": func(d string) error {
			_, err := h.iam.PutGroupPolicy(ctx, &iamapi.PutGroupPolicyRequest{GroupName: "g", PolicyName: "p", PolicyDocument: d})
			return err
		},
		"role 10240": func(d string) error {
			_, err := h.iam.PutRolePolicy(ctx, &iamapi.PutRolePolicyRequest{RoleName: "r", PolicyName: "p", PolicyDocument: d})
			return err
		},
	}
	for name, f := range put {
		kind, text, _ := strings.Cut(name, " ")
		size, _ := strconv.Atoi(text)
		if err := f(sized(size)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		owner := map[string]string{"user": "alice", "group": "g", "role": "r"}[kind]
		want(t, name, f(sized(size+1)), "LimitExceeded", "Maximum policy size of "+text+" bytes exceeded for "+kind+" "+owner)
	}
	for i := range 11 {
		p, err := h.iam.CreatePolicy(ctx, &iamapi.CreatePolicyRequest{PolicyName: "p" + strconv.Itoa(i), PolicyDocument: sized(6144)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.iam.AttachUserPolicy(ctx, &iamapi.AttachUserPolicyRequest{UserName: "alice", PolicyArn: *p.Policy.Arn})
		if i < 10 && err != nil {
			t.Fatal(err)
		}
		if i == 10 {
			want(t, "eleventh policy", err, "LimitExceeded", "Cannot exceed quota for PoliciesPerUser: 10")
		}
	}
	_, err := h.iam.CreatePolicy(ctx, &iamapi.CreatePolicyRequest{PolicyName: "large", PolicyDocument: sized(6145)})
	want(t, "large", err, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
	for i := range 11 {
		name := "g" + strconv.Itoa(i)
		must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: name}))
		_, err := h.iam.AddUserToGroup(ctx, &iamapi.AddUserToGroupRequest{GroupName: name, UserName: "alice"})
		if i == 10 {
			want(t, "eleventh group", err, "LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxAccountGroups - 12 {
		must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "more" + strconv.Itoa(i)}))
	}
	_, err = h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "last"})
	want(t, "groups of the account", err, "LimitExceeded", "Cannot exceed quota for GroupsPerAccount: 300")
}

func TestOIDCProvider(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	create := func(thumbprints ...string) error {
		_, err := h.iam.CreateOpenIDConnectProvider(ctx, &iamapi.CreateOpenIDConnectProviderRequest{Url: "https://a.example/x", ClientIDList: []string{"one"}, ThumbprintList: thumbprints, Tags: []iamapi.Tag{{Key: "a", Value: "1"}}})
		return err
	}
	sum := strings.Repeat("ab", 20)
	want(t, "six thumbprints", create(sum, sum, sum, sum, sum, sum), "InvalidInput", "")
	want(t, "no hexadecimal", create(strings.Repeat("xy", 20)), "InvalidInput", "")
	want(t, "too short", create("abcd"), "ValidationError", "")
	if err := create(sum); err != nil {
		t.Fatal(err)
	}
	arn := "arn:aws:iam::000000000000:oidc-provider/a.example/x"
	_, err := h.iam.UpdateOpenIDConnectProviderThumbprint(ctx, &iamapi.UpdateOpenIDConnectProviderThumbprintRequest{OpenIDConnectProviderArn: arn, ThumbprintList: []string{strings.Repeat("-", 40)}})
	want(t, "no thumbprint", err, "InvalidInput", "")
	must(t)(h.iam.AddClientIDToOpenIDConnectProvider(ctx, &iamapi.AddClientIDToOpenIDConnectProviderRequest{OpenIDConnectProviderArn: arn, ClientID: "two"}))
	must(t)(h.iam.RemoveClientIDFromOpenIDConnectProvider(ctx, &iamapi.RemoveClientIDFromOpenIDConnectProviderRequest{OpenIDConnectProviderArn: arn, ClientID: "one"}))
	p := must(t)(h.iam.GetOpenIDConnectProvider(ctx, &iamapi.GetOpenIDConnectProviderRequest{OpenIDConnectProviderArn: arn})).(*iamapi.GetOpenIDConnectProviderResponse)
	if len(p.ClientIDList) != 1 || p.ClientIDList[0] != "two" || len(p.ThumbprintList) != 1 {
		t.Errorf("%+v", p)
	}
	if l := must(t)(h.iam.ListOpenIDConnectProviderTags(ctx, &iamapi.ListOpenIDConnectProviderTagsRequest{OpenIDConnectProviderArn: arn})).(*iamapi.ListOpenIDConnectProviderTagsResponse); len(l.Tags) != 1 {
		t.Errorf("%+v", l.Tags)
	}
	_, err = h.iam.ListOpenIDConnectProviderTags(ctx, &iamapi.ListOpenIDConnectProviderTagsRequest{OpenIDConnectProviderArn: arn + "y"})
	want(t, "no provider", err, "NoSuchEntity", "OpenIDConnect Provider not found for arn "+arn+"y")
}

// TestPermissions: what each operation is decided on. A caller that may manage one
// entity may not manage its neighbour.
func TestPermissions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.user("alice", `{"Effect":"Allow","Action":"iam:*","Resource":["arn:aws:iam::*:mfa/${aws:username}","arn:aws:iam::*:user/${aws:username}",`+
		`"arn:aws:iam::*:instance-profile/mine/*","arn:aws:iam::*:saml-provider/mine","arn:aws:iam::*:server-certificate/mine/*","arn:aws:iam::*:role/aws-service-role/*"]},`+
		`{"Effect":"Deny","Action":"iam:CreateServiceLinkedRole","Resource":"*","Condition":{"StringNotEquals":{"iam:AWSServiceName":"cloudtrail.amazonaws.com"}}}`)
	h.user("bob", "")
	ctx := h.as(key)
	metadata := metadataDoc(t)
	profile := func(path string) error {
		_, err := h.iam.CreateInstanceProfile(ctx, &iamapi.CreateInstanceProfileRequest{InstanceProfileName: "p" + strings.Trim(path, "/"), Path: &path})
		return err
	}
	for _, tt := range []struct {
		name string
		ok   bool
		call func() error
	}{
		{"own device", true, func() error {
			_, err := h.iam.CreateVirtualMFADevice(ctx, &iamapi.CreateVirtualMFADeviceRequest{VirtualMFADeviceName: "alice"})
			return err
		}},
		{"another's device", false, func() error {
			_, err := h.iam.CreateVirtualMFADevice(ctx, &iamapi.CreateVirtualMFADeviceRequest{VirtualMFADeviceName: "bob"})
			return err
		}},
		{"own password", true, func() error {
			_, err := h.iam.CreateLoginProfile(ctx, &iamapi.CreateLoginProfileRequest{Password: wire.String("Correct-Horse-1")})
			return err
		}},
		{"another's password", false, func() error {
			_, err := h.iam.CreateLoginProfile(ctx, &iamapi.CreateLoginProfileRequest{UserName: wire.String("bob"), Password: wire.String("Correct-Horse-1")})
			return err
		}},
		{"own SSH keys", true, func() error {
			_, err := h.iam.ListSSHPublicKeys(ctx, &iamapi.ListSSHPublicKeysRequest{UserName: wire.String("alice")})
			return err
		}},
		{"another's SSH keys", false, func() error {
			_, err := h.iam.ListSSHPublicKeys(ctx, &iamapi.ListSSHPublicKeysRequest{UserName: wire.String("bob")})
			return err
		}},
		{"own devices", true, func() error { _, err := h.iam.ListMFADevices(ctx, &iamapi.ListMFADevicesRequest{}); return err }},
		{"own certificates", true, func() error {
			_, err := h.iam.ListSigningCertificates(ctx, &iamapi.ListSigningCertificatesRequest{})
			return err
		}},
		{"everybody's service credentials", false, func() error {
			_, err := h.iam.ListServiceSpecificCredentials(ctx, &iamapi.ListServiceSpecificCredentialsRequest{AllUsers: wire.Bool(true)})
			return err
		}},
		{"own service credentials", true, func() error {
			_, err := h.iam.ListServiceSpecificCredentials(ctx, &iamapi.ListServiceSpecificCredentialsRequest{})
			return err
		}},
		{"profile", true, func() error { return profile("/mine/") }},
		{"profile elsewhere", false, func() error { return profile("/") }},
		{"provider", true, func() error {
			_, err := h.iam.CreateSAMLProvider(ctx, &iamapi.CreateSAMLProviderRequest{Name: "mine", SAMLMetadataDocument: metadata})
			return err
		}},
		{"another provider", false, func() error {
			_, err := h.iam.CreateSAMLProvider(ctx, &iamapi.CreateSAMLProviderRequest{Name: "other", SAMLMetadataDocument: metadata})
			return err
		}},
		{"service-linked role", true, func() error {
			_, err := h.iam.CreateServiceLinkedRole(ctx, &iamapi.CreateServiceLinkedRoleRequest{AWSServiceName: "cloudtrail.amazonaws.com"})
			return err
		}},
		{"another service's", false, func() error {
			_, err := h.iam.CreateServiceLinkedRole(ctx, &iamapi.CreateServiceLinkedRoleRequest{AWSServiceName: "ops.apigateway.amazonaws.com"})
			return err
		}},
		{"report", false, func() error {
			_, err := h.iam.GetCredentialReport(ctx, &iamapi.GetCredentialReportInput{})
			return err
		}},
		{"alias", false, func() error {
			_, err := h.iam.CreateAccountAlias(ctx, &iamapi.CreateAccountAliasRequest{AccountAlias: "abc"})
			return err
		}},
		{"password policy", false, func() error {
			_, err := h.iam.UpdateAccountPasswordPolicy(ctx, &iamapi.UpdateAccountPasswordPolicyRequest{})
			return err
		}},
		{"details", false, func() error {
			_, err := h.iam.GetAccountAuthorizationDetails(ctx, &iamapi.GetAccountAuthorizationDetailsRequest{})
			return err
		}},
	} {
		err := tt.call()
		if tt.ok && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if !tt.ok {
			want(t, tt.name, err, "AccessDenied", "")
		}
	}
}

// TestPolicyPages: versions from the newest, and everybody who has a policy.
func TestPolicyPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	arn := *must(t)(h.iam.CreatePolicy(ctx, &iamapi.CreatePolicyRequest{PolicyName: "p", PolicyDocument: doc(allowAll)})).(*iamapi.CreatePolicyResponse).Policy.Arn
	for range 4 {
		must(t)(h.iam.CreatePolicyVersion(ctx, &iamapi.CreatePolicyVersionRequest{PolicyArn: arn, PolicyDocument: doc(allowAll)}))
	}
	h.user("alice", "")
	h.role("r", trustLambda, "")
	must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "g"}))
	must(t)(h.iam.AttachUserPolicy(ctx, &iamapi.AttachUserPolicyRequest{UserName: "alice", PolicyArn: arn}))
	must(t)(h.iam.AttachRolePolicy(ctx, &iamapi.AttachRolePolicyRequest{RoleName: "r", PolicyArn: arn}))
	must(t)(h.iam.AttachGroupPolicy(ctx, &iamapi.AttachGroupPolicyRequest{GroupName: "g", PolicyArn: arn}))
	seen := ""
	versions := &iamapi.ListPolicyVersionsRequest{PolicyArn: arn, MaxItems: wire.Int32(2)}
	for {
		l := must(t)(h.iam.ListPolicyVersions(ctx, versions)).(*iamapi.ListPolicyVersionsResponse)
		for _, v := range l.Versions {
			seen += *v.VersionId
		}
		if !*l.IsTruncated {
			break
		}
		versions.Marker = l.Marker
	}
	entities := &iamapi.ListEntitiesForPolicyRequest{PolicyArn: arn, MaxItems: wire.Int32(1)}
	for {
		l := must(t)(h.iam.ListEntitiesForPolicy(ctx, entities)).(*iamapi.ListEntitiesForPolicyResponse)
		for _, u := range l.PolicyUsers {
			seen += " " + *u.UserName
		}
		for _, r := range l.PolicyRoles {
			seen += " " + *r.RoleName
		}
		for _, g := range l.PolicyGroups {
			seen += " " + *g.GroupName
		}
		if !*l.IsTruncated {
			break
		}
		entities.Marker = l.Marker
	}
	if seen != "v5v4v3v2v1 g r alice" {
		t.Errorf("%q", seen)
	}
	_, err := h.iam.ListEntitiesForPolicy(ctx, &iamapi.ListEntitiesForPolicyRequest{PolicyArn: arn, Marker: versions.Marker})
	want(t, "marker of another list", err, "ValidationError", "")
	if l := must(t)(h.iam.ListEntitiesForPolicy(ctx, &iamapi.ListEntitiesForPolicyRequest{PolicyArn: arn, PolicyUsageFilter: "PermissionsBoundary"})).(*iamapi.ListEntitiesForPolicyResponse); len(l.PolicyUsers)+len(l.PolicyRoles)+len(l.PolicyGroups) != 0 {
		t.Errorf("%+v", l)
	}
}
