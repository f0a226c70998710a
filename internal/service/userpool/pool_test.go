package userpool

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

func TestService_CreateUserPool(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	h.stock()
	out := must[*api.CreateUserPoolResponse](t)(h.c.CreateUserPool(ctx, &api.CreateUserPoolRequest{PoolName: "plain"}))
	p := out.UserPool
	if !regexp.MustCompile(`^eu-central-1_[0-9A-Za-z]{9}$`).MatchString(*p.Id) {
		t.Errorf("got id %s", *p.Id)
	}
	if *p.Arn != "arn:aws:cognito-idp:eu-central-1:000000000000:userpool/"+*p.Id {
		t.Errorf("got ARN %s", *p.Arn)
	}
	pp := p.Policies.PasswordPolicy
	if *pp.MinimumLength != 8 || !*pp.RequireLowercase || !*pp.RequireNumbers || !*pp.RequireSymbols || !*pp.RequireUppercase || *pp.TemporaryPasswordValidityDays != 7 {
		t.Errorf("got policy %+v", pp)
	}
	if len(p.SchemaAttributes) != 20 || p.MfaConfiguration != "OFF" || p.DeletionProtection != "INACTIVE" {
		t.Errorf("got %d attributes, MFA %s", len(p.SchemaAttributes), p.MfaConfiguration)
	}
	issuer, ok := h.Issuer(*p.Arn)
	if !ok || issuer != "http://localhost:4566/"+*p.Id {
		t.Errorf("got issuer %q, %v", issuer, ok)
	}
	for _, arn := range []string{
		"", *p.Id, *p.Arn + "x", strings.Replace(*p.Arn, "000000000000", "111111111111", 1),
		strings.Replace(*p.Arn, "cognito-idp:eu-central-1", "cognito-idp:us-east-1", 1), strings.Replace(*p.Arn, "userpool/", "pool/", 1),
	} {
		if got, ok := h.Issuer(arn); ok {
			t.Errorf("Issuer(%q) is %q", arn, got)
		}
	}
	d := must[*api.DescribeUserPoolResponse](t)(h.c.DescribeUserPool(ctx, &api.DescribeUserPoolRequest{UserPoolId: *p.Id}))
	if !reflect.DeepEqual(d.UserPool, p) {
		t.Errorf("Describe differs from Create:\n%+v\n%+v", d.UserPool, p)
	}
	h.region = "us-east-1"
	_, err := h.c.DescribeUserPool(ctx, &api.DescribeUserPoolRequest{UserPoolId: *p.Id})
	want(t, err, "ResourceNotFoundException", "User pool "+*p.Id+" does not exist.")
}

func TestService_CreateUserPool_refused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tests := map[string]struct {
		in   api.CreateUserPoolRequest
		code string
	}{
		"mfa by nothing":   {api.CreateUserPoolRequest{MfaConfiguration: "OPTIONAL"}, "InvalidParameterException"},
		"sender":           {api.CreateUserPoolRequest{LambdaConfig: &api.LambdaConfigType{KMSKeyID: wire.String("arn:aws:kms:eu-central-1:000000000000:key/k")}}, "NotImplemented"},
		"passkeys alone":   {api.CreateUserPoolRequest{Policies: &api.UserPoolPolicyType{SignInPolicy: &api.SignInPolicyType{AllowedFirstAuthFactors: []api.AuthFactorType{"WEB_AUTHN"}}}}, "InvalidParameterException"},
		"both name rules":  {api.CreateUserPoolRequest{AliasAttributes: []api.AliasAttributeType{"email"}, UsernameAttributes: []api.UsernameAttributeType{"email"}}, "InvalidParameterException"},
		"required custom":  {api.CreateUserPoolRequest{Schema: []api.SchemaAttributeType{{Name: wire.String("x"), Required: wire.Bool(true)}}}, "InvalidParameterException"},
		"standard type":    {api.CreateUserPoolRequest{Schema: []api.SchemaAttributeType{{Name: wire.String("email"), AttributeDataType: "Number"}}}, "InvalidParameterException"},
		"custom twice":     {api.CreateUserPoolRequest{Schema: []api.SchemaAttributeType{{Name: wire.String("x")}, {Name: wire.String("x")}}}, "InvalidParameterException"},
		"constraints":      {api.CreateUserPoolRequest{Schema: []api.SchemaAttributeType{{Name: wire.String("x"), StringAttributeConstraints: &api.StringAttributeConstraintsType{MinLength: wire.String("9"), MaxLength: wire.String("1")}}}}, "InvalidParameterException"},
		"recovery twice":   {api.CreateUserPoolRequest{AccountRecoverySetting: &api.AccountRecoverySettingType{RecoveryMechanisms: []api.RecoveryOptionType{{Name: "verified_email", Priority: 1}, {Name: "admin_only", Priority: 2}}}}, "InvalidParameterException"},
		"proof of nothing": {api.CreateUserPoolRequest{UserAttributeUpdateSettings: &api.UserAttributeUpdateSettingsType{AttributesRequireVerificationBeforeUpdate: []api.VerifiedAttributeType{"email"}}}, "InvalidParameterException"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.in.PoolName = "x"
			_, err := h.c.CreateUserPool(t.Context(), &tt.in)
			want(t, err, tt.code, "")
		})
	}
}

func TestService_UpdateUserPool(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	id := h.newPoolID(nil)
	must[*api.UpdateUserPoolResponse](t)(h.c.UpdateUserPool(ctx, &api.UpdateUserPoolRequest{
		UserPoolId: id, DeletionProtection: "ACTIVE", AutoVerifiedAttributes: []api.VerifiedAttributeType{"email"},
		AdminCreateUserConfig: &api.AdminCreateUserConfigType{AllowAdminCreateUserOnly: wire.Bool(true)},
	}))
	p := must[*api.DescribeUserPoolResponse](t)(h.c.DescribeUserPool(ctx, &api.DescribeUserPoolRequest{UserPoolId: id})).UserPool
	// What was left out has its default again; what cannot be updated stays.
	if *p.Policies.PasswordPolicy.MinimumLength != 8 || !*p.AdminCreateUserConfig.AllowAdminCreateUserOnly || len(p.UsernameAttributes) != 1 {
		t.Errorf("got %+v", p)
	}
	_, err := h.c.DeleteUserPool(ctx, &api.DeleteUserPoolRequest{UserPoolId: id})
	want(t, err, "InvalidParameterException", "The user pool cannot be deleted because deletion protection is activated. Deletion protection must be inactivated first.")
	must[*api.AddCustomAttributesResponse](t)(h.c.AddCustomAttributes(ctx, &api.AddCustomAttributesRequest{UserPoolId: id, CustomAttributes: []api.SchemaAttributeType{{Name: wire.String("tier"), AttributeDataType: "String"}}}))
	_, err = h.c.AddCustomAttributes(ctx, &api.AddCustomAttributesRequest{UserPoolId: id, CustomAttributes: []api.SchemaAttributeType{{Name: wire.String("tier"), AttributeDataType: "String"}}})
	want(t, err, "InvalidParameterException", "custom:tier: Existing attribute already has name custom:tier.")
	must[*api.TagResourceResponse](t)(h.c.TagResource(ctx, &api.TagResourceRequest{ResourceArn: *p.Arn, Tags: map[string]string{"a": "1", "b": "2"}}))
	must[*api.UntagResourceResponse](t)(h.c.UntagResource(ctx, &api.UntagResourceRequest{ResourceArn: *p.Arn, TagKeys: []string{"a"}}))
	tags := must[*api.ListTagsForResourceResponse](t)(h.c.ListTagsForResource(ctx, &api.ListTagsForResourceRequest{ResourceArn: *p.Arn})).Tags
	if len(tags) != 1 || tags["b"] != "2" {
		t.Errorf("got tags %v", tags)
	}
}

// With the pool goes everything in it, and nobody believes its tokens.
func TestService_DeleteUserPool(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	id, kept := h.newPoolID(nil), h.newPoolID(nil)
	client := *h.newClient(id, nil).ClientId
	h.member(id, "ann@example.com")
	h.member(kept, "ann@example.com")
	r := h.mustSignIn(client, "ann@example.com")
	claims := h.claims(r.AccessToken)
	must[*api.CreateUserPoolDomainResponse](t)(h.c.CreateUserPoolDomain(ctx, &api.CreateUserPoolDomainRequest{UserPoolId: id, Domain: "school"}))
	_, err := h.c.DeleteUserPool(ctx, &api.DeleteUserPoolRequest{UserPoolId: id})
	want(t, err, "InvalidParameterException", "")
	must[*api.DeleteUserPoolDomainResponse](t)(h.c.DeleteUserPoolDomain(ctx, &api.DeleteUserPoolDomainRequest{UserPoolId: id, Domain: "school"}))
	must[*api.DeleteUserPoolOutput](t)(h.c.DeleteUserPool(ctx, &api.DeleteUserPoolRequest{UserPoolId: id}))
	if _, ok := h.KeysOf(h.issuer(id)); ok {
		t.Error("the issuer still has keys")
	}
	if h.TokenLive(ctx, claims) == nil {
		t.Error("a token lives")
	}
	_, err = h.signIn(client, "ann@example.com", goodPass)
	want(t, err, "ResourceNotFoundException", "")
	for name, n := range rows(t, h) {
		if n > 1 {
			t.Errorf("%s still has %d records", name, n)
		}
	}
}

// rows counts the records of each table that belongs to pools.
func rows(t *testing.T, h *house) map[string]int {
	t.Helper()
	out := map[string]int{}
	err := h.db.View(t.Context(), func(tx *store.Tx) error {
		var errs [6]error
		out["pools"], errs[0] = h.tables.pools.Count(tx, store.Query{})
		out["users"], errs[1] = h.tables.users.Count(tx, store.Query{})
		out["clients"], errs[2] = h.tables.clients.Count(tx, store.Query{})
		out["sessions"], errs[3] = h.tables.sessions.Count(tx, store.Query{})
		out["codes"], errs[4] = h.tables.codes.Count(tx, store.Query{})
		out["domains"], errs[5] = h.tables.domains.Count(tx, store.Query{})
		return errors.Join(errs[:]...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestService_Run(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	// No key need be in reserve: who wants the pool's keys waits for the first.
	out := must[*api.CreateUserPoolResponse](t)(h.c.CreateUserPool(t.Context(), &api.CreateUserPoolRequest{PoolName: "x"}))
	if keys, err := h.keys.of(t.Context(), *out.UserPool.Id); err != nil || len(keys.public) == 0 {
		t.Errorf("the keys of a new pool: %v, %v", keys, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for { // what Run does, without its pauses
		more, err := h.keys.fill(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
	}
	keys, err := h.keys.of(t.Context(), *out.UserPool.Id)
	if err != nil {
		t.Fatal(err)
	}
	if len(keys.public) != publishedKeys || strings.Count(string(keys.jwks), `"kid"`) != publishedKeys {
		t.Errorf("%d keys are published: %s", len(keys.public), keys.jwks)
	}
	if strings.Contains(string(keys.jwks), `"d"`) {
		t.Error("a private key is published")
	}
}

// A pool that is made while the list of pools is read gets its second key, too: the list does not have it, who made
// it has told of it.
func TestKeyring_scanMissesAPool(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.keys.mu.Lock()
	h.keys.young = []string{"us-east-1_MadeNow00"}
	h.keys.mu.Unlock()
	if err := h.keys.scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.keys.mu.Lock()
	defer h.keys.mu.Unlock()
	if !slices.Contains(h.keys.young, "us-east-1_MadeNow00") {
		t.Errorf("the pools that lack a key are %v", h.keys.young)
	}
}

func TestKeyring_emptyReserve(t *testing.T) {
	t.Parallel()
	h := newHouse(t) // without Run: nobody fills the reserve
	out := must[*api.CreateUserPoolResponse](t)(h.c.CreateUserPool(t.Context(), &api.CreateUserPoolRequest{PoolName: "x"}))
	first, err := h.keys.of(t.Context(), *out.UserPool.Id)
	if err != nil || len(first.public) != 1 {
		t.Fatalf("the keys of a pool made without any: %v, %v", first, err)
	}
	again, err := h.keys.of(t.Context(), *out.UserPool.Id)
	if err != nil || again.signer.ID != first.signer.ID {
		t.Errorf("a second look gives another key: %v", err)
	}
	if _, err := h.keys.of(t.Context(), "us-east-1_Absent123"); !is(err, notFound) {
		t.Errorf("a pool that is not there: %v", err)
	}
}

func TestService_clients(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(nil)
	must[*api.CreateResourceServerResponse](t)(h.c.CreateResourceServer(ctx, &api.CreateResourceServerRequest{
		UserPoolId: pool, Identifier: "courses", Name: "courses", Scopes: []api.ResourceServerScopeType{{ScopeName: "read", ScopeDescription: "r"}},
	}))
	type request = api.CreateUserPoolClientRequest
	tests := map[string]struct {
		change func(in *request)
		code   string
	}{
		"nothing": {func(*request) {}, ""},
		"code flow": {func(in *request) {
			in.AllowedOAuthFlows = []api.OAuthFlowType{"code"}
			in.AllowedOAuthScopes = []string{"openid", "courses/read"}
			in.AllowedOAuthFlowsUserPoolClient = wire.Bool(true)
			in.CallbackURLs = []string{"https://a.example/cb", "http://localhost:3000/cb", "myapp://cb"}
			in.DefaultRedirectURI = wire.String("myapp://cb")
		}, ""},
		"client credentials": {func(in *request) {
			in.AllowedOAuthFlows = []api.OAuthFlowType{"client_credentials"}
			in.AllowedOAuthScopes = []string{"courses/read"}
			in.GenerateSecret = wire.Bool(true)
		}, ""},
		"without a secret": {func(in *request) { in.AllowedOAuthFlows = []api.OAuthFlowType{"client_credentials"} }, "InvalidOAuthFlowException"},
		"mixed with code": {func(in *request) {
			in.AllowedOAuthFlows = []api.OAuthFlowType{"client_credentials", "code"}
			in.GenerateSecret = wire.Bool(true)
		}, "InvalidOAuthFlowException"},
		"unknown scope":      {func(in *request) { in.AllowedOAuthScopes = []string{"courses/write"} }, "ScopeDoesNotExistException"},
		"javascript":         {func(in *request) { in.CallbackURLs = []string{"JaVaScRiPt:alert(1)"} }, "InvalidParameterException"},
		"fragment":           {func(in *request) { in.CallbackURLs = []string{"https://a.example/#x"} }, "InvalidParameterException"},
		"http elsewhere":     {func(in *request) { in.CallbackURLs = []string{"http://localhost.evil/cb"} }, "InvalidParameterException"},
		"user information":   {func(in *request) { in.CallbackURLs = []string{"https://a@b.example/"} }, "InvalidParameterException"},
		"backslash":          {func(in *request) { in.LogoutURLs = []string{`https://a.example\@b`} }, "InvalidParameterException"},
		"default not listed": {func(in *request) { in.DefaultRedirectURI = wire.String("https://a.example/") }, "InvalidParameterException"},
		"provider":           {func(in *request) { in.SupportedIdentityProviders = []string{"COGNITO", "Google"} }, "InvalidParameterException"},
		"access token too short": {func(in *request) {
			in.AccessTokenValidity = wire.Int32(4)
			in.TokenValidityUnits = &api.TokenValidityUnitsType{AccessToken: "minutes"}
		}, "InvalidParameterException"},
		"id token too long": {func(in *request) { in.IdTokenValidity = wire.Int32(25) }, "InvalidParameterException"},
		"refresh too long":  {func(in *request) { in.RefreshTokenValidity = wire.Int32(3651) }, "InvalidParameterException"},
		"old and new flows": {func(in *request) {
			in.ExplicitAuthFlows = []api.ExplicitAuthFlowsType{"USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH"}
		}, "InvalidParameterException"},
		"writes verdicts":   {func(in *request) { in.WriteAttributes = []string{"email", "email_verified"} }, "InvalidParameterException"},
		"reads the unknown": {func(in *request) { in.ReadAttributes = []string{"custom:x"} }, "InvalidParameterException"},
		"analytics":         {func(in *request) { in.AnalyticsConfiguration = &api.AnalyticsConfigurationType{} }, "NotImplemented"},
		"no such pool":      {func(in *request) { in.UserPoolId = "eu-central-1_AAAAAAAAA" }, "ResourceNotFoundException"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := &request{UserPoolId: pool, ClientName: "x"}
			tt.change(in)
			out, err := h.c.CreateUserPoolClient(ctx, in)
			if tt.code != "" {
				want(t, err, tt.code, "")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			d := must[*api.DescribeUserPoolClientResponse](t)(h.c.DescribeUserPoolClient(ctx, &api.DescribeUserPoolClientRequest{UserPoolId: pool, ClientId: *out.UserPoolClient.ClientId}))
			if !reflect.DeepEqual(d.UserPoolClient, out.UserPoolClient) {
				t.Errorf("Describe differs from Create")
			}
		})
	}
	n := 0
	var next *string
	for page := 0; page == 0 || next != nil; page++ {
		out := must[*api.ListUserPoolClientsResponse](t)(h.c.ListUserPoolClients(ctx, &api.ListUserPoolClientsRequest{UserPoolId: pool, MaxResults: wire.Int32(2), NextToken: next}))
		n, next = n+len(out.UserPoolClients), out.NextToken
	}
	if n != 3 {
		t.Errorf("%d clients are listed, want 3", n)
	}
}

func TestService_ListUsers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool, other := h.newPoolID(nil), h.newPoolID(nil)
	for i := range 7 {
		must[*api.AdminCreateUserResponse](t)(h.c.AdminCreateUser(ctx, &api.AdminCreateUserRequest{
			UserPoolId: pool, Username: fmt.Sprintf("user%d@example.com", i), MessageAction: "SUPPRESS",
			UserAttributes: []api.AttributeType{attr("family_name", `O"Hara`), attr("given_name", fmt.Sprintf("Ann%d", i%2))},
		}))
	}
	list := func(in api.ListUsersRequest) []string {
		t.Helper()
		var out []string
		in.UserPoolId = pool
		for {
			r := must[*api.ListUsersResponse](t)(h.c.ListUsers(ctx, &in))
			for _, u := range r.Users {
				out = append(out, attributesOf(u.Attributes)["email"])
			}
			if r.PaginationToken == nil {
				return out
			}
			in.PaginationToken = r.PaginationToken
		}
	}
	for filter, n := range map[string]int{
		"": 7, `email = "user3@example.com"`: 1, `email ^= "user"`: 7, `email ^= "user3"`: 1, `email = "user"`: 0,
		`given_name = "Ann1"`: 3, `family_name = "O\"Hara"`: 7, `cognito:user_status = "FORCE_CHANGE_PASSWORD"`: 7,
		`cognito:user_status="CONFIRMED"`: 0, `status = "Enabled"`: 7, `given_name ^= "Ann"`: 7,
	} {
		for _, limit := range []int32{0, 1, 3} {
			in := api.ListUsersRequest{Limit: wire.Int32(limit)}
			if filter != "" {
				in.Filter = wire.String(filter)
			}
			got := list(in)
			seen := map[string]bool{}
			for _, e := range got {
				seen[e] = true
			}
			if len(got) != n || len(seen) != n {
				t.Errorf("filter %q, limit %d: got %d users (%d different), want %d", filter, limit, len(got), len(seen), n)
			}
		}
	}
	for _, filter := range []string{`email`, `email = x`, `email != "x"`, `custom:plan = "x"`, `email = "x" or name = "y"`, `email ^= ""`, `email = "x`} {
		_, err := h.c.ListUsers(ctx, &api.ListUsersRequest{UserPoolId: pool, Filter: &filter})
		want(t, err, "InvalidParameterException", "")
	}
	first := must[*api.ListUsersResponse](t)(h.c.ListUsers(ctx, &api.ListUsersRequest{UserPoolId: pool, Limit: wire.Int32(2)}))
	for name, in := range map[string]api.ListUsersRequest{
		"another pool":   {UserPoolId: other, PaginationToken: first.PaginationToken},
		"another filter": {UserPoolId: pool, PaginationToken: first.PaginationToken, Filter: wire.String(`email ^= "u"`)},
		"altered":        {UserPoolId: pool, PaginationToken: wire.String(flip(*first.PaginationToken))},
		"invented":       {UserPoolId: pool, PaginationToken: wire.String("e30")},
	} {
		if _, err := h.c.ListUsers(ctx, &in); err == nil {
			t.Errorf("%s: page token accepted", name)
		}
	}
	_, err := h.c.ListGroups(ctx, &api.ListGroupsRequest{UserPoolId: pool, NextToken: first.PaginationToken})
	want(t, err, "InvalidParameterException", "")
	only := must[*api.ListUsersResponse](t)(h.c.ListUsers(ctx, &api.ListUsersRequest{UserPoolId: pool, AttributesToGet: []string{"sub"}, Limit: wire.Int32(1)}))
	if a := only.Users[0].Attributes; len(a) != 1 || a[0].Name != "sub" {
		t.Errorf("got %v", a)
	}
}

func TestService_groups(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(nil)
	h.member(pool, "ann@example.com")
	must[*api.CreateGroupResponse](t)(h.c.CreateGroup(ctx, &api.CreateGroupRequest{UserPoolId: pool, GroupName: "User"}))
	_, err := h.c.CreateGroup(ctx, &api.CreateGroupRequest{UserPoolId: pool, GroupName: "User"})
	want(t, err, "GroupExistsException", "A group with the name already exists.")
	add := func(group, user string) error {
		_, err := h.c.AdminAddUserToGroup(ctx, &api.AdminAddUserToGroupRequest{UserPoolId: pool, GroupName: group, Username: user})
		return err
	}
	want(t, add("None", "ann@example.com"), "ResourceNotFoundException", "Group not found.")
	want(t, add("User", "eve@example.com"), "UserNotFoundException", "User does not exist.")
	for range 2 {
		if err := add("User", "ann@example.com"); err != nil {
			t.Fatal(err)
		}
	}
	users := must[*api.ListUsersInGroupResponse](t)(h.c.ListUsersInGroup(ctx, &api.ListUsersInGroupRequest{UserPoolId: pool, GroupName: "User"})).Users
	groups := must[*api.AdminListGroupsForUserResponse](t)(h.c.AdminListGroupsForUser(ctx, &api.AdminListGroupsForUserRequest{UserPoolId: pool, Username: "ann@example.com"})).Groups
	if len(users) != 1 || len(groups) != 1 {
		t.Errorf("got %d users, %d groups", len(users), len(groups))
	}
	must[*api.DeleteGroupOutput](t)(h.c.DeleteGroup(ctx, &api.DeleteGroupRequest{UserPoolId: pool, GroupName: "User"}))
	groups = must[*api.AdminListGroupsForUserResponse](t)(h.c.AdminListGroupsForUser(ctx, &api.AdminListGroupsForUserRequest{UserPoolId: pool, Username: "ann@example.com"})).Groups
	if len(groups) != 0 {
		t.Errorf("a deleted group still has members: %v", groups)
	}
}

// Every operation that names a pool finds nothing of another pool in it, and
// nothing at all from another region.
func TestService_otherPool(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	mine, theirs := h.newPoolID(nil), h.newPoolID(nil)
	client := *h.newClient(theirs, nil).ClientId
	h.member(theirs, "ann@example.com")
	must[*api.CreateGroupResponse](t)(h.c.CreateGroup(ctx, &api.CreateGroupRequest{UserPoolId: theirs, GroupName: "User"}))
	must[*api.CreateResourceServerResponse](t)(h.c.CreateResourceServer(ctx, &api.CreateResourceServerRequest{UserPoolId: theirs, Identifier: "courses", Name: "courses"}))
	must[*api.CreateUserPoolDomainResponse](t)(h.c.CreateUserPoolDomain(ctx, &api.CreateUserPoolDomainRequest{UserPoolId: theirs, Domain: "theirs"}))
	job := *h.importJob(theirs).JobId
	fill := func(in any, pool string) bool {
		v := reflect.ValueOf(in).Elem()
		f := v.FieldByName("UserPoolId")
		if !f.IsValid() || f.Kind() != reflect.String {
			return false
		}
		set := func(name, value string) {
			if f := v.FieldByName(name); f.IsValid() && f.Kind() == reflect.String {
				f.SetString(value)
			}
		}
		f.SetString(pool)
		set("Username", "ann@example.com")
		set("ClientId", client)
		set("GroupName", "User")
		set("Identifier", "courses")
		set("Name", "courses")
		set("Domain", "theirs")
		set("Password", goodPass)
		set("AuthFlow", "ADMIN_USER_PASSWORD_AUTH")
		set("ChallengeName", "NEW_PASSWORD_REQUIRED")
		set("ClientSecretId", "x")
		set("JobId", job)
		set("JobName", "job")
		set("CloudWatchLogsRoleArn", logsRole)
		if f := v.FieldByName("MaxResults"); f.IsValid() && f.Kind() == reflect.Int32 {
			f.SetInt(1)
		}
		return true
	}
	// These make or list something of their own, or read the pool itself.
	own := map[string]bool{
		"AdminCreateUser": true, "CreateGroup": true, "CreateResourceServer": true, "CreateUserPoolClient": true, "DescribeUserPool": true,
		"UpdateUserPool": true, "DeleteUserPool": true, "AddCustomAttributes": true, "ListGroups": true, "ListUsers": true, "ListUserPoolClients": true,
		"ListResourceServers": true, "GetUserPoolMfaConfig": true, "SetUserPoolMfaConfig": true,
		"GetCSVHeader": true, "GetLogDeliveryConfiguration": true, "CreateUserImportJob": true, "ListUserImportJobs": true,
	}
	tried := 0
	for _, op := range api.New(h.Service).Operations {
		in := op.NewInput()
		if !fill(in, mine) {
			continue
		}
		if !own[op.Name] {
			err := h.Invoke(ctx, "", op.Name, in, reflect.New(op.Output).Interface())
			if err == nil {
				t.Errorf("%s reaches into another pool", op.Name)
			}
			tried++
		}
		fill(in, theirs)
		h.region = "us-east-1"
		err := h.Invoke(ctx, "", op.Name, in, reflect.New(op.Output).Interface())
		h.region = testRegion
		if err == nil {
			t.Errorf("%s works from another region", op.Name)
		}
	}
	if tried < 25 {
		t.Errorf("only %d operations were tried", tried)
	}
	h.mustSignIn(client, "ann@example.com") // all of it is still there
	u := must[*api.AdminGetUserResponse](t)(h.c.AdminGetUser(ctx, &api.AdminGetUserRequest{UserPoolId: theirs, Username: "ann@example.com"}))
	if u.UserStatus != "CONFIRMED" {
		t.Errorf("got status %s", u.UserStatus)
	}
}

func TestService_resources(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	arn := "arn:aws:cognito-idp:eu-central-1:000000000000:userpool/eu-central-1_abc"
	for _, tt := range []struct {
		in   any
		want string
	}{
		{&api.AdminGetUserRequest{UserPoolId: "eu-central-1_abc"}, arn},
		{&api.TagResourceRequest{ResourceArn: arn}, arn},
		{&api.ListUserPoolsRequest{}, "*"},
		{&api.CreateUserPoolRequest{}, "*"},
		{&api.DescribeUserPoolDomainRequest{Domain: "x"}, "*"},
	} {
		got := append(h.resources(&wire.Call{}, "", tt.in), wire.Need{Resource: "*"})
		if got[0].Resource != tt.want {
			t.Errorf("%T: got %v, want %s", tt.in, got, tt.want)
		}
	}
}
