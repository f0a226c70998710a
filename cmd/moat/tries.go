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
	base := inv.APIs[0].url(endpoint)
	as := " --user " + demo.Name + " --password '" + demo.Password + "'"
	if endpoint != defaultEndpoint {
		as += " --endpoint " + endpoint
	}
	seen := map[string]bool{}
	var out []try
	add := func(kind string, t try) {
		if !seen[kind] {
			seen[kind] = true
			out = append(out, t)
		}
	}
	for _, r := range inv.Routes {
		url := base + strings.NewReplacer("{proxy+}", "welcome.html").Replace(r.Path)
		if r.API != inv.APIs[0].ID || strings.Contains(url, "{") {
			continue
		}
		switch {
		case r.Method != "GET" && r.Method != "POST":
		case r.Auth == "NONE" && r.Key && len(inv.Keys) > 0:
			add("key", try{"with an API key", "curl -H 'x-api-key: " + inv.Keys[0].Value + "' " + url, "curl " + url})
		case r.Auth == "COGNITO_USER_POOLS" && len(r.Scopes) == 0 && r.Method == "GET" && demo.Name != "":
			add("id", try{"with an ID token", command + " call " + url + as, "curl -H 'Authorization: garbage' " + url})
		case r.Auth == "COGNITO_USER_POOLS" && len(r.Scopes) > 0:
			body := ""
			if r.Method == "POST" {
				body = ` -X POST -d '{"title":"Moats and bridges"}'`
			}
			refused := command + " call " + url + body + as + " --use access"
			add("scope", try{"with an access token that has a scope", command + " call " + url + body + " --scope " + r.Scopes[0], refused})
		case r.Auth == "AWS_IAM" && demo.Name != "":
			add("iam", try{"signed by temporary credentials", command + " call " + url + " --signed" + as, command + " call " + url + " --guest"})
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
