package restapi

import (
	"context"
	"errors"
	"slices"

	"moat/internal/gateway"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// CreateDeployment freezes the definition as it stands. With a stage name it moves that
// stage to the copy, or makes the stage; what it moves is served when the call answers.
func (s *Service) CreateDeployment(ctx context.Context, in *apigatewayapi.CreateDeploymentRequest) (*apigatewayapi.Deployment, error) {
	if err := canaryStage(in); err != nil {
		return nil, err
	}
	id, err := s.id(shortID)
	if err != nil {
		return nil, err
	}
	p := s.place(ctx)
	var out apigatewayapi.Deployment
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		d, err := s.definition(tx, p, in.RestApiId)
		if err != nil {
			return err
		}
		if err := s.deployable(tx, &d, wire.Value(in.StageName)); err != nil {
			return err
		}
		out = apigatewayapi.Deployment{Id: &id, Description: in.Description, CreatedDate: wire.Ptr(s.now())}
		frozen := deployment{Account: p.account, Region: p.region, API: in.RestApiId, ID: id, Deployment: out, Definition: d}
		if err := s.tables.deployments.Insert(tx, frozen); err != nil {
			return err
		}
		if wire.Value(in.StageName) == "" {
			return nil
		}
		if in.CanarySettings != nil {
			return s.releaseCanary(tx, p, in, id)
		}
		return s.deployTo(tx, p, in, id)
	})
	if err != nil {
		return nil, err
	}
	return &out, s.PublishAll(ctx)
}

// deployable compiles the definition to see that the gateway can serve it.
func (s *Service) deployable(tx *store.Tx, d *definition, stageName string) error {
	if stageName == "" {
		stageName = "check"
	}
	st := stage{Account: d.Account, Region: d.Region, Name: stageName}
	def, err := s.connected(tx, d, st)
	if err != nil {
		return err
	}
	if len(def.Routes) == 0 {
		return badRequest("The REST API doesn't contain any methods")
	}
	if isPrivate(d.API.EndpointConfiguration) && len(def.Policy) == 0 {
		return badRequest("Private REST API doesn't have a resource policy attached to it")
	}
	_, err = gateway.Compile(def)
	return deployError(err)
}

// deployTo moves a stage to a deployment, or makes the stage.
func (s *Service) deployTo(tx *store.Tx, p place, in *apigatewayapi.CreateDeploymentRequest, id string) error {
	st, err := s.tables.stages.Get(tx, p.key(in.RestApiId, *in.StageName)...)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if !stageName.MatchString(*in.StageName) {
			return badRequest("Stage name only allows a-zA-Z0-9_")
		}
		st = s.newStage(p, in.RestApiId, *in.StageName, id)
		if err := s.roomForStage(tx, st); err != nil {
			return err
		}
		st.Stage.Description, st.Stage.Variables = in.StageDescription, in.Variables
	case err != nil:
		return err
	default:
		st.Stage.DeploymentId = &id
		if in.Variables != nil {
			st.Stage.Variables = in.Variables
		}
		if in.StageDescription != nil {
			st.Stage.Description = in.StageDescription
		}
	}
	if in.CacheClusterEnabled != nil {
		st.Stage.CacheClusterEnabled = in.CacheClusterEnabled
	}
	if in.CacheClusterSize != "" {
		st.Stage.CacheClusterSize = in.CacheClusterSize
	}
	if in.TracingEnabled != nil {
		st.Stage.TracingEnabled = in.TracingEnabled
	}
	return s.changeStage(tx, p, st)
}

func (s *Service) deployment(tx *store.Tx, p place, api, id string) (deployment, error) {
	if _, err := s.definition(tx, p, api); err != nil {
		return deployment{}, err
	}
	d, err := s.tables.deployments.Get(tx, p.key(api, id)...)
	if errors.Is(err, store.ErrNotFound) {
		return d, notFound("Invalid Deployment identifier specified")
	}
	return d, err
}

// GetDeployment returns a deployment; embed=apisummary lists its methods.
func (s *Service) GetDeployment(ctx context.Context, in *apigatewayapi.GetDeploymentRequest) (*apigatewayapi.Deployment, error) {
	var out apigatewayapi.Deployment
	err := s.db.View(ctx, func(tx *store.Tx) error {
		d, err := s.deployment(tx, s.place(ctx), in.RestApiId, in.DeploymentId)
		if err != nil {
			return err
		}
		out = d.Deployment
		if slices.Contains(in.Embed, "apisummary") {
			out.ApiSummary = summary(&d.Definition)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

func summary(d *definition) map[string]map[string]apigatewayapi.MethodSnapshot {
	out := map[string]map[string]apigatewayapi.MethodSnapshot{}
	for _, r := range d.Resources {
		for verb, m := range r.ResourceMethods {
			if out[*r.Path] == nil {
				out[*r.Path] = map[string]apigatewayapi.MethodSnapshot{}
			}
			out[*r.Path][verb] = apigatewayapi.MethodSnapshot{ApiKeyRequired: m.ApiKeyRequired, AuthorizationType: m.AuthorizationType}
		}
	}
	return out
}

// GetDeployments lists an API's deployments.
func (s *Service) GetDeployments(ctx context.Context, in *apigatewayapi.GetDeploymentsRequest) (*apigatewayapi.Deployments, error) {
	out := &apigatewayapi.Deployments{}
	p := s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		if _, err := s.definition(tx, p, in.RestApiId); err != nil {
			return err
		}
		all, err := s.tables.deployments.List(tx, store.Query{Prefix: p.key(in.RestApiId)})
		if err != nil {
			return err
		}
		items := make([]apigatewayapi.Deployment, len(all))
		for i, d := range all {
			items[i] = d.Deployment
		}
		out.Items, out.Position, err = cut(s.listing(ctx, in.RestApiId), items, func(d apigatewayapi.Deployment) string { return *d.Id }, in.Position, in.Limit)
		return err
	})
	return out, err
}

// UpdateDeployment patches a deployment's description.
func (s *Service) UpdateDeployment(ctx context.Context, in *apigatewayapi.UpdateDeploymentRequest) (*apigatewayapi.Deployment, error) {
	read := func(tx *store.Tx) (deployment, error) {
		return s.deployment(tx, s.place(ctx), in.RestApiId, in.DeploymentId)
	}
	d, err := amend(ctx, s, read, func(_ *store.Tx, d *deployment) error {
		return descriptionRules().apply(&d.Deployment, in.PatchOperations)
	}, s.tables.deployments.Put)
	if err != nil {
		return nil, err
	}
	return &d.Deployment, nil
}

// DeleteDeployment deletes a deployment that no stage serves.
func (s *Service) DeleteDeployment(ctx context.Context, in *apigatewayapi.DeleteDeploymentRequest) (*apigatewayapi.DeleteDeploymentOutput, error) {
	p := s.place(ctx)
	return &apigatewayapi.DeleteDeploymentOutput{}, s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := s.deployment(tx, p, in.RestApiId, in.DeploymentId); err != nil {
			return err
		}
		stages, err := s.tables.stages.List(tx, store.Query{Prefix: p.key(in.RestApiId)})
		if err != nil {
			return err
		}
		for _, st := range stages {
			if c := st.Stage.CanarySettings; wire.Value(st.Stage.DeploymentId) == in.DeploymentId || c != nil && wire.Value(c.DeploymentId) == in.DeploymentId {
				return badRequest("Active stages pointing to this deployment must be moved or deleted")
			}
		}
		return s.tables.deployments.Delete(tx, p.key(in.RestApiId, in.DeploymentId)...)
	})
}
