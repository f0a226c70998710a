package moattest

import (
	"crypto/x509"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// privateDomain makes a private custom domain name that one VPC endpoint may come by, with base path
// v1 for an API; it gives its id and its ARN.
func (m *Moat) privateDomain(t *testing.T, name, api, endpoint string, certificate vouched) (id, arn string) {
	t.Helper()
	status, out := m.gatewayCall(t, "POST", "/domainnames", map[string]any{
		"domainName": name, "endpointConfiguration": map[string]any{"types": []string{"PRIVATE"}}, "securityPolicy": "TLS_1_2", "policy": allowFrom(endpoint),
		"certificateName": "own", "certificateBody": certificate.pem(), "certificatePrivateKey": certificate.keyPEM(t), "certificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/a1",
	})
	if status != 201 {
		t.Fatalf("create: %d %v", status, out)
	}
	id, arn = out["domainNameId"].(string), out["domainNameArn"].(string)
	if want := "arn:aws:apigateway:us-east-1:000000000000:/domainnames/" + name + "+" + id; arn != want || out["regionalDomainName"] != nil || text(out["endpointConfiguration"]) != `{"ipAddressType":"dualstack","types":["PRIVATE"]}` {
		t.Errorf("got %v", out)
	}
	status, out = m.gatewayCall(t, "POST", "/domainnames/"+name+"/basepathmappings?domainNameId="+id, map[string]any{"basePath": "pub", "restApiId": api, "stage": "v1"})
	if status != 201 {
		t.Fatalf("mapping: %d %v", status, out)
	}
	return id, arn
}

func (m *Moat) associate(t *testing.T, want int, domain, endpoint string) string {
	t.Helper()
	status, out := m.gatewayCall(t, "POST", "/domainnameaccessassociations", map[string]any{"domainNameArn": domain, "accessAssociationSourceType": "VPCE", "accessAssociationSource": endpoint,
		"tags": map[string]string{"team": "a"}})
	if status != want {
		t.Fatalf("associate %s with %s: %d %v, want %d", endpoint, domain, status, out, want)
	}
	arn, _ := out["domainNameAccessAssociationArn"].(string)
	return arn
}

// A private custom domain name is served at the VPC endpoints that are associated with it and that its
// policy lets in, under its own certificate, and no longer once either is taken away.
func TestPrivateDomain(t *testing.T) {
	t.Parallel()
	const name = "pets.private.test"
	for about, netHTTP := range map[string]bool{"our engine": false, "net/http": true} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			m := New(t, withEndpoints(netHTTP))
			api, public := m.privateAPI(t, endpointA), m.petsAPI(t)
			certificate := vouch(t, name, nil)
			id, arn := m.privateDomain(t, name, api, endpointA, certificate)
			roots := x509.NewCertPool()
			roots.AddCert(certificate.cert)
			at := func(endpoint string, secure bool) way {
				w := m.by(endpoint, name)
				if secure {
					w.roots = roots
				}
				return w
			}
			ask := func(about string, want int, w way, path string) {
				t.Helper()
				if status, body := m.ask(t, w, path); status != want || want == 200 && !strings.HasPrefix(body, "pets at "+name) {
					t.Errorf("%s: got %d %s, want %d", about, status, body, want)
				}
			}
			ask("before there is an association", 403, at(endpointA, false), "/pub/pets")
			a, b := m.associate(t, 201, arn, endpointA), m.associate(t, 201, arn, endpointB)
			if want := "arn:aws:apigateway:us-east-1:000000000000:/domainnameaccessassociations/domainname/" + name + "+" + id + "/vpcesource/" + endpointA; a != want {
				t.Errorf("got %s, want %s", a, want)
			}
			ask("associated", 200, at(endpointA, false), "/pub/pets")
			ask("associated, over TLS", 200, at(endpointA, true), "/pub/pets")
			ask("another base path", 403, at(endpointA, true), "/pets")
			ask("its policy keeps out another endpoint", 403, at(endpointB, true), "/pub/pets")
			if _, body := m.ask(t, at(endpointB, false), "/pub/pets"); !strings.Contains(body, "on resource: arn:aws:execute-api:us-east-1:********0000:/domainnames/"+name+"+"+id+" with an explicit deny") {
				t.Errorf("got %s", body)
			}
			ask("by the open network", 404, way{address: m.Addr(), host: name}, "/pub/pets")
			m.patch(t, 200, "/domainnames/"+name+"?domainNameId="+id, "replace", "/policy", allowFrom(endpointB))
			ask("let in by the domain, not by the API", 403, at(endpointB, true), "/pub/pets")
			ask("let in by the API, not by the domain", 403, at(endpointA, true), "/pub/pets")
			m.patch(t, 200, "/domainnames/"+name+"?domainNameId="+id, "replace", "/policy", "")
			ask("a policy that is taken away", 403, at(endpointA, true), "/pub/pets")
			m.patch(t, 200, "/domainnames/"+name+"?domainNameId="+id, "replace", "/policy", allowFrom(endpointA))
			ask("and given back", 200, at(endpointA, true), "/pub/pets")

			// What may not be.
			m.associate(t, 409, arn, endpointA)
			m.associate(t, 400, arn, "vpce-0cccccccccccccccc")
			m.associate(t, 400, arn[:len(arn)-1], endpointA)
			m.associate(t, 400, "arn:aws:apigateway:us-east-1::/domainnames/"+name, endpointA)
			twin, twinARN := m.privateDomain(t, name, api, endpointA, certificate)
			m.associate(t, 409, twinARN, endpointA)
			refuse := func(want int, method, path string, in any) {
				t.Helper()
				if status, out := m.gatewayCall(t, method, path, in); status != want {
					t.Errorf("%s %s %v: %d %v, want %d", method, path, in, status, out, want)
				}
			}
			refuse(202, "DELETE", "/domainnames/"+name+"?domainNameId="+twin, nil)
			refuse(404, "GET", "/domainnames/"+name, nil) // there is no public one
			refuse(404, "GET", "/domainnames/"+name+"%2B"+id, nil)
			refuse(400, "POST", "/domainnames/"+name+"/basepathmappings?domainNameId="+id, map[string]any{"basePath": "x", "restApiId": public})
			m.patch(t, 400, "/restapis/"+api, "replace", "/endpointConfiguration/types/PRIVATE", "REGIONAL")
			m.patch(t, 400, "/domainnames/"+name+"?domainNameId="+id, "add", "/endpointConfiguration/types", "REGIONAL")
			m.patch(t, 400, "/domainnames/"+name+"?domainNameId="+id, "replace", "/policy", `{"Version":"2012-10-17"}`)
			m.patch(t, 400, "/domainnames/"+name+"?domainNameId="+id, "replace", "/securityPolicy", "TLS_1_0")
			reject := "/rejectdomainnameaccessassociations?domainNameArn=" + url.QueryEscape(arn) + "&domainNameAccessAssociationArn="
			refuse(400, "POST", reject+url.QueryEscape(a), nil) // one's own is deleted
			refuse(404, "POST", reject+url.QueryEscape(a+"0"), nil)
			refuse(400, "POST", reject+"x", nil)

			// Lists, tags, deletion.
			list := func(owner string) int {
				_, out := m.gatewayCall(t, "GET", "/domainnameaccessassociations"+owner, nil)
				items, _ := out["item"].([]any)
				return len(items)
			}
			if all, own, others := list(""), list("?resourceOwner=SELF"), list("?resourceOwner=OTHER_ACCOUNTS"); all != 2 || own != 2 || others != 0 {
				t.Errorf("lists of %d, %d, %d", all, own, others)
			}
			if _, out := m.gatewayCall(t, "GET", "/tags/"+url.PathEscape(a), nil); text(out["tags"]) != `{"team":"a"}` {
				t.Errorf("tags: %v", out)
			}
			refuse(204, "PUT", "/tags/"+url.PathEscape(arn), map[string]any{"tags": map[string]string{"x": "y"}})
			if _, out := m.gatewayCall(t, "GET", "/domainnames/"+name+"?domainNameId="+id, nil); text(out["tags"]) != `{"x":"y"}` {
				t.Errorf("the domain's tags: %v", out)
			}
			refuse(202, "DELETE", "/domainnameaccessassociations/"+url.PathEscape(a), nil)
			refuse(404, "DELETE", "/domainnameaccessassociations/"+url.PathEscape(a), nil)
			ask("once the association is deleted", 403, at(endpointA, false), "/pub/pets")
			m.associate(t, 201, arn, endpointA)
			ask("associated again", 200, at(endpointA, true), "/pub/pets")
			refuse(202, "DELETE", "/domainnames/"+name+"?domainNameId="+id, nil)
			ask("once the domain is deleted", 403, at(endpointA, false), "/pub/pets")
			refuse(202, "DELETE", "/domainnameaccessassociations/"+url.PathEscape(b), nil)
		})
	}
}

// Private domains, their policies and associations are decided on by their own actions and ARNs.
func TestPrivateDomain_Permissions(t *testing.T) {
	t.Parallel()
	const name = "pets.private.test"
	m := New(t, withEndpoints(false))
	api := m.privateAPI(t, endpointA)
	id, arn := m.privateDomain(t, name, api, endpointA, vouch(t, name, nil))
	domain := "/domainnames/" + name + "?domainNameId=" + id
	create := map[string]any{"domainNameArn": arn, "accessAssociationSourceType": "VPCE", "accessAssociationSource": endpointA}
	patch := func(path, value string) map[string]any {
		return map[string]any{"patchOperations": []any{map[string]any{"op": "replace", "path": path, "value": value}}}
	}
	const associations = "arn:aws:apigateway:us-east-1:000000000000:/domainnameaccessassociations"
	for i, tt := range []struct {
		statements   []string
		method, path string
		in           any
		want         int
	}{
		{[]string{allows("apigateway:GET", arn)}, "GET", domain, nil, 200},
		{[]string{allows("apigateway:GET", "arn:aws:apigateway:us-east-1::/domainnames/"+name)}, "GET", domain, nil, 403},
		{[]string{allows("apigateway:GET", arn+"/basepathmappings/pub")}, "GET", "/domainnames/" + name + "/basepathmappings/pub?domainNameId=" + id, nil, 200},
		{[]string{allows("apigateway:GET", "arn:aws:apigateway:us-east-1::/domainnames/*")}, "GET", "/domainnames/" + name + "/basepathmappings/pub?domainNameId=" + id, nil, 403},
		{[]string{allows("apigateway:PATCH", arn)}, "PATCH", domain, patch("/policy", allowFrom(endpointA)), 403},
		{[]string{allows("apigateway:PATCH", arn), allows("apigateway:UpdateDomainNamePolicy", arn)}, "PATCH", domain, patch("/policy", allowFrom(endpointA)), 200},
		{[]string{allows("apigateway:PATCH", arn), allows("apigateway:UpdateDomainNamePolicy", arn)}, "PATCH", domain, patch("/managementPolicy", ""), 403},
		{[]string{allows("apigateway:PATCH", arn), allows("apigateway:UpdateDomainNameManagementPolicy", arn)}, "PATCH", domain, patch("/managementPolicy", ""), 200},
		{[]string{allows("apigateway:POST", associations)}, "POST", "/domainnameaccessassociations", create, 403},
		{[]string{allows("apigateway:CreateAccessAssociation", arn)}, "POST", "/domainnameaccessassociations", create, 403},
		{[]string{allows("apigateway:POST", associations), allows("apigateway:CreateAccessAssociation", arn)}, "POST", "/domainnameaccessassociations", create, 201},
		{[]string{allows("apigateway:DELETE", associations)}, "DELETE", "/domainnameaccessassociations/" + url.PathEscape(associations+"/domainname/"+name+"+"+id+"/vpcesource/"+endpointA), nil, 403},
		{[]string{allows("apigateway:DELETE", associations+"/*")}, "DELETE", "/domainnameaccessassociations/" + url.PathEscape(associations+"/domainname/"+name+"+"+id+"/vpcesource/"+endpointA), nil, 202},
	} {
		who := m.user(t, "u"+string(rune('a'+i)), tt.statements...)
		body := ""
		if tt.in != nil {
			body = text(tt.in)
		}
		if status, answer := m.signed(t, who, "apigateway", tt.method, tt.path, body, "Content-Type", "application/json"); status != tt.want {
			t.Errorf("%s %s with %v: %d %s, want %d", tt.method, tt.path, tt.statements, status, answer, tt.want)
		}
	}
	// A management policy that denies holds in the domain's own account, too.
	deny := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"apigateway:CreateAccessAssociation","Resource":"` + arn + `"}]}`
	m.patch(t, 200, domain, "replace", "/managementPolicy", deny)
	if status, out := m.gatewayCall(t, "POST", "/domainnameaccessassociations", create); status != 403 {
		t.Errorf("denied by the management policy: %d %v", status, out)
	}
	var kept struct{ ManagementPolicy string }
	_, out := m.gatewayCall(t, "GET", domain, nil)
	if err := json.Unmarshal([]byte(text(out)), &kept); err != nil || kept.ManagementPolicy != deny {
		t.Errorf("got %v, %v", kept, err)
	}
}

// One template makes a private API with its domain and association, as AWS documents it; what it takes
// away is closed.
func TestPrivateDomain_Stack(t *testing.T) {
	t.Parallel()
	const name = "pets-private.localhost"
	m := New(t, withEndpoints(false))
	policy := `{Version: "2012-10-17", Statement: [{Effect: Allow, Principal: "*", Action: "execute-api:Invoke", Resource: "execute-api:/*"}, {Effect: Deny, Principal: "*", Action: "execute-api:Invoke", Resource: "execute-api:/*", Condition: {StringNotEquals: {"aws:SourceVpce": ` + endpointA + `}}}]}`
	body := func(association string) string {
		return `
Resources:
  Api:
    Type: AWS::ApiGateway::RestApi
    Properties: {Name: pets, EndpointConfiguration: {Types: [PRIVATE], VpcEndpointIds: [` + endpointA + `]}, Policy: ` + policy + `}
  Method:
    Type: AWS::ApiGateway::Method
    Properties:
      RestApiId: !Ref Api
      ResourceId: !GetAtt Api.RootResourceId
      HttpMethod: GET
      AuthorizationType: NONE
      Integration: {Type: MOCK, RequestTemplates: {application/json: '{"statusCode": 200}'}, IntegrationResponses: [{StatusCode: "200", ResponseTemplates: {application/json: pets}}]}
      MethodResponses: [{StatusCode: "200"}]
  Deployment:
    Type: AWS::ApiGateway::Deployment
    DependsOn: Method
    Properties: {RestApiId: !Ref Api, StageName: v1}
  Domain:
    Type: AWS::ApiGateway::DomainNameV2
    Properties: {DomainName: ` + name + `, CertificateArn: "arn:aws:acm:us-east-1:000000000000:certificate/a", EndpointConfiguration: {Types: [PRIVATE]}, SecurityPolicy: TLS_1_2, Policy: ` + policy + `}
  Mapping:
    Type: AWS::ApiGateway::BasePathMappingV2
    DependsOn: Deployment
    Properties: {BasePath: pub, DomainNameArn: !GetAtt Domain.DomainNameArn, RestApiId: !Ref Api, Stage: v1}
` + association + `
Outputs:
  Api: {Value: !Ref Api}
  Domain: {Value: !Ref Domain}
`
	}
	m.must(t, "cloudformation", "CreateStack", "StackName", "pets", "TemplateBody", body(`  Access:
    Type: AWS::ApiGateway::DomainNameAccessAssociation
    Properties: {AccessAssociationSource: `+endpointA+`, AccessAssociationSourceType: VPCE, DomainNameArn: !Ref Domain}`))
	if status, why := m.stackStatus(t, "pets"); status != "CREATE_COMPLETE" {
		t.Fatalf("%s: %s", status, why)
	}
	at := m.by(endpointA, name)
	at.roots = m.roots(t)
	if status, answer := m.ask(t, at, "/pub"); status != 200 || answer != "pets" {
		t.Errorf("by its domain: %d %s", status, answer)
	}
	if status, answer := m.ask(t, m.by(endpointA, m.outputs(t, "pets")["Api"]+"-"+endpointA+".execute-api.us-east-1.amazonaws.com"), "/v1"); status != 200 {
		t.Errorf("by its name at the endpoint: %d %s", status, answer)
	}
	m.must(t, "cloudformation", "UpdateStack", "StackName", "pets", "TemplateBody", body(""))
	if status, why := m.stackStatus(t, "pets"); status != "UPDATE_COMPLETE" {
		t.Fatalf("%s: %s", status, why)
	}
	if status, answer := m.ask(t, at, "/pub"); status != 403 {
		t.Errorf("without its association: %d %s", status, answer)
	}
	m.must(t, "cloudformation", "DeleteStack", "StackName", "pets")
	if _, out := m.gatewayCall(t, "GET", "/domainnames", nil); strings.Contains(text(out), name) {
		t.Errorf("left behind: %v", out)
	}
}
