package identitypool

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

const forbiddenSentence = "Logins don't match. Please include at least one valid login for this identity or identity pool."

// A guest who signs in as somebody known becomes that one; the guest's identity
// is disabled.
func TestSignIn_merge(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	alice := map[string]string{awsName: h.idToken("alice", nil)}
	known, guest := h.id(pool, alice), h.id(pool, nil)
	out, err := h.api.GetCredentialsForIdentity(h.anon, &api.GetCredentialsForIdentityInput{IdentityId: guest, Logins: alice})
	if err != nil || *out.IdentityId != known || h.last.keys.Get(provider + ":sub")[0] != known {
		t.Errorf("%+v, %v", out, err)
	}
	want(t, "the guest's identity, as a guest", h.credentials(guest, nil), "NotAuthorizedException", "Access to Identity '"+guest+"' is forbidden.")
	want(t, "the guest's identity, by another", h.credentials(guest, map[string]string{awsName: h.idToken("eve", nil)}), "NotAuthorizedException", forbiddenSentence)
	token, err := h.api.GetOpenIdToken(h.anon, &api.GetOpenIdTokenInput{IdentityId: guest, Logins: alice})
	if err != nil || *token.IdentityId != known {
		t.Errorf("%+v, %v", token, err)
	}
}

func TestLinkedLogins(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.developerPool()
	cognito := func(sub string) map[string]string { return map[string]string{awsName: h.idToken(sub, nil)} }
	both := func(sub, google string) map[string]string {
		return map[string]string{awsName: h.idToken(sub, nil), "accounts.google.com": h.google(google)}
	}
	id := h.id(pool, cognito("ann"))
	want(t, "a new login beside the known one", h.credentials(id, both("ann", "ann@g")), "", "")
	if got := h.id(pool, map[string]string{"accounts.google.com": h.google("ann@g")}); got != id {
		t.Error("the linked login has another identity")
	}
	want(t, "the linked login alone", h.credentials(id, map[string]string{"accounts.google.com": h.google("ann@g")}), "", "")
	want(t, "a second user of one provider", h.credentials(id, both("ann", "eve@g")), "NotAuthorizedException", forbiddenSentence)
	_, err := h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: pool, Logins: both("ann", "eve@g")})
	want(t, "the same by GetId", err, "NotAuthorizedException", forbiddenSentence)
	bob := h.id(pool, cognito("bob"))
	want(t, "a login of another identity", h.credentials(bob, both("bob", "ann@g")), "ResourceConflictException", "Login linked to a different identity.")
	_, err = h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: pool, Logins: both("bob", "ann@g")})
	want(t, "logins of two identities", err, "ResourceConflictException", "Login linked to a different identity.")
	want(t, "a guest as two", h.credentials(h.id(pool, nil), both("bob", "ann@g")), "ResourceConflictException", "Login linked to a different identity.")

	// Unlinking: by one of the logins, and to the last.
	unlink := func(logins map[string]string, names ...string) error {
		_, err := h.api.UnlinkIdentity(h.anon, &api.UnlinkIdentityInput{IdentityId: id, Logins: logins, LoginsToRemove: names})
		return err
	}
	want(t, "by another", unlink(cognito("bob"), "accounts.google.com"), "NotAuthorizedException", forbiddenSentence)
	want(t, "by nobody", unlink(map[string]string{}, "accounts.google.com"), "NotAuthorizedException", forbiddenSentence)
	want(t, "google", unlink(cognito("ann"), "accounts.google.com"), "", "")
	want(t, "google's login", h.credentials(id, map[string]string{"accounts.google.com": h.google("ann@g")}), "NotAuthorizedException", forbiddenSentence)
	want(t, "the last", unlink(cognito("ann"), awsName), "", "")
	want(t, "nobody's", h.credentials(id, nil), "NotAuthorizedException", "Access to Identity '"+id+"' is forbidden.")
	want(t, "not its former owner's", h.credentials(id, cognito("ann")), "NotAuthorizedException", "Access to Identity '"+id+"' is forbidden.")
	want(t, "unlinked twice", unlink(cognito("ann"), awsName), "NotAuthorizedException", "Access to Identity '"+id+"' is forbidden.")
	if again := h.id(pool, cognito("ann")); again == id {
		t.Error("an unlinked login has its old identity")
	}
}

// Of many who sign in for the first time at once all get one identity.
func TestGetId_concurrent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	login := map[string]string{awsName: h.idToken("ann", nil)}
	ids := make([]string, 20)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			out, err := h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: pool, Logins: login})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = *out.IdentityId
		})
	}
	wg.Wait()
	if slices.Sort(ids); ids[0] == "" || ids[0] != ids[len(ids)-1] {
		t.Errorf("identities %v", ids)
	}
}

// Pagination tokens are bound to their list and cannot be altered (CVE-2026-33503).
func TestPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.developerPool()
	other := h.pool(nil)
	for i := range 4 {
		user := "u" + strconv.Itoa(i)
		out := h.developer(pool, user, nil)
		if i%2 == 0 {
			if _, err := h.api.UnlinkDeveloperIdentity(h.root, &api.UnlinkDeveloperIdentityInput{IdentityPoolId: pool, IdentityId: *out.IdentityId, DeveloperProviderName: developerName, DeveloperUserIdentifier: user}); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[string]int{}
	for hide, n := range map[bool]int{false: 4, true: 2} {
		in := &api.ListIdentitiesInput{IdentityPoolId: pool, MaxResults: 1, HideDisabled: &hide}
		clear(seen)
		for {
			out, err := h.api.ListIdentities(h.root, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range out.Identities {
				seen[*i.IdentityId]++
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				break
			}
		}
		if len(seen) != n {
			t.Errorf("hide %v: %d identities, want %d", hide, len(seen), n)
		}
	}
	first, err := h.api.ListIdentities(h.root, &api.ListIdentitiesInput{IdentityPoolId: pool, MaxResults: 1})
	if err != nil || first.NextToken == nil {
		t.Fatal(err)
	}
	good := *first.NextToken
	for i := range good {
		for _, altered := range []string{good[:i], good[:i] + string(rune(good[i])^1) + good[i+1:]} {
			if altered == "" {
				continue
			}
			_, err := h.api.ListIdentities(h.root, &api.ListIdentitiesInput{IdentityPoolId: pool, MaxResults: 1, NextToken: &altered})
			if err == nil {
				t.Fatalf("a page by %q", altered)
			}
		}
	}
	_, err = h.api.ListIdentities(h.root, &api.ListIdentitiesInput{IdentityPoolId: other, MaxResults: 1, NextToken: &good})
	want(t, "another pool", err, "InvalidParameterException", "")
	_, err = h.api.ListIdentityPools(h.root, &api.ListIdentityPoolsInput{MaxResults: 1, NextToken: &good})
	want(t, "another list", err, "InvalidParameterException", "")
}

// Nothing of one pool is of use at another (CVE-2025-27507, CVE-2026-55670).
func TestPoolsApart(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.developerPool(), h.developerPool()
	login := map[string]string{awsName: h.idToken("ann", nil)}
	ofA, ofB := h.id(a, login), h.id(b, login)
	ann := h.developer(a, "ann", nil)
	eve := map[string]string{awsName: h.idToken("eve", nil)}
	root, anon := h.root, h.anon
	refused := map[string]func() error{
		"lookup": func() error {
			_, err := h.api.LookupDeveloperIdentity(root, &api.LookupDeveloperIdentityInput{IdentityPoolId: b, IdentityId: ann.IdentityId})
			return err
		},
		"lookup by user": func() error {
			_, err := h.api.LookupDeveloperIdentity(root, &api.LookupDeveloperIdentityInput{IdentityPoolId: b, DeveloperUserIdentifier: ptr("ann")})
			return err
		},
		"token": func() error {
			_, err := h.tryDeveloper(b, "ann", func(in *api.GetOpenIdTokenForDeveloperIdentityInput) { in.IdentityId = ann.IdentityId })
			return err
		},
		"unlink": func() error {
			_, err := h.api.UnlinkDeveloperIdentity(root, &api.UnlinkDeveloperIdentityInput{IdentityPoolId: b, IdentityId: *ann.IdentityId, DeveloperProviderName: developerName, DeveloperUserIdentifier: "ann"})
			return err
		},
		"merge": func() error {
			_, err := h.api.MergeDeveloperIdentities(root, &api.MergeDeveloperIdentitiesInput{IdentityPoolId: b, DeveloperProviderName: developerName, SourceUserIdentifier: "ann", DestinationUserIdentifier: "ann"})
			return err
		},
		"credentials by token": func() error { return h.credentials(ofB, map[string]string{provider: *ann.Token}) },
		"another's identity":   func() error { return h.credentials(ofA, eve) },
		"another's token": func() error {
			_, err := h.api.GetOpenIdToken(anon, &api.GetOpenIdTokenInput{IdentityId: ofA, Logins: eve})
			return err
		},
		"another's login": func() error {
			_, err := h.api.UnlinkIdentity(anon, &api.UnlinkIdentityInput{IdentityId: ofA, Logins: eve, LoginsToRemove: []string{awsName}})
			return err
		},
	}
	for name, call := range refused {
		if call() == nil {
			t.Errorf("%s: let through", name)
		}
	}
	// Administration needs a caller who may, for every operation.
	for name, call := range map[string]func() error{
		"CreateIdentityPool": func() error {
			_, err := h.api.CreateIdentityPool(anon, &api.CreateIdentityPoolInput{IdentityPoolName: "x"})
			return err
		},
		"UpdateIdentityPool": func() error {
			_, err := h.api.UpdateIdentityPool(anon, &api.IdentityPool{IdentityPoolId: a, IdentityPoolName: "x"})
			return err
		},
		"DeleteIdentityPool": func() error {
			_, err := h.api.DeleteIdentityPool(anon, &api.DeleteIdentityPoolInput{IdentityPoolId: a})
			return err
		},
		"DescribeIdentityPool": func() error {
			_, err := h.api.DescribeIdentityPool(anon, &api.DescribeIdentityPoolInput{IdentityPoolId: a})
			return err
		},
		"ListIdentityPools": func() error {
			_, err := h.api.ListIdentityPools(anon, &api.ListIdentityPoolsInput{MaxResults: 1})
			return err
		},
		"ListIdentities": func() error {
			_, err := h.api.ListIdentities(anon, &api.ListIdentitiesInput{IdentityPoolId: a, MaxResults: 1})
			return err
		},
		"DescribeIdentity": func() error {
			_, err := h.api.DescribeIdentity(anon, &api.DescribeIdentityInput{IdentityId: ofA})
			return err
		},
		"DeleteIdentities": func() error {
			_, err := h.api.DeleteIdentities(anon, &api.DeleteIdentitiesInput{IdentityIdsToDelete: []string{ofA}})
			return err
		},
		"SetIdentityPoolRoles": func() error {
			_, err := h.api.SetIdentityPoolRoles(anon, &api.SetIdentityPoolRolesInput{IdentityPoolId: a, Roles: map[string]string{}})
			return err
		},
		"GetIdentityPoolRoles": func() error {
			_, err := h.api.GetIdentityPoolRoles(anon, &api.GetIdentityPoolRolesInput{IdentityPoolId: a})
			return err
		},
		"SetPrincipalTagAttributeMap": func() error {
			_, err := h.api.SetPrincipalTagAttributeMap(anon, &api.SetPrincipalTagAttributeMapInput{IdentityPoolId: a, IdentityProviderName: "x"})
			return err
		},
		"GetPrincipalTagAttributeMap": func() error {
			_, err := h.api.GetPrincipalTagAttributeMap(anon, &api.GetPrincipalTagAttributeMapInput{IdentityPoolId: a, IdentityProviderName: "x"})
			return err
		},
		"LookupDeveloperIdentity": func() error {
			_, err := h.api.LookupDeveloperIdentity(anon, &api.LookupDeveloperIdentityInput{IdentityPoolId: a, DeveloperUserIdentifier: ptr("ann")})
			return err
		},
		"MergeDeveloperIdentities": func() error {
			_, err := h.api.MergeDeveloperIdentities(anon, &api.MergeDeveloperIdentitiesInput{IdentityPoolId: a, DeveloperProviderName: developerName, SourceUserIdentifier: "ann", DestinationUserIdentifier: "ann"})
			return err
		},
		"UnlinkDeveloperIdentity": func() error {
			_, err := h.api.UnlinkDeveloperIdentity(anon, &api.UnlinkDeveloperIdentityInput{IdentityPoolId: a, IdentityId: ofA, DeveloperProviderName: developerName, DeveloperUserIdentifier: "ann"})
			return err
		},
		"TagResource": func() error {
			_, err := h.api.TagResource(anon, &api.TagResourceInput{ResourceArn: h.s.poolARN(a), Tags: map[string]string{"a": "b"}})
			return err
		},
		"UntagResource": func() error {
			_, err := h.api.UntagResource(anon, &api.UntagResourceInput{ResourceArn: h.s.poolARN(a), TagKeys: []string{"a"}})
			return err
		},
		"ListTagsForResource": func() error {
			_, err := h.api.ListTagsForResource(anon, &api.ListTagsForResourceInput{ResourceArn: h.s.poolARN(a)})
			return err
		},
	} {
		want(t, name, call(), "AccessDeniedException", "")
	}
}

// What cannot be decided is refused.
func TestFailClosed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.developerPool()
	ann := h.developer(pool, "ann", nil)
	login := map[string]string{provider: *ann.Token}
	want(t, "with a key", h.credentials(*ann.IdentityId, login), "", "")
	other := newHouse(t) // another installation, which has no key yet
	pool2 := other.developerPool()
	want(t, "no key", other.credentials(other.id(pool2, nil), login), "NotAuthorizedException", "Invalid login token. Token signature invalid.")
	h.world.down = true
	want(t, "issuer down", h.credentials(*ann.IdentityId, map[string]string{"accounts.google.com": h.google("x")}), "ExternalServiceException", "")
	if err := h.s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if h.credentials(*ann.IdentityId, login) == nil {
		t.Error("credentials without a database")
	}
}

func TestPrincipalTags_values(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	if _, err := h.api.SetPrincipalTagAttributeMap(h.root, &api.SetPrincipalTagAttributeMapInput{IdentityPoolId: pool, IdentityProviderName: awsName,
		PrincipalTags: map[string]string{"level": "custom:level", "staff": "custom:staff", "groups": "cognito:groups", "note": "custom:note"}}); err != nil {
		t.Fatal(err)
	}
	login := func(claims map[string]any) map[string]string {
		return map[string]string{awsName: h.idToken("ann", claims)}
	}
	many := login(map[string]any{"custom:level": 3, "custom:staff": true, "cognito:groups": []string{"a", "b"}})
	id := h.id(pool, many)
	want(t, "credentials", h.credentials(id, many), "", "")
	if !maps.Equal(h.last.tags, map[string]string{"level": "3", "staff": "true"}) {
		t.Errorf("%v", h.last.tags)
	}
	want(t, "a value that is no tag", h.credentials(id, login(map[string]any{"custom:note": "a\nb"})), "InvalidParameterException", "")
	basic, err := h.api.GetOpenIdToken(h.anon, &api.GetOpenIdTokenInput{IdentityId: id, Logins: many})
	if err != nil {
		t.Fatal(err)
	}
	if got := tagsOf(parsed(t, *basic.Token)); !maps.Equal(got, map[string]string{"level": "3", "staff": "true"}) {
		t.Errorf("the basic flow's tags %v", got)
	}
	// The answer to UseDefaults says what the defaults are.
	out, err := h.api.SetPrincipalTagAttributeMap(h.root, &api.SetPrincipalTagAttributeMapInput{IdentityPoolId: pool, IdentityProviderName: ourName, UseDefaults: wire.Bool(true)})
	if err != nil || !maps.Equal(out.PrincipalTags, map[string]string{"client": "aud", "username": "sub"}) {
		t.Errorf("%+v, %v", out, err)
	}
	_, err = h.api.SetPrincipalTagAttributeMap(h.root, &api.SetPrincipalTagAttributeMapInput{IdentityPoolId: pool, IdentityProviderName: awsName, PrincipalTags: map[string]string{"aws:x": "sub"}})
	want(t, "a reserved tag", err, "InvalidParameterException", "")
}
