package stack

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"moat/internal/service/stack/template"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

func restAPIHandlers(c apigatewayapi.Service) map[string]Handler {
	return map[string]Handler{
		"AWS::ApiGateway::RestApi":          restAPI(c),
		"AWS::ApiGateway::Authorizer":       apiAuthorizer(c),
		"AWS::ApiGateway::Model":            apiModel(c),
		"AWS::ApiGateway::RequestValidator": requestValidator(c),
		"AWS::ApiGateway::GatewayResponse":  gatewayResponse(c),
		"AWS::ApiGateway::Account":          apiAccount(c),
	}
}

var restAPIRename = map[string]string{
	"Body": skip, "BodyS3Location": skip, "FailOnWarnings": skip, "Mode": skip, "Parameters": skip, "Tags": skip, "ApiKeySourceType": "ApiKeySource",
}

func restAPI(c apigatewayapi.Service) Handler {
	state := func(a *apigatewayapi.RestApi) State {
		id := wire.Value(a.Id)
		return State{PhysicalID: id, Attributes: map[string]string{"RestApiId": id, "RootResourceId": wire.Value(a.RootResourceId)}}
	}
	return Handler{
		Shapes:  []Shape{{Operation: "apigateway:CreateRestApi", Rename: restAPIRename}, {Operation: "apigateway:PutRestApi", Rename: restAPIOnly}},
		Refuses: refusedOfRestAPI,
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateRestApiRequest{}
			if err := decode(r.Properties, in, restAPIRename); err != nil {
				return State{}, err
			}
			in.Tags = r.marked("Tags")
			if in.Name == "" {
				in.Name = apiName(r)
			}
			out, err := c.CreateRestApi(ctx, in)
			if err != nil {
				return State{}, err
			}
			st := state(out)
			if r.Properties.Has("Body") {
				return st, importBody(ctx, c, r, st.PhysicalID)
			}
			return st, nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) { return updateRestAPI(ctx, c, r) },
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteRestApi(ctx, &apigatewayapi.DeleteRestApiRequest{RestApiId: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.GetRestApis(ctx, &apigatewayapi.GetRestApisRequest{Limit: wire.Int32(500)})
			if err != nil {
				return State{}, false, err
			}
			for i := range out.Items {
				if a := &out.Items[i]; r.mine(a.Tags) && wire.Value(a.Id) != r.PhysicalID {
					return state(a), true, nil
				}
			}
			return State{}, false, nil
		},
	}
}

// restAPIOnly leaves of the properties of an API what its import takes.
var restAPIOnly = map[string]string{
	"Body": skip, "BodyS3Location": skip, "CloneFrom": skip, "Tags": skip, "ApiKeySourceType": skip, "BinaryMediaTypes": skip, "Description": skip,
	"DisableExecuteApiEndpoint": skip, "EndpointConfiguration": skip, "MinimumCompressionSize": skip, "Name": skip, "Policy": skip, "Version": skip,
	"EndpointAccessMode": skip, "SecurityPolicy": skip,
}

func refusedOfRestAPI(known *template.Value) []Refusal {
	out := refusals(known, map[string]string{"BodyS3Location": "there is no S3 here; give the definition as Body"})
	if strings.HasPrefix(known.Get("SecurityPolicy").Str(), "SecurityPolicy_") {
		out = append(out, Refusal{"SecurityPolicy", "an API's own endpoint is Moat's, which has one list of ciphers"})
	}
	if known.Get("EndpointAccessMode").Str() == "STRICT" {
		out = append(out, Refusal{"EndpointAccessMode", "strict access to endpoints is not built"})
	}
	if known.Has("CloneFrom") && known.Has("Body") {
		out = append(out, Refusal{"CloneFrom", "an API is made from another one or from a definition, not from both"})
	}
	return out
}

// refusals are those of the properties that are there.
func refusals(known *template.Value, why map[string]string) []Refusal {
	var out []Refusal
	for _, property := range sortedKeys(why) {
		if !known.At(strings.Split(property, ".")...).Empty() {
			out = append(out, Refusal{property, why[property]})
		}
	}
	return out
}

// apiName is what AWS calls an API without a name: the title of its definition.
func apiName(r *Request) string {
	if t, ok := r.Properties.At("Body", "info", "title").Scalar(); ok && t != "" {
		return t
	}
	return r.LogicalID
}

// importBody takes the definition in. What the template says beside it wins: the settings are
// written again after the import, which may have overwritten them.
func importBody(ctx context.Context, c apigatewayapi.Service, r *Request, id string) error {
	in := &apigatewayapi.PutRestApiRequest{RestApiId: id, Mode: "overwrite", Parameters: mapOf(r.Properties.Get("Parameters"))}
	delete(in.Parameters, "endpointConfigurationTypes") // given as EndpointConfiguration already
	if m := r.text("Mode"); m != "" {
		in.Mode = apigatewayapi.PutMode(m)
	}
	if v, ok := r.Properties.Get("FailOnWarnings").Scalar(); ok {
		in.FailOnWarnings = wire.Bool(strings.EqualFold(v, "true"))
	}
	body := r.Properties.Get("Body").Clone()
	if text := body.Str(); text != "" {
		in.Body = []byte(text)
	} else {
		in.Body = body.JSON()
	}
	if _, err := c.PutRestApi(ctx, in); err != nil {
		return err
	}
	given := *r
	given.Previous = template.NewMap()
	if e := r.Properties.Get("EndpointConfiguration"); e != nil {
		given.Previous.Set("EndpointConfiguration", e.Clone())
	}
	p := patch{}
	p.restAPI(&given)
	return patchRestAPI(ctx, c, id, p)
}

// restAPI patches the settings of an API that changed.
func (p *patch) restAPI(r *Request) {
	if r.Properties.Has("Name") {
		p.scalar(r, "Name", "/name")
	}
	p.scalar(r, "Description", "/description")
	p.scalar(r, "Version", "/version")
	p.or(r, "ApiKeySourceType", "/apiKeySource", "HEADER")
	p.or(r, "MinimumCompressionSize", "/minimumCompressionSize", "")
	p.or(r, "DisableExecuteApiEndpoint", "/disableExecuteApiEndpoint", "false")
	p.document(r, "Policy", "/policy")
	p.members(textsOf(r.Previous.Get("BinaryMediaTypes")), textsOf(r.Properties.Get("BinaryMediaTypes")), "/binaryMediaTypes/")
	p.endpoint(r)
	for _, m := range [][2]string{{"SecurityPolicy", "/securityPolicy"}, {"EndpointAccessMode", "/endpointAccessMode"}} {
		if r.Properties.Has(m[0]) { // what is gone stays as it was: there is no way back to none
			p.scalar(r, m[0], m[1])
		}
	}
}

func patchRestAPI(ctx context.Context, c apigatewayapi.Service, id string, p patch) error {
	if len(p.ops) == 0 {
		return nil
	}
	_, err := c.UpdateRestApi(ctx, &apigatewayapi.UpdateRestApiRequest{RestApiId: id, PatchOperations: p.ops})
	return err
}

func updateRestAPI(ctx context.Context, c apigatewayapi.Service, r *Request) (State, error) {
	st := State{PhysicalID: r.PhysicalID, Attributes: r.Attributes}
	if r.changed("CloneFrom") {
		return st, errors.New("an API that is there is not made from another one: CloneFrom counts at creation only")
	}
	p := patch{}
	p.restAPI(r)
	if r.text("Name") == "" && r.Previous.Has("Name") {
		p.add("replace", "/name", apiName(r))
	}
	if err := patchRestAPI(ctx, c, r.PhysicalID, p); err != nil {
		return st, err
	}
	if r.Properties.Has("Body") && r.changed("Body", "Mode", "Parameters", "FailOnWarnings") {
		if err := importBody(ctx, c, r, r.PhysicalID); err != nil {
			return st, err
		}
	}
	return st, retag(ctx, c, r, "/restapis/"+r.PhysicalID)
}

// patch collects the operations of one PATCH.
type patch struct {
	ops []apigatewayapi.PatchOperation
}

func (p *patch) add(op, path, value string) {
	o := apigatewayapi.PatchOperation{Op: apigatewayapi.Op(op), Path: &path}
	if op != "remove" {
		o.Value = &value
	}
	p.ops = append(p.ops, o)
}

// scalar patches a property that changed.
func (p *patch) scalar(r *Request, property, path string) {
	if !r.changed(property) {
		return
	}
	v, _ := r.Properties.Get(property).Scalar()
	p.add("replace", path, v)
}

// or patches a property that changed; one that is gone takes its default.
func (p *patch) or(r *Request, property, path, absent string) {
	switch v := r.Properties.Get(property); {
	case !r.changed(property):
	case v != nil:
		p.add("replace", path, decimal(v))
	default:
		p.add("replace", path, absent)
	}
}

// optional patches a property that changed; one that is gone is removed.
func (p *patch) optional(r *Request, property, path string) {
	switch v := r.Properties.Get(property); {
	case !r.changed(property):
	case v != nil:
		p.add("replace", path, jsonText(v))
	default:
		p.add("remove", path, "")
	}
}

func (p *patch) document(r *Request, property, path string) {
	if !r.changed(property) {
		return
	}
	if v := r.Properties.Get(property); v != nil {
		p.add("replace", path, jsonText(v))
		return
	}
	p.add("replace", path, "")
}

// members patches a set by adding and removing single entries.
func (p *patch) members(was, is []string, prefix string) {
	old, now := setOf(was), setOf(is)
	for _, k := range sortedKeys(now) {
		if !old[k] {
			p.add("add", prefix+escapePointer(k), "")
			p.ops[len(p.ops)-1].Value = nil
		}
	}
	for _, k := range sortedKeys(old) {
		if !now[k] {
			p.add("remove", prefix+escapePointer(k), "")
		}
	}
}

// entries patches a map of texts.
func (p *patch) entries(was, is map[string]string, prefix string) {
	for _, k := range sortedKeys(is) {
		if v, ok := was[k]; !ok || v != is[k] {
			p.add("replace", prefix+escapePointer(k), is[k])
		}
	}
	for _, k := range sortedKeys(was) {
		if _, kept := is[k]; !kept {
			p.add("remove", prefix+escapePointer(k), "")
		}
	}
}

func escapePointer(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}

func apiAuthorizer(c apigatewayapi.Service) Handler {
	state := func(id string) State {
		return State{PhysicalID: id, Attributes: map[string]string{"AuthorizerId": id}}
	}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateAuthorizer"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateAuthorizerRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			out, err := c.CreateAuthorizer(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(wire.Value(out.Id)), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			p := patch{}
			for property, path := range map[string]string{
				"Name": "/name", "Type": "/type", "AuthType": "/authType", "AuthorizerUri": "/authorizerUri", "AuthorizerCredentials": "/authorizerCredentials",
				"IdentitySource": "/identitySource", "IdentityValidationExpression": "/identityValidationExpression", "AuthorizerResultTtlInSeconds": "/authorizerResultTtlInSeconds",
			} {
				p.scalar(r, property, path)
			}
			old, now := setOf(textsOf(r.Previous.Get("ProviderARNs"))), setOf(textsOf(r.Properties.Get("ProviderARNs")))
			for _, arn := range sortedKeys(now) {
				if !old[arn] {
					p.add("add", "/providerARNs", arn)
				}
			}
			for _, arn := range sortedKeys(old) {
				if !now[arn] {
					p.add("remove", "/providerARNs", "")
					p.ops[len(p.ops)-1].Value = wire.String(arn)
				}
			}
			_, err := c.UpdateAuthorizer(ctx, &apigatewayapi.UpdateAuthorizerRequest{RestApiId: r.text("RestApiId"), AuthorizerId: r.PhysicalID, PatchOperations: p.ops})
			return state(r.PhysicalID), err
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteAuthorizer(ctx, &apigatewayapi.DeleteAuthorizerRequest{RestApiId: r.text("RestApiId"), AuthorizerId: r.PhysicalID})
			return err
		},
	}
}

func apiModel(c apigatewayapi.Service) Handler {
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateModel"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateModelRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			if in.ContentType == "" {
				in.ContentType = "application/json"
			}
			if in.Name == "" { // letters and digits only
				in.Name = strings.ReplaceAll(fit(r.Name, 64), "-", "")
			}
			if _, err := c.CreateModel(ctx, in); err != nil {
				return State{}, err
			}
			return State{PhysicalID: in.Name}, nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			p := patch{}
			p.scalar(r, "Description", "/description")
			p.document(r, "Schema", "/schema")
			_, err := c.UpdateModel(ctx, &apigatewayapi.UpdateModelRequest{RestApiId: r.text("RestApiId"), ModelName: r.PhysicalID, PatchOperations: p.ops})
			return State{PhysicalID: r.PhysicalID}, err
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteModel(ctx, &apigatewayapi.DeleteModelRequest{RestApiId: r.text("RestApiId"), ModelName: r.PhysicalID})
			return err
		},
	}
}

func requestValidator(c apigatewayapi.Service) Handler {
	state := func(id string) State {
		return State{PhysicalID: id, Attributes: map[string]string{"RequestValidatorId": id}}
	}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateRequestValidator"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateRequestValidatorRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			out, err := c.CreateRequestValidator(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(wire.Value(out.Id)), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			p := patch{}
			p.or(r, "ValidateRequestBody", "/validateRequestBody", "false")
			p.or(r, "ValidateRequestParameters", "/validateRequestParameters", "false")
			_, err := c.UpdateRequestValidator(ctx, &apigatewayapi.UpdateRequestValidatorRequest{RestApiId: r.text("RestApiId"), RequestValidatorId: r.PhysicalID, PatchOperations: p.ops})
			return state(r.PhysicalID), err
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteRequestValidator(ctx, &apigatewayapi.DeleteRequestValidatorRequest{RestApiId: r.text("RestApiId"), RequestValidatorId: r.PhysicalID})
			return err
		},
	}
}

func gatewayResponse(c apigatewayapi.Service) Handler {
	put := func(ctx context.Context, r *Request) (State, error) {
		in := &apigatewayapi.PutGatewayResponseRequest{}
		if err := decode(r.Properties, in, nil); err != nil {
			return State{}, err
		}
		if _, err := c.PutGatewayResponse(ctx, in); err != nil {
			return State{}, err
		}
		id := in.RestApiId + "-" + string(in.ResponseType)
		return State{PhysicalID: id, Attributes: map[string]string{"Id": id}}, nil
	}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:PutGatewayResponse"}},
		Create: put,
		Update: put,
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteGatewayResponse(ctx, &apigatewayapi.DeleteGatewayResponseRequest{
				RestApiId: r.text("RestApiId"), ResponseType: apigatewayapi.GatewayResponseType(r.text("ResponseType")),
			})
			return err
		},
		Replaces: func(r *Request) bool { return r.changed("ResponseType", "RestApiId") },
	}
}

// apiAccount sets the role with which API Gateway writes logs.
func apiAccount(c apigatewayapi.Service) Handler {
	put := func(ctx context.Context, r *Request) (State, error) {
		p := patch{}
		p.add("replace", "/cloudwatchRoleArn", r.text("CloudWatchRoleArn"))
		if _, err := c.UpdateAccount(ctx, &apigatewayapi.UpdateAccountRequest{PatchOperations: p.ops}); err != nil {
			return State{}, err
		}
		return State{PhysicalID: r.Name, Attributes: map[string]string{"Id": r.Name}}, nil
	}
	return Handler{
		Create: put,
		Update: func(ctx context.Context, r *Request) (State, error) {
			st, err := put(ctx, r)
			st.PhysicalID, st.Attributes = r.PhysicalID, r.Attributes
			return st, err
		},
		Delete: func(context.Context, *Request) error { return nil }, // the account keeps its setting, as on AWS
	}
}

// decimal writes a number as API Gateway's patch operations want it.
func decimal(v *template.Value) string {
	text, _ := v.Scalar()
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return text
}
