package stack

import (
	"context"
	"fmt"
	"strings"

	"moat/internal/service/stack/template"
	"moat/internal/store"
)

// apply brings one resource to what the plan says.
func (o *operation) apply(ctx context.Context, id string) error {
	r := o.plan.live[id]
	needs := o.plan.graph.Needs[id]
	properties, err := o.scope(ctx).Resolve(r.Properties)
	if err == nil && properties == nil {
		properties = template.NewMap()
	}
	cur := o.resource(id)
	if err != nil {
		return o.resolveFailed(ctx, r, cur, err)
	}
	if cur == nil || cur.Current.PhysicalID == "" {
		return o.create(ctx, r, needs, properties, nil)
	}
	var old resourceSecret
	if err := o.s.unseal(resourcePurpose, cur.Current.Secret, &old); err != nil {
		return err
	}
	h := o.s.handlers[r.Type]
	req := o.request(id, r.Type, properties)
	req.Previous, req.PreviousTags, req.PhysicalID, req.Attributes = old.Properties, old.Tags, cur.Current.PhysicalID, old.Attributes
	if cur.Current.Type == r.Type && template.Equal(old.Properties, properties) && (h.Update == nil || !o.retagged(req)) {
		return o.unchanged(ctx, r, cur, needs, old)
	}
	if cur.Current.Type != r.Type || h.Update == nil || o.s.replaces(h, req) {
		return o.create(ctx, r, needs, properties, cur)
	}
	return o.update(ctx, r, needs, h, req, cur)
}

func (o *operation) resolveFailed(ctx context.Context, r template.Resource, cur *resourceRecord, err error) error {
	rec := cur
	status := "UPDATE_FAILED"
	if rec == nil {
		status = "CREATE_FAILED"
		rec = o.record(r.LogicalID, resourceVersion{Type: r.Type})
	}
	c := *rec
	c.Status, c.Reason, c.Time = status, reason(err), o.s.cfg.Now()
	o.save(ctx, &c, o.event(r.LogicalID, c.Current.PhysicalID, r.Type, status, c.Reason))
	return err
}

func (o *operation) record(id string, v resourceVersion) *resourceRecord {
	return &resourceRecord{Account: o.info.Account, Region: o.info.Region, UUID: o.stack.UUID, LogicalID: id, Current: v, Fresh: true, Time: o.s.cfg.Now()}
}

// unchanged keeps a resource and what may change without it: dependencies, policies, metadata.
func (o *operation) unchanged(ctx context.Context, r template.Resource, cur *resourceRecord, needs []string, old resourceSecret) error {
	v, err := o.version(r, needs, old.Properties, State{PhysicalID: cur.Current.PhysicalID, Ref: old.Ref, Attributes: old.Attributes})
	if err != nil {
		return err
	}
	v.Secret = cur.Current.Secret
	if v.Metadata == cur.Current.Metadata && v.DeletionPolicy == cur.Current.DeletionPolicy &&
		v.ReplacementPolicy == cur.Current.ReplacementPolicy && strings.Join(v.Needs, " ") == strings.Join(cur.Current.Needs, " ") {
		return nil
	}
	c := *cur
	if c.Previous == nil && !c.Fresh {
		before := cur.Current
		c.Previous = &before
	}
	c.Current = v
	o.save(ctx, &c)
	return nil
}

// replaces reports whether a change of properties needs a new resource.
func (s *Service) replaces(h Handler, r *Request) bool {
	for _, f := range r.Properties.Entries() {
		if s.schema.Replaces(r.Type, f.Key) && !template.Equal(f.Value, r.Previous.Get(f.Key)) {
			return true
		}
	}
	for _, f := range r.Previous.Entries() {
		if s.schema.Replaces(r.Type, f.Key) && !r.Properties.Has(f.Key) {
			return true
		}
	}
	return h.Replaces != nil && h.Replaces(r)
}

// create makes a resource; cur is the one it replaces, if any.
func (o *operation) create(ctx context.Context, r template.Resource, needs []string, properties *template.Value, cur *resourceRecord) error {
	id, verb := r.LogicalID, "CREATE"
	rec := o.record(id, resourceVersion{Type: r.Type, Needs: needs})
	if cur != nil {
		verb = "UPDATE"
		before := cur.Current
		rec.Previous, rec.Fresh = &before, false
	}
	why := ""
	if cur != nil {
		why = "Requested update requires the creation of a new physical resource; hence creating one."
	}
	req := o.request(id, r.Type, properties)
	if err := o.announce(ctx, rec, req, o.event(id, "", r.Type, verb+"_IN_PROGRESS", why)); err != nil {
		return err
	}
	st, err := o.s.handlers[r.Type].Create(ctx, req)
	if st.PhysicalID != "" {
		v, verr := o.version(r, needs, properties, st)
		if err == nil {
			err = verr
		}
		rec.Current = v
	}
	rec.Time = o.s.cfg.Now()
	if err != nil {
		rec.Status, rec.Reason = verb+"_FAILED", reason(err)
		if rec.Current.PhysicalID == "" && cur != nil {
			c := *cur // nothing was made: the old one stands
			c.Status, c.Reason = rec.Status, rec.Reason
			rec = &c
		}
		o.save(ctx, rec, o.event(id, st.PhysicalID, r.Type, rec.Status, rec.Reason))
		return err
	}
	rec.Status = verb + "_COMPLETE"
	o.save(ctx, rec,
		o.event(id, st.PhysicalID, r.Type, verb+"_IN_PROGRESS", "Resource creation Initiated"),
		o.event(id, st.PhysicalID, r.Type, rec.Status, ""))
	return nil
}

// announce journals that a resource is about to be made. Where only its name tells whose
// it is, this is on disk before it is tried, unless such a resource exists already.
func (o *operation) announce(ctx context.Context, rec *resourceRecord, req *Request, e Event) error {
	h := o.s.handlers[req.Type]
	if h.Claims == nil || h.Find == nil || !h.Claims(req) {
		o.journal.note(ctx, "", nil, e)
		return nil
	}
	if _, found, err := h.Find(ctx, req); found || err != nil {
		o.journal.note(ctx, "", nil, e)
		return nil //nolint:nilerr // Create will say what is wrong
	}
	c := *rec
	c.Status = e.Status
	return o.journal.announce(ctx, c.LogicalID, &c, e)
}

func (o *operation) update(ctx context.Context, r template.Resource, needs []string, h Handler, req *Request, cur *resourceRecord) error {
	id := r.LogicalID
	rec := *cur
	if rec.Previous == nil {
		before := cur.Current
		rec.Previous = &before
	}
	rec.Status = "UPDATE_IN_PROGRESS"
	// On disk before it is tried: a rollback after a crash must know what may have changed.
	o.mu.Lock()
	o.resources[id] = &rec
	o.mu.Unlock()
	if err := o.journal.announce(ctx, id, &rec, o.event(id, req.PhysicalID, r.Type, rec.Status, "")); err != nil {
		return err
	}
	st, err := h.Update(ctx, req)
	done := rec
	done.Time = o.s.cfg.Now()
	if err != nil {
		done.Status, done.Reason = "UPDATE_FAILED", reason(err)
		o.save(ctx, &done, o.event(id, req.PhysicalID, r.Type, done.Status, done.Reason))
		return err
	}
	if st.PhysicalID == "" {
		st.PhysicalID = req.PhysicalID
	}
	v, err := o.version(r, needs, req.Properties, st)
	if err != nil {
		return err
	}
	done.Current, done.Status, done.Reason = v, "UPDATE_COMPLETE", ""
	o.save(ctx, &done, o.event(id, st.PhysicalID, r.Type, done.Status, ""))
	return nil
}

// succeed evaluates the outputs, commits the new state of the stack, and cleans up.
func (o *operation) succeed(ctx context.Context) error {
	outputs, err := o.outputs(ctx)
	if err != nil {
		return o.fail(ctx, err.Error()+" ")
	}
	secret := stackSecret{Parameters: o.plan.parameters, Outputs: outputs}
	sealed, err := o.s.seal(stackPurpose, secret)
	if err != nil {
		return err
	}
	o.stack.Secret, o.stack.Generation = sealed, o.rec.Generation
	o.stack.Description = o.plan.template.Description
	var refused error
	record := func(tx *store.Tx) error {
		if refused = o.exchangeExports(tx, outputs); refused != nil {
			return refused
		}
		return nil
	}
	if o.rec.Kind == "create" {
		err = o.finish(ctx, "CREATE_COMPLETE", "", func(tx *store.Tx) error {
			if err := record(tx); err != nil {
				return err
			}
			return o.settle(tx)
		})
	} else {
		o.rec.Phase = "cleanup"
		rec := o.rec
		err = o.become(ctx, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "", func(tx *store.Tx) error {
			if err := record(tx); err != nil {
				return err
			}
			return o.s.tables.operations.Put(tx, rec)
		})
	}
	if refused != nil {
		return o.fail(ctx, refused.Error()+" ")
	}
	if err != nil || o.rec.Kind == "create" {
		return err
	}
	return o.cleanup(ctx, "UPDATE_COMPLETE")
}

// settle drops what only a running operation needs to know of its resources.
func (o *operation) settle(tx *store.Tx) error {
	for _, id := range sortedKeys(o.resources) {
		r := o.resources[id]
		if r.Fresh || r.Previous != nil {
			c := *r
			c.Fresh, c.Previous = false, nil
			o.resources[id] = &c
			if err := o.s.tables.resources.Put(tx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *operation) outputs(ctx context.Context) ([]storedOutput, error) {
	var out []storedOutput
	sc := o.scope(ctx)
	for _, x := range o.plan.template.Outputs {
		if x.Condition != "" && !sc.Conditions[x.Condition] {
			continue
		}
		v, err := sc.Resolve(x.Value)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		text, ok := v.Scalar()
		if !ok {
			return nil, fmt.Errorf("Template format error: Output %s is malformed. The Value field of every Outputs member must evaluate to a String.", x.Name) //nolint:staticcheck // AWS's sentence
		}
		so := storedOutput{Key: x.Name, Value: o.localise(ctx, text), Description: x.Description}
		if x.Export != nil {
			name, err := sc.Resolve(x.Export)
			if err != nil {
				return nil, err
			}
			so.Export, _ = name.Scalar()
		}
		out = append(out, so)
	}
	return out, nil
}

// exchangeExports replaces the stack's exports. One that another stack has, or that
// another stack uses and that would change, is refused.
func (o *operation) exchangeExports(tx *store.Tx, outputs []storedOutput) error {
	t := o.s.tables
	own, err := t.exports.List(tx, store.Query{Index: "stack", Values: []string{o.info.Account, o.info.Region, o.stack.UUID}})
	if err != nil {
		return err
	}
	next := map[string]string{}
	for _, x := range outputs {
		if x.Export != "" {
			next[x.Export] = x.Value
		}
	}
	for _, e := range own {
		if v, kept := next[e.Name]; !kept || v != e.Value {
			if err := o.unused(tx, e.Name, kept); err != nil {
				return err
			}
		}
		if _, kept := next[e.Name]; !kept {
			if err := t.exports.Delete(tx, e.Account, e.Region, e.Name); err != nil {
				return err
			}
		}
	}
	for _, name := range sortedKeys(next) {
		e, err := t.exports.Get(tx, o.info.Account, o.info.Region, name)
		if err == nil && e.UUID != o.stack.UUID {
			return fmt.Errorf("Export with name %s is already exported by stack %s.", name, e.StackID) //nolint:staticcheck // AWS's sentence
		}
		if err != nil && err != store.ErrNotFound {
			return err
		}
		if err := t.exports.Put(tx, exportRecord{Account: o.info.Account, Region: o.info.Region, Name: name, UUID: o.stack.UUID, StackID: o.info.ID, Value: next[name]}); err != nil {
			return err
		}
	}
	return o.recordImports(tx)
}

func (o *operation) unused(tx *store.Tx, name string, changed bool) error {
	users, err := o.s.tables.imports.List(tx, store.Query{Prefix: []string{o.info.Account, o.info.Region, name}})
	if err != nil || len(users) == 0 {
		return err
	}
	verb := "delete"
	if changed {
		verb = "update"
	}
	return fmt.Errorf("Cannot %s export %s as it is in use by %s", verb, name, users[0].StackName) //nolint:staticcheck // AWS's sentence
}

func (o *operation) recordImports(tx *store.Tx) error {
	t := o.s.tables
	old, err := t.imports.List(tx, store.Query{Index: "stack", Values: []string{o.info.Account, o.info.Region, o.stack.UUID}})
	if err != nil {
		return err
	}
	for _, i := range old {
		if !o.imported[i.Name] {
			if err := t.imports.Delete(tx, i.Account, i.Region, i.Name, i.UUID); err != nil {
				return err
			}
		}
	}
	for _, name := range sortedKeys(o.imported) {
		if err := t.imports.Put(tx, importRecord{Account: o.info.Account, Region: o.info.Region, Name: name, UUID: o.stack.UUID, StackName: o.info.Name}); err != nil {
			return err
		}
	}
	return nil
}
