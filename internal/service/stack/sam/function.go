package sam

import (
	"strings"

	"moat/internal/service/stack/template"
)

// functionProperties says where each property of AWS::Serverless::Function goes: a name
// is the property of AWS::Lambda::Function it is passed to, "" it is read here, "-" it
// is not implemented.
var functionProperties = map[string]string{
	"FunctionName": "FunctionName", "Handler": "Handler", "Runtime": "Runtime", "Description": "Description", "MemorySize": "MemorySize",
	"Timeout": "Timeout", "VpcConfig": "VpcConfig", "Environment": "Environment", "KmsKeyArn": "KmsKeyArn", "Layers": "Layers",
	"ReservedConcurrentExecutions": "ReservedConcurrentExecutions", "FileSystemConfigs": "FileSystemConfigs", "PackageType": "PackageType",
	"ImageConfig": "ImageConfig", "CodeSigningConfigArn": "CodeSigningConfigArn", "Architectures": "Architectures",
	"EphemeralStorage": "EphemeralStorage", "SnapStart": "SnapStart", "RuntimeManagementConfig": "RuntimeManagementConfig",
	"LoggingConfig": "LoggingConfig", "RecursiveLoop": "RecursiveLoop",
	"CodeUri": "", "InlineCode": "", "ImageUri": "", "Role": "", "Policies": "", "Events": "", "Tags": "", "PropagateTags": "", "Tracing": "",
	"RolePath": "", "PermissionsBoundary": "", "AssumeRolePolicyDocument": "", "AutoPublishAlias": "", "AutoPublishAliasAllProperties": "",
	"AutoPublishCodeSha256": "", "VersionDescription": "", "VersionDeletionPolicy": "",
	"DeadLetterQueue": "-", "DeploymentPreference": "-", "ProvisionedConcurrencyConfig": "-", "EventInvokeConfig": "-",
	"FunctionUrlConfig": "-", "SourceKMSKeyArn": "-", "TenancyConfig": "-", "CapacityProviderConfig": "-", "DurableConfig": "-",
	"FunctionScalingConfig": "-", "PublishToLatestPublished": "-",
}

// function is one AWS::Serverless::Function during its expansion.
type function struct {
	tr    *transform
	id    string
	r     *template.Value
	p     *template.Value
	alias string // logical id of the published alias, "" without one
}

func (tr *transform) expandFunction(id string, r *template.Value) {
	p := r.Get("Properties")
	if !p.Is(template.Map) {
		tr.fail(r.Pos, id, "Properties", "a function needs Properties: Handler, Runtime and CodeUri or InlineCode")
		return
	}
	tr.checkProperties(id, p, functionProperties)
	if tr.failed() {
		return
	}
	f := &function{tr: tr, id: id, r: r, p: p}
	f.noteName()
	props := template.NewMap()
	if code := f.code(); code != nil {
		props.Set("Code", code)
	}
	for _, x := range p.Entries() {
		if to := functionProperties[x.Key]; to != "" && to != "-" {
			props.Set(to, x.Value)
		}
	}
	if t := p.Get("Tracing"); !t.Empty() {
		props.Set("TracingConfig", template.NewMap("Mode", t))
	}
	tags := f.tags()
	props.Set("Tags", tags)
	if role := p.Get("Role"); !role.Empty() {
		props.Set("Role", role)
	} else {
		props.Set("Role", template.GetAtt(id+"Role", "Arn"))
		f.role(tags)
	}
	if tr.failed() {
		return
	}
	tr.put(id, "AWS::Lambda::Function", props, r, "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata", "DependsOn", "UpdatePolicy")
	f.publish(props)
	f.events()
}

// noteName collects the names of the functions behind an API: a changed name needs a
// new deployment.
func (f *function) noteName() {
	name := f.tr.resolveParameters(f.p.Get("FunctionName").Clone())
	if name.Empty() {
		return
	}
	events := f.p.Get("Events")
	seen := map[string]bool{}
	for _, eid := range f.tr.py.keys(events) {
		if api := apiOf(events.At(eid, "Properties", "RestApiId")); api != "" && !seen[api] {
			shown := name.Str()
			if !name.Is(template.String) {
				shown = f.tr.py.text(name)
			}
			f.tr.functionNames[api] += shown
		}
	}
}

func (f *function) code() *template.Value {
	inline, uri := f.p.Get("InlineCode"), f.p.Get("CodeUri")
	switch {
	case f.p.Get("PackageType").Str() == "Image" || f.p.Has("ImageUri"):
		return template.NewMap("ImageUri", f.p.Get("ImageUri"))
	case !inline.Empty():
		return template.NewMap("ZipFile", inline)
	case uri.Empty():
		f.tr.fail(f.p.Pos, f.id, "Properties.CodeUri", "Either 'InlineCode', 'CodeUri' or 'ImageUri' must be set")
		return nil
	}
	loc := s3Location(uri)
	if loc == nil {
		f.tr.fail(uri.Pos, f.id, "Properties.CodeUri", "'CodeUri' is not a valid S3 Uri of the form 's3://bucket/key' with optional versionId query parameter.")
		return nil
	}
	code := template.NewMap("S3Bucket", loc.Get("Bucket"), "S3Key", loc.Get("Key"))
	if v := loc.Get("Version"); v != nil {
		code.Set("S3ObjectVersion", v)
	}
	code.Pos = uri.Pos
	return code
}

func (f *function) tags() *template.Value {
	out := list(template.NewMap("Key", "lambda:createdBy", "Value", "SAM"))
	out.Items = append(out.Items, tagList(f.tr.py, f.p.Get("Tags")).Items...)
	return out
}

func (f *function) managed(name string) string {
	return "arn:" + f.tr.partition + ":iam::aws:policy/" + name
}

// role generates the execution role.
func (f *function) role(tags *template.Value) {
	trust := template.NewMap("Version", "2012-10-17", "Statement", list(template.NewMap(
		"Action", list(template.NewString("sts:AssumeRole")), "Effect", "Allow",
		"Principal", template.NewMap("Service", list(template.NewString("lambda.amazonaws.com"))))))
	if own := f.p.Get("AssumeRolePolicyDocument"); !own.Empty() {
		trust = own
	}
	arns := list(template.NewString(f.managed("service-role/AWSLambdaBasicExecutionRole")))
	if t := f.p.Get("Tracing"); !t.Empty() && t.Str() != "Disabled" {
		arns.Items = append(arns.Items, template.NewString(f.managed("AWSXrayWriteOnlyAccess")))
	}
	if !f.p.Get("VpcConfig").Empty() {
		arns.Items = append(arns.Items, template.NewString(f.managed("service-role/AWSLambdaVPCAccessExecutionRole")))
	}
	inline := f.policies(arns)
	props := template.NewMap("AssumeRolePolicyDocument", trust, "ManagedPolicyArns", arns)
	if len(inline.Items) > 0 {
		props.Set("Policies", inline)
	}
	if v := f.p.Get("RolePath"); v != nil {
		props.Set("Path", v)
	}
	if v := f.p.Get("PermissionsBoundary"); v != nil {
		props.Set("PermissionsBoundary", v)
	}
	roleTags := list(template.NewMap("Key", "lambda:createdBy", "Value", "SAM"))
	if !f.p.Get("PropagateTags").Empty() {
		roleTags = tags.Clone()
	}
	props.Set("Tags", roleTags)
	f.tr.put(f.id+"Role", "AWS::IAM::Role", props, f.r, passThrough...)
}

// publish adds a version and an alias when AutoPublishAlias asks for them. A version
// gets a new logical id whenever the code changes.
func (f *function) publish(props *template.Value) {
	name := f.tr.resolveParameters(f.p.Get("AutoPublishAlias").Clone())
	if name.Empty() {
		return
	}
	if !name.Is(template.String) {
		f.tr.fail(f.p.KeyPos("AutoPublishAlias"), f.id, "Properties.AutoPublishAlias", "'AutoPublishAlias' must be a string or a Ref to a template parameter")
		return
	}
	id := f.id + "Version" + digest(props.Get("Code").Canonical(), 10)
	if !f.p.Get("AutoPublishAliasAllProperties").Empty() {
		id = f.id + "Version" + digest(props.Canonical(), 10)
	}
	if sha := f.tr.resolveParameters(f.p.Get("AutoPublishCodeSha256").Clone()); sha.Is(template.String) && len(sha.Text) >= 10 {
		id = f.id + "Version" + sha.Text[:10]
		// The function must change as well, for CloudFormation to publish its code.
		description := strings.TrimSpace(props.Get("Description").Str() + " " + sha.Text)
		f.tr.resources.At(f.id, "Properties").Set("Description", template.NewString(description))
	}
	version := template.NewMap("FunctionName", template.Ref(f.id))
	if d := f.p.Get("VersionDescription"); d != nil {
		version.Set("Description", d)
	}
	f.tr.put(id, "AWS::Lambda::Version", version, f.r, "Condition", "UpdateReplacePolicy")
	retain := template.NewString("Retain")
	if p := f.p.Get("VersionDeletionPolicy"); !p.Empty() {
		retain = p
	}
	f.tr.resources.Get(id).Set("DeletionPolicy", retain)
	f.alias = f.id + "Alias" + strings.NewReplacer("-", "D", "_", "U").Replace(name.Text)
	alias := template.NewMap("Name", name, "FunctionName", template.Ref(f.id), "FunctionVersion", template.GetAtt(id, "Version"))
	f.tr.put(f.alias, "AWS::Lambda::Alias", alias, f.r, passThrough...)
	f.tr.refer(f.id, "Version", id)
	f.tr.refer(f.id, "Alias", f.alias)
}

// arnText is the name of the function's ARN inside an Fn::Sub.
func (f *function) arnText() string {
	if f.alias != "" {
		return "${" + f.alias + "}"
	}
	return "${" + f.id + ".Arn}"
}
