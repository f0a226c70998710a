package userpool

import (
	"slices"
)

// page is the content of a page token: what it continues, and behind which key.
// It is sealed, so that it fits only the request that it was given for.
type page struct {
	Scope []string
	After []string
}

// openPage reads a page token that must belong to scope; nil starts at the front.
func (s *Service) openPage(text *string, scope []string) ([]string, error) {
	if text == nil {
		return nil, nil
	}
	var p page
	if !s.unsealJSON(sealPage, *text, &p) || !slices.Equal(p.Scope, scope) || len(p.After) == 0 {
		return nil, refuse(invalidParameter, "Invalid pagination token.")
	}
	return p.After, nil
}

// nextPage cuts a list that was read with one record too many to its limit and
// makes the token for what follows.
func nextPage[T any](s *Service, list []T, limit int, scope []string, keyOf func(*T) []string) ([]T, *string, error) {
	if len(list) <= limit {
		return list, nil, nil
	}
	list = list[:limit]
	text, err := s.sealJSON(sealPage, page{scope, keyOf(&list[limit-1])})
	if err != nil {
		return nil, nil, err
	}
	return list, &text, nil
}

// limitOf is the size of a page: up to 60, which is also what absent and 0 mean.
func limitOf(n *int32) int {
	if n == nil || *n <= 0 || *n > 60 {
		return 60
	}
	return int(*n)
}
