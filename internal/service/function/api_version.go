package function

import (
	"context"
	"errors"
	"strconv"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// PublishVersion freezes $LATEST under the next number; if nothing has changed since the
// last publication it gives that one.
func (s *Service) PublishVersion(ctx context.Context, in *lambdaapi.PublishVersionRequest) (*lambdaapi.FunctionConfiguration, error) {
	ref, err := s.parseName(s.call(ctx), in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	var answer Version
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		f, err := s.tables.functions.Get(tx, ref.account, ref.region, ref.name)
		if errors.Is(err, store.ErrNotFound) {
			return noFunction(ref.function())
		}
		if err != nil {
			return err
		}
		if in.RevisionId != nil && *in.RevisionId != f.Latest.RevisionID {
			return precondition("The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias API to retrieve the latest Resource")
		}
		if sum := wire.Value(in.CodeSha256); sum != "" && sum != f.Latest.CodeSHA256 {
			return invalid("CodeSHA256 (" + sum + ") is different from current CodeSHA256 in $LATEST (" + f.Latest.CodeSHA256 + "). Please try again with the CodeSHA256 in $LATEST.")
		}
		if answer, err = s.publish(tx, &f, in.Description); err != nil {
			return err
		}
		return s.tables.functions.Put(tx, f)
	})
	if err != nil {
		return nil, err
	}
	return s.configuration(ctx, &answer)
}

// publish makes the next version of a function, whose record the caller writes.
func (s *Service) publish(tx *store.Tx, f *Function, description *string) (Version, error) {
	if f.Published > 0 {
		last, err := s.tables.versions.Get(tx, f.Account, f.Region, f.Name, padded(strconv.Itoa(f.Published)))
		if err == nil && last.hashOf() == f.Latest.hashOf() {
			return last, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return Version{}, err
		}
	}
	f.Published++
	v := f.Latest
	v.Number = strconv.Itoa(f.Published)
	set(&v.Description, description)
	id, err := s.newID()
	if err != nil {
		return v, err
	}
	v.RevisionID, v.Stamp = id, id
	if err := s.tables.versions.Insert(tx, v); err != nil {
		return v, err
	}
	// Publishing gives $LATEST a new revision too, as on Lambda.
	f.Latest.RevisionID, err = s.newID()
	return v, err
}

// ListVersionsByFunction lists $LATEST and the published versions.
func (s *Service) ListVersionsByFunction(ctx context.Context, in *lambdaapi.ListVersionsByFunctionRequest) (*lambdaapi.ListVersionsByFunctionResponse, error) {
	ref, err := s.parseName(s.call(ctx), in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	out := &lambdaapi.ListVersionsByFunctionResponse{Versions: []lambdaapi.FunctionConfiguration{}}
	var list []Version
	limit := pageSize(in.MaxItems, 50)
	err = s.db.View(ctx, func(tx *store.Tx) error {
		list = nil
		f, err := s.tables.functions.Get(tx, ref.account, ref.region, ref.name)
		if errors.Is(err, store.ErrNotFound) {
			return noFunction(ref.function())
		}
		if err != nil {
			return err
		}
		if wire.Value(in.Marker) == "" {
			list = append(list, f.Latest)
		}
		published, err := s.tables.versions.List(tx, store.Query{
			Prefix: []string{ref.account, ref.region, ref.name}, After: after(in.Marker, ref.account, ref.region, ref.name), Limit: limit + 1,
		})
		list = append(list, published...)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(list) > limit {
		list = list[:limit]
		last := list[limit-1].Number
		if last == latest {
			last = "0"
		}
		out.NextMarker = wire.String(padded(last))
	}
	for i := range list {
		conf, err := s.listed(ctx, &list[i], true)
		if err != nil {
			return nil, err
		}
		out.Versions = append(out.Versions, *conf)
	}
	return out, nil
}
