package policy

import (
	"slices"
	"strings"
)

// ContextKeys lists the condition keys and the policy variables that the
// document uses, each once, as written first, sorted.
func (d *Document) ContextKeys() []string {
	written := map[string]string{}
	note := func(key string) {
		if lower := strings.ToLower(key); written[lower] == "" {
			written[lower] = key
		}
	}
	for i := range d.statements {
		s := &d.statements[i]
		for j := range s.resources {
			s.resources[j].variables(func(v *part) { note(v.written) })
		}
		for j := range s.conditions {
			note(s.conditions[j].written)
			s.conditions[j].variables(func(v *part) { note(v.written) })
		}
	}
	keys := make([]string, 0, len(written))
	for _, key := range written {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// variables visits the policy variables of a value.
func (p *pattern) variables(visit func(*part)) {
	for i := range p.parts {
		if v := &p.parts[i]; v.variable != "" {
			visit(v)
		}
	}
}

func (a *arnPattern) variables(visit func(*part)) {
	for i := range a.fields {
		a.fields[i].variables(visit)
	}
}

func (c *condition) variables(visit func(*part)) {
	for i := range c.values {
		c.values[i].pattern.variables(visit)
		c.values[i].arn.variables(visit)
	}
}

// GrantsService reports whether an Allow statement's action could match an
// operation of the service with this namespace: iam, lambda.
func (d *Document) GrantsService(namespace string) bool {
	prefix := strings.ToLower(namespace) + ":"
	for i := range d.statements {
		s := &d.statements[i]
		if !s.allow {
			continue
		}
		all, some := false, false
		for j := range s.actions {
			text := lowered(s.actions[j].text)
			every := strings.Trim(text, string([]byte{anyMany})) == ""
			all = all || every || text == prefix+string([]byte{anyMany})
			some = some || every || strings.HasPrefix(text, prefix)
		}
		if !s.notAction && some || s.notAction && !all {
			return true
		}
	}
	return false
}

// lowered is text with its ASCII letters in lower case; the bytes that stand for
// wildcards stay what they are.
func lowered(text string) string {
	b := []byte(text)
	for i, c := range b {
		b[i] = lower(c)
	}
	return string(b)
}
