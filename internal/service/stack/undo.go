package stack

import (
	"context"
	"fmt"
	"strings"

	"moat/internal/service/stack/template"
	"moat/internal/store"
)

// remove deletes one version of a resource.
func (o *operation) remove(ctx context.Context, id string, v resourceVersion) error {
	h, ok := o.s.handlers[v.Type]
	if !ok {
		return fmt.Errorf("the resource type %s is not implemented", v.Type)
	}
	var secret resourceSecret
	if err := o.s.unseal(resourcePurpose, v.Secret, &secret); err != nil {
		return err
	}
	req := o.request(id, v.Type, secret.Properties)
	req.PhysicalID, req.Attributes = v.PhysicalID, secret.Attributes
	return h.Delete(ctx, req)
}

// cleanup deletes what the new state of the stack has no use for: resources that were
// replaced and resources that left the template. What cannot be deleted is reported
// and left behind, as CloudFormation does.
func (o *operation) cleanup(ctx context.Context, final string) error {
	needs, ids := map[string][]string{}, []string{}
	for id, r := range o.resources {
		if _, live := o.plan.live[id]; !live {
			ids, needs[id] = append(ids, id), r.Current.Needs
		} else if r.Previous != nil && r.Previous.PhysicalID != r.Current.PhysicalID {
			ids, needs[id] = append(ids, id), r.Previous.Needs
		}
	}
	walk(ctx, ids, reversed(needs), func(ctx context.Context, id string) error {
		o.cleanOne(ctx, id)
		return nil
	})
	return o.finish(ctx, final, "", o.settle)
}

func (o *operation) cleanOne(ctx context.Context, id string) {
	r := o.resource(id)
	_, live := o.plan.live[id]
	v, policy := r.Current, r.Current.DeletionPolicy
	if live {
		v, policy = *r.Previous, r.Previous.ReplacementPolicy
	}
	done := func(events ...Event) {
		if !live {
			o.forget(ctx, id, events...)
			return
		}
		c := *r
		c.Previous = nil
		o.save(ctx, &c, events...)
	}
	if v.PhysicalID == "" {
		done()
		return
	}
	if policy == "Retain" || policy == "RetainExceptOnCreate" {
		done(o.event(id, v.PhysicalID, v.Type, "DELETE_SKIPPED", ""))
		return
	}
	o.journal.note(ctx, "", nil, o.event(id, v.PhysicalID, v.Type, "DELETE_IN_PROGRESS", ""))
	if err := gone(o.remove(ctx, id, v)); err != nil {
		done(o.event(id, v.PhysicalID, v.Type, "DELETE_FAILED", reason(err)))
		return
	}
	done(o.event(id, v.PhysicalID, v.Type, "DELETE_COMPLETE", ""))
}

// rollback brings the stack back to the state before the operation. A nil reason means
// that the rollback was begun before.
func (o *operation) rollback(ctx context.Context, why *string) error {
	o.undoing = true
	if o.rec.Kind == "create" {
		return o.rollbackCreate(ctx, why)
	}
	if why != nil {
		if err := o.phase(ctx, "rollback", "UPDATE_ROLLBACK_IN_PROGRESS", strings.TrimSpace(*why)); err != nil {
			return err
		}
	}
	needs, ids := map[string][]string{}, []string{}
	for id, r := range o.resources {
		if r.Previous != nil {
			ids, needs[id] = append(ids, id), r.Previous.Needs
		}
	}
	made := map[string]resourceVersion{} // new resources that replaced old ones
	for id, r := range o.resources {
		if r.Previous != nil && r.Current.PhysicalID != "" && r.Previous.PhysicalID != r.Current.PhysicalID {
			made[id] = r.Current
		}
	}
	wanted := o.attempted(ctx)
	restore := func(ctx context.Context, id string) error { return o.restore(ctx, id, wanted[id]) }
	if failed := walk(ctx, ids, needs, restore); len(failed) > 0 {
		text := "The following resource(s) failed to update: [" + strings.Join(sortedKeys(failed), ", ") + "]. "
		return o.become(ctx, "UPDATE_ROLLBACK_FAILED", text, nil)
	}
	before := *o.rec.Before
	before.ChangeSetID, before.RoleARN = o.stack.ChangeSetID, o.stack.RoleARN
	before.Updated = o.stack.Updated
	o.stack = before
	if err := o.become(ctx, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "", nil); err != nil {
		return err
	}
	o.removeMade(ctx, made)
	return o.finish(ctx, "UPDATE_ROLLBACK_COMPLETE", "", o.settle)
}

// attempted returns, for resources whose update failed or was cut short, the properties
// that it wanted: some of them may be in force.
func (o *operation) attempted(ctx context.Context) map[string]*template.Value {
	out := map[string]*template.Value{}
	for id, r := range o.resources {
		live, ok := o.plan.live[id]
		if !ok || r.Previous == nil || r.Status != "UPDATE_FAILED" && r.Status != "UPDATE_IN_PROGRESS" {
			continue
		}
		if p, err := o.scope(ctx).Resolve(live.Properties); err == nil {
			out[id] = p
		}
	}
	return out
}

// restore gives one resource its former state; wanted is not nil when an update of it
// was not completed.
func (o *operation) restore(ctx context.Context, id string, wanted *template.Value) error {
	r := o.resource(id)
	before := r.Previous
	c := *r
	c.Current, c.Previous, c.Reason = *before, nil, ""
	if before.PhysicalID == r.Current.PhysicalID {
		now, err := o.reapply(ctx, id, r, *before, wanted)
		if err != nil {
			c = *r
			c.Status, c.Reason = "UPDATE_FAILED", reason(err)
			o.save(ctx, &c, o.event(id, c.Current.PhysicalID, c.Current.Type, c.Status, c.Reason))
			return err
		}
		c.Current = now
	}
	c.Status, c.Time = "UPDATE_COMPLETE", o.s.cfg.Now()
	o.save(ctx, &c, o.event(id, c.Current.PhysicalID, c.Current.Type, c.Status, ""))
	return nil
}

// reapply updates a resource in place to the properties of a former version.
func (o *operation) reapply(ctx context.Context, id string, r *resourceRecord, before resourceVersion, wanted *template.Value) (resourceVersion, error) {
	var was, is resourceSecret
	if err := o.s.unseal(resourcePurpose, before.Secret, &was); err != nil {
		return before, err
	}
	if err := o.s.unseal(resourcePurpose, r.Current.Secret, &is); err != nil {
		return before, err
	}
	now, tags := is.Properties, is.Tags
	if wanted != nil {
		now, tags = wanted, o.stack.Tags
	}
	req := o.request(id, before.Type, was.Properties)
	req.PhysicalID, req.Previous, req.Attributes = before.PhysicalID, now, was.Attributes
	req.Tags, req.PreviousTags = was.Tags, tags
	h := o.s.handlers[before.Type]
	if h.Update == nil || template.Equal(was.Properties, now) && !o.retagged(req) {
		return before, nil
	}
	st, err := h.Update(ctx, req)
	if err != nil {
		return before, err
	}
	sealed, err := o.s.seal(resourcePurpose, resourceSecret{Properties: was.Properties, Attributes: st.Attributes, Ref: st.Ref, Tags: was.Tags})
	if err != nil {
		return before, err
	}
	before.Secret = sealed
	return before, nil
}

// removeMade deletes what a rolled back update had created.
func (o *operation) removeMade(ctx context.Context, made map[string]resourceVersion) {
	needs, ids := map[string][]string{}, []string{}
	for id, r := range o.resources {
		if r.Fresh {
			made[id] = r.Current
		}
	}
	for id, v := range made {
		ids, needs[id] = append(ids, id), v.Needs
	}
	walk(ctx, ids, reversed(needs), func(ctx context.Context, id string) error {
		v := made[id]
		r := o.resource(id)
		var events []Event
		if v.PhysicalID != "" {
			o.journal.note(ctx, "", nil, o.event(id, v.PhysicalID, v.Type, "DELETE_IN_PROGRESS", ""))
			status, why := "DELETE_COMPLETE", ""
			if err := gone(o.remove(ctx, id, v)); err != nil {
				status, why = "DELETE_FAILED", reason(err)
			}
			events = append(events, o.event(id, v.PhysicalID, v.Type, status, why))
		}
		if r != nil && r.Fresh {
			o.forget(ctx, id, events...)
			return nil
		}
		o.journal.note(ctx, "", nil, events...)
		return nil
	})
}

// rollbackCreate deletes everything that a failed creation made.
func (o *operation) rollbackCreate(ctx context.Context, why *string) error {
	if why != nil {
		status := "ROLLBACK_IN_PROGRESS"
		if o.rec.DeleteOnFailure {
			status = "DELETE_IN_PROGRESS"
		}
		if err := o.phase(ctx, "rollback", status, *why+"Rollback requested by user."); err != nil {
			return err
		}
	}
	failed := o.deleteAll(ctx, nil, true)
	if len(failed) > 0 {
		text := "The following resource(s) failed to delete: [" + strings.Join(sortedKeys(failed), ", ") + "]. "
		return o.finish(ctx, "ROLLBACK_FAILED", text, o.settle)
	}
	if o.rec.DeleteOnFailure {
		o.stack.Deleted = o.s.cfg.Now()
		return o.finish(ctx, "DELETE_COMPLETE", "", nil)
	}
	return o.finish(ctx, "ROLLBACK_COMPLETE", "", nil)
}

// deleteAll deletes the resources of the stack, dependents first.
func (o *operation) deleteAll(ctx context.Context, retain []string, creating bool) map[string]error {
	needs, ids := map[string][]string{}, []string{}
	for id, r := range o.resources {
		ids, needs[id] = append(ids, id), r.Current.Needs
	}
	kept := map[string]bool{}
	for _, id := range retain {
		kept[id] = true
	}
	return walk(ctx, ids, reversed(needs), func(ctx context.Context, id string) error {
		r := o.resource(id)
		v := r.Current
		if v.PhysicalID == "" {
			o.forget(ctx, id)
			return nil
		}
		if kept[id] || v.DeletionPolicy == "Retain" || v.DeletionPolicy == "RetainExceptOnCreate" && !creating {
			o.forget(ctx, id, o.event(id, v.PhysicalID, v.Type, "DELETE_SKIPPED", ""))
			return nil
		}
		o.journal.note(ctx, "", nil, o.event(id, v.PhysicalID, v.Type, "DELETE_IN_PROGRESS", ""))
		err := gone(o.remove(ctx, id, v))
		if p := r.Previous; err == nil && p != nil && p.PhysicalID != "" && p.PhysicalID != v.PhysicalID {
			err = gone(o.remove(ctx, id, *p)) // an update that was kept after its failure had replaced it
		}
		if err != nil {
			c := *r
			c.Status, c.Reason, c.Time = "DELETE_FAILED", reason(err), o.s.cfg.Now()
			o.save(ctx, &c, o.event(id, v.PhysicalID, v.Type, c.Status, c.Reason))
			return err
		}
		o.forget(ctx, id, o.event(id, v.PhysicalID, v.Type, "DELETE_COMPLETE", ""))
		return nil
	})
}

func (o *operation) runDelete(ctx context.Context) error {
	failed := o.deleteAll(ctx, o.rec.Retain, false)
	if len(failed) > 0 {
		text := "The following resource(s) failed to delete: [" + strings.Join(sortedKeys(failed), ", ") + "]. "
		return o.finish(ctx, "DELETE_FAILED", text, nil)
	}
	o.stack.Deleted = o.s.cfg.Now()
	t := o.s.tables
	key := o.stack.key()
	return o.finish(ctx, "DELETE_COMPLETE", "", func(tx *store.Tx) error {
		o.imported = nil
		if err := o.recordImports(tx); err != nil {
			return err
		}
		own, err := t.exports.List(tx, store.Query{Index: "stack", Values: key})
		if err != nil {
			return err
		}
		for _, e := range own {
			if err := t.exports.Delete(tx, e.Account, e.Region, e.Name); err != nil {
				return err
			}
		}
		_, err = t.changeSets.DeleteAll(tx, key...)
		return err
	})
}
