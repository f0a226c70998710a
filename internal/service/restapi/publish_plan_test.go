package restapi

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"

	"moat/internal/gateway"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

func newKey(t *testing.T, s *Service, ctx context.Context, name string) *apigatewayapi.ApiKey {
	t.Helper()
	k, err := s.CreateApiKey(ctx, &apigatewayapi.CreateApiKeyRequest{Name: &name, Enabled: wire.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestPublish_plans: of plans and keys only what has changed is handed on, whatever number of them
// there are; a stage's change hands on none.
func TestPublish_plans(t *testing.T) {
	t.Parallel()
	s, b, ctx := newService(t)
	api := imported(t, s, ctx)
	deploy(t, s, ctx, api, "dev")
	loaded, handed := b.loaded, b.handed
	step := func(what string, n int, err error) {
		t.Helper()
		if err != nil || b.loaded != loaded || b.handed != handed+n {
			t.Errorf("%s: handed %d, loaded %d times, %v", what, b.handed-handed, b.loaded-loaded, err)
		}
		handed = b.handed
	}
	_, err := updateStage(s, ctx, api, "replace /variables/x 1")
	step("a stage", 0, err)
	var keys []*apigatewayapi.ApiKey
	for i := range 30 {
		keys = append(keys, newKey(t, s, ctx, fmt.Sprintf("k%02d", i)))
	}
	step("thirty keys", 30, nil)
	_, err = s.UpdateApiKey(ctx, &apigatewayapi.UpdateApiKeyRequest{ApiKey: *keys[7].Id, PatchOperations: []apigatewayapi.PatchOperation{{Op: replace, Path: wire.String("/enabled"), Value: wire.String("false")}}})
	step("a disabled key", 1, err)
	if b.key(*keys[7].Value).Enabled {
		t.Error("a disabled key is published as enabled")
	}
	up, err := s.CreateUsagePlan(ctx, &apigatewayapi.CreateUsagePlanRequest{Name: "p", ApiStages: []apigatewayapi.ApiStage{{ApiId: &api, Stage: wire.String("dev")}}})
	step("a plan", 1, err)
	for _, k := range keys[:12] {
		if _, err := s.CreateUsagePlanKey(ctx, &apigatewayapi.CreateUsagePlanKeyRequest{UsagePlanId: *up.Id, KeyId: *k.Id, KeyType: "API_KEY"}); err != nil {
			t.Fatal(err)
		}
	}
	step("twelve keys of a plan", 12, nil)
	_, err = s.UpdateUsagePlan(ctx, &apigatewayapi.UpdateUsagePlanRequest{UsagePlanId: *up.Id, PatchOperations: []apigatewayapi.PatchOperation{{Op: replace, Path: wire.String("/throttle/rateLimit"), Value: wire.String("5")}}})
	step("a changed plan", 1, err)
	_, err = s.DeleteApiKey(ctx, &apigatewayapi.DeleteApiKeyRequest{ApiKey: *keys[0].Id})
	step("a deleted key", 1, err)
	if len(b.plans.Keys) != 29 || len(b.key(*keys[1].Value).Plans) != 1 {
		t.Errorf("published: %d keys, %+v", len(b.plans.Keys), b.key(*keys[1].Value))
	}

	// Pages of keys, of a plan and of the account.
	var seen []string
	for position := (*string)(nil); ; {
		page, err := s.GetUsagePlanKeys(ctx, &apigatewayapi.GetUsagePlanKeysRequest{UsagePlanId: *up.Id, Limit: wire.Int32(5), Position: position})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range page.Items {
			seen = append(seen, *k.Id)
		}
		if position = page.Position; position == nil {
			break
		}
	}
	if len(seen) != 11 {
		t.Errorf("%d keys of the plan in pages: %v", len(seen), seen)
	}
	page, err := s.GetApiKeys(ctx, &apigatewayapi.GetApiKeysRequest{NameQuery: wire.String("k2"), Limit: wire.Int32(4)})
	if err != nil || len(page.Items) != 4 || page.Position == nil {
		t.Fatalf("keys by name: %+v, %v", page, err)
	}
	if page, err = s.GetApiKeys(ctx, &apigatewayapi.GetApiKeysRequest{NameQuery: wire.String("k2"), Limit: wire.Int32(6), Position: page.Position}); err == nil && (len(page.Items) != 6 || page.Position != nil) {
		t.Errorf("the last keys by name: %+v", page)
	}

	plans, err := s.GetUsagePlans(ctx, &apigatewayapi.GetUsagePlansRequest{KeyId: keys[1].Id})
	if err != nil || len(plans.Items) != 1 {
		t.Errorf("plans of a key: %+v, %v", plans, err)
	}
	_, err = s.UpdateUsagePlan(ctx, &apigatewayapi.UpdateUsagePlanRequest{UsagePlanId: *up.Id, PatchOperations: []apigatewayapi.PatchOperation{{Op: remove, Path: wire.String("/apiStages"), Value: wire.String(api + ":dev")}}})
	step("a plan without a stage", 1, err)
	_, err = s.DeleteUsagePlan(ctx, &apigatewayapi.DeleteUsagePlanRequest{UsagePlanId: *up.Id})
	step("a plan that is gone", 1, err)
	if plans, err := s.GetUsagePlans(ctx, &apigatewayapi.GetUsagePlansRequest{KeyId: keys[1].Id}); err != nil || len(plans.Items) != 0 || len(b.plans.Plans) != 0 {
		t.Errorf("plans of a key after that: %+v, %v", plans, err)
	}
}

// TestPublish_otherNode: a node reads on where it was; one that was away too long reads everything.
func TestPublish_otherNode(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	other := &board{served: map[string]int{}}
	node, err := New(Config{DB: s.db, Now: s.cfg.Now, Account: "000000000000", Publisher: other})
	if err != nil {
		t.Fatal(err)
	}
	look := func(what string, loaded, handed, keys int) {
		t.Helper()
		if err := node.publishPlans(ctx); err != nil || other.loaded != loaded || other.handed != handed || len(other.plans.Keys) != keys {
			t.Errorf("%s: loaded %d, handed %d, has %d keys, %v", what, other.loaded, other.handed, len(other.plans.Keys), err)
		}
	}
	k := newKey(t, s, ctx, "first")
	look("at first", 1, 0, 1)
	look("again", 1, 0, 1)
	newKey(t, s, ctx, "second")
	look("one more", 1, 1, 2)
	if _, err := s.DeleteApiKey(ctx, &apigatewayapi.DeleteApiKeyRequest{ApiKey: *k.Id}); err != nil {
		t.Fatal(err)
	}
	look("one less", 1, 2, 1)
	newKey(t, s, ctx, "third")
	if err := s.db.Update(ctx, func(tx *store.Tx) error { _, err := s.tables.planChanges.DeleteAll(tx); return err }); err != nil {
		t.Fatal(err)
	}
	look("the list is gone", 2, 2, 2)
	newKey(t, s, ctx, "fourth")
	look("it goes on", 2, 3, 3)
}

// TestNew_movesKeys: plans that were written with the ids of their keys hand them over.
func TestNew_movesKeys(t *testing.T) {
	t.Parallel()
	s, b, ctx := newService(t)
	k := newKey(t, s, ctx, "old")
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		return s.tables.plans.Put(tx, plan{Account: "000000000000", Region: "us-east-1", ID: "p1", Plan: apigatewayapi.UsagePlan{Id: wire.String("p1"), Name: wire.String("p")}, Keys: []string{*k.Id, "gone"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if s, err = New(Config{DB: s.db, Now: s.cfg.Now, Account: "000000000000", Publisher: b}); err != nil {
		t.Fatal(err)
	}
	out, err := s.GetUsagePlanKeys(ctx, &apigatewayapi.GetUsagePlanKeysRequest{UsagePlanId: "p1"})
	if err != nil || len(out.Items) != 1 || *out.Items[0].Id != *k.Id {
		t.Errorf("got %+v, %v", out, err)
	}
}

// TestNew_oldKeys: keys of a database whose index said nothing of them are published as ever, and go on.
func TestNew_oldKeys(t *testing.T) {
	t.Parallel()
	testOldKeys(t, store.Config{Path: filepath.Join(t.TempDir(), "moat.db")})
}

func testOldKeys(t *testing.T, cfg store.Config) {
	s, b, ctx := newService(t)
	var made []*apigatewayapi.ApiKey
	for _, name := range []string{"one", "two"} {
		made = append(made, newKey(t, s, ctx, name))
	}
	up, err := s.CreateUsagePlan(ctx, &apigatewayapi.CreateUsagePlanRequest{Name: "p"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateUsagePlanKey(ctx, &apigatewayapi.CreateUsagePlanKeyRequest{UsagePlanId: *up.Id, KeyId: *made[1].Id, KeyType: "API_KEY"}); err != nil {
		t.Fatal(err)
	}
	disable := &apigatewayapi.UpdateApiKeyRequest{ApiKey: *made[0].Id, PatchOperations: []apigatewayapi.PatchOperation{{Op: replace, Path: wire.String("/enabled"), Value: wire.String("false")}}}
	if _, err := s.UpdateApiKey(ctx, disable); err != nil {
		t.Fatal(err)
	}
	cfg.MasterKey = make([]byte, 32)
	var records []key
	if err := s.db.View(ctx, func(tx *store.Tx) (err error) { records, err = s.tables.keys.List(tx, store.Query{}); return err }); err != nil {
		t.Fatal(err)
	}
	writeOldKeys(t, cfg, records)

	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	other := &board{served: map[string]int{}}
	node, err := New(Config{DB: db, Now: s.cfg.Now, Account: "000000000000", Publisher: other})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.PublishAll(ctx); err != nil || len(other.plans.Keys) != 2 {
		t.Fatalf("%d keys, %v", len(other.plans.Keys), err)
	}
	for i, want := range []gateway.Key{{ID: *made[0].Id}, {ID: *made[1].Id, Enabled: true, Plans: []string{*up.Id}}} {
		if got := other.key(*made[i].Value); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(got, b.key(*made[i].Value)) {
			t.Errorf("key %d: got %+v, want %+v", i, got, want)
		}
	}
}

// writeOldKeys writes keys as a Moat before this one did.
func writeOldKeys(t *testing.T, cfg store.Config, records []key) {
	t.Helper()
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	old := store.NewTable(store.Schema[key]{
		Name: "restapi_key", Key: []string{"account", "region", "id"},
		KeyOf: func(k *key) []string { return []string{k.Account, k.Region, k.ID} },
		Indexes: []store.Index[key]{{
			Name: "value", Columns: []string{"hash"}, Unique: true,
			Of: func(k *key) [][]string { return [][]string{{k.Hash}} },
		}},
	})
	if err := db.Create(old); err != nil {
		t.Fatal(err)
	}
	err = db.Update(t.Context(), func(tx *store.Tx) error {
		for _, k := range records {
			if err := old.Insert(tx, k); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestServed: what the index says of a key is read as it was written, and nothing else is.
func TestServed(t *testing.T) {
	t.Parallel()
	var r servedReader
	for _, want := range []gateway.Key{{ID: "a", Enabled: true}, {ID: "b", Plans: []string{"p", "q"}}, {ID: "c", Enabled: true, Plans: []string{"p", "q"}}, {ID: "d"}, {ID: "e", Plans: []string{"p"}}} {
		k := key{ID: want.ID, Key: apigatewayapi.ApiKey{Enabled: &want.Enabled}, Plans: want.Plans}
		if got, err := r.read(k.served()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v, want %+v", k.served(), got, err, want)
		}
	}
	for _, text := range []string{"", "a", "a ", " enabled", "a on", "a Enabled p", "a enabledp"} {
		if k, err := r.read(text); err == nil {
			t.Errorf("%q is read as %+v", text, k)
		}
	}
}

// TestKeys_counted: the quota of keys holds by a count, which a database that has none is given.
func TestKeys_counted(t *testing.T) {
	t.Parallel()
	s, b, ctx := newService(t)
	s.cfg.Quotas = map[string]int{"api-keys": 2}
	more := func(what string, refused bool) {
		t.Helper()
		_, err := s.CreateApiKey(ctx, &apigatewayapi.CreateApiKeyRequest{Name: wire.String("k")})
		var limit *apigatewayapi.LimitExceededException
		if isA(err, &limit) != refused || !refused && err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	k := newKey(t, s, ctx, "first")
	more("a second", false)
	more("a third", true)
	if _, err := s.DeleteApiKey(ctx, &apigatewayapi.DeleteApiKeyRequest{ApiKey: *k.Id}); err != nil {
		t.Fatal(err)
	}
	more("one after another is gone", false)
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		if err := s.tables.keyCount.Delete(tx, "000000000000", "us-east-1"); err != nil {
			return err
		}
		return s.tables.keyCount.Delete(tx, counted)
	})
	if err != nil {
		t.Fatal(err)
	}
	if s, err = New(Config{DB: s.db, Now: s.cfg.Now, Account: "000000000000", Publisher: b, Quotas: s.cfg.Quotas}); err != nil {
		t.Fatal(err)
	}
	more("one in a database that was counted again", true)
}

// BenchmarkKeys: what a change of a key costs until it is served, and what a start costs, among few and
// many keys, on disk.
func BenchmarkKeys(b *testing.B) {
	for _, n := range []int{10, 100_000, 1_000_000} {
		db, err := store.Open(b.Context(), store.Config{Path: filepath.Join(b.TempDir(), "moat.db"), MasterKey: make([]byte, 32)})
		if err != nil {
			b.Fatal(err)
		}
		ctx := wire.WithCall(b.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1"})
		start := func() *Service {
			s, err := New(Config{DB: db, Account: "000000000000", Publisher: gateway.New(gateway.Config{KeySecret: []byte("secret")})})
			if err == nil {
				err = s.PublishAll(ctx)
			}
			if err != nil {
				b.Fatal(err)
			}
			return s
		}
		s := start()
		up, err := s.CreateUsagePlan(ctx, &apigatewayapi.CreateUsagePlanRequest{Name: "p"})
		if err != nil {
			b.Fatal(err)
		}
		last := fill(b, s, ctx, *up.Id, n)
		s = start()
		b.Run(fmt.Sprintf("start/%d", n), func(b *testing.B) {
			for b.Loop() {
				start()
			}
		})
		b.Run(fmt.Sprintf("change/%d", n), func(b *testing.B) {
			on := false
			for b.Loop() {
				on = !on
				in := &apigatewayapi.UpdateApiKeyRequest{ApiKey: last, PatchOperations: []apigatewayapi.PatchOperation{{Op: replace, Path: wire.String("/enabled"), Value: wire.String(fmt.Sprint(on))}}}
				if _, err := s.UpdateApiKey(ctx, in); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("page/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.GetUsagePlanKeys(ctx, &apigatewayapi.GetUsagePlanKeysRequest{UsagePlanId: *up.Id}); err != nil {
					b.Fatal(err)
				}
			}
		})
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// fill makes n keys in a plan, and returns the id of the last.
func fill(b *testing.B, s *Service, ctx context.Context, plan string, n int) (id string) {
	b.Helper()
	const batch = 20000
	for i := 0; i < n; i += batch {
		rows := make([]key, min(batch, n-i))
		for j := range rows {
			k, err := s.importedKey(place{"000000000000", "us-east-1"}, keyRow{name: fmt.Sprintf("key %d", i+j), value: fmt.Sprintf("a-value-of-an-api-key-%018d", i+j), enabled: true})
			if err != nil {
				b.Fatal(err)
			}
			k.Plans = []string{plan}
			rows[j], id = k, k.ID
		}
		if err := s.db.Update(ctx, func(tx *store.Tx) error {
			for _, k := range rows {
				if err := s.tables.keys.Put(tx, k); err != nil { // without a line in the list: it is not read
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	return id
}
