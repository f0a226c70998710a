package userpool

import (
	"fmt"
	"testing"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

func TestQuota(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(nil)
	other := h.newPoolID(nil)
	h.member(pool, "ann@example.com")
	add := func(i int) error {
		_, err := h.c.AdminAddUserToGroup(ctx, &api.AdminAddUserToGroupRequest{UserPoolId: pool, Username: "ann@example.com", GroupName: fmt.Sprint("g", i)})
		return err
	}
	for i := range maxUserGroups + 1 {
		must[*api.CreateGroupResponse](t)(h.c.CreateGroup(ctx, &api.CreateGroupRequest{UserPoolId: pool, GroupName: fmt.Sprint("g", i)}))
		if err := add(i); (err == nil) != (i < maxUserGroups) {
			t.Fatalf("group %d: %v", i, err)
		}
	}
	want(t, add(maxUserGroups), "InvalidParameterException", "There can be at most 100 groups to which a user belongs.")
	if err := add(0); err != nil { // a member already
		t.Error(err)
	}
	server := func(pool string, i int) error {
		_, err := h.c.CreateResourceServer(ctx, &api.CreateResourceServerRequest{UserPoolId: pool, Identifier: fmt.Sprint("s", i), Name: "s"})
		return err
	}
	for i := range maxServers {
		if err := server(pool, i); err != nil {
			t.Fatal(err)
		}
	}
	want(t, server(pool, maxServers), "LimitExceededException", "There can be at most 300 resource servers of a user pool.")
	if err := server(other, 0); err != nil {
		t.Error(err)
	}
	err := h.db.Update(ctx, func(tx *store.Tx) error {
		for i := range maxClients {
			if err := h.tables.clients.Insert(tx, Client{Pool: pool, ID: fmt.Sprint("c", i)}); err != nil {
				return err
			}
			if i <= maxUserGroups {
				continue
			}
			if err := h.tables.groups.Insert(tx, Group{Pool: pool, Name: fmt.Sprint("g", i)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{pool, other} {
		_, noClient := h.c.CreateUserPoolClient(ctx, &api.CreateUserPoolClientRequest{UserPoolId: p, ClientName: "web"})
		_, noGroup := h.c.CreateGroup(ctx, &api.CreateGroupRequest{UserPoolId: p, GroupName: "one-more"})
		if p == pool {
			want(t, noClient, "LimitExceededException", "There can be at most 10000 app clients of a user pool.")
			want(t, noGroup, "LimitExceededException", "There can be at most 10000 groups of a user pool.")
		} else if noClient != nil || noGroup != nil {
			t.Errorf("another pool: %v, %v", noClient, noGroup)
		}
	}
}

func TestQuota_tags(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	tags := func(n int) map[string]string {
		out := map[string]string{}
		for i := range n {
			out[fmt.Sprint("k", i)] = "v"
		}
		return out
	}
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UserPoolTags = tags(maxTags) })
	arn := "arn:aws:cognito-idp:eu-central-1:000000000000:userpool/" + pool
	_, err := h.c.CreateUserPool(ctx, &api.CreateUserPoolRequest{PoolName: "x", UserPoolTags: tags(maxTags + 1)})
	want(t, err, "InvalidParameterException", "A user pool can have at most 50 tags.")
	_, err = h.c.CreateUserPool(ctx, &api.CreateUserPoolRequest{PoolName: "x", UserPoolTags: map[string]string{"AWS:owner": "x"}})
	want(t, err, "InvalidParameterException", "Tag keys cannot start with aws:")
	_, err = h.c.UpdateUserPool(ctx, &api.UpdateUserPoolRequest{UserPoolId: pool, UserPoolTags: map[string]string{"aws:owner": "x"}})
	want(t, err, "InvalidParameterException", "Tag keys cannot start with aws:")
	_, err = h.c.TagResource(ctx, &api.TagResourceRequest{ResourceArn: arn, Tags: map[string]string{"aws:owner": "x"}})
	want(t, err, "InvalidParameterException", "")
	_, err = h.c.TagResource(ctx, &api.TagResourceRequest{ResourceArn: arn, Tags: map[string]string{"one": "more"}})
	want(t, err, "InvalidParameterException", "A user pool can have at most 50 tags.")
	must[*api.TagResourceResponse](t)(h.c.TagResource(ctx, &api.TagResourceRequest{ResourceArn: arn, Tags: map[string]string{"k0": "changed"}}))
}

// A validity that is too long by far is not taken for a short one.
func TestClientValidity_overflow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	days := func(n int32) error {
		_, err := h.c.CreateUserPoolClient(t.Context(), &api.CreateUserPoolClientRequest{UserPoolId: pool, ClientName: "web", RefreshTokenValidity: &n})
		return err
	}
	if err := days(3650); err != nil {
		t.Error(err)
	}
	for _, n := range []int32{3651, 213505, 315360000} {
		want(t, days(n), "InvalidParameterException", "Invalid range for token validity. Refresh token validity must be between 60 minutes and 3650 days.")
	}
}
