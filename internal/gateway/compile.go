package gateway

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"moat/internal/http1"
	"moat/internal/pure/lazyregexp"
	"moat/internal/pure/policy"
)

// Snapshot is a compiled [Definition]: immutable but for its token buckets.
type Snapshot struct {
	key         stageKey
	def         Definition
	root        node
	answers     *[kinds]answer
	policy      *policy.Document
	binary      []string // media types, lower-cased
	keyFrom     string
	routes      []*route
	limits      limits
	arn         string // arn:aws:execute-api:region:account:api/stage/
	authorizers map[string]*authorizer
	varsJSON    []byte    // stageVariables of the proxy event
	models      *modelSet // while it is compiled
	cache       *answerCache
	account     *limited // nil: no throttle
	canary      *canary
	counters    *counters
	private     bool // reached by VPC endpoints alone
	accessLog   *accessFormat
	transport   *http1.Transport // nil: the gateway's
}

// route is a compiled [Route].
type route struct {
	name       string // "GET /courses"
	def        Route
	limitKey   string // "/courses/GET"
	authorizer *authorizer
	scopes     []string
	required   []parameter
	models     map[string]*jsonschema.Schema // by content type
	settings   MethodSettings
	cache      *cacheRule
	counters   *counters // nil: not counted by itself
	serve      integration
	timeout    time.Duration
	passing    bool // see passes
	link       *Link
	transport  *http1.Transport // of the link
}

// parameter is a request parameter that must be there.
type parameter struct{ where, name string }

// integration is a compiled [Integration].
type integration interface {
	// serve fills the reply of x, within the route's timeout.
	serve(x *Exchange) error
}

const defaultTimeout = 29 * time.Second

// Compile turns a definition into a snapshot. It validates everything: an error is
// a [*DefinitionError] for what AWS refuses too, or a [*NotBuiltError] for what AWS
// can do and this package cannot.
func Compile(d Definition) (*Snapshot, error) {
	if len(d.Routes) == 0 {
		return nil, &DefinitionError{"The REST API doesn't contain any methods"}
	}
	s := &Snapshot{key: stageKey{d.APIID, d.Stage}, def: d, authorizers: map[string]*authorizer{}, models: newModelSet(d.APIID, d.Models)}
	s.arn = "arn:aws:execute-api:" + d.Region + ":" + d.Account + ":" + d.APIID + "/" + d.Stage + "/"
	s.private = d.EndpointType == "PRIVATE"
	switch s.keyFrom = d.APIKeySource; s.keyFrom {
	case "":
		s.keyFrom = "HEADER"
	case "HEADER", "AUTHORIZER":
	default:
		return nil, &DefinitionError{"Invalid API key source: " + d.APIKeySource}
	}
	for _, t := range d.BinaryMediaTypes {
		s.binary = append(s.binary, strings.ToLower(t))
	}
	s.varsJSON = appendStrings(nil, d.Variables)
	var err error
	if s.answers, err = compileAnswers(d.Responses); err != nil {
		return nil, err
	}
	if err := s.compilePolicy(); err != nil {
		return nil, err
	}
	for id, a := range d.Authorizers {
		if s.authorizers[id], err = s.compileAuthorizer(a); err != nil {
			return nil, err
		}
	}
	for _, r := range d.Routes {
		if err := s.addRoute(r); err != nil {
			return nil, err
		}
	}
	s.models, s.accessLog = nil, compileAccessLog(d.AccessLog)
	if err := s.compileSettings(); err != nil {
		return nil, err
	}
	for _, rt := range s.routes {
		rt.passing = s.passes(rt)
	}
	if err := s.limits.compile(d.Throttles, s.routes); err != nil {
		return nil, err
	}
	return s, s.compileCanary()
}

// passes reports that nothing keeps a string of a request to a route beyond its answer, but
// where it is refused or takes a longer way: what authorises remembers hashes and whom it
// found, the cache and the logs copy what they keep, and the request is passed on as it came.
func (s *Snapshot) passes(rt *route) bool {
	_, proxy := rt.serve.(*httpProxy)
	return proxy && s.policy == nil && rt.settings.Logging == "" && rt.def.AuthorizationType != "CUSTOM"
}

// compilePolicy reads the resource policy. Its resources may be written short
// ("execute-api:/stage/GET/path").
func (s *Snapshot) compilePolicy() error {
	text := strings.TrimSpace(string(s.def.Policy))
	if text == "" || text == "null" {
		return nil
	}
	long := "arn:aws:execute-api:" + s.def.Region + ":" + s.def.Account + ":" + s.def.APIID + "/"
	doc, err := policy.Parse("resource policy of API "+s.def.APIID, []byte(text), policy.ShortResource("execute-api:/", long))
	if err != nil {
		return &DefinitionError{"Invalid policy document. Please check the policy syntax and ensure that Principals are valid. " + err.Error()}
	}
	s.policy = doc
	return nil
}

func (s *Snapshot) addRoute(r Route) error {
	res, err := s.root.add(r.Path, r.ResourceID)
	if err != nil {
		return err
	}
	rt := &route{name: r.Method + " " + r.Path, def: r, limitKey: r.Path + "/" + r.Method, scopes: r.Scopes, timeout: r.Integration.Timeout}
	if rt.timeout <= 0 {
		rt.timeout = defaultTimeout
	}
	if err := s.authorization(rt, r); err != nil {
		return err
	}
	if err := rt.parameters(r); err != nil {
		return err
	}
	if err := s.models.models(rt, r); err != nil {
		return err
	}
	if rt.serve, err = s.compileIntegration(rt, res); err != nil {
		return err
	}
	s.routes = append(s.routes, rt)
	switch {
	case r.Method == "ANY" && res.any == nil:
		res.any = rt
		return nil
	case r.Method != "ANY" && validMethod(r.Method) && res.methods[r.Method] == nil:
		res.methods[r.Method] = rt
		return nil
	}
	return &DefinitionError{"Invalid or repeated method " + rt.name}
}

func validMethod(m string) bool {
	switch m {
	case "GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS":
		return true
	}
	return false
}

// authorization checks that a route says who may call it. Silence is not NONE.
func (s *Snapshot) authorization(rt *route, r Route) error {
	switch r.AuthorizationType {
	case "NONE", "AWS_IAM":
		return nil
	case "COGNITO_USER_POOLS", "CUSTOM":
		rt.authorizer = s.authorizers[r.AuthorizerID]
		if rt.authorizer == nil || (r.AuthorizationType == "CUSTOM") == (rt.authorizer.kind == "COGNITO_USER_POOLS") {
			return &DefinitionError{"Invalid Authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer."}
		}
		return nil
	}
	return &DefinitionError{"Invalid authorization type specified for " + rt.name + ": " + r.AuthorizationType}
}

// parameters takes the required parameters, if the method's validator checks them.
func (rt *route) parameters(r Route) error {
	for _, name := range slices.Sorted(maps.Keys(r.RequestParameters)) {
		where, key, ok := strings.Cut(strings.TrimPrefix(name, "method.request."), ".")
		if !ok || !strings.HasPrefix(name, "method.request.") || where != "path" && where != "querystring" && where != "header" && where != "multivaluequerystring" && where != "multivalueheader" {
			return &DefinitionError{"Invalid mapping expression specified: " + name}
		}
		if r.RequestParameters[name] && r.ValidateParameters {
			rt.required = append(rt.required, parameter{strings.TrimPrefix(where, "multivalue"), key})
		}
	}
	return nil
}

func (s *Snapshot) compileIntegration(rt *route, res *resource) (integration, error) {
	in := rt.def.Integration
	if err := s.link(rt, in); err != nil {
		return nil, err
	}
	switch in.Type {
	case "":
		return nil, &DefinitionError{"No integration defined for method"}
	case "AWS_PROXY":
		return s.compileFunction(rt, in)
	case "HTTP_PROXY":
		return s.compileHTTP(rt, res, in)
	case "MOCK":
		return compileMock(rt, in)
	case "HTTP":
		return s.compileMappedHTTP(rt, res, in)
	case "AWS":
		return s.compileService(rt, res, in)
	}
	return nil, &DefinitionError{"Invalid integration type " + in.Type}
}

var stageVariable = lazyregexp.New(`\$\{stageVariables\.([A-Za-z0-9_]+)\}`)

// expand puts the stage variables into s; one that the stage does not have is empty.
func (s *Snapshot) expand(text string) string {
	return stageVariable.ReplaceAllStringFunc(text, func(m string) string {
		return s.def.Variables[stageVariable.FindStringSubmatch(m)[1]]
	})
}
