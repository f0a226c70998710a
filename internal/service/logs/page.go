package logs

import (
	"encoding/base64"
	"encoding/json"

	"moat/internal/wire"
)

// position is where a list goes on. It travels sealed, together with the question
// it belongs to, so that it fits no other request.
type position struct {
	Question string
	After    []string
}

const pagePurpose = "logs page"

func (s *Service) question(c *wire.Call, parts ...any) (string, error) {
	b, err := json.Marshal(append([]any{s.account, c.Region}, parts...))
	return string(b), err
}

func (s *Service) sealToken(question string, after []string) (*string, error) {
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

func (s *Service) openToken(token *string, question string) ([]string, error) {
	if token == nil {
		return nil, nil
	}
	refused := invalid("The specified nextToken is invalid.")
	sealed, err := base64.RawURLEncoding.DecodeString(*token)
	if err != nil {
		return nil, refused
	}
	plain, err := s.db.Unseal(pagePurpose, sealed)
	if err != nil {
		return nil, refused
	}
	var p position
	if err := json.Unmarshal(plain, &p); err != nil || p.Question != question {
		return nil, refused
	}
	return p.After, nil
}

func limitOf(n *int32, most int) int {
	if n == nil {
		return most
	}
	return int(*n)
}
