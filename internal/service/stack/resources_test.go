package stack

import (
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/cloudformationapi"
)

// What a call is authorised on is the stack that it will act on, however it names it.
func TestResources_NameWhatIsActedOn(t *testing.T) {
	t.Parallel()
	s, _, ctx := setup(t)
	id := mustDeploy(t, s, ctx, parameters("A=1")).StackID
	body := string(parameters("A=2"))
	cs, err := s.CreateChangeSet(ctx, &cloudformationapi.CreateChangeSetInput{StackName: "st", ChangeSetName: "next", TemplateBody: &body})
	if err != nil {
		t.Fatal(err)
	}
	c := wire.CallFrom(ctx)
	for name, in := range map[string]any{
		"by name":              &cloudformationapi.DeleteStackInput{StackName: "st"},
		"by id":                &cloudformationapi.DeleteStackInput{StackName: id},
		"a change set by name": &cloudformationapi.ExecuteChangeSetInput{ChangeSetName: "next", StackName: wire.String("st")},
		"a change set by id":   &cloudformationapi.ExecuteChangeSetInput{ChangeSetName: *cs.Id},
		"describing":           &cloudformationapi.DescribeChangeSetInput{ChangeSetName: *cs.Id},
		"deleting":             &cloudformationapi.DeleteChangeSetInput{ChangeSetName: *cs.Id},
	} {
		got, _ := s.resourcesOf(c, "", in)
		if len(got) != 1 || got[0] != id {
			t.Errorf("%s: got %v, want %s", name, got, id)
		}
	}
	elsewhere := "arn:aws:cloudformation:eu-west-1:000000000000:stack/mine/1"
	if _, err := s.CreateChangeSet(ctx, &cloudformationapi.CreateChangeSetInput{StackName: elsewhere, ChangeSetName: "c", ChangeSetType: "CREATE", TemplateBody: &body}); err == nil {
		t.Error("a stack was begun under an ARN as its name")
	}
	if _, err := s.ExecuteChangeSet(ctx, &cloudformationapi.ExecuteChangeSetInput{ChangeSetName: *cs.Id, StackName: wire.String("mine")}); err == nil {
		t.Error("a change set was executed under the name of another stack")
	}
}
