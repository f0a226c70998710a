package iam

import (
	"encoding/csv"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

func TestCredentialReport(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	_, err := h.iam.GetCredentialReport(ctx, &iamapi.GetCredentialReportInput{})
	want(t, "none", err, "ReportNotPresent", "")
	key := h.user("alice", "")
	h.user("bob", "")
	must(t)(h.iam.CreateLoginProfile(ctx, &iamapi.CreateLoginProfileRequest{UserName: wire.String("alice"), Password: wire.String("Correct-Horse-1")}))
	must(t)(h.iam.UpdateAccountPasswordPolicy(ctx, &iamapi.UpdateAccountPasswordPolicyRequest{MaxPasswordAge: wire.Int32(90)}))
	serial, seed := h.device("phone")
	if err := h.enable("bob", serial, h.code(seed, -1), h.code(seed, 0)); err != nil {
		t.Fatal(err)
	}
	h.s.Used(wire.CallFrom(h.as(key)).Caller, "ssm", "eu-west-1", "GetParameter", h.clock())
	if g := must(t)(h.iam.GenerateCredentialReport(ctx, &iamapi.GenerateCredentialReportInput{})).(*iamapi.GenerateCredentialReportResponse); g.State != "STARTED" {
		t.Errorf("%+v", g)
	}
	if g := must(t)(h.iam.GenerateCredentialReport(ctx, &iamapi.GenerateCredentialReportInput{})).(*iamapi.GenerateCredentialReportResponse); g.State != "COMPLETE" {
		t.Errorf("%+v", g)
	}
	r := must(t)(h.iam.GetCredentialReport(ctx, &iamapi.GetCredentialReportInput{})).(*iamapi.GetCredentialReportResponse)
	lines, err := csv.NewReader(strings.NewReader(string(r.Content))).ReadAll()
	if err != nil || len(lines) != 4 || r.ReportFormat != "text/csv" || len(lines[0]) != 22 {
		t.Fatalf("%v\n%s", err, r.Content)
	}
	const made = "2026-03-04T05:06:07Z"
	for i, line := range []string{
		"user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated",
		"<root_account>,arn:aws:iam::000000000000:root,no_information,not_supported,no_information,not_supported,not_supported,false,true,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A",
		"alice,arn:aws:iam::000000000000:user/alice," + made + ",true,no_information," + made + ",2026-06-02T05:06:07Z,false,true," + made + "," + made + ",eu-west-1,ssm,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A",
		"bob,arn:aws:iam::000000000000:user/bob," + made + ",false,N/A,N/A,N/A,true,true," + made + ",N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A",
	} {
		if got := strings.Join(lines[i], ","); got != line {
			t.Errorf("got  %s\nwant %s", got, line)
		}
	}
	h.advance(4 * time.Hour)
	_, err = h.iam.GetCredentialReport(ctx, &iamapi.GetCredentialReportInput{})
	want(t, "expired", err, "ReportExpired", "")
	if g := must(t)(h.iam.GenerateCredentialReport(ctx, &iamapi.GenerateCredentialReportInput{})).(*iamapi.GenerateCredentialReportResponse); g.State != "STARTED" {
		t.Errorf("%+v", g)
	}
}

func TestLastUsed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	key := h.user("alice", "")
	get := func() *iamapi.GetAccessKeyLastUsedResponse {
		return must(t)(h.iam.GetAccessKeyLastUsed(ctx, &iamapi.GetAccessKeyLastUsedRequest{AccessKeyId: key.AccessKeyID})).(*iamapi.GetAccessKeyLastUsedResponse)
	}
	if u := get(); *u.UserName != "alice" || u.AccessKeyLastUsed.Region != "N/A" || u.AccessKeyLastUsed.ServiceName != "N/A" || u.AccessKeyLastUsed.LastUsedDate != nil {
		t.Errorf("%+v", u.AccessKeyLastUsed)
	}
	h.s.Used(wire.CallFrom(h.as(key)).Caller, "lambda", "eu-west-1", "Invoke", h.clock())
	if u := get(); u.AccessKeyLastUsed.Region != "eu-west-1" || u.AccessKeyLastUsed.ServiceName != "lambda" || !u.AccessKeyLastUsed.LastUsedDate.Equal(h.clock()) {
		t.Errorf("%+v", u.AccessKeyLastUsed)
	}
	_, err := h.iam.GetAccessKeyLastUsed(ctx, &iamapi.GetAccessKeyLastUsedRequest{AccessKeyId: "AKIAABCDEFGHIJKLMNOP"})
	want(t, "no key", err, "AccessDenied", "")
	h.role("r", trustLambda, "")
	role := must(t)(h.iam.GetRole(ctx, &iamapi.GetRoleRequest{RoleName: "r"})).(*iamapi.GetRoleResponse).Role
	if role.RoleLastUsed.LastUsedDate != nil {
		t.Errorf("%+v", role.RoleLastUsed)
	}
	h.s.Used(wire.Caller{Principal: policy.Principal{Kind: policy.PrincipalAssumedRole, Account: account, ID: role.RoleId + ":s"}}, "ssm", "us-west-2", "GetParameter", h.clock())
	h.s.flushUsage(t.Context())
	role = must(t)(h.iam.GetRole(ctx, &iamapi.GetRoleRequest{RoleName: "r"})).(*iamapi.GetRoleResponse).Role
	if u := role.RoleLastUsed; u.LastUsedDate == nil || *u.Region != "us-west-2" {
		t.Errorf("%+v", u)
	}
}

func TestAccountSummary(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	h.user("alice", "")
	h.user("bob", "")
	h.role("r", trustLambda, "")
	must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "g"}))
	arn := *must(t)(h.iam.CreatePolicy(ctx, &iamapi.CreatePolicyRequest{PolicyName: "p", PolicyDocument: doc(allowAll)})).(*iamapi.CreatePolicyResponse).Policy.Arn
	must(t)(h.iam.CreatePolicyVersion(ctx, &iamapi.CreatePolicyVersionRequest{PolicyArn: arn, PolicyDocument: doc(allowAll)}))
	must(t)(h.iam.CreateOpenIDConnectProvider(ctx, &iamapi.CreateOpenIDConnectProviderRequest{Url: "https://a.example"}))
	must(t)(h.iam.CreateSAMLProvider(ctx, &iamapi.CreateSAMLProviderRequest{Name: "idp", SAMLMetadataDocument: metadataDoc(t)}))
	serial, seed := h.device("phone")
	h.device("spare")
	if err := h.enable("bob", serial, h.code(seed, -1), h.code(seed, 0)); err != nil {
		t.Fatal(err)
	}
	m := must(t)(h.iam.GetAccountSummary(ctx, &iamapi.GetAccountSummaryInput{})).(*iamapi.GetAccountSummaryResponse).SummaryMap
	for k, n := range map[string]int32{
		"Users": 2, "Groups": 1, "Roles": 1, "Policies": 1, "PolicyVersionsInUse": 2, "Providers": 2, "MFADevices": 2, "MFADevicesInUse": 1, "InstanceProfiles": 0,
		"UsersQuota": 5000, "AccessKeysPerUserQuota": 2, "AccountAccessKeysPresent": 1, "VersionsPerPolicyQuota": 5, "PolicySizeQuota": 6144,
	} {
		if got, ok := m[k]; !ok || got != n {
			t.Errorf("%s = %d, want %d", k, got, n)
		}
	}
	if len(m) != 34 {
		t.Errorf("%d entries", len(m))
	}
}

func TestAuthorizationDetails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	h.user("alice", allowRead)
	h.role("r", trustLambda, allowAll)
	must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "Team"}))
	must(t)(h.iam.AddUserToGroup(ctx, &iamapi.AddUserToGroupRequest{GroupName: "team", UserName: "alice"}))
	arn := *must(t)(h.iam.CreatePolicy(ctx, &iamapi.CreatePolicyRequest{PolicyName: "p", PolicyDocument: doc(allowAll)})).(*iamapi.CreatePolicyResponse).Policy.Arn
	must(t)(h.iam.AttachGroupPolicy(ctx, &iamapi.AttachGroupPolicyRequest{GroupName: "team", PolicyArn: arn}))
	must(t)(h.iam.AttachRolePolicy(ctx, &iamapi.AttachRolePolicyRequest{RoleName: "r", PolicyArn: managedPrefix + "ReadOnlyAccess"}))
	must(t)(h.iam.CreateInstanceProfile(ctx, &iamapi.CreateInstanceProfileRequest{InstanceProfileName: "ip"}))
	must(t)(h.iam.AddRoleToInstanceProfile(ctx, &iamapi.AddRoleToInstanceProfileRequest{InstanceProfileName: "ip", RoleName: "r"}))
	var all iamapi.GetAccountAuthorizationDetailsResponse
	in := &iamapi.GetAccountAuthorizationDetailsRequest{MaxItems: wire.Int32(2)}
	for pages := 0; ; pages++ {
		d := must(t)(h.iam.GetAccountAuthorizationDetails(ctx, in)).(*iamapi.GetAccountAuthorizationDetailsResponse)
		all.UserDetailList, all.GroupDetailList = append(all.UserDetailList, d.UserDetailList...), append(all.GroupDetailList, d.GroupDetailList...)
		all.RoleDetailList, all.Policies = append(all.RoleDetailList, d.RoleDetailList...), append(all.Policies, d.Policies...)
		if !*d.IsTruncated {
			if pages != 2 {
				t.Errorf("%d pages", pages+1)
			}
			break
		}
		in.Marker = d.Marker
	}
	if len(all.UserDetailList) != 1 || len(all.GroupDetailList) != 1 || len(all.RoleDetailList) != 1 || len(all.Policies) != 2 {
		t.Fatalf("%+v", all)
	}
	u, g, r := all.UserDetailList[0], all.GroupDetailList[0], all.RoleDetailList[0]
	if got, _ := url.PathUnescape(*u.UserPolicyList[0].PolicyDocument); got != doc(allowRead) || !slices.Equal(u.GroupList, []string{"Team"}) || *u.Arn != "arn:aws:iam::000000000000:user/alice" {
		t.Errorf("%+v", u)
	}
	if *g.AttachedManagedPolicies[0].PolicyArn != arn || len(g.GroupPolicyList) != 0 {
		t.Errorf("%+v", g)
	}
	if len(r.InstanceProfileList) != 1 || len(r.RolePolicyList) != 1 || r.RoleLastUsed == nil || *r.AttachedManagedPolicies[0].PolicyName != "ReadOnlyAccess" {
		t.Errorf("%+v", r)
	}
	if p := all.Policies[0]; *p.Arn != arn || len(p.PolicyVersionList) != 1 || *p.AttachmentCount != 1 {
		t.Errorf("%+v", p)
	}
	d := must(t)(h.iam.GetAccountAuthorizationDetails(ctx, &iamapi.GetAccountAuthorizationDetailsRequest{Filter: []iamapi.EntityType{"LocalManagedPolicy", "Group"}})).(*iamapi.GetAccountAuthorizationDetailsResponse)
	if len(d.UserDetailList)+len(d.RoleDetailList) != 0 || len(d.GroupDetailList) != 1 || len(d.Policies) != 1 {
		t.Errorf("%+v", d)
	}
	_, err := h.iam.GetAccountAuthorizationDetails(ctx, &iamapi.GetAccountAuthorizationDetailsRequest{Marker: in.Marker, Filter: []iamapi.EntityType{"Group"}})
	want(t, "marker of another filter", err, "ValidationError", "")
	_, err = h.iam.GetAccountAuthorizationDetails(ctx, &iamapi.GetAccountAuthorizationDetailsRequest{Filter: []iamapi.EntityType{"Everything"}})
	want(t, "no such filter", err, "ValidationError", "")
}
