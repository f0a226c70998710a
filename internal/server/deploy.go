package server

import (
	"context"

	"moat/internal/service/stack"
	"moat/internal/wire"
)

// Deploy deploys a template from the local disk as the root of `moat dev`. Whatever it does to
// other services is authorised like a call from outside.
func (s *Server) Deploy(ctx context.Context, in stack.DeployInput) (stack.Result, error) {
	root, err := s.parts.iam.Credential(ctx, "test", "")
	if err != nil {
		return stack.Result{}, err
	}
	return s.parts.stack.Deploy(wire.WithCall(ctx, &wire.Call{
		Service: "cloudformation", Operation: "Deploy", Account: s.cfg.Account, Region: s.cfg.Region, Time: s.cfg.Now(), Caller: root.Caller, Host: s.cfg.Domain,
	}), in)
}
