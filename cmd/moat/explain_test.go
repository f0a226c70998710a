package main

import (
	"bytes"
	"strings"
	"testing"

	"moat/internal/server"
	"moat/internal/service/trail"
)

// A person sees who, what, and the statement that decided, without reading on.
func TestPrintExplanation(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{stdout: &out, getenv: func(string) string { return "" }}
	a.printExplanation(server.Explanation{Events: []trail.Event{
		{
			RequestID: "r-1", EventTime: "2026-11-20T12:00:00Z", AWSRegion: "us-east-1", EventSource: "iam.amazonaws.com", EventName: "DeleteUser", SourceIPAddress: "192.0.2.1",
			UserIdentity: trail.Identity{Type: "IAMUser", ARN: "arn:aws:iam::1:user/ada", AccessKeyID: "AKIA1"}, ErrorCode: "AccessDenied", ErrorMessage: "no",
			AdditionalEventData: trail.Additional{Kind: "aws", Status: 403, Step: "authorise", Decisions: []trail.Decision{{
				Action: "iam:DeleteUser", Resource: "arn:aws:iam::1:user/bob", Result: "explicitDeny", Kind: "identity-based policy", Policy: "p", Statement: "NotBob",
				Considered: []trail.Considered{
					{Kind: "identity-based policy", Policy: "p", Statement: "Read", Effect: "Allow", Failed: "action"},
					{Kind: "identity-based policy", Policy: "p", Statement: "Home", Effect: "Allow", Failed: "condition", Condition: "IpAddress aws:SourceIp"},
					{Kind: "identity-based policy", Policy: "p", Statement: "NotBob", Effect: "Deny", Matched: true},
				},
			}}},
		},
		{EventSource: "ssm.amazonaws.com", EventName: "GetParameter", AdditionalEventData: trail.Additional{Status: 200}},
	}})
	text := out.String()
	for _, want := range []string{
		"Request r-1", "2026-11-20 12:00:00 UTC, us-east-1", "arn:aws:iam::1:user/ada (access key AKIA1) from 192.0.2.1", "iam DeleteUser", "403 AccessDenied: no",
		"the step authorise", "refused by a Deny  (identity-based policy, policy p, statement NotBob)", "p / NotBob", "DENIES, and so decides",
		"does not match: condition IpAddress aws:SourceIp", "1 statement about other actions", "What services did for it", "ssm GetParameter",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing from\n%s", want, text)
		}
	}
	if strings.Index(text, "p / NotBob") > strings.Index(text, "p / Home") {
		t.Error("what decided does not come first")
	}
}
