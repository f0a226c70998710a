package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"moat/internal/pure/sigv4"
)

// rig is the server under load, with a user pool, an API and what they need in it. It
// runs as `moat serve`: what it prints and enforces is what one has in production.
type rig struct {
	*process
	aws           *aws
	dir           string // its data
	host, address string // as requests name it, and where it listens
	backend       *backend
	pool          pool
	idTokens      []string // of sign-ins that were measured: not used yet
	role          string   // of functions, once there is one
}

// pool is a user pool with its clients and users.
type pool struct {
	id, arn              string
	public, confidential string
	secret               string
	tokenPath            string
	users                []string
}

const (
	userCount = 16
	password  = "Correct-Horse-9-Battery"
	scope     = "bench/read"
)

func (b *bench) newRig(ctx context.Context) (r *rig, err error) {
	dir, err := os.MkdirTemp(b.dir, "data-")
	if err != nil {
		return nil, err
	}
	r = &rig{dir: dir}
	if err = r.serve(ctx, b, readyText); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	r.aws = &aws{
		endpoint:    "http://" + r.address,
		credentials: sigv4.Credentials{AccessKeyID: r.event.Administrator.AccessKeyID, SecretAccessKey: r.event.Administrator.SecretAccessKey},
		http:        &http.Client{Timeout: time.Minute, Transport: &http.Transport{}},
	}
	if r.backend, err = newBackend(); err != nil {
		return nil, err
	}
	if r.pool, err = r.makePool(ctx, "bench", nil); err != nil {
		return nil, fmt.Errorf("the user pool: %w", err)
	}
	return r, r.calm(ctx)
}

// serve starts the server on the rig's data.
func (r *rig) serve(ctx context.Context, b *bench, ready func(string, *readyEvent) bool) error {
	args := []string{"serve", "--listen", "127.0.0.1:0", "--data", r.dir, "--allow-private-targets", "--isolation", "prefer", "--quota", "resources=10000", "--quota", "api-keys=2000000"}
	p, err := b.start(ctx, ready, nil, args...)
	if err != nil {
		return err
	}
	r.process = p
	r.host = strings.TrimPrefix(r.event.Endpoint, "http://")
	_, port, _ := strings.Cut(r.host, ":")
	r.address = "127.0.0.1:" + port
	return nil
}

// calm waits until the server has nothing of its own left to do: a new user pool has it
// make further signing keys for some seconds, which is nobody's cost of a request.
func (r *rig) calm(ctx context.Context) error {
	last := time.Duration(-1)
	for range 60 {
		cpu, err := r.cpu()
		if err != nil {
			return err
		}
		if last >= 0 && cpu-last < 10*time.Millisecond {
			return nil
		}
		last = cpu
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.New("the server does not come to rest")
}

func (r *rig) stop() {
	if r.aws != nil {
		r.aws.http.CloseIdleConnections()
	}
	if r.process != nil {
		r.process.stop()
	}
	if r.backend != nil {
		r.backend.close()
	}
}

const cognito = "AWSCognitoIdentityProviderService."

func (r *rig) cognito(ctx context.Context, operation string, in map[string]any, out any) error {
	return r.aws.json(ctx, "cognito-idp", cognito+operation, in, out)
}

// makePool makes a pool with a domain of the same name, its users and its clients.
func (r *rig) makePool(ctx context.Context, name string, tags map[string]string) (p pool, err error) {
	var made struct {
		UserPool struct{ Id, Arn string }
	}
	in := map[string]any{"PoolName": name}
	if tags != nil {
		in["UserPoolTags"] = tags
	}
	if err := r.cognito(ctx, "CreateUserPool", in, &made); err != nil {
		return p, err
	}
	p.id, p.arn = made.UserPool.Id, made.UserPool.Arn
	if err := r.cognito(ctx, "CreateUserPoolDomain", map[string]any{"UserPoolId": p.id, "Domain": name}, nil); err != nil {
		return p, err
	}
	p.tokenPath = "/_auth/" + name + "/oauth2/token"
	server := map[string]any{
		"UserPoolId": p.id, "Identifier": "bench", "Name": "bench", "Scopes": []map[string]string{{"ScopeName": "read", "ScopeDescription": "read"}},
	}
	if err := r.cognito(ctx, "CreateResourceServer", server, nil); err != nil {
		return p, err
	}
	for i := range userCount {
		name := fmt.Sprintf("user%02d", i)
		if err := r.cognito(ctx, "AdminCreateUser", map[string]any{"UserPoolId": p.id, "Username": name, "MessageAction": "SUPPRESS"}, nil); err != nil {
			return p, err
		}
		in := map[string]any{"UserPoolId": p.id, "Username": name, "Password": password, "Permanent": true}
		if err := r.cognito(ctx, "AdminSetUserPassword", in, nil); err != nil {
			return p, err
		}
		p.users = append(p.users, name)
	}
	return p, r.makeClients(ctx, &p)
}

func (r *rig) makeClients(ctx context.Context, p *pool) error {
	var made struct {
		UserPoolClient struct{ ClientId, ClientSecret string }
	}
	err := r.cognito(ctx, "CreateUserPoolClient", map[string]any{
		"UserPoolId": p.id, "ClientName": "public", "ExplicitAuthFlows": []string{"ALLOW_USER_SRP_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"},
	}, &made)
	if err != nil {
		return err
	}
	p.public = made.UserPoolClient.ClientId
	err = r.cognito(ctx, "CreateUserPoolClient", map[string]any{
		"UserPoolId": p.id, "ClientName": "confidential", "GenerateSecret": true, "AllowedOAuthFlowsUserPoolClient": true,
		"AllowedOAuthFlows": []string{"client_credentials"}, "AllowedOAuthScopes": []string{scope},
	}, &made)
	p.confidential, p.secret = made.UserPoolClient.ClientId, made.UserPoolClient.ClientSecret
	return err
}
