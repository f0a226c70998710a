package iam

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/stsapi"
)

func (h *house) federate(as sigv4.Credentials, in *stsapi.GetFederationTokenRequest) (sigv4.Credentials, *stsapi.GetFederationTokenResponse, error) {
	h.t.Helper()
	if in.Name == "" {
		in.Name = "bob"
	}
	out, err := h.sts.GetFederationToken(h.as(as), in)
	if err != nil {
		return sigv4.Credentials{}, nil, err
	}
	c := out.Credentials
	return sigv4.Credentials{AccessKeyID: c.AccessKeyId, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}, out, nil
}

func TestGetFederationToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user("alice", `{"Effect":"Allow","Action":["ssm:*","sts:GetFederationToken","iam:*"],"Resource":"*"}`)
	plain := h.user("plain", `{"Effect":"Allow","Action":"ssm:*","Resource":"*"}`)
	all := wire.String(doc(allowAll))
	bare, _, err := h.federate(alice, &stsapi.GetFederationTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	limited, out, err := h.federate(alice, &stsapi.GetFederationTokenRequest{Policy: wire.String(doc(`{"Effect":"Allow","Action":["ssm:GetParameter","s3:*"],"Resource":"*"}`))})
	if err != nil {
		t.Fatal(err)
	}
	if out.FederatedUser.Arn != "arn:aws:sts::000000000000:federated-user/bob" || out.FederatedUser.FederatedUserId != "000000000000:bob" || wire.Value(out.PackedPolicySize) == 0 {
		t.Errorf("%+v %v", out.FederatedUser, wire.Value(out.PackedPolicySize))
	}
	wide, _, err := h.federate(alice, &stsapi.GetFederationTokenRequest{Policy: all})
	if err != nil {
		t.Fatal(err)
	}
	ofRoot, out, err := h.federate(sigv4.Credentials{AccessKeyID: "test"}, &stsapi.GetFederationTokenRequest{Policy: wire.String(doc(allowRead)), DurationSeconds: wire.Int32(7200)})
	if err != nil || !out.Credentials.Expiration.Equal(h.clock().Add(time.Hour)) {
		t.Fatalf("root: %v, %v", out, err)
	}
	for _, tt := range []struct {
		name   string
		key    sigv4.Credentials
		action string
		want   bool
	}{
		{"no session policy", bare, "ssm:GetParameter", false},
		{"both allow", limited, "ssm:GetParameter", true},
		{"session policy is silent", limited, "ssm:PutParameter", false},
		{"session policy never widens", limited, "s3:GetObject", false},
		{"IAM", wide, "iam:GetUser", false},
		{"STS", wide, "sts:AssumeRole", false},
		{"beside IAM", wide, "ssm:PutParameter", true},
		{"root", ofRoot, "ssm:GetParameter", true},
		{"root, session policy is silent", ofRoot, "ssm:PutParameter", false},
	} {
		if got := h.may(tt.key, tt.action, "*"); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	id, err := h.sts.GetCallerIdentity(h.as(limited), &stsapi.GetCallerIdentityRequest{})
	if err != nil || *id.Arn != "arn:aws:sts::000000000000:federated-user/bob" || *id.UserId != "000000000000:bob" || *id.Account != account {
		t.Errorf("%+v, %v", id, err)
	}
	session := must(t)(h.sts.GetSessionToken(h.as(alice), &stsapi.GetSessionTokenRequest{})).(*stsapi.GetSessionTokenResponse).Credentials
	_, _, err = h.federate(plain, &stsapi.GetFederationTokenRequest{})
	want(t, "not allowed", err, "AccessDenied", "User: arn:aws:iam::000000000000:user/plain is not authorized to perform: sts:GetFederationToken on resource: arn:aws:sts::000000000000:federated-user/bob because no identity-based policy allows the sts:GetFederationToken action")
	_, err = h.sts.GetSessionToken(h.as(sigv4.Credentials{AccessKeyID: session.AccessKeyId, SessionToken: session.SessionToken}), &stsapi.GetSessionTokenRequest{})
	want(t, "session of a session", err, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	_, err = h.sts.GetFederationToken(h.as(limited), &stsapi.GetFederationTokenRequest{Name: "carol"})
	want(t, "federated user", err, "AccessDenied", "")
	role := h.role("r", trustAccount, `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)
	must(t)(h.iam.PutUserPolicy(h.root(), &iamapi.PutUserPolicyRequest{UserName: "alice", PolicyName: "more", PolicyDocument: doc(`{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)}))
	assumed, err := h.assume(alice, &stsapi.AssumeRoleRequest{RoleArn: role})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = h.federate(assumed, &stsapi.GetFederationTokenRequest{})
	want(t, "role", err, "AccessDenied", "Cannot call GetFederationToken with session credentials")
	// The user's policies, its key and the user itself reach its federated users.
	must(t)(h.iam.DeleteUserPolicy(h.root(), &iamapi.DeleteUserPolicyRequest{UserName: "alice", PolicyName: "p"}))
	if h.may(limited, "ssm:GetParameter", "*") {
		t.Error("the session outlives the user's policy")
	}
	must(t)(h.iam.UpdateAccessKey(h.root(), &iamapi.UpdateAccessKeyRequest{UserName: wire.String("alice"), AccessKeyId: alice.AccessKeyID, Status: "Inactive"}))
	if _, err := h.s.Credential(t.Context(), limited.AccessKeyID, limited.SessionToken); err == nil {
		t.Error("the session outlives the user's key")
	}
}

func TestGetFederationToken_tags(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user("alice", `{"Effect":"Allow","Action":["ssm:*","sts:GetFederationToken","sts:TagSession"],"Resource":"*"}`)
	plain := h.user("plain", `{"Effect":"Allow","Action":"sts:GetFederationToken","Resource":"*"}`)
	tags := []stsapi.Tag{{Key: "team", Value: "red"}}
	policyOf := func(team string) *string {
		return wire.String(doc(`{"Effect":"Allow","Action":"ssm:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"` + team + `"}}}`))
	}
	for team, may := range map[string]bool{"red": true, "blue": false} {
		c, _, err := h.federate(alice, &stsapi.GetFederationTokenRequest{Tags: tags, Policy: policyOf(team)})
		if err != nil || h.may(c, "ssm:GetParameter", "*") != may {
			t.Errorf("%s: not %v, %v", team, may, err)
		}
	}
	_, _, err := h.federate(plain, &stsapi.GetFederationTokenRequest{Tags: tags})
	want(t, "no TagSession", err, "AccessDenied", "User: arn:aws:iam::000000000000:user/plain is not authorized to perform: sts:TagSession on resource: arn:aws:sts::000000000000:federated-user/bob because no identity-based policy allows the sts:TagSession action")
	_, _, err = h.federate(alice, &stsapi.GetFederationTokenRequest{Tags: []stsapi.Tag{{Key: "a", Value: "1"}, {Key: "A", Value: "2"}}})
	want(t, "duplicate", err, "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
}

// A federated user that a resource's policy names is not limited by its session.
func TestFederatedUser_resourcePolicy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user("alice", `{"Effect":"Allow","Action":"sts:GetFederationToken","Resource":"*"}`)
	c, _, err := h.federate(alice, &stsapi.GetFederationTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	cred, err := h.s.Credential(t.Context(), c.AccessKeyID, c.SessionToken)
	if err != nil {
		t.Fatal(err)
	}
	for principal, may := range map[string]bool{"arn:aws:sts::000000000000:federated-user/bob": true, "arn:aws:sts::000000000000:federated-user/eve": false, "000000000000": false} {
		p, err := policy.Parse("r", []byte(doc(`{"Effect":"Allow","Principal":{"AWS":"`+principal+`"},"Action":"lambda:InvokeFunction","Resource":"*"}`)))
		if err != nil {
			t.Fatal(err)
		}
		d, err := h.s.AuthorizeResource(t.Context(), cred.Caller, "lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:f", account, p, nil)
		if err != nil || d.Allowed != may {
			t.Errorf("%s: %+v, %v", principal, d, err)
		}
	}
}

func TestGetSessionToken_limits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user("alice", allowAll)
	out := must(t)(h.sts.GetSessionToken(h.as(alice), &stsapi.GetSessionTokenRequest{})).(*stsapi.GetSessionTokenResponse).Credentials
	key := sigv4.Credentials{AccessKeyID: out.AccessKeyId, SessionToken: out.SessionToken}
	for action, may := range map[string]bool{"ssm:GetParameter": true, "iam:GetUser": false, "sts:GetFederationToken": false, "sts:DecodeAuthorizationMessage": false} {
		if h.may(key, action, "*") != may {
			t.Errorf("%s: not %v", action, may)
		}
	}
	role := h.role("r", trustAccount, "")
	if _, err := h.assume(key, &stsapi.AssumeRoleRequest{RoleArn: role}); err != nil {
		t.Errorf("assume a role: %v", err)
	}
	c, err := h.s.Credential(t.Context(), key.AccessKeyID, key.SessionToken)
	if err != nil || strings.Join(c.Caller.Context.Get("aws:MultiFactorAuthPresent"), "") != "false" {
		t.Errorf("%v, %v", c.Caller.Context, err)
	}
	if c, err = h.s.Credential(t.Context(), alice.AccessKeyID, ""); err != nil || c.Caller.Context.Get("aws:MultiFactorAuthPresent") != nil {
		t.Errorf("a long-lived key says something of a second factor: %v, %v", c.Caller.Context, err)
	}
	if !out.Expiration.Equal(h.clock().Add(12 * time.Hour)) {
		t.Errorf("expires %v", out.Expiration)
	}
	_, err = h.sts.GetSessionToken(h.as(alice), &stsapi.GetSessionTokenRequest{TokenCode: wire.String("123456")})
	want(t, "no serial number", err, "AccessDenied", "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.")
}

// A session with a second factor carries it, and grows old with the clock.
func TestSession_secondFactor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user("alice", allowAll)
	c, err := h.s.Credential(t.Context(), alice.AccessKeyID, "")
	if err != nil {
		t.Fatal(err)
	}
	v := session{Kind: policy.PrincipalUser, Name: "alice", EntityID: c.Caller.ID, MadeByKey: alice.AccessKeyID, Policies: []string{userMFASessionPolicy}, MFA: h.clock().Unix()}
	made, err := h.s.newSession(v, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, age := range []int{0, 60} {
		c, err := h.s.Credential(t.Context(), made.AccessKeyID, made.SessionToken)
		if err != nil || c.Caller.Context.Get("aws:MultiFactorAuthPresent")[0] != "true" || c.Caller.Context.Get("aws:MultiFactorAuthAge")[0] != fmt.Sprint(age) {
			t.Errorf("after %d s: %v, %v", age, c.Caller.Context, err)
		}
		h.advance(time.Minute)
	}
	key := sigv4.Credentials{AccessKeyID: made.AccessKeyID, SessionToken: made.SessionToken}
	if !h.may(key, "iam:GetUser", "*") || h.may(key, "sts:GetFederationToken", "*") {
		t.Error("wrong scope of a session with a second factor")
	}
	// A trust policy may ask for it.
	role := h.role("r", `{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"},"NumericLessThan":{"aws:MultiFactorAuthAge":"300"}}}`, allowAll)
	assumed, err := h.assume(key, &stsapi.AssumeRoleRequest{RoleArn: role})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.assume(alice, &stsapi.AssumeRoleRequest{RoleArn: role})
	want(t, "without", err, "AccessDenied", "")
	_, err = h.assume(assumed, &stsapi.AssumeRoleRequest{RoleArn: role})
	want(t, "a role's session does not pass it on", err, "AccessDenied", "")
	h.advance(5 * time.Minute)
	_, err = h.assume(key, &stsapi.AssumeRoleRequest{RoleArn: role})
	want(t, "too old", err, "AccessDenied", "")
}
