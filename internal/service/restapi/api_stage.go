package restapi

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

var stageName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

// Defaults of a method setting, as API Gateway shows them.
const (
	defaultBurst = 5000
	defaultRate  = 10000
)

func (s *Service) newStage(p place, api, name, deploymentID string) stage {
	now := s.now()
	return stage{Account: p.account, Region: p.region, API: api, Name: name, Stage: apigatewayapi.Stage{
		StageName: &name, DeploymentId: &deploymentID, CreatedDate: &now, LastUpdatedDate: &now,
		CacheClusterEnabled: wire.Bool(false), CacheClusterStatus: apigatewayapi.CacheClusterStatusNOT_AVAILABLE,
		MethodSettings: map[string]apigatewayapi.MethodSetting{}, TracingEnabled: wire.Bool(false),
	}}
}

// putStage writes a stage and raises its version, so that every node compiles it anew.
func (s *Service) putStage(tx *store.Tx, st stage) error {
	st.Version++
	st.Stage.LastUpdatedDate = wire.Ptr(s.now())
	return s.tables.stages.Put(tx, st)
}

func (s *Service) stage(tx *store.Tx, p place, api, name string) (stage, error) {
	if _, err := s.definition(tx, p, api); err != nil {
		return stage{}, err
	}
	st, err := s.tables.stages.Get(tx, p.key(api, name)...)
	if errors.Is(err, store.ErrNotFound) {
		return st, notFound("Invalid stage identifier specified")
	}
	return st, err
}

// CreateStage makes a stage that serves a deployment.
func (s *Service) CreateStage(ctx context.Context, in *apigatewayapi.CreateStageRequest) (*apigatewayapi.Stage, error) {
	switch {
	case !stageName.MatchString(in.StageName):
		return nil, badRequest("Stage name only allows a-zA-Z0-9_")
	case in.CanarySettings != nil:
		return nil, notBuilt("CreateStage", "canary deployments are not built")
	case wire.Value(in.CacheClusterEnabled):
		return nil, notBuilt("CreateStage", "the response cache is not built")
	case wire.Value(in.TracingEnabled):
		return nil, notBuilt("CreateStage", "tracing is not built")
	}
	p := s.place(ctx)
	st := s.newStage(p, in.RestApiId, in.StageName, in.DeploymentId)
	st.Stage.Description, st.Stage.Variables, st.Stage.Tags, st.Stage.DocumentationVersion = in.Description, in.Variables, in.Tags, in.DocumentationVersion
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := s.definition(tx, p, in.RestApiId); err != nil {
			return err
		}
		d, err := s.deployment(tx, p, in.RestApiId, in.DeploymentId)
		if err != nil {
			return badRequest("Deployment id does not exist")
		}
		if err := s.servable(&d, st); err != nil {
			return err
		}
		err = s.tables.stages.Insert(tx, st)
		if errors.Is(err, store.ErrExists) {
			return conflict("Stage already exists")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &st.Stage, s.PublishAll(ctx)
}

// GetStage returns a stage.
func (s *Service) GetStage(ctx context.Context, in *apigatewayapi.GetStageRequest) (*apigatewayapi.Stage, error) {
	var st stage
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		st, err = s.stage(tx, s.place(ctx), in.RestApiId, in.StageName)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &st.Stage, nil
}

// GetStages lists an API's stages, or those that serve one deployment.
func (s *Service) GetStages(ctx context.Context, in *apigatewayapi.GetStagesRequest) (*apigatewayapi.Stages, error) {
	out := &apigatewayapi.Stages{Item: []apigatewayapi.Stage{}}
	p := s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		if _, err := s.definition(tx, p, in.RestApiId); err != nil {
			return err
		}
		all, err := s.tables.stages.List(tx, store.Query{Prefix: p.key(in.RestApiId)})
		for _, st := range all {
			if in.DeploymentId == nil || *in.DeploymentId == wire.Value(st.Stage.DeploymentId) {
				out.Item = append(out.Item, st.Stage)
			}
		}
		return err
	})
	return out, err
}

// UpdateStage patches a stage; a change of deployment, variables or limits is served when the call answers.
func (s *Service) UpdateStage(ctx context.Context, in *apigatewayapi.UpdateStageRequest) (*apigatewayapi.Stage, error) {
	p := s.place(ctx)
	var st stage
	err := s.db.Update(ctx, func(tx *store.Tx) (err error) {
		if st, err = s.stage(tx, p, in.RestApiId, in.StageName); err != nil {
			return err
		}
		for _, op := range in.PatchOperations {
			if err := patchStage(&st.Stage, op); err != nil {
				return err
			}
		}
		d, err := s.deployment(tx, p, in.RestApiId, wire.Value(st.Stage.DeploymentId))
		if err != nil {
			return badRequest("Deployment id does not exist")
		}
		if err := s.servable(&d, st); err != nil {
			return err
		}
		return s.putStage(tx, st)
	})
	if err != nil {
		return nil, err
	}
	return &st.Stage, s.PublishAll(ctx)
}

// stageRules are the patches of a stage's own members; method settings have paths of their own.
func stageRules() patchRules {
	return patchRules{
		"/deploymentId": {replace}, "/description": {replace}, "/documentationVersion": {replace},
		"/variables/*": {add, remove, replace}, "/variables": {remove},
	}
}

// unbuiltStage names the parts of a stage that have no effect yet.
func unbuiltStage() map[string]string {
	return map[string]string{
		"cacheClusterEnabled": "the response cache", "cacheClusterSize": "the response cache", "clientCertificateId": "client certificates",
		"accessLogSettings": "an access log format of one's own", "canarySettings": "canary deployments", "tracingEnabled": "tracing", "webAclArn": "web ACLs",
	}
}

func patchStage(st *apigatewayapi.Stage, op apigatewayapi.PatchOperation) error {
	segments := pointer(wire.Value(op.Path))
	if what, unbuilt := unbuiltStage()[segments[0]]; unbuilt {
		if strings.EqualFold(wire.Value(op.Value), "false") || op.Op == remove {
			return nil // switching off what is off
		}
		return notBuilt("UpdateStage", "%s is not built", what)
	}
	if _, own := stageRules().find(segments); own {
		return stageRules().apply(st, []apigatewayapi.PatchOperation{op})
	}
	return patchMethodSetting(st, op)
}

// patchMethodSetting changes a limit: /{resource}/{method}/throttling/rateLimit, the resource
// escaped as one segment, or */* for every method.
func patchMethodSetting(st *apigatewayapi.Stage, op apigatewayapi.PatchOperation) error {
	segments := pointer(wire.Value(op.Path))
	if len(segments) == 2 && op.Op == remove {
		name := segments[0] + "/" + segments[1]
		if _, there := st.MethodSettings[name]; !there {
			return badRequest("Cannot remove method setting %s because there is no method setting for this method ", name)
		}
		delete(st.MethodSettings, name)
		return nil
	}
	if len(segments) != 4 {
		return badRequest("Invalid method setting path: %s. Must be one of: [%s]", wire.Value(op.Path), strings.Join(settingPaths(), ", "))
	}
	name, setting := strings.TrimPrefix(segments[0], "/")+"/"+segments[1], segments[2]+"/"+segments[3]
	m, there := st.MethodSettings[name]
	if !there {
		m = defaultSetting()
	}
	rules := patchRules{"/throttlingRateLimit": {add, replace}, "/throttlingBurstLimit": {add, replace}, "/metricsEnabled": {replace}, "/loggingLevel": {replace}}
	member := map[string]string{"throttling/rateLimit": "/throttlingRateLimit", "throttling/burstLimit": "/throttlingBurstLimit"}[setting]
	off := strings.EqualFold(wire.Value(op.Value), "false") || strings.EqualFold(wire.Value(op.Value), "OFF")
	switch {
	case member != "":
		op.Path = &member
		if err := rules.apply(&m, []apigatewayapi.PatchOperation{op}); err != nil {
			return err
		}
	case !slices.Contains(settingPaths(), "/{resourcePath}/{httpMethod}/"+setting):
		return badRequest("Invalid method setting path: %s. Must be one of: [%s]", wire.Value(op.Path), strings.Join(settingPaths(), ", "))
	case !off:
		return notBuilt("UpdateStage", "the method setting %s is not built", setting)
	}
	if st.MethodSettings == nil {
		st.MethodSettings = map[string]apigatewayapi.MethodSetting{}
	}
	st.MethodSettings[name] = m
	return nil
}

func settingPaths() []string {
	var out []string
	for _, setting := range []string{
		"metrics/enabled", "logging/dataTrace", "logging/loglevel", "throttling/burstLimit", "throttling/rateLimit", "caching/ttlInSeconds",
		"caching/enabled", "caching/dataEncrypted", "caching/requireAuthorizationForCacheControl", "caching/unauthorizedCacheControlHeaderStrategy",
	} {
		out = append(out, "/{resourcePath}/{httpMethod}/"+setting)
	}
	return out
}

func defaultSetting() apigatewayapi.MethodSetting {
	return apigatewayapi.MethodSetting{
		CacheDataEncrypted: wire.Bool(false), CacheTtlInSeconds: wire.Int32(300), CachingEnabled: wire.Bool(false), DataTraceEnabled: wire.Bool(false),
		MetricsEnabled: wire.Bool(false), RequireAuthorizationForCacheControl: wire.Bool(true), ThrottlingBurstLimit: wire.Int32(defaultBurst),
		ThrottlingRateLimit: wire.Float64(defaultRate), UnauthorizedCacheControlHeaderStrategy: "SUCCEED_WITH_RESPONSE_HEADER",
	}
}

// DeleteStage deletes a stage; it stops being served at once.
func (s *Service) DeleteStage(ctx context.Context, in *apigatewayapi.DeleteStageRequest) (*apigatewayapi.DeleteStageOutput, error) {
	p := s.place(ctx)
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := s.stage(tx, p, in.RestApiId, in.StageName); err != nil {
			return err
		}
		return s.tables.stages.Delete(tx, p.key(in.RestApiId, in.StageName)...)
	})
	if err != nil {
		return nil, err
	}
	return &apigatewayapi.DeleteStageOutput{}, s.PublishAll(ctx)
}
