package parameter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"unicode/utf8"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/ssmapi"
)

const (
	standardSize = 4096
	advancedSize = 8192
	maxVersions  = 100
	maxTags      = 50
	defaultKey   = "alias/aws/ssm"
	textType     = "text"
)

// PutParameter creates a parameter, or adds a version to one when Overwrite is set.
func (s *Service) PutParameter(ctx context.Context, in *api.PutParameterRequest) (*api.PutParameterResult, error) {
	c := wire.CallFrom(ctx)
	if err := checkPut(in); err != nil {
		return nil, err
	}
	tags, err := tagMap(in.Tags)
	if _, many := errors.AsType[*api.TooManyTagsError](err); many { // which AWS does not list for PutParameter
		err = invalid("A parameter can have at most %d tags.", maxTags)
	}
	if err != nil {
		return nil, err
	}
	next := Version{
		Account: s.account, Region: c.Region, Name: in.Name, Type: string(in.Type), DataType: textType,
		Value: in.Value, KeyID: wire.Value(in.KeyId), Description: wire.Value(in.Description),
		AllowedPattern: wire.Value(in.AllowedPattern), Modified: s.now().UTC(), ModifiedBy: c.Caller.ARN,
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		v := next
		p, err := s.parameters.Get(tx, s.account, c.Region, in.Name)
		switch {
		case errors.Is(err, store.ErrNotFound):
			p = Parameter{Oldest: 1, Labels: map[string]int64{}, Tags: tags}
			if err := s.creatable(tx, &v); err != nil {
				return err
			}
		case err != nil:
			return err
		case !wire.Value(in.Overwrite):
			return alreadyExists()
		default:
			if err := inherit(&v, &p.Version, in); err != nil {
				return err
			}
		}
		if err := complete(&v, in, p.Version.Tier); err != nil {
			return err
		}
		if err := s.conceal(&v); err != nil {
			return err
		}
		v.Number = p.Number + 1
		p.Version = v
		if err := s.forgetOldest(tx, &p); err != nil {
			return err
		}
		next = v
		if err := s.versions.Insert(tx, v); err != nil {
			return err
		}
		return s.parameters.Put(tx, p)
	})
	if err != nil {
		return nil, err
	}
	return &api.PutParameterResult{Version: wire.Int64(next.Number), Tier: api.ParameterTier(next.Tier)}, nil
}

func alreadyExists() error {
	return &api.ParameterAlreadyExists{Message: "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."}
}

// creatable says whether the name is free. "x" and "/x" have one ARN, so that a
// policy could not tell them apart: only one of them may exist.
func (s *Service) creatable(tx *store.Tx, v *Version) error {
	if v.Type == "" {
		return invalid("A parameter type is required when you create a parameter.")
	}
	other := twin(v.Name)
	if other == "" {
		return nil
	}
	_, err := s.parameters.Get(tx, v.Account, v.Region, other)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return alreadyExists()
}

// checkPut applies the rules that need no stored parameter.
func checkPut(in *api.PutParameterRequest) error {
	if err := checkName(in.Name); err != nil {
		return err
	}
	switch {
	case in.Policies != nil && *in.Policies != "[]":
		return wire.NotImplementedBecause("ssm", "PutParameter", "parameter policies are not supported")
	case wire.Value(in.Overwrite) && len(in.Tags) > 0:
		return invalid("Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	case in.Value == "":
		return invalid("1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1.")
	case in.KeyId != nil && *in.KeyId != defaultKey:
		return &api.InvalidKeyId{Message: fmt.Sprintf("Invalid keyId %s", *in.KeyId)}
	}
	switch wire.Value(in.DataType) {
	case "", textType:
		return nil
	case "aws:ec2:image", "aws:ssm:integration":
		return wire.NotImplementedBecause("ssm", "PutParameter", "the data type "+*in.DataType+" is not supported")
	}
	return invalid("The following data type is not supported: %s (Data type names are all lowercase.)", *in.DataType)
}

// inherit fills in what a new version takes over from the one before.
func inherit(v, old *Version, in *api.PutParameterRequest) error {
	if v.Type == "" {
		v.Type = old.Type
	}
	if v.Type != old.Type {
		return &api.HierarchyTypeMismatchException{Message: "Parameter Store does not support changing a parameter type in a hierarchy. For example, you can't change a parameter from a String type to a SecureString type. You must create a new, unique parameter."}
	}
	if in.Description == nil {
		v.Description = old.Description
	}
	if in.AllowedPattern == nil {
		v.AllowedPattern = old.AllowedPattern
	}
	return nil
}

// complete decides the tier and checks the value against it and the pattern.
func complete(v *Version, in *api.PutParameterRequest, oldTier string) error {
	size := utf8.RuneCountInString(v.Value)
	standard, advanced := string(api.ParameterTierStandard), string(api.ParameterTierAdvanced)
	switch in.Tier {
	case api.ParameterTierAdvanced:
		v.Tier = advanced
	case api.ParameterTierIntelligent_Tiering:
		if v.Tier = standard; size > standardSize || oldTier == advanced {
			v.Tier = advanced
		}
	case api.ParameterTierStandard:
		if v.Tier = standard; oldTier == advanced {
			return invalid("This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced parameter and recreate it as a standard parameter. Be aware that if you do this, you will lose any parameter policies associated with the parameter, and the parameter value must be 4 KB or less.")
		}
	default:
		if v.Tier = oldTier; oldTier == "" {
			v.Tier = standard
		}
	}
	switch {
	case v.Tier == standard && size > standardSize:
		return invalid("Standard tier parameters support a maximum parameter value of %d characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html", standardSize)
	case size > advancedSize:
		return invalid("Advanced tier parameters support a maximum parameter value of %d characters.", advancedSize)
	case v.KeyID != "" && v.Type != string(api.ParameterTypeSecureString):
		return invalid("KeyId is only supported for parameters of type SecureString.")
	case v.AllowedPattern == "":
		return nil
	}
	re, err := regexp.Compile(v.AllowedPattern)
	if err != nil {
		return &api.InvalidAllowedPatternException{Message: "The request does not meet the regular expression requirement."}
	}
	if !re.MatchString(v.Value) {
		return &api.ParameterPatternMismatchException{Message: "Parameter value, cannot be validated against allowedPattern: " + v.AllowedPattern}
	}
	return nil
}

// forgetOldest keeps at most maxVersions versions.
func (s *Service) forgetOldest(tx *store.Tx, p *Parameter) error {
	if p.Number-p.Oldest < maxVersions {
		return nil
	}
	for _, n := range p.Labels {
		if n == p.Oldest {
			return &api.ParameterMaxVersionLimitExceeded{Message: fmt.Sprintf("You attempted to create a new version of %s by calling the PutParameter API with the overwrite flag. Version %d, the oldest version, can't be deleted because it has a label associated with it. Move the label to another version of the parameter, and try again.", p.Name, p.Oldest)}
		}
	}
	if err := s.versions.Delete(tx, p.Account, p.Region, p.Name, number(p.Oldest)); err != nil {
		return err
	}
	p.Oldest++
	return nil
}

// DeleteParameter deletes a parameter with all of its versions.
func (s *Service) DeleteParameter(ctx context.Context, in *api.DeleteParameterRequest) (*api.DeleteParameterResult, error) {
	r, err := s.parseReference(wire.CallFrom(ctx), in.Name)
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error { return s.drop(tx, wire.CallFrom(ctx).Region, r) })
	if err != nil {
		return nil, err
	}
	return &api.DeleteParameterResult{}, nil
}

// DeleteParameters deletes those that exist and lists the others as invalid.
func (s *Service) DeleteParameters(ctx context.Context, in *api.DeleteParametersRequest) (*api.DeleteParametersResult, error) {
	var out api.DeleteParametersResult
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		out = api.DeleteParametersResult{DeletedParameters: []string{}, InvalidParameters: []string{}}
		for _, name := range in.Names {
			r, err := s.parseReference(wire.CallFrom(ctx), name)
			if err != nil {
				return err
			}
			err = s.drop(tx, wire.CallFrom(ctx).Region, r)
			if missing(err) {
				out.InvalidParameters = append(out.InvalidParameters, name)
				continue
			}
			if err != nil {
				return err
			}
			out.DeletedParameters = append(out.DeletedParameters, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

func (s *Service) drop(tx *store.Tx, region string, r reference) error {
	p, err := s.whole(tx, region, r)
	if err != nil {
		return err
	}
	if err := s.parameters.Delete(tx, s.account, region, p.Name); err != nil {
		return err
	}
	_, err = s.versions.DeleteAll(tx, s.account, region, p.Name)
	return err
}

// tagMap turns a list of tags into a map; a key may come once.
func tagMap(list []api.Tag) (map[string]string, error) {
	tags := map[string]string{}
	for _, t := range list {
		if _, twice := tags[t.Key]; twice {
			return nil, invalid("Duplicate tag keys are not allowed: %s", t.Key)
		}
		tags[t.Key] = t.Value
	}
	return tags, limitTags(tags)
}

func limitTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return &api.TooManyTagsError{Message: fmt.Sprintf("A resource can have at most %d tags.", maxTags)}
	}
	for key := range maps.Keys(tags) {
		if len(key) >= 4 && (key[:4] == "aws:" || key[:4] == "AWS:") {
			return invalid("Tag keys can't start with aws: (%s).", key)
		}
	}
	return nil
}
