package gateway

import (
	"strconv"
	"strings"
	"time"
)

// contextKnown reports whether contextValue can answer name ("context.stage").
func contextKnown(name string) bool {
	switch name {
	case "context.requestId", "context.extendedRequestId", "context.apiId", "context.stage", "context.resourcePath", "context.resourceId",
		"context.httpMethod", "context.path", "context.protocol", "context.accountId", "context.deploymentId", "context.isCanaryRequest", "context.operationName",
		"context.domainName", "context.domainPrefix", "context.requestTime", "context.requestTimeEpoch",
		"context.identity.sourceIp", "context.identity.userAgent", "context.identity.apiKey", "context.identity.apiKeyId",
		"context.identity.accessKey", "context.identity.accountId", "context.identity.caller", "context.identity.user", "context.identity.userArn",
		"context.identity.clientCert.clientCertPem", "context.identity.clientCert.subjectDN", "context.identity.clientCert.issuerDN",
		"context.identity.clientCert.serialNumber", "context.identity.clientCert.validity.notBefore", "context.identity.clientCert.validity.notAfter",
		"context.awsEndpointRequestId", "context.wafResponseCode", "context.webaclArn", // never set before an answer, and without a web ACL
		"context.xrayTraceId",
		"context.identity.principalOrgId", // nobody has one here
		"context.identity.vpcId", "context.identity.vpceId",
		"context.identity.cognitoIdentityId", "context.identity.cognitoIdentityPoolId",
		"context.identity.cognitoAuthenticationType", "context.identity.cognitoAuthenticationProvider":
		return true
	}
	rest, ok := strings.CutPrefix(name, "context.authorizer.")
	return ok && rest != "" && rest != "claims"
}

// contextValue gives a $context variable as text; ok is false when it has no value.
func (x *Exchange) contextValue(name string) (value string, ok bool) {
	name, _ = strings.CutPrefix(name, "context.")
	if v, is := x.assumed[name]; is {
		return v, true
	}
	if rest, is := strings.CutPrefix(name, "identity."); is {
		return x.identityValue(rest)
	}
	if rest, is := strings.CutPrefix(name, "authorizer."); is {
		return x.authorizerValue(rest)
	}
	switch name {
	case "isCanaryRequest":
		if x.canary != canaryNone {
			value = strconv.FormatBool(x.canary == canaryRelease)
		}
	case "operationName":
		if x.route != nil {
			value = x.route.def.OperationName
		}
	case "xrayTraceId":
		if x.snap != nil && x.snap.def.Tracing {
			value, _, _ = strings.Cut(strings.TrimPrefix(x.trace(), "Root="), ";")
		}
	case "requestId":
		value = x.requestID
	case "extendedRequestId":
		value = x.extendedID
	case "apiId":
		value = x.APIID
	case "stage":
		value = x.Stage
	case "httpMethod":
		value = x.Method
	case "path":
		value = x.stagePath()
	case "protocol":
		value = x.Proto
	case "domainName":
		value = x.domain()
	case "domainPrefix":
		value, _, _ = strings.Cut(x.domain(), ".")
	case "requestTime":
		value = clf(x.start)
	case "requestTimeEpoch":
		value = strconv.FormatInt(x.start.UnixMilli(), 10)
	case "accountId", "deploymentId":
		if x.snap == nil {
			return "", false
		}
		if value = x.snap.def.Account; name == "deploymentId" {
			value = x.snap.def.DeploymentID
		}
	case "resourcePath", "resourceId":
		if x.resource == nil {
			return "", false
		}
		if value = x.resource.path; name == "resourceId" {
			value = x.resource.id
		}
	}
	return value, value != ""
}

func (x *Exchange) identityValue(name string) (string, bool) {
	if len(x.assumed) > 0 {
		if v, is := x.assumed["identity."+name]; is {
			return v, true
		}
	}
	if rest, is := strings.CutPrefix(name, "clientCert."); is {
		return x.clientCert(rest)
	}
	switch name {
	case "sourceIp":
		return x.RemoteIP, true
	case "vpceId", "vpcId":
		return x.Endpoint.identity(name)
	case "userAgent":
		v := x.get("User-Agent")
		return v, v != ""
	case "apiKey":
		return x.keyTxt, x.key != nil
	case "apiKeyId":
		if x.key == nil {
			return "", false
		}
		return x.key.ID, true
	}
	if x.caller == nil {
		return "", false
	}
	amr := x.caller.Context.Get("cognito-identity.amazonaws.com:amr")
	var value string
	switch name {
	case "accessKey":
		value = x.caller.AccessKeyID
	case "accountId":
		value = x.caller.Account
	case "caller", "user":
		value = x.caller.ID
	case "userArn":
		value = x.caller.ARN
	case "cognitoIdentityId":
		value = first(x.caller.Context.Get("cognito-identity.amazonaws.com:sub"))
	case "cognitoIdentityPoolId":
		value = first(x.caller.Context.Get("cognito-identity.amazonaws.com:aud"))
	case "cognitoAuthenticationType":
		value = first(amr)
	case "cognitoAuthenticationProvider":
		if len(amr) > 1 {
			value = strings.Join(amr[1:], ",")
		}
	}
	return value, value != ""
}

func (x *Exchange) authorizerValue(name string) (string, bool) {
	if claim, ok := strings.CutPrefix(name, "claims."); ok {
		if x.claims == nil {
			return "", false
		}
		v, ok := x.claimSet().text[claim]
		return v, ok
	}
	if x.custom == nil {
		return "", false
	}
	return x.custom.value(name)
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// fullPath is the path of the proxy event: that below the stage, behind the base path of a custom
// domain name.
func (x *Exchange) fullPath() string {
	if x.Via == nil {
		return x.path
	}
	return x.Via.Base + x.path
}

// stagePath is requestContext.path: as sent, with the stage.
func (x *Exchange) stagePath() string {
	if x.Via != nil {
		return x.Via.Base + x.Path
	}
	if x.Path == "" {
		return "/" + x.Stage + "/"
	}
	return "/" + x.Stage + x.Path
}

// domain is the API's host name: the one the client used when it names the API,
// else the one that it has on the domain of this installation.
func (x *Exchange) domain() string {
	if x.Via != nil || x.alias != "" {
		host, _, _ := strings.Cut(x.Host, ":")
		return host
	}
	if len(x.Host) > len(x.APIID) && x.Host[len(x.APIID)] == '.' && strings.EqualFold(x.Host[:len(x.APIID)], x.APIID) {
		host, _, _ := strings.Cut(x.Host, ":")
		return host
	}
	region := ""
	if x.snap != nil {
		region = "." + x.snap.def.Region
	}
	suffix, _, _ := strings.Cut(x.g.cfg.Domain, ":")
	if suffix == "" {
		suffix = "amazonaws.com"
	}
	return x.APIID + ".execute-api" + region + "." + suffix
}

// clfLayout is the time in the form of the common log format, as $context.requestTime has it.
const clfLayout = "02/Jan/2006:15:04:05 -0700"

func clf(t time.Time) string { return t.UTC().Format(clfLayout) }
