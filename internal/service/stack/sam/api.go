package sam

import (
	"strings"

	"moat/internal/service/stack/template"
)

// apiProperties says what happens to each property of AWS::Serverless::Api: "" it is
// read, "-" it is not implemented.
var apiProperties = map[string]string{
	"StageName": "", "DefinitionBody": "", "DefinitionUri": "", "Name": "", "Variables": "", "Tags": "",
	"EndpointConfiguration": "", "MethodSettings": "", "BinaryMediaTypes": "", "MinimumCompressionSize": "", "Cors": "", "Auth": "",
	"GatewayResponses": "", "AccessLogSetting": "", "CanarySetting": "", "TracingEnabled": "", "OpenApiVersion": "", "Models": "",
	"FailOnWarnings": "", "Description": "", "Mode": "", "ApiKeySourceType": "", "CacheClusterEnabled": "", "CacheClusterSize": "",
	"DisableExecuteApiEndpoint": "", manageSwagger: "", "PropagateTags": "",
	"MergeDefinitions": "-", "Domain": "", "AlwaysDeploy": "-", "Policy": "-", "SecurityPolicy": "-", "EndpointAccessMode": "-",
}

func (tr *transform) checkProperties(id string, p *template.Value, known map[string]string) {
	for _, f := range p.Entries() {
		how, ok := known[f.Key]
		switch {
		case !ok:
			tr.fail(f.Pos, id, "Properties."+f.Key, "property %s not defined for resource of type %s%s", f.Key, tr.resources.At(id, "Type").Str(), didYouMean(f.Key, known))
		case how == "-" && !f.Value.Empty():
			tr.notBuilt(f.Pos, id, "Properties."+f.Key, "the property "+f.Key)
		}
	}
}

func didYouMean(name string, known map[string]string) string {
	for k := range known {
		if strings.EqualFold(k, name) {
			return "; did you mean " + k + "?"
		}
	}
	names := make([]string, 0, len(known))
	for k := range known {
		if k != manageSwagger {
			names = append(names, k)
		}
	}
	return "; expected one of " + strings.Join(sortStrings(names), ", ")
}

// api is one AWS::Serverless::Api during its expansion.
type api struct {
	tr      *transform
	id      string
	r       *template.Value // the resource
	p       *template.Value // its properties
	body    *template.Value
	auth    *template.Value
	version string // OpenApiVersion, of the property or of the definition
}

func (tr *transform) expandAPI(id string, r *template.Value) {
	p := r.Get("Properties")
	tr.checkProperties(id, p, apiProperties)
	if !p.Has("StageName") {
		tr.fail(r.Pos, id, "Properties.StageName", "Missing required property 'StageName'.")
	}
	if !p.Get("DefinitionBody").Empty() && !p.Get("DefinitionUri").Empty() {
		tr.fail(p.KeyPos("DefinitionUri"), id, "Properties.DefinitionUri", "Specify either 'DefinitionUri' or 'DefinitionBody' property and not both.")
	}
	if p.Has("BinaryMediaTypes") {
		p.Set("BinaryMediaTypes", tr.resolveParameters(p.Get("BinaryMediaTypes")))
	}
	if p.Has("Auth") {
		p.Set("Auth", tr.resolveParameters(p.Get("Auth")))
	}
	a := &api{tr: tr, id: id, r: r, p: p, body: p.Get("DefinitionBody"), auth: p.Get("Auth")}
	openAPI := p.Get("OpenApiVersion")
	if v, ok := openAPI.Scalar(); ok {
		a.version = v
		if !openAPIVersion.MatchString(v) {
			tr.fail(openAPI.Pos, id, "Properties.OpenApiVersion", "The OpenApiVersion value must be of the format '3.0.0'.")
		}
	}
	if tr.failed() {
		return
	}
	a.expand(openAPI)
}

func (a *api) expand(openAPI *template.Value) {
	tr, p := a.tr, a.p
	rest := template.NewMap()
	pass := func(to *template.Value, names ...string) {
		for _, n := range names {
			if v := p.Get(n); v != nil {
				to.Set(n, v)
			}
		}
	}
	pass(rest, "BinaryMediaTypes", "MinimumCompressionSize")
	a.endpoint(rest)
	a.cors()
	a.authorization()
	a.gatewayResponses()
	if types := p.Get("BinaryMediaTypes"); !types.Empty() && validDefinition(a.body) {
		ed := tr.edit(a.body)
		ed.addBinaryTypes(types)
		a.body = ed.result()
	}
	a.models()
	for _, n := range []string{"FailOnWarnings", "Name", "Description", "Mode", "ApiKeySourceType"} {
		if v := p.Get(n); !v.Empty() {
			rest.Set(n, v)
		}
	}
	a.disableEndpoint()
	if tr.failed() {
		return
	}
	definition := a.definition(rest)
	a.tags(rest)
	tr.put(a.id, "AWS::ApiGateway::RestApi", rest, a.r, "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata", "DependsOn")
	a.deploymentAndStage(definition, openAPI)
}

func (a *api) definition(rest *template.Value) *template.Value {
	if uri := a.p.Get("DefinitionUri"); !uri.Empty() {
		loc := s3Location(uri)
		if loc == nil {
			a.tr.fail(uri.Pos, a.id, "Properties.DefinitionUri", "'DefinitionUri' is not a valid S3 Uri of the form 's3://bucket/key' with optional versionId query parameter.")
			return nil
		}
		rest.Set("BodyS3Location", loc)
		return loc
	}
	if a.body.Empty() {
		return nil
	}
	a.convert()
	rest.Set("Body", a.body)
	return a.body
}

func (a *api) convert() {
	if a.version == "" && !a.body.Has("swagger") {
		a.version, _ = a.body.Get("openapi").Scalar()
	}
	a.tr.convertOpenAPI(a.body, a.version)
}

// s3Location is {Bucket, Key, Version} of "s3://bucket/key?versionId=v" or of a map.
func s3Location(v *template.Value) *template.Value {
	if v.Is(template.Map) {
		if v.Get("Bucket").Empty() || v.Get("Key").Empty() {
			return nil
		}
		out := dict("Bucket", v.Get("Bucket"), "Key", v.Get("Key"))
		if x := v.Get("Version"); x != nil {
			set(out, "Version", x)
		}
		return out
	}
	rest, ok := strings.CutPrefix(v.Str(), "s3://")
	bucket, key, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || bucket == "" || key == "" {
		return nil
	}
	at := func(s string) *template.Value {
		return &template.Value{Kind: template.String, Text: s, Pos: v.Pos}
	}
	key, version, versioned := strings.Cut(key, "?versionId=")
	out := dict("Bucket", at(bucket), "Key", at(key))
	if versioned {
		set(out, "Version", at(version))
	}
	return out
}

func (a *api) endpoint(rest *template.Value) {
	e := a.p.Get("EndpointConfiguration")
	if e.Empty() {
		return
	}
	typ := e
	config := template.NewMap()
	if t := e.Get("Type"); !t.Empty() {
		typ = t
		config.Set("Types", list(typ))
		for _, n := range []string{"VPCEndpointIds", "VpcEndpointIds"} {
			if v := e.Get(n); v != nil {
				config.Set("VpcEndpointIds", v)
			}
		}
		if v := e.Get("IpAddressType"); v != nil {
			config.Set("IpAddressType", v)
		}
	} else {
		config.Set("Types", list(typ))
		if v := e.Get("IpAddressType"); v != nil {
			config = template.NewMap("IpAddressType", v)
			rest.Set("EndpointConfiguration", config)
			return
		}
	}
	rest.Set("EndpointConfiguration", config)
	rest.Set("Parameters", template.NewMap("endpointConfigurationTypes", typ.Clone()))
}

// editable reports whether a property that is written into the definition can be.
func (a *api) editable(property string) bool {
	v := a.p.Get(property)
	if v.Empty() {
		return false
	}
	if a.body.Empty() {
		a.tr.fail(v.Pos, a.id, "Properties."+property, "%s works only with inline Swagger specified in 'DefinitionBody' property.", property)
		return false
	}
	if !validDefinition(a.body) {
		a.tr.fail(v.Pos, a.id, "Properties."+property, "Unable to add %s configuration because 'DefinitionBody' does not contain a valid Swagger definition.", property)
		return false
	}
	return true
}

func (a *api) cors() {
	if !a.editable("Cors") {
		return
	}
	v := a.p.Get("Cors")
	c := corsSettings{origin: text("'*'")}
	switch {
	case v.Is(template.String) || v.IsIntrinsic():
		c.origin = v
	case v.Is(template.Map):
		for _, f := range v.Entries() {
			switch f.Key {
			case "AllowMethods":
				c.methods = f.Value
			case "AllowHeaders":
				c.headers = f.Value
			case "AllowOrigin":
				c.origin = f.Value
			case "MaxAge":
				c.maxAge = f.Value
			case "AllowCredentials":
				c.credentials = f.Value.Is(template.Bool) && f.Value.True
			default:
				a.tr.fail(f.Pos, a.id, "Properties.Cors."+f.Key, "Invalid value for 'Cors' property: expected AllowMethods, AllowHeaders, AllowOrigin, MaxAge or AllowCredentials")
				return
			}
		}
	default:
		a.tr.fail(v.Pos, a.id, "Properties.Cors", "Invalid value for 'Cors' property")
		return
	}
	if c.credentials && c.origin.Str() == "'*'" {
		a.tr.fail(v.Pos, a.id, "Properties.Cors.AllowCredentials", "Unable to add Cors configuration because 'AllowCredentials' can not be true when 'AllowOrigin' is \"'*'\" or not set")
		return
	}
	ed := a.tr.edit(a.body)
	for _, path := range a.tr.py.keys(ed.paths()) {
		ed.addCORS(path, c)
	}
	a.body = ed.result()
}

var authProperties = map[string]string{
	"Authorizers": "", "DefaultAuthorizer": "", "InvokeRole": "", "AddDefaultAuthorizerToCorsPreflight": "",
	"AddApiKeyRequiredToCorsPreflight": "", "ApiKeyRequired": "", "ResourcePolicy": "", "UsagePlan": "",
}

func (a *api) authorization() {
	if a.auth.Empty() || !a.editable("Auth") {
		return
	}
	for _, f := range a.auth.Entries() {
		if _, ok := authProperties[f.Key]; !ok {
			a.tr.fail(f.Pos, a.id, "Properties.Auth."+f.Key, "Invalid value for 'Auth' property: %s", strings.TrimPrefix(didYouMean(f.Key, authProperties), "; "))
			return
		}
	}
	ed := a.tr.edit(a.body)
	on := func(key string) bool { v := a.auth.Get(key); return v == nil || !v.Empty() }
	paths := a.tr.py.keys(ed.paths())
	authorizers := a.tr.authorizers(a.id, a.auth)
	if a.tr.failed() {
		return
	}
	if len(authorizers) > 0 {
		ed.addAuthorizers(authorizers, a.tr.partition)
		if name := a.auth.Get("DefaultAuthorizer"); !name.Empty() {
			if !a.knownAuthorizer(name, authorizers) {
				return
			}
			for _, path := range paths {
				ed.defaultAuthorizer(path, name, authorizers, on("AddDefaultAuthorizerToCorsPreflight"))
			}
		}
	} else if name := a.auth.Get("DefaultAuthorizer"); !name.Empty() {
		a.knownAuthorizer(name, nil)
	}
	if !a.auth.Get("ApiKeyRequired").Empty() {
		ed.addAPIKey()
		for _, path := range paths {
			ed.defaultAPIKey(path, on("AddApiKeyRequiredToCorsPreflight"))
		}
	}
	if rp := a.auth.Get("ResourcePolicy"); !rp.Empty() {
		for _, path := range paths {
			ed.resourcePolicy(rp, path, a.p.Get("StageName"))
		}
		ed.customStatements(rp.Get("CustomStatements"))
	}
	a.body = ed.result()
	a.convert()
}

func (a *api) knownAuthorizer(name *template.Value, authorizers []authorizer) bool {
	if !name.Is(template.String) {
		a.tr.fail(name.Pos, a.id, "Properties.Auth.DefaultAuthorizer", "DefaultAuthorizer is not a string.")
		return false
	}
	for _, x := range authorizers {
		if x.name == name.Text {
			return true
		}
	}
	a.tr.fail(name.Pos, a.id, "Properties.Auth.DefaultAuthorizer", "Unable to set DefaultAuthorizer because '%s' was not defined in 'Authorizers'.", name.Text)
	return false
}

func (a *api) gatewayResponses() {
	if !a.editable("GatewayResponses") {
		return
	}
	ed := a.tr.edit(a.body)
	all := a.p.Get("GatewayResponses")
	for _, typ := range a.tr.py.keys(all) {
		r := all.Get(typ)
		path := "Properties.GatewayResponses." + typ
		if !r.Is(template.Map) || r.IsIntrinsic() {
			a.tr.fail(r.Pos, a.id, path, "Property 'GatewayResponses.%s' should be a map.", typ)
			continue
		}
		for _, f := range r.Fields {
			if f.Key != "ResponseParameters" && f.Key != "ResponseTemplates" && f.Key != "StatusCode" {
				a.tr.fail(f.Pos, a.id, path+"."+f.Key, "Invalid property '%s' in 'GatewayResponses' property '%s'.", f.Key, typ)
			}
		}
		parameters := dict()
		for _, kind := range [][2]string{{"Headers", "header."}, {"Paths", "path."}, {"QueryStrings", "querystring."}} {
			v := r.At("ResponseParameters", kind[0])
			for _, k := range a.tr.py.keys(v) {
				setFrom(parameters, "gatewayresponse."+kind[1]+k, v.Get(k))
			}
		}
		templates := r.Get("ResponseTemplates")
		if templates.Empty() {
			templates = dict()
		}
		d := dict("responseParameters", parameters, "responseTemplates", templates)
		if code, ok := r.Get("StatusCode").Scalar(); ok {
			set(d, "statusCode", code)
		}
		ed.responses.Set(typ, d)
	}
	a.body = ed.result()
}

func (a *api) models() {
	if !a.editable("Models") {
		return
	}
	models := a.p.Get("Models")
	for _, f := range models.Entries() {
		if f.Value.Get("type").Empty() {
			a.tr.fail(f.Pos, a.id, "Properties.Models."+f.Key, "'Models' schema is missing 'type'.")
			return
		}
	}
	ed := a.tr.edit(a.body)
	ed.addModels(models)
	a.body = ed.result()
	a.convert()
}

func (a *api) disableEndpoint() {
	v := a.p.Get("DisableExecuteApiEndpoint")
	if v == nil || !validDefinition(a.body) {
		return
	}
	const key = "x-amazon-apigateway-endpoint-configuration"
	ed := a.tr.edit(a.body)
	targets := []*template.Value{ed.doc}
	if version, _ := ed.doc.Get("openapi").Scalar(); openAPI3.MatchString(version) {
		servers := ed.doc.Get("servers")
		if servers == nil {
			servers = list(dict())
			set(ed.doc, "servers", servers)
		}
		targets = servers.Items
	}
	for _, t := range targets {
		if !t.Has(key) {
			set(t, key, dict())
		}
		set(t.Get(key), "disableExecuteApiEndpoint", v)
	}
	a.body = ed.result()
}

// tags are passed to what is generated only where PropagateTags asks for it.
func (a *api) tags(rest *template.Value) {
	if a.p.Get("PropagateTags").Empty() {
		return
	}
	if t := tagList(a.tr.py, a.p.Get("Tags")); len(t.Items) > 0 {
		rest.Set("Tags", t)
	}
}

func tagList(py *python, tags *template.Value) *template.Value {
	out := list()
	for _, k := range py.keys(tags) {
		out.Items = append(out.Items, template.NewMap("Key", k, "Value", tags.Get(k)))
	}
	return out
}

func (a *api) deploymentAndStage(definition, openAPI *template.Value) {
	tr, p := a.tr, a.p
	id := a.id + "Deployment"
	d := template.NewMap("RestApiId", template.Ref(a.id))
	if openAPI.Empty() {
		d.Set("StageName", template.NewString("Stage"))
	}
	stageName := p.Get("StageName")
	stageID := a.id + stageName.Str() + "Stage"
	if !isAlphanumeric(stageName.Str()) {
		stageID = withHash(a.id+"Stage", stageName.Str())
	}
	if !definition.Empty() {
		data := []string{tr.py.text(definition)}
		if v, ok := openAPI.Scalar(); ok && v != "" {
			data = append(data, v)
		}
		if names := tr.functionNames[a.id]; names != "" {
			data = append(data, names)
		}
		hash := digest(strings.Join(data, "||"), 40)
		id += hash[:10]
		d.Set("Description", template.NewString("RestApi deployment id: "+hash))
	}
	stage := template.NewMap("RestApiId", template.Ref(a.id), "DeploymentId", template.Ref(id), "StageName", stageName)
	for _, n := range []string{"CacheClusterEnabled", "CacheClusterSize", "Variables", "MethodSettings", "AccessLogSetting", "CanarySetting", "TracingEnabled"} {
		if v := p.Get(n); v != nil {
			stage.Set(n, v)
		}
	}
	if v := p.Get("Tags"); v != nil {
		stage.Set("Tags", tagList(tr.py, v))
	}
	tr.put(id, "AWS::ApiGateway::Deployment", d, a.r, passThrough...)
	tr.put(stageID, "AWS::ApiGateway::Stage", stage, a.r, passThrough...)
	tr.refer(a.id, "Stage", stageID)
	tr.refer(a.id, "Deployment", id)
	a.domain(stageID)
	a.permissions()
	a.usagePlan(stageID)
}

// permissions let API Gateway call the functions of authorizers.
func (a *api) permissions() {
	if a.auth.Empty() {
		return
	}
	for _, x := range a.tr.authorizers(a.id, a.auth) {
		if x.functionArn.Empty() || !x.config.Get("DisableFunctionDefaultPermissions").Empty() {
			continue
		}
		arn := template.NewString("arn:" + a.tr.partition + ":execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}/authorizers/*")
		props := template.NewMap("Action", "lambda:InvokeFunction", "FunctionName", x.functionArn.Clone(), "Principal", "apigateway.amazonaws.com",
			"SourceArn", sub(arn, template.NewMap("__ApiId__", template.Ref(a.id))))
		a.tr.put(a.id+x.name+"AuthorizerPermission", "AWS::Lambda::Permission", props, a.r, passThrough...)
	}
}
