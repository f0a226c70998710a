package policy

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func some(values ...string) *rapid.Generator[[]string] {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(values), 1, 2, rapid.ID[string])
}

func genStatement(resource bool) *rapid.Generator[refStatement] {
	return rapid.Custom(func(t *rapid.T) refStatement {
		s := refStatement{Effect: rapid.SampledFrom([]string{"Allow", "Allow", "Deny"}).Draw(t, "effect")}
		actions := some("*", "s:*", "s:Get*", "S:GetA", "s:G?tA", "o:*", "s:GetAB", "s:PutA", "sx:*", "s:*A").Draw(t, "actions")
		if rapid.IntRange(0, 4).Draw(t, "not") == 0 {
			s.NotAction = actions
		} else {
			s.Action = actions
		}
		resources := some("*", "arn:aws:s:::b/*", "arn:aws:s:::b", "arn:*:s:*:*:?/k", "arn:aws:s", "arn:aws:s:::${k:v}/*", "arn:aws:s:::${k:none, 'b'}/k", "arn:aws:*", "arn:aws:s:::${*}",
			"arn:aws:s:r:1:b/*", "arn:aws:s:*:1:b/k*", "arn:aws:s:r:*:b/k:l", "arn:aws:s:r:?:*", "arn:aws:s*:::b/k", "arn:aws:o:::b/k", "arn:aws:s:::b/${k:v}", "arn:aws:s:r:${k:one}:b/*", "arn:aws:s:::*/k").Draw(t, "resources")
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
			who := map[string][]string{"AWS": rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"*", account, "999999999999", alice.ARN, session.ARN, session.RoleARN, carol.ARN}), 1, 3, rapid.ID[string]).Draw(t, "aws")}
			if rapid.Bool().Draw(t, "services") {
				who["Service"] = some("lambda.amazonaws.com", "events.amazonaws.com").Draw(t, "service")
				who["Federated"] = []string{"cognito-identity.amazonaws.com"}
			}
			if rapid.IntRange(0, 4).Draw(t, "notp") == 0 {
				s.NotPrincipal = who
			} else {
				s.Principal = who
			}
		}
		return s
	})
}

func genDocument(resource bool) *rapid.Generator[refDocument] {
	return rapid.Custom(func(t *rapid.T) refDocument {
		return rapid.SliceOfN(genStatement(resource), 1, rapid.SampledFrom([]int{2, 3, 9}).Draw(t, "most")).Draw(t, "statements")
	})
}

func genRequest() *rapid.Generator[*Request] {
	return rapid.Custom(func(t *rapid.T) *Request {
		c := Context{}
		for _, k := range []struct {
			key    string
			values []string
		}{{"k:v", []string{"b", "ab", "x", "*"}}, {"k:one", []string{"1"}}, {"k:num", []string{"1", "2", "x"}}, {"k:ip", []string{"10.1.2.3", "10.2.0.1", "bad"}}} {
			if rapid.Bool().Draw(t, k.key) {
				c[k.key] = []string{rapid.SampledFrom(k.values).Draw(t, k.key+" value")}
			}
		}
		if rapid.Bool().Draw(t, "many") {
			c["k:many"] = some("a", "b", "ab", "c").Draw(t, "many values")
		}
		return &Request{
			Principal: rapid.SampledFrom([]Principal{alice, session, carol, root, lambda, pool, foreign, {}}).Draw(t, "principal"),
			Action:    rapid.SampledFrom([]string{"s:GetA", "S:getab", "s:PutA", "o:X", "sx:y"}).Draw(t, "action"),
			Resource:  rapid.SampledFrom([]string{"*", "arn:aws:s:::b/k", "arn:aws:s:::b", "arn:aws:s:r:1:b/k:l", "arn:aws:s:::*", "arn:aws:s:r:*:b/k", "arn:aws:o:::b/k", "arn:aws:s", "arn:aws:s:::b/ab"}).Draw(t, "resource"),
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

// joinSome keeps nothing nothing: no limit is not an empty one.
func joinSome(docs []*Document) []*Document {
	if docs == nil {
		return nil
	}
	return list(Join(docs...))
}

func TestEvaluate_reference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, asReference)
}

// FuzzEvaluate is the same property, guided by coverage.
func FuzzEvaluate(f *testing.F) { f.Fuzz(rapid.MakeFuzz(asReference)) }

func asReference(t *rapid.T) {
	p := genPolicies().Draw(t, "policies")
	compiled := p.compile(t)
	for range 8 {
		r := genRequest().Draw(t, "request")
		if got, want := Evaluate(r, compiled), refEvaluate(r, p, false); got.Allowed != want {
			t.Fatalf("got %+v, want %v", got, want)
		}
		if got, want := EvaluateTrust(r, compiled), refEvaluate(r, p, true); got.Allowed != want {
			t.Fatalf("trust: got %+v, want %v", got, want)
		}
		joined := *compiled
		joined.Identity, joined.Session, joined.Guardrails = list(Join(compiled.Identity...)), joinSome(compiled.Session), joinSome(compiled.Guardrails)
		if got, want := Evaluate(r, &joined), Evaluate(r, compiled); !reflect.DeepEqual(got, want) {
			t.Fatalf("joined %+v, apart %+v", got, want)
		}
	}
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
		if p.session == nil && r.Principal.Kind != PrincipalFederatedUser { // who may nothing without one
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
