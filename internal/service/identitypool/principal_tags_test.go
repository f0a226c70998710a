package identitypool

import (
	"maps"
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

// Whatever attributes an assertion has, sub is who it is about.
func TestPrincipalTags_SAML(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.worldly()
	h.world.saml["good"] = Assertion{Subject: "ann", Attributes: map[string][]string{
		"sub": {"root"}, "dept": {"eng"}, "groups": {"a", "b"}, "cognito:roles": {mapped}, "cognito:preferred_role": {mapped},
	}}
	h.world.saml["other"] = Assertion{Subject: "root", Attributes: map[string][]string{"sub": {"ann"}}}
	if _, err := h.api.SetPrincipalTagAttributeMap(h.root, &api.SetPrincipalTagAttributeMapInput{IdentityPoolId: pool, IdentityProviderName: samlARN,
		PrincipalTags: map[string]string{"username": "sub", "dept": "dept", "groups": "groups"}}); err != nil {
		t.Fatal(err)
	}
	login := map[string]string{samlARN: "good"}
	id := h.id(pool, login)
	want(t, "signed in", h.credentials(id, login), "", "")
	if !maps.Equal(h.last.tags, map[string]string{"username": "ann", "dept": "eng"}) {
		t.Errorf("tags %v", h.last.tags)
	}
	if h.last.role != authRole {
		t.Errorf("an attribute chose the role %s", h.last.role)
	}
	if other := h.id(pool, map[string]string{samlARN: "other"}); other == id {
		t.Error("an attribute made two subjects one identity")
	}
	if _, err := h.api.SetIdentityPoolRoles(h.root, &api.SetIdentityPoolRolesInput{IdentityPoolId: pool, Roles: map[string]string{"authenticated": authRole},
		RoleMappings: map[string]api.RoleMapping{samlARN: {Type: "Rules", AmbiguousRoleResolution: "AuthenticatedRole", RulesConfiguration: &api.RulesConfigurationType{
			Rules: []api.MappingRule{{Claim: "sub", MatchType: "Equals", Value: "root", RoleARN: mapped}}}}}}); err != nil {
		t.Fatal(err)
	}
	want(t, "by the rule of another", h.credentials(id, login), "", "")
	if h.last.role != authRole {
		t.Errorf("an attribute met the rule on sub: %s", h.last.role)
	}
	root := map[string]string{samlARN: "other"}
	want(t, "by the rule", h.credentials(h.id(pool, root), root), "", "")
	if h.last.role != mapped {
		t.Errorf("the subject did not meet the rule on sub: %s", h.last.role)
	}
}

// To STS two tags that differ by case are one: a map of both is refused when it is
// written, and two maps that together give both when somebody signs in.
func TestPrincipalTags_case(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.worldly()
	set := func(name string, tags map[string]string) error {
		_, err := h.api.SetPrincipalTagAttributeMap(h.root, &api.SetPrincipalTagAttributeMapInput{IdentityPoolId: pool, IdentityProviderName: name, PrincipalTags: tags, UseDefaults: wire.Bool(false)})
		return err
	}
	want(t, "both in one map", set(samlARN, map[string]string{"Team": "dept", "team": "sub"}), "InvalidParameterException", "")
	if err := set(samlARN, map[string]string{"Team": "dept"}); err != nil {
		t.Fatal(err)
	}
	if err := set("idp.example", map[string]string{"team": "email"}); err != nil {
		t.Fatal(err)
	}
	h.world.saml["good"] = Assertion{Subject: "ann", Attributes: map[string][]string{"dept": {"eng"}}}
	assertion := map[string]string{samlARN: "good"}
	id := h.id(pool, assertion)
	want(t, "one of them", h.credentials(id, assertion), "", "")
	both := map[string]string{samlARN: "good", "idp.example": h.foreign(map[string]any{"iss": "https://idp.example", "aud": "app1", "email": "a@example.com"})}
	err := h.credentials(id, both)
	want(t, "both", err, "InvalidParameterException", "")
	if err == nil {
		t.Error("both: let in")
	}
}
