package iam

import (
	"errors"
	"fmt"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/stsapi"
)

func noSuch(format string, args ...any) error {
	return &iamapi.NoSuchEntityException{Message: fmt.Sprintf(format, args...)}
}

func exists(format string, args ...any) error {
	return &iamapi.EntityAlreadyExistsException{Message: fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) error {
	return &iamapi.DeleteConflictException{Message: fmt.Sprintf(format, args...)}
}

func limit(format string, args ...any) error {
	return &iamapi.LimitExceededException{Message: fmt.Sprintf(format, args...)}
}

func invalidInput(format string, args ...any) error {
	return &iamapi.InvalidInputException{Message: fmt.Sprintf(format, args...)}
}

func packedTooLarge(format string, args ...any) error {
	return &stsapi.PackedPolicyTooLargeException{Message: fmt.Sprintf(format, args...)}
}

func validation(format string, args ...any) error {
	return wire.NewError(400, "ValidationError", fmt.Sprintf(format, args...))
}

// or gives a missing record, or a record that is there already, its sentence.
func or(err, missing, present error) error {
	switch {
	case missing != nil && errors.Is(err, store.ErrNotFound):
		return missing
	case present != nil && errors.Is(err, store.ErrExists):
		return present
	}
	return err
}

// checkPolicy parses a document that a client gave, for a use.
func checkPolicy(doc string, use policy.Use) error {
	if err := policy.Validate(use, []byte(doc)); err != nil {
		return &iamapi.MalformedPolicyDocumentException{Message: err.Error()}
	}
	return nil
}

// policySize counts a document as IAM does: without white space.
func policySize(doc string) int {
	n := 0
	for _, r := range doc {
		switch r {
		case ' ', '\t', '\n', '\r':
		default:
			n++
		}
	}
	return n
}
