package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"moat/internal/gateway"
	"moat/internal/issuer"
	"moat/internal/outbound"
	"moat/internal/pure/policy"
	"moat/internal/pure/token"
	"moat/internal/sandbox"
	"moat/internal/service/function"
	"moat/internal/service/iam"
	"moat/internal/service/identitypool"
	"moat/internal/service/logs"
	"moat/internal/service/parameter"
	"moat/internal/service/restapi"
	"moat/internal/service/stack"
	"moat/internal/service/stack/bundle"
	"moat/internal/service/trail"
	"moat/internal/service/userpool"
	"moat/internal/service/userpool/breached"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
	"moat/internal/wire/cognitoidentityapi"
	"moat/internal/wire/cognitoidpapi"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/lambdaapi"
	"moat/internal/wire/logsapi"
	"moat/internal/wire/ssmapi"
)

// parts are the services of a Moat, joined.
type parts struct {
	db        *store.DB
	authority *authority
	issuers   *issuer.Registry
	iam       *iam.Service
	userpool  *userpool.Service
	identity  *identitypool.Service
	parameter *parameter.Service
	logs      *logs.Service
	host      *sandbox.Host
	function  *function.Service
	gateway   *gateway.Gateway
	restapi   *restapi.Service
	stack     *stack.Service
	breached  *breached.File // nil: the list that comes with the program
	trail     *trail.Service
	pipeline  *wire.Pipeline
	access    *accessLog
	outbox    *outbox
}

// late is the pipeline for those who are made before it.
type late struct{ to *wire.Pipeline }

func (l *late) Invoke(ctx context.Context, api, operation string, in, out any) error {
	return l.to.Invoke(ctx, api, operation, in, out)
}

// join makes every service and gives each what it needs of the others. Nothing runs yet.
func join(ctx context.Context, db *store.DB, cfg *Config, at net.Addr) (*parts, error) {
	p := &parts{db: db, issuers: issuer.New(issuer.Config{Now: cfg.Now, Client: &http.Client{Transport: outbound.NewTransport(cfg.Dev || cfg.AllowPrivateTargets)}})}
	inProcess := &late{}
	steps := []func() error{
		func() (err error) { p.authority, err = openAuthority(ctx, db, cfg); return err },
		func() (err error) { p.outbox, err = newOutbox(db, cfg.Now); return err },
		func() error { return p.makeTrail(cfg) },
		func() error { return p.makeDirectory(ctx, cfg, inProcess) },
		func() error { return p.makeFunctions(cfg, at) },
		func() error { return p.makeGateway(ctx, cfg) },
		func() error { return p.makeStacks(cfg, inProcess) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	apis := p.apis()
	p.iam.Catalogue(apis)
	p.pipeline = wire.New(wire.Config{
		Authority: p.iam, EncodeRefusal: p.iam.EncodeRefusal, APIs: apis, Account: cfg.Account, Region: cfg.Region, Now: cfg.Now, Rand: cfg.Rand, Log: cfg.Log,
		Record: func(r wire.Record) {
			p.used(&r)
			p.trail.Record(r)
			if r.Via == "" && r.Method != "" { // not what services ask of each other
				r.Input, r.Output = nil, nil // they hold secrets
				cfg.Record(r)
			}
		},
	})
	inProcess.to = p.pipeline
	if err := p.restapi.PublishAll(ctx); err != nil {
		return nil, err
	}
	return p, p.trail.Open(ctx)
}

// makeDirectory makes the services that know people, principals and what they may do.
func (p *parts) makeDirectory(ctx context.Context, cfg *Config, inv wire.Invoker) (err error) {
	if p.iam, err = iam.New(iam.Config{DB: p.db, Account: cfg.Account, Issuers: p.issuers, Foreign: p.issuers, SAMLRecipients: []string{strings.TrimSuffix(cfg.BaseURL, "/") + "/saml"}, Guardrails: cfg.Guardrails, Now: cfg.Now, Rand: cfg.Rand, Log: cfg.Log}); err != nil {
		return err
	}
	if cfg.Dev {
		if err := p.iam.EnsureRoot(ctx, "test", "test"); err != nil {
			return err
		}
	}
	messenger, err := newMessenger(cfg, p.outbox)
	if err != nil {
		return err
	}
	var leaked breached.List
	if cfg.BreachedPasswords != "" {
		if p.breached, err = breached.Open(cfg.BreachedPasswords); err != nil {
			return fmt.Errorf("the list of leaked passwords cannot be used: %w", err)
		}
		leaked = p.breached
	}
	p.userpool, err = userpool.New(userpool.Config{
		Breached: leaked,
		DB:       p.db, Now: cfg.Now, Rand: cfg.Rand, Log: cfg.Log, Account: cfg.Account, BaseURL: cfg.BaseURL, Domain: cfg.Domain,
		Messenger: messenger, Prompt: cfg.Dev, Invoker: triggerInvoker{p}, PassRoler: p.iam, SenderKeys: senderKeys{ssmapi.Client(inv)},
		AppendLog: p.appendLines,
		Record:    func(r wire.Record) { p.trail.Record(r); cfg.Record(r) },
	})
	if err != nil {
		return err
	}
	p.issuers.RegisterResolver(p.userpool.KeysOf)
	p.identity, err = identitypool.New(identitypool.Config{
		DB: p.db, Now: cfg.Now, Rand: cfg.Rand, Log: cfg.Log, Account: cfg.Account, BaseURL: cfg.BaseURL,
		Issuers: p.issuers, Pools: livePools{p.userpool}, Roles: p.iam, Providers: accountProviders{p.iam}, Foreign: p.issuers,
	})
	if err != nil {
		return err
	}
	p.issuers.RegisterResolver(p.identity.Resolve)
	if p.parameter, err = parameter.New(parameter.Config{DB: p.db, Now: cfg.Now, Rand: cfg.Rand, Log: cfg.Log, Account: cfg.Account}); err != nil {
		return err
	}
	p.logs, err = logs.New(logs.Config{DB: p.db, Now: cfg.Now, Rand: cfg.Rand, Log: cfg.Log, Account: cfg.Account})
	return err
}

// makeFunctions makes the sandbox and the functions that run in it.
func (p *parts) makeFunctions(cfg *Config, at net.Addr) (err error) {
	address := at.String()
	p.host, err = sandbox.New(sandbox.Config{
		Dir: cfg.runDir(), Isolation: sandbox.Isolation(cfg.Isolation), Network: sandbox.Network(cfg.FunctionNetwork),
		EndpointPort: at.(*net.TCPAddr).Port, Endpoint: func(c net.Conn) { splice(c, address) },
		Now: cfg.Now, Rand: cfg.Rand, Log: cfg.Log,
	})
	if err != nil {
		return err
	}
	p.function, err = function.New(function.Config{
		DB: p.db, Host: p.host, Dir: cfg.codeDir(), Roles: functionRoles{p.iam}, PassRoler: p.iam, Authority: p.iam, Logs: functionLogs{p.logs},
		Account: cfg.Account, BaseURL: cfg.BaseURL, Now: cfg.Now, Rand: cfg.Rand, Log: cfg.Log,
	})
	return err
}

// makeGateway makes the data plane and its control plane.
func (p *parts) makeGateway(_ context.Context, cfg *Config) (err error) {
	p.access = newAccessLog(cfg.Log, p.logs.Append)
	p.access.node = p.db.Node()
	leaser := &lateLeaser{}
	p.gateway = gateway.New(gateway.Config{
		Authority: p.iam, Issuers: p.issuers, Pools: p.userpool, Invoker: gatewayInvoker{p.function, p.iam}, Leaser: leaser, Services: gatewayServices{p, cfg},
		AllowPrivate: cfg.Dev || cfg.AllowPrivateTargets, Domain: cfg.Domain, Now: cfg.Now, Rand: cfg.Rand, Log: cfg.Log,
		Lines:  p.access.line,
		Record: func(r wire.Record) { p.used(&r); p.access.record(&r); p.refused(&r); cfg.Record(r) },
	})
	p.restapi, err = restapi.New(restapi.Config{
		DB: p.db, Now: cfg.Now, Rand: cfg.Rand, Log: cfg.Log, Account: cfg.Account, BaseURL: cfg.BaseURL, Domain: cfg.Domain, Publisher: p.gateway, PassRoler: p.iam, Trusts: p.iam,
		Tester: p.gateway, Vouches: p.authority.serves, Reserved: p.reserved(cfg), Targets: cfg.VPCLinks, VPCEndpoints: cfg.endpointIDs(), Quotas: cfg.Quotas,
	})
	leaser.to = p.restapi
	return err
}

func (p *parts) makeStacks(cfg *Config, inv wire.Invoker) (err error) {
	p.stack, err = stack.New(stack.Config{
		DB: p.db, Now: cfg.Now, Rand: cfg.Rand, Log: cfg.Log, Account: cfg.Account, BaseURL: cfg.BaseURL, Domain: cfg.Domain,
		Services: stack.Services{
			UserPools: cognitoidpapi.Client(inv), IdentityPools: cognitoidentityapi.Client(inv), IAM: iamapi.Client(inv), Lambda: lambdaapi.Client(inv),
			APIGateway: apigatewayapi.Client(inv), SSM: ssmapi.Client(inv), Logs: logsapi.Client(inv),
		},
		Roles: stackRoles{p.iam}, Packager: bundle.New(cfg.Building), PackageDir: filepath.Join(cfg.codeDir(), "packages"), Shared: cfg.Database != "",
	})
	return err
}

func (p *parts) apis() []*wire.API {
	var all []*wire.API
	for _, s := range []interface{ APIs() []*wire.API }{p.iam, p.userpool, p.identity, p.parameter, p.logs, p.function, p.restapi, p.stack, p.trail} {
		all = append(all, s.APIs()...)
	}
	return all
}

// used tells who was seen last to use what. What a service asks on a caller's behalf counts for
// the caller's permissions, not for the key, which signed another call.
func (p *parts) used(r *wire.Record) {
	if r.Action == "" || r.Caller.Kind == "" {
		return
	}
	caller := r.Caller
	if r.Via != "" {
		caller.AccessKeyID = ""
	}
	service, action, _ := strings.Cut(r.Action, ":")
	p.iam.Used(caller, service, r.Region, action, r.Time)
}

// background is the work that goes on beside requests, by name.
func (p *parts) background(log *slog.Logger) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"user pools": p.userpool.Run, "functions": p.function.Run, "sandbox": p.host.Run, "REST APIs": p.restapi.Run,
		"stacks": p.stack.Run, "logs": p.logs.Run, "last use": p.iam.Run, "access log": p.access.run, "trail": p.trail.Run, "isolation": p.probe(log),
	}
}

// probe finds out early whether this machine can isolate functions, and says so when it cannot.
func (p *parts) probe(log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, err := p.host.Probe(ctx); err != nil && ctx.Err() == nil {
			log.Error("functions are refused on this machine; --isolation prefer runs them without isolation", "reason", err)
		}
		return nil
	}
}

func (p *parts) close() {
	if p.host != nil {
		_ = p.host.Close()
	}
	if p.breached != nil {
		_ = p.breached.Close()
	}
}

// reset empties every table but those of the installation itself: its certificate authority, its
// secrets, its spare signing keys, its trail, which is only added to. The root of `moat dev` is held in memory only.
func (p *parts) reset(ctx context.Context) error {
	if err := p.db.Reset(ctx, append(trail.Tables(), "server_authority", "userpool_reserve_keys", "userpool_secrets")...); err != nil {
		return err
	}
	return p.restapi.PublishAll(ctx)
}

// lateLeaser is the control plane for the gateway, which is made before it.
type lateLeaser struct{ to *restapi.Service }

func (l *lateLeaser) Lease(ctx context.Context, lease gateway.Lease) (int64, error) {
	return l.to.Lease(ctx, lease)
}

// gatewayInvoker runs functions for the gateway.
type gatewayInvoker struct {
	functions *function.Service
	iam       *iam.Service
}

func (g gatewayInvoker) Invoke(ctx context.Context, inv gateway.Invocation) (gateway.Result, error) {
	in := function.Invocation{
		Function: inv.FunctionARN, Payload: inv.Payload, RequestID: inv.RequestID, Trace: inv.Trace,
		Service: inv.Service, SourceARN: inv.SourceARN, SourceAccount: inv.SourceAccount, Caller: inv.Caller, Conditions: inv.Conditions,
	}
	if inv.Role != "" {
		caller, err := g.assume(ctx, inv)
		if err != nil {
			return gateway.Result{}, fmt.Errorf("%w: %w", gateway.ErrFunctionNotPermitted, err)
		}
		in.Service, in.Caller = "", &caller
	}
	if inv.Event {
		in.Type = function.EventType
	}
	res, err := g.functions.Invoke(ctx, in)
	var large *lambdaapi.RequestTooLargeException
	switch {
	case errors.As(err, &large):
		err = fmt.Errorf("%w: %w", gateway.ErrFunctionPayload, err)
	case errors.Is(err, function.ErrNotFound):
		err = fmt.Errorf("%w: %w", gateway.ErrFunctionNotFound, err)
	case errors.Is(err, function.ErrNotPermitted):
		err = fmt.Errorf("%w: %w", gateway.ErrFunctionNotPermitted, err)
	case errors.Is(err, function.ErrThrottled):
		err = fmt.Errorf("%w: %w", gateway.ErrFunctionThrottled, err)
	}
	return gateway.Result{Payload: res.Payload, FunctionError: res.FunctionError, LogTail: res.LogTail}, err
}

// assume is the gateway in the role that an integration names in its credentials: the role's
// trust policy decides whether the gateway may, its policies what it may call.
func (g gatewayInvoker) assume(ctx context.Context, inv gateway.Invocation) (wire.Caller, error) {
	return assume(ctx, g.iam, inv.Role, inv.Service, "BackplaneAssumeRoleSession", inv.SourceARN)
}

// assume makes a service that acts for source a session of a role.
func assume(ctx context.Context, who *iam.Service, role, service, session, source string) (wire.Caller, error) {
	keys := policy.Context{}
	if source != "" {
		keys.Set("aws:SourceArn", source)
	}
	c, _, err := who.ServiceCredentials(ctx, role, session, service, keys, 0)
	if err != nil {
		return wire.Caller{}, err
	}
	cred, err := who.Credential(ctx, c.AccessKeyID, c.SessionToken)
	return cred.Caller, err
}

// stackRoles gives stacks their service roles.
type stackRoles struct{ *iam.Service }

func (r stackRoles) AssumeServiceRole(ctx context.Context, roleARN, service, session, source string) (wire.Caller, bool, error) {
	who, err := assume(ctx, r.Service, roleARN, service, session, source)
	if errors.Is(err, iam.ErrNotTrusted) {
		return wire.Caller{}, false, nil
	}
	return who, err == nil, err
}

// triggerInvoker runs the triggers of user pools. The functions are made after the pools.
type triggerInvoker struct{ p *parts }

func (t triggerInvoker) InvokeTrigger(ctx context.Context, functionARN, poolARN string, event []byte) (userpool.TriggerResult, error) {
	res, err := t.p.function.Invoke(ctx, function.Invocation{
		Function: functionARN, Payload: event, Service: "cognito-idp.amazonaws.com", SourceARN: poolARN, SourceAccount: accountOf(poolARN),
	})
	for cause, code := range map[error]string{
		function.ErrNotFound: "ResourceNotFoundException", function.ErrNotPermitted: "AccessDeniedException", function.ErrThrottled: "TooManyRequestsException",
	} {
		if errors.Is(err, cause) {
			err = &userpool.TriggerError{Code: code, Err: err}
		}
	}
	return userpool.TriggerResult{Payload: res.Payload, Failed: res.FunctionError != ""}, err
}

// senderKeys reads the public keys of custom senders, in the name of who names them.
type senderKeys struct{ parameters ssmapi.Service }

func (k senderKeys) SenderKey(ctx context.Context, parameterARN string) (string, error) {
	call := *wire.CallFrom(ctx)
	if call.Via == "" {
		call.Via = "cognito-idp.amazonaws.com"
	}
	out, err := k.parameters.GetParameter(wire.WithCall(ctx, &call), &ssmapi.GetParameterRequest{Name: parameterARN, WithDecryption: wire.Bool(true)})
	if err != nil {
		return "", err
	}
	return wire.Value(out.Parameter.Value), nil
}

func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 5 {
		return ""
	}
	return parts[4]
}

// livePools tells identity pools whether a token still counts.
type livePools struct{ pools *userpool.Service }

func (l livePools) TokenActive(ctx context.Context, _ string, t *token.Token) (bool, error) {
	err := l.pools.TokenLive(ctx, t.Claims)
	var refused wire.Exception
	if errors.As(err, &refused) {
		return false, nil
	}
	return err == nil, err
}

// functionRoles gives functions the credentials of their roles.
type functionRoles struct{ iam *iam.Service }

func (r functionRoles) TrustsService(ctx context.Context, roleARN, service, source string) (bool, error) {
	return r.iam.RoleTrusts(ctx, roleARN, service, source)
}

func (r functionRoles) RoleCredentials(ctx context.Context, roleARN, service, source, session string, lifetime time.Duration) (function.Credentials, error) {
	c, err := r.iam.RoleCredentials(ctx, roleARN, session, iam.RoleOptions{
		Service: service, Duration: lifetime, Context: policy.Context{"aws:sourcearn": {source}},
		Session: policy.Context{"lambda:sourcefunctionarn": {source}}, // Lambda developer guide, "Working with source function ARN"
	})
	return function.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Expires: c.Expiration}, err
}

// functionLogs keeps what functions write.
type functionLogs struct{ logs *logs.Service }

func (l functionLogs) Append(ctx context.Context, region, group, stream string, events []function.LogEvent) error {
	out := make([]logs.Event, len(events))
	for i, e := range events {
		out[i] = logs.Event{Time: e.Time, Message: e.Message}
	}
	return l.logs.Append(ctx, region, group, stream, out)
}

// appendLines keeps lines in a log group.
func (p *parts) appendLines(ctx context.Context, region, group, stream string, times []time.Time, texts []string) error {
	events := make([]logs.Event, len(texts))
	for i := range texts {
		events[i] = logs.Event{Time: times[i], Message: texts[i]}
	}
	return p.logs.Append(ctx, region, group, stream, events)
}
