package iam

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/stsapi"
)

func noise(n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

func TestPackedSize(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user("alice", `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)
	role := h.role("r", trustAccount, allowAll)
	statement := func(resource string) *string {
		return wire.String(doc(`{"Effect":"Allow","Action":"ssm:*","Resource":"arn:aws:ssm:::` + resource + `"}`))
	}
	var plain []stsapi.Tag
	for i := range 50 {
		plain = append(plain, stsapi.Tag{Key: fmt.Sprintf("k%d", i), Value: "value"})
	}
	fits, err := h.sts.AssumeRole(h.as(alice), &stsapi.AssumeRoleRequest{RoleArn: role, RoleSessionName: "session", Policy: statement(noise(1900)), Tags: plain[:1]})
	if err != nil || *fits.PackedPolicySize < 50 || *fits.PackedPolicySize > 100 {
		t.Fatalf("%v, %v", fits, err)
	}
	if n := len(fits.Credentials.SessionToken); n > 4096 {
		t.Errorf("the token has %d bytes", n)
	}
	if _, err := h.s.Credential(t.Context(), fits.Credentials.AccessKeyId, fits.Credentials.SessionToken); err != nil {
		t.Errorf("a deflated session: %v", err)
	}
	managed := []stsapi.PolicyDescriptorType{}
	for range 11 {
		managed = append(managed, stsapi.PolicyDescriptorType{Arn: wire.String(managedPrefix + "AmazonSSMReadOnlyAccess")})
	}
	for _, tt := range []struct {
		name    string
		in      stsapi.AssumeRoleRequest
		code    string
		message string
	}{
		{"50 tags", stsapi.AssumeRoleRequest{Tags: plain}, "", ""},
		{"policy and tags", stsapi.AssumeRoleRequest{Policy: statement(noise(1900)), Tags: manyTags(40)}, "PackedPolicyTooLarge", ""},
		{"tags", stsapi.AssumeRoleRequest{Tags: manyTags(50)}, "PackedPolicyTooLarge", ""},
		{"long policy", stsapi.AssumeRoleRequest{Policy: statement(strings.Repeat("a", 2048))}, "ValidationError", "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to 2048"},
		{"10 policies", stsapi.AssumeRoleRequest{PolicyArns: managed[:10]}, "", ""},
		{"11 policies", stsapi.AssumeRoleRequest{PolicyArns: managed}, "ValidationError", ""},
		{"no such policy", stsapi.AssumeRoleRequest{PolicyArns: []stsapi.PolicyDescriptorType{{Arn: wire.String("arn:aws:iam::000000000000:policy/none")}}}, "ValidationError", ""},
		{"reserved tag", stsapi.AssumeRoleRequest{Tags: []stsapi.Tag{{Key: "AWS:x", Value: "1"}}}, "InvalidParameterValue", ""},
		{"51 tags", stsapi.AssumeRoleRequest{Tags: append(plain[:50:50], stsapi.Tag{Key: "one", Value: "more"})}, "ValidationError", ""},
		{"long key", stsapi.AssumeRoleRequest{Tags: []stsapi.Tag{{Key: strings.Repeat("k", 129), Value: "1"}}}, "ValidationError", ""},
		{"long value", stsapi.AssumeRoleRequest{Tags: []stsapi.Tag{{Key: "k", Value: strings.Repeat("v", 257)}}}, "ValidationError", ""},
		{"key with a brace", stsapi.AssumeRoleRequest{Tags: []stsapi.Tag{{Key: "k{", Value: "v"}}}, "ValidationError", ""},
	} {
		tt.in.RoleArn = role
		_, err := h.assume(alice, &tt.in)
		want(t, tt.name, err, tt.code, tt.message)
		if (err == nil) != (tt.code == "") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// manyTags do not deflate to much less than they are.
func manyTags(n int) []stsapi.Tag {
	text := noise(n * 200)
	tags := make([]stsapi.Tag, n)
	for i := range tags {
		tags[i] = stsapi.Tag{Key: fmt.Sprintf("k%d", i), Value: text[i*200 : i*200+200]}
	}
	return tags
}

// A managed session policy counts as it is now, and allows nothing once deleted.
func TestSessionPolicy_managed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user("alice", `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)
	role := h.role("r", trustAccount, allowAll)
	p := must(t)(h.iam.CreatePolicy(h.root(), &iamapi.CreatePolicyRequest{PolicyName: "limit", PolicyDocument: doc(allowRead)})).(*iamapi.CreatePolicyResponse).Policy
	c, err := h.assume(alice, &stsapi.AssumeRoleRequest{RoleArn: role, PolicyArns: []stsapi.PolicyDescriptorType{{Arn: p.Arn}}})
	if err != nil || !h.may(c, "ssm:GetParameter", "*") || h.may(c, "ssm:PutParameter", "*") {
		t.Fatalf("wrong scope, %v", err)
	}
	must(t)(h.iam.DeletePolicy(h.root(), &iamapi.DeletePolicyRequest{PolicyArn: *p.Arn}))
	if h.may(c, "ssm:GetParameter", "*") {
		t.Error("a deleted policy allows")
	}
}

// Exactly one text stands for a session: nothing shorter, longer or altered.
func TestSessionToken_tampered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user("alice", allowAll)
	c := must(t)(h.sts.GetSessionToken(h.as(alice), &stsapi.GetSessionTokenRequest{})).(*stsapi.GetSessionTokenResponse).Credentials
	good := c.SessionToken
	if _, err := h.s.Credential(t.Context(), c.AccessKeyId, good); err != nil {
		t.Fatal(err)
	}
	refused := func(what, tok string) {
		if tok == good || tok == "" {
			return
		}
		if _, err := h.s.Credential(t.Context(), c.AccessKeyId, tok); err == nil {
			t.Errorf("%s accepted", what)
		}
	}
	for i := range good {
		refused(fmt.Sprintf("prefix %d", i), good[:i])
		refused(fmt.Sprintf("suffix %d", i), good[i:])
		refused(fmt.Sprintf("without %d", i), good[:i]+good[i+1:])
		for bit := range 7 {
			b := []byte(good)
			b[i] ^= 1 << bit
			refused(fmt.Sprintf("bit %d of %d", bit, i), string(b))
		}
		b := []byte(good)
		if b[i] >= 'a' && b[i] <= 'z' {
			b[i] -= 'a' - 'A'
		} else if b[i] >= 'A' && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
		refused(fmt.Sprintf("case of %d", i), string(b))
	}
	for _, s := range []string{"A", "=", " ", "\n", "A==="} {
		refused("added "+s, good+s)
		refused("before "+s, s+good)
	}
	refused("lower", strings.ToLower(good))
	refused("upper", strings.ToUpper(good))
	refused("twice", good+good)
	sealed, err := h.db.Seal("another purpose", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	refused("sealed for something else", string(sealed))
}

// A node that never saw a session checks it with the master key alone; one with
// another key refuses it.
func TestSessionToken_otherNode(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/moat.db"
	clock := func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	open := func(path string, k []byte) *store.DB {
		db, err := store.Open(t.Context(), store.Config{Path: path, Now: clock, MasterKey: k})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	node := func(db *store.DB) *Service {
		s, err := New(Config{DB: db, Account: account, Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.EnsureRoot(t.Context(), "test", "test"); err != nil {
			t.Fatal(err)
		}
		return s
	}
	db := open(path, key)
	c, err := node(db).newSession(session{Kind: policy.PrincipalRoot, MadeByKey: "test"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	accepts := func(what string, s *Service) {
		t.Helper()
		if got, err := s.Credential(t.Context(), c.AccessKeyID, c.SessionToken); err != nil || got.Secret != c.SecretAccessKey {
			t.Errorf("%s: %v", what, err)
		}
	}
	accepts("another node of the database", node(db))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(path, key)
	defer db.Close()
	accepts("a new process", node(db))
	other := append([]byte{}, key...)
	other[0]++
	for what, k := range map[string][]byte{"the same key, no tables of the first": key, "another master key": other} {
		db := open(":memory:", k)
		_, err := node(db).Credential(t.Context(), c.AccessKeyID, c.SessionToken)
		if (err == nil) != (&k[0] == &key[0]) {
			t.Errorf("%s: %v", what, err)
		}
		db.Close()
	}
}
