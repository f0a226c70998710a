package wire

import (
	"context"
	"testing"

	"moat/internal/pure/policy"
)

// Decisions are kept for the call that they belong to, and only where somebody records.
func TestNoteCheck(t *testing.T) {
	t.Parallel()
	var kept checks
	ctx := WithCall(context.Background(), &Call{checks: &kept})
	NoteCheck(ctx, Check{Action: "iam:PassRole", Resource: "arn:aws:iam::1:role/r", Decision: policy.Decision{Allowed: true}})
	if got := kept.taken(); len(got) != 1 || got[0].Action != "iam:PassRole" || !got[0].Decision.Allowed {
		t.Errorf("kept %+v", got)
	}
	NoteCheck(WithCall(context.Background(), &Call{}), Check{}) // nobody records: nothing happens
	NoteCheck(context.Background(), Check{})
	if got := kept.taken(); len(got) != 1 {
		t.Errorf("another call's decision was kept: %+v", got)
	}
}

// What is recorded of an in-process call does not change with the caller's own message.
func TestShallowCopy(t *testing.T) {
	t.Parallel()
	type message struct{ Name string }
	in := &message{Name: "before"}
	kept := shallowCopy(in).(*message)
	in.Name = "after"
	if kept.Name != "before" {
		t.Errorf("the record says %q", kept.Name)
	}
	if shallowCopy((*message)(nil)) != nil {
		t.Error("nothing became something")
	}
}
