package parameter_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/ssmapi"
)

func (x *scenario) byPath(req *api.GetParametersByPathRequest) ([]string, error) {
	x.t.Helper()
	names := []string{}
	for {
		out, err := x.s.GetParametersByPath(x.ctx, req)
		if err != nil {
			return names, err
		}
		for _, p := range out.Parameters {
			names = append(names, *p.Name)
		}
		if out.NextToken == nil {
			return names, nil
		}
		req.NextToken = out.NextToken
	}
}

func TestService_GetParametersByPath(t *testing.T) {
	t.Parallel()
	x := newScenario(t)
	for _, name := range []string{"flat", "/a", "/app/x", "/app/y", "/app/y/deep", "/app/z/deep/er", "/apple", "/app-x/no"} {
		x.put(name, "v")
	}
	x.put("/app/secret", "s", secure)
	for _, c := range []struct {
		path      string
		recursive bool
		want      []string
	}{
		{"/app", false, []string{"/app/secret", "/app/x", "/app/y"}},
		{"/app/", false, []string{"/app/secret", "/app/x", "/app/y"}},
		{"/app", true, []string{"/app/secret", "/app/x", "/app/y", "/app/y/deep", "/app/z/deep/er"}},
		{"/app/y", false, []string{"/app/y/deep"}},
		{"/", false, []string{"/a", "/apple", "flat"}},
		{"/none", true, []string{}},
	} {
		for _, size := range []int32{1, 2, 10} {
			got, err := x.byPath(&api.GetParametersByPathRequest{Path: c.path, Recursive: &c.recursive, MaxResults: &size})
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s %v by %d: got %v, %v, want %v", c.path, c.recursive, size, got, err, c.want)
			}
		}
	}
	for _, path := range []string{"app", "/aws/x", "/a b", "/a//b"} {
		_, err := x.byPath(&api.GetParametersByPathRequest{Path: path})
		refused(t, err, "ValidationException", "The parameter doesn't meet the parameter name requirements.")
	}
	got, err := x.byPath(&api.GetParametersByPathRequest{Path: "/app", ParameterFilters: []api.ParameterStringFilter{{Key: "Type", Values: []string{"SecureString"}}}})
	if err != nil || !reflect.DeepEqual(got, []string{"/app/secret"}) {
		t.Errorf("filter: got %v, %v", got, err)
	}
	_, err = x.byPath(&api.GetParametersByPathRequest{Path: "/app", ParameterFilters: []api.ParameterStringFilter{{Key: "Name", Values: []string{"x"}}}})
	refused(t, err, "InvalidFilterKey", "Valid filter keys include: [Type, KeyId, Label].")
}

// TestService_tokens attacks page tokens: altered, of another question, region or
// operation.
func TestService_tokens(t *testing.T) {
	t.Parallel()
	x := newScenario(t)
	for i := range 5 {
		x.put(fmt.Sprintf("/app/%d", i), "v")
		x.put(fmt.Sprintf("/other/%d", i), "v")
	}
	out, err := x.s.GetParametersByPath(x.ctx, &api.GetParametersByPathRequest{Path: "/app", MaxResults: wire.Int32(2)})
	if err != nil || out.NextToken == nil {
		t.Fatalf("got %+v, %v", out, err)
	}
	token := *out.NextToken
	if strings.Contains(token, "app") {
		t.Errorf("the token is readable: %s", token)
	}
	if _, err := x.s.GetParametersByPath(x.ctx, &api.GetParametersByPathRequest{Path: "/app", NextToken: &token}); err != nil {
		t.Errorf("the token itself: %v", err)
	}
	for name, bad := range map[string]string{"altered": token[:20] + flip(token[20]) + token[21:], "cut": token[:len(token)-2], "made up": "AAAA", "not base64": "!"} {
		_, err := x.s.GetParametersByPath(x.ctx, &api.GetParametersByPathRequest{Path: "/app", NextToken: &bad})
		t.Run(name, func(t *testing.T) { refused(t, err, "InvalidNextToken", "") })
	}
	_, err = x.s.GetParametersByPath(x.ctx, &api.GetParametersByPathRequest{Path: "/other", NextToken: &token})
	refused(t, err, "InvalidNextToken", "")
	_, err = x.s.GetParametersByPath(in("us-east-1"), &api.GetParametersByPathRequest{Path: "/app", NextToken: &token})
	refused(t, err, "InvalidNextToken", "")
	_, err = x.s.DescribeParameters(x.ctx, &api.DescribeParametersRequest{NextToken: &token})
	refused(t, err, "InvalidNextToken", "")
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestService_DescribeParameters(t *testing.T) {
	t.Parallel()
	x := newScenario(t)
	x.put("flat", "v")
	x.put("/app/x", "v", func(r *api.PutParameterRequest) {
		r.Overwrite, r.Tags, r.Tier = nil, []api.Tag{{Key: "env", Value: "prod"}}, api.ParameterTierAdvanced
	})
	x.put("/app/y/z", "v", func(r *api.PutParameterRequest) { r.Type = api.ParameterTypeStringList })
	x.put("/app/s", "v", secure)
	filter := func(key, option string, values ...string) []api.ParameterStringFilter {
		f := api.ParameterStringFilter{Key: key, Values: values}
		if option != "" {
			f.Option = &option
		}
		return []api.ParameterStringFilter{f}
	}
	for _, c := range []struct {
		filters []api.ParameterStringFilter
		want    []string
	}{
		{nil, []string{"/app/s", "/app/x", "/app/y/z", "flat"}},
		{filter("Name", "", "flat", "/app/x"), []string{"/app/x", "flat"}},
		{filter("Name", "BeginsWith", "/app"), []string{"/app/s", "/app/x", "/app/y/z"}},
		{filter("Name", "Contains", "y"), []string{"/app/y/z"}},
		{filter("Type", "", "StringList"), []string{"/app/y/z"}},
		{filter("Type", "BeginsWith", "String"), []string{"/app/x", "/app/y/z", "flat"}},
		{filter("Tier", "", "Advanced"), []string{"/app/x"}},
		{filter("KeyId", "", "alias/aws/ssm"), []string{"/app/s"}},
		{filter("Path", "", "/app"), []string{"/app/s", "/app/x"}},
		{filter("Path", "Recursive", "/app"), []string{"/app/s", "/app/x", "/app/y/z"}},
		{filter("tag:env", "", "prod"), []string{"/app/x"}},
		{filter("tag:env", "", "test"), []string{}},
		{filter("tag:env", ""), []string{"/app/x"}},
		{append(filter("Path", "", "/app"), filter("Type", "", "String")...), []string{"/app/x"}},
	} {
		names, req := []string{}, &api.DescribeParametersRequest{ParameterFilters: c.filters, MaxResults: wire.Int32(2)}
		for {
			out, err := x.s.DescribeParameters(x.ctx, req)
			if err != nil {
				t.Fatalf("%+v: %v", c.filters, err)
			}
			for _, p := range out.Parameters {
				names = append(names, *p.Name)
			}
			if req.NextToken = out.NextToken; out.NextToken == nil {
				break
			}
		}
		if !reflect.DeepEqual(names, c.want) {
			t.Errorf("%+v: got %v, want %v", c.filters, names, c.want)
		}
	}
	for _, c := range []struct {
		filters    []api.ParameterStringFilter
		code, part string
	}{
		{filter("Nme", "", "x"), "InvalidFilterKey", "The following filter key is not valid: Nme. Valid filter keys include: [Path, Name, Type, KeyId, Tier"},
		{filter("Name", "Like", "x"), "InvalidFilterOption", "The following filter option is not valid: Like. Valid options include: [Equals, BeginsWith, Contains]."},
		{filter("Name", ""), "InvalidFilterValue", "The following filter values are missing: null for filter key Name"},
		{append(filter("Name", "", "x"), filter("Name", "", "y")...), "InvalidFilterKey", "duplicated"},
		{filter("Path", "", "app"), "ValidationException", "parameter name requirements"},
	} {
		_, err := x.s.DescribeParameters(x.ctx, &api.DescribeParametersRequest{ParameterFilters: c.filters})
		refused(t, err, c.code, c.part)
	}
}

func TestService_Resources(t *testing.T) {
	t.Parallel()
	x := newScenario(t)
	x.put("/app/x", "v", func(r *api.PutParameterRequest) { r.Overwrite, r.Tags = nil, []api.Tag{{Key: "env", Value: "prod"}} })
	resources := x.s.APIs()[0].Resources
	prefix := "arn:aws:ssm:eu-west-1:111111111111:parameter/"
	for _, c := range []struct {
		in   any
		want []string
		key  string
		val  []string
	}{
		{&api.GetParameterRequest{Name: "/app/x:3"}, []string{prefix + "app/x"}, "aws:ResourceTag/env", []string{"prod"}},
		{&api.GetParameterRequest{Name: "flat"}, []string{prefix + "flat"}, "aws:ResourceTag/env", nil},
		{&api.GetParameterRequest{Name: prefix + "app/x"}, []string{prefix + "app/x"}, "ssm:resourceTag/env", []string{"prod"}},
		{&api.GetParameterRequest{Name: "arn:aws:ssm:eu-west-1:222222222222:parameter/x"}, []string{"arn:aws:ssm:eu-west-1:222222222222:parameter/x"}, "x", nil},
		{&api.GetParametersRequest{Names: []string{"/a", "b"}}, []string{prefix + "a", prefix + "b"}, "x", nil},
		{&api.GetParametersByPathRequest{Path: "/app/", Recursive: wire.Bool(true)}, []string{prefix + "app"}, "ssm:Recursive", []string{"true"}},
		{&api.PutParameterRequest{Name: "/new", Tags: []api.Tag{{Key: "k", Value: "v"}}}, []string{prefix + "new", "ssm:AddTagsToResource " + prefix + "new"}, "aws:RequestTag/k", []string{"v"}},
		{&api.GetParametersRequest{Names: []string{"/a", "/app/x"}}, []string{prefix + "a", prefix + "app/x"}, "aws:ResourceTag/env", []string{"prod"}},
		{&api.AddTagsToResourceRequest{ResourceId: "/app/x"}, []string{prefix + "app/x"}, "aws:ResourceTag/env", []string{"prod"}},
		{&api.DescribeParametersRequest{}, []string{"arn:aws:ssm:eu-west-1:111111111111:*"}, "x", nil},
	} {
		var arns []string
		needs := resources(&wire.Call{Region: "eu-west-1"}, "", c.in)
		for _, n := range needs {
			arns = append(arns, strings.TrimSpace(n.Action+" "+n.Resource))
		}
		if !reflect.DeepEqual(arns, c.want) || !reflect.DeepEqual(needs[len(needs)-1].Keys.Get(c.key), c.val) {
			t.Errorf("%+v: got %v, want %v, %v", c.in, needs, c.want, c.val)
		}
	}
}
