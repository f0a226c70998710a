package restapi

import (
	"errors"
	"slices"
	"strings"

	"moat/internal/gateway"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// isPrivate reports whether what is served under a configuration is reached by VPC endpoints alone.
func isPrivate(e *apigatewayapi.EndpointConfiguration) bool {
	return e != nil && slices.Contains(e.Types, apigatewayapi.EndpointTypePRIVATE)
}

// checkEndpoint holds an API to one endpoint type with what belongs to it.
func checkEndpoint(e *apigatewayapi.EndpointConfiguration) error {
	for _, t := range e.Types {
		if t != apigatewayapi.EndpointTypeEDGE && t != apigatewayapi.EndpointTypeREGIONAL && t != apigatewayapi.EndpointTypePRIVATE {
			return badRequest("Invalid endpoint type '%s'. Valid options are EDGE, REGIONAL and PRIVATE", t)
		}
	}
	switch {
	case len(e.Types) != 1:
		return badRequest("An API has exactly one endpoint type")
	case len(e.VpcEndpointIds) > 0 && !isPrivate(e):
		return badRequest("VPCEndpoints can only be specified with PRIVATE apis.")
	case e.IpAddressType != "" && e.IpAddressType != apigatewayapi.IpAddressTypeipv4 && e.IpAddressType != apigatewayapi.IpAddressTypedualstack:
		return badRequest("Invalid IP address type '%s'. Valid options are ipv4 and dualstack", e.IpAddressType)
	}
	return nil
}

// checkReach holds a configuration that is to take the place of another one, or of none, to what
// private endpoints are (API Gateway Developer Guide, "Private REST APIs in API Gateway" and "Change a
// public or private API endpoint type").
func (s *Service) checkReach(was, e *apigatewayapi.EndpointConfiguration) error {
	switch {
	case isPrivate(was) && slices.Contains(e.Types, apigatewayapi.EndpointTypeEDGE):
		return badRequest("Invalid endpoint type change: a PRIVATE API cannot become EDGE; change it to REGIONAL first")
	case isPrivate(e) && e.IpAddressType == apigatewayapi.IpAddressTypeipv4:
		return badRequest("Only dualstack ipAddressType is supported for Private APIs.")
	}
	for i, id := range e.VpcEndpointIds {
		switch {
		case slices.Contains(e.VpcEndpointIds[:i], id):
			return badRequest("The VPC endpoint %s is specified more than once", id)
		case was != nil && slices.Contains(was.VpcEndpointIds, id):
		case !slices.Contains(s.cfg.VPCEndpoints, id):
			return badRequest("Invalid VPC endpoint identifier specified: %s", id)
		}
	}
	return nil
}

// endpoint is a copy of an API's endpoint configuration.
func (d *definition) endpoint() *apigatewayapi.EndpointConfiguration {
	if d.API.EndpointConfiguration == nil {
		return nil
	}
	e := *d.API.EndpointConfiguration
	e.Types, e.VpcEndpointIds = slices.Clone(e.Types), slices.Clone(e.VpcEndpointIds)
	return &e
}

func sameEndpoint(a, b *apigatewayapi.EndpointConfiguration) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(a.Types, b.Types) && slices.Equal(a.VpcEndpointIds, b.VpcEndpointIds) && a.IpAddressType == b.IpAddressType
}

// moveEndpoint takes a changed endpoint configuration to what is deployed: how an API is reached
// needs no deployment to change, as at AWS. It reports whether there is something to publish.
func (s *Service) moveEndpoint(tx *store.Tx, was *apigatewayapi.EndpointConfiguration, d *definition) (moved bool, err error) {
	e := d.API.EndpointConfiguration
	if e != nil && len(e.VpcEndpointIds) == 0 {
		e.VpcEndpointIds = nil
	}
	if sameEndpoint(was, e) {
		return false, nil
	}
	if isPrivate(e) && !isPrivate(was) {
		e.IpAddressType = apigatewayapi.IpAddressTypedualstack
	}
	if err := s.checkReach(was, e); err != nil {
		return false, err
	}
	if isPrivate(was) && !isPrivate(e) {
		if mapped, err := s.mappedPrivately(tx, d); err != nil || mapped {
			return false, errors.Join(err, badRequest("The endpoint type of an API that is mapped to a private custom domain name cannot be changed"))
		}
	}
	stages, err := s.tables.stages.List(tx, store.Query{Prefix: []string{d.Account, d.Region, d.ID}})
	if err != nil {
		return false, err
	}
	for _, st := range stages {
		st.Endpoint = d.endpoint()
		st.Version++
		if err := s.tables.stages.Put(tx, st); err != nil {
			return false, err
		}
	}
	return len(stages) > 0, nil
}

// reached says in a gateway's definition, and in that of its canary, how the API is reached.
func reached(def *gateway.Definition, e *apigatewayapi.EndpointConfiguration) {
	if e == nil || len(e.Types) == 0 {
		return
	}
	def.EndpointType, def.VPCEndpoints = string(e.Types[0]), e.VpcEndpointIds
	if def.Canary != nil {
		def.Canary.Definition.EndpointType, def.Canary.Definition.VPCEndpoints = def.EndpointType, def.VPCEndpoints
	}
}

// byName gives the patch of an endpoint type by its place in the list (as Terraform writes it) the name
// that stands there.
func byName(ops []apigatewayapi.PatchOperation, e *apigatewayapi.EndpointConfiguration) []apigatewayapi.PatchOperation {
	out := slices.Clone(ops)
	for i, op := range out {
		if wire.Value(op.Path) == "/endpointConfiguration/types/0" && len(e.Types) == 1 {
			out[i].Path = wire.String(strings.TrimSuffix(*op.Path, "0") + string(e.Types[0]))
		}
	}
	return out
}
