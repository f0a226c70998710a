package main

import (
	"bytes"
	"strings"
	"testing"

	"moat/internal/server"
	"moat/internal/service/trail"
)

// What others wrote cannot steer the terminal of whoever reads it.
func TestPrintExplanation_controls(t *testing.T) {
	t.Parallel()
	const evil = "x\x1b[2K\r\u009b1A\u202ey"
	var out bytes.Buffer
	a := &app{stdout: &out, getenv: func(string) string { return "" }}
	a.printExplanation(server.Explanation{Events: []trail.Event{{
		RequestID: evil, ErrorCode: evil, ErrorMessage: evil, SourceIPAddress: evil, EventName: evil, Resources: []trail.Resource{{ARN: evil}},
		UserIdentity: trail.Identity{ARN: evil, AccessKeyID: evil},
		AdditionalEventData: trail.Additional{Kind: "api", Method: "GET", Path: evil, Route: evil, Step: evil, Grounds: evil, Decisions: []trail.Decision{{
			Action: evil, Resource: evil, Result: "implicitDeny", Kind: evil, Policy: evil, Statement: evil, Condition: evil, Missing: []string{evil},
			Considered: []trail.Considered{{Kind: evil, Policy: evil, Statement: evil, Effect: "Deny", Condition: evil}},
		}}},
	}}})
	if text := out.String(); strings.ContainsAny(text, "\x1b\r\u009b\u202e") || !strings.Contains(text, `x\x1b[2K\r\u009b1A\u202ey`) {
		t.Errorf("got %q", text)
	}
	if s := "Zürich\n\t日本"; visible(s) != s {
		t.Errorf("what can be seen was changed: %q", visible(s))
	}
}
