package wire

import (
	"regexp"
	"testing"
)

func FuzzRegion(f *testing.F) {
	for _, s := range []string{"", "-", "us-east-1", "us-gov-west-1", "us-1", "u-east-1", "us-east-", "us-east-123", "us--1", "us-e-12", "us-east-1-", "US-east-1", "us-e4st-1", "us-east-1\n", "aa-b-c-d-00", "1-1-1"} {
		f.Add(s)
	}
	form := regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}$`)
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := isRegion(s), form.MatchString(s); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	})
}

func TestParseHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]hostName{
		"":                                 {},
		"localhost":                        {},
		"localhost:4566":                   {},
		"127.0.0.1:4566":                   {},
		"iam.localhost:4566":               {service: "iam"},
		"IAM.LocalHost.":                   {service: "iam"},
		"iam.amazonaws.com":                {service: "iam", aws: true},
		"sts-fips.amazonaws.com":           {service: "sts", aws: true},
		"a.b.amazonaws.com":                {aws: true},
		"amazonaws.com":                    {},
		"lambda.eu-west-1.amazonaws.com":   {service: "lambda", region: "eu-west-1", aws: true},
		"cognito-idp.eu-west-1.localhost":  {service: "cognito-idp", region: "eu-west-1"},
		"cognito-idp.eu-west-1":            {},
		"cognito-idp.eu-west-1.":           {},
		"cognito-idp.nowhere.localhost:1":  {},
		"ssm.eu-west-1.moat.example.com:1": {service: "ssm", region: "eu-west-1"},
	} {
		if got := parseHost(host); got != want {
			t.Errorf("%q: got %+v, want %+v", host, got, want)
		}
	}
}
