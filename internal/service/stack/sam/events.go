package sam

import (
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/service/stack/template"
)

var trailingSlash = lazyregexp.New(`^(.+)/$`)

func (f *function) events() {
	events := f.p.Get("Events")
	if events.Empty() {
		return
	}
	if !events.Is(template.Map) {
		f.tr.fail(events.Pos, f.id, "Properties.Events", "expected a map of events")
		return
	}
	for _, eid := range f.tr.py.keys(events) {
		e := events.Get(eid)
		switch typ := e.Get("Type").Str(); typ {
		case "Api":
			f.apiEvent(eid, e)
		case "Cognito":
			f.cognitoEvent(eid, e)
		case "":
			f.tr.fail(events.KeyPos(eid), f.id, "Properties.Events."+eid+".Type", "Event with id [%s] is invalid. Event is missing the Type", eid)
		default:
			f.tr.notBuilt(e.KeyPos("Type"), f.id, "Properties.Events."+eid+".Type", "the event type "+typ)
		}
	}
}

// permission lets a service call the function.
func (f *function) permission(id, principal string, source *template.Value) {
	name := template.Ref(f.id)
	if f.alias != "" {
		name = template.Ref(f.alias)
	}
	props := template.NewMap("Action", "lambda:InvokeFunction", "FunctionName", name, "Principal", principal, "SourceArn", source)
	f.tr.put(id, "AWS::Lambda::Permission", props, f.r, passThrough...)
}

// eventProperties of an Api event: "" read, "-" not implemented.
var eventProperties = map[string]string{
	"Path": "", "Method": "", "RestApiId": "", "Auth": "", "RequestModel": "", "RequestParameters": "", "TimeoutInMillis": "", "Stage": "",
	"ResponseTransferMode": "-",
}

func (f *function) apiEvent(eid string, e *template.Value) {
	p := e.Get("Properties")
	path := "Properties.Events." + eid
	if p.Empty() {
		f.tr.fail(e.Pos, f.id, path, "Event with id [%s] is invalid. Event is missing Properties with Path and Method", eid)
		return
	}
	for _, x := range p.Entries() {
		if how, ok := eventProperties[x.Key]; !ok {
			f.tr.fail(x.Pos, f.id, path+".Properties."+x.Key, "Event with id [%s] is invalid. property %s not defined for resource of type Api%s", eid, x.Key, didYouMean(x.Key, eventProperties))
			return
		} else if how == "-" {
			f.tr.notBuilt(x.Pos, f.id, path+".Properties."+x.Key, "the property "+x.Key)
			return
		}
	}
	apiID := apiOf(p.Get("RestApiId"))
	api := f.tr.resources.At(apiID, "Properties")
	suffix := "Stage"
	if s := api.Get("StageName"); s.Is(template.String) {
		suffix = s.Text
	}
	f.apiPermission(eid, p, suffix)
	switch override := p.At("Auth", "OverrideApiAuth"); {
	case f.tr.failed():
	case api.Has(manageSwagger):
		f.integrate(eid, p, apiID, api)
	case !override.Empty() && validDefinition(api.Get("DefinitionBody")):
		ed := f.tr.edit(api.Get("DefinitionBody"))
		f.eventAuth(eid, path+".Properties", p, api, ed, p.Get("Path").Str(), strings.ToLower(p.Get("Method").Str()))
		api.Set("DefinitionBody", ed.result())
	}
}

func (f *function) apiPermission(eid string, p *template.Value, suffix string) {
	path := trailingSlash.ReplaceAllString(p.Get("Path").Str(), "$1")
	path = pathVariable.ReplaceAllString(path, "*")
	name := strings.ToUpper(p.Get("Method").Str())
	if name == "ANY" {
		name = "*"
	}
	arn := template.NewString("arn:" + f.tr.partition + ":execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}/${__Stage__}/" + name + path)
	id := f.id + eid + "Permission"
	if isAlphanumeric(suffix) {
		id += suffix
	} else {
		id = withHash(id, suffix)
	}
	f.permission(id, "apigateway.amazonaws.com", sub(arn, template.NewMap("__ApiId__", p.Get("RestApiId").Clone(), "__Stage__", "*")))
}

// integrate enters the function in the definition of its API.
func (f *function) integrate(eid string, p *template.Value, apiID string, api *template.Value) {
	tr := f.tr
	body := api.Get("DefinitionBody")
	if !validDefinition(body) {
		return
	}
	path := p.Get("Path")
	lower := *p.Get("Method")
	lower.Text = strings.ToLower(lower.Text)
	at := "Properties.Events." + eid + ".Properties"
	ed := tr.edit(body)
	if ed.hasIntegration(path.Text, lower.Text) {
		tr.fail(p.Pos, f.id, at, "Event with id [%s] is invalid. API method \"%s\" defined multiple times for path \"%s\".", eid, lower.Text, path.Text)
		return
	}
	uri := &template.Value{Kind: template.String, Text: "arn:" + tr.partition + ":apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/" + f.arnText() + "/invocations"}
	auth := p.Get("Auth")
	ed.addLambda(path, &lower, dict("Fn::Sub", uri), auth, api.Get("Auth"), f.r.Get("Condition"), tr.partition)
	if ms := p.Get("TimeoutInMillis"); !ms.Empty() {
		for _, d := range ed.definitionsAt(path.Text, lower.Text) {
			set(d.Get(integration), "timeoutInMillis", ms)
		}
	}
	if !auth.Empty() {
		f.eventAuth(eid, at, p, api, ed, path.Text, lower.Text)
	}
	f.requestModel(eid, at, p, api, ed, path.Text, lower.Text)
	f.requestParameters(eid, at, p, ed, path.Text, lower.Text)
	api.Set("DefinitionBody", ed.result())
}

func (f *function) eventAuth(eid, at string, p, api *template.Value, ed *editor, path, method string) {
	tr, auth := f.tr, p.Get("Auth")
	apiAuth := tr.resolveParameters(api.Get("Auth").Clone())
	for _, x := range auth.Entries() {
		switch x.Key {
		case "Authorizer", "AuthorizationScopes", "ApiKeyRequired", "InvokeRole", "ResourcePolicy", "OverrideApiAuth":
		default:
			tr.fail(x.Pos, f.id, at+".Auth."+x.Key, "unknown property; expected Authorizer, AuthorizationScopes, ApiKeyRequired, InvokeRole or ResourcePolicy")
			return
		}
	}
	name := auth.Get("Authorizer")
	if s := name.Str(); s == "NONE" && apiAuth.Get("DefaultAuthorizer").Empty() {
		tr.fail(name.Pos, f.id, at+".Auth.Authorizer", "Event with id [%s] is invalid. Unable to set Authorizer on API method [%s] for path [%s] because 'NONE' is only a valid value when a DefaultAuthorizer on the API is specified.", eid, method, path)
		return
	} else if s != "" && s != "NONE" && s != "AWS_IAM" {
		reason := ""
		if apiAuth.Get("Authorizers").Empty() {
			reason = "the related API does not define any Authorizers."
		} else if apiAuth.At("Authorizers", s).Empty() {
			reason = "it wasn't defined in the API's Authorizers."
		}
		if reason != "" {
			tr.fail(name.Pos, f.id, at+".Auth.Authorizer", "Event with id [%s] is invalid. Unable to set Authorizer [%s] on API method [%s] for path [%s] because %s", eid, s, method, path, reason)
			return
		}
	}
	required := auth.Get("ApiKeyRequired")
	if required != nil && required.Empty() && apiAuth.Get("ApiKeyRequired").Empty() {
		tr.fail(required.Pos, f.id, at+".Auth.ApiKeyRequired", "Event with id [%s] is invalid. Unable to set ApiKeyRequired [False] on API method [%s] for path [%s] because the related API does not specify any ApiKeyRequired.", eid, method, path)
		return
	}
	if !name.Empty() || required != nil {
		ed.methodAuth(path, method, auth, api)
	}
	if rp := auth.Get("ResourcePolicy"); !rp.Empty() {
		stage := template.NewString("Stage")
		if s := api.Get("StageName"); s.Is(template.String) {
			stage = s
		}
		ed.resourcePolicy(rp, path, stage)
		ed.customStatements(rp.Get("CustomStatements"))
	}
}

func (f *function) requestModel(eid, at string, p, api *template.Value, ed *editor, path, method string) {
	rm := p.Get("RequestModel")
	model := rm.Get("Model")
	if model.Empty() {
		return
	}
	if api.At("Models", model.Str()).Empty() {
		f.tr.fail(model.Pos, f.id, at+".RequestModel.Model", "Event with id [%s] is invalid. Unable to set RequestModel [%s] on API method [%s] for path [%s] because it wasn't defined in the API's Models.", eid, model.Str(), method, path)
		return
	}
	ed.requestModel(path, method, model, rm.Get("Required"))
	body, parameters := rm.Get("ValidateBody"), rm.Get("ValidateParameters")
	if body == nil && parameters == nil {
		return
	}
	ed.requestValidator(path, method, !body.Empty(), !parameters.Empty())
}

var requestParameterName = lazyregexp.New(`^method\.request\.(querystring|path|header)\.`)

func (f *function) requestParameters(eid, at string, p *template.Value, ed *editor, path, method string) {
	v := p.Get("RequestParameters")
	if v.Empty() {
		return
	}
	var parameters []requestParameter
	for _, x := range v.Elements() {
		rp := requestParameter{name: x, required: template.NewBool(false)}
		if x.Is(template.Map) && len(x.Fields) == 1 {
			rp.name = &template.Value{Kind: template.String, Text: x.Fields[0].Key}
			if r := x.Fields[0].Value.Get("Required"); r != nil {
				rp.required = r
			}
			rp.caching = !x.Fields[0].Value.Get("Caching").Empty()
		}
		if !requestParameterName.MatchString(rp.name.Str()) {
			f.tr.fail(x.Pos, f.id, at+".RequestParameters", "Event with id [%s] is invalid. Invalid value for 'RequestParameters' property. Keys must be in the format 'method.request.[querystring|path|header].{value}', e.g 'method.request.header.Authorization'.", eid)
			return
		}
		parameters = append(parameters, rp)
	}
	ed.requestParameters(path, method, parameters)
}

// cognitoEvent makes the function a trigger of a user pool.
func (f *function) cognitoEvent(eid string, e *template.Value) {
	p := e.Get("Properties")
	pool := apiOf(p.Get("UserPool"))
	r := f.tr.resources.Get(pool)
	if !p.Get("UserPool").IsIntrinsic() || r == nil {
		f.tr.fail(e.Pos, f.id, "Properties.Events."+eid+".Properties.UserPool", "Event with id [%s] is invalid. Cognito events must reference a Cognito UserPool in the same template.", eid)
		return
	}
	triggers := []*template.Value{p.Get("Trigger")}
	if triggers[0].Is(template.List) {
		triggers = triggers[0].Items
	}
	props := r.Get("Properties")
	if props == nil {
		props = template.NewMap()
		r.Set("Properties", props)
	}
	if !props.Has("LambdaConfig") {
		props.Set("LambdaConfig", template.NewMap())
	}
	config := props.Get("LambdaConfig")
	for _, t := range triggers {
		if t.Str() == "" || config.Has(t.Str()) {
			f.tr.fail(e.Pos, f.id, "Properties.Events."+eid+".Properties.Trigger", "Event with id [%s] is invalid. Cognito trigger \"%s\" defined multiple times.", eid, t.Str())
			return
		}
		arn := template.GetAtt(f.id, "Arn")
		if f.alias != "" {
			arn = template.Ref(f.alias)
		}
		config.Set(t.Str(), arn)
	}
	f.permission(f.id+"CognitoPermission", "cognito-idp.amazonaws.com", template.GetAtt(pool, "Arn"))
}
