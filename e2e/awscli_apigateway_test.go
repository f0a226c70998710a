package e2e

import (
	"archive/zip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// operated is an API that an operator runs by AWS's command line.
type operated struct {
	*awsRunner
	server       *server
	api, example string // the API's id; the resource of /hello
}

// TestAWSAPIGateway operates an API by AWS's command line: everything beside its routes.
func TestAWSAPIGateway(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"dev", "--json", "--listen", "127.0.0.1:0", "--no-demo-user", "--data", t.TempDir(), "testdata/small/template.yaml"})
	o := &operated{awsRunner: newAWSRunner(t, &courses{server: s}, awsModes(t)[0]), server: s}
	body, err := filepath.Abs("testdata/apigateway.json")
	if err != nil {
		t.Fatal(err)
	}
	o.api = text(t, o.call(t, "import-rest-api", "--body", "fileb://"+body), "id")
	o.call(t, "create-deployment", "--rest-api-id", o.api, "--stage-name", "live")
	items, _ := o.call(t, "get-resources", "--rest-api-id", o.api)["items"].([]any)
	for _, item := range items {
		if text(t, item, "path") == "/hello" {
			o.example = text(t, item, "id")
		}
	}
	for name, f := range map[string]func(*testing.T){
		"domain name": o.domainName, "client certificate": o.clientCertificate, "test-invoke-method": o.testInvoke,
		"get-export": o.export, "get-sdk": o.sdk, "keys and usage": o.keysAndUsage,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); f(t) })
	}
}

func (o *operated) call(t *testing.T, args ...string) map[string]any {
	t.Helper()
	return o.ok(t, append([]string{"apigateway"}, args...)...)
}

func (o *operated) refuse(t *testing.T, code string, args ...string) {
	t.Helper()
	o.refused(t, code, append([]string{"apigateway"}, args...)...)
}

func (o *operated) get(t *testing.T, path string, headers ...string) *http.Request {
	t.Helper()
	return get(t, o.server.endpoint+"/restapis/"+o.api+"/live/_user_request_"+path, headers...)
}

// keep writes a file that a command reads.
func (o *operated) keep(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(o.dir, name)
}

// certificateFor makes a self-signed certificate of a host and its key, as PEM.
func certificateFor(t *testing.T, host string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func (o *operated) domainName(t *testing.T) {
	const host = "api.example.com"
	certificate, key := certificateFor(t, host)
	_, other := certificateFor(t, host)
	create := []string{"create-domain-name", "--domain-name", host, "--certificate-name", "own", "--certificate-body", "file://" + o.keep(t, "cert.pem", certificate), "--certificate-private-key"}
	o.refuse(t, "BadRequestException", append(create, "file://"+o.keep(t, "other.pem", other))...)
	out := o.call(t, append(create, "file://"+o.keep(t, "key.pem", key))...)
	if text(t, out, "domainName") != host || text(t, out, "domainNameStatus") != "AVAILABLE" || strings.Contains(fmt.Sprint(out), "PRIVATE KEY") {
		t.Errorf("create-domain-name: %v", out)
	}
	o.refuse(t, "ConflictException", append(create, "file://"+filepath.Join(o.dir, "key.pem"))...)

	at := func(path string) *http.Request {
		req := get(t, o.server.endpoint+path)
		req.Host = host
		return req
	}
	hello := want{status: 200, body: `{"to": "Ada"}`}
	o.server.check(t, at("/v1/hello?to=Ada"), forbidden)
	o.refuse(t, "BadRequestException", "create-base-path-mapping", "--domain-name", host, "--base-path", "v1", "--rest-api-id", o.api, "--stage", "nothing")
	o.refuse(t, "NotFoundException", "create-base-path-mapping", "--domain-name", "other.example.com", "--base-path", "v1", "--rest-api-id", o.api, "--stage", "live")
	o.call(t, "create-base-path-mapping", "--domain-name", host, "--base-path", "v1", "--rest-api-id", o.api, "--stage", "live")
	o.server.check(t, at("/v1/hello?to=Ada"), hello)
	o.server.check(t, at("/v2/hello?to=Ada"), forbidden)
	o.call(t, "delete-base-path-mapping", "--domain-name", host, "--base-path", "v1")
	o.server.check(t, at("/v1/hello?to=Ada"), forbidden)
	o.call(t, "delete-domain-name", "--domain-name", host)
	o.refuse(t, "NotFoundException", "get-domain-name", "--domain-name", host)
}

func (o *operated) clientCertificate(t *testing.T) {
	out := o.call(t, "generate-client-certificate", "--description", "for the backend")
	id := text(t, out, "clientCertificateId")
	block, rest := pem.Decode([]byte(text(t, out, "pemEncodedCertificate")))
	if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
		t.Fatalf("generate-client-certificate: %v", out)
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Error(err)
	}
	stage := []string{"update-stage", "--rest-api-id", o.api, "--stage-name", "live", "--patch-operations"}
	o.refuse(t, "BadRequestException", append(stage, "op=replace,path=/clientCertificateId,value=nothing")...)
	if out := o.call(t, append(stage, "op=replace,path=/clientCertificateId,value="+id)...); text(t, out, "clientCertificateId") != id {
		t.Errorf("update-stage: %v", out)
	}
	o.refuse(t, "NotFoundException", "get-client-certificate", "--client-certificate-id", "nothing")
}

func (o *operated) testInvoke(t *testing.T) {
	out := o.call(t, "test-invoke-method", "--rest-api-id", o.api, "--resource-id", o.example, "--http-method", "GET", "--path-with-query-string", "/hello?to=Ada")
	if out["status"] != float64(200) || out["body"] != `{"to": "Ada"}` || !strings.Contains(text(t, out, "log"), "Method completed with status: 200") {
		t.Errorf("test-invoke-method: %v", out)
	}
	o.refuse(t, "NotFoundException", "test-invoke-method", "--rest-api-id", o.api, "--resource-id", o.example, "--http-method", "DELETE")
}

func (o *operated) export(t *testing.T) {
	args := []string{"get-export", "--rest-api-id", o.api, "--stage-name", "live", "--parameters", "extensions=integrations", "--export-type"}
	out := o.call(t, append(args, "oas30", "export.json")...)
	if text(t, out, "contentType") != "application/octet-stream" || !strings.HasPrefix(text(t, out, "contentDisposition"), "attachment; filename=") {
		t.Errorf("get-export: %v", out)
	}
	var document map[string]any
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(o.dir, "export.json"))), &document); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text(t, document, "openapi"), "3.0") || text(t, document, "paths", "/hello", "get", "x-amazon-apigateway-integration", "type") != "mock" {
		t.Errorf("the document is %v", document)
	}
	o.refuse(t, "BadRequestException", append(args, "raml", "export.json")...)
}

func (o *operated) sdk(t *testing.T) {
	args := []string{"get-sdk", "--rest-api-id", o.api, "--stage-name"}
	o.call(t, append(args, "live", "--sdk-type", "javascript", "sdk.zip")...)
	z, err := zip.OpenReader(filepath.Join(o.dir, "sdk.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	found := false
	for _, f := range z.File {
		found = found || strings.HasSuffix(f.Name, "apigClient.js")
	}
	if !found {
		t.Error("the archive holds no apigClient.js")
	}
	o.refuse(t, "NotFoundException", append(args, "nothing", "--sdk-type", "javascript", "sdk.zip")...)
	o.refuse(t, "BadRequestException", append(args, "live", "--sdk-type", "cobol", "sdk.zip")...)
}

// keysAndUsage brings a key along by a file, spends its quota and grants more.
func (o *operated) keysAndUsage(t *testing.T) {
	const value = "a-key-that-was-in-use-elsewhere-before"
	plan := text(t, o.call(t, "create-usage-plan", "--name", "two a month", "--quota", "limit=2,period=MONTH", "--api-stages", "apiId="+o.api+",stage=live"), "id")
	keys := "Name,key,description,Enabled,usageplanIds\nmoved," + value + ",from elsewhere,TRUE,"
	o.refuse(t, "BadRequestException", "import-api-keys", "--format", "csv", "--body", "fileb://"+o.keep(t, "none.csv", "name\nmoved\n"))
	o.refuse(t, "BadRequestException", "import-api-keys", "--format", "csv", "--fail-on-warnings", "--body", "fileb://"+o.keep(t, "wrong.csv", keys+"nothing\n"))
	o.server.check(t, o.get(t, "/keyed", "X-Api-Key", value), forbidden)
	id := text(t, o.call(t, "import-api-keys", "--format", "csv", "--body", "fileb://"+o.keep(t, "keys.csv", keys+plan+"\n")), "ids", 0)

	good := want{status: 200, body: `{"to": "key"}`}
	spent := want{status: 429, body: `{"message":"Limit Exceeded"}`, errorType: "LimitExceededException"}
	for _, w := range []want{good, good, spent} {
		o.server.check(t, o.get(t, "/keyed", "X-Api-Key", value), w)
	}
	usage := []string{"update-usage", "--usage-plan-id", plan, "--patch-operations", "op=replace,path=/remaining,value=1", "--key-id"}
	o.refuse(t, "NotFoundException", append(usage, "nothing")...)
	o.server.check(t, o.get(t, "/keyed", "X-Api-Key", value), spent)
	if out := o.call(t, append(usage, id)...); text(t, out, "usagePlanId") != plan {
		t.Errorf("update-usage: %v", out)
	}
	for _, w := range []want{good, spent} {
		o.server.check(t, o.get(t, "/keyed", "X-Api-Key", value), w)
	}
}
