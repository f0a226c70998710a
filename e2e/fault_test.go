package e2e

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What API Gateway answers for an integration that fails; the space is AWS's.
const (
	internalError = `{"message": "Internal server error"}`
	timedOut      = `{"message": "Endpoint request timed out"}`
	noNetwork     = `{"message": "Network error communicating with endpoint"}`
)

// TestFaults has functions fail: the caller gets AWS's words, the operator the cause.
func TestFaults(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"dev", "--json", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "testdata/faults/template.yaml"})
	out := s.ready.Stacks[0].Outputs
	for path, row := range map[string]struct {
		status int
		body   string
		cause  string // in the printed line
	}{
		"/good":       {200, "{}", ``},
		"/no-file":    {502, internalError, `nothing|Cannot find module`},
		"/no-export":  {502, internalError, `nothing.*not|HandlerNotFound`},
		"/throws":     {502, internalError, `RangeError.*out of moats`},
		"/exits":      {502, internalError, `exit`},
		"/slow":       {502, internalError, `Task timed out after 1\.00 seconds`},
		"/text":       {502, internalError, `malformed.*just text`},
		"/extra":      {502, internalError, `malformed.*nonsense`},
		"/bad-status": {502, internalError, `malformed.*statusCode`},
		"/no-syntax":  {502, internalError, `SyntaxError`},
		"/raises":     {502, internalError, `ValueError|no drawbridge`},
		"/late":       {504, timedOut, `did not answer in time|timed out`},
		"/forbidden":  {500, internalError, `permi|not authori`},
		"/gone":       {504, noNetwork, `refused`},
	} {
		t.Run(strings.TrimPrefix(path, "/"), func(t *testing.T) {
			t.Parallel()
			api := out["ApiUrl"]
			if slices.Contains([]string{"/late", "/forbidden", "/gone"}, path) {
				api = out["DefinedUrl"]
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			w := want{status: row.status, body: row.body}
			if row.status >= 500 {
				w.errorType = "InternalServerErrorException"
			}
			a := s.check(t, req, w)
			e, err := s.event(t.Context(), a.header.Get("X-Amzn-Requestid"))
			if err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile(row.cause).MatchString(e.Grounds) {
				t.Errorf("the operator is told %q, want the cause: %s", e.Grounds, row.cause)
			}
		})
	}
	t.Run("invoked by hand", func(t *testing.T) { faultsByHand(t, s) })
}

// faultsByHand: Lambda's own API answers 200 and says in a header that the function failed.
func faultsByHand(t *testing.T, s *server) {
	env := environment("MOAT_ENDPOINT=" + s.endpoint)
	names := moat(t, env, "run", "--", "aws", "lambda", "list-functions", "--query", "Functions[].FunctionName", "--output", "json")
	var all []string
	if err := json.Unmarshal([]byte(names.stdout), &all); err != nil {
		t.Fatalf("%v: %s", err, names)
	}
	for function, want := range map[string]string{"throws": `"errorType":"RangeError","errorMessage":"out of moats"`, "slow": `Task timed out after 1.00 seconds`, "good": ``} {
		out := t.TempDir() + "/answer.json"
		r := moat(t, env, "run", "--", "aws", "lambda", "invoke", "--function-name", named(t, all, function), "--query", "FunctionError", "--output", "text", out)
		body := readFile(t, out)
		failed := strings.TrimSpace(r.stdout) == "Unhandled"
		if r.code != 0 || failed != (want != "") || !strings.Contains(strings.ReplaceAll(body, " ", ""), strings.ReplaceAll(want, " ", "")) {
			t.Errorf("%s: %s\nthe function answered %s, want %s", function, r, body, want)
		}
	}
}
