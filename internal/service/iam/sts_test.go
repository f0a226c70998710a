package iam

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/pure/token"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/stsapi"
)

var signer = sync.OnceValue(func() *token.SigningKey { return newSigner() })

func newSigner() *token.SigningKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	k, err := token.NewSigningKey("k1", private)
	if err != nil {
		panic(err)
	}
	return k
}

// assume assumes a role and returns its key.
func (h *house) assume(as sigv4.Credentials, in *stsapi.AssumeRoleRequest) (sigv4.Credentials, error) {
	h.t.Helper()
	if in.RoleSessionName == "" {
		in.RoleSessionName = "session1"
	}
	out, err := h.sts.AssumeRole(h.as(as), in)
	if err != nil {
		return sigv4.Credentials{}, err
	}
	c := out.Credentials
	return sigv4.Credentials{AccessKeyID: c.AccessKeyId, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}, nil
}

const trustAccount = `{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}`

func TestAssumeRole_whoMay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	plain, granted, denied := h.user("plain", ""), h.user("granted", `{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}`),
		h.user("denied", `{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*"}`)
	root := sigv4.Credentials{AccessKeyID: "test"}
	named := h.role("named", `{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::000000000000:user/plain","arn:aws:iam::000000000000:user/denied"]},"Action":"sts:AssumeRole"}`, "")
	ofAccount := h.role("account", trustAccount, "")
	service := h.role("service", `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`, "")
	external := h.role("external", `{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"secret"}}}`, "")
	for _, tt := range []struct {
		name     string
		key      sigv4.Credentials
		role     string
		external *string
		want     bool
	}{
		{"named in the trust policy", plain, named, nil, true},
		{"named but denied", denied, named, nil, false},
		{"not named", granted, named, nil, false},
		{"account, no identity policy", plain, ofAccount, nil, false},
		{"account and identity policy", granted, ofAccount, nil, true},
		{"role of a service", granted, service, nil, false},
		{"root, trusted", root, ofAccount, nil, true},
		{"root, not trusted", root, service, nil, false},
		{"external id", granted, external, wire.String("secret"), true},
		{"wrong external id", granted, external, wire.String("guess"), false},
		{"no external id", granted, external, nil, false},
		{"no such role", granted, ofAccount + "x", nil, false},
		{"another path", granted, strings.Replace(ofAccount, "role/", "role/p/", 1), nil, false},
		{"another account", granted, strings.Replace(ofAccount, account, "111111111111", 1), nil, false},
	} {
		_, err := h.assume(tt.key, &stsapi.AssumeRoleRequest{RoleArn: tt.role, ExternalId: tt.external})
		if tt.want {
			want(t, tt.name, err, "", "")
		} else {
			want(t, tt.name, err, "AccessDenied", "")
			if err == nil {
				t.Errorf("%s: allowed", tt.name)
			}
		}
	}
}

func TestAssumeRole_session(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.user("alice", `{"Effect":"Allow","Action":["sts:*"],"Resource":"*"}`)
	role := h.role("app", trustAccount, `{"Effect":"Allow","Action":["ssm:*","sts:AssumeRole"],"Resource":"*"}`)
	full, err := h.assume(key, &stsapi.AssumeRoleRequest{RoleArn: role})
	if err != nil {
		t.Fatal(err)
	}
	id, err := h.sts.GetCallerIdentity(h.as(full), &stsapi.GetCallerIdentityRequest{})
	if err != nil || *id.Arn != "arn:aws:sts::000000000000:assumed-role/app/session1" || !strings.HasPrefix(*id.UserId, "AROA") || !strings.HasSuffix(*id.UserId, ":session1") {
		t.Errorf("%+v, %v", id, err)
	}
	limited, err := h.assume(key, &stsapi.AssumeRoleRequest{RoleArn: role, Policy: wire.String(doc(`{"Effect":"Allow","Action":["ssm:GetParameter","s3:*"],"Resource":"*"}`))})
	if err != nil {
		t.Fatal(err)
	}
	managed, err := h.assume(key, &stsapi.AssumeRoleRequest{RoleArn: role, PolicyArns: []stsapi.PolicyDescriptorType{{Arn: wire.String(managedPrefix + "AmazonSSMReadOnlyAccess")}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		key    sigv4.Credentials
		action string
		want   bool
	}{
		{"role", full, "ssm:PutParameter", true},
		{"role has not", full, "s3:GetObject", false},
		{"session policy allows", limited, "ssm:GetParameter", true},
		{"session policy is silent", limited, "ssm:PutParameter", false},
		{"session policy never widens", limited, "s3:GetObject", false},
		{"managed session policy", managed, "ssm:GetParameter", true},
		{"managed session policy is silent", managed, "ssm:PutParameter", false},
	} {
		if got := h.may(tt.key, tt.action, "*"); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	// The role's own changes reach its live sessions.
	must(t)(h.iam.PutRolePolicy(h.root(), &iamapi.PutRolePolicyRequest{RoleName: "app", PolicyName: "p", PolicyDocument: doc(`{"Effect":"Allow","Action":"logs:*","Resource":"*"}`)}))
	if h.may(full, "ssm:PutParameter", "*") || !h.may(full, "logs:PutLogEvents", "*") {
		t.Error("the session kept old policies")
	}
	// Sessions made before a moment can be revoked.
	must(t)(h.iam.PutRolePolicy(h.root(), &iamapi.PutRolePolicyRequest{RoleName: "app", PolicyName: "revoke", PolicyDocument: doc(`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"` + h.clock().Add(time.Second).Format(time.RFC3339) + `"}}}`)}))
	if h.may(full, "logs:PutLogEvents", "*") {
		t.Error("a revoked session may")
	}
	h.advance(time.Minute)
	fresh, err := h.assume(key, &stsapi.AssumeRoleRequest{RoleArn: role})
	if err != nil || !h.may(fresh, "logs:PutLogEvents", "*") {
		t.Errorf("a later session may not: %v", err)
	}
	// A deleted role ends its sessions; a new one of the name does not revive them.
	for _, p := range []string{"p", "revoke"} {
		must(t)(h.iam.DeleteRolePolicy(h.root(), &iamapi.DeleteRolePolicyRequest{RoleName: "app", PolicyName: p}))
	}
	must(t)(h.iam.DeleteRole(h.root(), &iamapi.DeleteRoleRequest{RoleName: "app"}))
	for range 2 {
		if _, err := h.s.Credential(t.Context(), fresh.AccessKeyID, fresh.SessionToken); !errors.Is(err, wire.ErrUnknownKey) {
			t.Errorf("session of a deleted role: %v", err)
		}
		if h.role("app"+"", trustAccount, allowAll) == "" {
			t.Fatal("no role")
		}
		must(t)(h.iam.DeleteRolePolicy(h.root(), &iamapi.DeleteRolePolicyRequest{RoleName: "app", PolicyName: "p"}))
		if _, err := h.s.Credential(t.Context(), fresh.AccessKeyID, fresh.SessionToken); !errors.Is(err, wire.ErrUnknownKey) {
			t.Errorf("session of another role of the name: %v", err)
		}
		must(t)(h.iam.DeleteRole(h.root(), &iamapi.DeleteRoleRequest{RoleName: "app"}))
	}
}

func TestAssumeRole_limits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.user("alice", `{"Effect":"Allow","Action":["sts:*"],"Resource":"*"}`)
	role := h.role("app", trustAccount, `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)
	next := h.role("next", trustAccount, "")
	noTags := h.role("notags", `{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}`, "")
	must(t)(h.iam.UpdateRole(h.root(), &iamapi.UpdateRoleRequest{RoleName: "next", MaxSessionDuration: wire.Int32(7200)}))
	session, err := h.assume(key, &stsapi.AssumeRoleRequest{RoleArn: role, Tags: []stsapi.Tag{{Key: "Team", Value: "red"}}, TransitiveTagKeys: []string{"Team"}, SourceIdentity: wire.String("alice")})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name          string
		key           sigv4.Credentials
		in            *stsapi.AssumeRoleRequest
		code, message string
	}{
		{"longer than the role", key, &stsapi.AssumeRoleRequest{RoleArn: role, DurationSeconds: wire.Int32(7200)}, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."},
		{"as long as the role", key, &stsapi.AssumeRoleRequest{RoleArn: next, DurationSeconds: wire.Int32(7200)}, "", ""},
		{"chained, too long", session, &stsapi.AssumeRoleRequest{RoleArn: next, DurationSeconds: wire.Int32(7200)}, "ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"},
		{"chained", session, &stsapi.AssumeRoleRequest{RoleArn: next}, "", ""},
		{"duplicate tags", key, &stsapi.AssumeRoleRequest{RoleArn: role, Tags: []stsapi.Tag{{Key: "a", Value: "1"}, {Key: "A", Value: "2"}}}, "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."},
		{"unknown transitive key", key, &stsapi.AssumeRoleRequest{RoleArn: role, Tags: []stsapi.Tag{{Key: "a", Value: "1"}}, TransitiveTagKeys: []string{"b"}}, "InvalidParameterValue", "The specified transitive tag key must be included in the requested tags."},
		{"transitive tag replaced", session, &stsapi.AssumeRoleRequest{RoleArn: next, Tags: []stsapi.Tag{{Key: "team", Value: "blue"}}}, "InvalidParameterValue", ""},
		{"tags without TagSession", key, &stsapi.AssumeRoleRequest{RoleArn: noTags, Tags: []stsapi.Tag{{Key: "a", Value: "1"}}}, "AccessDenied", ""},
		{"source identity changed", session, &stsapi.AssumeRoleRequest{RoleArn: next, SourceIdentity: wire.String("bob")}, "AccessDenied", ""},
		{"malformed session policy", key, &stsapi.AssumeRoleRequest{RoleArn: role, Policy: wire.String(`{"Version":"2012-10-17"}`)}, "MalformedPolicyDocument", "Syntax errors in policy."},
		{"short session name", key, &stsapi.AssumeRoleRequest{RoleArn: role, RoleSessionName: "x"}, "ValidationError", ""},
	} {
		_, err := h.assume(tt.key, tt.in)
		want(t, tt.name, err, tt.code, tt.message)
		if (err == nil) != (tt.code == "") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	chained, err := h.assume(session, &stsapi.AssumeRoleRequest{RoleArn: next})
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.s.Credential(t.Context(), chained.AccessKeyID, chained.SessionToken)
	if err != nil || c.Caller.Context.Get("aws:PrincipalTag/Team") == nil || c.Caller.Context.Get("aws:SourceIdentity")[0] != "alice" {
		t.Errorf("%+v, %v", c.Caller.Context, err)
	}
}

func TestSessionTags(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.user("alice", `{"Effect":"Allow","Action":["sts:*"],"Resource":"*"}`)
	role := h.role("app", trustAccount, `{"Effect":"Allow","Action":"ssm:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}`)
	may := func(tags ...stsapi.Tag) bool {
		c, err := h.assume(key, &stsapi.AssumeRoleRequest{RoleArn: role, Tags: tags})
		if err != nil {
			t.Fatal(err)
		}
		return h.may(c, "ssm:GetParameter", "*")
	}
	if may() || !may(stsapi.Tag{Key: "team", Value: "red"}) || may(stsapi.Tag{Key: "team", Value: "blue"}) {
		t.Error("session tags do not count")
	}
	must(t)(h.iam.TagRole(h.root(), &iamapi.TagRoleRequest{RoleName: "app", Tags: []iamapi.Tag{{Key: "team", Value: "red"}}}))
	if !may() || may(stsapi.Tag{Key: "team", Value: "blue"}) {
		t.Error("role tags do not count, or outrank the session's")
	}
}

func (h *house) webToken(key *token.SigningKey, alter map[string]any) string {
	h.t.Helper()
	now := h.clock().Unix()
	claims := map[string]any{"iss": "https://idp.example/pool", "aud": "client1", "sub": "u1", "iat": now, "exp": now + 600}
	maps.Copy(claims, alter)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	body, _ := json.Marshal(claims)
	raw, err := token.Sign(key, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return raw
}

func TestAssumeRoleWithWebIdentity(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.issuers["https://idp.example/pool"] = token.NewKeys(signer().Key())
	h.issuers["https://unregistered.example"] = token.NewKeys(signer().Key())
	h.issuers["https://cognito-identity.amazonaws.com"] = token.NewKeys(signer().Key())
	p := must(t)(h.iam.CreateOpenIDConnectProvider(h.root(), &iamapi.CreateOpenIDConnectProviderRequest{Url: "https://idp.example/pool", ClientIDList: []string{"client1"}})).(*iamapi.CreateOpenIDConnectProviderResponse)
	role := h.role("web", `{"Effect":"Allow","Principal":{"Federated":"`+*p.OpenIDConnectProviderArn+`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"idp.example/pool:sub":"u1"}}}`, allowRead)
	guest := h.role("guest", `{"Effect":"Allow","Principal":{"Federated":"cognito-identity.amazonaws.com"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"cognito-identity.amazonaws.com:aud":"us-east-1:pool"},"ForAnyValue:StringLike":{"cognito-identity.amazonaws.com:amr":"unauthenticated"}}}`, allowRead)
	basic := map[string]any{"iss": "https://cognito-identity.amazonaws.com", "aud": "us-east-1:pool", "sub": "us-east-1:id", "amr": []string{"unauthenticated"}}
	with := func(m map[string]any, k string, v any) map[string]any {
		m = maps.Clone(m)
		m[k] = v
		return m
	}
	for _, tt := range []struct {
		name, role, token string
		code              string
	}{
		{"right", role, h.webToken(signer(), nil), ""},
		{"another subject", role, h.webToken(signer(), map[string]any{"sub": "u2"}), "AccessDenied"},
		{"another audience", role, h.webToken(signer(), map[string]any{"aud": "client2"}), "InvalidIdentityToken"},
		{"no audience", role, h.webToken(signer(), map[string]any{"aud": nil}), "InvalidIdentityToken"},
		{"no subject", role, h.webToken(signer(), map[string]any{"sub": nil}), "InvalidIdentityToken"},
		{"expired", role, h.webToken(signer(), map[string]any{"exp": h.clock().Unix()}), "ExpiredTokenException"},
		{"foreign signature", role, h.webToken(newSigner(), nil), "InvalidIdentityToken"},
		{"not a token", role, strings.Repeat("x", 30), "InvalidIdentityToken"},
		{"no provider", role, h.webToken(signer(), map[string]any{"iss": "https://unregistered.example"}), "InvalidIdentityToken"},
		{"role of another provider", guest, h.webToken(signer(), nil), "AccessDenied"},
		{"no such role", role + "x", h.webToken(signer(), nil), "AccessDenied"},
		{"identity pool", guest, h.webToken(signer(), basic), ""},
		{"another identity pool", guest, h.webToken(signer(), with(basic, "aud", "us-east-1:other")), "AccessDenied"},
		{"signed in instead of guest", guest, h.webToken(signer(), with(basic, "amr", []string{"authenticated"})), "AccessDenied"},
	} {
		out, err := h.sts.AssumeRoleWithWebIdentity(context.Background(), &stsapi.AssumeRoleWithWebIdentityRequest{RoleArn: tt.role, RoleSessionName: "web", WebIdentityToken: tt.token})
		want(t, tt.name, err, tt.code, "")
		if (err == nil) != (tt.code == "") {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err != nil {
			continue
		}
		key := sigv4.Credentials{AccessKeyID: out.Credentials.AccessKeyId, SessionToken: out.Credentials.SessionToken}
		if !h.may(key, "ssm:GetParameter", "*") || h.may(key, "ssm:PutParameter", "*") {
			t.Errorf("%s: wrong scope", tt.name)
		}
	}
}

func TestRoleCredentials(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	exec := h.role("exec", `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`, allowRead)
	web := h.role("web", `{"Effect":"Allow","Principal":{"Federated":"cognito-identity.amazonaws.com"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"cognito-identity.amazonaws.com:aud":"p1"}}}`,
		`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${cognito-identity.amazonaws.com:sub}/*"}`)
	aud := func(v string) policy.Context {
		return policy.Context{"cognito-identity.amazonaws.com:aud": {v}, "cognito-identity.amazonaws.com:sub": {"us-east-1:id"}}
	}
	for _, tt := range []struct {
		name, role string
		o          RoleOptions
		want       error
	}{
		{"service", exec, RoleOptions{Service: "lambda.amazonaws.com"}, nil},
		{"other service", exec, RoleOptions{Service: "ec2.amazonaws.com"}, ErrNotTrusted},
		{"web identity for a service's role", exec, RoleOptions{Federated: "cognito-identity.amazonaws.com", Context: aud("p1")}, ErrNotTrusted},
		{"web identity", web, RoleOptions{Federated: "cognito-identity.amazonaws.com", Context: aud("p1")}, nil},
		{"another pool", web, RoleOptions{Federated: "cognito-identity.amazonaws.com", Context: aud("p2")}, ErrNotTrusted},
		{"no keys", web, RoleOptions{Federated: "cognito-identity.amazonaws.com"}, ErrNotTrusted},
		{"tags without TagSession", web, RoleOptions{Federated: "cognito-identity.amazonaws.com", Context: aud("p1"), Tags: []Tag{{"a", "b"}}}, ErrNotTrusted},
		{"no such role", exec + "x", RoleOptions{Service: "lambda.amazonaws.com"}, ErrNotTrusted},
	} {
		if _, err := h.s.RoleCredentials(t.Context(), tt.role, "name", tt.o); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	for name, o := range map[string]RoleOptions{"nobody": {}, "both": {Service: "lambda.amazonaws.com", Federated: "cognito-identity.amazonaws.com"}, "broken session policy": {Service: "lambda.amazonaws.com", SessionPolicies: []string{"{"}}} {
		if _, err := h.s.RoleCredentials(t.Context(), exec, "name", o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := h.s.RoleCredentials(t.Context(), exec, "a/b", RoleOptions{Service: "lambda.amazonaws.com"}); err == nil {
		t.Error("a session name with a slash was accepted")
	}
	c, expires, err := h.s.WebIdentityCredentials(t.Context(), web, "name", "cognito-identity.amazonaws.com", aud("p1"), nil, []string{doc(`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`)}, 2*time.Hour)
	if err != nil || !expires.Equal(h.clock().Add(time.Hour)) {
		t.Fatalf("%v, %v", expires, err)
	}
	for resource, want := range map[string]bool{"arn:aws:s3:::b/us-east-1:id/f": true, "arn:aws:s3:::b/us-east-1:other/f": false} {
		if h.may(c, "s3:GetObject", resource) != want {
			t.Errorf("%s: not %v", resource, want)
		}
	}
	var n interface{ NotTrusted() bool }
	if _, _, err := h.s.ServiceCredentials(t.Context(), web, "name", "lambda.amazonaws.com", nil, 0); !errors.As(err, &n) || !n.NotTrusted() {
		t.Errorf("%v", err)
	}
}

func TestGetAccessKeyInfo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.user("alice", "")
	for id, code := range map[string]string{key.AccessKeyID: "", "ASIAABCDEFGHIJKLMNOP": "", "AKIAABCDEFGHIJKLMNOP": "ValidationError"} {
		_, err := h.sts.GetAccessKeyInfo(h.root(), &stsapi.GetAccessKeyInfoRequest{AccessKeyId: id})
		want(t, id, err, code, "")
	}
}

// A trust policy means the user it named, not whoever has the name later.
func TestTrust_pinned(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const trust = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/alice"},"Action":"sts:AssumeRole"}`
	_, err := h.iam.CreateRole(h.root(), &iamapi.CreateRoleRequest{RoleName: "r", AssumeRolePolicyDocument: doc(trust)})
	want(t, "nobody", err, "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"arn:aws:iam::000000000000:user/alice"`)
	alice := h.user("alice", "")
	role := h.role("r", trust, "")
	if _, err := h.assume(alice, &stsapi.AssumeRoleRequest{RoleArn: role}); err != nil {
		t.Errorf("alice: %v", err)
	}
	must(t)(h.iam.DeleteAccessKey(h.root(), &iamapi.DeleteAccessKeyRequest{UserName: wire.String("alice"), AccessKeyId: alice.AccessKeyID}))
	must(t)(h.iam.DeleteUser(h.root(), &iamapi.DeleteUserRequest{UserName: "alice"}))
	other := h.user("alice", "")
	_, err = h.assume(other, &stsapi.AssumeRoleRequest{RoleArn: role})
	want(t, "another alice", err, "AccessDenied", "")
	must(t)(h.iam.UpdateAssumeRolePolicy(h.root(), &iamapi.UpdateAssumeRolePolicyRequest{RoleName: "r", PolicyDocument: doc(trust)}))
	_, err = h.assume(other, &stsapi.AssumeRoleRequest{RoleArn: role})
	want(t, "the policy saved anew", err, "", "")
}
