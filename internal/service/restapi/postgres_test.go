package restapi

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"moat/internal/store"
	"moat/internal/store/storetest"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// TestPostgres: keys, plans and quotas on PostgreSQL, and on two nodes that share it.
func TestPostgres(t *testing.T) {
	t.Parallel()
	server := storetest.StartPostgres(t)
	fresh := func(t *testing.T) store.Config { return store.Config{URL: storetest.NewSchema(t, server)} }
	t.Run("quotas", func(t *testing.T) {
		t.Parallel()
		s, _, ctx := newServiceOn(t, fresh(t))
		testQuotas(t, s, ctx)
	})
	t.Run("old keys", func(t *testing.T) {
		t.Parallel()
		testOldKeys(t, fresh(t))
	})
	t.Run("nodes", func(t *testing.T) {
		t.Parallel()
		testTwoNodes(t, fresh(t))
	})
}

// testTwoNodes: what one node makes, changes and deletes the other serves so; a quota is one for both,
// however they compete for it.
func testTwoNodes(t *testing.T, cfg store.Config) {
	a, seenA, ctx := newServiceOn(t, cfg)
	b, seenB, _ := newServiceOn(t, cfg)
	both := func(what string) {
		t.Helper()
		for n, s := range []*Service{a, b} {
			s.plans.stale.Store(true) // as the change feed says
			if err := s.publishPlans(ctx); err != nil {
				t.Fatalf("%s: node %d: %v", what, n, err)
			}
		}
	}
	both("at first")
	k := newKey(t, a, ctx, "k")
	up, err := b.CreateUsagePlan(ctx, &apigatewayapi.CreateUsagePlanRequest{Name: "p"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.CreateUsagePlanKey(ctx, &apigatewayapi.CreateUsagePlanKeyRequest{UsagePlanId: *up.Id, KeyId: *k.Id, KeyType: "API_KEY"}); err != nil {
		t.Fatal(err)
	}
	both("a key of a plan")
	late, seenLate, _ := newServiceOn(t, cfg) // reads everything
	if err := late.publishPlans(ctx); err != nil {
		t.Fatal(err)
	}
	for n, seen := range []*board{seenA, seenB, seenLate} {
		if got := seen.key(*k.Value); got.ID != *k.Id || !got.Enabled || len(got.Plans) != 1 || got.Plans[0] != *up.Id {
			t.Errorf("node %d serves %+v", n, got)
		}
	}
	a.cfg.Quotas, b.cfg.Quotas = map[string]int{"api-keys": 6}, map[string]int{"api-keys": 6}
	var made, refused atomic.Int32
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			_, err := []*Service{a, b}[i%2].CreateApiKey(ctx, &apigatewayapi.CreateApiKeyRequest{Name: wire.String(fmt.Sprint(i))})
			var limit *apigatewayapi.LimitExceededException
			switch {
			case err == nil:
				made.Add(1)
			case isA(err, &limit):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made.Load() != 5 || refused.Load() != 7 {
		t.Errorf("beside the first key %d were made and %d refused", made.Load(), refused.Load())
	}
	if _, err := b.DeleteApiKey(ctx, &apigatewayapi.DeleteApiKeyRequest{ApiKey: *k.Id}); err != nil {
		t.Fatal(err)
	}
	both("after all that")
	for n, seen := range []*board{seenA, seenB} {
		if len(seen.plans.Keys) != 5 || seen.key(*k.Value).ID != "" {
			t.Errorf("node %d serves %d keys", n, len(seen.plans.Keys))
		}
	}
}
