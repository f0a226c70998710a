package policy

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
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
	case p.Kind == PrincipalAssumedRole && has("AWS", p.RoleARN):
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
	return refPrincipal(s.Principal, &r.Principal)
}

type refPolicies struct {
	identity, session, guardrails []refDocument
	resource, boundary            *refDocument
}

// refEvaluate is the flow chart, in the words of the documentation.
func refEvaluate(r *Request, p refPolicies) bool {
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
	limited := (p.boundary == nil || allowed["boundary"] != "") && (p.session == nil || allowed["session"] != "")
	if r.Account != r.Principal.Account {
		return allowed["resource"] != "" && allowed["identity"] != "" && limited
	}
	if allowed["resource"] == "direct" {
		return true
	}
	return limited && (allowed["identity"] != "" || allowed["resource"] == "role" || allowed["resource"] == "everyone")
}

func some(values ...string) *rapid.Generator[[]string] {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(values), 1, 2, rapid.ID[string])
}

func genStatement(resource bool) *rapid.Generator[refStatement] {
	return rapid.Custom(func(t *rapid.T) refStatement {
		s := refStatement{Effect: rapid.SampledFrom([]string{"Allow", "Allow", "Deny"}).Draw(t, "effect")}
		actions := some("*", "s:*", "s:Get*", "S:GetA", "s:G?tA", "o:*").Draw(t, "actions")
		if rapid.IntRange(0, 4).Draw(t, "not") == 0 {
			s.NotAction = actions
		} else {
			s.Action = actions
		}
		resources := some("*", "arn:aws:s:::b/*", "arn:aws:s:::b", "arn:*:s:*:*:?/k", "arn:aws:s", "arn:aws:s:::${k:v}/*", "arn:aws:s:::${k:none, 'b'}/k", "arn:aws:*", "arn:aws:s:::${*}").Draw(t, "resources")
		if rapid.IntRange(0, 4).Draw(t, "notr") == 0 {
			s.NotResource = resources
		} else {
			s.Resource = resources
		}
		if rapid.Bool().Draw(t, "conditional") {
			s.Condition = map[string]map[string][]string{}
			for range rapid.IntRange(1, 2).Draw(t, "n") {
				operator := rapid.SampledFrom([]string{"StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIfExists", "StringNotLikeIfExists",
					"ForAllValues:StringEquals", "ForAllValues:StringNotEquals", "ForAnyValue:StringLike", "ForAnyValue:StringNotEquals", "ForAnyValue:StringLikeIfExists",
					"Null", "NumericLessThan", "NumericNotEquals", "IpAddress", "NotIpAddress", "ArnLike", "ArnNotLike", "ForAllValues:NumericEquals"}).Draw(t, "operator")
				values := some("b", "a*", "${k:v}", "${k:none}", "c").Draw(t, "values")
				switch {
				case operator == "Null":
					values = []string{rapid.SampledFrom([]string{"true", "false"}).Draw(t, "null")}
				case strings.Contains(operator, "Numeric"):
					values = some("1", "2", "3.5").Draw(t, "numbers")
				case strings.Contains(operator, "Ip"):
					values = some("10.0.0.0/8", "10.1.0.0/16").Draw(t, "nets")
				case strings.Contains(operator, "Arn"):
					values = some("arn:aws:iam::1:user/*", "arn:*", "arn:aws:iam::*:role/r").Draw(t, "arns")
				}
				s.Condition[operator] = map[string][]string{rapid.SampledFrom([]string{"k:v", "K:Many", "k:none", "k:num", "k:ip", "aws:PrincipalArn"}).Draw(t, "key"): values}
			}
		}
		if resource {
			s.Principal = map[string][]string{"AWS": some("*", account, "999999999999", alice.ARN, session.ARN, session.RoleARN).Draw(t, "aws")}
			if rapid.Bool().Draw(t, "services") {
				s.Principal["Service"] = some("lambda.amazonaws.com", "events.amazonaws.com").Draw(t, "service")
				s.Principal["Federated"] = []string{"cognito-identity.amazonaws.com"}
			}
		}
		return s
	})
}

func genDocument(resource bool) *rapid.Generator[refDocument] {
	return rapid.Custom(func(t *rapid.T) refDocument {
		return rapid.SliceOfN(genStatement(resource), 1, 3).Draw(t, "statements")
	})
}

func genRequest() *rapid.Generator[*Request] {
	return rapid.Custom(func(t *rapid.T) *Request {
		c := Context{}
		for key, values := range map[string][]string{"k:v": {"b", "ab", "x", "*"}, "k:num": {"1", "2", "x"}, "k:ip": {"10.1.2.3", "10.2.0.1", "bad"}} {
			if rapid.Bool().Draw(t, key) {
				c[key] = []string{rapid.SampledFrom(values).Draw(t, key+" value")}
			}
		}
		if rapid.Bool().Draw(t, "many") {
			c["k:many"] = some("a", "b", "ab", "c").Draw(t, "many values")
		}
		return &Request{
			Principal: rapid.SampledFrom([]Principal{alice, session, root, lambda, pool, foreign, {}}).Draw(t, "principal"),
			Action:    rapid.SampledFrom([]string{"s:GetA", "s:PutA", "o:X"}).Draw(t, "action"),
			Resource:  rapid.SampledFrom([]string{"*", "arn:aws:s:::b/k", "arn:aws:s:::b", "arn:aws:s:r:1:b/k:l", "arn:aws:s:::*"}).Draw(t, "resource"),
			Account:   account, Context: c,
		}
	})
}

func genPolicies() *rapid.Generator[refPolicies] {
	return rapid.Custom(func(t *rapid.T) refPolicies {
		p := refPolicies{identity: rapid.SliceOfN(genDocument(false), 0, 2).Draw(t, "identity")}
		if rapid.Bool().Draw(t, "has resource") {
			d := genDocument(true).Draw(t, "resource")
			p.resource = &d
		}
		if rapid.IntRange(0, 2).Draw(t, "has boundary") == 0 {
			d := genDocument(false).Draw(t, "boundary")
			p.boundary = &d
		}
		if rapid.IntRange(0, 2).Draw(t, "has session") == 0 {
			p.session = rapid.SliceOfN(genDocument(false), 1, 2).Draw(t, "session")
		}
		if rapid.IntRange(0, 3).Draw(t, "has guardrails") == 0 {
			p.guardrails = rapid.SliceOfN(genDocument(false), 1, 2).Draw(t, "guardrails")
		}
		return p
	})
}

func (p refPolicies) compile(t *rapid.T) *Policies {
	one := func(d refDocument) *Document {
		c, err := Parse("p", d.json())
		if err != nil {
			t.Fatalf("%v: %s", err, d.json())
		}
		return c
	}
	all := func(docs []refDocument) (out []*Document) {
		for _, d := range docs {
			out = append(out, one(d))
		}
		return out
	}
	out := &Policies{Identity: all(p.identity), Session: all(p.session), Guardrails: all(p.guardrails)}
	if p.resource != nil {
		out.Resource = one(*p.resource)
	}
	if p.boundary != nil {
		out.Boundary = one(*p.boundary)
	}
	return out
}

func TestEvaluate_reference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := genPolicies().Draw(t, "policies")
		compiled := p.compile(t)
		for range 8 {
			r := genRequest().Draw(t, "request")
			if got, want := Evaluate(r, compiled), refEvaluate(r, p); got.Allowed != want {
				t.Fatalf("got %+v, want %v", got, want)
			}
		}
	})
}

func TestEvaluate_properties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := genRequest().Draw(t, "request")
		p := genPolicies().Draw(t, "policies")
		before := Evaluate(r, p.compile(t)).Allowed

		// Order does not matter.
		turned := p
		turned.identity = slices.Clone(p.identity)
		slices.Reverse(turned.identity)
		for i, d := range turned.identity {
			turned.identity[i] = slices.Clone(d)
			slices.Reverse(turned.identity[i])
		}
		if got := Evaluate(r, turned.compile(t)).Allowed; got != before {
			t.Fatalf("turned around: %v, before %v", got, before)
		}
		// Another Deny never allows; another limit never widens.
		deny := genStatement(false).Draw(t, "deny")
		deny.Effect = "Deny"
		more := p
		more.identity = append(slices.Clone(p.identity), refDocument{deny})
		if Evaluate(r, more.compile(t)).Allowed && !before {
			t.Fatal("a Deny allowed")
		}
		limit := genDocument(false).Draw(t, "limit")
		for name, limited := range map[string]refPolicies{
			"boundary":  {p.identity, p.session, p.guardrails, p.resource, &limit},
			"guardrail": {p.identity, p.session, append(slices.Clone(p.guardrails), limit), p.resource, p.boundary},
		} {
			if name == "boundary" && p.boundary != nil || name == "guardrail" && p.guardrails != nil {
				continue
			}
			if Evaluate(r, limited.compile(t)).Allowed && !before {
				t.Fatalf("a %s widened", name)
			}
		}
		if p.session == nil {
			limited := p
			limited.session = []refDocument{limit}
			if Evaluate(r, limited.compile(t)).Allowed && !before {
				t.Fatal("a session policy widened")
			}
		}
	})
}

func TestGlob_reference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringOf(rapid.RuneFrom([]rune("ab*?ü"))).Draw(t, "pattern")
		s := rapid.StringOf(rapid.RuneFrom([]rune("abü"))).Draw(t, "text")
		c, _ := compile(p, false, true)
		re := strings.NewReplacer("*", ".*", "?", ".").Replace(p)
		if got, want := glob(c.text, s, false), regexp.MustCompile(`\A`+re+`\z`).MatchString(s); got != want {
			t.Fatalf("%q ~ %q: %v, want %v", p, s, got, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":` + allowAll + `}`)
	f.Add(`{"Statement":[{"Effect":"Deny","NotPrincipal":{"AWS":"*"},"NotAction":"a:*","NotResource":"arn:aws:s","Condition":{"Null":{"a:b":"true"}}}]}`)
	f.Fuzz(func(t *testing.T, doc string) {
		d, err := Parse("p", []byte(doc))
		if err != nil {
			return
		}
		if !json.Valid([]byte(doc)) {
			t.Fatalf("accepted what is not JSON: %q", doc)
		}
		// Whatever it says, an anonymous request gets nothing from it as an
		// identity policy.
		if got := Evaluate(&Request{Action: "a:b", Resource: "*"}, &Policies{Identity: []*Document{d}}); got.Allowed {
			t.Fatalf("%q: %+v", doc, got)
		}
	})
}
