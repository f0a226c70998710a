package template

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func mustParse(t *testing.T, body string) *Template {
	t.Helper()
	tpl, err := Parse([]byte(body), "t.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

// scopeOf evaluates against fixed parameters and resources.
func scopeOf(t *testing.T, tpl *Template) *Scope {
	t.Helper()
	s := &Scope{
		Parameters: map[string]ParameterValue{
			"Stage": {Value: NewString("prod")}, "Zones": {Value: NewList(NewString("a"), NewString("b"))},
		},
		Pseudo:   map[string]*Value{"AWS::Region": NewString("eu-west-1"), "AWS::AccountId": NewString("000000000000")},
		Mappings: tpl.Mappings,
		Ref: func(id string) (string, error) {
			if id == "Pool" {
				return "pool-1", nil
			}
			return "", fmt.Errorf("no resource %s", id)
		},
		GetAtt: func(id, attribute string) (*Value, error) { return NewString(id + "/" + attribute), nil },
		Import: func(name string) (string, error) {
			if name == "known" {
				return "imported", nil
			}
			return "", errors.New("No export named " + name + " found.")
		},
	}
	if err := tpl.EvaluateConditions(s); err != nil {
		t.Fatal(err)
	}
	return s
}

const resolveBase = `
Parameters: {Stage: {Type: String, Default: prod}, Zones: {Type: CommaDelimitedList, Default: "a,b"}}
Mappings: {Sizes: {prod: {Memory: 512}, dev: {Memory: 128}}}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsDev: !Not [!Condition IsProd]
  Both: !And [!Condition IsProd, !Condition IsDev]
  Either: !Or [!Condition IsProd, !Condition IsDev]
Resources: {Pool: {Type: AWS::Cognito::UserPool}}
Metadata:
  X: `

func TestScope_Resolve(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "text", `"text"`},
		{"ref parameter", "!Ref Stage", `"prod"`},
		{"ref pseudo", "!Ref AWS::Region", `"eu-west-1"`},
		{"ref resource", "!Ref Pool", `"pool-1"`},
		{"ref nothing", "!Ref Nope", "error: no resource Nope"},
		{"no value", "{A: 1, B: !Ref AWS::NoValue}", `{"A":1}`},
		{"no value in a list", "[a, !Ref AWS::NoValue]", `["a"]`},
		{"get att", "!GetAtt Pool.Arn", `"Pool/Arn"`},
		{"get att with dots", "!GetAtt Stack.Outputs.Url", `"Stack/Outputs.Url"`},
		{"get att list", "!GetAtt [Pool, Arn]", `"Pool/Arn"`},
		{"get att malformed", "!GetAtt Pool", "error: Fn::GetAtt object requires two non-empty parameters"},
		{"sub", "!Sub 'x-${Stage}-${Pool.Arn}-${AWS::AccountId}-${!Literal}'", `"x-prod-Pool/Arn-000000000000-${Literal}"`},
		{"sub with map", "!Sub ['${A}-${Stage}', {A: !Ref Pool}]", `"pool-1-prod"`},
		{"sub unknown", "!Sub '${Nope}'", "error: no resource Nope"},
		{"sub list", "!Sub ['${Zones}', {}]", "error: does not resolve to a string"},
		{"join", "!Join ['-', [a, !Ref Stage, 1]]", `"a-prod-1"`},
		{"join a parameter", "!Join [',', !Ref Zones]", `"a,b"`},
		{"join no list", "!Join ['-', a]", "error: every Fn::Join object requires two parameters"},
		{"select", "!Select [1, [a, b]]", `"b"`},
		{"select by text", "!Select ['0', !Ref Zones]", `"a"`},
		{"select out of range", "!Select [2, [a, b]]", "error: Fn::Select requires a list argument with two elements"},
		{"select no number", "!Select [x, [a]]", "error: Fn::Select requires a list argument with two elements"},
		{"split", "!Split ['/', 'a/b/c']", `["a","b","c"]`},
		{"split nothing", "!Split ['', 'a']", "error: every Fn::Split object requires two parameters"},
		{"if", "!If [IsProd, yes, no]", `"yes"`},
		{"if not", "!If [IsDev, a, !Ref AWS::NoValue]", "null"},
		{"if only evaluates what counts", "!If [IsDev, !Ref Nope, b]", `"b"`},
		{"if unknown", "!If [Nope, a, b]", "error: unresolved condition dependency: Nope"},
		{"and", "!If [Both, a, b]", `"b"`},
		{"or", "!If [Either, a, b]", `"a"`},
		{"find in map", "!FindInMap [Sizes, !Ref Stage, Memory]", "512"},
		{"find in map, unknown key", "!FindInMap [Sizes, test, Memory]", "error: Unable to get mapping for Sizes::test::Memory"},
		{"find in map, default", "!FindInMap [Sizes, test, Memory, {DefaultValue: 1}]", "1"},
		{"find in map, unknown map", "!FindInMap [Nope, a, b]", "error: Mapping named 'Nope' is not present"},
		{"import", "!ImportValue known", `"imported"`},
		{"import unknown", "!ImportValue nope", "error: No export named nope found."},
		{"base64", "!Base64 moat", `"bW9hdA=="`},
		{"cidr", "!Cidr [10.0.0.0/16, 1, 8]", "error: the intrinsic function Fn::Cidr is not implemented"},
		{"long form", "{Fn::Join: ['', [a, {Ref: Stage}]]}", `"aprod"`},
		{"numbers as written", "[1.10, 012345678901, 2012-10-17, true]", `[1.10,"012345678901","2012-10-17",true]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tpl := mustParse(t, resolveBase+tc.in+"\n")
			v, err := scopeOf(t, tpl).Resolve(tpl.Metadata.Get("X"))
			if want, isError := strings.CutPrefix(tc.want, "error: "); isError {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %s, %v; want error %q", v.JSON(), err, want)
				}
				return
			}
			if err != nil || string(v.JSON()) != tc.want {
				t.Errorf("got %s, %v; want %s", v.JSON(), err, tc.want)
			}
		})
	}
}

func TestParse_mistakes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, pos, aws string }{
		{"empty", "", "t", "Template format error: unsupported structure."},
		{"no resources", "Description: x\n", "t:1:1", "Template format error: At least one Resources member must be defined."},
		{"empty resources", "Resources: {}\n", "t:1:1", "Template format error: At least one Resources member must be defined."},
		{"json", `{"Resources": {"A": }`, "t:1:21", "Template format error: JSON not well-formed. (line 1, column 21)"},
		{"yaml, context", "Resources:\n  A: [\n    B: 1\n    C: 2\n", "t:2:1", "Template format error: YAML not well-formed. (line 2, column 1)"},
		{"yaml", "Resources:\n  A: [\n", "t:2:1", "Template format error: YAML not well-formed. (line 2, column 1)"},
		{"duplicate key", "Resources:\n  A: {Type: x}\n  A: {Type: y}\n", "t:3:3", "Template format error: key A is already given on line 2"},
		{"unknown tag", "Resources:\n  A: !Reff x\n", "t:2:6", "Template format error: unknown tag !Reff: expected one of !Ref"},
		{"unknown section", "Resource: {}\nResources: {A: {Type: T}}\n", "t:1:1", "Invalid template property or properties [Resource]"},
		{"name", "Resources:\n  my-id: {Type: T}\n", "t:2:3", "Template format error: Resource name my-id is non alphanumeric."},
		{"no type", "Resources:\n  Foo: {}\n", "t:2:3", "Template format error: [/Resources/Foo] Every Resources object must contain a Type member."},
		{"attribute", "Resources:\n  Foo: {Type: T, DependOn: x}\n", "t:2:18", "Invalid template resource property 'DependOn'"},
		{"version", "AWSTemplateFormatVersion: 2020-01-01\nResources: {A: {Type: T}}\n", "t:1:27", "Template format error: unsupported value for AWSTemplateFormatVersion"},
		{"parameter type", "Parameters: {P: {Type: Strin}}\nResources: {A: {Type: T}}\n", "t:1:18", "Template format error: Unrecognized parameter type: Strin"},
		{"output", "Outputs: {O: {}}\nResources: {A: {Type: T}}\n", "t:1:11", "Template format error: Every Outputs members must contain a Value object: O"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(tc.in), "t")
			e := firstError(err)
			if e == nil {
				t.Fatalf("no mistake found: %v", err)
			}
			want := strings.Replace(tc.aws, "members must", "member must", 1)
			if e.Pos.String() != tc.pos || !strings.HasPrefix(e.AWS(), want) {
				t.Errorf("got %s: %s\nwant %s: %s", e.Pos, e.AWS(), tc.pos, want)
			}
		})
	}
}

func firstError(err error) *Error {
	var es Errors
	var e *Error
	if errors.As(err, &es) && len(es) > 0 {
		return es[0]
	}
	if errors.As(err, &e) {
		return e
	}
	return nil
}

func TestCheck(t *testing.T) {
	t.Parallel()
	schema, err := NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	const good = `
Resources:
  Pool:
    Type: AWS::Cognito::UserPool
    Properties:
      Policies: {PasswordPolicy: {MinimumLength: 12, RequireNumbers: true}}
  Name:
    Type: AWS::SSM::Parameter
    DependsOn: Pool
    Properties: {Type: String, Value: !GetAtt Pool.Arn, Name: !If [Yes, a, !Ref AWS::NoValue]}
Conditions: {Yes: !Equals [a, a]}
Outputs: {O: {Value: !Ref Pool, Condition: Yes}}
`
	if err := Check(mustParse(t, good), schema); err != nil {
		t.Errorf("a sound template: %v", err)
	}
	for _, tc := range []struct{ name, from, to, want string }{
		{"unknown property", "MinimumLength", "MinLength", "t.yaml:6:35: Pool: Properties.Policies.PasswordPolicy.MinLength: unknown property of PasswordPolicy; did you mean MinimumLength?"},
		{"wrong type", "MinimumLength: 12", "MinimumLength: long", `t.yaml:6:50: Pool: Properties.Policies.PasswordPolicy.MinimumLength: expected an integer, found string "long"`},
		{"boolean", "RequireNumbers: true", "RequireNumbers: 3", "expected a boolean"},
		{"map", "{PasswordPolicy: {MinimumLength: 12, RequireNumbers: true}}", "strict", "Properties.Policies: expected a map (Policies), found a string"},
		{"missing", "Type: String, Value", "Value", "t.yaml:10:17: Name: Properties.Type: required by AWS::SSM::Parameter and missing; expected a string"},
		{"attribute", "Pool.Arn", "Pool.Arm", "resource Pool does not support attribute type Arm in Fn::GetAtt; AWS::Cognito::UserPool has Arn, ProviderName"},
		{"reference", "!Ref Pool,", "!Ref Pol,", "t.yaml:12:22: Outputs.O.Value: Unresolved resource dependencies [Pol] in the Outputs block of the template; did you mean Pool?"},
		{"get att of nothing", "Pool.Arn", "Pol.Arn", "instance of Fn::GetAtt references undefined resource Pol"},
		{"depends on nothing", "DependsOn: Pool", "DependsOn: Pol", "Unresolved resource dependencies [Pol]"},
		{"condition", "Condition: Yes", "Condition: No", "unresolved condition dependency: No"},
		{"condition of if", "!If [Yes,", "!If [No,", "unresolved condition dependency: No"},
		{"type", "AWS::Cognito::UserPool", "AWS::Cognito::UserPol", "t.yaml:4:11: Pool: Type: the resource type AWS::Cognito::UserPol is not implemented; did you mean AWS::Cognito::UserPool?"},
		{"not built type", "AWS::Cognito::UserPool", "AWS::DynamoDB::Table", "the resource type AWS::DynamoDB::Table is not implemented"},
		{"not built function", "!GetAtt Pool.Arn", "!GetAZs x", "the intrinsic function Fn::GetAZs is not implemented"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(good, tc.from) {
				t.Fatalf("%q is not in the template", tc.from)
			}
			err := Check(mustParse(t, strings.Replace(good, tc.from, tc.to, 1)), schema)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestTemplate_Dependencies(t *testing.T) {
	t.Parallel()
	order := func(body string) (string, error) {
		tpl := mustParse(t, body)
		g, err := tpl.Dependencies(map[string]bool{"On": true})
		if err != nil {
			return "", err
		}
		return strings.Join(g.Order, " "), nil
	}
	got, err := order(`{"Resources": {"C": {"Type": "T", "Properties": {"X": {"Fn::Sub": "${B.Arn}"}}}, "B": {"Type": "T", "DependsOn": ["A"]}, "A": {"Type": "T"}}}`)
	if err != nil || got != "A B C" {
		t.Errorf("order = %q, %v", got, err)
	}
	got, err = order(`{"Resources": {"B": {"Type": "T", "Properties": {"X": {"Fn::If": ["Off", {"Ref": "A"}, "x"]}}}, "A": {"Type": "T", "Condition": "Off"}}}`)
	if err != nil || got != "B" {
		t.Errorf("with a condition: order = %q, %v", got, err)
	}
	_, err = order(`{"Resources": {"A": {"Type": "T", "Properties": {"X": {"Ref": "B"}}}, "B": {"Type": "T", "Properties": {"X": {"Ref": "C"}}}, "C": {"Type": "T", "Properties": {"X": {"Ref": "A"}}}}}`)
	if e := firstError(err); e == nil || e.AWS() != "Circular dependency between resources: [A, B, C]" || !strings.Contains(e.Error(), "A -> B -> C -> A") {
		t.Errorf("cycle: %v", err)
	}
	_, err = order(`{"Resources": {"B": {"Type": "T", "Properties": {"X": {"Ref": "A"}}}, "A": {"Type": "T", "Condition": "Off"}}}`)
	if e := firstError(err); e == nil || !strings.Contains(e.AWS(), "Unresolved resource dependencies [A]") {
		t.Errorf("reference to what a condition leaves out: %v", err)
	}
}

func TestTemplate_EvaluateConditions_cycle(t *testing.T) {
	t.Parallel()
	tpl := mustParse(t, "Conditions:\n  A: !Not [!Condition B]\n  B: !Not [!Condition A]\nResources: {R: {Type: T}}\n")
	if err := tpl.EvaluateConditions(&Scope{}); err == nil || !strings.Contains(err.Error(), "Circular dependency between conditions") {
		t.Errorf("error = %v", err)
	}
	tpl = mustParse(t, "Conditions:\n  A: !Equals [!Ref R, x]\nResources: {R: {Type: T}}\n")
	if err := tpl.EvaluateConditions(&Scope{}); err == nil || !strings.Contains(err.Error(), "Cannot reference resources in the Conditions block") {
		t.Errorf("error = %v", err)
	}
}

func TestTemplate_ResolveParameters(t *testing.T) {
	t.Parallel()
	lookup := func(name string) (string, error) {
		if name == "/a" {
			return "stored", nil
		}
		return "", errors.New("not there")
	}
	for _, tc := range []struct {
		name, parameter string
		given           map[string]string
		want            string
	}{
		{"default", "{Type: String, Default: x}", nil, `"x"`},
		{"given", "{Type: String, Default: x}", map[string]string{"P": "y"}, `"y"`},
		{"missing", "{Type: String}", nil, "error: Parameters: [P] must have values"},
		{"unknown", "{Type: String, Default: x}", map[string]string{"Q": "y"}, "error: Parameters: [Q] do not exist in the template"},
		{"number", "{Type: Number, Default: 3}", nil, `"3"`},
		{"no number", "{Type: Number}", map[string]string{"P": "x"}, "error: Parameter 'P' must be a number."},
		{"at least", "{Type: Number, MinValue: 5}", map[string]string{"P": "4"}, "error: Parameter 'P' must be a number not less than 5"},
		{"at most", "{Type: Number, MaxValue: 5}", map[string]string{"P": "6"}, "error: Parameter 'P' must be a number not greater than 5"},
		{"list", "{Type: CommaDelimitedList}", map[string]string{"P": "a, b"}, `["a","b"]`},
		{"list of numbers", "{Type: List<Number>}", map[string]string{"P": "1,x"}, "error: Parameter 'P' must be a number."},
		{"allowed", "{Type: String, AllowedValues: [a, b]}", map[string]string{"P": "b"}, `"b"`},
		{"not allowed", "{Type: String, AllowedValues: [a, b]}", map[string]string{"P": "c"}, "error: Parameter 'P' must be one of AllowedValues"},
		{"pattern", "{Type: String, AllowedPattern: '[a-z]+'}", map[string]string{"P": "abc"}, `"abc"`},
		{"pattern of the whole", "{Type: String, AllowedPattern: '[a-z]+'}", map[string]string{"P": "abc1"}, "error: Parameter 'P' must match pattern [a-z]+"},
		{"described", "{Type: String, AllowedPattern: '[a-z]+', ConstraintDescription: letters}", map[string]string{"P": "1"}, "error: Parameter 'P' failed to satisfy constraint: letters"},
		{"short", "{Type: String, MinLength: 3}", map[string]string{"P": "ab"}, "error: Parameter 'P' must contain at least 3 characters"},
		{"long", "{Type: String, MaxLength: 1}", map[string]string{"P": "ab"}, "error: Parameter 'P' must contain at most 1 characters"},
		{"stored", "{Type: 'AWS::SSM::Parameter::Value<String>', Default: /a}", nil, `"stored"`},
		{"not stored", "{Type: 'AWS::SSM::Parameter::Value<String>', Default: /b}", nil, "error: Unable to fetch parameters [/b] from parameter store for this account."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tpl := mustParse(t, "Parameters:\n  P: "+tc.parameter+"\nResources: {R: {Type: T}}\n")
			values, err := tpl.ResolveParameters(tc.given, lookup)
			if want, isError := strings.CutPrefix(tc.want, "error: "); isError {
				if e := firstError(err); e == nil || e.AWS() != want {
					t.Errorf("got %v, want %q", err, want)
				}
				return
			}
			if err != nil || string(values["P"].Value.JSON()) != tc.want {
				t.Errorf("got %s, %v; want %s", values["P"].Value.JSON(), err, tc.want)
			}
		})
	}
}

func TestParseValue_anchors(t *testing.T) {
	t.Parallel()
	v, err := ParseValue([]byte("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\nagain: *b\n"), "t")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.Canonical(), `{"again":{"x":1,"y":2},"base":{"x":1,"y":2},"use":{"x":1,"y":3}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	if _, err := ParseValue([]byte(bomb), "t"); err == nil {
		t.Error("aliases grew without bound")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(resolveBase + "!Sub '${A}'"))
	f.Add([]byte(`{"Resources": {"A": {"Type": "T", "Properties": {"X": {"Fn::If": [1]}}}}}`))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := ParseValue(body, "f")
		if err != nil {
			return
		}
		again, err := ParseValue(v.JSON(), "f") // what was read can be written and read again
		if v.Is(Map) && (err != nil || !Equal(v, again)) {
			t.Errorf("%s reads back as %s (%v)", v.JSON(), again.JSON(), err)
		}
		if tpl, err := FromValue(v, "f"); err == nil {
			s := &Scope{Parameters: map[string]ParameterValue{}, Mappings: tpl.Mappings}
			if tpl.EvaluateConditions(s) == nil {
				_, _ = tpl.Dependencies(s.Conditions)
			}
			for _, r := range tpl.Resources {
				_, _ = s.Resolve(r.Properties)
			}
		}
	})
}
