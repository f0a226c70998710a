package main

import "moat/internal/pure/policy"

func moat(n int) (func(string) func() bool, error) {
	doc, err := policy.Parse("bench", []byte(`{"Version":"2012-10-17","Statement":[`+each(n, ",", func(b string) string {
		return `{"Sid":"` + b + `","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + b + `/*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}`
	})+`]}`))
	if err != nil {
		return nil, err
	}
	policies := &policy.Policies{Identity: []*policy.Document{doc}}
	return func(bucket string) func() bool {
		req := &policy.Request{Principal: policy.Principal{Kind: policy.PrincipalUser, ARN: "arn:aws:iam::123456789012:user/alice", Account: "123456789012", ID: "AIDAALICEALICEALICE1",
			Context: policy.Context{"aws:principaltag/team": {"red"}}}, Action: "s3:GetObject", Resource: "arn:aws:s3:::" + bucket + "/reports/2026/q1.csv"}
		return func() bool { return policy.Evaluate(req, policies).Allowed }
	}, nil
}
