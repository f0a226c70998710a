package iam

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// use lets a user or role use an action, as the record of a call does.
func (h *house) use(arn, action string) {
	h.t.Helper()
	service, _, _ := strings.Cut(action, ":")
	h.s.Used(wire.Caller{Principal: h.principalOf(arn)}, service, "us-east-1", action, h.clock())
}

// lastAccessed generates a report and tells it in lines.
func (h *house) lastAccessed(arn, granularity string) (id, told string) {
	h.t.Helper()
	job := must(h.t)(h.iam.GenerateServiceLastAccessedDetails(h.root(), &iamapi.GenerateServiceLastAccessedDetailsRequest{Arn: arn, Granularity: iamapi.AccessAdvisorUsageGranularityType(granularity)})).(*iamapi.GenerateServiceLastAccessedDetailsResponse).JobId
	out := must(h.t)(h.iam.GetServiceLastAccessedDetails(h.root(), &iamapi.GetServiceLastAccessedDetailsRequest{JobId: *job})).(*iamapi.GetServiceLastAccessedDetailsResponse)
	var lines []string
	for _, a := range out.ServicesLastAccessed {
		line := fmt.Sprint(a.ServiceNamespace, " ", *a.TotalAuthenticatedEntities)
		if a.LastAuthenticated != nil {
			line += " " + a.LastAuthenticated.Format("15:04") + " " + *a.LastAuthenticatedEntity
		}
		for _, t := range a.TrackedActionsLastAccessed {
			if t.LastAccessedTime != nil {
				line += " " + *t.ActionName + "@" + t.LastAccessedTime.Format("15:04")
			}
		}
		lines = append(lines, line)
	}
	return *job, strings.Join(lines, "\n")
}

// Reports tell what was used with the permissions of a user, a role, a group and a policy: services
// that the policies grant, whether used or not, and no others.
func TestServiceLastAccessed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.s.Catalogue(h.s.APIs())
	ctx := h.root()
	for _, name := range []string{"ada", "bob", "eve"} {
		h.user(name, `{"Effect":"Allow","Action":["iam:*","sts:*"],"Resource":"*"}`)
	}
	must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "staff"}))
	managed := *must(t)(h.iam.CreatePolicy(ctx, &iamapi.CreatePolicyRequest{PolicyName: "m", PolicyDocument: doc(`{"Effect":"Allow","Action":"iam:Get*","Resource":"*"}`)})).(*iamapi.CreatePolicyResponse).Policy.Arn
	must(t)(h.iam.AttachGroupPolicy(ctx, &iamapi.AttachGroupPolicyRequest{GroupName: "staff", PolicyArn: managed}))
	for _, name := range []string{"ada", "bob"} {
		must(t)(h.iam.AddUserToGroup(ctx, &iamapi.AddUserToGroupRequest{GroupName: "staff", UserName: name}))
	}
	role := h.role("r", `{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}`, `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)
	must(t)(h.iam.AttachRolePolicy(ctx, &iamapi.AttachRolePolicyRequest{RoleName: "r", PolicyArn: managed}))
	const ada, bob = "arn:aws:iam::000000000000:user/ada", "arn:aws:iam::000000000000:user/bob"
	h.use(ada, "iam:GetUser")
	h.advance(time.Minute)
	h.use(ada, "iam:ListUsers")
	h.use(bob, "iam:GetRole")
	h.use(bob, "ssm:GetParameter") // granted by nothing: tried all the same
	h.advance(time.Minute)
	h.use(role, "iam:GetPolicy")
	for name, c := range map[string]struct{ arn, granularity, want string }{
		"user":     {ada, "", "iam 1 05:07 " + ada + "\nsts 0"},
		"actions":  {ada, "ACTION_LEVEL", "iam 1 05:07 " + ada + " GetUser@05:06 ListUsers@05:07\nsts 0"},
		"role":     {role, "", "iam 1 05:08 " + role + "\nsts 0"},
		"group":    {"arn:aws:iam::000000000000:group/staff", "", "iam 2 05:07 " + ada},
		"policy":   {managed, "", "iam 3 05:08 " + role},
		"not used": {"arn:aws:iam::000000000000:user/eve", "", "iam 0\nsts 0"},
		"nobody's": {managedPrefix + "AmazonSSMReadOnlyAccess", "", ""},
	} {
		if _, got := h.lastAccessed(c.arn, c.granularity); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
	job, _ := h.lastAccessed(managed, "")
	who := must(t)(h.iam.GetServiceLastAccessedDetailsWithEntities(ctx, &iamapi.GetServiceLastAccessedDetailsWithEntitiesRequest{JobId: job, ServiceNamespace: "iam"})).(*iamapi.GetServiceLastAccessedDetailsWithEntitiesResponse)
	var names []string
	for _, e := range who.EntityDetailsList {
		names = append(names, string(e.EntityInfo.Type)+" "+e.EntityInfo.Name)
	}
	if got := strings.Join(names, ", "); got != "ROLE r, USER ada, USER bob" {
		t.Errorf("entities: %s", got)
	}
	h.deleteAndForget(job)
}

// A report ends after a week; unknown ones, principals and namespaces are refused.
func (h *house) deleteAndForget(job string) {
	h.t.Helper()
	ctx := h.root()
	get := func(id string) error {
		_, err := h.iam.GetServiceLastAccessedDetails(ctx, &iamapi.GetServiceLastAccessedDetailsRequest{JobId: id})
		return err
	}
	_, badService := h.iam.GetServiceLastAccessedDetailsWithEntities(ctx, &iamapi.GetServiceLastAccessedDetailsWithEntitiesRequest{JobId: job, ServiceNamespace: "moon"})
	_, nobody := h.iam.GenerateServiceLastAccessedDetails(ctx, &iamapi.GenerateServiceLastAccessedDetailsRequest{Arn: "arn:aws:iam::000000000000:user/nobody"})
	_, noPolicy := h.iam.GenerateServiceLastAccessedDetails(ctx, &iamapi.GenerateServiceLastAccessedDetailsRequest{Arn: "arn:aws:iam::000000000000:policy/none"})
	unknown := get("00000000-0000-4000-8000-000000000000")
	h.advance(8 * 24 * time.Hour)
	for want, err := range map[string]error{
		"Job ID 00000000-0000-4000-8000-000000000000 cannot be found.": unknown,
		"Job ID " + job + " cannot be found.":                          get(job),
		"InvalidInput: Invalid Service Namespace: moon":                badService,
		"The user with name nobody cannot be found.":                   nobody,
		"Policy arn:aws:iam::000000000000:policy/none was not found.":  noPolicy,
	} {
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			h.t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestListPoliciesGrantingServiceAccess(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	h.user("ada", `{"Effect":"Allow","Action":"ssm:Get*","Resource":"*"},{"Effect":"Deny","Action":"logs:*","Resource":"*"}`)
	must(t)(h.iam.AttachUserPolicy(ctx, &iamapi.AttachUserPolicyRequest{UserName: "ada", PolicyArn: managedPrefix + "AmazonSSMReadOnlyAccess"}))
	must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "staff"}))
	must(t)(h.iam.PutGroupPolicy(ctx, &iamapi.PutGroupPolicyRequest{GroupName: "staff", PolicyName: "g", PolicyDocument: doc(`{"Effect":"Allow","NotAction":"ssm:*","Resource":"*"}`)}))
	must(t)(h.iam.AddUserToGroup(ctx, &iamapi.AddUserToGroupRequest{GroupName: "staff", UserName: "ada"}))
	out := must(t)(h.iam.ListPoliciesGrantingServiceAccess(ctx, &iamapi.ListPoliciesGrantingServiceAccessRequest{Arn: "arn:aws:iam::000000000000:user/ada", ServiceNamespaces: []string{"ssm", "logs"}})).(*iamapi.ListPoliciesGrantingServiceAccessResponse)
	var got []string
	for _, e := range out.PoliciesGrantingServiceAccess {
		for _, p := range e.Policies {
			got = append(got, fmt.Sprint(*e.ServiceNamespace, " ", p.PolicyName, " ", p.PolicyType, " ", wire.Value(p.EntityName), p.EntityType))
		}
	}
	if want := "logs g INLINE staffGROUP, ssm p INLINE adaUSER, ssm AmazonSSMReadOnlyAccess MANAGED "; strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
	if _, err := h.iam.ListPoliciesGrantingServiceAccess(ctx, &iamapi.ListPoliciesGrantingServiceAccessRequest{Arn: "arn:aws:iam::000000000000:group/none", ServiceNamespaces: []string{"ssm"}}); err == nil {
		t.Error("policies of a group that does not exist")
	}
	if _, err := h.s.grantee(nil, "nothing"); err == nil {
		t.Error("no ARN was taken for one")
	}
}
