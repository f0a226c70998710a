package stack

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"moat/internal/service/stack/template"
	"moat/internal/wire"
	"moat/internal/wire/cloudformationapi"
)

func validationError(format string, args ...any) error {
	return wire.NewError(400, "ValidationError", fmt.Sprintf(format, args...))
}

func insufficient(capabilities []string) error {
	return &cloudformationapi.InsufficientCapabilitiesException{Message: "Requires capabilities : [" + strings.Join(capabilities, ", ") + "]"}
}

func notExist(name string) error { return validationError("Stack with id %s does not exist", name) }

// exception turns an error into the answer of an API call.
func (s *Service) exception(operation string, err error) error {
	var e *template.Error
	var es template.Errors
	var x wire.Exception
	switch {
	case err == nil:
		return nil
	case errors.As(err, &es) && len(es) > 0:
		for _, one := range es {
			if !one.NotBuilt {
				return validationError("%s", one.AWS())
			}
		}
		return wire.NotImplementedBecause("cloudformation", operation, es.Error())
	case errors.As(err, &e):
		if e.NotBuilt {
			return wire.NotImplementedBecause("cloudformation", operation, e.Error())
		}
		return validationError("%s", e.AWS())
	case errors.As(err, &x):
		return x
	}
	s.cfg.Log.Error("cloudformation call failed", "operation", operation, "error", err)
	return err
}

// reason is the text of an error in an event of a resource.
func reason(err error) string {
	var x wire.Exception
	if errors.As(err, &x) {
		return fmt.Sprintf("Resource handler returned message: %q (HandlerErrorCode: %s)", x.ErrorMessage(), x.ErrorCode())
	}
	if errors.Is(err, context.Canceled) {
		return "Resource operation cancelled"
	}
	return err.Error()
}

// missing reports that a resource is not there (any more).
func missing(err error) bool {
	var x wire.Exception
	if !errors.As(err, &x) {
		return false
	}
	switch x.ErrorCode() {
	case "ResourceNotFoundException", "NotFoundException", "NoSuchEntity", "NoSuchEntityException", "ParameterNotFound", "UserNotFoundException", "ResourceNotFound":
		return true
	}
	return false
}

// gone turns the answer of a deletion into nil when nothing was there.
func gone(err error) error {
	if missing(err) {
		return nil
	}
	return err
}
