package stack

import (
	"context"

	"moat/internal/service/stack/template"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

func planHandlers(c apigatewayapi.Service) map[string]Handler {
	return map[string]Handler{
		"AWS::ApiGateway::ApiKey":       apiKey(c),
		"AWS::ApiGateway::UsagePlan":    usagePlan(c),
		"AWS::ApiGateway::UsagePlanKey": usagePlanKey(c),
	}
}

func apiKey(c apigatewayapi.Service) Handler {
	state := func(id string) State {
		return State{PhysicalID: id, Attributes: map[string]string{"APIKeyId": id}}
	}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateApiKey", Rename: map[string]string{"Tags": skip}}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateApiKeyRequest{}
			if err := decode(r.Properties, in, map[string]string{"Tags": skip}); err != nil {
				return State{}, err
			}
			if in.Name == nil {
				in.Name = wire.String(fit(r.Name, 128))
			}
			in.Tags = r.marked("Tags")
			out, err := c.CreateApiKey(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(wire.Value(out.Id)), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			p := patch{}
			p.scalar(r, "Description", "/description")
			p.or(r, "Enabled", "/enabled", "false")
			p.scalar(r, "CustomerId", "/customerId")
			stages := func(v *template.Value) []string {
				var out []string
				for _, k := range v.Get("StageKeys").Elements() {
					api, _ := k.Get("RestApiId").Scalar()
					name, _ := k.Get("StageName").Scalar()
					out = append(out, api+"/"+name)
				}
				return out
			}
			was, is := setOf(stages(r.Previous)), setOf(stages(r.Properties))
			for _, k := range sortedKeys(is) {
				if !was[k] {
					p.add("add", "/stages", k)
				}
			}
			for _, k := range sortedKeys(was) {
				if !is[k] {
					p.add("remove", "/stages", "")
					p.ops[len(p.ops)-1].Value = wire.String(k)
				}
			}
			if len(p.ops) > 0 {
				if _, err := c.UpdateApiKey(ctx, &apigatewayapi.UpdateApiKeyRequest{ApiKey: r.PhysicalID, PatchOperations: p.ops}); err != nil {
					return state(r.PhysicalID), err
				}
			}
			return state(r.PhysicalID), retag(ctx, c, r, "/apikeys/"+r.PhysicalID)
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteApiKey(ctx, &apigatewayapi.DeleteApiKeyRequest{ApiKey: r.PhysicalID})
			return err
		},
		Replaces: func(r *Request) bool { return r.changed("Value", "GenerateDistinctId", "Name") },
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.GetApiKeys(ctx, &apigatewayapi.GetApiKeysRequest{Limit: wire.Int32(500)})
			if err != nil {
				return State{}, false, err
			}
			for _, k := range out.Items {
				if id := wire.Value(k.Id); r.mine(k.Tags) && id != r.PhysicalID {
					return state(id), true, nil
				}
			}
			return State{}, false, nil
		},
	}
}

func usagePlan(c apigatewayapi.Service) Handler {
	state := func(id string) State {
		return State{PhysicalID: id, Attributes: map[string]string{"Id": id}}
	}
	name := func(r *Request) string { return r.named("UsagePlanName", 128) }
	rename := map[string]string{"Tags": skip, "UsagePlanName": "Name"}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateUsagePlan", Rename: rename}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateUsagePlanRequest{}
			if err := decode(r.Properties, in, rename); err != nil {
				return State{}, err
			}
			in.Name, in.Tags = name(r), r.marked("Tags")
			out, err := c.CreateUsagePlan(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(wire.Value(out.Id)), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			p := patch{}
			if r.Properties.Has("UsagePlanName") {
				p.scalar(r, "UsagePlanName", "/name")
			}
			p.scalar(r, "Description", "/description")
			p.group(r, "Throttle", "/throttle", [][2]string{{"RateLimit", "/rateLimit"}, {"BurstLimit", "/burstLimit"}})
			p.group(r, "Quota", "/quota", [][2]string{{"Limit", "/limit"}, {"Period", "/period"}, {"Offset", "/offset"}})
			p.planStages(r)
			if len(p.ops) > 0 {
				if _, err := c.UpdateUsagePlan(ctx, &apigatewayapi.UpdateUsagePlanRequest{UsagePlanId: r.PhysicalID, PatchOperations: p.ops}); err != nil {
					return state(r.PhysicalID), err
				}
			}
			return state(r.PhysicalID), retag(ctx, c, r, "/usageplans/"+r.PhysicalID)
		},
		Delete: func(ctx context.Context, r *Request) error {
			// A plan that has stages cannot be deleted.
			p := patch{}
			for _, s := range planStagesOf(r.Properties) {
				p.add("remove", "/apiStages", "")
				p.ops[len(p.ops)-1].Value = wire.String(s.id)
			}
			if len(p.ops) > 0 {
				if _, err := c.UpdateUsagePlan(ctx, &apigatewayapi.UpdateUsagePlanRequest{UsagePlanId: r.PhysicalID, PatchOperations: p.ops}); gone(err) != nil {
					return err
				}
			}
			_, err := c.DeleteUsagePlan(ctx, &apigatewayapi.DeleteUsagePlanRequest{UsagePlanId: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.GetUsagePlans(ctx, &apigatewayapi.GetUsagePlansRequest{Limit: wire.Int32(500)})
			if err != nil {
				return State{}, false, err
			}
			for _, p := range out.Items {
				if id := wire.Value(p.Id); r.mine(p.Tags) && id != r.PhysicalID {
					return state(id), true, nil
				}
			}
			return State{}, false, nil
		},
	}
}

// group patches the members of a structure, or removes it as a whole.
func (p *patch) group(r *Request, property, path string, members [][2]string) {
	if !r.changed(property) {
		return
	}
	v := r.Properties.Get(property)
	if v.Empty() {
		p.add("remove", path, "")
		return
	}
	for _, m := range members {
		if x := v.Get(m[0]); x != nil && !template.Equal(x, r.Previous.At(property, m[0])) {
			p.add("replace", path+m[1], decimal(x))
		}
	}
}

type planStage struct {
	id       string // api:stage
	throttle map[string]*template.Value
}

func planStagesOf(v *template.Value) []planStage {
	var out []planStage
	for _, s := range v.Get("ApiStages").Elements() {
		api, _ := s.Get("ApiId").Scalar()
		name, _ := s.Get("Stage").Scalar()
		ps := planStage{id: api + ":" + name, throttle: map[string]*template.Value{}}
		for _, f := range s.Get("Throttle").Entries() {
			ps.throttle[f.Key] = f.Value
		}
		out = append(out, ps)
	}
	return out
}

func (p *patch) planStages(r *Request) {
	was, is := map[string]planStage{}, map[string]planStage{}
	for _, s := range planStagesOf(r.Previous) {
		was[s.id] = s
	}
	for _, s := range planStagesOf(r.Properties) {
		is[s.id] = s
	}
	for _, id := range sortedKeys(is) {
		if _, had := was[id]; !had {
			p.add("add", "/apiStages", id)
		}
		for _, path := range sortedKeys(is[id].throttle) {
			now := is[id].throttle[path]
			if template.Equal(now, was[id].throttle[path]) {
				continue
			}
			for _, m := range [][2]string{{"RateLimit", "/rateLimit"}, {"BurstLimit", "/burstLimit"}} {
				if x := now.Get(m[0]); x != nil {
					p.add("replace", "/apiStages/"+id+"/throttle/"+escapePointer(path)+m[1], decimal(x))
				}
			}
		}
	}
	for _, id := range sortedKeys(was) {
		if _, kept := is[id]; !kept {
			p.add("remove", "/apiStages", "")
			p.ops[len(p.ops)-1].Value = wire.String(id)
		}
	}
}

func usagePlanKey(c apigatewayapi.Service) Handler {
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateUsagePlanKey"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateUsagePlanKeyRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			if _, err := c.CreateUsagePlanKey(ctx, in); err != nil {
				return State{}, err
			}
			id := in.KeyId + ":" + in.UsagePlanId
			return State{PhysicalID: id, Attributes: map[string]string{"Id": id}}, nil
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteUsagePlanKey(ctx, &apigatewayapi.DeleteUsagePlanKeyRequest{UsagePlanId: r.text("UsagePlanId"), KeyId: r.text("KeyId")})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			_, err := c.GetUsagePlanKey(ctx, &apigatewayapi.GetUsagePlanKeyRequest{UsagePlanId: r.text("UsagePlanId"), KeyId: r.text("KeyId")})
			id := r.text("KeyId") + ":" + r.text("UsagePlanId")
			return State{PhysicalID: id, Attributes: map[string]string{"Id": id}}, err == nil, gone(err)
		},
		Claims: func(*Request) bool { return true },
	}
}
