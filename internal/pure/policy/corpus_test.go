package policy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The corpus: testdata/*.cases, in the language that testdata/README.md
// describes. Each ask is a case.

// scene is the policies that a file's asks are decided by.
type scene struct {
	title string
	trust bool
	docs  map[string][]*corpusDocument // by kind
}

type corpusDocument struct {
	id, version string
	statements  []map[string]any
}

func (d *corpusDocument) parse(t *testing.T) *Document {
	t.Helper()
	text, err := json.Marshal(map[string]any{"Version": d.version, "Statement": d.statements})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := Parse(d.id, text)
	if err != nil {
		t.Fatalf("%s: %v in %s", d.id, err, text)
	}
	return doc
}

// corpus reads one file.
type corpus struct {
	principals map[string]Principal
	scene      *scene
	cases      []corpusCase
}

type corpusCase struct {
	line  int
	text  string
	scene *scene
	req   *Request
	want  string
}

// fields cuts a line into words; text in quotes is one word, and ; is a word of
// its own outside of them.
func fields(line string) (out []string) {
	word, quoted, any := []byte{}, false, false
	end := func() {
		if any {
			out = append(out, string(word))
		}
		word, any = word[:0], false
	}
	for i := range len(line) {
		switch c := line[i]; {
		case c == '"':
			quoted, any = !quoted, true
		case quoted:
			word = append(word, c)
		case c == ' ' || c == '\t':
			end()
		case c == ';':
			end()
			out = append(out, ";")
		default:
			word, any = append(word, c), true
		}
	}
	end()
	return out
}

var corpusKinds = map[string]string{"identity": KindIdentity, "resource": KindResource, "trust": KindResource, "boundary": KindBoundary, "session": KindSession, "guardrail": KindGuardrail}

func (c *corpus) read(line string, number int) error {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return nil
	}
	f := fields(line)
	switch kind, isKind := corpusKinds[f[0]]; {
	case f[0] == "principal" && c.scene == nil:
		return c.principal(f[1:])
	case f[0] == "scene":
		c.scene = &scene{title: line, docs: map[string][]*corpusDocument{}}
	case c.scene == nil:
		return fmt.Errorf("no scene")
	case isKind:
		d := &corpusDocument{id: f[1], version: "2012-10-17"}
		if len(f) > 2 {
			d.version = f[2]
		}
		c.scene.trust = c.scene.trust || f[0] == "trust"
		c.scene.docs[kind] = append(c.scene.docs[kind], d)
		c.scene.docs[""] = []*corpusDocument{d} // the one that statements go to
	case f[0] == "allow" || f[0] == "deny" || f[0] == "allow:" || f[0] == "deny:":
		return c.statement(f)
	case f[0] == "ask":
		return c.ask(line, f[1:], number)
	default:
		return fmt.Errorf("unknown word %q", f[0])
	}
	return nil
}

// principal NAME KIND [of ...] key=value ...
func (c *corpus) principal(f []string) error {
	p := Principal{Kind: Kind(f[1]), Context: Context{}}
	for _, pair := range f[2:] {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("%q is not key=value", pair)
		}
		switch key {
		case "arn":
			p.ARN = value
		case "account":
			p.Account = value
		case "id":
			p.ID = value
		case "role":
			p.RoleARN = value
		case "user":
			p.UserARN = value
		case "userid":
			p.UserID = value
		case "service":
			p.Service = value
		case "federated":
			p.Federated = value
		default:
			p.Context.Set(key, strings.Split(value, "|")...)
		}
	}
	c.principals[f[0]] = p
	return nil
}

// statement reads: allow SID: element ; element
func (c *corpus) statement(f []string) error {
	if c.scene.docs[""] == nil {
		return fmt.Errorf("no policy")
	}
	effect := map[bool]string{true: "Allow", false: "Deny"}[strings.HasPrefix(f[0], "allow")]
	s := map[string]any{"Effect": effect}
	rest := f[1:]
	if !strings.HasSuffix(f[0], ":") {
		sid, ok := strings.CutSuffix(f[1], ":")
		if !ok {
			return fmt.Errorf("no colon after %q", f[1])
		}
		s["Sid"], rest = sid, f[2:]
	}
	for len(rest) > 0 {
		end := slices.Index(rest, ";")
		if end < 0 {
			end = len(rest)
		}
		if err := element(s, rest[:end]); err != nil {
			return err
		}
		rest = rest[min(end+1, len(rest)):]
	}
	d := c.scene.docs[""][0]
	d.statements = append(d.statements, s)
	return nil
}

func element(s map[string]any, words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("element %q", words)
	}
	switch names := map[string]string{"action": "Action", "notaction": "NotAction", "resource": "Resource", "notresource": "NotResource", "principal": "Principal", "notprincipal": "NotPrincipal"}; words[0] {
	case "action", "notaction", "resource", "notresource":
		s[names[words[0]]] = words[1:]
	case "principal", "notprincipal":
		name := names[words[0]]
		if words[1] == "*" {
			s[name] = "*"
			return nil
		}
		m, ok := s[name].(map[string]any)
		if !ok {
			m = map[string]any{}
			s[name] = m
		}
		m[words[1]] = words[2:]
	case "if":
		m, ok := s["Condition"].(map[string]map[string][]string)
		if !ok {
			m = map[string]map[string][]string{}
			s["Condition"] = m
		}
		if m[words[1]] == nil {
			m[words[1]] = map[string][]string{}
		}
		m[words[1]][words[2]] = append([]string{}, words[3:]...)
	default:
		return fmt.Errorf("unknown element %q", words[0])
	}
	return nil
}

// ask WHO ACTION RESOURCE [in ACCOUNT] [with key=value ...] -> OUTCOME
func (c *corpus) ask(line string, f []string, number int) error {
	arrow := slices.Index(f, "->")
	if arrow < 3 {
		return fmt.Errorf("ask without outcome")
	}
	who, ok := c.principals[f[0]]
	if !ok {
		return fmt.Errorf("nobody is called %q", f[0])
	}
	r := &Request{Principal: who, Action: f[1], Resource: f[2], Account: "123456789012", Context: Context{}}
	rest := f[3:arrow]
	if len(rest) > 1 && rest[0] == "in" {
		r.Account, rest = rest[1], rest[2:]
	}
	if len(rest) > 0 && rest[0] != "with" {
		return fmt.Errorf("%q is neither in nor with", rest[0])
	}
	for _, pair := range rest[min(1, len(rest)):] {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("%q is not key=value", pair)
		}
		r.Context.Set(key, strings.Split(value, "|")...)
	}
	c.cases = append(c.cases, corpusCase{number, line, c.scene, r, strings.Join(f[arrow+1:], " ")})
	return nil
}

// outcome says a decision as the corpus does.
func outcomeOf(d Decision) string {
	short := ""
	for word, kind := range corpusKinds {
		if kind == d.Kind && word != "trust" {
			short = word
		}
	}
	switch {
	case d.Allowed:
		return "allow by " + d.Policy + "/" + d.Statement
	case d.Explicit:
		return "deny by " + d.Policy + "/" + d.Statement
	}
	s := "none in " + short
	if d.Condition != "" {
		s += " for " + d.Condition
	}
	if len(d.Missing) > 0 {
		s += " lacking " + strings.Join(d.Missing, " ")
	}
	return s
}

func (s *scene) policies(t *testing.T) *Policies {
	t.Helper()
	all := func(kind string) (out []*Document) {
		for _, d := range s.docs[kind] {
			out = append(out, d.parse(t))
		}
		return out
	}
	first := func(kind string) *Document {
		docs := all(kind)
		switch len(docs) {
		case 0:
			return nil
		case 1:
			return docs[0]
		}
		t.Fatalf("%s: two of a kind that is only one", s.title)
		return nil
	}
	return &Policies{Identity: all(KindIdentity), Resource: first(KindResource), Boundary: first(KindBoundary), Session: all(KindSession), Guardrails: all(KindGuardrail)}
}

func (c corpusCase) check(t *testing.T) {
	t.Helper()
	p := c.scene.policies(t)
	evaluate, explain := Evaluate, Explain
	if c.scene.trust {
		evaluate, explain = EvaluateTrust, ExplainTrust
	}
	got := evaluate(c.req, p)
	if outcomeOf(got) != c.want {
		t.Errorf("line %d, %s:\n  %s\n  got %s", c.line, c.scene.title, c.text, outcomeOf(got))
	}
	if x := explain(c.req, p); !reflect.DeepEqual(x.Decision, got) {
		t.Errorf("line %d: explained as %+v, decided as %+v", c.line, x.Decision, got)
	}
	joined := *p
	joined.Identity = []*Document{Join(p.Identity...)}
	if again := evaluate(c.req, &joined); !reflect.DeepEqual(again, got) {
		t.Errorf("line %d: joined %+v, apart %+v", c.line, again, got)
	}
}

func readCorpus(t *testing.T, c *corpus, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if err := c.read(line, i+1); err != nil {
			t.Fatalf("%s:%d: %v", file, i+1, err)
		}
	}
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.cases")
	if err != nil || len(files) == 0 {
		t.Fatal("no corpus", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".cases"), func(t *testing.T) {
			t.Parallel()
			c := &corpus{principals: map[string]Principal{}}
			readCorpus(t, c, "testdata/principals")
			readCorpus(t, c, file)
			accepted, refused := 0, 0
			for _, one := range c.cases {
				one.check(t)
				if strings.HasPrefix(one.want, "allow") {
					accepted++
				} else {
					refused++
				}
			}
			if accepted == 0 || refused == 0 {
				t.Errorf("%d accepted, %d refused: each accept needs its twin", accepted, refused)
			}
		})
	}
}
