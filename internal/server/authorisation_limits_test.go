package server

import (
	"net/http"
	"testing"

	"moat/internal/pure/policy"
)

// Every signed operation of every API where an identity may all and something else
// limits it: a permissions boundary, a session policy, a service control policy.
// Silence and a Deny of each refuse in its own words; what allows everything lets
// pass.
func TestAuthorisation_MatrixLimits(t *testing.T) {
	t.Parallel()
	m, apis := newMatrix(t)
	parse := func(statements string) *policy.Document {
		doc, err := policy.Parse("limit", []byte(`{"Version":"2012-10-17","Statement":[`+statements+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	const all = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	m.parse(t, all)
	silent, open := parse(`{"Effect":"Allow","Action":"other:Thing","Resource":"*"}`), parse(all)
	forms := []struct {
		name, article string
		limits        func(d *policy.Document) policy.Policies
	}{
		{"permissions boundary", "a", func(d *policy.Document) policy.Policies { return policy.Policies{Boundary: d} }},
		{"session policy", "a", func(d *policy.Document) policy.Policies { return policy.Policies{Session: []*policy.Document{d}} }},
		{"service control policy", "a", func(d *policy.Document) policy.Policies { return policy.Policies{Guardrails: []*policy.Document{d}} }},
	}
	count := 0
	for _, a := range apis {
		maker := makerOf(t, a.Endpoint, false)
		for i := range a.Operations {
			op := &a.Operations[i]
			in := op.NewInput()
			if op.Unsigned || needless(op) || maker.Fill(op.Name, in) != nil {
				continue
			}
			deny := parse(all + `,{"Effect":"Deny","Action":"` + op.Action + `","Resource":"*"}`)
			for _, f := range forms {
				m.limit(f.limits(open))
				if e := m.call(t, a, op, in); e.HTTPStatus() != http.StatusNotImplemented {
					t.Errorf("%s %s within an open %s: %v", a.Endpoint, op.Name, f.name, e)
				}
				m.limit(f.limits(silent))
				m.refused(t, a, op, m.call(t, a, op, in), "because no "+f.name+" allows the ACTION action")
				m.limit(f.limits(deny))
				m.refused(t, a, op, m.call(t, a, op, in), "with an explicit deny in "+f.article+" "+f.name)
			}
			count++
		}
	}
	if count < 450 {
		t.Errorf("only %d operations were called", count)
	}
}

// limit sets what limits the one document.
func (o *oneDocument) limit(p policy.Policies) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limits = p
}
