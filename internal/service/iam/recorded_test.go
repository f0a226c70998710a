package iam

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"moat/internal/wire"
)

// recordedCase is a sequence of calls and what AWS answered to some of them.
type recordedCase struct {
	Steps []struct {
		Op, Answer, At string
		In             map[string]any
	}
	Answers map[string]map[string]any
}

// TestRecorded asks what was asked of AWS: code, sentence and status of errors and
// the members of answers must be the same.
func TestRecorded(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases map[string]recordedCase }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for name, c := range file.Cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &replay{t: t, h: newHouse(t), seen: map[string]string{}, bound: map[string]string{}}
			for _, step := range c.Steps {
				got := r.call(step.Op, step.In)
				if step.Answer == "" {
					if got["Error"] != nil {
						t.Fatalf("%s: %v", step.Op, got["Error"])
					}
					continue
				}
				want, ok := c.Answers[step.Answer]
				if !ok {
					t.Fatalf("no answer %s", step.Answer)
				}
				delete(want, "ResponseMetadata")
				var at any = got
				for _, part := range strings.Split(step.At, ".") {
					if i, err := strconv.Atoi(part); err == nil {
						at = at.([]any)[i]
					} else if part != "" {
						at = at.(map[string]any)[part]
					}
				}
				r.compare(step.Answer, want, at)
			}
		})
	}
}

// replay makes calls and remembers what answers called things.
type replay struct {
	t     *testing.T
	h     *house
	seen  map[string]string // members of answers, by name
	bound map[string]string // placeholders of the recording
}

func (r *replay) call(name string, in map[string]any) map[string]any {
	r.t.Helper()
	for _, op := range r.h.s.APIs()[0].Operations {
		if op.Name != name {
			continue
		}
		text, err := json.Marshal(in)
		if err != nil {
			r.t.Fatal(err)
		}
		for k, v := range r.seen {
			text = []byte(strings.ReplaceAll(string(text), `"$`+k+`"`, strconv.Quote(v)))
		}
		input, output := op.NewInput(), reflect.New(op.Output)
		if err := json.Unmarshal(text, input); err != nil {
			r.t.Fatal(err)
		}
		err = r.h.p.Invoke(r.h.root(), "iam", name, input, output.Interface())
		var e wire.Exception
		switch {
		case errors.As(err, &e):
			if status := e.HTTPStatus(); status/100 != 4 {
				r.t.Errorf("%s: status %d", name, status)
			}
			return map[string]any{"Error": map[string]any{"Code": e.ErrorCode(), "Message": e.ErrorMessage(), "Type": "Sender"}}
		case err != nil:
			r.t.Fatal(err)
		}
		got, _ := r.plain(name, output.Elem()).(map[string]any)
		return got
	}
	r.t.Fatalf("no operation %s", name)
	return nil
}

// plain turns an answer into what the recordings hold: absent members left out,
// policy documents decoded.
func (r *replay) plain(name string, v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return r.plain(name, v.Elem())
	case reflect.Struct:
		if _, ok := v.Interface().(time.Time); ok {
			return "<datetime>"
		}
		out := map[string]any{}
		for i := range v.NumField() {
			field := v.Type().Field(i).Name
			if x := r.plain(field, v.Field(i)); x != nil {
				out[field] = x
			}
		}
		return out
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		out := []any{}
		for i := range v.Len() {
			out = append(out, r.plain(name, v.Index(i)))
		}
		return out
	case reflect.String:
		s := v.String()
		if s == "" {
			return nil
		}
		r.seen[name] = s
		if strings.HasSuffix(name, "PolicyDocument") {
			var doc any
			if text, err := url.PathUnescape(s); err == nil && json.Unmarshal([]byte(text), &doc) == nil {
				return doc
			}
		}
		return s
	case reflect.Int32:
		return float64(v.Int())
	}
	return v.Interface()
}

var placeholder = regexp.MustCompile(`<[a-z-]+(:\d+)?>`)

func (r *replay) compare(at string, want, got any) {
	r.t.Helper()
	switch want := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for k := range want {
			if _, ok := g[k]; !ok {
				r.t.Errorf("%s: lacks %s: %v", at, k, got)
			}
		}
		for k, v := range g {
			if _, ok := want[k]; !ok {
				r.t.Errorf("%s: has %s = %v, which AWS leaves out", at, k, v)
				continue
			}
			r.compare(at+"."+k, want[k], v)
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			r.t.Errorf("%s: %v, want %v", at, got, want)
			return
		}
		for i := range want {
			r.compare(at+"."+strconv.Itoa(i), want[i], g[i])
		}
	case string:
		g, ok := got.(string)
		if !ok || !r.same(want, g) {
			r.t.Errorf("%s: %v, want %s", at, got, want)
		}
	default:
		if !reflect.DeepEqual(want, got) {
			r.t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
}

// same compares texts; a placeholder stands for one value throughout a case.
func (r *replay) same(want, got string) bool {
	want = strings.NewReplacer("<partition>", "aws", "111111111111", account, "<region>", "us-east-1").Replace(want)
	pattern, names := "^", []string{}
	for {
		at := placeholder.FindStringIndex(want)
		if at == nil {
			break
		}
		name := want[at[0]:at[1]]
		pattern += regexp.QuoteMeta(want[:at[0]])
		if have, ok := r.bound[name]; ok {
			pattern += regexp.QuoteMeta(have)
		} else {
			pattern += "(.+)"
			names = append(names, name)
		}
		want = want[at[1]:]
	}
	m := regexp.MustCompile(pattern + regexp.QuoteMeta(want) + "$").FindStringSubmatch(got)
	if m == nil {
		return false
	}
	for i, name := range names {
		if strings.Contains(name, ":") {
			r.bound[name] = m[i+1]
		}
	}
	return true
}
