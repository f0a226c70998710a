package sam

import (
	"sort"
	"strings"

	"moat/internal/service/stack/template"
)

// globalProperties are the properties that Globals may set, by section.
var globalProperties = map[string]string{
	"Function": "Handler Runtime CodeUri DeadLetterQueue Description MemorySize Timeout VpcConfig Environment Tags PropagateTags Tracing KmsKeyArn AutoPublishAlias AutoPublishAliasAllProperties Layers DeploymentPreference RolePath PermissionsBoundary ReservedConcurrentExecutions ProvisionedConcurrencyConfig AssumeRolePolicyDocument EventInvokeConfig FileSystemConfigs CodeSigningConfigArn Architectures SnapStart EphemeralStorage FunctionUrlConfig RuntimeManagementConfig LoggingConfig RecursiveLoop SourceKMSKeyArn TenancyConfig CapacityProviderConfig DurableConfig PublishToLatestPublished VersionDeletionPolicy",
	"Api":      "Auth Name DefinitionUri CacheClusterEnabled CacheClusterSize MergeDefinitions Variables EndpointConfiguration MethodSettings BinaryMediaTypes MinimumCompressionSize Cors GatewayResponses AccessLogSetting CanarySetting TracingEnabled OpenApiVersion Domain AlwaysDeploy PropagateTags SecurityPolicy EndpointAccessMode",
	"HttpApi":  "*", "SimpleTable": "*", "StateMachine": "*", "LayerVersion": "*", "CapacityProvider": "*", "WebSocketApi": "*",
}

// globals merges the Globals section into the resources of each type.
func (tr *transform) globals() {
	section := tr.root.Get("Globals")
	if section == nil {
		tr.openAPIVersions()
		return
	}
	if !section.Is(template.Map) || section.Empty() {
		tr.fail(section.Pos, "Globals", "", "'Globals' section is invalid. It must be a non-empty dictionary")
		return
	}
	for _, f := range section.Entries() {
		supported, ok := globalProperties[f.Key]
		if !ok {
			names := make([]string, 0, len(globalProperties))
			for n := range globalProperties {
				names = append(names, n)
			}
			sort.Strings(names)
			tr.fail(f.Pos, "Globals", f.Key, "'Globals' section is invalid. '%s' is not supported. Must be one of the following values - %s", f.Key, strings.Join(names, ", "))
			continue
		}
		for _, p := range f.Value.Fields {
			if supported != "*" && !strings.Contains(" "+supported+" ", " "+p.Key+" ") {
				tr.fail(p.Pos, "Globals", f.Key+"."+p.Key, "'Globals' section is invalid. '%s' is not a supported property of '%s'. Must be one of the following values - %s", p.Key, f.Key, strings.ReplaceAll(supported, " ", ", "))
			}
		}
		tr.applyGlobals(prefix+f.Key, f.Value)
	}
	tr.openAPIVersions()
}

func (tr *transform) applyGlobals(typ string, global *template.Value) {
	for _, id := range tr.py.keys(tr.resources) {
		r := tr.resources.Get(id)
		if r.Get("Type").Str() != typ {
			continue
		}
		use := global
		if ignore := r.Get("IgnoreGlobals"); ignore != nil {
			if use = tr.ignored(id, ignore, global); use == nil {
				continue
			}
		}
		local := r.Get("Properties")
		if !local.Is(template.Map) {
			local = dict()
			local.Pos = r.Pos
		}
		r.Set("Properties", tr.mergeGlobals(use, local))
	}
}

func (tr *transform) ignored(id string, ignore, global *template.Value) *template.Value {
	if ignore.Str() == "*" {
		return nil
	}
	if !ignore.Is(template.List) {
		tr.fail(ignore.Pos, id, "IgnoreGlobals", "Resource %s has invalid resource attribute 'IgnoreGlobals'.", id)
		return nil
	}
	use := tr.py.clone(global)
	for _, x := range ignore.Items {
		if !use.Has(x.Str()) {
			tr.fail(x.Pos, id, "IgnoreGlobals", "Resource %s has invalid resource attribute 'IgnoreGlobals' on item '%s'.", id, x.Str())
			continue
		}
		tr.py.remove(use, x.Str())
	}
	return use
}

// mergeGlobals: maps are merged, lists are joined (global first), anything else is
// taken from the resource.
func (tr *transform) mergeGlobals(global, local *template.Value) *template.Value {
	switch {
	case global.Is(template.Map) && local.Is(template.Map) && !global.IsIntrinsic() && !local.IsIntrinsic():
		out := tr.py.clone(global)
		for _, k := range tr.py.keys(local) {
			lf := local.Fields[fieldIndex(local, k)]
			if g := global.Get(k); g != nil {
				out.Set(k, tr.mergeGlobals(g, lf.Value))
				continue
			}
			out.Fields = append(out.Fields, lf)
		}
		out.Pos = local.Pos
		return out
	case global.Is(template.List) && local.Is(template.List):
		out := tr.py.clone(global)
		out.Items = append(out.Items, local.Items...)
		return out
	}
	return local
}

// openAPIVersions turns the definitions that the transform made itself into OpenAPI 3
// where OpenApiVersion asks for it.
func (tr *transform) openAPIVersions() {
	for _, f := range tr.resources.Fields {
		p := f.Value.Get("Properties")
		version, ok := p.Get("OpenApiVersion").Scalar()
		if f.Value.Get("Type").Str() != apiType || !ok || !p.Has(manageSwagger) || !openAPI3.MatchString(version) {
			continue
		}
		if v := p.Get("OpenApiVersion"); !v.Is(template.String) {
			p.Set("OpenApiVersion", text(version))
		}
		if body := p.Get("DefinitionBody"); body != nil {
			set(body, "openapi", p.Get("OpenApiVersion"))
			if body.Has("swagger") {
				tr.py.remove(body, "swagger")
			}
		}
	}
}
