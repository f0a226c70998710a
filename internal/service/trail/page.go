package trail

import (
	"encoding/base64"
	"encoding/json"

	"moat/internal/wire"
	api "moat/internal/wire/cloudtrailapi"
)

const pagePurpose = "trail page"

// position is where a look-up goes on. It travels sealed, together with what was asked, so that
// it fits no other question.
type position struct {
	Asked string
	From  place
}

func (s *Service) sealToken(asked string, from place) (*string, error) {
	plain, err := json.Marshal(position{asked, from})
	if err != nil {
		return nil, err
	}
	sealed, err := s.cfg.DB.Seal(pagePurpose, plain)
	if err != nil {
		return nil, err
	}
	return wire.String(base64.RawURLEncoding.EncodeToString(sealed)), nil
}

func (s *Service) openToken(token *string, asked string) (place, error) {
	if token == nil {
		return place{}, nil
	}
	refused := &api.InvalidNextTokenException{Message: "The token is not valid, or was made for another request."}
	sealed, err := base64.RawURLEncoding.DecodeString(*token)
	if err != nil {
		return place{}, refused
	}
	plain, err := s.cfg.DB.Unseal(pagePurpose, sealed)
	if err != nil {
		return place{}, refused
	}
	var p position
	if json.Unmarshal(plain, &p) != nil || p.Asked != asked {
		return place{}, refused
	}
	return p.From, nil
}
