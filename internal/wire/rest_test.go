package wire_test

import (
	"context"
	"maps"
	"net/http"
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// imports keeps the parameters of the import that it is asked for.
type imports struct {
	apigatewayapi.Unimplemented
	parameters map[string]string
}

func (i *imports) ImportRestApi(_ context.Context, in *apigatewayapi.ImportRestApiRequest) (*apigatewayapi.RestApi, error) {
	i.parameters = in.Parameters
	return &apigatewayapi.RestApi{}, nil
}

// What tells an operation from its sister in the query string is not one of its parameters.
func TestQueryMap_FixedParameter(t *testing.T) {
	s := &imports{}
	f := newFixture(t, func(c *wire.Config) { c.APIs = []*wire.API{apigatewayapi.New(s)} })
	for query, want := range map[string]map[string]string{
		"mode=import":                   nil,
		"mode=import&basepath=prepend":  {"basepath": "prepend"},
		"basepath=prepend&mode=import":  {"basepath": "prepend"},
		"mode=import&Mode=b&ignore=all": {"Mode": "b", "ignore": "all"},
	} {
		s.parameters = nil
		w := f.do(request{service: "apigateway", target: "/restapis?" + query, body: `{}`})
		if w.Code != http.StatusCreated || !maps.Equal(s.parameters, want) {
			t.Errorf("%s: got %d %s, parameters %v; want %v", query, w.Code, w.Body, s.parameters, want)
		}
	}
}
