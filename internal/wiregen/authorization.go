package wiregen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// Authorization says what each operation of an API asks of the caller's policies, as
// AWS's Service Authorization Reference lists it. Where that reference leaves a
// resource out that AWS's refusals name (a path that is listed, a log group's streams),
// the table has it, too.
type Authorization struct {
	// Resources are the ARN patterns of the resource types, by their names.
	Resources  map[string][]string
	Operations map[string]Permission
}

// Permission is what one operation asks for.
type Permission struct {
	Action string   // without the prefix of the service
	Access string   // Read, Write, List, Tagging or Permissions
	On     []string // resource types; none means that AWS decides on "*"
	Keys   []string // condition keys of the service, of the request's and of the resource's tags
	Also   []string // further actions, with prefix, that some inputs ask for
	// Proof is what an operation without a signature brings instead, for its service to
	// verify. Such operations are here and nowhere else.
	Proof string
}

// Authorization reads the table of a.
func (a API) Authorization() (*Authorization, error) {
	doc, err := data.ReadFile("authorization/" + a.Model + ".json")
	if err != nil {
		return nil, fmt.Errorf("wiregen: %w", err)
	}
	return ParseAuthorization(doc)
}

// ParseAuthorization reads a table; a name that it does not know is an error.
func ParseAuthorization(doc []byte) (*Authorization, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	t := &Authorization{}
	if err := d.Decode(t); err != nil {
		return nil, fmt.Errorf("wiregen: authorization: %w", err)
	}
	return t, nil
}

// of returns the entry of an operation. One without an entry is a mistake: it would be
// decided on nothing.
func (t *Authorization) of(name string, unsigned bool) (Permission, error) {
	p, ok := t.Operations[name]
	switch {
	case !ok:
		return p, fmt.Errorf("the authorization table lacks %s", name)
	case p.Action == "":
		return p, fmt.Errorf("the authorization table gives %s no action", name)
	case unsigned != (p.Proof != ""):
		return p, fmt.Errorf("the authorization table gives %s the proof %q, and its model says unsigned: %v", name, p.Proof, unsigned)
	case !slices.Contains([]string{"Read", "Write", "List", "Tagging", "Permissions"}, p.Access):
		return p, fmt.Errorf("the authorization table gives %s the access %q", name, p.Access)
	}
	for _, typ := range p.On {
		if len(t.Resources[typ]) == 0 {
			return p, fmt.Errorf("the authorization table knows no resource %q, which %s names", typ, name)
		}
	}
	return p, nil
}

// patterns are the ARN patterns of an entry.
func (t *Authorization) patterns(p Permission) []string {
	var all []string
	for _, typ := range p.On {
		all = append(all, t.Resources[typ]...)
	}
	return all
}
