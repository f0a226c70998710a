package stack

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"moat/internal/service/stack/template"
	"moat/internal/store"
)

// Run takes over operations that were interrupted, then carries out what the API
// begins, until ctx is done; it returns when the running operations are over.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if err := s.recover(ctx); err != nil {
		return err
	}
	s.serving.Store(true)
	defer s.serving.Store(false)
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-s.queue:
			wg.Go(func() { _ = s.carry(ctx, o) }) // logged there, and in the stack's status
		case <-tick.C:
			if !s.cfg.Shared {
				continue
			}
			if err := s.beat(ctx); err != nil {
				s.cfg.Log.Error("stack operations: no sign of life written", "error", err)
			}
			if err := s.recover(ctx); err != nil {
				s.cfg.Log.Error("stack operations: recovery", "error", err)
			}
		}
	}
}

// patience is how long a call that begins an operation waits for its end. AWS answers
// at once, and its tools then look every 5 to 30 seconds; most operations here are over
// in milliseconds, so that the first look finds them done.
const patience = 3 * time.Second

// enqueue hands an operation to Run and waits a moment for its end.
func (s *Service) enqueue(ctx context.Context, o *operation) {
	s.queue <- o
	if !s.serving.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-o.done:
	case <-ctx.Done():
	}
}

// beat renews the claim on the operations of this process.
func (s *Service) beat(ctx context.Context) error {
	s.mu.Lock()
	busy := len(s.running) > 0
	s.mu.Unlock()
	if !busy {
		return nil
	}
	now := s.cfg.Now()
	return s.cfg.DB.Update(ctx, func(tx *store.Tx) error {
		ops, err := s.tables.operations.List(tx, store.Query{})
		if err != nil {
			return err
		}
		for _, o := range ops {
			if o.Owner != s.owner {
				continue
			}
			o.Beat = now
			if err := s.tables.operations.Put(tx, o); err != nil {
				return err
			}
		}
		return nil
	})
}

// recover takes over operations whose process is gone.
func (s *Service) recover(ctx context.Context) error {
	var stale []operationRecord
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		ops, err := s.tables.operations.List(tx, store.Query{})
		for _, o := range ops {
			if s.stale(&o) {
				stale = append(stale, o)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, rec := range stale {
		o, err := s.takeOver(ctx, rec)
		if errors.Is(err, errNoWork) {
			continue
		}
		if err != nil {
			s.cfg.Log.Error("an interrupted stack operation cannot be taken over", "stack", rec.UUID, "error", err)
			continue
		}
		s.cfg.Log.Info("resuming an interrupted stack operation", "stack", o.info.Name, "operation", o.rec.Kind, "phase", o.rec.Phase)
		s.queue <- o
	}
	return nil
}

// stale reports that the process that owns an operation is gone.
func (s *Service) stale(o *operationRecord) bool {
	return o.Owner != s.owner && (!s.cfg.Shared || s.cfg.Now().Sub(o.Beat) > staleAfter)
}

// takeOver makes an operation ours and decides how it goes on: what was going forward
// is rolled back, anything else is continued.
func (s *Service) takeOver(ctx context.Context, rec operationRecord) (*operation, error) {
	var st stackRecord
	var tpl templateRecord
	seen := rec.Beat
	err := s.cfg.DB.Update(ctx, func(tx *store.Tx) error {
		cur, err := s.tables.operations.Get(tx, rec.Account, rec.Region, rec.UUID)
		if err != nil || cur.Owner != rec.Owner || !cur.Beat.Equal(seen) {
			return errNoWork
		}
		if st, err = s.tables.stacks.Get(tx, rec.Account, rec.Region, rec.UUID); err != nil {
			return err
		}
		if st.Status == "UPDATE_FAILED" || st.Status == "UPDATE_ROLLBACK_FAILED" {
			return errNoWork // waits for a person's decision
		}
		if rec.Kind != "delete" {
			if tpl, err = s.template(tx, rec.Account, rec.Region, rec.UUID, generation(rec.Generation)); err != nil {
				return err
			}
		}
		cur.Owner, cur.Beat = s.owner, s.cfg.Now()
		rec = cur
		return s.tables.operations.Put(tx, cur)
	})
	if err != nil {
		return nil, err
	}
	o, err := s.resume(ctx, rec, st, tpl)
	if err != nil {
		return nil, err
	}
	if !s.claim(rec.UUID) {
		return nil, errNoWork
	}
	return o, nil
}

// resume builds an operation from its journal.
func (s *Service) resume(ctx context.Context, rec operationRecord, st stackRecord, tpl templateRecord) (*operation, error) {
	o := &operation{s: s, rec: rec, stack: st, info: infoOf(&st), imported: map[string]bool{}, done: make(chan struct{})}
	o.journal = s.newJournal(st.key(), nil)
	if err := o.load(ctx); err != nil {
		return nil, err
	}
	if rec.Kind == "delete" {
		return o, nil
	}
	p, err := s.planOf(&st, tpl.Processed)
	if err != nil {
		return nil, err
	}
	o.plan = p
	if rec.Phase != "forward" {
		return o, nil
	}
	o.findLost(o.context(ctx))
	why := "The operation was interrupted. "
	status := "UPDATE_ROLLBACK_IN_PROGRESS"
	if rec.Kind == "create" {
		status = "ROLLBACK_IN_PROGRESS"
	}
	return o, o.phase(o.context(ctx), "rollback", status, why)
}

// planOf rebuilds the plan of a template that was expanded before.
func (s *Service) planOf(st *stackRecord, processed json.RawMessage) (*plan, error) {
	var root template.Value
	if err := json.Unmarshal(processed, &root); err != nil {
		return nil, err
	}
	secret, err := s.stackSecret(st)
	if err != nil {
		return nil, err
	}
	t, err := template.FromValue(&root, "")
	if err != nil {
		return nil, err
	}
	given := map[string]string{}
	resolved := map[string]string{}
	for _, p := range secret.Parameters {
		given[p.Key] = p.Given
		resolved[p.Given] = p.Resolved
	}
	values, err := t.ResolveParameters(given, func(name string) (string, error) { return resolved[name], nil })
	if err != nil {
		return nil, err
	}
	p, err := s.plan(infoOf(st), &root, values, "")
	if err != nil {
		return nil, err
	}
	p.parameters = secret.Parameters
	return p, nil
}

// findLost looks for resources that were made, but whose record was not written yet
// when the process ended.
func (o *operation) findLost(ctx context.Context) {
	for _, id := range o.plan.graph.Order {
		r := o.plan.live[id]
		cur := o.resource(id)
		h := o.s.handlers[r.Type]
		if h.Find == nil || cur != nil && (cur.Fresh || cur.Previous != nil) && cur.Current.PhysicalID != "" {
			continue
		}
		announced := cur != nil && cur.Current.PhysicalID == "" && strings.HasSuffix(cur.Status, "_IN_PROGRESS")
		properties, err := o.scope(ctx).Resolve(r.Properties)
		if err != nil {
			continue // what it depends on does not exist, so it cannot either
		}
		if properties == nil {
			properties = template.NewMap()
		}
		req := o.request(id, r.Type, properties)
		req.Since, req.Known = o.rec.Started, o.known(ctx)
		if cur != nil && cur.Previous == nil {
			req.PhysicalID = cur.Current.PhysicalID
		} else if cur != nil {
			req.PhysicalID = cur.Previous.PhysicalID
		}
		if h.Claims != nil && h.Claims(req) && !announced {
			continue
		}
		st, found, err := h.Find(ctx, req)
		if err != nil || !found || cur != nil && cur.Current.PhysicalID == st.PhysicalID {
			continue
		}
		v, err := o.version(r, o.plan.graph.Needs[id], properties, st)
		if err != nil {
			continue
		}
		rec := o.record(id, v)
		if cur != nil && cur.Previous != nil {
			rec.Previous, rec.Fresh = cur.Previous, false
		} else if cur != nil && !cur.Fresh {
			before := cur.Current
			rec.Previous, rec.Fresh = &before, false
		}
		rec.Status = "CREATE_COMPLETE"
		o.save(ctx, rec)
	}
}

// known tells whether some stack has a physical resource.
func (o *operation) known(ctx context.Context) func(string) bool {
	return func(id string) bool {
		n := 1
		err := o.s.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
			n, err = o.s.tables.resources.Count(tx, store.Query{Index: "physical", Values: []string{o.info.Account, o.info.Region, id}})
			return err
		})
		return err != nil || n > 0
	}
}
