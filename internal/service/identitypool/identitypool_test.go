package identitypool

import (
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/pure/token"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

func TestRoleMapping(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	other := "arn:aws:iam::000000000000:role/other"
	h.trust[other] = h.trust[authRole]
	rules := func(match, value string) api.RoleMapping {
		return api.RoleMapping{Type: "Rules", AmbiguousRoleResolution: "Deny", RulesConfiguration: &api.RulesConfigurationType{
			Rules: []api.MappingRule{{Claim: "custom:dept", MatchType: api.MappingRuleMatchType(match), Value: value, RoleARN: mapped}}}}
	}
	tokens := func(ambiguous string) api.RoleMapping {
		return api.RoleMapping{Type: "Token", AmbiguousRoleResolution: api.AmbiguousRoleResolutionType(ambiguous)}
	}
	for _, tt := range []struct {
		name    string
		mapping api.RoleMapping
		claims  map[string]any
		custom  string
		role    string // "" is refused
	}{
		{"preferred role", tokens("Deny"), map[string]any{"cognito:preferred_role": mapped, "cognito:roles": []string{mapped, other}}, "", mapped},
		{"only role", tokens("Deny"), map[string]any{"cognito:roles": []string{mapped}}, "", mapped},
		{"ambiguous, deny", tokens("Deny"), map[string]any{"cognito:roles": []string{mapped, other}}, "", ""},
		{"ambiguous, default", tokens("AuthenticatedRole"), map[string]any{"cognito:roles": []string{mapped, other}}, "", authRole},
		{"no role, deny", tokens("Deny"), nil, "", ""},
		{"no role, default", tokens("AuthenticatedRole"), nil, "", authRole},
		{"custom of its roles", tokens("Deny"), map[string]any{"cognito:roles": []string{mapped, other}}, other, other},
		{"custom of another", tokens("AuthenticatedRole"), map[string]any{"cognito:roles": []string{mapped}}, other, ""},
		{"equals", rules("Equals", "eng"), map[string]any{"custom:dept": "eng"}, "", mapped},
		{"equals not", rules("Equals", "eng"), map[string]any{"custom:dept": "engine"}, "", ""},
		{"contains", rules("Contains", "gin"), map[string]any{"custom:dept": "engine"}, "", mapped},
		{"starts with", rules("StartsWith", "eng"), map[string]any{"custom:dept": "engine"}, "", mapped},
		{"starts not with", rules("StartsWith", "gin"), map[string]any{"custom:dept": "engine"}, "", ""},
		{"not equal", rules("NotEqual", "eng"), map[string]any{"custom:dept": "ops"}, "", mapped},
		{"not equal, absent", rules("NotEqual", "eng"), nil, "", ""},
	} {
		_, err := h.api.SetIdentityPoolRoles(h.root, &api.SetIdentityPoolRolesInput{IdentityPoolId: pool, Roles: map[string]string{"authenticated": authRole},
			RoleMappings: map[string]api.RoleMapping{ourName + ":" + clientID: tt.mapping}})
		if err != nil {
			t.Fatal(err)
		}
		login := map[string]string{awsName: h.idToken("alice", tt.claims)}
		in := &api.GetCredentialsForIdentityInput{IdentityId: h.id(pool, login), Logins: login}
		if tt.custom != "" {
			in.CustomRoleArn = &tt.custom
		}
		h.last = call{}
		_, err = h.api.GetCredentialsForIdentity(h.anon, in)
		if h.last.role != tt.role || (err == nil) != (tt.role != "") {
			t.Errorf("%s: %q, %v; want %q", tt.name, h.last.role, err, tt.role)
		}
	}
	out, err := h.api.GetIdentityPoolRoles(h.root, &api.GetIdentityPoolRolesInput{IdentityPoolId: pool})
	if err != nil || out.RoleMappings[awsName+":"+clientID].Type != "Rules" {
		t.Errorf("%+v, %v", out, err)
	}
	h.pass = false
	_, err = h.api.SetIdentityPoolRoles(h.root, &api.SetIdentityPoolRolesInput{IdentityPoolId: pool, Roles: map[string]string{"authenticated": authRole}})
	want(t, "may not pass", err, "AccessDeniedException", "")
}

func TestGuestPolicies(t *testing.T) {
	t.Parallel()
	var docs []*policy.Document
	for _, d := range guestPolicies() {
		p, err := policy.Parse("guest", []byte(d))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, p)
	}
	all, _ := policy.Parse("role", []byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`))
	for action, want := range map[string]bool{
		"execute-api:Invoke": true, "lambda:InvokeFunction": true, "rum:PutRumEvents": true, "kms:Decrypt": true, "kms:CreateKey": false, "geo:GetPlace": true, "geo:CreateMap": false, "geo:ListMaps": true,
		"iam:CreateUser": false, "sts:AssumeRole": false, "ssm:GetParameter": false, "cloudformation:CreateStack": false, "apigateway:POST": false,
	} {
		d := policy.Evaluate(&policy.Request{Principal: policy.Principal{Kind: policy.PrincipalAssumedRole, Account: account}, Action: action, Resource: "*"},
			&policy.Policies{Identity: []*policy.Document{all}, Session: docs})
		if d.Allowed != want {
			t.Errorf("%s: %v", action, d.Allowed)
		}
	}
}

func TestOpenIDToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	if _, ok := h.s.Resolve("https://elsewhere.example"); ok {
		t.Error("answers for another issuer")
	}
	login := map[string]string{awsName: h.idToken("alice", nil)}
	id := h.id(pool, login)
	out, err := h.api.GetOpenIdToken(h.anon, &api.GetOpenIdTokenInput{IdentityId: id, Logins: login})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := token.Parse(*out.Token)
	if err != nil {
		t.Fatal(err)
	}
	keys, ok := h.s.Resolve(tok.Issuer())
	if !ok || tok.VerifyWith(keys) != nil || tok.Issuer() != "https://cognito-identity.amazonaws.com" {
		t.Errorf("the token does not verify: %v", tok.Claims)
	}
	if tok.Claims.String("aud") != pool || tok.Claims.String("sub") != id || tok.Claims.Strings("amr")[0] != "authenticated" {
		t.Errorf("claims %v", tok.Claims)
	}
	if tok.CheckTime(h.clock().Add(openIDLife-time.Second)) != nil || tok.CheckTime(h.clock().Add(openIDLife)) == nil {
		t.Error("it lives for another time than ten minutes")
	}
	enhanced := h.pool(func(in *api.CreateIdentityPoolInput) { in.AllowClassicFlow = nil })
	_, err = h.api.GetOpenIdToken(h.anon, &api.GetOpenIdTokenInput{IdentityId: h.id(enhanced, nil)})
	want(t, "enhanced only", err, "InvalidParameterException", "Basic (classic) flow is not enabled, please use enhanced flow.")
	// Another process on the same database signs with the same key.
	again, err := New(h.s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if keys, ok := again.Resolve(Issuer); !ok || tok.VerifyWith(keys) != nil {
		t.Error("the key did not survive")
	}
}

func TestUnlinkIdentity(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	login := map[string]string{awsName: h.idToken("alice", nil)}
	id := h.id(pool, login)
	_, err := h.api.UnlinkIdentity(h.anon, &api.UnlinkIdentityInput{IdentityId: id, Logins: map[string]string{awsName: h.idToken("eve", nil)}, LoginsToRemove: []string{awsName}})
	want(t, "another's login", err, "NotAuthorizedException", "")
	_, err = h.api.UnlinkIdentity(h.anon, &api.UnlinkIdentityInput{IdentityId: id, Logins: login, LoginsToRemove: []string{ourName}})
	want(t, "own login", err, "", "")
	d, err := h.api.DescribeIdentity(h.root, &api.DescribeIdentityInput{IdentityId: id})
	if err != nil || len(d.Logins) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestAdministration(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	var ids []string
	for range 5 {
		ids = append(ids, h.id(pool, nil))
	}
	slices.Sort(ids)
	var seen []string
	in := &api.ListIdentitiesInput{IdentityPoolId: pool, MaxResults: 2}
	for {
		out, err := h.api.ListIdentities(h.root, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range out.Identities {
			seen = append(seen, *i.IdentityId)
		}
		if out.NextToken == nil {
			break
		}
		in.NextToken = out.NextToken
	}
	if !slices.Equal(seen, ids) {
		t.Errorf("listed %v, want %v", seen, ids)
	}
	other := h.pool(nil)
	_, err := h.api.ListIdentities(h.root, &api.ListIdentitiesInput{IdentityPoolId: other, MaxResults: 2, NextToken: in.NextToken})
	want(t, "another pool's page", err, "InvalidParameterException", "")
	del, err := h.api.DeleteIdentities(h.root, &api.DeleteIdentitiesInput{IdentityIdsToDelete: []string{ids[0], "us-east-1:00000000-0000-0000-0000-000000000000"}})
	if err != nil || len(del.UnprocessedIdentityIds) != 1 {
		t.Errorf("%+v, %v", del, err)
	}
	arn := h.s.poolARN(pool)
	if _, err := h.api.TagResource(h.root, &api.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"a": "1", "b": "2"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.api.UntagResource(h.root, &api.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	tags, err := h.api.ListTagsForResource(h.root, &api.ListTagsForResourceInput{ResourceArn: arn})
	if err != nil || !maps.Equal(tags.Tags, map[string]string{"b": "2"}) {
		t.Errorf("%+v, %v", tags, err)
	}
	pools, err := h.api.ListIdentityPools(h.root, &api.ListIdentityPoolsInput{MaxResults: 1})
	if err != nil || len(pools.IdentityPools) != 1 || pools.NextToken == nil {
		t.Errorf("%+v, %v", pools, err)
	}
	if _, err := h.api.DeleteIdentityPool(h.root, &api.DeleteIdentityPoolInput{IdentityPoolId: pool}); err != nil {
		t.Fatal(err)
	}
	want(t, "identity of a deleted pool", h.credentials(ids[1], nil), "ResourceNotFoundException", "")
	_, err = h.api.CreateIdentityPool(h.root, &api.CreateIdentityPoolInput{IdentityPoolName: "x", CognitoIdentityProviders: []api.CognitoIdentityProvider{{ProviderName: wire.String(awsName)}}})
	want(t, "provider without audience", err, "InvalidParameterException", "")
	// Administration needs a caller who may; the flows need none.
	_, err = h.api.DescribeIdentityPool(h.anon, &api.DescribeIdentityPoolInput{IdentityPoolId: other})
	want(t, "anonymous", err, "AccessDeniedException", "")
}

func TestPrincipalTags(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	login := map[string]string{awsName: h.idToken("alice", map[string]any{"custom:dept": "eng"})}
	id := h.id(pool, login)
	for _, tt := range []struct {
		in   *api.SetPrincipalTagAttributeMapInput
		want map[string]string
	}{
		{&api.SetPrincipalTagAttributeMapInput{UseDefaults: wire.Bool(true)}, map[string]string{"client": clientID, "username": "alice"}},
		{&api.SetPrincipalTagAttributeMapInput{PrincipalTags: map[string]string{"department": "custom:dept", "none": "custom:none"}}, map[string]string{"department": "eng"}},
	} {
		tt.in.IdentityPoolId, tt.in.IdentityProviderName = pool, ourName
		if _, err := h.api.SetPrincipalTagAttributeMap(h.root, tt.in); err != nil {
			t.Fatal(err)
		}
		want(t, "credentials", h.credentials(id, login), "", "")
		if !maps.Equal(h.last.tags, tt.want) {
			t.Errorf("%v, want %v", h.last.tags, tt.want)
		}
	}
}

// What the React application sends, byte for byte.
func TestHTTP(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	req := httptest.NewRequest("POST", "https://cognito-identity.us-east-1.amazonaws.com/", strings.NewReader(`{"IdentityPoolId":"`+pool+`","Logins":{"`+awsName+`":"`+h.idToken("alice", nil)+`"}}`))
	req.Header.Set("X-Amz-Target", "AWSCognitoIdentityService.GetId")
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	w := httptest.NewRecorder()
	h.p.ServeHTTP(w, req)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `{"IdentityId":"us-east-1:`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
