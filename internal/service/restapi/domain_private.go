package restapi

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"

	"moat/internal/gateway"
	"moat/internal/pure/arn"
	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// actionAssociate is what a management policy allows.
const actionAssociate = "apigateway:CreateAccessAssociation"

// denyAll is the policy of a private custom domain name that is given none.
const denyAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"}]}`

// key is what a domain is found by: its name, and the id of a private one.
func (d *domain) key() string {
	if d.ID == "" {
		return d.Name
	}
	return d.Name + "+" + d.ID
}

// arn names a private domain.
func (d *domain) arn() string {
	return "arn:aws:apigateway:" + d.Region + ":" + d.Account + ":/domainnames/" + d.key()
}

// privateKey reads the ARN of a private custom domain name in a region.
func privateKey(text, region string) (account, key string, ok bool) {
	a, err := arn.Parse(text)
	if err != nil {
		return "", "", false
	}
	key, ok = strings.CutPrefix(a.Resource, "/domainnames/")
	return a.Account, key, ok && a.Service == "apigateway" && a.Region == region && a.Account != "" && strings.Count(key, "+") == 1 && !strings.Contains(key, "/")
}

// checkPrivate holds a private domain to what AWS documents of it (API Gateway Developer Guide, "Custom
// domain names for private APIs in API Gateway").
func checkPrivate(d *domain) error {
	e := d.Domain.EndpointConfiguration
	switch {
	case strings.HasPrefix(d.Name, "*"):
		return badRequest("Wildcard custom domain names are not supported for private custom domain names")
	case len(e.Types) != 1:
		return badRequest("A private custom domain name has no other endpoint type")
	case e.IpAddressType != apigatewayapi.IpAddressTypedualstack:
		return badRequest("Only dualstack ipAddressType is supported for private custom domain names.")
	case d.Domain.SecurityPolicy != apigatewayapi.SecurityPolicyTLS_1_2:
		return badRequest("Private custom domain names have the security policy TLS_1_2")
	case d.Domain.MutualTlsAuthentication != nil:
		return badRequest("Mutual TLS authentication is not supported for private custom domain names")
	case wire.Value(d.Domain.RegionalCertificateArn) != "" || wire.Value(d.Domain.RegionalCertificateName) != "":
		return badRequest("The certificate of a private custom domain name is its certificateArn")
	case !usualKey(d.Chain):
		return badRequest("Only RSA certificates of 2048 bits and ECDSA certificates of 256 and 384 bits are supported for private custom domain names")
	}
	if _, err := gateway.ParseDomainPolicy(d.Account, d.Region, d.key(), wire.Value(d.Domain.Policy)); err != nil {
		return badRequest("Invalid policy document. Please check the policy syntax and ensure that Principals are valid.")
	}
	if text := wire.Value(d.Domain.ManagementPolicy); text != "" {
		if _, err := d.management(); err != nil {
			return badRequest("Invalid management policy document. Please check the policy syntax and ensure that Principals are valid.")
		}
	}
	return nil
}

// usualKey reports whether an uploaded certificate, if there is one, has a key of the kinds that private domains take.
func usualKey(chain string) bool {
	block, _ := pem.Decode([]byte(chain))
	if block == nil {
		return chain == ""
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return false
	}
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() == 2048
	case *ecdsa.PublicKey:
		return k.Params().BitSize == 256 || k.Params().BitSize == 384
	}
	return false
}

// management is the policy that says who may associate a VPC endpoint with the domain; nil: it says nothing.
func (d *domain) management() (*policy.Document, error) {
	text := wire.Value(d.Domain.ManagementPolicy)
	if text == "" {
		return nil, nil
	}
	return policy.Parse("management policy of domain name "+d.key(), []byte(text), policy.ShortResource("apigateway:/", "arn:aws:apigateway:"+d.Region+":"+d.Account+":/"))
}

// associable decides whether the management policy lets a call associate a VPC endpoint with the domain. The
// caller's own policies have allowed it already, so in the domain's own account silence will do.
func (s *Service) associable(ctx context.Context, d *domain) bool {
	doc, err := d.management()
	if err != nil {
		return false
	}
	if doc == nil {
		return s.place(ctx).account == d.Account
	}
	caller, err := policy.Parse("the caller's", []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"`+actionAssociate+`","Resource":"*"}]}`))
	if err != nil {
		return false
	}
	c := wire.CallFrom(ctx)
	return policy.Evaluate(&policy.Request{Principal: c.Caller.Principal, Action: actionAssociate, Resource: d.arn(), Account: d.Account, Context: wire.RequestKeys(c)},
		&policy.Policies{Identity: []*policy.Document{caller}, Resource: doc}).Allowed
}

// shared reports whether a domain is another account's that a call may associate a VPC endpoint with.
func (s *Service) shared(ctx context.Context, d *domain) bool {
	p := s.place(ctx)
	return d.ID != "" && d.Account != p.account && d.Region == p.region && s.associable(ctx, d)
}

// mappedPrivately reports whether a private custom domain name leads to an API.
func (s *Service) mappedPrivately(tx *store.Tx, d *definition) (bool, error) {
	all, err := s.tables.mappings.List(tx, store.Query{Prefix: []string{d.Account, d.Region}})
	return slices.ContainsFunc(all, func(m mapping) bool {
		return strings.Contains(m.Domain, "+") && wire.Value(m.Mapping.RestApiId) == d.ID
	}), err
}

// privateResource names what a call acts on with its account, as AWS has it for private custom domain
// names and for domain name access associations.
func privateResource(c *wire.Call, in any) string {
	before, path, ok := strings.Cut(c.Resource, "::/")
	if !ok {
		return c.Resource
	}
	kind, rest, _ := strings.Cut(path, "/")
	switch id := wire.Member(in, "DomainNameId"); {
	case kind == "domainnameaccessassociations":
		if a, ok := in.(*apigatewayapi.DeleteDomainNameAccessAssociationRequest); ok {
			if k, ok := associationKey(a.DomainNameAccessAssociationArn, c.Region); ok {
				return k.arn()
			}
		}
		if rest == "" {
			return before + ":" + c.Account + ":/" + path
		}
	case kind == "domainnames" && id != "" && rest != "":
		name, below, _ := strings.Cut(rest, "/")
		if below != "" {
			below = "/" + below
		}
		return before + ":" + c.Account + ":/domainnames/" + name + "+" + id + below
	}
	return c.Resource
}
