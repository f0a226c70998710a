package restapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"moat/internal/gateway"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// board is a Publisher that remembers what it was handed.
type board struct {
	mu      sync.Mutex
	served  map[string]int // api/stage: how often published
	plans   gateway.PlanSet
	loaded  int // how often it was handed all plans and keys
	handed  int // how many plans and keys it was handed as changes
	domains map[string]*gateway.Domain
	private map[string]map[string]*gateway.Domain
}

func (b *board) Publish(s *gateway.Snapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.served[s.APIID()+"/"+s.Stage()]++
}

func (b *board) Withdraw(api, stage string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.served, api+"/"+stage)
}

func (b *board) LoadPlans(plans map[string]gateway.Plan, keys func(func(gateway.KeyHash, gateway.Key)) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	set := gateway.PlanSet{Plans: plans, Keys: map[gateway.KeyHash]gateway.Key{}}
	if err := keys(func(hash gateway.KeyHash, k gateway.Key) { set.Keys[hash] = k }); err != nil {
		return err
	}
	b.plans = set
	b.loaded++
	return nil
}

func (b *board) ChangePlans(c gateway.PlanChange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, p := range c.Plans {
		if p == nil {
			delete(b.plans.Plans, id)
		} else {
			b.plans.Plans[id] = *p
		}
	}
	for hash, k := range c.Keys {
		if k == nil {
			delete(b.plans.Keys, hash)
		} else {
			b.plans.Keys[hash] = *k
		}
	}
	b.handed += len(c.Plans) + len(c.Keys)
}

func (b *board) PublishDomains(domains map[string]*gateway.Domain) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.domains = domains
}

func (b *board) PublishPrivateDomains(byEndpoint map[string]map[string]*gateway.Domain) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.private = byEndpoint
}

func (b *board) TakeUsage() []gateway.Usage         { return nil }
func (b *board) TakeUnspent(bool) []gateway.Unspent { return nil }

func (b *board) HashDigest(digest [sha256.Size]byte) gateway.KeyHash {
	return gateway.KeyHash(digest[:16])
}

// key is what was published of the key with a value.
func (b *board) key(value string) gateway.Key {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.plans.Keys[b.HashDigest(sha256.Sum256([]byte(value)))]
}

func newService(t *testing.T) (*Service, *board, context.Context) {
	t.Helper()
	return newServiceOn(t, store.Config{Path: ":memory:"})
}

func newServiceOn(t *testing.T, cfg store.Config) (*Service, *board, context.Context) {
	t.Helper()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	cfg.MasterKey, cfg.Now = make([]byte, 32), func() time.Time { return now }
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b := &board{served: map[string]int{}}
	s, err := New(Config{DB: db, Now: func() time.Time { return now }, Account: "000000000000", Publisher: b})
	if err != nil {
		t.Fatal(err)
	}
	return s, b, wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1"})
}

// imported makes the courses API from its document.
func imported(t *testing.T, s *Service, ctx context.Context) string {
	t.Helper()
	body, err := os.ReadFile("testdata/courses.json")
	if err != nil {
		t.Fatal(err)
	}
	api, err := s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "courses"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutRestApi(ctx, &apigatewayapi.PutRestApiRequest{RestApiId: *api.Id, Body: body, Mode: apigatewayapi.PutModeoverwrite}); err != nil {
		t.Fatal(err)
	}
	return *api.Id
}

func deploy(t *testing.T, s *Service, ctx context.Context, api, stage string) string {
	t.Helper()
	d, err := s.CreateDeployment(ctx, &apigatewayapi.CreateDeploymentRequest{RestApiId: api, StageName: &stage})
	if err != nil {
		t.Fatal(err)
	}
	return *d.Id
}

// refused checks that err is the exception with this sentence.
func refused(t *testing.T, err error, code, message string) {
	t.Helper()
	var e wire.Exception
	if !errors.As(err, &e) || e.ErrorCode() != code || e.ErrorMessage() != message {
		t.Errorf("got %v, want %s: %s", err, code, message)
	}
}

func TestImport_Routes(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api := imported(t, s, ctx)
	got, err := s.GetResources(ctx, &apigatewayapi.GetResourcesRequest{RestApiId: api, Embed: []string{"methods"}})
	if err != nil {
		t.Fatal(err)
	}
	type auth struct {
		kind   string
		key    bool
		scopes int
	}
	want := map[string]auth{
		"/courses GET": {kind: "COGNITO_USER_POOLS"}, "/courses POST": {kind: "COGNITO_USER_POOLS", scopes: 1},
		"/catalog GET": {kind: "NONE", key: true}, "/progress GET": {kind: "AWS_IAM"}, "/content/{proxy+} GET": {kind: "COGNITO_USER_POOLS"},
	}
	found := map[string]auth{}
	for _, r := range got.Items {
		for verb, m := range r.ResourceMethods {
			found[*r.Path+" "+verb] = auth{*m.AuthorizationType, *m.ApiKeyRequired, len(m.AuthorizationScopes)}
		}
	}
	for route, a := range want {
		if found[route] != a {
			t.Errorf("%s: got %+v, want %+v", route, found[route], a)
		}
	}
	if len(found) != len(want) {
		t.Errorf("got %d routes, want %d: %v", len(found), len(want), found)
	}
}

// An unknown security requirement must not become an open route.
func TestImport_UnknownSecurityIsRefused(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	_, err := s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: []byte(
		`{"openapi":"3.0.1","info":{"title":"x","version":"1"},"paths":{"/a":{"get":{"security":[{"Ghost":[]}],"x-amazon-apigateway-integration":{"type":"mock"}}}}}`)})
	refused(t, err, "BadRequestException", "Errors found during import:\n\tUnable to put method 'GET' on resource at path '/a': Unable to find security definition 'Ghost'")
	_, err = s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: []byte(`{"openapi":"3.1.0"}`)})
	refused(t, err, "BadRequestException", "Invalid OpenAPI input.")
}

func TestDeployment_FreezesWhatIsServed(t *testing.T) {
	t.Parallel()
	s, b, ctx := newService(t)
	api := imported(t, s, ctx)
	if len(b.served) != 0 {
		t.Fatalf("served before it was deployed: %v", b.served)
	}
	first := deploy(t, s, ctx, api, "v1")
	if b.served[api+"/v1"] != 1 {
		t.Fatalf("got %v, want the stage published once", b.served)
	}
	// Editing changes nothing that is served.
	r, err := s.GetResources(ctx, &apigatewayapi.GetResourcesRequest{RestApiId: api})
	if err != nil {
		t.Fatal(err)
	}
	for _, res := range r.Items {
		if *res.Path == "/courses" {
			if _, err := s.DeleteResource(ctx, &apigatewayapi.DeleteResourceRequest{RestApiId: api, ResourceId: *res.Id}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if b.served[api+"/v1"] != 1 {
		t.Errorf("an edit was published")
	}
	second := deploy(t, s, ctx, api, "v1")
	if b.served[api+"/v1"] != 2 {
		t.Errorf("a deployment was not published")
	}
	_, err = s.DeleteDeployment(ctx, &apigatewayapi.DeleteDeploymentRequest{RestApiId: api, DeploymentId: second})
	refused(t, err, "BadRequestException", "Active stages pointing to this deployment must be moved or deleted")
	// Rollback is a stage update.
	path, op := "/deploymentId", apigatewayapi.PatchOperation{Op: replace, Value: &first}
	op.Path = &path
	if _, err := s.UpdateStage(ctx, &apigatewayapi.UpdateStageRequest{RestApiId: api, StageName: "v1", PatchOperations: []apigatewayapi.PatchOperation{op}}); err != nil {
		t.Fatal(err)
	}
	if b.served[api+"/v1"] != 3 {
		t.Errorf("the rollback was not published")
	}
	if _, err := s.DeleteDeployment(ctx, &apigatewayapi.DeleteDeploymentRequest{RestApiId: api, DeploymentId: second}); err != nil {
		t.Errorf("delete an unused deployment: %v", err)
	}
	if _, err := s.DeleteRestApi(ctx, &apigatewayapi.DeleteRestApiRequest{RestApiId: api}); err != nil {
		t.Fatal(err)
	}
	if len(b.served) != 0 {
		t.Errorf("served after its API was deleted: %v", b.served)
	}
}

func TestDeployment_RefusesWhatCannotBeServed(t *testing.T) {
	t.Parallel()
	s, b, ctx := newService(t)
	api, err := s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "empty"})
	if err != nil {
		t.Fatal(err)
	}
	in := &apigatewayapi.CreateDeploymentRequest{RestApiId: *api.Id, StageName: wire.String("v1")}
	_, err = s.CreateDeployment(ctx, in)
	refused(t, err, "BadRequestException", "The REST API doesn't contain any methods")
	if _, err := s.PutMethod(ctx, &apigatewayapi.PutMethodRequest{RestApiId: *api.Id, ResourceId: *api.RootResourceId, HttpMethod: "GET", AuthorizationType: "NONE"}); err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateDeployment(ctx, in)
	refused(t, err, "BadRequestException", "No integration defined for method")
	if len(b.served) != 0 {
		t.Errorf("served: %v", b.served)
	}
	_, err = s.PutMethod(ctx, &apigatewayapi.PutMethodRequest{RestApiId: *api.Id, ResourceId: *api.RootResourceId, HttpMethod: "POST", AuthorizationType: "COGNITO_USER_POOLS"})
	refused(t, err, "BadRequestException", "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer.")
}

func TestKeysAndPlans(t *testing.T) {
	t.Parallel()
	s, b, ctx := newService(t)
	api := imported(t, s, ctx)
	deploy(t, s, ctx, api, "v1")
	k, err := s.CreateApiKey(ctx, &apigatewayapi.CreateApiKeyRequest{Name: wire.String("demo"), Enabled: wire.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if len(*k.Value) != keyValue {
		t.Errorf("value has %d characters, want %d", len(*k.Value), keyValue)
	}
	up, err := s.CreateUsagePlan(ctx, &apigatewayapi.CreateUsagePlanRequest{
		Name: "basic", ApiStages: []apigatewayapi.ApiStage{{ApiId: &api, Stage: wire.String("v1")}},
		Throttle: &apigatewayapi.ThrottleSettings{RateLimit: wire.Float64(5), BurstLimit: wire.Int32(10)},
		Quota:    &apigatewayapi.QuotaSettings{Limit: wire.Int32(100), Period: apigatewayapi.QuotaPeriodTypeDAY},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.key(*k.Value); len(got.Plans) != 0 {
		t.Errorf("the key is in plans %v before it was put into one", got.Plans)
	}
	if _, err := s.CreateUsagePlanKey(ctx, &apigatewayapi.CreateUsagePlanKeyRequest{UsagePlanId: *up.Id, KeyId: *k.Id, KeyType: "API_KEY"}); err != nil {
		t.Fatal(err)
	}
	if got := b.key(*k.Value); !got.Enabled || len(got.Plans) != 1 || got.Plans[0] != *up.Id {
		t.Errorf("got %+v, want an enabled key in the plan", got)
	}
	if got := b.plans.Plans[*up.Id]; got.Quota.Limit != 100 || got.Throttle.Burst != 10 {
		t.Errorf("got %+v", got)
	}
	hidden, err := s.GetApiKey(ctx, &apigatewayapi.GetApiKeyRequest{ApiKey: *k.Id})
	if err != nil || hidden.Value != nil {
		t.Errorf("got value %v, error %v; want no value unless asked for", hidden.Value, err)
	}
	shown, err := s.GetApiKey(ctx, &apigatewayapi.GetApiKeyRequest{ApiKey: *k.Id, IncludeValue: wire.Bool(true)})
	if err != nil || *shown.Value != *k.Value {
		t.Errorf("got %v, %v; want the value", shown.Value, err)
	}
	disable := apigatewayapi.PatchOperation{Op: replace, Path: wire.String("/enabled"), Value: wire.String("false")}
	if _, err := s.UpdateApiKey(ctx, &apigatewayapi.UpdateApiKeyRequest{ApiKey: *k.Id, PatchOperations: []apigatewayapi.PatchOperation{disable}}); err != nil {
		t.Fatal(err)
	}
	if b.key(*k.Value).Enabled {
		t.Error("the key is still enabled")
	}
	_, err = s.CreateApiKey(ctx, &apigatewayapi.CreateApiKeyRequest{Value: wire.String("short")})
	refused(t, err, "BadRequestException", "API Key value should be at least 20 characters")
	_, err = s.CreateApiKey(ctx, &apigatewayapi.CreateApiKeyRequest{Value: k.Value})
	refused(t, err, "ConflictException", "API Key already exists")
	_, err = s.CreateUsagePlanKey(ctx, &apigatewayapi.CreateUsagePlanKeyRequest{UsagePlanId: *up.Id, KeyId: "ghost", KeyType: "API_KEY"})
	refused(t, err, "NotFoundException", "Invalid API Key identifier specified")
}

func TestLease_IsExact(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	var got int64
	for range 5 {
		n, err := s.Lease(ctx, gateway.Lease{PlanID: "plan", KeyID: "key", Window: "2026-11-20", Want: 3, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	if got != 10 {
		t.Errorf("granted %d of 10", got)
	}
}

func TestPatch(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api, err := s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	patch := func(op apigatewayapi.Op, path, value string) (*apigatewayapi.RestApi, error) {
		return s.UpdateRestApi(ctx, &apigatewayapi.UpdateRestApiRequest{RestApiId: *api.Id, PatchOperations: []apigatewayapi.PatchOperation{{Op: op, Path: &path, Value: &value}}})
	}
	got, err := patch(add, "/binaryMediaTypes/image~1png", "")
	if err != nil || len(got.BinaryMediaTypes) != 1 || got.BinaryMediaTypes[0] != "image/png" {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err = patch(remove, "/binaryMediaTypes/image~1png", ""); err != nil || len(got.BinaryMediaTypes) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err = patch(replace, "/name", "y"); err != nil || *got.Name != "y" {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = patch(add, "/name", "z")
	refused(t, err, "BadRequestException", "Invalid patch path  '/name' specified for op 'add'. Please choose supported operations")
	_, err = patch(replace, "/id", "z")
	if err == nil {
		t.Error("the id of an API was patched")
	}
	_, err = patch(replace, "/disableExecuteApiEndpoint", "perhaps")
	if err == nil {
		t.Error("a boolean became perhaps")
	}
}

func TestResources_Rules(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api, err := s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	create := func(parent, part string) (string, error) {
		r, err := s.CreateResource(ctx, &apigatewayapi.CreateResourceRequest{RestApiId: *api.Id, ParentId: parent, PathPart: part})
		if err != nil {
			return "", err
		}
		return *r.Id, nil
	}
	pets, err := create(*api.RootResourceId, "pets")
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := create(*api.RootResourceId, "{proxy+}")
	if err != nil {
		t.Fatal(err)
	}
	_, err = create(*api.RootResourceId, "pets")
	refused(t, err, "ConflictException", "Another resource with the same parent already has this name: pets")
	_, err = create(*api.RootResourceId, "{id}")
	refused(t, err, "BadRequestException", "A sibling ({proxy+}) of this resource already has a variable path part -- only one is allowed")
	_, err = create(proxy, "below")
	refused(t, err, "BadRequestException", "Cannot create a child of a resource with a greedy path variable: {proxy+}")
	_, err = create("ghost", "x")
	refused(t, err, "NotFoundException", "Invalid Resource identifier specified")
	sub, err := create(pets, "sub")
	if err != nil {
		t.Fatal(err)
	}
	move := apigatewayapi.PatchOperation{Op: replace, Path: wire.String("/parentId"), Value: &sub}
	_, err = s.UpdateResource(ctx, &apigatewayapi.UpdateResourceRequest{RestApiId: *api.Id, ResourceId: pets, PatchOperations: []apigatewayapi.PatchOperation{move}})
	refused(t, err, "BadRequestException", "Resources cannot be cyclical.")
	rename := apigatewayapi.PatchOperation{Op: replace, Path: wire.String("/pathPart"), Value: wire.String("dogs")}
	if _, err := s.UpdateResource(ctx, &apigatewayapi.UpdateResourceRequest{RestApiId: *api.Id, ResourceId: pets, PatchOperations: []apigatewayapi.PatchOperation{rename}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.GetResource(ctx, &apigatewayapi.GetResourceRequest{RestApiId: *api.Id, ResourceId: sub})
	if err != nil || *got.Path != "/dogs/sub" {
		t.Errorf("got %+v, %v; want the child renamed too", got, err)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api, err := s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	name := "arn:aws:apigateway:us-east-1::/restapis/" + *api.Id
	if _, err := s.TagResource(ctx, &apigatewayapi.TagResourceRequest{ResourceArn: name, Tags: map[string]string{"a": "1", "b": "2"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UntagResource(ctx, &apigatewayapi.UntagResourceRequest{ResourceArn: name, TagKeys: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.GetTags(ctx, &apigatewayapi.GetTagsRequest{ResourceArn: name})
	if err != nil || len(got.Tags) != 1 || got.Tags["b"] != "2" {
		t.Errorf("got %v, %v; want b=2", got, err)
	}
	_, err = s.GetTags(ctx, &apigatewayapi.GetTagsRequest{ResourceArn: "arn:aws:apigateway:us-east-1::/restapis/ghost"})
	refused(t, err, "NotFoundException", "Invalid API identifier specified 000000000000:ghost")
	_, err = s.GetTags(ctx, &apigatewayapi.GetTagsRequest{ResourceArn: "arn:aws:s3:::x"})
	refused(t, err, "BadRequestException", "Invalid ARN specified in the request")
}

// What has no effect is refused, not kept.
func TestImport_RefusesWhatHasNoEffect(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	body := func(more string) []byte {
		return []byte(`{"openapi":"3.0.1","info":{"title":"x","version":"1"},"paths":{}` + more + `}`)
	}
	got, err := s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: body(""), Parameters: map[string]string{"endpointConfigurationTypes": "REGIONAL", "basepath": "ignore"}})
	if err != nil || got.EndpointConfiguration.Types[0] != apigatewayapi.EndpointTypeREGIONAL {
		t.Errorf("got %+v, %v; want a regional API", got, err)
	}
	got, err = s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: body(""), Parameters: map[string]string{"endpointConfigurationTypes": "PRIVATE"}})
	if err != nil || got.EndpointConfiguration.Types[0] != apigatewayapi.EndpointTypePRIVATE || got.EndpointConfiguration.IpAddressType != apigatewayapi.IpAddressTypedualstack {
		t.Errorf("got %+v, %v; want a private API", got, err)
	}
	a, err := s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "x", DisableExecuteApiEndpoint: wire.Bool(true), MinimumCompressionSize: wire.Int32(10 << 20)})
	if err != nil || !*a.DisableExecuteApiEndpoint || *a.MinimumCompressionSize != 10<<20 {
		t.Errorf("got %+v, %v", a, err)
	}
	for _, size := range []int32{-1, 10<<20 + 1} {
		_, err = s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "x", MinimumCompressionSize: &size})
		refused(t, err, "BadRequestException", "Invalid minimum compression size, must be between 0 and 10485760")
	}
}
