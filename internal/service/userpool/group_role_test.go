package userpool

import (
	"context"
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// only lets one role be passed.
type only string

func (o only) PassRole(_ context.Context, _ wire.Caller, role, service string) error {
	if role != string(o) || service != "cognito-idp.amazonaws.com" {
		return wire.NewError(403, "AccessDeniedException", "not authorized to perform: iam:PassRole")
	}
	return nil
}

// A group has only a role that whoever says so may pass: its members become that role.
func TestService_groupRole(t *testing.T) {
	t.Parallel()
	const mine, admin = "arn:aws:iam::000000000000:role/mine", "arn:aws:iam::000000000000:role/admin"
	h := newHouse(t)
	h.passRoler = only(mine)
	ctx := wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: testRegion})
	pool := h.newPoolID(nil)
	create := func(name, role string) error {
		_, err := h.CreateGroup(ctx, &api.CreateGroupRequest{UserPoolId: pool, GroupName: name, RoleArn: &role})
		return err
	}
	if err := create("mine", mine); err != nil {
		t.Fatal(err)
	}
	want(t, create("admin", admin), "AccessDeniedException", "not authorized to perform: iam:PassRole")
	_, err := h.UpdateGroup(ctx, &api.UpdateGroupRequest{UserPoolId: pool, GroupName: "mine", RoleArn: wire.String(admin)})
	want(t, err, "AccessDeniedException", "not authorized to perform: iam:PassRole")
	if _, err := h.UpdateGroup(ctx, &api.UpdateGroupRequest{UserPoolId: pool, GroupName: "mine", Description: wire.String("d")}); err != nil {
		t.Error(err)
	}
	got := must[*api.GetGroupResponse](t)(h.GetGroup(ctx, &api.GetGroupRequest{UserPoolId: pool, GroupName: "mine"})).Group
	if deref(got.RoleArn) != mine {
		t.Errorf("got the role %s", deref(got.RoleArn))
	}
}
