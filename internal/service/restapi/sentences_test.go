package restapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"moat/internal/pure/policy"
	"moat/internal/wire"
)

// recordedStep is a call and what AWS answered to it. "$name" stands for what an earlier answer called so ("$NAME":
// in capitals), "*" in an answer for anything, and so does what stands in angle brackets.
type recordedStep struct {
	Op        string
	In        map[string]any
	Save      map[string]string
	Answer    map[string]any
	Status    int
	Error     string
	Unordered bool // the order of items was by ids that were drawn
}

// everybody is an authority that lets every caller do everything.
type everybody struct{}

func (everybody) Credential(context.Context, string, string) (wire.Credential, error) {
	return wire.Credential{}, wire.ErrUnknownKey
}

func (everybody) Authorize(context.Context, wire.Caller, string, string, string, policy.Context) (policy.Decision, error) {
	return policy.Decision{Allowed: true}, nil
}

// TestRecordedSentences asks what was asked of AWS: status, code and sentence of errors, and the members of
// answers must be the same.
func TestRecordedSentences(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/sentences/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var steps []recordedStep
			if err := json.Unmarshal(data, &steps); err != nil {
				t.Fatal(err)
			}
			s, _, ctx := newService(t)
			p := wire.New(wire.Config{Authority: everybody{}, APIs: s.APIs(), Account: "000000000000", Region: "us-east-1", Strict: true})
			saved, ops := map[string]string{"long": strings.Repeat("x", maxKeyDescription+1)}, s.APIs()[0].ByName()
			for i, step := range steps {
				step.run(t, fmt.Sprintf("step %d, %s", i, step.Op), p, ops[step.Op], ctx, saved)
			}
		})
	}
}

func (step *recordedStep) run(t *testing.T, where string, p *wire.Pipeline, op *wire.Operation, ctx context.Context, saved map[string]string) {
	t.Helper()
	text, err := json.Marshal(step.In)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range saved {
		text = []byte(strings.ReplaceAll(string(text), `"$`+name+`"`, strconv.Quote(v)))
	}
	in, out := op.NewInput(), reflect.New(op.Output)
	if err := json.Unmarshal(text, in); err != nil {
		t.Fatal(err)
	}
	err = p.Invoke(ctx, "apigateway", op.Name, in, out.Interface())
	var e wire.Exception
	got := ""
	if errors.As(err, &e) {
		got = fmt.Sprintf("%d %s: %s", e.HTTPStatus(), e.ErrorCode(), e.ErrorMessage())
	} else if err != nil {
		t.Fatal(err)
	}
	if len(differences("", inOrder(step.Error), inOrder(got))) > 0 {
		t.Errorf("%s %.300s:\n got %.500s\nwant %.500s", where, text, got, step.Error)
	}
	if err != nil {
		return
	}
	if step.Status != 0 && step.Status != op.Status {
		t.Errorf("%s: status %d, want %d", where, op.Status, step.Status)
	}
	for name, member := range step.Save {
		value := out.Elem().FieldByName(member).Elem().String()
		saved[name], saved[strings.ToUpper(name)] = value, strings.ToUpper(value)
	}
	if step.Answer == nil {
		return
	}
	answer := wireForm(out).(map[string]any)
	if step.Unordered {
		for _, list := range []any{answer["items"], step.Answer["items"]} {
			items, _ := list.([]any)
			slices.SortFunc(items, func(a, b any) int { return strings.Compare(order(a), order(b)) })
		}
	}
	for _, d := range differences(where, step.Answer, answer) {
		t.Error(d)
	}
}

var enumeration = regexp.MustCompile(`\[[A-Za-z0-9_]+(, [A-Za-z0-9_]+)+\]`)

// inOrder sorts the values of enumerations in a sentence: their order is the model's here, and another one at AWS.
func inOrder(sentence string) string {
	return enumeration.ReplaceAllStringFunc(sentence, func(list string) string {
		values := strings.Split(strings.Trim(list, "[]"), ", ")
		slices.Sort(values)
		return "[" + strings.Join(values, ", ") + "]"
	})
}

// order is what items are told apart by whose names were not kept.
func order(item any) string {
	m, _ := item.(map[string]any)
	return fmt.Sprint(m["description"], " ", m["name"], " ", m["id"])
}
