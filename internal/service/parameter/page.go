package parameter

import (
	"encoding/base64"
	"encoding/json"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/ssmapi"
)

// position is where a list goes on. It travels sealed as NextToken, together with
// the question it belongs to: a token of another question, account or region is
// refused, and nobody can read or make one.
type position struct {
	Question string
	After    string // name or version last seen
}

const pagePurpose = "parameter page"

// question describes a list request without its page.
func (s *Service) question(c *wire.Call, op string, parts ...any) (string, error) {
	b, err := json.Marshal(append([]any{op, s.account, c.Region}, parts...))
	return string(b), err
}

func (s *Service) openToken(token *string, question string) (after string, err error) {
	if token == nil || *token == "" {
		return "", nil
	}
	refused := &api.InvalidNextToken{Message: "The specified token is not valid."}
	sealed, err := base64.RawURLEncoding.DecodeString(*token)
	if err != nil {
		return "", refused
	}
	plain, err := s.db.Unseal(pagePurpose, sealed)
	if err != nil {
		return "", refused
	}
	var p position
	if err := json.Unmarshal(plain, &p); err != nil || p.Question != question {
		return "", refused
	}
	return p.After, nil
}

func (s *Service) sealToken(question, after string) (*string, error) {
	plain, err := json.Marshal(position{question, after})
	if err != nil {
		return nil, err
	}
	sealed, err := s.db.Seal(pagePurpose, plain)
	if err != nil {
		return nil, err
	}
	return wire.String(base64.RawURLEncoding.EncodeToString(sealed)), nil
}

// scanChunk is how many records a filtered list reads at a time.
const scanChunk = 200

// scan reads parameters in the order of their names, from behind after, until keep
// has accepted limit of them and there is one more. more tells whether there is;
// last is the name of the last one accepted.
func (s *Service) scan(tx *store.Tx, region, begins, after string, limit int, keep func(*Parameter) bool) (found []Parameter, more bool, err error) {
	for {
		q := store.Query{Prefix: []string{s.account, region}, Begins: begins, Limit: scanChunk}
		if after != "" {
			q.After = []string{s.account, region, after}
		}
		chunk, err := s.parameters.List(tx, q)
		if err != nil {
			return nil, false, err
		}
		for i := range chunk {
			if !keep(&chunk[i]) {
				continue
			}
			if len(found) == limit {
				return found, true, nil
			}
			found = append(found, chunk[i])
		}
		if len(chunk) < scanChunk {
			return found, false, nil
		}
		after = chunk[len(chunk)-1].Name
	}
}

func limitOf(n *int32, most int) int {
	if n == nil {
		return most
	}
	return int(*n)
}
