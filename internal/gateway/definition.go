package gateway

import (
	"crypto/tls"
	"encoding/json"
	"time"
)

// Definition is one stage of a REST API as it was deployed: plain data that
// [Compile] turns into a [Snapshot]. The caller must not change it afterwards.
type Definition struct {
	APIID, Name, Account, Region string
	Stage, DeploymentID          string

	// APIKeySource is HEADER (the default) or AUTHORIZER.
	APIKeySource string
	// Policy is the API's resource policy, empty when it has none.
	Policy json.RawMessage
	// Variables are the stage variables.
	Variables        map[string]string
	BinaryMediaTypes []string
	// MinimumCompression is the size in bytes from which answers are compressed; with nil
	// nothing is compressed or decompressed.
	MinimumCompression *int32
	// DisableDefaultEndpoint refuses requests that did not come by a custom domain name.
	DisableDefaultEndpoint bool
	// EndpointType is the API's kind: EDGE, REGIONAL or PRIVATE. A private API is reached by VPC
	// endpoints alone, the others by none of them.
	EndpointType string
	// VPCEndpoints are the endpoints at which a private API has a name of its own, by id.
	VPCEndpoints []string

	// Models are the API's JSON schemas (draft 4) by name.
	Models map[string]string

	Routes      []Route
	Authorizers map[string]Authorizer
	// Responses are the gateway responses that differ from the defaults, by type
	// ("UNAUTHORIZED", "DEFAULT_4XX", ...).
	Responses map[string]Response
	// Throttles are the stage's limits: "*/*" for all methods or "/path/METHOD".
	Throttles map[string]Throttle

	// Settings are the stage's settings by method, named as in Throttles.
	Settings map[string]MethodSettings
	// AccessLog is the stage's access log; nil when it has none.
	AccessLog *AccessLog
	// Tracing says that the client's X-Ray trace is handed on whole, not its root alone.
	Tracing bool
	// Cache is the stage's response cache; nil when it has none.
	Cache *Cache
	// AccountThrottle is the limit that all stages of the account share in the region;
	// zero is none.
	AccountThrottle Throttle
	// Canary takes a part of the requests; nil when there is none.
	Canary *Canary
	// AuthorizerEpoch rises when what authorizers said is to be forgotten.
	AuthorizerEpoch int64
	// ClientCertificate is what HTTP integrations show to their backends; nil: nothing.
	ClientCertificate *tls.Certificate
	// Links are the VPC links that integrations may name, by id.
	Links map[string]Link

	CreatedAt time.Time
}

// Route is one method of one resource. Path is the resource's path
// ("/courses/{id}", "/content/{proxy+}"), Method an HTTP method or ANY.
type Route struct {
	Path, Method, ResourceID string
	// AuthorizationType is NONE, AWS_IAM, COGNITO_USER_POOLS or CUSTOM. Empty is
	// refused by [Compile]: a route without a decision is not an open route.
	AuthorizationType string
	AuthorizerID      string
	Scopes            []string
	APIKeyRequired    bool
	OperationName     string
	// RequestParameters names the declared parameters
	// ("method.request.querystring.page") and says which ones are required.
	RequestParameters map[string]bool
	// ValidateParameters says whether the method's request validator checks them.
	ValidateParameters bool
	// ValidateBody says whether the method's request validator checks the body, against
	// the model that RequestModels names for its content type ("$default" for the others).
	ValidateBody  bool
	RequestModels map[string]string
	// MethodResponses are the status codes that the method declares: an answer that is mapped
	// to another one fails when it is given, as at AWS. nil: it is not known which.
	MethodResponses []string
	Integration     Integration
}

// Integration is what answers a route: AWS_PROXY (a function) and HTTP_PROXY as it is,
// AWS (a function or another service), HTTP and MOCK through mappings.
type Integration struct {
	Type, URI, Method, Credentials string
	ConnectionType, ConnectionID   string
	PassthroughBehavior            string
	ContentHandling                string
	// Timeout is 29 seconds when zero.
	Timeout           time.Duration
	RequestParameters map[string]string
	RequestTemplates  map[string]string
	Responses         []IntegrationResponse
	// CacheKeyParameters are the parameters that tell cached answers apart, beside the
	// namespace: the resource's id when it is empty.
	CacheKeyParameters []string
	CacheNamespace     string
}

// IntegrationResponse maps an integration's answer to the method's. SelectionPattern
// is a regular expression over the whole of the answer's status, or of a function's
// errorMessage; empty is the default response.
type IntegrationResponse struct {
	StatusCode         string
	SelectionPattern   string
	ResponseParameters map[string]string
	ResponseTemplates  map[string]string
	ContentHandling    string
}

// Authorizer decides who may call the routes that name it. Type is
// COGNITO_USER_POOLS, TOKEN or REQUEST.
type Authorizer struct {
	ID, Name, Type string
	ProviderARNs   []string
	IdentitySource string
	// URI and Credentials name the function of a TOKEN or REQUEST authorizer.
	URI, Credentials string
	// Validation is a regular expression that a TOKEN's identity source must match whole.
	Validation string
	TTL        time.Duration
}

// Response is a gateway response: what a caller gets for one kind of refusal.
type Response struct {
	StatusCode         string
	ResponseParameters map[string]string
	ResponseTemplates  map[string]string
}

// Throttle is a token bucket: Rate tokens per second, at most Burst of them. With
// either of them zero nothing passes, with either negative everything does.
type Throttle struct {
	Rate  float64
	Burst int
}

// NotBuiltError is Compile's refusal of something that AWS can do and we cannot
// yet. The control plane answers it with 501.
type NotBuiltError struct {
	// Where is the route or authorizer, What the sentence.
	Where, What string
}

// Error gives the sentence.
func (e *NotBuiltError) Error() string { return e.Where + ": " + e.What }

// DefinitionError is Compile's refusal of a definition that AWS would refuse too.
// The control plane answers it with BadRequestException.
type DefinitionError struct{ Message string }

// Error gives AWS's sentence.
func (e *DefinitionError) Error() string { return e.Message }
