package restapi

import (
	"errors"
	"fmt"

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
