package iam

import (
	"strings"
	"testing"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// A guardrail binds root, users and roles alike; what it does not speak of stays as it was. A
// service-linked role is not bound.
func TestGuardrails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for id, text := range map[string]string{
		"FullAWSAccess": doc(`{"Effect":"Allow","Action":"*","Resource":"*"}`),
		"NoGroups":      doc(`{"Sid":"NoGroups","Effect":"Deny","Action":"iam:CreateGroup","Resource":"*"}`),
	} {
		d, err := policy.Parse(id, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		h.s.guards = append(h.s.guards, d)
	}
	all := `{"Effect":"Allow","Action":"*","Resource":"*"}`
	ada := h.as(h.user("ada", all))
	for name, ctx := range map[string]func() error{
		"root": func() error {
			_, err := h.iam.CreateGroup(h.root(), &iamapi.CreateGroupRequest{GroupName: "g"})
			return err
		},
		"user": func() error { _, err := h.iam.CreateGroup(ada, &iamapi.CreateGroupRequest{GroupName: "g"}); return err },
	} {
		err := ctx()
		if err == nil || !strings.Contains(err.Error(), "is not authorized to perform: iam:CreateGroup") || !strings.HasSuffix(err.Error(), "with an explicit deny in a service control policy") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.iam.ListGroups(ada, &iamapi.ListGroupsRequest{}); err != nil {
		t.Errorf("what no guardrail speaks of: %v", err)
	}
	for arn, want := range map[string]bool{
		"arn:aws:iam::000000000000:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway": true,
		"arn:aws:iam::000000000000:role/Plain": false,
	} {
		p := policy.Principal{Kind: policy.PrincipalAssumedRole, RoleARN: arn}
		if free := h.s.guardrails(&p) == nil; free != want {
			t.Errorf("%s is free of guardrails: %t, want %t", arn, free, want)
		}
	}
}

// An allow list of services: what it leaves out nobody may do, whatever else allows it.
func TestGuardrails_AllowList(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, err := policy.Parse("OnlySTS", []byte(doc(`{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)))
	if err != nil {
		t.Fatal(err)
	}
	h.s.guards = []*policy.Document{d}
	root := wire.CallFrom(h.root()).Caller
	for action, want := range map[string]bool{"sts:DecodeAuthorizationMessage": true, "iam:ListUsers": false} {
		got, err := h.s.Authorize(t.Context(), root, action, "*", account, nil)
		if err != nil || got.Allowed != want || !want && got.Kind != policy.KindGuardrail {
			t.Errorf("%s: %+v %v", action, got, err)
		}
	}
}
