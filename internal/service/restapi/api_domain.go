package restapi

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// domain is a custom domain name. A public one's name is unique in the installation, since requests
// find it by their host alone; private ones are told apart by their ids.
type domain struct {
	Account, Region, Name string
	ID                    string `json:",omitempty"` // of a private one
	Domain                apigatewayapi.DomainName
	Chain                 string // PEM, the domain's own certificate first; empty: it has none of its own
	Key                   []byte // sealed PKCS #8 of an own certificate
}

// mapping leads a base path of a domain to a stage.
type mapping struct {
	Account, Region, Domain, BasePath string // the base path as the API writes it: "(none)" for the empty one
	Mapping                           apigatewayapi.BasePathMapping
}

// noBasePath is how the API writes the empty base path.
const noBasePath = "(none)"

// CreateDomainName makes a custom domain name; it is served, under its certificate, when the call answers.
func (s *Service) CreateDomainName(ctx context.Context, in *apigatewayapi.CreateDomainNameRequest) (*apigatewayapi.DomainName, error) {
	p, now := s.place(ctx), s.now()
	id, err := s.id(longID)
	if err != nil {
		return nil, err
	}
	name := strings.ToLower(in.DomainName)
	out := apigatewayapi.DomainName{
		DomainName: &name, CertificateName: in.CertificateName, CertificateArn: in.CertificateArn, RegionalCertificateArn: in.RegionalCertificateArn,
		RegionalCertificateName: in.RegionalCertificateName, EndpointConfiguration: in.EndpointConfiguration, SecurityPolicy: in.SecurityPolicy, Tags: in.Tags,
		DomainNameStatus: apigatewayapi.DomainNameStatusAVAILABLE, RoutingMode: in.RoutingMode, EndpointAccessMode: in.EndpointAccessMode,
		OwnershipVerificationCertificateArn: in.OwnershipVerificationCertificateArn, Policy: in.Policy,
	}
	if m := in.MutualTlsAuthentication; m != nil && wire.Value(m.TruststoreUri) != "" {
		out.MutualTlsAuthentication = &apigatewayapi.MutualTlsAuthentication{TruststoreUri: m.TruststoreUri, TruststoreVersion: m.TruststoreVersion}
	}
	domainDefaults(&out)
	rec := domain{Account: p.account, Region: p.region, Name: name, Domain: out}
	if in.CertificateBody != nil || in.CertificatePrivateKey != nil {
		up := upload{body: wire.Value(in.CertificateBody), key: wire.Value(in.CertificatePrivateKey), chain: wire.Value(in.CertificateChain)}
		if err := s.uploaded(&rec, up); err != nil {
			return nil, err
		}
		rec.Domain.CertificateUploadDate = &now
	}
	s.nameEndpoint(&rec, id)
	if err := s.checkDomain("CreateDomainName", &rec); err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := room(s, tx, s.tables.domains, "domain-names", "Domain Names", "", p.account, p.region); err != nil {
			return err
		}
		return s.tables.domains.Insert(tx, rec)
	})
	if errors.Is(err, store.ErrExists) {
		return nil, conflict("The domain name you provided already exists.")
	}
	if err != nil {
		return nil, err
	}
	return &rec.Domain, s.PublishAll(ctx)
}

func domainDefaults(d *apigatewayapi.DomainName) {
	if d.EndpointConfiguration == nil {
		d.EndpointConfiguration = &apigatewayapi.EndpointConfiguration{}
	}
	e := d.EndpointConfiguration
	if len(e.Types) == 0 {
		e.Types = []apigatewayapi.EndpointType{apigatewayapi.EndpointTypeEDGE}
	}
	if e.IpAddressType == "" {
		e.IpAddressType = apigatewayapi.IpAddressTypeipv4
		if isPrivate(e) {
			e.IpAddressType = apigatewayapi.IpAddressTypedualstack
		}
	}
	if isPrivate(e) && wire.Value(d.Policy) == "" {
		d.Policy = wire.String(denyAll)
	}
	if d.SecurityPolicy == "" {
		d.SecurityPolicy = apigatewayapi.SecurityPolicyTLS_1_2
	}
	if d.RoutingMode == "" {
		d.RoutingMode = apigatewayapi.RoutingModeBASE_PATH_MAPPING_ONLY
	}
}

// nameEndpoint names the host that the domain is to be an alias of, below this Moat's own name.
func (s *Service) nameEndpoint(d *domain, id string) {
	suffix, _, _ := strings.Cut(s.cfg.Domain, ":")
	target := "d-" + id + ".execute-api." + d.Region + "." + suffix
	d.Domain.DistributionDomainName, d.Domain.RegionalDomainName = nil, nil
	if isPrivate(d.Domain.EndpointConfiguration) {
		d.ID, d.Domain.DomainNameId = id, &id
		d.Domain.DomainNameArn = wire.String(d.arn())
	}
	if d.has(apigatewayapi.EndpointTypeEDGE) {
		d.Domain.DistributionDomainName = &target
	}
	if d.has(apigatewayapi.EndpointTypeREGIONAL) {
		d.Domain.RegionalDomainName = &target
	}
}

// has tells whether the domain has an endpoint of a type. It has two while it changes from one to the other.
func (d *domain) has(t apigatewayapi.EndpointType) bool {
	return slices.Contains(d.Domain.EndpointConfiguration.Types, t)
}

func (s *Service) domain(tx *store.Tx, p place, name string, id *string) (domain, error) {
	key := strings.ToLower(name)
	if strings.Contains(key, "+") { // the way to a private one is its id
		return domain{}, notFound("Invalid domain name identifier specified")
	}
	if wire.Value(id) != "" {
		key += "+" + *id
	}
	return s.domainAt(tx, p, key)
}

// domainAt finds a domain by its key.
func (s *Service) domainAt(tx *store.Tx, p place, key string) (domain, error) {
	d, err := s.tables.domains.Get(tx, p.key(key)...)
	if errors.Is(err, store.ErrNotFound) {
		return d, notFound("Invalid domain name identifier specified")
	}
	return d, err
}

// GetDomainName returns a custom domain name.
func (s *Service) GetDomainName(ctx context.Context, in *apigatewayapi.GetDomainNameRequest) (*apigatewayapi.DomainName, error) {
	var d domain
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		d, err = s.domain(tx, s.place(ctx), in.DomainName, in.DomainNameId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &d.Domain, nil
}

// GetDomainNames lists the custom domain names; of other accounts the private ones that the caller
// may associate with a VPC endpoint.
func (s *Service) GetDomainNames(ctx context.Context, in *apigatewayapi.GetDomainNamesRequest) (*apigatewayapi.DomainNames, error) {
	out, p := &apigatewayapi.DomainNames{Items: []apigatewayapi.DomainName{}}, s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		query := store.Query{Prefix: p.key()}
		if in.ResourceOwner == apigatewayapi.ResourceOwnerOTHER_ACCOUNTS {
			query = store.Query{}
		}
		all, err := s.tables.domains.List(tx, query)
		if err != nil {
			return err
		}
		items := []apigatewayapi.DomainName{}
		for _, d := range all {
			if query.Prefix != nil || s.shared(ctx, &d) {
				items = append(items, d.Domain)
			}
		}
		key := func(d apigatewayapi.DomainName) string {
			return *d.DomainName + "+" + wire.Value(d.DomainNameId)
		}
		out.Items, out.Position, err = cut(s.listing(ctx, string(in.ResourceOwner)), items, key, in.Position, in.Limit)
		return err
	})
	return out, err
}

// UpdateDomainName patches a custom domain name; what changes counts when the call answers. A new
// certificate is uploaded by its parts: /certificateBody, /certificatePrivateKey, /certificateChain.
func (s *Service) UpdateDomainName(ctx context.Context, in *apigatewayapi.UpdateDomainNameRequest) (*apigatewayapi.DomainName, error) {
	var up upload
	var rest []apigatewayapi.PatchOperation
	for _, op := range in.PatchOperations {
		part := map[string]*string{"/certificateBody": &up.body, "/certificatePrivateKey": &up.key, "/certificateChain": &up.chain}[wire.Value(op.Path)]
		if part != nil && op.Op == replace {
			*part = wire.Value(op.Value)
		} else {
			rest = append(rest, op)
		}
	}
	if err := migrating(in.PatchOperations); err != nil {
		return nil, err
	}
	d, err := amend(ctx, s, func(tx *store.Tx) (domain, error) { return s.domain(tx, s.place(ctx), in.DomainName, in.DomainNameId) }, func(tx *store.Tx, d *domain) error {
		if err := domainRules().apply(&d.Domain, rest); err != nil {
			return err
		}
		if m := d.Domain.MutualTlsAuthentication; m != nil && wire.Value(m.TruststoreUri) == "" {
			d.Domain.MutualTlsAuthentication = nil
		}
		if up != (upload{}) {
			if err := s.uploaded(d, up); err != nil {
				return err
			}
			d.Domain.CertificateUploadDate = wire.Ptr(s.now())
		}
		if isPrivate(d.Domain.EndpointConfiguration) != (d.ID != "") {
			return badRequest("Cannot migrate between public and private custom domain names")
		}
		if d.ID != "" && wire.Value(d.Domain.Policy) == "" {
			d.Domain.Policy = wire.String(denyAll)
		}
		s.nameEndpoint(d, d.endpointID())
		return s.checkDomain("UpdateDomainName", d)
	}, s.tables.domains.Put)
	if err != nil {
		return nil, err
	}
	return &d.Domain, s.PublishAll(ctx)
}

// migrating refuses a request that both adds and removes certificates or endpoint types: a domain changes from one
// type to the other in two steps, so that it is served in between (API Gateway API Reference, "Patch Operations").
func migrating(ops []apigatewayapi.PatchOperation) error {
	seen := map[apigatewayapi.Op]bool{}
	for _, op := range ops {
		if first := pointer(wire.Value(op.Path)); slices.Contains([]string{"certificateName", "certificateArn", "regionalCertificateName", "regionalCertificateArn", "endpointConfiguration"}, first[0]) {
			seen[op.Op] = true
		}
	}
	if seen[add] && seen[remove] {
		return badRequest("Endpoint types and certificates cannot be added and removed in the same request")
	}
	return nil
}

// endpointID is the id in the name that the domain is an alias of.
func (d *domain) endpointID() string {
	if d.ID != "" {
		return d.ID
	}
	name := cmp.Or(wire.Value(d.Domain.RegionalDomainName), wire.Value(d.Domain.DistributionDomainName))
	id, _, _ := strings.Cut(strings.TrimPrefix(name, "d-"), ".")
	return id
}

// DeleteDomainName deletes a custom domain name with its mappings.
func (s *Service) DeleteDomainName(ctx context.Context, in *apigatewayapi.DeleteDomainNameRequest) (*apigatewayapi.DeleteDomainNameOutput, error) {
	p := s.place(ctx)
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		d, err := s.domain(tx, p, in.DomainName, in.DomainNameId)
		if err != nil {
			return err
		}
		if _, err := s.tables.mappings.DeleteAll(tx, p.key(d.key())...); err != nil {
			return err
		}
		return s.tables.domains.Delete(tx, p.key(d.key())...)
	})
	if err != nil {
		return nil, err
	}
	return &apigatewayapi.DeleteDomainNameOutput{}, s.PublishAll(ctx)
}
