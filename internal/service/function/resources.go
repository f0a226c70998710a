package function

import (
	"context"
	"encoding/json"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// resources names what a call acts on, as the service authorization reference of Lambda has
// it: an invocation and a permission are of the version or alias, everything else is of the
// function. The function's tags come along.
func (s *Service) resources(ops map[string]*wire.Operation) func(*wire.Call, string, any) []wire.Need {
	return func(c *wire.Call, name string, in any) []wire.Need {
		op := ops[name]
		if op == nil {
			return nil
		}
		keys := s.requestKeys(c, op, in)
		if len(op.On) == 0 {
			return append(wire.Needs(keys, "*"), tagging(op, keys, "*")...)
		}
		needs := wire.Needs(keys, s.actedOn(c, name, in)...)
		needs = append(needs, tagging(op, keys, needs[0].Resource)...)
		s.tagKeys(c, keys, needs[0].Resource)
		return append(needs, layers(in)...)
	}
}

// tagging is the need to tag what an operation makes.
func tagging(op *wire.Operation, keys policy.Context, arn string) []wire.Need {
	if len(op.Also) == 0 || keys.Get("aws:TagKeys") == nil {
		return nil
	}
	own := policy.Context{}
	for k, v := range keys {
		if strings.HasPrefix(k, "aws:") {
			own[k] = v
		}
	}
	return []wire.Need{{Action: "lambda:TagResource", Resource: arn, Keys: own}}
}

// layers are the needs to read the layers that a function is given.
func layers(in any) []wire.Need {
	var arns []string
	switch in := in.(type) {
	case *lambdaapi.CreateFunctionRequest:
		arns = in.Layers
	case *lambdaapi.UpdateFunctionConfigurationRequest:
		arns = in.Layers
	}
	needs := make([]wire.Need, len(arns))
	for i, arn := range arns {
		needs[i] = wire.Need{Action: "lambda:GetLayerVersion", Resource: arn}
	}
	return needs
}

// requestKeys are the condition keys that an input brings.
func (s *Service) requestKeys(c *wire.Call, op *wire.Operation, in any) policy.Context {
	keys := policy.Context{}
	vpc := func(v *lambdaapi.VpcConfig) {
		if v != nil {
			keys.Set("lambda:SecurityGroupIds", v.SecurityGroupIds...)
			keys.Set("lambda:SubnetIds", v.SubnetIds...)
		}
	}
	switch in := in.(type) {
	case *lambdaapi.CreateFunctionRequest:
		wire.RequestTags(keys, in.Tags)
		keys.Set("lambda:Layer", in.Layers...)
		vpc(in.VpcConfig)
	case *lambdaapi.UpdateFunctionConfigurationRequest:
		keys.Set("lambda:Layer", in.Layers...)
		vpc(in.VpcConfig)
	case *lambdaapi.CreateEventSourceMappingRequest:
		wire.RequestTags(keys, in.Tags)
	case *lambdaapi.CreateCodeSigningConfigRequest:
		wire.RequestTags(keys, in.Tags)
	case *lambdaapi.CreateCapacityProviderRequest:
		wire.RequestTags(keys, in.Tags)
		if in.VpcConfig != nil {
			keys.Set("lambda:SecurityGroupIds", in.VpcConfig.SecurityGroupIds...)
			keys.Set("lambda:SubnetIds", in.VpcConfig.SubnetIds...)
		}
	case *lambdaapi.TagResourceRequest:
		wire.RequestTags(keys, in.Tags)
	case *lambdaapi.UntagResourceRequest:
		wire.TagKeys(keys, in.TagKeys...)
	case *lambdaapi.RemovePermissionRequest:
		s.statementKeys(c, keys, in)
	}
	for key, member := range map[string]string{
		"lambda:Principal": "Principal", "lambda:CodeSigningConfigArn": "CodeSigningConfigArn", "lambda:FunctionUrlAuthType": "AuthType",
	} {
		if v := wire.Member(in, member); v != "" && op.Lists(key) {
			keys.Set(key, v)
		}
	}
	if v := wire.Member(in, "FunctionUrlAuthType"); v != "" {
		keys.Set("lambda:FunctionUrlAuthType", v)
	}
	if name := wire.Member(in, "FunctionName"); name != "" && op.Lists("lambda:FunctionArn") {
		keys.Set("lambda:FunctionArn", functionResource(c, name, ""))
	}
	return keys
}

// actedOn gives the ARNs that an input names.
func (s *Service) actedOn(c *wire.Call, op string, in any) []string {
	of := func(kind, id string) []string {
		if strings.HasPrefix(id, "arn:") {
			return []string{id}
		}
		return []string{"arn:aws:lambda:" + c.Region + ":" + c.Account + ":" + kind + ":" + id}
	}
	switch in := in.(type) {
	case *lambdaapi.PublishLayerVersionRequest:
		return []string{layerResource(c.Account, c.Region, in.LayerName, 0)}
	case *lambdaapi.GetLayerVersionRequest:
		return []string{layerResource(c.Account, c.Region, in.LayerName, in.VersionNumber)}
	case *lambdaapi.DeleteLayerVersionRequest:
		return []string{layerResource(c.Account, c.Region, in.LayerName, in.VersionNumber)}
	case *lambdaapi.AddLayerVersionPermissionRequest:
		return []string{layerResource(c.Account, c.Region, in.LayerName, in.VersionNumber)}
	case *lambdaapi.RemoveLayerVersionPermissionRequest:
		return []string{layerResource(c.Account, c.Region, in.LayerName, in.VersionNumber)}
	case *lambdaapi.GetLayerVersionPolicyRequest:
		return []string{layerResource(c.Account, c.Region, in.LayerName, in.VersionNumber)}
	case *lambdaapi.GetLayerVersionByArnRequest:
		return []string{layerResource(c.Account, c.Region, in.Arn, 0)}
	}
	if arn := wire.Member(in, "Resource"); strings.Contains(arn, ":function:") {
		return []string{functionResource(c, arn, "")}
	} else if arn != "" {
		return []string{arn}
	}
	function := wire.Member(in, "FunctionName")
	config := wire.Member(in, "CodeSigningConfigArn")
	switch {
	case op == "PutFunctionCodeSigningConfig":
		return []string{functionResource(c, function, ""), config}
	case wire.Member(in, "UUID") != "":
		return of("event-source-mapping", wire.Member(in, "UUID"))
	case function != "":
		return []string{functionResource(c, function, qualifierOf(op, in))}
	case config != "":
		return of("code-signing-config", config)
	case wire.Member(in, "CapacityProviderName") != "":
		return of("capacity-provider", wire.Member(in, "CapacityProviderName"))
	case wire.Member(in, "DurableExecutionArn") != "":
		return []string{wire.Member(in, "DurableExecutionArn")}
	case wire.Member(in, "CallbackId") != "": // which says nothing of whose it is
		return of("function", "*:*/durable-execution/*/*")
	}
	return []string{"*"}
}

// qualifierOf gives the qualifier for those operations that act on a version or alias; "-"
// keeps the one in the name out.
func qualifierOf(op string, in any) string {
	switch op {
	case "Invoke", "AddPermission", "RemovePermission", "PutProvisionedConcurrencyConfig", "GetProvisionedConcurrencyConfig", "DeleteProvisionedConcurrencyConfig":
		if q := wire.Member(in, "Qualifier"); q != "" {
			return q
		}
		return inName
	}
	return ""
}

// inName stands for the qualifier that a function's name has, if it has one.
const inName = ":"

// functionResource gives the ARN of a function. A name that cannot be read, or that is of
// another account or region, keeps its own text: the call is refused for it later, and
// until then nobody is allowed by mistake.
func functionResource(c *wire.Call, name, qualifier string) string {
	m := functionName.FindStringSubmatch(name)
	if m == nil {
		return name
	}
	ref := reference{account: c.Account, region: c.Region, name: m[3], qualifier: qualifier}
	if m[1] != "" {
		ref.region = m[1]
	}
	if m[2] != "" {
		ref.account = m[2]
	}
	if qualifier == inName {
		ref.qualifier = m[4]
	}
	return ref.arn()
}

// tagKeys adds the tags of a function; one that does not exist has none.
func (s *Service) tagKeys(c *wire.Call, keys policy.Context, arn string) {
	ref, err := s.parseName(c, arn, nil)
	if err != nil {
		return
	}
	_ = s.db.View(context.Background(), func(tx *store.Tx) error { // or the call itself will fail on the same database
		f, err := s.tables.functions.Get(tx, ref.account, ref.region, ref.name)
		wire.ResourceTags(keys, f.Tags)
		return err
	})
}

// statementKeys adds what the statement says that a call removes.
func (s *Service) statementKeys(c *wire.Call, keys policy.Context, in *lambdaapi.RemovePermissionRequest) {
	ref, err := s.parseName(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return
	}
	_ = s.db.View(context.Background(), func(tx *store.Tx) error { // or the call itself will fail on the same database
		p, err := s.tables.permissions.Get(tx, ref.account, ref.region, ref.name, ref.qualifier)
		for _, st := range p.Statements {
			if st.Sid != in.StatementId {
				continue
			}
			keys.Set("lambda:Principal", principalsOf(st.Principal)...)
			for _, of := range st.Condition {
				if v := of["lambda:FunctionUrlAuthType"]; v != "" {
					keys.Set("lambda:FunctionUrlAuthType", v)
				}
			}
		}
		return err
	})
}

// principalsOf reads the principal of a statement: a text, or one text by kind.
func principalsOf(doc json.RawMessage) []string {
	var one string
	if json.Unmarshal(doc, &one) == nil {
		return []string{one}
	}
	byKind, out := map[string]string{}, []string(nil)
	_ = json.Unmarshal(doc, &byKind) // written by this package
	for _, v := range byKind {
		out = append(out, v)
	}
	return out
}
