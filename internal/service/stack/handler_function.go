package stack

import (
	"context"
	"strings"

	"moat/internal/service/stack/template"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

var functionRename = map[string]string{
	"Code": skip, "Tags": skip, "KmsKeyArn": "KMSKeyArn", "ReservedConcurrentExecutions": skip, "RuntimeManagementConfig": skip, "RecursiveLoop": skip,
	"FunctionScalingConfig": skip, "PublishToLatestPublished": skip,
}

func functionHandlers(c lambdaapi.Service) map[string]Handler {
	return map[string]Handler{"AWS::Lambda::Function": {
		Shapes:  []Shape{{Operation: "lambda:CreateFunction", Rename: functionRename}},
		Refuses: unbuilt("RuntimeManagementConfig", "RecursiveLoop", "FunctionScalingConfig", "PublishToLatestPublished"),
		Create:  func(ctx context.Context, r *Request) (State, error) { return createFunction(ctx, c, r) },
		Update: func(ctx context.Context, r *Request) (State, error) {
			return State{PhysicalID: r.PhysicalID, Attributes: r.Attributes}, updateFunction(ctx, c, r)
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteFunction(ctx, &lambdaapi.DeleteFunctionRequest{FunctionName: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.GetFunction(ctx, &lambdaapi.GetFunctionRequest{FunctionName: r.named("FunctionName", 64)})
			if err != nil || out.Configuration == nil {
				return State{}, false, gone(err)
			}
			if r.text("FunctionName") != "" && !r.mine(out.Tags) {
				return State{}, false, nil
			}
			return functionState(wire.Value(out.Configuration.FunctionName), wire.Value(out.Configuration.FunctionArn)), true, nil
		},
	}}
}

func functionState(name, arn string) State {
	return State{PhysicalID: name, Attributes: map[string]string{"Arn": arn}}
}

func createFunction(ctx context.Context, c lambdaapi.Service, r *Request) (State, error) {
	in := &lambdaapi.CreateFunctionRequest{}
	if err := decode(r.Properties, in, functionRename); err != nil {
		return State{}, err
	}
	code, err := functionCode(r)
	if err != nil {
		return State{}, err
	}
	in.FunctionName, in.Tags, in.Code = r.named("FunctionName", 64), r.marked("Tags"), code
	out, err := c.CreateFunction(ctx, in)
	if err != nil {
		return State{}, err
	}
	st := functionState(in.FunctionName, wire.Value(out.FunctionArn))
	return st, concurrency(ctx, c, r, in.FunctionName)
}

func updateFunction(ctx context.Context, c lambdaapi.Service, r *Request) error {
	if r.changed("Code", "Architectures") {
		code, err := functionCode(r)
		if err != nil {
			return err
		}
		in := &lambdaapi.UpdateFunctionCodeRequest{FunctionName: r.PhysicalID, ZipFile: code.ZipFile, ImageUri: code.ImageUri}
		if err := decode(pick(r, "Architectures"), in, nil); err != nil {
			return err
		}
		if _, err := c.UpdateFunctionCode(ctx, in); err != nil {
			return err
		}
	}
	rename := map[string]string{"Architectures": skip, "PackageType": skip, "CodeSigningConfigArn": skip, "FunctionName": skip, "TenancyConfig": skip}
	for k, v := range functionRename {
		rename[k] = v
	}
	if configurationChanged(r, rename) {
		in := &lambdaapi.UpdateFunctionConfigurationRequest{FunctionName: r.PhysicalID}
		if err := decode(r.Properties, in, rename); err != nil {
			return err
		}
		// What left the template goes back to its default; a call without the member
		// would leave it as it was.
		if r.Previous.Has("Environment") && in.Environment == nil {
			in.Environment = &lambdaapi.Environment{Variables: map[string]string{}}
		}
		if r.Previous.Has("Description") && in.Description == nil {
			in.Description = wire.String("")
		}
		if r.Previous.Has("Timeout") && in.Timeout == nil {
			in.Timeout = wire.Int32(3)
		}
		if r.Previous.Has("MemorySize") && in.MemorySize == nil {
			in.MemorySize = wire.Int32(128)
		}
		if _, err := c.UpdateFunctionConfiguration(ctx, in); err != nil {
			return err
		}
	}
	if r.changed("Tags") {
		if err := retagFunction(ctx, c, r); err != nil {
			return err
		}
	}
	return concurrency(ctx, c, r, r.PhysicalID)
}

func configurationChanged(r *Request, apart map[string]string) bool {
	for _, v := range []*template.Value{r.Properties, r.Previous} {
		for _, f := range v.Entries() {
			if apart[f.Key] != skip && r.changed(f.Key) {
				return true
			}
		}
	}
	return false
}

func concurrency(ctx context.Context, c lambdaapi.Service, r *Request, name string) error {
	if v := r.Properties.Get("ReservedConcurrentExecutions"); v != nil {
		in := &lambdaapi.PutFunctionConcurrencyRequest{FunctionName: name}
		if err := decode(pick(r, "ReservedConcurrentExecutions"), in, nil); err != nil {
			return err
		}
		_, err := c.PutFunctionConcurrency(ctx, in)
		return err
	}
	if r.Previous.Has("ReservedConcurrentExecutions") {
		_, err := c.DeleteFunctionConcurrency(ctx, &lambdaapi.DeleteFunctionConcurrencyRequest{FunctionName: name})
		return err
	}
	return nil
}

// functionCode returns the package of a function: text inline, or a packaged folder.
func functionCode(r *Request) (*lambdaapi.FunctionCode, error) {
	code := r.Properties.Get("Code")
	if uri, ok := code.Get("ImageUri").Scalar(); ok {
		return &lambdaapi.FunctionCode{ImageUri: &uri}, nil
	}
	if text, ok := code.Get("ZipFile").Scalar(); ok {
		zip, err := inlinePackage(text, r.text("Runtime"))
		return &lambdaapi.FunctionCode{ZipFile: zip}, err
	}
	if code.Get("S3Bucket").Str() == packageBucket {
		zip, err := r.Package(code.Get("S3Key").Str())
		return &lambdaapi.FunctionCode{ZipFile: zip}, err
	}
	return nil, wire.NotImplementedBecause("cloudformation", r.Type, "code in S3 is not implemented: there is no S3 here; use ZipFile, or deploy with moat deploy")
}

func functionPartHandlers(c lambdaapi.Service) map[string]Handler {
	return map[string]Handler{
		"AWS::Lambda::Permission": permission(c),
		"AWS::Lambda::Version":    version(c),
		"AWS::Lambda::Alias":      alias(c),
	}
}

func permission(c lambdaapi.Service) Handler {
	return Handler{ // without Update: a changed permission is a new one
		Shapes: []Shape{{Operation: "lambda:AddPermission"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &lambdaapi.AddPermissionRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			in.StatementId = fit(r.Name, 100)
			if _, err := c.AddPermission(ctx, in); err != nil {
				return State{}, err
			}
			return State{PhysicalID: in.StatementId, Attributes: map[string]string{"Id": in.StatementId}}, nil
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.RemovePermission(ctx, &lambdaapi.RemovePermissionRequest{FunctionName: r.text("FunctionName"), StatementId: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			id := fit(r.Name, 100)
			out, err := c.GetPolicy(ctx, &lambdaapi.GetPolicyRequest{FunctionName: r.text("FunctionName")})
			if err != nil {
				return State{}, false, gone(err)
			}
			return State{PhysicalID: id, Attributes: map[string]string{"Id": id}}, strings.Contains(wire.Value(out.Policy), `"`+id+`"`), nil
		},
	}
}

func version(c lambdaapi.Service) Handler {
	return Handler{
		Shapes:  []Shape{{Operation: "lambda:PublishVersion", Rename: map[string]string{"ProvisionedConcurrencyConfig": skip, "RuntimePolicy": skip, "FunctionScalingConfig": skip}}},
		Refuses: unbuilt("ProvisionedConcurrencyConfig", "RuntimePolicy", "FunctionScalingConfig"),
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &lambdaapi.PublishVersionRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			out, err := c.PublishVersion(ctx, in)
			if err != nil {
				return State{}, err
			}
			arn, v := wire.Value(out.FunctionArn), wire.Value(out.Version)
			if !strings.HasSuffix(arn, ":"+v) {
				arn += ":" + v
			}
			return State{PhysicalID: arn, Attributes: map[string]string{"Version": v, "FunctionArn": arn}}, nil
		},
		Delete: func(ctx context.Context, r *Request) error {
			v := r.Attributes["Version"]
			_, err := c.DeleteFunction(ctx, &lambdaapi.DeleteFunctionRequest{FunctionName: r.text("FunctionName"), Qualifier: &v})
			return err
		},
	}
}

func alias(c lambdaapi.Service) Handler {
	state := func(arn string) State {
		return State{PhysicalID: arn, Attributes: map[string]string{"AliasArn": arn}}
	}
	rename := map[string]string{"ProvisionedConcurrencyConfig": skip, "RoutingConfig": skip}
	return Handler{
		Shapes:  []Shape{{Operation: "lambda:CreateAlias", Rename: rename}},
		Refuses: unbuilt("ProvisionedConcurrencyConfig", "RoutingConfig"),
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &lambdaapi.CreateAliasRequest{}
			if err := decode(r.Properties, in, rename); err != nil {
				return State{}, err
			}
			out, err := c.CreateAlias(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(wire.Value(out.AliasArn)), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			in := &lambdaapi.UpdateAliasRequest{}
			if err := decode(r.Properties, in, rename); err != nil {
				return State{}, err
			}
			_, err := c.UpdateAlias(ctx, in)
			return state(r.PhysicalID), err
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteAlias(ctx, &lambdaapi.DeleteAliasRequest{FunctionName: r.text("FunctionName"), Name: r.text("Name")})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.GetAlias(ctx, &lambdaapi.GetAliasRequest{FunctionName: r.text("FunctionName"), Name: r.text("Name")})
			if err != nil {
				return State{}, false, gone(err)
			}
			return state(wire.Value(out.AliasArn)), true, nil
		},
		Claims: func(*Request) bool { return true },
	}
}
