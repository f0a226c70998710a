package restapi

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// resources names what a call acts on. API Gateway's ARNs are paths of its own API without
// an account: arn:aws:apigateway:{region}::/restapis/{id}/... (Service Authorization
// Reference); the call has it already.
func (s *Service) resources(ops map[string]*wire.Operation) func(*wire.Call, string, any) []wire.Need {
	return func(c *wire.Call, name string, in any) []wire.Need {
		op := ops[name]
		if op == nil {
			return nil
		}
		keys, before, after := policy.Context{}, attributes{}, attributes{}
		s.tagsOf(c, keys, op, in)
		s.requested(c, keys, op, in, &before, &after)
		after.set(keys, op, "apigateway:Request/")
		before.set(keys, op, "apigateway:Resource/")
		needs := wire.Needs(keys, c.Resource)
		if after.policy {
			needs = append(needs, wire.Need{Action: "apigateway:UpdateRestApiPolicy", Resource: c.Resource, Keys: keys})
		}
		if r, ok := in.(*apigatewayapi.CreateRestApiRequest); ok && wire.Value(r.CloneFrom) != "" { // a clone shows all of its source
			for _, part := range []string{"", "/resources"} {
				needs = append(needs, wire.Need{Action: "apigateway:GET", Resource: c.Resource + "/" + *r.CloneFrom + part, Keys: s.cloneKeys(c, *r.CloneFrom)})
			}
		}
		if r, ok := in.(*apigatewayapi.UpdateAccountRequest); ok {
			needs = append(needs, logRoles(r, c.Resource)...)
		}
		needs = append(needs, domainNeeds(c, keys, in)...)
		if t, ok := in.(*apigatewayapi.TagResourceRequest); ok {
			needs = append(needs, wire.Need{Action: "apigateway:PATCH", Resource: t.ResourceArn, Keys: keys})
		}
		return needs
	}
}

// cloneKeys are the condition keys of the API that a clone is made from: its tags.
func (s *Service) cloneKeys(c *wire.Call, api string) policy.Context {
	keys := policy.Context{}
	wire.ResourceTags(keys, s.inheritedTags(wire.WithCall(context.Background(), c), []string{"restapis", api}))
	return keys
}

// logRoles are the needs to pass the role with which the account's logs are written.
func logRoles(in *apigatewayapi.UpdateAccountRequest, resource string) (needs []wire.Need) {
	for _, p := range in.PatchOperations {
		if role := wire.Value(p.Value); wire.Value(p.Path) == "/cloudwatchRoleArn" && role != "" {
			needs = append(needs, wire.PassRole(role, gatewayPrincipal, resource))
		}
	}
	return needs
}

// attributes are what condition keys tell of an API, a method, an authorizer or a stage:
// as it is, or as a request wants it.
type attributes struct {
	values map[string][]string // by the last part of the key
	policy bool                // the request writes a resource policy
}

func (a *attributes) add(name string, values ...string) {
	if a.values == nil {
		a.values = map[string][]string{}
	}
	for _, v := range values {
		if v != "" && !slices.Contains(a.values[name], v) {
			a.values[name] = append(a.values[name], v)
		}
	}
}

// set writes the keys that the operation lists.
func (a *attributes) set(keys policy.Context, op *wire.Operation, prefix string) {
	for name, values := range a.values {
		if op.Lists(prefix + name) {
			keys.Set(prefix+name, values...)
		}
	}
}

func (a *attributes) api(r *apigatewayapi.RestApi) {
	a.add("ApiName", wire.Value(r.Name))
	a.add("DisableExecuteApiEndpoint", strconv.FormatBool(wire.Value(r.DisableExecuteApiEndpoint)))
	a.endpoint(r.EndpointConfiguration)
}

func (a *attributes) endpoint(e *apigatewayapi.EndpointConfiguration) {
	if e == nil {
		a.add("EndpointType", "EDGE") // API Gateway's default
		return
	}
	for _, t := range e.Types {
		a.add("EndpointType", string(t))
	}
}

func (a *attributes) authorizer(r apigatewayapi.Authorizer) {
	a.add("AuthorizerType", string(r.Type))
	a.add("AuthorizerUri", wire.Value(r.AuthorizerUri))
}

func (a *attributes) method(m apigatewayapi.Method) {
	a.add("ApiKeyRequired", strconv.FormatBool(wire.Value(m.ApiKeyRequired)))
	a.add("RouteAuthorizationType", wire.Value(m.AuthorizationType))
}

// all are the attributes of every method and authorizer, for what is imported as a whole.
func (a *attributes) all(d *definition) {
	a.api(&d.API)
	for _, r := range d.Authorizers {
		a.authorizer(r)
	}
	for _, r := range d.Resources {
		for _, m := range r.ResourceMethods {
			a.method(m)
		}
	}
}

// patches are the attributes that patch operations set, by their paths, which are read
// as the operation itself reads them.
func (a *attributes) patches(list []apigatewayapi.PatchOperation, names map[string]string) {
	for _, p := range list {
		path := "/" + strings.Join(escaped(pointer(wire.Value(p.Path))), "/")
		for prefix, name := range names {
			if path == prefix || strings.HasPrefix(path, prefix+"/") {
				a.add(name, wire.Value(p.Value))
			}
		}
		a.policy = a.policy || path == "/policy"
	}
}

// requested reads an input and what it acts on. What does not exist has no attributes: the
// call itself will not find it either.
func (s *Service) requested(c *wire.Call, keys policy.Context, op *wire.Operation, in any, before, after *attributes) {
	ctx := wire.WithCall(context.Background(), c)
	view := func(api string, fn func(d *definition)) {
		_ = s.view(ctx, api, func(d *definition) error { fn(d); return nil }) // or the call itself will fail on it
	}
	switch in := in.(type) {
	case *apigatewayapi.CreateRestApiRequest:
		after.api(&apigatewayapi.RestApi{Name: &in.Name, DisableExecuteApiEndpoint: in.DisableExecuteApiEndpoint, EndpointConfiguration: in.EndpointConfiguration})
		after.policy = wire.Value(in.Policy) != ""
		if from := wire.Value(in.CloneFrom); from != "" {
			view(from, func(d *definition) { after.policy = after.policy || wire.Value(d.API.Policy) != "" })
		}
	case *apigatewayapi.UpdateRestApiRequest:
		after.patches(in.PatchOperations, map[string]string{"/name": "ApiName", "/endpointConfiguration/types": "EndpointType"})
		view(in.RestApiId, func(d *definition) { before.api(&d.API) })
	case *apigatewayapi.DeleteRestApiRequest:
		view(in.RestApiId, func(d *definition) { before.api(&d.API) })
	case *apigatewayapi.ImportRestApiRequest:
		if d, err := s.newDefinition(s.place(ctx), apigatewayapi.RestApi{}); err == nil {
			s.imported(&d, in.Body, in.Parameters, after)
		}
	case *apigatewayapi.PutRestApiRequest:
		view(in.RestApiId, func(d *definition) {
			before.all(d)
			if in.Mode == apigatewayapi.PutModeoverwrite {
				d.clear()
			}
			s.imported(d, in.Body, in.Parameters, after)
		})
	case *apigatewayapi.CreateAuthorizerRequest:
		after.authorizer(apigatewayapi.Authorizer{Type: in.Type, AuthorizerUri: in.AuthorizerUri})
	case *apigatewayapi.UpdateAuthorizerRequest:
		after.patches(in.PatchOperations, map[string]string{"/type": "AuthorizerType", "/authorizerUri": "AuthorizerUri"})
		view(in.RestApiId, func(d *definition) { before.authorizer(d.Authorizers[in.AuthorizerId]) })
	case *apigatewayapi.DeleteAuthorizerRequest:
		view(in.RestApiId, func(d *definition) { before.authorizer(d.Authorizers[in.AuthorizerId]) })
	case *apigatewayapi.PutMethodRequest:
		after.method(apigatewayapi.Method{ApiKeyRequired: in.ApiKeyRequired, AuthorizationType: &in.AuthorizationType})
		view(in.RestApiId, func(d *definition) { before.existing(d, in.ResourceId, in.HttpMethod) })
	case *apigatewayapi.DeleteMethodRequest:
		view(in.RestApiId, func(d *definition) { before.existing(d, in.ResourceId, in.HttpMethod) })
	case *apigatewayapi.CreateDeploymentRequest:
		after.add("StageName", wire.Value(in.StageName))
	case *apigatewayapi.UpdateStageRequest:
		after.patches(in.PatchOperations, map[string]string{"/accessLogSettings/destinationArn": "AccessLoggingDestination", "/accessLogSettings/format": "AccessLoggingFormat"})
		s.loggedBy(ctx, in.RestApiId, in.StageName, before)
	case *apigatewayapi.DeleteStageRequest:
		s.loggedBy(ctx, in.RestApiId, in.StageName, before)
	case *apigatewayapi.CreateDomainNameRequest:
		after.endpoint(in.EndpointConfiguration)
		after.add("SecurityPolicy", string(in.SecurityPolicy))
		if m := in.MutualTlsAuthentication; m != nil {
			after.add("MtlsTrustStoreUri", wire.Value(m.TruststoreUri))
			after.add("MtlsTrustStoreVersion", wire.Value(m.TruststoreVersion))
		}
	case *apigatewayapi.UpdateDomainNameRequest:
		after.patches(in.PatchOperations, map[string]string{"/endpointConfiguration/types": "EndpointType", "/securityPolicy": "SecurityPolicy",
			"/mutualTlsAuthentication/truststoreUri": "MtlsTrustStoreUri", "/mutualTlsAuthentication/truststoreVersion": "MtlsTrustStoreVersion"})
		s.domainAttributes(ctx, in.DomainName, in.DomainNameId, before)
		after.policy = false // see domainNeeds
	case *apigatewayapi.DeleteDomainNameRequest:
		s.domainAttributes(ctx, in.DomainName, in.DomainNameId, before)
	case *apigatewayapi.CreateDomainNameAccessAssociationRequest:
		after.add("AccessAssociationSource", in.AccessAssociationSource)
		after.add("DomainNameArn", in.DomainNameArn)
	case *apigatewayapi.TagResourceRequest:
		wire.RequestTags(keys, in.Tags)
	case *apigatewayapi.UntagResourceRequest:
		wire.TagKeys(keys, in.TagKeys...)
	}
}

// existing are the attributes of a method that is there already.
func (a *attributes) existing(d *definition, resource, verb string) {
	if m, err := d.method(resource, verb); err == nil {
		a.method(m)
	}
}

// imported are the attributes that a definition has after an import. One that fails here
// fails again when it is carried out.
func (s *Service) imported(d *definition, body []byte, parameters map[string]string, after *attributes) {
	doc, err := parseOpenAPI(body)
	if err != nil {
		return
	}
	doc.parameters = parameters
	old := wire.Value(d.API.Policy)
	if _, err := s.importInto(d, doc); err != nil {
		return
	}
	after.all(d)
	after.policy = wire.Value(d.API.Policy) != old
}

// domainAttributes are the attributes of a custom domain name.
func (s *Service) domainAttributes(ctx context.Context, name string, id *string, a *attributes) {
	_ = s.db.View(ctx, func(tx *store.Tx) error { // or the call itself will fail on it
		d, err := s.domain(tx, s.place(ctx), name, id)
		if err != nil {
			return err
		}
		a.endpoint(d.Domain.EndpointConfiguration)
		a.add("SecurityPolicy", string(d.Domain.SecurityPolicy))
		a.add("RoutingMode", string(d.Domain.RoutingMode))
		if m := d.Domain.MutualTlsAuthentication; m != nil {
			a.add("MtlsTrustStoreUri", wire.Value(m.TruststoreUri))
		}
		return nil
	})
}

// loggedBy are the attributes of a stage.
func (s *Service) loggedBy(ctx context.Context, api, name string, a *attributes) {
	_ = s.db.View(ctx, func(tx *store.Tx) error { // or the call itself will fail on it
		st, err := s.stage(tx, s.place(ctx), api, name)
		if err == nil && st.Stage.AccessLogSettings != nil {
			a.add("AccessLoggingDestination", wire.Value(st.Stage.AccessLogSettings.DestinationArn))
			a.add("AccessLoggingFormat", wire.Value(st.Stage.AccessLogSettings.Format))
		}
		return err
	})
}

// tagsOf adds the tags that a request brings to a new resource, and those of the resource it
// acts on. What lies below an API inherits the API's tags; a stage's own come first.
func (s *Service) tagsOf(c *wire.Call, keys policy.Context, op *wire.Operation, in any) {
	switch in := in.(type) {
	case *apigatewayapi.CreateRestApiRequest:
		wire.RequestTags(keys, in.Tags)
	case *apigatewayapi.CreateStageRequest:
		wire.RequestTags(keys, in.Tags)
	case *apigatewayapi.CreateApiKeyRequest:
		wire.RequestTags(keys, in.Tags)
	case *apigatewayapi.CreateUsagePlanRequest:
		wire.RequestTags(keys, in.Tags)
	case *apigatewayapi.CreateDomainNameRequest:
		wire.RequestTags(keys, in.Tags)
	case *apigatewayapi.CreateVpcLinkRequest:
		wire.RequestTags(keys, in.Tags)
	case *apigatewayapi.GenerateClientCertificateRequest:
		wire.RequestTags(keys, in.Tags)
	case *apigatewayapi.CreateDomainNameAccessAssociationRequest:
		wire.RequestTags(keys, in.Tags)
	}
	if !op.Lists("aws:ResourceTag/any") {
		return
	}
	named := c.Resource
	if arn := wire.Member(in, "ResourceArn"); arn != "" {
		named = arn
	}
	_, path, _ := strings.Cut(named, ":/")
	wire.ResourceTags(keys, s.inheritedTags(wire.WithCall(context.Background(), c), strings.Split(path, "/")))
}

// inheritedTags are the tags of the resource at a path, with those of the API above it.
func (s *Service) inheritedTags(ctx context.Context, part []string) map[string]string {
	tags := map[string]string{}
	if len(part) < 2 {
		return tags
	}
	_ = s.db.View(ctx, func(tx *store.Tx) error { // what is not found has no tags; the call will not find it either
		p := s.place(ctx)
		switch part[0] {
		case "restapis":
			d, err := s.definition(tx, p, part[1])
			if err != nil {
				return err
			}
			maps.Copy(tags, d.API.Tags)
			if len(part) > 3 && part[2] == "stages" {
				st, err := s.stage(tx, p, part[1], part[3])
				maps.Copy(tags, st.Stage.Tags)
				return err
			}
		case "apikeys":
			k, err := s.key(tx, p, part[1])
			maps.Copy(tags, k.Key.Tags)
			return err
		case "domainnames":
			d, err := s.domainAt(tx, p, part[1])
			maps.Copy(tags, d.Domain.Tags)
			return err
		case "domainnameaccessassociations":
			if len(part) != 5 {
				return nil
			}
			a, err := s.association(tx, associationRef{p.account, p.region, part[2], part[4]})
			maps.Copy(tags, a.Association.Tags)
			return err
		case "vpclinks":
			l, err := s.link(tx, p, part[1])
			maps.Copy(tags, l.Link.Tags)
			return err
		case "clientcertificates":
			c, err := s.certificate(tx, p, part[1])
			maps.Copy(tags, c.Certificate.Tags)
			return err
		case "usageplans":
			pl, err := s.plan(tx, p, part[1])
			maps.Copy(tags, pl.Plan.Tags)
			return err
		}
		return nil
	})
	return tags
}

// domainNeeds are what calls about private custom domain names ask for besides: the right to write each of
// their policies, and to begin or end an association (Service Authorization Reference, "Amazon API Gateway Management").
func domainNeeds(c *wire.Call, keys policy.Context, in any) (needs []wire.Need) {
	need := func(action, resource string) {
		needs = append(needs, wire.Need{Action: "apigateway:" + action, Resource: resource, Keys: keys})
	}
	switch in := in.(type) {
	case *apigatewayapi.CreateDomainNameRequest:
		if wire.Value(in.Policy) != "" {
			need("UpdateDomainNamePolicy", c.Resource)
		}
	case *apigatewayapi.UpdateDomainNameRequest:
		for _, op := range in.PatchOperations {
			switch strings.Join(pointer(wire.Value(op.Path)), "/") {
			case "policy":
				need("UpdateDomainNamePolicy", c.Resource)
			case "managementPolicy":
				need("UpdateDomainNameManagementPolicy", c.Resource)
			}
		}
	case *apigatewayapi.CreateDomainNameAccessAssociationRequest:
		need("CreateAccessAssociation", in.DomainNameArn)
	case *apigatewayapi.RejectDomainNameAccessAssociationRequest:
		need("RejectAccessAssociation", in.DomainNameArn)
	}
	return needs
}
