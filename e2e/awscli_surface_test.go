package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestAWSAPIGateway_Surface calls every operation of API Gateway by AWS's command line, as
// testdata/apigateway_surface.txt has it, and leaves none of those out that docs/coverage.md calls built.
func TestAWSAPIGateway_Surface(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"dev", "--json", "--listen", "127.0.0.1:0", "--no-demo-user", "--data", t.TempDir(), "testdata/small/template.yaml"})
	o := &operated{awsRunner: newAWSRunner(t, &courses{server: s}, awsModes(t)[1]), server: s}
	certificate, key := certificateFor(t, "surface.example.com")
	for name, content := range map[string]string{
		"mock.json": `{"application/json":"{\"statusCode\": 200}"}`, "uri.txt": "http://example.com/pets", "schema.json": `{"type":"object","properties":{"name":{"type":"string"}}}`,
		"pets.json": `{"swagger":"2.0","info":{"title":"pets","version":"1","description":"animals"},"paths":{}}`, "parts.json": `{"swagger":"2.0","info":{"title":"pets"},"paths":{},"x-amazon-apigateway-documentation":{"version":"1","documentationParts":[{"location":{"type":"API"},"properties":{"description":"animals"}}]}}`,
		"keys.csv":        "name,key\nimported,a-key-that-comes-from-elsewhere\n",
		"properties.json": `[{"op":"replace","path":"/properties","value":"{\"description\":\"other\"}"}]`, "surface.pem": certificate, "surface.key": key,
	} {
		o.keep(t, name, content)
	}
	script, called := readFile(t, "testdata/apigateway_surface.txt"), map[string]bool{}
	made := map[string]string{}
	for _, section := range strings.Split(script, "\n== ")[1:] {
		name, lines, _ := strings.Cut(section, "\n")
		for line := range strings.Lines(lines) {
			if line = strings.TrimSpace(line); line != "" {
				called[commandOf(line)] = true
			}
		}
		if name == "setup" {
			o.script(t, lines, made)
			continue
		}
		own := map[string]string{}
		for k, v := range made {
			own[k] = v
		}
		t.Run(name, func(t *testing.T) { t.Parallel(); o.script(t, lines, own) })
	}
	for _, operation := range builtOperations(t) {
		if !called[operation] && !strings.Contains(operation, "access-association") { // the command line of Debian does not know those
			t.Errorf("no command calls %s", operation)
		}
	}
}

// script runs commands one after the other.
func (o *operated) script(t *testing.T, lines string, made map[string]string) {
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		how, args := "", strings.Fields(line)
		if strings.ContainsAny(args[0], "=~!") {
			how, args = args[0], args[1:]
		}
		for i := range args {
			args[i] = variable.ReplaceAllStringFunc(args[i], func(name string) string { return made[name[1:]] })
		}
		if args[0] != "sts" {
			args = append([]string{"apigateway"}, args...)
		}
		if code, refused := strings.CutSuffix(how, "!"); refused {
			o.refused(t, code, args...)
			continue
		}
		out := o.ok(t, args...)
		if name, path, keeps := strings.Cut(how, "="); keeps && !strings.Contains(name, "~") {
			made[name] = fmt.Sprint(at(t, out, steps(path)...))
		} else if path, want, shows := strings.Cut(how, "~"); shows {
			want = variable.ReplaceAllStringFunc(want, func(name string) string { return made[name[1:]] })
			if got := fmt.Sprint(at(t, out, steps(path)...)); got != want && (want != "*" || got == "<nil>") {
				t.Errorf("%s: %s, want %s", line, got, want)
			}
		}
	}
}

var variable = regexp.MustCompile(`\$[a-z]+`)

// steps are the members and indexes of a path.
func steps(path string) []any {
	var out []any
	for _, part := range strings.Split(path, ".") {
		if i, err := strconv.Atoi(part); err == nil {
			out = append(out, i)
		} else {
			out = append(out, part)
		}
	}
	return out
}

func commandOf(line string) string {
	for _, word := range strings.Fields(line) {
		if !strings.ContainsAny(word, "=~!") {
			return word
		}
	}
	return ""
}

// builtOperations are those of API Gateway that docs/coverage.md calls built, as commands.
func builtOperations(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## apigateway\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, built, _ := strings.Cut(section, "### Built\n")
	built, _, _ = strings.Cut(built, "\n### ")
	var out []string
	for line := range strings.Lines(built) {
		if name, item := strings.CutPrefix(strings.TrimSpace(line), "- "); item {
			out = append(out, strings.ToLower(capital.ReplaceAllString(name, "${1}-${2}")))
		}
	}
	if len(out) < 100 {
		t.Fatalf("docs/coverage.md names %d operations", len(out))
	}
	return out
}

var capital = regexp.MustCompile(`([a-z])([A-Z])`)
