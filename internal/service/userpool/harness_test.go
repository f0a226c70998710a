package userpool

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/pure/srp"
	"moat/internal/pure/token"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

const (
	testRegion = "eu-central-1"
	goodPass   = "Correct-horse-7"
)

// signingKeys are made once: each takes a tenth of a second.
var signingKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	out := make([]*rsa.PrivateKey, 2)
	for i := range out {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		out[i] = k
	}
	return out
})

// outbox keeps messages.
type outbox struct {
	mu   sync.Mutex
	all  []Message
	fail bool
}

func (o *outbox) Carries(string) bool { return true }

func (o *outbox) SendCode(_ context.Context, m Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail {
		return errors.New("the mail server is down")
	}
	o.all = append(o.all, m)
	return nil
}

func (o *outbox) last(t *testing.T) Message {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.all) == 0 {
		t.Fatal("no message was sent")
	}
	return o.all[len(o.all)-1]
}

func (o *outbox) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.all)
}

// house is a service in memory with a clock that only the test moves.
type house struct {
	*Service
	t      *testing.T
	c      api.Service // goes through validation, and fails on errors that the model does not list
	box    *outbox
	region string
	ip     string // where requests come from
	mu     sync.Mutex
	at     time.Time
	recs   []wire.Record
	// triggers are the functions that exist, by ARN; fired counts their runs.
	triggers map[string]func(event map[string]any) (response any, err error)
	fired    map[string]int
}

// functionARN is a trigger that a test has put into the house.
func functionARN(name string) *string {
	return wire.String("arn:aws:lambda:eu-central-1:000000000000:function:" + name)
}

// function adds a trigger. What it returns becomes the event's response; an error is
// one of the function's own.
func (h *house) function(name string, run func(event map[string]any) (any, error)) *string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.triggers == nil {
		h.triggers, h.fired = map[string]func(map[string]any) (any, error){}, map[string]int{}
	}
	arn := functionARN(name)
	h.triggers[*arn] = run
	return arn
}

// runs is how often a trigger ran.
func (h *house) runs(arn *string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fired[*arn]
}

// InvokeTrigger implements Invoker.
func (h *house) InvokeTrigger(_ context.Context, function, pool string, event []byte) (TriggerResult, error) {
	h.mu.Lock()
	run := h.triggers[function]
	if run != nil {
		h.fired[function]++
	}
	h.mu.Unlock()
	if run == nil {
		return TriggerResult{}, &TriggerError{"ResourceNotFoundException", errors.New("no such function")}
	}
	var ev map[string]any
	if err := json.Unmarshal(event, &ev); err != nil {
		return TriggerResult{}, err
	}
	if want := "arn:aws:cognito-idp:eu-central-1:000000000000:userpool/" + fmt.Sprint(ev["userPoolId"]); pool != want {
		h.t.Errorf("a trigger for %s, want %s", pool, want)
	}
	response, err := run(ev)
	if err != nil {
		payload, _ := json.Marshal(map[string]string{"errorMessage": err.Error(), "errorType": "Error"})
		return TriggerResult{Payload: payload, Failed: true}, nil
	}
	if raw, ok := response.(json.RawMessage); ok { // not an event at all
		return TriggerResult{Payload: raw}, nil
	}
	ev["response"] = response
	payload, err := json.Marshal(ev)
	return TriggerResult{Payload: payload}, err
}

func (h *house) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, box: &outbox{}, region: testRegion, at: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	db, err := store.Open(t.Context(), store.Config{Path: ":memory:", Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	h.open(db)
	return h
}

// open starts the service on a database, as a restart does.
func (h *house) open(db *store.DB) {
	h.t.Helper()
	s, err := New(Config{
		DB: db, Now: h.clock, Account: "000000000000", BaseURL: "http://localhost:4566", Domain: "localhost:4566",
		Messenger: h.box, Prompt: true, Invoker: h, Record: func(r wire.Record) { h.recs = append(h.recs, r) },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.Service = s
	h.c = api.Client(h)
	h.t.Cleanup(func() { // what is shared was only read
		for _, table := range s.tables.all() {
			if err := table.(interface{ Unaltered() error }).Unaltered(); err != nil {
				h.t.Error(err)
			}
		}
	})
}

// Invoke implements wire.Invoker: validation, the call, and the check that an
// exception is one the model lists.
func (h *house) Invoke(ctx context.Context, _, operation string, in, out any) error {
	ctx = wire.WithCall(ctx, &wire.Call{Account: "000000000000", Region: h.region, Operation: operation, SourceIP: h.ip})
	for _, op := range api.New(h.Service).Operations {
		if op.Name != operation {
			continue
		}
		if op.Validate != nil {
			var v wire.Violations
			if op.Validate(in, &v); v.Len() > 0 {
				return &api.InvalidParameterException{Message: v.String()}
			}
		}
		got, err := op.Call(ctx, in)
		if err != nil {
			var e wire.Exception
			if !errors.As(err, &e) {
				h.t.Errorf("%s: an error that is no exception: %v", operation, err)
			} else if e.ErrorCode() != "NotImplemented" && !slices.Contains(op.Errors, e.ErrorCode()) {
				h.t.Errorf("%s: the model does not list %s (%s)", operation, e.ErrorCode(), e.ErrorMessage())
			}
			return err
		}
		reflect.ValueOf(out).Elem().Set(reflect.ValueOf(got).Elem())
		return nil
	}
	return fmt.Errorf("no operation %s", operation)
}

// stock puts ready-made keys into the reserve.
func (h *house) stock() {
	h.t.Helper()
	for _, private := range signingKeys() {
		key, err := h.keys.seal(private)
		if err != nil {
			h.t.Fatal(err)
		}
		err = h.db.Update(h.t.Context(), func(tx *store.Tx) error { return h.tables.reserve.Insert(tx, ReserveKey{key}) })
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// pool makes a pool; change may adjust the request.
func (h *house) newPoolID(change func(*api.CreateUserPoolRequest)) string {
	h.t.Helper()
	h.stock()
	in := &api.CreateUserPoolRequest{
		PoolName: "school", UsernameAttributes: []api.UsernameAttributeType{"email"},
		AutoVerifiedAttributes: []api.VerifiedAttributeType{"email"},
		Policies: &api.UserPoolPolicyType{PasswordPolicy: &api.PasswordPolicyType{
			MinimumLength: wire.Int32(12), RequireUppercase: wire.Bool(true), RequireNumbers: wire.Bool(true),
		}},
	}
	if change != nil {
		change(in)
	}
	out, err := h.c.CreateUserPool(h.t.Context(), in)
	if err != nil {
		h.t.Fatal(err)
	}
	return *out.UserPool.Id
}

func (h *house) newClient(poolID string, change func(*api.CreateUserPoolClientRequest)) *api.UserPoolClientType {
	h.t.Helper()
	in := &api.CreateUserPoolClientRequest{
		UserPoolId: poolID, ClientName: "web",
		ExplicitAuthFlows: []api.ExplicitAuthFlowsType{
			"ALLOW_USER_SRP_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH",
		},
	}
	if change != nil {
		change(in)
	}
	out, err := h.c.CreateUserPoolClient(h.t.Context(), in)
	if err != nil {
		h.t.Fatal(err)
	}
	return out.UserPoolClient
}

// member makes a confirmed user.
func (h *house) member(poolID, name string, attributes ...string) {
	h.t.Helper()
	in := &api.AdminCreateUserRequest{UserPoolId: poolID, Username: name, MessageAction: api.MessageActionTypeSUPPRESS}
	for i := 0; i < len(attributes); i += 2 {
		in.UserAttributes = append(in.UserAttributes, api.AttributeType{Name: attributes[i], Value: &attributes[i+1]})
	}
	if _, err := h.c.AdminCreateUser(h.t.Context(), in); err != nil {
		h.t.Fatal(err)
	}
	_, err := h.c.AdminSetUserPassword(h.t.Context(), &api.AdminSetUserPasswordRequest{UserPoolId: poolID, Username: name, Password: goodPass, Permanent: wire.Bool(true)})
	if err != nil {
		h.t.Fatal(err)
	}
}

// signIn signs in with the password itself.
func (h *house) signIn(clientID, name, password string) (*api.AuthenticationResultType, error) {
	out, err := h.c.InitiateAuth(h.t.Context(), &api.InitiateAuthRequest{
		AuthFlow: "USER_PASSWORD_AUTH", ClientId: clientID, AuthParameters: map[string]string{"USERNAME": name, "PASSWORD": password},
	})
	if err != nil {
		return nil, err
	}
	return out.AuthenticationResult, nil
}

func (h *house) mustSignIn(clientID, name string) *api.AuthenticationResultType {
	h.t.Helper()
	r, err := h.signIn(clientID, name, goodPass)
	if err != nil {
		h.t.Fatal(err)
	}
	if r == nil {
		h.t.Fatal("a challenge instead of tokens")
	}
	return r
}

// srpClient is the other side of USER_SRP_AUTH.
type srpClient struct {
	h        *house
	poolID   string
	clientID string
	secret   string
	srp      *srp.Client
}

func (h *house) srp(poolID, clientID string) *srpClient {
	h.t.Helper()
	c, err := srp.NewClient(rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	return &srpClient{h: h, poolID: poolID, clientID: clientID, srp: c}
}

func (c *srpClient) start(name string) (*api.InitiateAuthResponse, error) {
	params := map[string]string{"USERNAME": name, "SRP_A": c.srp.Public()}
	if c.secret != "" {
		params["SECRET_HASH"] = secretHash(c.secret, name, c.clientID)
	}
	return c.h.c.InitiateAuth(c.h.t.Context(), &api.InitiateAuthRequest{AuthFlow: "USER_SRP_AUTH", ClientId: c.clientID, AuthParameters: params})
}

// proof makes the answer to a PASSWORD_VERIFIER challenge.
func (c *srpClient) proof(params map[string]string, password string) map[string]string {
	c.h.t.Helper()
	_, poolName, _ := strings.Cut(c.poolID, "_")
	id := srp.Identity{Pool: poolName, User: params["USER_ID_FOR_SRP"]}
	key, err := c.srp.Key(id, params["SALT"], params["SRP_B"], password)
	if err != nil {
		c.h.t.Fatal(err)
	}
	block, err := base64.StdEncoding.DecodeString(params["SECRET_BLOCK"])
	if err != nil {
		c.h.t.Fatal(err)
	}
	stamp := c.h.clock().Format("Mon Jan 2 15:04:05 UTC 2006")
	out := map[string]string{
		"USERNAME": params["USER_ID_FOR_SRP"], "PASSWORD_CLAIM_SECRET_BLOCK": params["SECRET_BLOCK"], "TIMESTAMP": stamp,
		"PASSWORD_CLAIM_SIGNATURE": base64.StdEncoding.EncodeToString(srp.Proof(key, id, block, stamp)),
	}
	if c.secret != "" {
		out["SECRET_HASH"] = secretHash(c.secret, out["USERNAME"], c.clientID)
	}
	return out
}

func (c *srpClient) finish(responses map[string]string) (*api.RespondToAuthChallengeResponse, error) {
	return c.h.c.RespondToAuthChallenge(c.h.t.Context(), &api.RespondToAuthChallengeRequest{
		ChallengeName: "PASSWORD_VERIFIER", ClientId: c.clientID, ChallengeResponses: responses,
	})
}

func (c *srpClient) signIn(name, password string) (*api.RespondToAuthChallengeResponse, error) {
	c.h.t.Helper()
	out, err := c.start(name)
	if err != nil {
		return nil, err
	}
	return c.finish(c.proof(out.ChallengeParameters, password))
}

func secretHash(secret, name, clientID string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(name + clientID))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// claims verifies a token by the pool's keys and returns what it says.
func (h *house) claims(raw *string) token.Claims {
	h.t.Helper()
	tok, err := token.Parse(deref(raw))
	if err != nil {
		h.t.Fatal(err)
	}
	keys, ok := h.KeysOf(tok.Issuer())
	if !ok {
		h.t.Fatalf("no keys of %s", tok.Issuer())
	}
	if err := tok.VerifyWith(keys); err != nil {
		h.t.Fatal(err)
	}
	return tok.Claims
}

// want checks code and sentence of an exception.
func want(t *testing.T, err error, code, message string) {
	t.Helper()
	var e wire.Exception
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %s", err, code)
	}
	if e.ErrorCode() != code || (message != "" && e.ErrorMessage() != message) {
		t.Fatalf("got %s: %s\nwant %s: %s", e.ErrorCode(), e.ErrorMessage(), code, message)
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func attr(name, value string) api.AttributeType { return api.AttributeType{Name: name, Value: &value} }

func attributesOf(list []api.AttributeType) map[string]string {
	out := map[string]string{}
	for _, a := range list {
		out[a.Name] = deref(a.Value)
	}
	return out
}
