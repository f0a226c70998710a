package stack

import (
	"context"

	"moat/internal/wire"
	"moat/internal/wire/cloudformationapi"
)

type Service struct {
	cloudformationapi.Unimplemented
	cfg Config
	api *wire.API
}

func newService(cfg Config) (*Service, error) {
	s := &Service{cfg: cfg}
	s.api = cloudformationapi.New(s)
	return s, nil
}

// Run ...
func (s *Service) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Deploy ..
func (s *Service) Deploy(ctx context.Context, in DeployInput) (Result, error) {
	return Result{}, wire.NotImplemented("cloudformation", "Deploy")
}

// Remove ..
func (s *Service) Remove(ctx context.Context, name string, progress func(Event)) error {
	return wire.NotImplemented("cloudformation", "Remove")
}
