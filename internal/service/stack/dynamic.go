package stack

import (
	"context"
	"errors"
	"strings"

	"moat/internal/wire"
	"moat/internal/wire/ssmapi"
)

// dynamic resolves "{{resolve:ssm:name:version}}" in properties, as the caller.
func (s *Service) dynamic(ctx context.Context) func(string) (string, error) {
	return func(reference string) (string, error) {
		service, rest, _ := strings.Cut(reference, ":")
		if service != "ssm" || s.cfg.Services.SSM == nil {
			return "", errors.New("dynamic references to " + service + " are not implemented; expected ssm")
		}
		out, err := s.cfg.Services.SSM.GetParameter(ctx, &ssmapi.GetParameterRequest{Name: rest})
		if err != nil {
			return "", err
		}
		if out.Parameter == nil || out.Parameter.Type == "SecureString" {
			return "", errors.New("a SecureString needs ssm-secure, which is not implemented")
		}
		return wire.Value(out.Parameter.Value), nil
	}
}
