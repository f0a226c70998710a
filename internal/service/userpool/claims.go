package userpool

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"moat/internal/pure/jsonstring"
	"moat/internal/pure/token"
)

// claims are what a token says, in any order. Of two with one name the later counts.
type claims []claimed

type claimed struct {
	name  string
	value any
}

// get is the claim with a name; nil without one.
func (c claims) get(name string) any {
	for i := len(c) - 1; i >= 0; i-- {
		if c[i].name == name {
			return c[i].value
		}
	}
	return nil
}

// drop removes the claims that have one of these names.
func (c *claims) drop(names map[string]bool) {
	*c = slices.DeleteFunc(*c, func(c claimed) bool { return names[c.name] })
}

// append writes claims as encoding/json writes a map, sorted by name.
func (c claims) append(b []byte) ([]byte, error) {
	slices.SortStableFunc(c, func(x, y claimed) int { return strings.Compare(x.name, y.name) })
	b = append(b, '{')
	for i, said := range c {
		if i+1 < len(c) && c[i+1].name == said.name {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(jsonstring.AppendHTML(b, said.name), ':')
		switch v := said.value.(type) {
		case string:
			b = jsonstring.AppendHTML(b, v)
		case int64:
			b = strconv.AppendInt(b, v, 10)
		case bool:
			b = strconv.AppendBool(b, v)
		default:
			raw, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			b = append(b, raw...)
		}
	}
	return append(b, '}'), nil
}

// sign makes a token of claims, which it sorts.
func sign(k *token.SigningKey, c claims) (string, error) {
	raw, err := c.append(make([]byte, 0, 1024))
	if err != nil {
		return "", err
	}
	return token.Sign(k, raw)
}
