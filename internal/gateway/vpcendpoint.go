package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"moat/internal/http1"
	"moat/internal/pure/policy"
)

// VPCEndpoint is an interface VPC endpoint: a way in of its own, for private APIs and for no others
// (API Gateway Developer Guide, "Private REST APIs in API Gateway"). It must not be changed once
// requests come by it.
type VPCEndpoint struct {
	ID  string // vpce-...
	VPC string // vpc-...; empty: not told
}

// identity gives $context.identity.vpceId and vpcId.
func (e *VPCEndpoint) identity(name string) (string, bool) {
	switch {
	case e == nil:
		return "", false
	case name == "vpceId":
		return e.ID, true
	}
	return e.VPC, e.VPC != ""
}

// ServeAPIBy is [Gateway.ServeAPI] for a request that came by a VPC endpoint.
func (g *Gateway) ServeAPIBy(e *VPCEndpoint, w http.ResponseWriter, r *http.Request, apiID, stage, path string) {
	g.serveVia(e, w, r, apiID, stage, path, nil)
}

// ServeHTTP1By is [Gateway.ServeHTTP1] for a request that came by a VPC endpoint.
func (g *Gateway) ServeHTTP1By(ctx context.Context, e *VPCEndpoint, w *http1.Response, r *http1.Request, apiID, stage, path string) {
	g.serveHTTP1(ctx, e, w, r, apiID, stage, path)
}

// readAlias reads the name that joins a private API with a VPC endpoint, {api}-{vpce}, where the
// request came by one.
func (x *Exchange) readAlias() {
	if x.Endpoint == nil {
		return
	}
	if api, endpoint, ok := strings.Cut(x.APIID, "-"); ok {
		x.APIID, x.alias = api, endpoint
	}
}

// reach refuses a request that came a way that does not lead to the API: to a private one by the
// open network, to another one by a VPC endpoint, or by a name that the API does not have there.
func (x *Exchange) reach() error {
	s := x.snap
	switch {
	case s.private && x.Endpoint == nil:
		return unreachable("the API is private, and the request came by no VPC endpoint")
	case !s.private && x.Endpoint != nil:
		return unreachable("the API is not private: VPC endpoints do not lead to it")
	case s.private && s.policy == nil:
		return unreachable("the API is private and has no resource policy: nobody may call it")
	case x.alias != "" && (x.alias != x.Endpoint.ID || !slices.Contains(s.def.VPCEndpoints, x.alias)):
		return unreachable("the API has no name that joins it with " + x.alias + " at this VPC endpoint")
	}
	return x.byDomainPolicy()
}

// PublishPrivateDomains replaces the private custom domain names that VPC endpoints lead to, by the ids
// of the endpoints and by their names.
func (g *Gateway) PublishPrivateDomains(byEndpoint map[string]map[string]*Domain) {
	g.private.Store(&byEndpoint)
}

// PrivateDomain finds the private custom domain name that a host is at a VPC endpoint, or nil. Case and
// a trailing dot do not matter.
func (g *Gateway) PrivateDomain(e *VPCEndpoint, host string) *Domain {
	at := (*g.private.Load())[e.ID]
	if len(at) == 0 {
		return nil
	}
	return at[strings.ToLower(strings.TrimSuffix(host, "."))]
}

// ServeDomainBy is [Gateway.ServeDomain] for a private custom domain name at a VPC endpoint.
func (g *Gateway) ServeDomainBy(e *VPCEndpoint, w http.ResponseWriter, r *http.Request, d *Domain, host string) {
	g.serveDomain(e, w, r, d, host)
}

// ParseDomainPolicy reads the policy of a private custom domain name, whose resources may be written
// short ("execute-api:/*").
func ParseDomainPolicy(account, region, name, text string) (*policy.Document, error) {
	return policy.Parse("policy of domain name "+name, []byte(text), policy.ShortResource("execute-api:/", "arn:aws:execute-api:"+region+":"+account+":/"))
}

// viaDomain is the ARN of the private custom domain name by which the request came, or "".
func (x *Exchange) viaDomain() string {
	if x.Via == nil {
		return ""
	}
	return x.Via.Domain.ARN
}

// byDomainPolicy lets through what the policy of a private custom domain name allows to everybody. Who
// calls is not known yet: the policy of the API has its say once it is.
func (x *Exchange) byDomainPolicy() error {
	resource := x.viaDomain()
	if resource == "" {
		return nil
	}
	account := x.snap.def.Account
	d := policy.Evaluate(&policy.Request{Action: actionInvoke, Resource: resource, Account: account, Context: x.asked()}, &policy.Policies{Resource: x.Via.Domain.Policy})
	if d.Allowed {
		return nil
	}
	return deniedOn("anonymous", resource, strings.Replace(resource, ":"+account+":", ":"+masked(account)+":", 1), d)
}
