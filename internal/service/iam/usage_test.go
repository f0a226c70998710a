package iam

import (
	"context"
	"fmt"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// keys makes access keys known, of nobody.
func (h *house) keys(ids ...string) {
	h.t.Helper()
	if err := h.db.Update(h.t.Context(), func(tx *store.Tx) error {
		for _, id := range ids {
			if err := h.s.t.keys.Put(tx, AccessKey{ID: id, Account: account, Active: true}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
}

// The last use of a key goes with the key, and does not come back by what was noted
// before and is written after.
func TestUsed_deletedKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.user("ada", allowAll)
	count := func() (n int) {
		h.s.flushUsage(t.Context())
		if err := h.db.View(t.Context(), func(tx *store.Tx) error {
			list, err := h.s.used.keys.List(tx, store.Query{})
			n = len(list)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	ada := h.as(key)
	use := func() {
		h.s.Used(wire.CallFrom(ada).Caller, "iam", "us-east-1", "iam:GetUser", h.clock())
	}
	use()
	if n := count(); n != 1 {
		t.Fatalf("%d uses of keys", n)
	}
	use() // not written yet
	h.advance(time.Minute)
	must(t)(h.iam.DeleteAccessKey(h.root(), &iamapi.DeleteAccessKeyRequest{UserName: wire.String("ada"), AccessKeyId: key.AccessKeyID}))
	use() // a call that had been let in
	if n := count(); n != 0 {
		t.Errorf("%d uses of keys that are gone", n)
	}
}

func someone(id, key string) wire.Caller {
	return wire.Caller{AccessKeyID: key, Principal: policy.Principal{Kind: policy.PrincipalUser, ID: id, Account: account}}
}

// The last use is kept by principal and action, and by key; of two uses the later counts, whatever
// order they come in.
func TestUsed_LaterWins(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.keys("AKIAADA")
	ada, at := someone("AIDAADA", "AKIAADA"), h.clock()
	h.s.Used(ada, "ssm", "eu-central-1", "ssm:GetParameter", at.Add(time.Minute))
	h.s.Used(ada, "ssm", "us-east-1", "ssm:GetParameter", at)
	h.s.flushUsage(t.Context())
	h.s.Used(ada, "ssm", "us-east-1", "ssm:GetParameter", at.Add(-time.Hour)) // as another node would write it
	h.s.Used(ada, "iam", "us-east-1", "iam:GetUser", at.Add(-time.Hour))
	uses := must(t)(h.s.usesOf(t.Context(), "AIDAADA")).([]Use)
	got := fmt.Sprintf("%d %s %s %t", len(uses), uses[1].Action, uses[1].Region, uses[1].At.Equal(at.Add(time.Minute)))
	if want := "2 GetParameter eu-central-1 true"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	key := must(t)(h.s.keyUse(t.Context(), "AKIAADA")).(KeyUse)
	if key.Service != "ssm" || key.Region != "eu-central-1" || !key.At.Equal(at.Add(time.Minute)) {
		t.Errorf("key: %+v", key)
	}
	if key := must(t)(h.s.keyUse(t.Context(), "AKIANOBODY")).(KeyUse); !key.At.IsZero() {
		t.Errorf("a key that signed nothing was used: %+v", key)
	}
}

// What is not a user or role of the account has no uses: root, services, strangers.
func TestUsed_NotKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, c := range []wire.Caller{
		{AccessKeyID: "test", Principal: policy.Principal{Kind: policy.PrincipalRoot, ID: account, Account: account}},
		{Principal: policy.Principal{Kind: policy.PrincipalService, Service: "lambda.amazonaws.com"}},
		{AccessKeyID: "AKIAX", Principal: policy.Principal{Kind: policy.PrincipalUser, ID: "AIDAX", Account: "111111111111"}},
		{},
	} {
		h.s.Used(c, "iam", "us-east-1", "iam:GetUser", h.clock())
	}
	if n := len(h.s.used.pending) + len(h.s.used.signed); n != 0 {
		t.Errorf("%d uses were kept", n)
	}
}

// Strangers cannot fill the memory, and what is old is not told.
func TestUsed_Bounds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range maxUsage + 10 {
		h.s.Used(someone("AIDAMANY", "AKIAMANY"), "iam", "us-east-1", fmt.Sprint("iam:A", i), h.clock())
	}
	if n := len(h.s.used.pending); n != maxUsage || h.s.used.dropped != 10 {
		t.Errorf("%d pending, %d dropped", n, h.s.used.dropped)
	}
	h.s.used.pending = map[useKey]lastUse{}
	h.s.Used(someone("AIDAOLD", "AKIAOLD"), "iam", "us-east-1", "iam:GetUser", h.clock().Add(-401*24*time.Hour))
	if uses := must(t)(h.s.usesOf(t.Context(), "AIDAOLD")).([]Use); len(uses) != 0 {
		t.Errorf("told after 400 days: %v", uses)
	}
}

// A regular end writes what is pending; what cannot be written is not lost.
func TestUsed_RunWritesAtTheEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.s.Used(someone("AIDAEND", "AKIAEND"), "iam", "us-east-1", "iam:GetUser", h.clock())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	h.s.flushUsage(gone)
	if len(h.s.used.pending) != 1 || len(h.s.used.signed) != 1 {
		t.Fatal("lost when it could not be written")
	}
	if err := h.s.Run(gone); err != nil {
		t.Fatal(err)
	}
	if len(h.s.used.pending) != 0 {
		t.Error("still pending at the end")
	}
	if uses := must(t)(h.s.usesOf(t.Context(), "AIDAEND")).([]Use); len(uses) != 1 {
		t.Errorf("written: %v", uses)
	}
}

func BenchmarkUsed(b *testing.B) {
	s := &Service{cfg: Config{Account: account}, used: newRecorder()}
	c, at := someone("AIDAADA", "AKIAADA"), time.Unix(1, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Used(c, "ssm", "us-east-1", "ssm:GetParameter", at.Add(time.Duration(i)))
	}
}

// Two nodes on one database: what the one saw, the other tells; neither makes the other's older.
func TestUsed_TwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	other, err := New(Config{DB: h.db, Account: account, Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	h.keys("AKIAADA")
	ada, at := someone("AIDAADA", "AKIAADA"), h.clock()
	h.s.Used(ada, "ssm", "us-east-1", "ssm:GetParameter", at.Add(time.Minute))
	other.Used(ada, "ssm", "eu-west-1", "ssm:GetParameter", at)
	h.s.flushUsage(t.Context())
	uses := must(t)(other.usesOf(t.Context(), "AIDAADA")).([]Use)
	if len(uses) != 1 || !uses[0].At.Equal(at.Add(time.Minute)) || uses[0].Region != "us-east-1" {
		t.Errorf("the other node tells %+v", uses)
	}
	if key := must(t)(other.keyUse(t.Context(), "AKIAADA")).(KeyUse); key.Region != "us-east-1" {
		t.Errorf("key: %+v", key)
	}
}
