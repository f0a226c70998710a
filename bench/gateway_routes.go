package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strconv"

	"moat/internal/pure/sigv4"
)

// guardedRoutes makes the APIs and the requests for each way of proving who one is.
func (r *rig) guardedRoutes(ctx context.Context, b *bench) ([]*contender, error) {
	a, err := r.newAPI(ctx, "bench-gateway")
	if err != nil {
		return nil, err
	}
	methods, err := r.methods(ctx, a)
	if err != nil {
		return nil, err
	}
	proxy := map[string]any{"type": "HTTP_PROXY", "httpMethod": "GET", "uri": r.backend.url()}
	keyed := maps.Clone(proxy) // a token that nobody reads keeps a request out of the cache, unless it tells answers apart
	keyed["cacheKeyParameters"] = []string{"method.request.header.Authorization"}
	for name, method := range methods {
		integration := proxy
		if name == "cached" {
			integration = keyed
		}
		if err := a.get(ctx, name, method, integration); err != nil {
			return nil, err
		}
	}
	if err := a.unthrottled(ctx); err != nil {
		return nil, err
	}
	if err := a.deploy(ctx); err != nil {
		return nil, err
	}
	plan, err := a.plan(ctx, endless())
	if err != nil {
		return nil, err
	}
	key, err := a.apiKey(ctx, plan)
	if err != nil {
		return nil, err
	}
	invoker, err := a.invoker(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.gatherTokens(ctx, gatewayRounds*freshTokens+2); err != nil {
		return nil, err
	}
	many, err := r.manyRoutes(ctx)
	if err != nil {
		return nil, err
	}
	out := r.requests(a, many, key, invoker)
	if err := a.cache(ctx, "cached"); err != nil { // a program that has no cache is measured without it
		fmt.Fprintf(b.progress, "gateway: the cache is left out: %v\n", err)
		return out[:len(out)-1], nil
	}
	return out, nil
}

// methods are the routes, by who may call them.
func (r *rig) methods(ctx context.Context, a *api) (map[string]map[string]any, error) {
	pool, err := a.authorizer(ctx)
	if err != nil {
		return nil, err
	}
	function, err := r.deciding(ctx, a)
	return map[string]map[string]any{
		"open": {"authorizationType": "NONE"}, "cached": {"authorizationType": "NONE", "requestParameters": map[string]bool{"method.request.header.Authorization": false}}, "key": {"authorizationType": "NONE", "apiKeyRequired": true},
		"token": {"authorizationType": "COGNITO_USER_POOLS", "authorizerId": pool}, "signed": {"authorizationType": "AWS_IAM"},
		"decided": {"authorizationType": "CUSTOM", "authorizerId": function},
	}, err
}

// routesOfMany is how many routes the large API has.
const routesOfMany = 5000

// manyRoutes makes an API of thousands of open routes and returns the path of one of them.
func (r *rig) manyRoutes(ctx context.Context) (string, error) {
	paths := map[string]any{}
	for i := range routesOfMany {
		paths["/area"+strconv.Itoa(i%50)+"/{id}/thing"+strconv.Itoa(i)] = map[string]any{"get": map[string]any{
			"responses":                       map[string]any{},
			"x-amazon-apigateway-integration": map[string]any{"type": "http_proxy", "httpMethod": "GET", "uri": r.backend.url()},
		}}
	}
	document := map[string]any{"openapi": "3.0.1", "info": map[string]any{"title": "bench-many", "version": "1"}, "paths": paths}
	a := &api{r: r}
	var made struct{ Id string }
	if err := a.call(ctx, http.MethodPost, "/restapis?mode=import", document, &made); err != nil {
		return "", err
	}
	a.id = made.Id
	return a.path("area7/42/thing" + strconv.Itoa(routesOfMany-43)), a.deploy(ctx)
}

// unthrottled lifts the account's throttle above what is sent: it stays on, and counts.
func (a *api) unthrottled(ctx context.Context) error {
	patch := map[string]any{"patchOperations": []map[string]string{
		{"op": "replace", "path": "/throttleSettings/rateLimit", "value": "1000000"}, {"op": "replace", "path": "/throttleSettings/burstLimit", "value": "1000000"},
	}}
	return a.call(ctx, http.MethodPatch, "/account", patch, nil)
}

// cache turns the cache of the stage on for one route.
func (a *api) cache(ctx context.Context, name string) error {
	patch := map[string]any{"patchOperations": []map[string]string{
		{"op": "replace", "path": "/cacheClusterEnabled", "value": "true"}, {"op": "replace", "path": "/cacheClusterSize", "value": "0.5"},
		{"op": "replace", "path": "/~1" + name + "/GET/caching/enabled", "value": "true"},
		{"op": "replace", "path": "/~1" + name + "/GET/throttling/rateLimit", "value": "1000000"}, {"op": "replace", "path": "/~1" + name + "/GET/throttling/burstLimit", "value": "1000000"},
	}}
	return a.call(ctx, http.MethodPatch, "/restapis/"+a.id+"/stages/"+stage, patch, nil)
}

// deciding adds an authorizer that is a function: it lets one word in.
func (r *rig) deciding(ctx context.Context, a *api) (id string, err error) {
	role, err := r.functionRole(ctx)
	if err != nil {
		return "", err
	}
	h := handler{"decide", "nodejs20.x", "index.handler", "index.js", []byte(`exports.handler = async e => ({
  principalId: 'bench',
  policyDocument: { Version: '2012-10-17', Statement: [{ Effect: e.authorizationToken === 'let-me-in' ? 'Allow' : 'Deny', Action: 'execute-api:Invoke', Resource: '*' }] },
})`)}
	arn, err := r.createFunction(ctx, a, h, role)
	if err != nil {
		return "", err
	}
	var made struct{ Id string }
	err = a.call(ctx, http.MethodPost, "/restapis/"+a.id+"/authorizers", map[string]any{
		"name": "function", "type": "TOKEN", "identitySource": "method.request.header.Authorization", "authorizerResultTtlInSeconds": 3600,
		"authorizerUri": invocation(arn),
	}, &made)
	return made.Id, err
}

// requests are what each route is asked, and what it must refuse. The cached route is the last.
func (r *rig) requests(a *api, many, key string, invoker sigv4.Credentials) []*contender {
	ours := func(c contender) *contender {
		c.address, c.meter, c.pids = r.address, r.process, func() []int { return []int{r.cmd.Process.Pid} }
		if c.count == 0 {
			c.count = gatewayCount
		}
		return &c
	}
	with := func(route, name, value string) []byte {
		return request{method: http.MethodGet, path: a.path(route), header: http.Header{name: {value}}}.raw(r.host)
	}
	always := func(raw []byte) func(int) []byte { return func(int) []byte { return raw } }
	bearer := func(token string) string { return "Bearer " + token }
	fresh := make([][]byte, 0, len(r.idTokens))
	for _, t := range r.idTokens[2:] {
		fresh = append(fresh, with("token", "Authorization", bearer(t)))
	}
	signed := make([][]byte, gatewayCount) // each with a query of its own, so that none is the other's repetition
	for i := range signed {
		signed[i] = request{method: http.MethodGet, path: a.path("signed"), query: "n=" + strconv.Itoa(i)}.signed(r.host, "execute-api", invoker)
	}
	foreign := sigv4.Credentials{AccessKeyID: invoker.AccessKeyID, SecretAccessKey: "not" + invoker.SecretAccessKey[3:]}
	badSignature := request{method: http.MethodGet, path: a.path("signed")}.signed(r.host, "execute-api", foreign)
	token := bearer(r.idTokens[0]) // the open routes are sent one, too: its bytes are to be read by everybody
	return []*contender{
		ours(contender{name: openRoute, next: always(with("open", "Authorization", token))}),
		ours(contender{name: openOfMany, next: always(request{method: http.MethodGet, path: many, header: http.Header{"Authorization": {token}}}.raw(r.host))}),
		ours(contender{name: keyRoute, next: always(with("key", "X-Api-Key", key)), refused: with("key", "X-Api-Key", "not-"+key), status: http.StatusForbidden}),
		ours(contender{name: tokenRoute, next: always(with("token", "Authorization", token)),
			refused: with("token", "Authorization", bearer(altered(r.idTokens[1]))), status: http.StatusUnauthorized}),
		ours(contender{name: freshRoute, count: (len(fresh) - 1) / gatewayRounds, next: func(i int) []byte { return fresh[(i+1)%len(fresh)] },
			refused: with("token", "Authorization", "garbage"), status: http.StatusUnauthorized}),
		ours(contender{name: signedRoute, next: func(i int) []byte { return signed[i%gatewayCount] }, refused: badSignature, status: http.StatusForbidden}),
		ours(contender{name: decidedRoute, next: always(with("decided", "Authorization", "let-me-in")),
			refused: with("decided", "Authorization", "let-me-out"), status: http.StatusForbidden}),
		ours(contender{name: cachedRoute, next: always(with("cached", "Authorization", token))}),
	}
}
