package iam

import (
	"testing"

	"moat/internal/wire/iamapi"
)

// A decision says of a policy that a group has whose it is: the user may have one
// of the same name.
func TestDecision_policyOfGroup(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.user("ada", `{"Sid":"Own","Effect":"Allow","Action":"ssm:*","Resource":"*"}`)
	must(t)(h.iam.CreateGroup(h.root(), &iamapi.CreateGroupRequest{GroupName: "staff"}))
	must(t)(h.iam.PutGroupPolicy(h.root(), &iamapi.PutGroupPolicyRequest{GroupName: "staff", PolicyName: "p",
		PolicyDocument: doc(`{"Sid":"Theirs","Effect":"Allow","Action":"logs:*","Resource":"*"},{"Sid":"Never","Effect":"Deny","Action":"ssm:PutParameter","Resource":"*"}`)}))
	must(t)(h.iam.AddUserToGroup(h.root(), &iamapi.AddUserToGroupRequest{GroupName: "staff", UserName: "ada"}))
	c, err := h.s.Credential(t.Context(), key.AccessKeyID, "")
	if err != nil {
		t.Fatal(err)
	}
	for action, want := range map[string][3]string{
		"ssm:GetParameter": {"yes", "p", "Own"}, "logs:GetLogEvents": {"yes", "p of group staff", "Theirs"}, "ssm:PutParameter": {"no", "p of group staff", "Never"},
	} {
		d, err := h.s.Authorize(t.Context(), c.Caller, action, "*", account, nil)
		if err != nil || d.Allowed != (want[0] == "yes") || d.Policy != want[1] || d.Statement != want[2] {
			t.Errorf("%s: %+v, %v, want %v", action, d, err, want)
		}
	}
}
