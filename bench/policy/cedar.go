package main

import (
	"strings"

	"github.com/cedar-policy/cedar-go"
)

// cedarIn says it as Cedar's own examples would: objects are in buckets.
func cedarIn(n int) (func(string) func() bool, error) {
	return cedarEngine(each(n, "\n", func(b string) string {
		return `@id("` + b + `") permit(principal, action == Action::"s3:GetObject", resource in Bucket::"` + b + `") when { principal.team == "red" };`
	}))
}

// cedarLike says it as IAM does: by a pattern on the object's name.
func cedarLike(n int) (func(string) func() bool, error) {
	return cedarEngine(each(n, "\n", func(b string) string {
		return `@id("` + b + `") permit(principal, action == Action::"s3:GetObject", resource) when { principal.team == "red" && resource.arn like "arn:aws:s3:::` + b + `/*" };`
	}))
}

func cedarEngine(text string) (func(string) func() bool, error) {
	policies, err := cedar.NewPolicySetFromBytes("bench.cedar", []byte(text))
	if err != nil {
		return nil, err
	}
	return func(bucket string) func() bool {
		arn := "arn:aws:s3:::" + bucket + "/reports/2026/q1.csv"
		user, object, parent := cedar.NewEntityUID("User", "alice"), cedar.NewEntityUID("Object", cedar.String(arn)), cedar.NewEntityUID("Bucket", cedar.String(strings.Clone(bucket)))
		entities := cedar.EntityMap{
			user:   {UID: user, Attributes: cedar.NewRecord(cedar.RecordMap{"team": cedar.String("red")})},
			object: {UID: object, Parents: cedar.NewEntityUIDSet(parent), Attributes: cedar.NewRecord(cedar.RecordMap{"arn": cedar.String(arn)})},
		}
		req := cedar.Request{Principal: user, Action: cedar.NewEntityUID("Action", "s3:GetObject"), Resource: object, Context: cedar.NewRecord(nil)}
		return func() bool {
			decision, _ := cedar.Authorize(policies, entities, req)
			return decision == cedar.Allow
		}
	}, nil
}
