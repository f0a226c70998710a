package restapi

import (
	"context"
	"errors"

	"moat/internal/pure/lazyregexp"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

var stageName = lazyregexp.New(`^[a-zA-Z0-9_-]{1,128}$`)

// Bounds of stage variables (API Gateway Developer Guide, "Quotas for configuring and running a REST API" and
// "Using stage variables").
const (
	maxVariables     = 100
	maxVariableName  = 64
	maxVariableValue = 512
)

var (
	variableName  = lazyregexp.New(`^[A-Za-z0-9_]+$`)
	variableValue = lazyregexp.New(`^[A-Za-z0-9 ._~:/?#&=,-]*$`)
)

// checkVariables holds stage variables to their bounds: they stand in URIs and templates.
func checkVariables(variables map[string]string) error {
	if len(variables) > maxVariables {
		return badRequest("A stage has at most %d variables", maxVariables)
	}
	for name, value := range variables {
		if len(name) > maxVariableName || !variableName.MatchString(name) {
			return badRequest("Invalid stage variable name: %s. Please use at most %d alphanumeric characters and underscores.", name, maxVariableName)
		}
		if len(value) > maxVariableValue || !variableValue.MatchString(value) {
			return badRequest("Invalid stage variable value: %s. Please use values with alphanumeric characters and the symbols ' ', -', '.', '_', ':', '/', '?', '&', '=', and ','.", value)
		}
	}
	return nil
}

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
func (s *Service) putStage(tx *store.Tx, st stage) (stage, error) {
	st.Version++
	st.Stage.LastUpdatedDate = wire.Ptr(s.now())
	return st, s.tables.stages.Put(tx, st)
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
	if !stageName.MatchString(in.StageName) {
		return nil, badRequest("Stage name only allows a-zA-Z0-9_")
	}
	p := s.place(ctx)
	st := s.newStage(p, in.RestApiId, in.StageName, in.DeploymentId)
	st.Stage.Description, st.Stage.Variables, st.Stage.Tags, st.Stage.DocumentationVersion = in.Description, in.Variables, in.Tags, in.DocumentationVersion
	st.Stage.CanarySettings, st.Stage.CacheClusterSize = in.CanarySettings, in.CacheClusterSize
	st.Stage.CacheClusterEnabled, st.Stage.TracingEnabled = wire.Bool(wire.Value(in.CacheClusterEnabled)), wire.Bool(wire.Value(in.TracingEnabled))
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := s.definition(tx, p, in.RestApiId); err != nil {
			return err
		}
		if err := s.documented(tx, p, in.RestApiId, nil, in.DocumentationVersion); err != nil {
			return err
		}
		if err := s.servable(tx, p, &st); err != nil {
			return err
		}
		if err := s.roomForStage(tx, st); err != nil {
			return err
		}
		err := s.tables.stages.Insert(tx, st)
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

// roomForStage refuses a stage too many; one that is there already is refused by another sentence.
func (s *Service) roomForStage(tx *store.Tx, st stage) error {
	if _, err := s.tables.stages.Get(tx, st.Account, st.Region, st.API, st.Name); err == nil {
		return nil
	}
	return room(s, tx, s.tables.stages, "stages", "Stages", ofAPI, st.Account, st.Region, st.API)
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
		was := st.Stage.DocumentationVersion
		for _, op := range in.PatchOperations {
			if err := patchStage(&st.Stage, op); err != nil {
				return err
			}
		}
		if err := s.documented(tx, p, in.RestApiId, was, st.Stage.DocumentationVersion); err != nil {
			return err
		}
		if err := s.servable(tx, p, &st); err != nil {
			return err
		}
		st, err = s.putStage(tx, st)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &st.Stage, s.PublishAll(ctx)
}

// changeStage writes a stage that can be served as it is about to be.
func (s *Service) changeStage(tx *store.Tx, p place, st stage) error {
	if err := s.servable(tx, p, &st); err != nil {
		return err
	}
	_, err := s.putStage(tx, st)
	return err
}

// FlushStageCache empties a stage's response cache, on every node.
func (s *Service) FlushStageCache(ctx context.Context, in *apigatewayapi.FlushStageCacheRequest) (*apigatewayapi.FlushStageCacheOutput, error) {
	return &apigatewayapi.FlushStageCacheOutput{}, s.flush(ctx, in.RestApiId, in.StageName, func(st *stage) { st.CacheEpoch++ })
}

// FlushStageAuthorizersCache forgets what the authorizers of a stage said, on every node.
func (s *Service) FlushStageAuthorizersCache(ctx context.Context, in *apigatewayapi.FlushStageAuthorizersCacheRequest) (*apigatewayapi.FlushStageAuthorizersCacheOutput, error) {
	return &apigatewayapi.FlushStageAuthorizersCacheOutput{}, s.flush(ctx, in.RestApiId, in.StageName, func(st *stage) { st.AuthorizerEpoch++ })
}

// flush raises an epoch of a stage. The stage itself is not changed, nor is its date.
func (s *Service) flush(ctx context.Context, api, name string, raise func(*stage)) error {
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		st, err := s.stage(tx, s.place(ctx), api, name)
		if err != nil {
			return err
		}
		raise(&st)
		st.Version++
		return s.tables.stages.Put(tx, st)
	})
	if err != nil {
		return err
	}
	return s.PublishAll(ctx)
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
