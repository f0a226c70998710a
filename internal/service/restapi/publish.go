package restapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"moat/internal/gateway"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// PublishAll hands the gateway everything that is deployed. Stages that it serves already
// are left alone, and so are the plans and keys that have not changed. A stage that cannot be compiled is withdrawn: refused, not served half.
func (s *Service) PublishAll(ctx context.Context) error {
	if err := s.publishPlans(ctx); err != nil {
		return err
	}
	s.publishing.Lock()
	defer s.publishing.Unlock()
	var stages []stage
	var changed []gateway.Definition
	var throttles map[place]gateway.Throttle
	var domains map[string]*gateway.Domain
	var private map[string]map[string]*gateway.Domain
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		if stages, err = s.tables.stages.List(tx, store.Query{}); err != nil {
			return err
		}
		if throttles, err = s.accountThrottles(tx); err != nil {
			return err
		}
		if changed, err = s.changed(tx, stages, throttles); err != nil {
			return err
		}
		domains, private, err = s.gatewayDomains(tx)
		return err
	})
	if err != nil {
		return err
	}
	s.withdrawGone(stages)
	for _, d := range changed {
		snapshot, err := gateway.Compile(d)
		if err != nil {
			s.cfg.Log.Error("restapi: a deployed stage does not compile; it is not served", "api", d.APIID, "stage", d.Stage, "error", err)
			s.cfg.Publisher.Withdraw(d.APIID, d.Stage)
			continue
		}
		s.cfg.Publisher.Publish(snapshot)
	}
	s.cfg.Publisher.PublishDomains(domains)
	s.cfg.Publisher.PublishPrivateDomains(private)
	for _, st := range stages {
		s.published[stageKey{st.API, st.Name}] = st.version(throttles)
	}
	return nil
}

func (st stage) version(throttles map[place]gateway.Throttle) string {
	return fmt.Sprintf("%s/%d/%d/%v", wire.Value(st.Stage.DeploymentId), st.Version, wire.Value(st.Stage.CreatedDate).Unix(), throttles[place{st.Account, st.Region}])
}

// accountThrottles are the throttles of the accounts that do not have the default.
func (s *Service) accountThrottles(tx *store.Tx) (map[place]gateway.Throttle, error) {
	all, err := s.tables.settings.List(tx, store.Query{})
	if err != nil {
		return nil, err
	}
	out := map[place]gateway.Throttle{}
	for _, rec := range all {
		if rec.RateLimit != nil || rec.BurstLimit != nil {
			out[place{rec.Account, rec.Region}] = *gatewayThrottle(rec.account().ThrottleSettings)
		}
	}
	return out, nil
}

// changed returns the definitions of the stages that the gateway does not serve as they are.
func (s *Service) changed(tx *store.Tx, stages []stage, throttles map[place]gateway.Throttle) ([]gateway.Definition, error) {
	var out []gateway.Definition
	for _, st := range stages {
		if s.published[stageKey{st.API, st.Name}] == st.version(throttles) {
			continue
		}
		def, err := s.served(tx, st)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		def.AccountThrottle = gateway.Throttle{Rate: defaultRate, Burst: defaultBurst}
		if t, own := throttles[place{st.Account, st.Region}]; own {
			def.AccountThrottle = t
		}
		out = append(out, def)
	}
	return out, nil
}

// served is what a stage serves, its canary included, in the gateway's terms.
func (s *Service) served(tx *store.Tx, st stage) (def gateway.Definition, err error) {
	d, err := s.tables.deployments.Get(tx, st.Account, st.Region, st.API, wire.Value(st.Stage.DeploymentId))
	if err != nil {
		return gateway.Definition{}, err
	}
	def, err = s.connected(tx, &d.Definition, st)
	defer func() { reached(&def, st.Endpoint) }()
	c := st.Stage.CanarySettings
	if err != nil || c == nil {
		return def, err
	}
	if d, err = s.tables.deployments.Get(tx, st.Account, st.Region, st.API, wire.Value(c.DeploymentId)); err != nil {
		return def, err
	}
	st.Stage.DeploymentId, st.Stage.Variables = c.DeploymentId, maps.Clone(st.Stage.Variables)
	if st.Stage.Variables == nil {
		st.Stage.Variables = map[string]string{}
	}
	maps.Copy(st.Stage.Variables, c.StageVariableOverrides)
	canary, err := s.connected(tx, &d.Definition, st)
	def.Canary = &gateway.Canary{Percent: wire.Value(c.PercentTraffic), UseStageCache: wire.Value(c.UseStageCache), Definition: canary}
	return def, err
}

// connected is a definition with the stage's settings and what its connections to backends need.
func (s *Service) connected(tx *store.Tx, d *definition, st stage) (gateway.Definition, error) {
	def, err := compileDefinition(d, st)
	if err == nil {
		err = s.connect(tx, &def, st)
	}
	return def, err
}

func (s *Service) withdrawGone(stages []stage) {
	for k := range s.published {
		if !slices.ContainsFunc(stages, func(st stage) bool { return st.API == k.api && st.Name == k.stage }) {
			s.cfg.Publisher.Withdraw(k.api, k.stage)
			delete(s.published, k)
		}
	}
}

// servable checks that a stage could be served as it is about to be.
func (s *Service) servable(tx *store.Tx, p place, st *stage) error {
	if err := settle(p, &st.Stage); err != nil {
		return err
	}
	d, err := s.definition(tx, p, st.API)
	if err != nil {
		return err
	}
	st.Endpoint = d.endpoint()
	def, err := s.served(tx, *st)
	if errors.Is(err, store.ErrNotFound) {
		return badRequest("Deployment id does not exist")
	}
	if err != nil {
		return err
	}
	_, err = gateway.Compile(def)
	return deployError(err)
}

// compileDefinition is a deployed definition with its stage's settings, in the gateway's terms.
func compileDefinition(d *definition, st stage) (gateway.Definition, error) {
	def := gateway.Definition{
		APIID: d.ID, Name: wire.Value(d.API.Name), Account: d.Account, Region: d.Region, Stage: st.Name, DeploymentID: wire.Value(st.Stage.DeploymentId),
		APIKeySource: string(d.API.ApiKeySource), Variables: st.Stage.Variables, BinaryMediaTypes: d.API.BinaryMediaTypes,
		MinimumCompression: d.API.MinimumCompressionSize, DisableDefaultEndpoint: wire.Value(d.API.DisableExecuteApiEndpoint),
		Models:      map[string]string{},
		Authorizers: map[string]gateway.Authorizer{}, Responses: map[string]gateway.Response{}, Throttles: map[string]gateway.Throttle{},
		Settings: map[string]gateway.MethodSettings{}, AuthorizerEpoch: st.AuthorizerEpoch,
		CreatedAt: wire.Value(st.Stage.LastUpdatedDate),
	}
	if p := wire.Value(d.API.Policy); p != "" {
		def.Policy = []byte(p)
	}
	reached(&def, d.API.EndpointConfiguration)
	def.Cache, def.Tracing = stageCache(st), wire.Value(st.Stage.TracingEnabled)
	if l := st.Stage.AccessLogSettings; l != nil && l.DestinationArn != nil {
		group, err := (place{st.Account, st.Region}).logGroup(*l.DestinationArn)
		if err != nil {
			return def, err
		}
		def.AccessLog = &gateway.AccessLog{Group: group, Format: wire.Value(l.Format)}
	}
	for name, m := range d.Models {
		def.Models[name] = wire.Value(m.Schema)
	}
	for id, a := range d.Authorizers {
		def.Authorizers[id] = gateway.Authorizer{
			ID: id, Name: wire.Value(a.Name), Type: string(a.Type), ProviderARNs: a.ProviderARNs, IdentitySource: wire.Value(a.IdentitySource),
			URI: wire.Value(a.AuthorizerUri), Credentials: wire.Value(a.AuthorizerCredentials), Validation: wire.Value(a.IdentityValidationExpression),
			TTL: time.Duration(authorizerTTL(a)) * time.Second,
		}
	}
	for kind, r := range d.Responses {
		def.Responses[kind] = gateway.Response{StatusCode: wire.Value(r.StatusCode), ResponseParameters: r.ResponseParameters, ResponseTemplates: r.ResponseTemplates}
	}
	for name, m := range st.Stage.MethodSettings {
		def.Settings[throttleName(name)] = methodSettings(m)
		if m.ThrottlingRateLimit != nil || m.ThrottlingBurstLimit != nil {
			def.Throttles[throttleName(name)] = gateway.Throttle{Rate: wire.Value(m.ThrottlingRateLimit), Burst: int(wire.Value(m.ThrottlingBurstLimit))}
		}
	}
	for _, r := range d.sorted() {
		for _, verb := range verbs {
			if m, ok := r.ResourceMethods[verb]; ok {
				route, err := d.route(r, verb, m)
				if err != nil {
					return def, err
				}
				def.Routes = append(def.Routes, route)
			}
		}
	}
	return def, nil
}

// maxCacheBytes bounds a stage's cache on one node, whatever size it is said to have.
const maxCacheBytes = 256 << 20

func stageCache(st stage) *gateway.Cache {
	if !wire.Value(st.Stage.CacheClusterEnabled) {
		return nil
	}
	return &gateway.Cache{Bytes: min(cacheBytes(st.Stage.CacheClusterSize), maxCacheBytes), Epoch: st.CacheEpoch}
}

func methodSettings(m apigatewayapi.MethodSetting) gateway.MethodSettings {
	return gateway.MethodSettings{
		Cache: gateway.CacheSettings{
			Enabled: wire.Value(m.CachingEnabled), TTL: time.Duration(wire.Value(m.CacheTtlInSeconds)) * time.Second, Encrypted: wire.Value(m.CacheDataEncrypted),
			Open: !wire.Value(m.RequireAuthorizationForCacheControl), Unauthorized: string(m.UnauthorizedCacheControlHeaderStrategy),
		},
		Logging: wire.Value(m.LoggingLevel), DataTrace: wire.Value(m.DataTraceEnabled), Metrics: wire.Value(m.MetricsEnabled),
	}
}

// throttleName is a method setting's name as the gateway has it: "/path/METHOD", "//METHOD" for the root, or "*/*".
func throttleName(name string) string {
	if name == "*/*" {
		return name
	}
	name = strings.TrimLeft(name, "/")
	if !strings.Contains(name, "/") {
		name = "/" + name
	}
	return "/" + name
}

func (d *definition) route(r apigatewayapi.Resource, verb string, m apigatewayapi.Method) (gateway.Route, error) {
	i := m.MethodIntegration
	if i == nil {
		return gateway.Route{}, badRequest("No integration defined for method")
	}
	v := d.Validators[wire.Value(m.RequestValidatorId)]
	route := gateway.Route{
		Path: wire.Value(r.Path), Method: verb, ResourceID: wire.Value(r.Id), AuthorizationType: wire.Value(m.AuthorizationType), AuthorizerID: wire.Value(m.AuthorizerId),
		Scopes: m.AuthorizationScopes, APIKeyRequired: wire.Value(m.ApiKeyRequired), OperationName: wire.Value(m.OperationName),
		RequestParameters:  m.RequestParameters,
		ValidateParameters: wire.Value(v.ValidateRequestParameters), ValidateBody: wire.Value(v.ValidateRequestBody), RequestModels: m.RequestModels,
		Integration: gateway.Integration{
			Type: string(i.Type), URI: wire.Value(i.Uri), Method: wire.Value(i.HttpMethod), Credentials: wire.Value(i.Credentials),
			ConnectionType: string(i.ConnectionType), ConnectionID: wire.Value(i.ConnectionId), PassthroughBehavior: wire.Value(i.PassthroughBehavior), ContentHandling: string(i.ContentHandling),
			Timeout:           time.Duration(wire.Value(i.TimeoutInMillis)) * time.Millisecond,
			RequestParameters: i.RequestParameters, RequestTemplates: i.RequestTemplates,
			CacheKeyParameters: i.CacheKeyParameters, CacheNamespace: wire.Value(i.CacheNamespace),
		},
	}
	route.MethodResponses = []string{}
	for _, mr := range byKey(m.MethodResponses) {
		route.MethodResponses = append(route.MethodResponses, wire.Value(mr.StatusCode))
	}
	for _, ir := range byKey(i.IntegrationResponses) {
		route.Integration.Responses = append(route.Integration.Responses, gateway.IntegrationResponse{
			StatusCode: wire.Value(ir.StatusCode), SelectionPattern: wire.Value(ir.SelectionPattern), ContentHandling: string(ir.ContentHandling),
			ResponseParameters: ir.ResponseParameters, ResponseTemplates: ir.ResponseTemplates,
		})
	}
	return route, nil
}

func gatewayPlan(p plan) gateway.Plan {
	out := gateway.Plan{ID: p.ID, Epoch: p.Epoch, Stages: map[string]gateway.PlanStage{}, Throttle: gatewayThrottle(p.Plan.Throttle)}
	if q := p.Plan.Quota; q != nil && q.Limit != nil {
		out.Quota = &gateway.Quota{Limit: int64(*q.Limit), Offset: int(wire.Value(q.Offset)), Period: string(q.Period)}
	}
	for _, st := range p.Plan.ApiStages {
		ps := gateway.PlanStage{Throttles: map[string]gateway.Throttle{}}
		for name, t := range st.Throttle {
			if g := gatewayThrottle(&t); g != nil {
				ps.Throttles[throttleName(name)] = *g
			}
		}
		out.Stages[wire.Value(st.ApiId)+"/"+wire.Value(st.Stage)] = ps
	}
	return out
}

// gatewayThrottle leaves out a throttle without a rate: it limits nothing.
func gatewayThrottle(t *apigatewayapi.ThrottleSettings) *gateway.Throttle {
	if t == nil || t.RateLimit == nil && t.BurstLimit == nil {
		return nil
	}
	return &gateway.Throttle{Rate: wire.Value(t.RateLimit), Burst: int(wire.Value(t.BurstLimit))}
}
