package gateway

import (
	"maps"
	"slices"

	"moat/internal/pure/jsonpath"
)

// contextObject is $context of a mapping template.
type contextObject struct {
	x                    *Exchange
	identity, authorizer *jsonpath.Map
	own                  *jsonpath.Map // what the template itself put there
}

// contextNames are the variables with a value of their own, as keySet gives them.
func contextNames() []string {
	return []string{"accountId", "apiId", "authorizer", "deploymentId", "domainName", "domainPrefix", "extendedRequestId", "httpMethod", "identity",
		"operationName", "path", "protocol", "requestId", "requestOverride", "requestTime", "requestTimeEpoch", "resourceId", "resourcePath", "responseOverride", "stage"}
}

// Property gives $context.name.
func (c *contextObject) Property(name string) (any, bool) {
	switch name {
	case "requestOverride":
		return c.x.mapState().requestOverride(), true
	case "responseOverride":
		return c.x.mapState().responseOverride(), true
	case "identity":
		if c.identity == nil {
			c.identity = c.x.identityMap()
		}
		return c.identity, true
	case "authorizer":
		if c.authorizer == nil {
			c.authorizer = c.x.authorizerMap()
		}
		return c.authorizer, true
	case "requestTimeEpoch":
		return c.x.start.UnixMilli(), true
	}
	if c.own != nil {
		if v, ok := c.own.Get(name); ok {
			return v, true
		}
	}
	if v, ok := c.x.contextValue("context." + name); ok {
		return v, true
	}
	return nil, false
}

// SetProperty lets a template keep something of its own in $context; what the gateway
// knows stays what it is.
func (c *contextObject) SetProperty(name string, v any) bool {
	if _, ok := c.Property(name); ok && (c.own == nil || !has(c.own, name)) {
		return false
	}
	if c.own == nil {
		c.own = new(jsonpath.Map)
	}
	c.own.Put(name, v)
	return true
}

func has(m *jsonpath.Map, name string) bool {
	_, ok := m.Get(name)
	return ok
}

// Call gives $context.get(name) and keySet().
func (c *contextObject) Call(name string, args []any) (any, bool, error) {
	switch {
	case name == "get" && len(args) == 1:
		if key, ok := args[0].(string); ok {
			v, _ := c.Property(key)
			return v, true, nil
		}
	case name == "containsKey" && len(args) == 1:
		if key, ok := args[0].(string); ok {
			_, ok := c.Property(key)
			return ok, true, nil
		}
	case name == "keySet" && len(args) == 0:
		l := jsonpath.NewList()
		for _, n := range contextNames() {
			if _, ok := c.Property(n); ok {
				l.Items = append(l.Items, n)
			}
		}
		return l, true, nil
	}
	return nil, false, nil
}

// String is empty: the object itself says nothing.
func (c *contextObject) String() string { return "" }

// identityMap is $context.identity: what has a value.
func (x *Exchange) identityMap() *jsonpath.Map {
	m := new(jsonpath.Map)
	for _, name := range []string{"accessKey", "accountId", "apiKey", "apiKeyId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType",
		"cognitoIdentityId", "cognitoIdentityPoolId", "sourceIp", "user", "userAgent", "userArn"} {
		if v, ok := x.identityValue(name); ok {
			m.Put(name, v)
		}
	}
	if x.Via != nil && x.Via.Peer != nil {
		m.Put("clientCert", x.clientCertMap())
	}
	return m
}

// authorizerMap is $context.authorizer: the claims, or what a function said.
func (x *Exchange) authorizerMap() *jsonpath.Map {
	m := new(jsonpath.Map)
	switch {
	case x.claims != nil:
		m.Put("claims", claimsObject{sortedMap(x.claimSet().text)})
	case x.custom != nil:
		m.Put("principalId", x.custom.principal)
		for _, name := range slices.Sorted(maps.Keys(x.custom.context)) {
			m.Put(name, x.custom.context[name])
		}
	}
	return m
}

// claimsObject is $context.authorizer.claims: its members can be had by name, the
// object itself is empty (API Gateway Developer Guide: it "returns null").
type claimsObject struct{ claims *jsonpath.Map }

// Property gives one claim.
func (c claimsObject) Property(name string) (any, bool) { return c.claims.Get(name) }

// Call gives get(name) and keySet().
func (c claimsObject) Call(name string, args []any) (any, bool, error) {
	switch {
	case name == "get" && len(args) == 1:
		if key, ok := args[0].(string); ok {
			v, _ := c.claims.Get(key)
			return v, true, nil
		}
	case name == "containsKey" && len(args) == 1:
		if key, ok := args[0].(string); ok {
			return has(c.claims, key), true, nil
		}
	case name == "keySet" && len(args) == 0:
		l := jsonpath.NewList()
		for i := range c.claims.Len() {
			key, _ := c.claims.At(i)
			l.Items = append(l.Items, key)
		}
		return l, true, nil
	}
	return nil, false, nil
}

// String is empty.
func (claimsObject) String() string { return "" }
