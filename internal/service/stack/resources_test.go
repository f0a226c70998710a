package stack

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
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
		"reading its template": &cloudformationapi.GetTemplateInput{ChangeSetName: cs.Id},
		"deleting":             &cloudformationapi.DeleteChangeSetInput{ChangeSetName: *cs.Id},
	} {
		op := strings.TrimSuffix(reflect.TypeOf(in).Elem().Name(), "Input")
		got := s.api.Resources(c, op, in)
		if len(got) != 1 || got[0].Resource != id {
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

// A template may hold secrets: on the disk it is sealed.
func TestTemplates_AreSealed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "moat.db")
	db := openDB(t, path)
	s := newTestService(t, db, newWorld())
	ctx := callContext(t)
	mustDeploy(t, s, ctx, parameters("A=first-secret-value"))
	body := string(parameters("A=second-secret-value"))
	cs, err := s.CreateChangeSet(ctx, &cloudformationapi.CreateChangeSetInput{StackName: "st", ChangeSetName: "next", TemplateBody: &body})
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.GetTemplate(ctx, &cloudformationapi.GetTemplateInput{ChangeSetName: cs.Id})
	if err != nil || *out.TemplateBody != body {
		t.Errorf("got %v, %v; want the template of the change set", out, err)
	}
	if out, err = s.GetTemplate(ctx, &cloudformationapi.GetTemplateInput{StackName: wire.String("st")}); err != nil || !strings.Contains(*out.TemplateBody, "first-secret-value") {
		t.Errorf("got %v, %v; want the template of the stack", out, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("secret-value")) {
			t.Errorf("%s holds the text of a template", filepath.Base(file))
		}
	}
}
