package sam

import (
	"strings"

	"moat/internal/service/stack/template"
)

// domain expands an API's Domain into a custom domain name and its base path mappings. APIs with the
// same domain name share one.
func (a *api) domain(stageID string) {
	tr, path := a.tr, "Properties.Domain"
	d := tr.resolveParameters(a.p.Get("Domain"))
	if d.Empty() {
		return
	}
	if !d.Is(template.Map) || d.Get("DomainName").Empty() || d.Get("CertificateArn").Empty() {
		tr.fail(d.Pos, a.id, path, "Custom Domains only works if both DomainName and CertificateArn are provided.")
		return
	}
	known := map[string]string{
		"DomainName": "", "CertificateArn": "", "EndpointConfiguration": "", "MutualTlsAuthentication": "", "OwnershipVerificationCertificateArn": "", "SecurityPolicy": "",
		"BasePath": "", "NormalizeBasePath": "", "Route53": "-", "Policy": "-", "AccessAssociation": "-", "IpAddressType": "",
	}
	for _, f := range d.Entries() {
		switch how, ok := known[f.Key]; {
		case !ok:
			tr.fail(f.Pos, a.id, path+"."+f.Key, "unknown property of Domain%s", didYouMean(f.Key, known))
			return
		case how == "-" && !f.Value.Empty():
			tr.notBuilt(f.Pos, a.id, path+"."+f.Key, "the property Domain."+f.Key)
			return
		}
	}
	props := template.NewMap("DomainName", d.Get("DomainName"))
	if !a.domainEndpoint(d, props) {
		return
	}
	for _, n := range []string{"SecurityPolicy", "OwnershipVerificationCertificateArn"} {
		if v := d.Get(n); !v.Empty() {
			props.Set(n, v)
		}
	}
	if m := d.Get("MutualTlsAuthentication"); !m.Empty() {
		for _, f := range m.Entries() {
			if f.Key != "TruststoreUri" && f.Key != "TruststoreVersion" {
				tr.fail(f.Pos, a.id, path+".MutualTlsAuthentication."+f.Key, "Available MutualTlsAuthentication fields are TruststoreUri, TruststoreVersion.")
				return
			}
		}
		props.Set("MutualTlsAuthentication", m)
	}
	named := d.Get("DomainName").Str()
	if named == "" {
		named = d.Get("DomainName").Canonical()
	}
	domainID := withHash("ApiGatewayDomainName", named)
	tr.put(domainID, "AWS::ApiGateway::DomainName", props, a.r, passThrough...)
	tr.refer(a.id, "DomainName", domainID)
	a.basePaths(d, domainID, stageID)
}

// domainEndpoint gives a domain name its endpoint, with the certificate where that endpoint has it.
func (a *api) domainEndpoint(d, props *template.Value) bool {
	endpoint := d.Get("EndpointConfiguration")
	kind := endpoint.Str()
	if endpoint == nil {
		kind = "REGIONAL"
		endpoint = template.NewString(kind)
	}
	certificate := "RegionalCertificateArn"
	switch kind {
	case "REGIONAL":
	case "EDGE":
		certificate = "CertificateArn"
	case "PRIVATE":
		a.tr.notBuilt(endpoint.Pos, a.id, "Properties.Domain.EndpointConfiguration", "a private custom domain name")
		return false
	default:
		a.tr.fail(endpoint.Pos, a.id, "Properties.Domain.EndpointConfiguration", "EndpointConfiguration for Custom Domains must be one of ['EDGE', 'REGIONAL', 'PRIVATE'].")
		return false
	}
	config := template.NewMap("Types", list(endpoint))
	if v := d.Get("IpAddressType"); v != nil {
		config.Set("IpAddressType", v)
	}
	props.Set("EndpointConfiguration", config)
	props.Set(certificate, d.Get("CertificateArn"))
	return true
}

// basePaths maps the base paths of a domain to the API's stage; without any, all of it.
func (a *api) basePaths(d *template.Value, domainID, stageID string) {
	mapping := func(id string) *template.Value {
		p := template.NewMap("DomainName", template.Ref(domainID), "RestApiId", template.Ref(a.id), "Stage", template.Ref(stageID))
		a.tr.put(id, "AWS::ApiGateway::BasePathMapping", p, a.r, passThrough...)
		return p
	}
	paths := d.Get("BasePath")
	if paths == nil {
		mapping(a.id + "BasePathMapping")
		return
	}
	all := []*template.Value{paths}
	if paths.Is(template.List) {
		all = paths.Items
	}
	asWritten := d.Get("NormalizeBasePath").Is(template.Bool) && !d.Get("NormalizeBasePath").True
	for _, v := range all {
		if !v.Is(template.String) {
			a.tr.fail(v.Pos, a.id, "Properties.Domain.BasePath", "a base path is a text, or a list of texts")
			return
		}
		plain := strings.Map(func(r rune) rune {
			if isAlphanumeric(string(r)) {
				return r
			}
			return -1
		}, v.Text)
		base := plain
		if asWritten {
			base = v.Text
		}
		mapping(a.id+plain+"BasePathMapping").Set("BasePath", template.NewString(base))
	}
}
