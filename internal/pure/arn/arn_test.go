package arn

import "testing"

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]ARN{
		"arn:aws:iam::123456789012:role/path/name":                     {"aws", "iam", "", "123456789012", "role/path/name"},
		"arn:aws:lambda:us-east-1:123456789012:function:name:alias":    {"aws", "lambda", "us-east-1", "123456789012", "function:name:alias"},
		"arn:aws:s3:::bucket/key":                                      {"aws", "s3", "", "", "bucket/key"},
		"arn:aws:execute-api:eu-west-1:123456789012:api/stage/GET/a:b": {"aws", "execute-api", "eu-west-1", "123456789012", "api/stage/GET/a:b"},
	} {
		got, err := Parse(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "arn", "arn:aws:iam::123456789012", "ARN:aws:iam::1:x", "arn::iam::1:x", "arn:aws:::1:x", "arn:aws:iam::1:"} {
		if got, err := Parse(in); err == nil {
			t.Errorf("%q: accepted as %+v", in, got)
		}
	}
}

func TestTypeAndName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"arn:aws:iam::1:role/path/name":          {"role", "name"},
		"arn:aws:iam::1:root":                    {"", "root"},
		"arn:aws:lambda:r:1:function:name":       {"function", "function:name"},
		"arn:aws:sts::1:assumed-role/name/alice": {"assumed-role", "alice"},
	} {
		a, err := Parse(in)
		if err != nil || a.Type() != want[0] || a.Name() != want[1] {
			t.Errorf("%s: %q, %q, %v", in, a.Type(), a.Name(), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("arn:aws:iam::1:role/x")
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := Parse(s); err == nil && a.String() != s {
			t.Fatalf("%q became %q", s, a.String())
		}
	})
}
