package coverage

import (
	"context"
	"testing"

	"moat/internal/wire/iamapi"
	"moat/internal/wire/logsapi"
	"moat/internal/wire/stsapi"
)

type (
	unimplementedIAM = iamapi.Unimplemented
	unimplementedSTS = stsapi.Unimplemented
)

// part declares one operation; a service that embeds it has built that one.
type part struct{ unimplementedSTS }

func (part) GetCallerIdentity(context.Context, *stsapi.GetCallerIdentityRequest) (*stsapi.GetCallerIdentityResponse, error) {
	return nil, nil
}

type both struct {
	unimplementedIAM
	*part
}

func (b *both) GetUser(context.Context, *iamapi.GetUserRequest) (*iamapi.GetUserResponse, error) {
	return nil, nil
}

func (b both) ListUsers(context.Context, *iamapi.ListUsersRequest) (*iamapi.ListUsersResponse, error) {
	return nil, nil
}

func states(lines []Line) map[string]State {
	m := map[string]State{}
	for _, l := range lines {
		m[l.Operation] = l.State
	}
	return m
}

func TestCoverage(t *testing.T) {
	t.Parallel()
	b := &both{part: &part{}}
	iam, sts := states(Coverage("iam", b)), states(Coverage("stsapi", b))
	logs := states(Coverage("logs", logsapi.Unimplemented{}))
	for _, c := range []struct {
		name      string
		got, want State
	}{
		{"pointer receiver", iam["GetUser"], Built},
		{"value receiver", iam["ListUsers"], Built},
		{"promoted from Unimplemented", iam["CreateUser"], NotBuilt},
		{"declared by an embedded part", sts["GetCallerIdentity"], Built},
		{"promoted from the part's Unimplemented", sts["AssumeRole"], NotBuilt},
		{"bare Unimplemented", logs["PutLogEvents"], NotBuilt},
		{"outside of the contract", logs["StartQuery"], NotTaken},
		{"unknown operation", logs["Nothing"], ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
	if got := len(iam); got != 176 {
		t.Errorf("iam: got %d operations, want the model's 176", got)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	got := string(Render([]Section{{API: "sts", Lines: []Line{{"AssumeRole", Built}, {"GetSessionToken", NotBuilt}, {"GetDelegatedAccessToken", NotTaken}, {"AssumeRoot", NotTaken}}}}))
	want := `# Coverage

Generated from AWS's API models and from the code; a test keeps it current. An operation that is *not built* or
*not taken* answers 501 with the code ` + "`NotImplemented`. Known differences of those that are built stand in `divergences.md`." + `

| API | built | not built | not taken |
|---|---|---|---|
| sts | 1 | 1 | 2 |

## sts

### Built

- AssumeRole

### Not built

- GetSessionToken

### Not taken

- GetDelegatedAccessToken
- AssumeRoot
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
