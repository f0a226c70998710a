package restapi

import (
	"bytes"
	"encoding/json"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// clone fills a new API with all that another one defines. Settings that the request gave
// stay; deployments, stages and tags are not copied. Resources keep their ids, which are
// an API's own; references between models lead to the new API.
func (d *definition) clone(from *definition) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	b = bytes.ReplaceAll(b, quotedBase(from.ID), quotedBase(d.ID))
	var c definition
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	d.API.RootResourceId = c.API.RootResourceId
	d.Resources, d.Authorizers, d.Models, d.Validators, d.Responses, d.Documentation = c.Resources, c.Authorizers, c.Models, c.Validators, c.Responses, c.Documentation
	return nil
}

// quotedBase is where the models of an API are, as it stands inside of JSON.
func quotedBase(api string) []byte { return []byte(modelBase + api + "/models/") }

// inherit gives a clone the settings of the API it is made from, but for those that the request names.
func inherit(api, from apigatewayapi.RestApi) apigatewayapi.RestApi {
	inheritOne(&api.Description, from.Description)
	inheritOne(&api.Version, from.Version)
	inheritOne(&api.Policy, from.Policy)
	inheritOne(&api.MinimumCompressionSize, from.MinimumCompressionSize)
	inheritOne(&api.DisableExecuteApiEndpoint, from.DisableExecuteApiEndpoint)
	if api.ApiKeySource == "" {
		api.ApiKeySource = from.ApiKeySource
	}
	if api.BinaryMediaTypes == nil {
		api.BinaryMediaTypes = from.BinaryMediaTypes
	}
	if api.EndpointConfiguration == nil && from.EndpointConfiguration != nil {
		e := *from.EndpointConfiguration
		api.EndpointConfiguration = &e
	}
	return api
}

func inheritOne[T any](to **T, from *T) {
	if *to == nil && from != nil {
		*to = wire.Ptr(*from)
	}
}
