package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"moat/internal/http1"
	"moat/internal/wire"
)

// Exchange is one request to a deployed API with its answer. An HTTP engine fills
// the exported fields and calls [Gateway.Serve]; strings may be views of its buffers
// that live until Serve returns.
type Exchange struct {
	Context context.Context
	Lasting bool // Context is the same for many requests

	APIID, Stage string
	// Via says by which custom domain name the request came; nil: by the API's own.
	Via    *Via
	Method string
	// Path is the escaped path below the stage, Target the whole path as it was sent.
	Path, Target string
	RawQuery     string
	Host         string
	Proto        string // HTTP/1.1
	RemoteIP     string // of the connection; no header can change it
	// Endpoint is the VPC endpoint by which the request came; nil: by none.
	Endpoint *VPCEndpoint
	// CustomDomain is the domain name by which the API was found, "" when it was by its own address.
	CustomDomain string
	Secure       bool // arrived over TLS
	// TLS is the client's connection; nil without TLS.
	TLS *tls.ConnectionState
	// Fields is the header without Host.
	Fields []Field
	Body   io.Reader
	Length int64 // of Body; -1 when it is not known

	Out Writer

	g        *Gateway
	whole    *http1.Request // whose text the strings are views of; nil: they may be kept
	start    time.Time
	snap     *Snapshot
	path     string // Path with one leading slash
	segs     []segment
	resource *resource
	route    *route

	requestID, extendedID, traceID string
	calledTrace                    string // of functions
	random                         [27 + 16]byte
	idText                         [36 + 16 + 42]byte // of the three where nobody keeps them

	body     []byte
	bodyRead bool
	held     int64     // of the room that longer bodies share
	mapping  *mapState // of mapping templates
	params   []pair    // of the query string, once it was read
	buf      []byte    // of copyStream, kept for the next exchange
	lineRoom []byte    // of the access log's line, likewise

	// What the steps found out.
	key     *keyEntry
	keyTxt  string // the key's value, for the event
	caller  *wire.Caller
	signer  wire.Caller       // that caller may be
	assumed map[string]string // of a test alone: $context variables without their prefix
	claims  *identity
	// bearer is the token of claims, a view of its field, bearerSum its keyed hash, and
	// told the claims themselves, once somebody has asked.
	bearer    string
	bearerSum [32]byte
	told      *claimSet
	room      *conditionRoom
	custom    *customResult
	who       string
	step      string
	// grounds says why the request was let in.
	grounds string
	arn     string // a view of arnRoom
	arnRoom []byte
	alias   string // the VPC endpoint that the host joins with the API, "" when it names none
	granted *grant

	phases      phases
	endpoint    endpoint
	decoded     bool          // the body came compressed and is so no longer
	integrated  bool          // the integration was asked
	consulted   bool          // the authorizer's function was
	authorizing time.Duration // what the authorizer function took

	canary   canaryState
	cache    cacheState
	cacheKey []byte // its memory is kept
	tee      []byte // a streamed answer that may be kept
	warning  string // for the client

	reply       reply
	direct      direct
	written     int64
	integration time.Duration
}

// Writer takes the answer to the client. Head is called once and first; length is
// -1 when it is not known. Abort ends the connection of an answer that broke off.
type Writer interface {
	Head(status int, fields []Field, length int64)
	Write(p []byte) (int, error)
	Flush()
	Abort()
}

// reply is an integration's answer on its way out.
type reply struct {
	status int
	fields []Field
	body   []byte
	stream io.Reader
	length int64
	trace  bool
	done   func()
}

// step is one part of a request's way. The list is flat and the same for every request.
type step struct {
	name string
	run  func(*Exchange) error
	// fresh marks what an answer from the cache does not go through.
	fresh bool
}

// steps is the way of every request, in the order in which AWS decides.
func steps() [9]step {
	return [...]step{
		{"match", match, false},
		{"resource policy", resourcePolicy, false},
		{"api key", apiKey, false},
		{"throttle", throttle, false},
		{"authorise", authorise, false},
		{"cache", cached, false},
		{"validate", validate, true},
		{"integrate", integrate, true},
		{"respond", respond, false},
	}
}

// errAborted ends an exchange whose answer has begun and cannot be finished.
var errAborted = errors.New("gateway: the answer broke off")

// Serve walks the steps and writes the answer. The exchange may be used again afterwards.
func (g *Gateway) Serve(x *Exchange) {
	x.g, x.start = g, g.cfg.Now()
	x.identify()
	var err error
	for i := range g.steps {
		s := &g.steps[i]
		if s.fresh && x.cache == cacheHit {
			continue
		}
		x.step = s.name
		if err = s.run(x); err != nil {
			break
		}
	}
	refusal := refusalOf(err)
	if refusal != nil {
		x.refused(refusal)
	}
	x.finish()
	x.record(refusal, err)
	if err == errAborted {
		x.Out.Abort()
	}
}

// refusalOf gives the answer to an error of a step; an error that is none is ours to
// be ashamed of.
func refusalOf(err error) *Refusal {
	if err == nil || err == errAborted {
		return nil
	}
	if r, ok := err.(*Refusal); ok {
		return r
	}
	return refuse(Default5XX, err.Error())
}

// identify gives the exchange its ids, in the forms that AWS's have.
func (x *Exchange) identify() {
	b := x.random[:27]
	x.chance(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // RFC 9562, version 4
	id := x.idText[:36]
	hex.Encode(id[:8], b[:4])
	hex.Encode(id[9:13], b[4:6])
	hex.Encode(id[14:18], b[6:8])
	hex.Encode(id[19:23], b[8:10])
	hex.Encode(id[24:], b[10:16])
	id[8], id[13], id[18], id[23] = '-', '-', '-', '-'
	ext := x.idText[36:52]
	base64.URLEncoding.Encode(ext, b[16:27])
	x.requestID, x.extendedID = x.text(id), x.text(ext)
}

// chance fills b with randomness.
func (x *Exchange) chance(b []byte) {
	if x.g.cfg.Rand == rand.Reader {
		x.g.random.fill(b)
	} else if _, err := io.ReadFull(x.g.cfg.Rand, b); err != nil { // a test's own
		panic("gateway: no randomness: " + err.Error())
	}
}

// text is a string of bytes that are the exchange's own: a view of them while all its strings
// are such.
func (x *Exchange) text(b []byte) string {
	if x.whole != nil {
		return view(b)
	}
	return string(b)
}

// keepText makes the exchange's strings, and others that may be views as they are, strings that
// may be kept. Most exchanges do without: see [Snapshot.passes].
func (x *Exchange) keepText(others ...*string) {
	r := x.whole
	if r == nil {
		return
	}
	x.whole = nil
	all := append(others, &x.APIID, &x.Stage, &x.Method, &x.Path, &x.Target, &x.RawQuery, &x.Host, &x.path, &x.keyTxt, &x.bearer, &x.who, &x.grounds)
	for i := range x.segs {
		all = append(all, &x.segs[i].key)
	}
	r.Own(all...)
	x.requestID, x.extendedID, x.traceID = strings.Clone(x.requestID), strings.Clone(x.extendedID), strings.Clone(x.traceID)
}

// match finds the stage, reads the path once, and finds the route.
func match(x *Exchange) error {
	x.readAlias()
	x.snap = (*x.g.stages.Load())[stageKey{x.APIID, x.Stage}]
	if x.snap == nil {
		if (*x.g.apis.Load())[x.APIID] == 0 {
			return unreachable("no API " + x.APIID + " is deployed here")
		}
		return unreachable("the API has no stage " + x.Stage)
	}
	if err := x.reach(); err != nil {
		return err
	}
	if x.snap.def.DisableDefaultEndpoint && x.CustomDomain == "" {
		return unreachable("the API's own address is disabled: it is served at its domain names")
	}
	if err := x.boundHeader(); err != nil {
		return err
	}
	x.APIID, x.Stage = x.snap.key.api, x.snap.key.stage
	x.split()
	var err error
	if x.path, x.segs, err = parsePath(x.Path, x.segs[:0]); err != nil {
		return refuse(Default4XX, "the path has more than one reading")
	}
	if x.Length > maxBody {
		return tooLarge("the body is declared to be larger than 10 MB")
	}
	if x.resource = x.snap.root.match(x.segs); x.resource == nil {
		return refuse(MissingAuthenticationToken, "no resource matches the path")
	}
	if x.route = x.resource.route(x.Method); x.route == nil {
		return refuse(MissingAuthenticationToken, "the resource "+x.resource.path+" has no method "+x.Method)
	}
	if x.ambiguous() {
		return refuse(Default4XX, "a reader of the path behind us could find another resource in it")
	}
	if !x.route.passing {
		x.keepText()
	}
	return nil
}

// refused writes a refusal by the API's gateway responses.
func (x *Exchange) refused(r *Refusal) {
	a := &answer{}
	if x.snap != nil {
		a = &x.snap.answers[r.Kind]
	}
	status := r.status()
	if r.Plain != "" {
		x.reply.status = status
		x.write(status, append(x.reply.fields[:0], Field{"x-amzn-RequestId", x.requestID}, Field{"Content-Type", "text; charset=utf-8"}), []byte(r.Plain))
		return
	}
	if a.status != 0 {
		status = a.status
	}
	x.reply.status = status
	template, contentType := a.template(x), "application/json"
	if template != nil {
		contentType = template.contentType
	}
	fields := append(x.reply.fields[:0], Field{"x-amzn-RequestId", x.requestID}, Field{"x-amzn-ErrorType", r.errorType()}, Field{"x-amz-apigw-id", x.extendedID})
	typed := false
	for _, f := range a.fields(x, r) {
		typed = typed || strings.EqualFold(f.Name, "Content-Type")
		fields = append(fields, f)
	}
	if !typed {
		fields = append(fields, Field{"Content-Type", contentType})
	}
	if r.Status == http.StatusServiceUnavailable {
		fields = append(fields, Field{"Retry-After", retryAfter})
	}
	x.write(status, fields, template.render(x, r))
}

// write sends a complete answer.
func (x *Exchange) write(status int, fields []Field, body []byte) {
	x.reply.fields = fields
	x.Out.Head(status, fields, int64(len(body)))
	if x.Method == http.MethodHead || bodyless(status) || len(body) == 0 {
		return
	}
	n, _ := x.Out.Write(body)
	x.written = int64(n)
}

func bodyless(status int) bool {
	return status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
}

// respond sends what the integration answered.
func respond(x *Exchange) error {
	if x.reply.stream == nil {
		x.keepAnswer(x.reply.body)
		if err := x.holds(x.reply.body); err != nil {
			return err
		}
	}
	streamed := x.reply.fields
	fields := append(x.reply.fields, Field{"x-amzn-RequestId", x.requestID}, Field{"x-amz-apigw-id", x.extendedID})
	if x.reply.trace {
		trace := x.calledTrace
		if trace == "" { // an answer of the cache: no function was called
			trace = x.trace()
		}
		fields = append(fields, Field{"X-Amzn-Trace-Id", trace})
	}
	if x.warning != "" {
		fields = append(fields, Field{"Warning", x.warning})
	}
	typed := false
	for i := range fields {
		typed = typed || sameName(fields[i].Name, "Content-Type")
	}
	if !typed && !bodyless(x.reply.status) {
		fields = append(fields, Field{"Content-Type", "application/json"})
	}
	length := x.reply.length
	if x.reply.stream == nil {
		length = int64(len(x.reply.body))
	}
	coding := x.coding(fields, length)
	if coding != "" {
		fields, length = append(fields, Field{"Content-Encoding", coding}, Field{"Vary", "Accept-Encoding"}), -1
	}
	if x.reply.stream == nil {
		body := x.reply.body
		if coding != "" {
			body = x.g.compressed(coding, body)
		}
		x.write(x.reply.status, fields, body)
		return nil
	}
	x.Out.Head(x.reply.status, fields, length)
	x.reply.fields = streamed
	if x.Method == http.MethodHead || bodyless(x.reply.status) {
		return nil
	}
	return x.copyStream(coding)
}

// copyStream passes an upstream's body on as it comes.
func (x *Exchange) copyStream(coding string) error {
	out := x.sink(coding)
	defer out.release()
	if x.buf == nil {
		x.buf = make([]byte, 32<<10)
	}
	for passed := 0; ; {
		n, err := x.reply.stream.Read(x.buf)
		if passed += n; passed > maxBody {
			return errAborted
		}
		if n > 0 {
			if x.cache == cacheMiss && len(x.tee) <= maxCached {
				x.tee = append(x.tee, x.buf[:n]...)
			}
			if _, werr := out.Write(x.buf[:n]); werr != nil {
				return errAborted
			}
			if x.reply.length < 0 {
				out.flush()
			}
		}
		if err == io.EOF {
			if out.end() != nil {
				return errAborted
			}
			x.keepAnswer(x.tee)
			return nil
		}
		if err != nil {
			return errAborted
		}
	}
}

// record tells what happened, once per exchange. What is told of a refusal may be kept.
func (x *Exchange) record(r *Refusal, err error) {
	if r != nil {
		x.keepText(&r.Grounds, &r.Message)
	}
	rec := wire.Record{
		Time: x.start, RequestID: x.requestID, Kind: wire.KindAPI, Service: "execute-api",
		Method: x.Method, Path: x.Target, Host: x.Host, SourceIP: x.RemoteIP, UserAgent: x.get("User-Agent"),
		API: x.APIID, Stage: x.Stage, Status: x.reply.status, Step: x.step, Who: x.who,
		BytesIn: max(x.Length, int64(len(x.body))), BytesOut: x.written, Integration: x.integration, Latency: x.g.cfg.Now().Sub(x.start),
	}
	if x.snap != nil {
		rec.Account, rec.Region = x.snap.def.Account, x.snap.def.Region
	}
	if x.route != nil {
		rec.Route, rec.Resource = x.route.name, x.resource.path
	}
	if x.key != nil {
		rec.KeyID = x.key.ID
	}
	if x.caller != nil {
		rec.AccessKey, rec.Caller, rec.Action = x.caller.AccessKeyID, *x.caller, actionInvoke
	}
	rec.Grounds = x.grounds
	switch {
	case r != nil:
		rec.Grounds, rec.ErrorCode, rec.ErrorMessage, rec.Checks = r.Grounds, r.errorType(), r.message(), r.checks
	case err != nil:
		rec.Grounds = err.Error()
	}
	x.observe(r, rec.Latency)
	x.g.cfg.Record(rec)
}
