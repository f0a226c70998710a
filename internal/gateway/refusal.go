package gateway

import (
	"net/http"

	"moat/internal/wire"
)

// Kind is a gateway response type, as AWS names them.
type Kind uint8

// The gateway response types. The zero value is the one for requests that have
// no better one.
const (
	Default4XX Kind = iota
	Default5XX
	AccessDenied
	APIConfigurationError
	AuthorizerConfigurationError
	AuthorizerFailure
	BadRequestBody
	BadRequestParameters
	ExpiredToken
	IntegrationFailure
	IntegrationTimeout
	InvalidAPIKey
	InvalidSignature
	MissingAuthenticationToken
	QuotaExceeded
	RequestTooLarge
	ResourceNotFound
	Throttled
	Unauthorized
	UnsupportedMediaType
	WAFFiltered
	kinds
)

// kindInfo is what AWS answers for a type when nothing is configured
// (API Gateway Developer Guide, "Gateway response types").
type kindInfo struct {
	name      string
	status    int
	errorType string // x-amzn-ErrorType
	message   string
}

func (k Kind) info() kindInfo {
	const internal = "InternalServerErrorException"
	switch k {
	case Default5XX:
		return kindInfo{"DEFAULT_5XX", http.StatusInternalServerError, internal, "Internal server error"}
	case AccessDenied:
		return kindInfo{"ACCESS_DENIED", http.StatusForbidden, "AccessDeniedException", "User is not authorized to access this resource"}
	case APIConfigurationError:
		return kindInfo{"API_CONFIGURATION_ERROR", http.StatusInternalServerError, internal, "Internal server error"}
	case AuthorizerConfigurationError:
		return kindInfo{"AUTHORIZER_CONFIGURATION_ERROR", http.StatusInternalServerError, "AuthorizerConfigurationException", ""}
	case AuthorizerFailure:
		return kindInfo{"AUTHORIZER_FAILURE", http.StatusInternalServerError, "AuthorizerFailureException", ""}
	case BadRequestBody:
		return kindInfo{"BAD_REQUEST_BODY", http.StatusBadRequest, "BadRequestException", "Invalid request body"}
	case BadRequestParameters:
		return kindInfo{"BAD_REQUEST_PARAMETERS", http.StatusBadRequest, "BadRequestException", "Invalid request parameters"}
	case ExpiredToken:
		return kindInfo{"EXPIRED_TOKEN", http.StatusForbidden, "ExpiredTokenException", "The security token included in the request is expired"}
	case IntegrationFailure:
		return kindInfo{"INTEGRATION_FAILURE", http.StatusGatewayTimeout, internal, "Network error communicating with endpoint"}
	case IntegrationTimeout:
		return kindInfo{"INTEGRATION_TIMEOUT", http.StatusGatewayTimeout, internal, "Endpoint request timed out"}
	case InvalidAPIKey:
		return kindInfo{"INVALID_API_KEY", http.StatusForbidden, "ForbiddenException", "Forbidden"}
	case InvalidSignature:
		return kindInfo{"INVALID_SIGNATURE", http.StatusForbidden, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}
	case MissingAuthenticationToken:
		return kindInfo{"MISSING_AUTHENTICATION_TOKEN", http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token"}
	case QuotaExceeded:
		return kindInfo{"QUOTA_EXCEEDED", http.StatusTooManyRequests, "LimitExceededException", "Limit Exceeded"}
	case RequestTooLarge:
		return kindInfo{"REQUEST_TOO_LARGE", http.StatusRequestEntityTooLarge, "BadRequestException", "Request Too Long"} // recorded: a function's event above 6 MB
	case ResourceNotFound:
		return kindInfo{"RESOURCE_NOT_FOUND", http.StatusNotFound, "NotFoundException", "Not Found"}
	case Throttled:
		return kindInfo{"THROTTLED", http.StatusTooManyRequests, "TooManyRequestsException", "Too Many Requests"}
	case Unauthorized:
		return kindInfo{"UNAUTHORIZED", http.StatusUnauthorized, "UnauthorizedException", "Unauthorized"}
	case UnsupportedMediaType:
		return kindInfo{"UNSUPPORTED_MEDIA_TYPE", http.StatusUnsupportedMediaType, "UnsupportedMediaTypeException", "Unsupported Media Type"}
	case WAFFiltered:
		return kindInfo{"WAF_FILTERED", http.StatusForbidden, "ForbiddenException", "Forbidden"}
	}
	return kindInfo{"DEFAULT_4XX", http.StatusBadRequest, "BadRequestException", "Bad Request"}
}

func kindNamed(name string) (Kind, bool) {
	for k := range kinds {
		if k.info().name == name {
			return k, true
		}
	}
	return 0, false
}

// Refusal is the error of a step: one gateway response type, and for the operator
// the grounds on which the step decided.
type Refusal struct {
	Kind Kind
	// Status, ErrorType and Message replace those of the type when they are set.
	Status             int
	ErrorType, Message string
	// Validation is $context.error.validationErrorString.
	Validation string
	// Capital makes the default body say "Message", as AWS does for IAM's refusals.
	Capital bool
	// Plain is the whole answer where AWS refuses before it knows of an API: no gateway
	// response has a say in it.
	Plain   string
	Grounds string

	checks []wire.Check // the decisions behind it, for the record
}

// Error gives the sentence that the caller sees.
func (r *Refusal) Error() string { return r.message() }

func (r *Refusal) message() string {
	if r.Plain != "" {
		return r.Plain
	}
	if r.Message != "" {
		return r.Message
	}
	return r.Kind.info().message
}

func (r *Refusal) status() int {
	if r.Status != 0 {
		return r.Status
	}
	return r.Kind.info().status
}

func (r *Refusal) errorType() string {
	if r.ErrorType != "" {
		return r.ErrorType
	}
	return r.Kind.info().errorType
}

func refuse(k Kind, grounds string) *Refusal { return &Refusal{Kind: k, Grounds: grounds} }

// unreachable is AWS's answer where no API can be reached.
func unreachable(grounds string) *Refusal {
	return &Refusal{Kind: Default4XX, Status: http.StatusForbidden, ErrorType: "ForbiddenException", Message: "Forbidden", Grounds: grounds}
}

// tooLarge is AWS's answer to a body above 10 MB (recorded).
func tooLarge(grounds string) *Refusal {
	return &Refusal{Kind: RequestTooLarge, Plain: "HTTP content length exceeded 10485760 bytes.", Grounds: grounds}
}

// badGateway is AWS's answer to a function that failed or answered nonsense.
func badGateway(grounds string) *Refusal {
	return &Refusal{Kind: Default5XX, Status: http.StatusBadGateway, Grounds: grounds}
}
