package function

import (
	"context"
	"errors"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// Local is a function whose code is in a folder of this machine.
type Local struct {
	Name, Region     string
	Dir              string
	Runtime, Handler string
	Role             string
	Timeout, Memory  int32
	Environment      map[string]string
}

// PutLocal makes a function from a folder, or brings it up to date with it, for whoever
// develops there. Nothing changes if the folder and the settings have not.
func (s *Service) PutLocal(ctx context.Context, l Local) error {
	archive, err := pack(l.Dir)
	if err != nil {
		return err
	}
	call := *s.call(ctx)
	if l.Region != "" {
		call.Region = l.Region
	}
	ctx = wire.WithCall(ctx, &call)
	ref, err := s.parseName(&call, l.Name, nil)
	if err != nil {
		return err
	}
	var f Function
	err = s.db.View(ctx, func(tx *store.Tx) error {
		f, err = s.tables.functions.Get(tx, ref.account, ref.region, ref.name)
		return err
	})
	in := l.request(archive)
	if errors.Is(err, store.ErrNotFound) {
		_, err = s.CreateFunction(ctx, in)
		return err
	}
	if err != nil {
		return err
	}
	sum, err := s.code.put(archive)
	if err != nil {
		return err
	}
	if sum != f.Latest.CodeSHA256 {
		if _, err := s.UpdateFunctionCode(ctx, &lambdaapi.UpdateFunctionCodeRequest{FunctionName: l.Name, ZipFile: archive}); err != nil {
			return err
		}
	}
	same, err := s.sameSettings(&f.Latest, &l)
	if err != nil || same {
		return err
	}
	_, err = s.UpdateFunctionConfiguration(ctx, &lambdaapi.UpdateFunctionConfigurationRequest{
		FunctionName: l.Name, Runtime: in.Runtime, Handler: in.Handler, Role: &in.Role, Timeout: in.Timeout, MemorySize: in.MemorySize, Environment: in.Environment,
	})
	return err
}

func (l *Local) request(archive []byte) *lambdaapi.CreateFunctionRequest {
	in := &lambdaapi.CreateFunctionRequest{
		FunctionName: l.Name, Runtime: lambdaapi.Runtime(l.Runtime), Handler: &l.Handler, Role: l.Role,
		Code: &lambdaapi.FunctionCode{ZipFile: archive}, Environment: &lambdaapi.Environment{Variables: l.Environment},
	}
	if l.Timeout > 0 {
		in.Timeout = &l.Timeout
	}
	if l.Memory > 0 {
		in.MemorySize = &l.Memory
	}
	return in
}

func (s *Service) sameSettings(v *Version, l *Local) (bool, error) {
	env, err := s.environment(v)
	if err != nil || len(env) != len(l.Environment) {
		return false, err
	}
	for name, value := range l.Environment {
		if old, ok := env[name]; !ok || old != value {
			return false, nil
		}
	}
	return v.Runtime == l.Runtime && v.Handler == l.Handler && v.Role == l.Role &&
		(l.Timeout == 0 || v.Timeout == l.Timeout) && (l.Memory == 0 || v.Memory == l.Memory), nil
}
