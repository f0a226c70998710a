package policy

import (
	"strconv"
	"strings"
	"testing"
)

func TestEvaluate_allocations(t *testing.T) { // not parallel: it counts allocations
	d := parse(t, "p", denyGet+`,{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"arn:aws:execute-api:*:123456789012:${aws:PrincipalTag/team}/*/GET/*",
		"Condition":{"StringEquals":{"aws:PrincipalAccount":"123456789012"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`)
	req := &Request{Principal: alice, Action: "execute-api:Invoke", Resource: "arn:aws:execute-api:us-east-1:123456789012:red/dev/GET/a", Context: Context{"aws:sourceip": {"10.1.1.1"}}}
	p := &Policies{Identity: list(d)}
	if n := testing.AllocsPerRun(100, func() {
		if !Evaluate(req, p).Allowed {
			t.Fatal("refused")
		}
	}); n > 0 {
		t.Errorf("%v allocations per decision", n)
	}
}

func TestEvaluate_allocationsAmongMany(t *testing.T) { // not parallel: it counts allocations
	for _, n := range []int{10, 1000} {
		p := &Policies{Identity: list(parse(t, "p", strings.Join(grants(n), ","))), Boundary: parse(t, "b", allowAll), Session: list(parse(t, "s", allowGet+","+allowAll)), Guardrails: list(parse(t, "g", allowAll))}
		req := grantRequest(n)
		if got := testing.AllocsPerRun(100, func() {
			if !Evaluate(req, p).Allowed {
				t.Fatal("refused")
			}
		}); got > 0 {
			t.Errorf("%v allocations among %d", got, n)
		}
	}
}

// A decision looks at the statements near it, however many others there are.
func TestIndex_leavesOut(t *testing.T) {
	t.Parallel()
	look := func(d *Document, req *Request) int {
		var room scratch
		e := newEvaluation(req, &room)
		return len(d.candidates(&e))
	}
	for _, n := range []int{10, 1000, 10_000} {
		var apart []*Document
		for i, s := range grants(n) {
			apart = append(apart, parse(t, "p"+strconv.Itoa(i), s))
		}
		joined := Join(apart...)
		for name, d := range map[string]*Document{"one": parse(t, "p", strings.Join(grants(n), ",")), "joined": joined} {
			if got := look(d, grantRequest(n)); got != 1 {
				t.Errorf("%s: %d looked at among %d", name, got, n)
			}
			if got := look(d, &Request{Principal: alice, Action: "ec2:RunInstances", Resource: "*"}); got != 0 {
				t.Errorf("%s: %d looked at among %d for another service", name, got, n)
			}
		}
	}
	// By action alone, by account alone, by what stands before a wildcard.
	for _, tt := range []struct {
		each             func(i string) string
		action, resource string
	}{
		{func(i string) string { return `"Action":"svc:Do` + i + `x","Resource":"*"` }, "svc:Do500x", "*"},
		{func(i string) string { return `"Action":"svc` + i + `:*","Resource":"*"` }, "svc500:Do", "arn:aws:s3:::b"},
		{func(i string) string {
			return `"Action":"sts:AssumeRole","Resource":"arn:aws:iam::100000000` + i + `:role/deploy"`
		}, "sts:AssumeRole", "arn:aws:iam::100000000500:role/deploy"},
		{func(i string) string {
			return `"Action":"lambda:*","Resource":"arn:aws:lambda:*:*:function:f` + i + `-*"`
		}, "lambda:Get", "arn:aws:lambda:eu-west-1:123456789012:function:f500-x"},
	} {
		var statements []string
		for i := 100; i < 1000; i++ {
			statements = append(statements, `{"Effect":"Allow",`+tt.each(strconv.Itoa(i))+`}`)
		}
		d := parse(t, "p", strings.Join(statements, ","))
		req := &Request{Principal: alice, Action: tt.action, Resource: tt.resource}
		if got := look(d, req); got != 1 {
			t.Errorf("%s: %d looked at", statements[0], got)
		}
		if got := Evaluate(req, &Policies{Identity: list(d)}); got.Statement != "statement 401" {
			t.Errorf("%s: %+v", statements[0], got)
		}
	}
}

// A statement with many actions and many resources stands at what its resources
// have in common, and is found there.
func TestIndex_manyTimesMany(t *testing.T) {
	t.Parallel()
	var actions, resources []string
	for i := range 60 {
		actions = append(actions, `"svc:Do`+strconv.Itoa(i)+`"`)
		resources = append(resources, `"arn:aws:svc:::thing/`+strconv.Itoa(i)+`"`)
	}
	big := `{"Effect":"Allow","Action":[` + strings.Join(actions, ",") + `],"Resource":[` + strings.Join(resources, ",") + `]}`
	d := parse(t, "p", strings.Join([]string{denyGet, allowGet, allowIAM, denyGet, big}, ","))
	if n := len(d.index.entries); n > 200 {
		t.Errorf("%d entries", n)
	}
	for resource, want := range map[string]bool{"arn:aws:svc:::thing/59": true, "arn:aws:svc:::thing/60": false, "arn:aws:svc:::other": false, "*": false} {
		if got := Evaluate(&Request{Principal: alice, Action: "svc:Do59", Resource: resource}, &Policies{Identity: list(d)}); got.Allowed != want {
			t.Errorf("%s: %+v", resource, got)
		}
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	one, two := parse(t, "one", denyGet+","+allowAll), parse(t, "two", allowGet)
	if Join(one) != one {
		t.Error("one document is itself")
	}
	p := &Policies{Identity: list(Join(two, one))}
	got := Evaluate(&Request{Principal: alice, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k"}, p)
	if !got.Explicit || got.Policy != "one" || got.Statement != "NoGet" {
		t.Errorf("%+v", got)
	}
	got = Evaluate(&Request{Principal: alice, Action: "s3:GetObjectAcl", Resource: "arn:aws:s3:::b/k"}, p)
	if !got.Allowed || got.Policy != "two" {
		t.Errorf("%+v", got)
	}
	if got := Evaluate(&Request{Principal: alice, Action: "s3:GetObject", Resource: "*"}, &Policies{Identity: list(Join())}); got.Allowed {
		t.Errorf("no documents: %+v", got)
	}
}
