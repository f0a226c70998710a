package restapi

import (
	"errors"
	"fmt"
	"strings"

	"moat/internal/gateway"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

func notFound(format string, args ...any) error {
	return &apigatewayapi.NotFoundException{Message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) error {
	return &apigatewayapi.BadRequestException{Message: fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) error {
	return &apigatewayapi.ConflictException{Message: fmt.Sprintf(format, args...)}
}

// elsewhere gives the answer of an operation that does not say that the API is what is missing
// (recorded).
func elsewhere(err, instead error) error {
	var missing *apigatewayapi.NotFoundException
	if errors.As(err, &missing) && strings.HasPrefix(missing.Message, "Invalid API identifier specified") {
		return instead
	}
	return err
}

// noResource is the answer about what lies below a resource of no API.
func noResource(err error) error {
	return elsewhere(err, notFound("Invalid Resource identifier specified"))
}

// isA reports whether an error is of a kind, and gives it.
func isA[T error](err error, target *T) bool { return errors.As(err, target) }

// notBuilt refuses a setting that has no effect yet: better refused than ignored.
func notBuilt(operation, format string, args ...any) error {
	return wire.NotImplementedBecause("apigateway", operation, fmt.Sprintf(format, args...))
}

// deployError turns the gateway's refusal of a definition into the answer to a deployment.
func deployError(err error) error {
	var built *gateway.NotBuiltError
	var bad *gateway.DefinitionError
	switch {
	case errors.As(err, &built):
		return notBuilt("CreateDeployment", "%s", built.Error())
	case errors.As(err, &bad):
		return badRequest("%s", bad.Error())
	}
	return err
}
