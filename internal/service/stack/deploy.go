package stack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"moat/internal/pure/lazyregexp"
	"moat/internal/store"
	"moat/internal/wire"
)

// Deploy creates or updates a stack and waits for the end. It needs no Run. Who calls
// is read from the context ([wire.WithCall]); a stack whose creation was rolled back is
// replaced.
//
// A template that cannot be deployed is a [template.Errors] or [*template.Error], and
// nothing was changed. A deployment that failed and was rolled back is a [*Failure].
func (s *Service) Deploy(ctx context.Context, in DeployInput) (Result, error) {
	if !stackName.MatchString(in.Name) {
		return Result{}, validationError("1 validation error detected: Value '%s' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*", in.Name)
	}
	account, region := s.where(ctx)
	if c := wire.CallFrom(ctx); c.Account == "" || c.Region == "" {
		call := *c
		call.Account, call.Region = account, region
		ctx = wire.WithCall(ctx, &call)
	}
	cur, err := s.atRest(ctx, in.Name)
	if err != nil {
		return Result{}, err
	}
	if cur != nil && cur.Status == "UPDATE_ROLLBACK_FAILED" {
		if cur, err = s.rollbackAgain(ctx, cur); err != nil {
			return Result{}, err
		}
	}
	if cur != nil && discardable(cur.Status) {
		if err := s.Remove(ctx, in.Name, in.Progress); err != nil {
			return Result{}, err
		}
		cur = nil
	}
	src := source{body: string(in.Template), file: in.File, dir: in.Dir, beyond: in.Beyond, parameters: in.Parameters, capabilities: in.Capabilities, tags: in.Tags}
	if src.file == "" {
		src.file = "template"
	}
	b := beginning{kind: "create", status: "CREATE_IN_PROGRESS", local: in.Dir != "", emit: in.Progress}
	if cur == nil {
		b.stack = s.newStack(ctx, in.Name)
	} else {
		b.kind, b.status, b.stack, b.before = "update", "UPDATE_IN_PROGRESS", *cur, cur
		b.stack.Updated = s.cfg.Now()
	}
	if b.who, err = s.identity(ctx, "Deploy", &in.RoleARN, &b.stack); err != nil {
		return Result{}, err
	}
	b.stack.Tags, b.stack.Capabilities, b.stack.RoleARN = in.Tags, in.Capabilities, b.who.role
	if b.plan, err = s.prepare(b.who.as(ctx), infoOf(&b.stack), src); err != nil {
		return Result{}, err
	}
	if cur != nil {
		same, err := s.same(ctx, cur, b.plan)
		if err != nil {
			return Result{}, err
		}
		if same {
			return s.result(cur, false)
		}
	}
	o, err := s.begin(ctx, b)
	if err != nil {
		return Result{}, err
	}
	if err := s.carry(ctx, o); err != nil {
		return Result{}, err
	}
	res, err := s.outcome(ctx, o)
	var failed *Failure
	if errors.As(err, &failed) {
		failed.places = b.plan.places()
	}
	return res, err
}

// places tells where each resource stands in the template, as file:line:column.
func (p *plan) places() map[string]string {
	out := make(map[string]string, len(p.live))
	for id, r := range p.live {
		if r.Pos.Line > 0 {
			out[id] = r.Pos.String()
		}
	}
	return out
}

// discardable are the states of a stack that never came to be.
func discardable(status string) bool {
	switch status {
	case "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "REVIEW_IN_PROGRESS", "DELETE_FAILED":
		return true
	}
	return false
}

// Failure is a deployment that did not succeed and what became of the stack.
type Failure struct {
	Stack  string
	Status string // ROLLBACK_COMPLETE, UPDATE_ROLLBACK_COMPLETE, ...
	Causes []Event

	places map[string]string // of resources in the template, by logical id
}

func (f *Failure) Error() string {
	text := fmt.Sprintf("stack %s: %s", f.Stack, f.Status)
	for _, e := range f.Causes {
		text += "\n"
		if at := f.places[e.LogicalID]; at != "" {
			text += at + ": "
		}
		text += fmt.Sprintf("%s (%s): %s", e.LogicalID, e.Type, e.Reason)
	}
	return text
}

func (s *Service) outcome(ctx context.Context, o *operation) (Result, error) {
	if st := o.stack.Status; st == "CREATE_COMPLETE" || st == "UPDATE_COMPLETE" {
		return s.result(&o.stack, true)
	}
	f := &Failure{Stack: o.info.Name, Status: o.stack.Status}
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		events, err := s.tables.events.List(tx, store.Query{Prefix: o.stack.key(), Reverse: true, Limit: 500})
		for i := len(events) - 1; i >= 0; i-- {
			e := events[i].Event
			if e.Type == stackType && (e.Status == "CREATE_IN_PROGRESS" || e.Status == "UPDATE_IN_PROGRESS") {
				f.Causes = nil
			}
			if e.Status == "CREATE_FAILED" || e.Status == "UPDATE_FAILED" ||
				e.Type == stackType && e.Reason != "" && (e.Status == "ROLLBACK_IN_PROGRESS" || e.Status == "UPDATE_ROLLBACK_IN_PROGRESS") {
				f.Causes = append(f.Causes, e)
			}
		}
		return err
	})
	return Result{StackID: o.info.ID, Name: o.info.Name, Status: o.stack.Status, Changed: true}, errors.Join(f, err)
}

func (s *Service) result(r *stackRecord, changed bool) (Result, error) {
	secret, err := s.stackSecret(r)
	res := Result{StackID: r.id(), Name: r.Name, Status: r.Status, Changed: changed, Outputs: map[string]string{}}
	for _, o := range secret.Outputs {
		res.Outputs[o.Key] = o.Value
	}
	return res, err
}

// current returns the living stack of a name, nil when there is none.
func (s *Service) current(ctx context.Context, name string) (*stackRecord, error) {
	account, region := s.where(ctx)
	var r stackRecord
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
		r, err = s.find(tx, account, region, name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && r.gone() {
		return nil, nil
	}
	return &r, err
}

// atRest returns the living stack of a name once no operation is under way: what an
// earlier process left behind is taken over, what this one does is waited for.
func (s *Service) atRest(ctx context.Context, name string) (*stackRecord, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		cur, err := s.current(ctx, name)
		if err != nil || cur == nil || !inProgress(cur.Status) {
			return cur, err
		}
		s.mu.Lock()
		over := s.running[cur.UUID]
		s.mu.Unlock()
		if over == nil {
			if err := s.adopt(ctx, cur); err != nil {
				return nil, err
			}
		}
		select {
		case <-over:
		case <-tick.C: // another node may be at work
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// adopt carries an operation to its end that an earlier process left behind.
func (s *Service) adopt(ctx context.Context, r *stackRecord) error {
	var rec operationRecord
	err := s.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
		rec, err = s.tables.operations.Get(tx, r.Account, r.Region, r.UUID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && !s.stale(&rec) {
		return nil
	}
	if err != nil {
		return err
	}
	o, err := s.takeOver(ctx, rec)
	if errors.Is(err, errNoWork) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.carry(ctx, o)
}

// rollbackAgain tries a failed rollback once more.
func (s *Service) rollbackAgain(ctx context.Context, r *stackRecord) (*stackRecord, error) {
	who, err := s.identity(ctx, "Deploy", nil, r)
	if err != nil {
		return nil, err
	}
	o, err := s.beginUndo(ctx, r, who, "")
	if err != nil {
		return nil, err
	}
	if err := s.carry(ctx, o); err != nil {
		return nil, err
	}
	if o.stack.Status == "UPDATE_ROLLBACK_FAILED" {
		return nil, &Failure{Stack: r.Name, Status: o.stack.Status, Causes: []Event{{LogicalID: r.Name, Type: stackType, Reason: o.stack.Reason}}}
	}
	return &o.stack, nil
}

// same reports whether a plan is what the stack has already.
func (s *Service) same(ctx context.Context, r *stackRecord, p *plan) (bool, error) {
	if r.Status == "UPDATE_FAILED" {
		return false, nil
	}
	secret, err := s.stackSecret(r)
	if err != nil {
		return false, err
	}
	var t templateRecord
	err = s.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
		t, err = s.template(tx, r.Account, r.Region, r.UUID, generation(r.Generation))
		return err
	})
	if err != nil {
		return false, err
	}
	return p.unchanged(t.Processed, secret.Parameters, r.Tags), nil
}

// Remove deletes a stack and waits for the end. A stack that does not exist is deleted
// already.
func (s *Service) Remove(ctx context.Context, name string, progress func(Event)) error {
	cur, err := s.current(ctx, name)
	if err != nil || cur == nil {
		return err
	}
	who, err := s.identity(ctx, "DeleteStack", nil, cur)
	if err != nil {
		return err
	}
	o, err := s.beginDelete(ctx, *cur, operationRecord{Caller: who.caller, RoleARN: who.role}, progress)
	if err != nil || o == nil {
		return err
	}
	if err := s.carry(ctx, o); err != nil {
		return err
	}
	if o.stack.Status != "DELETE_COMPLETE" {
		return &Failure{Stack: name, Status: o.stack.Status, Causes: []Event{{LogicalID: name, Type: stackType, Reason: o.stack.Reason}}}
	}
	return nil
}

// beginDelete commits the start of a deletion.
func (s *Service) beginDelete(ctx context.Context, r stackRecord, rec operationRecord, progress func(Event)) (*operation, error) {
	if r.Protected {
		return nil, validationError("Stack [%s] cannot be deleted while TerminationProtection is enabled", r.Name)
	}
	r.RoleARN = rec.RoleARN
	rec.Account, rec.Region, rec.UUID, rec.ID, rec.Kind, rec.Phase = r.Account, r.Region, r.UUID, s.uuid(), "delete", "forward"
	rec.Owner, rec.Beat = s.owner, s.cfg.Now()
	o := &operation{s: s, rec: rec, stack: r, info: infoOf(&r), imported: map[string]bool{}, done: make(chan struct{})}
	o.journal = s.newJournal(r.key(), progress)
	if !s.claim(r.UUID) {
		return nil, busy(&r)
	}
	err := o.become(ctx, "DELETE_IN_PROGRESS", "User Initiated", func(tx *store.Tx) error {
		cur, err := s.tables.stacks.Get(tx, r.Account, r.Region, r.UUID)
		if err != nil {
			return err
		}
		if inProgress(cur.Status) {
			return busy(&cur)
		}
		exports, err := s.tables.exports.List(tx, store.Query{Index: "stack", Values: r.key()})
		if err != nil {
			return err
		}
		for _, e := range exports {
			users, err := s.tables.imports.List(tx, store.Query{Prefix: []string{e.Account, e.Region, e.Name}, Limit: 1})
			if err != nil {
				return err
			}
			if len(users) > 0 {
				return validationError("Export %s cannot be deleted as it is in use by %s", e.Name, users[0].StackName)
			}
		}
		return s.tables.operations.Put(tx, rec)
	})
	if err == nil {
		err = o.load(ctx)
	}
	if err != nil {
		s.release(r.UUID)
		return nil, err
	}
	return o, nil
}

func inProgress(status string) bool {
	return len(status) > 12 && status[len(status)-12:] == "_IN_PROGRESS" && status != "REVIEW_IN_PROGRESS"
}

var stackName = lazyregexp.New(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)
