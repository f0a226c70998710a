package policy

import (
	"strings"
	"testing"
)

func TestParse_refuses(t *testing.T) {
	t.Parallel()
	const (
		syntax = "Syntax errors in policy."
		notOK  = "The policy is not in the valid JSON format."
		vendor = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
	)
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":{` + s + `}}` }
	for doc, want := range map[string]string{
		``:                        notOK,
		`[]`:                      notOK,
		`{} {}`:                   notOK,
		`{"Version":"2012-10-17"`: notOK,
		`{"Version":"2012-10-17","Version":"2008-10-17","Statement":[]}`: notOK,
		`{}`: syntax,
		`{"Version":"2012-10-17","Statement":[]}`:                                                                                            syntax,
		`{"Version":"2013-01-01","Statement":` + allowAll + `}`:                                                                              syntax,
		`{"version":"2012-10-17","Statement":` + allowAll + `}`:                                                                              syntax,
		statement(`"Action":"*","Resource":"*"`):                                                                                             syntax,
		statement(`"Effect":"allow","Action":"*","Resource":"*"`):                                                                            syntax,
		statement(`"Effect":"Allow","Resource":"*"`):                                                                                         "Policy statement must contain actions.",
		statement(`"Effect":"Allow","Action":[],"Resource":"*"`):                                                                             "Policy statement must contain actions.",
		statement(`"Effect":"Allow","Action":"*","Resource":[]`):                                                                             "Policy statement must contain resources.",
		statement(`"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"`):                                                            syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","NotResource":"*"`):                                                          syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Conditions":{}`):                                                            syntax,
		statement(`"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"`):                                                            notOK,
		statement(`"Effect":"Allow","Action":["s3:*",null],"Resource":"*"`):                                                                  syntax,
		statement(`"Effect":"Allow","Action":"GetObject","Resource":"*"`):                                                                    vendor,
		statement(`"Effect":"Allow","Action":"s3:","Resource":"*"`):                                                                          vendor,
		statement(`"Effect":"Allow","Action":"s*:Get","Resource":"*"`):                                                                       "Vendor s* is not valid",
		statement(`"Effect":"Allow","Action":"*","Resource":"bucket"`):                                                                       `Resource bucket must be in ARN format or "*".`,
		statement(`"Effect":"Allow","Action":"*","Resource":"arn:nope:s3:::b"`):                                                              `Partition "nope" is not valid for resource "arn:nope:s3:::b".`,
		statement(`"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:x"`):                                                         syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:x, y}"`):                                                     syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Principal":"me"`):                                                           syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Principal":{"AWS":"me"}`):                                                   `Invalid principal in policy: "AWS":"me"`,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Principal":{"AWS":"arn:aws:iam::123456789012:user/*"}`):                     `Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:user/*"`,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Principal":{"Service":"lambda"}`):                                           `Invalid principal in policy: "SERVICE":"lambda"`,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Principal":{"Nobody":"x"}`):                                                 `Invalid principal in policy: "NOBODY":"x"`,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Principal":{}`):                                                             syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEqual":{"aws:x":"1"}}`):                                  syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NullIfExists":{"aws:x":"true"}}`):                              syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NotBool":{"aws:x":"true"}}`):                                   syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":"x"}`):                                           syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:x":"maybe"}}`):                                     syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:x":"10.0.0.0/33"}}`):                          syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericEquals":{"aws:x":"NaN"}}`):                              syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateEquals":{"aws:x":"soon"}}`):                                syntax,
		statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40)): notOK,
	} {
		_, err := Parse("p", []byte(doc))
		if err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", doc, err, want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
