package restapi

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"moat/internal/pure/arn"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// stagePaths is what a refused path of UpdateStage is told, in AWS's words (recorded).
const stagePaths = "/deploymentId, /description, /cacheClusterEnabled, /cacheClusterSize, /clientCertificateId, /accessLogSettings, /accessLogSettings/destinationArn, /accessLogSettings/format, " +
	"/{resourcePath}/{httpMethod}/metrics/enabled, /{resourcePath}/{httpMethod}/logging/dataTrace, /{resourcePath}/{httpMethod}/logging/loglevel, " +
	"/{resourcePath}/{httpMethod}/throttling/burstLimit/{resourcePath}/{httpMethod}/throttling/rateLimit/{resourcePath}/{httpMethod}/caching/ttlInSeconds, " +
	"/{resourcePath}/{httpMethod}/caching/enabled, /{resourcePath}/{httpMethod}/caching/dataEncrypted, /{resourcePath}/{httpMethod}/caching/requireAuthorizationForCacheControl, " +
	"/{resourcePath}/{httpMethod}/caching/unauthorizedCacheControlHeaderStrategy, /*/*/metrics/enabled, /*/*/logging/dataTrace, /*/*/logging/loglevel, " +
	"/*/*/throttling/burstLimit /*/*/throttling/rateLimit /*/*/caching/ttlInSeconds, /*/*/caching/enabled, /*/*/caching/dataEncrypted, " +
	"/*/*/caching/requireAuthorizationForCacheControl, /*/*/caching/unauthorizedCacheControlHeaderStrategy, /variables/{variable_name}, /tracingEnabled"

func badStagePath(op apigatewayapi.PatchOperation) error {
	return badRequest("Invalid method setting path: %s. Must be one of: [%s]", wire.Value(op.Path), stagePaths)
}

// unbuiltStage names the parts of a stage that have no effect yet.
func unbuiltStage() map[string]string {
	return map[string]string{"webAclArn": "web ACLs"}
}

func patchStage(st *apigatewayapi.Stage, op apigatewayapi.PatchOperation) error {
	segments := pointer(wire.Value(op.Path))
	if what, unbuilt := unbuiltStage()[segments[0]]; unbuilt {
		if op.Op == remove {
			return nil // switching off what is off
		}
		return notBuilt("UpdateStage", "%s is not built", what)
	}
	if op.Op == copyOp {
		return promote(st, op)
	}
	allowed, own := stageRules().find(segments)
	switch may := slices.Contains(allowed, op.Op); {
	case !own || !may && op.Op == remove: // recorded: removing something else is about a method setting
		return patchMethodSetting(st, op)
	case !may && slices.Equal(allowed, []apigatewayapi.Op{remove}):
		return badStagePath(op)
	case !may:
		return badRequest("Invalid %s operation with path: %s", op.Op, wire.Value(op.Path))
	case segments[0] == "canarySettings":
		return patchCanary(st, op)
	case segments[0] == "variables" && len(segments) == 1 && op.Op == replace:
		return replaceVariables(&st.Variables, op)
	}
	return stageRules().apply(st, []apigatewayapi.PatchOperation{op})
}

// replaceVariables puts a JSON object of texts in the place of all variables.
func replaceVariables(to *map[string]string, op apigatewayapi.PatchOperation) error {
	var fresh map[string]string
	if err := json.Unmarshal([]byte(wire.Value(op.Value)), &fresh); err != nil {
		return badRequest("Invalid value for '%s'. Must be a JSON object of strings", wire.Value(op.Path))
	}
	*to = fresh
	return nil
}

// patchMethodSetting changes a setting: /{resource}/{method}/throttling/rateLimit, the resource
// escaped as one segment, or */* for every method. A method's first setting takes the rest from */*.
func patchMethodSetting(st *apigatewayapi.Stage, op apigatewayapi.PatchOperation) error {
	segments := pointer(wire.Value(op.Path))
	if len(segments) == 2 && op.Op == remove {
		name := strings.TrimPrefix(segments[0], "/") + "/" + segments[1]
		if _, there := st.MethodSettings[name]; !there {
			return badRequest("Cannot remove method setting %s because there is no method setting for this method ", segments[0]+"/"+segments[1])
		}
		delete(st.MethodSettings, name)
		return nil
	}
	if len(segments) != 4 {
		return badStagePath(op)
	}
	member, ok := settingMembers()[segments[2]+"/"+segments[3]]
	if !ok {
		return badStagePath(op)
	}
	name := strings.TrimPrefix(segments[0], "/") + "/" + segments[1]
	m, there := st.MethodSettings[name]
	if !there {
		if m, there = st.MethodSettings["*/*"]; !there {
			m = defaultSetting()
		}
	}
	path := wire.Value(op.Path)
	op.Path = &member
	if op.Op != replace && op.Op != remove {
		return badRequest("Invalid %s operation with path: %s", op.Op, path)
	}
	if op.Op == remove { // back to the default
		op.Op, op.Value = replace, defaultOf(member)
	}
	if err := (patchRules{at(member, replace)}).apply(&m, []apigatewayapi.PatchOperation{op}); err != nil {
		if e := (*apigatewayapi.BadRequestException)(nil); errors.As(err, &e) { // in the words of the path that the caller knows
			return badRequest("%s", strings.Replace(e.ErrorMessage(), "'"+member+"'", "'"+path+"'", 1))
		}
		return err
	}
	if err := checkSetting(path, m); err != nil {
		return err
	}
	if st.MethodSettings == nil {
		st.MethodSettings = map[string]apigatewayapi.MethodSetting{}
	}
	st.MethodSettings[name] = m
	return nil
}

// settingMembers are the members of a method setting by the end of their patch path.
func settingMembers() map[string]string {
	return map[string]string{
		"metrics/enabled": "/metricsEnabled", "logging/dataTrace": "/dataTraceEnabled", "logging/loglevel": "/loggingLevel",
		"throttling/burstLimit": "/throttlingBurstLimit", "throttling/rateLimit": "/throttlingRateLimit",
		"caching/ttlInSeconds": "/cacheTtlInSeconds", "caching/enabled": "/cachingEnabled", "caching/dataEncrypted": "/cacheDataEncrypted",
		"caching/requireAuthorizationForCacheControl":    "/requireAuthorizationForCacheControl",
		"caching/unauthorizedCacheControlHeaderStrategy": "/unauthorizedCacheControlHeaderStrategy",
	}
}

// defaultOf is the default of a member of a method setting, as a patch has it.
func defaultOf(member string) *string {
	value := map[string]string{
		"/loggingLevel": "OFF", "/throttlingBurstLimit": strconv.Itoa(defaultBurst), "/throttlingRateLimit": strconv.Itoa(defaultRate), "/cacheTtlInSeconds": "300",
		"/requireAuthorizationForCacheControl": "true", "/unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER",
	}[member]
	if value == "" {
		value = "false"
	}
	return &value
}

const maxCacheTTL = 3600

func checkSetting(path string, m apigatewayapi.MethodSetting) error {
	if ttl := wire.Value(m.CacheTtlInSeconds); ttl < 0 || ttl > maxCacheTTL {
		return badRequest("Invalid value '%d' for '%s'. Cache TTL must be between 0 and %d seconds", ttl, path, maxCacheTTL)
	}
	switch wire.Value(m.LoggingLevel) {
	case "", "OFF", "ERROR", "INFO":
	default:
		return badRequest("Invalid value '%s' for '%s'. Must be one of: [OFF, ERROR, INFO]", *m.LoggingLevel, path)
	}
	switch m.UnauthorizedCacheControlHeaderStrategy {
	case apigatewayapi.UnauthorizedCacheControlHeaderStrategyFAIL_WITH_403, apigatewayapi.UnauthorizedCacheControlHeaderStrategySUCCEED_WITHOUT_RESPONSE_HEADER,
		apigatewayapi.UnauthorizedCacheControlHeaderStrategySUCCEED_WITH_RESPONSE_HEADER:
		return nil
	}
	return badRequest("Invalid value '%s' for '%s'. Must be one of: [FAIL_WITH_403, SUCCEED_WITH_RESPONSE_HEADER, SUCCEED_WITHOUT_RESPONSE_HEADER]", m.UnauthorizedCacheControlHeaderStrategy, path)
}

func defaultSetting() apigatewayapi.MethodSetting {
	return apigatewayapi.MethodSetting{
		CacheDataEncrypted: wire.Bool(false), CacheTtlInSeconds: wire.Int32(300), CachingEnabled: wire.Bool(false), DataTraceEnabled: wire.Bool(false),
		MetricsEnabled: wire.Bool(false), RequireAuthorizationForCacheControl: wire.Bool(true), ThrottlingBurstLimit: wire.Int32(defaultBurst),
		ThrottlingRateLimit: wire.Float64(defaultRate), UnauthorizedCacheControlHeaderStrategy: "SUCCEED_WITH_RESPONSE_HEADER",
	}
}

// settle brings a stage's cache and access log into a form that can be served, or says why not.
func settle(p place, st *apigatewayapi.Stage) error {
	if wire.Value(st.CacheClusterEnabled) {
		if st.CacheClusterSize == "" {
			st.CacheClusterSize = apigatewayapi.CacheClusterSize0_5
		}
		st.CacheClusterStatus = apigatewayapi.CacheClusterStatusAVAILABLE
	} else {
		st.CacheClusterStatus = apigatewayapi.CacheClusterStatusNOT_AVAILABLE
	}
	if st.CacheClusterSize != "" && cacheBytes(st.CacheClusterSize) == 0 {
		return badRequest("Invalid cache cluster size specified: %s", st.CacheClusterSize)
	}
	if err := checkVariables(st.Variables); err != nil {
		return err
	}
	if st.CanarySettings != nil {
		if err := checkVariables(st.CanarySettings.StageVariableOverrides); err != nil {
			return err
		}
		if err := checkCanary(st.CanarySettings); err != nil {
			return err
		}
	}
	return checkAccessLog(p, st)
}

// cacheBytes is the size of a cache in bytes; 0 when there is no such size.
func cacheBytes(size apigatewayapi.CacheClusterSize) int64 {
	tenths := map[apigatewayapi.CacheClusterSize]int64{
		apigatewayapi.CacheClusterSize0_5: 5, apigatewayapi.CacheClusterSize1_6: 16, apigatewayapi.CacheClusterSize6_1: 61, apigatewayapi.CacheClusterSize13_5: 135,
		apigatewayapi.CacheClusterSize28_4: 284, apigatewayapi.CacheClusterSize58_2: 582, apigatewayapi.CacheClusterSize118: 1180, apigatewayapi.CacheClusterSize237: 2370,
	}[size]
	return tenths << 30 / 10
}

// checkAccessLog holds the access log's settings to AWS's rules: a log group, one line, and an id of the request in it.
func checkAccessLog(p place, st *apigatewayapi.Stage) error {
	l := st.AccessLogSettings
	if l == nil {
		return nil
	}
	if *l == (apigatewayapi.AccessLogSettings{}) {
		st.AccessLogSettings = nil
		return nil
	}
	if to := wire.Value(l.DestinationArn); to != "" {
		if _, err := p.logGroup(to); err != nil {
			return err
		}
	}
	format := wire.Value(l.Format)
	if format == "" {
		return nil
	}
	if strings.ContainsAny(strings.TrimSuffix(strings.TrimSuffix(format, "\n"), "\r"), "\r\n") {
		return badRequest("Access Log format must be single line, new line character is allowed only at end of the format: '%s'", format)
	}
	if len(format) > maxLogFormat {
		return badRequest("Access Log format must not be longer than %d characters", maxLogFormat)
	}
	if !namesRequest(format) {
		return badRequest("Access Log format must include either $context.requestId or $context.extendedRequestId : '%s'", format)
	}
	return nil
}

const maxLogFormat = 3072

func namesRequest(format string) bool {
	for _, name := range []string{"requestId", "extendedRequestId"} {
		for _, form := range []string{"$context." + name, "${context." + name + "}"} {
			for rest := format; ; {
				_, after, found := strings.Cut(rest, form)
				if !found {
					break
				}
				if after == "" || strings.HasSuffix(form, "}") || !wordByte(after[0]) {
					return true
				}
				rest = after
			}
		}
	}
	return false
}

func wordByte(c byte) bool {
	return c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// logGroup reads the ARN of a log group of the stage's account and region: arn:aws:logs:region:account:log-group:name[:*].
// The groups below /moat/ are this server's own record, in which nobody else writes.
func (p place) logGroup(text string) (name string, err error) {
	if !strings.HasPrefix(text, "arn:") {
		return "", badRequest("Invalid ARN specified in the request. ARNs must start with 'arn:': %s", text)
	}
	a, err := arn.Parse(text)
	if err == nil && a.Service == "firehose" {
		return "", notBuilt("UpdateStage", "access logs go to log groups, not to streams of Firehose")
	}
	name, group := strings.CutPrefix(strings.TrimSuffix(a.Resource, ":*"), "log-group:")
	if err != nil || !group || a.Service != "logs" || a.Account != p.account || a.Region != p.region || name == "" || strings.HasPrefix(name, "/moat/") || len(name) > 512 || strings.Trim(name, logGroupLetters) != "" {
		return "", badRequest("Invalid ARN specified in the request. The ARN must be a valid CloudWatch Logs log group or Kinesis Data Firehose delivery stream ARN.")
	}
	return name, nil
}

const logGroupLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.#/"
