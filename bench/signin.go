package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"time"

	"moat/internal/pure/srp"
)

// Bounds of the loads of this chapter.
const (
	signInConns = 8
	signInCount = 2400 // enough that the database's log has its size
	tokenCount  = 3000
	signInTime  = 6 * time.Second

	refreshConns = 16
	refreshCount = 6000
)

// measureSignIns answers what it costs to let somebody in.
func measureSignIns(ctx context.Context, b *bench, r *rig) error {
	g := group{
		Title: "Sign-ins and tokens",
		How: "8 connections, users in turn. CPU is the server's alone; per core = 1 s / CPU. The rate on this machine shares its cores with the client. " +
			"By SRP all sign-ins are begun, then the client does its arithmetic, which counts for nothing here, then all are concluded; times are the sums of both steps'. Its cryptography is the same arithmetic and the same signatures done alone by a thread of the client, now and then while the load runs.",
	}
	alone, err := newBare()
	if err != nil {
		return err
	}
	keep := &tokenKeeper{}
	rows, err := r.letIn(ctx, alone, keep, "")
	if err != nil {
		return err
	}
	// The same with a pool whose tokens are signed under ES256.
	curve := *r
	if curve.pool, err = r.makePool(ctx, "curve", map[string]string{"moat:signing-algorithm": "ES256"}); err != nil {
		return err
	}
	if err := r.calm(ctx); err != nil {
		return err
	}
	alone.curve = true
	more, err := curve.letIn(ctx, alone, &tokenKeeper{}, "ES256: ")
	if err != nil {
		return err
	}
	g.Rows = append(rows, more...)
	r.idTokens = append(r.idTokens, keep.tokens...)
	b.report.Groups = append(b.report.Groups, g)
	return nil
}

// letIn measures sign-ins and tokens of the rig's pool, each beside its cryptography.
func (r *rig) letIn(ctx context.Context, alone *bare, keep *tokenKeeper, kind string) (rows []row, err error) {
	refresh, err := r.refreshes(ctx)
	if err != nil {
		return nil, err
	}
	proofs, err := newProofs(signInCount)
	if err != nil {
		return nil, err
	}
	begin, prove, conclude := r.stepsSRP(proofs, keep)
	for _, m := range []struct {
		name  string
		loads []load // one after the other
		alone func() error
	}{
		{"sign-in by SRP", []load{{conns: signInConns, count: signInCount, do: begin}, {conns: signInConns, count: signInCount, before: prove, do: conclude}}, alone.srp},
		{"sign-in by password (USER_PASSWORD_AUTH)", []load{{conns: signInConns, count: 2 * signInCount, do: r.signInPassword(keep)}}, alone.password},
		{"refresh, rotating and durable", []load{{conns: refreshConns, count: refreshCount, do: refresh}}, func() error { return alone.signatures(2) }},
		{"access token (client_credentials)", []load{{conns: signInConns, count: tokenCount, do: r.clientToken()}}, func() error { return alone.signatures(1) }},
	} {
		var o outcome
		bare := 0.0
		for _, l := range m.loads {
			l.limit = signInTime
			part, cost, err := r.beside(ctx, alone, l, m.alone)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
			o, bare = o.then(part), bare+cost/float64(len(m.loads))
		}
		rows = append(rows, row{Name: kind + m.name, Figures: []figure{
			{"done", "", float64(o.count)}, {"CPU", "ms", o.cpuMicros() / 1000}, {"its cryptography", "ms", bare / 1000}, {"ratio", "", o.cpuMicros() / bare},
			{"per core", "1/s", o.perCore()}, {"this machine", "1/s", o.rate()}, {"p50", "ms", quantile(o.took, 0.5) / 1000}, {"p99", "ms", quantile(o.took, 0.99) / 1000},
		}})
	}
	return rows, nil
}

// beside does a load and, meanwhile, its cryptography alone.
func (r *rig) beside(ctx context.Context, alone *bare, l load, work func() error) (o outcome, cost float64, err error) {
	if l.before != nil {
		if err := l.before(); err != nil {
			return o, 0, err
		}
	}
	cost, err = alone.beside(work, func() (err error) {
		o, err = l.run(ctx, r.process, r.address)
		return err
	})
	return o, cost, err
}

// tokenKeeper collects the ID tokens of sign-ins: the gateway's figures need many.
type tokenKeeper struct {
	mu     sync.Mutex
	tokens []string
}

func (k *tokenKeeper) keep(idToken string) {
	k.mu.Lock()
	k.tokens = append(k.tokens, idToken)
	k.mu.Unlock()
}

// authAnswer is what the operations of a sign-in answer.
type authAnswer struct {
	ChallengeParameters  map[string]string
	AuthenticationResult struct{ IdToken, AccessToken, RefreshToken string }
}

func parseAuth(body []byte) (a authAnswer, err error) {
	err = json.Unmarshal(body, &a)
	return a, err
}

func (a authAnswer) idToken() (string, error) {
	if a.AuthenticationResult.IdToken == "" {
		return "", errors.New("a sign-in ended without a token")
	}
	return a.AuthenticationResult.IdToken, nil
}

// newProofs draws the clients' secrets before the measuring begins.
func newProofs(n int) ([]*srp.Client, error) {
	out := make([]*srp.Client, n)
	for i := range out {
		var err error
		if out[i], err = srp.NewClient(rand.Reader); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// signInSRP does both steps of a sign-in, and the client's arithmetic between them.
func (r *rig) signInSRP(proofs []*srp.Client, keep *tokenKeeper) func(*conn, int) error {
	return func(c *conn, i int) error {
		challenge, err := r.beginSRP(c, i, proofs[i])
		if err != nil {
			return err
		}
		request, err := r.proofSRP(proofs[i], challenge)
		if err != nil {
			return err
		}
		return r.finish(c, request, keep)
	}
}

// stepsSRP are the parts of sign-ins: all are begun, then all proofs are made, then all are concluded.
func (r *rig) stepsSRP(proofs []*srp.Client, keep *tokenKeeper) (begin func(*conn, int) error, prove func() error, conclude func(*conn, int) error) {
	challenges, requests := make([]map[string]string, len(proofs)), make([][]byte, len(proofs))
	begin = func(c *conn, i int) (err error) {
		challenges[i], err = r.beginSRP(c, i, proofs[i])
		return err
	}
	prove = func() error {
		errs := make([]error, runtime.NumCPU())
		var all sync.WaitGroup
		for n := range errs {
			all.Go(func() {
				for i := n; i < len(proofs) && errs[n] == nil; i += len(errs) {
					requests[i], errs[n] = r.proofSRP(proofs[i], challenges[i])
				}
			})
		}
		all.Wait()
		return errors.Join(errs...)
	}
	return begin, prove, func(c *conn, i int) error { return r.finish(c, requests[i], keep) }
}

// beginSRP sends the client's public value and returns the challenge.
func (r *rig) beginSRP(c *conn, i int, client *srp.Client) (map[string]string, error) {
	request, err := unsignedJSON(r.host, cognito+"InitiateAuth", map[string]any{
		"AuthFlow": "USER_SRP_AUTH", "ClientId": r.pool.public, "AuthParameters": map[string]string{"USERNAME": r.pool.users[i%len(r.pool.users)], "SRP_A": client.Public()},
	})
	if err != nil {
		return nil, err
	}
	body, err := c.exchange(request, http.StatusOK)
	if err != nil {
		return nil, err
	}
	challenge, err := parseAuth(body)
	return challenge.ChallengeParameters, err
}

// proofSRP is the request that answers a challenge.
func (r *rig) proofSRP(client *srp.Client, challenge map[string]string) ([]byte, error) {
	_, poolName, _ := strings.Cut(r.pool.id, "_")
	responses, err := prove(client, poolName, challenge)
	if err != nil {
		return nil, err
	}
	return unsignedJSON(r.host, cognito+"RespondToAuthChallenge", map[string]any{
		"ChallengeName": "PASSWORD_VERIFIER", "ClientId": r.pool.public, "ChallengeResponses": responses,
	})
}

// prove answers the challenge as a client does that knows the password.
func prove(client *srp.Client, poolName string, p map[string]string) (map[string]string, error) {
	id := srp.Identity{Pool: poolName, User: p["USER_ID_FOR_SRP"]}
	key, err := client.Key(id, p["SALT"], p["SRP_B"], password)
	if err != nil {
		return nil, err
	}
	block, err := base64.StdEncoding.DecodeString(p["SECRET_BLOCK"])
	if err != nil {
		return nil, err
	}
	stamp := time.Now().UTC().Format("Mon Jan 2 15:04:05 UTC 2006")
	return map[string]string{
		"USERNAME": p["USER_ID_FOR_SRP"], "PASSWORD_CLAIM_SECRET_BLOCK": p["SECRET_BLOCK"], "TIMESTAMP": stamp,
		"PASSWORD_CLAIM_SIGNATURE": base64.StdEncoding.EncodeToString(srp.Proof(key, id, block, stamp)),
	}, nil
}

func (r *rig) signInPassword(keep *tokenKeeper) func(*conn, int) error {
	return func(c *conn, i int) error {
		req, err := unsignedJSON(r.host, cognito+"InitiateAuth", map[string]any{
			"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": r.pool.public,
			"AuthParameters": map[string]string{"USERNAME": r.pool.users[i%len(r.pool.users)], "PASSWORD": password},
		})
		if err != nil {
			return err
		}
		return r.finish(c, req, keep)
	}
}

// finish sends the request that ends a sign-in and keeps the token.
func (r *rig) finish(c *conn, req []byte, keep *tokenKeeper) error {
	body, err := c.exchange(req, http.StatusOK)
	if err != nil {
		return err
	}
	a, err := parseAuth(body)
	if err != nil {
		return err
	}
	token, err := a.idToken()
	keep.keep(token)
	return err
}

func (r *rig) clientToken() func(*conn, int) error {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
	basic := base64.StdEncoding.EncodeToString([]byte(r.pool.confidential + ":" + r.pool.secret))
	raw := request{
		method: http.MethodPost, path: r.pool.tokenPath, body: []byte(form.Encode()),
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {"Basic " + basic}},
	}.raw(r.host)
	return func(c *conn, _ int) error {
		body, err := c.exchange(raw, http.StatusOK)
		if err == nil && !strings.Contains(string(body), `"access_token":"`) {
			err = errors.New("the token endpoint gave no token")
		}
		return err
	}
}

// refreshes makes a client whose refresh tokens rotate without any grace, and signs in once for each
// connection. Each refresh writes: the token that it replaces is worth nothing afterwards.
func (r *rig) refreshes(ctx context.Context) (func(*conn, int) error, error) {
	var made struct{ UserPoolClient struct{ ClientId string } }
	if err := r.cognito(ctx, "CreateUserPoolClient", map[string]any{
		"UserPoolId": r.pool.id, "ClientName": "rotating", "ExplicitAuthFlows": []string{"ALLOW_USER_PASSWORD_AUTH"},
		"RefreshTokenRotation": map[string]any{"Feature": "ENABLED", "RetryGracePeriodSeconds": 0},
	}, &made); err != nil {
		return nil, err
	}
	client := made.UserPoolClient.ClientId
	tokens := make(chan string, refreshConns)
	for i := range refreshConns {
		var a authAnswer
		if err := r.cognito(ctx, "InitiateAuth", map[string]any{
			"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client,
			"AuthParameters": map[string]string{"USERNAME": r.pool.users[i%len(r.pool.users)], "PASSWORD": password},
		}, &a); err != nil {
			return nil, err
		}
		tokens <- a.AuthenticationResult.RefreshToken
	}
	return func(c *conn, _ int) error {
		old := <-tokens
		req, err := unsignedJSON(r.host, cognito+"GetTokensFromRefreshToken", map[string]any{"ClientId": client, "RefreshToken": old})
		if err != nil {
			return err
		}
		body, err := c.exchange(req, http.StatusOK)
		if err != nil {
			return err
		}
		a, err := parseAuth(body)
		if err == nil && (a.AuthenticationResult.RefreshToken == "" || a.AuthenticationResult.RefreshToken == old) {
			err = errors.New("a refresh token was not replaced")
		}
		tokens <- a.AuthenticationResult.RefreshToken
		return err
	}, nil
}
