package main

import (
	"fmt"
	"io"
	"strings"
)

// try is a command worth trying: one that is let in, and its twin that is refused.
type try struct{ title, allowed, refused string }

// tries makes commands from the routes of an API: one pair for each way of proving who one is.
func (inv *inventory) tries(command, endpoint string, demo demoUser) []try {
	if len(inv.APIs) == 0 {
		return nil
	}
	base, at := inv.APIs[0].url(endpoint), ""
	if endpoint != defaultEndpoint {
		at = " --endpoint " + endpoint
	}
	call := func(path, rest string) string { return command + " call " + path + rest + at }
	as := " --user " + demo.Name + " --password '" + demo.Password + "'"
	seen := map[string]bool{}
	var out []try
	add := func(t try) {
		if !seen[t.title] {
			seen[t.title] = true
			out = append(out, t)
		}
	}
	for _, r := range inv.Routes {
		if r.API != inv.APIs[0].ID || strings.Contains(r.Path, "{") || r.Method != "GET" && r.Method != "POST" {
			continue
		}
		body := ""
		if r.Method == "POST" {
			body = ` -d '{"title":"Moats and bridges"}'`
		}
		switch {
		case r.Auth == "NONE" && r.Key && len(inv.Keys) > 0:
			add(try{"with an API key", "curl -H 'x-api-key: " + inv.Keys[0].Value + "' " + base + r.Path, "curl " + base + r.Path})
		case r.Auth == "COGNITO_USER_POOLS" && len(r.Scopes) == 0 && demo.Name != "":
			add(try{"with an ID token", call(r.Path, body+as), "curl -H 'Authorization: garbage' " + base + r.Path})
		case r.Auth == "COGNITO_USER_POOLS" && len(r.Scopes) > 0:
			add(try{"with an access token that has a scope", call(r.Path, body+" --scope "+r.Scopes[0]), call(r.Path, body+as+" --use access")})
		case r.Auth == "AWS_IAM" && demo.Name != "":
			add(try{"signed by temporary credentials", call(r.Path, body+" --signed"+as), call(r.Path, body+" --guest")})
		}
	}
	return out
}

func printTries(w io.Writer, p palette, tries []try) {
	if len(tries) == 0 {
		return
	}
	fmt.Fprintf(w, "\n  %s\n", p.bold("Try these; of each pair the first is let in, the second refused"))
	for _, t := range tries {
		fmt.Fprintf(w, "\n  %s\n    %s\n    %s\n", p.dim("# "+t.title), t.allowed, t.refused)
	}
	fmt.Fprintln(w)
}
