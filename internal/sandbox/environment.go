package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// initTimeout bounds the init phase of an environment, as Lambda does; a function
// whose own timeout is longer may use that.
const initTimeout = 10 * time.Second

// errNotTaken: the environment never asked for the work, so it may run elsewhere.
var errNotTaken = errors.New("the environment did not take the invocation")

// environment is one process tree and the Runtime API that it talks to.
type environment struct {
	host *Host
	spec *Spec
	pool *pool
	id   string

	expires   time.Time
	idleSince time.Time // guarded by the host's mutex

	cmd   *exec.Cmd
	api   net.Listener
	door  net.Listener // the endpoint's, or nil
	group *cgroup
	log   *logPipe
	// secret begins each path of the Runtime API where others reach it too.
	secret string

	ready chan struct{}  // closed when the runtime first asks for work
	work  chan *delivery // handed to the runtime's call of "next"
	quit  chan struct{}  // closed when the process has ended: calls of "next" return
	gone  chan struct{}  // closed when all that it has said was heard
	conns sync.WaitGroup

	mu       sync.Mutex
	isReady  bool
	current  *delivery
	failed   *failure      // of the init phase
	waiting  chan struct{} // closed to supersede a pending call of "next"
	open     map[net.Conn]struct{}
	exit     string // how the process ended, in Lambda's words
	ended    bool   // end was called
	initTime time.Duration
	peak     int // memory, in MB
	peakRead time.Time
}

// delivery is an invocation on its way through an environment.
type delivery struct {
	Invocation
	deadline time.Time
	begun    time.Time
	done     chan struct{}
	payload  []byte
	failed   bool
}

// failure is an error of the runtime or the function, as the caller gets it.
type failure struct {
	payload []byte
}

// start makes an environment and waits for the end of its init phase. The place that
// take reserved stays the caller's if start fails.
func (h *Host) start(ctx context.Context, spec *Spec, p *pool) (*environment, error) {
	if _, err := h.Probe(ctx); err != nil {
		return nil, err
	}
	program, err := h.runtimes.resolve(ctx, spec.Runtime)
	if err != nil {
		return nil, err
	}
	id, err := h.randomHex(16)
	if err != nil {
		return nil, err
	}
	var st Start
	if spec.Start != nil {
		if st, err = spec.Start(ctx, id); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	l, err := h.launch(ctx, spec, program, st.Env)
	if err != nil {
		return nil, err
	}
	e := &environment{
		host: h, spec: spec, pool: p, id: id, expires: st.Expires,
		cmd: l.cmd, api: l.api, door: l.door, group: l.group, secret: l.secret,
		ready: make(chan struct{}), work: make(chan *delivery), quit: make(chan struct{}), gone: make(chan struct{}),
		open: map[net.Conn]struct{}{},
	}
	e.log = newLogPipe(l.output, st.Sink)
	open := h.adopt(e)
	e.run()
	if !open {
		e.end("the host is closed")
	}
	e.awaitInit(began)
	return e, nil
}

// run starts what serves the environment until its process has ended.
func (e *environment) run() {
	go e.log.run()
	go e.serve(e.api, e.serveAPI)
	if e.door != nil {
		go e.serve(e.door, atMost(maxDoorConns, e.host.cfg.Endpoint))
	}
	go e.reap()
}

// maxDoorConns bounds the connections of one environment to the endpoint: each costs the
// host files that all environments share.
const maxDoorConns = 256

// atMost closes what is beyond n connections at a time.
func atMost(n int, handle func(net.Conn)) func(net.Conn) {
	places := make(chan struct{}, n)
	return func(c net.Conn) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			handle(c)
		default:
			_ = c.Close()
		}
	}
}

func (e *environment) serve(l net.Listener, handle func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go handle(c)
	}
}

// reap waits for the end of the process and cleans up after it.
func (e *environment) reap() {
	defer e.host.ending.Done()
	err := e.cmd.Wait()
	e.mu.Lock()
	e.exit = exitReason(err)
	for c := range e.open { // what it has sent is still read, but no longer waited for
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	}
	e.mu.Unlock()
	close(e.quit)
	_ = e.api.Close()
	if e.door != nil {
		_ = e.door.Close()
	}
	e.conns.Wait()
	e.log.finish()
	e.group.remove()
	e.host.forget(e)
	close(e.gone)
}

// exitReason words the end of a process as Lambda does.
func exitReason(err error) string {
	var exit *exec.ExitError
	if err == nil || !errors.As(err, &exit) {
		return "Runtime exited without providing a reason"
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return "Runtime exited with error: signal: " + ws.Signal().String()
	}
	return fmt.Sprintf("Runtime exited with error: exit status %d", exit.ExitCode())
}

// awaitInit waits until the runtime asks for work, has failed, or takes too long.
func (e *environment) awaitInit(began time.Time) {
	limit := max(initTimeout, e.spec.Timeout)
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-e.ready:
	case <-e.gone:
	case <-t.C:
		e.mu.Lock()
		if e.failed == nil {
			e.failed = newFailure("Sandbox.Timedout", fmt.Sprintf("Task timed out after %.2f seconds", limit.Seconds()))
		}
		e.mu.Unlock()
		e.end("its init phase took too long")
		<-e.gone
	}
	e.mu.Lock()
	e.initTime = time.Since(began)
	e.mu.Unlock()
}

// invoke hands an invocation to the runtime and waits for its outcome. errNotTaken
// means that the function has not seen it.
func (e *environment) invoke(inv Invocation, cold bool) (Result, error) {
	// The process lives in the machine's time, so its deadline is of that clock.
	now := time.Now()
	d := &delivery{Invocation: inv, begun: now, deadline: now.Add(e.spec.Timeout), done: make(chan struct{})}
	limit := patience
	if cold {
		limit = coldPatience
	}
	wait := time.NewTimer(limit)
	defer wait.Stop()
	select {
	case e.work <- d:
	case <-e.gone:
		if !cold {
			return Result{}, errNotTaken
		}
		return e.initFailure(d), nil
	case <-wait.C:
		return Result{}, errNotTaken
	}
	timeout := time.NewTimer(e.spec.Timeout)
	defer timeout.Stop()
	select {
	case <-d.done:
	case <-e.gone:
		e.crashed(d)
	case <-timeout.C:
		e.timedOut(d)
	}
	return e.report(d, cold), nil
}

// initFailure is the outcome of an invocation whose environment never became ready.
func (e *environment) initFailure(d *delivery) Result {
	e.mu.Lock()
	f, exit := e.failed, e.exit
	e.mu.Unlock()
	d.failed = true
	if f != nil {
		d.payload = f.payload
	} else {
		d.payload = errorPayload("Runtime.ExitError", "RequestId: "+d.RequestID+" Error: "+exit)
	}
	e.log.begin(d.RequestID, d.Version)
	return e.report(d, true)
}

// crashed sets the outcome of an invocation whose process has ended without answer.
func (e *environment) crashed(d *delivery) {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-d.done: // it answered, then it ended
		return
	default:
	}
	e.current = nil
	d.failed = true
	d.payload = errorPayload("Runtime.ExitError", "RequestId: "+d.RequestID+" Error: "+e.exit)
}

// timedOut sets the outcome of an invocation that has used up its time, unless its
// answer came in that moment.
func (e *environment) timedOut(d *delivery) {
	e.mu.Lock()
	select {
	case <-d.done:
		e.mu.Unlock()
		return
	default:
	}
	e.current = nil
	e.mu.Unlock()
	e.end("it timed out")
	<-e.gone
	text := fmt.Sprintf("Task timed out after %.2f seconds", e.spec.Timeout.Seconds())
	d.failed = true
	d.payload = errorPayload("Sandbox.Timedout", "RequestId: "+d.RequestID+" Error: "+text)
	e.log.line(time.Now().UTC().Format("2006-01-02T15:04:05.000Z") + " " + d.RequestID + " " + text + "\n")
}

// report ends the log of an invocation and makes its Result.
func (e *environment) report(d *delivery, cold bool) Result {
	took := time.Since(d.begun)
	res := Result{Payload: d.payload, Duration: took, MaxMemoryMB: e.peakMB()}
	if d.failed {
		res.FunctionError = "Unhandled"
	}
	var b strings.Builder
	millis := float64(took.Microseconds()) / 1000
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB\t",
		d.RequestID, millis, int64(math.Ceil(millis)), e.spec.MemoryMB, res.MaxMemoryMB)
	if cold {
		e.mu.Lock()
		res.InitDuration = e.initTime
		e.mu.Unlock()
		fmt.Fprintf(&b, "Init Duration: %.2f ms\t", float64(res.InitDuration.Microseconds())/1000)
	}
	b.WriteByte('\n')
	e.log.drain()
	e.log.line("END RequestId: " + d.RequestID + "\n")
	e.log.line(b.String())
	res.LogTail = e.log.tail()
	return res
}

// peakMB gives the most memory that the environment has used. Reading it costs as much
// as a small invocation, so it is read now and then.
func (e *environment) peakMB() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := time.Now(); now.Sub(e.peakRead) > 100*time.Millisecond {
		if mb := e.group.peakMB(e.cmd); mb > e.peak { // a process that has ended reads as 0
			e.peak = mb
		}
		e.peakRead = now
	}
	return e.peak
}

func (e *environment) expired(now time.Time) bool {
	return !e.expires.IsZero() && !now.Before(e.expires)
}

func (e *environment) alive() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.exit == "" && !e.ended && e.failed == nil
}

// end kills the process tree. It does not wait: the channel gone closes when all is over.
func (e *environment) end(reason string) {
	e.mu.Lock()
	first := !e.ended
	e.ended = true
	e.mu.Unlock()
	if !first {
		return
	}
	e.host.cfg.Log.Debug("environment ends", "environment", e.id, "function", e.spec.Group, "reason", reason)
	killTree(e.cmd, e.group)
}

// newFailure words a failure of the init phase, which has no request yet.
func newFailure(kind, message string) *failure {
	return &failure{payload: errorPayload(kind, message)}
}

func errorPayload(kind, message string) []byte {
	b, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{kind, message})
	if err != nil { // two strings always encode
		return []byte(`{"errorType":"Runtime.Unknown","errorMessage":""}`)
	}
	return b
}

// fileListener makes a listener of a descriptor that came from elsewhere.
func fileListener(fd int, name string) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return net.FileListener(f)
}
