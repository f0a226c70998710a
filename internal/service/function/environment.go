package function

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"moat/internal/sandbox"
)

// credentialLife is how long the credentials of an environment live; no invocation
// begins in it when they could end meanwhile.
const credentialLife = time.Hour

// spec describes the environments of a version to the sandbox.
func (s *Service) spec(f *Function, v *Version) (*sandbox.Spec, error) {
	dir, err := s.code.tree(v.CodeSHA256)
	if err != nil {
		return nil, err
	}
	spec := &sandbox.Spec{
		Key:     v.arnOf() + "@" + v.Stamp,
		Group:   (reference{account: f.Account, region: f.Region, name: f.Name}).function(),
		Limit:   s.cfg.Concurrency,
		Runtime: v.Runtime, Handler: v.Handler, Package: dir,
		MemoryMB: int(v.Memory), EphemeralMB: int(v.Ephemeral), Timeout: time.Duration(v.Timeout) * time.Second,
	}
	if f.Reserved != nil {
		spec.Limit = int(*f.Reserved)
	}
	for _, l := range v.Layers {
		tree, err := s.code.tree(l.CodeSHA256)
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", l.ARN, err)
		}
		spec.Layers = append(spec.Layers, tree)
	}
	version := *v
	spec.Start = func(ctx context.Context, id string) (sandbox.Start, error) { return s.start(ctx, &version, id) }
	return spec, nil
}

// start gives a new environment its variables, its credentials and its log.
func (s *Service) start(ctx context.Context, v *Version, id string) (sandbox.Start, error) {
	session := v.Name // as on Lambda, where policies may name it
	if len(session) < 2 {
		session += "-" // STS takes no shorter one
	}
	function := reference{account: v.Account, region: v.Region, name: v.Name}.function()
	creds, err := s.cfg.Roles.RoleCredentials(ctx, v.Role, servicePrincipal, function, session, credentialLife)
	if err != nil {
		if ok, e := s.cfg.Roles.TrustsService(ctx, v.Role, servicePrincipal, function); e == nil && !ok {
			err = errors.Join(ErrRole, err)
		}
		return sandbox.Start{}, fmt.Errorf("credentials of the role of function %s: %w", v.Name, err)
	}
	env, err := s.environment(v)
	if err != nil {
		return sandbox.Start{}, err
	}
	if env == nil {
		env = map[string]string{}
	}
	stream := s.cfg.Now().UTC().Format("2006/01/02/") + "[" + v.Number + "]" + id
	if endpoint := s.host.EndpointURL(s.cfg.BaseURL); endpoint != "" && env["AWS_ENDPOINT_URL"] == "" {
		env["AWS_ENDPOINT_URL"] = endpoint
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID":               creds.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY":           creds.SecretAccessKey,
		"AWS_SESSION_TOKEN":               creds.SessionToken,
		"AWS_REGION":                      v.Region,
		"AWS_DEFAULT_REGION":              v.Region,
		"AWS_EXECUTION_ENV":               "AWS_Lambda_" + v.Runtime,
		"AWS_LAMBDA_FUNCTION_NAME":        v.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     v.Number,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(int(v.Memory)),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       v.LogGroup,
		"AWS_LAMBDA_LOG_STREAM_NAME":      stream,
		"AWS_XRAY_CONTEXT_MISSING":        "LOG_ERROR",
		"AWS_XRAY_DAEMON_ADDRESS":         "127.0.0.1:2000",
		"_AWS_XRAY_DAEMON_ADDRESS":        "127.0.0.1",
		"_AWS_XRAY_DAEMON_PORT":           "2000",
		"_X_AMZN_TRACE_ID":                "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0",
	} {
		env[name] = value
	}
	st := sandbox.Start{Env: env, Sink: s.logs.sink(v.Region, v.LogGroup, stream)}
	if !creds.Expires.IsZero() {
		st.Expires = creds.Expires.Add(-time.Duration(v.Timeout)*time.Second - time.Minute)
	}
	return st, nil
}
