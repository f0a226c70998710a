package restapi

import (
	"reflect"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/wire"
)

// resources names what a call acts on. API Gateway's ARNs are paths of its own API without
// an account: arn:aws:apigateway:{region}::/restapis/{id}/... (Service Authorization Reference).
func resources(c *wire.Call, op string, in any) ([]string, policy.Context) {
	return []string{"arn:aws:apigateway:" + c.Region + "::" + resourcePath(op, in)}, nil
}

// resourcePath rebuilds the path of a call from the identifiers in its input.
func resourcePath(op string, in any) string {
	v := reflect.Indirect(reflect.ValueOf(in))
	get := func(field string) string {
		if v.Kind() != reflect.Struct {
			return ""
		}
		f := v.FieldByName(field)
		if f.IsValid() && f.Kind() == reflect.String {
			return f.String()
		}
		return ""
	}
	if a := get("ResourceArn"); a != "" {
		return "/tags/" + a
	}
	var path strings.Builder
	for _, step := range []struct{ field, segment string }{
		{"RestApiId", "/restapis/"}, {"ResourceId", "/resources/"}, {"HttpMethod", "/methods/"}, {"AuthorizerId", "/authorizers/"},
		{"DeploymentId", "/deployments/"}, {"StageName", "/stages/"}, {"ModelName", "/models/"}, {"RequestValidatorId", "/requestvalidators/"},
		{"ResponseType", "/gatewayresponses/"}, {"ApiKey", "/apikeys/"}, {"UsagePlanId", "/usageplans/"}, {"KeyId", "/keys/"},
	} {
		// A stage that is being created is named in the body: its collection is what is acted on.
		if id := get(step.field); id != "" && !(op == "CreateStage" && step.field != "RestApiId") {
			path.WriteString(step.segment + id)
		}
	}
	switch {
	case strings.Contains(op, "Integration") && path.Len() > 0:
		path.WriteString("/integration")
	case op == "CreateStage" || op == "GetStages":
		path.WriteString("/stages")
	case op == "CreateDeployment" || op == "GetDeployments":
		path.WriteString("/deployments")
	case op == "CreateAuthorizer" || op == "GetAuthorizers":
		path.WriteString("/authorizers")
	case op == "GetResources":
		path.WriteString("/resources")
	case strings.HasSuffix(op, "Account"):
		path.WriteString("/account")
	case path.Len() == 0 && strings.Contains(op, "ApiKey"):
		path.WriteString("/apikeys")
	case path.Len() == 0 && strings.Contains(op, "UsagePlan"):
		path.WriteString("/usageplans")
	case path.Len() == 0:
		path.WriteString("/restapis")
	}
	return path.String()
}
