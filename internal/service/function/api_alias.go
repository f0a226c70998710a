package function

import (
	"context"
	"errors"
	"maps"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

func (a *Alias) reference() reference {
	return reference{account: a.Account, region: a.Region, name: a.Name, qualifier: a.Alias}
}

func (a *Alias) configuration() *lambdaapi.AliasConfiguration {
	out := &lambdaapi.AliasConfiguration{
		AliasArn: wire.String(a.reference().arn()), Description: &a.Description, FunctionVersion: &a.Version, Name: &a.Alias, RevisionId: &a.RevisionID,
	}
	if len(a.Weights) > 0 {
		out.RoutingConfig = &lambdaapi.AliasRoutingConfiguration{AdditionalVersionWeights: maps.Clone(a.Weights)}
	}
	return out
}

// CreateAlias gives a version another name.
func (s *Service) CreateAlias(ctx context.Context, in *lambdaapi.CreateAliasRequest) (*lambdaapi.AliasConfiguration, error) {
	ref, err := s.parseName(s.call(ctx), in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	a := Alias{Account: ref.account, Region: ref.region, Name: ref.name, Alias: in.Name, Version: in.FunctionVersion, Description: wire.Value(in.Description)}
	if in.RoutingConfig != nil {
		a.Weights = in.RoutingConfig.AdditionalVersionWeights
	}
	if a.RevisionID, err = s.newID(); err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := s.checkAlias(tx, &a); err != nil {
			return err
		}
		return s.tables.aliases.Insert(tx, a)
	})
	if errors.Is(err, store.ErrExists) {
		return nil, conflict("Alias already exists: " + a.reference().arn())
	}
	if err != nil {
		return nil, err
	}
	return a.configuration(), nil
}

// checkAlias makes sure that what an alias points to exists and that its weights add up.
func (s *Service) checkAlias(tx *store.Tx, a *Alias) error {
	ref := a.reference()
	f, err := s.tables.functions.Get(tx, ref.account, ref.region, ref.name)
	if errors.Is(err, store.ErrNotFound) {
		return noFunction(ref.function())
	}
	if err != nil {
		return err
	}
	if isNumber(a.Alias) {
		return invalid("The name of an alias must not be a number.")
	}
	if len(a.Weights) > 1 {
		return invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
	}
	versions := []string{a.Version}
	for number, weight := range a.Weights {
		switch {
		case a.Version == latest || number == latest:
			return invalid("$LATEST is not supported for an alias pointing to more than 1 version")
		case number == a.Version:
			return invalid("Invalid function version " + number + ". Function version " + number + " is already included in routing configuration.")
		case weight < 0 || weight > 1:
			return invalid("The weight of a version must be between 0.0 and 1.0")
		}
		versions = append(versions, number)
	}
	for _, number := range versions {
		if _, err := s.version(tx, &f, number); errors.Is(err, store.ErrNotFound) {
			ref.qualifier = number
			return noFunction(ref.arn())
		} else if err != nil {
			return err
		}
	}
	return nil
}

// UpdateAlias points an alias elsewhere.
func (s *Service) UpdateAlias(ctx context.Context, in *lambdaapi.UpdateAliasRequest) (*lambdaapi.AliasConfiguration, error) {
	ref, err := s.parseName(s.call(ctx), in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	ref.qualifier = in.Name
	id, err := s.newID()
	if err != nil {
		return nil, err
	}
	var a Alias
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		a, err = s.tables.aliases.Get(tx, ref.account, ref.region, ref.name, in.Name)
		if errors.Is(err, store.ErrNotFound) {
			return notFound("Alias not found: " + ref.arn())
		}
		if err != nil {
			return err
		}
		if in.RevisionId != nil && *in.RevisionId != a.RevisionID {
			return precondition("The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
		}
		set(&a.Description, in.Description)
		set(&a.Version, in.FunctionVersion)
		if in.RoutingConfig != nil {
			a.Weights = in.RoutingConfig.AdditionalVersionWeights
		}
		a.RevisionID = id
		if err := s.checkAlias(tx, &a); err != nil {
			return err
		}
		return s.tables.aliases.Put(tx, a)
	})
	if err != nil {
		return nil, err
	}
	return a.configuration(), nil
}

// GetAlias describes an alias.
func (s *Service) GetAlias(ctx context.Context, in *lambdaapi.GetAliasRequest) (*lambdaapi.AliasConfiguration, error) {
	ref, err := s.parseName(s.call(ctx), in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	ref.qualifier = in.Name
	var a Alias
	err = s.db.View(ctx, func(tx *store.Tx) error {
		a, err = s.tables.aliases.Get(tx, ref.account, ref.region, ref.name, in.Name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("Cannot find alias arn: " + ref.arn())
	}
	if err != nil {
		return nil, err
	}
	return a.configuration(), nil
}

// DeleteAlias deletes an alias and its permissions; one that does not exist is deleted already.
func (s *Service) DeleteAlias(ctx context.Context, in *lambdaapi.DeleteAliasRequest) (*lambdaapi.DeleteAliasOutput, error) {
	ref, err := s.parseName(s.call(ctx), in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		err := s.tables.aliases.Delete(tx, ref.account, ref.region, ref.name, in.Name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		err = s.tables.permissions.Delete(tx, ref.account, ref.region, ref.name, in.Name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &lambdaapi.DeleteAliasOutput{}, nil
}

// ListAliases lists the aliases of a function, or those of one version.
func (s *Service) ListAliases(ctx context.Context, in *lambdaapi.ListAliasesRequest) (*lambdaapi.ListAliasesResponse, error) {
	ref, err := s.parseName(s.call(ctx), in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	out := &lambdaapi.ListAliasesResponse{Aliases: []lambdaapi.AliasConfiguration{}}
	limit := pageSize(in.MaxItems, 50)
	var list []Alias
	err = s.db.View(ctx, func(tx *store.Tx) error {
		if _, err := s.tables.functions.Get(tx, ref.account, ref.region, ref.name); errors.Is(err, store.ErrNotFound) {
			return noFunction(ref.function())
		} else if err != nil {
			return err
		}
		list, err = s.tables.aliases.List(tx, store.Query{
			Prefix: []string{ref.account, ref.region, ref.name}, After: after(in.Marker, ref.account, ref.region, ref.name), Limit: limit + 1,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(list) > limit {
		list = list[:limit]
		out.NextMarker = &list[limit-1].Alias
	}
	for i := range list {
		a := &list[i]
		_, weighted := a.Weights[wire.Value(in.FunctionVersion)]
		if in.FunctionVersion == nil || a.Version == *in.FunctionVersion || weighted {
			out.Aliases = append(out.Aliases, *a.configuration())
		}
	}
	return out, nil
}
