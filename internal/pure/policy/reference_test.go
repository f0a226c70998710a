package policy

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// The reference: a slow evaluator that reads the JSON anew for each question
// and turns every pattern into a regular expression.

type refStatement struct {
	Effect                                   string
	Action, NotAction, Resource, NotResource []string
	Principal, NotPrincipal                  map[string][]string
	Condition                                map[string]map[string][]string
}

type refDocument []refStatement

func (d refDocument) json() []byte {
	var out []map[string]any
	for _, s := range d {
		m := map[string]any{"Effect": s.Effect}
		for name, v := range map[string][]string{"Action": s.Action, "NotAction": s.NotAction, "Resource": s.Resource, "NotResource": s.NotResource} {
			if v != nil {
				m[name] = v
			}
		}
		for name, v := range map[string]map[string][]string{"Principal": s.Principal, "NotPrincipal": s.NotPrincipal} {
			if v != nil {
				m[name] = v
			}
		}
		if s.Condition != nil {
			m["Condition"] = s.Condition
		}
		out = append(out, m)
	}
	b, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": out})
	return b
}

// refPattern returns a regular expression, or false for an unknown variable.
func refPattern(s string, wild bool, r *Request) (string, bool) {
	ok := true
	var out strings.Builder
	for len(s) > 0 {
		if m := regexp.MustCompile(`^\$\{([^}]*)\}`).FindStringSubmatch(s); m != nil {
			s = s[len(m[0]):]
			name, fallback, has := strings.Cut(m[1], ",")
			switch {
			case name == "*" || name == "?" || name == "$":
				out.WriteString(regexp.QuoteMeta(name))
				continue
			}
			values := refValues(r, name)
			switch {
			case len(values) == 1:
				out.WriteString(regexp.QuoteMeta(values[0]))
			case len(values) == 0 && has:
				out.WriteString(regexp.QuoteMeta(strings.Trim(strings.TrimSpace(fallback), "'")))
			default:
				ok = false
			}
			continue
		}
		switch c := s[:1]; {
		case wild && c == "*":
			out.WriteString(`(?s:.*)`)
		case wild && c == "?":
			out.WriteString(`(?s:.)`)
		default:
			out.WriteString(regexp.QuoteMeta(c))
		}
		s = s[1:]
	}
	return out.String(), ok
}

func refMatch(p string, wild bool, s string, r *Request) (bool, bool) {
	re, ok := refPattern(p, wild, r)
	return ok && regexp.MustCompile(`\A(?:`+re+`)\z`).MatchString(s), ok
}

func refARN(p, s string, r *Request) (bool, bool) {
	if p == "*" {
		return true, true
	}
	pf, sf := strings.SplitN(p, ":", 6), strings.SplitN(s, ":", 6)
	// A variable's own colon is not a field's end; the generator has one such name.
	if joined := regexp.MustCompile(`\$\{[^}]*\}`).FindString(p); joined != "" {
		pf = strings.SplitN(strings.Replace(p, joined, "\x00", 1), ":", 6)
		for i := range pf {
			pf[i] = strings.Replace(pf[i], "\x00", joined, 1)
		}
	}
	if len(sf) < 6 {
		return false, true
	}
	for i := range sf {
		field := "*"
		if i < len(pf) {
			field = pf[i]
		}
		if m, ok := refMatch(field, true, sf[i], r); !m {
			return false, ok
		}
	}
	return true, true
}

func refValues(r *Request, key string) []string {
	key = strings.ToLower(key)
	if key == "aws:principalarn" {
		if r.Principal.RoleARN != "" {
			return []string{r.Principal.RoleARN}
		}
		if r.Principal.ARN == "" {
			return nil
		}
		return []string{r.Principal.ARN}
	}
	if v, ok := r.Principal.Context[key]; ok {
		return v
	}
	if strings.HasPrefix(key, "aws:principal") || key == "aws:username" {
		return nil
	}
	return r.Context[key]
}

func refCondition(operator, key string, want []string, r *Request, allow bool) bool {
	got := refValues(r, key)
	name := operator
	quantifier := ""
	if q, rest, ok := strings.Cut(name, ":"); ok {
		quantifier, name = q, rest
	}
	ifExists := strings.HasSuffix(name, "IfExists")
	name = strings.TrimSuffix(name, "IfExists")
	negated := strings.Contains(name, "Not")
	name = strings.Replace(name, "Not", "", 1)
	if name == "Null" {
		return (len(got) == 0) == (want[0] == "true")
	}
	if len(got) == 0 {
		return ifExists || quantifier == "ForAllValues" || quantifier == "" && negated
	}
	one := func(v string) bool {
		any, known := false, true
		for _, w := range want {
			m, ok := refCompare(name, v, w, r)
			any = any || m
			known = known && ok
		}
		if !negated {
			return any
		}
		return !any && (known || !allow)
	}
	if quantifier == "ForAllValues" || quantifier == "" && negated {
		return !slices.ContainsFunc(got, func(v string) bool { return !one(v) })
	}
	return slices.ContainsFunc(got, one)
}

func refCompare(name, v, w string, r *Request) (bool, bool) {
	switch name {
	case "StringEquals":
		return refMatch(w, false, v, r)
	case "StringLike":
		return refMatch(w, true, v, r)
	case "ArnLike":
		if !strings.HasPrefix(v, "arn:") {
			return false, true
		}
		return refARN(w, v, r)
	case "NumericLessThan", "NumericEquals":
		a, ok := readNumber(v)
		b, _ := readNumber(w)
		return ok && (name == "NumericLessThan" && a < b || name == "NumericEquals" && a == b), ok
	case "IpAddress":
		a, err := netip.ParseAddr(v)
		return err == nil && netip.MustParsePrefix(w).Contains(a), err == nil
	}
	panic(name)
}

// refPrincipal gives how a statement's principal speaks of p: "", "account",
// "everyone", "role" or "direct".
func refPrincipal(list map[string][]string, p *Principal) string {
	has := func(kind, value string) bool { return value != "" && slices.Contains(list[kind], value) }
	switch {
	case p.Kind == PrincipalService && has("Service", p.Service), p.Kind == PrincipalFederated && has("Federated", p.Federated):
		return "direct"
	case p.ARN != "" && has("AWS", p.ARN), p.Kind == PrincipalRoot && has("AWS", p.Account):
		return "direct"
	case p.Kind == PrincipalAssumedRole && has("AWS", p.RoleARN), p.Kind == PrincipalFederatedUser && has("AWS", p.UserARN):
		return "role"
	case has("AWS", "*"):
		return "everyone"
	case p.Kind != PrincipalService && p.Kind != PrincipalFederated && has("AWS", p.Account):
		return "account"
	}
	return ""
}

func (s refStatement) applies(r *Request, resource bool) string {
	anyOf := func(list []string, f func(string) bool) bool { return slices.ContainsFunc(list, f) }
	action := func(a string) bool {
		m, _ := refMatch(strings.ToLower(a), true, strings.ToLower(r.Action), r)
		return m
	}
	if s.Action != nil && !anyOf(s.Action, action) || s.NotAction != nil && anyOf(s.NotAction, action) {
		return ""
	}
	unknown := false
	match := func(p string) bool {
		m, ok := refARN(p, r.Resource, r)
		unknown = unknown || !ok
		return m
	}
	if s.Resource != nil && !anyOf(s.Resource, match) || s.NotResource != nil && anyOf(s.NotResource, match) {
		return ""
	}
	if s.NotResource != nil && unknown && s.Effect == "Allow" {
		return ""
	}
	for operator, keys := range s.Condition {
		for key, values := range keys {
			if !refCondition(operator, key, values, r, s.Effect == "Allow") {
				return ""
			}
		}
	}
	if !resource {
		return "direct"
	}
	who := ""
	if s.NotPrincipal != nil {
		who = refNotPrincipal(s.NotPrincipal, &r.Principal, s.Effect)
	} else {
		who = refPrincipal(s.Principal, &r.Principal)
	}
	if who == "everyone" && s.namesByCondition() {
		return "direct"
	}
	return who
}

// namesByCondition: a plain, positive operator on aws:PrincipalArn.
func (s refStatement) namesByCondition() bool {
	for operator, keys := range s.Condition {
		for key := range keys {
			if strings.EqualFold(key, "aws:PrincipalArn") && !strings.ContainsAny(operator, ":") && !strings.Contains(operator, "Not") &&
				!strings.HasSuffix(operator, "IfExists") && operator != "Null" {
				return true
			}
		}
	}
	return false
}

// refNotPrincipal: a Deny spares who is listed with account, role and session;
// an Allow leaves out who is listed by any of them.
func refNotPrincipal(list map[string][]string, p *Principal, effect string) string {
	if slices.Contains(list["AWS"], "*") {
		return ""
	}
	parts := []string{p.ARN, p.Account}
	if p.Kind == PrincipalAssumedRole {
		parts = append(parts, p.RoleARN)
	}
	listed := 0
	for _, part := range parts {
		if part != "" && slices.Contains(list["AWS"], part) {
			listed++
		}
	}
	wholly := listed == len(parts)
	switch p.Kind {
	case PrincipalRoot: // its ARN is its account's
		wholly = listed > 0
	case PrincipalService, PrincipalFederated, PrincipalAnonymous:
		wholly = refPrincipal(list, p) != ""
		if wholly {
			listed = 1
		}
	case PrincipalFederatedUser:
		if effect == "Allow" && slices.Contains(list["AWS"], p.UserARN) {
			listed++
		}
	}
	if effect == "Allow" && listed == 0 || effect == "Deny" && !wholly {
		return "everyone"
	}
	return ""
}

type refPolicies struct {
	identity, session, guardrails []refDocument
	resource, boundary            *refDocument
}

// refEvaluate is the flow chart, in the words of the documentation. trust: the
// resource policy is that of a role to be assumed, and must allow in any case.
func refEvaluate(r *Request, p refPolicies, trust bool) bool {
	denied, allowed := map[string]bool{}, map[string]string{}
	rank := []string{"", "account", "everyone", "role", "direct"}
	look := func(kind string, docs ...refDocument) {
		for _, d := range docs {
			for _, s := range d {
				g := s.applies(r, kind == "resource")
				switch {
				case g == "":
				case s.Effect == "Deny":
					denied[kind] = true
				case slices.Index(rank, g) > slices.Index(rank, allowed[kind]):
					allowed[kind] = g
				}
			}
		}
	}
	look("identity", p.identity...)
	look("session", p.session...)
	look("guardrail", p.guardrails...)
	if p.resource != nil {
		look("resource", *p.resource)
	}
	if p.boundary != nil {
		look("boundary", *p.boundary)
	}
	if r.Principal.Account == "" {
		return !denied["resource"] && allowed["resource"] != "" && allowed["resource"] != "account"
	}
	if len(denied) > 0 || p.guardrails != nil && allowed["guardrail"] == "" {
		return false
	}
	limited := (p.boundary == nil || allowed["boundary"] != "") && (p.session == nil && r.Principal.Kind != PrincipalFederatedUser || allowed["session"] != "")
	if r.Account != r.Principal.Account {
		return allowed["resource"] != "" && allowed["identity"] != "" && limited
	}
	if allowed["resource"] == "direct" {
		return true
	}
	if trust && allowed["resource"] == "" {
		return false
	}
	return limited && (allowed["identity"] != "" || allowed["resource"] == "role" || allowed["resource"] == "everyone")
}
