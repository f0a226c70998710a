package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"moat/internal/pure/jsonstring"
	"moat/internal/pure/policy"
	"moat/internal/wire"
)

// grant is what an authorizer function said: a policy, and who the caller is. It is
// the policy that is remembered; each request asks it anew for its own method ARN.
type grant struct {
	doc *policy.Document
	customResult
	usageKey string
}

// customResult is what integrations get to know of a function authorizer's answer.
type customResult struct {
	principal string
	context   map[string]string
	json      []byte
	sum       [sha256.Size]byte // of principal and context
}

func (c *customResult) value(name string) (string, bool) {
	if name == "principalId" {
		return c.principal, true
	}
	v, ok := c.context[name]
	return v, ok
}

// compileFunctionAuthorizer reads an authorizer of type TOKEN or REQUEST.
func (s *Snapshot) compileFunctionAuthorizer(out *authorizer, a Authorizer) error {
	var err error
	if out.function, err = s.newFunction(out.where, a.URI, a.Credentials); err != nil {
		return err
	}
	if out.function.asks {
		return &DefinitionError{"Invalid credentials for " + out.where}
	}
	if a.Type == "TOKEN" {
		if err := out.headerSource(a.IdentitySource); err != nil {
			return err
		}
		out.sources = []source{{from: "header", name: out.header}}
		return nil
	}
	for text := range strings.SplitSeq(a.IdentitySource, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		src, err := parseSource(out.where, text)
		if err != nil {
			return err
		}
		if src.from == "static" || src.from == "path" {
			return &DefinitionError{"Invalid identity source for " + out.where + ": " + text}
		}
		out.sources = append(out.sources, src)
	}
	if len(out.sources) == 0 && out.ttl > 0 {
		return &DefinitionError{"Identity source required when caching is enabled for " + out.where}
	}
	return nil
}

// authoriseFunction asks an authorizer function, or what it said before.
func authoriseFunction(x *Exchange) error {
	a := x.route.authorizer
	values, err := a.identify(x)
	if err != nil {
		return err
	}
	g, err := x.grantOf(a, values)
	if err != nil {
		return err
	}
	x.custom, x.granted, x.who = &g.customResult, g, g.principal
	x.enter(deciding)
	if err := x.byGrant(a, g); err != nil {
		return err
	}
	if x.route.def.APIKeyRequired && x.snap.keyFrom == "AUTHORIZER" {
		if g.usageKey == "" {
			return refuse(InvalidAPIKey, a.where+" named no API key")
		}
		return x.charge(g.usageKey)
	}
	return nil
}

// identify takes the values of the identity sources; all must be there.
func (a *authorizer) identify(x *Exchange) ([]string, error) {
	if a.kind == "TOKEN" {
		value, n := x.one(a.header)
		switch {
		case n != 1 || value == "":
			return nil, refuse(Unauthorized, a.where+" wants exactly one "+a.header)
		case a.validation != nil && !a.validation.MatchString(value):
			return nil, refuse(Unauthorized, a.header+" does not match the validation expression of "+a.where)
		}
		return []string{value}, nil
	}
	values := make([]string, len(a.sources))
	for i, s := range a.sources {
		v, ok := x.value(s)
		if !ok || v == "" {
			return nil, refuse(Unauthorized, a.where+" wants "+s.from+" "+s.name)
		}
		values[i] = v
	}
	return values, nil
}

// grantOf returns the remembered grant for these identity values, or asks the function.
// The key is length-prefixed over everything that may change the answer, so no two
// different identities can ever share one (the class of CVE-2026-33496).
func (x *Exchange) grantOf(a *authorizer, values []string) (*grant, error) {
	if a.ttl <= 0 {
		return x.ask(a, values)
	}
	var key []byte
	for _, part := range append([]string{x.APIID, x.Stage, x.snap.def.DeploymentID, strconv.FormatInt(x.snap.def.AuthorizerEpoch, 10), a.id, a.function.arn}, values...) {
		key = append(binary.AppendUvarint(key, uint64(len(part))), part...)
	}
	hash := x.g.policies.sum(string(key))
	if g, ok := x.g.policies.get(&hash, x.start); ok {
		return *g, nil
	}
	g, err := x.ask(a, values)
	if err != nil {
		return nil, err
	}
	x.g.policies.put(&hash, g, x.start.Add(a.ttl), x.start)
	return g, nil
}

// ask calls the authorizer's function and reads what it says.
func (x *Exchange) ask(a *authorizer, values []string) (*grant, error) {
	out, err := x.consult(a, values)
	if err != nil {
		return nil, err
	}
	g, why := readGrant(out, a, x.authorizing)
	if why != "" {
		return nil, refuse(AuthorizerConfigurationError, a.where+" answered nonsense: "+why+": "+clip(out))
	}
	return g, nil
}

// consult calls the authorizer's function.
func (x *Exchange) consult(a *authorizer, values []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(x.Context, defaultTimeout)
	defer cancel()
	source := "arn:aws:execute-api:" + x.snap.def.Region + ":" + x.snap.def.Account + ":" + x.APIID + "/authorizers/" + a.id
	began := x.g.cfg.Now()
	x.consulted = true
	defer func() { x.authorizing = x.g.cfg.Now().Sub(began) }()
	out, err := a.function.invoke(ctx, x, x.authorizerEvent(a, values), source)
	if err != nil {
		grounds := err.Error()
		if r, ok := err.(*Refusal); ok {
			grounds = r.Grounds
		}
		if strings.Contains(grounds, `"errorMessage":"Unauthorized"`) || strings.Contains(grounds, `"errorMessage": "Unauthorized"`) {
			return nil, refuse(Unauthorized, a.where+" said Unauthorized")
		}
		return nil, refuse(AuthorizerFailure, a.where+": "+grounds)
	}
	return out, nil
}

// authorizerEvent is the input of an authorizer function (API Gateway Developer
// Guide, "Input to an API Gateway Lambda authorizer").
func (x *Exchange) authorizerEvent(a *authorizer, values []string) []byte {
	b := jsonstring.Append([]byte(`{"type":`), a.kind)
	b = jsonstring.Append(append(b, `,"methodArn":`...), x.methodARN())
	if a.kind == "TOKEN" {
		b = jsonstring.Append(append(b, `,"authorizationToken":`...), values[0])
		return append(b, '}')
	}
	event := x.event(nil)
	event = event[:len(event)-len(`,"body":null,"isBase64Encoded":false}`)]
	b = append(append(b, ','), event[1:]...)
	return append(b, '}')
}

// readGrant reads an authorizer's answer; why is set when it is not one.
func readGrant(out []byte, a *authorizer, latency time.Duration) (g *grant, why string) {
	var in struct {
		Principal any             `json:"principalId"`
		Policy    json.RawMessage `json:"policyDocument"`
		Context   map[string]any  `json:"context"`
		UsageKey  string          `json:"usageIdentifierKey"`
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	dec.UseNumber()
	if err := dec.Decode(&in); err != nil {
		return nil, "it is not an object of the expected form"
	}
	g = &grant{usageKey: in.UsageKey}
	switch p := in.Principal.(type) {
	case string:
		g.principal = p
	case json.Number:
		g.principal = p.String()
	default:
		return nil, "it names no principalId"
	}
	if len(in.Policy) == 0 {
		return nil, "it has no policyDocument"
	}
	doc, err := policy.Parse(a.where, in.Policy)
	if err != nil {
		return nil, err.Error()
	}
	g.doc, g.context = doc, map[string]string{}
	for name, v := range in.Context {
		switch v.(type) {
		case string, json.Number, bool:
			g.context[name] = plainText(v)
		default:
			return nil, "context " + name + " is not a string, number or boolean"
		}
	}
	all := map[string]string{"principalId": g.principal}
	for name, v := range g.context {
		if name != "integrationLatency" {
			all[name] = v
		}
	}
	b := appendStrings(nil, all)
	g.sum = sha256.Sum256(b)
	g.json = append(strconv.AppendInt(append(b[:len(b)-1], `,"integrationLatency":`...), latency.Milliseconds(), 10), '}')
	return g, ""
}

// askGrant evaluates the grant's policy alone.
func (x *Exchange) askGrant(g *grant, action string) policy.Decision {
	who := policy.Principal{Kind: policy.PrincipalUser, ARN: "arn:aws:iam::" + x.snap.def.Account + ":user/" + g.principal, Account: x.snap.def.Account}
	return policy.Evaluate(&policy.Request{Principal: who, Action: action, Resource: x.methodARN(), Account: x.snap.def.Account, Context: x.asked()},
		&policy.Policies{Identity: []*policy.Document{g.doc}})
}

// byGrant asks the grant's policy, and the API's own, about this method.
func (x *Exchange) byGrant(a *authorizer, g *grant) error {
	d := x.askGrant(g, actionInvoke)
	if x.snap.policy != nil && !d.Explicit {
		if r := x.askResource(wire.Caller{}, actionInvoke); r.Explicit {
			return x.denied("anonymous", r)
		} else if r.Allowed && !d.Allowed {
			d = r
		}
	}
	if d.Allowed {
		x.grounds = grounds(d)
		return nil
	}
	sentence := "User is not authorized to access this resource"
	if d.Explicit {
		sentence += " with an explicit deny"
	}
	return &Refusal{Kind: AccessDenied, Message: sentence, Capital: true, Grounds: grounds(d)}
}
