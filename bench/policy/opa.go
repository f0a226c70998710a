package main

import (
	"context"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// opa has one rule for each statement, with equalities only: OPA's index finds
// the rule by them. The bucket is given apart from the object's name, and the
// input is parsed beforehand; both are in OPA's favour.
func opa(n int) (func(string) func() bool, error) {
	module := "package bench\n\ndefault allow := false\n\n" + each(n, "\n", func(b string) string {
		return `allow if { input.action == "s3:GetObject"; input.bucket == "` + b + `"; input.team == "red" }`
	})
	ctx := context.Background()
	query, err := rego.New(rego.Query("data.bench.allow"), rego.Module("bench.rego", module)).PrepareForEval(ctx)
	if err != nil {
		return nil, err
	}
	return func(bucket string) func() bool {
		input, err := ast.InterfaceToValue(map[string]any{"action": "s3:GetObject", "bucket": bucket, "key": "reports/2026/q1.csv", "team": "red"})
		if err != nil {
			return func() bool { panic(err) }
		}
		return func() bool {
			results, err := query.Eval(ctx, rego.EvalParsedInput(input))
			if err != nil {
				panic(err)
			}
			return results.Allowed()
		}
	}, nil
}
