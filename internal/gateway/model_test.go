package gateway

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/jsonstring"
)

// validating is an API whose POST /things must fit a model.
func validating(models map[string]string, requestModels map[string]string) Definition {
	return Definition{
		APIID: apiID, Account: account, Region: region, Stage: "api", DeploymentID: "d1", Models: models,
		Responses: map[string]Response{"BAD_REQUEST_BODY": {ResponseTemplates: map[string]string{
			"application/json": `{"message":$context.error.messageString,"errors":"$context.error.validationErrorString"}`,
		}}},
		Routes: []Route{{Path: "/things", Method: "POST", ResourceID: "r1", AuthorizationType: "NONE", ValidateBody: true, RequestModels: requestModels, Integration: proxy("things")}},
	}
}

func post(path, contentType, body string) *http.Request {
	r := request("POST", path)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

// TestValidateBody holds each keyword of draft 4 to the sentence that AWS's validator has.
func TestValidateBody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ schema, good, bad, found string }{
		"required":             {`{"type":"object","required":["b","a"]}`, `{"a":1,"b":null}`, `{}`, `object has missing required properties (["a","b"])`},
		"type":                 {`{"type":"object","properties":{"n":{"type":"integer"}}}`, `{"n":3}`, `{"n":"3"}`, `instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		"integer":              {`{"properties":{"n":{"type":"integer"}}}`, `{"n":3.0}`, `{"n":3.5}`, `instance type (number) does not match any allowed primitive type (allowed: ["integer"])`},
		"number":               {`{"properties":{"n":{"type":"number"}}}`, `{"n":3}`, `{"n":true}`, `instance type (boolean) does not match any allowed primitive type (allowed: ["integer","number"])`},
		"types":                {`{"type":["object","null"]}`, `null`, `[]`, `instance type (array) does not match any allowed primitive type (allowed: ["null","object"])`},
		"enum":                 {`{"properties":{"t":{"enum":["dog","cat"]}}}`, `{"t":"cat"}`, `{"t":"cow"}`, `instance value ("cow") not found in enum (possible values: ["dog","cat"])`},
		"enum of numbers":      {`{"properties":{"t":{"enum":[1]}}}`, `{"t":1.0}`, `{"t":1.5}`, `instance value (1.5) not found in enum (possible values: [1])`},
		"minimum":              {`{"properties":{"n":{"minimum":25}}}`, `{"n":25}`, `{"n":20}`, `numeric instance is lower than the required minimum (minimum: 25, found: 20)`},
		"exclusive minimum":    {`{"properties":{"n":{"minimum":25,"exclusiveMinimum":true}}}`, `{"n":26}`, `{"n":25}`, `numeric instance is not strictly greater than the required minimum 25`},
		"maximum":              {`{"properties":{"n":{"maximum":2.5}}}`, `{"n":2.5}`, `{"n":3}`, `numeric instance is greater than the required maximum (maximum: 2.5, found: 3)`},
		"exclusive maximum":    {`{"properties":{"n":{"maximum":5,"exclusiveMaximum":true}}}`, `{"n":4.9}`, `{"n":5}`, `numeric instance is not strictly lower than the required maximum 5`},
		"multipleOf":           {`{"properties":{"n":{"multipleOf":0.1}}}`, `{"n":0.3}`, `{"n":0.35}`, `remainder of division is not zero (0.35 / 0.1)`},
		"minLength":            {`{"properties":{"s":{"minLength":2}}}`, `{"s":"äö"}`, `{"s":"ä"}`, `string "ä" is too short (length: 1, required minimum: 2)`},
		"maxLength":            {`{"properties":{"s":{"maxLength":2}}}`, `{"s":"ab"}`, `{"s":"abc"}`, `string "abc" is too long (length: 3, maximum allowed: 2)`},
		"pattern":              {`{"properties":{"s":{"pattern":"^a+$"}}}`, `{"s":"aa"}`, `{"s":"ab"}`, `ECMA 262 regex "^a+$" does not match input string "ab"`},
		"email":                {`{"properties":{"s":{"format":"email"}}}`, `{"s":"a@b.de"}`, `{"s":"ab"}`, `string "ab" is not a valid email address`},
		"ipv4":                 {`{"properties":{"s":{"format":"ipv4"}}}`, `{"s":"1.2.3.4"}`, `{"s":"1.2.3"}`, `string "1.2.3" is not a valid IPv4 address`},
		"additionalProperties": {`{"properties":{"a":{}},"patternProperties":{"^x-":{}},"additionalProperties":false}`, `{"a":1,"x-b":1}`, `{"c":1,"b":1}`, `object instance has properties which are not allowed by the schema: ["b","c"]`},
		"additional schema":    {`{"additionalProperties":{"type":"string"}}`, `{"a":"1"}`, `{"a":1}`, `instance type (integer) does not match any allowed primitive type (allowed: ["string"])`},
		"minProperties":        {`{"minProperties":1}`, `{"a":1}`, `{}`, `object has too few properties (found 0 but schema requires at least 1)`},
		"maxProperties":        {`{"maxProperties":1}`, `{"a":1}`, `{"a":1,"b":2}`, `object has too many properties (found 2 but schema requires at most 1)`},
		"minItems":             {`{"properties":{"l":{"minItems":1}}}`, `{"l":[1]}`, `{"l":[]}`, `array is too short: must have at least 1 elements but instance has 0 elements`},
		"maxItems":             {`{"properties":{"l":{"maxItems":1}}}`, `{"l":[1]}`, `{"l":[1,2]}`, `array is too long: must have at most 1 elements but instance has 2 elements`},
		"uniqueItems":          {`{"properties":{"l":{"uniqueItems":true}}}`, `{"l":[1,"1",{"a":1}]}`, `{"l":[{"a":1,"b":2},{"b":2.0,"a":1}]}`, `array must not contain duplicate elements`},
		"items":                {`{"properties":{"l":{"items":{"type":"string"}}}}`, `{"l":["a"]}`, `{"l":[1]}`, `instance type (integer) does not match any allowed primitive type (allowed: ["string"])`},
		"dependencies":         {`{"dependencies":{"a":["b"]}}`, `{"b":1}`, `{"a":1}`, `property "a" of object has missing property dependencies (schema requires ["b"]; missing: ["b"])`},
		"oneOf":                {`{"oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{"a":1}`, `{"a":1,"b":1}`, `instance failed to match exactly one schema (matched 2 out of 2)`},
		"anyOf":                {`{"anyOf":[{"required":["a"]},{"required":["b"]}]}`, `{"a":1,"b":1}`, `{}`, `instance failed to match at least one required schema among 2`},
		"allOf":                {`{"allOf":[{"required":["a"]},{"required":["b"]}]}`, `{"a":1,"b":1}`, `{"a":1}`, `instance failed to match all required schemas (matched only 1 out of 2)`},
		"not":                  {`{"not":{"required":["a"]}}`, `{}`, `{"a":1}`, `instance matched a schema which it should not have`},
		"local reference":      {`{"definitions":{"p":{"type":"integer"}},"properties":{"n":{"$ref":"#/definitions/p"}}}`, `{"n":1}`, `{"n":"x"}`, `instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		"newer dialects":       {`{"$schema":"http://json-schema.org/draft-07/schema#","const":1,"required":["a"]}`, `{"a":2}`, `{}`, `object has missing required properties (["a"])`},
		"two at once":          {`{"properties":{"type":{"enum":["dog"]},"price":{"minimum":25}}}`, `{}`, `{"type":"elephant","price":20}`, `numeric instance is lower than the required minimum (minimum: 25, found: 20), instance value ("elephant") not found in enum (possible values: ["dog"])`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			k.publish(validating(map[string]string{"M": c.schema}, map[string]string{"application/json": "M"}))
			if w := k.serve(post("/things", "application/json", c.good)); w.Code != 200 {
				t.Errorf("%s: status %d, %s", c.good, w.Code, w.Body)
			}
			w := k.serve(post("/things", "application/json; charset=utf-8", c.bad))
			want := `{"message":"Invalid request body","errors":"` + string(jsonstring.AppendInside(nil, "["+c.found+"]")) + `"}`
			if w.Code != 400 || w.Body.String() != want {
				t.Errorf("%s: status %d\n got %s\nwant %s", c.bad, w.Code, w.Body, want)
			}
		})
	}
}

// TestValidateBody_references is the recorded case of two models.
func TestValidateBody_references(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(validating(map[string]string{
		"StatusModel": `{"type":"object","properties":{"Status":{"type":"string"},"Order":{"type":"integer"}},"required":["Status","Order"]}`,
		"TestModel":   `{"type":"object","properties":{"status":{"oneOf":[{"type":"null"},{"$ref":"https://apigateway.amazonaws.com/restapis/` + apiID + `/models/StatusModel"}]}},"required":["status"]}`,
	}, map[string]string{"application/json": "TestModel"}))
	for body, status := range map[string]int{
		`{"status":null}`:                         200,
		`{"status":{"Status":"x","Order":1}}`:     200,
		`{"status":{"Status":"x","Order":"one"}}`: 400,
		``:           400,
		`{`:          400,
		`{} {}`:      400,
		`"\ud800`:    400,
		`{"status":`: 400,
	} {
		if w := k.serve(post("/things", "application/json", body)); w.Code != status {
			t.Errorf("%q: status %d, want %d", body, w.Code, status)
		}
	}
}

// TestValidateBody_contentTypes: a type without a model is let through, unless $default is there.
func TestValidateBody_contentTypes(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	models := map[string]string{"M": `{"required":["a"]}`, "N": `{"required":["n"]}`}
	k.publish(validating(models, map[string]string{"application/json": "M"}))
	for contentType, status := range map[string]int{"": 400, "application/json": 400, "Application/JSON;q=1": 400, "text/plain": 200, "application/json+x": 200, ";": 200} {
		if w := k.serve(post("/things", contentType, `{}`)); w.Code != status {
			t.Errorf("%q: status %d, want %d", contentType, w.Code, status)
		}
	}
	k.publish(validating(models, map[string]string{"application/json": "M", "$default": "N"}))
	for body, status := range map[string]int{`{}`: 400, `{"a":1}`: 400, `{"n":1}`: 200} {
		if w := k.serve(post("/things", "text/plain", body)); w.Code != status {
			t.Errorf("$default, %q: status %d, want %d", body, w.Code, status)
		}
	}
	d := validating(models, map[string]string{"application/json": "M"})
	d.Routes[0].ValidateBody = false
	k.publish(d)
	if w := k.serve(post("/things", "", `{}`)); w.Code != 200 {
		t.Errorf("without a validator: status %d", w.Code)
	}
}

func TestCompile_models(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		models map[string]string
		built  bool
	}{
		"unknown model":    {map[string]string{}, true},
		"no JSON":          {map[string]string{"M": `{`}, true},
		"no object":        {map[string]string{"M": `[]`}, true},
		"no schema":        {map[string]string{"M": `{"type":"strange"}`}, true},
		"unknown $ref":     {map[string]string{"M": `{"$ref":"` + modelBase + apiID + `/models/X"}`}, true},
		"another API":      {map[string]string{"M": `{"$ref":"` + modelBase + `zzzzzzzzzz/models/M"}`}, true},
		"a file":           {map[string]string{"M": `{"$ref":"file:///etc/passwd"}`}, true},
		"an address":       {map[string]string{"M": `{"$ref":"http://127.0.0.1/x"}`}, true},
		"bad pattern":      {map[string]string{"M": `{"pattern":"("}`}, true},
		"look-ahead":       {map[string]string{"M": `{"pattern":"^(?=a)b"}`}, false},
		"back reference":   {map[string]string{"M": `{"pattern":"(a)\\1"}`}, false},
		"a long number":    {map[string]string{"M": `{"minimum":1e999999999}`}, true},
		"larger than 400K": {map[string]string{"M": `{"title":"` + strings.Repeat("x", maxModel) + `"}`}, true},
	} {
		_, err := Compile(validating(c.models, map[string]string{"application/json": "M"}))
		var wrong *DefinitionError
		var unbuilt *NotBuiltError
		if c.built && !errors.As(err, &wrong) || !c.built && !errors.As(err, &unbuilt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestValidateBody_bounds: no body makes the validator work without end.
func TestValidateBody_bounds(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	branch := func(n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`{"properties":{"a":{"$ref":"#"}}},`, n), ",") + "]"
	}
	k.publish(validating(map[string]string{
		"M": `{"allOf":` + branch(4) + `,"anyOf":` + branch(4) + `,"properties":{"a":{"$ref":"#"},"n":{"multipleOf":3}}}`,
		"L": `{"properties":{"a":{"$ref":"#"}},"$ref":"` + modelBase + apiID + `/models/L"}`,
	}, map[string]string{"application/json": "M", "text/loop": "L"}))
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + `{}` + strings.Repeat(`}`, n) }
	began := time.Now()
	for body, status := range map[string]int{
		deep(2): 200, deep(40): 400, deep(maxDepth + 1): 400, deep(5000): 400, deep(20000): 400,
		`{"n":3e400}`: 200, `{"n":3e401}`: 400, `{"n":1e999999999}`: 400, `{"n":` + strings.Repeat("3", 401) + `}`: 400,
	} {
		if w := k.serve(post("/things", "", body)); w.Code != status {
			t.Errorf("%.40s: status %d, want %d", body, w.Code, status)
		}
	}
	if w := k.serve(post("/things", "text/loop", `{}`)); w.Code != 400 {
		t.Errorf("a schema that is itself: status %d", w.Code)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	many := `{"l":[` + strings.TrimSuffix(strings.Repeat(`"x",`, 5000), ",") + `]}`
	k.publish(validating(map[string]string{"M": `{"properties":{"l":{"items":{"enum":["y"]}}}}`}, map[string]string{"application/json": "M"}))
	if w := k.serve(post("/things", "", many)); w.Code != 400 || w.Body.Len() > 50_000 {
		t.Errorf("many findings: status %d, %d bytes", w.Code, w.Body.Len())
	}
}
