package userpool

import (
	"reflect"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/wire"
)

// poolIDOfARN is the pool id in an ARN, "" when there is none.
func poolIDOfARN(arn string) string {
	_, resource, _ := strings.Cut(arn, ":userpool/")
	id, _, _ := strings.Cut(resource, "/")
	return id
}

// resources names what a call acts on: the pool that its input names. Calls that
// name none (CreateUserPool, ListUserPools, DescribeUserPoolDomain) act on "*".
func (s *Service) resources(c *wire.Call, _ string, in any) ([]string, policy.Context) {
	v := reflect.Indirect(reflect.ValueOf(in))
	if v.Kind() != reflect.Struct {
		return []string{"*"}, nil
	}
	if f := v.FieldByName("ResourceArn"); f.IsValid() && f.Kind() == reflect.String {
		return []string{f.String()}, nil
	}
	f := v.FieldByName("UserPoolId")
	if f.IsValid() && f.Kind() == reflect.Pointer && !f.IsNil() {
		f = f.Elem()
	}
	if !f.IsValid() || f.Kind() != reflect.String || f.String() == "" {
		return []string{"*"}, nil
	}
	id := f.String()
	return []string{"arn:aws:cognito-idp:" + regionOf(id) + ":" + s.account + ":userpool/" + id}, nil
}
