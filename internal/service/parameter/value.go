package parameter

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/ssmapi"
)

// purpose binds a sealed value to its parameter: it opens under no other name.
func (v *Version) purpose() string { return "parameter " + v.arn() }

// conceal seals the value of a SecureString.
func (s *Service) conceal(v *Version) error {
	if v.Type != string(api.ParameterTypeSecureString) {
		return nil
	}
	sealed, err := s.db.Seal(v.purpose(), []byte(v.Value))
	if err != nil {
		return err
	}
	v.Sealed, v.Value, v.KeyID = sealed, "", defaultKey
	return nil
}

// reveal returns the value as a caller may see it.
func (s *Service) reveal(v *Version, decrypt bool) (string, error) {
	if v.Type != string(api.ParameterTypeSecureString) {
		return v.Value, nil
	}
	if !decrypt {
		return base64.StdEncoding.EncodeToString(v.Sealed), nil
	}
	plain, err := s.db.Unseal(v.purpose(), v.Sealed)
	if err != nil {
		return "", fmt.Errorf("parameter %s: %w", v.Name, err)
	}
	return string(plain), nil
}

// shown is a version in an answer.
func (s *Service) shown(v *Version, decrypt bool, selector string) (api.Parameter, error) {
	value, err := s.reveal(v, decrypt)
	if err != nil {
		return api.Parameter{}, err
	}
	p := api.Parameter{
		ARN: wire.String(v.arn()), DataType: wire.String(v.DataType), LastModifiedDate: wire.Time(v.Modified), Name: wire.String(v.Name),
		Type: api.ParameterType(v.Type), Value: &value, Version: wire.Int64(v.Number),
	}
	if selector != "" {
		p.Selector = &selector
	}
	return p, nil
}

// head returns the parameter that a reference names, whatever its selector.
func (s *Service) head(tx *store.Tx, region string, r reference) (Parameter, error) {
	if r.foreign {
		return Parameter{}, &api.ParameterNotFound{}
	}
	p, err := s.parameters.Get(tx, s.account, region, r.name)
	if errors.Is(err, store.ErrNotFound) && r.byARN {
		p, err = s.parameters.Get(tx, s.account, region, twin(r.name))
	}
	if errors.Is(err, store.ErrNotFound) {
		return p, &api.ParameterNotFound{}
	}
	return p, err
}

// whole is head for an operation that takes no selector.
func (s *Service) whole(tx *store.Tx, region string, r reference) (Parameter, error) {
	if r.selector != "" {
		return Parameter{}, &api.ParameterNotFound{}
	}
	return s.head(tx, region, r)
}

// find returns the version that a reference means.
func (s *Service) find(tx *store.Tx, region string, r reference) (Version, error) {
	p, err := s.head(tx, region, r)
	if err != nil || r.selector == "" {
		return p.Version, err
	}
	n := r.version
	if r.label != "" {
		n = p.Labels[r.label]
	}
	v, err := s.versions.Get(tx, s.account, region, p.Name, number(n))
	if errors.Is(err, store.ErrNotFound) {
		return v, versionNotFound(r.selector, p.Name)
	}
	return v, err
}

// GetParameter returns one parameter.
func (s *Service) GetParameter(ctx context.Context, in *api.GetParameterRequest) (*api.GetParameterResult, error) {
	c := wire.CallFrom(ctx)
	r, err := s.parseReference(c, in.Name)
	if err != nil {
		return nil, err
	}
	var v Version
	err = s.db.View(ctx, func(tx *store.Tx) error {
		v, err = s.find(tx, c.Region, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	p, err := s.shown(&v, wire.Value(in.WithDecryption), r.selector)
	if err != nil {
		return nil, err
	}
	return &api.GetParameterResult{Parameter: &p}, nil
}

// GetParameters returns those that exist and lists the other names as invalid.
func (s *Service) GetParameters(ctx context.Context, in *api.GetParametersRequest) (*api.GetParametersResult, error) {
	c := wire.CallFrom(ctx)
	out := &api.GetParametersResult{Parameters: []api.Parameter{}, InvalidParameters: []string{}}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		for _, name := range in.Names {
			r, err := s.parseReference(c, name)
			if err != nil {
				return err
			}
			v, err := s.find(tx, c.Region, r)
			if missing(err) {
				out.InvalidParameters = append(out.InvalidParameters, name)
				continue
			}
			if err != nil {
				return err
			}
			p, err := s.shown(&v, wire.Value(in.WithDecryption), r.selector)
			if err != nil {
				return err
			}
			out.Parameters = append(out.Parameters, p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func missing(err error) bool {
	if _, ok := errors.AsType[*api.ParameterNotFound](err); ok {
		return true
	}
	_, ok := errors.AsType[*api.ParameterVersionNotFound](err)
	return ok
}
