package server

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/wire"
)

// hollow fills a message with as little as a client can send: every member there, and
// nothing in it.
func hollow(v reflect.Value, depth int) {
	if depth > 4 || !v.CanSet() {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		hollow(v.Elem(), depth+1)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			hollow(v.Field(i), depth)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		hollow(v.Index(0), depth+1)
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		e := reflect.New(v.Type().Elem()).Elem()
		hollow(e, depth+1)
		m.SetMapIndex(reflect.Zero(v.Type().Key()), e)
		v.Set(m)
	}
}

// No operation panics on an input with nothing in it, nor on one whose members are all
// there and empty, nor on lists that hold null, whoever sends it: neither the service nor
// what names its resources.
func TestOperations_EmptyInputs(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	root, err := s.parts.iam.Credential(t.Context(), "test", "")
	if err != nil {
		t.Fatal(err)
	}
	session := policy.Principal{Kind: policy.PrincipalAssumedRole, ARN: "arn:aws:sts::000000000000:assumed-role/r/s", RoleARN: "arn:aws:iam::000000000000:role/r", Account: "000000000000", ID: "AROANOBODY:s"}
	user := policy.Principal{Kind: policy.PrincipalUser, ARN: "arn:aws:iam::000000000000:user/nobody", Account: "000000000000", ID: "AIDANOBODY"}
	for who, caller := range map[string]policy.Principal{"the root": root.Caller.Principal, "a session": session, "a user": user, "nobody": {}} {
		for _, api := range s.parts.apis() {
			for i := range api.Operations {
				op := &api.Operations[i]
				for _, form := range []string{"empty", "hollow"} {
					in := op.NewInput()
					if form == "hollow" {
						hollow(reflect.ValueOf(in).Elem(), 0)
					}
					call := &wire.Call{Account: "000000000000", Region: "us-east-1", Operation: op.Name, Service: api.Endpoint, Caller: wire.Caller{Principal: caller}, Time: s.cfg.Now()}
					func() {
						defer func() {
							if v := recover(); v != nil {
								t.Errorf("%s %s, %s, %s, the resources: %v", api.Endpoint, op.Name, form, who, v)
							}
						}()
						if api.Resources != nil && !op.Unsigned {
							api.Resources(call, op.Name, in)
						}
					}()
					// Past validation: a model's constraints are no protection that a service may count on
					// for members that its constraints leave out.
					err := s.parts.pipeline.Invoke(wire.WithCall(t.Context(), call), api.Endpoint, op.Name, in, reflect.New(op.Output).Interface())
					if err != nil && strings.Contains(err.Error(), "panic in") {
						text, _, _ := strings.Cut(err.Error(), "\ngoroutine")
						t.Errorf("%s %s, %s, %s: %.300s", api.Endpoint, op.Name, form, who, text)
					}
				}
			}
		}
	}
}
