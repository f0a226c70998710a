package function

import (
	"context"
	"errors"
	"fmt"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// minUnreserved is how many concurrent executions stay for functions without a reservation.
const minUnreserved = 100

// PutFunctionConcurrency reserves concurrent executions for a function, and so limits it
// to them; 0 stops it.
func (s *Service) PutFunctionConcurrency(ctx context.Context, in *lambdaapi.PutFunctionConcurrencyRequest) (*lambdaapi.Concurrency, error) {
	n := in.ReservedConcurrentExecutions
	if err := s.reserve(ctx, in.FunctionName, &n); err != nil {
		return nil, err
	}
	return &lambdaapi.Concurrency{ReservedConcurrentExecutions: &n}, nil
}

// DeleteFunctionConcurrency gives a reservation back.
func (s *Service) DeleteFunctionConcurrency(ctx context.Context, in *lambdaapi.DeleteFunctionConcurrencyRequest) (*lambdaapi.DeleteFunctionConcurrencyOutput, error) {
	if err := s.reserve(ctx, in.FunctionName, nil); err != nil {
		return nil, err
	}
	return &lambdaapi.DeleteFunctionConcurrencyOutput{}, nil
}

func (s *Service) reserve(ctx context.Context, name string, n *int32) error {
	ref, err := s.parseName(s.call(ctx), name, nil)
	if err != nil {
		return err
	}
	if ref.qualifier != "" {
		return invalid("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.")
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		f, err := s.tables.functions.Get(tx, ref.account, ref.region, ref.name)
		if errors.Is(err, store.ErrNotFound) {
			return noFunction(ref.function())
		}
		if err != nil {
			return err
		}
		others, _, err := s.totals(tx, ref.account, ref.region)
		if err != nil {
			return err
		}
		if f.Reserved != nil {
			others -= int(*f.Reserved)
		}
		if n != nil && *n > 0 && s.cfg.Concurrency-others-int(*n) < minUnreserved {
			return invalid(fmt.Sprintf("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", minUnreserved))
		}
		f.Reserved = n
		return s.tables.functions.Put(tx, f)
	})
}

// totals adds up what the functions of a region have reserved, and counts them.
func (s *Service) totals(tx *store.Tx, account, region string) (reserved, functions int, err error) {
	list, err := s.tables.functions.List(tx, store.Query{Prefix: []string{account, region}})
	for _, f := range list {
		reserved += int(wire.Value(f.Reserved))
	}
	return reserved, len(list), err
}

// GetFunctionConcurrency says what a function has reserved.
func (s *Service) GetFunctionConcurrency(ctx context.Context, in *lambdaapi.GetFunctionConcurrencyRequest) (*lambdaapi.GetFunctionConcurrencyResponse, error) {
	_, f, _, err := s.lookup(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	return &lambdaapi.GetFunctionConcurrencyResponse{ReservedConcurrentExecutions: f.Reserved}, nil
}

// GetAccountSettings gives the limits of the account and what it uses of them.
func (s *Service) GetAccountSettings(ctx context.Context, _ *lambdaapi.GetAccountSettingsRequest) (*lambdaapi.GetAccountSettingsResponse, error) {
	c := s.call(ctx)
	var reserved, functions int
	var size int64
	err := s.db.View(ctx, func(tx *store.Tx) error {
		var err error
		if reserved, functions, err = s.totals(tx, c.Account, c.Region); err != nil {
			return err
		}
		list, err := s.tables.functions.List(tx, store.Query{Prefix: []string{c.Account, c.Region}})
		size = 0
		for _, f := range list {
			size += f.Latest.CodeSize
		}
		if err != nil {
			return err
		}
		versions, err := s.tables.versions.List(tx, store.Query{Prefix: []string{c.Account, c.Region}})
		for _, v := range versions {
			size += v.CodeSize
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &lambdaapi.GetAccountSettingsResponse{
		AccountLimit: &lambdaapi.AccountLimit{
			CodeSizeUnzipped: wire.Int64(maxUnzipped), CodeSizeZipped: wire.Int64(maxZipped),
			ConcurrentExecutions: wire.Int32(int32(s.cfg.Concurrency)), TotalCodeSize: wire.Int64(80530636800),
			UnreservedConcurrentExecutions: wire.Int32(int32(s.cfg.Concurrency - reserved)),
		},
		AccountUsage: &lambdaapi.AccountUsage{FunctionCount: wire.Int64(int64(functions)), TotalCodeSize: &size},
	}, nil
}
