package wire

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"time"

	"moat/internal/pure/sigv4"
)

// Config configures a [Pipeline].
type Config struct {
	Authority Authority
	APIs      []*API
	Account   string // of this installation
	Region    string // for calls that name none
	Now       func() time.Time
	Rand      io.Reader
	Log       *slog.Logger
	// Record receives one record per call, after its answer was written; an
	// in-process call has one of its own, with Via set. It may be nil. While it
	// blocks, the caller waits for the end of the answer.
	Record func(Record)
	// EncodeRefusal makes the encoded message of a refusal, which only this
	// installation can read; "" for none. It may be nil.
	EncodeRefusal func(Refused) string
	// MaxBody bounds a request's body, 8 MiB when zero. APIs that carry
	// function packages have their own bound.
	MaxBody int64
	// Strict makes an exception that the model does not list for its operation
	// a panic that nothing here catches. For tests.
	Strict bool
}

const (
	defaultMaxBody = 8 << 20
	packageMaxBody = 80 << 20 // a function package of 50 MiB, in base64, with what stands around it
)

// stage is one step of a call.
type stage struct {
	name string
	run  func(*exchange) error
}

// Pipeline answers AWS calls from the network (it is an [http.Handler]) and from
// inside the process (it is an [Invoker]). It is safe for concurrent use.
type Pipeline struct {
	cfg       Config
	planner   planner
	keys      sigv4.Keys
	ends      []*endpoint
	byHost    map[string]*endpoint
	byTarget  map[string]*endpoint
	bySigning map[string][]*endpoint
	network   []stage
	inProcess []stage

	randMu sync.Mutex
	rooms  sync.Pool // of *[]byte; see room.go
}

// New makes a pipeline of the APIs that cfg names. The APIs and their tables must
// not change afterwards, except that Resources may be set before the first call.
func New(cfg Config) *Pipeline {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = defaultMaxBody
	}
	p := &Pipeline{
		cfg: cfg, byHost: map[string]*endpoint{}, byTarget: map[string]*endpoint{}, bySigning: map[string][]*endpoint{},
		// The way of every call. What is not in this list happens to none.
		network: []stage{
			{"identify", (*exchange).identify},
			{"authenticate", (*exchange).authenticate},
			{"decode", (*exchange).decode},
			{"validate", (*exchange).validate},
			{"authorise", (*exchange).authorise},
			{"call", (*exchange).invoke},
			{"encode", (*exchange).encode},
		},
		inProcess: []stage{
			{"validate", (*exchange).validate},
			{"authorise", (*exchange).authorise},
			{"call", (*exchange).invoke},
		},
	}
	for _, api := range cfg.APIs {
		e := newEndpoint(api)
		p.ends = append(p.ends, e)
		p.byHost[api.Endpoint] = e
		if api.TargetPrefix != "" {
			p.byTarget[api.TargetPrefix] = e
		}
		p.bySigning[api.Signing] = append(p.bySigning[api.Signing], e)
	}
	return p
}

// exchange is one call on its way through the stages.
type exchange struct {
	p   *Pipeline
	ctx context.Context
	r   *http.Request

	protocol   string // as far as it is known; decides the shape of an error
	host       hostName
	end        *endpoint
	op         *operation
	message    message
	limit      int64
	bodyRead   bool
	chunks     *sigv4.Chunks // the body, when it comes in signed chunks
	formRead   bool
	violations Violations

	call    *Call
	in      any
	out     any
	answer  answer
	record  Record
	refusal refusalMessage
	checks  checks
	room    *[]byte // for the body, then for the answer
}

// ServeHTTP answers one AWS call.
func (p *Pipeline) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if preflight(w, r) {
		return
	}
	now := p.cfg.Now()
	x := &exchange{p: p, ctx: r.Context(), r: r, limit: p.cfg.MaxBody, call: &Call{
		RequestID: p.newID(now), Account: p.cfg.Account, Region: p.cfg.Region, SourceIP: sourceIP(r),
		Host: r.Host, UserAgent: r.UserAgent(), Referer: r.Referer(), Secure: r.TLS != nil, Time: now,
	}}
	x.refusal.encode = p.cfg.EncodeRefusal
	x.call.checks, x.call.refusal = x.checksToKeep(), &x.refusal
	x.message.header = r.Header
	x.record = Record{
		Time: now, Kind: KindAWS, Method: r.Method, Path: r.URL.EscapedPath(), Host: r.Host,
		SourceIP: x.call.SourceIP, UserAgent: x.call.UserAgent, BytesIn: max(r.ContentLength, 0),
	}
	if err := x.walk(p.network); err != nil {
		e := x.fault(err)
		x.answer = p.encodeError(e, x.errorProtocol(), x.api(), x.call.RequestID)
	}
	x.write(w)
	x.finish()
}

// Invoke implements [Invoker]: the call is made for the caller that ctx carries,
// validated and authorised like any other.
func (p *Pipeline) Invoke(ctx context.Context, api, name string, in, out any) error {
	end := p.byHost[api]
	if end == nil || end.ops[name] == nil {
		return NotImplemented(api, name)
	}
	op := end.ops[name]
	if reflect.TypeOf(in) != reflect.PointerTo(op.Input) || reflect.TypeOf(out) != reflect.PointerTo(op.Output) {
		return fmt.Errorf("wire: %s %s takes a *%s and gives a *%s, not a %T and a %T", api, name, op.Input, op.Output, in, out)
	}
	call := *CallFrom(ctx)
	call.Service, call.Operation, call.Resource, call.Time = api, name, "", p.cfg.Now()
	if call.RequestID == "" {
		call.RequestID = p.newID(call.Time)
	}
	if call.Account == "" {
		call.Account = p.cfg.Account
	}
	if call.Region == "" {
		call.Region = p.cfg.Region
	}
	x := &exchange{p: p, ctx: ctx, end: end, op: op, protocol: end.api.Protocol, call: &call, in: in}
	call.checks, call.refusal = x.checksToKeep(), nil
	x.record = Record{Time: call.Time, Kind: KindAWS, Host: call.Host, SourceIP: call.SourceIP, UserAgent: call.UserAgent}
	err := x.walk(p.inProcess)
	if err != nil {
		e := x.fault(err)
		x.record.Status = e.HTTPStatus()
		if _, known := asException(err); known {
			err = e
		}
	} else {
		x.record.Status = op.Status
		if o := reflect.ValueOf(x.out); o.Kind() == reflect.Pointer && !o.IsNil() {
			reflect.ValueOf(out).Elem().Set(o.Elem())
		}
	}
	x.in = shallowCopy(in) // the caller may use its own again at once
	x.finish()
	return err
}

// shallowCopy returns a pointer to a copy of what a pointer points to.
func shallowCopy(p any) any {
	v := reflect.ValueOf(p)
	if v.IsNil() {
		return nil
	}
	c := reflect.New(v.Type().Elem())
	c.Elem().Set(v.Elem())
	return c.Interface()
}

// checksToKeep is where the decisions about this call are collected, nil when nobody records them.
func (x *exchange) checksToKeep() *checks {
	if x.p.cfg.Record == nil {
		return nil
	}
	return &x.checks
}

// walk runs the stages in order, to the first error. A panic of a stage is an
// error of ours and no reason to take others down.
func (x *exchange) walk(stages []stage) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if _, strict := v.(strictFailure); strict || v == http.ErrAbortHandler {
			panic(v)
		}
		err = fmt.Errorf("panic in %s: %v\n%s", x.record.Step, v, stackTrace())
	}()
	for _, s := range stages {
		x.record.Step = s.name
		if err := s.run(x); err != nil {
			return err
		}
	}
	return nil
}

// decode reads the input. Members that are missing are left to validate.
func (x *exchange) decode() (err error) {
	x.in, err = x.p.planner.decode(x.op, &x.message, &x.violations)
	return err
}

// validate checks the constraints of the model.
func (x *exchange) validate() error {
	if x.op.Validate != nil {
		x.op.Validate(x.in, &x.violations)
	}
	if x.violations.Len() > 0 {
		return validationFailure(x.end.api, &x.violations)
	}
	return nil
}

// strictFailure is the panic of strict mode.
type strictFailure string

// invoke calls the service.
func (x *exchange) invoke() (err error) {
	x.out, err = x.op.Call(WithCall(x.ctx, x.call), x.in)
	if err == nil || !x.p.cfg.Strict {
		return err
	}
	if e, ok := asException(err); ok {
		if code := e.ErrorCode(); e.HTTPStatus() != http.StatusNotImplemented && !isCommon(code) && !slices.Contains(x.op.Errors, code) {
			panic(strictFailure(fmt.Sprintf("%s %s answered %s (%s), which its model does not list", x.call.Service, x.op.Name, code, e.ErrorMessage())))
		}
	}
	return err
}

// encode makes the answer of the output.
func (x *exchange) encode() error {
	var room []byte
	if x.room != nil {
		room = *x.room
	}
	x.answer = x.p.planner.encode(x.op, x.out, x.protocol, x.call.RequestID, room)
	if x.room != nil && x.protocol == protocolJSON && cap(x.answer.body) <= maxRoomSize {
		*x.room = x.answer.body[:0] // it may have grown
	}
	return nil
}

// fault turns an error into what the caller sees. What is not an exception is
// logged with its cause, here and nowhere else.
func (x *exchange) fault(err error) Exception {
	e, known := asException(err)
	if !known {
		x.record.Grounds = err.Error()
		level := slog.LevelError
		if x.ctx.Err() != nil { // the client went away: nobody's fault
			level = slog.LevelDebug
		}
		x.p.cfg.Log.LogAttrs(x.ctx, level, "AWS call failed", slog.String("request", x.call.RequestID),
			slog.String("service", x.call.Service), slog.String("operation", x.call.Operation),
			slog.String("step", x.record.Step), slog.Any("cause", err))
	}
	x.record.ErrorCode, x.record.ErrorMessage = e.ErrorCode(), e.ErrorMessage()
	return e
}

// errorProtocol is the shape of an error as long as no API is known: what the
// request looks like.
func (x *exchange) errorProtocol() string {
	switch {
	case x.protocol != "":
		return x.protocol
	case x.r.Header.Get("X-Amz-Target") != "":
		return protocolJSON
	case hasPrefixFold(x.r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		return protocolQuery
	}
	return protocolRESTJSON
}

func (x *exchange) api() *API {
	if x.end == nil {
		return nil
	}
	return x.end.api
}

// write sends the answer.
func (x *exchange) write(w http.ResponseWriter) {
	h := w.Header()
	values := make([]string, 0, len(x.answer.header)+2)
	set := func(name, value string) {
		values = append(values, value)
		n := len(values)
		h[name] = values[n-1 : n : n]
	}
	for _, p := range x.answer.header {
		set(p.name, p.value)
	}
	set("X-Amzn-Requestid", x.call.RequestID)
	if message := x.refusal.taken(); message != "" && x.answer.status >= http.StatusBadRequest {
		h.Set(MessageHeader, message)
	}
	set("Content-Length", itoa(len(x.answer.body)))
	if x.r.Header.Get("Origin") != "" {
		allowOrigin(h)
	}
	if x.answer.status == http.StatusNoContent {
		h.Del("Content-Length")
	}
	w.WriteHeader(x.answer.status)
	n, err := w.Write(x.answer.body) // the client may be gone
	x.record.Status, x.record.BytesOut = x.answer.status, int64(n)
	if err == nil { // or else net/http may read it still
		x.giveRoom()
	}
}

// finish tells what happened.
func (x *exchange) finish() {
	r, c := &x.record, x.call
	r.RequestID, r.Service, r.Operation, r.Account, r.Region, r.Via = c.RequestID, c.Service, c.Operation, c.Account, c.Region, c.Via
	if x.op != nil {
		r.Action = actionOf(x.op)
	}
	if c.Caller.Kind != "" {
		r.Who, r.Caller = nameOf(c.Caller), c.Caller
	}
	if r.AccessKey == "" {
		r.AccessKey = c.Caller.AccessKeyID
	}
	r.Input, r.Output, r.Checks = x.in, x.out, x.checks.taken()
	r.Latency = x.p.cfg.Now().Sub(r.Time)
	if x.p.cfg.Log.Enabled(x.ctx, slog.LevelDebug) { // or else what is told of is made for nothing
		x.log()
	}
	if x.p.cfg.Record != nil {
		x.p.cfg.Record(*r)
	}
}

func (x *exchange) log() {
	r := &x.record
	x.p.cfg.Log.LogAttrs(x.ctx, slog.LevelDebug, "AWS call", slog.String("request", r.RequestID),
		slog.String("service", r.Service), slog.String("operation", r.Operation), slog.Int("status", r.Status),
		slog.String("who", r.Who), slog.String("step", r.Step), slog.String("error", r.ErrorCode),
		slog.Duration("latency", r.Latency))
}

// newID makes the id of a request. The source of randomness may be a test's.
func (p *Pipeline) newID(at time.Time) string {
	var b [16]byte
	p.randMu.Lock()
	_, err := io.ReadFull(p.cfg.Rand, b[:])
	p.randMu.Unlock()
	if err != nil {
		panic("wire: no randomness: " + err.Error())
	}
	return requestID(at, b)
}
