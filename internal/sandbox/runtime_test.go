package sandbox

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNode_handlers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, c := range []struct{ name, text, event, want string }{
		{"promise", `exports.handler = (e) => Promise.resolve(e)`, `1`, `1`},
		{"async", `exports.handler = async (e) => e.a`, `{"a":"ü"}`, `"ü"`},
		{"callback", `exports.handler = (e, c, cb) => cb(null, e)`, `"x"`, `"x"`},
		{"callback waits for the event loop", `exports.handler = (e, c, cb) => { const o = {}; setTimeout(() => { o.late = true }, 30); cb(null, o); }`, `{}`, `{"late":true}`},
		{"callback does not wait", `exports.handler = (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; const o = {}; setTimeout(() => { o.late = true }, 3000); cb(null, o); }`, `{}`, `{}`},
		{"done", `exports.handler = (e, c) => c.done(null, 'd')`, `{}`, `"d"`},
		{"succeed", `exports.handler = (e, c) => { setTimeout(() => c.succeed('s'), 5) }`, `{}`, `"s"`},
		{"done, then a promise of nothing", `exports.handler = (e, c) => { c.callbackWaitsForEmptyEventLoop = false; c.done(null, 'first'); return Promise.resolve(undefined); }`, `{}`, `"first"`},
		{"a promise, then done", `exports.handler = async (e, c) => { setTimeout(() => c.done(null, 'late'), 10); return 'first'; }`, `{}`, `"first"`},
		{"nothing", `exports.handler = () => {}`, `{}`, `null`},
		{"undefined", `exports.handler = async () => {}`, `{}`, `null`},
		{"new Buffer", `exports.handler = async () => new Buffer('a').toString('hex')`, `{}`, `"61"`},
		{"context", `exports.handler = async (e, c) => [c.functionName, c.functionVersion, c.memoryLimitInMB, c.invokedFunctionArn.slice(-10), c.awsRequestId.slice(0, 4), c.getRemainingTimeInMillis() > 4000, process.env._X_AMZN_TRACE_ID.slice(0, 7)]`, `{}`,
			`["f","$LATEST","256","function:f","req-",true,"Root=1-"]`},
		{"the variables of Lambda", `exports.handler = async () => [process.env._HANDLER, process.env.LAMBDA_TASK_ROOT, process.env.TZ, process.cwd()]`, `{}`, `["index.handler","/var/task",":UTC","/var/task"]`},
		{"a large event", `exports.handler = async (e) => e.length`, `"` + strings.Repeat("x", 5<<20) + `"`, `5242880`},
		{"a large answer", `exports.handler = async () => 'y'.repeat(10)`, `{}`, `"yyyyyyyyyy"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			want(t, invoke(t, h, node(t, c.text), c.event), c.want)
		})
	}
}

func TestNode_modules(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, c := range []struct {
		name, handler string
		files         map[string]string
		want          string
	}{
		{"mjs", "index.handler", map[string]string{"index.mjs": `import os from 'os'; await 1; export const handler = async () => typeof os.cpus`}, `"function"`},
		{"type module", "src/index.handler", map[string]string{"package.json": `{"type":"module"}`, "src/index.js": `export const handler = async () => import.meta.url`}, `"file:///var/task/src/index.js"`},
		{"cjs", "a.b.c", map[string]string{"a.cjs": `exports.b = { c: async () => 'nested' }`}, `"nested"`},
		{"node_modules", "index.handler", map[string]string{"index.js": `exports.handler = async () => require('m')`, "node_modules/m/index.js": `module.exports = 'm'`}, `"m"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			want(t, invoke(t, h, function(t, "nodejs22.x", c.handler, c.files), `{}`), c.want)
		})
	}
}

func TestNode_errors(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, c := range []struct{ name, text, kind, message string }{
		{"thrown", `exports.handler = async () => { throw new TypeError('bad') }`, "TypeError", "bad"},
		{"thrown at once", `exports.handler = () => { throw new RangeError('r') }`, "RangeError", "r"},
		{"a custom error", `class E extends Error { constructor() { super('m'); this.name = 'Custom' } }; exports.handler = async () => { throw new E() }`, "Custom", "m"},
		{"a string", `exports.handler = async () => { throw 'text' }`, "string", "text"},
		{"fail", `exports.handler = (e, c) => c.fail(new Error('failed'))`, "Error", "failed"},
		{"callback", `exports.handler = (e, c, cb) => cb(new Error('cb'))`, "Error", "cb"},
		{"a circle", `exports.handler = async () => { const a = {}; a.a = a; return a; }`, "Error", "Unable to stringify response body"},
		{"uncaught", `exports.handler = (e, c, cb) => { setTimeout(() => { throw new Error('uncaught') }, 1) }`, "Error", "uncaught"},
		{"unhandled rejection", `exports.handler = (e, c, cb) => { Promise.reject(new Error('lost')); setTimeout(cb, 1000) }`, "Runtime.UnhandledPromiseRejection", "lost"},
		{"exit", `exports.handler = async () => process.exit(0)`, "Runtime.ExitError", "Runtime exited without providing a reason"},
		{"exit with a status", `exports.handler = async () => process.exit(3)`, "Runtime.ExitError", "exit status 3"},
		{"too large an answer", `exports.handler = async () => 'x'.repeat(6291556)`, "Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (6291556 bytes)."},
		{"no handler", `exports.other = 1`, "Runtime.HandlerNotFound", "index.handler is undefined or not exported"},
		{"not a function", `exports.handler = 1`, "Runtime.HandlerNotFound", "index.handler is not a function"},
		{"syntax", `exports.handler = (`, "Runtime.UserCodeSyntaxError", "SyntaxError"},
		{"a missing module", `require('no-such-module')`, "Runtime.ImportModuleError", "Cannot find module 'no-such-module'"},
		{"init throws", `throw new Error('at init')`, "Error", "at init"},
		{"init exits", `process.exit(1)`, "Runtime.ExitError", "exit status 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := node(t, c.text)
			wantError(t, invoke(t, h, s, `{}`), c.kind, c.message)
			wantError(t, invoke(t, h, s, `{}`), c.kind, c.message) // the next one fares no worse
		})
	}
	wantError(t, invoke(t, h, function(t, "nodejs20.x", "missing.handler", map[string]string{"index.js": ``}), `{}`), "Runtime.ImportModuleError", "Cannot find module")
	wantError(t, invoke(t, h, function(t, "nodejs20.x", "../x.handler", map[string]string{"index.js": ``}), `{}`), "Runtime.MalformedHandlerName", "")
	wantError(t, invoke(t, h, function(t, "nodejs20.x", "index", map[string]string{"index.js": ``}), `{}`), "Runtime.MalformedHandlerName", "Bad handler")
}

func TestPython(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	py := func(text string) *Spec {
		return function(t, "python3.11", "app/main.handler", map[string]string{"app/main.py": text})
	}
	for _, c := range []struct{ name, text, event, want string }{
		{"event", "def handler(e, c): return e", `{"a":"ü"}`, `{"a": "ü"}`},
		{"none", "def handler(e, c): pass", `{}`, `null`},
		{"context", "def handler(e, c): return [c.function_name, c.function_version, c.memory_limit_in_mb, c.aws_request_id[:4], c.get_remaining_time_in_millis() > 4000, c.identity.cognito_identity_id]", `{}`, `["f", "$LATEST", "256", "req-", true, null]`},
		{"decimals", "import decimal\ndef handler(e, c): return decimal.Decimal('1.5')", `{}`, `1.5`},
		{"where it is", "import os, sys\ndef handler(e, c): return [os.getcwd(), sys.path[0]]", `{}`, `["/var/task", "/var/task"]`},
		{"threads", "import threading\ndef handler(e, c):\n  l = []\n  t = threading.Thread(target=lambda: l.append(1)); t.start(); t.join()\n  return l", `{}`, `[1]`},
		{"a child", "import subprocess\ndef handler(e, c): return subprocess.check_output(['echo', 'x']).decode()", `{}`, `"x\n"`},
		{"TLS", "import ssl\ndef handler(e, c): return len(ssl.create_default_context().get_ca_certs()) > 0", `{}`, `true`},
	} {
		t.Run(c.name, func(t *testing.T) { want(t, invoke(t, h, py(c.text), c.event), c.want) })
	}
	for _, c := range []struct{ name, text, kind, message string }{
		{"raised", "def handler(e, c): raise ValueError('bad')", "ValueError", "bad"},
		{"not JSON", "def handler(e, c): return {1, 2}", "Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON serializable"},
		{"no handler", "x = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app.main'"},
		{"syntax", "def handler(", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app.main'"},
		{"a missing module", "import nosuchmodule", "Runtime.ImportModuleError", "Unable to import module 'app.main': No module named 'nosuchmodule'"},
		{"init raises", "raise Exception('Runtime startup fails')", "Exception", "Runtime startup fails"},
		{"exit", "import sys\ndef handler(e, c): sys.exit(0)", "Runtime.ExitError", "Runtime exited without providing a reason"},
	} {
		t.Run(c.name, func(t *testing.T) { wantError(t, invoke(t, h, py(c.text), `{}`), c.kind, c.message) })
	}
	wantError(t, invoke(t, h, function(t, "python3.11", "nothing", map[string]string{"a.py": ""}), `{}`), "Runtime.MalformedHandlerName", "Bad handler 'nothing': not enough values to unpack (expected 2, got 1)")
	res := invoke(t, h, py("def handler(e, c): raise KeyError('k')"), `{}`)
	if !strings.Contains(string(res.Payload), `"stackTrace": ["  File \"/var/task/app/main.py\", line 1, in handler`) {
		t.Errorf("%s", res.Payload)
	}
}

// custom is a runtime in Go on the standard library alone, as aws-lambda-go's is.
const custom = `package main

import ("bytes"; "fmt"; "io"; "net/http"; "os")

func main() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/"
	if _, err := http.Post(base+"invocation/unknown/response", "application/json", bytes.NewReader(nil)); err != nil { panic(err) }
	for {
		r, err := http.Get(base + "invocation/next")
		if err != nil { panic(err) }
		body, _ := io.ReadAll(r.Body)
		id := r.Header.Get("Lambda-Runtime-Aws-Request-Id")
		fmt.Println("event", string(body))
		again, err := http.Get(base + "invocation/next") // not before it has answered
		if err != nil { panic(err) }
		wrong, err := http.Post(base+"invocation/other/response", "application/json", bytes.NewReader(body))
		if err != nil { panic(err) }
		// Without a length the body is sent in chunks.
		answer := fmt.Sprintf("[%s,%d,%d]", body, again.StatusCode, wrong.StatusCode)
		ok, err := http.Post(base+"invocation/"+id+"/response", "application/json", io.MultiReader(bytes.NewReader([]byte(answer))))
		if err != nil || ok.StatusCode != 202 { panic(err) }
	}
}
`

func TestProvided(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(custom), 0o644); err != nil {
		t.Fatal(err)
	}
	s := function(t, "provided.al2023", "bootstrap", nil)
	build := exec.Command("go", "build", "-o", filepath.Join(s.Package, "bootstrap"), filepath.Join(dir, "main.go"))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("no Go compiler: %v %s", err, out)
	}
	h := newHost(t)
	want(t, invoke(t, h, s, `{"a":1}`), `[{"a":1},403,400]`)
	res := invoke(t, h, s, `2`)
	want(t, res, `[2,403,400]`)
	if res.Cold || !strings.Contains(string(res.LogTail), "event 2\n") {
		t.Errorf("cold %v, log %s", res.Cold, res.LogTail)
	}
}

func TestProvided_script(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	h := newHost(t)
	const script = `#!/bin/sh
while true; do
  headers=/tmp/h
  event=$(curl -sS -D $headers "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next")
  id=$(grep -i Lambda-Runtime-Aws-Request-Id $headers | tr -d '[:space:]' | cut -d: -f2)
  head -c 3000000 /dev/zero | tr '\0' 1 > /tmp/body   # large enough for Expect: 100-continue
  curl -sS -X POST --data-binary @/tmp/body "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response" > /dev/null
done
`
	res := invoke(t, h, function(t, "provided.al2023", "x", map[string]string{"bootstrap": script}), `{}`)
	if res.FunctionError != "" || len(res.Payload) != 3000000 {
		t.Errorf("%s %d %s", res.FunctionError, len(res.Payload), res.LogTail)
	}
	wantError(t, invoke(t, h, function(t, "provided.al2", "x", map[string]string{"other": script}), `{}`), "Runtime.InvalidEntrypoint", "/var/task/bootstrap")
}

func TestLayers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	layer := func(files map[string]string) string { return function(t, "nodejs20.x", "x", files).Package }
	a := layer(map[string]string{"nodejs/node_modules/a/index.js": `module.exports = 'a'`, "same": "a"})
	b := layer(map[string]string{"nodejs/node_modules/b/index.js": `module.exports = 'b'`, "same": "b"})
	s := node(t, `exports.handler = async () => [require('a'), require('b'), require('fs').readFileSync('/opt/same', 'utf8')]`)
	s.Layers = []string{a, b}
	want(t, invoke(t, h, s, `{}`), `["a","b","b"]`)
	p := function(t, "python3.11", "m.handler", map[string]string{"m.py": "import lib\ndef handler(e, c): return lib.x"})
	p.Layers = []string{layer(map[string]string{"python/lib.py": "x = 'layer'"})}
	want(t, invoke(t, h, p, `{}`), `"layer"`)
}

// A custom resource answers its stack, which is reached like all else of Moat.
func TestCustomResource(t *testing.T) {
	t.Parallel()
	bodies := make(chan string, 2)
	stack := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies <- r.Method + " " + r.URL.Path + " " + string(b)
	})}
	l := &handedListener{conns: make(chan net.Conn)}
	go func() { _ = stack.Serve(l) }()
	t.Cleanup(func() { close(l.conns); stack.Close() })
	h := newHost(t, func(c *Config) { c.EndpointPort = 4566; c.Endpoint = func(c net.Conn) { l.conns <- c } })
	event := `{"ResponseURL":"http://localhost:4566/answer?x=1","StackId":"s","RequestId":"r","LogicalResourceId":"l"}`
	for _, s := range []*Spec{
		node(t, `const r = require('cfn-response'); exports.handler = (e, c) => r.send(e, c, r.SUCCESS, { a: 1 }, 'id')`),
		function(t, "python3.11", "m.handler", map[string]string{"m.py": "import cfnresponse\ndef handler(e, c): cfnresponse.send(e, c, cfnresponse.SUCCESS, {'a': 1}, 'id')"}),
	} {
		want(t, invoke(t, h, s, event), `null`)
		got := strings.ReplaceAll(<-bodies, " ", "")
		if !strings.HasPrefix(got, `PUT/answer{"Status":"SUCCESS","Reason":"See`) || !strings.HasSuffix(got, `"PhysicalResourceId":"id","StackId":"s","RequestId":"r","LogicalResourceId":"l","NoEcho":false,"Data":{"a":1}}`) {
			t.Error(got)
		}
	}
}

// handedListener accepts the connections that it is handed.
type handedListener struct{ conns chan net.Conn }

func (l *handedListener) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l *handedListener) Close() error   { return nil }
func (l *handedListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestExecWrapper(t *testing.T) {
	t.Parallel()
	h := newHost(t, func(c *Config) { c.EndpointPort = 9001; c.Endpoint = func(c net.Conn) { _ = c.Close() } }) // in the way of the Runtime API
	s := function(t, "nodejs20.x", "index.handler", map[string]string{
		"index.js": `exports.handler = async () => [process.env.WRAPPED, process.env.AWS_LAMBDA_RUNTIME_API]`,
		"wrap":     "#!/bin/sh\nexport WRAPPED=yes\nexec \"$@\"\n",
	}, func(s *Spec) {
		start := s.Start
		s.Start = func(ctx context.Context, id string) (Start, error) {
			st, err := start(ctx, id)
			st.Env["AWS_LAMBDA_EXEC_WRAPPER"] = "/var/task/wrap"
			return st, err
		}
	})
	want(t, invoke(t, h, s, `{}`), `["yes","127.0.0.1:9002"]`)
}

func TestHost_runtimeMissing(t *testing.T) {
	t.Parallel()
	h := newHost(t, func(c *Config) { c.Programs = map[string]string{"node": "/nonexistent/node"} })
	for _, c := range []struct{ runtime, sentence string }{
		{"nodejs20.x", "The runtime nodejs20.x needs Node.js, and /nonexistent/node does not run"},
		{"java21", `The runtime "java21" is not one that Moat can run`},
		{"nodejs20.x; rm -rf /", "is not one that Moat can run"},
	} {
		s := node(t, "")
		s.Runtime = c.runtime
		_, err := h.Invoke(t.Context(), s, invocation(`{}`))
		var missing *RuntimeError
		if !asError(err, &missing) || !strings.Contains(err.Error(), c.sentence) {
			t.Errorf("%s: %v", c.runtime, err)
		}
	}
	if _, version, err := newHost(t).Program(t.Context(), "nodejs24.x"); err != nil || !strings.HasPrefix(version, "v") {
		t.Errorf("%s %v", version, err)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	var sink memorySink
	s := node(t, `exports.handler = async (ms) => { console.log('begins'); await new Promise(r => setTimeout(r, ms)); return 'ok'; }`, with(&sink), func(s *Spec) { s.Timeout = time.Second })
	want(t, invoke(t, h, s, `1`), `"ok"`)
	res := invoke(t, h, s, `60000`)
	wantError(t, res, "Sandbox.Timedout", "Error: Task timed out after 1.00 seconds")
	if !strings.Contains(sink.text(), "Task timed out after 1.00 seconds\n") || !strings.Contains(string(res.LogTail), "begins") {
		t.Errorf("log: %s", sink.text())
	}
	res = invoke(t, h, s, `1`)
	want(t, res, `"ok"`)
	if !res.Cold {
		t.Error("the environment that timed out serves on")
	}
	busy := node(t, `exports.handler = () => { for (;;); }`, func(s *Spec) { s.Timeout = time.Second })
	wantError(t, invoke(t, h, busy, `1`), "Sandbox.Timedout", "1.00 seconds")
}

func TestLog(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	var sink memorySink
	s := node(t, `console.log('init'); exports.handler = async (n) => { console.log('a\nb %d', 1); console.error('e'); process.stdout.write('no newline'); return n; }`, with(&sink))
	res := invoke(t, h, s, `1`)
	lines := strings.SplitAfter(sink.text(), "\n")
	if len(lines) != 8 {
		t.Fatalf("%q", lines)
	}
	for i, want := range []string{"\tundefined\tINFO\tinit\n", "START RequestId: req-", "\tINFO\ta\rb 1\n", "\tERROR\te\n", "no newline\n", "END RequestId: req-", "\tMax Memory Used: "} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
	if !strings.HasPrefix(string(res.LogTail), "START ") || !strings.Contains(lines[6], "\tInit Duration: ") {
		t.Errorf("%s %s", res.LogTail, lines[6])
	}
	invoke(t, h, s, `2`)
	if text := sink.text(); strings.Count(text, "START ") != 2 || strings.Count(text, "Init Duration") != 1 {
		t.Error(text)
	}
	// A process that writes without end holds nobody up.
	flood := function(t, "python3.11", "f.handler", map[string]string{"f.py": "import subprocess\ndef handler(e, c):\n  subprocess.Popen(['yes'])\n  return 1"})
	want(t, invoke(t, h, flood, `{}`), `1`)
}
