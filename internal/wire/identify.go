package wire

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"moat/internal/pure/lazyregexp"
)

// scopeOf finds the service in a credential scope, before the signature is looked at.
var scopeOf = lazyregexp.New(`Credential=[^/,\s]+/[0-9]+/[^/,\s]+/([A-Za-z0-9-]+)/aws4_request`)

// endpoint is one API, ready to be found.
type endpoint struct {
	api      *API
	ops      map[string]*operation
	notTaken map[string]bool
	routes   router // of the REST protocols
}

func newEndpoint(api *API) *endpoint {
	e := &endpoint{
		routes: router{exact: api.Signing == "s3"},
		api:    api, ops: make(map[string]*operation, len(api.Operations)), notTaken: map[string]bool{},
	}
	for i := range api.Operations {
		op := &operation{Operation: &api.Operations[i], end: e}
		e.ops[op.Name] = op
		if e.isREST() {
			e.routes.add(op)
		}
	}
	for _, name := range api.NotTaken {
		e.notTaken[name] = true
	}
	return e
}

func (e *endpoint) isREST() bool {
	return e.api.Protocol == protocolRESTJSON || e.api.Protocol == protocolRESTXML
}

// hostName is what AWS's host names say: iam.amazonaws.com,
// lambda.eu-west-1.amazonaws.com, cognito-idp.eu-west-1.localhost.
type hostName struct {
	service string
	region  string
	aws     bool // below amazonaws.com, where a first label always is a service
}

func parseHost(host string) hostName {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	h := hostName{aws: strings.HasSuffix(host, ".amazonaws.com")}
	first, domain, _ := strings.Cut(host, ".")
	second, rest, third := strings.Cut(domain, ".")
	switch {
	case third && isRegion(second):
		h.service, h.region = first, second
	case h.aws && third && !strings.Contains(rest, "."), domain == "localhost":
		h.service = first
	}
	h.service = strings.TrimSuffix(h.service, "-fips")
	return h
}

// isRegion tells whether s has the form of every region's name, [a-z]{2,}(-[a-z]+)+-[0-9]{1,2}:
// us-east-1, us-gov-west-1.
func isRegion(s string) bool {
	words := 0
	for {
		part, rest, more := strings.Cut(s, "-")
		switch {
		case !more:
			return words >= 2 && part != "" && len(part) <= 2 && strings.Trim(part, "0123456789") == ""
		case part == "" || words == 0 && len(part) < 2 || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz") != "":
			return false
		}
		words, s = words+1, rest
	}
}

// identify finds the API, then the operation. The API is told by the host, then
// X-Amz-Target, then the credential scope, then Action, then the path; a later
// sign may not contradict the operation found by an earlier one.
func (x *exchange) identify() error {
	x.host = parseHost(x.r.Host)
	var err error
	if x.message.params, err = parseParameters(x.r.URL.RawQuery); err != nil {
		return err
	}
	end, err := x.findEndpoint()
	if err != nil {
		return err
	}
	x.end, x.protocol = end, end.api.Protocol
	x.call.Service = end.api.Endpoint
	x.limit = x.p.bodyLimit(end.api)
	switch {
	case end.isREST():
		err = x.identifyREST()
	case end.api.Protocol == protocolQuery:
		x.protocol = x.queryProtocol()
		err = x.identifyQuery()
	default:
		if x.message.form, err = x.isForm(); err != nil {
			return err
		}
		if !x.message.form {
			err = x.identifyJSON()
			break
		}
		x.protocol = x.queryProtocol()
		err = x.identifyQuery()
	}
	if err != nil {
		return err
	}
	x.call.Operation = x.op.Name
	return nil
}

func (x *exchange) findEndpoint() (*endpoint, error) {
	target := x.r.Header.Get("X-Amz-Target")
	prefix, _, _ := strings.Cut(target, ".")
	if i := strings.LastIndexByte(target, '.'); i >= 0 {
		prefix = target[:i]
	}
	if x.host.service != "" {
		if e := x.p.byHost[x.host.service]; e != nil {
			return e, nil
		}
		if x.host.aws {
			return nil, notServed(x.host.service)
		}
	}
	if target != "" {
		x.protocol = protocolJSON
		if e := x.p.byTarget[prefix]; e != nil {
			return e, nil
		}
		return nil, notServed(quoted(prefix))
	}
	if service := x.scopeService(); service != "" {
		ends := x.p.bySigning[service]
		switch len(ends) {
		case 0:
			if service == "s3" {
				x.protocol = protocolRESTXML
			}
			return nil, notServed(quoted(service))
		case 1:
			return ends[0], nil
		}
		if e := x.byPath(ends); e != nil {
			return e, nil
		}
		return ends[0], nil
	}
	return x.findUnsigned()
}

// findUnsigned finds the API of a request that names none.
func (x *exchange) findUnsigned() (*endpoint, error) {
	if e, err := x.byAction(); e != nil || err != nil {
		return e, err
	}
	if e := x.byPath(x.p.ends); e != nil {
		return e, nil
	}
	return nil, NewError(http.StatusNotFound, "UnknownOperationException",
		fmt.Sprintf("No AWS API that Moat serves answers %s %s", x.r.Method, shorten(x.r.URL.EscapedPath())))
}

// scopeService reads the service that a signature claims to be for. It only
// chooses who looks closer: the signature is verified for that same service.
func (x *exchange) scopeService() string {
	for _, p := range x.message.params {
		if p.name == "X-Amz-Credential" {
			if m := scopeOf.FindStringSubmatch("Credential=" + p.value); m != nil {
				return m[1]
			}
		}
	}
	if m := scopeOf.FindStringSubmatch(x.r.Header.Get("Authorization")); m != nil {
		return m[1]
	}
	return ""
}

// byAction finds the API of an unsigned call of the query protocol.
func (x *exchange) byAction() (*endpoint, error) {
	form := strings.HasPrefix(x.r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	if _, has := x.parameter("Action"); !has && (!form || x.r.Method != http.MethodPost) {
		return nil, nil
	}
	x.protocol = protocolQuery
	if err := x.readForm(); err != nil {
		return nil, err
	}
	action, ok := x.parameter("Action")
	if !ok {
		x.protocol = ""
		return nil, nil
	}
	version, _ := x.parameter("Version")
	for _, e := range x.p.ends {
		if e.api.Protocol == protocolQuery && e.api.Version == version {
			if e.ops[action] != nil || e.notTaken[action] {
				return e, nil
			}
		}
	}
	return nil, unknownAction(action, version)
}

func (x *exchange) byPath(ends []*endpoint) *endpoint {
	for _, e := range ends {
		if e.isREST() {
			if op, _ := e.routes.match(x.r.Method, x.r.URL.EscapedPath(), x.message.params); op != nil {
				return e
			}
		}
	}
	return nil
}

func (x *exchange) identifyJSON() error {
	prefix, name := "", x.r.Header.Get("X-Amz-Target")
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		prefix, name = name[:i], name[i+1:]
	}
	op := x.end.ops[name]
	switch {
	case prefix != x.end.api.TargetPrefix || x.r.Method != http.MethodPost || x.r.URL.EscapedPath() != "/":
	case op != nil:
		x.op = op
		return nil
	case x.end.notTaken[name]:
		x.call.Operation = name
		return NotImplemented(x.end.api.Endpoint, name)
	}
	return NewError(http.StatusBadRequest, "UnknownOperationException",
		fmt.Sprintf("%s has no operation for %s %s with the target %s", x.end.api.Endpoint, x.r.Method,
			shorten(x.r.URL.EscapedPath()), quoted(x.r.Header.Get("X-Amz-Target"))))
}

func (x *exchange) identifyQuery() error {
	if path := x.r.URL.EscapedPath(); path != "/" || x.r.Method != http.MethodPost && x.r.Method != http.MethodGet {
		return NewError(http.StatusNotFound, "UnknownOperationException",
			fmt.Sprintf("%s has no operation for %s %s", x.end.api.Endpoint, x.r.Method, shorten(path)))
	}
	if err := x.readForm(); err != nil {
		return err
	}
	action, ok := x.parameter("Action")
	if !ok {
		return NewError(http.StatusBadRequest, "MissingAction", "The request is missing an action or a required parameter.")
	}
	version, given := x.parameter("Version")
	if !given && x.message.form { // recorded: Systems Manager asks for none
		version, given = x.end.api.Version, true
	}
	if !given {
		version = "NO_VERSION_SPECIFIED"
	}
	if version == x.end.api.Version {
		if x.end.notTaken[action] {
			x.call.Operation = action
			return NotImplemented(x.end.api.Endpoint, action)
		}
		if x.op = x.end.ops[action]; x.op != nil {
			return nil
		}
	}
	return unknownAction(action, version)
}

func (x *exchange) identifyREST() error {
	path := x.r.URL.EscapedPath()
	op, labels := x.end.routes.match(x.r.Method, path, x.message.params)
	if op == nil {
		return NewError(http.StatusNotFound, "UnknownOperationException",
			fmt.Sprintf("%s has no operation for %s %s", x.end.api.Endpoint, x.r.Method, shorten(path)))
	}
	x.op, x.message.labels = op, labels
	return nil
}

// parameter returns the first value of a parameter. A second one is refused when
// the parameters are decoded.
func (x *exchange) parameter(name string) (string, bool) {
	for _, p := range x.message.params {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// readForm adds the parameters of a form to those of the query string, once.
func (x *exchange) readForm() error {
	if x.formRead || x.r.Method != http.MethodPost {
		return nil
	}
	x.formRead = true
	if err := x.readBody(); err != nil {
		return err
	}
	form, err := parseParameters(string(x.message.body))
	if err != nil {
		return err
	}
	x.message.params = append(x.message.params, form...)
	return nil
}

func unknownAction(action, version string) error {
	return NewError(http.StatusBadRequest, "InvalidAction",
		fmt.Sprintf("Could not find operation %s for version %s", shorten(action), shorten(version)))
}

// notServed is the answer for an AWS service that Moat does not have.
func notServed(service string) error {
	return NewError(http.StatusNotImplemented, "NotImplemented",
		fmt.Sprintf("Moat does not serve the AWS API of %s.", service))
}

func quoted(s string) string { return fmt.Sprintf("%q", shorten(s)) }

// shorten bounds what an error message repeats of a request.
func shorten(s string) string {
	const most = 200
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
