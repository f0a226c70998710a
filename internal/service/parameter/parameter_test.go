package parameter_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/service/parameter"
	"moat/internal/store"
	"moat/internal/store/storetest"
	"moat/internal/wire"
	api "moat/internal/wire/ssmapi"
)

const account = "111111111111"

type scenario struct {
	t   *testing.T
	ctx context.Context
	s   *parameter.Service
	db  *store.DB
	now time.Time
}

func newScenario(t *testing.T) *scenario {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Path: ":memory:"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	x := &scenario{t: t, db: db, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	x.s, err = parameter.New(parameter.Config{DB: db, Account: account, Now: func() time.Time { return x.now }})
	if err != nil {
		t.Fatal(err)
	}
	x.ctx = in("eu-west-1")
	return x
}

func in(region string) context.Context {
	return wire.WithCall(context.Background(), &wire.Call{Account: account, Region: region,
		Caller: wire.Caller{Principal: policy.Principal{ARN: "arn:aws:iam::" + account + ":user/ann"}}})
}

func (x *scenario) put(name, value string, change ...func(*api.PutParameterRequest)) int64 {
	x.t.Helper()
	req := &api.PutParameterRequest{Name: name, Value: value, Type: api.ParameterTypeString, Overwrite: wire.Bool(true)}
	for _, c := range change {
		c(req)
	}
	out, err := x.s.PutParameter(x.ctx, req)
	if err != nil {
		x.t.Fatalf("put %s: %v", name, err)
	}
	return *out.Version
}

func (x *scenario) get(name string) (string, error) {
	x.t.Helper()
	out, err := x.s.GetParameter(x.ctx, &api.GetParameterRequest{Name: name, WithDecryption: wire.Bool(true)})
	if err != nil {
		return "", err
	}
	return *out.Parameter.Value, nil
}

func (x *scenario) want(name, value string) {
	x.t.Helper()
	if got, err := x.get(name); err != nil || got != value {
		x.t.Errorf("%s: got %q, %v, want %q", name, got, err, value)
	}
}

// refused wants an exception with a code whose message has a part.
func refused(t *testing.T, err error, code, part string) {
	t.Helper()
	var e wire.Exception
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), part) {
		t.Errorf("got error %v, want %s with %q", err, code, part)
	}
}

func secure(r *api.PutParameterRequest) { r.Type = api.ParameterTypeSecureString }

func TestService_PutParameter(t *testing.T) {
	t.Parallel()
	x := newScenario(t)
	out, err := x.s.PutParameter(x.ctx, &api.PutParameterRequest{Name: "/app/db", Value: "one", Type: api.ParameterTypeString, Description: wire.String("d")})
	if err != nil || *out.Version != 1 || out.Tier != api.ParameterTierStandard {
		t.Fatalf("got %+v, %v", out, err)
	}
	got, err := x.s.GetParameter(x.ctx, &api.GetParameterRequest{Name: "/app/db"})
	want := &api.Parameter{ARN: wire.String("arn:aws:ssm:eu-west-1:111111111111:parameter/app/db"), DataType: wire.String("text"), LastModifiedDate: &x.now,
		Name: wire.String("/app/db"), Type: api.ParameterTypeString, Value: wire.String("one"), Version: wire.Int64(1)}
	if err != nil || !reflect.DeepEqual(got.Parameter, want) {
		t.Errorf("got %+v, %v, want %+v", got.Parameter, err, want)
	}
	_, err = x.s.PutParameter(x.ctx, &api.PutParameterRequest{Name: "/app/db", Value: "two", Type: api.ParameterTypeString})
	refused(t, err, "ParameterAlreadyExists", "To overwrite this value, set the overwrite option in the request to true.")
	x.want("/app/db", "one")
	if n := x.put("/app/db", "two", func(r *api.PutParameterRequest) { r.Type = "" }); n != 2 {
		t.Errorf("got version %d, want 2", n)
	}
	x.want("/app/db", "two")
	x.want("/app/db:1", "one")
	if _, err := x.s.GetParameter(in("us-east-1"), &api.GetParameterRequest{Name: "/app/db"}); err == nil {
		t.Error("the parameter is in another region too")
	}
}

func TestService_PutParameter_rules(t *testing.T) {
	t.Parallel()
	x := newScenario(t)
	x.put("/is/advanced", "v", func(r *api.PutParameterRequest) { r.Tier = api.ParameterTierAdvanced })
	x.put("single", "v")
	long := strings.Repeat("x", 4097)
	cases := []struct {
		name   string
		change func(*api.PutParameterRequest)
		code   string // "" for accepted
		part   string
	}{
		{"plain", func(*api.PutParameterRequest) {}, "", ""},
		{"no type", func(r *api.PutParameterRequest) { r.Type = "" }, "ValidationException", "A parameter type is required"},
		{"empty value", func(r *api.PutParameterRequest) { r.Value = "" }, "ValidationException", "length greater than or equal to 1"},
		{"4096 characters", func(r *api.PutParameterRequest) { r.Value = long[:4096] }, "", ""},
		{"4097 characters", func(r *api.PutParameterRequest) { r.Value = long }, "ValidationException", "maximum parameter value of 4096 characters"},
		{"advanced", func(r *api.PutParameterRequest) { r.Value, r.Tier = long, api.ParameterTierAdvanced }, "", ""},
		{"intelligent", func(r *api.PutParameterRequest) { r.Value, r.Tier = long, api.ParameterTierIntelligent_Tiering }, "", ""},
		{"8193 characters", func(r *api.PutParameterRequest) { r.Value, r.Tier = long+long[1:]+"x", api.ParameterTierAdvanced }, "ValidationException", "8192"},
		{"downgrade", func(r *api.PutParameterRequest) {
			r.Name, r.Tier, r.Overwrite = "/is/advanced", api.ParameterTierStandard, wire.Bool(true)
		}, "ValidationException", "You can't downgrade"},
		{"stays advanced", func(r *api.PutParameterRequest) { r.Name, r.Overwrite = "/is/advanced", wire.Bool(true) }, "", ""},
		{"type change", func(r *api.PutParameterRequest) {
			r.Name, r.Overwrite, r.Type = "single", wire.Bool(true), api.ParameterTypeSecureString
		}, "HierarchyTypeMismatchException", "does not support changing a parameter type"},
		{"twin", func(r *api.PutParameterRequest) { r.Name = "/single" }, "ParameterAlreadyExists", ""},
		{"pattern fits", func(r *api.PutParameterRequest) { r.Value, r.AllowedPattern = "12", wire.String(`^\d+$`) }, "", ""},
		{"pattern refuses", func(r *api.PutParameterRequest) { r.Value, r.AllowedPattern = "1a", wire.String(`^\d+$`) }, "ParameterPatternMismatchException", `cannot be validated against allowedPattern: ^\d+$`},
		{"pattern broken", func(r *api.PutParameterRequest) { r.AllowedPattern = wire.String(`(`) }, "InvalidAllowedPatternException", ""},
		{"default key", func(r *api.PutParameterRequest) {
			r.Type, r.KeyId = api.ParameterTypeSecureString, wire.String("alias/aws/ssm")
		}, "", ""},
		{"other key", func(r *api.PutParameterRequest) {
			r.Type, r.KeyId = api.ParameterTypeSecureString, wire.String("alias/mine")
		}, "InvalidKeyId", "alias/mine"},
		{"key of a string", func(r *api.PutParameterRequest) { r.KeyId = wire.String("alias/aws/ssm") }, "ValidationException", "SecureString"},
		{"policies", func(r *api.PutParameterRequest) { r.Policies = wire.String(`[{"Type":"Expiration"}]`) }, "NotImplemented", "policies"},
		{"image", func(r *api.PutParameterRequest) { r.DataType = wire.String("aws:ec2:image") }, "NotImplemented", "aws:ec2:image"},
		{"other data type", func(r *api.PutParameterRequest) { r.DataType = wire.String("Text") }, "ValidationException", "Text"},
		{"text", func(r *api.PutParameterRequest) { r.DataType = wire.String("text") }, "", ""},
		{"tags", func(r *api.PutParameterRequest) { r.Tags = []api.Tag{{Key: "a", Value: "b"}} }, "", ""},
		{"tags and overwrite", func(r *api.PutParameterRequest) { r.Tags, r.Overwrite = []api.Tag{{Key: "a"}}, wire.Bool(true) }, "ValidationException", "tags and overwrite can't be used together"},
		{"tag twice", func(r *api.PutParameterRequest) { r.Tags = []api.Tag{{Key: "a"}, {Key: "a"}} }, "ValidationException", "Duplicate"},
	}
	for i, c := range cases {
		req := &api.PutParameterRequest{Name: fmt.Sprintf("/rules/%d", i), Value: "v", Type: api.ParameterTypeString}
		c.change(req)
		_, err := x.s.PutParameter(x.ctx, req)
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		t.Run(c.name, func(t *testing.T) { refused(t, err, c.code, c.part) })
	}
}

func TestService_PutParameter_names(t *testing.T) {
	t.Parallel()
	x := newScenario(t)
	for name, code := range map[string]string{
		"a": "", "/b": "", "/a/b/c": "", "A.b-c_9": "", "/x" + strings.Repeat("/l", 14): "",
		"aws-x": "ValidationException", "SSMx": "ValidationException", "/ssm/x": "ValidationException", "/awsx": "ValidationException",
		"/aws/x": "AccessDeniedException", "/awssec/x": "AccessDeniedException",
		"a b": "ValidationException", "a/b": "ValidationException", "/a/": "ValidationException", "/a//b": "ValidationException",
		"a:b": "ValidationException", "é": "ValidationException", "arn:aws:ssm:eu-west-1:111111111111:parameter/z": "ValidationException",
		"/x" + strings.Repeat("/l", 15): "HierarchyLevelLimitExceededException",
	} {
		_, err := x.s.PutParameter(x.ctx, &api.PutParameterRequest{Name: name, Value: "v", Type: api.ParameterTypeString})
		if code == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		refused(t, err, code, "")
	}
	_, err := x.s.PutParameter(x.ctx, &api.PutParameterRequest{Name: "/awssec/lab01/vpc_id", Value: "v", Type: api.ParameterTypeString})
	refused(t, err, "AccessDeniedException", "No access to reserved parameter name: awssec/lab01/vpc_id.")
}

func TestService_SecureString(t *testing.T) {
	t.Parallel()
	x := newScenario(t)
	x.put("/app/secret", "hunter2", secure)
	x.want("/app/secret", "hunter2")
	out, err := x.s.GetParameter(x.ctx, &api.GetParameterRequest{Name: "/app/secret"})
	if err != nil || *out.Parameter.Value == "hunter2" || *out.Parameter.Value == "" {
		t.Errorf("without decryption: got %+v, %v", out, err)
	}
	d, err := x.s.DescribeParameters(x.ctx, &api.DescribeParametersRequest{})
	if err != nil || wire.Value(d.Parameters[0].KeyId) != "alias/aws/ssm" || wire.Value(d.Parameters[0].LastModifiedUser) != "arn:aws:iam::111111111111:user/ann" {
		t.Errorf("got %+v, %v", d, err)
	}
	h, err := x.s.GetParameterHistory(x.ctx, &api.GetParameterHistoryRequest{Name: "/app/secret"})
	if err != nil || *h.Parameters[0].Value == "hunter2" {
		t.Errorf("history without decryption: got %+v, %v", h, err)
	}
}

// TestService_SecureString_atRest reads the database file behind the service.
func TestService_SecureString_atRest(t *testing.T) {
	t.Parallel()
	cfg := store.Config{Path: filepath.Join(t.TempDir(), "moat.db"), MasterKey: make([]byte, 32)}
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parameter.New(parameter.Config{DB: db, Account: account})
	if err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]api.ParameterType{"/open": api.ParameterTypeString, "/secret": api.ParameterTypeSecureString} {
		if _, err := s.PutParameter(in("eu-west-1"), &api.PutParameterRequest{Name: name, Value: "hunter2", Type: kind}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"parameters", "parameter_versions"} {
		for name, plain := range map[string]bool{"/open": true, "/secret": false} {
			doc := storetest.SQL(t, cfg, "SELECT doc FROM "+table+" WHERE name = '"+name+"'")
			if len(doc) != 1 || strings.Contains(doc[0], "hunter2") != plain {
				t.Errorf("%s in %s: %s", name, table, doc)
			}
		}
	}
}

func TestService_GetParameter_selectors(t *testing.T) {
	t.Parallel()
	x := newScenario(t)
	x.put("/p", "one")
	x.put("/p", "two")
	x.put("flat", "f")
	if _, err := x.s.LabelParameterVersion(x.ctx, &api.LabelParameterVersionRequest{Name: "/p", Labels: []string{"prod"}, ParameterVersion: wire.Int64(1)}); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"/p": "two", "/p:1": "one", "/p:2": "two", "/p:prod": "one", "flat": "f",
		"arn:aws:ssm:eu-west-1:111111111111:parameter/p": "two", "arn:aws:ssm:eu-west-1:111111111111:parameter/p:1": "one",
		"arn:aws:ssm:eu-west-1:111111111111:parameter/flat": "f",
	} {
		x.want(name, value)
	}
	for name, code := range map[string]string{
		"/q": "ParameterNotFound", "/p:3": "ParameterVersionNotFound", "/p:test": "ParameterVersionNotFound", "/p:0": "ParameterVersionNotFound",
		"/q:1": "ParameterNotFound", "p": "ParameterNotFound", "a/b": "ValidationException",
		"arn:aws:ssm:us-east-1:111111111111:parameter/p": "ParameterNotFound", "arn:aws:ssm:eu-west-1:222222222222:parameter/p": "ParameterNotFound",
	} {
		_, err := x.get(name)
		refused(t, err, code, "")
	}
	_, err := x.get("/p:3")
	refused(t, err, "ParameterVersionNotFound", "Systems Manager could not find version 3 of /p. Verify the version and try again.")
	out, err := x.s.GetParameter(x.ctx, &api.GetParameterRequest{Name: "/p:prod"})
	if err != nil || wire.Value(out.Parameter.Selector) != ":prod" || *out.Parameter.Name != "/p" {
		t.Errorf("got %+v, %v", out, err)
	}
	many, err := x.s.GetParameters(x.ctx, &api.GetParametersRequest{Names: []string{"/p:1", "/none", "/p:9", "flat"}})
	if err != nil || len(many.Parameters) != 2 || !reflect.DeepEqual(many.InvalidParameters, []string{"/none", "/p:9"}) {
		t.Errorf("got %+v, %v", many, err)
	}
}

func TestService_versions_limit(t *testing.T) {
	t.Parallel()
	x := newScenario(t)
	for i := range 101 {
		x.put("/p", fmt.Sprint(i+1))
	}
	_, err := x.get("/p:1")
	refused(t, err, "ParameterVersionNotFound", "")
	x.want("/p:2", "2")
	if _, err := x.s.LabelParameterVersion(x.ctx, &api.LabelParameterVersionRequest{Name: "/p", Labels: []string{"old"}, ParameterVersion: wire.Int64(2)}); err != nil {
		t.Fatal(err)
	}
	_, err = x.s.PutParameter(x.ctx, &api.PutParameterRequest{Name: "/p", Value: "x", Overwrite: wire.Bool(true)})
	refused(t, err, "ParameterMaxVersionLimitExceeded", "Version 2, the oldest version, can't be deleted because it has a label")
	x.want("/p", "101")
	if _, err := x.s.UnlabelParameterVersion(x.ctx, &api.UnlabelParameterVersionRequest{Name: "/p", Labels: []string{"old"}, ParameterVersion: 2}); err != nil {
		t.Fatal(err)
	}
	x.put("/p", "x")

	var seen []string
	var token *string
	for {
		out, err := x.s.GetParameterHistory(x.ctx, &api.GetParameterHistoryRequest{Name: "/p", MaxResults: wire.Int32(40), NextToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range out.Parameters {
			seen = append(seen, *v.Value)
		}
		if token = out.NextToken; token == nil {
			break
		}
	}
	if len(seen) != 100 || seen[0] != "3" || seen[99] != "x" {
		t.Errorf("history: got %d versions, %v", len(seen), seen)
	}
}

func TestService_Delete(t *testing.T) {
	t.Parallel()
	x := newScenario(t)
	x.put("/a", "1")
	x.put("/b", "1")
	x.put("/c", "1")
	if _, err := x.s.DeleteParameter(x.ctx, &api.DeleteParameterRequest{Name: "/a"}); err != nil {
		t.Fatal(err)
	}
	_, err := x.s.DeleteParameter(x.ctx, &api.DeleteParameterRequest{Name: "/a"})
	refused(t, err, "ParameterNotFound", "")
	out, err := x.s.DeleteParameters(x.ctx, &api.DeleteParametersRequest{Names: []string{"/a", "/b"}})
	if err != nil || !reflect.DeepEqual(out.DeletedParameters, []string{"/b"}) || !reflect.DeepEqual(out.InvalidParameters, []string{"/a"}) {
		t.Errorf("got %+v, %v", out, err)
	}
	x.want("/c", "1")
	if n := x.put("/a", "again"); n != 1 {
		t.Errorf("a new parameter has version %d, want 1", n)
	}
	_, err = x.get("/a:2")
	refused(t, err, "ParameterVersionNotFound", "")
}

func TestService_labels(t *testing.T) {
	t.Parallel()
	x := newScenario(t)
	x.put("/p", "one")
	x.put("/p", "two")
	label := func(n int64, labels ...string) (*api.LabelParameterVersionResult, error) {
		return x.s.LabelParameterVersion(x.ctx, &api.LabelParameterVersionRequest{Name: "/p", Labels: labels, ParameterVersion: wire.Int64(n)})
	}
	out, err := label(1, "prod", "1st", "aws-x", "a b", strings.Repeat("x", 101))
	if err != nil || len(out.InvalidLabels) != 4 || *out.ParameterVersion != 1 {
		t.Errorf("got %+v, %v", out, err)
	}
	x.want("/p:prod", "one")
	if _, err := label(2, "prod"); err != nil {
		t.Fatal(err)
	}
	x.want("/p:prod", "two")
	_, err = label(3, "prod")
	refused(t, err, "ParameterVersionNotFound", "could not find version 3 of /p")
	_, err = label(2, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
	refused(t, err, "ParameterVersionLabelLimitExceeded", "A parameter version can have maximum 10 labels.")
	un, err := x.s.UnlabelParameterVersion(x.ctx, &api.UnlabelParameterVersionRequest{Name: "/p", Labels: []string{"prod", "none"}, ParameterVersion: 2})
	if err != nil || !reflect.DeepEqual(un.RemovedLabels, []string{"prod"}) || !reflect.DeepEqual(un.InvalidLabels, []string{"none"}) {
		t.Errorf("got %+v, %v", un, err)
	}
	_, err = x.get("/p:prod")
	refused(t, err, "ParameterVersionNotFound", "")
	_, err = x.s.LabelParameterVersion(x.ctx, &api.LabelParameterVersionRequest{Name: "/none", Labels: []string{"a"}})
	refused(t, err, "ParameterNotFound", "")
}

func TestService_tags(t *testing.T) {
	t.Parallel()
	x := newScenario(t)
	x.put("/p", "v")
	add := func(id string, tags ...api.Tag) error {
		_, err := x.s.AddTagsToResource(x.ctx, &api.AddTagsToResourceRequest{ResourceType: api.ResourceTypeForTaggingParameter, ResourceId: id, Tags: tags})
		return err
	}
	if err := add("/p", api.Tag{Key: "env", Value: "prod"}, api.Tag{Key: "team", Value: "a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.s.RemoveTagsFromResource(x.ctx, &api.RemoveTagsFromResourceRequest{ResourceType: api.ResourceTypeForTaggingParameter, ResourceId: "/p", TagKeys: []string{"team", "none"}}); err != nil {
		t.Fatal(err)
	}
	list := func(kind api.ResourceTypeForTagging, id string) (*api.ListTagsForResourceResult, error) {
		return x.s.ListTagsForResource(x.ctx, &api.ListTagsForResourceRequest{ResourceType: kind, ResourceId: id})
	}
	out, err := list(api.ResourceTypeForTaggingParameter, "/p")
	if err != nil || !reflect.DeepEqual(out.TagList, []api.Tag{{Key: "env", Value: "prod"}}) {
		t.Errorf("got %+v, %v", out, err)
	}
	_, err = list(api.ResourceTypeForTaggingParameter, "/none")
	refused(t, err, "InvalidResourceId", "")
	_, err = list(api.ResourceTypeForTaggingDocument, "/p")
	refused(t, err, "InvalidResourceType", "")
	refused(t, add("/none", api.Tag{Key: "a"}), "InvalidResourceId", "")
	refused(t, add("/p", api.Tag{Key: "aws:x"}), "ValidationException", "aws:")
	var many []api.Tag
	for i := range 50 {
		many = append(many, api.Tag{Key: fmt.Sprint(i)})
	}
	refused(t, add("/p", many...), "TooManyTagsError", "")
	if err := add("/p", many[1:]...); err != nil {
		t.Errorf("50 tags: %v", err)
	}
}
