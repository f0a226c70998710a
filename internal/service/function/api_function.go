package function

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"moat/internal/pure/uuid"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// newID gives a random UUID (RFC 9562, version 4).
func (s *Service) newID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.cfg.Rand, b[:]); err != nil {
		return "", err
	}
	return uuid.V4(b), nil
}

// touch gives a version a new revision. Environments of the old one are replaced.
func (s *Service) touch(v *Version) error {
	id, err := s.newID()
	if err != nil {
		return err
	}
	v.RevisionID, v.LastModified = id, s.cfg.Now().UTC()
	v.Stamp = id
	return nil
}

// CreateFunction makes a function of a zip file.
func (s *Service) CreateFunction(ctx context.Context, in *lambdaapi.CreateFunctionRequest) (*lambdaapi.FunctionConfiguration, error) {
	c := s.call(ctx)
	ref, err := s.parseName(c, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	if ref.qualifier != "" {
		return nil, invalid("The function name must not have a qualifier.")
	}
	v, err := s.newVersion(ctx, c, ref, in)
	if err != nil {
		return nil, err
	}
	f := Function{Account: ref.account, Region: ref.region, Name: ref.name, Tags: in.Tags, CreatedAt: v.LastModified}
	if len(f.Tags) > maxTags {
		return nil, invalid("Number of tags exceeds resource tag limit.")
	}
	answer := v
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		f := f
		if err := s.useLayers(tx, &v, ref.region, in.Layers); err != nil {
			return err
		}
		f.Latest, answer = v, v
		if wire.Value(in.Publish) {
			published, err := s.publish(tx, &f, nil)
			if err != nil {
				return err
			}
			answer = published
		}
		return s.tables.functions.Insert(tx, f)
	})
	if errors.Is(err, store.ErrExists) {
		return nil, conflict("Function already exist: " + ref.name)
	}
	if err != nil {
		return nil, err
	}
	return s.created(&answer)
}

// newVersion checks a request and makes its $LATEST, with its code stored.
func (s *Service) newVersion(ctx context.Context, c *wire.Call, ref reference, in *lambdaapi.CreateFunctionRequest) (Version, error) {
	v := Version{
		Account: ref.account, Region: ref.region, Name: ref.name, Number: latest,
		Architecture: string(lambdaapi.Architecturex86_64), Timeout: 3, Memory: 128, Ephemeral: 512,
		Tracing: string(lambdaapi.TracingModePassThrough), LogGroup: "/aws/lambda/" + ref.name,
	}
	if in.PackageType == lambdaapi.PackageTypeImage {
		return v, wire.NotImplementedBecause("lambda", "CreateFunction", "functions from container images are not built")
	}
	if in.Runtime == "" || in.Handler == nil && !strings.HasPrefix(string(in.Runtime), "provided") {
		return v, invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	err := s.apply(&v, &settings{
		operation: "CreateFunction", description: in.Description, role: &in.Role, runtime: in.Runtime, handler: in.Handler,
		timeout: in.Timeout, memory: in.MemorySize, ephemeral: in.EphemeralStorage, environment: in.Environment,
		tracing: in.TracingConfig, logging: in.LoggingConfig, snapStart: in.SnapStart, vpc: in.VpcConfig,
		deadLetter: in.DeadLetterConfig, fileSystems: in.FileSystemConfigs, kmsKey: in.KMSKeyArn, image: in.ImageConfig,
		durable: in.DurableConfig, tenancy: in.TenancyConfig, capacity: in.CapacityProviderConfig,
		codeSigning: in.CodeSigningConfigArn, architectures: in.Architectures,
	})
	if err != nil {
		return v, err
	}
	if err := s.exists(ctx, ref); err == nil { // before the code is stored and the role asked
		return v, conflict("Function already exist: " + ref.name)
	}
	if err := s.checkRole(ctx, c, in.Role, ref.function()); err != nil {
		return v, err
	}
	if err := s.setCode(&v, "CreateFunction", codeOf(in.Code)); err != nil {
		return v, err
	}
	return v, s.touch(&v)
}

func (s *Service) exists(ctx context.Context, ref reference) error {
	return s.db.View(ctx, func(tx *store.Tx) error {
		_, err := s.tables.functions.Get(tx, ref.account, ref.region, ref.name)
		return err
	})
}

// source is where code comes from.
type source struct {
	zip              []byte
	bucket, image    *string
	kmsKey           *string
	withoutZipMember bool
}

func codeOf(code *lambdaapi.FunctionCode) source {
	if code == nil {
		return source{}
	}
	return source{zip: code.ZipFile, bucket: code.S3Bucket, image: code.ImageUri, kmsKey: code.SourceKMSKeyArn}
}

// setCode stores the code of a version.
func (s *Service) setCode(v *Version, operation string, from source) error {
	switch {
	case wire.Value(from.image) != "":
		return wire.NotImplementedBecause("lambda", operation, "functions from container images are not built")
	case wire.Value(from.bucket) != "":
		return wire.NotImplementedBecause("lambda", operation, "code in an S3 bucket is not built; send it as ZipFile")
	case wire.Value(from.kmsKey) != "":
		return wire.NotImplementedBecause("lambda", operation, "keys of KMS are not built")
	case len(from.zip) == 0:
		return invalid("Please provide a source for function code.")
	}
	sum, err := s.code.put(from.zip)
	if err != nil {
		return err
	}
	v.CodeSHA256, v.CodeSize = sum, int64(len(from.zip))
	return nil
}

// GetFunction describes a function or one of its versions, and says where its code is.
func (s *Service) GetFunction(ctx context.Context, in *lambdaapi.GetFunctionRequest) (*lambdaapi.GetFunctionResponse, error) {
	ref, f, v, err := s.lookup(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	out := &lambdaapi.GetFunctionResponse{}
	if out.Configuration, err = s.qualified(ctx, ref, v); err != nil {
		return nil, err
	}
	location, err := s.codeLocation(v.CodeSHA256)
	if err != nil {
		return nil, err
	}
	out.Code = &lambdaapi.FunctionCodeLocation{RepositoryType: wire.String("S3"), Location: &location}
	if f.Reserved != nil {
		out.Concurrency = &lambdaapi.Concurrency{ReservedConcurrentExecutions: f.Reserved}
	}
	if len(f.Tags) > 0 {
		out.Tags = f.Tags
	}
	return out, nil
}

// GetFunctionConfiguration describes a function or one of its versions.
func (s *Service) GetFunctionConfiguration(ctx context.Context, in *lambdaapi.GetFunctionConfigurationRequest) (*lambdaapi.FunctionConfiguration, error) {
	ref, _, v, err := s.lookup(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return s.qualified(ctx, ref, v)
}

// qualified describes a version under the name by which it was asked for.
func (s *Service) qualified(ctx context.Context, ref reference, v Version) (*lambdaapi.FunctionConfiguration, error) {
	out, err := s.configuration(ctx, &v)
	if err == nil && ref.qualifier != "" {
		out.FunctionArn = wire.String(ref.arn())
	}
	return out, err
}

// lookup finds a function and the version that a request means.
func (s *Service) lookup(ctx context.Context, name string, qualifier *string) (ref reference, f Function, v Version, err error) {
	if ref, err = s.parseName(s.call(ctx), name, qualifier); err != nil {
		return ref, f, v, err
	}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		f, v, err = s.find(tx, ref)
		return err
	})
	return ref, f, v, err
}

// find gives a function and the version that a reference means; an alias with weights
// means its main version.
func (s *Service) find(tx *store.Tx, ref reference) (f Function, v Version, err error) {
	f, err = s.tables.functions.Get(tx, ref.account, ref.region, ref.name)
	if errors.Is(err, store.ErrNotFound) {
		return f, v, noFunction(ref.arn())
	}
	if err != nil {
		return f, v, err
	}
	number := ref.qualifier
	if number != "" && number != latest && !isNumber(number) {
		a, err := s.tables.aliases.Get(tx, ref.account, ref.region, ref.name, number)
		if errors.Is(err, store.ErrNotFound) {
			return f, v, noFunction(ref.arn())
		}
		if err != nil {
			return f, v, err
		}
		number = a.Version
	}
	v, err = s.version(tx, &f, number)
	if errors.Is(err, store.ErrNotFound) {
		return f, v, noFunction(ref.arn())
	}
	return f, v, err
}

// version gives a version by its number; "" is $LATEST.
func (s *Service) version(tx *store.Tx, f *Function, number string) (Version, error) {
	if number == "" || number == latest {
		return f.Latest, nil
	}
	return s.tables.versions.Get(tx, f.Account, f.Region, f.Name, padded(number))
}

// ListFunctions lists functions by name, or all of their versions.
func (s *Service) ListFunctions(ctx context.Context, in *lambdaapi.ListFunctionsRequest) (*lambdaapi.ListFunctionsResponse, error) {
	c := s.call(ctx)
	out := &lambdaapi.ListFunctionsResponse{Functions: []lambdaapi.FunctionConfiguration{}}
	limit := pageSize(in.MaxItems, 50)
	var versions []Version
	err := s.db.View(ctx, func(tx *store.Tx) error {
		versions = nil
		list, err := s.tables.functions.List(tx, store.Query{
			Prefix: []string{c.Account, c.Region}, After: after(in.Marker, c.Account, c.Region), Limit: limit + 1,
		})
		if err != nil {
			return err
		}
		if len(list) > limit {
			list = list[:limit]
			out.NextMarker = wire.String(list[limit-1].Name)
		}
		for i := range list {
			f := &list[i]
			versions = append(versions, f.Latest)
			if in.FunctionVersion != lambdaapi.FunctionVersionALL {
				continue
			}
			published, err := s.tables.versions.List(tx, store.Query{Prefix: []string{f.Account, f.Region, f.Name}})
			if err != nil {
				return err
			}
			versions = append(versions, published...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range versions {
		conf, err := s.listed(ctx, &versions[i], in.FunctionVersion == lambdaapi.FunctionVersionALL)
		if err != nil {
			return nil, err
		}
		out.Functions = append(out.Functions, *conf)
	}
	return out, nil
}

// listed describes a version as lists do: without state, and where versions are listed
// with the qualifier of each.
func (s *Service) listed(ctx context.Context, v *Version, qualified bool) (*lambdaapi.FunctionConfiguration, error) {
	out, err := s.configuration(ctx, v)
	if err != nil {
		return nil, err
	}
	if qualified {
		out.FunctionArn = wire.String(reference{account: v.Account, region: v.Region, name: v.Name, qualifier: v.Number}.arn())
	}
	out.State, out.LastUpdateStatus, out.RuntimeVersionConfig = "", "", nil
	return out, nil
}

// pageSize bounds what a caller asks for.
func pageSize(asked *int32, most int) int {
	if n := int(wire.Value(asked)); n > 0 && n < most {
		return n
	}
	return most
}

// after gives the key that a marker stands for: the last name of the page before, which
// reveals nothing and selects only among what the caller may list anyway.
func after(marker *string, prefix ...string) []string {
	if wire.Value(marker) == "" {
		return nil
	}
	return append(slices.Clone(prefix), *marker)
}

// DeleteFunction deletes a function with all that belongs to it, or one version.
func (s *Service) DeleteFunction(ctx context.Context, in *lambdaapi.DeleteFunctionRequest) (*lambdaapi.DeleteFunctionResponse, error) {
	ref, err := s.parseName(s.call(ctx), in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if ref.qualifier != "" {
			return s.deleteVersion(tx, ref)
		}
		if err := s.tables.functions.Delete(tx, ref.account, ref.region, ref.name); err != nil {
			if errors.Is(err, store.ErrNotFound) {
				return noFunction(ref.function())
			}
			return err
		}
		for _, all := range []func(*store.Tx, ...string) (int, error){s.tables.versions.DeleteAll, s.tables.aliases.DeleteAll, s.tables.permissions.DeleteAll} {
			if _, err := all(tx, ref.account, ref.region, ref.name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.discard(ref)
	return &lambdaapi.DeleteFunctionResponse{StatusCode: wire.Int32(204)}, nil
}

func (s *Service) deleteVersion(tx *store.Tx, ref reference) error {
	if ref.qualifier == latest {
		return invalid("$LATEST version cannot be deleted without deleting the function.")
	}
	if !isNumber(ref.qualifier) {
		return invalid("Deletion of aliases is not currently supported.")
	}
	aliases, err := s.tables.aliases.List(tx, store.Query{Prefix: []string{ref.account, ref.region, ref.name}})
	if err != nil {
		return err
	}
	var using []string
	for _, a := range aliases {
		if _, weighted := a.Weights[ref.qualifier]; weighted || a.Version == ref.qualifier {
			using = append(using, a.Alias)
		}
	}
	if len(using) > 0 {
		return conflict("Version " + ref.qualifier + " of function " + ref.function() + " is referenced by aliases: [" + strings.Join(using, ", ") + "]")
	}
	err = s.tables.versions.Delete(tx, ref.account, ref.region, ref.name, padded(ref.qualifier))
	if errors.Is(err, store.ErrNotFound) {
		return noFunction(ref.arn())
	}
	if err != nil {
		return err
	}
	err = s.tables.permissions.Delete(tx, ref.account, ref.region, ref.name, ref.qualifier)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// UpdateFunctionCode replaces the code of $LATEST.
func (s *Service) UpdateFunctionCode(ctx context.Context, in *lambdaapi.UpdateFunctionCodeRequest) (*lambdaapi.FunctionConfiguration, error) {
	var code Version
	from := source{zip: in.ZipFile, bucket: in.S3Bucket, image: in.ImageUri, kmsKey: in.SourceKMSKeyArn}
	ref, _, _, err := s.lookup(ctx, in.FunctionName, nil) // the function first, then its code
	if err != nil {
		return nil, err
	}
	if err := s.setCode(&code, "UpdateFunctionCode", from); err != nil {
		return nil, err
	}
	return s.update(ctx, ref, change{
		revision: in.RevisionId, publish: wire.Value(in.Publish), dryRun: wire.Value(in.DryRun),
		apply: func(_ *store.Tx, v *Version) error {
			v.CodeSHA256, v.CodeSize = code.CodeSHA256, code.CodeSize
			if len(in.Architectures) > 0 {
				v.Architecture = string(in.Architectures[0])
			}
			return nil
		},
	})
}

// UpdateFunctionConfiguration changes settings of $LATEST.
func (s *Service) UpdateFunctionConfiguration(ctx context.Context, in *lambdaapi.UpdateFunctionConfigurationRequest) (*lambdaapi.FunctionConfiguration, error) {
	c := s.call(ctx)
	ref, _, v, err := s.lookup(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	if role := wire.Value(in.Role); role != "" && role != v.Role {
		if err := s.checkRole(ctx, c, role, ref.function()); err != nil {
			return nil, err
		}
	}
	n := &settings{
		operation: "UpdateFunctionConfiguration", description: in.Description, role: in.Role, runtime: in.Runtime,
		handler: in.Handler, timeout: in.Timeout, memory: in.MemorySize, ephemeral: in.EphemeralStorage,
		environment: in.Environment, tracing: in.TracingConfig, logging: in.LoggingConfig, snapStart: in.SnapStart,
		vpc: in.VpcConfig, deadLetter: in.DeadLetterConfig, fileSystems: in.FileSystemConfigs, kmsKey: in.KMSKeyArn,
		image: in.ImageConfig, durable: in.DurableConfig, capacity: in.CapacityProviderConfig,
	}
	return s.update(ctx, ref, change{revision: in.RevisionId, apply: func(tx *store.Tx, v *Version) error {
		if err := s.apply(v, n); err != nil {
			return err
		}
		return s.useLayers(tx, v, ref.region, in.Layers)
	}})
}

// change is one way of changing $LATEST.
type change struct {
	revision        *string
	publish, dryRun bool
	apply           func(*store.Tx, *Version) error
}

// update changes $LATEST, unless the caller has seen another revision of it.
func (s *Service) update(ctx context.Context, ref reference, ch change) (*lambdaapi.FunctionConfiguration, error) {
	if ref.qualifier != "" && ref.qualifier != latest {
		return nil, invalid("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.")
	}
	var answer Version
	var errDry = errors.New("dry run")
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		f, err := s.tables.functions.Get(tx, ref.account, ref.region, ref.name)
		if errors.Is(err, store.ErrNotFound) {
			return noFunction(ref.function())
		}
		if err != nil {
			return err
		}
		if ch.revision != nil && *ch.revision != f.Latest.RevisionID {
			return precondition("The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
		}
		if err := ch.apply(tx, &f.Latest); err != nil {
			return err
		}
		if err := s.touch(&f.Latest); err != nil {
			return err
		}
		answer = f.Latest
		if ch.dryRun {
			return errDry
		}
		if ch.publish {
			if answer, err = s.publish(tx, &f, nil); err != nil {
				return err
			}
		}
		return s.tables.functions.Put(tx, f)
	})
	if err != nil && err != errDry {
		return nil, err
	}
	return s.configuration(ctx, &answer)
}

// hashOf tells whether a version is like another in everything that a publication keeps.
func (v *Version) hashOf() string {
	h := sha256.New()
	for _, part := range []string{
		v.CodeSHA256, v.Role, v.Runtime, v.Handler, v.Architecture, v.Tracing, v.LogGroup, string(v.Environment),
		time.Duration(v.Timeout).String(), time.Duration(v.Memory).String(), time.Duration(v.Ephemeral).String(),
	} {
		_, _ = io.WriteString(h, part+"\x00")
	}
	for _, l := range v.Layers {
		_, _ = io.WriteString(h, l.ARN+"\x00")
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
