package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
)

const (
	crashRounds  = 6
	crashWriters = 8
)

// ledger is what the server has answered to writes: each entry must be there after a crash.
type ledger struct {
	mu         sync.Mutex
	users      map[string]bool
	groups     map[string]bool
	parameters map[string]string
	deleted    map[string]bool // parameters
	revoked    []string        // refresh tokens
	valid      []string        // refresh tokens
	refusals   []error         // answers that a write must not get
}

// crashed is the installation that the test kills.
type crashed struct {
	*server
	root         aws.Credentials
	args         []string
	data, listen string
	pool, client string
	ledger
}

// TestKill ends `moat serve` by SIGKILL at random moments under load, and looks after each
// restart for every write that was answered.
func TestKill(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		kill9(t)
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		kill9(t, "--database", postgres(t))
	})
}

func kill9(t *testing.T, args ...string) {
	c := &crashed{args: args, data: t.TempDir(), listen: "127.0.0.1:0", ledger: ledger{
		users: map[string]bool{}, groups: map[string]bool{}, parameters: map[string]string{}, deleted: map[string]bool{}}}
	c.begin(t)
	t.Cleanup(func() { c.stop(t) })
	c.prepare(t)
	for round := range crashRounds {
		c.session(t, round)
		c.underLoad(t, round)
		c.begin(t)
		c.verify(t, round)
		if t.Failed() {
			return
		}
	}
	n := len(c.users) + len(c.groups) + len(c.parameters) + len(c.deleted)
	if n < 20*crashRounds {
		t.Errorf("only %d writes were answered in %d rounds: that was no load", n, crashRounds)
	}
	t.Logf("%d answered writes survived %d kills", n, crashRounds)
}

// begin starts the server; the first start says the administrator's key, and later ones do not.
func (c *crashed) begin(t *testing.T) {
	t.Helper()
	s, err := launch(append([]string{"serve", "--json", "--listen", c.listen, "--data", c.data}, c.args...))
	if err != nil {
		t.Fatal(err)
	}
	c.server = s
	admin := s.ready.Administrator
	switch first := c.root.AccessKeyID == ""; {
	case first && admin.AccessKeyID == "":
		t.Fatalf("the first start shows no administrator's key: %s", s.output())
	case first:
		c.root = aws.Credentials{AccessKeyID: admin.AccessKeyID, SecretAccessKey: admin.SecretAccessKey}
		u, err := url.Parse(s.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		c.listen = "127.0.0.1:" + u.Port()
	case admin.AccessKeyID != "":
		t.Fatalf("a later start shows the administrator's key again: %s", s.output())
	}
}

// prepare makes a pool whose users need no mail, a client and one user.
func (c *crashed) prepare(t *testing.T) {
	ctx, client := t.Context(), idp.NewFromConfig(c.config(c.root))
	pool, err := client.CreateUserPool(ctx, &idp.CreateUserPoolInput{PoolName: aws.String("crash")})
	if err != nil {
		t.Fatal(err)
	}
	c.pool = *pool.UserPool.Id
	app, err := client.CreateUserPoolClient(ctx, &idp.CreateUserPoolClientInput{UserPoolId: &c.pool, ClientName: aws.String("crash"), EnableTokenRevocation: aws.Bool(true),
		ExplicitAuthFlows: []types.ExplicitAuthFlowsType{types.ExplicitAuthFlowsTypeAllowUserPasswordAuth, types.ExplicitAuthFlowsTypeAllowRefreshTokenAuth}})
	if err != nil {
		t.Fatal(err)
	}
	c.client = *app.UserPoolClient.ClientId
	if _, err := client.SignUp(ctx, c.signUp("ada")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.AdminConfirmSignUp(ctx, &idp.AdminConfirmSignUpInput{UserPoolId: &c.pool, Username: aws.String("ada")}); err != nil {
		t.Fatal(err)
	}
}

func (c *crashed) signUp(name string) *idp.SignUpInput {
	return &idp.SignUpInput{ClientId: &c.client, Username: &name, Password: aws.String("Correct-Horse-7-Battery")}
}

// session signs in twice and revokes the one.
func (c *crashed) session(t *testing.T, round int) {
	t.Helper()
	u := user{email: "ada", password: "Correct-Horse-7-Battery"}
	kept, err := c.signIn(t.Context(), c.client, u)
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	lost, err := c.signIn(t.Context(), c.client, u)
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	if _, err := idp.NewFromConfig(c.config(c.root)).RevokeToken(t.Context(), &idp.RevokeTokenInput{ClientId: &c.client, Token: &lost.refresh}); err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	c.valid, c.revoked = append(c.valid, kept.refresh), append(c.revoked, lost.refresh)
}

// underLoad writes from many sides and kills the server in the midst of it.
func (c *crashed) underLoad(t *testing.T, round int) {
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range crashWriters {
		writers.Go(func() { c.write(ctx, fmt.Sprintf("r%dw%d", round, w)) })
	}
	timer := time.NewTimer(150*time.Millisecond + rand.N(600*time.Millisecond))
	<-timer.C
	c.kill()
	cancel()
	writers.Wait()
	for _, err := range c.refusals {
		t.Errorf("round %d: a write was refused: %v", round, err)
	}
}

// write writes until the server is gone, and notes what was answered.
func (c *crashed) write(ctx context.Context, prefix string) {
	users, parameters := idp.NewFromConfig(c.config(c.root)), ssm.NewFromConfig(c.config(c.root))
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprintf("%s-%d", prefix, i)
		var err error
		switch i % 5 {
		case 0:
			if _, err = users.SignUp(ctx, c.signUp(name)); err == nil {
				c.note(func() { c.users[name] = true })
			}
		case 1:
			if _, err = users.CreateGroup(ctx, &idp.CreateGroupInput{UserPoolId: &c.pool, GroupName: &name}); err == nil {
				c.note(func() { c.groups[name] = true })
			}
		case 2, 3:
			err = c.putParameter(ctx, parameters, "/crash/"+name, "first")
		case 4: // what was put before is changed, or taken away
			last := fmt.Sprintf("/crash/%s-%d", prefix, i-2)
			if err = c.putParameter(ctx, parameters, last, "second"); err == nil {
				err = c.deleteParameter(ctx, parameters, fmt.Sprintf("/crash/%s-%d", prefix, i-1))
			}
		}
		if err != nil {
			var refused smithy.APIError
			if errors.As(err, &refused) && ctx.Err() == nil {
				c.note(func() { c.refusals = append(c.refusals, err) })
			}
			return
		}
	}
}

func (c *crashed) note(f func()) {
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	f()
}

// putParameter forgets the old value first: while the write is under way, either may be there.
func (c *crashed) putParameter(ctx context.Context, client *ssm.Client, name, value string) error {
	c.note(func() { delete(c.parameters, name) })
	_, err := client.PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeString, Overwrite: aws.Bool(true)})
	if err == nil {
		c.note(func() { c.parameters[name] = value })
	}
	return err
}

func (c *crashed) deleteParameter(ctx context.Context, client *ssm.Client, name string) error {
	c.note(func() { delete(c.parameters, name) })
	_, err := client.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &name})
	if err == nil {
		c.note(func() { c.deleted[name] = true })
	}
	return err
}

// verify reads everything back.
func (c *crashed) verify(t *testing.T, round int) {
	t.Helper()
	users, groups, parameters := c.allUsers(t), c.allGroups(t), c.allParameters(t)
	for _, name := range slices.Sorted(maps.Keys(c.users)) {
		if !users[name] {
			t.Errorf("round %d: user %s is lost", round, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.groups)) {
		if !groups[name] {
			t.Errorf("round %d: group %s is lost", round, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.parameters)) {
		if parameters[name] != c.parameters[name] {
			t.Errorf("round %d: parameter %s is %q, want %q", round, name, parameters[name], c.parameters[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.deleted)) {
		if v, there := parameters[name]; there {
			t.Errorf("round %d: the deleted parameter %s is there again: %q", round, name, v)
		}
	}
	client := idp.NewFromConfig(c.config(c.root))
	refresh := func(token string) error {
		_, err := client.InitiateAuth(t.Context(), &idp.InitiateAuthInput{ClientId: &c.client, AuthFlow: types.AuthFlowTypeRefreshTokenAuth, AuthParameters: map[string]string{"REFRESH_TOKEN": token}})
		return err
	}
	for i := range c.valid {
		if err := refresh(c.valid[i]); err != nil {
			t.Errorf("round %d: a session of round %d is lost: %v", round, i, err)
		}
		failsAs[*types.NotAuthorizedException](t, fmt.Sprintf("round %d: a revoked session of round %d", round, i), refresh(c.revoked[i]))
	}
}

func (c *crashed) allUsers(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	pages := idp.NewListUsersPaginator(idp.NewFromConfig(c.config(c.root)), &idp.ListUsersInput{UserPoolId: &c.pool})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Users {
			all[*u.Username] = true
		}
	}
	return all
}

func (c *crashed) allGroups(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	pages := idp.NewListGroupsPaginator(idp.NewFromConfig(c.config(c.root)), &idp.ListGroupsInput{UserPoolId: &c.pool})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range page.Groups {
			all[*g.GroupName] = true
		}
	}
	return all
}

func (c *crashed) allParameters(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	pages := ssm.NewGetParametersByPathPaginator(ssm.NewFromConfig(c.config(c.root)), &ssm.GetParametersByPathInput{Path: aws.String("/crash"), Recursive: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Parameters {
			all[*p.Name] = *p.Value
		}
	}
	return all
}
