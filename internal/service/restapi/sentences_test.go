package restapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"moat/internal/wire"
)

// recordedStep is a call and what AWS answered to it. "$name" stands for what an earlier answer
// called so, "*" in an answer for anything.
type recordedStep struct {
	Op     string
	In     map[string]any
	Save   map[string]string
	Answer map[string]any
	Error  string
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
			ops, saved := s.APIs()[0].ByName(), map[string]string{}
			for i, step := range steps {
				text, err := json.Marshal(step.In)
				if err != nil {
					t.Fatal(err)
				}
				for name, v := range saved {
					text = []byte(strings.ReplaceAll(string(text), `"$`+name+`"`, strconv.Quote(v)))
				}
				in := ops[step.Op].NewInput()
				if err := json.Unmarshal(text, in); err != nil {
					t.Fatal(err)
				}
				out, err := ops[step.Op].Call(ctx, in)
				var e wire.Exception
				got := ""
				if errors.As(err, &e) {
					got = fmt.Sprintf("%d %s: %s", e.HTTPStatus(), e.ErrorCode(), e.ErrorMessage())
				} else if err != nil {
					t.Fatal(err)
				}
				if got != step.Error {
					t.Errorf("step %d, %s %s:\n got %s\nwant %s", i, step.Op, text, got, step.Error)
				}
				if err != nil {
					continue
				}
				v := reflect.ValueOf(out).Elem()
				for name, member := range step.Save {
					saved[name] = v.FieldByName(member).Elem().String()
				}
				if step.Answer != nil {
					sameMembers(t, fmt.Sprintf("step %d, %s", i, step.Op), step.Answer, onWire(v).(map[string]any))
				}
			}
		})
	}
}

func sameMembers(t *testing.T, where string, want, got map[string]any) {
	t.Helper()
	for name, v := range want {
		if v == "*" && got[name] != nil {
			got[name] = "*"
		}
	}
	a, _ := json.Marshal(want) // maps of a test
	b, _ := json.Marshal(got)
	if string(a) != string(b) {
		t.Errorf("%s:\n got %s\nwant %s", where, b, a)
	}
}

// onWire is an answer as its members are named on the wire, without those that are absent.
func onWire(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return onWire(v.Elem())
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("aws"), ",")
			f := v.Field(i)
			if f.Kind() == reflect.String && f.Len() == 0 {
				continue
			}
			if x := onWire(f); x != nil {
				out[name] = x
			}
		}
		return out
	case reflect.Map, reflect.Slice:
		if v.IsNil() {
			return nil
		}
	}
	return v.Interface()
}
