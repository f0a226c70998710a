package server

import (
	"errors"
	"testing"

	"moat/internal/gateway"
	"moat/internal/wiregen"
)

// Every API that this installation answers can be called by an integration: a new one that the
// gateway's own list forgets fails here.
func TestGatewayServices_complete(t *testing.T) {
	t.Parallel()
	compile := func(service string) error {
		_, err := gateway.Compile(gateway.Definition{APIID: "a", Account: "000000000000", Region: "us-east-1", Stage: "s", Routes: []gateway.Route{{
			Path: "/", Method: "POST", AuthorizationType: "NONE",
			Integration: gateway.Integration{Type: "AWS", Method: "POST", URI: "arn:aws:apigateway:us-east-1:" + service + ":action/Any", Credentials: "arn:aws:iam::000000000000:role/r"},
		}}})
		return err
	}
	for _, api := range wiregen.APIs() {
		if err := compile(api.Model); err != nil {
			t.Errorf("an integration cannot call %s: %v", api.Model, err)
		}
	}
	var unbuilt *gateway.NotBuiltError
	for _, service := range []string{"dynamodb", "s3", "ssm.other"} {
		if err := compile(service); !errors.As(err, &unbuilt) {
			t.Errorf("%s: got %v, want that it is not built", service, err)
		}
	}
}
