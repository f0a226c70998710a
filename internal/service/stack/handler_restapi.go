package stack

import (
	"context"
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
		Create: func(ctx context.Context, r *Request) (State, error) {
			if err := unsupported(r, "BodyS3Location", "CloneFrom"); err != nil {
				return State{}, err
			}
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
				if _, err := importBody(ctx, c, r, st.PhysicalID); err != nil {
					return st, err
				}
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

// apiName is what AWS calls an API without a name: the title of its definition.
func apiName(r *Request) string {
	if t, ok := r.Properties.At("Body", "info", "title").Scalar(); ok && t != "" {
		return t
	}
	return r.LogicalID
}

func importBody(ctx context.Context, c apigatewayapi.Service, r *Request, id string) (*apigatewayapi.RestApi, error) {
	in := &apigatewayapi.PutRestApiRequest{RestApiId: id, Mode: "overwrite", Parameters: mapOf(r.Properties.Get("Parameters"))}
	delete(in.Parameters, "endpointConfigurationTypes") // given as EndpointConfiguration already
	if m := r.text("Mode"); m != "" {
		in.Mode = apigatewayapi.PutMode(m)
	}
	if v, ok := r.Properties.Get("FailOnWarnings").Scalar(); ok {
		in.FailOnWarnings = wire.Bool(v == "true")
	}
	// The name of the template wins over the title of the definition.
	body := r.Properties.Get("Body").Clone()
	if name := r.text("Name"); name != "" && body.Get("info").Is(template.Map) {
		body.Get("info").Set("title", template.NewString(name))
	}
	in.Body = body.JSON()
	return c.PutRestApi(ctx, in)
}

func updateRestAPI(ctx context.Context, c apigatewayapi.Service, r *Request) (State, error) {
	st := State{PhysicalID: r.PhysicalID, Attributes: r.Attributes}
	if err := unsupported(r, "BodyS3Location", "CloneFrom"); err != nil {
		return st, err
	}
	p := patch{}
	p.scalar(r, "Name", "/name")
	p.scalar(r, "Description", "/description")
	p.scalar(r, "ApiKeySourceType", "/apiKeySource")
	p.scalar(r, "MinimumCompressionSize", "/minimumCompressionSize")
	p.scalar(r, "DisableExecuteApiEndpoint", "/disableExecuteApiEndpoint")
	p.document(r, "Policy", "/policy")
	p.members(textsOf(r.Previous.Get("BinaryMediaTypes")), textsOf(r.Properties.Get("BinaryMediaTypes")), "/binaryMediaTypes/")
	if was, is := textsOf(r.Previous.At("EndpointConfiguration", "Types")), textsOf(r.Properties.At("EndpointConfiguration", "Types")); len(was) == 1 && len(is) == 1 && was[0] != is[0] {
		p.add("replace", "/endpointConfiguration/types/"+was[0], is[0])
	}
	if len(p.ops) > 0 {
		if _, err := c.UpdateRestApi(ctx, &apigatewayapi.UpdateRestApiRequest{RestApiId: r.PhysicalID, PatchOperations: p.ops}); err != nil {
			return st, err
		}
	}
	if r.Properties.Has("Body") && r.changed("Body", "Mode", "Parameters", "FailOnWarnings") {
		out, err := importBody(ctx, c, r, r.PhysicalID)
		if err != nil {
			return st, err
		}
		if root := wire.Value(out.RootResourceId); root != "" {
			st.Attributes = map[string]string{"RestApiId": r.PhysicalID, "RootResourceId": root}
		}
	}
	return st, nil
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
			p.scalar(r, "ValidateRequestBody", "/validateRequestBody")
			p.scalar(r, "ValidateRequestParameters", "/validateRequestParameters")
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
