package sam

import (
	"moat/internal/service/stack/template"
)

// sharedPlan is what the APIs with a shared usage plan have in common.
type sharedPlan struct {
	apis, stages, keys []*template.Value
	conditions         map[string]bool
	unconditional      bool
	deletion, replace  string
}

const sharedCondition = "SharedUsagePlanCondition"

// usagePlan adds a usage plan, an API key and the link between them.
func (a *api) usagePlan(stageID string) {
	plan := a.auth.Get("UsagePlan")
	if plan == nil || isNoValue(plan) {
		return
	}
	path := "Properties.Auth.UsagePlan"
	known := map[string]string{"CreateUsagePlan": "", "Description": "", "Quota": "", "Tags": "", "Throttle": "", "UsagePlanName": ""}
	for _, f := range plan.Entries() {
		if _, ok := known[f.Key]; !ok {
			a.tr.fail(f.Pos, a.id, path+"."+f.Key, "Invalid property for 'UsagePlan'%s", didYouMean(f.Key, known))
			return
		}
	}
	shared := false
	switch how := plan.Get("CreateUsagePlan"); {
	case how == nil:
		a.tr.fail(plan.Pos, a.id, path+".CreateUsagePlan", "'CreateUsagePlan' is a required field for UsagePlan.")
		return
	case how.Str() == "NONE":
		return
	case how.Str() == "SHARED":
		shared = true
	case how.Str() != "PER_API":
		a.tr.fail(how.Pos, a.id, path+".CreateUsagePlan", "'CreateUsagePlan' accepts one of ['SHARED', 'PER_API', 'NONE'].")
		return
	}
	planID, keyID, linkID := a.id+"UsagePlan", a.id+"ApiKey", a.id+"UsagePlanKey"
	stage := template.NewMap("ApiId", template.Ref(a.id), "Stage", template.Ref(stageID))
	key := template.NewMap("RestApiId", template.Ref(a.id), "StageName", template.Ref(stageID))
	stages, keys, apis := list(stage), list(key), list(template.NewString(a.id))
	from := a.r
	if shared {
		planID, keyID, linkID = "ServerlessUsagePlan", "ServerlessApiKey", "ServerlessUsagePlanKey"
		s := a.tr.shared
		s.apis, s.stages, s.keys = append(s.apis, apis.Items[0]), append(s.stages, stage), append(s.keys, key)
		stages, keys, apis = list(s.stages...), list(s.keys...), list(s.apis...)
		from = a.sharedAttributes()
	}
	props := template.NewMap("ApiStages", stages)
	for _, n := range []string{"UsagePlanName", "Description", "Quota", "Tags", "Throttle"} {
		if v := plan.Get(n); !v.Empty() {
			props.Set(n, v)
		}
	}
	a.tr.put(planID, "AWS::ApiGateway::UsagePlan", props, from, passThrough...)
	a.tr.resources.Get(planID).Set("DependsOn", apis.Clone())
	a.tr.put(keyID, "AWS::ApiGateway::ApiKey", template.NewMap("Enabled", true, "StageKeys", keys.Clone()), from, passThrough...)
	a.tr.resources.Get(keyID).Set("DependsOn", list(template.NewString(planID)))
	link := template.NewMap("KeyId", template.Ref(keyID), "KeyType", "API_KEY", "UsagePlanId", template.Ref(planID))
	a.tr.put(linkID, "AWS::ApiGateway::UsagePlanKey", link, from, passThrough...)
	a.tr.resources.Get(linkID).Set("DependsOn", list(template.NewString(keyID)))
	a.tr.refer(a.id, "UsagePlan", planID)
	a.tr.refer(a.id, "ApiKey", keyID)
	a.tr.refer(a.id, "UsagePlanKey", linkID)
}

// sharedAttributes are the attributes of the shared resources: they exist when any of
// the APIs does, and are kept when any of them is.
func (a *api) sharedAttributes() *template.Value {
	s := a.tr.shared
	if p := a.r.Get("DeletionPolicy").Str(); p != "" && (s.deletion == "" || p == "Retain") {
		s.deletion = p
	}
	if p := a.r.Get("UpdateReplacePolicy").Str(); p != "" && (s.replace == "" || p == "Retain" || p == "Snapshot" && s.replace == "Delete") {
		s.replace = p
	}
	a.sharedCondition()
	out := template.NewMap()
	out.Pos = a.r.Pos
	if s.deletion != "" {
		out.Set("DeletionPolicy", template.NewString(s.deletion))
	}
	if s.replace != "" {
		out.Set("UpdateReplacePolicy", template.NewString(s.replace))
	}
	if len(s.conditions) > 0 && !s.unconditional {
		out.Set("Condition", template.NewString(sharedCondition))
	}
	return out
}

func (a *api) sharedCondition() {
	s := a.tr.shared
	section := a.tr.root.Get("Conditions")
	condition := a.r.Get("Condition").Str()
	switch {
	case s.unconditional:
	case condition == "":
		s.unconditional = true
		if section != nil {
			section.Delete(sharedCondition)
		}
	case section != nil && !s.conditions[condition]:
		if s.conditions == nil {
			s.conditions = map[string]bool{}
		}
		s.conditions[condition] = true
		names := sortedKeys(s.conditions)
		if len(names) == 1 {
			section.Set(sharedCondition, template.NewString(condition))
			return
		}
		section.Set(sharedCondition, or(names))
	}
}
