package sdk

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func files(t *testing.T, api API) map[string]string {
	t.Helper()
	b, err := JavaScript(api, time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name] = string(text)
	}
	return out
}

func TestFunctionNames(t *testing.T) {
	t.Parallel()
	for want, route := range map[string][2]string{
		"rootGet": {"/", "GET"}, "coursesGet": {"/courses", "GET"}, "petsPetIdPut": {"/pets/{petId}", "PUT"}, "contentProxyDelete": {"/content/{proxy+}", "DELETE"},
		"myPathXYGet": {"/my-path/x.y", "GET"}, "_2020ReportsHead": {"/2020/reports", "HEAD"}, "rootPost": {"/-", "POST"},
	} {
		if got := functionName(route[0], route[1]); got != want {
			t.Errorf("%v: got %s, want %s", route, got, want)
		}
	}
	ops := operations([]Method{{Path: "/a-b", Verb: "GET"}, {Path: "/a/b", Verb: "GET"}, {Path: "/x", Verb: "ANY"}, {Path: "/x", Verb: "GET"}})
	var names []string
	for _, o := range ops {
		names = append(names, o.function)
	}
	if got, want := strings.Join(names, " "), "aBGet aBGet_2 xDelete xGet xHead xOptions xPatch xPost xPut"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// hostile is an API whose every name tries to become code.
func hostile() API {
	evil := []string{
		`");globalThis.owned=1;("`, `'+(globalThis.owned=1)+'`, "`${globalThis.owned=1}`", `</script><script>globalThis.owned=1</script>`, "\u2028globalThis.owned=1//", "\nglobalThis.owned=1\n",
		`*/globalThis.owned=1/*`, `__proto__`, `constructor`, `/*routes*/`, `/*facts*/`, `\`, `]};globalThis.owned=1`,
	}
	api := API{Name: strings.Join(evil, ""), Version: evil[0], Endpoint: "https://x/" + evil[3], Region: evil[1]}
	for _, e := range evil {
		api.Methods = append(api.Methods, Method{Path: "/" + e + "/{" + e + "}", Verb: "GET", PathParams: []string{e}, Query: []string{e}, Headers: []string{e}, Required: []string{e}})
	}
	return api
}

// Nothing that an API is called becomes code.
func TestJavaScript_NamesAreNoCode(t *testing.T) {
	t.Parallel()
	out := files(t, hostile())
	script := out["apiGateway-js-sdk/apigClient.js"]
	if strings.Contains(script, "</script") || strings.ContainsAny(script, "\u2028\u2029") {
		t.Error("the script can be left")
	}
	for _, line := range strings.Split(out["apiGateway-js-sdk/apigClient.d.ts"], "\n") {
		if strings.Contains(line, "globalThis") && !regexp.MustCompile(`^  [A-Za-z0-9_]+<T = any>\(params\?: \{ ("(\\.|[^"\\])*"\??: string \| number \| boolean;? ?)+\}, body`).MatchString(line) {
			t.Errorf("got the declaration %s", line)
		}
	}
	node(t, out, `
		const { apigClientFactory } = require("./apigClient.js");
		const client = apigClientFactory.newClient();
		const names = Object.keys(client);
		if (names.length !== 13 || names.some((n) => !/^[A-Za-z0-9_]+$/.test(n))) throw new Error(names.join());
		if (globalThis.owned !== undefined || ({}).polluted !== undefined) throw new Error("owned");
	`)
}

// node runs a script beside the client; without Node.js the test is left out.
func node(t *testing.T, out map[string]string, script string) string {
	t.Helper()
	bin, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node")
	}
	dir := t.TempDir()
	for name, text := range out {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "test.js"), []byte("(async () => {"+script+"})().catch((e) => { console.error(e); process.exit(1); });"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, "test.js")
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return string(text)
}

func TestJavaScript_Requests(t *testing.T) {
	t.Parallel()
	out := files(t, API{Name: "x", Endpoint: "https://api.test/v1", Region: "us-east-1", Methods: []Method{
		{Path: "/", Verb: "GET"}, {Path: "/a:b/{id}", Verb: "POST", PathParams: []string{"id"}, Query: []string{"q"}, Headers: []string{"X-H"}, Required: []string{"id"}},
		{Path: "/f/{proxy+}", Verb: "GET", PathParams: []string{"proxy"}, Required: []string{"proxy"}}, {Path: "/iam", Verb: "GET", Signed: true},
	}})
	node(t, out, `
		const assert = require("assert");
		const { apigClientFactory } = require("./apigClient.js");
		const sent = [];
		let answers = [];
		const fetch = async (url, init) => { sent.push({ url, ...init }); return answers.shift() || new Response('{"ok":1}', { headers: { "content-type": "application/json" } }); };
		const client = apigClientFactory.newClient({ fetch, apiKey: "key", accessKey: "AKID", secretKey: "secret", sessionToken: "token" });
		const r = await client.rootGet();
		assert.deepStrictEqual([r.status, r.data, r.headers["content-type"]], [200, { ok: 1 }, "application/json"]);
		assert.strictEqual(sent[0].url, "https://api.test/v1/");
		assert.deepStrictEqual(sent[0].headers, { accept: "application/json", "x-api-key": "key" });
		await client.aBIdPost({ id: "a/b ?#é", q: "1 2&", "X-H": "h" }, { n: 1 }, { headers: { "Content-Type": "text/x" }, queryParams: { m: ["1", "2"] } });
		assert.strictEqual(sent[1].url, "https://api.test/v1/a%3Ab/a%2Fb%20%3F%23%C3%A9?q=1%202%26&m=1&m=2");
		assert.strictEqual(new TextDecoder().decode(sent[1].body), '{"n":1}');
		assert.strictEqual(sent[1].headers["x-h"], "h");
		assert.strictEqual(sent[1].headers["content-type"], "text/x");
		await client.fProxyGet({ proxy: "x/y z" });
		assert.strictEqual(sent[2].url, "https://api.test/v1/f/x/y%20z");
		for (const id of [".", "..", "%2e%2E"]) await assert.rejects(client.aBIdPost({ id }), /cannot be/);
		await assert.rejects(client.fProxyGet({ proxy: "a/../../iam" }), /cannot be/);
		await assert.rejects(client.aBIdPost({}), /Missing required parameters: id/);
		assert.strictEqual(sent.length, 3);
		await client.iamGet();
		assert.match(sent[3].headers.authorization, /^AWS4-HMAC-SHA256 Credential=AKID\/\d{8}\/us-east-1\/execute-api\/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=[0-9a-f]{64}$/);
		assert.strictEqual(sent[0].headers.authorization, undefined);

		// Again only where it does no harm.
		sent.length = 0;
		answers = [new Response("", { status: 503 }), new Response("", { status: 429 })];
		assert.strictEqual((await client.rootGet()).status, 200);
		assert.strictEqual(sent.length, 3);
		sent.length = 0;
		answers = [new Response("no", { status: 503 })];
		await assert.rejects(client.aBIdPost({ id: "1" }), (e) => e.status === 503 && e.data === "no" && e.response.status === 503);
		assert.strictEqual(sent.length, 1);
		answers = [new Response('{"message":"Forbidden"}', { status: 403, headers: { "content-type": "application/json" } })];
		await assert.rejects(client.rootGet(), (e) => e.status === 403 && e.data.message === "Forbidden");
	`)
}
