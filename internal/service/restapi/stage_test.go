package restapi

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// patches reads "op path value" or "copy path from".
func patches(lines ...string) []apigatewayapi.PatchOperation {
	var out []apigatewayapi.PatchOperation
	for _, line := range lines {
		f := strings.SplitN(line, " ", 3)
		op := apigatewayapi.PatchOperation{Op: apigatewayapi.Op(f[0]), Path: &f[1]}
		if len(f) == 3 && f[0] == "copy" {
			op.From = &f[2]
		} else if len(f) == 3 {
			op.Value = &f[2]
		}
		out = append(out, op)
	}
	return out
}

func updateStage(s *Service, ctx context.Context, api string, lines ...string) (*apigatewayapi.Stage, error) {
	return s.UpdateStage(ctx, &apigatewayapi.UpdateStageRequest{RestApiId: api, StageName: "dev", PatchOperations: patches(lines...)})
}

func canaryText(st *apigatewayapi.Stage) string {
	c := st.CanarySettings
	if c == nil {
		return "none"
	}
	return fmt.Sprintf("%s %v %v %v", *c.DeploymentId, *c.PercentTraffic, c.StageVariableOverrides, *c.UseStageCache)
}

// TestUpdateStage_canary follows the recorded answers of a canary's life.
func TestUpdateStage_canary(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api := imported(t, s, ctx)
	first := deploy(t, s, ctx, api, "")
	if _, err := s.CreateStage(ctx, &apigatewayapi.CreateStageRequest{RestApiId: api, StageName: "dev", DeploymentId: first, Variables: map[string]string{"testVar": "test", "testVar2": "test2"}}); err != nil {
		t.Fatal(err)
	}
	second := deploy(t, s, ctx, api, "")
	change := func(canary, deployment, variables string, lines ...string) {
		t.Helper()
		st, err := updateStage(s, ctx, api, lines...)
		if err != nil {
			t.Fatalf("%v: %v", lines, err)
		}
		if got := canaryText(st); got != canary || *st.DeploymentId != deployment || fmt.Sprint(st.Variables) != variables {
			t.Errorf("%v: canary %s, deployment %s, variables %v", lines, got, *st.DeploymentId, st.Variables)
		}
	}
	plain := "map[testVar:test testVar2:test2]"
	change(first+" 50 map[] false", first, plain, "replace /canarySettings/percentTraffic 50")
	change("none", first, plain, "remove /canarySettings")
	change(second+" 0 map[] false", first, plain, "replace /canarySettings/deploymentId "+second)
	change("none", first, plain, "remove /canarySettings")
	promotion := []string{"replace /canarySettings/percentTraffic 0.0", "copy /variables /canarySettings/stageVariableOverrides", "copy /deploymentId /canarySettings/deploymentId"}
	change(first+" 0 map[] false", first, plain, promotion...)
	release := &apigatewayapi.CreateDeploymentRequest{RestApiId: api, StageName: wire.String("dev"), CanarySettings: &apigatewayapi.DeploymentCanarySettings{
		PercentTraffic: wire.Float64(50), StageVariableOverrides: map[string]string{"testVar": "override"}}}
	d, err := s.CreateDeployment(ctx, release)
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.GetStage(ctx, &apigatewayapi.GetStageRequest{RestApiId: api, StageName: "dev"})
	if err != nil || canaryText(st) != *d.Id+" 50 map[testVar:override] false" || *st.DeploymentId != first {
		t.Errorf("after the release: %s, %s, %v", canaryText(st), *st.DeploymentId, err)
	}
	_, err = s.DeleteDeployment(ctx, &apigatewayapi.DeleteDeploymentRequest{RestApiId: api, DeploymentId: *d.Id})
	refused(t, err, "BadRequestException", "Active stages pointing to this deployment must be moved or deleted")
	change(*d.Id+" 0 map[testVar:override] false", *d.Id, "map[testVar:override testVar2:test2]", promotion...)
	change(*d.Id+" 0 map[other:x] true", *d.Id, "map[testVar:override testVar2:test2]", "replace /canarySettings/useStageCache true",
		"add /canarySettings/stageVariableOverrides/other x", "remove /canarySettings/stageVariableOverrides/testVar")
	change("none", *d.Id, "map[testVar:override testVar2:test2]", "remove /canarySettings")
}

func TestUpdateStage_canaryRefused(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api := imported(t, s, ctx)
	deploy(t, s, ctx, api, "dev")
	for line, message := range map[string]string{
		"add /canarySettings/deploymentId x":              "Invalid add operation with path: /canarySettings/deploymentId",
		"replace /canarySettings/deploymentId x":          "Deployment id does not exist",
		"remove /canarySettings/badPath":                  "Cannot remove method setting canarySettings/badPath because there is no method setting for this method ",
		"remove /canarySettings/stageVariableOverrides":   "Cannot remove method setting canarySettings/stageVariableOverrides because there is no method setting for this method ",
		"replace /canarySettings/badPath x":               "Invalid method setting path: /canarySettings/badPath. Must be one of: [" + stagePaths + "]",
		"add /canarySettings x":                           "Invalid method setting path: /canarySettings. Must be one of: [" + stagePaths + "]",
		"replace /canarySettings/percentTraffic 101":      "Invalid canary percent traffic specified: 101. Must be between 0.0 and 100.0",
		"copy /deploymentId /canarySettings/deploymentId": "Promotion not available. Canary does not exist.",
		"copy /canarySettings/stageVariableOverrides /variables": "Invalid copy operation with path: /canarySettings/stageVariableOverrides and from /variables. " +
			"Valid copy:path are [/deploymentId, /variables] and valid copy:from are [/canarySettings/deploymentId, /canarySettings/stageVariableOverrides]",
		"copy /variables /canarySettings/deploymentId": "Invalid copy operation with path: /variables and from /canarySettings/deploymentId. " +
			"Valid copy:path are [/deploymentId, /variables] and valid copy:from are [/canarySettings/deploymentId, /canarySettings/stageVariableOverrides]",
	} {
		_, err := updateStage(s, ctx, api, line)
		refused(t, err, "BadRequestException", message)
	}
	for name, message := range map[*string]string{
		nil:                         "Non null and non empty stageName must be provided for canary deployment. Provided value is null",
		wire.String(""):             "Non null and non empty stageName must be provided for canary deployment. Provided value is ",
		wire.String("non-existing"): "Stage non-existing must already be created before making a canary release deployment",
	} {
		_, err := s.CreateDeployment(ctx, &apigatewayapi.CreateDeploymentRequest{RestApiId: api, StageName: name, CanarySettings: &apigatewayapi.DeploymentCanarySettings{PercentTraffic: wire.Float64(1)}})
		refused(t, err, "BadRequestException", "Invalid deployment content specified."+message)
	}
}

// TestUpdateStage_settings: each setting is kept, and what is wrong is refused.
func TestUpdateStage_settings(t *testing.T) {
	t.Parallel()
	s, b, ctx := newService(t)
	api := imported(t, s, ctx)
	deploy(t, s, ctx, api, "dev")
	st, err := updateStage(s, ctx, api, "replace /*/*/caching/enabled true")
	if err != nil {
		t.Fatal(err)
	}
	got, _ := wire.Value(st.MethodSettings["*/*"].CachingEnabled), st.MethodSettings["*/*"]
	if m := st.MethodSettings["*/*"]; !got || *m.CacheTtlInSeconds != 300 || *m.ThrottlingBurstLimit != 5000 || *m.RequireAuthorizationForCacheControl != true || m.UnauthorizedCacheControlHeaderStrategy != "SUCCEED_WITH_RESPONSE_HEADER" || m.LoggingLevel != nil {
		t.Errorf("%+v", m)
	}
	st, err = updateStage(s, ctx, api,
		"replace /~1courses/GET/caching/ttlInSeconds 5", "replace /~1courses/GET/caching/dataEncrypted true", "replace /~1courses/GET/logging/loglevel INFO",
		"replace /~1courses/GET/logging/dataTrace true", "replace /~1courses/GET/metrics/enabled true", "replace /~1courses/GET/caching/requireAuthorizationForCacheControl false",
		"replace /~1courses/GET/caching/unauthorizedCacheControlHeaderStrategy FAIL_WITH_403", "replace /cacheClusterEnabled true", "replace /tracingEnabled true",
		"add /accessLogSettings/destinationArn arn:aws:logs:us-east-1:000000000000:log-group:api:*", "add /accessLogSettings/format $context.requestId $context.identity.sourceIp")
	if err != nil {
		t.Fatal(err)
	}
	if m := st.MethodSettings["courses/GET"]; !*m.CachingEnabled || *m.CacheTtlInSeconds != 5 || !*m.CacheDataEncrypted || *m.LoggingLevel != "INFO" || !*m.DataTraceEnabled || !*m.MetricsEnabled ||
		*m.RequireAuthorizationForCacheControl || m.UnauthorizedCacheControlHeaderStrategy != "FAIL_WITH_403" {
		t.Errorf("%+v", m)
	}
	if st.CacheClusterStatus != "AVAILABLE" || st.CacheClusterSize != "0.5" || !*st.TracingEnabled || *st.AccessLogSettings.Format != "$context.requestId $context.identity.sourceIp" {
		t.Errorf("%+v", st)
	}
	if st, err = updateStage(s, ctx, api, "remove /~1courses/GET/caching/ttlInSeconds", "remove /~1courses/GET/logging/loglevel", "remove /~1courses/GET/metrics/enabled"); err != nil {
		t.Fatal(err)
	}
	if m := st.MethodSettings["courses/GET"]; *m.CacheTtlInSeconds != 300 || *m.LoggingLevel != "OFF" || *m.MetricsEnabled || !*m.DataTraceEnabled {
		t.Errorf("%+v", m)
	}
	if st, err = updateStage(s, ctx, api, "remove /accessLogSettings", "remove /courses/GET", "remove /*/*", "replace /cacheClusterEnabled false"); err != nil {
		t.Fatal(err)
	}
	if len(st.MethodSettings) != 0 || st.AccessLogSettings != nil || st.CacheClusterStatus != "NOT_AVAILABLE" {
		t.Errorf("%+v", st)
	}
	for line, message := range map[string]string{
		"remove /*/*":                                "Cannot remove method setting */* because there is no method setting for this method ",
		"replace /*/*/caching/strange 1":             "Invalid method setting path: /*/*/caching/strange. Must be one of: [" + stagePaths + "]",
		"replace /strange 1":                         "Invalid method setting path: /strange. Must be one of: [" + stagePaths + "]",
		"replace /*/*/caching/ttlInSeconds 3601":     "Invalid value '3601' for '/*/*/caching/ttlInSeconds'. Cache TTL must be between 0 and 3600 seconds",
		"replace /*/*/logging/loglevel LOUD":         "Invalid value 'LOUD' for '/*/*/logging/loglevel'. Must be one of: [OFF, ERROR, INFO]",
		"replace /cacheClusterSize 0.6":              "Invalid cache cluster size specified: 0.6",
		"add /accessLogSettings/destinationArn logs": "Invalid ARN specified in the request. ARNs must start with 'arn:': logs",
		"add /accessLogSettings/destinationArn arn:aws:logs:eu-west-1:000000000000:log-group:x": "Invalid ARN specified in the request. The ARN must be a valid CloudWatch Logs log group or Kinesis Data Firehose delivery stream ARN.",
		"add /accessLogSettings/format $context.requestTime":                                    "Access Log format must include either $context.requestId or $context.extendedRequestId : '$context.requestTime'",
		"add /accessLogSettings/format $context.requestIds":                                     "Access Log format must include either $context.requestId or $context.extendedRequestId : '$context.requestIds'",
		"add /accessLogSettings/format $context.requestId\n$context.path":                       "Access Log format must be single line, new line character is allowed only at end of the format: '$context.requestId\n$context.path'",
	} {
		_, err := updateStage(s, ctx, api, line)
		refused(t, err, "BadRequestException", message)
	}
	for _, format := range []string{"${context.extendedRequestId}\n", "$context.requestIds $context.requestId", `{"id":"$context.requestId"}`} {
		if _, err := updateStage(s, ctx, api, "replace /accessLogSettings/format "+format); err != nil {
			t.Errorf("%q: %v", format, err)
		}
	}
	_, err = updateStage(s, ctx, api, "add /accessLogSettings/destinationArn arn:aws:firehose:us-east-1:000000000000:deliverystream/amazon-apigateway-x")
	refused(t, err, "NotImplemented", "Moat does not implement this call of apigateway UpdateStage: access logs go to log groups, not to streams of Firehose")
	before := b.served[api+"/dev"]
	for i, flush := range []func() error{
		func() error {
			_, err := s.FlushStageCache(ctx, &apigatewayapi.FlushStageCacheRequest{RestApiId: api, StageName: "dev"})
			return err
		},
		func() error {
			_, err := s.FlushStageAuthorizersCache(ctx, &apigatewayapi.FlushStageAuthorizersCacheRequest{RestApiId: api, StageName: "dev"})
			return err
		},
	} {
		if err := flush(); err != nil || b.served[api+"/dev"] != before+i+1 {
			t.Errorf("flush %d: %v, published %d times", i, err, b.served[api+"/dev"]-before)
		}
	}
	_, err = s.FlushStageCache(ctx, &apigatewayapi.FlushStageCacheRequest{RestApiId: api, StageName: "nothing"})
	refused(t, err, "NotFoundException", "Invalid stage identifier specified")
}

// TestUpdateAccount_throttle: the account's throttle is published with every stage.
func TestUpdateAccount_throttle(t *testing.T) {
	t.Parallel()
	s, b, ctx := newService(t)
	api := imported(t, s, ctx)
	deploy(t, s, ctx, api, "dev")
	before := b.served[api+"/dev"]
	a, err := s.UpdateAccount(ctx, &apigatewayapi.UpdateAccountRequest{PatchOperations: patches("replace /throttleSettings/rateLimit 20000", "replace /throttleSettings/burstLimit 7")})
	if err != nil || *a.ThrottleSettings.RateLimit != 20000 || *a.ThrottleSettings.BurstLimit != 7 || b.served[api+"/dev"] != before+1 {
		t.Errorf("%+v, %v, published %d times", a, err, b.served[api+"/dev"]-before)
	}
	if a, err = s.GetAccount(ctx, &apigatewayapi.GetAccountRequest{}); err != nil || *a.ThrottleSettings.BurstLimit != 7 {
		t.Errorf("%+v, %v", a, err)
	}
	_, err = s.UpdateAccount(ctx, &apigatewayapi.UpdateAccountRequest{PatchOperations: patches("replace /throttleSettings/burstLimit -7")})
	refused(t, err, "BadRequestException", "The account's throttle must not be negative")
}
