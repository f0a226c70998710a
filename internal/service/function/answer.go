package function

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"moat/internal/sandbox"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// timestamp is how Lambda writes a time in a configuration.
const timestamp = "2006-01-02T15:04:05.000-0700"

// arnOf gives the ARN of a version: the function's own for $LATEST.
func (v *Version) arnOf() string {
	r := reference{account: v.Account, region: v.Region, name: v.Name}
	if v.Number != latest {
		r.qualifier = v.Number
	}
	return r.arn()
}

// describe gives a version as Lambda describes it, but for what runs it. Environment
// variables are part of it for whoever may ask for the configuration at all, as on Lambda.
func (s *Service) describe(v *Version) (*lambdaapi.FunctionConfiguration, error) {
	out := &lambdaapi.FunctionConfiguration{
		Architectures:    []lambdaapi.Architecture{lambdaapi.Architecture(v.Architecture)},
		CodeSha256:       &v.CodeSHA256,
		CodeSize:         &v.CodeSize,
		Description:      &v.Description,
		EphemeralStorage: &lambdaapi.EphemeralStorage{Size: v.Ephemeral},
		FunctionArn:      wire.String(v.arnOf()),
		FunctionName:     &v.Name,
		Handler:          &v.Handler,
		LastModified:     wire.String(v.LastModified.UTC().Format(timestamp)),
		LastUpdateStatus: lambdaapi.LastUpdateStatusSuccessful,
		LoggingConfig:    &lambdaapi.LoggingConfig{LogFormat: lambdaapi.LogFormatText, LogGroup: &v.LogGroup},
		MemorySize:       &v.Memory,
		PackageType:      lambdaapi.PackageTypeZip,
		RevisionId:       &v.RevisionID,
		Role:             &v.Role,
		Runtime:          lambdaapi.Runtime(v.Runtime),
		SnapStart: &lambdaapi.SnapStartResponse{
			ApplyOn: lambdaapi.SnapStartApplyOnNone, OptimizationStatus: lambdaapi.SnapStartOptimizationStatusOff,
		},
		State:         lambdaapi.StateActive,
		Timeout:       &v.Timeout,
		TracingConfig: &lambdaapi.TracingConfigResponse{Mode: lambdaapi.TracingMode(v.Tracing)},
		Version:       &v.Number,
	}
	if v.Handler == "" {
		out.Handler = nil
	}
	for _, l := range v.Layers {
		out.Layers = append(out.Layers, lambdaapi.Layer{Arn: wire.String(l.ARN), CodeSize: wire.Int64(l.CodeSize)})
	}
	vars, err := s.environment(v)
	if err != nil {
		return nil, err
	}
	if v.HasEnvironment {
		out.Environment = &lambdaapi.EnvironmentResponse{Variables: vars}
	}
	return out, nil
}

// configuration describes a version, and says what really runs it.
func (s *Service) configuration(ctx context.Context, v *Version) (*lambdaapi.FunctionConfiguration, error) {
	out, err := s.describe(v)
	if err != nil {
		return nil, err
	}
	_, version, err := s.host.Program(ctx, v.Runtime)
	out.RuntimeVersionConfig = runtimeVersion(v, version, err)
	return out, nil
}

// created is configuration for the answer to a creation, which does not wait until a
// runtime that is used for the first time has said its version: then that is left out.
func (s *Service) created(v *Version) (*lambdaapi.FunctionConfiguration, error) {
	out, err := s.describe(v)
	if err != nil {
		return nil, err
	}
	if _, version, known, err := s.host.ProgramNow(v.Runtime); known {
		out.RuntimeVersionConfig = runtimeVersion(v, version, err)
	}
	return out, nil
}

// runtimeVersion names what runs a function: Lambda has the version of its own runtime
// here, Moat that of the program that is installed, or why there is none.
func runtimeVersion(v *Version, version string, err error) *lambdaapi.RuntimeVersionConfig {
	if missing := (*sandbox.RuntimeError)(nil); errors.As(err, &missing) {
		return &lambdaapi.RuntimeVersionConfig{Error: &lambdaapi.RuntimeVersionError{
			ErrorCode: wire.String("RuntimeMissing"), Message: wire.String(missing.Reason),
		}}
	}
	if version == "" {
		version = v.Runtime
	}
	sum := sha256.Sum256([]byte(v.Runtime + " " + version))
	return &lambdaapi.RuntimeVersionConfig{
		RuntimeVersionArn: wire.String("arn:aws:lambda:" + v.Region + "::runtime:" + version + "-" + hex.EncodeToString(sum[:16])),
	}
}
