package restapi

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"moat/internal/wire"
)

const (
	defaultPage = 25
	maxPage     = 500
	positionMAC = 16 // bytes of a position's seal
)

// listing is one list that a call reads: whose, of what, by which filters. A position that was
// given out for one is good for no other.
type listing struct {
	key   []byte
	scope []byte
}

// listing names the list that a call reads. parts are its parents and filters.
func (s *Service) listing(ctx context.Context, parts ...string) listing {
	c, p := wire.CallFrom(ctx), s.place(ctx)
	l := listing{key: s.positions}
	for _, part := range append([]string{p.account, p.region, c.Operation}, parts...) {
		l.scope = append(binary.AppendUvarint(l.scope, uint64(len(part))), part...)
	}
	return l
}

func (l listing) seal(id string) []byte {
	mac := hmac.New(sha256.New, l.key)
	mac.Write(l.scope)
	mac.Write([]byte(id))
	return mac.Sum(nil)[:positionMAC]
}

// position names the last item that was seen, so that a page stays right while items come and go.
func (l listing) position(id string) *string {
	return wire.String(base64.RawURLEncoding.EncodeToString(append(l.seal(id), id...)))
}

// last reads a position that was given out for this very list.
func (l listing) last(position string) (string, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(position)
	if err != nil || len(raw) <= positionMAC {
		return "", false
	}
	id := string(raw[positionMAC:])
	return id, hmac.Equal(raw[:positionMAC], l.seal(id))
}

// cut gives one page of a list that is sorted by id. When the item that a position names is gone,
// the page begins with what follows it.
func cut[T any](l listing, items []T, id func(T) string, position *string, limit *int32) ([]T, *string, error) {
	start := 0
	if position != nil && *position != "" {
		last, ok := l.last(*position)
		if !ok {
			return nil, nil, badRequest("Invalid position parameter")
		}
		for start < len(items) && id(items[start]) <= last {
			start++
		}
	}
	n := defaultPage
	if limit != nil && *limit > 0 {
		n = min(int(*limit), maxPage)
	}
	end := min(start+n, len(items))
	if end == len(items) {
		return items[start:end], nil, nil
	}
	return items[start:end], l.position(id(items[end-1])), nil
}
