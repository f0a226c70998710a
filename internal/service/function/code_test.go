package function

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// entry is one entry of a zip file that no tool would write.
type entry struct {
	name, text string
	mode       fs.FileMode
}

func archive(t testing.TB, list ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, e := range list {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestUnzip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		list []entry
		ok   bool
	}{
		{"files and folders", []entry{{"a/", "", fs.ModeDir | 0o700}, {"a/b.js", "x", 0o600}, {"run", "x", 0o700}}, true},
		{"a link within", []entry{{"bin/x", "../lib/x", fs.ModeSymlink | 0o777}, {"lib/x", "x", 0o644}}, true},
		{"a name with two dots", []entry{{"a..b/c", "x", 0o644}}, true},
		{"up", []entry{{"../x", "x", 0o644}}, false},
		{"up in the middle", []entry{{"a/../../x", "x", 0o644}}, false},
		{"absolute", []entry{{"/etc/x", "x", 0o644}}, false},
		{"backslashes", []entry{{`..\x`, "x", 0o644}}, false},
		{"NUL", []entry{{"a\x00b", "x", 0o644}}, false},
		{"a link up", []entry{{"l", "../x", fs.ModeSymlink | 0o777}}, false},
		{"an absolute link", []entry{{"l", "/etc", fs.ModeSymlink | 0o777}}, false},
		{"through a link", []entry{{"l", "d", fs.ModeSymlink | 0o777}, {"d/", "", fs.ModeDir | 0o755}, {"l/../../x", "x", 0o644}}, false},
		{"a link over two steps", []entry{{"d/", "", fs.ModeDir | 0o755}, {"a", "d", fs.ModeSymlink | 0o777}, {"b", "a/../..", fs.ModeSymlink | 0o777}, {"b/x", "x", 0o644}}, false},
		{"twice", []entry{{"x", "1", 0o644}, {"x", "2", 0o644}}, false},
		{"a file as a folder", []entry{{"x", "1", 0o644}, {"x/y", "2", 0o644}}, false},
		{"a device", []entry{{"x", "", fs.ModeDevice | 0o644}}, false},
		{"a name too long", []entry{{strings.Repeat("x", 300), "", 0o644}}, false},
		{"nothing", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			outside := t.TempDir()
			dir := filepath.Join(outside, "in")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			err := unzip(archive(t, c.list...), dir)
			if (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
			if err != nil {
				refused(t, err, "InvalidParameterValueException", "")
			}
			if list, _ := os.ReadDir(outside); len(list) != 1 {
				t.Errorf("something was written outside: %v", list)
			}
			if c.name == "files and folders" {
				for name, want := range map[string]fs.FileMode{"a": fs.ModeDir | 0o755, "a/b.js": 0o644, "run": 0o755} {
					if fi, err := os.Stat(filepath.Join(dir, name)); err != nil || fi.Mode() != want {
						t.Errorf("%s: %v %v", name, fi.Mode(), err)
					}
				}
			}
		})
	}
}

func TestUnzip_bomb(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	f, err := w.Create("zeros")
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range 251 {
		if _, err := f.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, unzip(buf.Bytes(), t.TempDir()), "InvalidParameterValueException", "Unzipped size must be smaller than 262144000 bytes")
}

func FuzzUnzip(f *testing.F) {
	f.Add(archive(f, entry{"a", "x", 0o644}))
	f.Add(archive(f, entry{"l", "../x", fs.ModeSymlink | 0o777}))
	f.Fuzz(func(t *testing.T, data []byte) {
		outside := t.TempDir()
		dir := filepath.Join(outside, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = unzip(data, dir)
		if list, _ := os.ReadDir(outside); len(list) != 1 {
			t.Errorf("something was written outside: %v", list)
		}
	})
}

func TestCodeStore_sweep(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("keep", echo)
	h.create("drop", `exports.handler = 1`)
	if _, err := h.API().DeleteFunction(h.ctx, &lambdaapi.DeleteFunctionRequest{FunctionName: "drop"}); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		list, err := os.ReadDir(h.code.dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if err := h.sweepCode(h.ctx); err != nil || count() != 4 {
		t.Errorf("young packages: %d entries, %v", count(), err)
	}
	err := filepath.WalkDir(h.code.dir, func(p string, _ fs.DirEntry, _ error) error {
		old := time.Now().Add(-2 * time.Hour)
		return os.Chtimes(p, old, old)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.sweepCode(h.ctx); err != nil || count() != 2 {
		t.Errorf("old packages: %d entries, %v", count(), err)
	}
	// The unpacked tree can be made again.
	if err := os.RemoveAll(h.code.path(*h.create("again", echo).CodeSha256)); err != nil {
		t.Fatal(err)
	}
	if got := h.run("keep", "", `1`); got != "1" {
		t.Error(got)
	}
}

func TestLayers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.API()
	publish := func() *lambdaapi.PublishLayerVersionResponse {
		out, err := a.PublishLayerVersion(h.ctx, &lambdaapi.PublishLayerVersionRequest{
			LayerName: "l", Content: &lambdaapi.LayerVersionContentInput{ZipFile: zipped(t, map[string]string{"nodejs/node_modules/m/index.js": `module.exports = 'layer'`})},
			CompatibleRuntimes: []lambdaapi.Runtime{"nodejs20.x"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	one, two := publish(), publish()
	if *one.Version != 1 || *two.Version != 2 || *one.LayerVersionArn != "arn:aws:lambda:us-west-2:000000000000:layer:l:1" {
		t.Errorf("%+v %+v", one, two)
	}
	in := request(t, "f", `exports.handler = async () => require('m')`)
	in.Layers = []string{*one.LayerVersionArn}
	c, err := a.CreateFunction(h.ctx, in)
	if err != nil || len(c.Layers) != 1 || *c.Layers[0].Arn != *one.LayerVersionArn {
		t.Fatalf("%+v %v", c, err)
	}
	if got := h.run("f", "", `{}`); got != `"layer"` {
		t.Error(got)
	}
	in.FunctionName, in.Layers = "g", []string{*one.LayerVersionArn, *two.LayerVersionArn}
	_, err = a.CreateFunction(h.ctx, in)
	refused(t, err, "InvalidParameterValueException", "Two different versions of the same layer are not allowed")
	if _, err := a.DeleteLayerVersion(h.ctx, &lambdaapi.DeleteLayerVersionRequest{LayerName: "l", VersionNumber: 2}); err != nil {
		t.Fatal(err)
	}
	_, err = a.GetLayerVersion(h.ctx, &lambdaapi.GetLayerVersionRequest{LayerName: "l", VersionNumber: 2})
	refused(t, err, "ResourceNotFoundException", "The resource you requested does not exist.")
	if three := publish(); *three.Version != 3 {
		t.Errorf("a deleted number was given again: %d", *three.Version)
	}
	list, err := a.ListLayerVersions(h.ctx, &lambdaapi.ListLayerVersionsRequest{LayerName: "l"})
	if err != nil || len(list.LayerVersions) != 2 || *list.LayerVersions[0].Version != 3 {
		t.Errorf("%+v %v", list, err)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("f", echo)
	a := h.API()
	if _, err := a.TagResource(h.ctx, &lambdaapi.TagResourceRequest{Resource: arnOf("f"), Tags: map[string]string{"a": "1", "b": "2"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.UntagResource(h.ctx, &lambdaapi.UntagResourceRequest{Resource: arnOf("f"), TagKeys: []string{"a", "none"}}); err != nil {
		t.Fatal(err)
	}
	out, err := a.ListTags(h.ctx, &lambdaapi.ListTagsRequest{Resource: arnOf("f")})
	if err != nil || len(out.Tags) != 1 || out.Tags["b"] != "2" {
		t.Errorf("%+v %v", out, err)
	}
	_, err = a.TagResource(h.ctx, &lambdaapi.TagResourceRequest{Resource: arnOf("f"), Tags: map[string]string{}})
	refused(t, err, "InvalidParameterValueException", "An error occurred and the request cannot be processed.")
	_, err = a.TagResource(h.ctx, &lambdaapi.TagResourceRequest{Resource: arnOf("f:1"), Tags: map[string]string{"a": "1"}})
	refused(t, err, "InvalidParameterValueException", "Tags on function aliases and versions are not supported.")
	_, err = a.ListTags(h.ctx, &lambdaapi.ListTagsRequest{Resource: arnOf("none")})
	refused(t, err, "ResourceNotFoundException", "Function not found: "+arnOf("none"))
}

func TestListFunctions(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, name := range []string{"c", "a", "b"} {
		h.create(name, echo)
	}
	var names []string
	var marker *string
	for {
		out, err := h.API().ListFunctions(h.ctx, &lambdaapi.ListFunctionsRequest{MaxItems: wire.Int32(2), Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range out.Functions {
			names = append(names, *f.FunctionName)
		}
		if marker = out.NextMarker; marker == nil {
			break
		}
	}
	if strings.Join(names, "") != "abc" {
		t.Error(names)
	}
}

// What a call is authorised on names one function, never more.
func TestResources(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	c, resources := wire.CallFrom(h.ctx), h.APIs()[0].Resources
	for _, x := range []struct {
		in   any
		want string
	}{
		{&lambdaapi.AddPermissionRequest{FunctionName: "f", Qualifier: wire.String("live")}, arnOf("f:live")},
		{&lambdaapi.GetEventSourceMappingRequest{UUID: "u"}, "arn:aws:lambda:us-west-2:000000000000:event-source-mapping:u"},
		{&lambdaapi.InvocationRequest{FunctionName: "f"}, arnOf("f")},
		{&lambdaapi.InvocationRequest{FunctionName: "f", Qualifier: wire.String("live")}, arnOf("f:live")},
		{&lambdaapi.InvocationRequest{FunctionName: "f:live"}, arnOf("f:live")},
		{&lambdaapi.InvocationRequest{FunctionName: "arn:aws:lambda:eu-west-1:111111111111:function:f"}, "arn:aws:lambda:eu-west-1:111111111111:function:f"},
		{&lambdaapi.InvocationRequest{FunctionName: "*"}, "*"},
		{&lambdaapi.GetFunctionRequest{FunctionName: "000000000000:function:f", Qualifier: wire.String("1")}, arnOf("f")},
		{&lambdaapi.CreateFunctionRequest{FunctionName: "f"}, arnOf("f")},
		{&lambdaapi.UpdateAliasRequest{FunctionName: "f", Name: "a"}, arnOf("f")},
		{&lambdaapi.ListTagsRequest{Resource: arnOf("f")}, arnOf("f")},
		{&lambdaapi.GetLayerVersionRequest{LayerName: "l", VersionNumber: 2}, "arn:aws:lambda:us-west-2:000000000000:layer:l:2"},
		// Another spelling of a name must not slip past a statement that denies it.
		{&lambdaapi.UpdateFunctionCodeRequest{FunctionName: "f:$LATEST"}, arnOf("f")},
		{&lambdaapi.TagResourceRequest{Resource: "arn:aws-x:lambda:us-west-2:000000000000:function:f"}, arnOf("f")},
		{&lambdaapi.GetLayerVersionByArnRequest{Arn: "arn:aws-x:lambda:us-west-2:000000000000:layer:l:2"}, "arn:aws:lambda:us-west-2:000000000000:layer:l:2"},
		{&lambdaapi.DeleteLayerVersionRequest{LayerName: "arn:aws-x:lambda:us-west-2:000000000000:layer:l", VersionNumber: 2}, "arn:aws:lambda:us-west-2:000000000000:layer:l:2"},
		{&lambdaapi.PublishLayerVersionRequest{LayerName: "arn:aws:lambda:eu-west-1:000000000000:layer:l"}, "arn:aws:lambda:eu-west-1:000000000000:layer:l"},
	} {
		op := strings.TrimSuffix(reflect.TypeOf(x.in).Elem().Name(), "Request")
		if op == "Invocation" {
			op = "Invoke"
		}
		got := resources(c, op, x.in)
		if len(got) != 1 || got[0].Resource != x.want {
			t.Errorf("%+v: got %v, want %s", x.in, got, x.want)
		}
	}
	if got := resources(c, "ListFunctions", &lambdaapi.ListFunctionsRequest{}); len(got) != 1 || got[0].Resource != "*" {
		t.Error(got)
	}
}

// A layer of another region or account is none of this one's, whatever its name: a call is
// authorised on the ARN that it names.
func TestLayers_OfElsewhere(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	content := &lambdaapi.LayerVersionContentInput{ZipFile: zipped(t, map[string]string{"nodejs/a.js": "1"})}
	if _, err := h.PublishLayerVersion(h.ctx, &lambdaapi.PublishLayerVersionRequest{LayerName: "arn:aws:lambda:us-west-2:000000000000:layer:l", Content: content}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"arn:aws:lambda:eu-west-1:000000000000:layer:l", "arn:aws:lambda:us-west-2:111111111111:layer:l"} {
		if _, err := h.PublishLayerVersion(h.ctx, &lambdaapi.PublishLayerVersionRequest{LayerName: name, Content: content}); err == nil {
			t.Errorf("%s was published here", name)
		}
		if _, err := h.GetLayerVersion(h.ctx, &lambdaapi.GetLayerVersionRequest{LayerName: name, VersionNumber: 1}); err == nil {
			t.Errorf("%s was read here", name)
		}
		if _, err := h.DeleteLayerVersion(h.ctx, &lambdaapi.DeleteLayerVersionRequest{LayerName: name, VersionNumber: 1}); err != nil {
			t.Error(err)
		}
	}
	if _, err := h.GetLayerVersion(h.ctx, &lambdaapi.GetLayerVersionRequest{LayerName: "l", VersionNumber: 1}); err != nil {
		t.Errorf("the layer of here was deleted by the name of another: %v", err)
	}
}
