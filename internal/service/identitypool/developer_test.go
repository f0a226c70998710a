package identitypool

import (
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"moat/internal/pure/token"
	api "moat/internal/wire/cognitoidentityapi"
)

const developerName = "login.example"

func (h *house) developerPool() string {
	return h.pool(func(in *api.CreateIdentityPoolInput) {
		in.DeveloperProviderName = ptr(developerName)
		in.SupportedLoginProviders = map[string]string{"accounts.google.com": googleApp}
		h.world.issuers = []string{"https://accounts.google.com"}
	})
}

func (h *house) developer(pool, user string, change func(*api.GetOpenIdTokenForDeveloperIdentityInput)) *api.GetOpenIdTokenForDeveloperIdentityResponse {
	h.t.Helper()
	out, err := h.tryDeveloper(pool, user, change)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

func (h *house) tryDeveloper(pool, user string, change func(*api.GetOpenIdTokenForDeveloperIdentityInput)) (*api.GetOpenIdTokenForDeveloperIdentityResponse, error) {
	in := &api.GetOpenIdTokenForDeveloperIdentityInput{IdentityPoolId: pool, Logins: map[string]string{developerName: user}}
	if change != nil {
		change(in)
	}
	return h.api.GetOpenIdTokenForDeveloperIdentity(h.root, in)
}

func (h *house) google(sub string) string {
	return h.signed(stranger(), sub, map[string]any{"token_use": nil, "iss": "https://accounts.google.com", "aud": googleApp})
}

func TestGetOpenIdTokenForDeveloperIdentity(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.developerPool()
	first := h.developer(pool, "ann", func(in *api.GetOpenIdTokenForDeveloperIdentityInput) {
		in.PrincipalTags = map[string]string{"team": "blue"}
	})
	tok, err := token.Parse(*first.Token)
	if err != nil {
		t.Fatal(err)
	}
	amr := []string{"authenticated", developerName, developerName + ":" + pool + ":ann"}
	if tok.Claims.String("aud") != pool || tok.Claims.String("sub") != *first.IdentityId || !slices.Equal(tok.Claims.Strings("amr"), amr) {
		t.Errorf("claims %v", tok.Claims)
	}
	if exp, _ := tok.Claims.Time("exp"); !exp.Equal(h.clock().Add(15 * time.Minute)) {
		t.Errorf("expires %v", exp)
	}
	if again := h.developer(pool, "ann", nil); *again.IdentityId != *first.IdentityId {
		t.Error("the same user has another identity")
	}
	if other := h.developer(pool, "bob", nil); *other.IdentityId == *first.IdentityId {
		t.Error("two users share an identity")
	}
	// The enhanced flow takes the token.
	login := map[string]string{provider: *first.Token}
	want(t, "credentials", h.credentials(*first.IdentityId, login), "", "")
	if h.last.role != authRole || h.last.policies != nil || !maps.Equal(h.last.tags, map[string]string{"team": "blue"}) || !slices.Equal(h.last.keys.Get(provider+":amr"), amr) {
		t.Errorf("%+v", h.last)
	}
	bob := h.developer(pool, "bob", nil)
	want(t, "another's identity", h.credentials(*bob.IdentityId, login), "NotAuthorizedException", "Logins don't match. Please include at least one valid login for this identity or identity pool.")
	want(t, "no token", h.credentials(*first.IdentityId, nil), "NotAuthorizedException", "Access to Identity '"+*first.IdentityId+"' is forbidden.")
	want(t, "with other logins", h.credentials(*first.IdentityId, map[string]string{provider: *first.Token, awsName: h.idToken("a", nil)}), "InvalidParameterException", "")
	trusted := h.trust[authRole]
	other := h.developerPool()
	h.trust[authRole] = trusted
	want(t, "another pool's", h.credentials(h.id(other, nil), login), "NotAuthorizedException", "Token is not from a supported provider of this identity pool.")
	const passed = "Invalid login token. Can't pass in a Cognito token."
	_, err = h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: pool, Logins: login})
	want(t, "GetId", err, "NotAuthorizedException", passed)
	_, err = h.api.GetOpenIdToken(h.anon, &api.GetOpenIdTokenInput{IdentityId: *first.IdentityId, Logins: login})
	want(t, "GetOpenIdToken", err, "NotAuthorizedException", passed)
	want(t, "under the provider's name", h.credentials(*first.IdentityId, map[string]string{developerName: *first.Token}), "NotAuthorizedException", passed)
	want(t, "the name alone", h.credentials(*first.IdentityId, map[string]string{developerName: "ann"}), "InvalidParameterException", "Please provide a valid public provider.")
	// The basic flow's tokens are for STS.
	guest := h.id(pool, nil)
	basic, err := h.api.GetOpenIdToken(h.anon, &api.GetOpenIdTokenInput{IdentityId: guest})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "a guest's token", h.credentials(guest, map[string]string{provider: *basic.Token}), "NotAuthorizedException", "")
	h.advance(15 * time.Minute)
	want(t, "expired", h.credentials(*first.IdentityId, login), "NotAuthorizedException", "Invalid login token. Token expired: 1772601667 >= 1772601667")
	long := h.developer(pool, "ann", func(in *api.GetOpenIdTokenForDeveloperIdentityInput) { in.TokenDuration = ptr[int64](86400) })
	h.advance(86399 * time.Second)
	want(t, "a day's token", h.credentials(*first.IdentityId, map[string]string{provider: *long.Token}), "", "")
}

func TestGetOpenIdTokenForDeveloperIdentity_refuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.developerPool()
	h.developer(pool, "ann", nil)
	bob := h.developer(pool, "bob", nil)
	foreign := h.developer(h.developerPool(), "ann", nil)
	signedIn := h.id(pool, map[string]string{awsName: h.idToken("carol", nil)})
	type input = api.GetOpenIdTokenForDeveloperIdentityInput
	for _, tt := range []struct {
		name, user string
		change     func(*input)
		code       string
	}{
		{"registered elsewhere", "ann", func(in *input) { in.IdentityId = bob.IdentityId }, "DeveloperUserAlreadyRegisteredException"},
		{"an identity of another user", "new", func(in *input) { in.IdentityId = &signedIn }, "NotAuthorizedException"},
		{"another pool's identity", "new", func(in *input) { in.IdentityId = foreign.IdentityId }, "ResourceNotFoundException"},
		{"no such identity", "new", func(in *input) { in.IdentityId = ptr("us-east-1:00000000-0000-0000-0000-000000000000") }, "ResourceNotFoundException"},
		{"another developer", "x", func(in *input) { in.Logins = map[string]string{"other.example": "ann"} }, "InvalidParameterException"},
		{"no developer", "x", func(in *input) { in.Logins = map[string]string{awsName: h.idToken("carol", nil)} }, "InvalidParameterException"},
		{"a bad public login", "ann", func(in *input) { in.Logins[awsName] = "garbage" }, "NotAuthorizedException"},
		{"a login of another identity", "ann", func(in *input) { in.Logins[awsName] = h.idToken("carol", nil) }, "ResourceConflictException"},
		{"a long day", "ann", func(in *input) { in.TokenDuration = ptr[int64](86401) }, "ValidationException"},
		{"a reserved tag", "ann", func(in *input) { in.PrincipalTags = map[string]string{"aws:x": "1"} }, "InvalidParameterException"},
		{"a tag with a control character", "ann", func(in *input) { in.PrincipalTags = map[string]string{"x": "a\nb"} }, "InvalidParameterException"},
	} {
		_, err := h.tryDeveloper(pool, tt.user, tt.change)
		want(t, tt.name, err, tt.code, "")
	}
	_, err := h.tryDeveloper(h.pool(nil), "ann", nil)
	want(t, "a pool without a developer", err, "InvalidParameterException", "This identity pool does not support the specified developer provider.")
	_, err = h.api.GetOpenIdTokenForDeveloperIdentity(h.anon, &api.GetOpenIdTokenForDeveloperIdentityInput{IdentityPoolId: pool, Logins: map[string]string{developerName: "ann"}})
	want(t, "anonymous", err, "AccessDeniedException", "")
	_, err = h.api.UpdateIdentityPool(h.root, &api.IdentityPool{IdentityPoolId: pool, IdentityPoolName: "people", DeveloperProviderName: ptr("other.example")})
	want(t, "another name", err, "InvalidParameterException", "")

	// A guest's identity takes the user, a signed-in one with its login.
	guest := h.id(pool, nil)
	if out := h.developer(pool, "dora", func(in *input) { in.IdentityId = &guest }); *out.IdentityId != guest {
		t.Error("a guest's identity was not taken")
	}
	out := h.developer(pool, "carol", func(in *input) {
		in.IdentityId, in.Logins[awsName] = &signedIn, h.idToken("carol", nil)
	})
	if *out.IdentityId != signedIn {
		t.Error("the identity with the login was not taken")
	}
}

func TestLookupDeveloperIdentity(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.developerPool()
	ann, bob := h.developer(pool, "ann", nil), h.developer(pool, "bob", nil)
	if _, err := h.api.MergeDeveloperIdentities(h.root, &api.MergeDeveloperIdentitiesInput{IdentityPoolId: pool, DeveloperProviderName: developerName, SourceUserIdentifier: "bob", DestinationUserIdentifier: "ann"}); err != nil {
		t.Fatal(err)
	}
	type input = api.LookupDeveloperIdentityInput
	out, err := h.api.LookupDeveloperIdentity(h.root, &input{IdentityPoolId: pool, IdentityId: ann.IdentityId, MaxResults: ptr[int32](1)})
	if err != nil || !slices.Equal(out.DeveloperUserIdentifierList, []string{"ann"}) || out.NextToken == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	next := out.NextToken
	out, err = h.api.LookupDeveloperIdentity(h.root, &input{IdentityPoolId: pool, IdentityId: ann.IdentityId, MaxResults: ptr[int32](1), NextToken: next})
	if err != nil || !slices.Equal(out.DeveloperUserIdentifierList, []string{"bob"}) || out.NextToken != nil {
		t.Errorf("%+v, %v", out, err)
	}
	out, err = h.api.LookupDeveloperIdentity(h.root, &input{IdentityPoolId: pool, DeveloperUserIdentifier: ptr("bob")})
	if err != nil || *out.IdentityId != *ann.IdentityId {
		t.Errorf("%+v, %v", out, err)
	}
	for name, tt := range map[string]struct {
		in   *input
		code string
	}{
		"neither":         {&input{}, "InvalidParameterException"},
		"both, differing": {&input{IdentityId: bob.IdentityId, DeveloperUserIdentifier: ptr("bob")}, "ResourceConflictException"},
		"unknown user":    {&input{DeveloperUserIdentifier: ptr("eve")}, "ResourceNotFoundException"},
		"another page":    {&input{IdentityId: bob.IdentityId, NextToken: next}, "InvalidParameterException"},
	} {
		tt.in.IdentityPoolId = pool
		_, err := h.api.LookupDeveloperIdentity(h.root, tt.in)
		want(t, name, err, tt.code, "")
	}
}

func TestMergeDeveloperIdentities(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.developerPool()
	merge := func(from, to string) error {
		_, err := h.api.MergeDeveloperIdentities(h.root, &api.MergeDeveloperIdentitiesInput{IdentityPoolId: pool, DeveloperProviderName: developerName, SourceUserIdentifier: from, DestinationUserIdentifier: to})
		return err
	}
	google := func(sub string) func(*api.GetOpenIdTokenForDeveloperIdentityInput) {
		return func(in *api.GetOpenIdTokenForDeveloperIdentityInput) {
			in.Logins["accounts.google.com"] = h.google(sub)
		}
	}
	ann, bob, cid := h.developer(pool, "ann", nil), h.developer(pool, "bob", google("bob@g")), h.developer(pool, "cid", google("cid@g"))
	want(t, "two users of one provider", merge("bob", "cid"), "ResourceConflictException", "")
	want(t, "unknown user", merge("eve", "ann"), "ResourceNotFoundException", "")
	want(t, "merge", merge("bob", "ann"), "", "")
	want(t, "merge again", merge("bob", "ann"), "", "")
	// What was issued to the source goes on as the destination.
	for name, login := range map[string]map[string]string{"own token": {provider: *bob.Token}, "public login": {"accounts.google.com": h.google("bob@g")}} {
		out, err := h.api.GetCredentialsForIdentity(h.anon, &api.GetCredentialsForIdentityInput{IdentityId: *bob.IdentityId, Logins: login})
		if err != nil || *out.IdentityId != *ann.IdentityId {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	if out := h.developer(pool, "bob", nil); *out.IdentityId != *ann.IdentityId {
		t.Error("the source's user has an identity of its own")
	}
	want(t, "a guest as the source", h.credentials(*bob.IdentityId, nil), "NotAuthorizedException", "Access to Identity '"+*bob.IdentityId+"' is forbidden.")
	want(t, "another as the source", h.credentials(*bob.IdentityId, map[string]string{provider: *cid.Token}), "NotAuthorizedException", "")
	list := func(hide bool) int {
		out, err := h.api.ListIdentities(h.root, &api.ListIdentitiesInput{IdentityPoolId: pool, MaxResults: 60, HideDisabled: &hide})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Identities)
	}
	if list(false) != 3 || list(true) != 2 {
		t.Errorf("%d identities, %d enabled", list(false), list(true))
	}
	// At most 20 logins.
	for i := range 18 {
		name := "u" + strconv.Itoa(i)
		h.developer(pool, name, nil)
		if err := merge(name, "ann"); i < 17 != (err == nil) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestUnlinkDeveloperIdentity(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.developerPool()
	ann := h.developer(pool, "ann", nil)
	unlink := func(id, name, user string) error {
		_, err := h.api.UnlinkDeveloperIdentity(h.root, &api.UnlinkDeveloperIdentityInput{IdentityPoolId: pool, IdentityId: id, DeveloperProviderName: name, DeveloperUserIdentifier: user})
		return err
	}
	want(t, "another provider", unlink(*ann.IdentityId, "other.example", "ann"), "InvalidParameterException", "")
	want(t, "another user", unlink(*ann.IdentityId, developerName, "bob"), "ResourceConflictException", "")
	want(t, "unlink", unlink(*ann.IdentityId, developerName, "ann"), "", "")
	// The token in hand is of no use any more, and the identity is nobody's.
	want(t, "token issued before", h.credentials(*ann.IdentityId, map[string]string{provider: *ann.Token}), "NotAuthorizedException", "Access to Identity '"+*ann.IdentityId+"' is forbidden.")
	want(t, "as a guest", h.credentials(*ann.IdentityId, nil), "NotAuthorizedException", "Access to Identity '"+*ann.IdentityId+"' is forbidden.")
	want(t, "with a login", h.credentials(*ann.IdentityId, map[string]string{awsName: h.idToken("eve", nil)}), "NotAuthorizedException", "")
	if again := h.developer(pool, "ann", nil); *again.IdentityId == *ann.IdentityId {
		t.Error("the user has the old identity")
	}
	// One of two users unlinked: its token is refused, the other's is not.
	one, two := h.developer(pool, "one", nil), h.developer(pool, "two", nil)
	if _, err := h.api.MergeDeveloperIdentities(h.root, &api.MergeDeveloperIdentitiesInput{IdentityPoolId: pool, DeveloperProviderName: developerName, SourceUserIdentifier: "two", DestinationUserIdentifier: "one"}); err != nil {
		t.Fatal(err)
	}
	want(t, "unlink one", unlink(*one.IdentityId, developerName, "one"), "", "")
	want(t, "the one's token", h.credentials(*one.IdentityId, map[string]string{provider: *one.Token}), "NotAuthorizedException", "")
	want(t, "the other's token", h.credentials(*two.IdentityId, map[string]string{provider: *two.Token}), "", "")
}
