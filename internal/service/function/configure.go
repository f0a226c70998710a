package function

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"moat/internal/sandbox"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// maxEnvironment is the limit of all environment variables together, in bytes.
const maxEnvironment = 4096

// sealEnvironment is the purpose under which variables are sealed.
const sealEnvironment = "function/environment"

// settings is what CreateFunction and UpdateFunctionConfiguration have in common: nil
// and empty members stay as they are.
type settings struct {
	operation     string
	description   *string
	role          *string
	runtime       lambdaapi.Runtime
	handler       *string
	timeout       *int32
	memory        *int32
	ephemeral     *lambdaapi.EphemeralStorage
	environment   *lambdaapi.Environment
	layers        []string
	tracing       *lambdaapi.TracingConfig
	logging       *lambdaapi.LoggingConfig
	snapStart     *lambdaapi.SnapStart
	vpc           *lambdaapi.VpcConfig
	deadLetter    *lambdaapi.DeadLetterConfig
	fileSystems   []lambdaapi.FileSystemConfig
	kmsKey        *string
	image         *lambdaapi.ImageConfig
	durable       *lambdaapi.DurableConfig
	tenancy       *lambdaapi.TenancyConfig
	capacity      *lambdaapi.CapacityProviderConfig
	codeSigning   *string
	architectures []lambdaapi.Architecture
}

// refuse answers 501 for the first setting that is not built.
func (n *settings) refuse() error {
	no := func(asked bool, reason string) error {
		if !asked {
			return nil
		}
		return wire.NotImplementedBecause("lambda", n.operation, reason)
	}
	for _, err := range []error{
		no(n.vpc != nil && len(n.vpc.SubnetIds)+len(n.vpc.SecurityGroupIds) > 0, "functions in a VPC are not built"),
		no(n.deadLetter != nil && wire.Value(n.deadLetter.TargetArn) != "", "dead-letter queues are not built"),
		no(len(n.fileSystems) > 0, "file systems of functions are not built"),
		no(wire.Value(n.kmsKey) != "", "keys of KMS are not built; environment variables are sealed with Moat's master key"),
		no(n.image != nil, "functions from container images are not built"),
		no(n.durable != nil, "durable functions are not built"),
		no(n.tenancy != nil, "tenant isolation is not built"),
		no(n.capacity != nil, "capacity providers are not built"),
		no(wire.Value(n.codeSigning) != "", "code signing is not built"),
		no(n.snapStart != nil && n.snapStart.ApplyOn == lambdaapi.SnapStartApplyOnPublishedVersions, "SnapStart is not built"),
		no(n.logging != nil && n.logging.LogFormat == lambdaapi.LogFormatJSON, "logs in the format JSON are not built"),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkRuntime accepts the runtimes that Moat runs, and says why it refuses others.
func checkRuntime(operation string, r lambdaapi.Runtime) error {
	name := string(r)
	switch {
	case name == "nodejs" || strings.HasPrefix(name, "nodejs4") || strings.HasPrefix(name, "nodejs6") || strings.HasPrefix(name, "nodejs8") ||
		name == "nodejs10.x" || name == "nodejs12.x" || name == "python2.7":
		return invalid("The runtime parameter of " + name + " is no longer supported for creating or updating AWS Lambda functions. " +
			"We recommend you use a supported runtime while creating or updating functions.")
	case !sandbox.KnownRuntime(name):
		return wire.NotImplementedBecause("lambda", operation, "the runtime "+name+" is not built; nodejs14.x and later, python3.6 and later and provided.al2023 are")
	}
	return nil
}

// apply changes a version by settings whose roles and runtimes are checked already.
func (s *Service) apply(v *Version, n *settings) error {
	if err := n.refuse(); err != nil {
		return err
	}
	if n.runtime != "" {
		if err := checkRuntime(n.operation, n.runtime); err != nil {
			return err
		}
		v.Runtime = string(n.runtime)
	}
	set(&v.Description, n.description)
	set(&v.Role, n.role)
	set(&v.Handler, n.handler)
	set(&v.Timeout, n.timeout)
	set(&v.Memory, n.memory)
	if n.ephemeral != nil {
		v.Ephemeral = n.ephemeral.Size
	}
	if n.tracing != nil && n.tracing.Mode != "" {
		v.Tracing = string(n.tracing.Mode)
	}
	if n.logging != nil {
		set(&v.LogGroup, n.logging.LogGroup)
	}
	if len(n.architectures) > 0 {
		v.Architecture = string(n.architectures[0])
	}
	if n.environment != nil {
		return s.setEnvironment(v, n.environment.Variables)
	}
	return nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// reservedVariables are those that Lambda sets itself ("Using Lambda environment variables").
func reservedVariables() []string {
	return []string{
		"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE",
		"AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY",
		"AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "TZ",
	}
}

// setEnvironment checks and seals variables.
func (s *Service) setEnvironment(v *Version, vars map[string]string) error {
	var used []string
	size := 0
	for name, value := range vars {
		if slices.Contains(reservedVariables(), name) {
			used = append(used, name)
		}
		if strings.ContainsRune(name+value, 0) {
			return invalid("Lambda was unable to configure your environment variables because a value contains a NUL character.")
		}
		size += len(name) + len(value)
	}
	if len(used) > 0 {
		slices.Sort(used)
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys " +
			"that are currently not supported for modification. Reserved keys used in this request: " + strings.Join(used, ", "))
	}
	if size > maxEnvironment {
		return invalid(fmt.Sprintf("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. "+
			"String measured: %d bytes", size))
	}
	plain, err := json.Marshal(vars)
	if err != nil {
		return err
	}
	v.HasEnvironment = true
	v.Environment, err = s.db.Seal(sealEnvironment, plain)
	return err
}

// environment unseals the variables of a version.
func (s *Service) environment(v *Version) (map[string]string, error) {
	if !v.HasEnvironment {
		return nil, nil
	}
	plain, err := s.db.Unseal(sealEnvironment, v.Environment)
	if err != nil {
		return nil, fmt.Errorf("the environment of function %s: %w", v.Name, err)
	}
	vars := map[string]string{}
	if err := json.Unmarshal(plain, &vars); err != nil {
		return nil, err
	}
	return maps.Clone(vars), nil
}

// checkRole makes sure that the caller may pass the role and that Lambda may assume it
// for the function.
func (s *Service) checkRole(ctx context.Context, c *wire.Call, role, function string) error {
	if s.cfg.PassRoler != nil {
		if err := s.cfg.PassRoler.PassRole(ctx, c.Caller, role, servicePrincipal); err != nil {
			return err
		}
	}
	ok, err := s.cfg.Roles.TrustsService(ctx, role, servicePrincipal, function)
	if err != nil {
		return err
	}
	if !ok {
		return invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	return nil
}

// useLayers resolves the layers of a version.
func (s *Service) useLayers(tx *store.Tx, v *Version, region string, arns []string) error {
	if arns == nil {
		return nil
	}
	if len(arns) > 5 {
		return invalid("Cannot reference more than 5 layers.")
	}
	var layers []Layer
	for _, a := range arns {
		l, err := s.layerByARN(tx, a, region)
		if err != nil {
			return err
		}
		base := a[:strings.LastIndexByte(a, ':')]
		for _, other := range layers {
			if strings.HasPrefix(other.ARN, base+":") {
				return invalid("Two different versions of the same layer are not allowed to be referenced in the same function. " + other.ARN + " and " + a + " are versions of the same layer.")
			}
		}
		layers = append(layers, Layer{ARN: a, CodeSHA256: l.CodeSHA256, CodeSize: l.CodeSize})
	}
	v.Layers = layers
	return nil
}
