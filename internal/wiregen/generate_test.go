package wiregen

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func small(t *testing.T, overlays ...string) *Model {
	t.Helper()
	doc, err := os.ReadFile("testdata/small.json")
	if err != nil {
		t.Fatal(err)
	}
	var over [][]byte
	for _, o := range overlays {
		over = append(over, []byte(o))
	}
	m, err := ParseModel(doc, over...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// smallTable is an authorization table for the small model.
func smallTable() *Authorization {
	t := &Authorization{
		Resources: map[string][]string{"thing": {"arn:${Partition}:small:${Region}:${Account}:thing/${Name}"}},
		Operations: map[string]Permission{
			"Ping":     {Action: "Pong", Access: "Read"},
			"PutThing": {Action: "PutThing", Access: "Write", On: []string{"thing"}, Keys: []string{"aws:TagKeys", "small:Kind"}, Also: []string{"small:TagThing"}, Proof: "a token"},
		},
	}
	for _, name := range []string{"DeleteThing", "GetUpload", "Forgotten", "WatchThings"} {
		t.Operations[name] = Permission{Action: name, Access: "Write"}
	}
	return t
}

// What the table leaves out or misspells is not generated.
func TestGenerate_authorization(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		change     func(*Authorization)
	}{
		{"an operation without an entry", "lacks Ping", func(a *Authorization) { delete(a.Operations, "Ping") }},
		{"no action", "no action", func(a *Authorization) { a.Operations["Ping"] = Permission{Access: "Read"} }},
		{"no access level", `the access ""`, func(a *Authorization) { a.Operations["Ping"] = Permission{Action: "Ping"} }},
		{"an unsigned operation without a proof", "says unsigned: true", func(a *Authorization) { a.Operations["PutThing"] = Permission{Action: "PutThing", Access: "Write"} }},
		{"a signed operation with a proof", "says unsigned: false", func(a *Authorization) {
			a.Operations["Ping"] = Permission{Action: "Ping", Access: "Read", Proof: "a token"}
		}},
		{"an unknown resource", `no resource "other"`, func(a *Authorization) {
			a.Operations["Ping"] = Permission{Action: "Ping", Access: "Read", On: []string{"other"}}
		}},
	} {
		table := smallTable()
		c.change(table)
		_, err := Generate(API{Package: "smallapi", Model: "small"}, small(t), table)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one about %q", c.name, err, c.want)
		}
	}
	if _, err := ParseAuthorization([]byte(`{"operations": {"Ping": {"acton": "Ping"}}}`)); err == nil {
		t.Error("a misspelt member of the table passes")
	}
}

func TestGenerate_golden(t *testing.T) {
	t.Parallel()
	a := API{Package: "smallapi", Model: "small", Drop: []string{"Forg*"}, BodyPaths: true}
	got, err := Generate(a, small(t), smallTable())
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/small.go.golden"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the output differs from %s; run the test with -update and read the difference", golden)
	}
}

func TestGenerate_refuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, overlay, want string }{
		{"two shapes of one Go name", `{"shapes": {"thing": {"type": "structure", "members": {}}, "Thing": {"members": {"x": {"shape": "thing"}}}}}`, "called Thing"},
		{"a shape that hides the interface", `{"shapes": {"Service": {"type": "structure", "members": {}}, "Thing": {"members": {"x": {"shape": "Service"}}}}}`, "called Service"},
		{"a pattern beyond Go's regexp", `{"shapes": {"Name": {"pattern": "(?<=a)b"}}}`, "needs a translation"},
		{"an intersection of classes", `{"shapes": {"Name": {"pattern": "[a-z&&[^b]]"}}}`, "intersects"},
	} {
		_, err := Generate(API{Package: "smallapi", Model: "small"}, small(t, c.overlay), smallTable())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one about %q", c.name, err, c.want)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	m := small(t)
	taken, notTaken := API{Take: []string{"*Thing*"}, Drop: []string{"Put*"}}.Split(m)
	if want := []string{"DeleteThing"}; !reflect.DeepEqual(taken, want) {
		t.Errorf("taken: got %v, want %v", taken, want)
	}
	if want := []string{"Forgotten", "GetUpload", "Ping", "PutThing", "WatchThings"}; !reflect.DeepEqual(notTaken, want) {
		t.Errorf("not taken: got %v, want %v", notTaken, want)
	}
}

func TestParseModel_overlay(t *testing.T) {
	t.Parallel()
	m := small(t, `{"operations": {"Ping": null, "Pong": {"name": "Pong", "http": {"method": "GET", "requestUri": "/pong"}}}}`,
		`{"shapes": {"Name": {"max": 9}}}`)
	if m.Operations.Get("Ping") != nil || m.Operations.Get("Pong") == nil {
		t.Errorf("operations: got %v", m.Operations.Names)
	}
	if s := m.Shapes.Get("Name"); s.Max.String() != "9" || s.Min.String() != "1" {
		t.Errorf("Name: got min %v, max %v, want 1 and 9", s.Min, s.Max)
	}
	if _, err := ParseModel([]byte(`{"shapes": {"A": {"type": "string"}, "A": {"type": "blob"}}}`)); err == nil {
		t.Error("a shape that appears twice: got no error")
	}
}

// TestFiles fails when generating anew gives other bytes than those in the
// repository.
func TestFiles(t *testing.T) {
	t.Parallel()
	files, err := Files("../wire")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		got, err := os.ReadFile(filepath.Join("../wire", filepath.FromSlash(f.Path)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, f.Content) {
			t.Errorf("%s is not current: run go generate ./internal/wiregen", f.Path)
		}
	}
}

// The operations without a signature: one more is a decision, since nothing but its service
// stands before it.
func TestAuthorization_unsigned(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"cognito-idp": "AssociateSoftwareToken ChangePassword CompleteWebAuthnRegistration ConfirmDevice ConfirmForgotPassword ConfirmSignUp DeleteUser DeleteUserAttributes " +
			"DeleteWebAuthnCredential ForgetDevice ForgotPassword GetDevice GetTokensFromRefreshToken GetUser GetUserAttributeVerificationCode GetUserAuthFactors GlobalSignOut " +
			"InitiateAuth ListDevices ListWebAuthnCredentials ResendConfirmationCode RespondToAuthChallenge RevokeToken SetUserMFAPreference SetUserSettings SignUp " +
			"StartWebAuthnRegistration UpdateAuthEventFeedback UpdateDeviceStatus UpdateUserAttributes VerifySoftwareToken VerifyUserAttribute",
		"cognito-identity": "GetCredentialsForIdentity GetId GetOpenIdToken UnlinkIdentity",
		"sts":              "AssumeRoleWithSAML AssumeRoleWithWebIdentity",
	}
	for _, a := range APIs() {
		m, err := a.Load()
		if err != nil {
			t.Fatal(err)
		}
		taken, _ := a.Split(m)
		var unsigned []string
		for _, name := range taken {
			if m.Operations.Get(name).AuthType == "none" {
				unsigned = append(unsigned, name)
			}
		}
		if got := strings.Join(unsigned, " "); got != want[a.Model] {
			t.Errorf("%s: got %s, want %s", a.Model, got, want[a.Model])
		}
	}
}

// TestAPIs keeps the lists of operations in step with the models.
func TestAPIs(t *testing.T) {
	t.Parallel()
	for _, a := range APIs() {
		m, err := a.Load()
		if err != nil {
			t.Fatal(err)
		}
		taken, notTaken := a.Split(m)
		if len(taken)+len(notTaken) != len(m.Operations.Names) || len(taken) == 0 {
			t.Errorf("%s: %d taken and %d not taken of %d", a.Package, len(taken), len(notTaken), len(m.Operations.Names))
		}
		for _, name := range a.Take {
			if m.Operations.Get(name) == nil {
				t.Errorf("%s takes %s, which its model does not have", a.Package, name)
			}
		}
		table, err := a.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		for name := range table.Operations {
			if !slices.Contains(taken, name) {
				t.Errorf("%s: the authorization table has %s, which is not taken", a.Package, name)
			}
		}
	}
}
