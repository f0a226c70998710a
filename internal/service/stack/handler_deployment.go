package stack

import (
	"context"
	"strings"

	"moat/internal/service/stack/template"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

func deploymentHandlers(c apigatewayapi.Service) map[string]Handler {
	return map[string]Handler{
		"AWS::ApiGateway::Deployment": deployment(c),
		"AWS::ApiGateway::Stage":      stage(c),
	}
}

func deployment(c apigatewayapi.Service) Handler {
	state := func(id string) State {
		return State{PhysicalID: id, Attributes: map[string]string{"DeploymentId": id}}
	}
	rename := map[string]string{"StageDescription": skip, "DeploymentCanarySettings": "CanarySettings"}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateDeployment", Rename: rename}, {At: "StageDescription", Operation: "apigateway:CreateStage", Rename: stageDescriptionRename}},
		Refuses: func(known *template.Value) []Refusal {
			if !known.Has("StageName") && (known.Has("StageDescription") || known.Has("DeploymentCanarySettings")) {
				return []Refusal{{"StageName", "the stage that StageDescription and DeploymentCanarySettings are about is missing"}}
			}
			return nil
		},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateDeploymentRequest{}
			if err := decode(r.Properties, in, rename); err != nil {
				return State{}, err
			}
			out, err := c.CreateDeployment(ctx, in)
			if err != nil {
				return State{}, err
			}
			st := state(wire.Value(out.Id))
			return st, describeStage(ctx, c, r, nil, r.Properties.Get("StageDescription"))
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			p := patch{}
			p.scalar(r, "Description", "/description")
			if len(p.ops) > 0 {
				_, err := c.UpdateDeployment(ctx, &apigatewayapi.UpdateDeploymentRequest{RestApiId: r.text("RestApiId"), DeploymentId: r.PhysicalID, PatchOperations: p.ops})
				if err != nil {
					return state(r.PhysicalID), err
				}
			}
			return state(r.PhysicalID), describeStage(ctx, c, r, r.Previous.Get("StageDescription"), r.Properties.Get("StageDescription"))
		},
		Delete: func(ctx context.Context, r *Request) error {
			api := r.text("RestApiId")
			// The stage that the deployment itself created holds it; a later deployment
			// has taken the stage over, unless the whole stack goes.
			if name := r.text("StageName"); name != "" {
				st, err := c.GetStage(ctx, &apigatewayapi.GetStageRequest{RestApiId: api, StageName: name})
				if gone(err) != nil {
					return err
				}
				if err == nil && wire.Value(st.DeploymentId) == r.PhysicalID {
					if _, err := c.DeleteStage(ctx, &apigatewayapi.DeleteStageRequest{RestApiId: api, StageName: name}); gone(err) != nil {
						return err
					}
				}
			}
			_, err := c.DeleteDeployment(ctx, &apigatewayapi.DeleteDeploymentRequest{RestApiId: api, DeploymentId: r.PhysicalID})
			return err
		},
		Replaces: func(r *Request) bool { return r.changed("RestApiId", "StageName") },
	}
}

// stageDescriptionRename: the settings that become patches of a stage.
var stageDescriptionRename = map[string]string{
	"Tags": skip, "MethodSettings": skip, "AccessLogSetting": skip, "ClientCertificateId": skip, "CanarySetting": "CanarySettings",
	"CacheDataEncrypted": skip, "CacheTtlInSeconds": skip, "CachingEnabled": skip, "DataTraceEnabled": skip, "LoggingLevel": skip, "MetricsEnabled": skip,
	"ThrottlingBurstLimit": skip, "ThrottlingRateLimit": skip,
}

// describeStage gives the stage of a deployment the settings of its StageDescription.
func describeStage(ctx context.Context, c apigatewayapi.Service, r *Request, from, to *template.Value) error {
	if from == nil {
		from = template.NewMap()
	}
	if to == nil {
		to = template.NewMap()
	}
	p := patch{}
	described := *r
	described.Previous, described.Properties = from, to
	described.PreviousTags = described.Tags // the tags of the stack are the business of stages in the template
	p.stage(&described)
	if err := patchStage(ctx, c, r, r.text("StageName"), p); err != nil {
		return err
	}
	return retag(ctx, c, &described, "/restapis/"+r.text("RestApiId")+"/stages/"+r.text("StageName"))
}

// stage patches the settings of a stage that changed.
func (p *patch) stage(r *Request) {
	p.scalar(r, "Description", "/description")
	p.or(r, "CacheClusterEnabled", "/cacheClusterEnabled", "false")
	if r.Properties.Has("CacheClusterSize") {
		p.scalar(r, "CacheClusterSize", "/cacheClusterSize")
	}
	p.or(r, "TracingEnabled", "/tracingEnabled", "false")
	p.or(r, "ClientCertificateId", "/clientCertificateId", "")
	p.scalar(r, "DocumentationVersion", "/documentationVersion")
	p.entries(mapOf(r.Previous.Get("Variables")), mapOf(r.Properties.Get("Variables")), "/variables/")
	p.canary(r.Previous.Get("CanarySetting"), r.Properties.Get("CanarySetting"))
	p.settings(r.Previous, r.Properties)
}

func stage(c apigatewayapi.Service) Handler {
	rename := map[string]string{"Tags": skip, "MethodSettings": skip, "AccessLogSetting": skip, "ClientCertificateId": skip, "CanarySetting": "CanarySettings"}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateStage", Rename: rename}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateStageRequest{}
			if err := decode(r.Properties, in, rename); err != nil {
				return State{}, err
			}
			in.Tags = r.marked("Tags")
			if _, err := c.CreateStage(ctx, in); err != nil {
				return State{}, err
			}
			st := State{PhysicalID: in.StageName}
			p := patch{}
			if id := r.text("ClientCertificateId"); id != "" {
				p.add("replace", "/clientCertificateId", id)
			}
			p.settings(template.NewMap(), r.Properties)
			return st, patchStage(ctx, c, r, in.StageName, p)
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			st := State{PhysicalID: r.PhysicalID}
			p := patch{}
			p.scalar(r, "DeploymentId", "/deploymentId")
			p.stage(r)
			if err := patchStage(ctx, c, r, r.PhysicalID, p); err != nil {
				return st, err
			}
			return st, retag(ctx, c, r, "/restapis/"+r.text("RestApiId")+"/stages/"+r.PhysicalID)
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteStage(ctx, &apigatewayapi.DeleteStageRequest{RestApiId: r.text("RestApiId"), StageName: r.PhysicalID})
			return err
		},
		Replaces: func(r *Request) bool { return r.changed("RestApiId", "StageName") },
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			_, err := c.GetStage(ctx, &apigatewayapi.GetStageRequest{RestApiId: r.text("RestApiId"), StageName: r.text("StageName")})
			return State{PhysicalID: r.text("StageName")}, err == nil, gone(err)
		},
		Claims: func(*Request) bool { return true },
	}
}

func patchStage(ctx context.Context, c apigatewayapi.Service, r *Request, name string, p patch) error {
	if len(p.ops) == 0 {
		return nil
	}
	_, err := c.UpdateStage(ctx, &apigatewayapi.UpdateStageRequest{RestApiId: r.text("RestApiId"), StageName: name, PatchOperations: p.ops})
	return err
}

// canary patches the canary of a stage.
func (p *patch) canary(from, to *template.Value) {
	if to == nil {
		if from != nil {
			p.add("remove", "/canarySettings", "")
		}
		return
	}
	for _, name := range []string{"DeploymentId", "PercentTraffic", "UseStageCache"} {
		text := jsonText
		if name == "PercentTraffic" {
			text = decimal
		}
		if v := to.Get(name); v != nil && (from == nil || from.Get(name) == nil || text(v) != text(from.Get(name))) {
			p.add("replace", "/canarySettings/"+strings.ToLower(name[:1])+name[1:], text(v))
		}
	}
	before := map[string]string{}
	if from != nil {
		before = mapOf(from.Get("StageVariableOverrides"))
	}
	p.entries(before, mapOf(to.Get("StageVariableOverrides")), "/canarySettings/stageVariableOverrides/")
}

// methodSettings are the members of CloudFormation's MethodSetting and their patch paths.
var methodSettings = [][2]string{
	{"LoggingLevel", "/logging/loglevel"}, {"DataTraceEnabled", "/logging/dataTrace"}, {"MetricsEnabled", "/metrics/enabled"},
	{"ThrottlingBurstLimit", "/throttling/burstLimit"}, {"ThrottlingRateLimit", "/throttling/rateLimit"},
	{"CachingEnabled", "/caching/enabled"}, {"CacheTtlInSeconds", "/caching/ttlInSeconds"}, {"CacheDataEncrypted", "/caching/dataEncrypted"},
}

// settings patches the method settings and the access log of a stage. What a StageDescription
// says beside its MethodSettings holds for every method.
func (p *patch) settings(from, to *template.Value) {
	flat := func(v *template.Value) map[string]string {
		out := map[string]string{}
		for _, s := range methodSettings {
			if x := v.Get(s[0]); x != nil {
				out["/*/*"+s[1]] = decimal(x)
			}
		}
		for _, m := range v.Get("MethodSettings").Elements() {
			path, _ := m.Get("ResourcePath").Scalar()
			method, _ := m.Get("HttpMethod").Scalar()
			if path = strings.TrimPrefix(path, "/"); path != "*" {
				path = "~1" + strings.ReplaceAll(path, "/", "~1")
			}
			for _, s := range methodSettings {
				if x := m.Get(s[0]); x != nil {
					out["/"+path+"/"+method+s[1]] = decimal(x)
				}
			}
		}
		for _, f := range v.Get("AccessLogSetting").Entries() {
			key := map[string]string{"DestinationArn": "/accessLogSettings/destinationArn", "Format": "/accessLogSettings/format"}[f.Key]
			out[key], _ = f.Value.Scalar()
		}
		return out
	}
	was, is := flat(from), flat(to)
	for _, k := range sortedKeys(is) {
		if v, ok := was[k]; !ok || v != is[k] {
			p.add("replace", k, is[k])
		}
	}
	dropped := map[string]bool{}
	for _, k := range sortedKeys(was) {
		if _, kept := is[k]; kept {
			continue
		}
		if strings.HasPrefix(k, "/accessLogSettings") {
			k = "/accessLogSettings"
		} else if method := strings.Join(strings.SplitN(k, "/", 4)[:3], "/"); !anyBelow(is, method) {
			k = method
		}
		if !dropped[k] {
			dropped[k] = true
			p.add("remove", k, "")
		}
	}
}

// anyBelow reports whether a path of a set lies below another.
func anyBelow(paths map[string]string, at string) bool {
	for k := range paths {
		if strings.HasPrefix(k, at+"/") {
			return true
		}
	}
	return false
}
