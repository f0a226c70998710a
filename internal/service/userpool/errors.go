package userpool

import (
	"errors"
	"net/http"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// kind says what went wrong; each edge has its own word for it.
type kind int

const (
	addOnNotEnabled kind = iota + 1
	aliasExists
	codeDeliveryFailed
	codeExpired
	codeMismatch
	deviceKeyExists
	enableTokenFailed
	groupExists
	invalidOAuthFlow
	invalidParameter
	invalidPassword
	invalidPoolConfiguration
	lambdaRefused
	lambdaUnexpected
	lambdaUnreadable
	limitExceeded
	mfaMethodNotFound
	notAuthorized
	notFound
	passwordInHistory
	passwordResetRequired
	preconditionNotMet
	refreshTokenReused
	scopeUnknown
	softwareTokenNotFound
	tooManyRequests
	unauthorized
	unsupportedOperation
	unsupportedTokenType
	unsupportedUserState
	userNotConfirmed
	userNotFound
	usernameExists
	webAuthnChallengeNotFound
	webAuthnClientMismatch
	webAuthnConfigurationMissing
	webAuthnCredentialNotSupported
	webAuthnNotEnabled
	webAuthnOriginNotAllowed
	webAuthnRelyingPartyMismatch
)

// fault is a refusal: what kind, and the sentence that AWS says.
type fault struct {
	kind kind
	text string
}

func (f *fault) Error() string { return f.text }

func refuse(k kind, text string) error { return &fault{k, text} }

// asFault finds the refusal in err.
func asFault(err error) (*fault, bool) { return errors.AsType[*fault](err) }

// is says whether err is a fault of kind k.
func is(err error, k kind) bool {
	f, ok := asFault(err)
	return ok && f.kind == k
}

// decided is what comes of a transaction that has found a verdict: that, once it is committed. Of one that failed
// nothing is told: a guess would learn what it was, and not be counted. A client can bring it about by shutting down
// its side of the connection at the right moment, which does not keep it from reading.
func decided(err, verdict error) error {
	if err != nil {
		return err
	}
	return verdict
}

// errWrongPassword is what every failed sign-in says, whatever failed.
func errWrongPassword() error { return refuse(notAuthorized, "Incorrect username or password.") }

// exception maps a fault to the exception of the AWS API. Other errors pass: the
// pipeline logs them and answers InternalFailure.
func exception(err error) error {
	var f *fault
	if !errors.As(err, &f) {
		return err
	}
	for _, of := range []func(*fault) error{requestException, userException, passkeyException} {
		if e := of(f); e != nil {
			return e
		}
	}
	return err
}

// requestException is one about what was asked for.
func requestException(f *fault) error {
	switch f.kind {
	case addOnNotEnabled:
		return &api.UserPoolAddOnNotEnabledException{Message: f.text}
	case groupExists:
		return &api.GroupExistsException{Message: f.text}
	case invalidOAuthFlow:
		return &api.InvalidOAuthFlowException{Message: f.text}
	case invalidParameter:
		return &api.InvalidParameterException{Message: f.text}
	case invalidPoolConfiguration:
		return &api.InvalidUserPoolConfigurationException{Message: f.text}
	case lambdaRefused:
		return &api.UserLambdaValidationException{Message: f.text}
	case lambdaUnexpected:
		return &api.UnexpectedLambdaException{Message: f.text}
	case lambdaUnreadable:
		return &api.InvalidLambdaResponseException{Message: f.text}
	case limitExceeded:
		return &api.LimitExceededException{Message: f.text}
	case notAuthorized:
		return &api.NotAuthorizedException{Message: f.text}
	case notFound:
		return &api.ResourceNotFoundException{Message: f.text}
	case preconditionNotMet:
		return &api.PreconditionNotMetException{Message: f.text}
	case scopeUnknown:
		return &api.ScopeDoesNotExistException{Message: f.text}
	case tooManyRequests:
		return &api.TooManyRequestsException{Message: f.text}
	case unauthorized:
		return &api.UnauthorizedException{Message: f.text}
	case unsupportedOperation:
		return &api.UnsupportedOperationException{Message: f.text}
	case unsupportedTokenType:
		return &api.UnsupportedTokenTypeException{Message: f.text}
	case unsupportedUserState:
		return &api.UnsupportedUserStateException{Message: f.text}
	}
	return nil
}

// userException is one about somebody, or what he has.
func userException(f *fault) error {
	switch f.kind {
	case aliasExists:
		return &api.AliasExistsException{Message: f.text}
	case codeDeliveryFailed:
		return &api.CodeDeliveryFailureException{Message: f.text}
	case codeExpired:
		return &api.ExpiredCodeException{Message: f.text}
	case codeMismatch:
		return &api.CodeMismatchException{Message: f.text}
	case deviceKeyExists:
		return &api.DeviceKeyExistsException{Message: f.text}
	case enableTokenFailed:
		return &api.EnableSoftwareTokenMFAException{Message: f.text}
	case invalidPassword:
		return &api.InvalidPasswordException{Message: f.text}
	case mfaMethodNotFound:
		return &api.MFAMethodNotFoundException{Message: f.text}
	case passwordInHistory:
		return &api.PasswordHistoryPolicyViolationException{Message: f.text}
	case passwordResetRequired:
		return &api.PasswordResetRequiredException{Message: f.text}
	case refreshTokenReused:
		return &api.RefreshTokenReuseException{Message: f.text}
	case softwareTokenNotFound:
		return &api.SoftwareTokenMFANotFoundException{Message: f.text}
	case userNotConfirmed:
		return &api.UserNotConfirmedException{Message: f.text}
	case userNotFound:
		return &api.UserNotFoundException{Message: f.text}
	case usernameExists:
		return &api.UsernameExistsException{Message: f.text}
	}
	return nil
}

// passkeyException is one about passkeys.
func passkeyException(f *fault) error {
	switch f.kind {
	case webAuthnChallengeNotFound:
		return &api.WebAuthnChallengeNotFoundException{Message: f.text}
	case webAuthnClientMismatch:
		return &api.WebAuthnClientMismatchException{Message: f.text}
	case webAuthnConfigurationMissing:
		return &api.WebAuthnConfigurationMissingException{Message: f.text}
	case webAuthnCredentialNotSupported:
		return &api.WebAuthnCredentialNotSupportedException{Message: f.text}
	case webAuthnNotEnabled:
		return &api.WebAuthnNotEnabledException{Message: f.text}
	case webAuthnOriginNotAllowed:
		return &api.WebAuthnOriginNotAllowedException{Message: f.text}
	case webAuthnRelyingPartyMismatch:
		return &api.WebAuthnRelyingPartyMismatchException{Message: f.text}
	}
	return nil
}

// oauthError is an error of RFC 6749 section 5.2.
type oauthError struct {
	status      int
	code        string
	description string // for operators and developers; may be empty
}

func (e *oauthError) Error() string { return e.code + ": " + e.description }

// oauth maps an error to what an OAuth endpoint says. Everything about a person
// or a token becomes invalid_grant: the reason is nobody's business there.
func oauth(err error) *oauthError {
	var o *oauthError
	if errors.As(err, &o) {
		return o
	}
	var f *fault
	if errors.As(err, &f) {
		switch f.kind {
		case notFound:
			return &oauthError{http.StatusBadRequest, "invalid_client", f.text}
		case invalidParameter:
			return &oauthError{http.StatusBadRequest, "invalid_request", f.text}
		case limitExceeded, tooManyRequests:
			return &oauthError{http.StatusTooManyRequests, "slow_down", f.text}
		default:
			return &oauthError{http.StatusBadRequest, "invalid_grant", f.text}
		}
	}
	return &oauthError{http.StatusInternalServerError, "server_error", ""}
}

// notImplemented refuses a member or mode that is not built, with status 501.
func notImplemented(operation, reason string) error {
	return wire.NotImplementedBecause("cognito-idp", operation, reason)
}

// missing replaces a store's ErrNotFound by the fault that a caller understands.
func missing(err error, k kind, text string) error {
	if errors.Is(err, store.ErrNotFound) {
		return refuse(k, text)
	}
	return err
}
