package stack

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"sync"

	"moat/internal/service/stack/template"
	"moat/internal/store"
	"moat/internal/wire"
)

const stackType = "AWS::CloudFormation::Stack"

// operation carries out one create, update or delete of a stack.
type operation struct {
	s       *Service
	rec     operationRecord
	stack   stackRecord
	info    StackInfo
	plan    *plan // nil for a deletion
	journal *journal
	done    chan struct{} // closed when carry returns
	undoing bool          // rolling back

	mu        sync.Mutex
	resources map[string]*resourceRecord
	imported  map[string]bool
}

// context returns one in which handlers call services as the operation's caller.
func (o *operation) context(ctx context.Context) context.Context {
	who := identity{o.rec.Caller, o.rec.RoleARN}
	return who.calling(context.WithoutCancel(ctx), wire.Call{
		RequestID: o.rec.ID, Service: "cloudformation", Operation: o.rec.Kind, Account: o.info.Account, Region: o.info.Region, Time: o.s.cfg.Now(),
	})
}

func (o *operation) event(id, physical, typ, status, why string) Event {
	now := o.s.cfg.Now().UTC()
	e := Event{
		Time: now, StackID: o.info.ID, StackName: o.info.Name, LogicalID: id, PhysicalID: physical,
		Type: typ, Status: status, Reason: why, Token: o.rec.Token,
	}
	if id == o.info.Name && typ == stackType {
		e.ID = o.s.uuid()
	} else {
		e.ID = fmt.Sprintf("%s-%s-%s", id, status, now.Format("2006-01-02T15:04:05.000Z"))
	}
	return e
}

// become commits a new status of the stack, and what fn adds to the transaction.
func (o *operation) become(ctx context.Context, status, why string, fn func(tx *store.Tx) error) error {
	next := o.stack
	next.Status, next.Reason = status, why
	err := o.journal.commit(ctx, func(tx *store.Tx) error {
		if fn != nil {
			if err := fn(tx); err != nil {
				return err
			}
		}
		return o.s.tables.stacks.Put(tx, next)
	}, o.event(o.info.Name, o.info.ID, stackType, status, why))
	if err == nil {
		o.stack = next
	}
	return err
}

// phase commits the phase of the operation along with a status.
func (o *operation) phase(ctx context.Context, phase, status, why string) error {
	o.rec.Phase = phase
	rec := o.rec
	return o.become(ctx, status, why, func(tx *store.Tx) error { return o.s.tables.operations.Put(tx, rec) })
}

// finish commits the final status and forgets the operation.
func (o *operation) finish(ctx context.Context, status, why string, fn func(tx *store.Tx) error) error {
	rec := o.rec
	return o.become(ctx, status, why, func(tx *store.Tx) error {
		if err := o.s.tables.operations.Delete(tx, rec.Account, rec.Region, rec.UUID); err != nil && err != store.ErrNotFound {
			return err
		}
		if fn != nil {
			return fn(tx)
		}
		return nil
	})
}

// request prepares what a handler is told of one resource.
func (o *operation) request(id, typ string, properties *template.Value) *Request {
	return &Request{
		Stack: o.info, LogicalID: id, Type: typ, Name: o.name(id), Properties: properties, Tags: o.stack.Tags,
		Package: func(key string) ([]byte, error) {
			if !o.rec.Local && !o.undoing { // what was deployed before may be deployed again
				return nil, wire.NotImplementedBecause("cloudformation", "Code", "there is no S3 here: use ZipFile, or deploy with moat deploy")
			}
			return o.s.packageOf(key)
		},
	}
}

// name is a physical name that is the same whenever this operation asks for it.
func (o *operation) name(id string) string {
	sum := sha256.Sum256([]byte(o.rec.ID + "/" + id))
	suffix := strings.ToUpper(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])[:12])
	return o.info.Name + "-" + id + "-" + suffix
}

func (o *operation) resource(id string) *resourceRecord {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.resources[id]
}

func (o *operation) save(ctx context.Context, r *resourceRecord, events ...Event) {
	o.mu.Lock()
	o.resources[r.LogicalID] = r
	o.mu.Unlock()
	o.journal.note(ctx, r.LogicalID, r, events...)
}

func (o *operation) forget(ctx context.Context, id string, events ...Event) {
	o.mu.Lock()
	delete(o.resources, id)
	o.mu.Unlock()
	o.journal.note(ctx, id, nil, events...)
}

// scope evaluates expressions against the resources as they are now.
func (o *operation) scope(ctx context.Context) *template.Scope {
	sc := o.plan.scope
	sc.Ref = func(id string) (string, error) {
		secret, r, err := o.secretOf(id)
		if err != nil {
			return "", err
		}
		if secret.Ref != "" {
			return secret.Ref, nil
		}
		return r.Current.PhysicalID, nil
	}
	sc.GetAtt = func(id, attribute string) (*template.Value, error) {
		secret, r, err := o.secretOf(id)
		if err != nil {
			return nil, err
		}
		v, ok := secret.Attributes[attribute]
		if !ok {
			return nil, fmt.Errorf("Template error: resource %s (%s) has no attribute %s", id, r.Current.Type, attribute) //nolint:staticcheck // AWS's sentence
		}
		return template.NewString(v), nil
	}
	sc.Import = func(name string) (string, error) { return o.importValue(ctx, name) }
	sc.Dynamic = o.s.dynamic(ctx)
	return &sc
}

func (o *operation) secretOf(id string) (resourceSecret, *resourceRecord, error) {
	var v resourceSecret
	r := o.resource(id)
	if r == nil || r.Current.PhysicalID == "" {
		return v, nil, fmt.Errorf("Unresolved resource dependencies [%s] in the Resources block of the template", id) //nolint:staticcheck // AWS's sentence
	}
	err := o.s.unseal(resourcePurpose, r.Current.Secret, &v)
	return v, r, err
}

func (o *operation) importValue(ctx context.Context, name string) (string, error) {
	var value string
	err := o.s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		r, err := o.s.tables.exports.Get(tx, o.info.Account, o.info.Region, name)
		value = r.Value
		return err
	})
	if err == store.ErrNotFound {
		return "", fmt.Errorf("No export named %s found.", name) //nolint:staticcheck // AWS's sentence
	}
	if err == nil {
		o.mu.Lock()
		o.imported[name] = true
		o.mu.Unlock()
	}
	return value, err
}

// version describes a resource that now exists.
func (o *operation) version(r template.Resource, needs []string, properties *template.Value, st State) (resourceVersion, error) {
	sealed, err := o.s.seal(resourcePurpose, resourceSecret{Properties: properties, Attributes: st.Attributes, Ref: st.Ref, Tags: o.stack.Tags})
	v := resourceVersion{
		Type: r.Type, PhysicalID: st.PhysicalID, Needs: needs, DeletionPolicy: r.DeletionPolicy,
		ReplacementPolicy: r.UpdateReplacePolicy, Secret: sealed,
	}
	if r.Metadata != nil {
		v.Metadata = string(r.Metadata.JSON())
	}
	return v, err
}

// run carries the operation to its end from the phase it is in. The error is of the
// journal itself; a failed deployment is a status.
func (o *operation) run(ctx context.Context) error {
	ctx = o.context(ctx)
	if o.rec.Kind == "delete" {
		return o.runDelete(ctx)
	}
	switch o.rec.Phase {
	case "forward":
		return o.runForward(ctx)
	case "cleanup":
		return o.cleanup(ctx, "UPDATE_COMPLETE")
	default:
		return o.rollback(ctx, nil)
	}
}

func (o *operation) runForward(ctx context.Context) error {
	failed := walk(ctx, o.plan.graph.Order, o.plan.graph.Needs, o.apply)
	if len(failed) == 0 {
		return o.succeed(ctx)
	}
	verb := "create"
	if o.rec.Kind == "update" {
		verb = "update"
	}
	why := fmt.Sprintf("The following resource(s) failed to %s: [%s]. ", verb, strings.Join(sortedKeys(failed), ", "))
	return o.fail(ctx, why)
}

// fail ends a forward phase that did not succeed.
func (o *operation) fail(ctx context.Context, why string) error {
	if !o.rec.KeepOnFailure {
		return o.rollback(ctx, &why)
	}
	if o.rec.Kind == "create" {
		return o.finish(ctx, "CREATE_FAILED", why, nil)
	}
	// The journal stays: RollbackStack, or the next update, needs to know what was before.
	return o.become(ctx, "UPDATE_FAILED", why, nil)
}
