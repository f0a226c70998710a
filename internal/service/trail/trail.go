// Package trail keeps the audit trail: an event in CloudTrail's format for each AWS call, each
// request to a pool's domain and each refusal of a deployed API.
//
// Events go to files, as lines of a chain: a keyed hash ties each to the one before, so that a
// line that is removed, altered or moved shows ([Verify]). A copy in the store answers
// LookupEvents and [Service.Find] on every node; the files are the proof, and what the copy lacks
// is read from them again. No secret enters either: see [encoder.message].
//
// A request only adds its record to a queue. It is on disk 100 ms later, plus the time of the
// write; what was answered within that time before a crash can be missing, as a whole line.
package trail

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cloudtrailapi"
)

const (
	gather          = 100 * time.Millisecond // how long records wait for others, to share a sync
	retryAfter      = time.Second
	defaultRotate   = 16 << 20
	defaultPatience = 10 * time.Second
	macPurpose      = "trail"
)

// Config names what a Service depends on.
type Config struct {
	DB      *store.DB
	Dir     string // folder of the chains
	Account string
	Region  string
	Now     func() time.Time
	Rand    io.Reader
	Log     *slog.Logger
	// Retention is how long files are kept; 0 is for ever.
	Retention time.Duration
	// RotateBytes is the size at which a file is closed, 16 MiB when zero. A file never spans days.
	RotateBytes int64
	// NoSync leaves it to the system when lines go to disk. For tests.
	NoSync bool
	// Patience is how long a request waits for room when nothing can be written, 10 seconds when zero.
	Patience time.Duration
}

// Service keeps the trail. It is safe for concurrent use.
type Service struct {
	api.Unimplemented
	cfg     Config
	encoder encoder
	queue   *queue
	tables

	mu      sync.Mutex // of what is written to the files
	folder  *folder
	pending *batch // encoded, not written yet
	lines   []byte // memory of the lines that were written last
	lost    int64
	failing bool
	started time.Time
	written time.Time // when a line was written last
	problem string    // why nothing can be written

	index index
	spare spare
}

var _ api.Service = (*Service)(nil)

// New creates the tables. It writes no event: see [Service.Open].
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Account == "" || cfg.Dir == "" || cfg.Rand == nil || cfg.Now == nil {
		return nil, errors.New("trail: a database, an account, a folder, a clock and randomness are needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.RotateBytes == 0 {
		cfg.RotateBytes = defaultRotate
	}
	if cfg.Patience == 0 {
		cfg.Patience = defaultPatience
	}
	s := &Service{
		cfg: cfg, encoder: encoder{account: cfg.Account, random: cfg.Rand}, queue: newQueue(cfg.Patience), tables: newTables(),
		index: index{wake: make(chan struct{}, 1)},
	}
	if err := cfg.DB.Create(s.chunks, s.chains); err != nil {
		return nil, err
	}
	return s, nil
}

// APIs returns the one API of this service.
func (s *Service) APIs() []*wire.API {
	a := api.New(s)
	a.Resources = resources
	return []*wire.API{a}
}

// Record adds an event to the trail. It returns at once unless more is waiting than can be
// written; then it waits, up to the patience of the configuration.
func (s *Service) Record(r wire.Record) {
	if r.Service == "" { // a request that names no AWS API, such as a browser's for an icon
		return
	}
	s.queue.put(r)
}

// Run writes what is recorded until ctx is done. [Service.Open] comes before it, [Service.Close]
// after.
func (s *Service) Run(ctx context.Context) error {
	var indexing sync.WaitGroup
	defer indexing.Wait()
	indexing.Go(func() { s.runIndex(ctx) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.queue.some:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(gather):
		}
		for !s.drain() {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(retryAfter):
			}
		}
	}
}

// Close writes what is left and lets go of the chain. Nothing may be recorded afterwards.
func (s *Service) Close(ctx context.Context) error {
	err := s.Flush(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.folder == nil {
		return err
	}
	err = errors.Join(err, s.folder.close())
	s.folder = nil
	return err
}

// Flush writes what was recorded before it, to the files and to the store.
func (s *Service) Flush(ctx context.Context) error {
	s.drain()
	return s.indexNow(ctx)
}

// Open takes a chain that no other process writes, or begins one. It says in the log when the
// chain is not as it was left.
func (s *Service) Open(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, id, err := s.cfg.DB.MACKey(macPurpose)
	if err != nil {
		return err
	}
	f, err := claim(s.cfg.Dir, s.cfg.Rand)
	if err != nil {
		return err
	}
	anchor, err := s.anchor(ctx, f)
	if err != nil {
		return errors.Join(err, f.close())
	}
	trouble, err := f.resume(&folderConfig{
		key: key, masterKeyID: id, account: s.cfg.Account, rotate: s.cfg.RotateBytes, retention: s.cfg.Retention, noSync: s.cfg.NoSync, now: s.cfg.Now,
	}, head{Seq: anchor.Seq, Mac: anchor.Mac})
	if err == nil {
		err = f.retire()
	}
	if err != nil {
		return errors.Join(err, f.close())
	}
	if trouble != "" {
		s.cfg.Log.Error("the trail was altered while no Moat wrote it", "chain", f.links.name, "reason", trouble)
	}
	s.folder, s.started = f, s.cfg.Now()
	s.index.behind(anchor.Seq < f.links.seq)
	return nil
}

// drain writes what is queued. It reports false when it could not; what it took then waits, and
// nothing more is taken until it is written.
func (s *Service) drain() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.folder == nil {
		return false
	}
	if s.pending.len() > 0 && !s.settle() {
		return false
	}
	records, lost := s.queue.take()
	s.lost += lost
	s.encode(records)
	s.queue.done(records)
	return s.pending.len() == 0 && s.lost == 0 || s.settle()
}

// settle writes what is pending.
func (s *Service) settle() bool {
	err := s.write()
	if err != nil {
		if !s.failing {
			s.cfg.Log.Error("the trail cannot be written; requests wait for it", "error", err)
		}
		s.failing, s.problem = true, err.Error()
		return false
	}
	if s.failing {
		s.cfg.Log.Info("the trail is written again")
	}
	s.failing, s.problem, s.written = false, "", s.cfg.Now()
	s.index.add(s.pending)
	s.pending = nil
	return true
}

func (s *Service) encode(records []wire.Record) {
	if len(records) == 0 {
		return
	}
	s.pending = s.spare.take()
	for i := range records {
		e, err := s.encoder.event(&records[i])
		if err != nil { // no randomness
			s.cfg.Log.Error("an event of the trail was lost", "request", records[i].RequestID, "error", err)
			s.lost++
			continue
		}
		s.pending.add(&e)
	}
}

// write appends the pending events to the chain, all of them or none.
func (s *Service) write() error {
	f := s.folder
	if f.active == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if f.due() {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	if s.lost > 0 {
		if err := f.writeNote(note{Kind: noteLost, Lost: s.lost, Reason: "the trail could not be written in time"}); err != nil {
			return err
		}
		s.cfg.Log.Error("events of the trail were lost", "events", s.lost)
		s.lost = 0
	}
	if s.pending.len() == 0 {
		return nil
	}
	before, lines := f.links, s.lines[:0]
	for i := range s.pending.entries {
		e := &s.pending.entries[i]
		lines = f.links.append(lines, "event", e.text)
		e.seq, e.mac = f.links.seq, f.links.mac
	}
	if cap(lines) <= maxSpareText {
		s.lines = lines
	}
	if err := f.append(lines); err != nil {
		f.links = before
		return err
	}
	return nil
}
