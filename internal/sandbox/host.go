package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"
)

// Host starts, keeps and ends execution environments. It is safe for concurrent use.
type Host struct {
	cfg      Config
	runtimes runtimes

	probeMu sync.Mutex
	probed  bool
	caps    Capabilities
	capsErr error
	groups  cgroupFactory

	mu      sync.Mutex
	closed  bool
	pools   map[string]*pool // by Spec.Key
	running map[string]int   // invocations under way, by Spec.Group
	total   int              // environments alive or being started
	slots   uint32           // numbers environments, for their host user ids
	fileDir string           // where unisolated runtimes find their bootstrap
	ending  sync.WaitGroup   // environments whose process is not reaped yet
}

// New gives a host. It starts nothing; call Probe to learn early what the machine can do.
func New(cfg Config) (*Host, error) {
	switch cfg.Isolation {
	case "":
		cfg.Isolation = IsolationRequire
	case IsolationRequire, IsolationPrefer, IsolationNone:
	default:
		return nil, errors.New("sandbox: isolation is one of require, prefer and none, not " + string(cfg.Isolation))
	}
	switch cfg.Network {
	case "":
		cfg.Network = NetworkNone
	case NetworkNone, NetworkHost:
	default:
		return nil, errors.New("sandbox: network is none or host, not " + string(cfg.Network))
	}
	if cfg.MaxEnvironments == 0 {
		cfg.MaxEnvironments = 1000
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = 10 * time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Host{
		cfg:      cfg,
		runtimes: runtimes{programs: cfg.Programs},
		pools:    map[string]*pool{},
		running:  map[string]int{},
	}, nil
}

// Probe finds out, once, whether the machine can isolate, by isolating a process
// that does nothing. It fails with an IsolationError only under IsolationRequire.
func (h *Host) Probe(ctx context.Context) (Capabilities, error) {
	h.probeMu.Lock()
	defer h.probeMu.Unlock()
	if h.probed {
		return h.caps, h.capsErr
	}
	caps, err := Capabilities{Reason: "isolation is switched off"}, error(nil)
	if !h.cfg.DisableCgroups {
		token, err := h.randomHex(4)
		if err != nil {
			return caps, err
		}
		h.groups = newCgroupFactory(token)
		caps.Memory, caps.CPU, caps.Pids, caps.Cgroups = h.groups.has("memory"), h.groups.has("cpu"), h.groups.has("pids"), h.groups.version
	}
	if h.cfg.Isolation != IsolationNone {
		err = probeIsolation(ctx, h)
		caps.Isolated, caps.Reason = err == nil, ""
	}
	if ctx.Err() != nil {
		return Capabilities{}, ctx.Err()
	}
	if err != nil {
		caps.Reason = err.Error()
		if h.cfg.Isolation == IsolationPrefer {
			h.cfg.Log.Warn("functions run WITHOUT isolation: they can read and change what this user can", "reason", err)
			err = nil
		}
	}
	if !caps.Memory || !caps.Pids {
		h.cfg.Log.Warn("no writable control groups: the memory and processes of functions are not limited by them")
	}
	h.probed, h.caps, h.capsErr = true, caps, err
	return caps, err
}

// Run reaps idle environments until ctx ends, then closes the host.
func (h *Host) Run(ctx context.Context) error {
	tick := time.NewTicker(max(h.cfg.IdleTimeout/10, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return h.Close()
		case <-tick.C:
			h.Reap()
		}
	}
}

// Reap ends the environments that are idle for longer than IdleTimeout, or expired.
func (h *Host) Reap() {
	now := h.cfg.Now()
	h.endIdle(func(e *environment) bool {
		return now.Sub(e.idleSince) >= h.cfg.IdleTimeout || e.expired(now)
	})
}

// Discard ends the environments of a key: idle ones now, busy ones when they are
// done. A later Invoke of that key starts afresh.
func (h *Host) Discard(key string) {
	h.mu.Lock()
	p := h.pools[key]
	delete(h.pools, key)
	var idle []*environment
	if p != nil {
		p.discarded = true
		idle, p.idle = p.idle, nil
	}
	h.mu.Unlock()
	for _, e := range idle {
		e.end("its function has changed")
	}
}

// Close ends every environment and waits until their processes are gone. Invocations
// under way fail.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	var all []*environment
	for _, p := range h.pools {
		p.discarded = true
		for e := range p.all {
			all = append(all, e)
		}
		p.idle = nil
	}
	h.pools = map[string]*pool{}
	dir := h.fileDir
	h.fileDir = ""
	h.mu.Unlock()
	for _, e := range all {
		e.end("the host is closed")
	}
	h.ending.Wait()
	h.runtimes.wait()
	if dir != "" {
		return os.RemoveAll(dir)
	}
	return nil
}

func (h *Host) endIdle(old func(*environment) bool) {
	var ended []*environment
	h.mu.Lock()
	for _, p := range h.pools {
		kept := p.idle[:0]
		for _, e := range p.idle {
			if old(e) {
				ended = append(ended, e)
			} else {
				kept = append(kept, e)
			}
		}
		clear(p.idle[len(kept):])
		p.idle = kept
	}
	h.mu.Unlock()
	for _, e := range ended {
		e.end("it was idle")
	}
}

// randomHex gives n random bytes in hexadecimal.
func (h *Host) randomHex(n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(h.cfg.Rand, b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}

// EndpointURL gives the address at which functions reach Moat: that of Config.Endpoint
// where they have a network of their own, else the one given.
func (h *Host) EndpointURL(otherwise string) string {
	h.probeMu.Lock()
	isolated := h.probed && h.caps.Isolated
	h.probeMu.Unlock()
	if isolated && h.cfg.Network == NetworkNone && h.cfg.Endpoint != nil && h.cfg.EndpointPort != 0 {
		return "http://127.0.0.1:" + strconv.Itoa(h.cfg.EndpointPort)
	}
	return otherwise
}
