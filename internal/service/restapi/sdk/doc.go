// Package sdk writes clients of deployed APIs in JavaScript, in the form that users of API
// Gateway's know: apigClientFactory.newClient(config), a function for each route, promises.
//
// What an API is called, its paths and parameters come from strangers: they reach the
// generated program as strings and as names of letters and digits only, never as code.
package sdk

import (
	"archive/zip"
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// API is what a client is written for.
type API struct {
	Name, Version string
	Endpoint      string // with the stage, without a slash at the end
	Region        string
	Methods       []Method
}

// Method is one route.
type Method struct {
	Path, Verb     string // the path with its variables in braces; ANY stands for every verb
	PathParams     []string
	Query, Headers []string
	Required       []string // names among them
	Signed         bool     // by IAM credentials
}

// operation is a method with the name of its function.
type operation struct {
	Method
	function string
}

//go:embed client.js
var client string

//go:embed readme.md
var readme string

// JavaScript returns a zip archive with the client, its types and how it is used.
func JavaScript(api API, now time.Time) ([]byte, error) {
	ops := operations(api.Methods)
	script, err := program(api, ops)
	if err != nil {
		return nil, err
	}
	manifest, err := json.MarshalIndent(map[string]any{
		"name": "api-gateway-client", "private": true, "version": "1.0.0", "main": "apigClient.js", "types": "apigClient.d.ts",
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, f := range []struct {
		name string
		body []byte
	}{
		{"apigClient.js", script}, {"apigClient.d.ts", declarations(ops)}, {"package.json", append(manifest, '\n')}, {"README.md", []byte(readme)},
	} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "apiGateway-js-sdk/" + f.name, Method: zip.Deflate, Modified: now})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.body); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// operations names the functions: the words of the path, then the verb. A path that has a
// method for ANY gets a function for each verb that has none of its own.
func operations(methods []Method) []operation {
	var all []Method
	own := map[string]bool{}
	for _, m := range methods {
		own[m.Path+" "+m.Verb] = true
	}
	for _, m := range methods {
		if m.Verb != "ANY" {
			all = append(all, m)
			continue
		}
		for _, verb := range []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"} {
			if one := m; !own[m.Path+" "+verb] {
				one.Verb = verb
				all = append(all, one)
			}
		}
	}
	slices.SortFunc(all, func(a, b Method) int { return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Verb, b.Verb)) })
	taken := map[string]int{}
	out := make([]operation, 0, len(all))
	for _, m := range all {
		name := functionName(m.Path, m.Verb)
		for taken[name]++; taken[name] > 1; taken[name]++ { // two paths of the same words
			name = fmt.Sprintf("%s_%d", name, taken[name])
		}
		out = append(out, operation{m, name})
	}
	return out
}

// functionName is "petsPetIdGet" for GET /pets/{petId}, "rootGet" for GET /.
func functionName(path, verb string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(path, func(c rune) bool { return !isWord(c) }) {
		if b.Len() == 0 {
			b.WriteString(strings.ToLower(word[:1]) + word[1:])
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	name := cmp.Or(b.String(), "root")
	if c := name[0]; c >= '0' && c <= '9' {
		name = "_" + name
	}
	return name + verb[:1] + strings.ToLower(verb[1:])
}

// isWord keeps names to ASCII letters and digits, whatever a path holds.
func isWord(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// route is a row of the table that the client works from.
type route struct {
	Name    string   `json:"name"`
	Verb    string   `json:"verb"`
	Path    string   `json:"path"`
	Params  []string `json:"path_params"`
	Query   []string `json:"query"`
	Headers []string `json:"headers"`
	Need    []string `json:"required"`
	Signed  bool     `json:"signed"`
}

// program is the client with the API's facts. encoding/json writes strings that end no
// script element and break no line: "<", ">", "&" and the line separators are escaped.
func program(api API, ops []operation) ([]byte, error) {
	routes := make([]json.RawMessage, len(ops))
	for i, o := range ops {
		row, err := json.Marshal(route{o.function, o.Verb, o.Path, list(o.PathParams), list(o.Query), list(o.Headers), list(o.Required), o.Signed})
		if err != nil {
			return nil, err
		}
		routes[i] = row
	}
	var table bytes.Buffer
	for i, r := range routes {
		if i > 0 {
			table.WriteString(",\n")
		}
		table.WriteString("    ")
		table.Write(r)
	}
	facts, err := json.Marshal(map[string]string{"name": api.Name, "version": api.Version, "endpoint": api.Endpoint, "region": api.Region})
	if err != nil {
		return nil, err
	}
	// The two places are replaced once each, in an order in which no inserted text is looked at again.
	before, rest, _ := strings.Cut(client, "/*facts*/")
	middle, after, _ := strings.Cut(rest, "/*routes*/")
	return []byte(before + string(facts) + middle + "\n" + table.String() + "\n  " + after), nil
}

func list(in []string) []string {
	if in == nil {
		return []string{}
	}
	return in
}

// declarations are the client's types for TypeScript.
func declarations(ops []operation) []byte {
	var b strings.Builder
	b.WriteString(`export interface Config {
  accessKey?: string;
  secretKey?: string;
  sessionToken?: string;
  region?: string;
  apiKey?: string;
  defaultContentType?: string;
  defaultAcceptType?: string;
  systemClockOffset?: number;
  retries?: number;
  invokeUrl?: string;
  fetch?: typeof fetch;
}

export interface AdditionalParams {
  headers?: Record<string, string>;
  queryParams?: Record<string, string | string[]>;
  responseType?: "arraybuffer";
  signal?: AbortSignal;
}

export interface Result<T = any> {
  status: number;
  statusText: string;
  headers: Record<string, string>;
  data: T;
}

export interface Client {
`)
	for _, o := range ops {
		fmt.Fprintf(&b, "  %s<T = any>(params?: %s, body?: any, additionalParams?: AdditionalParams): Promise<Result<T>>;\n", o.function, parameterType(o.Method))
	}
	b.WriteString("}\n\nexport const apigClientFactory: { newClient(config?: Config): Client };\n")
	return []byte(b.String())
}

func parameterType(m Method) string {
	var fields []string
	seen := map[string]bool{}
	for _, group := range [][]string{m.PathParams, m.Query, m.Headers} {
		for _, name := range group {
			if seen[name] {
				continue
			}
			seen[name] = true
			key, _ := json.Marshal(name) // a string always has JSON
			mark := "?"
			if slices.Contains(m.Required, name) {
				mark = ""
			}
			fields = append(fields, string(key)+mark+": string | number | boolean")
		}
	}
	if len(fields) == 0 {
		return "Record<string, never> | null"
	}
	return "{ " + strings.Join(fields, "; ") + " }"
}
