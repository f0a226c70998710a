package sam

import (
	"sort"
	"strconv"
	"strings"

	"moat/internal/service/stack/template"
)

// skeleton is the definition that events fill in.
func skeleton() *template.Value {
	return dict("swagger", "2.0", "info", dict("version", "1.0", "title", ref("AWS::StackName")), "paths", dict())
}

// defaultBodies gives APIs without a definition an empty one to be filled by events.
func (tr *transform) defaultBodies() {
	for _, f := range tr.resources.Fields {
		if f.Value.Get("Type").Str() != apiType {
			continue
		}
		p := f.Value.Get("Properties")
		if p == nil {
			p = dict()
			p.Pos = f.Value.Pos
			f.Value.Set("Properties", p)
		}
		if p.Is(template.Map) && !p.Has("DefinitionBody") && !p.Has("DefinitionUri") {
			set(p, "DefinitionBody", skeleton())
			set(p, manageSwagger, true)
		}
	}
}

// implicitState collects what the functions of the implicit API have in common.
type implicitState struct {
	// by API, path and method: the condition of the function, "" without one
	conditions map[string]map[string]map[string]string
	deletion   []string
	replace    []string
}

// implicit adds the API ServerlessRestApi for events that name none, and enters every
// path of an event in the definition of its API.
func (tr *transform) implicit() {
	existing := tr.resources.Get(implicitAPI)
	props := ordered("StageName", "Prod", "DefinitionBody", skeleton(), manageSwagger, true)
	api := ordered("Type", apiType, "Properties", props)
	ids := tr.py.keys(tr.resources)
	tr.resources.Set(implicitAPI, api)
	st := &implicitState{conditions: map[string]map[string]map[string]string{}}
	for _, id := range ids {
		if r := tr.resources.Get(id); r.Get("Type").Str() == functionType && id != implicitAPI {
			tr.functionPaths(id, r, st)
		}
	}
	tr.implicitAttributes(api, st)
	tr.pathConditions(st)
	if len(api.At("Properties", "DefinitionBody", "paths").Entries()) == 0 {
		if existing != nil {
			tr.resources.Set(implicitAPI, existing)
		} else {
			tr.py.remove(tr.resources, implicitAPI)
		}
	}
}

func (tr *transform) functionPaths(id string, r *template.Value, st *implicitState) {
	events := r.At("Properties", "Events")
	for _, eid := range tr.py.keys(events) {
		e := events.Get(eid)
		if e.Get("Type").Str() != "Api" {
			continue
		}
		p := e.Get("Properties")
		if p.Empty() {
			continue
		}
		if !p.Has("RestApiId") {
			set(p, "RestApiId", ref(implicitAPI))
		}
		path, method := p.Get("Path"), p.Get("Method")
		if !path.Is(template.String) || !method.Is(template.String) {
			tr.fail(p.Pos, id, "Properties.Events."+eid, "Event with id [%s] is invalid. Event is missing key 'Path' or 'Method', or they are no strings.", eid)
			continue
		}
		apiID := apiOf(p.Get("RestApiId"))
		if apiID == "" || !tr.resources.Get(apiID).Is(template.Map) {
			tr.fail(p.KeyPos("RestApiId"), id, "Properties.Events."+eid+".RestApiId", "Event with id [%s] is invalid. RestApiId must be a valid reference to an 'AWS::Serverless::Api' resource in same template.", eid)
			continue
		}
		if apiID == implicitAPI {
			st.deletion = append(st.deletion, r.Get("DeletionPolicy").Str())
			st.replace = append(st.replace, r.Get("UpdateReplacePolicy").Str())
		}
		st.note(apiID, path.Text, method.Text, r.Get("Condition").Str())
		tr.enterPath(apiID, path, method)
	}
}

func apiOf(v *template.Value) string {
	if name, arg, ok := v.Intrinsic(); ok && name == "Ref" {
		return arg.Str()
	}
	return v.Str()
}

func (st *implicitState) note(api, path, method, condition string) {
	if st.conditions[api] == nil {
		st.conditions[api] = map[string]map[string]string{}
	}
	if st.conditions[api][path] == nil {
		st.conditions[api][path] = map[string]string{}
	}
	st.conditions[api][path][method] = condition
}

func (tr *transform) enterPath(apiID string, path, method *template.Value) {
	p := tr.resources.At(apiID, "Properties")
	body := p.Get("DefinitionBody")
	if !validDefinition(body) || !p.Has(manageSwagger) {
		return
	}
	ed := tr.edit(body)
	ed.addPath(path, method)
	p.Set("DefinitionBody", ed.result())
}

// implicitAttributes gives the implicit API the condition and the policies that its
// functions have in common.
func (tr *transform) implicitAttributes(api *template.Value, st *implicitState) {
	all := map[string]bool{}
	for _, methods := range st.conditions[implicitAPI] {
		for _, c := range methods {
			all[c] = true
		}
	}
	if len(all) > 0 && !all[""] {
		names := sortedKeys(all)
		name := names[0]
		if len(names) > 1 {
			name = implicitAPI + "Condition"
			tr.combine(name, names)
		}
		set(api, "Condition", name)
	}
	choose := func(attribute string, given []string, order ...string) {
		for _, policy := range order {
			for _, g := range given {
				if g == policy {
					set(api, attribute, policy)
					return
				}
			}
		}
	}
	choose("DeletionPolicy", st.deletion, "Retain", "Delete")
	choose("UpdateReplacePolicy", st.replace, "Retain", "Snapshot", "Delete")
}

func sortedKeys(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// combine adds a condition that is met when one of several is. Fn::Or takes at most
// ten, so more are combined in steps.
func (tr *transform) combine(name string, conditions []string) {
	section := tr.root.Get("Conditions")
	if section == nil {
		section = ordered()
		tr.root.Set("Conditions", section)
	}
	extra := (len(conditions) - 2) / 9 // how many conditions besides the one that is asked for
	for len(conditions) > 1 {
		id := name
		if extra > 0 {
			id += strconv.Itoa(extra)
			extra--
		}
		n := min(10, len(conditions))
		section.Set(id, or(conditions[:n]))
		conditions = append(conditions[n:len(conditions):len(conditions)], id)
	}
}

func or(conditions []string) *template.Value {
	items := make([]*template.Value, len(conditions))
	for i, c := range conditions {
		items[i] = ordered("Condition", c)
	}
	if len(items) == 1 {
		return items[0]
	}
	return ordered("Fn::Or", list(items...))
}

// pathConditions makes a path conditional when all of its methods are.
func (tr *transform) pathConditions(st *implicitState) {
	for _, id := range tr.py.keys(tr.resources) {
		p := tr.resources.At(id, "Properties")
		if tr.resources.At(id, "Type").Str() != apiType || !p.Has(manageSwagger) || !validDefinition(p.Get("DefinitionBody")) {
			continue
		}
		ed := tr.edit(p.Get("DefinitionBody"))
		for _, path := range tr.py.keys(ed.paths()) {
			all := map[string]bool{}
			for _, c := range st.conditions[id][path] {
				all[c] = true
			}
			if len(all) == 0 || all[""] {
				continue
			}
			names := sortedKeys(all)
			name := &template.Value{Kind: template.String, Text: names[0]}
			if len(names) > 1 {
				name = text(id + pathID.Replace(path) + "PathCondition")
				tr.combine(name.Text, names)
			}
			ed.paths().Set(path, conditional(name, ed.paths().Get(path)))
		}
		p.Set("DefinitionBody", ed.result())
	}
}

var pathID = strings.NewReplacer("/", "SLASH", "{", "OB", "}", "CB")
