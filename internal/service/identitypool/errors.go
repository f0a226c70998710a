package identitypool

import (
	"errors"
	"fmt"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidentityapi"
)

func notAuthorized(format string, args ...any) error {
	return &api.NotAuthorizedException{Message: fmt.Sprintf(format, args...)}
}

func invalidParameter(format string, args ...any) error {
	return &api.InvalidParameterException{Message: fmt.Sprintf(format, args...)}
}

func noPool(id string) error {
	return &api.ResourceNotFoundException{Message: fmt.Sprintf("IdentityPool '%s' not found.", id)}
}

func noIdentity(id string) error {
	return &api.ResourceNotFoundException{Message: fmt.Sprintf("Identity '%s' not found.", id)}
}

func noGuests() error {
	return notAuthorized("Unauthenticated access is not supported for this identity pool.")
}

func forbidden(identity string) error {
	return notAuthorized("Access to Identity '%s' is forbidden.", identity)
}

func loginsDontMatch() error {
	return notAuthorized("Logins don't match. Please include at least one valid login for this identity or identity pool.")
}

func badConfiguration() error {
	return &api.InvalidIdentityPoolConfigurationException{Message: "Invalid identity pool configuration. Check assigned IAM roles for this pool."}
}

// missing gives a record that is not there its sentence.
func missing(err, sentence error) error {
	if errors.Is(err, store.ErrNotFound) {
		return sentence
	}
	return err
}
