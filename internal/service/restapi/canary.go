package restapi

import (
	"errors"
	"maps"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// patchCanary changes a stage's canary. The first change makes one: of the stage's own
// deployment, without traffic (recorded).
func patchCanary(st *apigatewayapi.Stage, op apigatewayapi.PatchOperation) error {
	if op.Op != remove && st.CanarySettings == nil {
		st.CanarySettings = &apigatewayapi.CanarySettings{DeploymentId: st.DeploymentId, PercentTraffic: wire.Float64(0), UseStageCache: wire.Bool(false)}
	}
	if wire.Value(op.Path) == "/canarySettings/stageVariableOverrides" {
		return replaceVariables(&st.CanarySettings.StageVariableOverrides, op)
	}
	return stageRules().apply(st, []apigatewayapi.PatchOperation{op})
}

// promote copies a canary's deployment or variables to its stage.
func promote(st *apigatewayapi.Stage, op apigatewayapi.PatchOperation) error {
	path, from := wire.Value(op.Path), wire.Value(op.From)
	fromID, fromVariables := from == "/canarySettings/deploymentId", from == "/canarySettings/stageVariableOverrides"
	if !(path == "/deploymentId" && fromID) && !(path == "/variables" && fromVariables) {
		return badRequest("Invalid copy operation with path: %s and from %s. Valid copy:path are [/deploymentId, /variables] and valid copy:from are [/canarySettings/deploymentId, /canarySettings/stageVariableOverrides]", path, from)
	}
	if st.CanarySettings == nil {
		return badRequest("Promotion not available. Canary does not exist.")
	}
	if fromID {
		st.DeploymentId = st.CanarySettings.DeploymentId
		return nil
	}
	if len(st.CanarySettings.StageVariableOverrides) > 0 {
		if st.Variables == nil {
			st.Variables = map[string]string{}
		}
		maps.Copy(st.Variables, st.CanarySettings.StageVariableOverrides)
	}
	return nil
}

// checkCanary fills a canary's defaults in and holds it to its bounds.
func checkCanary(c *apigatewayapi.CanarySettings) error {
	if c.PercentTraffic == nil {
		c.PercentTraffic = wire.Float64(0)
	}
	if c.UseStageCache == nil {
		c.UseStageCache = wire.Bool(false)
	}
	if p := *c.PercentTraffic; !(p >= 0 && p <= 100) {
		return badRequest("Invalid canary percent traffic specified: %v. Must be between 0.0 and 100.0", p)
	}
	return nil
}

// releaseCanary makes a new deployment the canary of a stage that is there; what the stage serves
// otherwise stays (sentences recorded).
func (s *Service) releaseCanary(tx *store.Tx, p place, in *apigatewayapi.CreateDeploymentRequest, id string) error {
	st, err := s.tables.stages.Get(tx, p.key(in.RestApiId, *in.StageName)...)
	if errors.Is(err, store.ErrNotFound) {
		return badRequest("Invalid deployment content specified.Stage %s must already be created before making a canary release deployment", *in.StageName)
	}
	if err != nil {
		return err
	}
	c := in.CanarySettings
	st.Stage.CanarySettings = &apigatewayapi.CanarySettings{
		DeploymentId: &id, PercentTraffic: c.PercentTraffic, StageVariableOverrides: c.StageVariableOverrides, UseStageCache: c.UseStageCache,
	}
	return s.changeStage(tx, p, st)
}

// canaryStage refuses a canary release that names no stage.
func canaryStage(in *apigatewayapi.CreateDeploymentRequest) error {
	if in.CanarySettings == nil || wire.Value(in.StageName) != "" {
		return nil
	}
	given := "null"
	if in.StageName != nil {
		given = *in.StageName
	}
	return badRequest("Invalid deployment content specified.Non null and non empty stageName must be provided for canary deployment. Provided value is %s", given)
}
