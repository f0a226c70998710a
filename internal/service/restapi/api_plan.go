package restapi

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// CreateUsagePlan makes a plan: the stages it opens, and the limits of each key there.
func (s *Service) CreateUsagePlan(ctx context.Context, in *apigatewayapi.CreateUsagePlanRequest) (*apigatewayapi.UsagePlan, error) {
	id, err := s.id(shortID)
	if err != nil {
		return nil, err
	}
	p := s.place(ctx)
	up := apigatewayapi.UsagePlan{
		Id: &id, Name: &in.Name, Description: in.Description, ApiStages: in.ApiStages, Quota: in.Quota, Throttle: in.Throttle, Tags: in.Tags,
	}
	if up.ApiStages == nil {
		up.ApiStages = []apigatewayapi.ApiStage{}
	}
	for i, st := range up.ApiStages {
		named := map[string]apigatewayapi.ThrottleSettings{}
		for name, t := range st.Throttle {
			named[throttleName(name)] = t
		}
		if st.Throttle != nil {
			up.ApiStages[i].Throttle = named
		}
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := s.checkPlan(tx, p, &up); err != nil {
			return err
		}
		if err := room(s, tx, s.tables.plans, "usage-plans", "Usage Plans", "", p.account, p.region); err != nil {
			return err
		}
		return s.putPlan(tx, plan{Account: p.account, Region: p.region, ID: id, Plan: up})
	})
	if err != nil {
		return nil, err
	}
	return &up, s.publishPlans(ctx)
}

// checkPlan holds a plan to its rules and to the stages it names.
func (s *Service) checkPlan(tx *store.Tx, p place, up *apigatewayapi.UsagePlan) error {
	if wire.Value(up.Name) == "" {
		return badRequest("Usage Plan name cannot be blank")
	}
	for _, st := range up.ApiStages {
		if wire.Value(st.ApiId) == "" || wire.Value(st.Stage) == "" {
			return badRequest("Invalid API Stage {api: %%s, stage: %%s} specified for usageplan %%s") // AWS's own, which fills nothing in
		}
		if err := checkThrottles(st.Throttle); err != nil {
			return err
		}
		if _, err := s.stage(tx, p, wire.Value(st.ApiId), wire.Value(st.Stage)); err != nil {
			var missing *apigatewayapi.NotFoundException
			if errors.As(err, &missing) {
				return notFound("API Stage not found: %s:%s", wire.Value(st.ApiId), wire.Value(st.Stage))
			}
			return err
		}
	}
	if t := up.Throttle; t != nil && (wire.Value(t.RateLimit) < 0 || wire.Value(t.BurstLimit) < 0) {
		return badRequest("Usage Plan throttle rate and burst limits must not be negative")
	}
	if q := up.Quota; q != nil {
		return checkQuota(q)
	}
	return nil
}

// checkThrottles holds the limits of single methods to their names, {resource}/{METHOD}.
func checkThrottles(limits map[string]apigatewayapi.ThrottleSettings) error {
	for name, t := range limits {
		if i := strings.LastIndexByte(name, '/'); i < 0 || !slices.Contains(verbs, name[i+1:]) {
			return badRequest("Invalid method specified for API stage throttle: %s", name)
		}
		if wire.Value(t.RateLimit) < 0 || wire.Value(t.BurstLimit) < 0 {
			return badRequest("Usage Plan throttle rate and burst limits must not be negative")
		}
	}
	return nil
}

func checkQuota(q *apigatewayapi.QuotaSettings) error {
	last := map[apigatewayapi.QuotaPeriodType]int32{
		apigatewayapi.QuotaPeriodTypeDAY: 0, apigatewayapi.QuotaPeriodTypeWEEK: 6, apigatewayapi.QuotaPeriodTypeMONTH: 27,
	}
	offset, limit := wire.Value(q.Offset), wire.Value(q.Limit)
	maxOffset, known := last[q.Period]
	switch {
	case q.Limit == nil && q.Offset == nil && q.Period == "":
		return nil
	case !known:
		return badRequest("Usage Plan quota period must be DAY, WEEK or MONTH")
	case limit < 1:
		return badRequest("Usage Plan quota limit must be greater than 0")
	case offset < 0 || offset > maxOffset:
		return badRequest("Usage Plan quota offset should be zero or larger but smaller than or equal to %d for the period %s", maxOffset, q.Period)
	}
	if q.Offset == nil {
		q.Offset = wire.Int32(0)
	}
	return nil
}

func (s *Service) plan(tx *store.Tx, p place, id string) (plan, error) {
	pl, err := s.tables.plans.Get(tx, p.key(id)...)
	if errors.Is(err, store.ErrNotFound) {
		return pl, notFound("Invalid Usage Plan ID specified")
	}
	return pl, err
}

// GetUsagePlan returns a plan.
func (s *Service) GetUsagePlan(ctx context.Context, in *apigatewayapi.GetUsagePlanRequest) (*apigatewayapi.UsagePlan, error) {
	var pl plan
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		pl, err = s.plan(tx, s.place(ctx), in.UsagePlanId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pl.Plan, nil
}

// GetUsagePlans lists the plans, or those that a key is in.
func (s *Service) GetUsagePlans(ctx context.Context, in *apigatewayapi.GetUsagePlansRequest) (*apigatewayapi.UsagePlans, error) {
	out := &apigatewayapi.UsagePlans{}
	p := s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		all, err := s.plansOf(tx, p, in.KeyId)
		if err != nil {
			return err
		}
		items := []apigatewayapi.UsagePlan{}
		for _, pl := range all {
			items = append(items, pl.Plan)
		}
		out.Items, out.Position, err = cut(s.listing(ctx, wire.Value(in.KeyId)), items, func(u apigatewayapi.UsagePlan) string { return *u.Id }, in.Position, in.Limit)
		return err
	})
	return out, err
}

// UpdateUsagePlan patches a plan; its limits hold when the call answers.
func (s *Service) UpdateUsagePlan(ctx context.Context, in *apigatewayapi.UpdateUsagePlanRequest) (*apigatewayapi.UsagePlan, error) {
	p := s.place(ctx)
	pl, err := amend(ctx, s, func(tx *store.Tx) (plan, error) { return s.plan(tx, p, in.UsagePlanId) }, func(tx *store.Tx, pl *plan) error {
		for _, op := range in.PatchOperations {
			if err := patchPlan(&pl.Plan, op); err != nil {
				return err
			}
		}
		return s.checkPlan(tx, p, &pl.Plan)
	}, s.putPlan)
	if err != nil {
		return nil, err
	}
	return &pl.Plan, s.publishPlans(ctx)
}

// patchPlan changes a plan. /apiStages has "api:stage" as its elements, and /apiStages/api:stage/throttle/...
// the limits of single methods.
func patchPlan(up *apigatewayapi.UsagePlan, op apigatewayapi.PatchOperation) error {
	segments := pointer(wire.Value(op.Path))
	switch {
	case segments[0] == "apiStages" && len(segments) == 1:
		return patchPlanStages(up, op)
	case segments[0] != "apiStages":
		return planRules().apply(up, []apigatewayapi.PatchOperation{op})
	}
	i := stageIndex(up, segments[1])
	if i < 0 {
		return notFound("API Stage not found: %s", segments[1])
	}
	return patchPlanStage(&up.ApiStages[i], segments[2:], op)
}

// patchPlanStage changes the limits that a plan has for single methods of a stage. A method stands in the path as
// {resource}/{METHOD}: in one segment, in two, or with the slashes of its resource as they are.
func patchPlanStage(st *apigatewayapi.ApiStage, segments []string, op apigatewayapi.PatchOperation) error {
	path := "/" + strings.Join(escaped(segments), "/")
	if len(segments) > 1 && segments[0] == "throttle" {
		method, member := segments[1:], ""
		if last := method[len(method)-1]; len(method) > 1 && (last == "rateLimit" || last == "burstLimit") {
			method, member = method[:len(method)-1], "/"+last
		}
		path = "/throttle/" + escaped([]string{throttleName(strings.Join(method, "/"))})[0] + member
	} else if path == "/throttle" && (op.Op == add || op.Op == replace) {
		return patchThrottles(st, op)
	}
	op.Path = &path
	return planStageRules().apply(st, []apigatewayapi.PatchOperation{op})
}

// patchThrottles adds or puts in place the limits of methods, a JSON object by their names.
func patchThrottles(st *apigatewayapi.ApiStage, op apigatewayapi.PatchOperation) error {
	var limits map[string]struct {
		RateLimit  *float64
		BurstLimit *int32
	}
	if err := json.Unmarshal([]byte(wire.Value(op.Value)), &limits); err != nil {
		return badRequest("Invalid value for '%s'. Must be a JSON object of limits", wire.Value(op.Path))
	}
	if st.Throttle == nil || op.Op == replace {
		st.Throttle = map[string]apigatewayapi.ThrottleSettings{}
	}
	for name, l := range limits {
		st.Throttle[throttleName(name)] = apigatewayapi.ThrottleSettings{RateLimit: l.RateLimit, BurstLimit: l.BurstLimit}
	}
	return nil
}

func escaped(segments []string) []string {
	out := make([]string, len(segments))
	for i, s := range segments {
		out[i] = strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
	}
	return out
}

func stageIndex(up *apigatewayapi.UsagePlan, name string) int {
	api, stage, _ := strings.Cut(name, ":")
	return slices.IndexFunc(up.ApiStages, func(s apigatewayapi.ApiStage) bool {
		return wire.Value(s.ApiId) == api && wire.Value(s.Stage) == stage
	})
}

func patchPlanStages(up *apigatewayapi.UsagePlan, op apigatewayapi.PatchOperation) error {
	if op.Op != add && op.Op != remove {
		return badRequest("Invalid patch path  '/apiStages' specified for op '%s'. Please choose supported operations", op.Op)
	}
	name := wire.Value(op.Value)
	api, stage, ok := strings.Cut(name, ":")
	if !ok {
		return badRequest("Invalid API Stage specified: %s", name)
	}
	i := stageIndex(up, name)
	switch {
	case op.Op == remove && i < 0:
		return notFound("API Stage not found: %s", name)
	case op.Op == remove:
		up.ApiStages = slices.Delete(up.ApiStages, i, i+1)
	case op.Op == add && i < 0:
		up.ApiStages = append(up.ApiStages, apigatewayapi.ApiStage{ApiId: &api, Stage: &stage})
	}
	return nil
}

// DeleteUsagePlan deletes a plan that opens no stage.
func (s *Service) DeleteUsagePlan(ctx context.Context, in *apigatewayapi.DeleteUsagePlanRequest) (*apigatewayapi.DeleteUsagePlanOutput, error) {
	p := s.place(ctx)
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		pl, err := s.plan(tx, p, in.UsagePlanId)
		if err != nil {
			return err
		}
		for _, st := range pl.Plan.ApiStages {
			if _, err := s.stage(tx, p, wire.Value(st.ApiId), wire.Value(st.Stage)); err == nil {
				return badRequest("Cannot delete a usage plan that is associated with stages. Remove the stages first.")
			}
		}
		return s.deletePlan(tx, pl)
	})
	if err != nil {
		return nil, err
	}
	return &apigatewayapi.DeleteUsagePlanOutput{}, s.publishPlans(ctx)
}

// CreateUsagePlanKey puts a key into a plan.
func (s *Service) CreateUsagePlanKey(ctx context.Context, in *apigatewayapi.CreateUsagePlanKeyRequest) (*apigatewayapi.UsagePlanKey, error) {
	if in.KeyType != "API_KEY" {
		return nil, badRequest("Usage Plan Key type must be API_KEY")
	}
	p := s.place(ctx)
	var k key
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		pl, err := s.plan(tx, p, in.UsagePlanId)
		if err != nil {
			return err
		}
		if k, err = s.key(tx, p, in.KeyId); err != nil {
			return err
		}
		if slices.Contains(k.Plans, in.UsagePlanId) {
			return conflict("Usage Plan Key already exists")
		}
		if err := s.oneKeyPerStage(tx, p, pl, in.KeyId); err != nil {
			return err
		}
		k.Plans = append(k.Plans, in.UsagePlanId)
		return s.putKey(tx, k)
	})
	if err != nil {
		return nil, err
	}
	out, err := s.planKey(k)
	if err != nil {
		return nil, err
	}
	return out, s.publishPlans(ctx)
}

// oneKeyPerStage refuses a key that another plan lets into one of the plan's stages: its limits would be ambiguous.
func (s *Service) oneKeyPerStage(tx *store.Tx, p place, pl plan, keyID string) error {
	all, err := s.plansOf(tx, p, &keyID)
	if err != nil {
		return err
	}
	plans := 0
	for _, other := range all {
		if other.ID == pl.ID {
			continue
		}
		if plans++; plans >= s.quota("usage-plans-per-key") {
			return exceeded("Usage Plans", " for this API Key")
		}
		for _, st := range other.Plan.ApiStages {
			if stageIndex(&pl.Plan, wire.Value(st.ApiId)+":"+wire.Value(st.Stage)) >= 0 {
				return conflict("Usage Plan key cannot be associated with multiple usage plans for the same API stage")
			}
		}
	}
	return nil
}

func (s *Service) planKey(k key) (*apigatewayapi.UsagePlanKey, error) {
	value, err := s.value(k)
	return &apigatewayapi.UsagePlanKey{Id: &k.ID, Name: k.Key.Name, Type: wire.String("API_KEY"), Value: &value}, err
}

func (s *Service) keyOfPlan(tx *store.Tx, p place, planID, keyID string) (plan, key, error) {
	pl, err := s.plan(tx, p, planID)
	if err != nil {
		return pl, key{}, err
	}
	k, err := s.key(tx, p, keyID)
	var missing *apigatewayapi.NotFoundException
	if errors.As(err, &missing) || err == nil && !slices.Contains(k.Plans, planID) {
		return pl, k, notFound("Invalid Usage Plan Key specified")
	}
	return pl, k, err
}

// GetUsagePlanKey returns a key of a plan.
func (s *Service) GetUsagePlanKey(ctx context.Context, in *apigatewayapi.GetUsagePlanKeyRequest) (*apigatewayapi.UsagePlanKey, error) {
	var k key
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		_, k, err = s.keyOfPlan(tx, s.place(ctx), in.UsagePlanId, in.KeyId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.planKey(k)
}

// GetUsagePlanKeys lists the keys of a plan.
func (s *Service) GetUsagePlanKeys(ctx context.Context, in *apigatewayapi.GetUsagePlanKeysRequest) (*apigatewayapi.UsagePlanKeys, error) {
	out := &apigatewayapi.UsagePlanKeys{}
	p := s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		if _, err := s.plan(tx, p, in.UsagePlanId); err != nil {
			return err
		}
		show := func(k key) (apigatewayapi.UsagePlanKey, bool, error) {
			if !strings.HasPrefix(wire.Value(k.Key.Name), wire.Value(in.NameQuery)) {
				return apigatewayapi.UsagePlanKey{}, false, nil
			}
			shown, err := s.planKey(k)
			return *shown, err == nil, err
		}
		var err error
		filters := s.listing(ctx, in.UsagePlanId, wire.Value(in.NameQuery))
		out.Items, out.Position, err = pageOfKeys(tx, s.tables.keys, p, inPlan(p, in.UsagePlanId), filters, in.Position, in.Limit, show)
		return err
	})
	return out, err
}

// DeleteUsagePlanKey takes a key out of a plan.
func (s *Service) DeleteUsagePlanKey(ctx context.Context, in *apigatewayapi.DeleteUsagePlanKeyRequest) (*apigatewayapi.DeleteUsagePlanKeyOutput, error) {
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		_, k, err := s.keyOfPlan(tx, s.place(ctx), in.UsagePlanId, in.KeyId)
		if err != nil {
			return err
		}
		k.Plans = slices.DeleteFunc(k.Plans, func(id string) bool { return id == in.UsagePlanId })
		return s.putKey(tx, k)
	})
	if err != nil {
		return nil, err
	}
	return &apigatewayapi.DeleteUsagePlanKeyOutput{}, s.publishPlans(ctx)
}
