package restapi

import (
	"context"
	"testing"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

const consumer = "111111111111"

// as is a call of another account's user.
func as(ctx context.Context, account string) context.Context {
	c := *wire.CallFrom(ctx)
	c.Account = account
	c.Caller = wire.Caller{Principal: policy.Principal{Kind: policy.PrincipalUser, ARN: "arn:aws:iam::" + account + ":user/u", Account: account, ID: "AIDAU"}}
	return wire.WithCall(ctx, &c)
}

// Another account associates its VPC endpoint with a private domain only where the domain's management
// policy lets it; the domain's account may reject that, and then it leads nowhere.
func TestAssociation_otherAccounts(t *testing.T) {
	t.Parallel()
	s, b, ctx := newService(t)
	s.cfg.VPCEndpoints = []string{"vpce-1"}
	s.cfg.Vouches = func(string) bool { return true }
	d, err := s.CreateDomainName(ctx, &apigatewayapi.CreateDomainNameRequest{DomainName: "a.example.test", CertificateArn: wire.String("arn:aws:acm:us-east-1:000000000000:certificate/a"),
		EndpointConfiguration: &apigatewayapi.EndpointConfiguration{Types: []apigatewayapi.EndpointType{apigatewayapi.EndpointTypePRIVATE}}})
	if err != nil || wire.Value(d.Policy) != denyAll {
		t.Fatalf("%+v, %v", d, err)
	}
	other := as(ctx, consumer)
	create := &apigatewayapi.CreateDomainNameAccessAssociationRequest{DomainNameArn: *d.DomainNameArn, AccessAssociationSource: "vpce-1", AccessAssociationSourceType: apigatewayapi.AccessAssociationSourceTypeVPCE}
	lists := func(ctx context.Context, owner apigatewayapi.ResourceOwner) int {
		t.Helper()
		out, err := s.GetDomainNameAccessAssociations(ctx, &apigatewayapi.GetDomainNameAccessAssociationsRequest{ResourceOwner: owner})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Items)
	}
	shown := func(ctx context.Context) int {
		t.Helper()
		out, err := s.GetDomainNames(ctx, &apigatewayapi.GetDomainNamesRequest{ResourceOwner: apigatewayapi.ResourceOwnerOTHER_ACCOUNTS})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Items)
	}
	_, err = s.CreateDomainNameAccessAssociation(other, create)
	refused(t, err, "AccessDeniedException", "User: arn:aws:iam::"+consumer+":user/u is not authorized to perform: apigateway:CreateAccessAssociation on resource: "+*d.DomainNameArn+" because no resource-based policy allows the apigateway:CreateAccessAssociation action")
	if shown(other) != 0 {
		t.Error("another account sees a domain that is not shared with it")
	}
	manage := func(document string) {
		t.Helper()
		if _, err := s.UpdateDomainName(ctx, &apigatewayapi.UpdateDomainNameRequest{DomainName: "a.example.test", DomainNameId: d.DomainNameId,
			PatchOperations: []apigatewayapi.PatchOperation{{Op: apigatewayapi.Opreplace, Path: wire.String("/managementPolicy"), Value: &document}}}); err != nil {
			t.Fatal(err)
		}
	}
	manage(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + consumer + `:user/u"},"Action":"apigateway:CreateAccessAssociation","Resource":"` + *d.DomainNameArn + `"}]}`)
	if shown(other) != 1 || shown(as(ctx, "222222222222")) != 0 || shown(ctx) != 0 {
		t.Error("a shared domain is shown to whom it is shared with, and to nobody else")
	}
	_, err = s.CreateDomainNameAccessAssociation(as(ctx, "222222222222"), create)
	refused(t, err, "AccessDeniedException", "User: arn:aws:iam::222222222222:user/u is not authorized to perform: apigateway:CreateAccessAssociation on resource: "+*d.DomainNameArn+" because no resource-based policy allows the apigateway:CreateAccessAssociation action")
	a, err := s.CreateDomainNameAccessAssociation(other, create)
	if err != nil {
		t.Fatal(err)
	}
	if want := "arn:aws:apigateway:us-east-1:" + consumer + ":/domainnameaccessassociations/domainname/a.example.test+" + *d.DomainNameId + "/vpcesource/vpce-1"; *a.DomainNameAccessAssociationArn != want {
		t.Errorf("got %s, want %s", *a.DomainNameAccessAssociationArn, want)
	}
	if b.private["vpce-1"]["a.example.test"] == nil {
		t.Error("the endpoint does not lead to the domain")
	}
	const self, others = apigatewayapi.ResourceOwnerSELF, apigatewayapi.ResourceOwnerOTHER_ACCOUNTS
	if lists(ctx, "") != 1 || lists(ctx, self) != 0 || lists(ctx, others) != 1 || lists(other, "") != 1 || lists(other, self) != 1 || lists(other, others) != 0 || lists(as(ctx, "222222222222"), "") != 0 {
		t.Error("lists show an association to others than the two whose it is")
	}
	_, err = s.DeleteDomainNameAccessAssociation(ctx, &apigatewayapi.DeleteDomainNameAccessAssociationRequest{DomainNameAccessAssociationArn: *a.DomainNameAccessAssociationArn})
	refused(t, err, "NotFoundException", "Invalid domain name access association identifier specified")
	reject := &apigatewayapi.RejectDomainNameAccessAssociationRequest{DomainNameArn: *d.DomainNameArn, DomainNameAccessAssociationArn: *a.DomainNameAccessAssociationArn}
	_, err = s.RejectDomainNameAccessAssociation(other, reject)
	refused(t, err, "NotFoundException", "Invalid domain name identifier specified")
	if b.private["vpce-1"]["a.example.test"] == nil {
		t.Error("somebody else's rejection counted")
	}
	if _, err := s.RejectDomainNameAccessAssociation(ctx, reject); err != nil {
		t.Fatal(err)
	}
	if b.private["vpce-1"]["a.example.test"] != nil || lists(ctx, "") != 0 || lists(other, self) != 1 {
		t.Error("a rejected association leads on, or is not its owner's any more")
	}
	_, err = s.CreateDomainNameAccessAssociation(other, create)
	refused(t, err, "ConflictException", "The domain name access association already exists.")
	if _, err := s.DeleteDomainNameAccessAssociation(other, &apigatewayapi.DeleteDomainNameAccessAssociationRequest{DomainNameAccessAssociationArn: *a.DomainNameAccessAssociationArn}); err != nil {
		t.Fatal(err)
	}
	manage("")
	_, err = s.CreateDomainNameAccessAssociation(other, create)
	if err == nil {
		t.Error("a domain that is shared no longer was associated with")
	}
}

// What a private domain may not be is refused; the nearest that it may be is not.
func TestPrivateDomain_bounds(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	s.cfg.Vouches = func(string) bool { return true }
	arn := "arn:aws:acm:us-east-1:000000000000:certificate/a"
	for name, tt := range map[string]struct {
		change func(*apigatewayapi.CreateDomainNameRequest)
		ok     bool
	}{
		"as it is":            {func(*apigatewayapi.CreateDomainNameRequest) {}, true},
		"the same name again": {func(*apigatewayapi.CreateDomainNameRequest) {}, true},
		"dualstack":           {func(in *apigatewayapi.CreateDomainNameRequest) { in.EndpointConfiguration.IpAddressType = "dualstack" }, true},
		"ipv4":                {func(in *apigatewayapi.CreateDomainNameRequest) { in.EndpointConfiguration.IpAddressType = "ipv4" }, false},
		"a wildcard":          {func(in *apigatewayapi.CreateDomainNameRequest) { in.DomainName = "*.example.test" }, false},
		"an id in its name":   {func(in *apigatewayapi.CreateDomainNameRequest) { in.DomainName = "a.example.test+abc" }, false},
		"two types": {func(in *apigatewayapi.CreateDomainNameRequest) {
			in.EndpointConfiguration.Types = []apigatewayapi.EndpointType{"PRIVATE", "REGIONAL"}
		}, false},
		"endpoints": {func(in *apigatewayapi.CreateDomainNameRequest) {
			in.EndpointConfiguration.VpcEndpointIds = []string{"vpce-1"}
		}, false},
		"no certificate":         {func(in *apigatewayapi.CreateDomainNameRequest) { in.CertificateArn = nil }, false},
		"a regional certificate": {func(in *apigatewayapi.CreateDomainNameRequest) { in.RegionalCertificateArn = &arn }, false},
		"TLS 1.0":                {func(in *apigatewayapi.CreateDomainNameRequest) { in.SecurityPolicy = "TLS_1_0" }, false},
		"a policy that is none":  {func(in *apigatewayapi.CreateDomainNameRequest) { in.Policy = wire.String(`{"Statement":1}`) }, false},
		"a policy":               {func(in *apigatewayapi.CreateDomainNameRequest) { in.Policy = wire.String(denyAll) }, true},
		"mutual TLS": {func(in *apigatewayapi.CreateDomainNameRequest) {
			in.MutualTlsAuthentication = &apigatewayapi.MutualTlsAuthenticationInput{TruststoreUri: wire.String("data:x;base64,eA==")}
		}, false},
		"a public one with a policy": {func(in *apigatewayapi.CreateDomainNameRequest) {
			in.EndpointConfiguration.Types, in.RegionalCertificateArn, in.Policy = []apigatewayapi.EndpointType{"REGIONAL"}, &arn, wire.String(denyAll)
		}, false},
		"a public one": {func(in *apigatewayapi.CreateDomainNameRequest) {
			in.EndpointConfiguration.Types, in.RegionalCertificateArn = []apigatewayapi.EndpointType{"REGIONAL"}, &arn
		}, true},
	} {
		in := &apigatewayapi.CreateDomainNameRequest{DomainName: "a.example.test", CertificateArn: &arn, EndpointConfiguration: &apigatewayapi.EndpointConfiguration{Types: []apigatewayapi.EndpointType{"PRIVATE"}}}
		tt.change(in)
		if _, err := s.CreateDomainName(ctx, in); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
