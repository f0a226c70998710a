package trail

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
)

// A refusal is kept with every statement that was looked at; what was allowed with the one that did.
func TestService_Find(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	s := newService(t, openStore(t, c), dir, c)
	refused := a(c, "refused", "DeleteUser")
	refused.ErrorCode, refused.ErrorMessage, refused.Status, refused.Step = "AccessDenied", "User: x is not authorized", 403, "authorise"
	refused.Checks = []wire.Check{{Action: "iam:DeleteUser", Resource: "*", Decision: policy.Decision{
		Kind: policy.KindIdentity, Missing: []string{"aws:SourceIp"},
		Considered: []policy.Verdict{{Kind: policy.KindIdentity, Policy: "P", Statement: "S", Effect: "Allow", Failed: "condition", Condition: "IpAddress aws:SourceIp", Missing: []string{"aws:SourceIp"}}},
	}}}
	inner := a(c, "allowed", "CreateRole")
	inner.Via = "cloudformation.amazonaws.com"
	record(t, s, refused, inner, a(c, "allowed", "CreateUser"))

	found, err := s.Find(t.Context(), "refused")
	if err != nil || len(found) != 1 {
		t.Fatalf("%v %v", found, err)
	}
	d := found[0].AdditionalEventData.Decisions[0]
	if d.Result != resultImplicit || len(d.Considered) != 1 || d.Considered[0].Condition != "IpAddress aws:SourceIp" || d.Missing[0] != "aws:SourceIp" {
		t.Errorf("decision %+v", d)
	}
	if found, err = s.Find(t.Context(), found[0].EventID); err != nil || len(found) != 1 {
		t.Errorf("by its own id: %v %v", found, err)
	}
	found, err = s.Find(t.Context(), "allowed")
	if err != nil || len(found) != 2 || found[0].EventName != "CreateUser" || found[1].SourceIPAddress != "cloudformation.amazonaws.com" || found[1].UserIdentity.InvokedBy == "" {
		t.Fatalf("%+v %v", found, err)
	}
	if d := found[0].AdditionalEventData.Decisions[0]; d.Result != resultAllowed || d.Policy != "P" || d.Statement != "S" {
		t.Errorf("decision %+v", d)
	}
	if found, err := s.Find(t.Context(), "nobody's"); err != nil || len(found) != 0 {
		t.Errorf("%v %v", found, err)
	}
}

// The suggestion allows what was allowed, on what it was done to, and nothing more.
func TestService_Suggest(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	s := newService(t, openStore(t, c), dir, c)
	c.advance(time.Hour)
	since := c.Now()
	old := a(c, "old", "OldCall")
	old.Time = since.Add(-time.Minute)
	pass := a(c, "pass", "CreateFunction")
	pass.Checks = append(pass.Checks, wire.Check{Action: "iam:PassRole", Resource: "arn:aws:iam::000000000000:role/r", PassedTo: "lambda.amazonaws.com", Decision: policy.Decision{Allowed: true}})
	pass.Checks = append(pass.Checks, wire.Check{Action: "iam:ListPolicies", Resource: "policy path /", Decision: policy.Decision{Allowed: true}})
	refused := a(c, "refused", "DeleteUser")
	refused.Checks[0].Decision = policy.Decision{}
	other := a(c, "other", "OtherCall")
	other.Caller.ARN = "arn:aws:iam::000000000000:user/bob"
	record(t, s, old, a(c, "1", "CreateUser"), a(c, "2", "CreateUser"), a(c, "3", "GetUser"), pass, refused, other)

	suggest := func(opt SuggestOptions) string {
		t.Helper()
		opt.Since = since
		out, err := s.Suggest(t.Context(), "arn:aws:iam::000000000000:user/ada", opt)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct{ Statement []any }
		if json.Unmarshal(out.Document, &doc) != nil || len(doc.Statement) == 0 || out.Events != 5 || out.Refused != 1 {
			t.Errorf("suggestion %+v %s", out, out.Document)
		}
		return string(out.Document)
	}
	const want = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:CreateFunction","iam:CreateUser","iam:GetUser"],"Resource":["arn:aws:iam::000000000000:user/bob"]},` +
		`{"Effect":"Allow","Action":["iam:ListPolicies"],"Resource":["*"]},` +
		`{"Effect":"Allow","Action":["iam:PassRole"],"Resource":["arn:aws:iam::000000000000:role/r"],"Condition":{"StringEquals":{"iam:PassedToService":["lambda.amazonaws.com"]}}}]}`
	if got := suggest(SuggestOptions{}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := suggest(SuggestOptions{Refused: true}); !strings.Contains(got, "iam:DeleteUser") {
		t.Errorf("with what was refused: %s", got)
	}
	if got := suggest(SuggestOptions{Generalise: true}); !strings.Contains(got, ":user/*") || strings.Contains(got, "bob") {
		t.Errorf("generalised: %s", got)
	}
	if out, err := s.Suggest(t.Context(), "arn:aws:iam::000000000000:user/nobody", SuggestOptions{Since: since}); err != nil || out.Document != nil {
		t.Errorf("for nobody: %+v %v", out, err)
	}
}

func TestGeneralised(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"*":                                     "*",
		"arn:aws:lambda:us-east-1:1:function:f": "arn:aws:lambda:us-east-1:1:function:*",
		"arn:aws:apigateway:us-east-1::/restapis/a/x/b": "arn:aws:apigateway:us-east-1::/restapis/*/x/*",
		"arn:aws:sns:us-east-1:1:topic":                 "arn:aws:sns:us-east-1:1:*",
		"arn:aws:iam::1:role/path/r":                    "arn:aws:iam::1:role/*",
	} {
		if got := generalised(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// What a caller names may be no text that a database takes; it is kept and found, and keeps no other
// event out.
func TestService_Find_oddNames(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	s := newService(t, openStore(t, c), dir, c)
	var records []wire.Record
	for i, name := range []string{"a\x00b", "\xff\xfe", "\x00", "plain"} {
		r := a(c, "request-"+name, "GetGroup")
		r.Checks[0].Resource = "arn:aws:cognito-idp:us-east-1:" + account + ":userpool/" + name
		r.RequestID = strings.Repeat("r", i+1)
		records = append(records, r)
	}
	record(t, s, records...)
	for i := range records {
		if got, err := s.Find(t.Context(), strings.Repeat("r", i+1)); err != nil || len(got) != 1 {
			t.Errorf("event %d: %v %v", i, got, err)
		}
	}
}

// Events are found by the time in their request's id, without a row of the index; those of a request
// that lasts, with one.
func TestService_Find_byTime(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	s := newService(t, openStore(t, c), dir, c)
	id := func(at time.Time, n int) string {
		return fmt.Sprintf("%08x-%04x-4000-8000-%012x", uint32((at.UnixMilli()^int64(n))>>16), uint16(at.UnixMilli()^int64(n)), n)
	}
	began := c.Now()
	if got, ok := wire.RequestTime(id(began, 77)); !ok || !got.Equal(began) {
		t.Fatal(got, ok)
	}
	of := func(n int, operation string, lasted time.Duration) wire.Record {
		r := a(c, id(began, n), operation)
		r.Time, r.Latency = began, lasted
		return r
	}
	record(t, s, of(1, "CreateUser", quickly), of(2, "CreateRole", 0), of(3, "CreateGroup", time.Millisecond))
	inner := of(4, "GetRole", 5*time.Millisecond)
	inner.Via = "cloudformation.amazonaws.com"
	for range 2 * pageChunks { // each in a chunk of its own
		record(t, s, inner)
	}
	late := of(3, "DeleteGroup", 30*time.Second)
	late.Via = "cloudformation.amazonaws.com"
	c.advance(30 * time.Second)
	record(t, s, late, of(4, "CreateStack", quickly+time.Millisecond), of(5, "TagUser", 0))

	for n, want := range [][]string{
		0: nil, 1: {"CreateUser"}, 2: {"CreateRole"}, 3: {"CreateGroup", "DeleteGroup"},
		4: append([]string{"CreateStack"}, slices.Repeat([]string{"GetRole"}, 2*pageChunks)...), 5: {"TagUser"},
	} {
		found, err := s.Find(t.Context(), id(began, n))
		var names []string
		for _, e := range found {
			names = append(names, e.EventName)
		}
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("request %d: %v %v, want %v", n, names, err, want)
		}
	}
	var rows []string
	if err := s.cfg.DB.View(t.Context(), func(tx *store.Tx) error {
		chunks, err := s.chunks.List(tx, store.Query{Limit: 1000})
		for _, chunk := range chunks {
			rows = append(rows, slices.DeleteFunc(chunk.Find, func(f string) bool { return !strings.HasPrefix(f, byRequest+"=") })...)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if slices.Sort(rows); !slices.Equal(rows, []string{byRequest + "=" + id(began, 3), byRequest + "=" + id(began, 4)}) {
		t.Errorf("the index has %q", rows)
	}
	if found, err := s.Find(t.Context(), id(began.Add(-lookupWindow-time.Hour), 1)); err != nil || found != nil {
		t.Errorf("an id of another time: %v %v", found, err)
	}
}
